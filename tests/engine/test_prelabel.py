"""Bulk runs: each image exactly once, whoever is killed at whichever moment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image as PILImage
from PIL import ImageDraw

from segwidget.engine import prelabel as module
from segwidget.engine.prelabel import prelabel, read_manifest, read_prelabels
from segwidget.engine.prelabel_job import Prelabeler
from segwidget.errors import ModelError, ResourceError, SettingError, StoreError
from segwidget.inference.embedding_store import EmbeddingStore
from segwidget.inference.everything import EverythingSettings
from segwidget.inference.models import load_model
from segwidget.inference.predictor import Predictor

PATIENCE = 120  # seconds until something that should have happened counts as hanging
FEW = EverythingSettings(points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0)


def pictures(folder, count, bad=()):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        picture = PILImage.new("RGB", (60, 40), (30, 40, 50 + i))
        ImageDraw.Draw(picture).ellipse((10, 8, 34, 32), fill=(220, 180, 20))
        picture.save(folder / f"{i:03}.png")
    for name in bad:
        (folder / name).write_text("not a picture")
    return folder


@pytest.fixture
def here(monkeypatch):
    """Shards are done in this process, one after the other."""
    model = load_model("embedded", "cpu")
    shared = Predictor(model)
    monkeypatch.setattr(Prelabeler, "_loaded", lambda self: shared)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(job, folder, shards, workers, on_image):
        prelabeler = Prelabeler(replace(job, threads=0), folder)
        for shard in shards:
            yield prelabeler.run(json.loads(json.dumps(shard)), on_image)

    monkeypatch.setattr(module, "run_local", run)
    yield
    torch.set_num_threads(threads)


def written(out):
    """How often each image is in the shards, and how often in the manifest."""
    shards = Counter(a.image.name for a in read_prelabels(out))
    manifest = Counter(key for line in read_manifest(out) for key in line["images"])
    assert shards == manifest
    assert not list(out.glob(".*.part"))
    return shards


def once(*names):
    return Counter(names)


def test_two_workers_take_each_image_once(tmp_path):
    folder = pictures(tmp_path / "in", 5, bad=["bad.png"])
    seen = []
    report = prelabel(
        folder, tmp_path / "out", settings=FEW, workers=2, shard_size=2, on_progress=seen.append
    )
    assert (report.total, report.done, report.found) == (6, 5, 0)
    assert [key for key, _ in report.skipped] == ["bad.png"]
    assert "not an image" in report.skipped[0][1]
    assert written(tmp_path / "out") == once(*(f"{i:03}.png" for i in range(5)))
    assert report.masks == sum(len(a) for a in read_prelabels(tmp_path / "out")) > 0
    assert set(report.seconds) == {"open", "model", "write"}
    assert seen[0].done == 0
    assert max(now.begun for now in seen) > 0
    assert seen[-1] == report
    assert report.begun == 0
    annotation = next(iter(read_prelabels(tmp_path / "out")))[0]
    assert annotation.origin == "automatic"
    assert annotation.model == "embedded"


def test_it_goes_on_and_takes_what_has_come_since(tmp_path, here):
    folder, out = pictures(tmp_path / "in", 3, bad=["bad.png"]), tmp_path / "out"
    assert prelabel(folder, out, settings=FEW, cancelled=lambda: True).done == 0
    count = iter(range(100))
    some = prelabel(folder, out, settings=FEW, shard_size=1, cancelled=lambda: next(count) >= 4)
    assert 0 < some.done < 3
    rest = prelabel(folder, out, settings=FEW, shard_size=1)
    assert rest.done + some.done == 3
    assert [key for key, _ in rest.skipped] == ["bad.png"]
    pictures(folder, 4)
    more = prelabel(folder, out, settings=FEW)
    assert (more.done, more.found, more.skipped) == (1, 4, ())
    PILImage.new("RGB", (30, 20)).save(folder / "bad.png")
    assert prelabel(folder, out, settings=FEW).done == 0
    assert prelabel(folder, out, settings=FEW, retry_skipped=True).done == 1
    assert written(out) == once("000.png", "001.png", "002.png", "003.png", "bad.png")


def test_boxes_of_a_detector(tmp_path, here):
    folder = pictures(tmp_path / "in", 2)
    rows = ["file_name,x0,y0,x1,y1,label,score", "000.png,9,7,36,34,coin,0.9"]
    rows += ["000.png,100,100,120,120,far,0.9", "000.png,0,0,5,5,weak,0.1", "x.png,a,0,1,1,,"]
    rows += ["000.png,8,6,37,36,,0.8"]
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("\n".join(rows))
    report = prelabel(
        folder, tmp_path / "out", task="boxes", boxes=boxes, min_score=0.5, label="thing"
    )
    assert (report.done, report.masks) == (2, 2)
    assert len(report.remarks) == 2
    assert "line 5" in report.remarks[0]
    assert report.remarks[1].startswith("000.png: A box is left out")
    first, second = read_prelabels(tmp_path / "out")
    assert [a.label for a in first] == ["coin", "thing"]
    assert not len(second)
    true = np.zeros((40, 60), bool)
    true[8:33, 10:35] = np.hypot(*np.mgrid[-12:13, -12:13]) <= 12.3
    assert (first[0].mask & true).sum() / (first[0].mask | true).sum() > 0.8


def test_embeddings_open_at_once(tmp_path, here, monkeypatch):
    folder, out = pictures(tmp_path / "in", 2), tmp_path / "out"
    assert prelabel(folder, out, task="embed").done == 2
    assert EmbeddingStore(out / "embeddings").usage().entries == 2
    assert prelabel(folder, out, task="embed").found == 2
    monkeypatch.setenv("SEGWIDGET_CACHE", str(out))
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", "1000000000")
    predictor = Predictor("embedded", "cpu")
    monkeypatch.setattr(predictor.model.network, "embed", None)  # not asked any more
    assert predictor.set_image(folder / "000.png").width == 60
    predictor.reset_image(forget=True)


def test_images_of_several_folders_have_keys_of_their_own(tmp_path, here):
    pictures(tmp_path / "a" / "deep", 1)
    pictures(tmp_path / "b", 1)
    given = [tmp_path / "a", tmp_path / "b" / "*.png", tmp_path / "none.png"]
    report = prelabel(given, tmp_path / "out", settings=FEW, recursive=True)
    assert report.total == 3
    assert report.skipped[0][0] == "none.png"
    assert written(tmp_path / "out") == once("a/deep/000.png", "b/000.png")
    with pytest.raises(StoreError, match="images = "):  # whose names would mean others
        prelabel(tmp_path / "b", tmp_path / "out", settings=FEW)


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"task": "paint"}, SettingError, "task is 'paint'"),
        ({"task": "boxes"}, SettingError, "boxes is missing"),
        ({"boxes": "b.csv"}, SettingError, "boxes is given"),
        ({"engine": "spark"}, SettingError, "'local' or 'ray'"),
        ({"format": "xml"}, SettingError, "format is 'xml'"),
        ({"workers": 0}, SettingError, "workers is 0"),
        ({"shard_size": 0}, SettingError, "shard_size is 0"),
        ({"model": "sam9"}, ModelError, "no model 'sam9'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(tmp_path, given, kind, says):
    with pytest.raises(kind) as refused:
        prelabel(pictures(tmp_path / "in", 1), tmp_path / "out", **given)
    assert says in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_what_a_worker_cannot_go_on_from_arrives_as_what_it_is(tmp_path):
    with pytest.raises(ModelError, match="nonsense"):
        prelabel(pictures(tmp_path / "in", 1), tmp_path / "out", device="nonsense")


@pytest.mark.parametrize("missing", ["ray.data", "pyarrow.parquet"])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    given = {"engine": "ray"} if missing == "ray.data" else {"format": "parquet"}
    with pytest.raises(SettingError, match=r"pip install 'segwidget\["):
        prelabel(pictures(tmp_path / "in", 1), tmp_path / "out", **given)


def children(name="prelabel_local"):
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if any(name in word for word in child.cmdline())
    ]


def test_a_killed_worker_is_replaced(tmp_path):
    folder, killed = pictures(tmp_path / "in", 6), []

    def kill(report):
        if report.begun and not killed:
            killed.extend(children())
            killed[0].kill()

    report = prelabel(
        folder, tmp_path / "out", settings=FEW, workers=2, shard_size=3, on_progress=kill
    )
    assert killed
    assert (report.done, report.skipped) == (6, ())
    assert written(tmp_path / "out") == once(*(f"{i:03}.png" for i in range(6)))
    assert not children()


DEADLY = """
import os
from segwidget.media import image
real = image.open_image
def open_image(source, **more):
    if str(source).endswith("001.png"):
        os.kill(os.getpid(), 9)
    return real(source, **more)
image.open_image = open_image
"""


@pytest.mark.slow
def test_an_image_that_kills_its_workers_is_skipped(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(DEADLY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = pictures(tmp_path / "in", 3)
    report = prelabel(folder, tmp_path / "out", settings=FEW, workers=1)
    assert report.done == 2
    assert [key for key, _ in report.skipped] == ["001.png"]
    assert "ended, twice" in report.skipped[0][1]


@pytest.mark.slow
def test_workers_that_cannot_start_end_the_run(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import os; os._exit(3)")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ResourceError, match="again and again"):
        prelabel(pictures(tmp_path / "in", 1), tmp_path / "out", settings=FEW)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_goes_on(tmp_path, here, sent):
    folder, out = pictures(tmp_path / "in", 60, bad=["bad.png"]), tmp_path / "out"
    command = [sys.executable, "-m", "segwidget.cli", "prelabel", folder, "--out", out]
    command += ["--workers", "2", "--shard-size", "2", "--points-per-side", "2"]
    command += ["--pred-iou-thresh", "0", "--stability-score-thresh", "0"]
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE
    while not (out / "run.json").exists() or len(read_manifest(out)) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # as a terminal does
    else:
        process.kill()
    told, errors = process.communicate(timeout=PATIENCE)
    done = sum(written_now(out).values())
    assert 4 <= done < 60
    if sent == signal.SIGINT:
        assert process.returncode == 130
        assert told.startswith(f"{done} done, with ")
        assert "the same command goes on from there" in errors
        assert "Traceback" not in errors
    for file in sorted(folder.glob("0*.png"))[: 60 - done - 3]:  # the rest would only take time
        if file.name not in written_now(out):
            file.unlink()
    left = {file.name for file in folder.glob("0*.png")} | set(written_now(out))
    rest = prelabel(folder, out, settings=FEW)
    assert rest.done == len(left) - done
    assert written(out) == once(*left)
    assert sum(len(line["skipped"]) for line in read_manifest(out)) == 1


def written_now(out):
    return Counter(key for line in read_manifest(out) for key in line["images"])
