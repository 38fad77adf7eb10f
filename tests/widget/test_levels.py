"""The preferred level is picked for a page's click, and learned from what a page keeps."""

import numpy as np
import pytest

from segwidget.inference.candidates import Candidates
from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import Box, Point
from segwidget.widget.levels import by_size, is_ambiguous

from .conftest import PATIENCE

SIZES = [("whole", 0), ("part", 1), ("subpart", 2)]


def answered(seg, page, request="p-1", label=1):
    page.click(40, 30, request, label=label)
    assert seg.wait(PATIENCE)
    return by_size(seg.candidates)


def test_the_order_is_that_of_the_masks():
    logits = np.full((4, 8, 8), -1, np.float32)
    for i, count in enumerate([3, 9, 1, 20]):
        logits[i].flat[:count] = 1
    frame = Frame(8, 8, 32, 8)
    assert by_size(Candidates(logits, np.zeros(4, np.float32), frame, (2, 1, 3, 0))) == [1, 0, 2]
    assert by_size(
        Candidates(logits[[0, 0, 0, 3]], np.zeros(4, np.float32), frame, (3, 1, 2, 0))
    ) == [0, 1, 2]


def test_what_is_ambiguous():
    assert is_ambiguous([Point(1, 1)])
    for prompts in ([], [Point(1, 1, 0)], [Box(1, 1, 2, 2)], [Point(1, 1), Point(2, 2)]):
        assert not is_ambiguous(prompts)


@pytest.mark.parametrize(("level", "place"), SIZES)
def test_a_pages_click_is_picked_by_level(seg, page, level, place):
    page.set(level=level)
    assert seg.level == level
    order = answered(seg, page)
    assert seg.picked == page["picked"] == order[place]
    assert seg.history["undo"] == "point"  # no step of its own
    page.do("undo")
    assert seg.prompts == ()
    page.do("redo")
    assert seg.wait(PATIENCE)
    assert seg.picked == order[place]


def test_the_best_is_the_first(seg, page):
    answered(seg, page)
    assert seg.picked == 0


def test_python_and_richer_prompts_are_left_alone(seg, page):
    seg.level = "subpart"
    seg.prompts = [Point(40, 30)]
    assert seg.picked == 0
    seg.clear()
    answered(seg, page, "p-1", label=0)
    assert seg.picked == 0
    answered(seg, page, "p-2")
    assert seg.picked == 0


def test_a_persons_own_pick_stays(seg, page):
    seg.level = "subpart"
    order = answered(seg, page)
    other = next(i for i in range(1, 4) if i != order[2])
    page.set(picked=other)
    page.set(
        prompts=[*page["prompts"], {"type": "point", "x": 9, "y": 9, "label": 0}], request="p-2"
    )
    assert seg.wait(PATIENCE)
    page.do("undo")
    assert seg.wait(PATIENCE)
    assert seg.picked == other


@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_a_page_keeps_is_preferred_next_time(seg, page, place):
    order = answered(seg, page)
    index = order[place]
    page.do("keep", request="p-1", picked=index)
    assert seg.level == page["level"] == ("best" if index == 0 else SIZES[place][0])
    seg.level = "part"
    answered(seg, page, "p-2")
    page.do("keep", request="p-2", picked=index)
    assert seg.level == SIZES[place][0]


def test_what_says_nothing_of_levels_changes_none(seg, page):
    order = answered(seg, page)
    single = next(i for i in range(4) if i not in order)
    page.do("keep", request="p-1", picked=single)  # the single mask's token
    assert seg.level == "best"
    seg.prompts = [Point(20, 20)]
    seg.picked = 2
    seg.keep()  # by Python
    assert seg.level == "best"
    seg.level = "whole"
    answered(seg, page, "p-2")
    page.set(
        prompts=[*page["prompts"], {"type": "point", "x": 9, "y": 9, "label": 0}], request="p-3"
    )
    assert seg.wait(PATIENCE)
    page.do("keep", request="p-3", picked=1)
    assert seg.level == "whole"


def test_an_unknown_level_is_refused(seg, page):
    page.set(level="everything")
    assert page["level"] == seg.level == "best"
    assert page["notice"]["level"] == "error"
