"""The page answers itself: previews, clicks, and keeping while the kernel is at something else."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import OpenNotebook
from tests.browser.stage import Stage

# Counts what widgets send to the kernel from now on; Jupyter has words of its own to say.
COUNT_MESSAGES = """() => {
    window.sentToKernel = 0;
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (data) {
        const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
        if (text.includes('comm_msg')) window.sentToKernel++;
        return send.call(this, data);
    };
}"""

# A cell that runs until the file is there, and lets no message to the widget through meanwhile.
LONG_CELL = """
import pathlib, time
with seg._lock:
    while not pathlib.Path({gate!r}).exists():
        time.sleep(0.01)
"""


def ready(stage: Stage) -> Stage:
    """Wait until the page can answer."""
    stage.wait_for("root.dataset.decoder === 'ready'")
    return stage


def move_to(stage: Stage, x: float, y: float) -> None:
    frame = stage.canvas.bounding_box()
    assert frame is not None
    at = stage.spot(x, y)
    stage.page.mouse.move(frame["x"] + at["x"], frame["y"] + at["y"])


def answered_here(stage: Stage, x: float, y: float, **options: object) -> None:
    """Click, and wait for the page's own answer."""
    before = stage.root.get_attribute("data-request")
    stage.canvas.click(position=stage.spot(x, y), **options)
    stage.wait_for(f"root.dataset.request !== {before!r} && root.dataset.request !== ''")


def test_a_preview_follows_the_pointer_without_a_word_to_the_kernel(
    open_notebook: OpenNotebook,
) -> None:
    stage = ready(open_notebook())
    plain = stage.pixels()
    stage.page.evaluate(COUNT_MESSAGES)
    for x in (150, 170, 190, 210, 230):
        move_to(stage, x, 150)
        stage.wait_for("root.dataset.preview === 'true'")
    assert stage.page.evaluate("window.sentToKernel") == 0
    assert (abs(stage.pixels() - plain).max(axis=2) > 20).sum() > 1000
    assert stage.kernel.eval("len(seg.prompts)") == 0
    # A click asks, and the preview makes way for its candidates.
    stage.click(230, 150)
    stage.wait_for("root.dataset.preview === 'false'")
    assert stage.page.evaluate("window.sentToKernel") > 0
    assert stage.kernel.eval("len(seg.prompts)") == 1


def test_a_long_cell_holds_nothing_up_and_what_was_kept_arrives(
    open_notebook: OpenNotebook, tmp_path: Path
) -> None:
    stage = ready(open_notebook())
    gate = tmp_path / "gate"
    stage.kernel.client.execute(LONG_CELL.format(gate=str(gate)))
    stage.page.wait_for_function(
        "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'"
    )
    places = [(230, 120), (90, 60), (320, 130)]
    for kept, (x, y) in enumerate(places):
        answered_here(stage, x, y)
        expect(stage.part("answer-time")).to_have_attribute("data-by", "page")
        if kept == 1:
            answered_here(stage, x + 10, y + 5)
        stage.press("Enter")
        stage.wait_for(f"root.dataset.pending === '{kept + 1}'")
    expect(stage.part("pending")).to_contain_text("3 waiting for the kernel")
    answered_here(stage, 150, 200)
    expect(stage.part("annotation-row")).to_have_count(0)

    gate.touch()
    stage.wait_for("root.dataset.pending === '0' && root.dataset.busy === 'false'")
    expect(stage.part("annotation-row")).to_have_count(3)
    expect(stage.part("pending")).to_have_count(0)
    assert stage.kernel.eval("[len(a.prompts) for a in seg.annotations]") == [1, 2, 1]
    assert stage.kernel.eval("[(round(p.x), round(p.y)) for p in seg.prompts]") == [[150, 200]]
    # One undo for everything: first the new draft's prompt, then what was kept last.
    stage.press("Control+z")
    stage.kernel.until("len(seg.prompts) == 0")
    stage.press("Control+z")
    stage.kernel.until("len(seg.annotations) == 2")


def test_where_the_page_may_run_no_worker_the_kernel_answers(open_notebook: OpenNotebook) -> None:
    stage = open_notebook(before_open="delete window.Worker; window.Worker = undefined;")
    stage.click(230, 150)
    expect(stage.part("answer-time")).to_have_attribute("data-by", "kernel")
    assert stage.root.get_attribute("data-decoder") in ("failed", "off", "loading")
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
