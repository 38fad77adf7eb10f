"""Labels: text with a color that can be seen, each name once."""

import itertools

import pytest

from segwidget.annotation.labels import MAX_NAME_LENGTH, PALETTE, Label, LabelSet
from segwidget.errors import LabelError


def channels(color):
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def luminance(color):
    """Relative luminance, WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(channels(a), channels(b), strict=True)) ** 0.5


def test_names_get_distinct_colors():
    labels = LabelSet.of(["car", "person"])
    assert labels.names == ("car", "person")
    assert [label.color for label in labels] == list(PALETTE[:2])


def test_every_way_to_say_it():
    expected = LabelSet((Label("car", "#ff0000"), Label("person", PALETTE[0])))
    ways = [
        {"car": "#f00", "person": None},
        [Label("car", "red"), "person"],
        [{"name": "car", "color": "#F00"}, {"name": "person"}],
        expected.to_dicts(),
        expected,
        (label for label in expected),
    ]
    for way in ways:
        assert LabelSet.of(way) == expected
        assert hash(LabelSet.of(expected)) == hash(expected)


def test_one_name_is_not_a_list_of_letters():
    assert LabelSet.of("car").names == ("car",)
    assert LabelSet.of(Label("car", "red")).names == ("car",)


@pytest.mark.parametrize("nothing", [None, [], {}, ()])
def test_nothing_makes_an_object(nothing):
    assert LabelSet.of(nothing).names == ("object",)


def test_a_set_itself_is_never_empty():
    with pytest.raises(LabelError, match="no label"):
        LabelSet(())


def test_given_colors_are_not_given_again():
    labels = LabelSet.of({"a": None, "b": PALETTE[0]})
    assert labels.color_of("a") == PALETTE[1]


def test_palette_is_visible_on_light_and_dark():
    for color in [label.color for label in LabelSet.of([str(i) for i in range(40)])]:
        assert contrast(color, "#ffffff") > 2
        assert contrast(color, "#111111") > 3


def test_default_colors_differ():
    for first, second in itertools.combinations(PALETTE, 2):
        assert distance(first, second) > 0.12, (first, second)
    for first, second in itertools.pairwise(PALETTE):
        assert distance(first, second) > 0.35, (first, second)
    many = [label.color for label in LabelSet.of([str(i) for i in range(300)])]
    assert len(set(many)) == 300
    assert len(LabelSet.of([str(i) for i in range(700)])) == 700


@pytest.mark.parametrize(
    ("given", "kept"),
    [("#F00", "#ff0000"), ("#1a2B3c", "#1a2b3c"), ("Tomato", "#ff6347"), (" red ", "#ff0000"),
     ("rgb(1, 2, 3)", "#010203"), ("hsl(120, 100%, 50%)", "#00ff00")],
)  # fmt: skip
def test_colors_are_normalized(given, kept):
    assert Label("x", given).color == kept


@pytest.mark.parametrize(
    "color",
    ["", "#12", "#ggg", "reddish", "#11223344", "rgb(999, 0, 0)", None, 7, (255, 0, 0),
     "url(x)", "red;background:url(x)"],
)  # fmt: skip
def test_other_colors_are_refused(color):
    with pytest.raises(LabelError, match="color of a label"):
        Label("x", color)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        ("x" * (MAX_NAME_LENGTH + 1), "101 characters"),
        ("a\nb", "line breaks"),
        ("a\0b", "control"),
        ("a\u2028b", "line breaks"),
        ("a\ud800", "control"),
        (None, "NoneType"),
        (7, "expected text"),
    ],
)
def test_names_that_cannot_be_used(name, words):
    with pytest.raises(LabelError, match=words):
        Label(name, "red")


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "../../etc", "猫", "a b", "🚗"])
def test_names_are_any_text(name):
    assert LabelSet.of([name]).names == (name,)


def test_names_are_composed_and_trimmed():
    assert Label(" cafe\u0301 ", "red").name == "caf\u00e9"
    with pytest.raises(LabelError, match="twice"):
        LabelSet.of(["caf\u00e9", "cafe\u0301"])


@pytest.mark.parametrize("wrong", [5, [None], [5], [["car", "red"]], [{"nome": "car"}],
                                   [{"name": "a", "colour": "red"}]])  # fmt: skip
def test_other_things_are_no_labels(wrong):
    with pytest.raises(LabelError, match="expected"):
        LabelSet.of(wrong)


def test_adding_and_renaming_make_new_sets():
    labels = LabelSet.of(["car", "person"])
    more = labels.add("dog")
    assert more.names == ("car", "person", "dog")
    assert more.color_of("dog") == PALETTE[2]
    assert labels.add("dog", "navy").color_of("dog") == "#000080"
    renamed = more.rename("person", "adult")
    assert renamed.names == ("car", "adult", "dog")
    assert renamed.color_of("adult") == labels.color_of("person")
    assert labels.names == ("car", "person")
    assert more.rename("car", "car") == more
    with pytest.raises(LabelError, match="'car' is there twice"):
        labels.add("car")
    with pytest.raises(LabelError, match="twice"):
        labels.rename("car", "person")
    with pytest.raises(LabelError, match="no label 'cat'; there are 'car', 'person'"):
        labels.rename("cat", "dog")
    with pytest.raises(LabelError, match="no label"):
        labels.color_of("cat")


def test_it_is_a_sequence():
    labels = LabelSet.of(["car", "person"])
    assert len(labels) == 2
    assert "car" in labels
    assert labels[0] in labels
    assert "cat" not in labels
    assert 7 not in labels
    assert labels[-1].name == "person"
    assert labels[:1] == (labels[0],)
    assert labels.index(labels[1]) == 1
    assert repr(labels) == f"LabelSet.of({{'car': '{PALETTE[0]}', 'person': '{PALETTE[1]}'}})"


def test_a_tree_of_labels_loses_one_and_keeps_the_rest():
    labels = LabelSet.of(
        [
            {"name": "thing", "color": "#111"},
            {"name": "vehicle", "color": "#222", "parent": "thing"},
            {"name": "car", "color": "#333", "parent": "vehicle"},
        ]
    )
    assert labels.below("thing") == {"vehicle", "car"}
    assert labels.below("car") == frozenset()
    left = labels.remove("vehicle")
    assert left.names == ("thing", "car")
    assert left.find("car").parent == "thing"
    changed = labels.change("vehicle", Label("machine", "#444", "m"))
    assert changed.names == ("thing", "machine", "car")
    assert changed.find("car").parent == "machine"
    assert changed.find("machine") == Label("machine", "#444", "m")
    with pytest.raises(LabelError, match=r"circle|above itself"):
        labels.change("thing", Label("thing", "#111", parent="car"))
    with pytest.raises(LabelError, match="no label"):
        labels.remove("bus")
    with pytest.raises(LabelError, match="at least one"):
        LabelSet.of("car").remove("car")
