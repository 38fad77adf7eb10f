"""`segwidget evaluate`, as a person runs it, and the data that it takes."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from typer.testing import CliRunner

from segwidget.cli import app
from segwidget.errors import FormatError, SegwidgetError, SettingError, StoreError
from segwidget.evaluation import edge_scores
from segwidget.evaluation.data import read_coco, sample_data
from segwidget.evaluation.edges import edge_map
from segwidget.evaluation.protocol import Sampling
from segwidget.inference.rle import Rle
from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import save_checkpoint
from tests.evaluation.conftest import draw_image, write_shard


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", "0")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    paths = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        paths.append(folder / f"random$_{seed}.safetensors")
        save_checkpoint(build_compact(128), paths[-1])
    return paths


@pytest.fixture
def coco(tmp_path):
    """Two drawn images in ``images``, their masks in ``drawn.json``; one polygon and one crowd."""
    (tmp_path / "images").mkdir()
    rows = []
    for index in range(2):
        pixels, masks = draw_image(index)
        PILImage.fromarray(pixels).save(tmp_path / "images" / f"{index}.png")
        for mask in masks[:2]:
            rows.append({"segmentation": Rle.encode(mask).to_dict(), "image_id": index})
    square = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]
    rows.append({"segmentation": [square], "image_id": 1})
    rows.append({"segmentation": {"size": [1, 1], "counts": [1]}, "image_id": 1, "iscrowd": 1})
    data = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 80, "height": 60} for i in range(2)],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{"id": i, "category_id": 1, **row} for i, row in enumerate(rows, 1)],
    }
    path = tmp_path / "drawn.json"
    path.write_text(json.dumps(data))
    return path


def rewrite(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *(str(a) for a in arguments)])


def test_coco_is_read(coco):
    told = []
    first, second = read_coco(coco, tell=told.append)
    pixels, masks = draw_image(0)
    assert first.name == "0.png"
    assert np.array_equal(first.image, pixels)
    assert [m.rle.decode().tolist() for m in first.masks] == [m.tolist() for m in masks[:2]]
    assert len(second.masks) == 3  # without the crowd
    assert second.masks[2].rle.area == pytest.approx(100, abs=21)
    assert not told


def test_wrong_rows_are_told_and_left_out(coco):
    rewrite(coco, lambda data: data["annotations"][0].update(segmentation=[]))
    told = []
    first, _ = read_coco(coco, tell=told.append)
    assert len(first.masks) == 1
    assert len(told) == 1
    assert "annotations[0]" in told[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda d: d.update(annotations=[]), FormatError, "no mask"),
        (lambda d: d.pop("images"), FormatError, "drawn.json.*images"),
        (lambda d: d["images"][1].update(file_name="x.png"), StoreError, "x.png.*--images"),
        (lambda d: d["images"][0].update(file_name="x.png"), StoreError, "not beside.*--images"),
        (lambda d: d["images"][1].update(file_name="../1.png"), FormatError, "outside"),
    ],
)
def test_wrong_coco_is_told(coco, change, error, message):
    rewrite(coco, change)
    with pytest.raises(error, match=message):
        list(read_coco(coco))


def test_an_image_of_another_size_is_told(coco):
    PILImage.new("RGB", (9, 9)).save(coco.parent / "images" / "0.png")
    first, _ = read_coco(coco)
    with pytest.raises(FormatError, match=r"\(9, 9\).*\(60, 80\)"):
        _ = first.image


def test_data_of_several_kinds(coco, shards):
    drawn = sample_data([shards, coco], Sampling(1, None))
    assert [i.set for i in drawn] == ["davis2016"] * 3 + ["other"] * 2 + ["drawn"] * 2
    with pytest.raises(SettingError, match="several sets named davis2016"):
        sample_data([shards, shards / "davis2016.tar"], Sampling())
    with pytest.raises(SettingError, match="no COCO file"):
        sample_data([shards], Sampling(), images=coco.parent)
    with pytest.raises(StoreError, match="no folder"):
        sample_data([coco], Sampling(), images=coco.parent / "nowhere")


def test_one_model_on_coco(coco, weights, tmp_path):
    out = tmp_path / "new" / "out.json"
    done = run("--data", coco, "--model", weights[0], "--json", out, "--masks-per-image", 1)
    assert done.exit_code == 0, done.output
    assert "| set | images | masks | 1 click | best of 3 |" in done.stdout
    assert "| drawn | 2 | 2 |" in done.stdout
    assert "all, mean" not in done.stdout  # one set is all there is
    assert "2 images, 2 masks; 0 masks" in done.stderr
    assert "2/2" in done.stderr
    (report,) = json.loads(out.read_text())["reports"]
    assert [row["name"] for row in report["sets"]] == ["drawn"]
    assert {"value", "low", "high"} == set(report["sets"][0]["means"]["NoC@85"])
    assert all(1 <= len(m["curve"]) <= 20 for m in report["measurements"])


def test_two_models_side_by_side(shards, weights, tmp_path):
    figures, out = tmp_path / "figures", tmp_path / "out.json"
    models = ["--model", weights[0], "--model", weights[1]]
    given = ["--data", shards, "--masks-per-image", 1, "--images-per-set", 1]
    done = run(*given, *models, "--figures", figures, "--json", out)
    assert done.exit_code == 0, done.output
    assert "| random$_1.safetensors − random$_0.safetensors | 1 click |" in done.stdout
    assert "| all, mean of sets | 2 | 2 |" in done.stdout
    names = {path.name for path in figures.iterdir()}
    assert names == {"evaluation.png", "examples-1.png", "examples-2.png"}
    with PILImage.open(figures / "evaluation.png") as page:
        assert min(page.size) > 800
        assert len(page.convert("RGB").resize((400, 400)).getcolors(1 << 20)) > 20
    written = json.loads(out.read_text())
    (change,) = written["differences"]
    assert change["second"] == "random$_1.safetensors"
    before, after = (
        {m["mask"]: m["iou"]["box"] for m in report["measurements"] if m["set"] == "other"}
        for report in written["reports"]
    )
    (row,) = (row for row in change["rows"] if row["name"] == "other")
    expected = np.mean([after[k] - before[k] for k in before])
    assert row["means"]["box"]["value"] == pytest.approx(expected)


@pytest.fixture
def halved(tmp_path):
    """A shard of one image that two people have divided."""
    pixels, _ = draw_image(0)
    masks = []
    for person, column in enumerate((30, 50)):
        left = np.zeros((60, 80), bool)
        left[:, :column] = True
        masks += [{**Rle.encode(m).to_dict(), "annotator": person} for m in (left, ~left)]
    return write_shard(tmp_path / "halved.tar", [(pixels, masks)])


def test_proposals_and_edges(halved, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(edge_scores, "edge_map", lambda predictor: edge_map(predictor, 3))
    out, figures = tmp_path / "out.json", tmp_path / "figures"
    given = ["--data", halved, "--model", weights[0], "--masks-per-image", 1, "--json", out]
    wanted = ["--proposals", "--points-per-side", 3, "--edges", "--figures", figures]
    done = run(*given, *wanted)
    assert done.exit_code == 0, done.output
    assert "| AR@1000, random$_0.safetensors | masks | proposals an image | all |" in done.stdout
    assert "| edges | set | images | ODS | OIS | AP | R50 |" in done.stdout
    assert "| random$_0.safetensors | halved | 1 |" in done.stdout
    written = json.loads(out.read_text())
    (found,) = written["proposals"]
    assert found["points_per_side"] == 3
    assert len(found["masks"]) == 4  # not only those that were drawn
    assert found["sets"]["halved"]["small"]["value"] is None  # NaN is not JSON
    (edges,) = written["edges"]
    assert (edges["set"], edges["images"]) == ("halved", 1)
    with PILImage.open(figures / "evaluation.png") as page:
        assert page.height > 1000


def test_edges_need_people_who_agree_to_divide(shards, weights):
    done = run("--data", shards, "--model", weights[0], "--edges")
    assert isinstance(done.exception, FormatError)
    assert "two people" in str(done.exception)
    assert "mask/s" not in done.stderr  # told before anything is measured


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "no shards in 'nowhere'"),
        (["--data", "nowhere"], "or a COCO file"),
        (["--data", "nowhere", "--model", "nonsense"], "no model 'nonsense'"),
        (["--data", "nowhere", "--json", "."], "a folder; expected a file"),
    ],
)
def test_errors_are_one_sentence(arguments, message):
    done = run(*arguments)
    assert isinstance(done.exception, SegwidgetError)
    assert message in str(done.exception)


def test_numbers_below_zero_are_refused():
    done = run("--data", "x", "--masks-per-image", -1)
    assert done.exit_code == 2
    assert "masks-per-image" in done.stderr
