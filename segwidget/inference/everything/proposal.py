"""What everything mode proposes, and how it tells of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from segwidget.inference.everything.filters import mask_ious


@dataclass(frozen=True)
class Proposal:
    """A mask that the model proposes.

    Attributes:
        size: ``(height, width)`` of the image.
        counts: the mask as COCO's compressed run lengths.
        box: its tight box ``(x0, y0, x1, y1)``, right and lower edge exclusive.
        area: pixels inside.
        predicted_iou: what the model believes its IoU to be; may be a little above 1.
        stability_score: the IoU of the mask at a higher and a lower threshold.
        point: ``(x, y)`` that it was found with, in pixels of the image.
        crop_box: ``(x0, y0, x1, y1)`` of the part of the image that was looked at.
        prompt_box: ``(x0, y0, x1, y1)`` that was asked, where it was a box: `point` is its middle.
    """

    size: tuple[int, int]
    counts: str
    box: tuple[float, float, float, float]
    area: int
    predicted_iou: float
    stability_score: float
    point: tuple[float, float]
    crop_box: tuple[int, int, int, int]
    prompt_box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Progress:
    """How far it is: so many points of so many."""

    done: int
    total: int


#: Told after each batch how far it is, and what was found so far, duplicates taken out.
OnUpdate: TypeAlias = Callable[[Progress, tuple[Proposal, ...]], None]


def without_duplicates(
    proposals: Iterable[Proposal], kept: Sequence[str], threshold: float = 0.8
) -> tuple[Proposal, ...]:
    """The proposals that are not there already.

    Args:
        proposals: of one image.
        kept: masks of the same image as COCO's compressed run lengths.
        threshold: proposals whose mask has at least this IoU with any of them are dropped.
    """
    given = tuple(proposals)
    if not given or not kept:
        return given
    size = given[0].size
    ious = mask_ious([(p.size, p.counts) for p in given], [(size, counts) for counts in kept])
    return tuple(p for p, row in zip(given, ious, strict=True) if row.max() < threshold)
