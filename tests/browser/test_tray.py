"""The tray as a person uses it: the fourth card, the threshold, and the drawer that explains."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenNotebook
from tests.browser.stage import Stage

CAT = (235.0, 120.0)
HEIGHT, WIDTH = 300, 451

# The candidates for ambiguous prompts, the largest first.
BY_SIZE = """
def by_size():
    answer = seg.candidates
    three = [i for i, token in enumerate(answer.tokens) if token]
    return sorted(three, key=lambda i: -answer.area[i])
"""


def picture(canvas: Locator) -> NDArray[np.int16]:
    """What a canvas of the drawer shows, `(H, W, 3)`."""
    data: str = canvas.evaluate("c => c.toDataURL('image/png')")
    shown = Image.open(io.BytesIO(base64.b64decode(data.split(",")[1])))
    return np.asarray(shown.convert("RGBA"), np.int16)[..., :3]


def painted(stage: Stage, canvas: Locator) -> None:
    """Wait until something is on a canvas of the drawer."""
    stage.page.wait_for_function(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)",
        arg=canvas.element_handle(),
    )


def lesson(stage: Stage, tab: str) -> Locator:
    """Bring a view of the drawer to the front."""
    if stage.part("drawer").get_attribute("data-open") == "false":
        stage.part("drawer-handle").click()
    stage.part(f"tab-{tab}").click()
    view = stage.part("lesson")
    expect(view).to_have_attribute("data-tab", tab)
    return view


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_the_threshold_moves_the_outline_and_is_kept(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    color = stage.kernel.eval("seg.labels[0].color")
    plain = stage.pixels()
    stage.click(*CAT)
    areas = {}
    for threshold in (2.0, -1.5, 0.0, 1.5):
        stage.part("threshold").fill(str(threshold))
        stage.wait_for(f"root.dataset.threshold === '{threshold:g}'")
        stage.page.mouse.move(5, 5)
        shown = stage.shown_mask(plain, HEIGHT, WIDTH, color)
        stage.kernel.run(f"strict = seg.candidates.mask(seg.picked, {threshold})")
        rows = stage.kernel.eval("[[int(x) for x in row] for row in strict]")
        assert iou(shown, np.array(rows, bool)) > 0.97
        areas[threshold] = int(np.sum(rows))
    assert areas[2.0] < areas[1.5] < areas[0.0] < areas[-1.5]

    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    assert stage.kernel.eval("seg.annotations[0].threshold") == 1.5
    assert int(stage.kernel_mask().sum()) == areas[1.5]
    stage.click(*CAT)  # the next one starts at the model's own
    stage.wait_for("root.dataset.threshold === '0'")
    expect(stage.part("threshold")).to_have_value("0")


def test_the_slider_by_keys_and_by_double_click(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(*CAT)
    slider = stage.part("threshold")
    for _ in range(3):
        slider.press("ArrowRight")
    stage.wait_for("root.dataset.threshold === '0.3'")
    expect(stage.part("threshold-reset")).to_have_text("+0.3")
    assert stage.kernel.eval("seg.picked") == 0  # the arrows were the slider's
    box = slider.bounding_box()
    assert box is not None
    slider.dblclick(position={"x": 0.8 * box["width"], "y": box["height"] / 2})
    stage.wait_for("root.dataset.threshold === '0'")
    expect(stage.canvas).to_be_focused()  # so that Enter keeps


def test_the_fourth_card_picks_the_single_mask(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(*CAT)
    assert stage.kernel.eval("seg.candidates.tokens[3]") == 0
    fourth = stage.part("candidate-3")
    expect(fourth).to_contain_text("single")
    fourth.click()
    stage.kernel.until("seg.picked == 3")
    expect(fourth).to_have_attribute("aria-checked", "true")
    stage.press("1")
    stage.kernel.until("seg.picked == 0")
    stage.press("4")
    stage.kernel.until("seg.picked == 3")
    area = stage.kernel.eval("int(seg.candidates.area[3])")
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    assert stage.kernel.eval("[seg.annotations[0].area, seg.annotations[0].picked]") == [area, 3]

    stage.click(*CAT)
    stage.click(120, 250, button="right")  # a clear prompt has the single mask in front
    expect(stage.part("candidate-0")).to_contain_text("single")
    assert stage.kernel.eval("seg.candidates.tokens[0]") == 0


def test_every_view_of_the_drawer_shows_something(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    expect(stage.part("lesson")).to_have_count(0)
    expect(lesson(stage, "attention")).to_contain_text("Click a thing")
    stage.click(*CAT)

    lesson(stage, "scores")
    expect(stage.part("scatter-dot")).to_have_count(4)

    lesson(stage, "logits")
    painted(stage, stage.part("logit-map"))
    heat = picture(stage.part("logit-map"))
    red, blue = heat[..., 0] > heat[..., 2], heat[..., 2] > heat[..., 0]
    share = stage.kernel.eval("float(seg.candidates.masks[0].mean())")
    assert abs(red.sum() / (red | blue).sum() - share) < 0.08  # inside is red, outside blue

    lesson(stage, "tokens")
    maps = stage.part("token-map")
    expect(maps).to_have_count(4)
    for i in range(4):
        painted(stage, maps.nth(i))
    pictures = [picture(maps.nth(i)) for i in range(4)]
    assert all(p.std() > 20 for p in pictures)
    assert any((pictures[0] != p).any() for p in pictures[1:])

    lesson(stage, "embedding")
    expect(stage.part("pca")).to_have_attribute("data-painted", "true")
    cells = np.array(stage.kernel.eval("seg.embedding_pca().tolist()"))
    shown = picture(stage.part("pca"))
    assert shown.shape == (10 * cells.shape[0], 10 * cells.shape[1], 3)
    assert np.abs(shown[5::10, 5::10] - cells).max() <= 1

    lesson(stage, "attention")
    expect(stage.part("attention")).to_have_attribute("data-fresh", "true")
    tiles = stage.part("attention-map")
    expect(tiles).to_have_count(6)
    for i in range(6):
        expect(tiles.nth(i)).to_have_attribute("data-painted", "true")
        glow = picture(tiles.nth(i))
        assert glow.std() > 8
        assert (np.ptp(glow, axis=2) > 30).any()  # colors over the gray picture
    stage.click(300, 200)
    expect(stage.part("attention-map")).to_have_count(7)
    expect(stage.part("attention")).to_have_attribute("data-fresh", "true")
    assert stage.lab.errors == []


@pytest.mark.parametrize("level", ["whole", "subpart"])
def test_the_preferred_level_is_picked_and_learned(open_notebook: OpenNotebook, level: str) -> None:
    stage = open_notebook()
    place = {"whole": 0, "subpart": 2}
    stage.kernel.run(BY_SIZE)
    stage.part("level").select_option(level)
    stage.kernel.until(f"seg.level == {level!r}")
    stage.click(*CAT)
    stage.kernel.until(f"seg.picked == by_size()[{place[level]}]")
    picked = stage.kernel.eval("seg.picked")
    expect(stage.part(f"candidate-{picked}")).to_have_attribute("aria-checked", "true")
    # What is kept is preferred from then on.
    other = stage.kernel.eval("by_size()[1]")
    stage.press(str(other + 1))
    stage.kernel.until(f"seg.picked == {other}")
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    expect(stage.part("level")).to_have_value("part")


def test_the_level_may_be_chosen_after_the_click(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.kernel.run(BY_SIZE)
    stage.click(*CAT)
    for level, place in (("whole", 0), ("subpart", 2), ("part", 1)):
        stage.part("level").select_option(level)
        stage.kernel.until(f"seg.picked == by_size()[{place}]")
