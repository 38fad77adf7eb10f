"""Two segmenters on identical prompts: how much better the second is, mask by mask.

Both were asked about the same masks with the same boxes and the same first clicks. The difference
is taken for each mask before the mean, and its interval is a bootstrap over images, so that what
makes a mask hard for both does not count as chance. An interval that leaves out 0 tells the two
apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segwidget.errors import SettingError
from segwidget.evaluation.metrics import Mean, mean_with_interval
from segwidget.evaluation.protocol import BOX, COLUMNS, Measurement, clicks_name
from segwidget.evaluation.report import (
    MEASURES,
    NOC,
    Report,
    group_by_set,
    line,
    overall_groups,
)

#: Measures of the table.
SHOWN = (*COLUMNS, *NOC, f"boundary {clicks_name(1)}", f"boundary {BOX}")


@dataclass(frozen=True)
class Difference:
    """One line of the table.

    Attributes:
        name: a set, or a group of sets.
        means: measure to the mean of second − first.
    """

    name: str
    means: dict[str, Mean]


def differences(first: Report, second: Report) -> list[Difference]:
    """Second less first, set by set and, where there are several sets, overall.

    Raises:
        SettingError: they were not asked about the same masks.
    """
    before = {(m.set, m.image, m.mask): m for m in first.measurements}
    if before.keys() != {(m.set, m.image, m.mask) for m in second.measurements}:
        raise SettingError(
            f"{first.segmenter!r} and {second.segmenter!r} were asked about different masks; "
            "expected the same. Measure both with the same data, seed and numbers of masks."
        )

    def row(name: str, groups: Sequence[Sequence[Measurement]]) -> Difference:
        means = {}
        for measure, value in MEASURES.items():
            values = [
                (
                    [value(m) - value(before[m.set, m.image, m.mask]) for m in group],
                    [f"{m.set}/{m.image}" for m in group],
                )
                for group in groups
            ]
            means[measure] = mean_with_interval(values)
        return Difference(name, means)

    by_set = group_by_set(second.measurements)
    rows = [row(name, [group]) for name, group in by_set.items()]
    if len(by_set) > 1:
        rows += [row(*item) for item in overall_groups(second.measurements).items()]
    return rows


def to_markdown(first: Report, second: Report, rows: Sequence[Difference] | None = None) -> str:
    """The table of differences, with 95 % intervals; fewer clicks (NoC) are better."""
    title = f"{second.segmenter} − {first.segmenter}"
    lines = [line([title, *SHOWN]), line(["---", *["--:"] * len(SHOWN)])]
    for row in differences(first, second) if rows is None else rows:
        lines.append(line([row.name, *(_signed(row.means[measure]) for measure in SHOWN)]))
    return "\n".join(lines)


def to_dicts(rows: Sequence[Difference]) -> list[dict[str, Any]]:
    """Ready for JSON."""
    return [
        {"name": row.name, "means": {name: mean._asdict() for name, mean in row.means.items()}}
        for row in rows
    ]


def _signed(mean: Mean) -> str:
    return f"{mean.value:+.3f} [{mean.low:+.3f}, {mean.high:+.3f}]"
