"""Observers are anybody's code: they may change what they are told of, and they may fail."""

import pytest

from segwidget.inference.prompts import Point

from .conftest import PATIENCE

DOT = {"type": "point", "x": 40, "y": 30, "label": 1}


def test_an_observer_may_keep_and_go_on(seg, page):
    """Whoever wants each click kept at once can have it so."""
    seg.observe(lambda change: change["new"] is not None and seg.keep(), "candidates")
    for n, x in enumerate((20, 40, 60)):
        page.click(x, 30, f"page-{n}")
        assert seg.wait(PATIENCE)
    assert [a.prompts[0].x for a in seg.annotations] == [20, 40, 60]
    assert page["prompts"] == []
    assert page["candidates"] is None
    assert page["notice"] is None


def test_what_an_observer_asks_is_answered_in_its_next_line(seg, page):
    found = []

    def ask_beside(change):
        if len(change["new"]) == 1:
            seg.prompts = [*change["new"], Point(1, 1, 0)]
            found.append(len(seg.candidates))

    seg.observe(ask_beside, "prompts")
    page.click(40, 30, "page-1")
    assert seg.wait(PATIENCE)
    assert found == [4]
    assert len(seg._session.draft.prompts) == len(seg.prompts) == len(page["prompts"]) == 2
    assert page["candidates"]["request"] == page["request"] == seg.request


def test_an_observer_may_choose_the_next_label(seg, page):
    seg.observe(lambda _: setattr(seg, "label", "person"), "annotations")
    seg.prompts = [DOT]
    assert seg.keep().label == "car"
    assert seg.label == page["label"] == seg._session.label == "person"


@pytest.mark.parametrize("name", ["prompts", "request", "candidates", "picked", "history"])
def test_an_observer_that_fails_is_shown_and_stops_nothing(seg, page, name):
    seg.observe(lambda _: 1 / 0, name)
    page.click(40, 30, "page-1")
    page.set(picked=1)
    assert seg.wait(PATIENCE)
    assert "ZeroDivisionError" in page["notice"]["message"]
    assert page["candidates"]["request"] == "page-1"
    assert seg._session.draft.prompts == seg.prompts == (Point(40, 30),)
    assert seg._session.draft.picked == seg.picked == 1
    page.do("keep", request="page-1", picked=1)
    assert len(page["annotations"]) == 1
