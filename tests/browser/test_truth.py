"""The truth in the widget as a person sees it: the status line, the curve and the outline.

`make screenshots` keeps the pictures in `test-artifacts/`.
"""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ARTIFACTS, OpenNotebook
from tests.browser.stage import Stage

CELL = """from skimage import data
import numpy as np
from segwidget import Box, Point, Segmenter
rows, columns = np.mgrid[:300, :451]
eye = ((columns - 170) / 26) ** 2 + ((rows - 116) / 24) ** 2 <= 1
face = ((columns - 235) / 140) ** 2 + ((rows - 150) / 130) ** 2 <= 1
seg = Segmenter(data.chelsea(), labels=["cat", "eye"], truth=[face, eye])
seg"""


def numbers(stage: Stage) -> list[float]:
    return list(stage.kernel.eval("[float(i) for i in seg.truth_scores['iou']]"))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_screenshot_of_true_iou_and_curve(open_notebook: OpenNotebook, dark: bool) -> None:
    stage = open_notebook([CELL], width=1400, height=1150, dark=dark)
    said = stage.part("true-iou")
    expect(stage.part("truth")).to_contain_text("2 masks")
    expect(said).to_have_count(0)
    stage.drag((140, 88), (200, 144))
    stage.click(170, 116)
    expect(said).to_contain_text("true IoU 0.")
    stage.kernel.until("seg.truth_scores['request'] == seg.request")
    shown = numbers(stage)[stage.kernel.eval("seg.picked")]
    expect(said).to_have_attribute("data-iou", f"{shown:.4f}")
    # The kernel's own arithmetic on whole masks.
    stage.kernel.run("m, t = seg.candidates.masks[seg.picked], seg.truth_target['index']")
    stage.kernel.run("t = seg.truth.masks[t]")
    assert shown == pytest.approx(
        stage.kernel.eval("float((m & t).sum() / (m | t).sum())"), abs=1e-3
    )
    expect(stage.part("truth-point")).to_have_count(2)
    name = re.compile(re.escape(f"after 2 prompts {shown:.2f}"))
    expect(stage.part("truth-curve")).to_have_attribute("aria-label", name)
    assert len(stage.kernel.eval("seg.truth_history.true_iou.tolist()")) == 2

    # Another pick, by key, is another number at once.
    stage.press("2")
    expect(said).to_have_attribute("data-iou", f"{numbers(stage)[1]:.4f}")
    plain = stage.pixels()
    before = stage.canvas.evaluate("c => c.toDataURL('image/png')")
    outline = stage.part("truth-outline")
    outline.focus()
    stage.page.keyboard.press("Space")
    expect(outline).to_have_attribute("aria-checked", "true")
    stage.page.mouse.move(5, 5)
    stage.page.wait_for_function(
        "([canvas, before]) => canvas.toDataURL('image/png') !== before",
        arg=[stage.canvas.element_handle(), before],
    )
    changed = np.abs(stage.pixels() - plain).sum(axis=2) > 60
    assert changed.sum() > 50  # the dashes
    assert changed.mean() < 0.05  # and nothing else
    if os.environ.get("SCREENSHOTS"):
        ARTIFACTS.mkdir(exist_ok=True)
        stage.root.screenshot(path=ARTIFACTS / f"truth_{'dark' if dark else 'light'}.png")
    outline.click()
    stage.press("Enter")
    expect(said).to_have_count(0)
    expect(stage.part("truth-curve")).to_have_count(0)


def test_truth_told_later_in_a_narrow_widget(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL.replace(", truth=[face, eye]", "")], width=660, height=1400)
    expect(stage.part("truth")).to_have_count(0)
    stage.click(235, 150)
    expect(stage.part("true-iou")).to_have_count(0)
    stage.kernel.run("seg.layout.width = '400px'; seg.truth = face")
    said = stage.part("true-iou")
    expect(said).to_contain_text("true IoU 0.")
    stage.wait_for("Math.abs(root.clientWidth - 400) <= 2")
    frame, line = stage.root.bounding_box(), said.bounding_box()
    assert frame is not None
    assert line is not None
    assert line["x"] + line["width"] <= frame["x"] + frame["width"] + 1
    if os.environ.get("SCREENSHOTS"):
        ARTIFACTS.mkdir(exist_ok=True)
        stage.root.screenshot(path=ARTIFACTS / "truth_narrow.png")
    stage.kernel.run("seg.truth = None")
    expect(said).to_have_count(0)
    expect(stage.part("truth")).to_have_count(0)
