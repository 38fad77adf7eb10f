"""Python, a page and the worker may all speak at once; nothing hangs and nothing is mixed up."""

import random
import threading
from contextlib import contextmanager

import pytest

from segwidget.errors import SegwidgetError
from segwidget.inference.prompts import Point

from .conftest import PATIENCE, Page

ROUNDS = 60


def run_together(*jobs):
    """Run jobs on threads of their own; answer what they raised. Hanging fails the test."""
    errors, start = [], threading.Barrier(len(jobs))

    def guarded(job):
        start.wait(PATIENCE)
        try:
            job()
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "a deadlock"
    return errors


def in_step(seg, page):
    """Session, traits and page hold the same."""
    session, candidates = seg._session, page["candidates"]
    assert seg.prompts == session.draft.prompts
    assert seg.picked == session.draft.picked == page["picked"]
    assert seg.label == session.label == page["label"]
    assert seg.labels == session.labels
    assert seg.annotations.items == session.annotations
    assert [a["id"] for a in page["annotations"]] == [a.id for a in session.annotations]
    assert page["history"] == {"undo": session.undo_name, "redo": session.redo_name}
    assert page["history"] == seg.history
    assert len(page["prompts"]) == len(seg.prompts)
    assert not page.waiting
    if seg.prompts:
        assert candidates["request"] == seg.request == page["request"]
        assert seg.candidates is seg._answerer.answer(session.draft).candidates
    else:
        assert candidates is seg.candidates is None
    assert not seg._holding_sync
    assert not seg._from_page
    assert "notify_change" not in seg.__dict__  # nobody holds notifications back for good


def python_talks(seg, seed, errors):
    rng = random.Random(seed)
    for n in range(ROUNDS):
        try:
            what = rng.randrange(9)
            if what < 3:
                prompts = [Point(rng.randrange(80), rng.randrange(60)) for _ in range(1 + n % 2)]
                seg.prompts = prompts
            elif what == 3:
                seg.picked = rng.randrange(4)
            elif what == 4:
                seg.keep()
            elif what == 5:
                rng.choice([seg.undo, seg.redo])()
            elif what == 6:
                seg.label = rng.choice(["car", "person"])
            elif what == 7:
                seg.height = 200 + n
            else:
                seg.annotations = seg.annotations[-3:]
        except SegwidgetError as e:
            errors.append(e)  # such as nothing to keep, for a page has cleared the draft


def page_talks(seg, name, seed):
    """Straight to the widget: a real page's view of things lags behind anyway."""
    rng = random.Random(seed)
    for n in range(ROUNDS):
        what = rng.randrange(8)
        if what < 4:
            dot = {"type": "point", "x": rng.randrange(80), "y": rng.randrange(60), "label": 1}
            seg.set_state({"prompts": [dot], "request": f"{name}-{n}"})
        elif what == 4:
            seg.set_state({"picked": rng.randrange(5)})
        elif what == 5:
            seg._handle_custom_msg({"op": rng.choice(["undo", "redo", "clear"])}, [])
        elif what == 6:
            keep = {"op": "keep", "request": f"{name}-{n - 1}", "picked": rng.randrange(4)}
            seg._handle_custom_msg(keep, [])
        else:
            seg.set_state({"label": rng.choice(["car", "person", "nothing"])})


@pytest.mark.parametrize("seed", range(3))
def test_everybody_at_once(make, seed):
    """The model is still being loaded when they begin."""
    seg = make()
    page, refused = Page(seg), []
    unexpected = run_together(
        lambda: python_talks(seg, seed, refused),
        lambda: python_talks(seg, seed + 10, refused),
        lambda: page_talks(seg, "left", seed + 20),
        lambda: page_talks(seg, "right", seed + 30),
    )
    assert unexpected == []
    assert seg.wait(PATIENCE)
    # A page that wrote a trait shows its own value until it is told otherwise, and these pages
    # wrote without looking; so ask for the state as a page does that is loaded anew.
    page.comm.handler({"content": {"data": {"method": "request_state"}}, "buffers": []})
    in_step(seg, page)


def test_python_is_answered_in_its_next_line_whatever_a_page_says(seg):
    wrong = []

    def ask():
        for n in range(ROUNDS):
            with seg._lock:  # as one cell that asks and reads
                seg.prompts = [Point(n, 5), Point(5, n % 60)]
                answer = seg._answerer.answer(seg._session.draft)
                if seg.candidates is not answer.candidates:
                    wrong.append(n)

    assert run_together(ask, lambda: page_talks(seg, "left", 5)) == []
    assert wrong == []


def test_a_page_that_holds_notifications_back_holds_back_nobody_elses(seg, monkeypatch):
    """ipywidgets holds them for the whole widget while it takes a page's message over."""
    inside, done, found = threading.Event(), threading.Event(), []
    hold = seg.hold_trait_notifications

    @contextmanager
    def slow_hold():
        with hold():
            yield
            inside.set()
            done.wait(0.2)  # somebody else who does not take turns would be done by then

    monkeypatch.setattr(type(seg), "hold_trait_notifications", lambda self: slow_hold())

    def python():
        assert inside.wait(PATIENCE)
        seg.prompts = [Point(5, 5)]
        found.append(seg.candidates)
        done.set()

    dot = {"type": "point", "x": 40, "y": 30, "label": 1}
    page = {"prompts": [dot], "request": "p-1"}
    assert run_together(python, lambda: seg.set_state(page)) == []
    assert seg.wait(PATIENCE)
    assert seg.prompts == (Point(5, 5),)
    assert found == [seg.candidates]
    assert len(seg.candidates) == 4


def test_observers_on_many_threads_see_only_whole_values(seg):
    seen = []
    seg.observe(lambda change: seen.append(change["new"]), "candidates")
    refused = []
    assert (
        run_together(
            lambda: python_talks(seg, 1, refused),
            lambda: page_talks(seg, "left", 2),
        )
        == []
    )
    assert seg.wait(PATIENCE)
    assert seen
    assert all(value is None or len(value) == 4 for value in seen)


@pytest.mark.parametrize("n", range(10))
def test_the_first_question_and_the_loading_do_not_wait_for_each_other(make, n):
    """Whoever asks holds the widget's lock; who loads tells the widget when it is done."""
    seg = make()

    def ask():
        seg.prompts = [Point(n, n)]

    assert run_together(ask, lambda: seg.wait(PATIENCE), lambda: seg.height) == []
    assert seg.wait(PATIENCE)
    assert seg.status["state"] == "ready"
    assert len(seg.candidates) == 4


@pytest.mark.parametrize("seed", range(5))
def test_closing_while_everybody_speaks(make, seed):
    seg, refused = make(), []
    errors = run_together(
        lambda: python_talks(seg, seed, refused),
        lambda: page_talks(seg, "left", seed),
        seg.close,
        seg.close,
    )
    assert errors == []
    assert seg._closed
    assert len(seg.masks) == len(seg.annotations)
