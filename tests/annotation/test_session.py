"""Every step can be taken back, and a refused one changes nothing."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.history import Draft
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.session import Session
from segwidget.errors import AnnotationError, LabelError, PromptError, SegwidgetError
from segwidget.inference.prompts import Box, Point

A, B, C = Point(1, 1), Point(2, 2, 0), Box(0, 0, 5, 5)


def kept(label="car", **fields):
    return Annotation.from_mask(np.eye(4, dtype=bool), label=label, **fields)


@pytest.fixture
def session():
    return Session(["car", "person"])


def test_a_new_session(session):
    assert session.draft == Draft()
    assert session.annotations == ()
    assert session.labels == LabelSet.of(["car", "person"])
    assert session.label == "car"
    assert not session.can_undo
    assert not session.can_redo
    assert session.undo() is None
    assert session.redo() is None
    assert session.undo_name is session.redo_name is None


def test_a_session_goes_on_from_annotations():
    item = kept("dog")
    session = Session(["car"], [item], label="dog")
    assert session.labels.names == ("car", "dog")
    assert session.label == "dog"
    assert not session.can_undo
    with pytest.raises(LabelError, match="no label 'cat'"):
        Session(["car"], label="cat")
    with pytest.raises(AnnotationError, match="twice"):
        Session(["car"], [item, item])


def test_prompts_remember_the_picks(session):
    session.set_prompts([A])
    session.pick(2)
    session.set_prompts([A, B])
    assert session.draft == Draft((A, B), (2,), 0)
    session.pick(1)
    session.set_prompts([A, B, C])
    assert session.draft == Draft((A, B, C), (2, 1), 0)
    names = []
    while session.can_undo:
        names.append(session.undo())
    assert names == ["box", "pick", "point", "pick", "point"]
    while session.can_redo:
        session.redo()
    assert session.draft == Draft((A, B, C), (2, 1), 0)


@pytest.mark.parametrize(
    ("after", "name"),
    [
        ([A, C], "remove point"),
        ([A, B], "remove box"),
        ([B, C], "remove point"),
        ([], "clear"),
        ([A, Point(3, 3), C], "prompts"),
        ([C, B, A], "prompts"),
        ([B], "prompts"),
        ([A, B, C, A, B], "prompts"),
    ],
)
def test_any_other_change_forgets_the_picks(session, after, name):
    for count in (1, 2, 3):
        session.set_prompts([A, B, C][:count])
        session.pick(2)
    session.set_prompts(after)
    assert session.undo_name == name
    assert session.draft == Draft(tuple(after), (0,) * max(0, len(after) - 1), 0)


def test_several_prompts_at_once(session):
    session.set_prompts([A, C])
    assert session.draft == Draft((A, C), (0,), 0)
    assert session.undo_name == "prompts"


def test_picks_in_a_row_are_one_step(session):
    session.set_prompts([A])
    for index in (1, 2, 1):
        session.pick(index)
    assert session.draft.picked == 1
    assert session.undo() == "pick"
    assert session.draft == Draft((A,), (), 0)
    session.redo()
    assert session.draft.picked == 1


def test_browsing_back_leaves_no_step(session):
    session.set_prompts([A])
    session.pick(2)
    session.pick(0)
    assert session.undo_name == "point"
    assert not session.can_redo
    session.pick(1)
    assert session.undo_name == "pick"


def test_picks_parted_by_undo_are_two_steps(session):
    session.set_prompts([A])
    session.pick(1)
    session.set_prompts([A, B])
    session.undo()
    session.pick(2)
    session.undo()
    assert session.draft.picked == 1


def test_choosing_labels_is_browsing_too(session):
    session.add_label("dog", select=False)
    session.set_label("person")
    session.set_label("dog")
    assert session.undo() == "label dog"
    assert session.label == "car"


def test_keeping_drops_the_draft_in_one_step(session):
    session.set_prompts([A])
    session.pick(1)
    item = kept()
    session.keep(item)
    assert session.annotations == (item,)
    assert session.draft == Draft()
    assert session.undo_name == "keep car"
    session.undo()
    assert session.annotations == ()
    assert session.draft == Draft((A,), (), 1)
    assert session.redo_name == "keep car"


def test_keeping_several_is_one_step_and_the_draft_stays(session):
    session.set_prompts([A])
    items = [kept(), kept("person"), kept()]
    session.keep_all(items)
    assert session.annotations == tuple(items)
    assert session.draft == Draft((A,))
    assert session.undo_name == "keep 3 masks"
    session.keep_all([])  # nothing is no step
    session.undo()
    assert session.annotations == ()
    assert session.draft == Draft((A,))
    session.keep_all(items[1:2])
    assert session.undo_name == "keep person"


def test_of_several_that_do_not_fit_none_is_kept(session):
    item = kept()
    before = session.snapshot
    for wrong in ([item, item], [item, "car"], [item, kept("dog")], "car", None):
        with pytest.raises((AnnotationError, LabelError)):
            session.keep_all(wrong)
        assert session.snapshot is before


def test_what_is_kept_must_fit(session):
    item = kept()
    session.keep(item)
    before = session.snapshot
    with pytest.raises(AnnotationError, match="twice"):
        session.keep(item)
    with pytest.raises(LabelError, match="no label 'dog'"):
        session.keep(kept("dog"))
    with pytest.raises(AnnotationError, match="no annotation"):
        session.keep("car")
    assert session.snapshot is before


def test_clearing_the_draft(session):
    session.clear_draft()
    assert not session.can_undo
    session.set_prompts([A])
    session.clear_draft()
    assert session.draft == Draft()
    assert session.undo() == "clear"
    assert session.draft.prompts == (A,)


def test_deleting_relabeling_hiding(session):
    items = [kept(id=name) for name in "abc"]
    for item in items:
        session.keep(item)
    session.relabel(["a", "c"], "person")
    assert [item.label for item in session.annotations] == ["person", "car", "person"]
    assert session.undo_name == "relabel to person"
    session.show("b", False)
    assert [item.visible for item in session.annotations] == [True, False, True]
    assert session.undo_name == "hide car"
    session.show(["a", "b"], True)
    assert session.undo_name == "show 2 masks"
    session.delete(["a", "b"])
    assert [item.id for item in session.annotations] == ["c"]
    assert session.undo_name == "delete 2 masks"
    for _ in range(4):
        session.undo()
    assert session.annotations == tuple(items)


def test_steps_that_change_nothing_are_not_counted(session):
    session.keep(kept(id="a"))
    name = session.undo_name
    session.undo()
    session.redo()
    session.delete([])
    session.relabel("a", "car")
    session.show("a", True)
    session.set_labels(["car", "person"])
    session.set_label("car")
    session.set_prompts([])
    session.pick(0)
    session.set_annotations(session.annotations)
    assert session.undo_name == name
    session.undo()
    assert not session.can_undo


@pytest.mark.parametrize("ids", [["z"], "z", ["a", "z"], [None], [["a"]], [{}], None, 5])
def test_unknown_annotations_are_refused(session, ids):
    session.keep(kept(id="a"))
    before = session.snapshot
    for call in (
        lambda: session.delete(ids),
        lambda: session.relabel(ids, "person"),
        lambda: session.show(ids, False),
    ):
        with pytest.raises(AnnotationError):
            call()
    assert session.snapshot is before


@pytest.mark.parametrize("index", [-1, 1.5, "1", None, 1])
def test_impossible_picks_are_refused(session, index):
    with pytest.raises(AnnotationError, match="picked"):
        session.pick(index)


def test_impossible_values_are_refused(session):
    session.keep(kept(id="a"))
    with pytest.raises(PromptError, match="expected Point, Box, Polygon"):
        session.set_prompts([{"type": "point"}])
    with pytest.raises(LabelError, match="no label 'dog'"):
        session.relabel("a", "dog")
    with pytest.raises(LabelError, match="no label"):
        session.set_label(None)
    with pytest.raises(AnnotationError, match="visible"):
        session.show("a", "yes")
    assert session.undo_name == "keep car"


def test_setting_labels(session):
    session.set_label("person")
    session.set_labels({"dog": "#123456", "car": None})
    assert session.labels.names == ("dog", "car")
    assert session.label == "dog"
    session.undo()
    assert session.label == "person"


def test_labels_in_use_cannot_be_dropped(session):
    session.keep(kept())
    session.keep(kept())
    with pytest.raises(LabelError, match=r"'car' \(2\)"):
        session.set_labels(["person"])
    session.set_labels(["person", "car"])
    assert session.label == "car"


def test_adding_and_renaming_labels(session):
    session.keep(kept())
    session.keep(kept("person"))
    session.add_label(" dog ")
    assert session.label == "dog"
    assert session.undo_name == "add label dog"
    session.set_label("car")
    session.rename_label("car", "vehicle")
    assert session.labels.names == ("vehicle", "person", "dog")
    assert [item.label for item in session.annotations] == ["vehicle", "person"]
    assert session.label == "vehicle"
    assert session.undo() == "rename car to vehicle"
    assert [item.label for item in session.annotations] == ["car", "person"]
    with pytest.raises(LabelError, match="twice"):
        session.add_label("car")
    with pytest.raises(LabelError, match="no label"):
        session.rename_label("cat", "dog")


def test_setting_annotations(session):
    items = [kept("dog"), kept("car")]
    session.set_prompts([A])
    session.set_annotations(iter(items))
    assert session.annotations == tuple(items)
    assert session.labels.names == ("car", "person", "dog")
    assert session.draft.prompts == (A,)
    session.undo()
    assert session.annotations == ()
    assert session.labels.names == ("car", "person")
    with pytest.raises(AnnotationError, match="twice"):
        session.set_annotations([items[0], items[0]])


def test_a_new_step_ends_the_redo(session):
    session.set_prompts([A])
    session.undo()
    session.set_prompts([C])
    assert not session.can_redo


def test_history_is_bounded():
    session = Session(max_steps=3)
    for count in range(1, 8):
        session.set_prompts([A] * count)
    undone = 0
    while session.undo():
        undone += 1
    assert undone == 3
    assert len(session.draft.prompts) == 4
    while session.redo():
        pass
    assert len(session.draft.prompts) == 7


def test_adopting_another_session(session):
    session.set_prompts([A])
    session.pick(1)
    session.set_prompts([A, B])
    session.undo()
    other = Session(["dog"])
    other.adopt(session)
    assert other.snapshot == session.snapshot
    assert (other.undo_name, other.redo_name) == ("pick", "point")
    other.undo()
    other.undo()
    assert other.draft == Draft()
    assert session.draft == Draft((A,), (), 1)
    assert session.redo_name == "point"


class Steps(RuleBasedStateMachine):
    """Walk at random, beside a plain list of all snapshots."""

    def __init__(self):
        super().__init__()
        self.session = Session(["car", "person"])
        self.row = [self.session.snapshot]
        self.at = 0
        self.kind = ""

    def note(self, kind=""):
        """Bring the list up to date after a step of a kind that may join the one before."""
        after = self.session.snapshot
        if after == self.row[self.at]:
            return
        if kind and kind == self.kind:
            self.at -= 1
        del self.row[self.at + 1 :]
        if after == self.row[self.at]:
            self.kind = ""
            return
        self.row.append(after)
        self.at += 1
        self.kind = kind

    @rule(prompts=st.lists(st.sampled_from([A, B, C]), max_size=3))
    def set_prompts(self, prompts):
        self.session.set_prompts(prompts)
        self.note()

    @rule(prompt=st.sampled_from([A, B, C]))
    def append(self, prompt):
        before = self.session.draft
        self.session.set_prompts([*before.prompts, prompt])
        expected = (*before.picks, before.picked) if before.prompts else ()
        assert self.session.draft.picks == expected
        self.note()

    @precondition(lambda self: self.session.draft.prompts)
    @rule(index=st.integers(0, 2))
    def pick(self, index):
        self.session.pick(index)
        self.note("pick")

    @rule(label=st.sampled_from(["car", "person"]))
    def keep(self, label):
        self.session.keep(kept(label))
        self.note()

    @precondition(lambda self: self.session.annotations)
    @rule(data=st.data(), what=st.sampled_from(["delete", "show", "hide", "relabel"]))
    def change(self, data, what):
        ids = data.draw(st.sets(st.sampled_from([a.id for a in self.session.annotations])))
        if what == "delete":
            self.session.delete(ids)
        elif what == "relabel":
            self.session.relabel(ids, "person")
        else:
            self.session.show(ids, what == "show")
        self.note()

    @rule(name=st.sampled_from(["car", "person"]))
    def set_label(self, name):
        self.session.set_label(name)
        self.note("label")

    @rule()
    def refused(self):
        before = self.session.snapshot
        for call in (lambda: self.session.delete(["?"]), lambda: self.session.set_label("?")):
            with pytest.raises(SegwidgetError):
                call()
        assert self.session.snapshot is before

    @rule()
    def undo(self):
        name = self.session.undo_name
        assert self.session.undo() == name
        if name is not None:
            self.at, self.kind = self.at - 1, ""

    @rule()
    def redo(self):
        name = self.session.redo_name
        assert self.session.redo() == name
        if name is not None:
            self.at, self.kind = self.at + 1, ""

    @invariant()
    def the_row_agrees(self):
        assert self.session.snapshot == self.row[self.at]
        assert self.session.can_undo == (self.at > 0)
        assert self.session.can_redo == (self.at < len(self.row) - 1)
        assert (self.session.undo_name is not None) == self.session.can_undo

    @invariant()
    def picks_fit_the_prompts(self):
        draft = self.session.draft
        assert len(draft.picks) == max(0, len(draft.prompts) - 1)
        assert self.session.label in self.session.labels


TestSteps = Steps.TestCase
TestSteps.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
