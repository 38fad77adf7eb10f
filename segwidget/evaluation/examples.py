"""The best and the worst answers of a model, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from segwidget.evaluation.annotator import first_click
from segwidget.evaluation.pictures import QUIET, draw_answer
from segwidget.evaluation.protocol import (
    CLICKS,
    Measurement,
    PromptableSegmenter,
    SampledImage,
    clicks_name,
)
from segwidget.evaluation.report import Report
from segwidget.inference.candidates import mask_box
from segwidget.inference.prompts import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EACH = 6
# Around the truth and the answer, as a share of their box.
_MARGIN = 0.15


def examples(
    segmenter: PromptableSegmenter, report: Report, images: Sequence[SampledImage]
) -> Figure:
    """The worst, the median and the best answers after one click, which are asked for again.

    Of each image at most one. Green is the outline of the truth, orange that of the answer, and
    the white point is the click.

    Args:
        segmenter: the one whose report it is.
        report: of the images.
        images: those that were measured.
    """
    prompt = clicks_name(CLICKS[0])
    known = {(image.set, image.item.name): image for image in images}
    rows = choose(report.measurements, prompt)
    figure = Figure(figsize=(15, 2.9 * len(rows)), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(rows), _EACH)
    for place, (title, chosen) in enumerate(rows.items()):
        for column, m in enumerate(chosen):
            axes = figure.add_subplot(grid[place, column])
            item = known[m.set, m.image].item
            pixels, target = item.image, item.masks[m.mask].rle.decode()
            segmenter.set_image(pixels)
            click = first_click(target)
            _draw(axes, pixels, target, segmenter.click((click,))[0].mask, click)
            # Names of sets are text, and matplotlib would read what stands between two dollars.
            axes.set_title(
                f"{title}: {m.iou[prompt]:.2f}, {m.set}",
                loc="left",
                color=QUIET,
                fontsize=9,
                parse_math=False,
            )
    return figure


def choose(
    measurements: Sequence[Measurement], prompt: str, each: int = _EACH
) -> dict[str, list[Measurement]]:
    """The worst, those around the median, and the best; of each image at most one.

    Where there are few images, fewer rows and fewer of each; nothing is chosen twice.
    """
    ranked: dict[tuple[str, str], Measurement] = {}
    for m in sorted(measurements, key=lambda m: (m.iou[prompt], m.set, m.image, m.mask)):
        # An image stands for its worst mask if that is bad, and for its best one otherwise.
        key = (m.set, m.image)
        if key not in ranked or m.iou[prompt] + ranked[key].iou[prompt] > 1:
            ranked[key] = m
    order = sorted(ranked.values(), key=lambda m: (m.iou[prompt], m.set, m.image, m.mask))
    each = min(each, max(1, len(order) // 3))
    middle = (len(order) - each) // 2
    rows = {"worst": order[:each], "median": order[middle:][:each], "best": order[::-1][:each]}
    if len(order) < 3:
        return {"worst": order}
    return rows


def _draw(
    axes: Axes,
    pixels: NDArray[np.uint8],
    target: NDArray[np.bool_],
    answer: NDArray[np.bool_],
    click: Point,
) -> None:
    x0, y0, x1, y1 = mask_box(target | answer)
    margin = _MARGIN * max(x1 - x0, y1 - y0) + 4
    height, width = target.shape
    draw_answer(axes, pixels, target, answer, click)
    axes.set_xlim(max(x0 - margin, 0), min(x1 + margin, width))
    axes.set_ylim(min(y1 + margin, height), max(y0 - margin, 0))
