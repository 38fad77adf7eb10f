"""`everything`: annotations from one call."""

import numpy as np
import pytest
import torch

import segwidget
from segwidget.annotation.annotation import Annotations
from segwidget.annotation.automatic import everything, to_annotation
from segwidget.errors import LabelError, PromptError
from segwidget.inference.everything import Proposal
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.sam.build import build_compact

LOOSE = {
    "points_per_side": 3,
    "pred_iou_thresh": -10,
    "stability_score_thresh": 0,
    "box_nms_thresh": 1,
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Model(build_compact(128).eval().requires_grad_(False), "random", "ab" * 32)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def test_masks_know_where_they_come_from(model, picture):
    found = segwidget.everything(picture, model, progress=False, **LOOSE)
    assert isinstance(found, Annotations)
    assert 5 < len(found) <= 27
    assert found.image.sha256 == segwidget.open_image(picture).sha256
    for item in found:
        assert (item.origin, item.label, item.model) == ("automatic", "object", "random")
        assert (item.checkpoint, item.image) == ("ab" * 32, found.image.sha256)
        assert item.mask.shape == (60, 90)
        assert 0 <= item.predicted_iou <= 1
        (point,) = item.prompts
        assert point.label == 1


def test_saved_and_read_back(model, picture, tmp_path):
    found = everything(picture, model, progress=False, labels=["thing", "part"], **LOOSE)
    assert {item.label for item in found} == {"thing"}
    assert found.labels.names == ("thing", "part")
    for name in ("a.sa1b.json", "a.coco.json"):
        assert Annotations.load(found.save(tmp_path / name)).items == found.items


def test_a_predictor_is_used_as_it_is(model, picture):
    predictor = Predictor(model)
    found = everything(picture, predictor, progress=False, **LOOSE)
    assert len(found) > 5
    assert predictor.image.width == 90
    assert len(everything(predictor.image, predictor, progress=False, **LOOSE)) == len(found)


def test_progress_and_stopping(model, picture):
    told = []
    everything(picture, model, progress=lambda done, total: told.append((done, total)), **LOOSE)
    assert told[-1] == (9, 9)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    told.clear()
    some = everything(
        picture,
        model,
        progress=lambda done, total: told.append(done),
        cancelled=lambda: bool(told),
        **LOOSE,
    )
    assert len(told) == 1
    assert 0 < len(some) <= 3


def test_a_bar_shows_what_takes_long_and_then_goes(model, picture, monkeypatch, capsys):
    from segwidget.annotation import automatic

    monkeypatch.setattr(automatic, "_PATIENCE", 100)
    everything(picture, model, **LOOSE)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(automatic, "_PATIENCE", 0.001)
    everything(picture, model, **LOOSE)
    shown = capsys.readouterr().err
    assert "everything" in shown
    assert shown.rstrip(" ").endswith("\r")  # nothing of it stays
    with pytest.raises(PromptError, match="too small"):  # the bar is none of its business
        everything(picture[:3, :3], model, crop_n_layers=4)


def test_bad_input_is_refused_before_work_begins(picture):
    with pytest.raises(PromptError, match="points_per_side"):
        everything(picture, "no such model", points_per_side=-1)
    with pytest.raises(LabelError):
        everything(picture, "no such model", labels=["a", "a"])
    with pytest.raises(TypeError, match="points_per_sid"):
        everything(picture, points_per_sid=3)


def test_a_proposal_becomes_an_annotation():
    proposal = Proposal(
        size=(12, 20),
        counts=segwidget.inference.rle.Rle.from_runs((12, 20), [30, 4, 206]).counts,
        box=(2.0, 6.0, 3.0, 10.0),
        area=4,
        predicted_iou=1.02,
        stability_score=0.9,
        point=(2.5, 7.0),
        crop_box=(0, 0, 20, 12),
    )
    kept = to_annotation(proposal, label="leaf", model="vit_b", image="cd" * 32)
    assert (kept.box, kept.area, kept.label, kept.origin) == (proposal.box, 4, "leaf", "proposed")
    assert (kept.predicted_iou, kept.stability_score) == (1.0, 0.9)
    assert kept.prompts == (Point(2.5, 7.0),)
    assert (kept.model, kept.image) == ("vit_b", "cd" * 32)
