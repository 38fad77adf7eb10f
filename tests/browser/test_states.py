"""Every state of the front end on its demo page, in both themes and two widths.

`make screenshots` keeps the pictures in `test-artifacts/states/`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import ARTIFACTS
from tests.browser.lab_driver import PATIENCE_MS

STATES = {
    "plain": "",
    "empty": "state=empty",
    "loading": "state=loading",
    "failed": "state=failed",
    "error": "state=notice",
    "info": "state=info",
    "thousand objects": "objects=1000",
    "thousand proposals": "proposals=1000",
    "large picture": "size=4000x3000",
    "two views": "twice=1",
}
DRAFTS = {"draft": [(300, 250)], "excluded": [(300, 250), (420, 300)]}
LOOKS = [("light", 1160), ("dark", 1160), ("light", 400), ("dark", 400)]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The demo page's address; scripts that are modules are not loaded from files."""
    folder = tmp_path_factory.mktemp("demo")
    build = [sys.executable, ".ci/npm.py", "run", "demo", "--", str(folder)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


@pytest.fixture(params=LOOKS, ids=[f"{theme}-{width}" for theme, width in LOOKS])
def look(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[Page, str, int]]:
    theme, width = request.param
    context = browser.new_context(
        viewport={"width": width + 40, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page(), theme, width
    context.close()


def open_state(page: Page, demo: str, theme: str, width: int, wish: str) -> list[str]:
    """Open the demo page in a state; answers what it complained of so far."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{demo}?theme={theme}&width={width}&{wish}")
    page.get_by_test_id("segwidget-root").first.wait_for()
    if "state=empty" not in wish:
        page.wait_for_function("document.querySelector('.segwidget').dataset.painted === 'true'")
    return complaints


def keep_picture(page: Page, name: str, theme: str, width: int) -> None:
    if os.environ.get("SCREENSHOTS"):
        folder = ARTIFACTS / "states"
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name.replace(' ', '_')}_{width}_{theme}.png")


def sticks_out(page: Page) -> list[str]:
    """Controls that reach beyond the widget's edges."""
    return page.get_by_test_id("segwidget-root").first.evaluate(
        """r => { const frame = r.getBoundingClientRect();
                  return [...r.querySelectorAll('button, canvas, select, input')].filter(e => {
                      const b = e.getBoundingClientRect();
                      return b.width > 0 && (b.left < frame.left - 1 || b.right > frame.right + 1);
                  }).map(e => e.outerHTML.slice(0, 120)); }"""
    )


def test_screenshots_of_every_state(look: tuple[Page, str, int], demo: str) -> None:
    page, theme, width = look
    for name, wish in STATES.items():
        complaints = open_state(page, demo, theme, width, wish)
        assert sticks_out(page) == [], name
        keep_picture(page, name, theme, width)
        assert complaints == [], name


def test_screenshots_of_a_draft(look: tuple[Page, str, int], demo: str) -> None:
    page, theme, width = look
    for name, clicks in DRAFTS.items():
        complaints = open_state(page, demo, theme, width, "")
        canvas = page.get_by_test_id("segwidget-canvas")
        for number, (x, y) in enumerate(clicks):
            at = canvas.evaluate("c => ({...c.dataset})")
            spot = {
                "x": float(at["originX"]) + x * float(at["scale"]),
                "y": float(at["originY"]) + y * float(at["scale"]),
            }
            canvas.click(position=spot, button="right" if number else "left")
            page.wait_for_function("document.querySelector('.segwidget').dataset.busy === 'false'")
        expect(page.get_by_test_id("candidate-0")).to_be_visible()
        assert sticks_out(page) == [], name
        keep_picture(page, name, theme, width)
        assert complaints == [], name


def test_screenshots_of_what_opens(look: tuple[Page, str, int], demo: str) -> None:
    page, theme, width = look
    for name, key, opens in (("keys", "?", "key-sheet"), ("models", "m", "model-menu")):
        complaints = open_state(page, demo, theme, width, "")
        page.get_by_test_id("segwidget-canvas").press(key)
        expect(page.get_by_test_id(opens)).to_be_visible()
        assert sticks_out(page) == [], name
        keep_picture(page, name, theme, width)
        assert complaints == [], name
