"""Drives a real JupyterLab in a headless Chromium.

* `Server`: a process on loopback, with every user directory of its own; `LabServer` is one.
* `chromium()`: a browser through Playwright's sync API.
* `LabPage`: opens a notebook and runs it.
* `Kernel`: a second client on the same kernel, to ask for Python's side of things.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import nbformat
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
CHROMIUM_ARGS = [
    "--no-sandbox",  # root in a container
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
POLL_SECONDS = 0.05
#: Seconds to wait for a condition. A wait ends when its condition holds, so only what fails takes
#: so long, and a machine that is ten times slower passes.
PATIENCE = 300.0
PATIENCE_MS = 1000 * PATIENCE


def die_with_parent() -> None:
    """Linux: no orphaned server when the test run is killed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


AnyServer = TypeVar("AnyServer", bound="Server")


class Server:
    """A process that serves pages, with every user directory redirected to `home`."""

    ready_path = "/api/status"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.root, self.runtime = home / "root", home / "runtime"
        self.token = secrets.token_hex(16)
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self: AnyServer, timeout: float = PATIENCE) -> AnyServer:
        directories = {
            "HOME": self.home,
            "XDG_CONFIG_HOME": self.home / "config",
            "XDG_STATE_HOME": self.home / "state",
            "XDG_CACHE_HOME": self.home / "cache",
            "JUPYTER_CONFIG_DIR": self.home / "config",
            "JUPYTER_DATA_DIR": self.home / "data",
            "JUPYTER_RUNTIME_DIR": self.runtime,
            "IPYTHONDIR": self.home / "ipython",
            "JUPYTERLAB_SETTINGS_DIR": self.home / "lab-settings",
            "JUPYTERLAB_WORKSPACES_DIR": self.home / "lab-workspaces",
        }
        for folder in (self.root, *directories.values()):
            folder.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "IPYTHON"))}
        env = mine | {k: str(v) for k, v in directories.items()} | {"JUPYTER_PLATFORM_DIRS": "1"}
        for _ in range(3):  # the free port may be taken between the probe and the server's start
            self.port = free_port()
            with (self.home / "server.log").open("ab") as log:
                self.process = subprocess.Popen(
                    self._command(),
                    env=env,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            if self._answers_within(timeout):
                return self
            self.stop()
        raise RuntimeError((self.home / "server.log").read_text()[-4000:])

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _write_settings(self) -> None:
        """What a person would have set by hand."""

    def _answers_within(self, timeout: float) -> bool:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                return False
            with contextlib.suppress(OSError, urllib.error.URLError):
                self._open(self.ready_path).close()
                return True
            time.sleep(POLL_SECONDS)
        return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _open(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(
            self.url + path, headers={"Authorization": f"token {self.token}"}, method=method
        )
        return urllib.request.urlopen(request, timeout=60)

    def api(self, path: str) -> Any:
        with self._open(path) as response:
            return json.load(response)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()  # the server shuts its kernels down
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(5)


class LabServer(Server):
    """`jupyter lab`, or another application on the same server."""

    app = "lab"
    page_path = "/doc/tree"

    def __init__(self, home: Path, theme: str | None = None) -> None:
        super().__init__(home)
        self.theme = theme

    def _command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "jupyter",
            self.app,
            "--no-browser",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.root}",
            "--ServerApp.allow_root=True",
            "--ServerApp.terminals_enabled=False",
            "--LabApp.news_url=None",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.extension_manager=readonly",
            "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True",
        ]

    def _write_settings(self) -> None:
        """What a person would set by hand: no news, no update check, all cells in the page."""
        settings: dict[str, dict[str, Any]] = {
            "@jupyterlab/apputils-extension/notification": {
                "fetchNews": "false",
                "checkForUpdates": False,
                "doNotDisturbMode": True,
            },
            "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
        }
        if self.theme:
            settings["@jupyterlab/apputils-extension/themes"] = {"theme": self.theme}
        for name, value in settings.items():
            path = self.home / "lab-settings" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))

    def write_notebook(self, name: str, cells: list[str]) -> None:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
        )
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.root / name)

    def kernel(self, name: str) -> Kernel:
        for session in self.api("/api/sessions"):
            if session["path"].endswith(name):
                return Kernel(self.runtime / f"kernel-{session['kernel']['id']}.json")
        raise LookupError(name)

    def shut_down(self, kernel: Kernel) -> None:
        """End a kernel behind the next test's back: one takes seconds to go."""
        kernel.close()
        threading.Thread(target=self._end, args=(kernel.id,)).start()

    def _end(self, kernel: str) -> None:
        with contextlib.suppress(OSError):  # it has gone already, or the server with all its own
            self._open(f"/api/kernels/{kernel}", "DELETE").close()


class Kernel:
    """A second client on a notebook's kernel."""

    def __init__(self, connection_file: Path) -> None:
        self.id = connection_file.stem.removeprefix("kernel-")
        self.client = BlockingKernelClient(connection_file=str(connection_file))
        self.client.load_connection_file()
        self.client.start_channels()
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.client.wait_for_ready(timeout=PATIENCE)
                return
            except RuntimeError:  # a heart that beats late counts as one that has stopped
                if time.monotonic() > end:
                    raise

    def eval(self, expression: str, timeout: float = PATIENCE) -> Any:
        """The value of an expression that JSON can hold."""
        reply = self.client.execute(
            "import json as _json",
            user_expressions={"r": f"_json.dumps({expression})"},
            store_history=False,
            reply=True,
            timeout=timeout,
        )
        result = reply["content"]["user_expressions"]["r"]
        if result["status"] != "ok":
            raise RuntimeError(f"{result['ename']}: {result['evalue']}")
        return json.loads(ast.literal_eval(result["data"]["text/plain"]))

    def run(self, code: str, timeout: float = PATIENCE) -> None:
        reply = self.client.execute(code, store_history=False, reply=True, timeout=timeout)
        if reply["content"]["status"] != "ok":
            raise RuntimeError("\n".join(reply["content"]["traceback"]))

    def until(self, expression: str, timeout: float = PATIENCE) -> Any:
        """Wait until the expression is true."""
        end = time.monotonic() + timeout
        while not (value := self.eval(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} is still {value!r} after {timeout} s")
            time.sleep(POLL_SECONDS)
        return value

    def close(self) -> None:
        self.client.stop_channels()


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        try:
            yield browser
        finally:
            browser.close()


class LabPage:
    """One notebook in JupyterLab."""

    def __init__(self, page: Page, server: LabServer) -> None:
        self.page, self.server, self.name = page, server, ""
        self.console: list[str] = []
        self.errors: list[str] = []
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, name: str, timeout: float = PATIENCE_MS) -> LabPage:
        self.name = name
        address = f"{self.server.url}{self.server.page_path}/{name}"
        self.page.goto(f"{address}?token={self.server.token}&reset", timeout=timeout)
        self.wait_until_connected(timeout)
        return self

    def reload(self, timeout: float = PATIENCE_MS) -> None:
        self.page.reload(timeout=timeout)
        self.wait_until_connected(timeout)

    def wait_until_connected(self, timeout: float) -> None:
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=timeout)
        self.page.wait_for_function(
            """() => { const widget = window.jupyterapp?.shell?.currentWidget;
                       const kernel = widget?.sessionContext?.session?.kernel;
                       return kernel?.connectionStatus === 'connected'
                           && kernel.status === 'idle'; }""",
            timeout=timeout,
        )

    def command(self, name: str) -> None:
        self.page.evaluate(
            "name => window.jupyterapp.commands.execute(name).then(() => null)", name
        )

    def notebook_mode(self) -> str:
        mode: str = self.page.evaluate("window.jupyterapp.shell.currentWidget.content.mode")
        return mode

    def cell_count(self) -> int:
        count: int = self.page.evaluate(
            "window.jupyterapp.shell.currentWidget.content.widgets.length"
        )
        return count
