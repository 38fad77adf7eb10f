"""What holds wherever the widget is shown."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.stage import View

FOREHEAD = (230.0, 110.0)  # of scikit-image's chelsea
CORNER = (440.0, 20.0)


class Complaints:
    """What a page's scripts complain about."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        self.console: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))

    @property
    def ours(self) -> list[str]:
        """Uncaught errors, and whatever the console says of segwidget."""
        named = [line for line in self.console if "segwidget" in line.lower()]
        return self.errors + [line for line in named if line.startswith(("error", "warning"))]


def answers_and_keeps(view: View) -> None:
    """A click is answered and shown; Enter keeps it."""
    plain = view.pixels()
    view.click(*FOREHEAD)
    expect(view.part("candidate-0")).to_be_visible()
    view.canvas.hover(position={"x": 2, "y": 2})
    changed = (abs(view.pixels() - plain) > 8).any(axis=2).mean()
    assert 0.01 < changed < 0.9
    view.press("Enter")
    expect(view.part("annotation-row")).to_have_count(1)


def wheel_zooms_only_with_focus(view: View) -> None:
    """Over an unfocused picture the wheel is the page's."""

    def scale() -> float:
        return float(view.canvas.get_attribute("data-scale") or 0)

    view.canvas.scroll_into_view_if_needed()
    view.canvas.evaluate("c => c.blur()")
    view.canvas.hover()
    before = scale()
    for focus in (False, True):
        if focus:
            view.canvas.focus()
        told = view.canvas.evaluate_handle(
            """c => ({ prevented: new Promise(done => c.addEventListener(
                'wheel', e => setTimeout(() => done(e.defaultPrevented)), { once: true })) })"""
        )
        view.page.mouse.wheel(0, -120)
        assert told.evaluate("t => t.prevented") is focus
        assert focus or scale() == before
    view.wait_for(f"Number(root.querySelector('canvas.sw-canvas').dataset.scale) > {before} * 1.05")
