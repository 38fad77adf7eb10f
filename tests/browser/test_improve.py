"""An improved model on offer, as the app shows it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import ARTIFACTS, OpenNotebook

SETUP = """
import tempfile
from pathlib import Path
from PIL import Image
from skimage import data
from segwidget import Project
folder = Path(tempfile.mkdtemp()) / "pictures"
folder.mkdir()
for name in ("chelsea", "coffee"):
    Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
project = Project(folder, labels=["cat", "cup"])
app = project.app()
app
"""
# What a run leaves behind where the new model is better.
OFFER = """
part = app._improve
part.offered = folder / "segwidget-tuned-1.delta.safetensors"
part.offered.write_bytes(b"weights")
part.offered.with_name("segwidget-tuned-1.md").write_text("# Card")
part.text.value = (
    "Better on held-out images: IoU 1 click 0.71 → 0.78, 3 clicks 0.80 → 0.84, box 0.85 → 0.88"
)
part._show("offer")
"""


def test_an_offer_is_read_and_declined(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([SETUP], height=1200)
    stage.kernel.run(OFFER)
    row = stage.page.locator(".segwidget-app-improve")
    expect(row).to_contain_text("box 0.85 → 0.88")
    use, keep = row.get_by_role("button", name="Use it"), row.get_by_role("button", name="Keep the")
    expect(use).to_be_visible()
    expect(keep).to_be_visible()
    expect(row.get_by_role("button", name="Improve on my masks")).to_be_hidden()
    frame = stage.page.locator(".segwidget-app").first.bounding_box()
    assert frame is not None
    for part in (use, keep):
        box = part.bounding_box()
        assert box is not None
        assert frame["x"] <= box["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]
        # A button's text is not cut off.
        assert part.evaluate("b => b.scrollWidth <= b.clientWidth")
    cut = row.locator(".segwidget-app-quiet").evaluate("e => e.scrollWidth > e.clientWidth + 1")
    assert not cut
    ARTIFACTS.mkdir(exist_ok=True)
    stage.page.screenshot(path=ARTIFACTS / "improve_offer.png")
    keep.click()
    expect(row.get_by_role("button", name="Improve on my masks")).to_be_visible()
    stage.kernel.until("not list(folder.glob('segwidget-tuned*'))")
