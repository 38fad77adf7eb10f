"""Snapshots of the work on one image, and how to walk along them.

A step makes a new snapshot, an immutable value; undo and redo walk along the row. A step that
changes nothing is not counted, and consecutive steps of browsing, such as going through the
candidates, count as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from segwidget.annotation import checks
from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.errors import AnnotationError
from segwidget.inference.prompts import Prompt
from segwidget.inference.region import Region

MAX_STEPS = 1000


@dataclass(frozen=True)
class Draft:
    """A mask in the making.

    Attributes:
        prompts: what was pointed at, in order; empty where there is no draft.
        picks: for each prompt but the last, the candidate that was picked when the next one was
            given: its logits went into the next answer.
        picked: the candidate that is picked now, 0 the best.
        region: the part of the image that the model looks at; None for all of it.
        replaces: the id of the annotation that it is kept in place of; "" for none.
    """

    prompts: tuple[Prompt, ...] = ()
    picks: tuple[int, ...] = ()
    picked: int = 0
    region: Region | None = None
    replaces: str = ""

    @property
    def question(self) -> tuple[Any, ...]:
        """All that its answer depends on."""
        return self.prompts, self.picks, self.region


@dataclass(frozen=True)
class Snapshot:
    """All that a session holds at one moment.

    Attributes:
        draft: the mask in the making.
        annotations: what was kept, the frontmost last.
        labels: the labels to choose from.
        label: the name of the one that the next mask will have.
        region: the part of the image that the next draft is about; None for all of it.
    """

    draft: Draft
    annotations: tuple[Annotation, ...]
    labels: LabelSet
    label: str
    region: Region | None = None


class History:
    """A snapshot, and those before and after it.

    Args:
        now: the first one.
        max_steps: how many steps can be undone; older ones are forgotten.
    """

    def __init__(self, now: Snapshot, max_steps: int = MAX_STEPS) -> None:
        self._now = now
        # Each step's name, beside the snapshot that undoing (or redoing) it leads to.
        self._past: deque[tuple[str, Snapshot]] = deque(maxlen=max_steps)
        self._future: list[tuple[str, Snapshot]] = []
        self._browsing = ""  # the newest step's kind, where the next of its kind joins it

    @property
    def snapshot(self) -> Snapshot:
        """All that it holds now."""
        return self._now

    @property
    def draft(self) -> Draft:
        """The mask in the making."""
        return self._now.draft

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """What was kept, the frontmost last."""
        return self._now.annotations

    @property
    def labels(self) -> LabelSet:
        """The labels to choose from."""
        return self._now.labels

    @property
    def label(self) -> str:
        """The name of the current label."""
        return self._now.label

    @property
    def region(self) -> Region | None:
        """The part of the image that the next draft is about; None for all of it."""
        return self._now.region

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step that was taken back."""
        return bool(self._future)

    @property
    def undo_name(self) -> str | None:
        """The name of the step that `undo` would take back, such as "keep car"."""
        return self._past[-1][0] if self._past else None

    @property
    def redo_name(self) -> str | None:
        """The name of the step that `redo` would do again."""
        return self._future[-1][0] if self._future else None

    def undo(self) -> str | None:
        """Take the newest step back; answer its name, or None where there is none."""
        if not self._past:
            return None
        name, before = self._past.pop()
        self._future.append((name, self._now))
        self._now = before
        self._browsing = ""
        return name

    def redo(self) -> str | None:
        """Do the step again that was taken back last; answer its name, or None."""
        if not self._future:
            return None
        name, after = self._future.pop()
        self._past.append((name, self._now))
        self._now = after
        self._browsing = ""
        return name

    def adopt(self, other: History) -> None:
        """Take over another one's state and history; the other one stays as it is."""
        self._now = other._now
        self._past = other._past.copy()
        self._future = list(other._future)
        self._browsing = other._browsing

    def _step(self, name: str, *, browsing: str = "", **changes: Any) -> None:
        """Make the changed snapshot the current one, and remember how to come back.

        Args:
            name: what undo and redo call the step.
            browsing: its kind, where steps of this kind in a row are one.
            **changes: what is new in the snapshot.
        """
        after = replace(self._now, **changes)
        if after == self._now:
            return
        before = self._now
        if browsing and browsing == self._browsing and self._past:
            _, before = self._past.pop()
        if after == before:
            browsing = ""  # browsed back to where it began, so that no step is left
        else:
            self._past.append((name, before))
        self._future.clear()
        self._now = after
        self._browsing = browsing

    def _retell(self, tell: Callable[[Snapshot], Snapshot]) -> None:
        """Put another snapshot in the place of each; a step that changes nothing then is gone.

        Args:
            tell: makes the new snapshot of an old one.
        """
        now = tell(self._now)
        past = _told([(name, tell(one)) for name, one in reversed(self._past)], now)
        future = _told([(name, tell(one)) for name, one in reversed(self._future)], now)
        self._now, self._browsing = now, ""
        self._past = deque(reversed(past), self._past.maxlen)
        self._future = future[::-1]

    def find(self, id_: str) -> Annotation:
        """The annotation of an id.

        Raises:
            AnnotationError: there is none.
        """
        return self._items(self._chosen([id_]))[0]

    def _items(self, chosen: set[str]) -> list[Annotation]:
        return [item for item in self.annotations if item.id in chosen]

    def _chosen(self, ids: Iterable[str]) -> set[str]:
        given = [ids] if isinstance(ids, str) else checks.listed("ids", ids)
        known = {item.id for item in self.annotations}
        for id_ in given:
            if not isinstance(id_, str) or id_ not in known:
                raise AnnotationError(
                    f"There is no annotation with the id {id_!r}. It may have been deleted, or its "
                    "keeping undone."
                )
        return set(given)


def _told(steps: list[tuple[str, Snapshot]], now: Snapshot) -> list[tuple[str, Snapshot]]:
    """The steps, the one next to `now` first, that lead from one snapshot to another one."""
    left = []
    for name, beyond in steps:
        if beyond != now:
            left.append((name, beyond))
            now = beyond
    return left
