"""marimo: reactive cells, and widgets in a shadow tree."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.places.conftest import NewPage
from tests.browser.places.manners import (
    FOREHEAD,
    answers_and_keeps,
    wheel_zooms_only_with_focus,
)
from tests.browser.places.servers import MarimoServer
from tests.browser.stage import View


def test_a_mask_is_kept_and_cells_that_read_it_run_again(
    marimo_server: MarimoServer, new_page: NewPage
) -> None:
    page, complaints = new_page(height=1400)
    page.goto(marimo_server.url)
    view = View(page).ready()
    assert view.root.evaluate("r => r.getRootNode() instanceof ShadowRoot")
    said = page.locator("span.paragraph", has_text="python sees")
    expect(said).to_contain_text("python sees 0 kept of height 360")
    frame = view.canvas.bounding_box()
    assert frame is not None

    answers_and_keeps(view)
    expect(said).to_contain_text("python sees 1 kept of height 360: [('cat', ")
    view.part("delete").first.click()
    expect(said).to_contain_text("python sees 0 kept")
    view.press("Control+z")
    expect(said).to_contain_text("python sees 1 kept")

    cells = page.locator("[data-cell-id]")
    count = cells.count()
    for key in ("a", "b", "d", "d", "x", "Escape", "z", "Enter"):
        view.press(key)
    view.click(*FOREHEAD)
    assert view.canvas.evaluate("c => c.getRootNode().activeElement === c")
    assert cells.count() == count

    wheel_zooms_only_with_focus(view)
    expect(view.root).to_have_attribute("data-theme", "light")
    page.evaluate("document.body.style.background = '#16181d'")
    expect(view.root).to_have_attribute("data-theme", "dark")
    assert complaints.ours == []
