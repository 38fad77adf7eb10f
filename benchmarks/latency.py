"""Measure what a click waits for beside the model, in a real JupyterLab, answered by the kernel.

    python benchmarks/latency.py
    python benchmarks/latency.py --clicks 100 --pause 0.05

Click to screen, less the time that the network took: with segwidget's server extension, without
it, and without it and without the filler behind small answers (`segwidget/widget/latency.py`). Two
pictures: a photo, whose answers are large, and a long strip, whose answers are small. The ways take
turns, so that other work on the computer falls on all alike. Needs Chromium (CHROMIUM=path).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.browser.lab_driver import LabPage, LabServer, chromium
from tests.browser.stage import Stage

PICTURES = {"photo, 451 × 300": "data.chelsea()", "strip, 451 × 44": "data.chelsea()[120:164]"}
CELL = """
import torch
from skimage import data
from segwidget import Segmenter
from segwidget.widget import latency
torch.set_num_threads(1)
seg = Segmenter({picture})
took = {{}}
seg.observe(lambda _: took.update({{seg._answered: seg._shown[seg._answered].ms}}
            if seg._answered in seg._shown else {{}}), "candidates")
seg
"""
# The page shall not answer by itself: the kernel's way is measured.
NO_WORKER = "window.Worker = class { constructor() { throw new Error('no workers here'); } }"
WATCH = """root => {
  const canvas = root.querySelector('canvas.sw-canvas');
  let began = null, last = root.dataset.request;
  window.waits = {};
  canvas.addEventListener('pointerup', () => { began = performance.now(); }, {capture: true});
  new MutationObserver(() => {
    const request = root.dataset.request;
    if (request !== '' && request !== last && began !== null) {
      window.waits[request] = performance.now() - began;
    }
    last = request;
  }).observe(root, {attributes: true, attributeFilter: ['data-request']});
}"""
WAYS = ("extension", "filler alone", "neither")


class PlainServer(LabServer):
    """JupyterLab without the extension."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--ServerApp.jpserver_extensions=segwidget.server=False"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What a click waits for beside the model.")
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two clicks")
    arguments = parser.parse_args(argv)
    print("| picture | way | p50, ms | p95, ms | least, ms | clicks |")
    print("| --- | --- | --: | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        servers = {
            True: LabServer(Path(folder) / "extension").start(),
            False: PlainServer(Path(folder) / "plain").start(),
        }
        try:
            for number, (name, picture) in enumerate(PICTURES.items()):
                stages = {}
                for extended, server in servers.items():
                    notebook = f"{number}.ipynb"
                    server.write_notebook(notebook, [CELL.format(picture=picture)])
                    page = browser.new_context(reduced_motion="reduce").new_page()
                    page.add_init_script(NO_WORKER)
                    lab = LabPage(page, server).open(notebook)
                    lab.command("notebook:run-all-cells")
                    stages[extended] = Stage(lab, server.kernel(notebook)).ready()
                    page.evaluate(WATCH, stages[extended].root.element_handle())
                for way, waits in measured(stages, arguments.clicks, arguments.pause).items():
                    print(row(name, way, waits))
        finally:
            for server in servers.values():
                server.stop()
    return 0


def measured(stages: dict[bool, Stage], clicks: int, pause: float) -> dict[str, list[float]]:
    """Milliseconds from click to screen less the network's, for each way."""
    waits: dict[str, list[float]] = {way: [] for way in WAYS}
    chance = random.Random(0)
    while min(map(len, waits.values())) < clicks:
        for way in chance.sample(WAYS, len(WAYS)):
            stage = stages[way == "extension"]
            segment = 65_536 if way == "filler alone" else 0
            stage.kernel.run(f"latency.SEGMENT = {segment}; took.clear()")
            stage.page.bring_to_front()
            stage.page.evaluate("window.waits = {}")
            width, height = stage.kernel.eval("[seg.image.width, seg.image.height]")
            for i in range(5):  # apart from each other: a click on a prompt would take it away
                stage.click(width * (i + 0.5 + chance.uniform(-0.2, 0.2)) / 5, height / 2)
                time.sleep(chance.uniform(0, 2 * pause))
            took = stage.kernel.eval("took")
            for request, wait in stage.page.evaluate("window.waits").items():
                if request in took:
                    waits[way].append(wait - took[request])
            stage.press("Escape")
            stage.wait_for("root.dataset.request === ''")
    return {way: found[:clicks] for way, found in waits.items()}


def row(picture: str, way: str, waits: list[float]) -> str:
    ordered = sorted(waits)
    p50, p95 = ordered[len(ordered) // 2], ordered[int(0.95 * (len(ordered) - 1))]
    return f"| {picture} | {way} | {p50:.0f} | {p95:.0f} | {ordered[0]:.0f} | {len(ordered)} |"


if __name__ == "__main__":
    sys.exit(main())
