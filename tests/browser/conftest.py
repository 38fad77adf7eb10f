"""One server and one browser for all tests; a notebook, its kernel and its page for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.lab_driver import PATIENCE_MS, Kernel, LabPage, LabServer, chromium
from tests.browser.stage import Stage

expect.set_options(timeout=PATIENCE_MS)

ARTIFACTS = Path("test-artifacts")

QUICKSTART = """
from skimage import data
from segwidget import Box, Point, Segmenter
seg = Segmenter(data.chelsea(), labels=["cat", "eye"])
seg
"""

OpenNotebook = Callable[..., Stage]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    server = LabServer(tmp_path_factory.mktemp("jupyter")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def dark_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabServer]:
    server = LabServer(tmp_path_factory.mktemp("jupyter-dark"), theme="JupyterLab Dark").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_notebook(browser: Browser, request: pytest.FixtureRequest) -> Iterator[OpenNotebook]:
    """`open_notebook(cells)`: a notebook that has run, its Segmenter on screen and ready.

    A picture and the console of every notebook are kept when the test fails.
    """
    opened: list[tuple[LabPage, Kernel]] = []
    contexts = []

    def make(
        cells: list[str] | None = None,
        *,
        width: int = 1200,
        height: int = 900,
        ratio: float = 1,
        dark: bool = False,
        before_open: str = "",
        run: str = "notebook:run-all-cells",
    ) -> Stage:
        server: LabServer = request.getfixturevalue("dark_server" if dark else "server")
        name = re.sub(r"\W+", "_", f"{request.node.name}_{len(opened)}") + ".ipynb"
        context = browser.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=ratio,
            reduced_motion="reduce",
        )
        contexts.append(context)
        if before_open:
            context.add_init_script(before_open)
        context.set_default_timeout(PATIENCE_MS)
        server.write_notebook(name, cells or [QUICKSTART])
        lab = LabPage(context.new_page(), server).open(name)
        lab.command(run)
        kernel = server.kernel(name)
        opened.append((lab, kernel))
        return Stage(lab, kernel).ready()

    yield make
    failed = getattr(request.node, "report_of_call", None)
    for number, (lab, _) in enumerate(opened):
        if failed is not None and failed.failed:
            ARTIFACTS.mkdir(exist_ok=True)
            stem = ARTIFACTS / re.sub(r"\W+", "_", f"{request.node.name}_{number}")
            lab.page.screenshot(path=f"{stem}.png", full_page=True)
            Path(f"{stem}.txt").write_text("\n".join(lab.console + lab.errors))
    for context in contexts:
        context.close()
    for lab, kernel in opened:
        lab.server.shut_down(kernel)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_of_{report.when}", report)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in Path(item.path).as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(1800))  # of which a test waits for what it waits
