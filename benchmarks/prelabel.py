"""Measure bulk runs: images per second with one worker and with two, and where the time goes.

    python benchmarks/prelabel.py
    python benchmarks/prelabel.py --images 8 --points-per-side 4      a short run

Pictures are made of those that scikit-image ships. Each row is one run of `prelabel` into a new
folder, from its first image on: Python and the model are loaded by then. "Outside the network" is
what is neither the image encoder nor the mask decoder: waiting for images, judging and encoding
masks, writing. It is measured in this process, by a clock around both. Numbers: `prelabel.md`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import skimage.data
import torch
from PIL import Image

from segwidget.engine.prelabel import PrelabelReport, prelabel
from segwidget.engine.prelabel_job import Job, Prelabeler, keep_no_embeddings
from segwidget.inference.everything import EverythingSettings

SOURCES = ("astronaut", "chelsea", "coffee", "rocket")
SA1B = 11_000_000


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Bulk runs: images per second, and where.")
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 427), metavar=("W", "H"))
    parser.add_argument("--points-per-side", type=int, default=16)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args(argv)
    settings = EverythingSettings(points_per_side=arguments.points_per_side)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        images = root / "images"
        draw(images, arguments.images, tuple(arguments.size))
        run = {"model": arguments.model, "device": arguments.device, "settings": settings}
        print(f"{arguments.images} images of {arguments.size[0]} × {arguments.size[1]}, ", end="")
        print(f"{arguments.points_per_side}² points, {arguments.model} on {arguments.device}\n")
        print("workers   images/s   masks/image   days for 11 million")
        for workers in (1, 2):
            begun = []  # when the first image began: by then the model is loaded

            def watch(report: PrelabelReport, begun: list[float] = begun) -> None:
                if report.begun and not begun:
                    begun.append(time.perf_counter())

            report = prelabel(
                images,
                root / f"out{workers}",
                workers=workers,
                shard_size=max(1, arguments.images // 4),
                on_progress=watch,
                **run,
            )
            rate = report.done / (time.perf_counter() - begun[0])
            print(f"{workers:7}   {rate:8.3f}   {report.masks / report.done:11.1f}   ", end="")
            print(f"{SA1B / rate / 86400:19,.0f}")
        print("\nwhere one worker's time goes")
        for part, share in shares(images, root / "shares", arguments).items():
            print(f"  {part:20} {share:6.1%}")
    return 0


def draw(folder: Path, count: int, size: tuple[int, int]) -> None:
    folder.mkdir()
    for index in range(count):
        picture = Image.fromarray(getattr(skimage.data, SOURCES[index % len(SOURCES)])())
        picture = picture.rotate(7 * (index // len(SOURCES)), Image.Resampling.BILINEAR)
        picture.resize(size).save(folder / f"{index:04}.jpg", quality=92)


def shares(images: Path, out: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Shares of the time of one worker, in this process."""
    out.mkdir()
    keep_no_embeddings()
    job = Job(
        model=arguments.model,
        device=arguments.device,
        settings={"points_per_side": arguments.points_per_side},
        threads=torch.get_num_threads(),
    )
    prelabeler = Prelabeler(job, out)
    network = prelabeler._loaded().model.network
    spent = {"encoder": 0.0, "decoder": 0.0}
    for name, methods in (("encoder", ("encode",)), ("decoder", ("prepare", "decode"))):
        for method in methods:
            if hasattr(network, method):
                setattr(network, method, timed(getattr(network, method), name, spent))
    entries = [{"key": p.name, "path": str(p)} for p in sorted(images.iterdir())]
    prelabeler.run({"shard": "000000", "images": entries[:1]})  # what is slow only once
    spent.update(encoder=0.0, decoder=0.0)
    begun = time.perf_counter()
    record = prelabeler.run({"shard": "000001", "images": entries})
    total = time.perf_counter() - begun
    seconds = record["seconds"]
    parts = {
        "encoder": spent["encoder"],
        "decoder": spent["decoder"],
        "judging masks": seconds["model"] - sum(spent.values()),
        "waiting for images": seconds["open"],
        "writing": seconds["write"],
        "outside the network": total - sum(spent.values()),
    }
    return {name: value / total for name, value in parts.items()}


def timed(function: Any, name: str, spent: dict[str, float]) -> Any:
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        begun = time.perf_counter()
        result = function(*arguments, **keywords)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        spent[name] += time.perf_counter() - begun
        return result

    return wrapped


if __name__ == "__main__":
    raise SystemExit(main())
