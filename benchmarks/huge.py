"""Measure whether large pictures and many objects stay fluid, in the page and in the kernel.

    python benchmarks/huge.py

In the page: the demo page in a headless Chromium, as it opens, pans and zooms. A task or a gap
between two frames of more than 100 ms is what a person feels as a stall. In the kernel: keeping,
undoing and saving beside 1,000 annotations, and opening an image of 400 million pixels. Other work
on the computer shows in the numbers.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

JS = Path(__file__).parents[1] / "js"
SCENES = ("size=960x640&objects=1000", "size=4000x3000", "size=4000x3000&objects=1000")

# Installed before anything of the page runs.
WATCH = """
window.stalls = {tasks: [], gaps: []};
new PerformanceObserver(list => {
  for (const task of list.getEntries()) window.stalls.tasks.push(task.duration);
}).observe({type: 'longtask', buffered: true});
{
  let last = performance.now();
  const frame = now => {
    window.stalls.gaps.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Large pictures and many objects.")
    parser.add_argument("--seconds", type=float, default=3.0, help="of panning, and of zooming")
    parser.add_argument("--only", choices=["page", "kernel"], help="measure one of the two")
    arguments = parser.parse_args(argv)
    if arguments.only != "kernel":
        page(arguments.seconds)
    if arguments.only != "page":
        kernel()
    return 0


def page(seconds: float) -> None:
    """Open the demo page's scenes and move about in them."""
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        subprocess.run(
            ["node", "build.mjs", "--demo", folder], cwd=JS, check=True, stdout=subprocess.DEVNULL
        )
        handler = functools.partial(_Quiet, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        print("\nMilliseconds: the longest task, the longest gap between frames, frames a second\n")
        print("| Scene | Doing | Longest task | Longest gap | Frames / s |")
        print("|---|---|---:|---:|---:|")
        for scene in SCENES:
            tab = browser.new_page(viewport={"width": 1200, "height": 800})
            tab.goto(f"http://127.0.0.1:{server.server_port}/?{scene}", timeout=180_000)
            tab.wait_for_selector(".segwidget[data-painted=true]", timeout=180_000)
            tab.evaluate(WATCH)
            for doing, act in (("pan", _pan), ("zoom", _zoom), ("select", _select)):
                _watch(tab, scene, doing, act, seconds)
            tab.close()
        browser.close()
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        pass


def _watch(
    tab: Any, scene: str, doing: str, act: Callable[[Any, float], None], seconds: float
) -> None:
    tab.wait_for_timeout(1500)  # what opening has left to do is not moving's
    tab.evaluate("window.stalls = {tasks: [], gaps: []}")
    act(tab, seconds)
    seen = tab.evaluate("window.stalls")
    gaps = seen["gaps"][1:] or [0.0]
    tasks = max(seen["tasks"], default=0.0)
    rate = 1000 / statistics.fmean(gaps) if any(gaps) else 0.0
    shown = f"{tasks:.0f}" if tasks else "< 50"
    print(f"| {scene} | {doing} | {shown} | {max(gaps):.0f} | {rate:.0f} |")


def _middle(tab: Any) -> tuple[float, float]:
    box = tab.locator("canvas.sw-canvas").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _pan(tab: Any, seconds: float) -> None:
    """Zoom in, then push the picture about with the wheel's other axis."""
    x, y = _middle(tab)
    tab.locator("canvas.sw-canvas").focus()
    tab.mouse.move(x, y)
    tab.mouse.wheel(0, -600)
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        tab.mouse.wheel(40 if step % 40 < 20 else -40, 0)
        step += 1


def _zoom(tab: Any, seconds: float) -> None:
    x, y = _middle(tab)
    tab.mouse.move(x, y)
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        tab.mouse.wheel(0, -60 if step % 50 < 25 else 60)
        step += 1


def _select(tab: Any, seconds: float) -> None:
    """Point at things: what is under the pointer lights up."""
    x, y = _middle(tab)
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        tab.mouse.move(x + 150 * np.cos(step / 9), y + 100 * np.sin(step / 7))
        step += 1


def kernel() -> None:
    """Time what is done beside 1,000 annotations, and the opening of a huge image."""
    from segwidget import Annotations, Point, Segmenter, open_image
    from segwidget.annotation.annotation import Annotation
    from segwidget.inference.rle import Rle

    height, width = 3000, 4000
    y, x = np.mgrid[-80:81, -80:81]
    items = []
    for i in range(1000):
        wave = 1 + 0.2 * np.sin(5 * np.arctan2(y, x))
        mask = np.hypot(x, y) < (25 + 35 * (i * 0.3247 % 1)) * wave
        corner = int(i * 0.618034 % 1 * (width - 161)), int(i * 0.754878 % 1 * (height - 161))
        rle = Rle.encode_box(mask, corner, (height, width))
        items.append(Annotation.from_rle(rle, label="object", prompts=(Point(*corner),)))
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    seg = Segmenter(pixels, annotations=items)
    seg.wait()

    def draft() -> None:
        seg.prompts = [Point(2000, 1500)]

    rows: list[tuple[str, list[float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "many.coco.json"
        rows += [
            ("keep", timed(seg.keep, before=draft)),
            ("undo", timed(seg.undo)),
            ("redo", timed(seg.redo)),
            ("save", timed(lambda: seg.annotations.save(file))),
            ("load", timed(lambda: Annotations.load(file))),
        ]
        seg.close()
        print("\nBeside 1,000 annotations of 4000 x 3000 pixels, milliseconds\n")
        table(rows)

        path, side = Path(folder) / "huge.raw", 20_000
        np.memmap(path, np.uint8, "w+", shape=(side, side, 3))[::512, ::512] = 200
        mapped = np.memmap(path, np.uint8, "r", shape=(side, side, 3))
        before = anonymous_mb()
        image = open_image(mapped)
        rows = [
            ("SHA-256", timed(lambda: image.sha256, runs=1)),
            ("preview", timed(image.to_preview, runs=1)),
        ]
        huge = Segmenter(image)
        rows.append(("embed", timed(huge.wait, runs=1)))
        huge.prompts = [Point(9_000, 9_000)]
        rows.append(("keep", timed(huge.keep, runs=1)))
        print("\nAn image of 20,000 x 20,000 pixels, mapped, milliseconds\n")
        table(rows)
        print(f"\nmemory beyond the mapped file: {anonymous_mb() - before:.0f} MB more than before")
        huge.close()


def timed(
    work: Callable[[], object], *, before: Callable[[], None] | None = None, runs: int = 7
) -> list[float]:
    """Milliseconds of each run."""
    times = []
    for _ in range(runs):
        if before is not None:
            before()
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return times


def table(rows: Sequence[tuple[str, list[float]]]) -> None:
    """Median, least and most."""
    print("| | Median | Least | Most |\n|---|---:|---:|---:|")
    for name, times in rows:
        print(f"| {name} | {statistics.median(times):.0f} | {min(times):.0f} | {max(times):.0f} |")


def anonymous_mb() -> float:
    """Memory of this process that is no file's, in MB; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1000


if __name__ == "__main__":
    sys.exit(main())
