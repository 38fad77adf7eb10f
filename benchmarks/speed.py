"""Measure what a person waits for: import, embedding, answers, messages, memory.

    python benchmarks/speed.py

Medians of warm runs on two threads. Other work on the computer shows in the numbers: the least
time is printed beside the median.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from subprocess import PIPE

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import SegwidgetError

IMAGE_SIZES = ((640, 480), (1920, 1080), (4000, 3000), (3000, 500))
MAX_MESSAGE = 256_000


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What a person waits for.")
    parser.add_argument("--model", default="embedded", help="name or checkpoint (default embedded)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args(argv)
    os.environ["SEGWIDGET_EMBEDDINGS_MAX_BYTES"] = "0"  # or they would be found on disk
    try:
        # First, while this process is small: Linux counts a parent's peak as its child's.
        peaks = memory(arguments.model, arguments.threads)
        lines = [
            *about(arguments.threads),
            *imports(max(5, arguments.runs // 2)),
            *answers(arguments.model, arguments.threads, arguments.runs),
            *peaks,
            *messages(arguments.model),
        ]
    except SegwidgetError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def about(threads: int) -> list[str]:
    import torch

    return [
        f"Python {platform.python_version()}, PyTorch {torch.__version__.split('+')[0]}, "
        f"{platform.machine()}, {threads} threads.",
        "",
        "| what | median | least |",
        "| --- | --: | --: |",
    ]


def imports(runs: int) -> list[str]:
    """A fresh interpreter with and without the package."""

    def start(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True)

    bare, ours = clock_by_turns([start("pass"), start("import segwidget")], runs)
    more = [b - a for a, b in zip(bare, ours, strict=True)]
    return [
        line("`python -c pass`", bare),
        line("`import segwidget`", ours),
        line("`import segwidget` beyond `pass`", more),
    ]


def answers(model: str, threads: int, runs: int) -> list[str]:
    """Embedding an image and answering prompts on it."""
    import torch

    from segwidget import Box, Point, Predictor, open_image
    from segwidget.inference.embeddings import embedding_cache

    torch.set_num_threads(threads)
    predictor = Predictor(model, "cpu")
    image = open_image(picture(640, 480))

    def embed() -> None:
        predictor.reset_image(forget=True)
        predictor.set_image(image)

    embedding, network = clock(embed, runs), predictor.model.network
    assert len(embedding_cache) == 1
    x = network.sam.preprocess(predictor.frame.resize(image.pixels))
    encode = clock(lambda: network.embed(x), runs)
    point, box = [Point(300, 200)], [Box(100, 100, 400, 300)]
    first = clock(lambda: predictor.predict(point, refine=False), runs)
    boxed = clock(lambda: predictor.predict(box, refine=False), runs)
    logits = predictor.predict(point).low_res_logits[0]
    two = [*point, Point(350, 250, 0)]
    refined = clock(lambda: predictor.predict(two, mask_input=logits), runs)
    masks = clock(lambda: predictor.predict(point, refine=False).masks, runs)
    return [
        line("embed a 640 × 480 image", embedding),
        line("of which the image encoder", encode),
        line("answer a point", first),
        line("answer a box", boxed),
        line("refine with a second point", refined),
        line("answer a point, with three full-size masks", masks),
    ]


def memory(model: str, threads: int) -> list[str]:
    """Peak resident memory of fresh interpreters."""
    code = f"""
import resource, sys
def peak():
    # Linux counts kilobytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
import torch, numpy
torch.set_num_threads({threads})
peak()
from segwidget import Point, Predictor
predictor = Predictor({model!r}, "cpu")
peak()
predictor.set_image(numpy.zeros((480, 640, 3), numpy.uint8))
predictor.predict([Point(300, 200)]).masks
peak()
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=PIPE, text=True)
    torch_only, loaded, answered = (float(text) for text in done.stdout.split())
    return [
        "",
        "| peak memory | MB |",
        "| --- | --: |",
        f"| with torch imported | {torch_only:.0f} |",
        f"| with the model loaded | {loaded:.0f} |",
        f"| after an image and an answer | {answered:.0f} |",
    ]


def messages(model: str) -> list[str]:
    """What an answer weighs on its way to the page."""
    from segwidget import Point, Predictor
    from segwidget.widget.protocol import candidates_to_json

    predictor = Predictor(model, "cpu")
    lines = ["", f"| image | answer, kB (at most {MAX_MESSAGE // 1000}) |", "| --- | --: |"]
    for width, height in IMAGE_SIZES:
        predictor.set_image(picture(width, height))
        candidates = predictor.predict([Point(width / 2, height / 2)])
        message = candidates_to_json(candidates, "view-1", 20.0)
        logits = message.pop("logits")
        size = len(logits) + len(json.dumps(message).encode())
        lines.append(f"| {width} × {height} | {size / 1000:.1f} |")
        predictor.reset_image(forget=True)
    return lines


def picture(width: int, height: int) -> NDArray[np.uint8]:
    """Some smooth colors: content does not change how long anything takes."""
    x, y = np.linspace(0, 255, width), np.linspace(0, 255, height)[:, None]
    channels = np.broadcast_arrays(x + 0 * y, y + 0 * x, (x + y) / 2)
    return np.stack(channels, axis=-1).astype(np.uint8)


def clock(call: Callable[[], object], runs: int) -> list[float]:
    """Seconds of each of so many runs, after three to warm up."""
    for _ in range(3):
        call()
    return [seconds(call) for _ in range(runs)]


def clock_by_turns(calls: Sequence[Callable[[], object]], runs: int) -> list[list[float]]:
    """As `clock` for several, in turns, so that a busy moment hits all of them."""
    for call in calls:
        call()
    rounds = [[seconds(call) for call in calls] for _ in range(runs)]
    return [list(times) for times in zip(*rounds, strict=True)]


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def line(what: str, times: Sequence[float]) -> str:
    return f"| {what} | {1000 * statistics.median(times):.1f} ms | {1000 * min(times):.1f} ms |"


if __name__ == "__main__":
    sys.exit(main())
