"""``segwidget export`` and ``segwidget import``."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from segwidget.annotation.project import BaseProject
from segwidget.cli import app
from segwidget.errors import SegwidgetError


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


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["export", "images", "--out", "x.coco.json"], "no segwidget.db in 'images'"),
        (["export", "street", "--out", "x.banana"], "Say it with --format, one of coco"),
        (["import", "street", "images/a.png"], "Say it with --format, one of coco"),
        (["import", "street", "empty"], "The folder 'empty' is empty"),
        (["import", "street", "nowhere"], "'nowhere' is not there"),
        (["export", "nowhere", "--out", "x.coco.json"], "no project 'nowhere'"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    folder, tmp_path, monkeypatch, arguments, sentence
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "images").mkdir()
    Image.new("RGB", (20, 12)).save(tmp_path / "images" / "a.png")
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, SegwidgetError)
    assert sentence in str(done.exception)
    assert not list((tmp_path / "images").glob("*.db"))
    assert not list(tmp_path.glob("x.*"))


def test_a_project_without_annotations_is_exported_and_said(folder, tmp_path):
    with BaseProject(folder) as project:
        project[0].annotations.replace([])
    done = CliRunner().invoke(app, ["export", str(folder), "--out", str(tmp_path / "x.coco.json")])
    assert done.exit_code == 0, done.output
    assert "holds no annotation" in done.stderr
