"""`segwidget prelabel`, `export` and `import`, as a person runs them."""

import json

import pytest
from PIL import Image as PILImage
from PIL import ImageDraw
from typer.testing import CliRunner

from segwidget.annotation.project import BaseProject
from segwidget.cli import app, main
from segwidget.engine import prelabel as module
from segwidget.engine.prelabel import PrelabelReport
from segwidget.engine.prelabel_job import Prelabeler
from segwidget.errors import ImageError


@pytest.fixture
def here(monkeypatch):
    """Shards are done in this process."""

    def run(job, folder, shards, workers, on_image):
        prelabeler = Prelabeler(job, folder)
        for shard in shards:
            yield prelabeler.run(shard, on_image)

    monkeypatch.setattr(module, "run_local", run)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "in"
    path.mkdir()
    picture = PILImage.new("RGB", (60, 40), "navy")
    ImageDraw.Draw(picture).ellipse((10, 8, 34, 32), fill="gold")
    picture.save(path / "a.png")
    (path / "bad.png").write_text("not a picture")
    return path


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_boxes_are_segmented_and_told(tmp_path, folder, here):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"file_name": "a.png", "label": "x", "bbox": [2, 2, 20, 15]}]))
    given = ["prelabel", folder, "--out", tmp_path / "out", "--task", "boxes", "--boxes", boxes]
    done = run(*given)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("1 done, with ")
    assert done.stdout.strip().endswith("0 were dealt with before, 1 skipped, of 2.")
    assert "Skipped bad.png: " in done.stderr
    assert "2/2" in done.stderr
    assert "image" in done.stderr  # per second, and the time left
    again = run(*given)
    assert again.exit_code == 0
    assert again.stdout.startswith("0 done, with 0 masks, 2 were dealt with before")


def test_embeddings_say_how_they_are_used(tmp_path, folder, here):
    done = run("prelabel", folder, "--out", tmp_path / "out", "--task", "embed")
    assert done.exit_code == 0, done.output
    assert f"SEGWIDGET_CACHE={tmp_path / 'out'}" in done.stdout


def test_nothing_done_is_a_failure(tmp_path, folder, here):
    (folder / "a.png").unlink()
    done = run("prelabel", folder, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "1 skipped, of 1" in done.stdout


def test_options_reach_the_library(tmp_path, monkeypatch):
    asked = {}

    def fake(paths, out, model, **given):
        asked.update(given, paths=paths, out=out, model=model)
        skipped = tuple((f"{i}.png", "broken") for i in range(30))
        return PrelabelReport(31, done=1, masks=7, skipped=skipped)

    monkeypatch.setattr(module, "prelabel", fake)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        PILImage.new("RGB", (9, 9)).save(tmp_path / f"{name}.png")
    done = run(
        "prelabel", "a.png", "b.png", "--out", "o",
        "--model", "vit_b", "--engine", "ray", "--workers", 3,
        "--shard-size", 9, "--format", "parquet", "--points-per-side", 8, "--crop-n-layers", 1,
        "-r",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (asked["paths"], asked["out"], asked["model"]) == (["a.png", "b.png"], "o", "vit_b")
    assert (asked["engine"], asked["workers"], asked["shard_size"]) == ("ray", 3, 9)
    assert (asked["format"], asked["recursive"]) == ("parquet", True)
    assert (asked["settings"].points_per_side, asked["settings"].crop_n_layers) == (8, 1)
    assert "… and 10 more." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--task", "boxes"], 1),
        (["--boxes", "boxes.csv"], 1),
        (["--task", "embed", "--points-per-side", "8"], 1),
        (["--points-per-side", "5000"], 1),
        (["--workers", "0"], 2),
        (["--engine", "spark"], 2),
    ],
)
def test_wrong_options(tmp_path, folder, monkeypatch, capsys, arguments, code):
    given = ["segwidget", "prelabel", str(folder), "--out", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr("sys.argv", given)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert not (tmp_path / "out").exists()
    assert code == 2 or capsys.readouterr().err.startswith("segwidget: ")


@pytest.mark.parametrize("name", ["empty", "misspelled", "*.gif"])
def test_without_an_image_the_output_folder_stays_free(tmp_path, name):
    (tmp_path / "empty").mkdir()
    done = run("prelabel", tmp_path / name, "--out", tmp_path / "out")
    assert isinstance(done.exception, ImageError)
    assert "nothing was written" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_masks_of_a_bulk_run_come_into_a_project(tmp_path, folder, here):
    (folder / "bad.png").unlink()
    boxes = tmp_path / "boxes.csv"
    boxes.write_text("file_name,x0,y0,x1,y1,label\na.png,9,7,36,34,thing\n")
    out = tmp_path / "out"
    assert run("prelabel", folder, "--out", out, "--task", "boxes", "--boxes", boxes).exit_code == 0
    done = run("import", folder, out)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("1 annotations of 1 images read")
    with BaseProject(folder) as project:
        assert [a.label for a in project["a.png"].annotations] == ["thing"]
    again = run("import", folder / "segwidget.db", out)
    assert "1 images have annotations already" in again.stdout
    assert run("import", tmp_path / "none", out).exit_code == 1
