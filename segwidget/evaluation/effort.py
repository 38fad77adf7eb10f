"""What a mask takes a person: with a model's answers, and by hand.

For each mask and each IoU that is to be reached, 0.85 and 0.90, actions are counted:

- `clicks`: the simulated annotator (:mod:`segwidget.evaluation.annotator`) clicks until the first
  answer reaches the IoU, at most 20 times.
- `box`: a tight box, which counts two actions (press and release), then clicks that correct.
- `polygon`: the corners of a polygon (:func:`segwidget.evaluation.by_hand.fewest_vertices`).
- `brush`: strokes (:func:`segwidget.evaluation.by_hand.fewest_strokes`).

What a model does not reach with 20 clicks has to be drawn after all: it counts the 20 clicks (and
the box) and the polygon's corners on top. Nobody is so patient: `patience` is after how many clicks
a person turns to the polygon. Choosing a label, looking for the thing and pressing
Enter are the same for all ways and are not counted; nor is picking another candidate, since the
annotator always goes on from the first one.

Seconds are those that people were measured to take, in other work: 2.4 s for a first click on a
thing and 0.9 s for one more place to click, medians of Bearman et al., "What's the Point" (2016,
section 4); 7 s for a box by extreme clicking (Papadopoulos et al., 2017). A click that corrects an
answer has to be thought of, so each counts as a first one, 2.4 s. A polygon's first corner takes
2.4 s, each further one 0.9 s, which is in favor of the hand: COCO's polygons took 79 s a mask
(Lin et al., 2014: 22 hours for 1,000). For strokes of a brush there is no such number, and so no
seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwidget.evaluation.annotator import tight_box
from segwidget.evaluation.by_hand import fewest_strokes, fewest_vertices
from segwidget.evaluation.clicking import turns
from segwidget.evaluation.metrics import MOST_CLICKS, Mean, resampled_means
from segwidget.evaluation.protocol import THRESHOLDS, SampledImage
from segwidget.inference.candidates import Candidates
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point

CLICKS, BOX, POLYGON, BRUSH = "clicks", "box", "polygon", "brush"
WAYS = (CLICKS, BOX, POLYGON, BRUSH)

BOX_ACTIONS = 2
FIRST_CLICK_SECONDS = 2.4
NEXT_CORNER_SECONDS = 0.9
BOX_SECONDS = 7.0
COCO_POLYGON_SECONDS = 79.2


@dataclass(frozen=True)
class Effort:
    """What one mask took to an IoU.

    Attributes:
        set: the set's name.
        image: the image's name within it.
        mask: the mask's index within the image.
        share: part of the image that it covers.
        threshold: the IoU to be reached.
        clicks: made until it was reached; ``None`` where 20 did not.
        after_box: clicks after a box until it was reached, 0 where the box did; ``None`` as above.
        vertices: of the polygon.
        strokes: of the brush.
    """

    set: str
    image: str
    mask: int
    share: float
    threshold: float
    clicks: int | None
    after_box: int | None
    vertices: int
    strokes: int

    def reached(self, way: str, patience: int = MOST_CLICKS) -> bool:
        """Whether so many clicks at most were enough; by hand it always is."""
        if way not in (CLICKS, BOX):
            return True
        made = self.clicks if way == CLICKS else self.after_box
        return made is not None and made <= patience

    def actions(self, way: str, patience: int = MOST_CLICKS) -> float:
        """Clicks, corners or strokes.

        Args:
            way: one of the four.
            patience: after so many clicks that were not enough, a polygon is drawn; at most 20.
        """
        if way == POLYGON:
            return self.vertices
        if way == BRUSH:
            return self.strokes
        box = BOX_ACTIONS if way == BOX else 0
        return box + self._clicks(way, patience) + self._drawn(way, patience) * self.vertices

    def seconds(self, way: str, patience: int = MOST_CLICKS, polygon: float | None = None) -> float:
        """What the actions take by published times; NaN for the brush.

        Args:
            way: one of the four.
            patience: as above.
            polygon: seconds of a polygon; by default those of its corners.
        """
        if polygon is None:
            polygon = FIRST_CLICK_SECONDS + NEXT_CORNER_SECONDS * (self.vertices - 1)
        if way == POLYGON:
            return polygon
        if way == BRUSH:
            return float("nan")
        box = BOX_SECONDS if way == BOX else 0.0
        clicks = FIRST_CLICK_SECONDS * self._clicks(way, patience)
        return box + clicks + self._drawn(way, patience) * polygon

    def _clicks(self, way: str, patience: int) -> int:
        made = self.clicks if way == CLICKS else self.after_box
        return patience if made is None else min(made, patience)

    def _drawn(self, way: str, patience: int) -> bool:
        return not self.reached(way, patience)


def measure_effort(
    predictor: Predictor,
    images: Iterable[SampledImage],
    thresholds: Sequence[float] = THRESHOLDS,
) -> Iterator[Effort]:
    """Measure the sampled masks.

    Args:
        predictor: who answers.
        images: from :func:`segwidget.evaluation.protocol.sample`.
        thresholds: the IoUs to be reached, from the lowest.

    Yields:
        For each mask one value for each threshold.
    """
    for image in images:
        item = image.item
        predictor.reset_image(forget=True)
        predictor.set_image(item.image)
        for index in image.chosen:
            target = item.masks[index].rle.decode()
            by_clicks = clicks_until(predictor, target, thresholds)
            by_box = clicks_until(predictor, target, thresholds, tight_box(target))
            for threshold, clicks, after_box in zip(thresholds, by_clicks, by_box, strict=True):
                yield Effort(
                    image.set,
                    item.name,
                    index,
                    float(target.mean()),
                    threshold,
                    clicks,
                    after_box,
                    fewest_vertices(target, threshold),
                    fewest_strokes(target, threshold),
                )


def clicks_until(
    predictor: Predictor,
    target: NDArray[np.bool_],
    thresholds: Sequence[float],
    box: Box | None = None,
) -> list[int | None]:
    """How many clicks each threshold takes.

    Args:
        predictor: with the image set.
        target: ``(H, W)`` bool, not empty.
        thresholds: the IoUs to be reached.
        box: what is given before the first click; the clicks correct its answer.

    Returns:
        For each threshold the number of clicks, from 1, or 0 where the box did; ``None`` where 20
        were not enough.
    """
    before = () if box is None else (box,)

    def ask(clicks: tuple[Point, ...]) -> Candidates:
        return predictor.predict([*before, *clicks], refine=bool(clicks))

    needed: list[int | None] = [None] * len(thresholds)
    for turn in turns(ask, target, clicks=None if box is None else ()):
        for i, threshold in enumerate(thresholds):
            if needed[i] is None and turn.iou >= threshold:
                needed[i] = len(turn.clicks)
        if None not in needed:
            break
    return needed


#: What is averaged: one mask's worth.
Value = Callable[[Effort], float]


def mean_effort(groups: Sequence[Sequence[Effort]], value: Value) -> Mean:
    """The mean over sets of the means over masks, with a 95 % bootstrap over images."""
    means = [_means(group, value) for group in groups]
    return _summed(np.mean(means, axis=0))


def saving(groups: Sequence[Sequence[Effort]], value: Value, base: Value) -> Mean:
    """How many times as much `base` takes as `value`: the ratio of the means, over sets as above.

    Both means are of the same drawn images in each round of the bootstrap.
    """
    ours = np.mean([_means(group, value) for group in groups], axis=0)
    theirs = np.mean([_means(group, base) for group in groups], axis=0)
    return _summed(theirs / ours)


def to_markdown(efforts: Sequence[Effort], threshold: float) -> str:
    """A table of a set a row: actions by the four ways, seconds, and what is saved.

    Args:
        efforts: from :func:`measure_effort`.
        threshold: the IoU that the table is about.
    """
    head = [
        "set", "masks", "clicks", "box + clicks", "polygon corners", "brush strokes",
        "corners per click", "clicks, s", "polygon, s", "saved", "never",
    ]  # fmt: skip
    rows = [head, ["---"] + ["---:"] * (len(head) - 1)]
    sets = by_set(efforts, threshold)
    lines: list[tuple[str, list[list[Effort]]]] = [("**mean of sets**", list(sets.values()))]
    lines += [(name.replace("|", r"\|"), [group]) for name, group in sets.items()]
    for name, groups in lines:
        rows.append([name, str(sum(map(len, groups))), *_cells(groups)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def by_set(efforts: Iterable[Effort], threshold: float) -> dict[str, list[Effort]]:
    """The masks of each set, by its name, at one threshold."""
    groups: dict[str, list[Effort]] = {}
    for effort in efforts:
        if effort.threshold == threshold:
            groups.setdefault(effort.set, []).append(effort)
    return groups


def actions_by(way: str, patience: int = MOST_CLICKS) -> Value:
    """A mask's actions by one way; see :meth:`Effort.actions`."""
    return lambda effort: effort.actions(way, patience)


def seconds_by(way: str, patience: int = MOST_CLICKS, polygon: float | None = None) -> Value:
    """A mask's seconds by one way; see :meth:`Effort.seconds`."""
    return lambda effort: effort.seconds(way, patience, polygon)


def _cells(groups: list[list[Effort]]) -> list[str]:
    counted = [_told(mean_effort(groups, actions_by(way)), 1) for way in WAYS]
    seconds = [_told(mean_effort(groups, seconds_by(way)), 0) for way in (CLICKS, POLYGON)]
    per_click = saving(groups, actions_by(CLICKS), actions_by(POLYGON))
    saved = saving(groups, seconds_by(CLICKS), seconds_by(POLYGON))
    never = mean_effort(groups, lambda effort: float(not effort.reached(CLICKS)))
    return [*counted, _told(per_click, 1), *seconds, f"{_told(saved, 1)}×", f"{never.value:.0%}"]


def _told(mean: Mean, digits: int) -> str:
    low, high = f"{mean.low:.{digits}f}", f"{mean.high:.{digits}f}"
    return f"{mean.value:.{digits}f} ({low}–{high})"


def _means(group: Sequence[Effort], value: Value) -> NDArray[np.float64]:
    """The mean, and behind it those of resampled images: the same draws for every value."""
    values = [value(effort) for effort in group]
    draws = resampled_means(values, [e.image for e in group], np.random.default_rng(0))
    return np.concatenate([[np.mean(values)], draws])


def _summed(means: Any) -> Mean:
    low, high = np.percentile(means[1:], [2.5, 97.5])
    return Mean(float(means[0]), float(low), float(high))
