"""The app: images one after the other, each step saved, nothing left behind."""

import gc
import threading
import weakref
from types import SimpleNamespace

import ipywidgets.widgets.widget as widget_module
import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.errors import ClosedError, ModelError, SettingError, StoreError
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.prompts import Point
from segwidget.widget import ahead, project, review
from segwidget.widget.facts import Filters
from segwidget.widget.project import Project

from .conftest import HEIGHT, PATIENCE, WIDTH, Page, join, live_widgets

DOT = Point(40, 30)
NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(ahead, "AGAIN_AFTER", 0.005)
    yield
    for app in list(project._apps.values()):
        app.close()
    project._apps.clear()


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(5)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in NAMES:
        pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        PILImage.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def pictures(folder, comms, loads):
    return Project(folder, labels=["car", "person"])


@pytest.fixture
def app(pictures):
    app = pictures.app()
    assert app.wait(PATIENCE)
    return app


def keep(app, label=None):
    segmenter = app.segmenter
    segmenter.prompts = [DOT]
    return segmenter.keep(label)


def test_a_kept_mask_is_saved_and_there_again(app, pictures):
    kept = keep(app)
    assert pictures.store.annotations("a.png") == (kept,)
    app.next()
    assert app.key == "b.png"
    assert len(app.segmenter.annotations) == 0
    app.previous()
    assert app.segmenter.annotations.items == (kept,)
    assert app.segmenter.image.name == "a.png"


def test_a_thumbnail_is_there_before_the_image(app):
    assert app._thumbnails.make("b.png").shape == (HEIGHT, WIDTH, 3)
    gate, opened = threading.Event(), app._images._opener
    app._images.close()
    app._images._opener = lambda key: (gate.wait(PATIENCE), opened(key))[1]
    app.next()
    assert [type(child).__name__ for child in app._desk.box.children] == ["Image"]
    assert app._controls.title.value == "b.png"
    gate.set()
    assert app.wait(PATIENCE)
    assert app._desk.box.children == (app.segmenter,)


def test_the_first_image_to_do_is_opened(pictures):
    pictures.store.set_status("a.png", "done")
    app = pictures.app()
    assert app.key == "b.png"
    assert app._controls.position.value == "2 of 4"


def test_done_goes_on_to_the_next_image_and_says_when_all_are(app, pictures):
    app.filters = Filters("todo")
    for name in NAMES:
        assert app.key == name
        app._controls.done.click()
    assert set(pictures.store.statuses().values()) == {"done"}
    assert app.keys_shown == ()
    assert app._controls.message.value == "All images are done."
    assert app._controls.numbers.value.startswith("4 of 4 done")
    app._controls.done.click()  # "Reopen"
    assert pictures.store.status("d.png") == "todo"
    assert app.keys_shown == ("d.png",)


def test_filters_by_label_score_and_masks(app):
    kept = keep(app, "person")
    assert app.wait(PATIENCE)
    app.filters = Filters(label="person")
    assert app.keys_shown == ("a.png",)
    app.filters = Filters(label="car")
    assert app.keys_shown == ()
    app.filters = Filters(unlabeled=True)
    assert app.keys_shown == ("b.png", "c.png", "d.png")
    app.filters = Filters(score=kept.predicted_iou + 0.01)
    assert app.keys_shown == ("a.png",)
    app.filters = Filters(score=kept.predicted_iou - 0.01)
    assert app.keys_shown == ()
    assert app._film.total == 0


def test_progress_counts_masks_and_seconds(app):
    assert app._controls.numbers.value == "0 of 4 done · 0 masks"
    keep(app)
    keep(app)
    app.mark_done()
    text = app._controls.numbers.value
    assert text.startswith("1 of 4 done · 2 masks")
    assert "25.00%" in app._controls.bar.value


def test_what_cannot_be_opened_is_skipped_and_told(folder, comms, loads):
    (folder / "b.png").write_text("no picture")
    app = Project(folder, labels=["car"]).app()
    assert app.wait(PATIENCE)
    app.next()
    assert app.segmenter.image.name == "c.png"
    assert app.key == "c.png"
    assert app._controls.message.value.startswith("Skipped b.png: 'b.png' is not an image")
    app.previous()
    assert app.segmenter.image.name == "a.png"
    app.open("b.png")  # asked for by name, it is not skipped
    assert app._desk.wait(PATIENCE)
    assert app.key == "b.png"
    assert app._desk.segmenter is None
    assert "cannot be opened" in app._controls.message.value


def test_a_folder_of_broken_images_comes_to_an_end(folder, comms, loads):
    for name in NAMES:
        (folder / name).write_text("no picture")
    app = Project(folder, labels=["car"]).app()
    assert app._desk.wait(PATIENCE)
    app.next()
    assert app._desk.wait(PATIENCE)
    assert app.key == "d.png"
    assert "cannot be opened" in app._controls.message.value


def test_the_next_images_are_embedded_ahead(app):
    assert app._ahead.wait(PATIENCE)
    assert app._ahead.ready == ("a.png", "b.png", "c.png")
    assert len(embedding_cache) == 3
    app.next()
    assert app.wait(PATIENCE)
    assert app._ahead.wait(PATIENCE)
    assert set(app._ahead.ready) == {"a.png", "b.png", "c.png", "d.png"}


def test_a_draft_is_there_again(app):
    app.segmenter.prompts = [DOT]
    app.next()
    assert app.segmenter.prompts == ()
    app.previous()
    assert app.segmenter.wait(PATIENCE)
    assert app._desk.wait(PATIENCE)
    assert app.segmenter.prompts == (DOT,)


def test_what_was_set_is_carried_to_the_next_image(app):
    app.segmenter.label, app.segmenter.level, app.segmenter.protect = "person", "part", True
    app.next()
    now = app.segmenter
    assert (now.label, now.level, now.protect) == ("person", "part", True)


def test_a_hundred_images_leave_nothing_behind(app):
    before = len(widget_module._instances)
    images = []
    for n in range(100):
        app.open(NAMES[(n + 1) % 4])
        if n % 3:
            images.append(weakref.ref(app.segmenter))
    app.open("a.png")
    assert app.wait(PATIENCE)
    assert app._ahead.wait(PATIENCE)
    assert len(live_widgets()) == 1
    assert len(widget_module._instances) == before
    gc.collect()
    assert sum(ref() is not None for ref in images) <= 1


def test_closing_frees_everything(app, pictures):
    segmenter = app.segmenter
    app.close()
    app.close()
    join(segmenter)
    assert app._ahead.wait(PATIENCE)
    assert len(embedding_cache) == 0
    left = [type(widget).__name__ for widget in widget_module._instances.values()]
    assert left in ([], ["_CanvasManager"])  # ipycanvas has one for all canvases
    with pytest.raises(ClosedError, match=r"project\.app"):
        app.open("a.png")
    assert pictures.app() is not app


def test_one_app_a_store(app, pictures, folder):
    assert pictures.app() is app
    other = Project(folder).app()
    assert app._closed
    assert pictures.app() is not other
    assert other._closed


def test_bad_input_is_refused_and_changes_nothing(app, pictures):
    with pytest.raises(SettingError, match=r"no image 'x\.png'"):
        app.open("x.png")
    with pytest.raises(SettingError, match="no image 4"):
        app.open(4)
    with pytest.raises(SettingError, match="ahead is -1"):
        pictures.app(ahead=-1)
    assert app.key == "a.png"
    with pytest.raises(ModelError):
        Project(pictures.store.path.parent, store=pictures.store.path).app(model="no such model")


# The strip, as a page sees it.


@pytest.fixture
def sent(app, monkeypatch):
    """What the strip sends pages: content, and how many buffers."""
    sent = []
    monkeypatch.setattr(
        app._film, "send", lambda content, buffers=None: sent.append((content, buffers or []))
    )
    return sent


def test_the_strip_tells_of_what_is_in_sight_only(app, sent):
    keep(app)
    page = Page(app._film)
    page.do("window", first=0, last=2, version=app._film.version)
    assert app._thumbnails.wait(PATIENCE)
    cells = next(c for c, _ in sent if c["op"] == "cells")["cells"]
    assert cells == [
        {"title": "a.png", "status": "todo", "count": 1},
        {"title": "b.png", "status": "todo", "count": 0},
    ]
    assert {c["index"] for c, buffers in sent if c["op"] == "thumb" and buffers} == {0, 1}
    sent.clear()
    app._film.refresh("c.png")
    assert sent == []
    app._film.refresh("b.png")
    assert sent[0][0]["first"] == 1


def test_a_click_in_the_strip_opens_an_image_and_nonsense_is_let_pass(app):
    page, version = Page(app._film), app._film.version
    for content in (
        None,
        [],
        {"op": "open", "index": 9, "version": version},
        {"op": "open", "index": True, "version": version},
        {"op": "open", "index": 2, "version": -1},
        {"op": "window", "first": 3, "last": 1, "version": version},
        {"op": "step", "step": 5},
    ):
        page.send(content)
    assert app.key == "a.png"
    page.do("open", index=2, version=version)
    assert app.key == "c.png"
    assert app._film.current == 2
    page.do("step", step=1)
    assert app.key == "d.png"


def test_a_broken_image_has_a_badge(folder, comms, loads):
    (folder / "c.png").write_text("no picture")
    app = Project(folder, labels=["car"]).app()
    assert app.wait(PATIENCE)
    app._thumbnails.make("c.png")
    sent = []
    app._film.send = lambda content, buffers=None: sent.append(content)
    Page(app._film).do("window", first=2, last=3, version=app._film.version)
    assert sent[0]["cells"][0]["status"] == "failed"


# Review and download.


def test_review_goes_mask_by_mask(app, pictures):
    first, second = keep(app), keep(app, "person")
    app.reviewing = True
    review = app._panels.review
    assert review.mask == first
    assert review._which.value == "car · mask 1 of 2"
    review.accept_button.click()
    assert review.mask == second
    review.reject_button.click()
    assert pictures.store.annotations("a.png") == (first,)
    assert review.mask is None
    assert review._which.value == "All masks are judged"
    app.segmenter.undo()
    assert review.mask == second
    review.accept_button.click()
    assert pictures.store.status("a.png") == "accepted"
    assert app.key == "b.png"
    assert review.accepted("a.png") == [first.id, second.id]


def test_the_time_of_a_review_counts(app, pictures, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(review, "time", SimpleNamespace(monotonic=lambda: now[0]))
    masks = []
    for name in (None, "person", None):
        app.segmenter.prompts = [DOT]
        app.segmenter._began -= 2  # what took no time at all is left out of the mean
        masks.append(app.segmenter.keep(name))
    made = sum(mask.seconds for mask in masks) / 3
    assert app._facts.seconds_per_mask() == pytest.approx(made)
    app.reviewing = True
    for button, seconds in (
        (app._panels.review.accept_button, 4),
        (app._panels.review.reject_button, 6),
    ):
        now[0] += seconds
        button.click()
    assert pictures.store.judging_seconds() == {"a.png": 10}
    left = (masks[0].seconds + masks[2].seconds) / 2
    assert app._facts.seconds_per_mask() == pytest.approx(left + 10 / 2)
    assert app._controls.numbers.value.endswith(f"{left + 5:.1f} s per mask")
    now[0] += 9_999  # lunch
    app._panels.review.accept_image_button.click()
    assert pictures.store.judging_seconds() == {"a.png": 10 + review.LONGEST}
    judged = [s for s in pictures.store.steps("a.png") if s.seconds and not (s.added or s.removed)]
    assert [(s.name, s.seconds) for s in judged] == [
        ("accept car", 4),
        ("reject person", 6),
        ("accepted", review.LONGEST),
    ]
    assert app.wait(PATIENCE)
    app.refresh()
    assert app.wait(PATIENCE)
    assert app._facts.seconds_per_mask() == pytest.approx(left + (10 + review.LONGEST) / 2)
    statistics = pictures.statistics()
    assert statistics.judging == 10 + review.LONGEST
    assert statistics.summary()["seconds in all"] == pytest.approx(2 * left + 310)


def test_review_of_images_as_a_whole(app, pictures):
    app.reviewing = True
    app._panels.look_again()
    app._panels.review.accept_image_button.click()
    assert app.wait(PATIENCE)
    app._panels.review.reject_image_button.click()
    assert pictures.store.statuses()["a.png"] == "accepted"
    assert pictures.store.statuses()["b.png"] == "rejected"


def test_the_download_reaches_the_page(app, sent, monkeypatch, tmp_path):
    def download(name):
        path = tmp_path / f"{name}.zip"
        path.write_bytes(b"PK")
        return path

    monkeypatch.setattr(app.project, "download", download)
    app._download.begin()
    app._download.thread.join(PATIENCE)
    (content, buffers) = next((c, b) for c, b in sent if c["op"] == "save")
    assert content["name"] == "coco.zip"
    assert bytes(buffers[0][:2]) == b"PK"
    assert not app._download.button.disabled
    assert app._controls.message.value.startswith("Saved as")


def test_an_export_that_fails_is_told(app, monkeypatch):
    def download(name):
        raise StoreError("The disk is full.")

    monkeypatch.setattr(app.project, "download", download)
    app._download.begin()
    app._download.thread.join(PATIENCE)
    assert app._controls.message.value == "The disk is full."
    assert not app._download.button.disabled


def test_what_a_button_cannot_do_is_told(app, pictures):
    keep(app)
    app.reviewing = True
    pictures.store.close()
    app._panels.review.accept_button.click()
    assert "is closed" in app._controls.message.value
    app._panels.review.reject_image_button.click()
    app._controls.done.click()
    assert app.key == "a.png"


def test_what_python_has_done_is_seen_when_the_image_is_opened(app, pictures):
    mask = np.ones((HEIGHT, WIDTH), bool)
    pictures["c.png"].annotations.add(mask, label="car")
    pictures["c.png"].status = "done"
    assert app._facts.status("c.png") == "todo"
    app.open("c.png")
    assert len(app.segmenter.annotations) == 1
    assert app._facts.status("c.png") == "done"
    assert app._controls.status.value == "done"
    assert repr(app) == "<App: 4 images, c.png>"
    pictures["d.png"].annotations.add(mask, label="car")
    app.refresh()
    assert app.wait(PATIENCE)
    assert app._controls.numbers.value == "1 of 4 done · 2 masks"


def test_closing_the_project_closes_its_app(app, pictures):
    pictures.close()
    assert app._closed
    assert pictures.store.closed


def test_images_come_in_a_given_order(pictures):
    app = pictures.app(order=["c.png", "gone.png", "a.png"])
    assert app.wait(PATIENCE)
    assert app.keys_shown == ("c.png", "a.png", "b.png", "d.png")
    assert app.key == "c.png"
    app.mark_done()
    assert app.key == "a.png"
    app.refresh()
    assert app.wait(PATIENCE)
    assert app.keys_shown == ("c.png", "a.png", "b.png", "d.png")


def test_a_project_that_is_only_read_can_be_looked_through(pictures, app, folder):
    kept = keep(app)
    app.close()
    pictures.close()
    with Project(folder, read_only=True) as read:
        looking = read.app()
        assert looking.wait(PATIENCE)
        assert "open for reading only" in looking._controls.message.value
        looking.tell("")
        assert looking.key == "a.png"
        assert looking.segmenter.annotations.items == (kept,)
        looking._controls.done.click()
        assert "reading only" in looking._controls.message.value
        with pytest.raises(StoreError, match="reading only"):
            keep(looking)
        assert looking.segmenter.annotations.items == (kept,)
        looking.next()  # an image of which nothing was known
        assert looking.wait(PATIENCE)
        assert looking.key == "b.png"
        assert looking.segmenter.image.name == "b.png"
    with Project(folder) as again:
        assert again.store.annotations("a.png") == (kept,)
        assert again.store.status("a.png") == "todo"
