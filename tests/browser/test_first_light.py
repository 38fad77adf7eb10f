"""From the pointer to the kept mask, as a person does it."""

from __future__ import annotations

import json

import numpy as np
from playwright.sync_api import expect

from tests.browser.conftest import QUICKSTART, OpenNotebook
from tests.browser.stage import Stage

H, W = 300, 451  # of scikit-image's chelsea
FOREHEAD = (230.0, 110.0)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_a_click_shows_candidates_and_enter_keeps_the_one_on_screen(
    open_notebook: OpenNotebook,
) -> None:
    stage = open_notebook(width=1500, height=1000, ratio=2)
    plain = stage.pixels()
    stage.click(*FOREHEAD)
    for i in range(3):
        expect(stage.part(f"candidate-{i}")).to_be_visible()
    scores = [float(t) for t in stage.part("candidate-iou").all_inner_texts()]
    assert scores[:3] == sorted(scores[:3], reverse=True)  # the single mask comes last
    assert all(0 < s <= 1 for s in scores)
    assert np.allclose(
        scores, stage.kernel.eval("seg.candidates.predicted_iou.tolist()"), atol=0.01
    )

    stage.press("2")
    expect(stage.part("candidate-1")).to_have_attribute("aria-checked", "true")
    stage.kernel.until("seg.picked == 1")
    stage.canvas.hover(position={"x": 2, "y": 2})
    color = stage.kernel.eval("seg.labels.color_of('cat')")
    on_screen = stage.shown_mask(plain, H, W, color)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    kept = stage.kernel_mask()
    assert kept.shape == (H, W)
    assert 0 < kept.sum() < H * W
    assert iou(on_screen, kept) >= 0.98
    assert stage.kernel.eval("[seg.annotations[0].label, seg.annotations[0].picked]") == ["cat", 1]
    assert stage.lab.errors == []


def test_three_candidates_differ_and_one_is_a_sensible_piece_of_cat(
    open_notebook: OpenNotebook,
) -> None:
    stage = open_notebook()
    stage.click(*FOREHEAD)
    masks = np.array(stage.kernel.eval("seg.candidates.masks.astype(int).tolist()"), bool)
    assert len(masks) == 4
    overlaps = [iou(masks[a], masks[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert max(overlaps) < 0.95
    # The face, roughly, by hand: eyes, nose and cheeks lie in it, the wall behind does not.
    face = [(230, 110), (150, 120), (330, 150), (240, 190), (190, 60)]
    wall = [(440, 20), (440, 280), (10, 20)]
    sensible = [
        sum(m[y, x] for x, y in face) >= 4 and sum(m[y, x] for x, y in wall) <= 1 for m in masks
    ]
    assert any(sensible)


def test_a_dragged_box_asks_with_a_box(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.drag((140, 85), (200, 150))
    [prompt] = stage.kernel.eval("[[p.x0, p.y0, p.x1, p.y1] for p in seg.prompts]")
    assert np.allclose(prompt, [140, 85, 200, 150], atol=1.5)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    ys, xs = np.nonzero(stage.kernel_mask())
    inside = (xs > 130) & (xs < 210) & (ys > 75) & (ys < 160)
    assert inside.mean() > 0.9


def test_right_click_and_alt_click_exclude(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(*FOREHEAD)
    stage.click(60, 250, button="right")
    stage.click(400, 40, modifiers=["Alt"])
    assert stage.kernel.eval("[p.label for p in seg.prompts]") == [1, 0, 0]


def test_undo_and_redo_go_through_everything(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(*FOREHEAD)
    stage.click(60, 250, button="right")
    stage.press("3")
    stage.kernel.until("seg.picked == 2")
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.part("delete").first.click()
    expect(stage.part("annotation-row")).to_have_count(0)

    stage.press("Control+z")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.press("Control+z")
    expect(stage.part("annotation-row")).to_have_count(0)
    stage.answered()
    expect(stage.part("candidate-2")).to_have_attribute("aria-checked", "true")
    stage.press("Control+z")
    stage.kernel.until("seg.picked == 0 and len(seg.prompts) == 2")
    stage.press("Control+z")
    stage.kernel.until("len(seg.prompts) == 1")
    stage.press("Control+z")
    expect(stage.part("candidate-0")).to_have_count(0)
    assert stage.kernel.eval("[len(seg.prompts), seg.history]") == [
        0,
        {"undo": None, "redo": "point"},
    ]

    for _ in range(4):
        stage.press("Control+Shift+z")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.press("Control+y")
    expect(stage.part("annotation-row")).to_have_count(0)


def test_escape_drops_the_draft(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    shown = "root.querySelector('canvas').toDataURL('image/png')"
    plain = stage.root.evaluate(f"root => {shown}")
    stage.click(*FOREHEAD)
    stage.wait_for(f"{shown} !== {json.dumps(plain)}")
    stage.page.mouse.move(2, 2)  # or what a click there would answer is previewed
    stage.press("Escape")
    expect(stage.part("candidate-0")).to_have_count(0)
    stage.wait_for("root.dataset.request === ''")
    # The canvas follows within a frame.
    stage.wait_for(f"{shown} === {json.dumps(plain)}")
    stage.kernel.until("not seg.prompts and seg.candidates is None")


def test_python_moves_the_picture(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.kernel.run("seg.prompts = [Box(140, 85, 200, 150)]")
    stage.answered()
    expect(stage.part("candidate-0")).to_be_visible()
    stage.kernel.run("seg.picked = 1")
    expect(stage.part("candidate-1")).to_have_attribute("aria-checked", "true")
    stage.kernel.run("seg.label = 'eye'; a = seg.keep()")
    expect(stage.part("annotation-row")).to_contain_text("eye")
    stage.kernel.run("seg.labels = [*seg.labels, 'nose <b>bold</b>']")
    expect(stage.part("label-chip")).to_have_count(3)
    expect(stage.part("label-chip").last).to_contain_text("nose <b>bold</b>")
    stage.kernel.run("seg.annotations = []")
    expect(stage.part("annotation-row")).to_have_count(0)


def test_two_views_stay_in_step(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([QUICKSTART, "seg"], height=1800)
    other = Stage(stage.lab, stage.kernel, view=1).ready()
    stage.click(*FOREHEAD)
    other.answered()
    expect(other.part("candidate-2")).to_be_visible()
    other.part("candidate-2").click()
    expect(stage.part("candidate-2")).to_have_attribute("aria-checked", "true")
    other.part("keep").click()
    expect(stage.part("annotation-row")).to_have_count(1)
    expect(other.part("annotation-row")).to_have_count(1)


def test_a_reload_keeps_annotations_and_draft(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(*FOREHEAD)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.click(165, 120)
    stage.lab.command("docmanager:save")
    stage.lab.reload()
    again = Stage(stage.lab, stage.kernel).ready()
    expect(again.part("annotation-row")).to_have_count(1)
    expect(again.part("candidate-2")).to_be_visible()
    again.press("Enter")
    expect(again.part("annotation-row")).to_have_count(2)
    assert stage.kernel.eval("len(seg.annotations)") == 2


def test_running_the_cell_again_keeps_the_work(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(*FOREHEAD)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.kernel.run("first = seg")
    old = stage.root.element_handle()
    stage.lab.command("notebook:run-all-cells")
    stage.kernel.until("seg is not first")
    stage.page.wait_for_function("old => !old.isConnected", arg=old)
    again = Stage(stage.lab, stage.kernel).ready()
    expect(again.part("annotation-row")).to_have_count(1)
    assert stage.kernel.eval("[len(seg.annotations), first.comm is None]") == [1, True]
    again.press("Control+z")
    expect(again.part("annotation-row")).to_have_count(0)


def test_a_wrong_prompt_shows_a_notice_that_goes_away(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.kernel.run(
        "seg.set_state({'prompts': [{'type': 'point', 'x': 1e9, 'y': 0, 'label': 1}]})"
    )
    expect(stage.part("notice")).to_contain_text("outside the image")
    stage.part("dismiss").click()
    expect(stage.part("notice")).to_have_count(0)
    stage.click(*FOREHEAD)
    assert stage.kernel.eval("len(seg.candidates)") == 4
