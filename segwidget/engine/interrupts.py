"""Ctrl+C that waits until two things are both done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Have Ctrl+C wait for the end of the block: what is written is also counted.

    Python tells signals to the main thread alone; in any other thread this does nothing.

    Raises:
        KeyboardInterrupt: at the end of the block, if Ctrl+C was pressed meanwhile and whoever was
            to be told raises it.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    pressed: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            before(pressed[0], None)
