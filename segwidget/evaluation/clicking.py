"""The clicks on one thing: the simulated annotator asks, corrects the answer, and asks again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segwidget.evaluation.annotator import first_click, next_click
from segwidget.evaluation.metrics import MOST_CLICKS, iou
from segwidget.inference.prompts import Point


class ScoredMask(Protocol):
    """One mask of an answer."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """``(H, W)`` bool."""

    @property
    def predicted_iou(self) -> float | None:
        """What the segmenter believes its IoU to be; ``None`` where it has no opinion."""


class Answer(Protocol):
    """An answer: one or more masks, best first."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ScoredMask: ...


class Turn(NamedTuple):
    """A question and what came of it.

    Attributes:
        clicks: that were made so far.
        answer: to them.
        first: of the answer, which the next click corrects. Taking it from the answer again may
            cost making its mask again.
        iou: of its mask with the ground truth.
    """

    clicks: tuple[Point, ...]
    answer: Answer
    first: ScoredMask
    iou: float


def turns(
    ask: Callable[[tuple[Point, ...]], Answer],
    target: NDArray[np.bool_],
    most: int = MOST_CLICKS,
    *,
    clicks: tuple[Point, ...] | None = None,
) -> Iterator[Turn]:
    """Click after click, until nothing is left to correct; whoever has seen enough stops earlier.

    Args:
        ask: answers all clicks so far.
        target: ``(H, W)`` bool, the ground truth, not empty.
        most: how many clicks are made at most.
        clicks: with which to begin; by default the simulated annotator's first one. With ``()`` the
            first question has none, since a box, say, has been given.

    Raises:
        AnnotationError: the ground truth is empty, or of another size than the answers.
    """
    clicks = (first_click(target),) if clicks is None else clicks
    while True:
        answer = ask(clicks)
        first = answer[0]
        yield Turn(clicks, answer, first, iou(first.mask, target))
        click = next_click(target, first.mask, clicks) if len(clicks) < most else None
        if click is None:  # or every pixel to be corrected has been clicked
            return
        clicks = (*clicks, click)
