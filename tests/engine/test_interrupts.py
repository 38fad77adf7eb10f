"""Ctrl+C waits for the end of a block, and is not lost."""

import signal
import threading

import pytest

from segwidget.engine.interrupts import interrupts_wait


def press():
    signal.raise_signal(signal.SIGINT)


def block(*steps):
    with interrupts_wait():
        for step in steps:
            step()


def full_disk():
    raise OSError("full disk")


def test_an_interrupt_waits_for_the_end_of_the_block():
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        block(press, lambda: done.append("written"), lambda: done.append("counted"))
    assert done == ["written", "counted"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_ends_the_block_and_later_interrupts_come_at_once():
    with pytest.raises(OSError, match="full disk"):
        block(full_disk)
    with pytest.raises(KeyboardInterrupt):
        press()


def test_other_threads_and_ignored_interrupts_are_left_alone():
    seen = []

    def work():
        with interrupts_wait():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_wait():
            press()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
