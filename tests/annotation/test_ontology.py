"""Labels with attributes, hotkeys, parents and relations, and how they may change."""

import json
import pickle

import pytest

from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.formats.coco import read_coco, write_coco
from segwidget.annotation.labels import Label, LabelSet
from segwidget.annotation.ontology import Attribute, Values
from segwidget.annotation.session import Session
from segwidget.errors import AnnotationError, LabelError, StoreError

from .conftest import square

STATE = Attribute("state", "choice", ("new", "old"))
DOORS = Attribute("doors", "number")
NOTE = Attribute("note", "text")
FLAGS = Attribute("flags", "tag", ("blurred", "cut off"))
CROWD = Attribute("crowd", "tag")
ONTOLOGY = LabelSet(
    (
        Label("vehicle", "#f00", attributes=(STATE, NOTE)),
        Label("car", "tomato", "C", (DOORS, FLAGS, CROWD), "vehicle"),
        Label("person", "#00f", "p"),
    ),
    ("holds", "beside"),
)
VALUES = {"state": "old", "doors": 4, "flags": ["cut off"], "crowd": False, "note": "<b>&\n"}


def kept(id_, label="car", **fields):
    return Annotation.from_mask(square(), label=label, id=id_, **fields)


@pytest.fixture
def session():
    return Session(ONTOLOGY, [kept("a"), kept("b"), kept("c", "person")])


def test_an_ontology_survives_json_and_files(tmp_path):
    again = LabelSet.from_json(json.loads(json.dumps(ONTOLOGY.to_json())))
    assert again == ONTOLOGY
    assert again[1].hotkey == "c"
    path = ONTOLOGY.save(tmp_path / "labels.json")
    assert LabelSet.load(path) == ONTOLOGY
    assert LabelSet.of(ONTOLOGY.to_dicts()).labels == ONTOLOGY.labels
    path.write_text('["car", {"name": "person", "color": "#0f0", "hotkey": "p"}]')
    assert LabelSet.load(path).names == ("car", "person")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ('{"labels": [], "colors": []}', "colors"),
        ('{"labels": [{"name": "a", "size": 3}]}', "size"),
        ('{"labels": [{"name": "a", "attributes": [{"kind": "text"}]}]}', "'name'"),
        ('{"labels": ["a"], "relations": "beside"}', "relations"),
    ],
)
def test_files_of_something_else_are_refused(tmp_path, text, said):
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(LabelError, match=said):
        LabelSet.load(path)
    with pytest.raises(StoreError, match="cannot be read"):
        LabelSet.load(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([Label("a", "#f00", parent="b")], "none of them"),
        ([Label("a", "#f00", parent="a")], "circle: 'a' → 'a'"),
        (
            [
                Label("a", "#f00", parent="b"),
                Label("b", "#0f0", parent="c"),
                Label("c", "#00f", parent="b"),
            ],
            "circle",
        ),
        ([Label("a", "#f00", "x"), Label("b", "#0f0", "X")], "hotkey 'x' is that of 'a'"),
    ],
)
def test_circles_and_hotkeys_twice_are_refused(labels, said):
    with pytest.raises(LabelError, match=said):
        LabelSet(tuple(labels))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Label("a", "#f00", "F1"), "one character"),
        (lambda: Label("a", "#f00", " "), "one character"),
        (lambda: Label("a", "#f00", attributes=(STATE, STATE)), "twice"),
        (lambda: Label("a", "#f00", attributes="state"), "list"),
        (lambda: Attribute("", "text"), "name of an attribute is empty"),
        (lambda: Attribute("a", "date"), "expected one of text, number"),
        (lambda: Attribute("a", "choice"), "no choices"),
        (lambda: Attribute("a", "text", ("b",)), "with choices"),
        (lambda: Attribute("a", "choice", ("b", "b")), "twice"),
    ],
)
def test_impossible_definitions_are_refused(make, said):
    with pytest.raises(LabelError, match=said):
        make()


def test_renaming_a_label_renames_it_as_a_parent():
    new = ONTOLOGY.rename("vehicle", "thing")
    assert new[1].parent == "thing"
    assert new.relations == ONTOLOGY.relations
    assert [one.name for one in new.attributes_of("car")] == [
        "doors", "flags", "crowd", "state", "note",
    ]  # fmt: skip


def test_values_are_immutable_and_equal_to_a_dictionary():
    values = Values({"a": [1 and "x"], "b": 2})
    assert values == {"a": ("x",), "b": 2.0}
    assert hash(values) == hash(Values({"b": 2, "a": ("x",)}))
    assert pickle.loads(pickle.dumps(values)) == values
    with pytest.raises(TypeError):
        values["a"] = "y"
    with pytest.raises(AnnotationError, match="finite"):
        Values({"a": float("nan")})
    with pytest.raises(AnnotationError, match="by name"):
        Values(["a"])


def test_attributes_are_set_undone_and_taken_away(session):
    session.set_attributes(["a", "b"], VALUES)
    item = session.find("a")
    assert item.attributes == {**VALUES, "flags": ("cut off",), "doors": 4.0}
    assert session.undo_name == "describe 2 masks"
    session.set_attributes(["a"], {"state": None})
    assert "state" not in session.find("a").attributes
    assert session.find("b").attributes["state"] == "old"
    session.undo()
    session.undo()
    assert session.find("a").attributes == {}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"wheels": 4}, "no attribute 'wheels'"),
        ({"wheels": None}, "no attribute 'wheels'"),
        ({"doors": "four"}, "a finite number"),
        ({"doors": True}, "a finite number"),
        ({"doors": float("inf")}, "finite"),
        ({"state": "broken"}, "one of 'new', 'old'"),
        ({"state": ["new"]}, "one of 'new', 'old'"),
        ({"flags": "cut off"}, "a list of any of"),
        ({"flags": ["lost"]}, "a list of any of"),
        ({"crowd": 1}, "True or False"),
        ({"note": 3}, "text"),
        ({"note": "\ud800"}, "text"),
        (["note"], "values by name"),
    ],
)
def test_wrong_values_change_nothing(session, values, said):
    before = session.snapshot
    with pytest.raises(AnnotationError, match=said):
        session.set_attributes(["a"], values)
    assert session.snapshot == before


def test_kept_annotations_are_checked_as_well(session):
    with pytest.raises(AnnotationError, match="no attribute 'doors'"):
        session.keep(kept("d", "person", attributes={"doors": 2}))
    with pytest.raises(AnnotationError, match="points at 'z'"):
        session.keep_all([kept("d", parent="z")])
    with pytest.raises(AnnotationError, match="no relation 'under'"):
        session.keep(kept("d", relations=[("under", "a")]))
    session.keep_all([kept("d"), kept("e", parent="d", relations=[["holds", "a"]])])
    assert session.find("e").relations == (("holds", "a"),)


def test_a_refined_annotation_keeps_what_was_said_of_it(session):
    session.set_attributes(["a"], VALUES)
    session.set_parent(["a"], "c")
    session.keep(Annotation.from_mask(square(9), label="car", id="a"), replacing=True)
    assert session.find("a").attributes["doors"] == 4
    assert session.find("a").parent == "c"


def test_relabeling_leaves_what_the_new_label_has_too(session):
    session.set_attributes(["a"], VALUES)
    session.relabel(["a"], "vehicle")
    assert session.find("a").attributes == {"state": "old", "note": "<b>&\n"}
    session.undo()
    assert len(session.find("a").attributes) == 5


def test_parents_are_a_tree_and_die_with_their_annotation(session):
    session.set_parent(["a", "b"], "c")
    session.relate("a", "beside", "b")
    session.relate("c", "holds", "b")
    for ids, parent, said in [
        (["c"], "a", "circle"),
        (["a"], "a", "itself"),
        (["a"], "z", "no annotation"),
    ]:
        with pytest.raises(AnnotationError, match=said):
            session.set_parent(ids, parent)
    session.delete(["b"])
    assert session.find("a").relations == session.find("c").relations == ()
    assert session.find("a").parent == "c"
    session.delete(["c"])
    assert session.find("a").parent == ""
    session.undo()
    session.undo()
    assert session.find("c").relations == (("holds", "b"),)
    session.relate("c", "holds", "b", related=False)
    assert session.find("c").relations == ()
    with pytest.raises(AnnotationError, match="no relation 'under'"):
        session.relate("a", "under", "b")
    session.set_annotations([item for item in session.annotations if item.id != "c"])
    assert session.find("a").parent == ""


def test_new_labels_relabel_what_is_kept(session):
    session.set_attributes(["a"], {"doors": 2})
    session.set_label("car")
    new = LabelSet((Label("automobile", "#f00", attributes=(DOORS,)), Label("person", "#00f")))
    session.set_labels(new, renames={"car": "automobile"})
    assert [item.label for item in session.annotations] == ["automobile", "automobile", "person"]
    assert session.find("a").attributes == {"doors": 2}
    assert session.label == "automobile"
    session.undo()
    assert session.find("a").label == "car"
    assert session.labels == ONTOLOGY


@pytest.mark.parametrize(
    ("labels", "renames", "said"),
    [
        (["car"], {}, r"lack: 'person' \(1\)"),
        (["auto", "person"], {"cart": "auto"}, "no label 'cart'"),
        (["auto", "person"], {"car": "autos"}, "no label 'autos'"),
        (["car", "person"], {}, r"cannot hold: 'state' of 'car' \(1\), the relation 'beside'"),
        (["auto", "person"], {"car": "auto"}, "'state' of 'auto'"),
        (["car", "person"], ["car"], "renames"),
    ],
)
def test_new_labels_that_would_lose_something_are_refused(session, labels, renames, said):
    session.set_attributes(["a"], {"state": "new"})
    session.relate("a", "beside", "b")
    before = session.snapshot
    with pytest.raises(LabelError, match=said):
        session.set_labels(labels, renames)
    assert session.snapshot == before


def test_all_of_it_survives_coco(session, image, tmp_path):
    session.set_attributes(["a"], VALUES)
    session.set_parent(["a"], "c")
    session.relate("a", "holds", "b")
    items = [*session.annotations, kept("d", author="Zoë <z@x>")]
    path = write_coco(Annotations(items, image, session.labels), tmp_path / "a.coco.json")
    assert read_coco(path).items == tuple(items)
    assert Annotation.from_dict(json.loads(json.dumps(items[0].to_dict()))) == items[0]
    assert pickle.loads(pickle.dumps(items[0])) == items[0]
    assert hash(items[0]) is not None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"parent": "x"}, "itself"),
        ({"parent": None}, "parent"),
        ({"author": 3}, "author"),
        ({"relations": [("holds",)]}, "pairs"),
        ({"relations": [("holds", "x")]}, "itself"),
        ({"attributes": {"": 1}}, "empty"),
        ({"attributes": {"a": object()}}, "expected text"),
    ],
)
def test_impossible_fields_are_refused(fields, said):
    with pytest.raises(AnnotationError, match=said):
        kept("x", **fields)


def test_the_table_has_a_column_for_each_attribute(session, image):
    session.set_attributes(["a"], VALUES)
    session.set_parent(["a"], "c")
    items = [*session.annotations[1:], kept("d", region=[0, 0, 9, 8], edits=["paint", "tidy"])]
    items = [session.find("a"), *items, kept("e", attributes={"area": 1, "self": "x"})]
    frame = Annotations(items, image, session.labels).to_dataframe()
    assert frame["doors"].dtype == "float64"
    row = frame.set_index("id").loc
    assert (row["a"]["state"], row["a"]["doors"], row["a"]["parent"]) == ("old", 4.0, "c")
    assert row["a"]["flags"] == ("cut off",)
    assert (row["d"]["region"], row["d"]["edits"]) == ((0, 0, 9, 8), "paint, tidy")
    assert row["e"]["attribute.area"] == 1
    assert row["e"]["self"] == "x"
    assert row["e"]["area"] == 16
    assert row["d"]["threshold"] == 0
    assert {"author", "note", "crowd"} <= set(frame.columns)
    assert len(Annotations([], image, session.labels).to_dataframe()) == 0


def test_sets_of_labels_are_joined(session):
    new = LabelSet(
        (
            Label("person", "#0f0", "c", (NOTE,), "animal"),
            Label("animal", "#0ff"),
            Label("tree", "#ff0", "t"),
        ),
        ("under",),
    )
    joined = ONTOLOGY.joined(new)
    assert joined.names == ("vehicle", "car", "person", "animal", "tree")
    assert joined.relations == ("holds", "beside", "under")
    assert (joined[2].color, joined[2].hotkey, joined[2].parent) == ("#0000ff", "c", "animal")
    assert joined[1].hotkey == ""
    assert ONTOLOGY.joined([Label("a", "#fff", parent="b")])[-1].parent == ""
    session.add_labels(new)
    assert session.labels == joined
    session.set_attributes(["a"], {"state": "old"})
    session.add_labels([Label("vehicle", "#fff", attributes=(NOTE,)), Label("bus", "#fff", "b")])
    assert session.labels.find("vehicle").attributes == (STATE, NOTE)
    assert session.labels.find("bus").hotkey == ""


def test_annotations_bring_the_definitions_of_their_labels(session, image):
    given = Annotations(session.annotations, image, session.labels)
    new = Session(["vehicle"], given)
    assert new.labels.names == ("vehicle", "car", "person")
    assert new.labels.find("car") == ONTOLOGY.find("car")
    other = Session(["bus"])
    other.set_annotations(given)
    assert other.labels.find("person") == ONTOLOGY.find("person")
    assert other.labels.find("car").parent == ""
