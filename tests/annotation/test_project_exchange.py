"""A project's annotations as files, and files' annotations in a project."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.annotation.project import BaseProject

WIDTH, HEIGHT = 20, 12


def square(x=3, y=2, side=4):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + side, x : x + side] = True
    return mask


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "street"
    (place / "night").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "night/c.png")):
        Image.new("RGB", (WIDTH, HEIGHT), (number * 40, 90, 9)).save(place / name)
    return place


@pytest.fixture
def project(folder):
    with BaseProject(folder, labels=["car"]) as made:
        made[0].annotations.add(square(), "car", predicted_iou=0.9)
        made[2].annotations.add(square(9), "person")
        yield made


def given(monkeypatch, *records, problems=()):
    """Files that hold these records."""
    found = registry.Imported(list(records), list(problems))
    monkeypatch.setattr(registry, "read", lambda *_args, **_options: found)


def record(name, *masks, size=(HEIGHT, WIDTH), label="car", **fields):
    items = [Annotation.from_mask(mask, label=label, **fields) for mask in masks]
    return Annotations(items, ImageInfo(name, size[1], size[0]))


def test_out_and_in_again(project, folder, tmp_path):
    path = project.export(tmp_path / "street.coco.json")
    with BaseProject(folder, store=tmp_path / "other.db") as other:
        imported = other.import_(path)
        assert imported.problems == []
        assert [one.image.name for one in imported.records] == ["a.png", "night/c.png"]
        for image in project:
            assert [a.rle for a in other[image.key].annotations] == [
                a.rle for a in image.annotations
            ]
        assert {a.origin for image in other for a in image.annotations} == {"imported"}
        assert set(other.labels.names) == {"car", "person"}
        again = other.import_(path)  # nothing twice
        assert len(again.problems) == 2
        assert sum(other.store.counts().values()) == 2


def test_only_some_images(project, tmp_path):
    path = project.export(tmp_path / "some.coco.json", "coco", only=["a.png"])
    assert [one.image.name for one in registry.read(path, "coco").records] == ["a.png"]


def test_names_are_found_with_or_without_folders_and_suffixes(project, monkeypatch):
    names = ("images/b.png", "c", "..\\..\\a.png")
    given(monkeypatch, *(record(name, square(1)) for name in names))
    imported = project.import_("any.json")
    assert imported.problems == []
    assert [one.image.name for one in imported.records] == ["b.png", "night/c.png", "a.png"]


def test_what_does_not_fit_is_told_and_the_rest_is_taken(project, monkeypatch):
    small = record("b.png", np.ones((3, 3), bool), size=(3, 3))
    given(
        monkeypatch, small, record("who.png", square()), record("a.png", square(12)), problems=["x"]
    )
    imported = project.import_("any.json")
    assert imported.problems[0] == "x"
    assert len(imported.problems) == 3
    assert "size (3, 3)" in imported.problems[1]
    assert "'who.png'" in imported.problems[2]
    assert len(project["a.png"].annotations) == 2
    assert len(project["b.png"].annotations) == 0


def test_an_id_that_is_taken_becomes_another(project, monkeypatch):
    mine = project[0].annotations[0]
    given(monkeypatch, record("a.png", square(12), id=mine.id))
    project.import_("any.json")
    assert project[0].annotations[0] == mine
    assert project[0].annotations[1].id != mine.id


def test_an_image_that_is_broken_keeps_the_others(project, folder, monkeypatch):
    (folder / "b.png").write_bytes(b"no")
    given(monkeypatch, record("b.png", square()), record("a.png", square(12)))
    imported = project.import_("any.json")
    assert len(imported.problems) == 1
    assert [one.image.name for one in imported.records] == ["a.png"]


def test_one_call_makes_a_zip_beside_the_store(project, folder):
    path = project.download("coco")
    assert path == folder / "segwidget-coco.zip"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) >= 1
    assert project.download("coco") == path  # anew, in its place
    assert not list(folder.glob(".*.part"))
