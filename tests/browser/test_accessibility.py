"""For everybody: what axe-core finds, work by keys alone and by fingers, a system's own colors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import CDPSession, expect

from tests.browser.conftest import OpenNotebook
from tests.browser.stage import Stage

AXE = Path("js/node_modules/axe-core/axe.min.js")
FOREHEAD = (230.0, 110.0)

KEPT = """
from skimage import data
from segwidget import Box, Point, Segmenter
seg = Segmenter(data.chelsea(), labels=["cat", "eye"])
seg.prompts = [Box(140, 85, 200, 150)]
_ = seg.keep(label="eye")
seg
"""


def complaints(stage: Stage) -> list[str]:
    """What axe-core finds serious or critical in the widget, as it is now."""
    if not stage.page.evaluate("'axe' in window"):
        stage.page.evaluate(AXE.read_text("utf-8"))  # JupyterLab's own scripts stay as they are
    found: list[dict[str, Any]] = stage.root.evaluate(
        "root => axe.run(root, {resultTypes: ['violations']}).then(r => r.violations)"
    )
    return [
        f"{v['id']}: {v['help']} at {v['nodes'][0]['html'][:160]}"
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(open_notebook: OpenNotebook, dark: bool) -> None:
    stage = open_notebook(dark=dark)
    found = {"nothing done": complaints(stage)}

    stage.click(*FOREHEAD)
    stage.click(60, 250, button="right")
    found["a draft"] = complaints(stage)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    found["something kept"] = complaints(stage)

    stage.part("select-row").click()
    expect(stage.part("selection-bar")).to_be_visible()
    stage.part("tidy").click()
    stage.part("tool-brush").click()
    expect(stage.part("brush-size")).to_be_visible()
    found["a selection"] = complaints(stage)
    stage.part("tool-point").click()
    stage.click(150, 120)
    expect(stage.part("combine-add")).to_be_visible()
    found["a draft and a selection"] = complaints(stage)
    stage.press("Escape")
    stage.press("Escape")

    stage.press("?")
    expect(stage.part("key-sheet")).to_be_visible()
    found["the sheet of keys"] = complaints(stage)
    stage.page.keyboard.press("Escape")
    expect(stage.part("key-sheet")).to_have_count(0)
    stage.part("look").click()
    expect(stage.part("look-panel")).to_be_visible()
    found["the look panel"] = complaints(stage)
    stage.page.keyboard.press("Escape")
    expect(stage.part("look-panel")).to_have_count(0)
    stage.part("model-button").click()
    expect(stage.part("model-entry").first).to_be_visible()
    found["the model menu"] = complaints(stage)
    stage.page.keyboard.press("Escape")

    stage.kernel.run("_ = seg.everything(points_per_side=4, pred_iou_thresh=0.1)")
    expect(stage.part("proposals")).to_be_visible()
    found["proposals"] = complaints(stage)
    assert found == {state: [] for state in found}
    assert stage.lab.errors == []


def test_everything_is_reached_by_tab_and_nothing_holds_the_focus(
    open_notebook: OpenNotebook,
) -> None:
    stage = open_notebook([KEPT])
    stage.part("tool-point").focus()
    seen = []
    for _ in range(60):
        name = stage.page.evaluate(
            """() => { const at = document.activeElement;
                       return at?.closest('.segwidget')
                           ? at.dataset.testid ?? at.getAttribute('aria-label') : null; }"""
        )
        if name is None:
            break
        seen.append(name)
        visible = stage.page.evaluate(
            """() => { const style = getComputedStyle(document.activeElement);
                       const stage = document.activeElement.matches('canvas');
                       return stage || style.outlineStyle !== 'none'; }"""
        )
        if len(seen) > 1:  # the first was focused by a script
            assert visible, f"{name} has the focus, and nothing shows it"
        stage.page.keyboard.press("Tab")
    else:
        pytest.fail(f"Tab never leaves: {seen}")
    assert seen[:2] == ["tool-point", "segwidget-canvas"]  # the toolbar is one stop
    assert {"keep", "add-label", "select-row", "relabel", "delete", "model-button"} <= set(seen)


def test_work_by_keys_alone(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.canvas.focus()
    for key in ("c", *["ArrowUp"] * 10, "h"):
        stage.press(key)
    scale = float(stage.canvas.get_attribute("data-scale") or 0)
    expect(stage.part("live")).to_have_text(f"At 225, {int(150 - 20 / scale)}")
    stage.press("Enter")
    stage.wait_for("root.dataset.request !== ''")
    stage.answered()
    for key in (*["Shift+ArrowDown"] * 6, "Shift+Enter"):
        stage.press(key)
    stage.kernel.until("len(seg.prompts) == 2")
    assert stage.kernel.eval("[p.label for p in seg.prompts]") == [1, 0]
    stage.answered()
    stage.press("2")
    stage.kernel.until("seg.picked == 1")
    stage.press("k")
    expect(stage.part("annotation-row")).to_have_count(1)
    before = stage.kernel_mask()

    # A dab of the brush where the crosshair is, and its undoing.
    stage.press("d")
    stage.press("w")
    stage.press("d")
    expect(stage.part("selection-bar")).to_be_visible()
    stage.press("Shift+ArrowLeft")
    stage.press("Enter")
    stage.kernel.until("seg.history['undo'] is not None and 'paint' in seg.history['undo']")
    stage.wait_for("root.dataset.strokes === '0'")
    assert stage.kernel_mask().sum() >= before.sum()
    stage.press("Control+z")
    stage.kernel.until("'paint' in (seg.history['redo'] or '')")
    assert (stage.kernel_mask() == before).all()

    # A box by its two corners.
    stage.press("p")
    stage.press("b")
    for key in (*["Shift+ArrowLeft"] * 8, *["Shift+ArrowUp"] * 8):
        stage.press(key)
    stage.press("b")
    stage.kernel.until("len(seg.prompts) == 1 and isinstance(seg.prompts[0], Box)")
    stage.answered()
    stage.press("Escape")
    stage.wait_for("root.dataset.request === ''")
    stage.press("Escape")
    expect(stage.part("live")).to_have_text("Crosshair off")
    assert stage.lab.errors == []


def test_remapped_keys(open_notebook: OpenNotebook) -> None:
    cell = KEPT.replace('"eye"])', '"eye"], keys={"keep": ["q"], "help": ["F1"]})', 1)
    stage = open_notebook([cell])
    stage.press("F1")
    expect(stage.part("key-sheet")).to_contain_text("Keep under the current labelQ")
    stage.page.keyboard.press("Escape")
    stage.click(*FOREHEAD)
    stage.press("k")
    stage.click(60, 250, button="right")  # the draft is still there: nothing has kept it
    assert stage.kernel.eval("len(seg.prompts)") == 2
    stage.press("q")
    expect(stage.part("annotation-row")).to_have_count(2)


@contextmanager
def no_long_press(stage: Stage) -> Iterator[None]:
    """Meanwhile no finger presses long, however late the machine notices that it is lifted."""
    stage.page.evaluate(
        """() => { window.realTimeout = window.setTimeout;
                   window.setTimeout = (run, ms, ...rest) =>
                       window.realTimeout(run, ms === 500 ? 2 ** 30 : ms, ...rest); }"""
    )
    yield
    stage.page.evaluate("() => { window.setTimeout = window.realTimeout; }")


def touches(cdp: CDPSession, kind: str, *places: dict[str, float]) -> None:
    points = [{**place, "id": number} for number, place in enumerate(places)]
    cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_work_by_fingers(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    cdp = stage.page.context.new_cdp_session(stage.page)
    cdp.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 5})
    assert stage.canvas.evaluate("c => getComputedStyle(c).touchAction") == "none"

    def spot(x: float, y: float) -> dict[str, float]:
        frame = stage.canvas.bounding_box()
        assert frame is not None
        at = stage.spot(x, y)
        return {"x": frame["x"] + at["x"], "y": frame["y"] + at["y"]}

    with no_long_press(stage):
        touches(cdp, "touchStart", spot(*FOREHEAD))
        touches(cdp, "touchEnd")
        stage.kernel.until("[p.label for p in seg.prompts] == [1]")
    stage.answered()
    touches(cdp, "touchStart", spot(60, 250))
    stage.kernel.until("[p.label for p in seg.prompts] == [1, 0]")  # while the finger rests
    touches(cdp, "touchEnd")
    stage.answered()

    before = float(stage.canvas.get_attribute("data-scale") or 0)
    a, b = spot(200, 150), spot(250, 150)
    touches(cdp, "touchStart", a, b)
    for step in (10.0, 25.0, 40.0):
        touches(cdp, "touchMove", {**a, "x": a["x"] - step}, {**b, "x": b["x"] + step})
    touches(cdp, "touchEnd")
    apart = b["x"] - a["x"]
    stage.page.wait_for_function(  # to the last of the moves
        "([c, s]) => Math.abs(Number(c.dataset.scale) / s - 1) < 0.02",
        arg=[stage.canvas.element_handle(), before * (apart + 80) / apart],
    )
    left = float(stage.canvas.get_attribute("data-origin-x") or 0)
    a, b = spot(200, 150), spot(250, 150)
    touches(cdp, "touchStart", a, b)
    for step in (10.0, 20.0, 30.0):
        touches(cdp, "touchMove", {**a, "x": a["x"] - step}, {**b, "x": b["x"] - step})
    touches(cdp, "touchEnd")
    stage.page.wait_for_function(
        "([c, x]) => Math.abs(Number(c.dataset.originX) - (x - 30)) < 2",
        arg=[stage.canvas.element_handle(), left],
    )
    assert stage.kernel.eval("len(seg.prompts)") == 2  # no finger of a pinch has drawn

    # What a finger must hit is large enough.
    assert stage.page.evaluate("matchMedia('(pointer: coarse)').matches")
    small = stage.root.evaluate(
        """r => [...r.querySelectorAll('.sw-toolbar button, .sw-labels button, .sw-kept button')]
            .map(b => [b.dataset.testid, b.getBoundingClientRect()])
            .filter(([, b]) => b.width > 0 && Math.min(b.width, b.height) < 39.5)
            .map(([name, b]) => `${name} ${b.width} x ${b.height}`)"""
    )
    assert small == []


def test_a_pen_draws_while_the_hand_rests(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    frame = stage.canvas.bounding_box()
    assert frame is not None

    def event(kind: str, x: float, y: float, device: str, number: int) -> list[object]:
        at = stage.spot(x, y)
        where = {"clientX": frame["x"] + at["x"], "clientY": frame["y"] + at["y"]}
        return [kind, {"pointerId": number, "pointerType": device, "bubbles": True} | where]

    # All at once, since a pen that rests for half a second has pressed long; and without a capture,
    # since these pointers are no real ones.
    stage.canvas.evaluate(
        """(c, events) => {
            c.setPointerCapture = () => {};
            for (const [kind, init] of events) c.dispatchEvent(new PointerEvent(kind, init));
        }""",
        [
            event("pointerdown", 140, 85, "pen", 7),
            event("pointerdown", 400, 250, "touch", 8),
            event("pointermove", 200, 150, "pen", 7),
            event("pointerup", 200, 150, "pen", 7),
            event("pointerup", 400, 250, "touch", 8),
        ],
    )
    stage.kernel.until("len(seg.prompts) == 1")
    box = stage.kernel.eval("[getattr(seg.prompts[0], n, None) for n in ('x0', 'y0', 'x1', 'y1')]")
    assert np.allclose(box, [140, 85, 200, 150], atol=1)


def test_colors_of_the_system_leave_everything_visible(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([KEPT])
    stage.page.emulate_media(forced_colors="active")
    stage.part("tool-select").click()
    expect(stage.part("tool-select")).to_have_attribute("aria-pressed", "true")

    def background(name: str) -> str:
        color: str = stage.part(name).evaluate("b => getComputedStyle(b).backgroundColor")
        return color

    assert background("tool-select") != background("tool-point")
    swatch = stage.part("select-row").locator(".sw-swatch")
    color = stage.kernel.eval("seg.labels.color_of('eye')")
    rgb = ", ".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))
    assert swatch.evaluate("s => getComputedStyle(s).backgroundColor") == f"rgb({rgb})"
