"""Weights in 8 bits: close to what they were, small, and refused when damaged."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from segwidget.errors import CheckpointError
from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import load_checkpoint, read_state, save_checkpoint
from segwidget.sam.eight_bit import LEAST_VALUES, SCALE, packed, unpacked


@pytest.fixture(scope="module")
def state():
    torch.manual_seed(0)
    return {
        "a.kernel": torch.randn(32, 24, 3, 3) * torch.logspace(-4, 2, 32).view(-1, 1, 1, 1),
        "a.matrix": torch.randn(64, 64),
        "a.bias": torch.randn(8192),
        "a.small": torch.randn(8, 8),
        "a.count": torch.tensor(7),
        "b.matrix": torch.randn(64, 64),
    }


def test_only_large_weights_of_the_prefix_are_packed(state):
    small = packed(state, ["a."])
    assert {k for k, v in small.items() if v.dtype == torch.int8} == {"a.kernel", "a.matrix"}
    assert small["a.kernel" + SCALE].shape == (32,)
    assert small.keys() - state.keys() == {"a.kernel" + SCALE, "a.matrix" + SCALE}
    for name in ("a.bias", "a.small", "a.count", "b.matrix"):
        assert small[name] is state[name]
    assert state["a.small"].numel() < LEAST_VALUES


def test_no_weight_is_off_by_more_than_half_a_step_of_its_channel(state):
    back = unpacked(packed(state, ["a."]))
    assert back.keys() == state.keys()
    off = (back["a.kernel"] - state["a.kernel"]).flatten(1).abs().amax(1)
    step = state["a.kernel"].flatten(1).abs().amax(1) / 127
    assert (off <= 0.5001 * step).all()
    assert (off > 0).all()


def test_a_channel_of_zeros_stays_zero():
    back = unpacked(packed({"w": torch.zeros(64, 64)}, ["w"]))
    assert torch.equal(back["w"], torch.zeros(64, 64))


def test_packing_twice_changes_nothing(state):
    once = unpacked(packed(state, ["a."]))
    twice = unpacked(packed(once, ["a."]))
    for name, value in once.items():
        torch.testing.assert_close(twice[name], value, rtol=1e-6, atol=0)


def test_a_tensor_that_is_called_scale_is_kept():
    state = {"norm.scale": torch.ones(3), "norm": torch.ones(3)}
    assert unpacked(state).keys() == state.keys()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    sam = build_compact().eval().requires_grad_(False)
    path = tmp_path_factory.mktemp("weights") / "eight.safetensors"
    save_checkpoint(sam, path, eight_bit=["image_encoder."])
    return sam, path


def test_a_network_answers_as_before(saved):
    sam, path = saved
    loaded = load_checkpoint(path).sam
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1)) * 255
    with torch.inference_mode():
        ours, before = (s.encode(s.preprocess(image)).embedding for s in (loaded, sam))
    assert torch.linalg.norm(ours - before) / torch.linalg.norm(before) < 0.05
    floats = 2 * sum(t.numel() for t in sam.state_dict().values())
    assert path.stat().st_size < min(12e6, 0.65 * floats)


@pytest.mark.parametrize("harm", ["missing", "shape", "infinite", "integers"])
def test_damaged_scales_are_refused(saved, tmp_path, harm):
    state = load_file(saved[1])
    name = "image_encoder.stages.1.1.spatial.conv.weight" + SCALE
    if harm == "missing":
        del state[name]
    elif harm == "shape":
        state[name] = state[name][1:]
    elif harm == "infinite":
        state[name][0] = float("inf")
    else:
        state[name] = state[name].int()
    path = tmp_path / "bad.safetensors"
    save_file(state, path)
    with pytest.raises(CheckpointError, match=r"bad\.safetensors is damaged.*scales.*Download it"):
        read_state(path)
