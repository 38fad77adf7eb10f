"""supervision's Detections, both ways."""

from __future__ import annotations

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.supervision import (
    DetectionWarning,
    from_detections,
    to_detections,
)
from segwidget.errors import FormatError

sv = pytest.importorskip("supervision")
IMAGE = ImageInfo("../../street.png", 12, 8)


def test_masks_labels_and_attributes_come_back() -> None:
    ring = np.zeros((8, 12), bool)
    ring[1:7, 2:9] = True
    ring[3:5, 4:6] = False
    dot = np.zeros((8, 12), bool)
    dot[0, 11] = True
    record = Annotations(
        [
            Annotation.from_mask(ring, label="car", predicted_iou=0.5, attributes={"make": "Ape"}),
            Annotation.from_mask(dot, label="person", predicted_iou=0.25),
        ],
        IMAGE,
        {"person": "#ff0000", "car": "#00ff00"},
    )
    detections = to_detections(record)
    assert detections.xyxy.tolist() == [[2, 1, 9, 7], [11, 0, 12, 1]]
    assert detections.class_id.tolist() == [1, 0]
    back = from_detections(detections, IMAGE, record.labels)
    assert [one.rle for one in back] == [one.rle for one in record]
    for name in ("id", "label", "predicted_iou", "attributes", "origin"):
        assert [getattr(one, name) for one in back] == [getattr(one, name) for one in record]
    assert back.labels == record.labels


def test_boxes_of_a_detector_become_masks_within_the_image() -> None:
    boxes = np.array([[-3, 1, 2.4, 3], [50, 50, 60, 60]], np.float32)
    found = sv.Detections(xyxy=boxes, class_id=np.array([1, 0]))
    problems: list[str] = []
    (one,) = from_detections(found, IMAGE, ["cat", "dog"], problems=problems)
    assert (one.label, one.box, one.origin) == ("dog", (0, 1, 2, 3), "imported")
    assert one.as_box is not None
    assert one.as_box.x1 == pytest.approx(2.4)
    assert len(problems) == 1
    assert "Detection 1 of '../../street.png'" in problems[0]


def test_bad_detections_are_told_one_by_one_and_the_rest_is_taken() -> None:
    boxes = np.array([[1.0, 1, 3, 3], [1, 1, 3, 3], [5, 5, 4, 6], [2, 2, 6, 6], [0, 0, 2, 2]])
    found = sv.Detections(
        xyxy=boxes,
        class_id=np.array([0, 0, 0, 7, 0]),
        confidence=np.array([0.5, 0.5, 0.5, 0.5, 0.5]),
        data={"annotation_id": np.array(["a", "b", "c", "d", "e"])},
    )
    found.xyxy[1, 0] = np.nan  # refused when they are made, but not later
    found.confidence[4] = np.nan
    problems: list[str] = []
    assert [one.id for one in from_detections(found, IMAGE, ["cat"], problems=problems)] == ["a"]
    assert [text.split(" of ")[0] for text in problems] == [f"Detection {i}" for i in (1, 2, 3, 4)]
    assert "expected 0 to 0" in problems[2]
    found.data["annotation_id"] = np.array(["a", "b", "c", "d", "a"])
    found.confidence = None
    with pytest.warns(DetectionWarning) as warned:
        from_detections(found, IMAGE, ["cat"])
    assert len(warned) == 4
    assert "twice" in str(warned[-1].message)


def test_nothing_is_nothing_and_a_wrong_size_is_refused() -> None:
    assert len(to_detections(Annotations([], IMAGE))) == 0
    assert len(from_detections(sv.Detections.empty(), IMAGE)) == 0
    mask = np.ones((1, 5, 5), bool)
    with pytest.raises(FormatError, match="size of"):
        from_detections(sv.Detections(xyxy=np.ones((1, 4)), mask=mask), IMAGE)
