"""A network that grows answers at first as the smaller one did, and learns in its new blocks."""

import pytest
import torch

from segwidget.sam import build
from segwidget.sam.build import build_compact
from segwidget.sam.compact_encoder import CompactEncoder
from segwidget.training.grow import load_grown


def network(monkeypatch, depths, attention, **more):
    def encoder(size, out_chans, high_res_channels):
        return CompactEncoder(
            size,
            depths=depths,
            attention=attention,
            out_chans=out_chans,
            high_res_channels=high_res_channels,
            **more,
        )

    with monkeypatch.context() as m:
        m.setattr(build, "CompactEncoder", encoder)
        return build_compact(64)


@pytest.fixture
def small(monkeypatch):
    torch.manual_seed(0)
    sam = network(monkeypatch, (1, 1, 2, 1), (0, 0, 1, 1))
    for name, p in sam.named_parameters():
        if name.endswith("bn.weight"):
            torch.nn.init.uniform_(p, 0.3, 1)
    return sam.eval()


def embedding(sam):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 255
    return sam.eval().encode(sam.preprocess(image)).embedding


def test_attention_begins_as_the_identity(monkeypatch, small):
    large = network(monkeypatch, (1, 1, 2, 1), (0, 0, 3, 2))
    assert load_grown(large, small.state_dict()) == 3
    with torch.no_grad():
        torch.testing.assert_close(embedding(large), embedding(small))


def test_residual_blocks_begin_close_to_it(monkeypatch, small):
    large = network(monkeypatch, (1, 2, 4, 1), (0, 0, 2, 1))
    assert load_grown(large, small.state_dict()) == 4
    with torch.no_grad():
        before, after = embedding(small), embedding(large)
    change = torch.linalg.norm(after - before) / torch.linalg.norm(before)
    assert 0 < change < 0.3


def test_new_blocks_learn_from_the_first_step(monkeypatch, small):
    large = network(monkeypatch, (1, 2, 2, 1), (0, 0, 2, 1))
    load_grown(large, small.state_dict())
    embedding(large).square().mean().backward()
    stages = large.image_encoder.stages
    assert stages[1][2].spatial.conv.weight.grad.abs().max() > 0
    assert stages[2][4].proj.weight.grad.abs().max() > 0


def test_nothing_grows_where_the_sizes_agree(monkeypatch, small):
    same = network(monkeypatch, (1, 1, 2, 1), (0, 0, 1, 1))
    assert load_grown(same, small.state_dict()) == 0
    for name, value in same.state_dict().items():
        assert torch.equal(value, small.state_dict()[name])


def test_weights_of_a_deeper_network_are_refused(monkeypatch, small):
    shallow = network(monkeypatch, (1, 1, 1, 1), (0, 0, 1, 1))
    with pytest.raises(ValueError, match=r"2 blocks \(ResidualBlock\) in stage 3 .* only 1"):
        load_grown(shallow, small.state_dict())


def test_weights_of_other_widths_are_refused(monkeypatch, small):
    wide = network(monkeypatch, (1, 1, 2, 1), (0, 0, 1, 1), widths=(64, 96, 176, 224))
    with pytest.raises(ValueError, match="fits nothing in this network"):
        load_grown(wide, small.state_dict())
