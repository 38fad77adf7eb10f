"""Measurements summed up: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segwidget.errors import FormatError
from segwidget.evaluation.metrics import (
    Calibration,
    Mean,
    calibration,
    mean_with_interval,
    number_of_clicks,
)
from segwidget.evaluation.protocol import (
    BEST_OF_THREE,
    BOX,
    CLICKS,
    COLUMNS,
    NATURAL,
    THRESHOLDS,
    Measurement,
    Sampling,
    clicks_name,
)

MEAN_OF_SETS = "all, mean of sets"
MEAN_OF_NATURAL = "natural, mean of sets"
MEAN_OF_MASKS = "all, mean of masks"

GAP = "oracle gap"
NOC = tuple(f"NoC@{threshold * 100:.0f}" for threshold in THRESHOLDS)
NEVER = tuple(f"never {threshold * 100:.0f}" for threshold in THRESHOLDS)
BOUNDED = tuple(f"boundary {name}" for name in COLUMNS if name != BEST_OF_THREE)

#: What one measurement is worth, by the name of the measure.
Value = Callable[[Measurement], float]


def _noc(threshold: float) -> Value:
    return lambda m: number_of_clicks(m.curve, threshold)


def _never(threshold: float) -> Value:
    return lambda m: float(max(m.curve) < threshold)


def _iou(name: str) -> Value:
    return lambda m: m.iou[name]


def _boundary(name: str) -> Value:
    return lambda m: m.boundary[name.removeprefix("boundary ")]


#: Every measure that has a mean over masks, in the order of the tables.
MEASURES: dict[str, Value] = {
    **{name: _iou(name) for name in COLUMNS},
    GAP: lambda m: m.iou[BEST_OF_THREE] - m.iou[clicks_name(CLICKS[0])],
    **{name: _noc(threshold) for name, threshold in zip(NOC, THRESHOLDS, strict=True)},
    **{name: _never(threshold) for name, threshold in zip(NEVER, THRESHOLDS, strict=True)},
    **{name: _boundary(name) for name in BOUNDED},
}
#: Those of the second table; the first one has the IoUs.
SECOND = (
    GAP,
    *NOC,
    *NEVER,
    *(f"boundary {name}" for name in (clicks_name(1), clicks_name(3), BOX)),
)


@dataclass(frozen=True)
class Row:
    """One line of the tables.

    Attributes:
        name: a set, or a group of sets.
        images: how many were asked about.
        masks: how many were asked about.
        means: measure, one of ``MEASURES``, to its mean.
        calibration: of the predicted IoU after all prompts.
    """

    name: str
    images: int
    masks: int
    means: dict[str, Mean]
    calibration: Calibration


@dataclass(frozen=True)
class Report:
    """How one segmenter did.

    Attributes:
        segmenter: its name.
        sampling: which masks were asked about.
        measurements: one for each mask.
    """

    segmenter: str
    sampling: Sampling
    measurements: tuple[Measurement, ...]

    def sets(self) -> list[Row]:
        """One row for each set, by name."""
        return [row_of(name, [chosen]) for name, chosen in group_by_set(self.measurements).items()]

    def overall(self) -> list[Row]:
        """The mean of sets, that of the natural ones if there are any, and the mean of masks."""
        return [row_of(name, groups) for name, groups in overall_groups(self.measurements).items()]

    def rows(self) -> list[Row]:
        """Sets, and the overall rows where there are several sets."""
        sets = self.sets()
        return sets if len(sets) == 1 else [*sets, *self.overall()]

    def pairs(self) -> tuple[list[float], list[float]]:
        """Predicted and actual IoU of the first answers to all prompts, as far as predicted."""
        both = [(p, m.iou[prompt]) for m in self.measurements for prompt, p in m.predicted.items()]
        return [p for p, _ in both], [a for _, a in both]

    def to_markdown(self) -> str:
        """Two tables: IoU by prompt; and clicks, boundaries, calibration.

        Each mean with half the width of its 95 % interval.
        """
        rows = self.rows()
        head = ["set", "images", "masks", *COLUMNS]
        lines = [line(head), line(["---", *["--:"] * (len(head) - 1)])]
        for row in rows:
            cells = [row.name, str(row.images), str(row.masks)]
            lines.append(line([*cells, *(number(row.means[c]) for c in COLUMNS)]))
        head = ["set", *SECOND, "predicted IoU off by", "bias", "ECE"]
        lines += ["", line(head), line(["---", *["--:"] * (len(head) - 1)])]
        for row in rows:
            cells = [number(row.means[c], 2 if c in NOC else 3) for c in SECOND]
            lines.append(line([row.name, *cells, *_calibrated(row.calibration)]))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "segmenter": self.segmenter,
            "sampling": asdict(self.sampling),
            "sets": [_row_to_dict(row) for row in self.sets()],
            "overall": [_row_to_dict(row) for row in self.overall()],
            "measurements": [asdict(m) for m in self.measurements],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Report:
        """The report that :meth:`to_dict` wrote.

        Raises:
            FormatError: something else, or one of an older protocol.
        """
        try:
            measurements = tuple(
                Measurement(**{**m, "curve": tuple(m["curve"])}) for m in data["measurements"]
            )
            known = set(COLUMNS)
            if any(set(m.iou) != known or not m.curve for m in measurements):
                raise KeyError("other prompts")
            return cls(str(data["segmenter"]), Sampling(**data["sampling"]), measurements)
        except (KeyError, TypeError) as error:
            raise FormatError(
                "That is no report of an evaluation by the present protocol; expected what "
                "Report.to_dict gives, as in the JSON of `segwidget evaluate --json FILE`. "
                "Measure again."
            ) from error


def group_by_set(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements by the name of their set, in the order of names."""
    by_set: dict[str, list[Measurement]] = {}
    for m in sorted(measurements, key=lambda m: m.set):
        by_set.setdefault(m.set, []).append(m)
    return by_set


def overall_groups(measurements: Sequence[Measurement]) -> dict[str, list[list[Measurement]]]:
    """The groups of which each counts alike, by the name of the overall row."""
    by_set = group_by_set(measurements)
    natural = [chosen for name, chosen in by_set.items() if name in NATURAL]
    groups = {MEAN_OF_SETS: list(by_set.values())}
    if natural:
        groups[MEAN_OF_NATURAL] = natural
    return {**groups, MEAN_OF_MASKS: [list(measurements)]}


def mean_of(groups: Sequence[Sequence[Measurement]], value: Value) -> Mean:
    """The mean of the groups' means, with an interval over images."""
    return mean_with_interval(
        [([value(m) for m in group], [f"{m.set}/{m.image}" for m in group]) for group in groups]
    )


def row_of(name: str, groups: Sequence[Sequence[Measurement]]) -> Row:
    """One row of groups that count alike."""
    everything = [m for group in groups for m in group]
    pairs = [(value, m.iou[prompt]) for m in everything for prompt, value in m.predicted.items()]
    return Row(
        name,
        len({(m.set, m.image) for m in everything}),
        len(everything),
        {measure: mean_of(groups, value) for measure, value in MEASURES.items()},
        calibration([p for p, _ in pairs], [a for _, a in pairs]),
    )


def compare(reports: Sequence[Report]) -> str:
    """Several segmenters on the same masks, side by side: the overall rows as one table."""
    columns = (*COLUMNS, *NOC)
    lines = [
        line(["segmenter", "over", *columns]),
        line(["---", "---", *["--:"] * len(columns)]),
    ]
    for rows in zip(*(report.overall() for report in reports), strict=True):
        for report, row in zip(reports, rows, strict=True):
            means = [number(row.means[column], 2 if column in NOC else 3) for column in columns]
            lines.append(line([report.segmenter, row.name, *means]))
    return "\n".join(lines)


def compare_sets(reports: Sequence[Report], column: str) -> str:
    """Several segmenters on the same masks, set by set, in one measure."""
    names = [report.segmenter for report in reports]
    lines = [line([f"set, {column}", *names]), line(["---", *["--:"] * len(names)])]
    for rows in zip(*(report.sets() for report in reports), strict=True):
        lines.append(line([rows[0].name, *(f"{row.means[column].value:.3f}" for row in rows)]))
    return "\n".join(lines)


def number(mean: Mean, digits: int = 3) -> str:
    """A mean with half the width of its interval; one image, or none unlike, has none."""
    half = (mean.high - mean.low) / 2
    value = f"{mean.value:.{digits}f}"
    return f"{value} ± {half:.{digits}f}" if half > 0 else value


def line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    # A vertical line in a file's name would end the cell.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _calibrated(found: Calibration) -> list[str]:
    if not found.pairs:
        return ["–", "–", "–"]
    return [f"{found.error:.3f}", f"{found.bias:+.3f}", f"{found.ece:.3f}"]


def _row_to_dict(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "images": row.images,
        "masks": row.masks,
        "means": {measure: mean._asdict() for measure, mean in row.means.items()},
        "calibration": row.calibration._asdict(),
    }
