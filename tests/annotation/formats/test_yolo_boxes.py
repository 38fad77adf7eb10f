"""YOLO's boxes, both ways."""

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry, yolo
from segwidget.annotation.formats.round_trip import read_back
from segwidget.annotation.session import Session
from segwidget.inference.prompts import Box

WIDTH, HEIGHT = 641, 479


def sizes(_name):
    return HEIGHT, WIDTH


@pytest.fixture
def record():
    rng = np.random.default_rng(4)
    items = []
    for _ in range(40):
        x, y = rng.integers(0, 400, 2)
        w, h = rng.integers(1, 79, 2)
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y : y + h, x : x + w] = True
        items.append(Annotation.from_mask(mask, label="car"))
    return Annotations(items, ImageInfo("a.png", WIDTH, HEIGHT))


def test_boxes_come_back_to_the_pixel(record, tmp_path):
    path = registry.export([record], tmp_path / "set", "yolo-boxes")
    assert registry.guess_format(path).name == "yolo-boxes"
    (back,) = registry.read(path, sizes=sizes).records
    assert [one.box for one in back] == [one.box for one in record]
    done = read_back([record], path, registry.get_format("yolo-boxes"))
    assert (done.count, done.lost, done.mean) == (40, 0, 1.0)


def test_a_box_is_a_box_until_it_has_a_mask(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("names: [car]\n")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.25 0.125 0.75\n")
    (back,) = registry.read(tmp_path, "yolo-boxes", lambda _: (80, 100)).records
    (one,) = back
    box = Box(37.5, 35, 62.5, 45)
    assert one.as_box == box
    assert (one.prompts, one.predicted_iou, one.origin) == ((box,), 0.75, "imported")
    assert Annotation.from_dict(one.to_dict()) == one
    session = Session(labels=["car"], annotations=[one])
    session.start_from(one.id)
    assert session.draft.prompts == (box,)
    assert session.draft.replaces == one.id
    assert one.with_mask(session.annotations[0].rle, "x") is one
    mask = np.zeros((80, 100), bool)
    mask[40, 50] = True
    other = Annotation.from_mask(mask, label="car")
    assert one.with_mask(other.rle, "paint").as_box is None


def test_wrong_rows_are_told_and_the_rest_is_read(tmp_path, monkeypatch):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("names: [car]\n")
    (tmp_path / "labels" / "a.txt").write_text(
        "0 0.5 0.5 0.2 0.2\n0 0.95 0.5 0.2 0.2\n1 0.5 0.5 0.2 0.2\n0 0.5 0.5 -0.2 0.2\n"
        "0 nan 0.5 0.2 0.2\n0 1.4 0.5 0.1 0.2\n0 .1 .1 .2 .1 .2 .2\n0 1 2\nx\n"
    )
    (tmp_path / "labels" / "b.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "labels" / "who.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    known = {"a": (80, 100), "b": (80, 100)}
    read = registry.read(tmp_path, "yolo-boxes", known.__getitem__)
    assert [len(one) for one in read.records] == [2]
    starts = [f"'a.txt', line {line}" for line in range(2, 10)] + ["'b.txt'", "'who.txt'"]
    assert [problem.startswith(at) for problem, at in zip(read.problems, starts, strict=True)] == (
        [True] * 10
    )
    assert "cut off" in read.problems[0]
    assert "yolo-seg" in read.problems[5]
    monkeypatch.setattr(yolo, "MAX_BYTES", 60)
    assert "at most 60" in registry.read(tmp_path, "yolo-boxes", known.__getitem__).problems[0]
