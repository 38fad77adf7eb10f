"""``segwidget export`` and ``segwidget import``."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segwidget.annotation.project import BaseProject
from segwidget.cli import app


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "street"
    place.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 12), (9, 90, 9)).save(place / name)
    mask = np.zeros((12, 20), bool)
    mask[2:9, 3:15] = True
    mask[4:6, 5:9] = False
    with BaseProject(place, labels=["car"]) as project:
        project[0].annotations.add(mask, "car")
        project[0].annotations.add(mask[::-1, ::-1], "car")
    return place


@pytest.mark.parametrize("name", ["cvat", "geojson", "labelme-masks", "yolo-seg"])
def test_an_export_is_checked(folder, tmp_path, name):
    out = tmp_path / "out.xml" if name == "cvat" else tmp_path / "out"
    done = CliRunner().invoke(
        app, ["export", str(folder), "--out", str(out), "--format", name, "--check"]
    )
    assert done.exit_code == 0, done.output
    last = done.output.splitlines()[-1]
    assert last == (
        f"{name}: 2 masks of 1 images read back, mean IoU 1.0000, lowest 1.0000, 0 lost, "
        "0 problems."
    )


def test_what_was_lost_is_said(folder, tmp_path):
    out = tmp_path / "voc"
    command = ["export", str(folder), "--out", str(out), "--format", "voc", "--check"]
    with pytest.warns(UserWarning, match="one object a pixel"):
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "a.png: 2 annotations, mean IoU 0." in done.output
    assert "voc: 2 masks of 1 images" in done.output
    boxes = tmp_path / "boxes"
    done = CliRunner().invoke(
        app, ["export", str(folder), "--out", str(boxes), "--format", "yolo-boxes", "--check"]
    )
    assert "yolo-boxes: 2 boxes of 1 images read back, mean IoU 1.0000" in done.output
