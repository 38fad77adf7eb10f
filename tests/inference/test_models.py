"""Loading models: what is refused, what is shared, and which device answers."""

import gc
import os
import time
from dataclasses import replace

import pytest
import torch

from segwidget.errors import CheckpointError, ModelError
from segwidget.inference import models
from segwidget.inference.models import choose_device, load_model, preprocessing_of
from segwidget.inference.predictor import Predictor
from segwidget.inference.preprocessing import MEDSAM
from segwidget.inference.registry import MODELS
from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import save_checkpoint
from segwidget.sam.hashing import file_sha256


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.safetensors"
    save_checkpoint(build_compact(), path)
    return path


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*gone\.safetensors"):
        load_model(tmp_path / "gone.safetensors")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(ModelError, match="no model"):
        load_model(tmp_path)


def test_loading(weights):
    model = load_model(weights)
    assert model.name == "mine.safetensors"
    assert model.sha256 == file_sha256(weights)
    assert model.device == str(choose_device())
    assert not model.sam.training
    assert not any(p.requires_grad for p in model.sam.parameters())


def test_a_published_name_is_held_to_the_published_file(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path))
    row = MODELS["vit_b"]
    row.path.write_bytes(weights.read_bytes())  # a file of ours under another's name
    row.path.rename(row.path.with_suffix(".safetensors"))
    row = replace(row, file_name=row.path.with_suffix(".safetensors").name)
    monkeypatch.setitem(MODELS, "vit_b", row)
    with pytest.raises(
        CheckpointError, match=r"not SAM ViT-B as published.*download vit_b --force"
    ):
        load_model("vit_b", "cpu")
    assert load_model(row.path, "cpu").sha256 == file_sha256(weights)
    with pytest.raises(CheckpointError, match="not SAM ViT-B as published"):
        load_model("vit_b", "cpu")  # although it is loaded now

    monkeypatch.setitem(MODELS, "vit_b", replace(row, sha256=file_sha256(weights)))
    assert load_model("vit_b", "cpu").sha256 == file_sha256(weights)


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


def test_medsam_is_known_by_content_or_by_the_file_s_name(tmp_path):
    row = MODELS["medsam"]
    assert preprocessing_of(row.path, row.sha256) is MEDSAM
    assert preprocessing_of(tmp_path / "my download.pth", row.sha256) is MEDSAM
    assert preprocessing_of(tmp_path / "MedSAM-kidneys.pth", "ab" * 32) is MEDSAM
    assert preprocessing_of(tmp_path / "sam_vit_b.pth", "ab" * 32) is None
    # A published file is what its content says, whatever it is called.
    assert preprocessing_of(tmp_path / "medsam.pth", MODELS["vit_b"].sha256) is None


def test_a_checkpoint_of_medsam_s_is_asked_as_medsam_is(weights, tmp_path):
    path = tmp_path / "medsam_mine.safetensors"
    path.write_bytes(weights.read_bytes())
    network = load_model(path, "cpu").network
    assert network.variant.startswith("medsam-")
    assert network.frame(300, 100).squash
    assert not load_model(weights, "cpu").network.frame(300, 100).squash


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device() == torch.device("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta:7 ", "", "cpu,cuda"])
def test_devices_that_are_not_there(device, weights):
    with pytest.raises(ModelError, match=r"cannot be used here.*'cpu'"):
        Predictor(weights, device)
