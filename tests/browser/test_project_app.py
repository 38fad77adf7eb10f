"""The app and the gallery of a project in a real JupyterLab, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import ARTIFACTS, OpenNotebook
from tests.browser.stage import Stage

SETUP = """
import tempfile
from pathlib import Path
from PIL import Image
from skimage import data
from segwidget import Point, Project
folder = Path(tempfile.mkdtemp()) / "pictures"
folder.mkdir()
for name in ("astronaut", "chelsea", "coffee", "rocket"):
    Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
(folder / "damaged.png").write_text("no picture")
project = Project(folder, labels=["cat", "cup"])
app = project.app()
app
"""
GALLERY = "gallery = project.gallery()\ngallery"
NEXT, BEFORE = "The next image (Shift+Page Down)", "The image before this one (Shift+Page Up)"
NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "damaged.png", "rocket.png")


def button(stage: Stage, name: str) -> Locator:
    """A button of the app, by its text or tooltip."""
    found: Locator = stage.page.locator(f".segwidget-app button[title='{name}']").first
    return found


def title(stage: Stage) -> Locator:
    found: Locator = stage.page.locator(".segwidget-app-title").first
    return found


def opened(stage: Stage, name: str) -> Stage:
    """Wait until an image is on the desk, and its model ready."""
    expect(title(stage)).to_have_text(name)
    stage.kernel.until(f"app.key == {name!r} and app.wait(30)")
    # The page may be behind the kernel, and still show the last image.
    expect(stage.page.locator(f"canvas.sw-canvas[aria-label^='{name}, ']")).to_have_count(1)
    expect(stage.page.get_by_test_id("segwidget-root")).to_have_count(1)
    return Stage(stage.lab, stage.kernel).ready()


def look(stage: Stage, dark: bool, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    stage.page.screenshot(path=ARTIFACTS / f"project_{name}_{'dark' if dark else 'light'}.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_keep_next_previous_and_the_mask_is_still_there(
    open_notebook: OpenNotebook, dark: bool
) -> None:
    stage = open_notebook([SETUP], height=1200, dark=dark)
    stage = opened(stage, "astronaut.png")
    expect(stage.page.locator(".segwidget-film-cell")).to_have_count(len(NAMES))
    expect(stage.page.locator(".segwidget-film-cell[data-seen]")).to_have_count(4)
    expect(stage.page.locator("[data-status=failed]")).to_have_attribute("title", "damaged.png")

    stage.click(230, 120)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.kernel.until("len(project.store.annotations('astronaut.png')) == 1")
    expect(stage.page.locator("[aria-current] .segwidget-film-count")).to_have_text("1")

    button(stage, NEXT).click()
    stage = opened(stage, "chelsea.png")
    expect(stage.part("annotation-row")).to_have_count(0)
    look(stage, dark, "next")

    button(stage, BEFORE).click()
    stage = opened(stage, "astronaut.png")
    expect(stage.part("annotation-row")).to_have_count(1)
    size, counts = stage.kernel.eval(
        "[app.segmenter.annotations[0].rle.size, app.segmenter.annotations[0].rle.counts]"
    )
    assert size == [512, 512]
    assert counts

    button(stage, "This image is done; open the next one").click()
    stage = opened(stage, "chelsea.png")
    expect(stage.page.locator("[data-status=done]")).to_have_attribute("title", "astronaut.png")
    progress = stage.page.locator(".segwidget-app-progress .segwidget-app-quiet")
    expect(progress).to_contain_text("1 of 5 done")
    look(stage, dark, "done")
    assert_themed(stage, dark)
    assert stage.lab.errors == []


def assert_themed(stage: Stage, dark: bool) -> None:
    """Nothing of the app's own is white on a dark page, or black on a light one."""
    values: list[list[Any]] = stage.page.evaluate(
        """() => [...document.querySelectorAll('.segwidget-app button:not(.segwidget-app-primary),'
            + '.segwidget-app .segwidget-app-title')]
            .filter(e => !e.closest('.segwidget') && !e.classList.contains('segwidget-film-cell'))
            .map(e => getComputedStyle(e).color.match(/[\\d.]+/g).slice(0, 3).map(Number))"""
    )
    brightness = np.array([value for value in values if value]).mean(axis=1)
    assert len(brightness) >= 5
    assert (brightness > 127).all() if dark else (brightness < 127).all()


def test_a_damaged_image_is_skipped_and_told(open_notebook: OpenNotebook) -> None:
    stage = opened(open_notebook([SETUP], height=1200), "astronaut.png")
    stage.kernel.run("app.open('coffee.png')")
    stage = opened(stage, "coffee.png")
    button(stage, NEXT).click()
    stage = opened(stage, "rocket.png")
    message = stage.page.locator(".segwidget-app-message-text")
    expect(message).to_contain_text("Skipped damaged.png")
    button(stage, "Dismiss").click()
    expect(message).to_be_hidden()

    # Without the mouse: the picture that comes has the focus, so that it goes on.
    for key, name in (("Up", "coffee.png"), ("Up", "chelsea.png"), ("Down", "coffee.png")):
        focused = stage.page.locator("canvas.sw-canvas:focus")
        if name == "coffee.png" and key == "Up":
            stage.canvas.focus()
        expect(focused).to_have_count(1)
        stage.page.keyboard.press(f"Shift+Page{key}")
        stage = opened(stage, name)


def test_review_and_download(open_notebook: OpenNotebook, tmp_path: Path) -> None:
    stage = opened(open_notebook([SETUP], height=1200), "astronaut.png")
    for x in (230, 380):
        stage.kernel.run(f"app.segmenter.prompts = [Point({x}, 120)]; app.segmenter.keep()")
    expect(stage.part("annotation-row")).to_have_count(2)
    button(stage, "Accept or reject what was made").click()
    words = stage.page.locator(".segwidget-app-words .segwidget-app-title")
    expect(words).to_have_text("cat · mask 1 of 2")
    look(stage, False, "review")
    button(stage, "Take this mask off; undo puts it back.").click()
    expect(stage.part("annotation-row")).to_have_count(1)
    expect(words).to_have_text("cat · mask 1 of 1")
    # What is inside is a matter of the formats; here it is to arrive.
    stage.kernel.run(
        "(folder / 'out.zip').write_bytes(b'PK'); project.download = lambda _: folder / 'out.zip'"
    )
    with stage.page.expect_download() as download:
        button(stage, "Save all annotations as a file").click()
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.read_bytes()[:2] == b"PK"
    button(stage, "This mask is good; on to the next.").click()
    opened(stage, "chelsea.png")
    assert stage.kernel.eval("project.store.status('astronaut.png')") == "accepted"


def drawn(stage: Stage, canvas: Locator) -> None:
    """Wait until the third thumbnail is drawn: its place is not one gray."""
    stage.page.wait_for_function(
        """c => { const x = c.getContext('2d'), d = x.getImageData(700, 40, 200, 120).data;
                  return new Set(d.filter((_, i) => i % 4 === 0)).size > 20; }""",
        arg=canvas.element_handle(),
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_click_in_the_gallery_opens_the_image(open_notebook: OpenNotebook, dark: bool) -> None:
    stage = open_notebook([SETUP, GALLERY], height=1500, dark=dark)
    stage = opened(stage, "astronaut.png")
    stage.kernel.run("app.segmenter.prompts = [Point(230, 120)]; app.segmenter.keep('cup')")
    canvas = stage.page.locator(".segwidget-gallery canvas").first
    button(stage, "Look again at what was annotated since").click()
    stage.kernel.until("gallery.wait(30) and gallery.items[0].key == 'astronaut.png'")
    canvas.scroll_into_view_if_needed()
    drawn(stage, canvas)
    look(stage, dark, "gallery")
    box = canvas.bounding_box()
    assert box is not None
    third = stage.kernel.eval("[*gallery._sheet.places[2][0]]")
    ratio = box["width"] / stage.kernel.eval("gallery._canvas.width / 2")
    x, y, width, height = (ratio * v for v in third)
    canvas.click(position={"x": x + width / 2, "y": y + height / 2})
    opened(stage, "coffee.png")
    assert stage.lab.errors == []

    if dark:
        return
    # All of it is there again in a page that is loaded anew.
    stage.lab.command("docmanager:save")
    stage.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    stage.lab.reload()
    stage = opened(stage, "coffee.png")
    expect(stage.page.locator(".segwidget-film-cell[data-seen]")).to_have_count(4)
    drawn(stage, stage.page.locator(".segwidget-gallery canvas").first)


KEEP = """
import numpy as np
from skimage.draw import disk
from segwidget.annotation.annotation import Annotation
rng = np.random.default_rng(2)
for key, spots in {
    "astronaut.png": [(100, 220, 80, "cat"), (300, 90, 25, "cup"), (420, 330, 8, "cup")],
    "chelsea.png": [(130, 220, 110, "cat"), (112, 172, 22, "cat"), (122, 268, 22, "cup")],
    "coffee.png": [(180, 300, 130, "cup"), (350, 480, 60, "cat"), (40, 560, 30, "cup")],
    "rocket.png": [(200, 330, 40, "cup"), (340, 320, 30, "cat"), (60, 100, 50, "cat")],
}.items():
    height, width = project[key].info.height, project[key].info.width
    for row, column, radius, label in spots:
        mask = np.zeros((height, width), bool)
        mask[disk((row, column), radius, shape=mask.shape)] = True
        project[key].annotations.add(
            mask, label, id=f"{key} {row}", predicted_iou=rng.uniform(.4, 1)
        )
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_click_on_a_mask_opens_its_image_and_selects_it(
    open_notebook: OpenNotebook, dark: bool
) -> None:
    setup = SETUP.replace("app = project", f"{KEEP}\napp = project")
    stage = open_notebook([setup, GALLERY], height=1900, dark=dark)
    stage.kernel.until("gallery.wait(30)")
    stage.kernel.run("gallery.arrange(show='masks', sort='score', group='label')")
    stage.kernel.until("gallery.wait(30) and len(gallery.items) == 12")
    canvas = stage.page.locator(".segwidget-gallery canvas").first
    canvas.scroll_into_view_if_needed()
    drawn(stage, canvas)
    look(stage, dark, "masks")
    box = canvas.bounding_box()
    assert box is not None
    at = "[i.mask for i in gallery.items].index('coffee.png 180')"
    place = stage.kernel.eval(f"[*gallery._sheet.places[{at}][0]]")
    ratio = box["width"] / stage.kernel.eval("gallery._canvas.width / 2")
    x, y, width, height = (ratio * v for v in place)
    canvas.click(position={"x": x + width / 2, "y": y + height / 2})
    opened(stage, "coffee.png")
    row = stage.page.locator("[data-testid=annotation-row][data-selected=true]")
    expect(row).to_have_attribute("data-id", "coffee.png 180")
    look(stage, dark, "mask_selected")
    assert stage.lab.errors == []


def field(stage: Stage, name: str) -> Locator:
    """An input of the label editor, by the word before it."""
    found: Locator = stage.page.locator(".segwidget-app-ontology .widget-inline-hbox").filter(
        has=stage.page.locator(f"label:text-is('{name}')")
    )
    return found.locator("input, select").last


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_labels_are_edited_in_the_app(open_notebook: OpenNotebook, dark: bool) -> None:
    setup = SETUP.replace("app = project", f"{KEEP}\napp = project")
    stage = opened(open_notebook([setup], height=1500, dark=dark), "astronaut.png")
    button(stage, "Add, change, merge and relate").click()
    field(stage, "Label").select_option(label="cup (6 masks)")
    expect(field(stage, "Name")).to_have_value("cup")
    field(stage, "Name").fill("<b>mug</b>")
    field(stage, "Key").fill("m")
    field(stage, "Part of").select_option(label="cat")
    look(stage, dark, "labels")
    button(stage, "Change this label, in all images").click()
    stage.kernel.until("'<b>mug</b>' in project.labels.names")
    stage = opened(stage, "astronaut.png")
    expect(field(stage, "Label").locator("option")).to_have_text(
        ["cat (6 masks)", "<b>mug</b> (6 masks)"]
    )
    expect(stage.part("annotation-row").first).to_contain_text("<b>mug</b>")
    field(stage, "Its masks become").select_option(label="cat")
    button(stage, "Remove this label; no mask is lost").click()
    stage.kernel.until("project.labels.names == ('cat',)")
    opened(stage, "astronaut.png")
    assert stage.kernel.eval("project.store.label_counts()") == {"cat": 12}
    look(stage, dark, "labels_merged")
    assert stage.lab.errors == []
