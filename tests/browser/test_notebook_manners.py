"""The widget is a guest in the notebook: keys, focus, scrolling, themes, closing."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import QUICKSTART, OpenNotebook
from tests.browser.stage import Stage


def test_the_notebooks_shortcuts_do_not_fire_on_the_canvas(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    cells = stage.lab.cell_count()
    stage.click(230, 110)
    for key in ("a", "b", "d", "d", "x", "m", "y", "1", "2", "3", "Escape", "z"):
        stage.press(key)
    # The answer to a later click shows that every key before it has been dealt with.
    stage.click(150, 120)
    assert stage.lab.cell_count() == cells
    assert stage.lab.page.evaluate(
        "window.jupyterapp.shell.currentWidget.content.widgets.every(w => w.model.type === 'code')"
    )


def test_saving_and_leaving_by_tab_still_work(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.canvas.focus()
    stage.page.evaluate(
        """() => { window.seen = [];
                   document.addEventListener('keydown', e => window.seen.push(
                       [e.key, e.ctrlKey, e.defaultPrevented])); }"""
    )
    stage.press("Tab")
    assert not stage.canvas.evaluate("c => document.activeElement === c")
    assert stage.root.evaluate("r => r.contains(document.activeElement)")


def test_the_wheel_zooms_about_the_pointer_only_with_focus(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.canvas.focus()
    before = float(stage.canvas.get_attribute("data-scale") or 0)
    frame = stage.canvas.bounding_box()
    assert frame is not None
    at = stage.spot(150, 120)
    stage.page.mouse.move(frame["x"] + at["x"], frame["y"] + at["y"])
    stage.page.mouse.wheel(0, -300)
    stage.page.wait_for_function(
        "([c, s]) => Number(c.dataset.scale) > s * 1.2",
        arg=[stage.canvas.element_handle(), before],
    )
    after = stage.spot(150, 120)
    assert abs(after["x"] - at["x"]) < 1.5
    assert abs(after["y"] - at["y"]) < 1.5
    stage.part("zoom-fit").click()
    stage.page.wait_for_function(
        "([c, s]) => Math.abs(Number(c.dataset.scale) - s) < 1e-3",
        arg=[stage.canvas.element_handle(), before],
    )


def test_the_dark_theme_is_dark(open_notebook: OpenNotebook) -> None:
    light, dark = open_notebook(), open_notebook(dark=True)
    expect(light.root).to_have_attribute("data-theme", "light")
    expect(dark.root).to_have_attribute("data-theme", "dark")

    def surface(stage: Stage) -> float:
        picture = Image.open(io.BytesIO(stage.part("status").screenshot())).convert("L")
        return float(np.median(np.asarray(picture)))

    assert surface(light) > 200
    assert surface(dark) < 60


def test_closing_frees_the_embedding_and_the_view(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(230, 110)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.kernel.run(
        "from segwidget.inference.embeddings import embedding_cache\nbefore = len(embedding_cache)"
    )
    stage.kernel.run("seg.close()")
    expect(stage.root).to_have_count(0)
    stage.kernel.until("len(embedding_cache) == 0")
    assert stage.kernel.eval("[before, seg.masks.shape[0]]") == [1, 1]
    assert stage.lab.errors == []


def test_clearing_an_output_leaves_no_listener(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([QUICKSTART, "seg"], height=1800)
    roots = stage.page.get_by_test_id("segwidget-root")
    expect(roots).to_have_count(2)
    stage.lab.command("editmenu:clear-current")
    expect(roots).to_have_count(1)
    stage.kernel.run("seg.prompts = [Point(230, 110)]; seg.prompts = []; seg.label = 'eye'")
    # The view that is left has heard of all of it, and so would the one that is gone.
    chip = roots.get_by_test_id("label-chip").nth(1)
    expect(chip).to_have_attribute("aria-checked", "true")
    assert stage.lab.errors == []
    assert stage.kernel.eval("seg.notice") is None
