"""Images that are larger than any screen: they open, show their own pixels, and are segmented."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.browser.conftest import OpenNotebook
from tests.browser.stage import Stage

SIDE = 20_000
WHEEL_STEP = 0.0016  # of the front end: logarithms of zoom for a pixel of the wheel

# Anonymous memory: a mapped file's own pages are the system's, which takes them back.
HUGE = """
import numpy as np
from segwidget import Segmenter
def memory():
    with open("/proc/self/smaps_rollup") as file:
        return next(int(l.split()[1]) / 1e3 for l in file if l.startswith("Anonymous:"))
pixels = np.memmap({path!r}, np.uint8, "r", shape=({side}, {side}, 3))
before = memory()
seg = Segmenter(pixels, labels=["cell"])
seg
"""

PHOTO = """
import numpy as np
from segwidget import Segmenter
y, x = np.mgrid[:3000, :4000].astype(np.float32)
pixels = np.stack([x / 16, y / 12, 128 + 100 * np.sin(x / 500)], 2).astype(np.uint8)
pixels += np.random.default_rng(0).integers(0, 40, (3000, 4000, 1), np.uint8)
pixels[1500:1502, ::2] = (255, 255, 255)
seg = Segmenter(pixels)
seg
"""


def sparse_picture(path: Path) -> None:
    """A file of 1.2 GB that takes a few, black but for two cells with a fine grating."""
    pixels = np.memmap(path, np.uint8, "w+", shape=(SIDE, SIDE, 3))
    pixels[4000:7000, 3000:6000] = (200, 60, 40)
    pixels[12_000:13_000, 14_000:15_000] = grating()
    pixels.flush()


def grating() -> NDArray[np.uint8]:
    """(1000, 1000, 3): bars of three pixels, of many colors."""
    y, x = np.mgrid[:1000, :1000]
    return np.stack(
        [40 * (x // 3 % 5) + 20, 60 * (y % 4) + 10, 250 * ((x // 3 + y) % 2)], 2
    ).astype(np.uint8)


def look_at(stage: Stage, x: float, y: float, scale: float) -> None:
    """Zoom to screen pixels for one of the image, by the wheel over an image point; it stays."""
    stage.canvas.focus()
    frame = stage.canvas.bounding_box()
    assert frame is not None
    for _ in range(20):
        now = float(stage.canvas.get_attribute("data-scale") or 0)
        if abs(scale / now - 1) < 1e-4:
            break
        spot = stage.spot(x, y)
        stage.page.mouse.move(frame["x"] + spot["x"], frame["y"] + spot["y"])
        stage.page.mouse.wheel(0, -np.log(scale / now) / WHEEL_STEP)
        stage.wait_for(f"root.querySelector('canvas').dataset.scale !== '{now}'")
    sharp(stage)


def sharp(stage: Stage) -> None:
    """Wait until no finer tile is to come."""
    stage.wait_for(r"/^(\d+:0)?$/.test(root.querySelector('canvas').dataset.tiles ?? '?')")


def shown(stage: Stage, x: int, y: int, width: int, height: int) -> NDArray[np.int16]:
    """What the canvas shows of an image part, at one screen pixel for each of the image."""
    stage.page.mouse.move(2, 2)  # or what a click there would answer lies over the pixels
    stage.wait_for("root.dataset.preview === 'false'")
    spot = stage.spot(x, y)
    left, top = round(spot["x"]), round(spot["y"])
    return stage.pixels()[top : top + height, left : left + width]


def test_a_huge_image(open_notebook: OpenNotebook, tmp_path: Path) -> None:
    sparse_picture(path := tmp_path / "slide.raw")
    stage = open_notebook([HUGE.format(path=str(path), side=SIDE)])
    assert stage.kernel.eval("seg.image_json['tiles']") == {"size": 512, "levels": 4}
    assert stage.kernel.eval("np.shares_memory(seg.image.pixels, pixels)")
    assert stage.kernel.eval("memory() - before") < 600  # MB; the image has 1200

    # A click on what the preview shows, answered and kept.
    stage.click(4500, 5500)
    stage.press("Enter")
    stage.kernel.until("len(seg.annotations) == 1")
    stage.wait_for("root.dataset.busy === 'false'")
    x0, y0, x1, y1 = stage.kernel.eval("list(seg.annotations[0].box)")
    assert x0 <= 4500 <= x1
    assert y0 <= 5500 <= y1
    assert stage.kernel.eval("list(seg.annotations[0].rle.size)") == [SIDE, SIDE]

    # Coarser tiles on the way, and the image's own pixels at 100 %.
    look_at(stage, 14_500, 12_500, 0.25)
    assert (stage.canvas.get_attribute("data-tiles") or "").startswith("2:")
    look_at(stage, 14_500, 12_500, 1)
    assert stage.canvas.get_attribute("data-tiles") == "0:0"
    np.testing.assert_array_equal(shown(stage, 14_480, 12_480, 40, 40), grating()[480:520, 480:520])
    look_at(stage, 14_500, 12_500, 40)
    assert stage.canvas.get_attribute("data-tiles") == "0:0"
    assert stage.kernel.eval("memory() - before") < 800
    assert not stage.lab.errors


def test_a_photograph_of_twelve_megapixels(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([PHOTO])
    assert stage.canvas.get_attribute("data-tiles") == ""
    frame = stage.canvas.bounding_box()
    assert frame is not None

    # While no tile comes, the preview stays.
    stage.kernel.run("held = []\nseg.send_tile = lambda *place: held.append(place)")
    stage.canvas.focus()
    stage.page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    stage.page.mouse.wheel(0, -800)
    stage.wait_for(r"/^0:[1-9]/.test(root.querySelector('canvas').dataset.tiles)")
    assert stage.pixels().std() > 10
    stage.click(2000, 1500)
    stage.kernel.run("del seg.send_tile\nfor place in held: seg.send_tile(*place)")

    look_at(stage, 2000, 1501, 1)
    line = shown(stage, 1900, 1501, 80, 1)[0].mean(axis=1)
    bright, dark = line[::2], line[1::2]
    assert abs(bright.mean() - dark.mean()) > 60  # every other pixel; the preview has lost that
    stage.press("Enter")
    stage.kernel.until("len(seg.annotations) == 1")
    assert not stage.lab.errors
