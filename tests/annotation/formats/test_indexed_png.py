"""Palette PNGs: one number an object."""

import json

import numpy as np
import pytest
from PIL import Image

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.annotation.formats.raster import OverlapWarning, tints
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.project import BaseProject
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
    a = record("a.jpg", keep(box(0, 0, 9, 9)), keep(box(10, 0, 20, 9)))
    b = record("n/b.jpg", keep(box(2, 2, 20, 20), "wheel"))
    return registry.export([a, b], tmp_path / "set", "indexed-png")


def test_numbers_colors_and_all_the_rest(tmp_path):
    items = [
        keep(box(0, 0, 9, 9), "wheel", prompts=(Point(3.5, 4.5),), predicted_iou=0.9),
        keep(box(10, 0, 20, 9), attributes={"x": 1.0}, seconds=2.0),
        keep(box(20, 0, 29, 9)),
    ]
    path = registry.export([record("n/a.jpg", *items)], tmp_path / "set", "indexed-png")
    picture = Image.open(path / "n" / "a.png")
    assert picture.mode == "P"
    assert np.unique(np.asarray(picture)).tolist() == [0, 1, 2, 3]
    colors = np.asarray(picture.convert("RGB"))
    assert colors[4, 4].tolist() == [0, 0, 255]
    assert colors[4, 14].tolist() == [255, 0, 0]
    assert colors[19, 19].tolist() == [0, 0, 0]
    assert colors[4, 24].tolist() not in ([255, 0, 0], [0, 0, 0])
    assert registry.guess_format(path).name == "indexed-png"
    read = registry.read(path)
    assert read.problems == []
    assert list(read.records[0].items) == items
    assert read.records[0].labels == LABELS
    assert read.records[0].image.name == "n/a.jpg"


def test_each_object_has_a_color_of_its_own():
    made = tints(["#000000", "#ffffff", "#e5484d"] * 3000)
    assert len(set(made)) == 9000
    assert (0, 0, 0) not in made
    assert made[1:3] == [(255, 255, 255), (229, 72, 77)]


def test_overlaps_are_told(tmp_path):
    overlapping = record("a.jpg", keep(box(2, 2, 6, 6)), keep(box(0, 0, 20, 10)))
    with pytest.warns(OverlapWarning, match="1 masks lost a part and 0 all"):
        path = registry.export([overlapping], tmp_path / "set", "indexed-png")
    assert [item.area for item in registry.read(path).records[0]] == [16, 184]


def test_foreign_files_without_names(tmp_path):
    (tmp_path / "v").mkdir()
    pixels = np.zeros((20, 30), np.uint8)
    pixels[box(0, 0, 5, 5)], pixels[box(5, 0, 6, 5)], pixels[box(10, 0, 15, 5)] = 1, 255, 7
    picture = Image.fromarray(pixels)
    picture.putpalette(range(256))
    picture.save(tmp_path / "v" / "2007_1.png")
    Image.fromarray(np.uint8(255) * box(0, 0, 9, 9)).save(tmp_path / "v" / "2007_2.png")
    Image.fromarray(box(0, 0, 9, 9)).save(tmp_path / "v" / "2007_3.png")  # one bit a pixel
    assert registry.guess_format(tmp_path / "v").name == "indexed-png"
    read = registry.read(tmp_path / "v")
    assert read.problems == []
    assert [[item.area for item in one] for one in read.records] == [[25, 25], [81], [81]]
    assert [one.image.name for one in read.records] == ["2007_1", "2007_2", "2007_3"]
    assert {item.label for one in read.records for item in one} == {"object"}


def test_wrong_files_are_told_and_the_rest_is_read(folder):
    good = folder / "a.png"
    (folder / "cut.png").write_bytes(good.read_bytes()[:-60])
    (folder / "no.png").write_bytes(b"no")
    Image.new("RGB", (30, 20)).save(folder / "rgb.png")
    Image.new("I;16", (30, 20)).save(folder / "deep.png")
    Image.new("L", (20, 30)).save(folder / "turned.png")
    huge = bytearray(good.read_bytes())
    huge[16:24] = (10**6).to_bytes(4, "big") * 2
    (folder / "huge.png").write_bytes(huge)
    read = registry.read(folder, sizes=lambda _: (20, 30))
    assert [len(one) for one in read.records] == [2, 1]
    texts = {
        "cut.png": "damaged",
        "no.png": "is no PNG",
        "rgb.png": "RGB PNG",
        "deep.png": "gray PNG of 16 bits",
        "turned.png": "20 × 30 pixels, but its image is 30 × 20",
        "huge.png": "at most",
    }
    assert len(read.problems) == len(texts)
    for problem in read.problems:
        assert texts[problem.split("'")[1]] in problem


@pytest.mark.parametrize(
    ("change", "counts", "says"),
    [
        (lambda i: i["a.png"]["objects"].pop(), [1, 1], ["90 pixels have the number 2"]),
        (lambda i: i["a.png"]["objects"].append({"id": 9, "label": "x"}), [2, 1], ["number 9"]),
        (lambda i: i["a.png"]["objects"].append({"id": 1, "label": "x"}), [2, 1], ["twice"]),
        (lambda i: i["a.png"]["objects"].append(5), [2, 1], ["objects[2]: expected an object"]),
        (lambda i: i["a.png"]["objects"][0].update(label="\n"), [1, 1], ["name", "number 1"]),
        (lambda i: i["a.png"]["objects"][0].update(new=1), [1, 1], ["newer", "number 1"]),
        (lambda i: i["a.png"].update(name="n/b.jpg"), [2], ["another file"]),
        (lambda i: i["a.png"].update(objects=None), [1], ["no list of 'objects'"]),
        (lambda i: i.update({"../../x.png": {}}), [2, 1], ["no file '../../x.png'"]),
    ],
)
def test_names_that_do_not_fit_are_told(folder, change, counts, says):
    path = folder / "labels.json"
    data = json.loads(path.read_text())
    change(data["images"])
    path.write_text(json.dumps(data))
    read = registry.read(folder)
    assert [len(one) for one in read.records] == counts
    assert len(read.problems) == len(says)
    for text, problem in zip(says, read.problems, strict=True):
        assert text in problem


def test_what_is_no_such_folder_or_cannot_be_held(folder, tmp_path):
    (folder / "labels.json").write_text("[]")
    with pytest.raises(FormatError, match="no 'labels' and 'images'"):
        registry.read(folder, "indexed-png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="holds no PNG"):
        registry.read(tmp_path / "empty", "indexed-png")
    dots = []
    for place in range(255):
        mask = np.zeros((20, 30), bool)
        mask[divmod(place, 30)] = True
        dots.append(keep(mask))
    with pytest.raises(FormatError, match="255 masks; a palette PNG holds at most 254"):
        registry.export([record("a.png", *dots)], tmp_path / "set2", "indexed-png")


@pytest.mark.parametrize("name", ["coco-panoptic", "cityscapes", "indexed-png", "parquet"])
def test_a_project_goes_out_and_comes_back(name, tmp_path):
    place = tmp_path / "images"
    (place / "night").mkdir(parents=True)
    for file in ("a.png", "night/a.png"):
        Image.new("RGB", (30, 20)).save(place / file)
    with BaseProject(place, labels=["car"]) as project:
        for image in project:
            image.annotations.add(box(1, 2, 8, 9), "car")
        path = project.export(tmp_path / "out.parquet", name)
    with BaseProject(place, store=tmp_path / "other.db") as other:
        read = other.import_(path)
        assert read.problems == []
        for image in other:
            assert np.array_equal(image.annotations[0].mask, box(1, 2, 8, 9))
