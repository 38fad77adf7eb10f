"""Write and read the masks of a shard in every format, and compare.

    python benchmarks/formats.py --data shards/val/bsds500.tar

One row a format: how many masks (or boxes), the mean and the lowest IoU of what came back, how many
were lost, the size of the files, the seconds of both ways. Formats with one object a pixel lose
what overlaps; so all is measured again on the masks of each image's first person, which in a set
such as bsds500 do not overlap.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.registry import FORMATS, get_format
from segwidget.annotation.formats.round_trip import read_back
from segwidget.annotation.formats.shards import ShardImage, read_shard
from segwidget.errors import SegwidgetError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Masks out and in again, in every format.")
    parser.add_argument("--data", type=Path, required=True, help="a shard (.tar)")
    parser.add_argument("--limit", type=int, default=10, help="images (default 10)")
    parser.add_argument("--formats", nargs="*", default=list(FORMATS), help="some of them")
    arguments = parser.parse_args(argv)
    try:
        images = [one for one, _ in zip(read_shard(arguments.data), range(arguments.limit))]  # noqa: B905
        whole = [record(one, everyone=True) for one in images]
        single = [record(one, everyone=False) for one in images]
        rows = []
        for name in tqdm(arguments.formats, desc="Formats", unit="format"):
            rows.append([name, *measure(whole, name), *measure(single, name)[:4]])
    except SegwidgetError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments.data.name}, {len(images)} images\n")
    head = ("all masks", "mean IoU", "lowest", "lost", "kB", "s")
    print("| | " + " | ".join((*head, "one person's", "mean IoU", "lowest", "lost")) + " |")
    print("| --- |" + " ---: |" * 10)
    for row in rows:
        print("| " + " | ".join(row) + " |")
    return 0


def record(one: ShardImage, *, everyone: bool) -> Annotations:
    height, width = one.image.shape[:2]
    first = min((mask.annotator for mask in one.masks), default=0)
    items = [
        Annotation.from_rle(mask.rle, label=f"person {mask.annotator}")
        for mask in one.masks
        if mask.rle.area and (everyone or mask.annotator == first)
    ]
    return Annotations(items, ImageInfo(f"{one.name}.png", width, height))


def measure(records: list[Annotations], name: str) -> list[str]:
    """Masks, mean IoU, lowest IoU, lost, kB, seconds."""
    chosen = get_format(name)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of overlaps, which the numbers tell
        path = Path(place) / ("data" if chosen.kind == "folder" else f"data{chosen.suffix}")
        began = time.perf_counter()
        written = chosen.write(records, path, images=None)
        done = read_back(records, written, chosen)
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in Path(place).rglob("*") if file.is_file())
    return [
        f"{done.count:,}", f"{done.mean:.4f}", f"{done.min:.4f}", f"{done.lost:,}",
        f"{size / 1000:,.0f}", f"{seconds:.1f}",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
