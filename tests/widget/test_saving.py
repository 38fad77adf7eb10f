"""A widget with a store: each step is on the disk before the page shows it, or did not happen."""

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, ImageInfo
from segwidget.annotation.store import Store
from segwidget.errors import AnnotationError, ClosedError, ModelError, StoreError
from segwidget.inference.prompts import Point
from segwidget.widget.cells import CellRun

from .conftest import HEIGHT, PATIENCE, WIDTH, Page

DOT = Point(40, 30)


def square(label="car", at=1, **fields):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[at : at + 4, 2:6] = True
    return Annotation.from_mask(mask, label=label, **fields)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "work.db"


@pytest.fixture
def store(path):
    with Store(path, author="Ada", busy_seconds=0.05) as store:
        yield store


@pytest.fixture
def seg(make, store):
    seg = make(store=store, key="a.png")
    assert seg.wait(PATIENCE)
    return seg


def on_disk(store):
    """What a notebook that is opened now finds."""
    with Store(store.path) as other:
        return other.annotations("a.png")


STEPS = {
    "keep car": lambda seg: (setattr(seg, "prompts", [DOT]), seg.keep()),
    "keep person": lambda seg: (setattr(seg, "prompts", [DOT]), seg.keep("person")),
    "paint car": lambda seg: seg.paint(seg.annotations[0].id, [(5, 5)], 3),
    "relabel to person": lambda seg: seg.relabel([seg.annotations[0].id], "person"),
    "hide person": lambda seg: seg.show([seg.annotations[0].id], False),
    "person to front": lambda seg: seg.reorder([seg.annotations[0].id], "front"),
    "delete person": lambda seg: seg.delete([seg.annotations[0].id]),
    "undo delete person": lambda seg: seg.undo(),
    "redo delete person": lambda seg: seg.redo(),
    "annotations": lambda seg: setattr(seg, "annotations", [square("tree")]),
}


def test_each_step_is_on_the_disk_before_it_is_shown(seg, store):
    shown = []

    def look(change):
        assert on_disk(store) == change["new"].items
        shown.append(len(change["new"]))

    seg.observe(look, "annotations")
    for name, step in STEPS.items():
        step(seg)
        assert store.steps()[-1].name == name
        assert on_disk(store) == seg.annotations.items
    assert shown == [1, 2, 2, 2, 2, 2, 1, 2, 1, 1]
    assert store.labels.names == ("car", "person", "tree")
    assert store.info("a.png") == ImageInfo.of(seg.image)


def test_what_a_page_keeps_is_on_the_disk(seg, store):
    page = Page(seg)
    page.click(40, 30, "r1")
    assert seg.wait(PATIENCE)
    page.do("keep", request="r1", picked=1)
    (kept,) = on_disk(store)
    assert page["annotations"][0]["id"] == kept.id
    assert kept.prompts == (DOT,)
    assert kept.picked == 1
    assert kept.author == "Ada"
    assert kept.seconds == seg.annotations[0].seconds
    page.do("undo")
    assert on_disk(store) == ()


def test_what_is_not_kept_is_not_written(seg, store):
    seg.prompts = [DOT]
    seg.pick(2)
    seg.label = "person"
    seg.clear()
    assert store.steps() == []


def test_the_next_one_goes_on_from_what_is_there(make, store):
    first = make(labels=["car", "person"], store=store, key="a.png")
    first.annotations = [square(), square("tree", 9)]
    first.close()
    second = make(labels=["lamp", "car"], store=store.path, key="a.png")
    assert second.annotations.items == first.annotations.items
    assert second.labels.names == ("car", "person", "tree", "lamp")
    assert store.labels == second.labels
    other = make(labels=None, store=store, key="b.png")
    assert other.annotations.items == ()
    assert other.labels == second.labels
    assert store.keys() == ("a.png", "b.png")
    other.annotations = [square("lamp")]
    assert store.counts() == {"a.png": 2, "b.png": 1}


def test_a_label_that_another_widget_has_added_stays(make, store):
    one, other = make(store=store, key="a.png"), make(store=store, key="b.png")
    one.add_label("tree")
    other.add_label("lamp")
    assert store.labels.names == ("car", "person", "lamp", "tree")


def refused(seg, store, match):
    """A step that cannot be saved did not happen, neither for Python nor for a page."""
    page = Page(seg)
    seg.prompts = [DOT]
    before = seg.annotations, seg.prompts, dict(seg.history), on_disk(store)
    with pytest.raises(StoreError, match=match):
        seg.keep()
    assert (seg.annotations, seg.prompts, seg.history, on_disk(store)) == before
    page.do("keep", request=seg.request, picked=0)
    assert match in page["notice"]["message"]
    assert (seg.annotations, seg.prompts, seg.history, on_disk(store)) == before
    page.do("dismiss", id=page["notice"]["id"])
    page.do("undo")  # of the prompts, which are not kept anywhere
    page.do("undo")
    assert match in page["notice"]["message"]
    assert seg.annotations.items == before[0].items == before[3]


def test_a_full_disk_takes_the_step_back(seg, store):
    seg.annotations = [square()]
    store._connection.execute("PRAGMA query_only = ON")
    refused(seg, store, "read-only")
    store._connection.execute("PRAGMA query_only = OFF")
    seg.prompts = [DOT]
    seg.keep()
    assert len(on_disk(store)) == 2


def test_another_notebook_is_not_overwritten(seg, store, make):
    seg.annotations = [square()]
    with Store(store.path) as other:
        other.commit("a.png", [])
        with pytest.raises(StoreError, match="Another notebook, or other code, has changed"):
            seg.relabel([seg.annotations[0].id], "person")
    assert seg.annotations[0].label == "car"
    assert on_disk(store) == ()
    again = make(store=store, key="a.png")
    assert again.annotations.items == ()
    again.annotations = [square("person")]
    assert on_disk(store) == again.annotations.items


def test_a_cell_that_runs_again_goes_on_with_its_history(make, store, monkeypatch):
    def run(n):
        run_ = CellRun("cell", f"run {n}")
        monkeypatch.setattr("segwidget.widget.segmenter.current_cell_run", lambda: run_)
        return make(store=store.path, key="a.png")

    first = run(1)
    first.annotations = [square()]
    second = run(2)
    with pytest.raises(ClosedError):
        first.undo()
    second.undo()
    assert second.annotations.items == on_disk(store) == ()
    second.redo()
    with Store(store.path) as other:
        other.commit("a.png", [square("bush")])
    third = run(3)
    assert [a.label for a in third.annotations] == ["bush"]
    assert third.history["undo"] is None


def test_a_store_that_was_given_stays_open_and_a_path_is_closed(make, store):
    given, own = make(store=store, key="a.png"), make(store=store.path, key="b.png")
    mine = own._saving.store
    given.close()
    own.close()
    assert not store.closed
    assert mine.closed


def test_a_widget_that_cannot_be_made_leaves_nothing_open(make, store, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "segwidget.widget.saving.Store", type("Spy", (Store,), {"__init__": spy(opened)})
    )
    with pytest.raises(ModelError):
        make(None, None, "no such model", store=store.path, key="a.png")
    assert len(opened) == 1
    assert opened[0].closed


def spy(opened):
    def init(self, *args, **kwargs):
        Store.__init__(self, *args, **kwargs)
        opened.append(self)

    return init


def test_what_cannot_be_opened_says_so(make, store, tmp_path):
    make(store=store, key="a.png").annotations = [square()]
    with pytest.raises(AnnotationError, match=r"Is it another image\?"):
        make(np.zeros((9, 9, 3), np.uint8), store=store, key="a.png")
    with pytest.raises(AnnotationError, match="expected either"):
        make(store=store, key="a.png", annotations=[square()])
    with pytest.raises(StoreError, match="there is no folder"):
        make(store=tmp_path / "nowhere" / "x.db")


def test_other_pixels_of_the_same_size_are_told_of(make, store, picture):
    make(store=store, key="a.png").annotations = [square()]
    seg = make(picture[::-1].copy(), store=store, key="a.png")
    assert "pixels of 'a.png' are not those" in seg.notice["message"]
    assert len(seg.annotations) == 1


def test_labels_of_all_images_change_and_no_step_is_lost(seg, store):
    store.add_images([("b.png", ImageInfo("b.png", WIDTH, HEIGHT))])
    store.commit("b.png", [square("object")])
    seg.annotations = [square("object"), square("object", 20)]
    seg.delete([seg.annotations[0].id])
    assert seg.set_store_labels(["thing", "other"], {"object": "thing"})
    assert [item.label for item in store.annotations("b.png")] == ["thing"]
    assert [item.label for item in on_disk(store)] == ["thing"]
    seg.undo()
    assert [item.label for item in on_disk(store)] == ["thing", "thing"]
    assert store.labels.names == ("thing", "other")


def test_after_a_change_of_all_labels_others_work_is_not_overwritten(seg, store):
    seg.annotations = [square("object")]
    theirs = square("object", 20)
    store.commit("a.png", [theirs])
    assert not seg.set_store_labels(["object", "other"])
    with pytest.raises(StoreError, match="has changed the annotations"):
        seg.annotations = []
    assert on_disk(store) == (theirs,)
