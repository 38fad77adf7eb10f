"""Keeps a widget's work in a store: each step is on the disk before the screen shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from segwidget.annotation.annotation import Annotation, ImageInfo
from segwidget.annotation.history import History
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.annotation.store import Store
from segwidget.annotation.store_values import joined
from segwidget.errors import AnnotationError, StoreError
from segwidget.media.image import Image


class Saving:
    """What a widget has saved of one image.

    Args:
        store: or its path, which is opened here and closed with the widget.
        key: of the image in the store, by default its name; it is added where it is missing.
        image: the image.
        labels: those that the widget was given; the store's are kept, and these added.

    Raises:
        StoreError: the store cannot be opened, read or written.
        AnnotationError: what the store has under this key is of another size.
        LabelError: labels that cannot be used.
    """

    def __init__(
        self, store: Store | str | Path, key: str | None, image: Image, labels: LabelsLike
    ) -> None:
        self._own = not isinstance(store, Store)
        self.store = store if isinstance(store, Store) else Store(store)
        self.key = image.name if key is None else key
        try:
            self._open(image, labels)
        except BaseException:
            self.close()
            raise

    def _open(self, image: Image, labels: LabelsLike) -> None:
        info = ImageInfo.of(image)
        known = self.store.info(self.key) if self.key in self.store else None
        if known is None:
            self.store.add_images([(self.key, info)])
        elif (known.width, known.height) != (info.width, info.height):
            raise AnnotationError(
                f"The store knows {self.key!r} as an image of {known.width} × {known.height} "
                f"pixels, but this one has {info.width} × {info.height}. Is it another image? Give "
                "it another key."
            )
        self.other_pixels = known is not None and bool(known.sha256) and known.sha256 != info.sha256
        if known is not None and not known.sha256:
            self.store.set_info(self.key, info)
        present = self.store.labels if self.store.has_labels else None
        if present is None:
            self.labels = LabelSet.of(labels)
        else:
            self.labels = joined(present, () if labels is None else LabelSet.of(labels))
        self.annotations = self.store.annotations(self.key)
        if self.labels != present and (present is not None or labels is not None):
            self.store.set_labels(joined(self.labels, _labels_of(self.annotations, self.labels)))

    def same_place(self, other: Saving | None) -> bool:
        """Whether another one saves the same image into the same file."""
        return other is not None and (
            (self.key, self.store.path.resolve()) == (other.key, other.store.path.resolve())
        )

    def save(self, now: History, before: History) -> None:
        """Commit what a step has changed, if it has changed anything that is kept.

        Args:
            now: the session after the step.
            before: and before it.

        Raises:
            StoreError: it cannot be written, or another notebook has changed the annotations;
                nothing was changed.
        """
        items, labels = now.annotations, now.labels
        if items is not self.annotations and items == self.annotations:
            items = self.annotations
        if items is self.annotations and labels == self.labels:
            return
        self.store.commit(
            self.key,
            items,
            before=self.annotations,
            labels=self._merged(labels) if labels != self.labels else None,
            step=step_name(now, before),
        )
        self.annotations, self.labels = items, labels

    def set_labels(self, labels: LabelsLike, renames: Mapping[str, str] | None = None) -> None:
        """Replace the labels in the store, for all images; see `Store.set_labels`.

        Raises:
            LabelError: labels that cannot be used, or lack what annotations of any image have;
                nothing was changed.
            StoreError: it cannot be written; nothing was changed.
        """
        self.store.set_labels(labels, renames)
        self.labels = self.store.labels

    def follow(self, now: History) -> bool:
        """Go on from what a session holds after such a change, if the store has the same.

        Returns:
            False where somebody else has changed the annotations; then no step is saved any more.
        """
        same = self.store.annotations(self.key) == now.annotations
        if same:
            self.annotations = now.annotations
        return same

    def close(self) -> None:
        """Close the store, where it was opened here."""
        if self._own:
            self.store.close()

    def _merged(self, labels: LabelSet) -> LabelSet:
        """Labels with those that other widgets have added to the store in the meantime."""
        new = [
            label
            for label in (self.store.labels if self.store.has_labels else ())
            if label.name not in self.labels.names
        ]
        return joined(labels, new)


def step_name(now: History, before: History) -> str:
    """What to call the step that led from one state of a session to the other."""
    other = History(before.snapshot)
    other.adopt(before)
    name = other.undo()
    if name is not None and other.snapshot is now.snapshot:
        return f"undo {name}"
    other.adopt(before)
    name = other.redo()
    if name is not None and other.snapshot is now.snapshot:
        return f"redo {name}"
    return now.undo_name or ""


def changed_pixels(key: str) -> StoreError:
    """The sentence for an image that is not the one that was annotated."""
    return StoreError(
        f"The pixels of {key!r} are not those that were annotated before; the size is the same. "
        "Check that the masks still fit, or give the image another key."
    )


def _labels_of(annotations: Iterable[Annotation], labels: LabelSet) -> LabelSet:
    for item in annotations:
        labels = labels if item.label in labels.names else labels.add(item.label)
    return labels
