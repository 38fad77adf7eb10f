"""Losses against values computed by hand and against formulae written naively."""

import math

import pytest
import torch

from segwidget.training.losses import (
    decoder_loss,
    dice_loss,
    entropy_mask_loss,
    focal_loss,
    mask_iou,
    prototype_loss,
)


def logit(p):
    return math.log(p / (1 - p))


@pytest.fixture
def random():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 8, 8, generator=generator) * 3
    target = (torch.rand(3, 8, 8, generator=generator) > 0.6).float()
    iou = torch.rand(3, 4, generator=generator)
    return logits, iou, target


def test_focal_loss_by_hand():
    # Two pixels: a mask pixel at p = 0.8, and one outside at p = 0.3.
    logits = torch.tensor([[logit(0.8), logit(0.3)]])
    target = torch.tensor([[1.0, 0.0]])
    inside = 0.25 * 0.2**2 * -math.log(0.8)
    outside = 0.75 * 0.3**2 * -math.log(0.7)
    assert focal_loss(logits, target).item() == pytest.approx((inside + outside) / 2, rel=1e-5)


def test_focal_loss_without_focus_is_half_the_cross_entropy():
    logits, target = torch.randn(2, 5, 5), (torch.rand(2, 5, 5) > 0.5).float()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    found = focal_loss(logits, target, alpha=0.5, gamma=0)
    torch.testing.assert_close(found, plain.mean(dim=(1, 2)) / 2)


def test_dice_loss_by_hand():
    logits = torch.tensor([[logit(0.8), logit(0.3)]])
    target = torch.tensor([[1.0, 0.0]])
    expected = 1 - (2 * 0.8 + 1) / (0.8 + 0.3 + 1 + 1)
    assert dice_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_entropy_mask_loss_by_hand():
    logits = torch.tensor([[logit(0.8), logit(0.3)]])
    target = torch.tensor([[1.0, 0.0]])
    entropy = -(math.log(0.8) + math.log(0.7)) / 2
    expected = 1.5 * entropy + dice_loss(logits, target).item()
    assert entropy_mask_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)


def test_the_decoder_learns_from_the_mask_loss_that_it_is_given(random):
    logits, iou, target = random
    single = torch.zeros(3, dtype=torch.bool)
    focal = decoder_loss(logits, iou, target, single)
    entropy = decoder_loss(logits, iou, target, single, entropy_mask_loss)
    each = entropy_mask_loss(logits, target[:, None].expand_as(logits))
    best = each[:, 1:].min(1).values + 0.05 * each[:, 1:].mean(1)
    score = torch.nn.functional.mse_loss(iou, mask_iou(logits, target[:, None].expand_as(logits)))
    torch.testing.assert_close(entropy.loss, (each[:, 0] + 0.3 * best).mean() + score)
    torch.testing.assert_close(entropy.single_iou, focal.single_iou)


def test_perfect_and_opposite_masks():
    target = torch.zeros(8, 8)
    target[2:6, 2:6] = 1
    right = (2 * target - 1) * 50
    for loss in (focal_loss, dice_loss):
        assert loss(right, target).item() == pytest.approx(0, abs=1e-6)
        assert loss(-right, target) > 0.9


def test_losses_are_finite_for_certain_mistakes():
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([[0.0, 1.0]])) + dice_loss(logits, torch.zeros(1, 2))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_mask_iou_by_hand():
    logits = torch.tensor([[[3.0, 2.0], [-1.0, 0.0]], [[-1.0, -1.0], [-1.0, -1.0]]])
    target = torch.tensor([[[1.0, 0.2], [0.9, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    assert mask_iou(logits, target).tolist() == [pytest.approx(1 / 3), 0]


def naive_decoder_loss(logits, iou, target, ambiguous):
    total = 0.0
    for b in range(len(logits)):
        each = [20 * focal_loss(m, target[b]) + dice_loss(m, target[b]) for m in logits[b]]
        best = min(each[1:]) + 0.05 * sum(each[1:]) / 3
        total += (best if ambiguous[b] else each[0] + 0.3 * best) / len(logits)
    for b in range(len(logits)):
        for m in range(4):
            actual = mask_iou(logits[b, m], target[b])
            total += (iou[b, m] - actual) ** 2 / iou.numel()
    return total


@pytest.mark.parametrize("ambiguous", [[True] * 3, [False] * 3, [True, False, True]])
def test_decoder_loss_is_the_naive_one(random, ambiguous):
    flags = torch.tensor(ambiguous)
    found = decoder_loss(*random, flags)
    torch.testing.assert_close(found.loss, naive_decoder_loss(*random, flags))


def test_what_is_logged(random):
    logits, iou, target = random
    found = decoder_loss(logits, iou, target, torch.ones(3, dtype=torch.bool))
    actual = mask_iou(logits, target.unsqueeze(1).expand_as(logits))
    for b in range(3):
        assert found.single_iou[b] == actual[b, 0]
        assert found.best_iou[b] == actual[b, 1:].max()
        assert found.top_iou[b] == actual[b, 1 + iou[b, 1:].argmax()]
    assert found.iou_error == pytest.approx((iou - actual).abs().mean().item())
    assert not found.iou_error.requires_grad


def gradient_norms(random, ambiguous):
    """Of each of the four masks, for the first prompt alone."""
    logits, iou, target = (t[:1].clone() for t in random)
    logits.requires_grad_()
    decoder_loss(logits, iou, target, torch.tensor([ambiguous])).loss.backward()
    each = 20 * focal_loss(logits[0].detach(), target.expand(4, -1, -1))
    each += dice_loss(logits[0].detach(), target.expand(4, -1, -1))
    alone = logits.detach().clone().requires_grad_()
    targets = target.unsqueeze(1).expand_as(alone)
    (20 * focal_loss(alone, targets) + dice_loss(alone, targets)).sum().backward()
    return logits.grad[0] / alone.grad[0], 1 + int(each[1:].argmin())


def test_only_the_best_learns_from_an_ambiguous_prompt(random):
    share, best = gradient_norms(random, ambiguous=True)
    for mask in range(4):
        expected = 0 if mask == 0 else 0.05 / 3 + (mask == best)
        torch.testing.assert_close(
            share[mask], torch.full((8, 8), float(expected)), atol=1e-4, rtol=0
        )


def test_the_single_mask_learns_from_a_rich_prompt(random):
    share, best = gradient_norms(random, ambiguous=False)
    for mask in range(4):
        expected = 1 if mask == 0 else 0.3 * (0.05 / 3 + (mask == best))
        torch.testing.assert_close(
            share[mask], torch.full((8, 8), float(expected)), atol=1e-4, rtol=0
        )


def test_predicted_iou_learns_and_actual_iou_does_not_pull_on_masks(random):
    logits, iou, target = random
    iou.requires_grad_()
    decoder_loss(logits, iou, target, torch.ones(3, dtype=torch.bool)).loss.backward()
    actual = mask_iou(logits, target.unsqueeze(1).expand_as(logits))
    torch.testing.assert_close(iou.grad, 2 * (iou.detach() - actual) / iou.numel())


def test_prototype_loss_likes_embeddings_that_tell_masks_apart():
    coverage = torch.zeros(1, 2, 4, 4)
    coverage[0, 0, :, :2] = 1
    coverage[0, 1, :, 2:] = 1
    apart = torch.cat([coverage[:, :1], coverage[:, 1:]], dim=1) * 2 - 1
    alike = torch.ones(1, 2, 4, 4)
    scale, bias = torch.tensor(10.0), torch.tensor(0.0)
    assert prototype_loss(apart, coverage, scale, bias) < 0.01
    assert prototype_loss(alike, coverage, scale, bias) > 1
    # An empty mask has no prototype, and makes nothing infinite.
    assert torch.isfinite(prototype_loss(apart, torch.zeros(1, 2, 4, 4), scale, bias))
