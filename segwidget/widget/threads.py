"""Threads that compute, and how Python ends while they do.

They are daemons, since nobody should have to wait for a model when a notebook ends. But a daemon
that the interpreter kills within PyTorch takes the process down with a message of its own, so the
end waits a little for what is under way, and lets nothing new begin.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 20.0  # seconds at the end of a script; Jupyter itself kills a kernel after 5

_state = threading.Condition()
_at_work = 0
_ending = False


@contextmanager
def at_work() -> Iterator[None]:
    """What is done within is waited for when Python ends, and does not begin any more then."""
    global _at_work
    with _state:
        while _ending:
            _state.wait()  # for good: the interpreter is going
        _at_work += 1
    try:
        yield
    finally:
        with _state:
            _at_work -= 1
            _state.notify_all()


def ending() -> bool:
    """Whether Python is about to end: long work stops early."""
    return _ending


def begin(work: Callable[[], None], name: str) -> threading.Thread:
    """Do some work that ends by itself on a thread of its own.

    Args:
        work: what to do.
        name: of the thread, as people read it in a list of threads.
    """

    def run() -> None:
        with at_work():
            work()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


@atexit.register
def finish(patience: float = PATIENCE) -> bool:
    """Let nothing new begin, and wait for what is under way; ``False`` when time is up."""
    global _ending
    with _state:
        _ending = True
        return _state.wait_for(lambda: _at_work == 0, patience)
