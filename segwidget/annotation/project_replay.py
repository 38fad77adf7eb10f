"""A project's masks by another model: compared one by one, and accepted by a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.replay import Replay, replay_all
from segwidget.errors import AnnotationError

if TYPE_CHECKING:
    import pandas as pd

    from segwidget.annotation.project import BaseProject
    from segwidget.inference.models import Model

_COLUMNS = (
    "image", "id", "label", "iou", "old_score", "new_score", "old_model", "new_model",
    "same_model", "new", "accepted", "note",
)  # fmt: skip


class ProjectReplay:
    """What a model answers to a project's recorded prompts; nothing is changed before `accept`.

    Attributes:
        replays: one for each annotation, image by image.
    """

    def __init__(self, project: BaseProject, replays: list[Replay]) -> None:
        self._project, self.replays = project, tuple(replays)
        self._accepted: set[tuple[str, str]] = set()

    @property
    def table(self) -> pd.DataFrame:
        """One row an annotation, in order.

        Columns: image, id, label, iou (of the old mask and the new one), old_score, new_score
        (predicted IoU; NaN where there is none), old_model, new_model, same_model, new (whether
        there is a new mask), accepted, note.
        """
        import pandas as pd

        rows = []
        for one in self.replays:
            old, new = one.annotation, one.updated
            rows.append(
                {
                    "image": one.image,
                    "id": old.id,
                    "label": old.label,
                    "iou": one.iou,
                    "old_score": old.predicted_iou,
                    "new_score": None if new is None else new.predicted_iou,
                    "old_model": old.model,
                    "new_model": "" if new is None else new.model,
                    "same_model": one.same_model,
                    "new": new is not None,
                    "accepted": (one.image, old.id) in self._accepted,
                    "note": one.note,
                }
            )
        frame = pd.DataFrame(rows, columns=list(_COLUMNS))
        return frame.astype({"iou": float, "old_score": float, "new_score": float})

    def accept(self, ids: str | Iterable[str] | None = None, *, min_iou: float = 0.0) -> int:
        """Put new masks in the place of the old ones, saved when this returns.

        An annotation that was changed or removed since the replay stays as it is.

        Args:
            ids: of annotations; by default all that have a new mask.
            min_iou: only where the masks agree at least so much.

        Returns:
            How many were replaced.

        Raises:
            AnnotationError: an id that is not among the replays; nothing was changed.
            StoreError: it cannot be written; images before that one are changed.
        """
        chosen = None if ids is None else {ids} if isinstance(ids, str) else set(ids)
        unknown = (chosen or set()) - {one.annotation.id for one in self.replays}
        if unknown:
            raise AnnotationError(
                f"There is no annotation {sorted(unknown)[0]!r} among the replays; see table['id']."
            )
        updates: dict[str, dict[str, tuple[Annotation, Annotation]]] = defaultdict(dict)
        for one in self.replays:
            wanted = chosen is None or one.annotation.id in chosen
            if wanted and one.updated is not None and one.iou >= min_iou:
                updates[one.image][one.annotation.id] = (one.annotation, one.updated)
        count = 0
        for key, changes in updates.items():
            done = self._project[key].annotations.exchange(changes)
            self._accepted |= {(key, id_) for id_ in done}
            count += len(done)
        return count

    def __len__(self) -> int:
        return len(self.replays)

    def __repr__(self) -> str:
        new = [one for one in self.replays if one.updated is not None]
        mean = sum(one.iou for one in new) / len(new) if new else float("nan")
        return f"<{len(new)} of {len(self)} masks anew, mean IoU {mean:.3f} to the old ones>"


def replay_project(project: BaseProject, model: str | Path | Model | None) -> ProjectReplay:
    """See `BaseProject.replay`."""
    counts = project.store.counts()
    records = (project[key].record for key in project.keys if key in counts)
    return ProjectReplay(project, replay_all(records, project.open, model))
