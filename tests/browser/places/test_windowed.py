"""JupyterLab's windowed notebooks: a cell that is scrolled out of sight leaves the page."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import QUICKSTART, OpenNotebook
from tests.browser.lab_driver import LabPage, LabServer
from tests.browser.stage import Stage

CELLS = 15
LINES = "\n".join(f"# line {i}" for i in range(40))

SETTING = "@jupyterlab/notebook-extension/tracker.jupyterlab-settings"


@pytest.fixture
def windowed(server: LabServer) -> Iterator[None]:
    """Pages that are opened now keep only the cells in sight."""
    file = server.home / "lab-settings" / SETTING
    before = file.read_text()
    file.write_text(json.dumps({"windowingMode": "full"}))
    yield
    file.write_text(before)


def go_to(lab: LabPage, cell: int) -> None:
    """Make a cell the active one, which alone stays in the page wherever it is."""
    lab.page.evaluate(
        """i => { const notebook = window.jupyterapp.shell.currentWidget.content;
                  notebook.activeCellIndex = i;
                  return notebook.scrollToItem(i, 'start'); }""",
        cell,
    )


@pytest.mark.usefixtures("windowed")
def test_scrolled_out_and_back_it_is_as_it_was(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([QUICKSTART, *[LINES] * CELLS], height=800, run="notebook:run-cell")
    lab, kernel, page = stage.lab, stage.kernel, stage.page
    stage.click(165, 120)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.click(300, 140)
    fitting = stage.canvas.get_attribute("data-scale")
    stage.press("+")
    stage.wait_for(f"root.querySelector('canvas.sw-canvas').dataset.scale !== '{fitting}'")
    stage.canvas.hover(position={"x": 2, "y": 2})
    before = stage.pixels()
    zoomed = stage.canvas.get_attribute("data-scale") or ""

    go_to(lab, CELLS)
    page.wait_for_function(
        """() => { const root = document.querySelector('[data-testid=segwidget-root]');
                   const box = root?.getBoundingClientRect();
                   return !box || box.width === 0; }"""
    )
    go_to(lab, 0)
    again = Stage(lab, kernel).ready()
    again.answered()
    expect(again.part("annotation-row")).to_have_count(1)
    expect(again.part("candidate-0")).to_be_visible()
    again.canvas.hover(position={"x": 2, "y": 2})
    expect(again.canvas).to_have_attribute("data-scale", zoomed)
    after = again.pixels()
    assert after.shape == before.shape
    assert (abs(after - before) > 16).any(axis=2).mean() < 0.01
    again.press("Enter")
    expect(again.part("annotation-row")).to_have_count(2)
    assert kernel.eval("len(seg.annotations)") == 2
    assert lab.errors == []
