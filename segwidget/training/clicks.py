"""A simulated annotator for whole batches, for training ("Segment Anything", appendix A).

The evaluation's annotator clicks where the distance transform is largest. Here a blurred error
map stands in for it: nearly the same place, at a hundredth of the cost, and a little noise makes
clicks as varied as people's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segwidget.sam.prompt_encoder import (
    BACKGROUND,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    NOT_A_POINT,
)

BLURS = (3, 7, 15)  # cells of two pixels


def depth(region: Tensor) -> Tensor:
    """How far inside its region each pixel lies: ``(B, h, w)`` bool to float, 0 outside."""
    area = region.float().unsqueeze(1)
    # Half the resolution is fine enough to be deep in, and a quarter of the work.
    small = F.avg_pool2d(area, 2, ceil_mode=True)
    total = torch.zeros_like(small)
    for k in BLURS:
        rows = F.avg_pool2d(small, (1, k), 1, (0, k // 2))
        total += F.avg_pool2d(rows, (k, 1), 1, (k // 2, 0))
    h, w = region.shape[-2:]
    total = total.repeat_interleave(2, -2).repeat_interleave(2, -1)[..., :h, :w]
    return (total * area).squeeze(1)


def pick_pixel(region: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """A pixel deep inside each region.

    Args:
        region: ``(B, h, w)`` bool; an empty one gives some pixel of depth 0.
        generator: source of the noise.

    Returns:
        Its ``(x, y)`` as ``(B, 2)`` indices and its depth ``(B,)``.
    """
    d = depth(region)
    noise = torch.rand(d.shape, generator=generator)
    # Each click wants the deepest point more or less; half of the clicks hardly care.
    care = torch.rand(len(d), 1, 1, generator=generator)
    index = (d * (1 - care * noise)).flatten(1).argmax(dim=1)
    w = d.shape[-1]
    xy = torch.stack([index % w, index // w], dim=1)
    return xy, d.flatten(1).gather(1, index.unsqueeze(1)).squeeze(1)


def first_prompt(
    target: Tensor, stride: float, box_share: float = 0.4, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The first prompt of each mask: a point inside, or a jittered box.

    Args:
        target: ``(B, h, w)`` coverage in ``[0, 1]``.
        stride: pixels of the network's input per cell of ``target``.
        box_share: share of boxes.
        generator: source of chance.

    Returns:
        Coordinates ``(B, 2, 2)`` in input pixels, pixel centers at integers, and labels
        ``(B, 2)``: a point and a padding point, or the two corners of a box.
    """
    inside = target > 0.5
    xy, _ = pick_pixel(inside, generator)
    point = (xy + torch.rand(xy.shape, generator=generator)) * stride - 0.5
    coords = torch.stack([point, torch.zeros_like(point)], dim=1)
    labels = torch.tensor([FOREGROUND, NOT_A_POINT]).repeat(len(target), 1)

    box = mask_boxes(inside) * stride - 0.5
    side = (box[:, 2:] - box[:, :2]).repeat(1, 2)
    jitter = torch.randn(box.shape, generator=generator) * 0.05 * side
    tight = torch.rand(len(box), 1, generator=generator) < 0.3
    jitter = torch.where(tight, 0.0, jitter.clamp(-0.1 * side, 0.1 * side))
    limit = target.shape[-1] * stride - 0.5
    corners = (box + jitter).clamp(-0.5, limit).view(-1, 2, 2)
    as_box = torch.rand(len(target), generator=generator) < box_share
    coords[as_box] = corners[as_box]
    labels[as_box] = torch.tensor([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT])
    return coords, labels


def mask_boxes(mask: Tensor) -> Tensor:
    """Boxes ``(B, 4)`` as ``xyxy`` edges of ``(B, h, w)`` bool masks; zeros for empty ones."""
    h, w = mask.shape[-2:]
    out = []
    for along, size in ((mask.any(dim=1), w), (mask.any(dim=2), h)):
        position = torch.arange(size)
        low = torch.where(along, position, size).amin(dim=1)
        high = torch.where(along, position, -1).amax(dim=1) + 1
        out.append((low.clamp(max=size - 1), high.clamp(min=1)))
    (x0, x1), (y0, y1) = out
    return torch.stack([x0, y0, x1, y1], dim=1).float()


def corrective_click(
    logits: Tensor, target: Tensor, stride: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """The next click: in the larger error, where it is deepest.

    Args:
        logits: ``(B, h, w)``, the answer that is to be corrected.
        target: ``(B, h, w)`` coverage.
        stride: pixels of the network's input per cell.
        generator: source of chance.

    Returns:
        Coordinates ``(B, 1, 2)`` and labels ``(B, 1)``: foreground where the answer lacks
        something, background where it has too much. A perfect answer gets a point inside.
    """
    answer, truth = logits > 0, target > 0.5
    missing, deep_missing = pick_pixel(truth & ~answer, generator)
    excess, deep_excess = pick_pixel(answer & ~truth, generator)
    exclude = deep_excess > deep_missing
    xy = torch.where(exclude.unsqueeze(1), excess, missing)
    perfect = torch.maximum(deep_excess, deep_missing) == 0
    if perfect.any():
        xy[perfect], _ = pick_pixel(truth[perfect], generator)
    labels = torch.where(exclude, BACKGROUND, FOREGROUND)
    return (xy.unsqueeze(1) + 0.5) * stride - 0.5, labels.unsqueeze(1)


def append_click(
    coords: Tensor, labels: Tensor, xy: Tensor, label: Tensor
) -> tuple[Tensor, Tensor]:
    """Add a click in front, where it leaves the corners of a box side by side."""
    return torch.cat([xy, coords], dim=1), torch.cat([label, labels], dim=1)
