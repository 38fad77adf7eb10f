"""The picture in a notebook, which follows what is kept."""

from __future__ import annotations

import base64
import sys
import threading
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from IPython import display as ipython_display
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation
from segwidget.widget import still
from segwidget.widget.snapshot import MARK

from .conftest import PATIENCE

LIVE = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def notebook(monkeypatch):
    """What a notebook is told: displays, and updates of them by their ids."""

    class Notebook:
        displays: list[tuple[dict, str | None]]
        updates: list[tuple[dict, str | None]]
        updated = threading.Event()

    told = Notebook()
    told.displays, told.updates, told.updated = [], [], threading.Event()

    def display(data, *, raw, display_id=None, metadata=None):
        assert raw
        told.displays.append((data, display_id))

    def update(data, *, raw, display_id):
        assert raw
        told.updates.append((data, display_id))
        told.updated.set()

    shell = SimpleNamespace(kernel=object(), parent_header={})
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    monkeypatch.setattr(ipython_display, "display", display)
    monkeypatch.setattr(ipython_display, "update_display", update)
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/work.ipynb")
    monkeypatch.setattr(still, "REST", 0.01)
    return told


def pixels(bundle):
    with PILImage.open(BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
        assert MARK in picture.text
        return np.asarray(picture.convert("RGB"), int)


def kept(picture):
    mask = np.zeros(picture.shape[:2], bool)
    mask[10:30, 10:30] = True
    return Annotation.from_mask(mask, label="car")


def test_the_picture_comes_before_the_live_view_and_follows_what_is_kept(notebook, seg, picture):
    seg.annotations = [kept(picture)]
    assert not notebook.updates  # it is nowhere yet
    seg.annotations = []
    seg._ipython_display_()
    (first, name), (rule, nobody), (live, unnamed) = notebook.displays
    assert (set(first), set(live)) == ({"image/png", "text/plain"}, {LIVE, "text/plain"})
    assert name
    assert (nobody, unnamed) == (None, None)
    assert rule["text/html"].startswith(f'<style class="{still.RULE}">')
    assert rule["text/plain"] == ""

    for _ in range(3):  # a burst is drawn once it is over
        seg.annotations = []
        seg.annotations = [kept(picture)]
    assert notebook.updated.wait(PATIENCE)
    seg.close()
    last, same = notebook.updates[-1]
    assert same == name
    changed = (pixels(last) != pixels(first)).any(axis=2)
    assert changed[10:30, 10:30].mean() > 0.9
    assert changed.sum() <= 400


def test_where_nothing_has_changed_nothing_is_drawn_anew(notebook, seg, monkeypatch):
    monkeypatch.setattr(still, "REST", 1000.0)
    seg._ipython_display_()
    seg.close()
    assert not notebook.updates  # nothing has changed


def test_a_change_that_was_about_to_be_drawn_is_not_lost(notebook, seg, picture, monkeypatch):
    monkeypatch.setattr(still, "REST", 1000.0)
    seg._ipython_display_()
    seg.annotations = [kept(picture)]
    seg.close()
    [(data, _)] = notebook.updates
    assert (pixels(data) != pixels(notebook.displays[0][0])).any()


def test_a_picture_that_cannot_be_drawn_stops_nothing(notebook, seg, picture, monkeypatch, caplog):
    seg._ipython_display_()
    monkeypatch.setattr(type(seg), "snapshot", lambda *_: 1 / 0)
    seg.annotations = [kept(picture)]
    seg.close()
    assert len(seg.annotations) == 1
    assert not notebook.updates
    assert "is not of now" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"), [("JPY_SESSION_NAME", ""), ("JPY_SESSION_NAME", "a-jvsc-1f2e.ipynb")]
)
def test_elsewhere_the_picture_stays_in_the_live_views_output(
    notebook, seg, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    with pytest.raises(NotImplementedError):
        seg._ipython_display_()
    data, _ = seg._repr_mimebundle_()
    assert {LIVE, "image/png"} <= set(data)
    assert not notebook.displays
