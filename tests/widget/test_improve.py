"""Improving on a project's masks: what it needs, how it ends, and that work goes on meanwhile."""

import threading

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.inference.delta import save_delta, tuned_model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.training import finetune as finetune_module
from segwidget.training import finetune_run
from segwidget.training.finetune_run import FineTuned, Progress
from segwidget.training.finetune_state import Epoch
from segwidget.widget import improve, project
from segwidget.widget.project import Project

from .conftest import HEIGHT, PATIENCE, WIDTH

NAME = "mask_decoder.iou_prediction_head.layers.2.bias"


@pytest.fixture
def pictures(tmp_path, comms, loads):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for number in range(5):
        pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        PILImage.fromarray(pixels).save(folder / f"{number}.png")
    yield Project(folder, labels=["car"])
    for app in list(project._apps.values()):
        app.close()
    project._apps.clear()


@pytest.fixture
def app(pictures):
    for one in pictures:
        for x in (2, 20, 40):
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[5:20, x : x + 12] = True
            one.annotations.add(mask)
    app = pictures.app()
    assert app.wait(PATIENCE)
    return app


@pytest.fixture
def learns(monkeypatch, model):
    """In place of fine-tuning: its answer, and an Event that it waits for."""

    class Learns:
        gate = None
        better = True
        error = None
        asked = None

    learns = Learns()

    def finetune(given, dataset, *, held_out, stop, on_progress, **options):
        learns.asked = (given, dataset, held_out)
        history = tuple(Epoch(n, 0.5, 0.5, 0.5 + n / 10, 1e-4, 1.0) for n in range(2))
        on_progress(Progress("embedding", 1, 2, ()))
        on_progress(Progress("training", 1, 4, history))
        if learns.gate is not None:
            while not stop.is_set() and not learns.gate.wait(0.01):
                pass
        if learns.error is not None:
            raise learns.error
        state = {NAME: model.sam.state_dict()[NAME] + 0.5}
        tuned = tuned_model(given, state, "tuned", "# Card")
        return FineTuned(Predictor(tuned), history, 1)

    class Found:
        def __init__(self):
            self.better = learns.better
            self.mean_before, self.mean_after = {"1 click": 0.5}, {"1 click": 0.75}

    def compare(before, after, held_out, *, on_progress, **options):
        learns.judged = held_out
        on_progress(1, 2)
        return Found()

    monkeypatch.setattr(finetune_module, "finetune", finetune)
    monkeypatch.setattr("segwidget.evaluation.comparison.compare", compare)
    return learns


def shown(widget):
    return widget.layout.display != "none"


def message(app):
    return app._controls.message.value


def finish(app):
    app._improve.thread.join(PATIENCE)
    assert not app._improve.thread.is_alive()


def test_too_few_masks_are_told(pictures):
    app = pictures.app()
    assert app.wait(PATIENCE)
    app._improve.button.click()
    assert "at least 12 masks on 4 images, and there are 0 on 0" in message(app)
    assert app._improve.thread is None
    assert shown(app._improve.button)


def test_parts_share_no_image(app, learns):
    app._improve.begin()
    finish(app)
    _, learn, choose = learns.asked[0], learns.asked[1], learns.asked[2]
    names = [{i.name for i in part.images} for part in (learn, choose, learns.judged)]
    assert all(names)
    assert len(set.union(*names)) == sum(map(len, names)) == 5


def test_what_is_better_is_offered_and_used(app, learns, loads, monkeypatch):
    app._improve.button.click()
    finish(app)
    assert shown(app._improve.use_button)
    assert not shown(app._improve.button)
    assert "0.50 → 0.75" in app._improve.text.value
    path = app._improve.offered
    assert path.parent == app.project.store.path.absolute().parent
    assert path.name == "segwidget-tuned-1.delta.safetensors"
    assert path.with_name("segwidget-tuned-1.md").read_text() == "# Card"
    used = threading.Event()
    app.segmenter.observe(lambda _: used.set(), "model")
    app._improve.use_button.click()
    assert used.wait(PATIENCE)
    assert app.segmenter.model == path
    assert loads[-1] == path
    assert path.name in [entry["name"] for entry in app.segmenter.models]
    app.next()
    assert app.wait(PATIENCE)
    assert app.segmenter.model == path  # carried on
    assert shown(app._improve.button)


def test_what_is_declined_is_deleted(app, learns):
    app._improve.begin()
    finish(app)
    path = app._improve.offered
    app._improve.keep_button.click()
    assert not path.exists()
    assert not path.with_name("segwidget-tuned-1.md").exists()
    assert app.segmenter.model == "embedded"
    assert shown(app._improve.button)


def test_what_is_not_surely_better_is_not_offered(app, learns):
    learns.better = False
    app._improve.begin()
    finish(app)
    assert app._improve.offered is None
    assert "The present model stays" in message(app)
    assert not list(app.project.store.path.absolute().parent.glob("*.delta.safetensors"))


def test_work_goes_on_meanwhile_and_it_can_be_cancelled(app, learns):
    learns.gate = threading.Event()
    app._improve.button.click()
    assert not shown(app._improve.button)
    assert shown(app._improve.cancel_button)
    segmenter = app.segmenter
    segmenter.prompts = [Point(40, 30)]
    kept = segmenter.keep()
    assert kept in tuple(app.project[app.key].annotations)
    app._improve.button.click()
    assert "learning already" in message(app)
    app._improve.cancel_button.click()
    finish(app)
    assert app._improve.offered is None
    assert shown(app._improve.button)


def test_a_closed_app_stops_it(app, learns):
    learns.gate = threading.Event()
    app._improve.begin()
    app.close()
    finish(app)
    assert app._improve.offered is None


def test_what_goes_wrong_is_told(app, learns):
    learns.error = RuntimeError("out of luck")
    app._improve.begin()
    finish(app)
    assert "out of luck" in message(app)
    assert shown(app._improve.button)


def test_the_real_thing(app, monkeypatch):
    monkeypatch.setattr(improve, "EPOCHS", 1)
    monkeypatch.setattr(finetune_run, "MASKS_PER_STEP", 1)
    app._improve.begin()
    finish(app)
    assert "stays" in message(app) or app._improve.offered is not None
    assert shown(app._improve.button) or shown(app._improve.use_button)


def test_files_of_before_are_not_overwritten(app, learns, model):
    folder = app.project.store.path.absolute().parent
    first = tuned_model(model, {NAME: model.sam.state_dict()[NAME] + 1})
    save_delta(first, folder / "segwidget-tuned-1.delta.safetensors")
    app._improve.begin()
    finish(app)
    assert app._improve.offered.name == "segwidget-tuned-2.delta.safetensors"
