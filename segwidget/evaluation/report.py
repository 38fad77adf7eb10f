"""Measurements summed up: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from segwidget.errors import FormatError
from segwidget.evaluation.metrics import Calibration, Mean, calibration, mean_with_interval
from segwidget.evaluation.protocol import COLUMNS, NATURAL, Measurement, Sampling

MEAN_OF_SETS = "all, mean of sets"
MEAN_OF_NATURAL = "natural, mean of sets"
MEAN_OF_MASKS = "all, mean of masks"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: a set, or a group of sets.
        images: how many were asked about.
        masks: how many were asked about.
        iou: column to mean IoU.
        calibration: of the predicted IoU after all prompts.
    """

    name: str
    images: int
    masks: int
    iou: dict[str, Mean]
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
        by_set = group_by_set(self.measurements)
        return [_row(name, [chosen]) for name, chosen in by_set.items()]

    def overall(self) -> list[Row]:
        """The mean of sets, that of the natural ones if there are any, and the mean of masks."""
        by_set = group_by_set(self.measurements)
        natural = [chosen for name, chosen in by_set.items() if name in NATURAL]
        rows = [_row(MEAN_OF_SETS, list(by_set.values()))]
        if natural:
            rows.append(_row(MEAN_OF_NATURAL, natural))
        return [*rows, _row(MEAN_OF_MASKS, [list(self.measurements)])]

    def to_markdown(self) -> str:
        """The table; overall rows with half the width of their 95 % interval."""
        lines = [
            _line(["set", "images", "masks", *COLUMNS, "predicted IoU off by", "bias"]),
            _line(["---", *["--:"] * (4 + len(COLUMNS))]),
        ]
        for row in self.sets():
            lines.append(_cells(row, with_interval=False))
        for row in self.overall():
            lines.append(_cells(row, with_interval=True))
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
            FormatError: something else.
        """
        try:
            measurements = tuple(Measurement(**m) for m in data["measurements"])
            return cls(str(data["segmenter"]), Sampling(**data["sampling"]), measurements)
        except (KeyError, TypeError) as error:
            raise FormatError(
                "That is no report of an evaluation; expected the JSON that "
                "`python -m segwidget.evaluation --json FILE` writes. Measure again."
            ) from error


def group_by_set(measurements: Sequence[Measurement]) -> dict[str, list[Measurement]]:
    """Measurements by the name of their set, in the order of names."""
    by_set: dict[str, list[Measurement]] = {}
    for m in sorted(measurements, key=lambda m: m.set):
        by_set.setdefault(m.set, []).append(m)
    return by_set


def compare(reports: Sequence[Report]) -> str:
    """Several segmenters on the same masks, side by side: the overall rows as one table."""
    lines = [
        _line(["segmenter", "over", *COLUMNS]),
        _line(["---", "---", *["--:"] * len(COLUMNS)]),
    ]
    for rows in zip(*(report.overall() for report in reports), strict=True):
        for report, row in zip(reports, rows, strict=True):
            means = [_number(row.iou[column], with_interval=True) for column in COLUMNS]
            lines.append(_line([report.segmenter, row.name, *means]))
    return "\n".join(lines)


def compare_sets(reports: Sequence[Report], column: str) -> str:
    """Several segmenters on the same masks, set by set, after one kind of prompt."""
    names = [report.segmenter for report in reports]
    lines = [_line([f"set, {column}", *names]), _line(["---", *["--:"] * len(names)])]
    for rows in zip(*(report.sets() for report in reports), strict=True):
        lines.append(_line([rows[0].name, *(f"{row.iou[column].value:.3f}" for row in rows)]))
    return "\n".join(lines)


def _row(name: str, groups: Sequence[Sequence[Measurement]]) -> Row:
    everything = [m for group in groups for m in group]
    means = {
        column: mean_with_interval(
            [
                ([m.iou[column] for m in group], [f"{m.set}/{m.image}" for m in group])
                for group in groups
            ]
        )
        for column in COLUMNS
    }
    pairs = [(value, m.iou[prompt]) for m in everything for prompt, value in m.predicted.items()]
    return Row(
        name,
        len({(m.set, m.image) for m in everything}),
        len(everything),
        means,
        calibration([p for p, _ in pairs], [a for _, a in pairs]),
    )


def _cells(row: Row, with_interval: bool) -> str:
    known = row.calibration.pairs > 0
    return _line(
        [
            row.name,
            str(row.images),
            str(row.masks),
            *(_number(row.iou[column], with_interval) for column in COLUMNS),
            f"{row.calibration.error:.3f}" if known else "–",
            f"{row.calibration.bias:+.3f}" if known else "–",
        ]
    )


def _number(mean: Mean, with_interval: bool) -> str:
    half = (mean.high - mean.low) / 2
    return f"{mean.value:.3f} ± {half:.3f}" if with_interval else f"{mean.value:.3f}"


def _line(cells: Sequence[str]) -> str:
    # A vertical line in a file's name would end the cell.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _row_to_dict(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "images": row.images,
        "masks": row.masks,
        "iou": {column: mean._asdict() for column, mean in row.iou.items()},
        "calibration": row.calibration._asdict(),
    }
