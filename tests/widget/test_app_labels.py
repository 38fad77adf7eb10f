"""The label editor of the app: every change is of all images, and no mask is lost."""

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.errors import AnnotationError, LabelError
from segwidget.inference.prompts import Point
from segwidget.widget import ahead, project
from segwidget.widget.facts import Filters
from segwidget.widget.project import Project

from .conftest import HEIGHT, PATIENCE, WIDTH

LABELS = LabelSet.from_json(
    {
        "labels": [
            {"name": "vehicle", "color": "#111111"},
            {
                "name": "car",
                "color": "#ff0000",
                "hotkey": "c",
                "parent": "vehicle",
                "attributes": [{"name": "state", "kind": "choice", "choices": ["new", "old"]}],
            },
            {"name": "auto", "color": "#00ff00"},
            {"name": "person", "color": "#0000ff", "hotkey": "p"},
        ],
        "relations": ["holds"],
    }
)


def rectangle(n, label, **fields):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5 * n : 5 * n + 5, 10:30] = True
    return Annotation.from_mask(mask, label=label, **fields)


@pytest.fixture
def app(tmp_path, comms, loads, monkeypatch):
    monkeypatch.setattr(ahead, "AGAIN_AFTER", 0.005)
    rng = np.random.default_rng(5)
    for name in ("a.png", "b.png"):
        pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        PILImage.fromarray(pixels).save(tmp_path / name)
    pictures = Project(tmp_path, labels=LABELS)
    pictures.store.commit("a.png", [rectangle(0, "auto"), rectangle(1, "person", id="one")])
    pictures.store.commit("b.png", [rectangle(0, "auto"), rectangle(1, "auto")])
    app = pictures.app()
    assert app.wait(PATIENCE)
    app.editing_labels = True
    yield app
    app.close()
    project._apps.clear()


def labels_of(app, key):
    return [item.label for item in app.project.store.annotations(key)]


def press(app, button):
    app.tell("")
    button.click()
    assert app.wait(PATIENCE)
    return app._controls.message.value


def test_the_form_shows_a_label(app):
    editor = app._panels.labels
    assert [text for text, _ in editor.choice.options] == [
        "vehicle (0 masks)",
        "car (0 masks)",
        "auto (3 masks)",
        "person (1 mask)",
    ]
    editor.choice.value = "car"
    assert (editor.name.value, editor.color.value, editor.hotkey.value) == ("car", "#ff0000", "c")
    assert editor.parent.value == "vehicle"
    editor.choice.value = "vehicle"  # whose parent no label below it can be
    assert [value for _, value in editor.parent.options] == ["", "auto", "person"]
    assert app._controls._labels_box.layout.display == ""
    app.editing_labels = False
    assert app._controls._labels_box.layout.display == "none"


def test_a_label_is_added_with_a_color_of_its_own(app):
    editor = app._panels.labels
    editor.new_name.value = " <b>tree</b> "
    assert press(app, editor.add_button) == ""
    assert app.project.labels.names[-1] == "<b>tree</b>"
    assert app.project.labels[-1].color not in {label.color for label in LABELS}
    assert app.segmenter.labels == app.project.labels
    assert editor.choice.value == "<b>tree</b>"
    assert editor.new_name.value == ""
    editor.new_name.value = "car"
    assert "twice" in press(app, editor.add_button)
    assert editor.new_name.value == "car"  # to be corrected
    assert len(app.project.labels) == 5


def test_name_color_key_and_parent_change_in_all_images(app):
    app.filters = Filters(label="auto")
    editor = app._panels.labels
    editor.choice.value = "auto"
    editor.name.value, editor.color.value = "truck", "#123456"
    editor.hotkey.value, editor.parent.value = "t", "vehicle"
    assert press(app, editor.save_button) == ""
    label = app.project.labels.find("truck")
    assert (label.color, label.hotkey, label.parent) == ("#123456", "t", "vehicle")
    assert labels_of(app, "a.png") == ["truck", "person"]
    assert labels_of(app, "b.png") == ["truck", "truck"]
    assert [item.label for item in app.segmenter.annotations] == ["truck", "person"]
    assert app.filters.label == "truck"
    assert app.keys_shown == ("a.png", "b.png")
    assert app.project.store.steps()[-1].name == "relabel auto to truck"
    segmenter = app.segmenter
    segmenter.prompts = [Point(40, 30)]
    segmenter.keep("truck")  # what is open goes on
    assert len(app.project.store.annotations("a.png")) == 3


def test_the_open_image_stays_open_with_its_steps_and_its_draft(app):
    """Rename, recolor, add, and remove into another: each beside work that goes on."""
    editor, segmenter, store = app._panels.labels, app.segmenter, app.project.store
    segmenter.prompts = [Point(40, 30)]
    kept = segmenter.keep("auto")
    segmenter.delete(["one"])
    segmenter.undo()  # the deletion can be done again
    segmenter.prompts = [Point(20, 20)]
    draft, candidates = segmenter.prompts, segmenter.candidates

    editor.choice.value = "auto"
    editor.name.value, editor.color.value = "truck", "#123456"
    assert press(app, editor.save_button) == ""
    editor.new_name.value = "tree"
    assert press(app, editor.add_button) == ""
    editor.choice.value = "person"
    editor.heir.value = "tree"
    assert press(app, editor.remove_button) == ""

    assert app.segmenter is segmenter
    assert segmenter.labels == store.labels
    assert segmenter.labels.color_of("truck") == "#123456"
    assert segmenter.prompts == draft
    assert segmenter.candidates is candidates
    assert [item.label for item in segmenter.annotations] == ["truck", "tree", "truck"]
    segmenter.undo()  # the draft's prompt
    assert segmenter.prompts == ()
    segmenter.redo()
    assert segmenter.prompts == draft
    assert segmenter.keep().label == segmenter.label
    segmenter.undo()
    segmenter.undo()
    segmenter.undo()  # the keeping of the first one
    assert [item.label for item in segmenter.annotations] == ["truck", "tree"]
    assert store.labels == segmenter.labels
    segmenter.redo()
    assert segmenter.annotations[-1].rle == kept.rle
    assert labels_of(app, "a.png") == ["truck", "tree", "truck"]
    assert labels_of(app, "b.png") == ["truck", "truck"]


def test_the_drafts_label_is_renamed_with_all_others(app):
    editor, segmenter = app._panels.labels, app.segmenter
    segmenter.label = "person"
    segmenter.prompts = [Point(40, 30)]
    editor.choice.value = "person"
    editor.name.value = "child"
    assert press(app, editor.save_button) == ""
    assert segmenter.label == "child"
    segmenter.keep()
    assert labels_of(app, "a.png") == ["auto", "child", "child"]
    while segmenter.history["undo"]:
        segmenter.undo()
    assert (segmenter.label, labels_of(app, "a.png")) == ("vehicle", ["auto", "child"])


def test_an_image_that_another_notebook_has_changed_is_opened_anew(app):
    segmenter, store = app.segmenter, app.project.store
    store.commit("a.png", [rectangle(3, "auto")])
    editor = app._panels.labels
    editor.new_name.value = "tree"
    assert press(app, editor.add_button) == ""
    assert app.segmenter is not segmenter
    assert [item.label for item in app.segmenter.annotations] == ["auto"]
    assert app.segmenter.labels.names[-1] == "tree"


def test_labels_change_while_an_image_is_being_opened(app):
    editor = app._panels.labels
    editor.choice.value = "auto"
    editor.name.value = "truck"
    app.open("b.png")
    assert press(app, editor.save_button) == ""
    assert [item.label for item in app.segmenter.annotations] == ["truck", "truck"]
    assert labels_of(app, "a.png") == ["truck", "person"]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("hotkey", "p", "The hotkey 'p' is that of"),
        ("name", "person", "is there"),
        ("name", " ", "empty"),
        ("hotkey", "ab", "hotkey"),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(app, field, value, told):
    editor = app._panels.labels
    editor.choice.value = "auto"
    getattr(editor, field).value = value
    assert told in press(app, editor.save_button)
    assert app.project.labels == LABELS
    assert getattr(editor, field).value == value
    assert labels_of(app, "b.png") == ["auto", "auto"]


def test_a_label_with_masks_goes_only_into_another_one(app):
    editor = app._panels.labels
    editor.choice.value = "auto"
    assert "3 masks are 'auto'" in press(app, editor.remove_button)
    assert app.project.labels == LABELS
    editor.heir.value = "car"
    assert press(app, editor.remove_button) == ""
    assert app.project.labels.names == ("vehicle", "car", "person")
    assert labels_of(app, "a.png") == ["car", "person"]
    assert labels_of(app, "b.png") == ["car", "car"]
    assert editor.choice.value == "car"
    editor.choice.value = "vehicle"  # which has no masks, but a label below it
    assert press(app, editor.remove_button) == ""
    assert app.project.labels.find("car").parent == ""


def test_values_that_the_other_label_cannot_hold_are_not_lost(app):
    store = app.project.store
    store.commit("b.png", [rectangle(2, "car", attributes={"state": "old"})])
    editor = app._panels.labels
    editor.refresh("car")
    editor.heir.value = "person"
    assert "'state' of 'person' (1)" in press(app, editor.remove_button)
    assert app.project.labels == LABELS
    assert store.annotations("b.png")[0].attributes["state"] == "old"


def test_what_is_typed_in_survives_a_step_on_the_picture(app):
    editor = app._panels.labels
    editor.choice.value = "auto"
    editor.name.value = "half a wor"
    app.segmenter.delete(["one"])
    assert editor.name.value == "half a wor"
    assert editor.choice.options[3][0] == "person (0 masks)"


def test_two_masks_are_related_and_undone(app):
    relations = app._panels.relations
    (person, auto) = relations.first.options
    assert (person[0], auto[0]) == ("1  person", "2  auto")
    assert (relations.first.value, relations.second.value) == ("one", auto[1])
    relations.kind.value = "holds"
    assert press(app, relations.relate_button) == ""
    saved = app.project.store.annotations("a.png")[1]
    assert saved.relations == (("holds", auto[1]),)
    assert relations.present.options[0][0] == "1  person  holds  2  auto"
    relations.kind.value = "<i>next to</i>"
    assert press(app, relations.relate_button) == ""
    assert app.project.labels.relations == ("holds", "<i>next to</i>")
    relations.present.value = relations.present.options[0][1]
    assert press(app, relations.part_button) == ""
    assert app.project.store.annotations("a.png")[1].relations == (("<i>next to</i>", auto[1]),)
    app.segmenter.undo()
    assert len(app.segmenter.annotations[1].relations) == 2


def test_impossible_relations_are_told(app):
    relations = app._panels.relations
    relations.first.value = relations.second.value = "one"
    relations.kind.value = "holds"
    with pytest.raises(AnnotationError, match="itself"):
        relations.relate()
    relations.second.value = relations.second.options[1][1]
    relations.kind.value = "  "
    with pytest.raises(LabelError):
        relations.relate()
    assert app.project.store.annotations("a.png")[1].relations == ()
