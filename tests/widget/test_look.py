"""How kept masks are drawn and which keys there are: chosen by Python or a page, checked."""

import json
import re
from pathlib import Path

import pytest

from segwidget.errors import SettingError
from segwidget.widget.look import APPEARANCE, VERBS

KEYS = Path(__file__).parents[2] / "js/src/canvas/keys.ts"


def test_a_widget_begins_as_usual(seg, page):
    assert seg.appearance == {"opacity": 0.3, "show": "both", "color_by": "label"}
    assert seg.keymap == {}
    assert page["appearance"] == dict(APPEARANCE)
    assert page["keymap"] == {}


def test_what_python_chooses_is_what_a_page_is_told(seg, page):
    seg.appearance = {"opacity": 1, "show": "outline"}
    assert page["appearance"] == {"opacity": 1.0, "show": "outline", "color_by": "label"}
    seg.appearance = {"color_by": "object"}  # what is left out stays
    assert page["appearance"] == {"opacity": 1.0, "show": "outline", "color_by": "object"}


def test_a_page_chooses_the_look_and_undo_does_not_know(seg, page):
    page.set(appearance={"opacity": 0.55, "show": "fill", "color_by": "object"})
    assert seg.appearance == {"opacity": 0.55, "show": "fill", "color_by": "object"}
    assert seg.history == {"undo": None, "redo": None}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"opacity": 1.5}, "from 0 to 1"),
        ({"opacity": float("nan")}, "from 0 to 1"),
        ({"opacity": True}, "from 0 to 1"),
        ({"show": "nothing"}, "'both' or 'fill' or 'outline'"),
        ({"color_by": ["label"]}, "'label' or 'object'"),
        ({"colour": "red"}, "opacity, show, color_by"),
        ("outline", "expected a dict"),
    ],
)
def test_an_impossible_look_is_refused_and_nothing_changes(seg, page, wrong, message):
    with pytest.raises(SettingError, match=message):
        seg.appearance = wrong
    assert seg.appearance == APPEARANCE
    page.set(appearance=wrong)
    assert re.search(message, page["notice"]["message"])
    assert seg.appearance == page["appearance"] == APPEARANCE


def test_keys_are_given_to_verbs(seg, page):
    seg.keymap = {"keep": "q", "undo": ["Ctrl+z", "u"], "redo": ("shift+U",), "zoomIn": ["+"]}
    assert page["keymap"] == {
        "keep": ["q"], "undo": ["Ctrl+z", "u"], "redo": ["Shift+U"], "zoomIn": ["+"],
    }  # fmt: skip
    seg.keymap = None
    assert page["keymap"] == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fly": ["k"]}, "no verb 'fly'"),
        ({"keep": ["Tab"]}, "Tab and Space keep"),
        ({"keep": [" "]}, "Tab and Space keep"),
        ({"keep": ["kk"]}, "no key for 'keep'"),
        ({"keep": ["Hyper+k"]}, "no key for 'keep'"),
        ({"keep": [""]}, "no key for 'keep'"),
        ({"keep": [7]}, "given as int"),
        ({"keep": 7}, "a list of at most 8"),
        ({"keep": [str(i) for i in range(9)]}, "a list of at most 8"),
        ({"keep": ["q"], "undo": ["Q"]}, "to both 'keep' and 'undo'"),
        (["k"], "expected a dict"),
    ],
)
def test_impossible_keys_are_refused(seg, wrong, message):
    with pytest.raises(SettingError, match=message):
        seg.keymap = wrong
    assert seg.keymap == {}


def test_a_page_cannot_give_itself_keys(seg, page):
    page.set(keymap={"keep": ["q"]})
    assert seg.keymap == {}


def test_keys_are_given_at_the_beginning(make):
    assert make(keys={"keep": ["q"]}).keymap == {"keep": ["q"]}
    with pytest.raises(SettingError):
        make(keys={"keep": ["Tab"]})


def test_the_front_end_has_the_same_verbs():
    text = KEYS.read_text("utf-8")
    named = set(re.findall(r'row\("[^"]+", "(\w+)"', text))
    named.remove("hotkey")  # that is the labels' to say
    named |= {f"pick{n}" for n in range(1, 5)} | {f"label{n}" for n in range(1, 10)}
    ways = re.findall(r'arrow\("(\w+)"', text)
    named |= {f"{kind}{way}" for kind in ("cross", "leap", "pan") for way in ways}
    assert named == VERBS


def test_appearance_and_keys_travel_as_json(seg):
    state = seg.get_state(["appearance", "keymap"])
    assert json.loads(json.dumps(state)) == {"appearance": dict(APPEARANCE), "keymap": {}}
