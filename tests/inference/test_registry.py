"""Models by name: what is known of them, which file is meant, and what is missing."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import segwidget
from segwidget.errors import ModelError
from segwidget.inference.registry import (
    EMBEDDED_WEIGHTS,
    MODELS,
    cache_folder,
    find_checkpoint,
    find_row,
    is_cached,
    megabytes,
)
from segwidget.sam.build import BUILDERS
from segwidget.sam.hashing import file_sha256

PUBLISHED = [row for row in MODELS.values() if row.url]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path))
    return tmp_path


def test_the_registry_is_complete():
    assert set(MODELS) == {"embedded", "mobile_sam", "vit_b", "vit_l", "vit_h", "medsam"}
    for name, row in MODELS.items():
        assert row.name == name
        assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
        assert row.size > 0
        assert row.parameters > 0
        assert row.preprocessing in ("sam", "medsam")
        assert "Apache-2.0" in row.licence
        assert row.purpose.endswith(".")
    assert len({row.sha256 for row in MODELS.values()}) == len(MODELS)
    assert len({row.file_name for row in MODELS.values()}) == len(MODELS)


def test_rows_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODELS["vit_b"].sha256 = "0" * 64


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_published_files_come_from_their_authors_over_https(row):
    assert re.match(
        r"https://(dl\.fbaipublicfiles\.com/segment_anything|github\.com/ChaoningZhang/MobileSAM"
        r"|zenodo\.org/records)/",
        row.url,
    )
    assert row.url.endswith("/" + row.file_name)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_those_of_the_network(name):
    import torch

    row = MODELS[name]
    with torch.device("meta"):
        sam = BUILDERS[row.architecture]()
    assert round(sum(p.numel() for p in sam.parameters()) / 1e6, 1) == row.parameters


def test_the_embedded_model_lies_in_the_package():
    row = MODELS["embedded"]
    assert find_checkpoint("embedded") == ("embedded", EMBEDDED_WEIGHTS)
    assert EMBEDDED_WEIGHTS.is_relative_to(Path(segwidget.__file__).parent)
    assert row.path == EMBEDDED_WEIGHTS
    assert EMBEDDED_WEIGHTS.stat().st_size == row.size < 12e6
    assert is_cached(row)
    assert file_sha256(row.path) == row.sha256


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: row.name)
def test_published_checkpoints_are_looked_for_in_the_cache_folder(folder, row):
    for given in (row.name, row.file_name):
        with pytest.raises(ModelError) as caught:
            find_checkpoint(given)
        message = str(caught.value)
        assert f"`segwidget models download {row.name}`" in message
        assert row.file_name in message
        assert str(folder) in message
        assert "'embedded'" in message
    (folder / row.file_name).touch()
    assert find_checkpoint(row.name) == (row.name, folder / row.file_name)
    assert find_checkpoint(row.file_name) == (row.name, folder / row.file_name)


def test_a_file_nearby_goes_before_the_cached_one_of_the_same_name(folder, tmp_path, monkeypatch):
    nearby = tmp_path / "nearby"
    nearby.mkdir()
    monkeypatch.chdir(nearby)
    Path("sam_vit_b_01ec64.pth").touch()
    (folder / "sam_vit_b_01ec64.pth").touch()
    assert find_checkpoint("sam_vit_b_01ec64.pth")[1] == Path("sam_vit_b_01ec64.pth")


def test_whether_a_file_is_here_is_judged_by_its_size(folder, monkeypatch):
    row = dataclasses.replace(MODELS["vit_b"], size=5)
    assert not is_cached(row)
    row.path.write_bytes(b"1234")
    assert not is_cached(row)
    row.path.write_bytes(b"12345")
    assert is_cached(row)


def test_any_path_is_a_model(tmp_path, monkeypatch):
    path = tmp_path / "mine.safetensors"
    assert find_checkpoint(path) == ("mine.safetensors", path)
    assert find_checkpoint(str(path)) == ("mine.safetensors", path)
    bare = tmp_path / "vit_b"
    bare.touch()
    assert find_checkpoint(bare) == ("vit_b", bare)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_checkpoint("~/x.pth") == ("x.pth", tmp_path / "x.pth")


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "there"))
    assert cache_folder() == tmp_path / "there"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SEGWIDGET_CACHE", "~/models")
    assert cache_folder() == tmp_path / "models"
    monkeypatch.delenv("SEGWIDGET_CACHE")
    assert cache_folder().name == "segwidget"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("vitb", "vit_b"),
        ("ViT-H", "vit_h"),
        ("Embedded", "embedded"),
        ("mobilesam", "mobile_sam"),
        ("med-sam", "medsam"),
    ],
)
def test_typos_get_a_suggestion(given, meant):
    for find in (find_checkpoint, find_row):
        with pytest.raises(ModelError, match=f"no model '{given}'. Did you mean '{meant}'"):
            find(given)


@pytest.mark.parametrize("given", ["", "yolo"])
def test_what_resembles_nothing_gets_all_names(given):
    names = "Expected one of embedded, mobile_sam, vit_b, vit_l, vit_h, medsam"
    with pytest.raises(ModelError, match=names) as caught:
        find_checkpoint(given)
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("given", [None, 3, ["embedded"]])
def test_things_that_are_no_name(given):
    with pytest.raises(ModelError, match="expected its name"):
        find_checkpoint(given)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_600, "1 MB"),
        (375_042_383, "375 MB"),
        (2_564_550_879, "2.56 GB"),
    ],
)
def test_sizes_in_words(size, words):
    assert megabytes(size) == words


def test_the_registry_needs_no_torch():
    code = "import sys, segwidget.inference.registry; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "numpy", "httpx", "PIL"}.isdisjoint(done.stdout.split())
