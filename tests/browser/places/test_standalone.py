"""The file that `Segmenter.to_html` writes, opened from the disk, with the network cut off."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Browser, expect
from skimage import data

from segwidget import Box, Point, Segmenter
from tests.browser.lab_driver import PATIENCE_MS
from tests.browser.places.manners import FOREHEAD, Complaints
from tests.browser.stage import View

EYE = (140.0, 85.0, 200.0, 150.0)
TITLE = "Chelsea <b>the cat</b>"


class Demo(NamedTuple):
    path: Path
    colors: dict[str, str]
    clicked: NDArray[np.bool_]
    refined: NDArray[np.bool_]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A file, and what the kernel answers to the same prompts."""
    picture = data.chelsea()
    seg = Segmenter(picture, labels=["cat", "eye"])
    try:
        seg.prompts = [Box(*EYE)]
        seg.keep(label="eye")
        path = seg.to_html(tmp_path_factory.mktemp("html") / "demo #1?.html", title=TITLE)
        seg.prompts = [Point(*FOREHEAD)]
        seg.picked = 1
        clicked = seg.candidates.mask(1)
        seg.prompts = [Point(*FOREHEAD), Point(60, 250, label=0)]
        refined = seg.candidates.mask(0)
        colors = {label.name: label.color for label in seg.labels}
    finally:
        seg.close()
    return Demo(path, colors, clicked, refined)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_reader_clicks_picks_keeps_and_takes_back(browser: Browser, demo: Demo) -> None:
    context = browser.new_context(
        viewport={"width": 1500, "height": 1000},
        device_scale_factor=2,
        reduced_motion="reduce",
        offline=True,
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints = Complaints(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(demo.path.as_uri())
        view = View(page).ready()
        assert page.title() == TITLE
        expect(page.get_by_role("heading", name=TITLE)).to_be_visible()
        expect(view.part("annotation-row")).to_have_count(1)
        expect(view.part("everything")).to_have_count(0)
        view.part("toggle-visible").click()  # what is kept must not tint the measured pixels

        height, width = demo.clicked.shape
        view.canvas.hover(position={"x": 2, "y": 2})
        plain = view.pixels()

        def shown() -> NDArray[np.bool_]:
            view.canvas.hover(position={"x": 2, "y": 2})
            return view.shown_mask(plain, height, width, demo.colors["cat"])

        view.click(*FOREHEAD)
        view.press("2")
        expect(view.part("candidate-1")).to_have_attribute("aria-checked", "true")
        # Pixels of a screen, and one soft outline; how well answers agree is measured elsewhere.
        assert iou(shown(), demo.clicked) >= 0.97
        view.click(60, 250, button="right")
        assert iou(shown(), demo.refined) >= 0.98  # thin pieces, and markers in the way

        view.press("Enter")
        expect(view.part("annotation-row")).to_have_count(2)
        view.press("Control+z")
        expect(view.part("annotation-row")).to_have_count(1)
        expect(view.part("candidate-0")).to_be_visible()
        view.press("Control+z")
        expect(view.part("candidate-1")).to_have_attribute("aria-checked", "true")
        view.press("Escape")
        view.drag(EYE[:2], EYE[2:])
        view.press("Enter")
        expect(view.part("annotation-row")).to_have_count(2)
        before = float(view.canvas.get_attribute("data-scale") or 0)
        view.part("zoom-in").click()
        view.wait_for(f"Number(root.querySelector('canvas.sw-canvas').dataset.scale) > {before}")

        outside = [u for u in asked if not u.startswith(("blob:", "data:"))]
        assert outside == [demo.path.as_uri()]
        assert complaints.errors == []
        assert [line for line in complaints.console if line.startswith("error")] == []
    finally:
        context.close()
