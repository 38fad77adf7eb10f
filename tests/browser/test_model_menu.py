"""The model menu as a person uses it: choose, fetch, cancel, go on; and no work is lost."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Locator, expect

from segwidget.inference.registry import EMBEDDED_WEIGHTS, MODELS
from segwidget.sam.checkpoint import read_state
from tests import slow_mirror
from tests.browser.conftest import ARTIFACTS, QUICKSTART, OpenNotebook
from tests.browser.lab_driver import PATIENCE
from tests.browser.stage import Stage
from tests.slow_mirror import SlowMirror

NAME = "mobile_sam"
FILE = MODELS[NAME].file_name
# What is shown of two fifths of the file: the last steps before a stop are not reported.
SOME = re.compile(r"^(3[5-9]|40)%?$")
FOREHEAD, CHEEK = (230.0, 110.0), (330.0, 200.0)


@pytest.fixture(scope="module")
def weights() -> bytes:
    """A checkpoint of the embedded network in another file format, to be published as NAME."""
    buffer = io.BytesIO()
    state = read_state(EMBEDDED_WEIGHTS)
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, buffer)
    return buffer.getvalue()


@pytest.fixture
def mirror(weights: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowMirror]:
    monkeypatch.setattr(slow_mirror, "PATIENCE", PATIENCE)
    with SlowMirror(**{FILE: weights}) as mirror:
        yield mirror


def setup_cell(mirror: SlowMirror, cache: Path) -> str:
    """Have the kernel know NAME as the mirror's file, and look for it in an empty folder."""
    content = mirror.files[FILE]
    return f"""
import os
from dataclasses import replace
from segwidget.inference.download import download_checkpoint
from segwidget.inference.registry import MODELS
download_checkpoint.__kwdefaults__["timeout"] = {PATIENCE}  # for a mirror that is made to wait
os.environ["SEGWIDGET_CACHE"], os.environ["SEGWIDGET_MIRROR"] = {str(cache)!r}, {mirror.url!r}
os.environ.pop("SEGWIDGET_OFFLINE", None)
MODELS[{NAME!r}] = replace(
    MODELS[{NAME!r}], size={len(content)}, sha256={hashlib.sha256(content).hexdigest()!r},
    architecture="embedded", preprocessing="sam",
)
"""


def entry(stage: Stage, name: str = NAME) -> Locator:
    return stage.root.locator(f"[data-testid=model-entry][data-name={name}]")


def place(stage: Stage, name: str = NAME) -> Locator:
    return entry(stage, name).get_by_test_id("model-place")


def test_a_model_is_fetched_cancelled_gone_on_with_and_used_and_the_work_is_kept(
    open_notebook: OpenNotebook, mirror: SlowMirror, tmp_path: Path
) -> None:
    stage = open_notebook([setup_cell(mirror, tmp_path), QUICKSTART])
    size = len(mirror.files[FILE])
    stage.click(*FOREHEAD)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    assert mirror.ranges == []

    mirror.stop_at(2 * size // 5)
    stage.part("model-button").click()
    expect(place(stage)).to_have_text("17 MB download")
    entry(stage).click()
    expect(stage.part("model-question")).to_contain_text("Download 17 MB? Its licence is Apache")
    assert mirror.ranges == []
    stage.part("download-model").click()
    expect(place(stage)).to_have_text("downloading")
    bar = stage.part("download-line").get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", SOME)
    expect(stage.part("download-percent")).to_have_text(SOME)

    # Clicks are answered meanwhile, and become a draft.
    stage.click(*CHEEK)
    expect(stage.part("model-menu")).to_have_count(0)
    assert stage.kernel.eval("seg.status['model']") == "embedded"

    stage.part("cancel-download-line").click()
    expect(stage.part("download-line")).to_have_count(0)
    expect(stage.part("live")).to_have_text("Download cancelled")
    mirror.stop_at(None)
    stage.press("m")
    entry(stage).click()
    expect(stage.part("model-question")).to_contain_text("Go on with the download?")
    before = stage.root.get_attribute("data-request")
    stage.part("download-model").click()
    expect(stage.part("model-button")).to_contain_text(NAME)
    expect(entry(stage)).to_have_attribute("aria-checked", "true")
    expect(place(stage)).to_have_text("on this computer")
    assert mirror.ranges[0] is None
    assert str(mirror.ranges[-1]).startswith("bytes=")
    assert (tmp_path / FILE).read_bytes() == mirror.files[FILE]

    # The draft is asked anew of the new model, and what was kept is still there.
    stage.wait_for(f"root.dataset.request !== {before!r}")
    stage.answered()
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(2)
    assert stage.kernel.eval("[a.model for a in seg.annotations]") == ["embedded", NAME]
    assert stage.kernel.eval("seg.annotations[1].checkpoint") == (
        hashlib.sha256(mirror.files[FILE]).hexdigest()
    )
    stage.press("Control+z")
    expect(stage.part("annotation-row")).to_have_count(1)
    stage.answered()

    # And back, now that both are here.
    stage.press("m")
    entry(stage, "embedded").click()
    expect(stage.part("model-button")).to_contain_text("embedded")
    stage.answered()
    assert stage.kernel.eval("seg.notice") is None
    assert stage.lab.errors == []


def test_a_missing_file_is_a_notice_and_the_old_model_answers(
    open_notebook: OpenNotebook, mirror: SlowMirror, tmp_path: Path
) -> None:
    cells = [setup_cell(mirror, tmp_path), QUICKSTART]
    del mirror.files[FILE]
    stage = open_notebook(cells)
    cell_count = stage.lab.cell_count()

    # By keys alone: the arrows lead to the model, Enter asks for it, Enter fetches it.
    stage.press("m")
    menu = stage.part("model-menu")
    expect(entry(stage, "embedded")).to_be_focused()
    stage.page.keyboard.press("ArrowDown")
    expect(entry(stage)).to_be_focused()
    for key in ("a", "b", "d", "d", "x", "1"):  # the notebook's own
        entry(stage).press(key)
    entry(stage).press("Enter")
    expect(stage.part("download-model")).to_be_focused()
    stage.part("download-model").press("Enter")
    notice = stage.part("notice")
    expect(notice).to_contain_text("answers 404")
    expect(notice).to_have_attribute("role", "alert")
    expect(place(stage)).to_have_text("17 MB download")
    expect(entry(stage)).to_be_focused()
    entry(stage).press("Escape")
    expect(menu).to_have_count(0)
    expect(stage.canvas).to_be_focused()
    assert stage.lab.cell_count() == cell_count

    stage.part("dismiss").click()
    stage.click(*FOREHEAD)
    stage.press("Enter")
    expect(stage.part("annotation-row")).to_have_count(1)
    assert stage.kernel.eval("[seg.model, seg.annotations[0].model]") == ["embedded"] * 2
    assert stage.lab.errors == []


def keep_picture(stage: Stage, name: str) -> None:
    if os.environ.get("SCREENSHOTS"):
        ARTIFACTS.mkdir(exist_ok=True)
        stage.page.mouse.move(5, 5)  # nothing is hovered
        stage.root.screenshot(path=ARTIFACTS / f"{name}.png")


def fits(stage: Stage) -> bool:
    """The menu lies within the widget, and nothing in it sticks out sideways."""
    inside: bool = stage.root.evaluate(
        """root => { const menu = root.querySelector('[data-testid=model-menu]');
                     const [m, r] = [menu.getBoundingClientRect(), root.getBoundingClientRect()];
                     const within = m.left >= r.left && m.right <= r.right
                         && m.top >= r.top && m.bottom <= r.bottom;
                     return within && menu.scrollWidth <= menu.clientWidth
                         && root.scrollWidth <= root.clientWidth; }"""
    )
    return inside


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_screenshot_of_the_model_menu(
    open_notebook: OpenNotebook, mirror: SlowMirror, tmp_path: Path, dark: bool
) -> None:
    stage = open_notebook(
        [setup_cell(mirror, tmp_path), QUICKSTART], width=1660, height=1150, ratio=2, dark=dark
    )
    theme = "dark" if dark else "light"
    for width in (400, 760, 1400):
        stage.kernel.run(f"seg.layout.width = '{width}px'")
        stage.wait_for(f"Math.abs(root.clientWidth - {width}) <= 2")
        stage.part("model-button").click()
        expect(entry(stage, "embedded")).to_be_focused()
        assert fits(stage)
        keep_picture(stage, f"models_{width}_{theme}")
        entry(stage).click()
        expect(stage.part("download-model")).to_be_focused()
        assert fits(stage)
        keep_picture(stage, f"models_question_{width}_{theme}")
        mirror.stop_at(2 * len(mirror.files[FILE]) // 5)
        stage.part("download-model").click()
        expect(stage.part("download-percent")).to_have_text(SOME)
        assert fits(stage)
        keep_picture(stage, f"models_download_{width}_{theme}")
        stage.part("cancel-download").click()
        expect(stage.part("download-line")).to_have_count(0)
        mirror.cut()
        stage.part("model-button").click()
        expect(stage.part("model-menu")).to_have_count(0)
    assert stage.lab.errors == []
