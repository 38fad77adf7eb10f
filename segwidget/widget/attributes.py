"""What is said of kept masks beside their labels, and the labels themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from segwidget.annotation.labels import LabelsLike
from segwidget.widget.binding import SessionWidget


class AttributesWidget(SessionWidget):
    """A widget whose annotations have attributes, parents and relations; each change is a step."""

    def set_labels(self, labels: LabelsLike, renames: Mapping[str, str] | None = None) -> None:
        """Replace the labels, and relabel what is kept.

        Args:
            labels: names, names with colors, or labels to choose from.
            renames: new names by old ones, such as ``{"car": "vehicle"}``.

        Raises:
            LabelError: labels that cannot be used, or lack what annotations have.
        """
        self._change(lambda: self._session.set_labels(labels, renames))

    def set_store_labels(
        self, labels: LabelsLike, renames: Mapping[str, str] | None = None
    ) -> bool:
        """Replace the labels of the store, for all of its images, and go on here with the new ones.

        No step of this image, so undo does not take it back; what was drafted and all steps stay.
        Without a store, this is `set_labels`.

        Args:
            labels: names, names with colors, or labels to choose from.
            renames: new names by old ones, such as ``{"car": "vehicle"}``; two may become one.

        Returns:
            Whether this image is now as the store has it; ``False`` where somebody else has changed
            its annotations, and it has to be opened again.

        Raises:
            LabelError: labels that cannot be used, or lack what annotations of any image have;
                nothing was changed.
            StoreError: it cannot be written; nothing was changed.
        """
        if self._saving is None:
            self.set_labels(labels, renames)
            return True
        with self._lock:  # no step comes between the store and the session
            self._require_open()
            self._saving.set_labels(labels, renames)
            self._session.follow_labels(self._saving.labels, renames)
            same = self._saving.follow(self._session)
            self._publish()
            return same

    def set_attributes(self, ids: Iterable[str], values: Mapping[str, Any]) -> None:
        """Give annotations values of attributes that their labels define.

        Args:
            ids: of the annotations.
            values: by the names of attributes; ``None`` takes a value away.

        Raises:
            AnnotationError: no such annotation or attribute, or a value of another kind.
        """
        self._change(lambda: self._session.set_attributes(ids, values))

    def set_parent(self, ids: Iterable[str], parent: str) -> None:
        """Say which annotation others are parts of.

        Args:
            ids: of the parts.
            parent: the id of the whole; ``""`` for none.

        Raises:
            AnnotationError: no such annotation, or one that would be above itself.
        """
        self._change(lambda: self._session.set_parent(ids, parent))

    def relate(
        self,
        id: str,  # noqa: A002 - as the messages call it
        kind: str,
        other: str,
        related: bool = True,
    ) -> None:
        """Say that an annotation is related to another one, or no longer so.

        Args:
            id: of the annotation.
            kind: one of the labels' relations.
            other: the id of the other one.
            related: or no longer so.

        Raises:
            AnnotationError: no such annotation or relation.
        """
        self._change(lambda: self._session.relate(id, kind, other, related))
