"""Figures of a data set's masks: those that the SA-1B paper shows, and the time that masks took.

Each function draws into the given axes, or into a new figure that a notebook shows; `overview` has
them all. They go into no global list of figures, so nothing needs to be closed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from segwidget.evaluation.pictures import ShownFigure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from segwidget.annotation.statistics import Statistics
    from segwidget.training.finetune_state import Epoch

INK, QUIET, GRID = "#26323f", "#5f6b7a", "#e3e7ec"
BLUE, ORANGE = "#2b6cb0", "#c05621"
_BINS = 20
_MAP_BINS = 24  # of positions, along each side
_STEPS = [1, 2, 5, 10]  # between ticks
_WINDOW = 9  # masks, of the running median; more where there are many


def masks_per_image(statistics: Statistics, axes: Axes | None = None) -> Figure:
    """How many masks the images have; those with none count, too."""
    counts = statistics.masks_per_image
    none = max(0, statistics.images - counts.size)
    values = np.concatenate([np.zeros(none, np.int64), counts])
    axes = _axes(axes, "Masks per image", "masks", "images")
    if values.size:
        top = max(5, int(values.max()))
        step = max(1, -(-(top + 1) // _BINS))
        edges = np.arange(0, top + step + 1, step) - 0.5
        _bars(axes, values, edges)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=_STEPS))
        _median_line(axes, values.astype(float), "{:.0f}")
    return _done(axes, values.size)


def mask_sizes(statistics: Statistics, axes: Axes | None = None) -> Figure:
    """How large masks are: the square root of their share of the image, as SA-1B has it."""
    values = statistics.relative_size
    axes = _axes(axes, "Mask sizes", "√(mask area / image area)", "share of masks")
    _shares(axes, values)
    return _done(axes, values.size)


def positions(statistics: Statistics, axes: Axes | None = None) -> Figure:
    """Where the masks' centers are, on all images laid upon each other."""
    centers = statistics.centers
    axes = _axes(axes, "Mask centers", "", "")
    bins = int(np.clip(np.sqrt(len(centers)), 6, _MAP_BINS))
    counts, _, _ = np.histogram2d(centers[:, 1], centers[:, 0], bins=bins, range=((0, 1), (0, 1)))
    if len(centers):
        shown = axes.imshow(counts, cmap="Blues", extent=(0, 1, 1, 0), vmin=0, aspect="auto")
        bar = axes.figure.colorbar(shown, ax=axes, label="masks", pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, colors=QUIET)
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        bar.ax.yaxis.label.set_color(QUIET)
    axes.grid(visible=False)
    axes.set_xticks([0, 0.5, 1], ["left", "middle", "right"])
    axes.set_yticks([0, 0.5, 1], ["top", "middle", "bottom"])
    axes.get_xticklabels()[0].set_horizontalalignment("left")
    axes.get_xticklabels()[-1].set_horizontalalignment("right")
    return _done(axes, len(centers))


def concavity(statistics: Statistics, axes: Axes | None = None) -> Figure:
    """How far masks are from convex."""
    values = statistics.concavity
    axes = _axes(axes, "Concavity", "1 − mask area / area of its convex hull", "share of masks")
    _shares(axes, values)
    return _done(axes, values.size)


def predicted_iou(statistics: Statistics, axes: Axes | None = None) -> Figure:
    """What the model believed of its masks."""
    values = _known(statistics.predicted_iou)
    axes = _axes(axes, "Predicted IoU", "predicted IoU", "share of masks")
    _shares(axes, values, _score_range(values))
    return _done(axes, values.size)


def stability(statistics: Statistics, axes: Axes | None = None) -> Figure:
    """How little masks change with their threshold."""
    values = _known(statistics.stability_score)
    axes = _axes(axes, "Stability", "stability score", "share of masks")
    _shares(axes, values, _score_range(values))
    return _done(axes, values.size)


def seconds_per_mask(statistics: Statistics, axes: Axes | None = None) -> Figure:
    """How long each mask took, in the order of the work, and the running median."""
    values = statistics.seconds[statistics.seconds > 0]
    axes = _axes(axes, "Time per mask", "masks, in the order of the work", "seconds")
    if values.size:
        number = np.arange(1, values.size + 1)
        axes.plot(number, values, "o", color=BLUE, alpha=0.4, markersize=4, mew=0)
        width = min(max(_WINDOW, values.size // 20), values.size)
        label = f"median of {width} masks"
        axes.plot(number, running_median(values, width), color=ORANGE, lw=2, label=label)
        # One coffee break must not press all else flat.
        usual = float(np.quantile(values, 0.95, method="lower"))
        top = min(usual * 1.4, float(values.max()) * 1.15)
        beyond = int((values > top).sum())
        axes.set_ylim(0, top)
        axes.set_xlim(0.5, max(values.size, 2) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=_STEPS))
        axes.legend(frameon=False, loc="upper right", labelcolor=QUIET, fontsize=9)
        if beyond:
            axes.annotate(
                f"{beyond} above {top:.0f} s",
                (0.01, 0.97),
                xycoords="axes fraction",
                va="top",
                color=QUIET,
                fontsize=9,
            )
    return _done(axes, values.size)


def overview(statistics: Statistics) -> Figure:
    """All figures as one."""
    figure = ShownFigure(figsize=(14, 6.6), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 4)
    draw: list[tuple[Callable[..., Figure], Any]] = [
        (masks_per_image, grid[0, 0]),
        (mask_sizes, grid[0, 1]),
        (positions, grid[0, 2]),
        (concavity, grid[0, 3]),
        (predicted_iou, grid[1, 0]),
        (stability, grid[1, 1]),
        (seconds_per_mask, grid[1, 2:]),
    ]
    for function, place in draw:
        function(statistics, figure.add_subplot(place))
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.1)  # type: ignore[union-attr, call-arg]
    masks, images = statistics.masks, statistics.images
    figure.suptitle(
        f"{masks:,} mask{'' if masks == 1 else 's'} on {len(statistics.masks_per_image):,} of "
        f"{images:,} image{'' if images == 1 else 's'}",
        x=0.012,
        ha="left",
        color=INK,
        fontsize=14,
        fontweight="bold",
    )
    return figure


def data_engine(report: pd.DataFrame) -> Figure:
    """The data engine's stages: masks, seconds for each, and how good they are.

    Args:
        report: `DataEngine.report()`.
    """
    figure = ShownFigure(figsize=(14, 3.6), layout="constrained", facecolor="white")
    panels = (
        ("Masks", "masks", {"masks": "all", "by_hand": "by hand"}, "{:,.0f}"),
        (
            "Time per mask",
            "seconds",
            {"seconds_per_mask": "a person's", "model_seconds": "the model's"},
            "{:.1f}",
        ),
        (
            "Proposed masks and their correction",
            "share of masks",
            {"above_75": "IoU > 0.75", "above_90": "IoU > 0.9"},
            "{:.0%}",
        ),
    )
    for place, (title, unit, columns, shape) in enumerate(panels, 1):
        axes = _axes(figure.add_subplot(1, 3, place), title, "", unit)
        values = report[list(columns)].to_numpy(float)
        _grouped(axes, values, list(columns.values()), list(report.index), shape)
        if place == 3:
            axes.set_ylim(0, 1.25)
            axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    figure.get_layout_engine().set(w_pad=0.1)  # type: ignore[union-attr, call-arg]
    return figure


def learning_curve(history: Sequence[Epoch], best_epoch: int) -> Figure:
    """Loss and held-out IoU over the epochs of a fine-tuning run.

    Args:
        history: of the run; the first is the model before.
        best_epoch: the one that is kept.
    """
    figure = ShownFigure(figsize=(9, 3), layout="constrained", facecolor="white")
    loss = _axes(figure.add_subplot(1, 2, 1), "Loss", "epoch", "")
    numbers = [epoch.number for epoch in history]
    loss.plot(numbers, [epoch.loss for epoch in history], "-o", color=BLUE, ms=4, label="learning")
    held_out = [epoch.held_out_loss for epoch in history]
    loss.plot(numbers, held_out, "-o", color=ORANGE, ms=4, label="held out")
    loss.legend(frameon=False, labelcolor=QUIET)
    score = _axes(figure.add_subplot(1, 2, 2), "Held-out IoU", "epoch", "")
    values = [epoch.held_out_iou for epoch in history]
    score.plot(numbers, values, "-o", color=ORANGE, ms=4)
    if history:
        best = history[best_epoch]
        score.axhline(values[0], color=QUIET, lw=1, ls="--")
        score.plot(best.number, best.held_out_iou, "o", color=INK, ms=8)
        score.annotate(
            f"{values[0]:.3f} → {best.held_out_iou:.3f}",
            (0.98, 0.06),
            xycoords="axes fraction",
            ha="right",
            color=INK,
        )
    for axes in (loss, score):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=_STEPS))
    figure.get_layout_engine().set(w_pad=0.1)  # type: ignore[union-attr, call-arg]
    return figure


def running_median(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The median of each value and those around it; near the ends, of those that are there.

    Args:
        values: (N,).
        width: how many values, itself included.

    Returns:
        (N,) medians.
    """
    before, after = (width - 1) // 2, width // 2
    return np.array(
        [np.median(values[max(0, i - before) : i + after + 1]) for i in range(values.size)],
        np.float64,
    )


def _axes(axes: Axes | None, title: str, x: str, y: str) -> Axes:
    """Axes in the house's style, new ones where none are given."""
    if axes is None:
        figure = ShownFigure(figsize=(5, 3.4), layout="constrained", facecolor="white")
        axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_xlabel(x, color=QUIET)
    axes.set_ylabel(y, color=QUIET)
    axes.tick_params(length=0, colors=QUIET, pad=6)
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, lw=0.8)
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GRID)
    return axes


def _done(axes: Axes, count: int) -> Figure:
    """The figure; where there is nothing to show, it says so."""
    if not count:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.text(0.5, 0.5, "nothing yet", transform=axes.transAxes, ha="center", color=QUIET)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return figure


def _shares(
    axes: Axes, values: NDArray[np.float64], bounds: tuple[float, float] = (0.0, 1.0)
) -> None:
    """A histogram whose bars sum to 100 %, with the median."""
    if not values.size:
        return
    low, high = bounds
    _bars(axes, values, np.linspace(low, high, _BINS + 1), np.full(values.size, 1 / values.size))
    axes.set_xlim(low, high)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=_STEPS))
    _median_line(axes, values, "{:.2f}")


def _bars(
    axes: Axes,
    values: NDArray[Any],
    edges: NDArray[np.floating[Any]],
    weights: NDArray[np.float64] | None = None,
) -> None:
    axes.hist(
        np.clip(values, edges[0], edges[-1]),
        bins=list(edges),
        weights=weights,
        color=BLUE,
        rwidth=0.9,
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=weights is None, nbins=5))


def _grouped(
    axes: Axes, values: NDArray[np.float64], names: list[str], groups: list[str], shape: str
) -> None:
    """Bars side by side, (groups, names) of them, with their numbers; NaN is none."""
    known = values[~np.isnan(values)]
    width = 0.36
    for index, (name, color) in enumerate(zip(names, (BLUE, ORANGE), strict=False)):
        at = np.arange(len(groups)) + (index - 0.5) * width
        axes.bar(at, np.nan_to_num(values[:, index]), width * 0.92, color=color, label=name)
        for x, value in zip(at, values[:, index], strict=True):
            if not np.isnan(value):
                axes.annotate(
                    shape.format(value),
                    (x, value),
                    xytext=(0, 2),
                    textcoords="offset points",
                    ha="center",
                    color=QUIET,
                    fontsize=8,
                )
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylim(0, (float(known.max()) if known.size and known.max() > 0 else 1.0) * 1.3)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=_STEPS))
    axes.legend(frameon=False, loc="upper right", ncols=2, labelcolor=QUIET, fontsize=9)


def _median_line(axes: Axes, values: NDArray[np.float64], shape: str) -> None:
    middle = float(np.median(values))
    axes.axvline(middle, color=ORANGE, lw=1.5)
    low, high = axes.get_xlim()
    right = middle < (low + high) / 2
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)  # room for the words
    axes.annotate(
        f"median {shape.format(middle)}",
        (middle, 1),
        xycoords=("data", "axes fraction"),
        xytext=(4 if right else -4, -2),
        textcoords="offset points",
        ha="left" if right else "right",
        va="top",
        color=ORANGE,
        fontsize=9,
    )


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _score_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """From the tenth below the lowest score: most are close to 1."""
    low = float(np.floor(values.min() * 10) / 10) if values.size else 0.0
    return min(max(low, 0.0), 0.8), 1.0
