"""Whether what a format holds is what was given: written, read again, and compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.formats.registry import Format, Sizes
from segwidget.annotation.formats.shapes import edges_of


@dataclass(frozen=True)
class RoundTrip:
    """How annotations came back.

    Attributes:
        format: its name.
        ious: of each annotation with the one that stands for it, by image; 0 where there is none.
            IoUs of masks; of boxes, where the format has nothing else.
        extra: annotations that came back and were not there before.
        problems: what reading told.
    """

    format: str
    ious: Mapping[str, tuple[float, ...]]
    extra: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many annotations were written."""
        return sum(map(len, self.ious.values()))

    @property
    def mean(self) -> float:
        """The mean IoU; 1 where there was nothing to write."""
        return float(np.mean(self._all())) if self.count else 1.0

    @property
    def min(self) -> float:
        """The lowest IoU."""
        return min(self._all(), default=1.0)

    @property
    def lost(self) -> int:
        """How many did not come back at all."""
        return sum(iou == 0 for iou in self._all())

    def worst(self, limit: int = 10) -> list[tuple[str, float]]:
        """Images whose annotations changed, with their mean IoU, the worst first."""
        means = [(name, float(np.mean(ious))) for name, ious in self.ious.items() if ious]
        return sorted((one for one in means if one[1] < 1), key=lambda one: one[1])[:limit]

    def _all(self) -> list[float]:
        return [iou for ious in self.ious.values() for iou in ious]


def read_back(records: Iterable[Annotations], path: Path, format: Format) -> RoundTrip:  # noqa: A002
    """Read what was written, and compare.

    Args:
        records: what was written.
        path: where.
        format: how.

    Raises:
        FormatError, StoreError: it cannot be read.
    """
    kept = list(records)
    sizes = {one.image.name: (one.image.height, one.image.width) for one in kept}
    read = format.read(path, sizes=_known(sizes))
    found = {one.image.name: one for one in read.records}
    ious = {}
    extra = 0
    for one in kept:
        name = one.image.name
        back = list(found.get(name) or found.get(stem_of(name)) or ())
        ious[name] = _matched(list(one), back, format.boxes)
        extra += max(0, len(back) - len(one))
    return RoundTrip(format.name, ious, extra, read.problems)


def stem_of(name: str) -> str:
    """A name without its suffix, as formats without images' names have it."""
    return PurePosixPath(name).with_suffix("").as_posix() if PurePosixPath(name).name else name


def _matched(items: list[Annotation], back: list[Annotation], boxes: bool) -> tuple[float, ...]:
    """Each annotation stands for one; equal ones first, then by IoU, the highest first."""
    ious = [0.0] * len(items)
    waiting = list(range(len(items)))
    free = dict(enumerate(back))
    if not boxes:
        equal: dict[tuple[str, object], list[int]] = {}
        for place, other in free.items():
            equal.setdefault((other.label, other.rle), []).append(place)
        for place in list(waiting):
            same = equal.get((items[place].label, items[place].rle))
            if same:
                ious[place] = 1.0
                waiting.remove(place)
                del free[same.pop()]
    pairs = []
    for place in waiting:
        for at, there in free.items():
            if items[place].label == there.label and items[place].rle.size == there.rle.size:
                iou = _box_iou(items[place], there)
                if iou and not boxes:
                    iou = items[place].rle.iou(there.rle)
                pairs.append((iou, place, at))
    done: set[int] = set()
    for iou, place, at in sorted(pairs, key=lambda pair: -pair[0]):
        if place not in done and at in free:
            ious[place] = iou
            done.add(place)
            del free[at]
    return tuple(ious)


def _box_iou(one: Annotation, other: Annotation) -> float:
    a, b = np.array(edges_of(one)), np.array(edges_of(other))
    inside = np.clip(np.minimum(a, b)[2:] - np.maximum(a, b)[:2], 0, None).prod()
    return float(inside / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inside))


def _known(sizes: dict[str, tuple[int, int]]) -> Sizes:
    stems = {stem_of(name): size for name, size in sizes.items()}

    def size(name: str) -> tuple[int, int]:
        return sizes[name] if name in sizes else stems[name]

    return size
