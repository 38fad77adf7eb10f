"""A thread that answers one request at a time, the newest first."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from segwidget.widget import threads


class Worker:
    """Runs jobs on one thread. A job that waits is dropped when a newer one comes.

    Nothing is ever printed from the thread: what a job raises goes to ``on_error``.

    Args:
        on_error: called on the thread with whatever a job raised; what it raises itself is dropped,
            or nothing would ever be answered again.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._wake = threading.Condition()
        self._waiting: Callable[[], None] | None = None
        self._running = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Run ``job`` soon, in place of one that still waits; after ``close`` it is dropped."""
        with self._wake:
            if self._closed:
                return
            self._waiting = job
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="segwidget-worker", daemon=True
                )
                self._thread.start()
            self._wake.notify_all()

    def drop(self) -> None:
        """Forget the job that waits, if any."""
        with self._wake:
            self._waiting = None
            self._wake.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs and nothing waits; ``False`` when ``timeout`` seconds pass."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._running and self._waiting is None, timeout)

    def close(self) -> None:
        """Let the running job end and run no other."""
        with self._wake:
            self._closed, self._waiting = True, None
            self._wake.notify_all()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._running = False
                self._wake.notify_all()
                self._wake.wait_for(lambda: self._closed or self._waiting is not None)
                if self._closed:
                    return
                job, self._waiting, self._running = self._waiting, None, True
            try:
                if job is not None:
                    with threads.at_work():
                        job()
            except Exception as e:
                with contextlib.suppress(Exception):
                    self._on_error(e)
            del job  # or it would keep what it holds alive until the next one comes
