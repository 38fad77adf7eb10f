"""CVAT's XML for images, both ways."""

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry, xml_file
from segwidget.annotation.formats.shapes import boxed
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError

SIZE = (12, 20)
LABELS = LabelSet.of(
    [
        {
            "name": "car",
            "color": "#ff0000",
            "attributes": [
                {"name": "make", "kind": "choice", "choices": ["Ape", "Bug"]},
                {"name": "seats", "kind": "number"},
                {"name": "parked", "kind": "tag"},
                {"name": "plate"},
            ],
        },
        {"name": "<b>&tree</b>", "color": "#00ff00"},
    ]
)


def mask():
    made = np.zeros(SIZE, bool)
    made[2:9, 3:15] = True
    made[4:6, 5:9] = False
    return made


@pytest.fixture
def path(tmp_path):
    said = {"make": "Bug", "seats": 2.0, "parked": True, "plate": "<1>"}
    items = [
        Annotation.from_mask(mask(), label="car", attributes=said),
        boxed((1.5, 2, 9, 4.25), SIZE, label="<b>&tree</b>", attributes={"old": False})[0],
    ]
    record = Annotations(items, ImageInfo("../a\x01.png", SIZE[1], SIZE[0]), LABELS)
    return registry.export([record], tmp_path / "all.cvat.xml", "cvat")


def test_masks_boxes_labels_and_attributes_come_back(path):
    assert registry.guess_format(path).name == "cvat"
    read = registry.read(path)
    assert read.problems == []
    (back,) = read.records
    assert back.image.name == "../a\ufffd.png"  # XML has no such character
    assert (back[0].mask == mask()).all()
    assert dict(back[0].attributes) == {
        "make": "Bug", "seats": 2.0, "parked": True, "plate": "<1>",
    }  # fmt: skip
    assert dict(back[1].attributes) == {"old": False}
    assert (back[1].as_box.x0, back[1].as_box.y1) == (1.5, 4.25)
    assert [(one.name, one.color) for one in back.labels] == [
        (one.name, one.color) for one in LABELS
    ]
    assert back.labels[0].attributes == LABELS[0].attributes


def test_run_lengths_go_along_the_rows_of_the_box(path):
    shape = xml_file.read_xml(path).find("image/mask")
    assert [shape.get(key) for key in ("left", "top", "width", "height")] == ["3", "2", "12", "7"]
    assert shape.get("rle") == "0, 26, 4, 8, 4, 42"


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><job><labels><label><name>cat</name><color>#112233</color><attributes/></label>
<label><name>bad</name><color>nope</color><attributes/></label></labels></job></meta>
<track id="0" label="cat"/>
<image id="0" name="a.png" width="20" height="12">
 <polygon label="cat" points="1.0,1.0;9.0,1.0;9.0,5.0;1.0,5.0" z_order="3"/>
 <box label="cat" xtl="10" ytl="2" xbr="14" ybr="6" z_order="1"/>
 <ellipse label="cat" cx="10" cy="6" rx="4" ry="3" z_order="2"/>
 <box label="cat" xtl="8" ytl="4" xbr="12" ybr="8" rotation="45" z_order="4"/>
 <polygon label="cat" points="-5,-5;5,-5;5,5;-5,5" z_order="5"/>
 <polygon label="cat" points="50,50;60,50;60,60"/>
 <polygon label="cat" points="1,1;x,y;2,2"/>
 <polyline label="cat" points="1,1;2,2"/>
 <mask label="cat" rle="1, 2" left="0" top="0" width="2" height="2"/>
 <mask label="cat" rle="0, 4" left="19" top="0" width="2" height="2"/>
 <mask label="cat" rle="4, 0" left="1" top="0" width="2" height="2"/>
 <mask label="cat" rle="99999999999999999999" left="1" top="0" width="2" height="2"/>
 <box label="" xtl="1" ytl="2" xbr="4" ybr="6"/>
 <box label="cat" xtl="nan" ytl="2" xbr="4" ybr="6"/>
</image>
<image id="0" name="b.png" width="20" height="12"/>
<image id="1" name="a.png" width="20" height="12"/>
<image id="2" name="c.png" width="0" height="12"/>
<image id="3" name="../../d.png" width="20" height="12"/>
</annotations>
"""


def test_shapes_of_others_and_wrong_ones(tmp_path):
    path = tmp_path / "annotations.xml"
    path.write_text(CVAT)
    read = registry.read(tmp_path)  # the folder of an unpacked export
    assert [one.image.name for one in read.records] == ["a.png", "../../d.png"]
    box, ellipse, polygon, turned, cut = read.records[0]
    assert box.as_box is not None
    assert polygon.box == (1, 1, 9, 5)
    assert ellipse.area == pytest.approx(np.pi * 12, rel=0.1)
    assert turned.area == pytest.approx(16, abs=9)
    assert not turned.mask[4, 8]
    assert cut.box == (0, 0, 5, 5)
    assert read.records[0].labels.color_of("cat") == "#112233"
    starts = ["labels[1]", "'annotations.xml': 1 tracks", "'a.png': polygon[4] reaches"]
    starts += [
        f"'a.png': {kind}[{at}] was left out"
        for at, kind in enumerate(
            ["polygon", "polygon", "polyline", "mask", "mask", "mask", "mask", "box", "box"], 5
        )
    ]
    starts += [f"image[{at}] was left out" for at in (1, 2, 3)]
    assert len(read.problems) == len(starts)
    for problem, start in zip(read.problems, starts, strict=True):
        assert problem.startswith(start)


def test_files_that_are_none(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><annotations>&e;"
                    "</annotations>")  # fmt: skip
    with pytest.raises(FormatError, match=r"line 1: it declares a document type"):
        registry.read(path)
    path.write_text("<annotation/>")
    with pytest.raises(FormatError, match="<annotations>"):
        registry.read(path)
    path.write_text("{}")
    with pytest.raises(FormatError, match="not XML"):
        registry.read(path)
