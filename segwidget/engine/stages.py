"""The stages in numbers: how many masks, what they took, and how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segwidget.annotation.proposed import read_record
from segwidget.engine.assisted import Effort, measure_effort
from segwidget.engine.automatic import all_done
from segwidget.engine.records import Quality, quality

if TYPE_CHECKING:
    import pandas as pd

    from segwidget.annotation.project import BaseProject

STAGES = ("assisted", "semi-automatic", "automatic")
COLUMNS = (
    "images", "masks", "by_hand", "seconds_per_mask", "seconds_by_hand", "model_seconds",
    "above_90", "above_75", "untouched", "rejected",
)  # fmt: skip


def stage_report(project: BaseProject, drawn: BaseProject | None) -> pd.DataFrame:
    """A row for each of `STAGES`; see `DataEngine.report`.

    Args:
        project: that the stages went over.
        drawn: the sample of automatic masks, where there is one.
    """
    import pandas as pd

    without, with_ = measure_effort(project)
    store, keys = project.store, project.keys
    records = [record for key in keys if (record := read_record(store, key)) is not None]
    proposed = sum(len(record.masks) for record in records)
    made = list(all_done(project).values())
    masks = sum(one.masks for one in made)
    rows: list[dict[str, float]] = [
        _by_people(without),
        {
            **_by_people(with_),
            "model_seconds": _ratio(sum(record.seconds for record in records), proposed),
            **_judged(quality(store, keys)),
        },
        {
            "images": len(made),
            "masks": masks,
            "by_hand": 0,
            "model_seconds": _ratio(sum(one.seconds for one in made), masks),
            **_judged(None if drawn is None else quality(drawn.store, drawn.keys)),
        },
    ]
    return pd.DataFrame(rows, index=pd.Index(STAGES, name="stage"), columns=list(COLUMNS))


def _by_people(effort: Effort) -> dict[str, float]:
    return {
        "images": effort.images,
        "masks": effort.masks,
        "by_hand": effort.by_hand,
        "seconds_per_mask": effort.seconds_per_mask,
        "seconds_by_hand": effort.seconds_by_hand,
    }


def _judged(found: Quality | None) -> dict[str, float]:
    if found is None or not (found.pairs or found.rejected):
        return {}
    return {
        "above_90": found.above_90,
        "above_75": found.above_75,
        "untouched": found.untouched,
        "rejected": found.rejected,
    }


def _ratio(total: float, count: int) -> float:
    return total / count if count else float("nan")
