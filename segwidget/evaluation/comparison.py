"""Before and after: two models on identical prompts over held-out images.

For each mask the difference is taken first, and its interval is a bootstrap over images (see
:mod:`segwidget.evaluation.differences`), or over masks where there are too few images for that to
mean anything.

The prompts are those of :mod:`segwidget.evaluation.protocol`, as far as they are shown: clicks, of
which fewer are made at most, and the tight box.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from segwidget.errors import SettingError
from segwidget.evaluation.annotator import first_click, tight_box
from segwidget.evaluation.clicking import turns
from segwidget.evaluation.metrics import Mean, iou, mean_with_interval, number_of_clicks
from segwidget.evaluation.pictures import QUIET, ShownFigure, draw_answer
from segwidget.evaluation.protocol import (
    BOX,
    THRESHOLDS,
    MaskedImage,
    Measurement,
    PredictorSegmenter,
    SampledImage,
    Sampling,
    clicks_name,
    draw,
)
from segwidget.evaluation.report import MEASURES, NOC, line
from segwidget.inference.candidates import mask_box
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Prompts whose IoUs are compared.
PROMPTS = (clicks_name(1), clicks_name(3), BOX)
#: The mean over them.
MEAN_IOU = "mean IoU"
#: The lines of the table.
SHOWN = (*PROMPTS, MEAN_IOU, *NOC)
#: Fewer images than that are no sample; then masks are drawn instead.
FEWEST_IMAGES = 4
MASKS_PER_IMAGE = 8
#: Clicks that are made at most; what is never reached counts so many.
MOST_CLICKS = 10

_SET = "held out"


class HeldOut(Protocol):
    """Images with masks, such as a ``FineTuneDataset``."""

    @property
    def images(self) -> Sequence[MaskedImage]:
        """The images, each of another name."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two models on the same masks.

    Attributes:
        names: of the two models.
        before: measurements of the first model, mask by mask.
        after: of the second, in the same order.
        measure: what decides which is better, one of ``SHOWN``.
        differences: measure to the mean of after − before, with its 95 % interval.
        over: what was drawn for the intervals, ``"images"`` or ``"masks"``.
    """

    names: tuple[str, str]
    before: tuple[Measurement, ...]
    after: tuple[Measurement, ...]
    measure: str
    differences: dict[str, Mean]
    over: str
    _models: tuple[Model, Model] = field(repr=False)
    _images: dict[str, SampledImage] = field(repr=False)

    @property
    def mean_before(self) -> dict[str, float]:
        """Mean IoU of the first model by prompt."""
        return {name: float(self.values(name)[0].mean()) for name in PROMPTS}

    @property
    def mean_after(self) -> dict[str, float]:
        """Mean IoU of the second model by prompt."""
        return {name: float(self.values(name)[1].mean()) for name in PROMPTS}

    @property
    def better(self) -> bool:
        """Whether the second model is surely better: the interval lies on the good side of 0."""
        mean = self.differences[self.measure]
        return mean.high < 0 if self.measure in NOC else mean.low > 0

    def values(self, measure: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """A measure of each mask, before and after, ``(N,)`` each.

        Raises:
            SettingError: no such measure.
        """
        value = value_of(measure)
        before, after = (
            np.array([value(m) for m in measured], np.float64)
            for measured in (self.before, self.after)
        )
        return before, after

    def to_markdown(self) -> str:
        """A table: each measure before and after, and the difference with its interval."""
        lines = [
            line(["", *self.names, "difference"]),
            line(["---", "--:", "--:", "--:"]),
        ]
        for name in SHOWN:
            before, after = (values.mean() for values in self.values(name))
            digits = 2 if name in NOC else 3
            low, high = self.differences[name].low, self.differences[name].high
            change = f"{self.differences[name].value:+.{digits}f}"
            change += f" [{low:+.{digits}f}, {high:+.{digits}f}]"
            lines.append(line([name, f"{before:.{digits}f}", f"{after:.{digits}f}", change]))
        return "\n".join(lines)

    def plot_worst(self, count: int = 4, prompt: str = PROMPTS[0]) -> Figure:
        """The masks that the second model answers worst, with both answers side by side.

        Of each image at most one. Green is the outline of the truth, orange that of the answer.

        Args:
            count: how many masks.
            prompt: after which; ``"1 click"`` or ``"box"``.

        Raises:
            SettingError: another prompt.
        """
        if prompt not in (PROMPTS[0], BOX):
            raise SettingError(f"The prompt is {prompt!r}; expected {PROMPTS[0]!r} or {BOX!r}.")
        chosen: dict[str, Measurement] = {}
        for m in sorted(self.after, key=lambda m: m.iou[prompt]):
            chosen.setdefault(m.image, m)
        rows = list(chosen.values())[:count]
        figure = ShownFigure(figsize=(2.7 * len(rows), 5.9), layout="constrained")
        grid = figure.add_gridspec(2, len(rows))
        for place, (model, name) in enumerate(zip(self._models, self.names, strict=True)):
            predictor = Predictor(model)
            for column, m in enumerate(rows):
                item = self._images[m.image].item
                pixels, target = item.image, item.masks[m.mask].rle.decode()
                asked: Point | Box = tight_box(target) if prompt == BOX else first_click(target)
                predictor.set_image(pixels)
                answer = predictor.predict([asked], refine=False).mask(0)
                predictor.reset_image(forget=True)
                axes = figure.add_subplot(grid[place, column])
                _draw(axes, pixels, target, answer, asked)
                axes.set_title(
                    f"{name}: {iou(answer, target):.2f}",
                    loc="left",
                    color=QUIET,
                    fontsize=9,
                    parse_math=False,
                )
        return figure

    def __repr__(self) -> str:
        told = ", ".join(f"{n} {self.differences[n].value:+.3f}" for n in (*PROMPTS, MEAN_IOU))
        return (
            f"<Comparison over {len(self.after)} masks: {told}; "
            f"{'better' if self.better else 'not surely better'}>"
        )

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def compare(
    before: Any,
    after: Any,
    held_out: HeldOut,
    *,
    measure: str = MEAN_IOU,
    masks_per_image: int | None = MASKS_PER_IMAGE,
    most_clicks: int = MOST_CLICKS,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    progress: bool = True,
) -> Comparison:
    """Ask two models about the same masks, and tell how much better the second one is.

    Args:
        before: a predictor, a model, its name or path, or what ``finetune`` answers.
        after: likewise.
        held_out: images with masks that neither has learnt from.
        measure: what decides, one of ``SHOWN``: the mean of IoU after one click, three clicks and
            a box by default.
        masks_per_image: at most so many, drawn by the seed; ``None`` for all.
        most_clicks: at most so many for a mask, 3 at least; fewer take less time.
        seed: of what is drawn.
        on_progress: told how many masks of how many are done, of both models together.
        progress: show a bar.

    Raises:
        SettingError: no such measure, or nothing to compare on.
        ModelError, CheckpointError: a model cannot be loaded.
        ImageError: an image cannot be opened.
    """
    value_of(measure)
    if type(most_clicks) is not int or most_clicks < 3:
        raise SettingError(f"most_clicks is {most_clicks!r}; expected a whole number from 3.")
    models = _model_of(before), _model_of(after)
    drawn = draw(_SET, held_out.images, Sampling(masks_per_image, None, 0.0, seed))
    if not drawn:
        raise SettingError("There is no mask to compare on; expected images with masks.")
    names = [model.name for model in models]
    if names[0] == names[1]:
        names = ["before", "after"]
    total = 2 * sum(len(image.chosen) for image in drawn)
    measured: list[tuple[Measurement, ...]] = []
    with tqdm(total=total, desc="compare", unit="mask", delay=1, disable=not progress) as bar:
        for model in models:
            segmenter, done = PredictorSegmenter(Predictor(model)), []
            for image in drawn:
                segmenter.set_image(image.item.image)
                for index in image.chosen:
                    done.append(_measure(segmenter, image, index, most_clicks))
                    bar.update()
                    if on_progress is not None:
                        on_progress(len(measured) * total // 2 + len(done), total)
            segmenter.predictor.reset_image(forget=True)
            measured.append(tuple(done))
    first, second = measured
    over = "images" if len(drawn) >= FEWEST_IMAGES else "masks"
    differences = {name: _difference(first, second, value_of(name), over) for name in SHOWN}
    known = {image.item.name: image for image in drawn}
    return Comparison(
        (names[0], names[1]), first, second, measure, differences, over, models, known
    )


def value_of(measure: str) -> Callable[[Measurement], float]:
    """What a measurement is worth.

    Raises:
        SettingError: no such measure.
    """
    if measure == MEAN_IOU:
        return lambda m: float(np.mean([m.iou[prompt] for prompt in PROMPTS]))
    if measure in NOC:
        threshold = THRESHOLDS[NOC.index(measure)]
        return lambda m: number_of_clicks(m.curve, threshold, len(m.curve))
    if measure not in SHOWN:
        raise SettingError(
            f"The measure is {measure!r}; expected one of {', '.join(map(repr, SHOWN))}."
        )
    return MEASURES[measure]


def _measure(
    segmenter: PredictorSegmenter, image: SampledImage, index: int, most: int
) -> Measurement:
    """What comes of one mask of the present image."""
    rle = image.item.masks[index].rle
    target = rle.decode()
    curve: list[float] = []
    for turn in turns(segmenter.click, target, most):
        curve.append(turn.iou)
        if len(curve) >= 3 and max(curve) >= THRESHOLDS[-1]:
            break
    if max(curve) < THRESHOLDS[-1]:  # then a count reads it as never reached
        curve += [curve[-1]] * (most - len(curve))
    found = {clicks_name(n): curve[min(n, len(curve)) - 1] for n in (1, 3)}
    found[BOX] = iou(segmenter.box(tight_box(target))[0].mask, target)
    share = rle.area / target.size
    return Measurement(image.set, image.item.name, index, share, found, {}, tuple(curve))


def _difference(
    before: Sequence[Measurement],
    after: Sequence[Measurement],
    value: Callable[[Measurement], float],
    over: str,
) -> Mean:
    pairs = list(zip(before, after, strict=True))
    values = [value(b) - value(a) for a, b in pairs]
    units: Iterable[Any] = [m.image for m in after] if over == "images" else range(len(values))
    return mean_with_interval([(values, list(units))])


def _model_of(given: Any) -> Model:
    inner = getattr(given, "model", None)
    if isinstance(inner, Predictor):  # what finetune answers
        return inner.model
    if isinstance(given, Predictor):
        return given.model
    if isinstance(given, Model):
        return given
    if isinstance(given, str | Path):
        return Predictor(given).model
    raise SettingError(
        f"A model is given as {type(given).__name__}; expected a predictor, a model, its name or "
        "its path, or what finetune(...) answers."
    )


def _draw(
    axes: Axes,
    pixels: NDArray[np.uint8],
    target: NDArray[np.bool_],
    answer: NDArray[np.bool_],
    asked: Point | Box,
) -> None:
    """An answer in a square around the truth, the same for both models, whatever they answer."""
    draw_answer(axes, pixels, target, answer, asked)
    x0, y0, x1, y1 = mask_box(target)
    half = 0.85 * max(x1 - x0, y1 - y0) + 4
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    axes.set_xlim(x - half, x + half)
    axes.set_ylim(y + half, y - half)
