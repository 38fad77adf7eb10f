"""LabelMe's files, both ways."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.labelme import read_labelme, write_labelme
from segwidget.errors import FormatError


def test_holes_islands_and_flags_come_back(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:12, 3:15] = mask[15:18, 20:25] = True
    mask[5:8, 6:9] = False
    one = Annotation.from_mask(mask, label="car", attributes={"parked": True})
    record = Annotations([one], ImageInfo("../../a.png", 30, 20))
    back, problems = read_labelme(write_labelme(record, tmp_path / "a.json"))
    assert problems == []
    assert back.image.name == "../../a.png"
    assert [(b.rle, b.label, b.attributes) for b in back] == [(one.rle, "car", {"parked": True})]


def test_shapes_of_others_are_read_and_wrong_ones_named(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.fromarray(np.full((2, 3), 255, np.uint8)).save(png, "PNG")
    text = base64.b64encode(png.getvalue()).decode()
    shapes = [
        {"label": "box", "points": [[1, 1], [4, 3]], "shape_type": "rectangle"},
        {"label": "disc", "points": [[10, 10], [10, 15]], "shape_type": "circle", "flags": {}},
        {"label": "patch", "points": [[5, 6], [7, 7]], "shape_type": "mask", "mask": text},
        {"label": "out", "points": [[-5, -5], [5, -5], [5, 5], [-5, 5]]},
        {"label": "line", "points": [[1, 1], [4, 3]], "shape_type": "line"},
        {"label": "bad", "points": [[1, 1], [4, 3]], "shape_type": "mask", "mask": "?"},
        7,
    ]
    data = {"shapes": shapes, "imagePath": "b.png", "imageWidth": 30, "imageHeight": 20}
    path = tmp_path / "b.json"
    path.write_text(json.dumps(data))
    found, problems = read_labelme(path)
    assert [one.label for one in found] == ["box", "disc", "patch", "out"]
    assert [found[0].box, found[2].box] == [(1, 1, 4, 3), (5, 6, 8, 8)]
    assert found[1].area == pytest.approx(np.pi * 25, rel=0.05)
    assert [p.split(" ")[1] for p in problems] == [f"shapes[{i}]" for i in (3, 4, 5, 6)]


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text("[]")
    with pytest.raises(FormatError, match="shapes"):
        read_labelme(path)


def test_masks_attributes_and_colors_come_back(tmp_path: Path) -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:12, 3:15] = mask[15:18, 20:25] = True
    mask[5:8, 6:9] = False
    said = {"parked": True, "make": "<b>", "seats": 2.0, "tags": ("x", "y")}
    items = [Annotation.from_mask(mask, label="car", attributes=said)]
    record = Annotations(items, ImageInfo("a.png", 30, 20), {"tree": "#00ff00", "car": "#123456"})
    path = write_labelme(record, tmp_path / "a.json", masks=True)
    (shape,) = json.loads(path.read_text())["shapes"]
    assert (shape["shape_type"], shape["points"]) == ("mask", [[3, 2], [24, 17]])
    assert shape["flags"] == {"parked": True}
    for masks in (True, False):
        back, problems = read_labelme(write_labelme(record, path, masks=masks))
        assert problems == []
        assert [(b.rle, b.attributes) for b in back] == [(items[0].rle, items[0].attributes)]
        assert back.labels == record.labels


def test_a_rectangle_is_a_box_and_wrong_extras_are_named(tmp_path: Path) -> None:
    shapes = [
        {"label": "a", "points": [[9.5, 8], [2, 1]], "shape_type": "rectangle"},
        {"label": "a", "points": [[1, 1], [4, 3]], "shape_type": "rectangle",
         "attributes": {"deep": {"er": 1}}},
    ]  # fmt: skip
    data = {"shapes": shapes, "imagePath": "b.png", "imageWidth": 30, "imageHeight": 20,
            "label_colors": {"a": [1, 2]}}  # fmt: skip
    path = tmp_path / "b.json"
    path.write_text(json.dumps(data))
    (one,), problems = read_labelme(path)
    assert one.as_box is not None
    assert (one.as_box.x0, one.as_box.x1) == (2, 9.5)
    assert [problem.split(" ")[1] for problem in problems] == ["shapes[1]", "label_colors"]
    again, _ = read_labelme(write_labelme(Annotations([one], ImageInfo("b.png", 30, 20)), path))
    assert again[0].as_box == one.as_box
