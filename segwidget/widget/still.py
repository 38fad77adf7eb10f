"""The picture before the live view in a notebook, for whoever opens it without its kernel.

JupyterLab prefers a live view to a picture in the same output even where no kernel is left to fill
it, and says "Loading widget …" for good. So in JupyterLab and Jupyter Notebook the picture is an
output of its own before the live view, which hides it (``js/src/host/still.ts``) for as long as it
is there. It is drawn anew when what is kept has changed, so that the notebook is saved with it.
Elsewhere a page could not know the picture, and it stays in the live view's output.

Between the two stands a rule that hides the live view's place for as long as there is nothing in it
but Jupyter's words, "Loading widget …" or "model not found": the picture says more. Jupyter follows
rules of notebooks that it trusts, which are those that were run on the same computer; in others it
takes them out, and its words stay below the picture. No program of ours runs where no kernel is.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import uuid
from typing import Any

import traitlets

from segwidget.widget import threads
from segwidget.widget.binding import Start
from segwidget.widget.snapshot import SnapshotWidget

#: Seconds without another change until the picture is drawn anew.
REST = 2.0

_PNG = "image/png"
#: The class of the rule's element, by which the rule finds its place.
RULE = "segwidget-until-live"
_ROW = f".jp-OutputArea-child:has(style.{RULE})"
_RULE = (
    f'<style class="{RULE}">'
    f"{_ROW}, "  # the rule's own row
    f"{_ROW} + .jp-OutputArea-child:not(:has(.jp-OutputArea-output > *)) {{ display: none; }}"
    "</style>"
)
_log = logging.getLogger(__name__)


class StillWidget(SnapshotWidget):
    """A widget whose picture in the notebook follows what is kept.

    Args:
        start: see :class:`Start`.
    """

    def __init__(self, start: Start) -> None:
        self._still: str | None = None  # what the notebook calls the picture, once it has one
        self._redrawing: threading.Timer | None = None
        super().__init__(start)

    def _ipython_display_(self, **kwargs: Any) -> None:
        """Display the picture and, after it, the live view's rule and the live view.

        Raises:
            NotImplementedError: the page is not known to hide the picture; IPython then takes
                ``_repr_mimebundle_``.
        """
        bundle = self._repr_mimebundle_(**kwargs) if hides_stills() else None
        if bundle is None:
            raise NotImplementedError
        from IPython.display import display

        data, metadata = bundle
        still = {name: data[name] for name in (_PNG, "text/plain")}
        self._still = self._still or f"segwidget-{uuid.uuid4().hex}"
        live = {name: value for name, value in data.items() if name != _PNG}
        display(still, raw=True, display_id=self._still)  # type: ignore[no-untyped-call]
        rule = {"text/html": _RULE, "text/plain": ""}
        display(rule, raw=True)  # type: ignore[no-untyped-call]
        display(live, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """End the widget; its picture is what stays in the cell."""
        timer = self.__dict__.get("_redrawing")
        if timer is not None:
            timer.cancel()
            self._redraw()
        super().close()

    @traitlets.observe("annotations", "labels")
    def _on_other_masks(self, _change: Any) -> None:
        if self._still is None:
            return
        with self._lock:
            if self._redrawing is not None:
                self._redrawing.cancel()
            self._redrawing = threading.Timer(REST, self._redraw)
            self._redrawing.daemon = True
            self._redrawing.start()

    def _redraw(self) -> None:
        """Put the picture of now into the notebook; one that fails leaves the old one there."""
        with threads.at_work():
            try:
                from IPython.display import update_display

                with self._lock:
                    self._redrawing = None
                still = {_PNG: self._png(), "text/plain": repr(self)}
                update_display(still, raw=True, display_id=self._still)  # type: ignore[no-untyped-call]
            except Exception:
                _log.warning("The picture in the notebook is not of now.", exc_info=True)


def hides_stills() -> bool:
    """Whether the page is JupyterLab's or Jupyter Notebook's, as far as a kernel can tell."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    # Jupyter Server tells a kernel the notebook that it is for. VS Code can ask the same server
    # for kernels; it marks the names of its notebooks.
    notebook = os.environ.get("JPY_SESSION_NAME", "")
    return hasattr(shell, "kernel") and bool(notebook) and "-jvsc-" not in notebook
