"""Python has pages select a kept mask, once."""

import pytest

from segwidget import Point
from segwidget.errors import AnnotationError, ClosedError

from .conftest import PATIENCE, Page


@pytest.fixture
def seg(make):
    seg = make()
    assert seg.wait(PATIENCE)
    for x in (20, 50):
        seg.prompts = [Point(x, 30)]
        seg.keep()
    return seg


def test_a_mask_is_selected_until_a_page_has_done_so(seg):
    page, ids = Page(seg), [a.id for a in seg.annotations]
    assert page["selection"] == ""
    seg.select(ids[0])
    assert page["selection"] == ids[0]
    page.do("selected", id=ids[0])
    assert page["selection"] == seg.selection == ""


def test_the_same_mask_is_selected_again_and_a_late_word_about_another_is_let_pass(seg):
    page, (first, second) = Page(seg), [a.id for a in seg.annotations]
    seg.select(first)
    seg.select(first)
    assert page.updates("selection")[-3:] == [first, "", first]
    seg.select(second)
    page.do("selected", id=first)
    assert page["selection"] == second


def test_what_is_not_there_cannot_be_selected(seg):
    for wrong in ("nobody", "", "x" * 10_000):
        with pytest.raises(AnnotationError, match="one of the 2 in") as told:
            seg.select(wrong)
        assert len(str(told.value)) < 200
    assert seg.selection == ""
    seg.close()
    with pytest.raises(ClosedError):
        seg.select(seg.annotations[0].id)


def test_a_page_cannot_set_it(seg):
    Page(seg).set(selection=seg.annotations[0].id)
    assert seg.selection == ""
    assert seg.notice is None
