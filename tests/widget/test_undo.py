"""Everything can be taken back and done again, by Python and by a page."""

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation
from segwidget.inference.prompts import Box, Point

from .conftest import HEIGHT, PATIENCE, WIDTH

DOT, OTHER = Point(40, 30), Point(10, 12, 0)


def square(label="car", **fields):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[1:5, 2:6] = True
    return Annotation.from_mask(mask, label=label, **fields)


def shown(seg, page):
    """All that a person sees of the work."""
    candidates = page["candidates"]
    return {
        "prompts": page["prompts"],
        "picked": page["picked"],
        "masks": None if candidates is None else candidates["logits"],
        "annotations": page["annotations"],
        "labels": page["labels"],
        "label": page["label"],
        "undo": page["history"]["undo"],
        "candidates": None if seg.candidates is None else seg.candidates.low_res_logits.tobytes(),
    }


def ids(seg):
    return [a.id for a in seg.annotations]


STEPS = {
    "point": lambda seg: setattr(seg, "prompts", [DOT]),
    "box": lambda seg: setattr(seg, "prompts", [DOT, Box(5, 5, 50, 50)]),
    "remove point": lambda seg: setattr(seg, "prompts", [Box(5, 5, 50, 50)]),
    "pick": lambda seg: seg.pick(2),
    "keep car": lambda seg: seg.keep(),
    "hide car": lambda seg: seg.show(ids(seg), False),
    "show car": lambda seg: seg.show(ids(seg)),
    "relabel to person": lambda seg: seg.relabel(ids(seg), "person"),
    "label person": lambda seg: setattr(seg, "label", "person"),
    "add label tree": lambda seg: seg.add_label("tree"),
    "labels": lambda seg: setattr(seg, "labels", ["tree", "person", "lamp"]),
    "prompts": lambda seg: setattr(seg, "prompts", [DOT, OTHER]),
    "clear": lambda seg: seg.clear(),
    "delete person": lambda seg: seg.delete(ids(seg)),
    "annotations": lambda seg: setattr(seg, "annotations", [square("bush")]),
}


@pytest.mark.parametrize("by", ["python", "page"])
def test_every_step_is_undone_and_redone(seg, page, by):
    def travel(op):
        if by == "python":
            getattr(seg, op)()
        else:
            page.do(op)
        assert seg.wait(PATIENCE)

    states = [shown(seg, page)]
    for name, step in STEPS.items():
        step(seg)
        states.append(shown(seg, page))
        assert page["history"] == {"undo": name, "redo": None}
    for name, state in zip(reversed(STEPS), reversed(states[:-1]), strict=True):
        travel("undo")
        assert shown(seg, page) == state
        assert page["history"]["redo"] == name
        assert not page.waiting
    travel("undo")  # there is nothing left, and no harm is done
    assert shown(seg, page) == states[0]
    for state in states[1:]:
        travel("redo")
        assert shown(seg, page) == state
    travel("redo")
    assert shown(seg, page) == states[-1]
    assert seg.notice is None


def test_undo_finds_the_answer_again_without_asking_the_network(seg, predictions):
    seg.prompts = [DOT]
    first = seg.candidates
    seg.prompts = [DOT, OTHER]
    asked = len(predictions)
    seg.undo()
    assert seg.candidates is first
    seg.redo()
    seg.keep()
    seg.undo()
    assert len(predictions) == asked


def test_undoing_a_keep_brings_the_draft_back(seg, page):
    seg.prompts = [DOT]
    seg.picked = 1
    masks = seg.candidates.masks
    seg.keep()
    assert seg.candidates is None
    page.do("undo")
    assert seg.wait(PATIENCE)
    assert len(seg.annotations) == 0
    assert seg.prompts == (DOT,)
    assert (seg.candidates.masks == masks).all()
    assert page["picked"] == 1


def test_picks_in_a_row_are_one_step(seg):
    seg.prompts = [DOT]
    for index in (1, 2, 1):
        seg.picked = index
    seg.undo()
    assert seg.picked == 0
    assert seg.history == {"undo": "point", "redo": "pick"}


def test_a_step_ends_what_could_be_redone(seg):
    seg.prompts = [DOT]
    seg.undo()
    assert seg.history == {"undo": None, "redo": "point"}
    seg.label = "person"
    assert seg.history == {"undo": "label person", "redo": None}


def test_what_changes_nothing_is_no_step(seg):
    seg.label = "car"
    seg.labels = seg.labels
    seg.annotations = []
    seg.prompts = []
    seg.picked = 0
    seg.clear()
    seg.delete([])
    assert seg.history == {"undo": None, "redo": None}


def test_a_refused_step_is_no_step(seg):
    seg.prompts = [DOT]
    for refused in (
        lambda: seg.delete(["nobody"]),
        lambda: seg.relabel(["nobody"], "car"),
        lambda: seg.add_label(""),
        lambda: seg.keep("nothing"),
        lambda: seg.pick(7),
    ):
        with pytest.raises(ValueError, match=r"\w+ .*\w+"):
            refused()
    assert seg.history == {"undo": "point", "redo": None}
    assert len(seg.annotations) == 0


def test_labels_from_a_page_are_undone(seg, page):
    page.do("add_label", name="tree")
    page.set(label="car")
    page.do("undo")
    assert page["label"] == "tree"
    page.do("undo")
    assert page["label"] == "car"
    assert [label["name"] for label in page["labels"]] == ["car", "person"]
