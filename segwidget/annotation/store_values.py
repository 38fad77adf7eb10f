"""What a store's rows hold: values as text, and the checks of what is given to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from segwidget.annotation.annotation import Annotation, ImageInfo
from segwidget.annotation.labels import Label, LabelSet
from segwidget.errors import AnnotationError, StoreError

#: How far an image is.
Status: TypeAlias = Literal["todo", "done", "accepted", "rejected"]
STATUSES: tuple[Status, ...] = get_args(Status)
#: Those of an image that a person is through with; "rejected" ones are to be done again.
FINISHED: frozenset[Status] = frozenset({"done", "accepted"})


class Step(NamedTuple):
    """Something that was done.

    Attributes:
        key: of the image; "" for all of them.
        name: what was done, such as "keep car".
        author: who did it.
        at: when it was confirmed, ISO 8601 in UTC.
        seconds: by how much the annotations' own seconds have grown; where none was changed, what
            a judgement took.
        added: how many annotations are new.
        changed: how many are others than before.
        removed: how many are gone.
    """

    key: str
    name: str
    author: str = ""
    at: str = ""
    seconds: float = 0.0
    added: int = 0
    changed: int = 0
    removed: int = 0


def checked_key(key: Any) -> str:
    """The key of an image.

    Raises:
        StoreError: no text, an empty one, or one that no file can hold.
    """
    problem = None if isinstance(key, str) else f"a {type(key).__name__}"
    if isinstance(key, str):
        if not key or "\0" in key:
            problem = "empty" if not key else "text with a null character"
        else:
            try:
                key.encode()
            except UnicodeEncodeError:
                problem = "a file name that is no proper text"
    if problem is not None:
        raise StoreError(
            f"The key of an image is {key!r}, {problem}; expected text such as 'street/a.jpg'. "
            "Rename the file, or give another key."
        )
    return str(key)


def checked_items(items: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Annotations that can be those of one image.

    Raises:
        AnnotationError: something else, or an id twice.
    """
    given: tuple[Any, ...] = tuple(items)
    seen: set[str] = set()
    for item in given:
        if not isinstance(item, Annotation):
            raise AnnotationError(
                f"A {type(item).__name__} is no annotation; expected Annotation values. "
                "Annotation.from_mask(mask, label=...) makes one."
            )
        if item.id in seen:
            raise AnnotationError(
                f"The annotation id {item.id!r} is there twice; expected each once. "
                "Give it another id."
            )
        seen.add(item.id)
    return given


def check_sizes(items: Iterable[Annotation], info: ImageInfo | None) -> None:
    """Check that masks are of their image's size, where that is known.

    Raises:
        AnnotationError: one is not.
    """
    for item in () if info is None else items:
        assert info is not None
        if item.rle.size != (info.height, info.width):
            raise AnnotationError(
                f"The mask of annotation {item.id!r} is of size {item.rle.size}, but "
                f"{info.name!r} is {(info.height, info.width)}; both are (height, width). Does it "
                "belong to another image?"
            )


def seconds_spent(changed: Iterable[Annotation], before: Mapping[str, Annotation]) -> float:
    """By how much the seconds of annotations have grown."""
    grown = (
        item.seconds - (before[item.id].seconds if item.id in before else 0.0) for item in changed
    )
    return round(sum(max(0.0, seconds) for seconds in grown), 3)


def annotation_text(annotation: Annotation) -> str:
    """An annotation as JSON, without its id and its label, which have columns of their own."""
    data = annotation.to_dict()
    for name in ("id", "label", "box", "area"):
        del data[name]
    return json.dumps(data, separators=(",", ":"))


def annotation_of(id_: str, label: str, text: str) -> Annotation:
    """The inverse of `annotation_text`.

    Raises:
        SegwidgetError, ValueError: the text is no annotation's.
    """
    return Annotation.from_dict({**json.loads(text), "id": id_, "label": label})


def info_text(info: ImageInfo) -> str:
    """What is known of an image, as JSON."""
    return json.dumps(asdict(info))


def info_of(text: str) -> ImageInfo:
    """The inverse of `info_text`."""
    return ImageInfo(**json.loads(text))


def labels_text(labels: LabelSet) -> str:
    """Labels as JSON, without loss."""
    return json.dumps(labels.to_json())


def labels_of(text: str) -> LabelSet:
    """The inverse of `labels_text`."""
    return LabelSet.from_json(json.loads(text))


def joined(labels: LabelSet, more: Iterable[Label]) -> LabelSet:
    """Labels with those of others at their end whose names they lack.

    A hotkey that is taken, and a parent that is not there, are left out.
    """
    for label in more:
        if label.name in labels.names:
            continue
        hotkeys = {other.hotkey for other in labels if other.hotkey}
        label = replace(
            label,
            hotkey="" if label.hotkey in hotkeys else label.hotkey,
            parent=label.parent if label.parent in labels.names else "",
        )
        labels = replace(labels, labels=(*labels, label))
    return labels


def json_text(name: str, value: Any) -> str:
    """A value as JSON.

    Raises:
        StoreError: one that JSON does not hold.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"The value {name!r} cannot be kept: {error}. Expected what JSON holds: text, numbers, "
            "True, False, None, and lists and dictionaries of these."
        ) from error
