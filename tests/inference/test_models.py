"""Models by name: which file is meant, what is missing, and which device answers."""

import gc
import os
import time
from pathlib import Path

import pytest
import torch

from segwidget.errors import CheckpointError, ModelError
from segwidget.inference import models
from segwidget.inference.models import (
    EMBEDDED_WEIGHTS,
    PUBLISHED,
    cache_folder,
    choose_device,
    find_checkpoint,
    load_model,
)
from segwidget.inference.predictor import Predictor
from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import file_sha256, save_checkpoint


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_checkpoint(build_compact(), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path))
    return tmp_path


def test_the_embedded_model_lies_in_the_package():
    assert find_checkpoint("embedded") == ("embedded", EMBEDDED_WEIGHTS)
    assert EMBEDDED_WEIGHTS.parent.parent == Path(models.__file__).parents[1]


def test_a_path_is_a_model(weights):
    assert find_checkpoint(weights) == ("mine.safetensors", weights)
    assert find_checkpoint(str(weights)) == ("mine.safetensors", weights)


def test_a_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_checkpoint("~/x.pth") == ("x.pth", tmp_path / "x.pth")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_checkpoints_are_looked_for_in_the_cache_folder(folder, name):
    with pytest.raises(ModelError) as caught:
        find_checkpoint(name)
    message = str(caught.value)
    assert PUBLISHED[name] in message
    assert str(folder) in message
    assert "embedded" in message
    (folder / PUBLISHED[name]).touch()
    assert find_checkpoint(name) == (name, folder / PUBLISHED[name])


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "there"))
    assert cache_folder() == tmp_path / "there"
    monkeypatch.delenv("SEGWIDGET_CACHE")
    assert cache_folder().name == "segwidget"


@pytest.mark.parametrize("name", ["vit_x", "Embedded", ""])
def test_unknown_models(name):
    with pytest.raises(ModelError, match=r"no model '.*'.*embedded, vit_b, vit_l, vit_h"):
        load_model(name)


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*gone\.safetensors"):
        load_model(tmp_path / "gone.safetensors")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(ModelError, match="no model"):
        load_model(tmp_path)


@pytest.mark.parametrize("given", [None, 3, ["embedded"]])
def test_things_that_are_no_name(given):
    with pytest.raises(ModelError, match="expected its name"):
        load_model(given)


def test_loading(weights):
    model = load_model(weights)
    assert model.name == "mine.safetensors"
    assert model.sha256 == file_sha256(weights)
    assert model.device == str(choose_device())
    assert not model.sam.training
    assert not any(p.requires_grad for p in model.sam.parameters())


def test_one_network_serves_all_who_use_it(weights):
    a, b = Predictor(weights, "cpu"), Predictor(str(weights), "cpu")
    assert a.model is b.model
    del a, b
    gc.collect()
    assert not [key for key in models._loaded if key[0] == str(weights)]


def test_a_file_that_changed_is_loaded_anew(weights, tmp_path):
    path = tmp_path / "changing.safetensors"
    path.write_bytes(weights.read_bytes())
    before = load_model(path, "cpu")
    torch.manual_seed(1)
    save_checkpoint(build_compact(), path)
    later = time.time() + 5
    os.utime(path, (later, later))
    after = load_model(path, "cpu")
    assert after is not before
    assert after.sha256 != before.sha256


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device() == torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta:7 ", "", "cpu,cuda"])
def test_devices_that_are_not_there(device, weights):
    with pytest.raises(ModelError, match=r"cannot be used here.*'cpu'"):
        Predictor(weights, device)
