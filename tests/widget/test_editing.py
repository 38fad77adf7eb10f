"""What is kept is painted, tidied, combined, moved and started from, by Python and by a page."""

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation
from segwidget.errors import AnnotationError, ClosedError, PromptError
from segwidget.inference.prompts import MaskPrompt, Point, Polygon
from segwidget.inference.rle import Rle

from .conftest import HEIGHT, PATIENCE, WIDTH

OUTLINE = {"type": "polygon", "points": [[20, 15], [60, 15], [40, 45]], "tolerance": 4}


def square(x=10, y=10, side=20):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + side, x : x + side] = True
    return mask


@pytest.fixture
def kept(seg):
    """Three squares apart: a, b and c."""
    names = zip("abc", (5, 30, 55), strict=True)
    seg.annotations = [Annotation.from_mask(square(x), label="car", id=name) for name, x in names]
    return seg.annotations.items


def undone(seg, before):
    seg.undo()
    return seg.annotations.items == before


def test_python_paints_and_erases(seg, page, kept):
    done = seg.paint("a", [(5, 30), (25, 30)], 3)
    assert done is seg.annotations[0]
    assert done.area > 400
    assert done.edits == ("paint",)
    assert page["annotations"][0]["rle"]["counts"] == done.rle.counts
    assert seg.paint("a", np.array([(5.0, 30.0), (25.0, 30.0)]), 3, add=False).area < 400
    assert seg.annotations[0].edits == ("paint", "erase")
    assert seg.history["undo"] == "erase car"
    seg.undo()
    assert undone(seg, kept)


def test_a_page_paints(seg, page, kept):
    page.do("paint", id="a", add=True, radius=3, points=[[5, 30], [25, 30.5]])
    assert seg.annotations[0].edits == ("paint",)
    assert page["notice"] is None
    page.do("paint", id="a", add=False, radius=1000, points=[[5, 30]])
    assert "radius" in page["notice"]["message"]
    page.do("paint", id="a", add=False, radius=70, points=[[15, 20]])
    assert "delete it" in page["notice"]["message"]
    page.do("paint", id="gone", add=False, radius=70, points=[[15, 20]])
    assert "no annotation" in page["notice"]["message"]
    assert seg.history["undo"] == "paint car"


def test_tidying_is_one_step(seg, page, kept):
    holed = square(5)
    holed[15, 12] = False
    holed[50, 70] = True
    seg.paint("b", [(40, 20)], 1.5, add=False)
    seg.annotations = [Annotation.from_mask(holed, label="car", id="a"), *seg.annotations.items[1:]]
    before = seg.annotations.items
    page.do("tidy", ids=["a", "b", "c"], holes=20, islands=5)
    assert [a.area for a in seg.annotations] == [400, 400, 400]
    assert [a.edits for a in seg.annotations] == [("tidy",), ("erase", "tidy"), ()]
    assert seg.history["undo"] == "tidy 3 masks"
    assert undone(seg, before)
    assert [a.area for a in seg.tidy("a", islands=2)] == [399]


@pytest.mark.parametrize("how", ["add", "subtract", "intersect"])
@pytest.mark.parametrize("by", ["python", "page"])
def test_a_draft_is_combined(seg, page, kept, how, by):
    page.click(24, 20, "p-1")
    assert seg.wait(PATIENCE)
    mask, old = seg.candidates.mask(1, 0.5), kept[0].mask
    if by == "page":
        page.do("combine", id="a", how=how, request="p-1", picked=1, threshold=0.5)
    else:
        seg.pick(1)
        seg.combine("a", how, threshold=0.5)
    expected = {"add": old | mask, "subtract": old & ~mask, "intersect": old & mask}[how]
    assert np.array_equal(seg.annotations[0].mask, expected)
    assert seg.annotations[0].edits == (how,)
    assert seg.prompts == () == tuple(page["prompts"])
    assert page["notice"] is None
    seg.undo()
    assert seg.prompts == (Point(24, 20),)
    assert seg.annotations.items == kept


def test_combining_needs_a_draft_that_is_shown(seg, page, kept):
    with pytest.raises(AnnotationError, match="no draft to combine"):
        seg.combine("a", "add")
    page.do("combine", id="a", how="add", request="p-9", picked=0)
    assert "no longer here" in page["notice"]["message"]
    page.click(20, 20, "p-1")
    assert seg.wait(PATIENCE)
    page.do("combine", id="a", how="multiply", request="p-1", picked=0)
    assert "add, subtract, intersect" in page["notice"]["message"]
    page.do("combine", id="c", how="intersect", request="p-1", picked=0)
    assert "delete it" in page["notice"]["message"]
    assert seg.prompts == (Point(20, 20),)


def test_a_page_reorders(seg, page, kept):
    page.do("reorder", ids=["a"], to="front")
    assert [a["id"] for a in page["annotations"]] == ["b", "c", "a"]
    assert seg.history["undo"] == "car to front"
    page.do("reorder", ids=["a"], to="sideways")
    assert "front, back" in page["notice"]["message"]


def test_a_page_refines_what_is_kept(seg, page, kept):
    seg.relabel(["b"], "person")
    page.do("start_from", id="b")
    assert seg.wait(PATIENCE)
    assert page["prompts"] == [{"type": "mask", "rle": kept[1].rle.to_dict()}]
    assert page["label"] == "person"
    assert [p["type"] for p in page["candidates"]["derived"]] == ["box", "point"]
    page.set(
        prompts=[*page["prompts"], {"type": "point", "x": 32, "y": 12, "label": 0}], request="p-2"
    )
    assert seg.wait(PATIENCE)
    page.do("keep", request="p-2", picked=0)
    assert [a.id for a in seg.annotations] == ["a", "b", "c"]
    b = seg.annotations[1]
    assert (b.label, b.edits) == ("person", ())
    assert b.prompts == (MaskPrompt(kept[1].rle), Point(32, 12, 0))
    assert seg.history["undo"] == "refine person"
    page.do("undo")
    assert np.array_equal(seg.annotations[1].mask, kept[1].mask)
    assert len(seg.prompts) == 2


def test_python_starts_from_any_mask(seg, kept):
    for given in (square(7), Rle.encode(square(7)), Annotation.from_mask(square(7), label="x")):
        seg.start_from(given)
        assert seg.prompts == (MaskPrompt.of(square(7)),)
        assert len(seg.candidates) == 4
        assert seg._session.draft.replaces == ""
    assert seg.keep().id not in "abc"
    seg.start_from(kept[0])
    assert seg.keep().id == "a"
    assert len(seg.annotations) == 4
    for wrong, error in [(np.ones((3, 3), bool), PromptError), ("z", AnnotationError)]:
        with pytest.raises(error):
            seg.start_from(wrong)


def test_a_page_draws_a_polygon(seg, page):
    page.set(prompts=[OUTLINE], request="p-1")
    assert seg.wait(PATIENCE)
    assert seg.prompts == (Polygon([(20, 15), (60, 15), (40, 45)], 4),)
    assert page["candidates"]["tokens"][0] == 0
    box, *points = page["candidates"]["derived"]
    assert box == {"type": "box", "x0": 20, "y0": 15, "x1": 60, "y1": 45}
    assert 1 <= len(points) <= 3
    page.do("keep", request="p-1", picked=0)
    (kept,) = seg.annotations
    assert kept.prompts[0].tolerance == 4
    x0, y0, x1, y1 = kept.box
    assert x0 > 14
    assert y0 > 9
    assert x1 < 66
    assert y1 < 51
    page.set(prompts=[OUTLINE, {"type": "box", "x0": 1, "y0": 1, "x1": 9, "y1": 9}], request="p-2")
    assert "several outlines" in page["notice"]["message"]


def test_protection(seg, page, kept):
    page.set(protect=True)
    assert seg.protect
    seg.paint("a", [(20, 20), (45, 20)], 4)
    seg.prompts = [Point(30, 20)]
    seg.keep()
    masks = [a.mask.astype(int) for a in seg.annotations]
    assert sum(masks).max() == 1
    assert seg.annotations[3].edits == ("protect",)
    page.click(40, 20, "p-1")  # in the middle of b
    assert seg.wait(PATIENCE)
    page.do("keep", request="p-1", picked=int(np.argmin(seg.candidates.area)))
    assert "protected" in page["notice"]["message"]
    assert len(seg.annotations) == 4
    seg.protect = False
    assert page["protect"] is False
    seg.keep()
    assert len(seg.annotations) == 5


def test_a_closed_widget_edits_nothing(seg, kept):
    seg.close()
    for edit in (
        lambda: seg.paint("a", [(5, 30)], 3),
        lambda: seg.tidy("a", islands=3),
        lambda: seg.combine("a", "add"),
        lambda: seg.reorder(["a"], "front"),
        lambda: seg.start_from("a"),
    ):
        with pytest.raises(ClosedError):
            edit()
