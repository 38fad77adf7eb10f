"""Kills processes that keep annotations, and looks at what is left.

    python tests/annotation/kills.py FOLDER --kills 15 --seed 1

Prints a JSON object. Forks, so it is a program of its own, which has no threads.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.store import Store

KEY, SIDE = "a.png", 64
MOST = 30  # annotations that there are at a time; older ones are deleted
OPENING = 0.25  # of the processes, which are killed in their first moments
LATEST = 0.02  # seconds until a process is killed: after it began, or told the last line waited for
MOST_TOLD = 24  # lines that are waited for: however slow the computer is, something is confirmed
NEW_FILE_EVERY = 8


@dataclass
class Report:
    """What came of it.

    Attributes:
        kills: how many processes were killed.
        confirmed: annotations that they had confirmed, together.
        unconfirmed_saved: kills after which one annotation was there that was not confirmed.
        while_saving: kills between the beginning of a commit and its confirmation.
        while_opening: kills before the store was open.
        files: stores that were made.
    """

    kills: int = 0
    confirmed: int = 0
    unconfirmed_saved: int = 0
    while_saving: int = 0
    while_opening: int = 0
    files: int = 0


def keep_for_ever(path, tell):
    """Keep annotations, and tell of each before and once it is confirmed."""
    store = Store(path)
    store.add_images([(KEY, None)])
    items = store.annotations(KEY)
    tell("ready")
    n = len(items)
    while True:
        n += 1
        mask = np.zeros((SIDE, SIDE), bool)
        mask[n % 50 : n % 50 + 9, n % 31 : n % 31 + 20] = True
        new = Annotation.from_mask(mask, label="thing")
        after = (*items[-MOST:], new)
        tell(f"begin {new.id}")
        store.commit(KEY, after, before=items, step="keep thing")
        tell(f"kept {new.id}")
        items = after


def killed(path, lines, seconds):
    """Start a process that keeps annotations, and kill it.

    Args:
        path: of the store.
        lines: that it has to have told first.
        seconds: that it has after that.

    Returns:
        What it told.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            # One write of few bytes arrives whole or not at all.
            keep_for_ever(path, lambda line: os.write(writing, f"{line}\n".encode()))
        except BaseException as error:
            os.write(writing, f"failed {error!r}\n".encode())
        finally:
            os._exit(1)
    os.close(writing)
    told = b""
    while told.count(b"\n") < lines and (more := os.read(reading, 4096)):
        told += more
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as rest:
        return (told + rest.read()).decode().splitlines()


def judge(path, lines, before, report):
    """Check that all is there that was confirmed, in order, and at most one more.

    Returns:
        The ids that are there now.
    """
    assert not [line for line in lines if line.startswith("failed")], lines[-1]
    begun = [line.split()[1] for line in lines if line.startswith("begin ")]
    confirmed = [line.split()[1] for line in lines if line.startswith("kept ")]
    with Store(path) as store:
        (verdict,) = store._read("PRAGMA integrity_check")[0]
        there = [item.id for item in store.annotations(KEY)] if KEY in store else []
    assert verdict == "ok", verdict

    def state(kept):
        items = list(before)
        for id_ in kept:
            items = [*items[-MOST:], id_]
        return items

    more = there != state(confirmed)
    if more:
        assert len(begun) == len(confirmed) + 1, f"{there} after {lines[-2:]}"
        assert there == state(begun), f"{there} after {lines[-2:]}"
    report.kills += 1
    report.confirmed += len(confirmed)
    report.unconfirmed_saved += more
    report.while_saving += len(begun) > len(confirmed)
    report.while_opening += not lines
    return there


def run(folder, kills, seed, progress=None):
    """Kill so many processes, one after the other, at random moments."""
    chance, report = random.Random(seed), Report()
    path, there = None, []
    for n in range(kills):
        if n % NEW_FILE_EVERY == 0:
            path, there = Path(folder) / f"{report.files}.db", []
            report.files += 1
        waited_for = 0 if chance.random() < OPENING else chance.randint(1, MOST_TOLD)
        lines = killed(path, waited_for, chance.uniform(0, LATEST))
        there = judge(path, lines, there, report)
        if progress is not None:
            progress(report)
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    json.dump(asdict(run(given.folder, given.kills, given.seed)), sys.stdout)
