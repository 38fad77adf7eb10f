"""State works both ways: Python moves the page, the page Python, and nonsense nothing."""

import json

import numpy as np
import pytest
import traitlets

from segwidget.annotation.annotation import Annotation
from segwidget.errors import AnnotationError, LabelError, PromptError
from segwidget.inference.dialogue import MAX_PROMPTS
from segwidget.inference.prompts import Box, Point
from segwidget.widget.binding import PAGE_WRITES

from .conftest import HEIGHT, PATIENCE, WIDTH, Page

DOT = {"type": "point", "x": 40, "y": 30, "label": 1}


def square(label="car", x=2, **fields):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[1:5, x : x + 4] = True
    return Annotation.from_mask(mask, label=label, **fields)


def changes(seg, *names):
    """What observers of these traits are told."""
    seen = []
    seg.observe(lambda change: seen.append((change["name"], change["new"])), list(names))
    return seen


# Python speaks.


def test_prompts_from_python_have_candidates_in_the_next_line(seg, page):
    seg.prompts = [Point(40, 30)]
    assert len(seg.candidates) == 4
    assert page["prompts"] == [DOT]
    assert page["candidates"]["request"] == page["request"] == seg.request
    assert not page.waiting
    one = seg.candidates
    seg.prompts = [*seg.prompts, Box(10, 10, 50, 40)]
    assert seg.candidates is not one
    assert page["candidates"]["request"] == page["request"]
    seg.prompts = []
    assert seg.candidates is None
    assert page["candidates"] is None


def test_the_page_sees_the_prompts_at_once_and_then_their_answer(seg, page):
    states = []
    receive = page.comm._receive

    def watch(data, buffers):
        receive(data, buffers)
        states.append(page.waiting)

    page.comm._receive = watch
    page.comm.sent.clear()
    seg.undo()
    seg.prompts = [DOT]
    seg.keep()
    assert states == [True, False, False]  # undo had nothing to say; prompts, answer, keep


@pytest.mark.parametrize(
    "prompts",
    [DOT, [DOT], (Point(40, 30),), Point(40, 30), [{"type": "point", "x": 40, "y": 30}]],
    ids=str,
)
def test_prompts_of_all_kinds(seg, prompts):
    seg.prompts = prompts
    assert seg.prompts == (Point(40, 30),)


@pytest.mark.parametrize(
    "prompts",
    [
        [Point(WIDTH + 1, 5)],
        [Point(5, -1)],
        [Box(0, 0, WIDTH + 5, 5)],
        [Box(1, 1, 9, 9), Box(2, 2, 9, 9)],
        [Point(1, 1)] * (MAX_PROMPTS + 1),
        [{"type": "circle"}],
        [{"type": "point", "x": float("nan"), "y": 1}],
        "a point",
        5,
        None,
        [[1, 2]],
    ],
    ids=lambda value: str(value)[:40],
)
def test_impossible_prompts_are_refused_and_change_nothing(seg, page, prompts):
    seg.prompts = [Point(40, 30)]
    candidates = seg.candidates
    with pytest.raises(PromptError):
        seg.prompts = prompts
    assert seg.prompts == (Point(40, 30),)
    assert seg.candidates is candidates
    assert page["prompts"] == [DOT]
    assert not page.waiting
    assert seg.history["undo"] == "point"


def test_picking_from_python(seg, page):
    seg.prompts = [Point(40, 30)]
    seg.picked = 2
    assert page["picked"] == 2
    seg.pick(1)
    assert page["picked"] == 1
    assert seg.keep().picked == 1


@pytest.mark.parametrize("wrong", [4, 10**30])
def test_a_pick_beyond_the_candidates_is_refused(seg, page, wrong):
    seg.prompts = [Point(40, 30)]
    with pytest.raises(AnnotationError, match="expected 0 to 3"):
        seg.picked = wrong
    assert seg.picked == page["picked"] == 0


@pytest.mark.parametrize("wrong", [-1, "1", 1.5, None])
def test_a_pick_that_is_no_index_is_refused(seg, wrong):
    with pytest.raises(traitlets.TraitError):
        seg.picked = wrong
    assert seg.picked == 0


def test_a_pick_without_a_draft_is_refused(seg, page):
    with pytest.raises(AnnotationError, match="no draft"):
        seg.picked = 1
    assert seg.picked == page["picked"] == 0


def test_labels_from_python(seg, page):
    seg.labels = {"tree": "#0f0", "car": "#f00"}
    assert page["labels"] == [
        {"name": "tree", "color": "#00ff00"},
        {"name": "car", "color": "#ff0000"},
    ]
    assert page["label"] == "car"
    assert seg.annotations.labels.names == ("tree", "car")
    seg.label = "tree"
    assert page["label"] == "tree"
    seg.prompts = [DOT]
    assert seg.keep().label == "tree"
    seg.add_label("lamp", "#123456")
    assert page["label"] == "lamp"


def test_labels_that_annotations_have_cannot_go(seg, page):
    seg.annotations = [square("car")]
    with pytest.raises(LabelError, match="'car'"):
        seg.labels = ["person"]
    assert seg.labels.names == ("car", "person")
    assert [label["name"] for label in page["labels"]] == ["car", "person"]


@pytest.mark.parametrize("wrong", ["nothing", "", "CAR"])
def test_an_unknown_label_is_refused(seg, page, wrong):
    with pytest.raises(LabelError):
        seg.label = wrong
    assert seg.label == page["label"] == "car"
    seg.prompts = [DOT]
    with pytest.raises(LabelError):
        seg.keep(wrong)
    assert len(seg.annotations) == 0
    assert len(seg.prompts) == 1


def test_annotations_from_python(seg, page):
    seg.annotations = [square("car"), square("tree", 9)]
    assert [a["label"] for a in page["annotations"]] == ["car", "tree"]
    assert seg.labels.names == ("car", "person", "tree")
    assert seg.masks.sum() == 32
    seg.annotations = seg.annotations[1:]
    assert [a["label"] for a in page["annotations"]] == ["tree"]
    seg.undo()
    assert len(seg.annotations) == len(page["annotations"]) == 2


@pytest.mark.parametrize("wrong", [None, 5, "ab", [5], [None]], ids=str)
def test_what_is_no_annotations_is_refused(seg, page, wrong):
    seg.annotations = [square()]
    with pytest.raises(AnnotationError):
        seg.annotations = wrong
    assert len(seg.annotations) == len(page["annotations"]) == 1


def test_annotations_of_another_size_are_refused(seg):
    with pytest.raises(AnnotationError, match="another image"):
        seg.annotations = [Annotation.from_mask(np.ones((5, 5), bool), label="car")]
    assert len(seg.annotations) == 0


@pytest.mark.parametrize("name", ["image", "candidates", "history", "status", "notice"])
def test_the_kernels_own_traits_cannot_be_set_from_outside(seg, name):
    before = getattr(seg, name)
    with pytest.raises(traitlets.TraitError, match="read-only"):
        setattr(seg, name, before)


def test_nothing_to_keep_is_said(seg):
    with pytest.raises(AnnotationError, match="nothing to keep"):
        seg.keep()


def test_height_can_be_changed(seg, page):
    seg.height = 700
    assert page["height"] == 700


# The page speaks.


def test_a_click_is_seen_by_observers_and_answered_by_name(seg, page):
    seen = changes(seg, "prompts", "candidates")
    page.click(40, 30, "page-1")
    assert seg.wait(PATIENCE)
    assert [name for name, _ in seen] == ["prompts", "candidates"]
    assert seen[0][1] == (Point(40, 30),)
    assert len(seen[1][1]) == 4
    assert page["candidates"]["request"] == seg.request == "page-1"
    assert page["candidates"]["shape"] == [4, 24, 32]
    assert len(page["candidates"]["logits"]) == 4 * 24 * 32


def test_what_the_page_has_said_is_not_said_back(seg, page):
    page.click(40, 30, "page-1")
    assert seg.wait(PATIENCE)
    assert page.updates("prompts") == []
    assert page.updates("request") == []


def test_a_pick_and_a_label_from_the_page(seg, page):
    page.click(40, 30, "page-1")
    page.set(picked=2)
    page.set(label="person")
    assert (seg.picked, seg.label) == (2, "person")
    assert seg.history["undo"] == "label person"
    assert seg.keep().picked == 2


def test_a_pick_before_a_prompt_of_the_same_message_refines_that_pick(seg, page):
    page.click(40, 30, "page-1")
    assert seg.wait(PATIENCE)
    page.set(picked=2, prompts=[DOT, {**DOT, "x": 10}], request="page-2")
    assert seg._session.draft.picks == (2,)
    assert seg.picked == page["picked"] == 0
    page.set(prompts=[DOT, {**DOT, "x": 10}, {**DOT, "x": 20}], request="page-3", picked=1)
    assert seg._session.draft.picks == (2, 0)
    assert seg.picked == 1
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == "page-3"


def test_the_same_prompts_by_another_name_are_answered_by_that_name(seg, page):
    seg.prompts = [DOT]
    page.set(prompts=[DOT], request="page-1")
    assert seg.wait(PATIENCE)
    assert not page.waiting
    page.set(request="page-2")
    assert seg.wait(PATIENCE)
    assert not page.waiting
    assert page["candidates"]["request"] == "page-2"


REFUSED = [
    {"prompts": [{**DOT, "x": WIDTH + 1}]},
    {"prompts": [{**DOT, "x": None}]},
    {"prompts": [{**DOT, "label": 7}]},
    {"prompts": [{**DOT, "x": "4"}]},
    {"prompts": [{**DOT, "extra": 1}]},
    {"prompts": [DOT, {"type": "box", "x0": 5, "y0": 5, "x1": 1, "y1": 9}]},
    {"prompts": [{"type": "box", "x0": 1, "y0": 1, "x1": 9, "y1": 9}] * 2},
    {"prompts": [DOT] * 10_000},
    {"prompts": "prompts"},
    {"prompts": None},
    {"prompts": {"a": 1}},
    {"prompts": [DOT, {**DOT, "x": 10}], "picked": -1},
    {"prompts": [DOT, {**DOT, "x": 10}], "label": "nothing"},
    {"prompts": [DOT, {**DOT, "x": 10}], "picked": 10**30},
    {"label": 5, "prompts": [DOT, {**DOT, "x": 10}]},
    {"picked": 1.5},
    {"picked": "2"},
    {"picked": 4},
    {"label": "nothing"},
]


@pytest.mark.parametrize("state", REFUSED, ids=lambda state: str(state)[:60])
def test_what_is_refused_changes_nothing_and_the_page_is_told(seg, page, state):
    seg.prompts = [DOT]
    before, candidates, request = seg._session.snapshot, seg.candidates, seg.request
    page.set(**state, request="page-9")
    assert seg.wait(PATIENCE)
    assert seg._session.snapshot == before
    assert (seg.prompts, seg.picked, seg.label) == ((Point(40, 30),), 0, "car")
    assert seg.candidates is candidates
    assert seg.request == request
    assert page["notice"]["request"] == "page-9"
    assert page["notice"]["level"] == "error"
    assert len(page["notice"]["message"]) > 20
    assert "unexpected" not in page["notice"]["message"] or "picked" in state or "label" in state
    assert (page["prompts"], page["picked"], page["label"]) == ([DOT], 0, "car")
    assert page["request"] == request
    assert not page.waiting
    page.click(10, 10, "page-10")
    assert seg.wait(PATIENCE)
    assert page["candidates"]["request"] == "page-10"


def test_nan_from_a_page_is_refused(seg, page):
    seg.set_state({"prompts": [{**DOT, "y": float("nan")}], "request": "page-1"})
    seg.set_state({"prompts": [{**DOT, "y": float("inf")}], "request": "page-2"})
    assert page["notice"]["request"] == "page-2"
    assert seg.prompts == ()


@pytest.mark.parametrize("request_", [5, None, ["x"]], ids=str)
def test_a_request_that_is_no_text_is_refused(seg, page, request_):
    page.set(prompts=[DOT], request=request_)
    assert seg.prompts == ()
    assert page["prompts"] == []
    assert page["notice"]["request"] == ""


@pytest.mark.parametrize("state", [None, [], 5, "prompts", {}, {"nonsense": 1}], ids=str)
def test_a_message_that_is_no_state_is_ignored(seg, state):
    before = seg._session.snapshot
    seg.set_state(state)
    assert seg._session.snapshot == before
    assert seg.notice is None


def test_a_page_cannot_write_what_is_the_kernels(seg, page):
    seg.annotations = [square()]
    names = sorted(set(seg.keys) - set(PAGE_WRITES))
    assert {"image", "annotations", "candidates", "status", "history", "height", "labels"} <= set(
        names
    )
    before = {name: getattr(seg, name) for name in names}
    for name in names:
        for value in (None, [], {}, 500, "text"):
            seg.set_state({name: value})
    assert {name: getattr(seg, name) for name in names} == before
    assert seg.notice is None


# What is saved.


def test_the_whole_state_is_json_with_buffers(seg, page):
    seg.prompts = [DOT]
    seg.keep()
    seg.prompts = [DOT]
    saved = seg._get_embed_state()
    assert sorted(buffer["path"] for buffer in saved["buffers"]) == [
        ["candidates", "logits"],
        ["image", "data"],
    ]
    json.dumps(saved, allow_nan=False)
    assert seg.get_state("candidates")["candidates"]["request"] == seg.request


def test_a_page_that_is_loaded_anew_shows_the_same(seg, page):
    seg.prompts = [DOT]
    seg.keep("person")
    page.click(20, 20, "page-1")
    assert seg.wait(PATIENCE)
    page.comm.handler({"content": {"data": {"method": "request_state"}}, "buffers": []})
    _, state = page.comm.sent[-1]
    assert state["annotations"] == page["annotations"]
    assert state["candidates"]["request"] == state["request"] == "page-1"
    assert set(seg.keys) == set(state)


def test_the_state_of_a_big_photograph_with_many_masks_is_small(make, photo):
    rows, columns = np.ogrid[: photo.height, : photo.width]
    disk = (columns - 2000) ** 2 + (rows - 1500) ** 2 < 700**2
    rle = Annotation.from_mask(disk, label="car").rle
    kept = [Annotation.from_rle(rle, label="car") for _ in range(50)]
    seg = make(photo, annotations=kept)
    seg.prompts = [Point(2000, 1500)]
    saved = json.dumps(seg._get_embed_state())
    assert len(saved) <= 2_000_000
    answer = Page(seg)["candidates"]
    logits = answer.pop("logits")
    assert len(logits) + len(json.dumps(answer)) <= 256_000
