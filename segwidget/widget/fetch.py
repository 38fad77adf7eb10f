"""One download on a thread of its own, which tells how far it is a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from segwidget.inference.download import download_checkpoint
from segwidget.inference.registry import ModelRow

# A report is due after so many seconds, or so much of the file: often enough to look alive, also
# where the line stalls just then, and seldom enough to be no load for a page.
PERIOD = 0.25
SHARE = 0.05


class Fetch:
    """Fetches a model's file; clicks are answered meanwhile.

    Its callbacks run on its thread, and are called no more once it is cancelled.

    Args:
        row: the model.
        on_progress: told the bytes that are here, the bytes in all, and what is waited for, in a
            sentence, or ``""``.
        on_end: told how it ended: ``None`` for well, else what went wrong.
    """

    def __init__(
        self,
        row: ModelRow,
        on_progress: Callable[[int, int, str], None],
        on_end: Callable[[Exception | None], None],
    ) -> None:
        self.row = row
        self._on_progress, self._on_end = on_progress, on_end
        self._cancelled = threading.Event()
        self._done, self._message = 0, ""
        self._told_at, self._told_of = float("-inf"), 0
        self.thread = threading.Thread(target=self._run, name="segwidget-download", daemon=True)

    def start(self) -> None:
        """Begin, or go on with what an earlier download has left."""
        self.thread.start()

    def cancel(self) -> None:
        """Stop soon, without waiting for it; what has arrived stays, to be gone on with."""
        self._cancelled.set()

    def _run(self) -> None:
        error = None
        try:
            download_checkpoint(
                self.row,
                progress=self._progress,
                cancelled=self._cancelled.is_set,
                notice=self._notice,
            )
        except Exception as e:
            error = e
        if not self._cancelled.is_set():
            self._on_end(error)

    def _progress(self, done: int, total: int) -> None:
        if done != self._done:
            self._message = ""  # bytes arrive, so nothing is waited for
        self._done = done
        late = time.monotonic() - self._told_at >= PERIOD
        if late or done == total or abs(done - self._told_of) >= SHARE * total:
            self._tell()

    def _notice(self, message: str) -> None:
        self._message = message
        self._tell()

    def _tell(self) -> None:
        self._told_at, self._told_of = time.monotonic(), self._done
        if not self._cancelled.is_set():
            self._on_progress(self._done, self.row.size, self._message)
