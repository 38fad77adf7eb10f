"""The page of figures: what the tables say, to be seen at a glance.

Each function draws into the axes that it is given. Several reports are drawn over each other, one
color each; they have to be about the same masks to be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from segwidget.errors import StoreError
from segwidget.evaluation.differences import Difference
from segwidget.evaluation.edge_scores import EdgeScores
from segwidget.evaluation.metrics import MOST_CLICKS, Mean, calibration, reliability
from segwidget.evaluation.protocol import BEST_OF_THREE, BOX, CLICKS, THRESHOLDS, clicks_name
from segwidget.evaluation.recall import RANGES, RecallReport
from segwidget.evaluation.report import (
    MEAN_OF_SETS,
    MEASURES,
    NOC,
    Report,
    group_by_set,
    mean_of,
    overall_groups,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, GRID = "#26323f", "#5f6b7a", "#e3e7ec"
COLORS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1")
_NEVER = MOST_CLICKS + 3  # where the bar of masks that never reach it stands
_MOST_PAIRS = 3000  # in a scatter; more only make the page heavy
#: Draws one panel.
Draw = Callable[["Axes"], None]


def page(
    reports: Sequence[Report],
    differences: Sequence[Difference] = (),
    recalls: Sequence[RecallReport] = (),
    edges: Sequence[EdgeScores] = (),
) -> Figure:
    """All figures on one page.

    Args:
        reports: one or several, of the same masks.
        differences: second less first, where two are compared.
        recalls: average recall, of as many models as were asked for it.
        edges: of as many models and sets.
    """
    panels: list[Draw] = [
        lambda axes: click_curves(reports, axes),
        lambda axes: click_counts(reports, THRESHOLDS[0], axes),
        lambda axes: click_counts(reports, THRESHOLDS[1], axes),
        *(_calibration_panel(report, i) for i, report in enumerate(reports) if report.pairs()[0]),
        lambda axes: size_curves(reports, axes),
        lambda axes: boundary_points(reports, axes),
    ]
    if recalls:
        panels.append(lambda axes: recall_points(recalls, axes))
    if edges:
        panels.append(lambda axes: edge_curves(edges, axes))
    sets = len(group_by_set(reports[0].measurements))
    columns, per_row = 3, 3
    rows = -(-len(panels) // per_row)
    bars = [clicks_name(CLICKS[0]), clicks_name(3), BOX]
    bar_height = 1.1 + 0.2 * max(sets, 3) * max(1.0, 0.6 * len(reports))
    heights = [3.9] * rows + [bar_height] * (1 + bool(differences))
    figure = Figure(figsize=(15, sum(heights) + 0.8), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for index, draw in enumerate(panels):
        draw(figure.add_subplot(grid[index // per_row, index % per_row]))
    for index, measure in enumerate(bars):
        set_bars(reports, measure, figure.add_subplot(grid[rows, index]))
    if differences:
        for index, measure in enumerate((clicks_name(1), BOX, NOC[0])):
            axes = figure.add_subplot(grid[rows + 1, index])
            difference_bars(differences, measure, axes)
    images = len({(m.set, m.image) for m in reports[0].measurements})
    masks = len(reports[0].measurements)
    figure.suptitle(
        f"{' and '.join(r.segmenter for r in reports)}: {masks:,} masks on {images:,} images of "
        f"{sets} set{'' if sets == 1 else 's'}",
        x=0.01,
        ha="left",
        color=INK,
        fontsize=14,
        fontweight="bold",
        parse_math=False,
    )
    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.1)  # type: ignore[union-attr, call-arg]
    return figure


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write a figure as PNG; the folder is made.

    Raises:
        StoreError: the place cannot be written.
    """
    path = folder / f"{name}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise StoreError(
            f"The figures cannot be written to {str(folder)!r}: {error.strerror or error}. Pass "
            "another folder with --figures."
        ) from error
    return path


def click_curves(reports: Sequence[Report], axes: Axes) -> None:
    """Mean IoU click by click, with its interval; the oracle's choice and the box beside it."""
    style(axes, "Clicks", "clicks", f"mean IoU ({_over(reports)})")
    counts = range(1, CLICKS[-1] + 1)
    for i, report in enumerate(reports):
        groups, color = _groups(report), COLORS[i % len(COLORS)]
        means = [mean_of(groups, lambda m, n=n: m.after(n)) for n in counts]  # type: ignore[misc]
        axes.plot(
            counts, [m.value for m in means], "-o", color=color, ms=4, label=_text(report.segmenter)
        )
        axes.fill_between(
            counts, [m.low for m in means], [m.high for m in means], color=color, alpha=0.15, lw=0
        )
        best, box = (mean_of(groups, MEASURES[name]) for name in (BEST_OF_THREE, BOX))
        beside = 0.2 * (i - (len(reports) - 1) / 2)
        axes.errorbar(1 + beside, best.value, _error(best), fmt="^", color=color, ms=7)
        axes.errorbar(CLICKS[-1] + 1 + beside, box.value, _error(box), fmt="s", color=color, ms=6)
    axes.plot([], [], "^", color=QUIET, label="best of 3 after one click")
    axes.plot([], [], "s", color=QUIET, label="box")
    axes.set_xticks([*counts, CLICKS[-1] + 1], [*map(str, counts), "box"])
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, loc="lower right", labelcolor=QUIET, fontsize=9)


def click_counts(reports: Sequence[Report], threshold: float, axes: Axes) -> None:
    """How many clicks masks need to reach an IoU; the last bar is those that never do."""
    name = f"NoC@{threshold * 100:.0f}"
    style(axes, f"Clicks to IoU {threshold:.2f}", "clicks", "share of masks")
    width = 0.8 / len(reports)
    for i, report in enumerate(reports):
        counts = [MEASURES[name](m) for m in report.measurements]
        never = [max(m.curve) < threshold for m in report.measurements]
        at = np.where(never, _NEVER, counts).astype(int)
        shares = np.bincount(at, minlength=_NEVER + 1) / len(at)
        mean = mean_of(_groups(report), MEASURES[name])
        axes.bar(
            np.arange(len(shares)) + (i - (len(reports) - 1) / 2) * width,
            shares,
            width,
            color=COLORS[i % len(COLORS)],
            label=f"{_text(report.segmenter)}: mean {mean.value:.1f}",
        )
    ticks = [1, 5, 10, 15, 20]
    axes.set_xticks([*ticks, _NEVER], [*map(str, ticks), "never"])
    axes.set_xlim(0.3, _NEVER + 0.8)
    axes.legend(frameon=False, loc="upper center", labelcolor=QUIET, fontsize=9)


def calibration_scatter(report: Report, color: str, axes: Axes) -> None:
    """Predicted against actual IoU: each answer, and the means of ten bins."""
    predicted, actual = (np.array(values) for values in report.pairs())
    found = calibration(predicted, actual)
    title = f"Predicted IoU, {_text(report.segmenter)}"
    style(axes, title, "predicted IoU", "actual IoU")
    # Every n-th, so that what is shown is as mixed as all.
    step = -(-len(predicted) // _MOST_PAIRS)
    axes.plot(predicted[::step], actual[::step], ".", color=color, alpha=0.35, ms=4, mew=0)
    axes.plot([0, 1], [0, 1], color=QUIET, lw=1, ls="--")
    bins = reliability(predicted, actual)
    most = max(one.pairs for one in bins)
    axes.plot([b.predicted for b in bins], [b.actual for b in bins], color=INK, lw=1.5)
    axes.scatter(
        [b.predicted for b in bins],
        [b.actual for b in bins],
        s=[15 + 120 * b.pairs / most for b in bins],
        color=INK,
        zorder=3,
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.annotate(
        f"off by {found.error:.3f}, bias {found.bias:+.3f}, ECE {found.ece:.3f}",
        (0.02, 0.97),
        xycoords="axes fraction",
        va="top",
        color=QUIET,
        fontsize=9,
    )


def size_curves(reports: Sequence[Report], axes: Axes) -> None:
    """IoU after one click and after a box, by how much of the image a mask covers."""
    style(axes, "By size", "share of the image", "mean IoU")
    bounds = [0, 0.003, 0.01, 0.03, 0.1, 1]
    names = ["< 0.3 %", "– 1 %", "– 3 %", "– 10 %", "more"]
    for i, report in enumerate(reports):
        color = COLORS[i % len(COLORS)]
        for name, shape in ((BOX, "--s"), (clicks_name(1), "-o")):
            bins = np.digitize([m.share for m in report.measurements], bounds[1:-1])
            chosen = [
                [m for m, which in zip(report.measurements, bins, strict=True) if which == n]
                for n in range(len(names))
            ]
            places = [n for n, some in enumerate(chosen) if some]
            means = [mean_of([chosen[n]], MEASURES[name]) for n in places]
            axes.errorbar(
                places,
                [mean.value for mean in means],
                np.hstack([_error(mean) for mean in means]),
                fmt=shape,
                color=color,
                ms=4,
                lw=1.2,
                label=f"{_text(report.segmenter)}, {name}",
            )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.4, len(names) - 0.6)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, loc="lower right", labelcolor=QUIET, fontsize=9)


def boundary_points(reports: Sequence[Report], axes: Axes) -> None:
    """IoU and boundary IoU side by side: how much worse edges are than areas."""
    style(axes, "Boundaries", "", f"mean ({_over(reports)})")
    names = [clicks_name(1), clicks_name(3), clicks_name(9), BOX]
    for i, report in enumerate(reports):
        groups, color = _groups(report), COLORS[i % len(COLORS)]
        for prefix, shape, shift in (("", "o", -0.08), ("boundary ", "D", 0.08)):
            means = [mean_of(groups, MEASURES[prefix + name]) for name in names]
            axes.errorbar(
                np.arange(len(names)) + shift + (i - (len(reports) - 1) / 2) * 0.3,
                [mean.value for mean in means],
                np.hstack([_error(mean) for mean in means]),
                fmt=shape,
                mfc="white" if prefix else color,
                color=color,
                ms=5,
                lw=1.2,
                label=f"{_text(report.segmenter)}, {prefix}IoU",
            )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, loc="lower right", labelcolor=QUIET, fontsize=9)


def recall_points(recalls: Sequence[RecallReport], axes: Axes) -> None:
    """AR@1000 of proposals, by size."""
    style(axes, "Proposals", "", "AR@1000")
    for i, report in enumerate(recalls):
        row = list(report.rows().values())[-1]
        places = [n for n, key in enumerate(RANGES) if not np.isnan(row[key].value)]
        means = [row[RANGES[n]] for n in places]
        axes.errorbar(
            np.array(places) + (i - (len(recalls) - 1) / 2) * 0.2,
            [mean.value for mean in means],
            np.hstack([_error(mean) for mean in means]),
            fmt="o",
            color=COLORS[i % len(COLORS)],
            ms=5,
            label=_text(report.segmenter),
        )
    axes.set_xticks(range(len(RANGES)), [key.replace(" ", "\n") for key in RANGES])
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, loc="upper left", labelcolor=QUIET, fontsize=9)


def edge_curves(edges: Sequence[EdgeScores], axes: Axes) -> None:
    """Precision and recall of edges, with lines of equal F."""
    style(axes, "Edges", "recall", "precision")
    recall = np.linspace(0.01, 1, 200)
    for f in np.arange(0.1, 1, 0.1):
        on = recall > f / 2 + 1e-3
        axes.plot(recall[on], f * recall[on] / (2 * recall[on] - f), color=GRID, lw=0.8)
    for i, one in enumerate(edges):
        found = one.scores
        x, y = one.curve
        axes.plot(
            x,
            y,
            color=COLORS[i % len(COLORS)],
            label=f"{_text(one.segmenter)}, {_text(one.set)}: ODS {found['ODS'].value:.2f}",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.grid(visible=False)
    axes.legend(frameon=False, loc="upper right", labelcolor=QUIET, fontsize=9)


def set_bars(reports: Sequence[Report], measure: str, axes: Axes) -> None:
    """A measure set by set, with intervals."""
    style(axes, f"IoU, {measure}", "", "")
    names: list[str] = []
    for i, report in enumerate(reports):
        rows = {
            name: mean_of([group], MEASURES[measure])
            for name, group in group_by_set(report.measurements).items()
        }
        names = list(rows)
        _points(axes, list(rows.values()), i, len(reports), COLORS[i % len(COLORS)])
    _set_axis(axes, names)
    axes.set_xlim(0, 1)


def difference_bars(rows: Sequence[Difference], measure: str, axes: Axes) -> None:
    """Second less first, set by set and overall, with intervals."""
    style(axes, f"Difference, {measure}", "", "")
    _points(axes, [row.means[measure] for row in rows], 0, 1, INK)
    axes.axvline(0, color=QUIET, lw=1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    _set_axis(axes, [row.name for row in rows])


def style(axes: Axes, title: str, x: str, y: str) -> None:
    """The house's style; the title is text that may hold names of files."""
    axes.set_title(title, loc="left", color=INK, fontsize=11, fontweight="bold")
    axes.set_xlabel(x, color=QUIET)
    axes.set_ylabel(y, color=QUIET)
    axes.tick_params(length=0, colors=QUIET, pad=6)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, lw=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    for name, spine in axes.spines.items():
        spine.set_visible(name == "bottom")
        spine.set_color(GRID)


def _calibration_panel(report: Report, index: int) -> Draw:
    return lambda axes: calibration_scatter(report, COLORS[index % len(COLORS)], axes)


def _groups(report: Report) -> list[list[Any]]:
    return overall_groups(report.measurements)[MEAN_OF_SETS]


def _over(reports: Sequence[Report]) -> str:
    sets = group_by_set(reports[0].measurements)
    return _text(next(iter(sets))) if len(sets) == 1 else f"mean of {len(sets)} sets"


def _points(axes: Axes, means: Sequence[Mean], index: int, count: int, color: str) -> None:
    places = np.arange(len(means)) + (index - (count - 1) / 2) * 0.6 / count
    errors = np.hstack([_error(mean) for mean in means])
    values = [mean.value for mean in means]
    axes.errorbar(values, places, xerr=errors, fmt="o", color=color, ms=4, lw=1.2)


def _set_axis(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [_text(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color=GRID, lw=0.8)


def _error(mean: Mean) -> NDArray[np.float64]:
    # Rounding may put the mean a hair outside of its interval.
    return np.maximum([[mean.value - mean.low], [mean.high - mean.value]], 0.0)


def _text(name: str) -> str:
    """A name as text: matplotlib would read what stands between two dollars as mathematics."""
    return name.replace("$", r"\$")
