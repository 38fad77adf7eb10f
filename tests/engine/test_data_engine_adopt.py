"""A model is adopted where it is better, and the reason is told where it is not."""

from types import SimpleNamespace

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.project import BaseProject
from segwidget.annotation.proposed import Record, Suggestion, confirmed, record_values
from segwidget.engine.data_engine import DataEngine
from segwidget.errors import CheckpointError, SettingError
from segwidget.inference.rle import Rle
from segwidget.training.dataset import FineTuneDataset

SIDE = 24
MOMENT = "2026-01-01T00:00:00.000+00:00"


def block(x=0, side=8):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[4 : 4 + side, x : x + side] = True
    return mask


@pytest.fixture
def project(tmp_path):
    images = {f"{n}.png": np.full((SIDE, SIDE, 3), 10 * n, np.uint8) for n in range(10)}
    with BaseProject(images, labels=["car", "person"], store=tmp_path / "work.db") as made:
        yield made


@pytest.fixture
def finished(project):
    for number, image in enumerate(project):
        image.annotations.add(block(), label="car")
        image.annotations.add(block(12), label="person")
        image.status = "todo" if number < 8 else "rejected"
    return project


@pytest.fixture
def training(monkeypatch):
    """Training's stand-in: it says whether the new model is better, and notes what it is given."""
    seen = SimpleNamespace(better=True, learnt=None, load=lambda: None)

    def finetune(model, dataset, *, held_out, part, seed, **options):
        seen.learnt, seen.stopped, seen.base = dataset, held_out, model
        seen.options = {"part": part, "seed": seed, **options}
        seen.resume = seen.options.pop("resume")
        seen.resume.touch()
        return SimpleNamespace(model=SimpleNamespace(model=SimpleNamespace(sha256="ee" * 32)))

    def compare(before, after, held_out, *, progress):
        seen.compared, seen.models = held_out, (before, after)
        return SimpleNamespace(
            better=seen.better,
            mean_before={"1 click": 0.5},
            mean_after={"1 click": 0.7 if seen.better else 0.45},
        )

    monkeypatch.setattr("segwidget.training.finetune.finetune", finetune)
    monkeypatch.setattr("segwidget.evaluation.comparison.compare", compare)
    monkeypatch.setattr(
        "segwidget.inference.delta.save_delta", lambda _, path: path.write_bytes(b"delta")
    )
    monkeypatch.setattr("segwidget.inference.models.load_model", lambda *_: seen.load())
    monkeypatch.setattr(
        DataEngine, "_load", lambda _, model: SimpleNamespace(name=str(model), model=MODEL)
    )
    return seen


MODEL = SimpleNamespace(sha256="c0" * 32, device="cpu")


def test_a_better_model_is_adopted_and_used_from_then_on(finished, training):
    engine = DataEngine(finished)
    old = engine.predictor
    done = engine.improve(epochs=3, part="all", seed=5)
    assert done.adopted
    assert "0.500 → 0.700" in done.reason
    assert training.options == {"part": "all", "seed": 5, "epochs": 3}
    assert done.path.read_bytes() == b"delta"
    assert done.path.parent == finished.store.path.parent
    assert engine.model == done.path
    assert engine.predictor is not old
    assert engine.predictor.name == str(done.path)
    # Also whoever opens the project again uses it, and the embedded model's name leads to it.
    again = DataEngine(finished)
    assert again.model == done.path
    assert done.path.name in repr(again)
    assert again.improvements["adopted"].tolist() == [True]


def test_no_image_is_learnt_from_and_compared_on(finished, training):
    done = DataEngine(finished).improve(held_out=0.25)
    parts = [training.learnt, training.stopped, training.compared]
    names = [{record.name for record in part.images} for part in parts]
    assert sum(map(len, names)) == len(set.union(*names)) == 8  # none that is rejected
    assert (done.images, done.held_out) == (len(names[0]), len(names[2]))
    assert done.masks == 2 * len(names[0])


def test_a_worse_model_is_refused_and_nothing_changes(finished, training):
    training.better = False
    engine = DataEngine(finished)
    old = engine.predictor
    done = engine.improve()
    assert not done.adopted
    assert "not surely better" in done.reason
    assert "refused" in repr(done)
    assert engine.predictor is old
    assert engine.model == "embedded"
    assert list(finished.store.path.parent.glob("*.delta.*")) == []
    assert DataEngine(finished).model == "embedded"
    assert engine.improvements["reason"].tolist() == [done.reason]


def test_the_base_learns_and_the_present_model_is_to_be_surpassed(finished, training):
    engine = DataEngine(finished)
    first = engine.improve().path
    second = engine.improve()
    assert training.base.name == "embedded"
    assert training.models[0].name == str(first)
    assert second.path != first
    assert first.exists()
    training.better = False
    engine.improve()
    assert engine.model == second.path


def test_another_model_does_not_take_what_was_adopted_for_one(finished, training, tmp_path):
    done = DataEngine(finished).improve()
    other = tmp_path / "own.pth"
    other.write_bytes(b"weights")
    assert DataEngine(finished, other).model == other
    assert DataEngine(finished).model == done.path
    assert DataEngine(finished, forget=True).model == "embedded"
    assert DataEngine(finished).model == "embedded"


def test_an_adopted_model_that_is_gone_is_told(finished, training):
    DataEngine(finished).improve().path.unlink()
    with pytest.raises(CheckpointError, match=r"work-1\.delta\.safetensors.*forget=True"):
        DataEngine(finished)


def test_too_few_images_are_a_reason(project, training):
    for image in project[:3]:
        image.annotations.add(block(), label="car")
    done = DataEngine(project).improve()
    assert not done.adopted
    assert "3 images" in done.reason
    assert training.learnt is None


def test_only_some_labels(finished, training):
    done = DataEngine(finished).improve(labels=["car"])
    assert done.masks == done.images


@pytest.mark.parametrize("held_out", [0, 1, -0.5, "half", None])
def test_impossible_shares(finished, training, held_out):
    with pytest.raises(SettingError, match="held_out"):
        DataEngine(finished).improve(held_out=held_out)


def learnt(project, labels=None):
    """The masks that a model would learn from."""
    dataset = FineTuneDataset.from_project(project, labels)
    return {mask.rle for image in dataset.images for mask in image.masks}


def test_what_people_stand_for(project):
    image = project[0]
    mine = image.annotations.add(block(), label="car")
    kept, edited, accepted, relabelled = (
        image.annotations.add(block(x), label="car", origin="proposed") for x in (3, 6, 9, 12)
    )
    image.annotations.add(block(14), label="car", origin="imported")
    proposed = (kept, edited, accepted, relabelled)
    record = Record(
        "c0" * 32, MOMENT, masks=tuple(Suggestion(a.id, a.label, a.rle) for a in proposed)
    )
    image.annotations.extend([], meta=record_values(image.key, record))
    image.annotations.exchange(
        {
            edited.id: (edited, edited.with_mask(Rle.encode(block(6, 7)), "paint")),
            relabelled.id: (
                relabelled,
                Annotation.from_dict({**relabelled.to_dict(), "label": "person"}),
            ),
        }
    )
    project.store.set_meta(f"accepted masks of {image.key}", [accepted.id])
    edits = {a.id: a for a in image.annotations}
    edited, relabelled = edits[edited.id], edits[relabelled.id]
    assert set(confirmed(project.store, image.key)) == {mine, edited, accepted, relabelled}
    assert learnt(project) == {a.rle for a in (mine, edited, accepted, relabelled)}
    image.status = "done"
    assert set(confirmed(project.store, image.key)) == {*edits.values()}
    assert learnt(project) == {a.rle for a in edits.values()}
    assert learnt(project, "person") == {relabelled.rle}
    image.status = "rejected"
    assert confirmed(project.store, image.key) == ()
    with pytest.raises(SettingError, match="no confirmed mask"):
        learnt(project)


def test_training_goes_on_after_a_kill_and_begins_anew_for_other_masks(finished, training):
    engine = DataEngine(finished)
    engine.improve()
    first = training.resume
    assert first.parent == finished.store.path.parent
    assert not first.exists()  # it came to an end
    engine.improve()
    assert training.resume == first
    engine.improve(part="all")
    assert training.resume != first
    finished[0].annotations.add(block(15), label="car")
    engine.improve()
    assert training.resume != first


def test_a_model_that_cannot_be_loaded_again_is_not_adopted(finished, training):
    def load():
        raise CheckpointError("its base is not here")

    training.load = load
    engine = DataEngine(finished)
    with pytest.raises(CheckpointError, match="base"):
        engine.improve()
    assert list(finished.store.path.parent.glob("*.delta.*")) == []
    assert DataEngine(finished).model == "embedded"
