"""Weights in files: there and back, and files that are damaged, foreign or dangerous."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from segwidget.errors import CheckpointError
from segwidget.sam import build, checkpoint
from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import (
    file_sha256,
    load_checkpoint,
    read_state,
    recognize,
    save_checkpoint,
)
from segwidget.sam.compact_encoder import BLOCKS, Blocks, blocks_in


@pytest.fixture(scope="module")
def sam():
    """A compact network whose batch norms have statistics worth folding."""
    torch.manual_seed(0)
    sam = build_compact()
    for module in sam.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return sam.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def saved(sam, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "sam.safetensors"
    save_checkpoint(sam, path, {"license": "Apache-2.0"})
    return path


def answer(sam, size=512):
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, size, size, generator=generator) * 255
    points = torch.tensor([[[100.0, 200.0]]]), torch.tensor([[1]])
    with torch.inference_mode():
        features = sam.encode(sam.preprocess(image))
        return features.embedding, features.high_res, *sam.decode(features, points)


def test_shallower_editions_are_read_too(tmp_path):
    blocks = Blocks((1, 2, 3, 1), (0, 0, 1, 2))
    sam = build_compact(blocks=blocks)
    save_checkpoint(sam, tmp_path / "old.safetensors")
    loaded = load_checkpoint(tmp_path / "old.safetensors")
    assert loaded.architecture == "embedded"
    assert blocks_in(sam.state_dict()) == blocks_in(loaded.sam.state_dict()) == blocks
    assert blocks_in(build_compact().state_dict()) == BLOCKS


def test_there_and_back(sam, saved):
    loaded = load_checkpoint(saved)
    assert loaded.architecture == "embedded"
    assert loaded.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest() == file_sha256(saved)
    assert not loaded.sam.training
    for tensor in loaded.sam.state_dict().values():
        assert tensor.dtype in (torch.float32, torch.int64)
        assert tensor.device.type == "cpu"
    assert torch.equal(loaded.sam.pixel_mean, sam.pixel_mean)
    assert torch.equal(loaded.sam.pixel_std, sam.pixel_std)


def test_the_fused_network_answers_as_the_one_that_was_saved(sam, saved):
    expected = answer(sam)
    found = answer(load_checkpoint(saved).sam)
    for a, b in zip(expected, found, strict=True):
        error = (a - b).abs().max() / a.abs().max()
        assert error < 0.02  # half precision


def test_fusing_itself_changes_nothing(saved, monkeypatch):
    fused = load_checkpoint(saved).sam
    monkeypatch.setattr(checkpoint.CompactEncoder, "fuse", lambda self: self)
    plain = load_checkpoint(saved).sam
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in plain.modules())
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fused.modules())
    for a, b in zip(answer(plain), answer(fused), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))


def test_files_are_small_and_carry_their_notes(saved):
    assert saved.stat().st_size < 17e6
    with safe_open(saved, "pt") as file:
        assert file.metadata() == {"license": "Apache-2.0"}
        assert file.get_tensor("image_encoder.stem.conv.weight").dtype == torch.float16


def test_a_pth_file_loads_too(sam, tmp_path):
    torch.save(sam.state_dict(), tmp_path / "sam.pth")
    loaded = load_checkpoint(tmp_path / "sam.pth")
    assert loaded.architecture == "embedded"
    for a, b in zip(answer(sam), answer(loaded.sam), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()))


def test_published_architectures_are_recognized(tmp_path):
    name = "image_encoder.patch_embed.proj.weight"
    for width, expected in ((768, "vit_b"), (1024, "vit_l"), (1280, "vit_h")):
        assert recognize({name: torch.zeros(width, 3, 16, 16)}, tmp_path) == expected


@pytest.mark.slow
def test_vit_b_loads_with_its_published_keys(tmp_path):
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in build.build_sam_vit_b().state_dict().items()}
    state = {k: torch.zeros(()).expand(shape) for k, shape in shapes.items()}
    state = {k: v.to(torch.float16).clone() for k, v in state.items()}
    torch.save(state, tmp_path / "sam_vit_b_01ec64.pth")
    loaded = load_checkpoint(tmp_path / "sam_vit_b_01ec64.pth")
    assert loaded.architecture == "vit_b"
    assert sum(p.numel() for p in loaded.sam.parameters()) > 90e6
    assert not any(t.is_meta for t in (*loaded.sam.parameters(), *loaded.sam.buffers()))


class Trap:
    """A pickle that writes a file when it is opened carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("how", ["torch", "pickle"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_code_in_a_file_is_never_run(tmp_path, how, suffix):
    path, written = tmp_path / f"trap{suffix}", tmp_path / "written"
    content = {"image_encoder.stem.conv.weight": torch.zeros(1), "extra": Trap(written)}
    if how == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(Trap(written), protocol=2))
    with pytest.raises(CheckpointError, match="holds code, which is never run"):
        load_checkpoint(path)
    assert not written.exists()


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint .*here\.pth.*embedded") as caught:
        load_checkpoint(tmp_path / "here.pth")
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, 0.999])
def test_truncated_safetensors(saved, tmp_path, keep):
    data = saved.read_bytes()
    path = tmp_path / "cut.safetensors"
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors cannot be read.*Download it"):
        load_checkpoint(path)


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, 0.999])
def test_truncated_pth(sam, tmp_path, keep):
    whole, path = tmp_path / "whole.pth", tmp_path / "cut.pth"
    torch.save(sam.state_dict(), whole)
    data = whole.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(CheckpointError, match=r"cut\.pth"):
        load_checkpoint(path)


@pytest.mark.parametrize("name", ["noise.safetensors", "noise.pth"])
def test_noise(tmp_path, name):
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(CheckpointError, match="noise"):
        load_checkpoint(tmp_path / name)


def test_a_foreign_state_dict(tmp_path):
    save_file(
        {"conv1.weight": torch.zeros(3), "fc.bias": torch.zeros(2)}, tmp_path / "x.safetensors"
    )
    with pytest.raises(CheckpointError, match=r"not a SAM checkpoint.*conv1\.weight, fc\.bias"):
        load_checkpoint(tmp_path / "x.safetensors")
    save_file({}, tmp_path / "empty.safetensors")
    with pytest.raises(CheckpointError, match="holds nothing"):
        load_checkpoint(tmp_path / "empty.safetensors")


@pytest.mark.parametrize(
    "content", [[1, 2], {"epoch": 3}, {"average": {"a": torch.zeros(1)}}, torch.zeros(3)]
)
def test_no_table_of_tensors(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="holds no table of tensors"):
        read_state(tmp_path / "x.pth")


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape"])
def test_weights_that_nearly_fit(sam, tmp_path, change):
    state = dict(sam.state_dict())
    key = "mask_decoder.iou_token.weight"
    if change == "missing":
        del state[key]
    elif change == "unexpected":
        state["mask_decoder.more"] = torch.zeros(1)
    else:
        state[key] = torch.zeros(1, 7)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="look like embedded, but do not fit") as caught:
        load_checkpoint(tmp_path / "x.pth")
    assert ("mask_decoder.more" if change == "unexpected" else key) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_patch_embedding_that_is_no_matrix(tmp_path):
    state = {"image_encoder.patch_embed.proj.weight": torch.tensor(1.0)}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="not a SAM checkpoint"):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.filterwarnings("ignore")  # torch's, of strange bytes
def test_every_kind_of_damage_is_one_kind_of_error(tmp_path):
    whole, path = tmp_path / "whole.pth", tmp_path / "damaged.pth"
    state = {"image_encoder.stem.conv.weight": torch.zeros(2, 2), "b": torch.ones(3)}
    torch.save(state, whole, _use_new_zipfile_serialization=False)
    data, rng = whole.read_bytes(), np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data)
        for place in rng.integers(len(data), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
