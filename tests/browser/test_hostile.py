"""Evil names, a kernel that dies, a closed widget: the page survives and shows text."""

from __future__ import annotations

import os
import signal

from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook
from tests.browser.stage import Stage

EVIL = "<img src=x onerror=window.pwned=1><script>window.pwned=2</script>"
CELL = f"""
import numpy as np
from skimage import data
from segwidget import Segmenter, open_image
evil = {EVIL!r}
image = open_image(data.chelsea(), name=evil + "\\u202e" + "x" * 10_000)
seg = Segmenter(image, labels=[evil, "\\u202egnp.exe", '"\\'>&lt;'])
seg
"""


def unharmed(stage: Stage) -> None:
    assert stage.page.evaluate("window.pwned") is None
    assert stage.page.locator("img[src='x'], .segwidget script").count() == 0
    assert stage.lab.errors == []


def test_names_are_text_and_nothing_else(open_notebook: OpenNotebook) -> None:
    stage = open_notebook([CELL, "seg.annotations"], height=1800)
    expect(stage.part("label-chip").first).to_contain_text("<img src=x")
    stage.click(230, 110)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_contain_text("<img src=x")
    stage.lab.command("notebook:run-all-below")
    # As an output of its own, through the notebook's own HTML.
    html = stage.kernel.eval("seg.annotations._repr_html_()")
    stage.page.evaluate(
        "html => { const d = document.createElement('div'); d.innerHTML = html; "
        "d.id = 'table'; document.body.append(d); }",
        html,
    )
    expect(stage.page.locator("#table")).to_contain_text("<img src=x")
    stage.kernel.run("seg.set_state({'label': evil * 3})")
    expect(stage.part("notice")).to_contain_text("<img src=x")
    unharmed(stage)


def test_a_closed_segmenter_takes_its_view_along(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(230, 110)
    stage.kernel.run("seg.close()")
    expect(stage.root).to_have_count(0)
    unharmed(stage)


def test_a_storm_of_clicks_is_capped_and_the_newest_thing_answered(
    open_notebook: OpenNotebook,
) -> None:
    stage = open_notebook()
    spots = [stage.spot(100 + i % 20 * 10, 60 + i // 20 * 7) for i in range(300)]
    stage.canvas.evaluate(
        """(canvas, spots) => {
          const frame = canvas.getBoundingClientRect();
          for (const {x, y} of spots) {
            const at = {clientX: frame.x + x, clientY: frame.y + y, bubbles: true, pointerId: 1,
                        isPrimary: true, button: 0, pointerType: 'mouse'};
            canvas.dispatchEvent(new PointerEvent('pointerdown', {...at, buttons: 1}));
            canvas.dispatchEvent(new PointerEvent('pointerup', at));
          }
        }""",
        spots,
    )
    expect(stage.part("notice")).to_contain_text("100 prompts")
    stage.wait_for("root.dataset.busy === 'false'")
    stage.kernel.until("len(seg.prompts) == 100")
    stage.press("Escape")
    stage.wait_for("root.dataset.request === ''")
    stage.click(230, 110)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.kernel.until("len(seg.annotations) == 1")
    unharmed(stage)


def test_a_killed_kernel_leaves_the_picture_and_is_told_of(open_notebook: OpenNotebook) -> None:
    stage = open_notebook()
    stage.click(230, 110)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    process = stage.kernel.eval("__import__('os').getpid()")
    os.kill(process, signal.SIGSTOP)  # so that the click is pending when it dies
    stage.canvas.click(position=stage.spot(150, 120))
    os.kill(process, signal.SIGKILL)
    # Whether the page or nobody has answered, it says that the kernel is silent.
    expect(stage.part("notice")).to_contain_text("run the cell again")
    expect(stage.part("annotation-row")).to_have_count(1)
    expect(stage.canvas).to_be_visible()
    unharmed(stage)
