"""Embedding images ahead: what is taken, what is skipped, and what a person is told."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.errors import ModelError, StoreError
from segwidget.inference import bulk_embed
from segwidget.inference.bulk_embed import BulkReport, embed_images, find_images
from segwidget.inference.embedding_store import EmbeddingStore
from segwidget.inference.embeddings import find_on_disk
from segwidget.inference.models import Model
from segwidget.media.image import open_image


def save(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    PILImage.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Five images, one of them further down and one hidden, and files of other kinds."""
    folder = tmp_path / "images"
    for seed, name in enumerate(["b.png", "a.PNG", "c.jpg", "more/d.png", ".hidden.png"]):
        save(folder / name, seed)
    (folder / "notes.txt").write_text("no image")
    (folder / ".git").mkdir()
    save(folder / ".git" / "e.png", 9)
    return folder


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES")
    return EmbeddingStore(tmp_path / "embeddings")


@pytest.fixture
def counted(model, monkeypatch):
    """How often the image encoder ran."""
    runs = []
    encode = model.network.embed
    monkeypatch.setattr(model.network, "embed", lambda x: runs.append(1) or encode(x))
    return runs


def names(paths, **options):
    files, failures = find_images(paths, **options)
    return [file.name for file in files], [Path(f.path).name for f in failures]


def test_files_of_folders_and_patterns(folder):
    assert names(folder) == (["a.PNG", "b.png", "c.jpg"], [])
    assert names(folder, recursive=True) == (["a.PNG", "b.png", "c.jpg", "d.png"], [])
    assert names(str(folder / "*.png")) == (["b.png"], [])
    assert names([folder / "**" / "*.png"]) == (["b.png", "d.png"], [])
    assert names([folder / "more", folder]) == (["d.png", "a.PNG", "b.png", "c.jpg"], [])
    assert names([folder / "b.png", folder]) == (["b.png", "a.PNG", "c.jpg"], [])  # each once


def test_what_is_named_itself_is_tried(folder):
    assert names([folder / "notes.txt", folder / ".hidden.png", folder / "no.png"]) == (
        ["notes.txt", ".hidden.png", "no.png"],
        [],
    )


def test_a_file_whose_name_looks_like_a_pattern(folder):
    save(folder / "[1].png", 7)
    assert names(folder / "[1].png") == (["[1].png"], [])


def test_nothing_there(folder, tmp_path):
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    assert names([tmp_path / "empty", folder / "*.gif"]) == ([], ["empty", "*.gif"])
    _, (empty,) = find_images(tmp_path / "empty")
    assert "no image files" in empty.reason
    assert "--recursive" in empty.reason
    _, (empty,) = find_images(tmp_path / "empty", recursive=True)
    assert "--recursive" not in empty.reason


def test_all_are_embedded_once(model, counted, folder, store):
    reports = []
    done = embed_images(folder, model, store=store, on_progress=reports.append)
    assert done == BulkReport(3, embedded=3)
    assert [r.done for r in reports] == [0, 1, 2, 3]
    assert len(counted) == store.usage().entries == 3
    again = embed_images(folder, model, store=store, recursive=True)
    assert again == BulkReport(4, embedded=1, found=3)
    assert len(counted) == 4
    for file in folder.glob("*.png"):
        if not file.name.startswith("."):
            assert find_on_disk(model, open_image(file), store) is not None


def test_the_same_picture_twice(model, counted, folder, store):
    save(folder / "copy.png", 0)  # as b.png
    assert embed_images(folder, model, store=store) == BulkReport(4, embedded=3, found=1)
    assert len(counted) == 3


def test_what_cannot_be_opened_is_listed(model, folder, store):
    (folder / "bad.png").write_text("not a picture")
    report = embed_images([folder, folder / "missing.png", "no/*.x"], model, store=store)
    assert (report.total, report.embedded, report.done) == (6, 3, 6)
    reasons = {Path(f.path).name: f.reason for f in report.failures}
    assert set(reasons) == {"bad.png", "missing.png", "*.x"}
    assert "not an image" in reasons["bad.png"]
    assert "no file" in reasons["missing.png"]


def test_without_images_no_model_is_loaded(folder, store):
    report = embed_images(folder / "*.gif", "no such model", store=store)
    assert (report.total, report.done) == (1, 1)
    with pytest.raises(ModelError, match="no such model"):
        embed_images(folder, "no such model", store=store)


def test_another_precision_than_the_models_is_refused(model, counted, folder, store):
    with pytest.raises(ModelError, match=r"'int7'.*'compact-float32'.*precision out"):
        embed_images(folder, model, precision="int7", store=store)
    assert not counted
    assert embed_images(folder, model, precision="float32", store=store).embedded == 3


def test_it_stops_when_asked_and_goes_on(model, counted, folder, store):
    report = embed_images(folder, model, store=store, cancelled=lambda: len(counted) == 2)
    assert report == BulkReport(3, embedded=2)
    assert store.usage().entries == 2
    assert embed_images(folder, model, store=store) == BulkReport(3, embedded=1, found=2)


def test_an_interruption_keeps_what_is_done(model, folder, store, monkeypatch):
    def interrupt(report):
        if report.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed_images(folder, model, store=store, on_progress=interrupt)
    assert store.usage().entries == 2


def test_an_interruption_between_writing_and_counting(model, folder, store, monkeypatch):
    write, reports = store.write, []

    def write_and_stop(name, data):
        write(name, data)
        if len(reports) == 2:
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(store, "write", write_and_stop)
    with pytest.raises(KeyboardInterrupt):
        embed_images(folder, model, store=store, on_progress=reports.append)
    assert reports[-1].embedded == store.usage().entries == 2


def test_an_interruption_before_writing_counts_nothing(model, folder, store, monkeypatch):
    def stop(name, data):
        raise KeyboardInterrupt

    reports = []
    monkeypatch.setattr(store, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        embed_images(folder, model, store=store, on_progress=reports.append)
    assert reports[-1] == BulkReport(3)


def test_few_images_are_open_at_a_time(model, tmp_path, store, monkeypatch):
    files = [save(tmp_path / f"{i}.png", i) for i in range(20)]
    opened, ahead = [], []
    monkeypatch.setattr(bulk_embed, "open_image", lambda p: opened.append(p) or open_image(p))
    embed_images(
        files, model, store=store, on_progress=lambda r: ahead.append(len(opened) - r.done)
    )
    assert len(opened) == 20
    assert max(ahead) <= bulk_embed.OPENED_AHEAD


def test_a_limit_that_is_too_small_is_told(model, folder, store):
    size = embed_one(model, folder, store)
    store.clear()
    report = embed_images(folder, model, store=store, max_bytes=2 * size)
    assert report.embedded == 3
    assert store.usage().nbytes <= 2 * size
    assert "the first make room for the last" in report.remark
    wanted = int(report.remark.partition("SEGWIDGET_EMBEDDINGS_MAX_BYTES=")[2].partition(",")[0])
    assert embed_images(folder, model, store=store, max_bytes=wanted).found >= 1
    assert embed_images(folder, model, store=store, max_bytes=wanted).found == 3


def test_a_limit_for_this_run_only_is_told(model, folder, store, monkeypatch):
    size = embed_one(model, folder, store)
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", str(size))
    report = embed_images(folder, model, store=store, max_bytes=10 * size)
    assert "other programs cut that back" in report.remark
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", str(10 * size))
    assert embed_images(folder, model, store=store).remark == ""


def embed_one(model, folder, store):
    embed_images(folder / "b.png", model, store=store)
    return store.usage().nbytes


def test_a_store_that_is_off_is_refused(model, folder, tmp_path):  # as it is in all tests
    with pytest.raises(StoreError, match=r"limit is 0 bytes.*--max-bytes"):
        embed_images(folder, model)
    with pytest.raises(StoreError, match="limit is 0 bytes"):
        embed_images(folder, model, store=EmbeddingStore(tmp_path / "x"), max_bytes=0)


def test_a_full_disk_ends_the_run(model, counted, folder, store, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        embed_images(folder, model, store=store)
    assert store.usage().entries == 0


def test_embeddings_that_cannot_be_kept_are_counted(model, folder, store):
    nameless = Model(model.sam, "mine", "no hash")
    assert embed_images(folder, nameless, store=store) == BulkReport(3, unkept=3)
