"""What is embedded ahead: soon, in order, out of everybody's way."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from segwidget.errors import ImageError
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.predictor import Predictor
from segwidget.media.image import open_image
from segwidget.widget import ahead as ahead_module
from segwidget.widget.ahead import Ahead

from .conftest import PATIENCE

IMAGES = {key: open_image(np.full((40, 60, 3), 20 * n, np.uint8)) for n, key in enumerate("abcdef")}


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(ahead_module, "AGAIN_AFTER", 0.002)


@pytest.fixture
def opened():
    return []


@pytest.fixture
def ahead(model, opened):
    def opener(key):
        opened.append(key)
        if key == "bad":
            raise ImageError("no picture")
        return IMAGES[key]

    ahead = Ahead(opener, lambda: ahead.model, lambda: ahead.busy)
    ahead.model, ahead.busy = model, False
    yield ahead
    ahead.close()
    assert ahead.wait(PATIENCE)


def test_in_the_order_in_which_they_are_wanted(ahead, opened, model):
    ahead.want("cab")
    assert ahead.wait(PATIENCE)
    assert opened == ["c", "a", "b"]
    assert ahead.ready == ("c", "a", "b")
    assert len(embedding_cache) == 3
    predictor = Predictor(model)
    encode = model.network.encode
    try:
        model.network.encode = None  # it is found, not computed
        predictor.set_image(IMAGES["a"])
    finally:
        model.network.encode = encode
    predictor.reset_image()


def test_what_is_wanted_no_more_is_let_go(ahead, opened):
    ahead.want("abc")
    assert ahead.wait(PATIENCE)
    ahead.want("bcd")
    assert ahead.wait(PATIENCE)
    assert opened == ["a", "b", "c", "d"]
    assert len(embedding_cache) == 3
    ahead.want("")
    assert len(embedding_cache) == 0


def test_nothing_begins_while_somebody_waits_for_the_model(ahead, opened):
    ahead.busy = True
    ahead.want("a")
    assert not ahead.wait(0.02)
    assert opened == []
    ahead.busy = False
    assert ahead.wait(PATIENCE)
    assert ahead.ready == ("a",)


def test_nothing_begins_before_there_is_a_model(ahead, model):
    ahead.model = None
    ahead.want("a")
    assert not ahead.wait(0.02)
    ahead.model = model
    assert ahead.wait(PATIENCE)
    assert ahead.ready == ("a",)


def test_another_model_embeds_anew(ahead, opened, model):
    ahead.want("a")
    assert ahead.wait(PATIENCE)
    ahead.model = replace(model, sha256="cd" * 32)
    ahead.want("a")
    assert ahead.wait(PATIENCE)
    assert opened == ["a", "a"]
    assert len(embedding_cache) == 1


def test_what_cannot_be_opened_is_tried_once(ahead, opened):
    ahead.want(["bad", "a"])
    ahead.want(["bad", "a"])
    assert ahead.wait(PATIENCE)
    assert opened == ["bad", "a"]
    assert ahead.ready == ("a",)


def test_closing_while_an_image_is_embedded(model):
    begun, gate = threading.Event(), threading.Event()

    def opener(key):
        begun.set()
        assert gate.wait(PATIENCE)
        return IMAGES[key]

    ahead = Ahead(opener, lambda: model, lambda: False)
    ahead.want("ab")
    assert begun.wait(PATIENCE)
    ahead.close()  # does not wait
    gate.set()
    assert ahead.wait(PATIENCE)
    assert ahead.ready == ()
    assert len(embedding_cache) == 0
    ahead.want("a")
    assert ahead.wait(PATIENCE)
    assert len(embedding_cache) == 0
