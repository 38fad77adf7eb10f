"""The tools with a real kernel behind them: outlines, boxes, strokes, selection, regions."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook
from tests.browser.stage import Stage

H, W = 300, 451  # of scikit-image's chelsea
EYE = [(150, 95), (190, 95), (205, 120), (190, 145), (150, 145), (138, 120)]

KEPT = """
from skimage import data
from segwidget import Box, Point, Segmenter
seg = Segmenter(data.chelsea(), labels=["cat", "eye"])
for box in (Box(140, 85, 200, 150), Box(292, 110, 348, 162)):
    seg.prompts = [box]
    _ = seg.keep(label="eye")
seg
"""


def move(stage: Stage, x: float, y: float) -> None:
    frame = stage.canvas.bounding_box()
    assert frame is not None
    at = stage.spot(x, y)
    stage.page.mouse.move(frame["x"] + at["x"], frame["y"] + at["y"])


def drag(stage: Stage, *places: tuple[float, float]) -> None:
    move(stage, *places[0])
    stage.page.mouse.down()
    for place in places[1:]:
        move(stage, *place)
    stage.page.mouse.up()


def test_an_outline_snaps_and_says_what_was_made_of_it(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.part("tool-polygon").click()
    for x, y in EYE:
        stage.canvas.click(position=stage.spot(x, y))
    stage.press("Enter")
    stage.wait_for("root.dataset.request !== ''")
    stage.answered()
    corners, tolerance = stage.kernel.eval(
        "[seg.prompts[0].points, seg.prompts[0].tolerance] if seg.prompts else None"
    )
    assert np.allclose(corners, EYE, atol=1)
    assert f"{tolerance:g} px" == stage.part("tolerance").get_attribute("aria-valuetext")
    x0, y0, x1, y1 = stage.kernel.eval(
        "[getattr(seg.candidates.derived.box, n) for n in ('x0', 'y0', 'x1', 'y1')]"
    )
    assert x0 < 150
    assert x1 > 190
    assert y0 < 100 < 140 < y1
    # Clicks refine it: the outline stays first.
    stage.part("tool-point").click()
    stage.click(170, 120)
    assert stage.kernel.eval("[type(p).__name__ for p in seg.prompts]") == ["Polygon", "Point"]
    stage.press("k")
    expect(stage.part("annotation-row")).to_have_count(1)
    ys, xs = np.nonzero(stage.kernel_mask())
    assert ((xs > 125) & (xs < 218) & (ys > 82) & (ys < 158)).mean() > 0.95
    assert stage.lab.errors == []


def test_a_lasso_is_an_outline_too(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.part("tool-lasso").click()
    angles = np.linspace(0, 2 * np.pi, 40)
    drag(stage, *((170 + 34 * np.cos(a), 120 + 28 * np.sin(a)) for a in angles))
    stage.kernel.until("len(seg.prompts) == 1")
    kind, corners = stage.kernel.eval("[type(seg.prompts[0]).__name__, seg.prompts[0].points]")
    assert kind == "Polygon"
    assert 8 <= len(corners) <= 200
    radii = [np.hypot((x - 170) / 34, (y - 120) / 28) for x, y in corners]
    assert np.allclose(radii, 1, atol=0.06)


def test_boxes_become_proposals(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.part("tool-boxes").click()
    drag(stage, (140, 85), (170, 110), (200, 150))
    stage.kernel.until("len(seg.proposals) == 1")
    drag(stage, (292, 110), (320, 140), (348, 162))
    stage.wait_for("root.dataset.proposals === '2'")
    assert stage.kernel.eval("len(seg.prompts)") == 0
    stage.part("keep-shown").click()
    expect(stage.part("annotation-row")).to_have_count(2)
    assert stage.lab.errors == []


def test_strokes_paint_and_erase_the_selected_mask(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([KEPT])
    stage.part("tool-select").click()
    stage.canvas.click(position=stage.spot(170, 118))
    stage.wait_for("root.dataset.selected !== ''")
    assert stage.root.get_attribute("data-selected") == stage.kernel.eval("seg.annotations[0].id")
    before = stage.kernel_mask(0)
    stage.part("tool-brush").click()
    drag(stage, (170, 118), (200, 60), (260, 40))
    stage.kernel.until(f"seg.annotations[0].area > {int(before.sum())}")
    stage.wait_for("root.dataset.strokes === '0'")
    painted = stage.kernel_mask(0)
    assert painted[40, 260]
    assert painted[60, 200]
    assert (painted | before == painted).all()
    stage.part("tool-eraser").click()
    drag(stage, (260, 40), (200, 60))
    stage.kernel.until(f"seg.annotations[0].area < {int(painted.sum())}")
    assert not stage.kernel_mask(0)[40, 260]
    for _ in range(2):
        stage.press("Control+z")
    stage.kernel.until(f"seg.annotations[0].area == {int(before.sum())}")
    assert (stage.kernel_mask(0) == before).all()
    assert stage.lab.errors == []


def test_what_is_selected_can_be_worked_on(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([KEPT])
    first, second = stage.kernel.eval("[a.id for a in seg.annotations]")
    stage.part("select-row").nth(1).click()
    stage.wait_for(f"root.dataset.selected === {first!r}")
    stage.part("order-front").click()
    stage.kernel.until(f"[a.id for a in seg.annotations] == [{second!r}, {first!r}]")
    area = stage.kernel.eval("seg.annotations[1].area")

    stage.click(230, 110)
    stage.part("combine-add").click()
    stage.kernel.until(f"seg.annotations[1].area > {area} and not seg.prompts")
    expect(stage.part("annotation-row")).to_have_count(2)

    stage.part("tidy").click()
    stage.part("tidy-apply").click()
    stage.part("start-from").click()
    stage.kernel.until("[type(p).__name__ for p in seg.prompts] == ['MaskPrompt']")
    stage.answered()
    expect(stage.part("candidate-0")).to_be_visible()
    stage.press("Escape")
    stage.kernel.until("not seg.prompts")
    stage.part("delete-selected").click()
    stage.kernel.until(f"[a.id for a in seg.annotations] == [{second!r}]")
    expect(stage.part("selection-bar")).to_have_count(0)
    assert stage.kernel.eval("seg.notice") is None
    assert stage.lab.errors == []


def test_a_region_is_looked_at_on_its_own(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.press("r")
    expect(stage.part("hint")).to_contain_text("whole picture is in sight")
    for _ in range(8):
        stage.press("+")
    stage.press("r")
    stage.kernel.until("seg.region is not None")
    expect(stage.part("region-chip")).to_contain_text("Esc leaves")
    x0, y0, x1, y1 = stage.kernel.eval("list(seg.region)")
    assert 0 < x0 < x1 < W
    assert 0 <= y0 < y1 <= H
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    stage.click(*middle)
    prompt = stage.kernel.eval("[seg.prompts[0].x, seg.prompts[0].y]")
    assert np.allclose(prompt, middle, atol=1)  # in the image's pixels
    stage.press("Escape")
    stage.kernel.until("not seg.prompts")
    stage.press("Escape")
    stage.kernel.until("seg.region is None")
    expect(stage.part("region-chip")).to_have_count(0)
    assert stage.lab.errors == []


def test_the_look_of_kept_masks_is_shared_with_python(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([KEPT])
    stage.part("look").click()
    stage.part("look-outline").click()
    stage.kernel.until("seg.appearance['show'] == 'outline'")
    stage.part("protect").click()
    stage.kernel.until("seg.protect")
    stage.kernel.run("seg.appearance = {'show': 'fill', 'opacity': 0.75}")
    expect(stage.part("look-fill")).to_have_attribute("aria-checked", "true")
    expect(stage.part("look-opacity")).to_have_attribute("aria-valuetext", "75 percent")
