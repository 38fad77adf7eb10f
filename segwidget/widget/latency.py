"""Small answers are pushed through a connection that would hold them back.

Without segwidget's server extension (:mod:`segwidget.server`), TCP keeps a small message until the
browser has confirmed the one before, which takes up to 40 ms while messages come thick and fast.
A full segment is not kept. So behind an answer smaller than a segment goes a message that
fills one, and that no page listens to. On loopback, where browser and kernel share a computer, a
segment has nearly 64 KiB, and most answers are larger than that: only those about very long or
very tall pictures are followed by a filler. Beyond loopback segments have some 1,400 bytes, so that
the answers alone suffice.
"""

from __future__ import annotations

from segwidget.widget.answerer import Answer
from segwidget.widget.binding import SessionWidget

#: Bytes of a full TCP segment on loopback: its MTU of 65,536 less the headers, rounded up.
SEGMENT = 65_536

_FILLER = bytes(SEGMENT)


class LatencyWidget(SessionWidget):
    """Sends a filler behind answers that a page waits for and that are small."""

    def _show(self, answer: Answer, request: str) -> None:
        super()._show(answer, request)
        # What Python has asked for goes out with other traits, later: nobody waits for it.
        shown = self._answered == request and not self._holding_sync
        if shown and answer.candidates.seen_logits.size < SEGMENT:  # each travels as a byte
            self.send({"op": "filler"}, buffers=[_FILLER])
