"""Pascal VOC's folders, both ways."""

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry, xml_file
from segwidget.annotation.formats.raster import OverlapWarning
from segwidget.annotation.formats.shapes import boxed
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError

SIZE = (30, 40)
LABELS = LabelSet.of({"car": "#ff0000", "a:b": "#00ff00"})


def square(x, y, side=6):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def record(*items, name="a.png"):
    return Annotations(items, ImageInfo(name, SIZE[1], SIZE[0]), LABELS)


@pytest.fixture
def folder(tmp_path):
    items = (
        Annotation.from_mask(square(2, 3), label="car", attributes={"new": True, "make": "Ape"}),
        Annotation.from_mask(square(20, 5), label="a:b"),
        boxed((1.5, 20, 9.25, 28), SIZE, label="car")[0],
    )
    return registry.export([record(*items)], tmp_path / "voc", "voc")


def test_the_files_are_vocs(folder):
    objects = PILImage.open(folder / "SegmentationObject" / "a.png")
    classes = np.asarray(PILImage.open(folder / "SegmentationClass" / "a.png"))
    numbers = np.asarray(objects)
    assert objects.mode == "P"
    assert objects.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    assert (numbers == square(2, 3) + 2 * square(20, 5)).all()
    assert (classes[square(20, 5)] == 2).all()
    root = xml_file.read_xml(folder / "Annotations" / "a.xml")
    box = [root.findtext(f"object/bndbox/{tag}") for tag in ("xmin", "ymin", "xmax", "ymax")]
    assert box == ["3", "4", "8", "9"]  # from 1, both ends belong to it
    for name in ("Main", "Segmentation"):
        assert (folder / "ImageSets" / name / "trainval.txt").read_text() == "a\n"
    assert "a:b:0,255,0::\n" in (folder / "labelmap.txt").read_text()


def test_masks_boxes_attributes_and_colors_come_back(folder):
    assert registry.guess_format(folder).name == "voc"
    read = registry.read(folder)
    assert read.problems == []
    (back,) = read.records
    assert [one.label for one in back] == ["car", "a:b", "car"]
    assert (back[0].mask == square(2, 3)).all()
    assert dict(back[0].attributes) == {"new": True, "make": "Ape"}
    assert back[1].as_box is None
    assert (back[2].as_box.x0, back[2].as_box.x1) == (1.5, 9.25)
    assert [label.color for label in back.labels] == ["#ff0000", "#00ff00"]
    assert {one.origin for one in back} == {"imported"}


def test_what_a_pixel_cannot_hold_is_counted(tmp_path):
    large = Annotation.from_mask(square(2, 2, 10), label="car")
    small = Annotation.from_mask(square(4, 4, 3), label="car")
    hidden = Annotation.from_mask(square(4, 4, 3), label="car")
    with pytest.warns(OverlapWarning, match="1 masks lost a part and 1 all"):
        registry.export([record(small, hidden, large)], tmp_path, "voc")
    (back,) = registry.read(tmp_path, "voc").records
    assert len(back) == 3  # of the hidden one, its box is left
    assert [one.as_box is not None for one in back] == [False, False, True]
    assert sum(one.area for one in back[:2]) == 100


def test_more_objects_than_numbers_become_boxes(tmp_path):
    size = (20, 20)
    items = []
    for place in range(300):
        mask = np.zeros(size, bool)
        mask[place // 20, place % 20] = True
        items.append(Annotation.from_mask(mask, label="dot"))
    many = Annotations(items, ImageInfo("m.png", 20, 20))
    with pytest.warns(OverlapWarning, match="so 46 masks of 1 images were written as boxes"):
        registry.export([many], tmp_path, "voc")
    (back,) = registry.read(tmp_path, "voc").records
    assert len(back) == 300
    assert {one.rle for one in back} == {one.rle for one in items}


def test_wrong_files_are_told_and_the_rest_is_read(folder, monkeypatch):
    place = folder / "Annotations"
    good = (place / "a.xml").read_text()
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]>\n'
    (place / "b.xml").write_text(good.split("?>")[0] + "?>" + bomb + good.split("?>")[1])
    (place / "c.xml").write_text("<annotation>")
    (place / "d.xml").write_text("<html/>")
    (place / "e.xml").write_text(good)  # the same image again
    (place / "f.xml").write_text(good.replace("a.png", "f.png").replace(">40<", ">4e9<", 1))
    wrong = good.replace("a.png", "../../g.png").replace("<xmin>3<", "<xmin>x<")
    (place / "g.xml").write_text(wrong.replace("<name>a:b</name>", "<name></name>"))
    (place / "h.xml").write_text("<a>" * 5000 + "</a>" * 5000)
    read = registry.read(folder, "voc")
    assert [one.image.name for one in read.records] == ["a.png", "../../g.png"]
    assert len(read.records[1]) == 1
    found = [problem.split(" ")[0].strip(",:") for problem in read.problems]
    assert found == ["'b.xml'", "'c.xml'", "'d.xml'", "'e.xml'", "'f.xml'", *["'g.xml'"] * 3,
                     "'h.xml'"]  # fmt: skip
    assert "document type" in read.problems[0]
    assert "5 deep" not in read.problems[-1]
    assert "at most 50" in read.problems[-1]
    monkeypatch.setattr(xml_file, "MAX_BYTES", 10)
    assert "at most 10" in registry.read(folder, "voc").problems[0]


def test_a_png_that_does_not_fit_leaves_boxes(folder):
    PILImage.new("L", (7, 7)).save(folder / "SegmentationObject" / "a.png")
    read = registry.read(folder)
    assert all(one.as_box for one in read.records[0])
    assert len(read.problems) == 1
    assert "7 × 7" in read.problems[0]
    numbers = np.zeros(SIZE, np.uint8)
    numbers[:4] = 9
    PILImage.fromarray(numbers).save(folder / "SegmentationObject" / "a.png")
    assert "mask 9" in registry.read(folder).problems[0]
    (folder / "labelmap.txt").write_bytes(b"\xff\xfe")
    assert "labelmap.txt" in registry.read(folder).problems[0]
    with pytest.raises(FormatError, match="Annotations"):
        registry.read(folder / "ImageSets", "voc")
