"""One step of fine-tuning, and how a network does on the held-out images.

A step is that of "Segment Anything", appendix A: a point or a jittered box first, then corrective
clicks with the last logits as mask prompt, each answer with the losses that the network was trained
with: SAM's, or the embedded model's (:func:`mask_loss_of`). MedSAM (Ma et al., 2024)
asks one box, and has the single mask learn by Dice loss and cross-entropy.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from segwidget.inference.models import Model
from segwidget.sam.compact_encoder import CompactEncoder
from segwidget.sam.prompt_encoder import FOREGROUND
from segwidget.sam.sam import ImageFeatures, Sam
from segwidget.training.clicks import append_click, corrective_click, first_prompt
from segwidget.training.dataset import TrainingImage
from segwidget.training.finetune_data import targets
from segwidget.training.losses import (
    MaskLoss,
    decoder_loss,
    dice_loss,
    entropy_mask_loss,
    mask_iou,
    sam_mask_loss,
)
from segwidget.training.pretrain import top_mask

Preset: TypeAlias = Literal["medsam"]
#: Odds of one, two and three rounds of prompts.
ROUNDS = (0.4, 0.35, 0.25)
BOX_SHARE = 0.45
#: Held-out masks of an image that are asked about.
MOST_HELD_OUT = 16


class Score(NamedTuple):
    """How a network does on held-out images.

    Attributes:
        iou: mean IoU over masks and prompts, of low-resolution masks.
        loss: mean loss of the same answers.
    """

    iou: float
    loss: float


def decoder_step(
    sam: Sam,
    features: ImageFeatures,
    target: Tensor,
    generator: torch.Generator,
    preset: Preset | None = None,
) -> float:
    """Prompt, answer, correct; gradients collect in the parameters and in ``features``.

    Args:
        sam: the network that learns.
        features: of one image.
        target: ``(P, s, s)`` coverage, on the CPU.
        generator: source of chance, on the CPU.
        preset: ``"medsam"`` for a box alone.

    Returns:
        The mean loss of the rounds.
    """
    rounds = 1
    if preset is None:
        rounds += int(torch.multinomial(torch.tensor(ROUNDS), 1, generator=generator))
    share = BOX_SHARE if preset is None else 1.0
    stride = sam.image_size / target.shape[-1]
    coords, labels = first_prompt(target, stride, share, generator)
    there = target.to(sam.device)
    previous: Tensor | None = None
    total = 0.0
    for i in range(rounds):
        points = (coords.to(sam.device), labels.to(sam.device))
        logits, iou = sam.decode(features, points, masks=previous, padded=True)
        is_point = (labels == FOREGROUND).any(1) & (labels <= FOREGROUND).all(1)
        ambiguous = (is_point & (i == 0)).to(sam.device)
        loss = round_loss(logits, iou, there, ambiguous, preset, mask_loss_of(sam)) / rounds
        loss.backward()
        total += float(loss.detach())
        if i + 1 < rounds:
            answer = chosen_answer(logits, iou, ambiguous).detach()
            xy, label = corrective_click(answer.cpu(), target, stride, generator)
            coords, labels = append_click(coords, labels, xy, label)
            previous = answer.unsqueeze(1)
    return total


def mask_loss_of(sam: Sam) -> MaskLoss:
    """What a network's masks were trained with; another loss would undo what it has learnt."""
    return entropy_mask_loss if isinstance(sam.image_encoder, CompactEncoder) else sam_mask_loss


def round_loss(
    logits: Tensor,
    iou: Tensor,
    target: Tensor,
    ambiguous: Tensor,
    preset: Preset | None,
    mask_loss: MaskLoss = sam_mask_loss,
) -> Tensor:
    """The loss of one round: that of SAM's four masks, or MedSAM's on the single one.

    Args:
        logits: ``(P, 4, s, s)``.
        iou: predicted, ``(P, 4)``.
        target: ``(P, s, s)``.
        ambiguous: ``(P,)`` bool.
        preset: see :func:`decoder_step`.
        mask_loss: what each mask learns from.
    """
    if preset is None:
        return decoder_loss(logits, iou, target, ambiguous, mask_loss).loss
    single = logits[:, 0]
    entropy = F.binary_cross_entropy_with_logits(single, target)
    # Without it predicted IoU would go on judging the masks of before.
    score = F.mse_loss(iou[:, 0], mask_iou(single, target))
    return dice_loss(single, target).mean() + entropy + score


def chosen_answer(logits: Tensor, iou: Tensor, ambiguous: Tensor) -> Tensor:
    """The mask that a person is shown first, ``(P, s, s)``."""
    return torch.where(ambiguous[:, None, None], top_mask(logits, iou), logits[:, 0])


def held_out_masks(image: TrainingImage) -> list[int]:
    """Indices of the masks that are asked about, spread over all of them."""
    count = len(image.masks)
    step = max(1, -(-count // MOST_HELD_OUT))
    return list(range(0, count, step))


def score_image(
    sam: Sam,
    features: ImageFeatures,
    image: TrainingImage,
    model: Model,
    seed: int,
    preset: Preset | None = None,
) -> tuple[list[float], list[float]]:
    """IoUs and losses of one held-out image, with the same prompts each time.

    A point, a box, and one click that corrects the point's answer; with MedSAM's preset the box.
    """
    target = targets(image, model, held_out_masks(image))
    there, stride = target.to(sam.device), sam.image_size / target.shape[-1]
    ious: list[float] = []
    losses: list[float] = []

    def ask(coords: Tensor, labels: Tensor, previous: Tensor | None, point: bool) -> Tensor:
        points = (coords.to(sam.device), labels.to(sam.device))
        logits, iou = sam.decode(features, points, masks=previous, padded=True)
        ambiguous = torch.full((len(target),), point, device=sam.device)
        answer = chosen_answer(logits, iou, ambiguous)
        ious.extend(mask_iou(answer, there).tolist())
        loss = round_loss(logits, iou, there, ambiguous, preset, mask_loss_of(sam))
        losses.append(float(loss))
        return answer

    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        ask(*first_prompt(target, stride, 1.0, generator), None, False)
        if preset is None:
            coords, labels = first_prompt(target, stride, 0.0, generator)
            answer = ask(coords, labels, None, True)
            xy, label = corrective_click(answer.cpu(), target, stride, generator)
            ask(*append_click(coords, labels, xy, label), answer.unsqueeze(1), False)
    return ious, losses
