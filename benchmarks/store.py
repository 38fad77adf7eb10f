"""Measure what a confirmed step costs, and kill processes that confirm steps.

    python benchmarks/store.py
    python benchmarks/store.py --kills 1000
    python benchmarks/store.py --annotations 10000 --commits 300

An image of 1,920 × 1,080 with so many annotations of some 20 to 200 pixels across. Each kind of
step is committed with all that the widget checks: nobody else has changed the image in between, and
the disk has confirmed. The kills come at random moments; after each, the file must be sound, all
that was confirmed must be there in order, and at most one step that was not.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from skimage.draw import ellipse

sys.path.insert(0, str(Path(__file__).parents[1]))

from segwidget.annotation.annotation import Annotation, ImageInfo
from segwidget.annotation.store import Store
from segwidget.inference.prompts import Point
from tests.annotation import kills

WIDTH, HEIGHT = 1920, 1080
KEY = "street.jpg"


def blob(chance: np.random.Generator) -> Annotation:
    """An annotation as a click leaves it: a ragged ellipse."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    y, x = chance.integers(0, HEIGHT), chance.integers(0, WIDTH)
    across = chance.uniform(10, 100, 2)
    mask[ellipse(y, x, *across, shape=mask.shape, rotation=chance.uniform(0, 3))] = True
    mask &= chance.random(mask.shape) > 0.02
    mask[y, x] = True
    return Annotation.from_mask(
        mask, label="car", prompts=(Point(int(x), int(y)),), predicted_iou=0.9, seconds=3.0
    )


def measure(folder: Path, count: int, commits: int) -> None:
    """Print how long steps of each kind take on so many annotations."""
    chance, pick = np.random.default_rng(1), random.Random(1)
    path = folder / "store.db"
    items = tuple(blob(chance) for _ in range(count))
    new = [blob(chance) for _ in range(commits)]
    began = time.perf_counter()
    store = Store(path)
    store.add_images([(KEY, ImageInfo(KEY, WIDTH, HEIGHT))])
    store.commit(KEY, items)
    print(f"{count} annotations at once: {time.perf_counter() - began:.2f} s, {store.journal}")

    def at() -> int:
        return pick.randrange(len(items))

    steps = {
        "keep": lambda n: (*items, new[n]),
        "relabel": lambda n: other(items, at(), label=f"label {n % 5}"),
        "hide": lambda n: other(items, at(), visible=n % 2 == 0),
        "to the front": lambda n: front(items, at()),
        "delete": lambda n: items[:-1],
        "undo delete": lambda n: (*items, deleted.pop()),
    }
    deleted: list[Annotation] = []
    print(f"{'step':>14}  median ms  95 % ms  slowest ms")
    for name, step in steps.items():
        took = []
        for n in range(commits):
            after = step(n)
            began = time.perf_counter()
            store.commit(KEY, after, before=items, step=name)
            took.append(1e3 * (time.perf_counter() - began))
            if name == "delete":
                deleted.append(items[-1])
            items = after
        print(
            f"{name:>14}  {np.median(took):9.2f}  {np.quantile(took, 0.95):7.2f}  {max(took):10.2f}"
        )
    store.close()
    began = time.perf_counter()
    with Store(path) as store:
        opened = time.perf_counter()
        assert store.annotations(KEY) == items
        read = time.perf_counter()
    print(
        f"opened in {1e3 * (opened - began):.1f} ms, {len(items)} annotations read in "
        f"{1e3 * (read - opened):.0f} ms, {path.stat().st_size / 1e6:.1f} MB"
    )


def other(items: tuple[Annotation, ...], at: int, **changes: object) -> tuple[Annotation, ...]:
    """The annotations with one of them changed."""
    return (*items[:at], replace(items[at], **changes), *items[at + 1 :])


def front(items: tuple[Annotation, ...], at: int) -> tuple[Annotation, ...]:
    """The annotations with one of them in front."""
    return (*items[:at], *items[at + 1 :], items[at])


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--annotations", type=int, default=1000)
    parser.add_argument("--commits", type=int, default=100, help="of each kind")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", help="where to write; by default a temporary one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        if given.commits:
            measure(Path(name), given.annotations, given.commits)
        if given.kills:
            began = time.perf_counter()
            report = kills.run(name, given.kills, given.seed)
            print(
                f"{report.kills} kills in {time.perf_counter() - began:.0f} s, {report.files} "
                f"stores: {report.confirmed} annotations confirmed and none lost; "
                f"{report.while_saving} kills within a commit, {report.unconfirmed_saved} of which "
                f"had saved it unconfirmed; {report.while_opening} kills before the store was open"
            )


if __name__ == "__main__":
    main()
