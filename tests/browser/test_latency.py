"""The kernel's way is short: the server extension is at work in the tests' own server."""

from __future__ import annotations

from tests.browser.conftest import OpenNotebook
from tests.browser.lab_driver import LabServer


def test_the_server_runs_the_extension(server: LabServer) -> None:
    log = (server.home / "server.log").read_text()
    assert "segwidget.server | extension was successfully loaded" in log


def test_more_than_10_mib_reach_the_kernel(open_notebook: OpenNotebook) -> None:
    """A server without the extension would close the connection."""
    stage = open_notebook()
    stage.page.evaluate(
        """async () => {
          const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          const code = `received = len('${'x'.repeat(11 << 20)}')`;
          await kernel.requestExecute({code, store_history: false}).done;
        }"""
    )
    assert stage.kernel.eval("received") == 11 << 20
    stage.click(230, 110)
    assert stage.lab.errors == []
