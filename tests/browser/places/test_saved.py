"""Notebooks that are read later, when the kernel that made them is gone."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenNotebook
from tests.browser.lab_driver import PATIENCE_MS, LabPage, LabServer
from tests.browser.places.conftest import NewPage
from tests.browser.stage import Stage, View

# A detailed photograph: as much as a preview can take.
CELL = """import numpy as np
from skimage import data, transform
from segwidget import Box, Segmenter
picture = transform.resize(data.astronaut(), (1000, 1333))
noise = np.random.default_rng(0).normal(0, 0.05, picture.shape)
picture = (255 * np.clip(picture + noise, 0, 1)).astype(np.uint8)
seg = Segmenter(picture, labels={"face": "#e5484d", "suit": "#2f7fe8"})
seg.prompts = [Box(440, 130, 730, 400)]
seg.keep(label="face")
seg"""
SAVE_STATE = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
STATE = "application/vnd.jupyter.widget-state+json"


def saves_state(stage: Stage, wanted: bool) -> None:
    """Have JupyterLab save the states of widgets with notebooks, or not."""
    toggled = f"window.jupyterapp.commands.isToggled({SAVE_STATE!r})"
    if stage.page.evaluate(toggled) is not wanted:
        stage.lab.command(SAVE_STATE)
    stage.page.wait_for_function(f"{toggled} === {str(wanted).lower()}")


@pytest.fixture
def saved(open_notebook: OpenNotebook, server: LabServer) -> tuple[str, dict[str, Any]]:
    """A notebook with widget state whose kernel has been shut down: its name, and its content."""
    stage = open_notebook([CELL])
    stage.click(660, 800)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(2)
    stage.kernel.until("len(seg.annotations) == 2")
    saves_state(stage, True)
    stage.lab.command("docmanager:save")
    saves_state(stage, False)  # a setting of the server's, which other notebooks see
    stage.lab.command("kernelmenu:shutdown")
    return stage.lab.name, json.loads((server.root / stage.lab.name).read_text())


def png_of(notebook: dict[str, Any]) -> Image.Image:
    [picture] = [o for o in notebook["cells"][0]["outputs"] if "image/png" in o["data"]]
    data = base64.b64decode("".join(picture["data"]["image/png"]))
    assert len(data) <= 300_000
    with Image.open(BytesIO(data)) as picture:
        return picture.convert("RGB")


def test_masks_are_seen_without_the_kernel_that_made_them(
    saved: tuple[str, dict[str, Any]], server: LabServer, new_page: NewPage
) -> None:
    name, notebook = saved
    state = notebook["metadata"]["widgets"][STATE]["state"]
    assert len(json.dumps(state)) <= 2_000_000
    picture = np.asarray(png_of(notebook), int)
    assert max(picture.shape) <= 800
    height, width = picture.shape[:2]
    red = np.array([0xE5, 0x48, 0x4D])
    outlined = (abs(picture - red) < 30).all(axis=2)
    assert outlined[: height // 2, width // 4 : width * 3 // 4].sum() > 50

    page, complaints = new_page()
    lab = LabPage(page, server).open(name)  # its new kernel knows nothing of the widget
    view = View(page)
    view.wait_for("root.dataset.painted === 'true'")
    expect(view.part("annotation-row")).to_have_count(2)
    expect(view.part("status")).to_contain_text("No kernel is connected")
    for testid in ("everything", "keep", "undo", "delete", "model-button", "label-chip"):
        expect(view.part(testid).locator("visible=true")).to_have_count(0)
    before = view.pixels()
    view.part("zoom-in").click()
    view.part("zoom-fit").click()
    view.canvas.click(position=view.spot(660, 460))
    view.canvas.press("Enter")
    view.canvas.press("Control+z")
    view.canvas.hover(position={"x": 2, "y": 2})
    expect(view.part("annotation-row")).to_have_count(2)
    expect(view.part("notice")).to_have_count(0)
    assert (abs(view.pixels() - before) > 40).any(axis=2).mean() < 0.02
    assert complaints.ours == []
    lab.command("kernelmenu:shutdown")


BARE = """import numpy as np
from segwidget import Point, Segmenter
seg = Segmenter(np.full((300, 400, 3), 90, np.uint8), labels={"disc": "#e5484d"})
seg"""
LIVE = "application/vnd.jupyter.widget-view+json"
STILL = ".jp-OutputArea-child .jp-RenderedImage img"


def asks(route: Route) -> bool:
    """Whether a page asks for a kernel."""
    return route.request.method == "POST"


def red_share(picture: bytes) -> float:
    """How much of a picture is of the color of a mask's outline."""
    with Image.open(BytesIO(picture)) as image:
        pixels = np.asarray(image.convert("RGB"), int)
    return float((abs(pixels - [0xE5, 0x48, 0x4D]) < 30).all(axis=2).mean())


@pytest.mark.parametrize("kernel", ["none", "new"])
def test_without_widget_state_the_picture_follows_the_masks_and_is_what_is_left(
    open_notebook: OpenNotebook, server: LabServer, new_page: NewPage, kernel: str
) -> None:
    stage = open_notebook([BARE])
    still = stage.page.locator(STILL)
    expect(still).to_have_count(1)
    expect(still).to_be_hidden()  # the live view is there
    source = still.get_attribute("src")
    stage.click(200, 150)
    stage.press("Enter")
    stage.kernel.until("len(seg.annotations) == 1")
    stage.page.wait_for_function(
        "([img, before]) => document.querySelector(img).src !== before", arg=[STILL, source]
    )
    expect(still).to_be_hidden()
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.lab.command("docmanager:save")
    stage.lab.command("kernelmenu:shutdown")

    file = server.root / stage.lab.name
    notebook = json.loads(file.read_text())
    assert "widgets" not in notebook["metadata"]
    _, rule, live = notebook["cells"][0]["outputs"]
    assert set(rule["data"]) == {"text/html", "text/plain"}
    assert LIVE in live["data"]
    assert "image/png" not in live["data"]
    buffer = BytesIO()
    png_of(notebook).save(buffer, "PNG")
    assert red_share(buffer.getvalue()) > 0.0005

    page, _ = new_page()
    lab = LabPage(page, server)
    if kernel == "new":
        lab.open(stage.lab.name)
        words = page.get_by_text("model not found")
    else:
        # As where there is no room for one more: no kernel starts.
        page.route(
            "**/api/sessions*", lambda route: route.abort() if asks(route) else route.continue_()
        )
        page.goto(
            f"{server.url}{server.page_path}/{stage.lab.name}?token={server.token}&reset",
            timeout=PATIENCE_MS,
        )
        words = page.get_by_text("Loading widget...")
    expect(words).to_have_count(1)
    expect(words).to_be_hidden()  # the picture says more
    expect(page.locator(STILL)).to_be_visible()
    page.wait_for_function("img => document.querySelector(img).naturalWidth === 400", arg=STILL)
    shown = page.locator(STILL).get_attribute("src") or ""  # a word about the kernel is before it
    assert red_share(base64.b64decode(shown.split(",")[1])) > 0.0005
    if kernel == "new":
        lab.command("kernelmenu:shutdown")
