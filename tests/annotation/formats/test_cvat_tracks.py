"""CVAT's tracks of videos become annotations of the images that are their frames."""

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.annotation.formats import registry
from segwidget.annotation.project import BaseProject

WIDTH, HEIGHT = 20, 12

VIDEO = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><size>{size}</size><mode>interpolation</mode>{steps}<labels>
<label><name>cat</name><color>#112233</color><attributes><attribute><name>asleep</name>
<input_type>checkbox</input_type></attribute></attributes></label></labels></task></meta>
<track id="0" label="cat" source="manual">
 <box frame="{f[0]}" keyframe="1" outside="0" xtl="1" ytl="1" xbr="5" ybr="5" z_order="2">
  <attribute name="asleep">true</attribute></box>
 <box frame="{f[1]}" keyframe="0" outside="0" xtl="2" ytl="1" xbr="6" ybr="5" z_order="0"/>
 <box frame="{f[2]}" keyframe="1" outside="1" xtl="3" ytl="1" xbr="7" ybr="5" z_order="0"/>
</track>
<track id="1" label="cat" source="manual">
 <polygon frame="{f[0]}" keyframe="1" outside="0" points="8,2;14,2;14,8;8,8" z_order="1"/>
 <mask frame="{f[2]}" keyframe="1" outside="0" rle="0, 6" left="4" top="2" width="3" height="2"/>
</track>
<track id="2" label="cat">
 <polyline frame="{f[0]}" keyframe="1" outside="0" points="1,1;2,2"/>
 <polyline frame="{f[1]}" keyframe="0" outside="0" points="1,1;2,2"/>
 <box frame="x" keyframe="1" outside="0" xtl="1" ytl="1" xbr="5" ybr="5"/>
</track>
</annotations>
"""


def video(path, frames=(0, 1, 2), size=3, steps=""):
    path.write_text(VIDEO.format(f=frames, size=size, steps=steps))
    return path


@pytest.fixture
def project(request, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in getattr(request, "param", ("a.png", "b.png", "c.png")):
        PILImage.fromarray(np.zeros((HEIGHT, WIDTH), np.uint8)).save(folder / name)
    with BaseProject(folder) as made:
        yield made


def test_keyframes_and_what_cvat_has_interpolated_are_read(project, tmp_path):
    read = project.import_(video(tmp_path / "v.xml"))
    polygon, box = project["a.png"].annotations  # by their z-order
    assert box.as_box is not None
    assert (box.box, polygon.box) == ((1, 1, 5, 5), (8, 2, 14, 8))
    assert dict(box.attributes) == {"asleep": True}
    assert {item.origin for item in (polygon, box)} == {"imported"}
    (moved,) = project["b.png"].annotations
    assert moved.box == (2, 1, 6, 5)
    (mask,) = project["c.png"].annotations  # the box is outside there
    assert mask.box == (4, 2, 7, 4)
    assert read.records[0].labels.color_of("cat") == "#112233"
    summary, wrong, lines = read.problems
    assert "3 tracks of a video were read as annotations of 3 images" in summary
    assert "by their order" in summary
    assert "3 shapes at keyframes, and 1 between them as CVAT has interpolated them" in summary
    assert "1 that are outside of the picture were left out" in summary
    assert "Of 1 frames between others the file says nothing" in summary
    assert wrong.startswith("track[2].box[2] was left out: Its frame is 'x'")
    assert lines.startswith("track[2].polyline[0] was left out")
    assert lines.endswith("So it is with 1 more of this track.")


def test_a_task_of_every_fifth_frame(project, tmp_path):
    steps = "<start_frame>10</start_frame><frame_filter>step=5</frame_filter>"
    read = project.import_(video(tmp_path / "v.xml", (10, 15, 20), steps=steps))
    assert [len(one.annotations) for one in project] == [2, 1, 1]
    assert "Of 1 frames between others" in read.problems[0]


@pytest.mark.parametrize(
    "project", [("frame_000007.png", "frame_000009.jpg", "other.png")], indirect=True
)
def test_frames_are_found_by_the_names_that_cvat_gives_them(project, tmp_path):
    read = project.import_(video(tmp_path / "v.xml", (7, 8, 9), size=500))
    assert [len(one.annotations) for one in project] == [2, 1, 0]
    assert "by their names" in read.problems[0]
    assert "1 frames have no image in the project" in read.problems[0]
    assert "left out: 8." in read.problems[0]


def test_where_nothing_tells_the_frames_they_are_left_out(project, tmp_path):
    path = video(tmp_path / "v.xml", size=4)
    (problem,) = project.import_(path).problems
    assert "has 4 frames, but the project has 3 images" in problem
    assert "frame_000000.png" in problem
    assert [len(one.annotations) for one in project] == [0, 0, 0]
    (problem,) = registry.read(path).problems
    assert "only a project knows" in problem
