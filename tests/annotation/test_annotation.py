"""Annotations keep everything, check themselves, and become tables."""

import json
import re
from dataclasses import FrozenInstanceError, replace
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.labels import LabelSet
from segwidget.errors import AnnotationError, LabelError, PromptError
from segwidget.inference.prompts import Point
from segwidget.inference.rle import Rle
from segwidget.media.image import Image


def eye(**fields):
    return Annotation.from_mask(np.eye(4, dtype=bool), label="car", **fields)


def test_from_mask_measures_the_mask():
    mask = np.zeros((12, 20), bool)
    mask[2:5, 3:9] = True
    mask[3, 4] = False
    item = Annotation.from_mask(mask, label=" car ")
    np.testing.assert_array_equal(item.mask, mask)
    assert item.box == (3.0, 2.0, 9.0, 5.0)
    assert item.area == 17
    assert item.label == "car"
    assert item.origin == "assisted"
    assert item.visible
    assert item.predicted_iou is None
    assert re.fullmatch("[0-9a-f]{32}", item.id)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(item.created)
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)
    assert Annotation.from_mask(mask, label="car").id != item.id


def test_json_keeps_everything(annotations):
    for item in annotations:
        assert Annotation.from_dict(json.loads(json.dumps(item.to_dict(), allow_nan=False))) == item


def test_json_may_leave_out_what_has_a_default():
    rle = Rle.encode(np.eye(4, dtype=bool))
    item = Annotation.from_dict({"id": "a", "label": "car", "rle": rle.to_dict()})
    assert item.area == 4
    assert item.created == ""
    assert item.prompts == ()


def test_an_annotation_is_frozen():
    item = eye()
    with pytest.raises(FrozenInstanceError):
        item.label = "b"
    assert replace(item, label="b").rle is item.rle
    assert len({item, replace(item), replace(item, label="b")}) == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": ""}, "id of an annotation is empty"),
        ({"id": 5}, "id of an annotation is 5; expected text"),
        ({"model": None}, "model"),
        ({"origin": "magic"}, "origin.*assisted"),
        ({"predicted_iou": float("nan")}, "predicted_iou.*finite"),
        ({"stability_score": "0.5"}, "stability_score"),
        ({"seconds": float("inf")}, "seconds"),
        ({"seconds": 10**400}, "seconds"),
        ({"picked": -1}, "picked"),
        ({"picked": 1.5}, "picked"),
        ({"visible": "yes"}, "visible"),
        ({"created": "yesterday"}, "created"),
        ({"prompts": "point"}, "prompts.*list"),
        ({"picks": [0]}, "0 prompts and 1 picks"),
        ({"prompts": [Point(1, 1), Point(2, 2)], "picks": [-1]}, "picks"),
        ({"prompts": [Point(1, 1), Point(2, 2)], "picks": [0, 0]}, "2 prompts and 2 picks"),
    ],
)
def test_impossible_values_are_refused(fields, words):
    with pytest.raises(AnnotationError, match=words):
        eye(**fields)


def test_other_impossible_values():
    with pytest.raises(LabelError, match="empty"):
        replace(eye(), label=" ")
    with pytest.raises(PromptError, match="expected Point"):
        eye(prompts=[5])
    with pytest.raises(AnnotationError, match="from_mask"):
        replace(eye(), rle=np.eye(4))
    with pytest.raises(AnnotationError, match=r"area 5.*from_rle"):
        replace(eye(), area=5)
    with pytest.raises(AnnotationError, match="box"):
        replace(eye(), box=(0, 0, 3, 4))
    with pytest.raises(AnnotationError, match="mask is empty"):
        Annotation.from_mask(np.zeros((3, 3), bool), label="car")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000+00:00"),
        ("2026-01-31T12:00:00.123456+02:00", "2026-01-31T10:00:00.123+00:00"),
        ("2026-01-31", "2026-01-31T00:00:00.000+00:00"),
    ],
)
def test_times_are_kept_in_utc(given, kept):
    assert eye(created=given).created == kept


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "to_dict"),
        ({"id": "a", "label": "b"}, "lacks rle"),
        ({**eye().to_dict(), "colour": 1}, "has colour"),
        ({**eye().to_dict(), "rle": {"size": [4, 4], "counts": "!"}}, "character"),
    ],
)
def test_impossible_json_is_refused(data, words):
    with pytest.raises(AnnotationError, match=words):
        Annotation.from_dict(data)


def test_what_is_known_of_an_image():
    image = Image(np.zeros((3, 5, 3), np.uint8), "x.png")
    assert ImageInfo.of(image) == ImageInfo("x.png", 5, 3, image.sha256)
    for wrong in (("x", 0, 3), ("x", 5, -1), ("x", 5.5, 3), ("x", "5", 3), (None, 5, 3)):
        with pytest.raises(AnnotationError, match="of an image"):
            ImageInfo(*wrong)


def test_annotations_are_a_sequence(annotations, image, labels):
    whole = Annotations(annotations, image, labels)
    assert len(whole) == 3
    assert whole[0] is annotations[0]
    assert list(whole) == annotations
    assert annotations[1] in whole
    assert whole[1:] == Annotations(annotations[1:], image, labels)
    assert whole != Annotations(annotations, image)
    assert hash(whole) == hash(Annotations(tuple(annotations), image, labels))
    assert repr(whole) == "<3 annotations of 'street.jpg', 20 × 12>"
    with pytest.raises(FrozenInstanceError):
        whole.items = ()


def test_masks(annotations, image):
    masks = Annotations(annotations, image).masks
    assert masks.dtype == bool
    assert masks.shape == (3, 12, 20)
    for mask, item in zip(masks, annotations, strict=True):
        np.testing.assert_array_equal(mask, item.mask)
    assert Annotations([], image).masks.shape == (0, 12, 20)


def test_labels_are_completed(annotations, image):
    assert Annotations(annotations, image).labels.names == ("car", "person", "<b>tree</b>")
    some = Annotations(annotations, image, {"person": "navy"})
    assert some.labels.names == ("person", "car", "<b>tree</b>")
    assert some.labels.color_of("person") == "#000080"
    assert Annotations([], image).labels == LabelSet.of()


def test_annotations_must_fit_together(annotations, image):
    with pytest.raises(AnnotationError, match="twice"):
        Annotations([annotations[0], annotations[0]], image)
    with pytest.raises(AnnotationError, match=r"size \(4, 4\), but 'street\.jpg' is \(12, 20\)"):
        Annotations([eye()], image)
    with pytest.raises(AnnotationError, match="hold a dict"):
        Annotations([{}], image)


def test_dataframe(annotations, image):
    frame = Annotations(annotations, image).to_dataframe()
    assert frame["label"].tolist() == ["car", "person", "<b>tree</b>"]
    assert frame["area"].tolist() == [item.area for item in annotations]
    np.testing.assert_array_equal(
        frame[["x0", "y0", "x1", "y1"]], [item.box for item in annotations]
    )
    assert frame["clicks"].tolist() == [2, 1, 0]
    assert frame["boxes"].tolist() == [1, 0, 0]
    assert frame["predicted_iou"].iloc[0] == 0.9
    assert frame["stability_score"].isna().tolist() == [False, True, True]
    assert frame["visible"].tolist() == [False, True, True]
    assert frame["image"].unique().tolist() == ["street.jpg"]
    assert frame["created"].iloc[0] == pd.Timestamp(annotations[0].created)
    assert frame["origin"].tolist() == ["assisted", "automatic", "assisted"]


def test_an_empty_dataframe_has_the_same_types(annotations, image):
    full = Annotations(annotations, image).to_dataframe()
    empty = Annotations([], image).to_dataframe()
    assert empty.empty
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)


def test_a_time_may_be_unknown(image):
    mask = np.ones((12, 20), bool)
    items = [Annotation.from_mask(mask, label="a", created=time) for time in ("", "2026-01-31")]
    created = Annotations(items, image).to_dataframe()["created"]
    assert created.isna().tolist() == [True, False]


def test_html_shows_text_as_text(annotations, labels):
    image = ImageInfo("<img src=x onerror=alert(1)>", 20, 12)
    shown = Annotations(annotations, image, labels)._repr_html_()
    assert "<b>" not in shown
    assert "<img" not in shown
    assert "&lt;b&gt;tree&lt;/b&gt;" in shown
    assert "0.900" in shown
    assert "#ff0000" in shown
    many = [replace(annotations[0], id=str(i)) for i in range(25)]
    assert "… and 5 more" in Annotations(many, image)._repr_html_()
