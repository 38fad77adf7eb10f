"""Everything mode as a person meets it: proposals appear, are judged, and are kept."""

from __future__ import annotations

import os
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ARTIFACTS, OpenNotebook
from tests.browser.stage import Stage

# A grid on eight of the coins, so that a run takes seconds and finds something everywhere.
CELL = """
import numpy as np
from skimage import data
from segwidget import Segmenter
from segwidget.inference.everything import EverythingSettings

seg = Segmenter(data.coins(), labels=["coin", "other"])
coins = [[100, 56], [216, 52], [45, 124], [102, 125], [338, 126], [43, 198], [116, 265], [359, 268]]
seg.everything_settings = EverythingSettings(
    points_per_side=None, point_grids=[np.array(coins) / [384, 303]],
    pred_iou_thresh=0.3, stability_score_thresh=0.7, points_per_batch=1,
)
seg"""

# From here on a run reports its points one by one, each when the test says so.
GATE = """
import threading
from segwidget.widget import proposer
steps, propose, proposer.PERIOD = threading.Semaphore(0), proposer.propose, 0

def step_by_step(predictor, settings, *, on_update, cancelled):
    def update(progress, found):
        steps.acquire(timeout=1800)
        on_update(progress, found)
    return propose(predictor, settings, on_update=update, cancelled=cancelled)

proposer.propose = step_by_step
"""

COIN, SHADOW_OF_IT = (100.0, 56.0), (20.0, 290.0)


def proposed(stage: Stage) -> int:
    """Run everything mode by its key, to its end; how many proposals are on screen then?"""
    stage.press("e")
    stage.kernel.until("seg.everything_run['state'] == 'done'")
    count: int = stage.kernel.eval("len(seg.proposals)")
    assert count >= 5
    return painted(stage, count)


def painted(stage: Stage, count: int) -> int:
    """Wait until so many proposals are on screen."""
    stage.wait_for(f"root.dataset.proposals === '{count}'")
    expect(stage.part("proposal-count")).to_have_text(str(count))
    return count


def left(stage: Stage, count: int) -> int:
    """Wait until what was kept, and what is like it, is gone from the proposals on screen."""
    rest: int = stage.kernel.eval("len(seg.proposals)")
    assert rest < count
    return painted(stage, rest)


def hover(stage: Stage, x: float, y: float) -> str:
    """Point at a proposal; which one is it?"""
    stage.canvas.hover(position=stage.spot(x, y))
    stage.wait_for("root.dataset.pointed !== ''")
    pointed = stage.root.get_attribute("data-pointed")
    assert pointed
    return pointed


def gather(stage: Stage, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag with Shift from one image point to another."""
    frame = stage.canvas.bounding_box()
    assert frame is not None
    places = [stage.spot(*start), stage.spot(*end)]
    stage.page.keyboard.down("Shift")
    stage.page.mouse.move(frame["x"] + places[0]["x"], frame["y"] + places[0]["y"])
    stage.page.mouse.down()
    stage.page.mouse.move(frame["x"] + places[1]["x"], frame["y"] + places[1]["y"], steps=4)
    stage.page.mouse.up()
    stage.page.keyboard.up("Shift")


def test_everything_is_proposed_and_a_click_keeps(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL])
    plain = stage.pixels()
    stage.kernel.run(GATE)
    stage.part("everything").click()
    expect(stage.part("live")).to_have_text("Looking for everything")
    stage.kernel.run("steps.release(99)")
    stage.kernel.until("seg.everything_run['state'] == 'done'")
    count = painted(stage, stage.kernel.eval("len(seg.proposals)"))
    expect(stage.part("live")).to_have_text(f"{count} proposals")
    shown = stage.pixels()
    assert (shown != plain).any()

    pointed = hover(stage, *COIN)
    assert (stage.pixels() != shown).any()  # it lights up
    expect(stage.canvas).to_have_attribute("data-cursor", "pointer")
    stage.canvas.click(position=stage.spot(*COIN))
    expect(stage.part("annotation-row")).to_have_count(1)
    left(stage, count)
    kept = stage.kernel.eval(
        "[[a.label, a.origin, [p.x for p in a.prompts], a.model] for a in seg.annotations]"
    )
    assert kept == [["coin", "proposed", [100.0], "embedded"]]
    mask = stage.kernel_mask()
    ys, xs = np.nonzero(mask)
    assert mask[56, 100]
    assert np.hypot(xs - 100, ys - 56).max() < 40  # one coin, and not its neighbors
    assert stage.kernel.eval("len(seg.prompts)") == 0

    stage.press("Control+z")
    expect(stage.part("annotation-row")).to_have_count(0)
    painted(stage, count)
    assert hover(stage, *COIN) == pointed
    assert stage.lab.errors == []


def test_shift_and_drag_keeps_all_in_the_box_as_one_step(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL])
    count = proposed(stage)
    stage.press("2")
    stage.kernel.until("seg.label == 'other'")
    band = np.array([5.0, 25.0, 150.0, 160.0])  # around the coins in the upper left
    boxes = np.array(stage.kernel.eval("[p.box for p in seg.proposals]"))
    shared = np.minimum(boxes[:, 2:], band[2:]) - np.maximum(boxes[:, :2], band[:2])
    share = shared.clip(0).prod(axis=1) / (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    inside = int((share >= 0.5).sum())
    assert 2 <= inside < count
    assert (abs(share - 0.5) > 0.1).all()  # none that a pixel decides about
    gather(stage, (5, 25), (150, 160))
    expect(stage.part("annotation-row")).to_have_count(inside)
    painted(stage, count - inside)
    assert stage.kernel.eval("[a.label for a in seg.annotations]") == ["other"] * inside
    assert stage.kernel.eval("seg.history['undo']") == f"keep {inside} masks"
    stage.press("Control+z")
    painted(stage, count)
    stage.part("keep-shown").click()
    expect(stage.part("annotation-count")).to_have_text(str(count))
    expect(stage.part("proposals")).to_have_count(0)


def test_the_slider_filters_in_the_page_alone(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL])
    count = proposed(stage)
    scores = np.round(stage.kernel.eval("[p.predicted_iou for p in seg.proposals]"), 2)
    stage.kernel.run(
        "messages = []; handle = seg._handle_msg\n"
        "seg.comm.on_msg(lambda msg: (messages.append(msg), handle(msg)))"
    )
    slider = stage.part("score-slider")
    before = stage.pixels()
    slider.focus()
    slider.press("End")
    best = int((scores >= scores.max()).sum())
    stage.wait_for(f"root.dataset.proposals === '{best}'")
    expect(stage.part("proposal-count")).to_have_text(f"{best} of {count}")
    assert (stage.pixels() != before).any()
    slider.press("ArrowLeft")
    expect(stage.part("score-least")).to_have_text(f"≥ {scores.max() - 0.01:.2f}")
    slider.press("Home")
    painted(stage, count)
    assert (stage.pixels() == before).all()
    assert stage.kernel.eval("[len(messages), len(seg.proposals)]") == [0, count]
    stage.press("2")  # what is sent is counted
    stage.kernel.until("seg.label == 'other' and len(messages) > 0")


def test_a_run_shows_how_far_it_is_answers_clicks_and_is_stopped(
    open_notebook: OpenNotebook,
) -> None:
    stage = open_notebook([CELL])
    stage.kernel.run(GATE)
    stage.press("e")
    expect(stage.part("cancel-everything")).to_be_visible()
    stage.kernel.run("steps.release(3)")
    bar = stage.part("everything-progress").get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "38")  # 3 of 8
    expect(stage.part("everything-progress")).to_contain_text("3 of 8 points")
    count = stage.kernel.eval("len(seg.proposals)")
    assert count >= 1
    painted(stage, count)

    stage.click(*SHADOW_OF_IT, button="right")
    expect(stage.part("candidate-2")).to_be_visible()
    expect(stage.part("cancel-everything")).to_be_visible()
    stage.press("Escape")  # the draft first
    painted(stage, count)
    stage.press("Escape")
    expect(stage.part("everything")).to_be_visible()
    expect(stage.part("live")).to_have_text(re.compile(rf"Stopped with {count} proposals?"))
    stage.kernel.run("steps.release(99)")
    assert stage.kernel.eval("[seg.everything_run['state'], len(seg.proposals)]") == [
        "cancelled",
        count,
    ]
    stage.press("Escape")
    expect(stage.part("proposals")).to_have_count(0)
    assert stage.kernel.eval("[seg.everything_run['state'], len(seg.found)]") == ["idle", 0]


def test_a_reload_keeps_the_proposals(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL])
    count = proposed(stage)
    stage.canvas.click(position=stage.spot(*COIN))
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.lab.command("docmanager:save")
    stage.lab.reload()
    again = Stage(stage.lab, stage.kernel).ready()
    rest = left(again, count)
    again.canvas.click(position=again.spot(216, 52))
    expect(again.part("annotation-row")).to_have_count(2)
    left(again, rest)


def test_python_proposes_and_keeps(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL])
    stage.kernel.run("found = seg.everything()")
    count = painted(stage, stage.kernel.eval("len(found)"))
    stage.kernel.run("seg.keep_proposals(found[:2], 'other')")
    rest = left(stage, count)
    expect(stage.part("annotation-row")).to_have_count(2)
    stage.kernel.run("seg.annotations = seg.annotations[1:]")
    back = painted(stage, stage.kernel.eval("len(seg.proposals)"))
    assert rest < back < count


@pytest.mark.parametrize(
    ("width", "dark"), [(400, False), (760, True), (1400, True)], ids=["400", "760", "1400"]
)
def test_everything_screenshot(open_notebook: OpenNotebook, width: int, dark: bool) -> None:
    cell = CELL.replace("\nseg.every", f"\nseg.layout.width = '{width}px'\nseg.every", 1)
    stage = open_notebook([cell], width=width + 260, height=1150, ratio=2, dark=dark)
    stage.kernel.run(GATE)
    stage.press("e")
    stage.kernel.run("steps.release(5)")
    expect(stage.part("everything-progress")).to_contain_text("5 of 8 points")
    painted(stage, stage.kernel.eval("len(seg.proposals)"))
    keep_picture(stage, f"everything_running_{width}_{'dark' if dark else 'light'}")
    within(stage)
    stage.kernel.run("steps.release(99)")
    stage.kernel.until("seg.everything_run['state'] == 'done'")
    painted(stage, stage.kernel.eval("len(seg.proposals)"))
    hover(stage, *COIN)
    keep_picture(stage, f"everything_{width}_{'dark' if dark else 'light'}")
    within(stage)
    expect(stage.root).to_have_attribute("data-theme", "dark" if dark else "light")


def within(stage: Stage) -> None:
    """Nothing sticks out of the widget."""
    outside = stage.root.evaluate(
        """r => { const frame = r.getBoundingClientRect();
                  return [...r.querySelectorAll('button, canvas, input, output')].filter(e => {
                      const b = e.getBoundingClientRect();
                      return b.width > 0 && (b.left < frame.left - 1 || b.right > frame.right + 1);
                  }).map(e => e.outerHTML.slice(0, 120)); }"""
    )
    assert outside == []


def keep_picture(stage: Stage, name: str) -> None:
    if os.environ.get("SCREENSHOTS"):
        ARTIFACTS.mkdir(exist_ok=True)
        stage.root.screenshot(path=ARTIFACTS / f"{name}.png")
