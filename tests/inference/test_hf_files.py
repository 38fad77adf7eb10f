"""Folders in transformers' layout: found offline, and refused with a reason."""

import json
import os
import shutil
import socket
import subprocess
import sys

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file

from segwidget.errors import CheckpointError, ModelError
from segwidget.inference import hf
from segwidget.inference.hf_files import find_folder, read_folder
from segwidget.inference.models import load_model
from segwidget.inference.registry import find_checkpoint
from segwidget.sam.hashing import file_sha256
from tests.inference import tiny_transformers

CPU = torch.device("cpu")
NAME = "somebody/tiny-sam2.1"


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(hf_folder, tmp_path):
    """A copy of a SAM 2 that a test may damage."""
    return shutil.copytree(hf_folder("sam2"), tmp_path / "mine")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty Hugging Face cache."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def change(folder, edit):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def test_a_folder(folder, capfd):
    model = load_model(folder, "cpu")
    assert model.name == "mine"
    assert model.sha256 == file_sha256(folder / "model.safetensors")
    assert model.device == "cpu"
    network = model.network.model
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ModelError, match="not of the SAM architecture"):
        _ = model.sam


def test_a_folder_by_relative_path(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert find_checkpoint("mine") == ("mine", folder.relative_to(folder.parent))
    monkeypatch.chdir(folder)
    assert find_checkpoint(".")[0] == "mine"


def test_a_folder_that_changed_is_loaded_anew(folder):
    before = load_model(folder, "cpu")
    assert load_model(folder, "cpu") is before
    weights = load_file(folder / "model.safetensors")
    weights["no_memory_embedding"] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    os.utime(folder / "model.safetensors", (1, 1))
    after = load_model(folder, "cpu")
    assert after is not before
    assert after.sha256 != before.sha256


def test_half_precision_is_computed_in_full(folder):
    weights = {k: v.half() for k, v in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    change(folder, lambda c: c.update(dtype="float16"))
    network, _ = hf.load_network(folder, CPU)
    assert {p.dtype for p in network.model.parameters()} == {torch.float32}


def test_weights_in_several_files(folder, hf_folder):
    whole, _ = hf.load_network(folder, CPU)
    whole.model.save_pretrained(folder, max_shard_size="200KB")
    (folder / "model.safetensors").unlink()
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 1
    network, digest = hf.load_network(folder, CPU)
    for name, weight in whole.model.named_parameters():
        assert torch.equal(weight, network.model.get_parameter(name))
    assert len(digest) == 64
    shards[0].rename(folder / "elsewhere")
    with pytest.raises(CheckpointError, match=rf"incomplete: {shards[0].name} missing"):
        read_folder(folder)


def test_all_of_sam3(tmp_path, capfd):
    expected = tiny_transformers.save_sam3(tmp_path)
    network, digest = hf.load_network(tmp_path, CPU)
    assert type(network.model) is type(expected)
    loaded = network.model.state_dict()
    assert loaded.keys() == expected.state_dict().keys()
    for name, value in expected.state_dict().items():
        assert torch.equal(loaded[name], value)
    assert digest == file_sha256(tmp_path / "model.safetensors")
    assert network.frame(90, 60).input_size == tiny_transformers.SIZES["sam3_tracker"]
    assert capfd.readouterr() == ("", "")


def test_statistics_are_the_folders_own(folder):
    usual, _ = hf.load_network(folder, CPU)
    processor = {"image_processor": {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}}
    (folder / "processor_config.json").write_text(json.dumps(processor))
    network, _ = hf.load_network(folder, CPU)
    assert network.preprocessing.mean == (0.1, 0.2, 0.3)
    assert network.variant != usual.variant  # embeddings of the one are not taken for the other's
    processor["image_processor"]["image_std"] = [1, 0, 1]
    (folder / "processor_config.json").write_text(json.dumps(processor))
    with pytest.raises(CheckpointError, match="deviation"):
        hf.load_network(folder, CPU)


def test_a_name_on_the_hub_is_looked_up_in_the_cache(hub, folder):
    with pytest.raises(ModelError, match=rf"Fetch it with `hf download {NAME}`"):
        find_checkpoint(NAME)
    cached = hub / "models--somebody--tiny-sam2.1"
    shutil.copytree(folder, cached / "snapshots" / "abc")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("abc")
    assert find_checkpoint(NAME) == (NAME, cached / "snapshots" / "abc")
    model = load_model(NAME, "cpu")
    assert model.name == NAME
    assert model.sha256 == file_sha256(folder / "model.safetensors")


@pytest.mark.parametrize("name", ["no/such", "a--b/c", "x..y/z", "models/vit_b", "-/x", "x/y.bin"])
def test_names_that_are_not_there(hub, name):
    with pytest.raises(ModelError, match=r"[Tt]here is no"):
        load_model(name, "cpu")


def test_what_is_no_folder_and_no_name_on_the_hub(tmp_path):
    file = tmp_path / "x.pth"
    file.touch()
    for other in ("embedded", "vit_b", file, str(file), "some/file.pth", "a/b/c", tmp_path / "no"):
        assert find_folder(other) is None


def test_without_the_packages(hub, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r'pip install "segwidget\[hf\]"'):
        find_checkpoint(NAME)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r'Sam2Model .*not installed.*"segwidget\[hf\]"'):
        load_model(folder, "cpu")


def test_with_a_package_that_is_too_old(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", type(sys)("transformers"))
    with pytest.raises(ModelError, match=r'too old.*"segwidget\[hf\]"'):
        load_model(folder, "cpu")


def test_finding_a_folder_imports_neither_torch_nor_transformers(folder):
    code = (
        "import sys; from segwidget.inference.registry import find_checkpoint;"
        f"find_checkpoint({str(folder)!r});"
        "print({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def refused(folder, error, match):
    with pytest.raises(error, match=match) as caught:
        load_model(folder, "cpu")
    text = str(caught.value)
    assert str(folder) in text
    assert text.endswith(".")


def test_no_configuration(folder):
    (folder / "config.json").unlink()
    refused(folder, ModelError, r"no model in the folder .*no config\.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff", "[" * 100_000], ids=repr)
def test_a_damaged_configuration(folder, text):
    (folder / "config.json").write_text(text, "latin-1")
    refused(folder, CheckpointError, r"config\.json (cannot be read|holds a list)")


@pytest.mark.parametrize("kind", ["bert", "sam_hq", None, 3, ["sam2"]])
def test_a_model_of_another_type(folder, kind):
    change(folder, lambda c: c.update(model_type=kind))
    refused(folder, ModelError, "cannot be asked with clicks here. Expected one of sam, sam2")


def test_the_part_of_sam3_that_answers_text(folder):
    change(folder, lambda c: c.update(model_type="sam3"))
    refused(folder, ModelError, "answers no clicks")


def test_code_of_its_own(folder):
    change(folder, lambda c: c.update(auto_map={"AutoModel": "evil.Model"}))
    refused(folder, ModelError, "code of its own .*never run")


def test_code_of_its_own_that_hides_deeper(folder):
    (folder / "evil.py").write_text("raise SystemExit('this was run')")

    def hide(config):
        backbone = config["vision_config"]["backbone_config"]
        backbone["auto_map"] = {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}

    change(folder, hide)
    refused(folder, ModelError, "code of its own .*never run")


def test_an_image_encoder_that_would_fetch_its_weights(folder):
    backbone = {"model_type": "timm_backbone", "backbone": "resnet18", "use_pretrained": True}
    change(folder, lambda c: c["vision_config"].update(backbone_config=backbone))
    refused(folder, ModelError, "image encoder of the type 'timm_backbone'")


def test_the_first_configurations_did_not_name_the_encoder(hf_folder, tmp_path):
    folder = shutil.copytree(hf_folder("sam"), tmp_path / "old")

    def forget(config):
        for part in ("vision_config", "prompt_encoder_config", "mask_decoder_config"):
            config[part]["model_type"] = ""

    change(folder, forget)
    network, _ = hf.load_network(folder, CPU)
    assert network.frame(90, 60).input_size == tiny_transformers.SIZES["sam"]


def test_no_weights(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, CheckpointError, r"no weights in .*model\.safetensors")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "sam2_hiera_tiny.pt"])
def test_pickled_weights_are_not_opened(folder, name):
    (folder / "model.safetensors").unlink()
    torch.save({"x": torch.zeros(1)}, folder / name)
    refused(folder, CheckpointError, "pickled, and may hold code, which is never run")


def test_damaged_weights(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    refused(folder, CheckpointError, "files are damaged or do not fit")


def test_weights_of_another_network(folder, hf_folder):
    shutil.copy(hf_folder("sam") / "model.safetensors", folder)
    refused(folder, CheckpointError, "(lack|do not fit)")


def test_weights_that_are_not_all_there(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["mask_decoder.iou_token.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    refused(folder, CheckpointError, r"lack 1 tensors .*mask_decoder\.iou_token\.weight")


def test_an_index_that_leads_elsewhere(folder):
    (folder / "model.safetensors").rename(folder.parent / "x.safetensors")
    index = {"metadata": {}, "weight_map": {"no_memory_embedding": "../x.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, CheckpointError, "expected files of the same folder")


def test_another_number_of_masks(folder):
    parts = tiny_transformers.sam2_parts()
    parts["mask_decoder_config"] = {**parts["mask_decoder_config"], "num_multimask_outputs": 2}
    tiny_transformers.Sam2Model(tiny_transformers.Sam2Config(**parts)).save_pretrained(folder)
    refused(folder, ModelError, "answers with 3 masks; expected 4")
