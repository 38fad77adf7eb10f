"""What the data engine knows of an image: what it has proposed, and what people made of it.

A record for each image lies in the store's small values, beside the annotations. It holds the masks
as they were proposed, so that a correction can be compared with them, and whoever comes after a
kill knows what is done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.store_values import FINISHED
from segwidget.errors import SegwidgetError
from segwidget.inference.rle import Rle

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotation
    from segwidget.annotation.project import BaseProject
    from segwidget.annotation.store import Store


class Suggestion(NamedTuple):
    """A mask as it was proposed.

    Attributes:
        id: of its annotation.
        label: that was guessed.
        rle: the mask.
    """

    id: str
    label: str
    rle: Rle


@dataclass(frozen=True)
class Record:
    """What was proposed in an image.

    Attributes:
        checkpoint: SHA-256 of the model's weights.
        at: when, ISO 8601 in UTC.
        seconds: that the model took.
        gain: what a person's look at the image is expected to bring; see `semi`.
        masks: that were proposed.
        refused: masks of earlier records that a person has taken off.
    """

    checkpoint: str
    at: str
    seconds: float = 0.0
    gain: float = 0.0
    masks: tuple[Suggestion, ...] = ()
    refused: tuple[Rle, ...] = ()


def read_record(store: Store, key: str) -> Record | None:
    """The record of an image; None where there is none, or one that makes no sense."""
    found: Any = store.get_meta(_name(key))
    try:
        return Record(
            checkpoint=str(found["checkpoint"]),
            at=str(found["at"]),
            seconds=float(found["seconds"]),
            gain=float(found["gain"]),
            masks=tuple(
                Suggestion(str(one["id"]), str(one["label"]), Rle.from_dict(one["rle"]))
                for one in found["masks"]
            ),
            refused=tuple(Rle.from_dict(one) for one in found["refused"]),
        )
    except (KeyError, TypeError, ValueError, SegwidgetError):
        return None


def record_values(key: str, record: Record) -> dict[str, Any]:
    """The record of an image as small values of the store, for `Store.commit`."""
    value = {
        "checkpoint": record.checkpoint,
        "at": record.at,
        "seconds": round(record.seconds, 3),
        "gain": round(record.gain, 6),
        "masks": [
            {"id": one.id, "label": one.label, "rle": one.rle.to_dict()} for one in record.masks
        ],
        "refused": [rle.to_dict() for rle in record.refused],
    }
    return {_name(key): value}


def accepted_ids(store: Store, key: str) -> frozenset[str]:
    """Ids of an image's masks that a reviewer has accepted one by one."""
    found: Any = store.get_meta(f"accepted masks of {key}", [])
    return frozenset(one for one in found if isinstance(one, str)) if found else frozenset()


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
        if one.id in present and one.id not in accepted and _same(one, present[one.id])
    )


def confirmed(project: BaseProject, key: str) -> tuple[Annotation, ...]:
    """The masks of an image that a person stands for.

    Those that a person made, in any image that is not rejected; and of all others, those that were
    edited, relabelled or accepted, and all in an image that is done or accepted. Imported masks
    count as a person's where their image is finished, since their file may be a detector's.
    """
    store = project.store
    items, status = store.annotations(key), store.status(key)
    if not items or status == "rejected":
        return ()
    if status in FINISHED:
        return items
    accepted, record = accepted_ids(store, key), read_record(store, key)
    proposed = {} if record is None else {one.id: one for one in record.masks}

    def stands(item: Annotation) -> bool:
        if item.origin == "assisted" or item.id in accepted:
            return True
        return item.id in proposed and not _same(proposed[item.id], item)

    return tuple(item for item in items if stands(item))


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


def _same(one: Suggestion, item: Annotation) -> bool:
    return one.rle == item.rle and one.label == item.label


def _name(key: str) -> str:
    return f"data engine: proposed in {key}"
