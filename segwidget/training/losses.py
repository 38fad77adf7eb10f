"""SAM's losses ("Segment Anything", section 3 "Losses and training", appendix A "Training").

Beside them the loss that the embedded model's later runs learn from, with cross-entropy in place of
the focal loss: :func:`entropy_mask_loss`.

All take low-resolution logits ``(..., h, w)`` and targets of the same shape in ``[0, 1]``: the
share of each cell that the mask covers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_WEIGHT = 20.0
DICE_WEIGHT = 1.0
ENTROPY_WEIGHT = 1.5

MaskLoss = Callable[[Tensor, Tensor], Tensor]


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al., 2017, eq. 5), averaged over the pixels: ``(...,)``."""
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    p = logits.sigmoid()
    miss = p + target - 2 * p * target  # 1 - p_t
    weight = 1 - alpha + (2 * alpha - 1) * target
    return (weight * miss.pow(gamma) * ce).mean(dim=(-2, -1))


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss (Milletari et al., 2016) with one pixel of smoothing: ``(...,)``."""
    p = logits.sigmoid()
    inter = (p * target).sum(dim=(-2, -1))
    total = p.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1))
    return 1 - (2 * inter + 1) / (total + 1)


def sam_mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal and dice loss, 20 to 1 ("Segment Anything", section 3): ``(...,)``."""
    return FOCAL_WEIGHT * focal_loss(logits, target) + DICE_WEIGHT * dice_loss(logits, target)


def entropy_mask_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy and dice loss (as in Mask2Former, Cheng et al., 2022, section 3.3): ``(...,)``.

    Focal loss lets go of a pixel that is right with a probability of two thirds, and a network
    that has seen little stays there: its logits are soft and its outlines vague.
    """
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=(-2, -1))
    return ENTROPY_WEIGHT * ce + DICE_WEIGHT * dice_loss(logits, target)


MASK_LOSSES: Mapping[str, MaskLoss] = {"focal": sam_mask_loss, "entropy": entropy_mask_loss}


def mask_iou(logits: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of the thresholded masks: ``(...,)``, without a gradient."""
    with torch.no_grad():
        a, b = logits > 0, target > 0.5
        inter = (a & b).sum(dim=(-2, -1))
        union = (a | b).sum(dim=(-2, -1))
        return inter / union.clamp(min=1)


class DecoderLoss(NamedTuple):
    """The loss of one round of prompts and what to log of it.

    Attributes:
        loss: scalar, to be minimized.
        single_iou: ``(B,)`` IoU of the single-mask token.
        top_iou: ``(B,)`` IoU of the ambiguous mask with the highest predicted IoU.
        best_iou: ``(B,)`` IoU of the best of the three.
        iou_error: scalar, mean absolute error of predicted IoU.
    """

    loss: Tensor
    single_iou: Tensor
    top_iou: Tensor
    best_iou: Tensor
    iou_error: Tensor


def decoder_loss(
    logits: Tensor,
    predicted_iou: Tensor,
    target: Tensor,
    ambiguous: Tensor,
    mask_loss: MaskLoss = sam_mask_loss,
) -> DecoderLoss:
    """The loss of all four masks of a round.

    For an ambiguous prompt (one point) only the best of the three masks learns, so that each may
    answer at another level (section 3, "Resolving ambiguity"); a twentieth of their mean keeps the
    others alive. For richer prompts the single-mask token learns, and the best of the three
    beside it with a smaller weight, so that the alternatives stay useful.

    Args:
        logits: ``(B, 4, h, w)``, the single mask first.
        predicted_iou: ``(B, 4)``.
        target: ``(B, h, w)``.
        ambiguous: ``(B,)`` bool.
        mask_loss: what each mask learns from.
    """
    logits, predicted_iou = logits.float(), predicted_iou.float()
    targets = target.unsqueeze(1).expand_as(logits)
    each = mask_loss(logits, targets)
    iou = mask_iou(logits, targets)
    single, three = each[:, 0], each[:, 1:]
    best = three.min(dim=1).values + 0.05 * three.mean(dim=1)
    loss = torch.where(ambiguous, best, single + 0.3 * best)
    iou_loss = F.mse_loss(predicted_iou, iou)
    top = predicted_iou[:, 1:].argmax(dim=1, keepdim=True)
    return DecoderLoss(
        loss.mean() + iou_loss,
        iou[:, 0],
        iou[:, 1:].gather(1, top).squeeze(1),
        iou[:, 1:].max(dim=1).values,
        (predicted_iou - iou).abs().mean().detach(),
    )


def prototype_loss(embedding: Tensor, coverage: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """An auxiliary loss on the encoder: pixels of a mask resemble the mask's mean embedding.

    It gives the encoder a direct signal while the decoder knows nothing yet.

    Args:
        embedding: ``(I, C, h, w)``.
        coverage: ``(I, P, h, w)``, the share of each cell that each mask covers.
        scale: scalar, of the cosine.
        bias: scalar, added to it.
    """
    pixels = F.normalize(embedding.float().flatten(2), dim=1)  # (I, C, N)
    weight = coverage.flatten(2)
    mean = weight @ pixels.transpose(1, 2) / weight.sum(-1, keepdim=True).clamp(min=1e-3)
    logits = (F.normalize(mean, dim=-1) @ pixels * scale + bias).view_as(coverage)
    bce = F.binary_cross_entropy_with_logits(logits, coverage)
    return bce + dice_loss(logits, coverage).mean()
