"""Muon and AdamW behind one interface."""

import copy

import pytest
import torch
from torch import nn

from segwidget.training.optimizers import MatrixOptimizer, as_matrix, is_matrix


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(16, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 3, 1))
    return net.to(memory_format=torch.channels_last)


def gradients(net, x):
    net(x).square().mean().backward()


def test_kernels_of_some_size_go_to_muon_and_nothing_is_forgotten():
    net = network()
    extra = nn.Parameter(torch.ones(2))
    optimizer = MatrixOptimizer(net, [extra], lr=0.1, weight_decay=0.0)
    assert [p.shape for p in optimizer.kernels] == [net[0].weight.shape]
    other = [p for group in optimizer.adamw.param_groups for p in group["params"]]
    expected = {id(p) for p in [*net.parameters(), extra]} - {id(net[0].weight)}
    assert {id(p) for p in other} == expected


def test_a_step_makes_the_change_of_a_kernel_orthogonal_and_of_adamw_size():
    net = network()
    optimizer = MatrixOptimizer(net, [], lr=0.01, weight_decay=0.0)
    before = as_matrix(net[0].weight.detach()).clone()
    gradients(net, torch.randn(2, 16, 8, 8))
    optimizer.step()
    change = as_matrix(net[0].weight.detach()) - before
    values = torch.linalg.svdvals(change)
    # Five rounds of Newton-Schulz leave the singular values between 0.7 and 1.2 of their common
    # size, but for directions that had next to no gradient.
    assert values[:12].max() / values[:12].min() < 2
    assert change.square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.3)


def test_it_learns_and_forgets_its_gradients():
    net = network()
    optimizer = MatrixOptimizer(net, [], lr=0.05, weight_decay=0.0)
    x = torch.randn(4, 16, 8, 8)
    losses = []
    for _ in range(10):
        loss = net(x).square().mean()
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
        assert all(p.grad is None for p in net.parameters())
    assert losses[-1] < 0.3 * losses[0]


def test_a_saved_state_goes_on_as_if_nothing_had_happened():
    x = torch.randn(2, 16, 8, 8)
    one, two = network(), network()
    first = MatrixOptimizer(one, [], lr=0.05, weight_decay=0.1)
    gradients(one, x)
    first.step()
    first.zero_grad()
    second = MatrixOptimizer(two, [], lr=0.05, weight_decay=0.1)
    two.load_state_dict(one.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for net, optimizer in ((one, first), (two, second)):
        gradients(net, x)
        optimizer.step()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_rate_reaches_both():
    optimizer = MatrixOptimizer(network(), [], lr=0.05, weight_decay=0.0)
    optimizer.set_lr(0.0)
    assert {group["lr"] for group in optimizer.muon.param_groups} == {0.0}
    assert {group["lr"] for group in optimizer.adamw.param_groups} == {0.0}


def test_a_kernel_in_another_order_is_refused():
    net = nn.Conv2d(16, 24, 3)
    with pytest.raises(ValueError, match="weight is not in channels-last order"):
        MatrixOptimizer(net, [], lr=0.1, weight_decay=0.0)


def test_a_torch_without_muon_is_told(monkeypatch):
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(RuntimeError, match=r"needs torch 2\.9 or later.*Upgrade"):
        MatrixOptimizer(network(), [], lr=0.1, weight_decay=0.0)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("stages.0.conv.weight", (48, 32, 3, 3), True),
        ("mlp.lin1.weight", (64, 128), True),
        ("norm.weight", (64,), False),
        ("mask_tokens.weight", (4, 128), False),
        ("iou_prediction_head.layers.0.weight", (256, 128), False),
        ("position.weight", (176, 1, 3, 3), False),
        ("up.weight", (8, 256), False),
    ],
)
def test_which_parameters_are_matrices(name, shape, expected):
    assert is_matrix(name, torch.zeros(shape)) is expected
