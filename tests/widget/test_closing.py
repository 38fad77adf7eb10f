"""Closing frees everything but the work, and nothing is left over however often."""

import gc
import threading
import weakref

import ipywidgets.widgets.widget as widget_module
import numpy as np
import pytest

from segwidget.errors import ClosedError
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.prompts import Point

from .conftest import PATIENCE, Page, join, live_widgets

DOT = Point(40, 30)


@pytest.fixture
def closed(seg):
    seg.prompts = [DOT]
    seg.keep()
    seg.prompts = [DOT]
    seg.close()
    return seg


@pytest.mark.parametrize(
    "use",
    [
        lambda seg: setattr(seg, "prompts", [Point(1, 1)]),
        lambda seg: setattr(seg, "prompts", []),
        lambda seg: setattr(seg, "picked", 1),
        lambda seg: setattr(seg, "labels", ["car", "tree"]),
        lambda seg: setattr(seg, "label", "person"),
        lambda seg: setattr(seg, "annotations", []),
        lambda seg: seg.keep(),
        lambda seg: seg.keep_shown("kernel-1", 0),
        lambda seg: seg.clear(),
        lambda seg: seg.undo(),
        lambda seg: seg.redo(),
        lambda seg: seg.delete([]),
        lambda seg: seg.relabel([], "car"),
        lambda seg: seg.show([]),
        lambda seg: seg.add_label("tree"),
        lambda seg: seg.pick(1),
        lambda seg: seg.use_model("embedded"),
        lambda seg: seg.download_model("vit_b"),
    ],
)
def test_a_closed_widget_says_so_and_keeps_its_work(closed, use):
    before = closed._session.snapshot
    with pytest.raises(ClosedError, match="Run its cell again"):
        use(closed)
    assert closed._session.snapshot == before
    assert closed.prompts == (DOT,)
    assert (closed.picked, closed.label) == (0, "car")
    assert len(closed.annotations) == 1


def test_what_was_kept_can_still_be_read_and_saved(closed, tmp_path):
    assert closed.masks.sum() == closed.annotations[0].area
    assert len(closed.annotations.to_dataframe()) == 1
    assert closed.annotations.save(tmp_path / "a.coco.json").exists()
    assert len(closed.candidates.masks) == 4
    assert closed.get_state("candidates") == {"candidates": None}
    assert "Segmenter" in repr(closed)
    assert closed.wait(PATIENCE)


def test_a_late_message_of_a_page_is_let_pass(closed):
    closed.set_state({"prompts": [], "request": "late"})
    closed._handle_custom_msg({"op": "undo"}, [])
    closed._handle_custom_msg({"op": "dismiss", "id": "x"}, [])
    assert len(closed.annotations) == 1
    assert closed.notice is None


def test_closing_frees_the_embedding_and_the_thread(seg):
    assert len(embedding_cache) == 1
    thread = seg._answerer._worker._thread
    seg.close()
    assert len(embedding_cache) == 0
    thread.join(PATIENCE)
    assert not thread.is_alive()
    seg.close()
    assert live_widgets() == []


def test_an_embedding_stays_as_long_as_another_widget_has_the_image(make):
    one, two = make(), make()
    assert one.wait(PATIENCE)
    assert two.wait(PATIENCE)
    assert len(embedding_cache) == 1
    one.close()
    one.close()
    assert len(embedding_cache) == 1
    two.prompts = [DOT]
    two.close()
    assert len(embedding_cache) == 0


def test_closing_does_not_wait_for_the_model_and_lets_go_of_it(make, loads):
    loads.gate = threading.Event()
    seg = make()
    page = Page(seg)
    seg.close()
    loads.gate.set()
    join(seg)
    assert len(embedding_cache) == 0
    assert seg._answerer._opened is None
    assert page["status"]["state"] == "loading"
    assert page["notice"] is None


def test_closing_while_an_answer_is_computed(seg, page, predictions):
    predictions.gate = threading.Event()
    page.click(40, 30, "p-1")
    assert predictions.begun.wait(PATIENCE)
    comm = seg.comm
    closer = threading.Thread(target=seg.close)
    closer.start()
    comm.wait_closed()
    predictions.gate.set()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    join(seg)
    assert len(embedding_cache) == 0
    assert seg.candidates is None
    assert seg.notice is None


def test_closing_all_widgets_closes_ours(seg):
    widget_module.Widget.close_all()
    with pytest.raises(ClosedError):
        seg.undo()
    assert len(embedding_cache) == 0


def test_closing_again_and_again_leaks_nothing(make, picture):
    threads = set(threading.enumerate())
    widgets = len(widget_module._instances)
    images = []
    for n in range(50):
        seg = make(np.roll(picture, n, axis=1))
        if n % 3:
            seg.prompts = [DOT]
            seg.keep()
        if n % 2:
            Page(seg).click(20, 20, "p-1")
        images.append(weakref.ref(seg.image))
        seg.close()
        join(seg)
        assert len(embedding_cache) == 0
    assert set(threading.enumerate()) <= threads
    assert live_widgets() == []
    assert len(widget_module._instances) == widgets  # their layouts are widgets, too
    make.forget()
    del seg
    gc.collect()
    assert sum(image() is not None for image in images) == 0
