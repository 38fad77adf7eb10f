"""Replays of a whole project, accepted one by one."""

from dataclasses import replace

import numpy as np
import pytest

from segwidget.annotation import project_replay
from segwidget.annotation.project import BaseProject
from segwidget.annotation.replay import Replay
from segwidget.errors import AnnotationError
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point


def square(x=3, side=4):
    mask = np.zeros((12, 20), bool)
    mask[2 : 2 + side, x : x + side] = True
    return mask


@pytest.fixture
def project(tmp_path):
    images = {name: np.zeros((12, 20, 3), np.uint8) for name in ("a", "b", "c")}
    with BaseProject(images, store=tmp_path / "x.db") as made:
        for image in made[:2]:
            image.annotations.add(square(), "car", model="old", predicted_iou=0.5)
            image.annotations.add(square(9), "car", origin="imported")
        yield made


@pytest.fixture
def asked(monkeypatch):
    """A model whose masks are a row lower where there is something to ask."""

    def answer(records, opener, model):
        found = []
        for record in records:
            opener(record.image.name)
            for item in record:
                if not item.model:
                    found.append(
                        Replay(item, item.rle, 1.0, False, "kept", None, record.image.name)
                    )
                    continue
                new = replace(
                    item.with_mask(type(item.rle).encode(square(side=5)), "x"),
                    model=model,
                    predicted_iou=0.8,
                )
                iou = item.rle.iou(new.rle)
                found.append(Replay(item, new.rle, iou, False, "new", new, record.image.name))
        return found

    monkeypatch.setattr(project_replay, "replay_all", answer)


def test_the_table_compares_and_changes_nothing(project, asked):
    before = [image.annotations.items for image in project]
    found = project.replay(model="new")
    table = found.table
    assert list(table["image"]) == ["a", "a", "b", "b"]
    assert list(table["new"]) == [True, False, True, False]
    assert table["iou"][0] == pytest.approx(16 / 25)
    assert table["old_score"][0] == 0.5
    assert table["new_score"][0] == 0.8
    assert list(table["new_model"]) == ["new", "", "new", ""]
    assert not table["accepted"].any()
    assert "2 of 4" in repr(found)
    assert [image.annotations.items for image in project] == before


def test_accepting_some(project, asked):
    found = project.replay(model="new")
    with pytest.raises(AnnotationError, match="no annotation 'nobody'"):
        found.accept(["nobody"])
    assert found.accept(min_iou=0.9) == 0
    assert found.accept(project[1].annotations[0].id) == 1
    assert project[0].annotations[0].model == "old"
    assert project[1].annotations[0].model == "new"
    assert list(found.table["accepted"]) == [False, False, True, False]
    assert found.accept() == 1  # the rest; what is there already is not replaced again


def test_what_was_changed_meanwhile_stays(project, asked):
    found = project.replay(model="new")
    project[0].annotations.remove(project[0].annotations[0].id)
    assert found.accept() == 1
    assert len(project[0].annotations) == 1


def test_the_recorded_model_gives_the_same_masks(tmp_path):
    image = np.full((96, 128, 3), 40, np.uint8)
    image[30:70, 40:90] = (220, 90, 30)
    predictor = Predictor("embedded")
    predictor.set_image(image)
    prompts = [Point(65, 50)]
    candidates = predictor.predict(prompts)
    with BaseProject({"drawn": image}, labels="thing", store=tmp_path / "z.db") as project:
        kept = project[0].annotations.add(
            candidates.rle(0),
            prompts=prompts,
            model=predictor.model.name,
            checkpoint=predictor.model.sha256,
            predicted_iou=float(candidates.predicted_iou[0]),
        )
        found = project.replay()
        assert list(found.table["iou"]) == [1.0]
        assert found.table["same_model"].all()
        assert found.accept() == 1
        assert project[0].annotations[0].rle == kept.rle


def test_a_project_without_masks(tmp_path, asked):
    with BaseProject([np.zeros((4, 4, 3), np.uint8)], store=tmp_path / "y.db") as empty:
        found = empty.replay()
        assert len(found) == 0
        assert len(found.table) == 0
        assert found.accept() == 0
