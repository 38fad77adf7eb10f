"""The newest question wins; an answer is shown where it was asked for, and nowhere else."""

import threading

import pytest

from segwidget.inference.prompts import Point

from .conftest import PATIENCE


@pytest.fixture
def gate(seg, predictions):
    """Answers wait until this Event is set."""
    predictions.gate = threading.Event()
    return predictions.gate


def click_alone(page, n):
    page.set(prompts=[{"type": "point", "x": n, "y": 9, "label": 1}], request=f"page-{n}")


def test_of_a_burst_the_last_is_answered_and_most_are_dropped(seg, page, gate, predictions):
    click_alone(page, 0)
    assert predictions.begun.wait(PATIENCE)
    for n in range(1, 40):
        click_alone(page, n)
    gate.set()
    assert seg.wait(PATIENCE)
    assert predictions == [(Point(0, 9),), (Point(39, 9),)]
    assert page["candidates"]["request"] == "page-39"
    assert [c["request"] for c in page.updates("candidates") if c] == ["page-39"]
    assert not page.waiting


def test_a_stale_answer_does_not_overwrite_what_python_has_set_meanwhile(
    seg, page, gate, predictions
):
    click_alone(page, 1)
    assert predictions.begun.wait(PATIENCE)
    done = threading.Event()

    def set_prompts():
        seg.prompts = [Point(50, 40)]
        done.set()

    thread = threading.Thread(target=set_prompts)
    thread.start()
    gate.set()
    assert done.wait(PATIENCE)
    thread.join(PATIENCE)
    assert seg.wait(PATIENCE)
    assert seg.prompts == (Point(50, 40),)
    assert page["request"] == page["candidates"]["request"] == "kernel-1"
    expected = seg._answerer.answer(seg._session.draft).candidates
    assert seg.candidates is expected


def test_an_answer_to_a_dropped_draft_is_not_shown(seg, page, gate, predictions):
    click_alone(page, 1)
    assert predictions.begun.wait(PATIENCE)
    page.do("clear")
    gate.set()
    assert seg.wait(PATIENCE)
    assert seg.candidates is None
    assert page.updates("candidates") in ([], [None])
    assert page["prompts"] == []


def test_clearing_drops_the_question_that_waits(seg, page, gate, predictions):
    click_alone(page, 1)
    assert predictions.begun.wait(PATIENCE)
    click_alone(page, 2)
    page.do("clear")
    gate.set()
    assert seg.wait(PATIENCE)
    assert predictions == [(Point(1, 9),)]


def test_a_pick_meanwhile_does_not_spoil_the_answer(seg, page, gate, predictions):
    click_alone(page, 1)
    assert predictions.begun.wait(PATIENCE)
    page.set(picked=2)
    gate.set()
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == "page-1"
    assert seg.picked == page["picked"] == 2


def test_the_same_draft_asked_anew_is_answered_by_the_newest_name(seg, page, gate, predictions):
    click_alone(page, 1)
    assert predictions.begun.wait(PATIENCE)
    page.do("undo")
    page.do("redo")
    gate.set()
    assert seg.wait(PATIENCE)
    assert [c["request"] for c in page.updates("candidates") if c] == [page["request"]]
    assert not page.waiting


def test_an_undo_while_an_answer_is_awaited_has_a_name_of_its_own(seg, page, predictions):
    click_alone(page, 1)
    assert seg.wait(PATIENCE)
    predictions.gate = threading.Event()
    predictions.begun.clear()
    page.click(30, 30, "page-2")
    assert predictions.begun.wait(PATIENCE)
    page.do("undo")
    assert page["request"] not in ("page-1", "page-2")
    predictions.gate.set()
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == page["request"]
    assert len(page["prompts"]) == 1
    page.do("keep", request="page-2", picked=0)  # was never on screen
    assert page["notice"]["request"] == "page-2"
    assert page["annotations"] == []


def test_two_pages_questions_keep_their_names(seg, page):
    for view in ("left", "right", "left"):
        for n in (1, 2):
            name = f"{view}-{n}"
            page.click(n, 5, name)
            assert seg.wait(PATIENCE)
            assert page["candidates"]["request"] == name


def test_a_question_that_fails_is_answered_with_a_notice_and_the_next_one_works(
    seg, page, predictions
):
    predictions.error = RuntimeError("out of memory")
    click_alone(page, 1)
    assert seg.wait(PATIENCE)
    assert page["notice"]["request"] == "page-1"
    assert "RuntimeError: out of memory" in page["notice"]["message"]
    assert not page.waiting
    predictions.error = None
    click_alone(page, 2)
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == "page-2"


def test_a_question_from_python_that_fails_changes_nothing(seg, page, predictions):
    seg.prompts = [Point(5, 5)]
    candidates, history = seg.candidates, seg.history
    predictions.error = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        seg.prompts = [Point(6, 6)]
    assert seg.prompts == (Point(5, 5),)
    assert page["prompts"] == [{"type": "point", "x": 5, "y": 5, "label": 1}]
    assert seg.candidates is candidates
    assert seg.history == history
    assert not page.waiting


def test_an_answer_that_cannot_be_sent_is_reported_by_name(seg, page, monkeypatch):
    monkeypatch.setattr(type(seg), "_show", lambda *_: 1 / 0)
    click_alone(page, 1)
    assert seg.wait(PATIENCE)
    assert page["notice"]["request"] == "page-1"


def test_waiting_has_an_end(seg, page, gate, predictions):
    click_alone(page, 1)
    assert not seg.wait(0.01)
    gate.set()
    assert seg.wait(PATIENCE)
