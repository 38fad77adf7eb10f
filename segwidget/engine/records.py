"""What became of masks that the data engine has proposed: untouched, corrected, taken off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.proposed import Record, accepted_ids, is_same, read_record
from segwidget.annotation.store_values import FINISHED

if TYPE_CHECKING:
    from segwidget.annotation.store import Store
    from segwidget.inference.rle import Rle


def taken_off(store: Store, key: str, record: Record) -> tuple[Rle, ...]:
    """Masks that were proposed in an image, and that a person has taken off, at any time."""
    present = {a.id for a in store.annotations(key)}
    return (*record.refused, *(one.rle for one in record.masks if one.id not in present))


def untouched(store: Store, key: str, record: Record) -> frozenset[str]:
    """Ids of the proposals that are still as they were proposed, and that nobody has accepted."""
    if store.status(key) in FINISHED:
        return frozenset()
    accepted, present = accepted_ids(store, key), {a.id: a for a in store.annotations(key)}
    return frozenset(
        one.id
        for one in record.masks
        if one.id in present and one.id not in accepted and is_same(one, present[one.id])
    )


@dataclass(frozen=True, eq=False)
class Quality:
    """How good proposed masks are, by what people made of them ("Segment Anything", section 5).

    The paper had 500 images' automatic masks corrected: 94 % of the pairs had an IoU of more than
    0.9, and 97 % of more than 0.75.

    Attributes:
        images: that people are through with.
        waiting: images that are still to be looked at.
        ious: (N,) IoU of each mask that was kept with what it became; 1 where it is untouched.
        untouched: how many of these are as they were proposed.
        rejected: masks that were taken off; they are no pairs.
        added: masks that people had to add.
    """

    images: int
    waiting: int
    ious: NDArray[np.float64]
    untouched: int
    rejected: int
    added: int

    @property
    def pairs(self) -> int:
        """How many masks were kept, corrected or not."""
        return len(self.ious)

    @property
    def above_90(self) -> float:
        """Share of the pairs whose IoU is above 0.9; NaN where there are none."""
        return self.share_above(0.9)

    @property
    def above_75(self) -> float:
        """Share of the pairs whose IoU is above 0.75; NaN where there are none."""
        return self.share_above(0.75)

    def share_above(self, iou: float) -> float:
        """Share of the pairs whose IoU is above a value; NaN where there are none."""
        return float((self.ious > iou).mean()) if self.pairs else float("nan")

    def __repr__(self) -> str:
        if not self.pairs and not self.rejected:
            return f"<Quality: nothing corrected yet, {self.waiting} images are waiting>"
        return (
            f"<Quality of {self.pairs} masks in {self.images} images: {self.above_90:.0%} have an "
            f"IoU above 0.9 with their correction, {self.above_75:.0%} above 0.75; "
            f"{self.untouched} untouched, {self.rejected} rejected, {self.added} added; "
            f"{self.waiting} images are waiting>"
        )


def quality(store: Store, keys: Iterable[str]) -> Quality:
    """Compare masks as they were proposed with what people made of them.

    Args:
        store: with the corrections.
        keys: of images with a record; others are left out. Those that are rejected as a whole have
            had all their masks taken off, in effect.
    """
    ious: list[float] = []
    images = waiting = same = rejected = added = 0
    for key in keys:
        record = read_record(store, key)
        if record is None:
            continue
        status = store.status(key)
        if status == "todo":
            waiting += 1
            continue
        images += 1
        if status == "rejected":
            rejected += len(record.masks)
            continue
        present = {a.id: a for a in store.annotations(key)}
        for one in record.masks:
            kept = present.pop(one.id, None)
            if kept is None:
                rejected += 1
                continue
            same += kept.rle == one.rle
            ious.append(one.rle.iou(kept.rle))
        added += sum(a.created > record.at for a in present.values())
    return Quality(images, waiting, np.array(ious, np.float64), same, rejected, added)
