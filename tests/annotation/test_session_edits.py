"""Steps on what is kept, and drafts that begin with it: each is one step, and can be undone."""

import json

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.coco import from_coco, to_coco
from segwidget.annotation.formats.sa1b import read_sa1b, write_sa1b
from segwidget.annotation.history import Draft
from segwidget.annotation.session import Session
from segwidget.errors import AnnotationError, LabelError, PromptError
from segwidget.inference.prompts import Box, MaskPrompt, Point, Polygon
from segwidget.inference.region import Region
from segwidget.inference.rle import Rle

from .conftest import HEIGHT, WIDTH, square

REGION = Region((0, 0, 16, 12), (HEIGHT, WIDTH))


def kept(x=3, label="car", **fields):
    return Annotation.from_mask(square(x), label=label, **fields)


@pytest.fixture
def items():
    return [kept(x, id=name) for x, name in [(1, "a"), (6, "b"), (11, "c"), (15, "d")]]


@pytest.fixture
def session(items):
    return Session(["car", "person"], items)


def order(session):
    return "".join(item.id for item in session.annotations)


@pytest.mark.parametrize(
    ("ids", "to", "expected"),
    [
        ("b", "front", "acdb"),
        ("b", "back", "bacd"),
        ("b", "forward", "acbd"),
        ("b", "backward", "bacd"),
        ("ca", "front", "bdac"),
        ("db", "back", "bdac"),
        ("ab", "forward", "cabd"),
        ("cd", "backward", "acdb"),
        ("d", "forward", "abcd"),
        ("cd", "forward", "abcd"),
        ("ab", "backward", "abcd"),
        ("abcd", "back", "abcd"),
        ("", "front", "abcd"),
    ],
)
def test_the_order_changes(session, ids, to, expected):
    session.reorder(list(ids), to)
    assert order(session) == expected
    assert session.can_undo == (expected != "abcd")
    session.undo()
    assert order(session) == "abcd"


def test_impossible_orders(session):
    with pytest.raises(AnnotationError, match="front, back, forward, backward"):
        session.reorder(["a"], "up")
    with pytest.raises(AnnotationError, match="no annotation"):
        session.reorder(["z"], "front")
    assert not session.can_undo


def test_an_edit_changes_masks_and_says_so(session):
    session.edit({"a": Rle.encode(square(2)), "b": session.find("b").rle}, "tidy")
    a, b = session.find("a"), session.find("b")
    assert np.array_equal(a.mask, square(2))
    assert (a.box, a.area, a.edits) == ((2, 2, 6, 6), 16, ("tidy",))
    assert b.edits == ()  # nothing was done to it
    session.edit({"a": Rle.encode(square(3))}, "paint")
    session.edit({"a": Rle.encode(square(4))}, "paint")
    assert session.find("a").edits == ("tidy", "paint")
    assert session.undo_name == "paint car"
    for _ in range(3):
        session.undo()
    assert not session.can_undo
    assert session.find("a").edits == ()


def test_an_edit_that_leaves_nothing_is_refused(session):
    before = session.snapshot
    with pytest.raises(AnnotationError, match="delete it"):
        session.edit({"a": Rle.encode(np.zeros((HEIGHT, WIDTH), bool))}, "erase")
    with pytest.raises(AnnotationError, match="delete it"):
        session.combine("a", "intersect", session.find("b").rle)
    with pytest.raises(AnnotationError, match="no annotation"):
        session.edit({"z": session.find("a").rle}, "paint")
    assert session.snapshot is before


def test_combining_ends_the_draft(session):
    session.set_prompts([Point(1, 1)])
    session.combine("a", "add", Rle.encode(square(2)))
    assert session.draft == Draft()
    assert session.find("a").area == 20
    assert session.find("a").edits == ("add",)
    assert session.undo_name == "add to car"
    session.undo()
    assert session.draft.prompts == (Point(1, 1),)
    assert session.find("a").area == 16


def test_protection_leaves_pixels_to_others(session):
    session.keep(kept(4), sparing=True)  # 3 to 5 between a and b
    new = session.annotations[-1]
    assert np.array_equal(new.mask, square(4) & ~square(1) & ~square(6))
    assert new.edits == ("protect",)
    session.keep(kept(4))
    assert session.annotations[-1].area == 16
    session.edit({"c": Rle.encode(square(12) | square(14))}, "paint", sparing=True)
    assert np.array_equal(session.find("c").mask, (square(12) | square(14)) & ~square(15))
    session.combine("d", "add", Rle.encode(np.ones((HEIGHT, WIDTH), bool)), sparing=True)
    masks = [session.find(name).mask.astype(int) for name in "abcd"]
    assert sum(masks).max() == 1


def test_protection_refuses_what_is_all_taken(session):
    before = session.snapshot
    with pytest.raises(AnnotationError, match="protected"):
        session.keep(kept(1), sparing=True)
    with pytest.raises(AnnotationError, match="protected"):
        session.keep_all([kept(1), kept(6)], sparing=True)
    session.keep_all([], sparing=True)
    assert session.snapshot is before
    session.keep_all([kept(1), kept(3), kept(3)], sparing=True)  # what is left of the second
    assert len(session.annotations) == 5


def test_starting_from_an_annotation_replaces_it(session):
    session.relabel(["b"], "person")
    old = session.find("b")
    session.start_from("b")
    assert session.draft == Draft((MaskPrompt(old.rle),), replaces="b")
    assert session.label == "person"
    session.set_prompts([MaskPrompt(old.rle), Point(8, 4)])
    assert session.draft.replaces == "b"
    session.keep(kept(7, "person", id="b"), replacing=True)
    assert order(session) == "abcd"
    assert np.array_equal(session.find("b").mask, square(7))
    assert session.draft == Draft()
    session.undo()
    assert session.find("b") == old
    assert session.draft.replaces == "b"
    session.undo()
    session.undo()
    assert session.draft == Draft()
    assert session.label == "car"


def test_starting_anew_replaces_nothing(session):
    session.start_from("b")
    session.set_prompts([Point(8, 4)])
    assert session.draft.replaces == ""
    session.start_from(Rle.encode(square(8)))
    assert session.draft.replaces == ""
    assert session.label == "car"
    with pytest.raises(AnnotationError, match="no annotation"):
        session.start_from("z")
    with pytest.raises(PromptError, match="empty"):
        session.start_from(Rle.encode(np.zeros((HEIGHT, WIDTH), bool)))


def test_replacing_needs_what_is_replaced(session):
    with pytest.raises(AnnotationError, match="no annotation"):
        session.keep(kept(7), replacing=True)
    with pytest.raises(LabelError):
        session.keep(kept(7, "tree", id="a"), replacing=True)
    with pytest.raises(AnnotationError, match="twice"):
        session.keep(kept(7, id="a"))


def test_a_preference_is_no_step(session):
    session.prefer(2)
    assert session.draft == Draft()
    session.set_prompts([Point(1, 1)])
    session.prefer(2)
    assert session.draft.picked == 2
    assert session.undo() == "point"
    assert not session.can_undo
    session.redo()
    assert session.draft.picked == 2


def test_drafts_are_about_the_region(session):
    session.focus(REGION)
    assert session.region is REGION
    assert session.draft == Draft()
    session.set_prompts([Point(1, 1)])
    assert session.draft == Draft((Point(1, 1),), region=REGION)
    before = session.snapshot
    for outside in ([Point(18, 1)], [Point(1, 1), Box(1, 1, 18, 4)]):
        with pytest.raises(PromptError, match="outside the region"):
            session.set_prompts(outside)
    with pytest.raises(PromptError, match="outside the region"):
        session.start_from("d")
    assert session.snapshot is before
    session.focus(None)
    assert session.draft == Draft((Point(1, 1),))
    assert session.undo_name == "leave region"
    session.set_prompts([Point(1, 1), Point(18, 1)])
    session.focus(REGION)  # one of them is outside
    assert session.draft == Draft()
    assert session.undo_name == "look closer"
    session.undo()
    assert session.draft.prompts == (Point(1, 1), Point(18, 1))
    while session.can_undo:
        session.undo()
    assert session.region is None
    session.focus(None)
    assert not session.can_undo


@pytest.mark.parametrize("how", ["coco", "sa1b", "dict"])
def test_files_keep_all_of_it(tmp_path, how):
    item = kept(
        prompts=[Polygon([(1, 1), (9, 2), (4, 8)], 3), Point(3, 3, 0)],
        picks=[1],
        threshold=0.75,
        region=REGION.box,
    ).with_mask(Rle.encode(square(2)), "paint")
    masked = kept(8, prompts=[MaskPrompt.of(square(7))])
    image = ImageInfo("a.jpg", WIDTH, HEIGHT, "ab" * 32)
    before = Annotations([item, masked], image)
    if how == "coco":
        after = from_coco(json.loads(json.dumps(to_coco(before), allow_nan=False)))
    elif how == "sa1b":
        after = read_sa1b(write_sa1b(before, tmp_path / "a.sa1b.json"))
    else:
        texts = [json.dumps(one.to_dict(), allow_nan=False) for one in before]
        after = [Annotation.from_dict(json.loads(text)) for text in texts]
    assert [*after] == [item, masked]
    assert (after[0].edits, after[0].region) == (("paint",), (0, 0, 16, 12))


@pytest.mark.parametrize(
    "fields",
    [
        {"edits": "paint"},
        {"edits": [1]},
        {"edits": [""]},
        {"region": (1, 2, 3)},
        {"region": (0, 0, 0, 5)},
        {"region": (0, 0, 5.5, 5)},
        {"region": "all"},
        {"threshold": "high"},
    ],
)
def test_impossible_fields(fields):
    with pytest.raises(AnnotationError):
        kept(**fields)
