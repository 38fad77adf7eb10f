"""Files in the manner of Cityscapes: 16-bit numbers of classes and objects."""

import json

import numpy as np
import pytest
from PIL import Image

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.errors import FormatError, ImageError

IDS, CLASSES = "_gtFine_instanceIds.png", "_gtFine_labelIds.png"


def box(x0, y0, x1, y1):
    mask = np.zeros((20, 30), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def record(name, *pairs, labels=None, **fields):
    items = [Annotation.from_mask(mask, label=label, **fields) for mask, label in pairs]
    return Annotations(items, ImageInfo(name, 30, 20, "ab" * 32), labels)


def foreign(folder, name, pixels, classes=False):
    folder.mkdir(exist_ok=True, parents=True)
    kind = np.uint8 if classes else np.uint16
    path = folder / (name + (CLASSES if classes else IDS))
    Image.fromarray(np.asarray(pixels, kind)).save(path)
    return path


def numbers(*boxes):
    pixels = np.zeros((20, 30), np.uint16)
    for value, corners in boxes:
        pixels[box(*corners)] = value
    return pixels


def test_numbers_are_those_of_cityscapes(tmp_path):
    pairs = (
        (box(0, 0, 9, 9), "car"),
        (box(10, 0, 19, 9), "car"),
        (box(0, 10, 9, 19), "drone"),
        (box(10, 10, 19, 19), "road"),
    )
    path = registry.export(
        [record("ulm/u_0_1_leftImg8bit.png", *pairs)], tmp_path / "s", "cityscapes"
    )
    ids = np.asarray(Image.open(path / "ulm" / f"u_0_1{IDS}"))
    classes = np.asarray(Image.open(path / "ulm" / f"u_0_1{CLASSES}"))
    assert ids.dtype == np.uint16
    assert set(np.unique(ids)) == {0, 26000, 26001, 34000, 7000}
    assert classes.dtype == np.uint8
    assert np.array_equal(classes, ids // 1000)
    assert registry.guess_format(path).name == "cityscapes"
    read = registry.read(path)
    assert read.problems == []
    (one,) = read.records
    assert one.image == ImageInfo("ulm/u_0_1_leftImg8bit.png", 30, 20, "ab" * 32)
    found = {(item.label, item.rle.counts) for item in one}
    assert found == {(i.label, i.rle.counts) for i in record("x", *pairs)}
    assert {item.origin for item in one} == {"imported"}


def test_a_group_is_its_class_alone(tmp_path):
    crowd = record("a.png", (box(0, 0, 9, 9), "person"), attributes={"iscrowd": True})
    path = registry.export([crowd], tmp_path / "s", "cityscapes")
    assert set(np.unique(np.asarray(Image.open(path / f"a{IDS}")))) == {0, 24}
    (path / "labels.json").unlink()
    (item,) = registry.read(path).records[0]
    assert item.label == "person"
    assert item.attributes == {"iscrowd": True}


def test_foreign_files_have_cityscapes_own_classes(tmp_path):
    pixels = numbers((26003, (0, 0, 9, 9)), (23, (10, 0, 20, 9)), (3, (0, 10, 9, 19)))
    foreign(tmp_path / "s" / "val", "u_0_1", pixels)
    foreign(tmp_path / "s" / "val", "u_0_2", numbers((26, (0, 0, 5, 5))), classes=True)

    def sizes(name):
        if name.endswith("_leftImg8bit"):
            return 20, 30
        raise ImageError("no")

    read = registry.read(tmp_path / "s", sizes=sizes)
    assert read.problems == []
    assert [one.image.name for one in read.records] == [
        "val/u_0_1_leftImg8bit",
        "val/u_0_2_leftImg8bit",
    ]
    assert [item.label for item in read.records[0]] == ["sky", "car"]
    assert read.records[0][0].attributes == {}
    assert [(item.label, item.area) for item in read.records[1]] == [("car", 25)]


def test_wrong_files_are_told_and_the_rest_is_read(tmp_path):
    folder = tmp_path / "s"
    good = numbers((26000, (0, 0, 9, 9)))
    foreign(folder, "a", good)
    cut = foreign(folder, "b", good)
    cut.write_bytes(cut.read_bytes()[:50])
    Image.new("L", (30, 20)).save(folder / f"c{IDS}")
    Image.new("RGB", (30, 20)).save(folder / f"d{CLASSES}")
    (folder / f"e{IDS}").write_bytes(b"no")
    foreign(folder, "f", numbers((65000, (0, 0, 2, 3)), (26000, (5, 5, 9, 9))))
    foreign(folder, "g", np.zeros((5, 5)))
    read = registry.read(folder, sizes=lambda _: (20, 30))
    assert [len(one) for one in read.records] == [1, 1]
    texts = {
        f"b{IDS}": "damaged",
        f"c{IDS}": "gray PNG of 8 bits",
        f"d{CLASSES}": "RGB PNG",
        f"e{IDS}": "is no PNG",
        f"f{IDS}": "6 pixels have the value 65000, and there is no class 65",
        f"g{IDS}": "5 × 5 pixels, but its image is 30 × 20",
    }
    assert len(read.problems) == len(texts)
    for problem in read.problems:
        assert texts[problem.split("'")[1]] in problem


def test_wrong_names_are_told_and_the_rest_is_read(tmp_path):
    path = registry.export(
        [record("a.png", (box(0, 0, 9, 9), "car"), (box(10, 0, 19, 9), "dog"))],
        tmp_path / "s",
        "cityscapes",
    )
    data = json.loads((path / "labels.json").read_text())
    data["labels"] += [data["labels"][0], {"name": "x"}, 5]
    data["images"]["../../b.png"] = {"name": "b.png"}
    (path / "labels.json").write_text(json.dumps(data))
    read = registry.read(path)
    assert [len(one) for one in read.records] == [2]
    assert [problem.split(": ")[1].split(" ")[0] for problem in read.problems] == [
        "labels[2]", "labels[3]", "labels[4]", "there",
    ]  # fmt: skip
    assert "'../../b.png'" in read.problems[3]
    (path / "labels.json").write_text("[]")
    assert "no class 26" in registry.read(path).problems[0]
    (path / "labels.json").write_text("7")
    with pytest.raises(FormatError, match="no list of 'labels'"):
        registry.read(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no file that ends"):
        registry.read(tmp_path / "empty", "cityscapes")


def test_what_the_numbers_cannot_hold_is_refused(tmp_path):
    many = [f"label {number}" for number in range(66)]
    with pytest.raises(FormatError, match="at most 65 labels"):
        registry.export([record("a.png", labels=many)], tmp_path / "s", "cityscapes")
    dots = []
    for place in range(1001):
        mask = np.zeros((40, 40), bool)
        mask[divmod(place, 40)] = True
        dots.append(Annotation.from_mask(mask, label="car"))
    whole = Annotations(dots, ImageInfo("a.png", 40, 40))
    with pytest.raises(FormatError, match="more than 1,000 masks of 'car'"):
        registry.export([whole], tmp_path / "s", "cityscapes")
    path = registry.export([whole], tmp_path / "p", "coco-panoptic")
    assert len(registry.read(path).records[0]) == 1001
