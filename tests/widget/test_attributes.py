"""Attributes, parents and labels of a Segmenter, by Python and by a page."""

import pytest

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import Label, LabelSet
from segwidget.annotation.ontology import Attribute
from segwidget.errors import LabelError

from .test_editing import square

ONTOLOGY = LabelSet(
    (
        Label("vehicle", "#f00", attributes=(Attribute("state", "choice", ("new", "old")),)),
        Label("car", "#0f0", "c", (Attribute("doors", "number"),), "vehicle"),
    ),
    ("beside",),
)


@pytest.fixture
def kept(seg):
    seg.labels = ONTOLOGY
    items = [
        Annotation.from_mask(square(x), label="car", id=name) for x, name in ((5, "a"), (40, "b"))
    ]
    seg.annotations = items
    return seg.annotations.items


def test_a_page_sees_hotkeys_and_attributes(seg, page, kept):
    assert page["labels"] == [
        {
            "name": "vehicle",
            "color": "#ff0000",
            "attributes": [{"name": "state", "kind": "choice", "choices": ["new", "old"]}],
        },
        {
            "name": "car",
            "color": "#00ff00",
            "hotkey": "c",
            "attributes": [
                {"name": "doors", "kind": "number"},
                {"name": "state", "kind": "choice", "choices": ["new", "old"]},
            ],
        },
    ]
    assert "attributes" not in page["annotations"][0]


def test_a_page_sets_attributes_and_parents(seg, page, kept):
    page.do("set_attributes", ids=["a"], values={"doors": 4, "state": "old"})
    page.do("set_parent", ids=["a"], parent="b")
    assert page["notice"] is None
    assert page["annotations"][0]["attributes"] == {"doors": 4.0, "state": "old"}
    assert page["annotations"][0]["parent"] == "b"
    assert seg.history["undo"] == "parent of car"
    page.do("undo")
    page.do("undo")
    assert seg.annotations.items == kept


@pytest.mark.parametrize(
    ("op", "fields", "said"),
    [
        ("set_attributes", {"ids": ["a"], "values": {"doors": "<b>"}}, "finite number"),
        ("set_attributes", {"ids": ["a"], "values": {"__proto__": {}}}, "no attribute"),
        ("set_attributes", {"ids": ["gone"], "values": {}}, "no annotation"),
        ("set_attributes", {"ids": ["a"], "values": ["doors"]}, "'values'"),
        ("set_parent", {"ids": ["a"], "parent": "a"}, "itself"),
        ("set_parent", {"ids": ["a"], "parent": 3}, "'parent'"),
    ],
)
def test_what_is_wrong_becomes_a_notice_and_changes_nothing(seg, page, kept, op, fields, said):
    page.do(op, **fields)
    assert said in page["notice"]["message"]
    assert seg.annotations.items == kept


def test_python_describes_relates_and_relabels(seg, kept):
    seg.set_attributes(["a", "b"], {"doors": 2})
    seg.relate("a", "beside", "b")
    seg.set_parent(["b"], "a")
    with pytest.raises(LabelError, match="'doors' of 'auto'"):
        seg.set_labels(["auto"], renames={"car": "auto"})
    new = LabelSet(
        (Label("auto", "#00f", attributes=(Attribute("doors", "number"),)),), ("beside",)
    )
    seg.set_labels(new, renames={"car": "auto"})
    assert [(item.label, item.attributes) for item in seg.annotations] == [
        ("auto", {"doors": 2})
    ] * 2
    assert seg.labels == new
    seg.delete(["b"])
    assert seg.annotations[0].relations == ()


def test_another_widget_in_the_same_cell_takes_the_new_ontology(make, seg, kept):
    other = make(labels=["car"])
    other._go_on_from(seg, add_labels=True)
    assert other.labels == ONTOLOGY
    assert other.annotations.items == kept
