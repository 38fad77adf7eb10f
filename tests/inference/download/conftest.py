"""A server, and a model whose file it offers."""

import os

import pytest

from segwidget.inference import download
from tests.inference.download.misbehaving_server import serving
from tests.inference.download.small_file import CONTENT, row_of


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SEGWIDGET_OFFLINE", "SEGWIDGET_MIRROR"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "PAUSES", (0.001,) * 4)


@pytest.fixture
def server():
    with serving(CONTENT) as server:
        yield server


@pytest.fixture
def row(server):
    return row_of(CONTENT, f"{server.url}/sam/sam_vit_b_01ec64.pth")
