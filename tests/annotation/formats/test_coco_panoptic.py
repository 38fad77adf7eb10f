"""COCO's panoptic format: a PNG whose colors are numbers, and JSON that explains them."""

import json

import numpy as np
import pytest
from PIL import Image

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.annotation.formats.raster import OverlapWarning
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError
from segwidget.inference.prompts import Point

LABELS = LabelSet.of({"car": "#ff0000", "wheel": "#0000ff"})


def box(x0, y0, x1, y1):
    mask = np.zeros((20, 30), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def keep(mask, label="car", **fields):
    return Annotation.from_mask(mask, label=label, **fields)


def record(name, *items):
    return Annotations(items, ImageInfo(name, 30, 20, "ab" * 32), LABELS)


@pytest.fixture
def folder(tmp_path):
    a = record("a.jpg", keep(box(0, 0, 9, 9)), keep(box(10, 0, 20, 9)), keep(box(0, 10, 5, 20)))
    b = record("b.jpg", keep(box(2, 2, 20, 20), "wheel"))
    return registry.export([a, b], tmp_path / "set", "coco-panoptic")


def changed(folder, change):
    """What is read after a change of the JSON."""
    path = folder / "panoptic.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return registry.read(folder)


def test_everything_comes_back_and_colors_are_those_of_labels(tmp_path):
    first = keep(box(0, 0, 9, 9), prompts=(Point(3.5, 4.5),), predicted_iou=0.9, seconds=2.0)
    records = [record("n/a.jpg", first, keep(box(10, 0, 20, 9), "wheel", attributes={"x": 1.0}))]
    path = registry.export(records, tmp_path / "set", "coco-panoptic")
    read = registry.read(path)
    assert read.problems == []
    assert read.records[0].items == records[0].items
    assert read.records[0].image == records[0].image
    assert read.records[0].labels.color_of("wheel") == "#0000ff"
    pixels = np.asarray(Image.open(path / "panoptic" / "n" / "a.png"))
    assert pixels[4, 4].tolist() == [255, 0, 0]
    assert pixels[19, 29].tolist() == [0, 0, 0]


def test_the_files_say_what_the_format_says(folder):
    data = json.loads((folder / "panoptic.json").read_text())
    assert {row["isthing"] for row in data["categories"]} == {1}
    for image, row in zip(data["images"], data["annotations"], strict=True):
        assert row["image_id"] == image["id"]
        picture = Image.open(folder / "panoptic" / row["file_name"])
        assert (picture.mode, picture.size) == ("RGB", (image["width"], image["height"]))
        pixels = np.asarray(picture).astype(np.int64)
        codes = pixels[..., 0] + 256 * pixels[..., 1] + 256**2 * pixels[..., 2]
        assert {one["id"] for one in row["segments_info"]} == set(np.unique(codes)) - {0}
        for one in row["segments_info"]:
            ys, xs = np.nonzero(codes == one["id"])
            assert one["area"] == len(ys)
            assert one["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]


def test_smaller_masks_are_above_and_it_is_told(tmp_path):
    wheel, car = keep(box(2, 2, 6, 6), "wheel"), keep(box(0, 0, 20, 10))
    twins = keep(box(20, 12, 24, 16)), keep(box(20, 12, 24, 16))
    with pytest.warns(OverlapWarning, match=r"1 masks lost a part and 1 all .*\(32 pixels of 1"):
        path = registry.export(
            [record("a.jpg", wheel, car, *twins)], tmp_path / "set", "coco-panoptic"
        )
    items = registry.read(path).records[0].items
    assert [item.id for item in items] == [wheel.id, car.id, twins[1].id]
    assert items[0].rle == wheel.rle
    assert items[1].area == 200 - 16
    assert items[1].edits == ("protect",)


def test_crowds_are_marked(tmp_path):
    crowd = keep(box(0, 0, 9, 9), attributes={"iscrowd": True})
    path = registry.export([record("a.jpg", crowd)], tmp_path / "set", "coco-panoptic")
    data = json.loads((path / "panoptic.json").read_text())
    assert data["annotations"][0]["segments_info"][0]["iscrowd"] == 1

    def foreign(data):
        del data["annotations"][0]["segments_info"][0]["segwidget"]

    (item,) = changed(path, foreign).records[0]
    assert item.attributes == {"iscrowd": True}
    assert item.origin == "imported"


def test_a_foreign_layout_and_one_file_are_read(folder):
    (folder / "annotations").mkdir()
    moved = (folder / "panoptic.json").rename(folder / "annotations" / "panoptic_val.json")
    (folder / "panoptic").rename(folder / "annotations" / "panoptic_val")
    assert registry.guess_format(folder).name == "coco-panoptic"
    for path in (folder, moved):
        read = registry.read(path, "coco-panoptic")
        assert read.problems == []
        assert [len(one) for one in read.records] == [3, 1]


def put(folder, name, data):
    (folder / "panoptic" / name).write_bytes(data)


def save(folder, picture):
    picture.save(folder / "panoptic" / "b.png")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "panoptic" / "b.png").unlink(), "no file 'b.png'"),
        (lambda f: put(f, "b.png", (f / "panoptic" / "b.png").read_bytes()[:50]), "damaged"),
        (lambda f: put(f, "b.png", b"GIF89a"), "is no PNG"),
        (lambda f: save(f, Image.new("RGB", (20, 30))), "20 × 30 pixels, but its image is 30 × 20"),
        (lambda f: save(f, Image.new("I;16", (30, 20))), "gray PNG of 16 bits"),
        (lambda f: save(f, Image.new("P", (30, 20))), "palette PNG of"),
    ],
)
def test_a_wrong_png_is_told_and_the_rest_is_read(folder, spoil, says):
    spoil(folder)
    read = registry.read(folder)
    assert [len(one) for one in read.records] == [3, 0]
    assert len(read.problems) == 1
    assert read.problems[0].startswith("'panoptic.json': annotations[1]")
    assert says in read.problems[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s[1].update(id=7), ["no pixel of 'a.png' has the id 7", "not in segments_info"]),
        (lambda s: s[1].update(id=s[0]["id"]), ["is there twice", "not in segments_info"]),
        (lambda s: s.pop(), ["50 pixels of 'a.png' have the id"]),
        (lambda s: s[1].update(category_id=9), ["category_id is 9"]),
        (lambda s: s[1]["segwidget"].update(id=s[0]["segwidget"]["id"]), ["its id"]),
    ],
)
def test_segments_that_do_not_fit_are_told(folder, change, says):
    read = changed(folder, lambda data: change(data["annotations"][0]["segments_info"]))
    assert [len(one) for one in read.records] == [2, 1]
    assert len(read.problems) == len(says)
    for text, problem in zip(says, read.problems, strict=True):
        assert "annotations[0]" in problem
        assert text in problem


@pytest.mark.parametrize("name", ["../../etc/b.png", "/etc/b.png", "C:\\b.png", "..\\b.png", 5])
def test_names_of_files_do_not_lead_out(folder, name):
    read = changed(folder, lambda data: data["annotations"][1].update(file_name=name))
    assert [len(one) for one in read.records] == [3, 0]
    assert len(read.problems) == 1
    assert "file_name" in read.problems[0]


def test_images_twice_and_unknown_ones(folder):
    def change(data):
        data["images"].append(data["images"][0])
        data["annotations"].append(data["annotations"][0])
        data["annotations"].append({**data["annotations"][0], "image_id": 99})

    read = changed(folder, change)
    assert [len(one) for one in read.records] == [3, 1]
    places = ("images[2]", "annotations[2]", "annotations[3]")
    for place, problem in zip(places, read.problems, strict=True):
        assert place in problem


def test_what_is_not_of_the_format(folder, monkeypatch):
    monkeypatch.setattr("segwidget.annotation.formats.coco.MAX_BYTES", 100)
    with pytest.raises(FormatError, match="at most 100"):
        registry.read(folder)
    (folder / "panoptic.json").unlink()
    with pytest.raises(FormatError, match="no JSON file"):
        registry.read(folder, "coco-panoptic")
