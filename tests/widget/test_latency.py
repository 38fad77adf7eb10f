"""A filler goes behind small answers that a page waits for, and behind nothing else."""

import threading

import pytest

from segwidget.inference.prompts import Point
from segwidget.widget.latency import SEGMENT

from .conftest import PATIENCE


@pytest.fixture
def sent(seg, monkeypatch):
    """What leaves the kernel: names of traits, or the size of a custom message's buffers."""
    kept, send = [], seg._send

    def noted(message, buffers=None):
        if message["method"] == "custom":
            kept.append((message["content"]["op"], sum(map(len, buffers))))
        else:
            kept.extend(message["state"])
        send(message, buffers)

    monkeypatch.setattr(seg, "_send", noted)
    return kept


def test_a_small_answer_is_followed_by_a_segment(seg, page, sent):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == "p-1"
    assert sent[-2:] == ["candidates", ("filler", SEGMENT)]
    assert len(page["candidates"]["logits"]) + SEGMENT <= 256_000


def test_a_large_answer_needs_none(seg, page, sent, monkeypatch):
    monkeypatch.setattr("segwidget.widget.latency.SEGMENT", 1)
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    assert sent[-1] == "candidates"


def test_python_does_not_wait_for_the_page(seg, sent):
    seg.prompts = [Point(40, 30)]
    assert "candidates" in sent
    assert not [entry for entry in sent if isinstance(entry, tuple)]


def test_an_answer_that_came_too_late_sends_nothing(seg, page, sent, predictions):
    predictions.gate = threading.Event()
    page.click(40, 30, "p-1")
    assert predictions.begun.wait(PATIENCE)
    page.do("clear")
    sent.clear()
    predictions.gate.set()
    assert seg.wait(PATIENCE)
    assert sent == []
