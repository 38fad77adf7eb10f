"""Notebook 7."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import QUICKSTART
from tests.browser.lab_driver import LabPage
from tests.browser.places.conftest import NewPage
from tests.browser.places.manners import (
    FOREHEAD,
    Complaints,
    answers_and_keeps,
    wheel_zooms_only_with_focus,
)
from tests.browser.places.servers import NotebookServer
from tests.browser.stage import Stage


def test_a_mask_is_kept_and_the_notebook_is_left_alone(
    notebook_server: NotebookServer, new_page: NewPage
) -> None:
    page, _ = new_page()
    notebook_server.write_notebook("manners.ipynb", [QUICKSTART, "1 + 1"])
    lab = LabPage(page, notebook_server).open("manners.ipynb")
    complaints = Complaints(page)  # Notebook's own, of its start, are not ours
    lab.command("notebook:run-all-cells")
    kernel = notebook_server.kernel("manners.ipynb")
    try:
        stage = Stage(lab, kernel).ready()
        answers_and_keeps(stage)
        assert kernel.eval("[a.label for a in seg.annotations]") == ["cat"]

        for key in ("a", "b", "d", "d", "x", "m", "y", "z", "Escape"):
            stage.press(key)
        stage.page.keyboard.press("Escape")
        assert lab.cell_count() == 2
        stage.click(*FOREHEAD)  # everything before it has been dealt with
        assert lab.cell_count() == 2
        expect(stage.part("annotation-row")).to_have_count(1)

        wheel_zooms_only_with_focus(stage)
        assert complaints.ours == []
    finally:
        kernel.close()
        lab.command("kernelmenu:shutdown")
