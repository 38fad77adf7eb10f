"""What a model has proposed in an image, and which masks people stand for.

A record of what was proposed lies in the store's small values, beside the annotations. It holds the
masks as they were proposed, so that a correction can be compared with them, and whoever comes after
a kill knows what is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from segwidget.annotation.store_values import FINISHED
from segwidget.errors import SegwidgetError
from segwidget.inference.rle import Rle

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotation
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


def confirmed(store: Store, key: str) -> tuple[Annotation, ...]:
    """The masks of an image that a person stands for: what models learn from and are judged by.

    Those that a person made, in any image that is not rejected; and of all others, those that were
    edited, relabelled or accepted, and all in an image that is done or accepted. Imported masks
    count as a person's where their image is finished, since their file may be a detector's.

    Args:
        store: with the annotations.
        key: of the image.
    """
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
        return item.id in proposed and not is_same(proposed[item.id], item)

    return tuple(item for item in items if stands(item))


def is_same(one: Suggestion, item: Annotation) -> bool:
    """Whether an annotation is still as it was proposed."""
    return one.rle == item.rle and one.label == item.label


def _name(key: str) -> str:
    return f"data engine: proposed in {key}"
