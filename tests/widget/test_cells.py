"""Running a cell again goes on where its last run was."""

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation
from segwidget.errors import ModelError
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.prompts import Point
from segwidget.widget.answerer import Answerer
from segwidget.widget.cells import CellRun, Places, current_cell_run

from .conftest import HEIGHT, PATIENCE, WIDTH, Page, join, live_widgets

DOT = {"type": "point", "x": 40, "y": 30, "label": 1}


@pytest.fixture
def notebook(monkeypatch):
    """A fake shell: `notebook("cell-1")` begins an execution of that cell."""
    shell = SimpleNamespace(parent_header=None)
    fake = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace())
    runs = iter(range(10**6))

    def run(cell):
        shell.parent_header = {
            "metadata": {"cellId": cell},
            "header": {"msg_id": f"run-{next(runs)}"},
        }

    # Only what asks for the cell sees the fake; ipywidgets has its own import of IPython.
    monkeypatch.setitem(sys.modules, "IPython", fake)
    run.shell = shell
    return run


def work(seg):
    """One kept mask, one step undone, and a draft."""
    page = Page(seg)
    seg.prompts = [DOT]
    seg.keep("person")
    seg.add_label("tree")
    seg.prompts = [DOT, Point(10, 10, 0)]
    seg.pick(2)
    seg.label = "car"
    seg.undo()
    return page


@pytest.mark.parametrize(
    "header",
    [
        None,
        "text",
        {},
        {"metadata": {}, "header": {}},
        {"metadata": None, "header": None},
        {"metadata": {"cellId": "a"}, "header": {}},
        {"metadata": {"cellId": 5}, "header": {"msg_id": "m"}},
        {"metadata": {}, "header": {"msg_id": "m"}},
    ],
)
def test_where_no_cell_is_named_there_is_none(notebook, header):
    notebook.shell.parent_header = header
    assert current_cell_run() is None


def test_there_is_no_cell_outside_notebooks(monkeypatch, notebook):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert current_cell_run() is None
    monkeypatch.delitem(sys.modules, "IPython")
    assert current_cell_run() is None


def test_the_cell_and_its_run_are_known(notebook):
    notebook("cell-1")
    first = current_cell_run()
    notebook("cell-1")
    assert first == CellRun("cell-1", "run-0")
    assert current_cell_run() == CellRun("cell-1", "run-1")


def test_running_a_cell_again_takes_its_work_over(make, notebook):
    notebook("cell-1")
    old = make()
    work(old)
    annotations, snapshot = old.annotations, old._session.snapshot
    notebook("cell-1")
    new = make()
    page = Page(new)
    assert new.wait(PATIENCE)
    assert new._session.snapshot == snapshot
    assert new.annotations.items == annotations.items
    assert [a["label"] for a in page["annotations"]] == ["person"]
    assert new.history == page["history"] == {"undo": "pick", "redo": "label car"}
    assert len(page["prompts"]) == 2
    assert page["picked"] == 2
    assert page["candidates"]["request"] == page["request"]
    assert [label["name"] for label in page["labels"]] == ["car", "person", "tree"]
    new.redo()
    assert new.label == "car"
    for _ in range(5):
        new.undo()
    assert new.history["undo"] == "point"
    assert new.prompts == (Point(40, 30),)


def test_proposals_are_taken_over(make, notebook):
    settings = {"points_per_side": 2, "pred_iou_thresh": 0, "stability_score_thresh": 0}
    notebook("cell-1")
    old = make()
    old.everything(**settings, points_per_batch=1)
    (kept,) = old.keep_proposals(old.proposals[:1])
    notebook("cell-1")
    new = make()
    assert new.found == old.found != ()
    assert new.proposals == old.proposals == old.found[1:]
    assert [p["id"] for p in Page(new)["found"]][:1] == Page(new)["taken"]
    assert new.everything_run == {"state": "done", "done": 4, "total": 4, "found": len(new.found)}
    new.undo()
    assert new.proposals == new.found
    new.redo()
    assert list(new.annotations) == [kept]


def test_the_old_widget_is_closed_and_its_work_still_readable(make, notebook):
    notebook("cell-1")
    old = make()
    work(old)
    comm = old.comm
    notebook("cell-1")
    new = make()
    assert comm.closed
    assert live_widgets() == [new]
    join(old)
    assert old.masks.shape == (1, HEIGHT, WIDTH)
    new.undo()
    assert len(old.annotations) == 1


def test_the_seconds_go_on(make, notebook, monkeypatch):
    notebook("cell-1")
    old = make()
    old.prompts = [DOT]
    old._began -= 100
    notebook("cell-1")
    assert make().keep().seconds > 100


def test_the_model_and_the_embedding_stay_for_the_next_run(make, notebook, monkeypatch):
    notebook("cell-1")
    old = make()
    assert old.wait(PATIENCE)
    (features,) = embedding_cache._entries.values()
    notebook("cell-1")
    new = make()
    assert new.wait(PATIENCE)
    assert list(embedding_cache._entries.values()) == [features]
    assert new._answerer._opened.predictor._features is features
    new.close()
    assert len(embedding_cache) == 0


def test_a_run_does_not_wait_for_the_last_one_to_load(make, notebook, loads):
    loads.gate = threading.Event()
    notebook("cell-1")
    old = make()
    notebook("cell-1")
    new = make()
    Page(new).click(40, 30, "p-1")
    loads.gate.set()
    assert new.wait(PATIENCE)
    assert Page(new)["candidates"]["request"] == "p-1"
    join(old)
    new.close()
    join(new)
    assert len(embedding_cache) == 0


def test_closing_before_the_model_is_there_frees_what_the_last_run_left(
    make, notebook, monkeypatch
):
    notebook("cell-1")
    assert make().wait(PATIENCE)
    monkeypatch.setattr(Answerer, "_open", lambda self: None)
    notebook("cell-1")
    new = make()
    assert len(embedding_cache) == 1
    new.close()
    assert len(embedding_cache) == 0


def test_many_runs_leave_one_widget(make, notebook):
    for n in range(8):
        notebook("cell-1")
        seg = make()
        seg.prompts = [Point(5 + n, 30)]
        seg.keep()
    assert live_widgets() == [seg]
    assert seg.wait(PATIENCE)
    assert len(seg.annotations) == 8
    assert len(embedding_cache) == 1


def test_new_labels_in_the_code_are_added(make, notebook):
    notebook("cell-1")
    old = make(labels=["car"])
    old.prompts = [DOT]
    old.keep()
    notebook("cell-1")
    new = make(labels={"car": "#111111", "bike": "#222222"})
    assert new.labels.names == ("car", "bike")
    assert new.labels.color_of("bike") == "#222222"
    assert new.label == "car"


def test_where_the_code_names_no_labels_none_is_added(make, notebook):
    notebook("cell-1")
    make(labels=None).labels = ["car"]
    notebook("cell-1")
    assert make(labels=None).labels.names == ("car",)


def test_several_widgets_of_one_cell_are_told_apart(make, notebook):
    notebook("cell-1")
    first, second = make(), make()
    first.prompts = [DOT]
    first.keep("car")
    second.prompts = [DOT]
    second.keep("person")
    assert not first._closed
    notebook("cell-1")
    assert [make().annotations[0].label for _ in range(2)] == ["car", "person"]
    assert first._closed
    assert second._closed


def nothing_taken_over(old, new):
    assert len(new.annotations) == 0
    assert new.prompts == ()
    assert new.history == {"undo": None, "redo": None}
    assert len(old.annotations) == 1


def test_another_image_is_other_work(make, notebook, picture):
    notebook("cell-1")
    old = make()
    work(old)
    notebook("cell-1")
    nothing_taken_over(old, make(255 - picture))
    assert not old._closed


def test_another_cell_is_other_work(make, notebook):
    notebook("cell-1")
    old = make()
    work(old)
    notebook("cell-2")
    nothing_taken_over(old, make())
    assert not old._closed


def test_the_same_run_is_other_work(make, notebook):
    notebook("cell-1")
    old = make()
    work(old)
    nothing_taken_over(old, make())
    assert not old._closed


def test_outside_notebooks_nothing_is_taken_over(make):
    old = make()
    work(old)
    nothing_taken_over(old, make())
    assert not old._closed


def test_a_widget_that_was_closed_is_not_taken_over(make, notebook):
    notebook("cell-1")
    old = make()
    work(old)
    old.close()
    notebook("cell-1")
    nothing_taken_over(old, make())


def test_given_annotations_are_gone_on_with_instead(make, notebook):
    notebook("cell-1")
    old = make()
    work(old)
    mask = np.ones((HEIGHT, WIDTH), bool)
    given = Annotation.from_mask(mask, label="sky")
    notebook("cell-1")
    new = make(annotations=[given])
    assert new.annotations.items == (given,)
    assert new.prompts == ()
    assert old._closed
    assert [a.label for a in old.annotations] == ["person"]
    notebook("cell-1")
    assert make().annotations.items == (given,)


def test_a_run_that_fails_leaves_the_work_to_the_next(make, notebook):
    notebook("cell-1")
    old = make()
    work(old)
    notebook("cell-1")
    with pytest.raises(ModelError):
        make(model="nothing")
    assert not old._closed
    notebook("cell-1")
    assert len(make().annotations) == 1


def test_places_let_go_of_what_nobody_else_holds():
    class Made:
        made_in = CellRun("cell", "run")

    places = Places()
    assert places.take(Made(), "image") is None
    assert len(places._newest) == 0
    free = SimpleNamespace(made_in=None)
    assert places.take(free, "image") is None
