"""A project over a drawn folder."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.project import BaseProject
from segwidget.annotation.project_image import ProjectImage
from segwidget.annotation.store import ConflictError, Store
from segwidget.errors import AnnotationError, ImageError, LabelError, StoreError
from segwidget.inference.rle import Rle

WIDTH, HEIGHT = 20, 12


def square(x=3, y=2, side=4):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + side, x : x + side] = True
    return mask


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "street"
    (place / "night").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "night/a.png")):
        Image.new("RGB", (WIDTH, HEIGHT), (number * 40, 90, 9)).save(place / name)
    (place / "broken.png").write_bytes(b"not an image")
    (place / "notes.txt").write_text("nothing", encoding="utf-8")
    return place


@pytest.fixture
def project(folder):
    with BaseProject(folder, labels=["car", "person"], author="Ada") as made:
        yield made


def test_what_is_added_is_saved_when_the_call_returns(project, folder):
    made = project[0].annotations.add(square(), label="car", predicted_iou=0.9)
    assert made.author == "Ada"
    assert made.image == project[0].image.sha256
    with Store(folder / "segwidget.db") as other:
        assert other.annotations("a.png") == (made,)
        assert other.info("a.png").width == WIDTH
    assert list(project["a.png"].annotations) == [made]
    assert project[0].annotations[made.id] == made
    assert project[0].annotations[-1:] == (made,)


def test_images_by_position_key_and_slice(project):
    assert project.keys == ("a.png", "b.png", "broken.png", "night/a.png")
    assert project["night/a.png"] == project[-1] == list(project)[3]
    assert [image.key for image in project[1:3]] == ["b.png", "broken.png"]
    assert project["b.png"] in project
    assert "notes.txt" not in project
    assert "4 images, 0 annotations" in repr(project)
    with pytest.raises(KeyError, match="nowhere"):
        project["nowhere.png"]
    with pytest.raises(IndexError):
        project[4]


def test_nothing_is_opened_before_it_is_asked_for(folder, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("an image was opened")

    monkeypatch.setattr("segwidget.annotation.sources.open_image", refuse)
    with BaseProject(folder) as project:
        assert len(list(project)) == 4
        assert project.filter(status="todo", label="car", min_score=0.5) == []
        assert len(project.to_dataframe()) == 0
        assert project.statistics().masks == 0


def test_a_broken_image_is_listed_and_hurts_nobody(project):
    project[0].annotations.add(square(), "car")
    assert project.problems == {}
    assert set(project.check()) == {"broken.png"}
    assert "not an image" in project.problems["broken.png"]
    with pytest.raises(ImageError, match=r"broken\.png"):
        project["broken.png"].annotations.add(square(), "car")
    project["broken.png"].status = "done"
    assert [record.image.name for record in project.records()] == ["a.png"]


def test_a_repaired_image_is_no_problem_any_more(project, folder):
    project.check()
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "broken.png")
    assert project["broken.png"].image.width == WIDTH
    assert project.problems == {}


@pytest.mark.parametrize("mask", [np.zeros((HEIGHT, WIDTH), bool), np.ones((3, 3), bool)])
def test_an_impossible_mask_changes_nothing(project, mask):
    with pytest.raises(AnnotationError):
        project[0].annotations.add(mask, "car")
    assert len(project[0].annotations) == 0


def test_a_label_may_be_left_out_only_where_there_is_one(project, tmp_path, folder):
    with pytest.raises(AnnotationError, match="label='car'"):
        project[0].annotations.add(square())
    with BaseProject(folder, labels="cell", store=tmp_path / "cells.db") as cells:
        assert cells[0].annotations.add(Rle.encode(square())).label == "cell"


def test_remove_replace_and_extend(project):
    annotations = project[0].annotations
    first, second = annotations.add(square(), "car"), annotations.add(square(9), "person")
    assert annotations.remove(first.id) == first
    with pytest.raises(AnnotationError, match="no annotation"):
        annotations.remove(first.id)
    annotations.extend([first])
    assert annotations.items == (second, first)
    with pytest.raises(AnnotationError):
        annotations.extend([first])
    annotations.replace([first])
    assert annotations.items == (first,)


def test_two_who_add_at_once_lose_nothing(project, folder, monkeypatch):
    commit = project.store.commit
    with BaseProject(folder) as other:
        theirs = []

        def late(key, after, **options):
            if not theirs:
                theirs.append(other[key].annotations.add(square(9), "person"))
            commit(key, after, **options)

        monkeypatch.setattr(project.store, "commit", late)
        mine = project[0].annotations.add(square(), "car")
    assert project[0].annotations.items == (theirs[0], mine)


def test_one_who_never_gets_through_is_told(project, monkeypatch):
    def refuse(*_args, **_options):
        raise ConflictError("Another notebook …")

    monkeypatch.setattr(project.store, "commit", refuse)
    with pytest.raises(StoreError, match="Another notebook"):
        project[0].annotations.add(square(), "car")


def test_filters(project):
    project[0].annotations.add(square(), "car", predicted_iou=0.9)
    project[0].annotations.add(square(9), "person", predicted_iou=0.4)
    project[1].annotations.add(square(), "person")
    project[1].status = "done"

    def keys(**asked):
        return [image.key for image in project.filter(**asked)]

    assert keys() == list(project.keys)
    assert keys(status="done") == ["b.png"]
    assert keys(status=("todo", "done"), label="person") == ["a.png", "b.png"]
    assert keys(min_score=0.5) == ["a.png"]
    assert keys(label="person", min_score=0.5) == []
    assert keys(label="person", max_score=0.5) == ["a.png"]


def test_the_data_frame_has_a_row_for_each_annotation(project):
    assert project.to_dataframe().empty
    columns = list(project.to_dataframe().columns)
    project[0].annotations.add(square(), "car", seconds=2)
    project[3].annotations.add(square(1), "person")
    project[3].status = "accepted"
    frame = project.to_dataframe()
    assert list(frame.columns) == columns
    assert list(frame["image"]) == ["a.png", "night/a.png"]
    assert list(frame["status"]) == ["todo", "accepted"]
    assert list(frame["area"]) == [16, 16]


def test_rejected_images_are_no_records_unless_asked_for(project):
    for image in project[:2]:
        image.annotations.add(square(), "car")
    project[0].status = "rejected"
    assert [record.image.name for record in project.records()] == ["b.png"]
    assert [record.image.name for record in project.records([project[0]])] == ["a.png"]
    assert [record.image.name for record in project.records("a.png")] == ["a.png"]


def test_labels_of_the_store_stay(folder, project):
    project[0].annotations.add(square(), "tree")
    project.labels = {"car": "#ff0000", "tree": None}
    with BaseProject(folder, labels=["bus", "car"]) as again:
        assert again.labels.names == ("car", "tree", "bus")
        assert again.labels.color_of("car") == "#ff0000"
    with BaseProject(folder, labels=LabelSet.of({"car": "#00ff00"})) as again:
        assert again.labels.color_of("car") == "#00ff00"
        assert again.labels.names == ("car", "tree", "bus")
    with pytest.raises(LabelError):
        project.labels = ["car"]


def test_another_picture_of_the_same_name_is_refused(project, folder):
    project[0].annotations.add(square(), "car")
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    with BaseProject(folder) as again:
        with pytest.raises(ImageError, match="another store"):
            _ = again[0].image
        assert len(again[0].record) == 1


def test_a_list_in_another_order_is_noticed(tmp_path):
    dark, light = (np.full((HEIGHT, WIDTH, 3), level, np.uint8) for level in (10, 240))
    with BaseProject([dark, light], store=tmp_path / "x.db") as project:
        project[0].annotations.add(square(), "car")
    with BaseProject([light, dark], store=tmp_path / "x.db") as project:
        with pytest.raises(ImageError, match="other pixels"):
            _ = project[0].image
        assert project[1].image.pixels[0, 0, 0] == 10
    with BaseProject([dark], store=tmp_path / "x.db") as project:
        assert len(project[0].annotations) == 1
        assert project[0].image.pixels[0, 0, 0] == 10


def test_masks_outlive_their_image(project, folder):
    made = project[0].annotations.add(square(), "car")
    (folder / "a.png").unlink()
    with BaseProject([folder / "a.png"], store=folder / "segwidget.db") as again:
        assert again[0].record.items == (made,)


def test_a_store_that_cannot_be_made_is_said(folder, tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        BaseProject(folder, store=tmp_path / "nowhere" / "x.db")


def test_statistics_measure_what_was_drawn(project):
    corner = square(0, 0, 4)
    corner[:2, :2] = False  # an L: 12 of a hull of 14
    project[0].annotations.add(square(), "car", seconds=2, predicted_iou=0.9)
    project[0].annotations.add(corner, "car", seconds=4, created="2020-01-01T00:00:00Z")
    found = project.statistics()
    assert repr(found) == "<Statistics of 2 masks on 1 images>"
    np.testing.assert_allclose(found.area_fraction, [16 / 240, 12 / 240])
    np.testing.assert_allclose(found.relative_size**2, found.area_fraction)
    np.testing.assert_allclose(found.centers[0], [5 / WIDTH, 4 / HEIGHT])
    np.testing.assert_allclose(found.concavity, [0, 1 - 12 / 14], atol=1e-12)
    assert list(found.seconds) == [4, 2]  # in the order of the work
    assert found.labels == {"car": 2}
    summary = found.summary()
    assert summary["masks"] == 2
    assert summary["images"] == 4
    assert summary["seconds in all"] == 6
    assert summary["predicted IoU"] == 0.9


def test_a_plot_of_all(project):
    project[0].annotations.add(square(), "car", seconds=2)
    assert project.plot().get_suptitle() == "1 mask on 1 of 4 images"


def test_a_thousand_images_are_listed_in_order(tmp_path):
    for number in reversed(range(1000)):
        (tmp_path / f"{number:05d}.jpg").touch()
    with BaseProject(tmp_path) as project:
        assert len(project) == 1000
        assert isinstance(project[999], ProjectImage)
        assert list(project.keys) == sorted(project.keys) == list(project.store.keys())


def test_a_frame_column_with_a_store_elsewhere(folder, tmp_path):
    frame = pd.DataFrame({"path": [str(folder / "a.png"), str(folder / "night" / "a.png")]})
    with BaseProject(frame, store=tmp_path / "elsewhere.db") as project:
        assert project.keys == ("a.png", "night/a.png")
        made = project[1].annotations.add(square(), "object")
        assert isinstance(made, Annotation)
    assert not (folder / "segwidget.db").exists()
