"""What the widget looks like, narrow and wide, light and dark; `make screenshots` keeps pictures.

The README's picture is one of them, so it is never older than the widget.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import ARTIFACTS, OpenNotebook
from tests.browser.stage import Stage

README_PICTURE = Path("notebooks/images/segmenter.png")

CELL = """from skimage import data
from segwidget import Box, Point, Segmenter

seg = Segmenter(data.chelsea(), labels=["cat", "eye", "nose"])
seg.prompts = [Box(140, 85, 200, 150)]
seg.keep(label="eye")
seg.prompts = [Box(292, 110, 348, 162)]
seg.keep(label="eye")
seg"""


def worked_on(open_notebook: OpenNotebook, width: int, *, dark: bool) -> Stage:
    """A widget of that width with two kept masks and a draft."""
    cell = CELL.replace("\nseg.prompts", f"\nseg.layout.width = '{width}px'\nseg.prompts", 1)
    stage = open_notebook([cell], width=width + 260, height=1150, ratio=2, dark=dark)
    stage.click(235, 120)
    stage.kernel.run("seg.picked = int(seg.candidates.area.argmax())")
    expect(stage.part("annotation-row")).to_have_count(2)
    # The picture is taken while nothing is hovered.
    stage.page.mouse.move(5, 5)
    return stage


@pytest.mark.parametrize("width", [400, 760, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_screenshot(open_notebook: OpenNotebook, width: int, dark: bool) -> None:
    stage = worked_on(open_notebook, width, dark=dark)
    box = stage.root.bounding_box()
    assert box is not None
    assert abs(box["width"] - width) <= 2
    # Nothing sticks out: every control lies within the widget.
    outside = stage.root.evaluate(
        """r => { const frame = r.getBoundingClientRect();
                  return [...r.querySelectorAll('button, canvas, select')].filter(e => {
                      const b = e.getBoundingClientRect();
                      return b.width > 0 && (b.left < frame.left - 1 || b.right > frame.right + 1);
                  }).map(e => e.outerHTML.slice(0, 120)); }"""
    )
    assert outside == []
    canvas = stage.canvas.bounding_box()
    assert canvas is not None
    assert canvas["width"] >= 0.55 * width
    if os.environ.get("SCREENSHOTS"):
        ARTIFACTS.mkdir(exist_ok=True)
        theme = "dark" if dark else "light"
        stage.root.screenshot(path=ARTIFACTS / f"segmenter_{width}_{theme}.png")


def test_screenshot_for_the_readme(open_notebook: OpenNotebook) -> None:
    stage = worked_on(open_notebook, 1000, dark=False)
    if os.environ.get("SCREENSHOTS"):
        README_PICTURE.parent.mkdir(exist_ok=True)
        picture = Image.open(io.BytesIO(stage.root.screenshot())).convert("RGB")
        # A README wants a light file more than it wants every shade.
        picture.thumbnail((1200, 1200))
        picture.quantize(256).save(README_PICTURE, optimize=True)
    assert README_PICTURE.is_file()
    assert f"]({README_PICTURE.as_posix()})" in Path("README.md").read_text()
