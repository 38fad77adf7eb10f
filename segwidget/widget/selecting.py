"""Has pages select a kept mask: which one is selected is theirs to know, each view for itself."""

from __future__ import annotations

import traitlets

from segwidget.errors import AnnotationError
from segwidget.widget.binding import SessionWidget


class SelectingWidget(SessionWidget):
    """A widget whose pages select a mask when Python says so."""

    selection = traitlets.Unicode(
        "", read_only=True, help="The id of an annotation that is to be selected; empty when it is."
    ).tag(sync=True, echo_update=False)

    def select(self, id: str) -> None:  # noqa: A002 - as the messages call it
        """Have every view select a kept mask, once; a view that comes first finds it waiting.

        Args:
            id: of the annotation.

        Raises:
            AnnotationError: there is no such annotation.
            ClosedError: after ``close``.
        """
        with self._lock:
            self._require_open()
            if id not in {annotation.id for annotation in self._session.annotations}:
                raise AnnotationError(
                    f"There is no annotation {str(id)[:60]!r} to select; expected the id of one of "
                    f"the {len(self._session.annotations)} in seg.annotations."
                )
            self._assign("selection", "")  # so that the same is selected again
            self._assign("selection", id)

    def note_selected(self, id: str) -> None:  # noqa: A002 - as the messages call it
        """A page has selected it: one that is loaded later is free to select something else."""
        with self._lock:
            if self.selection == id:
                self._assign("selection", "")
