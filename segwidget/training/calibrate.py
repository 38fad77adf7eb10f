"""The last step of the recipe: the IoU head is fitted anew to the finished, averaged weights.

While the network trains, its IoU head chases answers that change, on crops smaller than what the
network sees in use. Here everything else stands still: the decoder answers prompts on whole images
at full size, and the head alone learns from its input token how good the four masks were. That
takes minutes, since each token is computed once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segwidget.sam.prompt_encoder import FOREGROUND
from segwidget.sam.sam import Sam
from segwidget.training.clicks import append_click, corrective_click, first_prompt
from segwidget.training.losses import mask_iou


class Answers(NamedTuple):
    """What the head learns from.

    Attributes:
        tokens: ``(N, C)``, the input of the IoU head.
        ious: ``(N, M)``, IoU of all masks with the target.
    """

    tokens: Tensor
    ious: Tensor


@torch.no_grad()
def collect(model: Sam, batches: Iterable[tuple[Tensor, Tensor]], rounds: int = 3) -> Answers:
    """Let a model answer first prompts and corrections.

    Args:
        model: with an input size that fits the batches.
        batches: images ``(I, 3, S, S)`` and masks ``(I, P, S/2, S/2)`` with coverage in ``[0, 1]``.
        rounds: first prompt and corrections.
    """
    tokens: list[Tensor] = []
    ious: list[Tensor] = []

    def keep(_module: object, inputs: tuple[Tensor, ...]) -> None:
        tokens.append(inputs[0].float().cpu())

    hook = model.mask_decoder.iou_prediction_head.register_forward_pre_hook(keep)
    try:
        for images, masks in batches:
            target = masks.flatten(0, 1)
            stride = model.image_size / target.shape[-1]
            features = model.encode(model.preprocess(images))
            coords, labels = first_prompt(target, stride)
            previous = None
            for _ in range(rounds):
                logits, iou = model.decode(features, (coords, labels), masks=previous, padded=True)
                ious.append(mask_iou(logits, target.unsqueeze(1).expand_as(logits)))
                single_point = len(labels[0]) == 2 and previous is None
                ambiguous = (labels == FOREGROUND).any(1) & single_point
                best = torch.where(ambiguous, iou[:, 1:].argmax(1) + 1, 0)
                answer = logits[torch.arange(len(logits)), best]
                xy, label = corrective_click(answer, target, stride)
                coords, labels = append_click(coords, labels, xy, label)
                previous = answer.unsqueeze(1)
    finally:
        hook.remove()
    return Answers(torch.cat(tokens), torch.cat(ious))


def refit_iou_head(
    model: Sam, answers: Answers, epochs: int = 60, lr: float = 5e-4, seed: int = 0
) -> tuple[float, float]:
    """Fit the IoU head of a model, in place, and keep it only where it became better.

    A tenth of the answers, the last ones, are held out; the epoch that errs least on them counts.

    Args:
        model: whose IoU head is fitted.
        answers: from :func:`collect`.
        epochs: passes over the answers.
        lr: peak learning rate; a cosine leads down from it.
        seed: of the order.

    Returns:
        Mean absolute error on the held-out answers before and after.
    """
    # A copy learns, since the averaged weights themselves take no gradients.
    head = copy.deepcopy(model.mask_decoder.iou_prediction_head).requires_grad_()
    cut = len(answers.tokens) * 9 // 10
    held = Answers(answers.tokens[cut:], answers.ious[cut:])

    def error() -> float:
        with torch.no_grad():
            return float((head(held.tokens) - held.ious).abs().mean())

    before = least = error()
    best = copy.deepcopy(head.state_dict())
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for index in torch.randperm(cut, generator=generator).split(256):
            # Mean absolute error for what is far off, squares for what is near.
            loss = F.smooth_l1_loss(head(answers.tokens[index]), answers.ious[index], beta=0.1)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if (now := error()) < least:
            least, best = now, copy.deepcopy(head.state_dict())
    model.mask_decoder.iou_prediction_head.load_state_dict(best)
    return before, least
