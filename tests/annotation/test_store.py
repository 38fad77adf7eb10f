"""What a store is told it holds, in order and without loss, and it writes only what differs."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from segwidget.annotation import store as store_module
from segwidget.annotation.annotation import Annotation, ImageInfo
from segwidget.annotation.labels import Label, LabelSet
from segwidget.annotation.ontology import Attribute
from segwidget.annotation.places import GAP, new_places
from segwidget.annotation.store import ConflictError, Store
from segwidget.errors import AnnotationError, ClosedError, LabelError, StoreError
from segwidget.inference.prompts import Box, MaskPrompt, Point, Polygon
from segwidget.inference.rle import Rle
from tests.annotation.squares import square

INFO = ImageInfo("a.png", 20, 12, "ab" * 32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "street.db"


@pytest.fixture
def store(path):
    with Store(path, author="Ada") as store:
        store.add_images([("a.png", INFO), ("b.png", None)])
        yield store


def again(store):
    """What another store sees in the file."""
    return Store(store.path)


def test_all_of_an_annotation_comes_back(store):
    rich = square(
        label="Straße 🚗",
        predicted_iou=0.1 + 0.2,
        stability_score=1 / 3,
        prompts=(
            Point(3, 4.5, 0),
            Box(1, 2, 9, 9),
            Polygon(((1, 1), (9, 1), (5, 8))),
            MaskPrompt(Rle.encode(np.eye(12, 20, dtype=bool))),
        ),
        picks=(1, 0, 2),
        picked=3,
        threshold=-0.7,
        model="vit_b",
        checkpoint="cd" * 32,
        image="ab" * 32,
        seconds=4.321,
        visible=False,
        origin="proposed",
        region=(0, 0, 20, 10),
        edits=("paint", "tidy"),
        attributes={"wet": True, "speed": 0.1, "kind": "bus", "tags": ("a", "b")},
        parent="whole",
        author="Ada",
        relations=(("holds", "other"),),
    )
    store.commit("a.png", [rich, square(3)])
    assert store.annotations("a.png")[0] is rich
    with again(store) as other:
        assert other.annotations("a.png") == store.annotations("a.png")
        assert other.info("a.png") == INFO
        assert other.info("b.png") is None
        assert other.labels.names == ("Straße 🚗", "car")


def test_any_change_of_a_list_comes_back_in_order(store):
    chance = np.random.default_rng(4)
    items = []
    told = []
    for n in range(60):
        kind, before = chance.integers(5), tuple(items)
        at = int(chance.integers(len(items) + 1))
        if kind <= 1 or not items:
            items.insert(at, square(n))
        elif kind == 2:
            items.pop(at - 1)
        elif kind == 3:
            items.append(items.pop(at - 1))
        else:
            items[at - 1] = replace(items[at - 1], label=f"label {n % 3}")
        store.commit("a.png", items, step=f"step {n}")
        if tuple(items) != before:  # nothing is no step
            told.append(f"step {n}")
        with again(store) as other:
            assert other.annotations("a.png") == tuple(items)
    assert store.counts() == {"a.png": len(items)}
    assert [step.name for step in store.steps("a.png")] == told


@pytest.fixture
def written(store):
    """The statements that write rows of annotations."""
    statements = []

    def trace(statement):
        if statement.startswith(("INSERT INTO annotations", "UPDATE annotations", "DELETE FROM")):
            statements.append(statement)

    store._connection.set_trace_callback(trace)
    return statements


def test_a_commit_writes_only_what_differs(store, written):
    items = [square(n) for n in range(200)]
    store.commit("a.png", items)
    del written[:]
    changes = {
        "one more": [*items, square(7)],
        "one in the middle": [*items[:90], square(8), *items[90:]],
        "one less": items[:50] + items[51:],
        "one to the front": [*items[1:], items[0]],
        "one to the back": [items[-1], *items[:-1]],
        "one other": [replace(items[0], visible=False), *items[1:]],
    }
    for name, after in changes.items():
        before = store.annotations("a.png")
        store.commit("a.png", after, before=before)
        assert len(written) == 1, name
        store.commit("a.png", items)
        assert len(written) == 2, name
        del written[:]
    store.commit("a.png", items, step="nothing")
    assert written == []
    assert store.steps()[-1].name == ""


def test_annotations_are_read_anew_only_where_somebody_else_has_changed_them(store, monkeypatch):
    store.commit("a.png", [square()])
    decoded = []
    read = store_module.store_values.annotation_of
    monkeypatch.setattr(
        store_module.store_values, "annotation_of", lambda *row: decoded.append(row) or read(*row)
    )
    store.commit("a.png", [*store.annotations("a.png"), square(1)])
    assert decoded == []
    with again(store) as other:
        other.commit("a.png", [*other.annotations("a.png"), square(2)])
    del decoded[:]
    assert len(store.annotations("a.png")) == 3
    assert len(decoded) == 3


def test_few_images_are_remembered(store, monkeypatch):
    monkeypatch.setattr(store_module, "MAX_REMEMBERED", 2)
    store.add_images((f"{n}.png", None) for n in range(5))
    for n in range(5):
        store.commit(f"{n}.png", [square(n)])
    assert list(store._known) == ["3.png", "4.png"]
    assert [len(store.annotations(f"{n}.png")) for n in range(5)] == [1] * 5


def test_steps_tell_who_did_what_and_how_long_it_took(store):
    one, two = square(seconds=2.5), square(1, seconds=4)
    store.commit("a.png", [one], step="keep car")
    store.commit("a.png", [one, two], step="keep car")
    store.commit("a.png", [replace(one, seconds=3.25, visible=False)], step="edit")
    store.set_status("a.png", "done")
    told = [(s.name, s.author, s.seconds, s.added, s.changed, s.removed) for s in store.steps()]
    assert told == [
        ("keep car", "Ada", 2.5, 1, 0, 0),
        ("keep car", "Ada", 4.0, 1, 0, 0),
        ("edit", "Ada", 0.75, 0, 1, 1),
        ("done", "Ada", 0.0, 0, 0, 0),
    ]
    assert all(step.key == "a.png" and step.at.endswith("+00:00") for step in store.steps())
    assert store.steps("b.png") == []


def test_images_keep_their_order_and_learn(store):
    store.add_images([("c/ä.png", None), ("b.png", replace(INFO, name="b.png")), ("a.png", None)])
    assert store.keys() == ("a.png", "b.png", "c/ä.png")
    assert store.info("b.png").name == "b.png"
    assert store.info("a.png") == INFO
    store.set_info("a.png", replace(INFO, sha256=""))
    assert store.info("a.png").sha256 == ""
    assert "a.png" in store
    assert "z.png" not in store
    assert 3 not in store


def test_statuses(store):
    assert store.statuses() == {"a.png": "todo", "b.png": "todo"}
    store.set_status("b.png", "accepted")
    assert (store.status("a.png"), store.status("b.png")) == ("todo", "accepted")
    with pytest.raises(StoreError, match="expected one of todo, done, accepted, rejected"):
        store.set_status("b.png", "lost")


def test_small_values(store):
    value = {"stage": 2, "done": ["ä", None, 0.1, True]}
    store.set_meta("engine", value)
    with again(store) as other:
        assert other.get_meta("engine") == value
        assert other.get_meta("else", 7) == 7
    with pytest.raises(StoreError, match="Expected what JSON holds"):
        store.set_meta("engine", {1, 2})
    assert store.get_meta("engine") == value


def test_labels_are_set_and_used_ones_stay(store):
    assert not store.has_labels
    assert store.labels.names == ("object",)
    store.set_labels({"car": "#ff0000", "person": None})
    store.commit("a.png", [square(label="car")])
    with pytest.raises(LabelError, match=r"'car' \(1\)"):
        store.set_labels(["person"])
    assert store.labels.names == ("car", "person")
    store.set_labels(["tree", "car"])
    assert store.labels.names == ("tree", "car")


def test_labels_change_with_the_step_that_needs_them(store):
    store.set_labels({"car": "#ff0000"})
    store.commit("a.png", [square(label="car")])
    store.commit("b.png", [square(label="dog")], labels=LabelSet.of({"cat": "#00ff00"}))
    assert set(store.labels.names) == {"cat", "dog", "car"}
    assert store.labels.color_of("car") == "#ff0000"


def test_labels_keep_what_they_mean(store):
    tree = Label("tree", "#00aa00", hotkey="t", attributes=(Attribute("height", "number"),))
    leaf = Label("leaf", "#00ff00", parent="tree")
    labels = LabelSet((tree, leaf), ("grows on",))
    store.set_labels(labels)
    assert store.labels == labels
    store.commit("a.png", [square(label="leaf"), square(1, label="tree")])
    fewer = LabelSet((Label("twig", "#0000ff", hotkey="t"),), ("holds",))
    store.commit("b.png", [], labels=fewer)
    with again(store) as other:
        assert other.labels.relations == ("holds",)
        assert other.labels.names == ("twig", "tree", "leaf")
        assert [label.hotkey for label in other.labels] == ["t", "", ""]
        assert other.labels[2].parent == "tree"
        assert other.labels[1].attributes == tree.attributes


def test_a_label_is_renamed_in_all_images(store):
    store.set_labels({"car": "#ff0000", "person": None})
    store.commit("a.png", [square(label="car"), square(1, label="person")])
    store.commit("b.png", [square(label="car")])
    seen = store.annotations("a.png")
    store.rename_label("car", "vehicle")
    with again(store) as other:
        for reader in (store, other):
            assert [a.label for a in reader.annotations("a.png")] == ["vehicle", "person"]
            assert [a.label for a in reader.annotations("b.png")] == ["vehicle"]
            assert reader.labels.color_of("vehicle") == "#ff0000"
    with pytest.raises(ConflictError):
        store.commit("a.png", [], before=seen)
    with pytest.raises(LabelError):
        store.rename_label("vehicle", "person")
    assert "vehicle" in store.labels


def test_what_cannot_be_an_images_annotations_is_refused(store):
    one = square()
    store.commit("a.png", [one])
    wide = Annotation.from_mask(np.ones((12, 21), bool), label="car")
    with pytest.raises(AnnotationError, match="belong to another image"):
        store.commit("a.png", [one, wide])
    with pytest.raises(AnnotationError, match="twice"):
        store.commit("a.png", [one, one])
    with pytest.raises(AnnotationError, match="no annotation"):
        store.commit("a.png", ["car"])
    with pytest.raises(StoreError, match=r"no image 'z\.png'"):
        store.commit("z.png", [one])
    for key in ("", 3, "a\0", "\udce4.png"):
        with pytest.raises(StoreError, match="The key of an image"):
            store.add_images([("new.png", None), (key, None)])
    with pytest.raises(StoreError, match="half a character"):
        store.commit("a.png", [one, replace(square(), id="\ud800")])
    with again(store) as other:
        assert store.annotations("a.png") == other.annotations("a.png") == (one,)
    assert store.keys() == ("a.png", "b.png")


def test_names_are_only_ever_text(store):
    evil = ["../../etc/passwd", "'; DROP TABLE images; --", "<script>", "c:\\x"]
    store.add_images((key, None) for key in evil)
    store.commit(evil[1], [square(id=evil[1], label=evil[1])], step=evil[1])
    with again(store) as other:
        assert other.keys()[2:] == tuple(evil)
        assert other.annotations(evil[1])[0].id == evil[1]
    assert [p.name for p in store.path.parent.iterdir() if not p.name.startswith("street.db")] == []


def test_a_copy_is_whole_and_overwrites_nothing(store, tmp_path):
    store.commit("a.png", [square()])
    copy = store.backup(tmp_path / "copy.db")
    with Store(copy) as other:
        assert other.annotations("a.png") == store.annotations("a.png")
    with pytest.raises(StoreError, match="there already"):
        store.backup(copy)


def test_a_closed_store_says_so(store):
    store.close()
    store.close()
    assert store.closed
    with pytest.raises(ClosedError, match="is closed"):
        store.annotations("a.png")
    with pytest.raises(ClosedError, match="is closed"):
        store.commit("a.png", [])


def test_it_is_written_for_good(store):
    assert store.journal == "wal"
    assert store.remark == ""
    assert store._read("PRAGMA synchronous") == [(2,)]
    with sqlite3.connect(store.path) as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()


@pytest.mark.parametrize(
    ("present", "places"),
    [
        ([], []),
        ([None, None], [GAP, 2 * GAP]),
        ([5, None], [5, 5 + GAP]),
        ([None, 5], [5 - GAP, 5]),
        ([0, None, 10], [0, 5, 10]),
        ([0, None, 1], [GAP, 2 * GAP, 3 * GAP]),
        ([20, 10, 30], [20, 25, 30]),
        ([3, 1, 2], [1 - GAP, 1, 2]),
    ],
)
def test_places_increase_and_most_stay(present, places):
    found = new_places(present)
    assert sorted(set(found)) == found
    if present == [20, 10, 30]:  # either of the first two may stay
        assert len(set(found) & set(present)) == 2
    elif present == [3, 1, 2]:
        assert found[1:] == [1, 2]
    else:
        assert found == places


def test_small_values_are_written_with_annotations_or_not_at_all(store):
    item = square()
    store.commit("a.png", [item], meta={"engine": [1]})
    with pytest.raises(StoreError, match="JSON"):
        store.commit("a.png", [], meta={"engine": {1, 2}})
    with pytest.raises(ConflictError):
        store.commit("a.png", [], before=[], meta={"engine": [2]})
    store.commit("a.png", [item], meta={"other": 3})  # also where no annotation changes
    with again(store) as other:
        assert other.annotations("a.png") == (item,)
        assert (other.get_meta("engine"), other.get_meta("other")) == ([1], 3)


# Labels that change, in all images.

DESCRIBED = [
    {"name": "car", "color": "#f00", "attributes": [{"name": "state", "kind": "text"}]},
    {"name": "auto", "color": "#0f0", "attributes": [{"name": "state", "kind": "text"}]},
    {"name": "tree", "color": "#00f"},
]


@pytest.fixture
def described(store):
    """Three labels, of which "car" has a value, in two images."""
    store.add_images([("x.png", None), ("y.png", None)])
    store.set_labels(LabelSet.from_json({"labels": DESCRIBED, "relations": ["holds"]}))
    valued = square(0, label="car", attributes={"state": "new"})
    store.commit("x.png", [valued, square(1, label="tree", relations=[("holds", valued.id)])])
    store.commit("y.png", [square(2, label="auto")])
    return store


def names(store):
    return [a.label for key in ("x.png", "y.png") for a in store.annotations(key)]


def test_labels_become_others_in_all_images_at_once(described):
    labels = described.labels
    described.set_labels(labels, {"car": "auto", "auto": "car"})  # which change places
    assert names(described) == ["auto", "tree", "car"]
    described.set_labels(labels.remove("auto"), {"auto": "car"})
    assert names(described) == ["car", "tree", "car"]
    assert described.annotations("x.png")[0].attributes == {"state": "new"}
    assert described.label_counts() == {"car": 2, "tree": 1}
    assert [(s.name, s.changed) for s in described.steps()[-2:]] == [
        ("relabel car to auto, auto to car", 2),
        ("relabel auto to car", 1),
    ]
    with Store(described.path) as other:
        assert names(other) == names(described)
        assert other.labels == described.labels


@pytest.mark.parametrize(
    ("change", "renames", "told"),
    [
        (lambda labels: labels.remove("car"), {"car": "tree"}, "'state' of 'tree' .1."),
        (lambda labels: labels.remove("car"), {}, "'car' .1."),
        (lambda labels: labels.remove("car"), {"car": "bus"}, "'car' .1."),
        (
            lambda labels: labels.change("car", Label("car", "#f00")),
            {},
            "'state' of 'car' .1.",
        ),
        (lambda labels: replace(labels, relations=("near",)), {}, "the relation 'holds' .1."),
    ],
)
def test_labels_that_cannot_hold_what_is_said_are_refused(described, change, renames, told):
    before = described.labels, names(described), described.steps()
    with pytest.raises(LabelError, match=told):
        described.set_labels(change(described.labels), renames)
    assert (described.labels, names(described), described.steps()) == before


def test_whoever_has_an_image_open_notices_that_its_labels_changed(described):
    before = described.annotations("x.png")
    with Store(described.path) as other:
        other.set_labels(other.labels.rename("tree", "bush"), {"tree": "bush"})
    with pytest.raises(ConflictError):
        described.commit("x.png", before[:1], before=before)
    assert names(described) == ["car", "bush", "auto"]


def test_judging_takes_time(described):
    described.log("x.png", "accept car", seconds=2.5, meta={"accepted": ["a"]})
    described.set_status("x.png", "accepted", seconds=4)
    described.set_status("y.png", "done")
    assert described.judging_seconds() == {"x.png": 6.5}
    assert described.get_meta("accepted") == ["a"]
    with pytest.raises(StoreError, match=r"no image 'z\.png'"):
        described.log("z.png", "accept car", seconds=1, meta={"accepted": []})
    assert described.get_meta("accepted") == ["a"]
