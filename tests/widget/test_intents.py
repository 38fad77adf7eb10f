"""What a page asks for in words; whatever it says, nothing is raised and nothing is lost."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segwidget.inference.prompts import Point
from segwidget.widget.intents import INTENTS, IntentError, perform

from .conftest import PATIENCE


class Recorder:
    """Remembers which verbs it was asked for."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.mark.parametrize(
    ("content", "call"),
    [
        ({"op": "keep", "request": "p-1", "picked": 2}, ("keep_shown", "p-1", 2, None)),
        (
            {"op": "keep", "request": "p-1", "picked": 2, "threshold": 1},
            ("keep_shown", "p-1", 2, 1),
        ),
        ({"op": "clear"}, ("clear",)),
        ({"op": "undo"}, ("undo",)),
        ({"op": "redo", "and": "more"}, ("redo",)),
        ({"op": "delete", "ids": ["a", "b"]}, ("delete", ["a", "b"])),
        ({"op": "relabel", "ids": ["a"], "label": "car"}, ("relabel", ["a"], "car")),
        ({"op": "show", "ids": [], "visible": False}, ("show", [], False)),
        ({"op": "add_label", "name": "tree"}, ("add_label", "tree")),
        ({"op": "dismiss", "id": "n"}, ("dismiss", "n")),
        ({"op": "use_model", "name": "vit_b"}, ("use_model", "vit_b")),
        ({"op": "download_model", "name": "vit_b"}, ("download_model", "vit_b")),
        ({"op": "cancel_download"}, ("cancel_download",)),
        (
            {"op": "paint", "id": "a", "add": False, "radius": 3, "points": [[1, 2.5]]},
            ("paint", "a", [[1, 2.5]], 3, False),
        ),
        ({"op": "tidy", "ids": ["a"], "holes": 3, "islands": 4}, ("tidy", ["a"], 3, 4)),
        (
            {"op": "combine", "id": "a", "how": "add", "request": "p-1", "picked": 1},
            ("combine_shown", "a", "add", "p-1", 1, None),
        ),
        ({"op": "reorder", "ids": ["a"], "to": "front"}, ("reorder", ["a"], "front")),
        ({"op": "start_from", "id": "a"}, ("start_from", "a")),
        ({"op": "propose_boxes", "boxes": [[1, 2, 3, 4]]}, ("start_propose_boxes", [[1, 2, 3, 4]])),
        ({"op": "focus_region", "box": [1, 2, 3, 4]}, ("focus", [1, 2, 3, 4])),
        ({"op": "leave_region"}, ("leave_region",)),
    ],
)
def test_each_intent_is_one_verb(content, call):
    recorder = Recorder()
    perform(recorder, content)
    assert recorder.calls == [call]


def test_every_intent_is_a_verb_of_the_widget(seg):
    assert all(callable(getattr(seg, method)) for method, _ in INTENTS.values())


MALFORMED = [
    None,
    7,
    "undo",
    [],
    ["undo"],
    {},
    {"op": None},
    {"op": ["undo"]},
    {"op": "close"},
    {"op": "__init__"},
    {"op": "UNDO"},
    {"op": "keep"},
    {"op": "keep", "request": 1, "picked": 0},
    {"op": "keep", "request": "p", "picked": "0"},
    {"op": "keep", "request": "p", "picked": 1.5},
    {"op": "keep", "request": "p", "picked": True},
    {"op": "delete"},
    {"op": "delete", "ids": "a"},
    {"op": "delete", "ids": {"a": 1}},
    {"op": "delete", "ids": [1]},
    {"op": "delete", "ids": [["a"]]},
    {"op": "relabel", "ids": ["a"]},
    {"op": "relabel", "ids": ["a"], "label": None},
    {"op": "show", "ids": ["a"], "visible": 1},
    {"op": "show", "ids": ["a"]},
    {"op": "add_label", "name": ["x"]},
    {"op": "dismiss", "id": 3},
    {"op": "paint", "id": "a", "add": 1, "radius": 3, "points": [[1, 2]]},
    {"op": "paint", "id": "a", "add": True, "radius": "3", "points": [[1, 2]]},
    {"op": "paint", "id": "a", "add": True, "radius": 3, "points": []},
    {"op": "paint", "id": "a", "add": True, "radius": 3, "points": [1, 2]},
    {"op": "paint", "id": "a", "add": True, "radius": 3, "points": [[1, 2, 3]]},
    {"op": "paint", "id": "a", "add": True, "radius": 3, "points": [[1, True]]},
    {"op": "paint", "id": "a", "add": True, "radius": 3, "points": [[1, 1e300]]},
    {"op": "paint", "id": "a", "add": True, "radius": 3, "points": [[1, "2"]]},
    {"op": "paint", "id": "a", "add": True, "radius": 3, "points": {"0": [1, 2]}},
    {"op": "tidy", "ids": ["a"], "holes": 1.5, "islands": 0},
    {"op": "tidy", "ids": ["a"]},
    {"op": "combine", "id": "a", "how": "add", "request": "p", "picked": 0, "threshold": "0"},
    {"op": "reorder", "ids": "a", "to": "front"},
    {"op": "start_from", "id": None},
    {"op": "propose_boxes", "boxes": [[1, 2, 3]]},
    {"op": "propose_boxes", "boxes": [[1, 2, 3, None]]},
    {"op": "focus_region", "box": [[1, 2, 3, 4]]},
    {"op": "focus_region", "box": "1234"},
    {"op": "focus_region"},
]


def test_lists_are_bounded():
    recorder = Recorder()
    for content in (
        {"op": "paint", "id": "a", "add": True, "radius": 3, "points": [[1, 2]] * 10_001},
        {"op": "propose_boxes", "boxes": [[1, 2, 3, 4]] * 1_001},
    ):
        with pytest.raises(IntentError, match="lists of"):
            perform(recorder, content)
    assert recorder.calls == []


@pytest.mark.parametrize("content", MALFORMED, ids=repr)
def test_a_malformed_message_is_no_intent(content):
    recorder = Recorder()
    with pytest.raises(IntentError):
        perform(recorder, content)
    assert recorder.calls == []


@pytest.mark.parametrize("content", MALFORMED, ids=repr)
def test_a_malformed_message_becomes_a_notice(seg, page, content):
    seg.prompts = [Point(40, 30)]
    before = seg._session.snapshot
    page.send(content)
    assert page["notice"]["code"] == "IntentError"
    assert seg._session.snapshot == before


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"op": "delete", "ids": ["nobody"]}, "AnnotationError"),
        ({"op": "relabel", "ids": ["nobody"], "label": "car"}, "AnnotationError"),
        ({"op": "relabel", "ids": [], "label": "nothing"}, "LabelError"),
        ({"op": "show", "ids": ["nobody"], "visible": True}, "AnnotationError"),
        ({"op": "add_label", "name": " "}, "LabelError"),
        ({"op": "add_label", "name": "car"}, "LabelError"),
        ({"op": "add_label", "name": "x" * 10**6}, "LabelError"),
        ({"op": "add_label", "name": "two\nlines"}, "LabelError"),
        ({"op": "keep", "request": "gone", "picked": 0}, "AnnotationError"),
    ],
)
def test_what_the_session_refuses_becomes_a_notice(seg, page, content, code):
    before = seg._session.snapshot
    page.send(content)
    assert page["notice"]["code"] == code
    assert page["notice"]["request"] == content.get("request", "")
    assert seg._session.snapshot == before


def test_a_notice_is_dismissed_by_its_id(seg, page):
    page.do("nonsense")
    first = page["notice"]["id"]
    page.do("nonsense")
    page.do("dismiss", id=first)  # an older one, on another page: the newer stays
    assert page["notice"] is not None
    page.do("dismiss", id=page["notice"]["id"])
    assert seg.notice is None
    assert page["notice"] is None
    page.do("dismiss", id="none is there")
    assert page["notice"] is None


def test_annotations_are_relabeled_hidden_and_deleted(seg, page):
    for x in (20, 60):
        seg.prompts = [Point(x, 30)]
        seg.keep()
    one, two = (a["id"] for a in page["annotations"])
    page.do("relabel", ids=[one], label="person")
    page.do("show", ids=[one, two], visible=False)
    assert [(a["label"], a["visible"]) for a in page["annotations"]] == [
        ("person", False),
        ("car", False),
    ]
    page.do("show", ids=[two], visible=True)
    page.do("delete", ids=[one])
    assert [(a["id"], a["visible"]) for a in page["annotations"]] == [(two, True)]
    assert [a.id for a in seg.annotations] == [two]
    assert page["notice"] is None


def test_a_new_label_is_the_current_one(seg, page):
    page.do("add_label", name="  tree ")
    assert [label["name"] for label in page["labels"]] == ["car", "person", "tree"]
    assert page["label"] == seg.label == "tree"


def test_labels_are_text_and_nothing_else(seg, page):
    name = "<img src=x onerror=alert(1)> ../../etc/passwd"
    page.do("add_label", name=name)
    assert page["label"] == name


def test_clearing_drops_the_draft(seg, page):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    page.do("clear")
    assert page["prompts"] == []
    assert page["candidates"] is None
    assert seg.prompts == ()


def test_keeping_takes_the_mask_that_is_on_screen(seg, page):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    expected = seg.candidates.mask(2)
    page.do("keep", request="p-1", picked=2)
    (kept,) = seg.annotations
    assert (kept.mask == expected).all()
    assert kept.picked == 2
    assert kept.prompts == (Point(40, 30),)
    assert page["prompts"] == []
    assert page["candidates"] is None


def test_an_older_answer_that_is_still_shown_is_the_one_that_is_kept(seg, page, predictions):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    expected = seg.candidates.mask(1)
    page.click(10, 10, "p-2")
    assert seg.wait(PATIENCE)
    page.do("keep", request="p-1", picked=1)
    (kept,) = seg.annotations
    assert (kept.mask == expected).all()
    assert kept.prompts == (Point(40, 30),)


def test_keeping_twice_keeps_one_mask(seg, page):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    page.do("keep", request="p-1", picked=0)
    page.do("keep", request="p-1", picked=0)
    assert len(page["annotations"]) == 1
    assert page["notice"] is None


def test_a_kept_answer_can_be_kept_again_after_undo(seg, page):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    page.do("keep", request="p-1", picked=0)
    page.do("undo")
    assert seg.wait(PATIENCE)
    page.do("keep", request=page["candidates"]["request"], picked=1)
    assert [a.picked for a in seg.annotations] == [1]


def test_a_pick_beyond_the_candidates_keeps_the_last(seg, page):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    page.do("keep", request="p-1", picked=10**9)
    assert seg.annotations[0].picked == 3


def test_an_answer_that_has_vanished_cannot_be_kept(seg, page):
    for n in range(20):
        page.set(prompts=[{"type": "point", "x": n, "y": 9, "label": 1}], request=f"p-{n}")
        assert seg.wait(PATIENCE)
    page.do("keep", request="p-0", picked=0)
    assert page["notice"]["request"] == "p-0"
    assert "nothing was kept" in page["notice"]["message"]
    assert len(seg.annotations) == 0
    assert len(page["prompts"]) == 1
    page.do("keep", request="p-19", picked=0)
    assert len(seg.annotations) == 1


words = st.sampled_from([*INTENTS, "ids", "op", "request", "picked", "label", "car", "p-1", ""])
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | words
anything = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words | st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)
intents = st.fixed_dictionaries(
    {"op": st.sampled_from([*INTENTS])},
    optional={
        "ids": st.lists(words | st.text(), max_size=3) | anything,
        "request": st.just("p-1") | anything,
        "picked": st.integers(-3, 5) | anything,
        "label": st.sampled_from(["car", "person"]) | anything,
        "name": st.text(max_size=5) | anything,
        "visible": st.booleans() | anything,
        "id": anything,
    },
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(intents | anything, max_size=4))
def test_no_message_raises_or_loses_what_was_kept(seg, page, contents):
    seg.annotations, seg.labels, seg.prompts = [], ["car", "person"], [Point(40, 30)]
    kept = seg.keep("person")
    for content in contents:
        page.send(content)
    assert seg.wait(PATIENCE)
    assert [a["id"] for a in page["annotations"]] == [a.id for a in seg.annotations]
    assert seg._session.annotations == seg.annotations.items
    assert not page.waiting
    if any(isinstance(c, dict) and c.get("op") == "undo" for c in contents):
        return  # keeping was undone, and something else may have been done since
    while kept.id not in {a.id for a in seg.annotations}:
        assert seg.history["undo"] is not None
        seg.undo()
    assert [a.rle for a in seg.annotations if a.id == kept.id] == [kept.rle]
