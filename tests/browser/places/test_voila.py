"""Voila: a page of outputs, without cells and without their ids."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.places.conftest import NewPage
from tests.browser.places.manners import answers_and_keeps, wheel_zooms_only_with_focus
from tests.browser.places.servers import VoilaServer
from tests.browser.stage import View

CELLS = [
    """from skimage import data
from segwidget import Segmenter
import ipywidgets
seg = Segmenter(data.chelsea(), labels=["cat", "eye"])
seg""",
    """said = ipywidgets.Label("python sees nothing")
def tell(change):
    said.value = "python sees " + ", ".join(f"{a.label} of {a.area}" for a in seg.annotations)
seg.observe(tell, "annotations")
said""",
]


def test_a_mask_is_kept(voila_server: VoilaServer, new_page: NewPage) -> None:
    page, complaints = new_page()
    voila_server.write_notebook("page.ipynb", CELLS)
    page.goto(f"{voila_server.url}/voila/render/page.ipynb?token={voila_server.token}")
    view = View(page).ready()
    expect(page.get_by_text("python sees nothing")).to_be_visible()
    answers_and_keeps(view)
    expect(page.get_by_text("python sees cat of")).to_be_visible()
    view.part("delete").first.click()
    expect(page.get_by_text("python sees cat of")).to_have_count(0)
    view.press("Control+z")
    expect(page.get_by_text("python sees cat of")).to_be_visible()
    wheel_zooms_only_with_focus(view)
    assert complaints.errors == []
