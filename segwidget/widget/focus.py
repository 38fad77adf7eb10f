"""Looking closer: a part of the image that is embedded on its own, at full resolution."""

from __future__ import annotations

from collections.abc import Iterable

import traitlets

from segwidget.inference.prompts import Box
from segwidget.inference.region import Region
from segwidget.widget.answerer import Answer
from segwidget.widget.binding import SessionWidget


class FocusWidget(SessionWidget):
    """A widget whose prompts can be about a region of its image.

    The region is a part of the work, so that undo crosses its changes and a draft is answered again
    in the region in which it was made.
    """

    region = traitlets.Tuple(
        default_value=None,
        allow_none=True,
        read_only=True,
        help="What the model looks at closely, (x0, y0, x1, y1) in pixels; None for all of it.",
    ).tag(sync=True)

    def focus(self, box: Box | Iterable[float]) -> None:
        """Look closer: have a region embedded on its own, and all prompts answered there.

        Coordinates stay those of the image. A draft goes along if all of it lies within the region;
        otherwise it is dropped, and undo brings it back.

        Args:
            box: ``(x0, y0, x1, y1)`` in pixels of the image. It is rounded outward to at least 16
                pixels; around all of the image, it is as :meth:`leave_region`.

        Raises:
            PromptError: an impossible box, or one outside the image.
        """
        region = Region.around(box, self.image.width, self.image.height)
        self._change(lambda: self._session.focus(region))

    def leave_region(self) -> None:
        """Look at all of the image again; nothing where that is so already."""
        self._change(lambda: self._session.focus(None))

    def _publish(self, request: str | None = None, answer: Answer | None = None) -> None:
        with self._lock, self.hold_sync():
            super()._publish(request, answer)
            region = self._session.region
            self._answerer.focus(region)
            self._assign("region", None if region is None else region.box)
