"""A network that grows answers at first as the smaller one did, and learns in its new blocks."""

import pytest
import torch

from segwidget.sam.build import build_compact
from segwidget.sam.compact_encoder import Blocks
from segwidget.training.grow import load_grown


def network(depths, attention):
    return build_compact(64, Blocks(depths, attention))


@pytest.fixture
def small():
    torch.manual_seed(0)
    sam = network((1, 1, 2, 1), (0, 0, 1, 1))
    for name, p in sam.named_parameters():
        if name.endswith("bn.weight"):
            torch.nn.init.uniform_(p, 0.3, 1)
    return sam.eval()


def embedding(sam):
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 255
    return sam.eval().encode(sam.preprocess(image)).embedding


def test_attention_begins_as_the_identity(small):
    large = network((1, 1, 2, 1), (0, 0, 3, 2))
    assert load_grown(large, small.state_dict()) == 3
    with torch.no_grad():
        torch.testing.assert_close(embedding(large), embedding(small))


def test_residual_blocks_begin_close_to_it(small):
    large = network((1, 2, 4, 1), (0, 0, 2, 1))
    assert load_grown(large, small.state_dict()) == 4
    with torch.no_grad():
        before, after = embedding(small), embedding(large)
    change = torch.linalg.norm(after - before) / torch.linalg.norm(before)
    assert 0 < change < 0.3


def test_new_blocks_learn_from_the_first_step(small):
    large = network((1, 2, 2, 1), (0, 0, 2, 1))
    load_grown(large, small.state_dict())
    embedding(large).square().mean().backward()
    stages = large.image_encoder.stages
    assert stages[1][2].spatial.conv.weight.grad.abs().max() > 0
    assert stages[2][4].proj.weight.grad.abs().max() > 0


def test_nothing_grows_where_the_sizes_agree(small):
    same = network((1, 1, 2, 1), (0, 0, 1, 1))
    assert load_grown(same, small.state_dict()) == 0
    for name, value in same.state_dict().items():
        assert torch.equal(value, small.state_dict()[name])


def test_weights_of_a_deeper_network_are_refused(small):
    shallow = network((1, 1, 1, 1), (0, 0, 1, 1))
    with pytest.raises(ValueError, match=r"2 blocks \(ResidualBlock\) in stage 3 .* only 1"):
        load_grown(shallow, small.state_dict())


def test_weights_of_other_widths_are_refused(small):
    same = network((1, 1, 2, 1), (0, 0, 1, 1))
    state = small.state_dict()
    state["image_encoder.stem.conv.weight"] = torch.zeros(64, 3, 3, 3)
    with pytest.raises(ValueError, match=r"stem\.conv.weight of the weights fits nothing"):
        load_grown(same, state)
