"""What filters, progress and galleries ask about a project's images, read once and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.store import Store
from segwidget.errors import SegwidgetError
from segwidget.widget import threads

DONE = ("done", "accepted", "rejected")  # what nobody has to look at for the first time


class MaskFact(NamedTuple):
    """What is known of a mask.

    Attributes:
        label: what it shows.
        score: its predicted IoU; None where no model spoke.
        share: of the image's area.
        id: of the annotation.
    """

    label: str
    score: float | None
    share: float
    id: str = ""


class Fact(NamedTuple):
    """What is known of an image.

    Attributes:
        masks: its masks, in order.
        seconds: that people have spent on masks which took them any time, each.
    """

    masks: tuple[MaskFact, ...] = ()
    seconds: tuple[float, ...] = ()

    @classmethod
    def of(cls, annotations: Iterable[Annotation]) -> Fact:
        """What there is to know of an image's annotations."""
        items = tuple(annotations)
        return cls(
            tuple(
                MaskFact(a.label, a.predicted_iou, a.area / (a.rle.size[0] * a.rle.size[1]), a.id)
                for a in items
            ),
            tuple(a.seconds for a in items if a.seconds > 0),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the masks, as many as there are masks."""
        return tuple(mask.label for mask in self.masks)

    @property
    def score(self) -> float | None:
        """The lowest predicted IoU of the masks; None where no model spoke."""
        return min((m.score for m in self.masks if m.score is not None), default=None)


class Filters(NamedTuple):
    """Which images are shown.

    Attributes:
        status: one of the store's words, or "" for any.
        label: that one of its masks has; "" for any.
        score: the lowest predicted IoU of its masks is at most this; 1 for any.
        unlabeled: those without any mask.
    """

    status: str = ""
    label: str = ""
    score: float = 1.0
    unlabeled: bool = False


class Facts:
    """Facts about all of a store's images. Safe for threads.

    Args:
        store: where they are read, on a thread; until then those of an image are read when they
            are asked for.
        keys: of the images, in order.
    """

    def __init__(self, store: Store, keys: Iterable[str]) -> None:
        self._store, self.keys = store, tuple(keys)
        self._changed = threading.Condition()
        self._facts: dict[str, Fact] = {}
        self._statuses = store.statuses()
        self._judging = store.judging_seconds()
        self._closed = False
        self.complete = False

    def read_all(self, tell: Callable[[], None]) -> None:
        """Read all on a thread, and tell when that is done."""
        counts = self._store.counts()

        def work() -> None:
            for key in counts:
                if self._closed or threads.ending():
                    return
                try:
                    self.of(key)
                except SegwidgetError:
                    return  # closed, or unreadable, which whoever opens the image is told
            with self._changed:
                for key in self.keys:
                    self._facts.setdefault(key, Fact())
                self.complete = True
                self._changed.notify_all()
            tell()

        threads.begin(work, "segwidget-facts")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is read; False when `timeout` seconds pass."""
        with self._changed:
            return self._changed.wait_for(lambda: self.complete or self._closed, timeout)

    def close(self) -> None:
        """Read no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def of(self, key: str) -> Fact:
        """An image's facts.

        Raises:
            StoreError: they cannot be read.
        """
        fact = self._facts.get(key)
        if fact is None:
            fact = Fact.of(self._store.annotations(key))
            with self._changed:
                fact = self._facts.setdefault(key, fact)
        return fact

    def known(self, key: str) -> Fact | None:
        """An image's facts, where they are read already."""
        return self._facts.get(key)

    def update(self, key: str, annotations: Iterable[Annotation]) -> None:
        """An image's annotations have changed."""
        with self._changed:
            self._facts[key] = Fact.of(annotations)

    def status(self, key: str) -> str:
        """How far an image is."""
        return self._statuses.get(key, "todo")

    def set_status(self, key: str, status: str) -> None:
        """An image's status has changed."""
        with self._changed:
            self._statuses[key] = status

    def passing(self, filters: Filters) -> tuple[str, ...]:
        """The keys of the images that pass, in order; of those that are read until now."""
        by_mask = bool(filters.label) or filters.score < 1 or filters.unlabeled
        passing = []
        for key in self.keys:
            if filters.status and self.status(key) != filters.status:
                continue
            if by_mask:
                fact = self._facts.get(key)
                if fact is None or not _passes(fact, filters):
                    continue
            passing.append(key)
        return tuple(passing)

    def numbers(self) -> dict[str, int]:
        """How many images have each status."""
        numbers = dict.fromkeys(("todo", *DONE), 0)
        for key in self.keys:
            numbers[self.status(key)] += 1
        return numbers

    def masks(self) -> int:
        """How many masks there are, as far as is known."""
        with self._changed:
            return sum(len(fact.masks) for fact in self._facts.values())

    def add_judging(self, key: str, seconds: float) -> None:
        """Somebody has judged an image, or one of its masks."""
        with self._changed:
            self._judging[key] = self._judging.get(key, 0.0) + seconds

    def seconds_per_mask(self) -> float | None:
        """What a mask takes people, on average: to make, and to judge where that was done.

        None where none took any time.
        """
        with self._changed:
            made = [s for fact in self._facts.values() for s in fact.seconds]
            judged = {k: s for k, s in self._judging.items() if k in self._facts}
            masks = sum(max(1, len(self._facts[key].masks)) for key in judged)
        if not made and not judged:
            return None
        making = sum(made) / len(made) if made else 0.0
        return making + (sum(judged.values()) / masks if masks else 0.0)


def in_order(keys: Iterable[str], first: Iterable[str]) -> tuple[str, ...]:
    """Keys with those of `first` in front, in its order; what it has beyond them is let pass."""
    known = dict.fromkeys(keys)
    front = dict.fromkeys(key for key in first if key in known)
    return tuple({**front, **known})


def _passes(fact: Fact, filters: Filters) -> bool:
    if filters.unlabeled and fact.masks:
        return False
    if filters.label and filters.label not in fact.labels:
        return False
    return filters.score >= 1 or (fact.score is not None and fact.score <= filters.score)
