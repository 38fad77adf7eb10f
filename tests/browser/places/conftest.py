"""One server for each place, and a page that is photographed when its test fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import ARTIFACTS
from tests.browser.lab_driver import PATIENCE_MS
from tests.browser.places.manners import Complaints
from tests.browser.places.servers import MarimoServer, NotebookServer, VoilaServer

NewPage = Callable[..., tuple[Page, Complaints]]

MARIMO_CELLS = [
    "import marimo as mo\nfrom skimage import data\nfrom segwidget import Segmenter",
    "seg = mo.ui.anywidget(Segmenter(data.chelsea(), labels=['cat', 'eye'], height=360))\nseg",
    "seg.value\n"
    "kept = [(a.label, int(a.mask.sum())) for a in seg.annotations]\n"
    "mo.md(f'python sees {len(kept)} kept of height {seg.height}: {kept}')",
]


@pytest.fixture(scope="session")
def notebook_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookServer]:
    server = NotebookServer(tmp_path_factory.mktemp("notebook")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def voila_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoilaServer]:
    server = VoilaServer(tmp_path_factory.mktemp("voila")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def marimo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarimoServer]:
    server = MarimoServer(tmp_path_factory.mktemp("marimo"), MARIMO_CELLS).start()
    yield server
    server.stop()


@pytest.fixture
def new_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[NewPage]:
    """`new_page()`: an empty page and what its scripts will complain about."""
    opened: list[tuple[Page, Complaints]] = []
    contexts = []

    def make(width: int = 1300, height: int = 1000) -> tuple[Page, Complaints]:
        context = browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        opened.append((page, Complaints(page)))
        return opened[-1]

    yield make
    failed = getattr(request.node, "report_of_call", None)
    for number, (page, complaints) in enumerate(opened):
        if failed is not None and failed.failed:
            ARTIFACTS.mkdir(exist_ok=True)
            stem = ARTIFACTS / re.sub(r"\W+", "_", f"{request.node.name}_{number}")
            page.screenshot(path=f"{stem}.png")
            Path(f"{stem}.txt").write_text("\n".join(complaints.console + complaints.errors))
    for context in contexts:
        context.close()
