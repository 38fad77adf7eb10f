"""A change of a project's labels reaches every snapshot of a history, and takes no step away."""

from dataclasses import replace

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.session import Session
from segwidget.inference.prompts import Point

LABELS = LabelSet.from_json(
    {
        "labels": [
            {"name": "vehicle", "color": "#000"},
            {"name": "car", "color": "#f00", "hotkey": "c", "parent": "vehicle"},
            {"name": "person", "color": "#0f0"},
        ],
        "relations": ["holds"],
    }
)


def square(label, id_, **fields):
    mask = np.zeros((8, 8), bool)
    mask[2:5, 2:5] = True
    return Annotation.from_mask(mask, label=label, id=id_, **fields)


@pytest.fixture
def session():
    made = Session(LABELS, [square("car", "a")])
    made.keep(square("person", "b"))
    made.relabel(["a"], "person")
    made.set_prompts([Point(1, 1)])
    return made


def shown(session):
    return [item.label for item in session.annotations]


def states(session):
    """What each snapshot shows, from the oldest."""
    while session.undo():
        pass
    found = [shown(session)]
    while session.redo():
        found.append(shown(session))
    return found


def test_a_rename_reaches_past_and_future(session):
    session.undo()  # the prompt, which can be given again
    session.follow_labels(LABELS.rename("person", "child"), {"person": "child"})
    assert session.redo_name is not None
    assert states(session) == [["car"], ["car", "child"], ["child", "child"], ["child", "child"]]
    assert session.draft.prompts == (Point(1, 1),)
    assert session.labels == LABELS.rename("person", "child")


def test_a_color_changes_everywhere_and_is_no_step(session):
    new = LABELS.change("car", replace(LABELS.find("car"), color="#123456"))
    session.follow_labels(new)
    assert len(states(session)) == 4
    session.undo()
    assert session.labels == new


def test_a_label_that_was_added_here_can_still_be_taken_back():
    session = Session(LABELS)
    session.add_label("tree")
    new = session.labels.add("stone")
    session.follow_labels(new)
    assert session.labels == new
    session.undo()
    assert session.labels.names == ("vehicle", "car", "person", "stone")
    session.redo()
    assert session.labels == new


def test_a_label_whose_addition_was_undone_can_still_be_added():
    session = Session(LABELS)
    session.add_label("tree")
    session.undo()
    session.follow_labels(LABELS.remove("person"))
    assert session.labels.names == ("vehicle", "car")
    session.redo()
    assert session.labels.names == ("vehicle", "car", "tree")


def test_a_label_that_is_gone_comes_back_with_its_mask():
    session = Session(LABELS, [square("car", "a"), square("person", "b")])
    session.delete(["a"])
    new = LABELS.remove("car").change(
        "person", replace(LABELS.find("person"), hotkey="c")
    )  # which has the other one's key now
    session.follow_labels(new)
    assert session.labels == new
    session.undo()
    assert shown(session) == ["car", "person"]
    back = session.labels.find("car")
    assert (back.color, back.hotkey, back.parent) == ("#ff0000", "", "vehicle")
    session.redo()
    assert session.labels == new


def test_two_labels_become_one(session):
    session.set_label("person")
    session.follow_labels(LABELS.remove("person"), {"person": "car"})
    assert session.label == "car"
    # Kept, asked, and chosen: of the relabeling nothing is left.
    assert states(session) == [["car"], *[["car", "car"]] * 3]
    assert session.undo_name is not None


def test_the_present_and_what_is_the_same_are_not_copied():
    session = Session(LABELS, [square("car", "a"), square("person", "b")])
    session.show(["b"], False)
    kept = session.annotations
    session.follow_labels(LABELS.add("tree"))
    assert session.annotations is kept
    session.follow_labels(LABELS.add("tree").rename("person", "child"), {"person": "child"})
    assert session.annotations[0] is kept[0]
    now = session.annotations
    session.undo()
    assert session.annotations[0] is now[0]


def test_a_relation_that_a_past_mask_has_stays_with_it():
    related = square("person", "b", relations=(("holds", "a"),))
    session = Session(LABELS, [square("car", "a"), related])
    session.delete(["b"])
    session.follow_labels(replace(LABELS, relations=("beside",)))
    assert session.labels.relations == ("beside",)
    session.undo()
    assert session.labels.relations == ("beside", "holds")
