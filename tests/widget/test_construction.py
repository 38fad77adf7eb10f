"""Making a Segmenter: at once, from anything sensible, and refused with a sentence otherwise."""

import io
import threading

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import Label
from segwidget.errors import (
    AnnotationError,
    CheckpointError,
    ImageError,
    LabelError,
    ModelError,
    SegwidgetError,
)
from segwidget.inference.prompts import Point
from segwidget.widget import segmenter
from segwidget.widget.segmenter import Segmenter

from .conftest import HEIGHT, PATIENCE, WIDTH, Page, live_widgets


def square(label="car", size=(HEIGHT, WIDTH), **fields):
    mask = np.zeros(size, bool)
    mask[1:5, 2:6] = True
    return Annotation.from_mask(mask, label=label, **fields)


def test_what_is_shown_from_the_beginning(make, picture, loads):
    loads.gate = threading.Event()
    seg = make(picture)
    page = Page(seg)
    loads.gate.set()
    assert (page["image"]["width"], page["image"]["height"]) == (WIDTH, HEIGHT)
    assert page["image"]["mime"] == "image/png"
    assert [label["name"] for label in page["labels"]] == ["car", "person"]
    assert page["label"] == "car"
    assert page["prompts"] == page["annotations"] == []
    assert page["candidates"] is page["notice"] is None
    assert page["history"] == {"undo": None, "redo": None}
    assert page["height"] == 540
    assert page["_esm"]


def test_all_arguments(make, picture):
    kept = square("tree")
    seg = make(picture, {"car": "#f00"}, "embedded", device="cpu", annotations=[kept], height=300)
    page = Page(seg)
    assert seg.annotations.items == (kept,)
    assert seg.labels.names == ("car", "tree")
    assert page["labels"][0] == {"name": "car", "color": "#ff0000"}
    assert page["annotations"][0]["id"] == kept.id
    assert page["height"] == seg.height == 300
    assert seg.masks.shape == (1, HEIGHT, WIDTH)
    assert seg.history == {"undo": None, "redo": None}


def test_images_of_all_kinds(make, picture, tmp_path):
    path = tmp_path / "a b.png"
    PILImage.fromarray(picture).save(path)
    buffer = io.BytesIO()
    PILImage.fromarray(picture).save(buffer, "PNG")
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    for image in (path, str(path), buffer.getvalue(), PILImage.fromarray(picture), tensor):
        assert (make(image).image.pixels == picture).all()
    assert make(path).image.name == Page(make(path))["image"]["name"] == "a b.png"
    assert make(picture[..., 0]).image.pixels.shape == picture.shape


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (None, ("object",)),
        ([], ("object",)),
        ("car", ("car",)),
        ({"car": "#f00", "person": None}, ("car", "person")),
        ([Label("car", "red"), "person"], ("car", "person")),
    ],
)
def test_labels_of_all_kinds(make, labels, names):
    assert make(labels=labels).labels.names == names


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"image": "no/such/file.png"}, ImageError),
        ({"image": b"not an image"}, ImageError),
        ({"image": "https://example.org/a.png"}, ImageError),
        ({"image": np.zeros((0, 5, 3), np.uint8)}, ImageError),
        ({"image": 5}, ImageError),
        ({"model": "vit_x"}, ModelError),
        ({"labels": ["car", "car"]}, LabelError),
        ({"labels": [""]}, LabelError),
        ({"labels": 5}, LabelError),
        ({"labels": {"car": "not a color"}}, LabelError),
        ({"annotations": [square(size=(HEIGHT, WIDTH + 1))]}, AnnotationError),
        ({"annotations": [5]}, AnnotationError),
        ({"annotations": 5}, AnnotationError),
        ({"annotations": "ab"}, AnnotationError),
        ({"annotations": [square(id="x"), square(id="x")]}, AnnotationError),
        ({"height": 5}, traitlets.TraitError),
        ({"height": "tall"}, traitlets.TraitError),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else value.__name__,
)
def test_what_cannot_be_used_is_refused_and_leaves_nothing_behind(comms, picture, wrong, error):
    threads = threading.active_count()
    with pytest.raises(error) as caught:
        Segmenter(**{"image": picture, **wrong})
    assert len(str(caught.value)) > 20
    assert threading.active_count() == threads
    assert live_widgets() == []


def test_an_unknown_keyword_is_refused(comms, picture):
    with pytest.raises(TypeError, match="lables"):
        Segmenter(picture, lables=["car"])


def test_the_constructor_does_not_wait_for_the_model(make, loads):
    loads.gate = threading.Event()
    seg = make()
    page = Page(seg)
    assert page["status"]["state"] == "loading"
    assert page["status"]["model"] == "embedded"
    assert page["status"]["message"]
    assert not seg.wait(0.01)
    loads.gate.set()
    assert seg.wait(PATIENCE)
    assert page["status"] == {
        "state": "ready", "model": "embedded", "device": "cpu", "message": "", "progress": None,
    }  # fmt: skip
    assert loads == ["embedded"]


def test_what_is_asked_before_the_model_is_there_is_answered_then(make, loads):
    loads.gate = threading.Event()
    seg = make()
    page = Page(seg)
    page.click(40, 30, "p-1")
    page.click(10, 10, "p-2")
    assert page.waiting
    loads.gate.set()
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == "p-2"
    assert page["status"]["state"] == "ready"
    assert len(loads) == 1


def test_python_may_ask_before_the_model_is_there(make, loads):
    seg = make()
    seg.prompts = [Point(40, 30)]
    assert len(seg.candidates) == 4
    assert seg.wait(PATIENCE)
    assert seg.status["state"] == "ready"
    assert len(loads) == 1


@pytest.fixture
def failing(make, loads):
    loads.error = CheckpointError("The file is damaged. Download it again.")
    seg = make()
    assert seg.wait(PATIENCE)
    return seg


def test_a_failing_checkpoint_is_said_and_the_session_lives(failing, loads):
    page = Page(failing)
    assert page["status"]["state"] == "failed"
    assert page["notice"]["code"] == "CheckpointError"
    assert page["notice"]["message"] == "The file is damaged. Download it again."
    page.do("add_label", name="tree")
    failing.annotations = [square("tree")]
    page.do("undo")
    page.do("redo")
    assert len(failing.masks) == 1
    loads.error = None  # somebody has mended the file
    page.click(40, 30, "p-1")
    assert failing.wait(PATIENCE)
    assert page["candidates"]["request"] == "p-1"
    assert page["status"]["state"] == "ready"


def test_a_click_on_a_failing_model_is_answered_with_a_notice(failing):
    page = Page(failing)
    page.click(40, 30, "p-1")
    assert failing.wait(PATIENCE)
    assert page["notice"]["request"] == "p-1"
    assert not page.waiting


def test_python_gets_the_failure_as_an_exception_and_keeps_its_session(failing):
    page = Page(failing)
    with pytest.raises(CheckpointError, match="damaged"):
        failing.prompts = [Point(40, 30)]
    assert failing.prompts == ()
    assert page["prompts"] == []
    assert failing.history["undo"] is None


def test_a_click_that_takes_the_place_of_loading_still_says_that_it_failed(make, loads):
    loads.error, loads.gate = CheckpointError("Damaged."), threading.Event()
    seg = make()
    seg._answerer._worker.drop()  # as the click's job does when it comes before the thread runs
    page = Page(seg)
    page.click(40, 30, "p-1")
    loads.gate.set()
    assert seg.wait(PATIENCE)
    assert page["status"]["state"] == "failed"


@pytest.mark.parametrize("name", ["missing.safetensors", "text.pth"])
def test_a_checkpoint_that_is_none_fails_with_a_sentence(comms, picture, tmp_path, name):
    path = tmp_path / name
    if name == "text.pth":
        path.write_text("not a checkpoint")
    seg = Segmenter(picture, model=path)
    try:
        assert seg.wait(PATIENCE)
        assert seg.status["state"] == "failed"
        assert seg.status["model"] == name
        assert issubclass(getattr(segmenter, seg.notice["code"], CheckpointError), SegwidgetError)
        assert "unexpected" not in seg.notice["message"]
    finally:
        seg.close()


def test_a_device_that_is_not_there_fails_with_a_sentence(comms, picture):
    seg = Segmenter(picture, device="nonsense:7")
    try:
        assert seg.wait(PATIENCE)
        assert seg.notice["code"] == "ModelError"
        assert "nonsense:7" in seg.notice["message"]
    finally:
        seg.close()


def test_the_docstrings_example_works(make, tmp_path):
    seg = make()
    seg.prompts = [Point(40, 30)]
    seg.keep()
    assert len(seg.annotations.to_dataframe()) == 1
    assert seg.annotations.save(tmp_path / "street.coco.json").exists()


def test_a_missing_front_end_says_what_to_do(comms, picture, monkeypatch, tmp_path):
    monkeypatch.setattr(segmenter, "STATIC", tmp_path)
    with pytest.raises(FileNotFoundError, match="make setup"):
        Segmenter(picture)


def test_another_precision(picture):
    seg = Segmenter(picture, precision="bfloat16", device="cpu")
    assert seg.wait(60)
    assert seg.status["state"] == "ready"
    seg.prompts = [Point(40, 30)]
    assert len(seg.candidates) == 4
    seg.close()
    with pytest.raises(ModelError, match=r"'float7'.*bfloat16"):
        Segmenter(picture, precision="float7")
