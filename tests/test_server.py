"""The extension of Jupyter Server: what it does to a real one, and that it never harms one."""

import asyncio
import json
import logging
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from tornado.websocket import WebSocketHandler

from segwidget import server as extension

from .server_probe import LARGE

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "etc" / "jupyter" / "jupyter_server_config.d"
HANDLERS = "jupyter_server.services.kernels.websocket"


def connection(folder: Path, *, enabled: bool) -> dict[str, object]:
    """What a client of a kernel finds in a real server."""
    config = folder / "config"
    config.mkdir()
    if enabled:
        shutil.copytree(CONFIG, config / CONFIG.name)
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "server_probe.py", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_real_server_sends_at_once_and_takes_large_messages(tmp_path: Path) -> None:
    assert connection(tmp_path, enabled=True) == {
        "extensions": ["segwidget.server"],
        "no_delay": [True],
        "received": LARGE,
    }


def test_without_the_extension_it_does_neither(tmp_path: Path) -> None:
    """Else the test above shows nothing, and the extension could go."""
    assert connection(tmp_path, enabled=False) == {
        "extensions": [],
        "no_delay": [False],
        "received": None,
    }


def test_the_extension_points_to_itself() -> None:
    [point] = extension._jupyter_server_extension_points()
    assert point == {"module": extension.__name__}
    assert callable(extension._load_jupyter_server_extension)


class Server:
    """As little of a ServerApp as the extension knows."""

    def __init__(self) -> None:
        self.web_app = types.SimpleNamespace(settings={})
        self.log = logging.getLogger("a server")


class Handler(WebSocketHandler):
    """A kernel's websocket that opens at once or later, with a socket or without."""

    def __init__(self, *, fails: bool = False) -> None:
        self.did: list[object] = []
        self.fails = fails

    def set_nodelay(self, value: bool) -> None:
        if self.fails:
            raise OSError("no such option on a socket of a file")
        self.did.append(value)

    def open(self, kernel_id: str) -> str:
        self.did.append(kernel_id)
        return "opened"


class LaterHandler(Handler):
    async def open(self, kernel_id: str) -> str:
        self.did.append(kernel_id)
        return "opened later"


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stands for the module of Jupyter Server with the class that is changed."""
    module = types.ModuleType(HANDLERS)
    monkeypatch.setitem(sys.modules, HANDLERS, module)
    return module


def subclass(handler: type[Handler]) -> type[Handler]:
    """A class that may be changed, for one test alone."""
    return type(handler.__name__, (handler,), {"open": handler.__dict__["open"]})


def test_no_delay_is_set_before_the_handler_opens(handlers: types.ModuleType) -> None:
    handlers.KernelWebsocketHandler = subclass(Handler)
    extension._load_jupyter_server_extension(Server())
    handler = handlers.KernelWebsocketHandler()
    assert handler.open("k") == "opened"
    assert handler.did == [True, "k"]


def test_a_handler_may_open_later(handlers: types.ModuleType) -> None:
    handlers.KernelWebsocketHandler = subclass(LaterHandler)
    extension._load_jupyter_server_extension(Server())
    handler = handlers.KernelWebsocketHandler()
    assert asyncio.run(handler.open(kernel_id="k")) == "opened later"
    assert handler.did == [True, "k"]


def test_two_servers_in_one_process_change_it_once(handlers: types.ModuleType) -> None:
    handlers.KernelWebsocketHandler = subclass(Handler)
    for _ in range(3):
        extension._load_jupyter_server_extension(Server())
    handler = handlers.KernelWebsocketHandler()
    handler.open("k")
    assert handler.did == [True, "k"]


def test_a_socket_that_refuses_is_opened_all_the_same(
    handlers: types.ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    handlers.KernelWebsocketHandler = subclass(Handler)
    extension._load_jupyter_server_extension(Server())
    with caplog.at_level(logging.DEBUG):
        assert handlers.KernelWebsocketHandler(fails=True).open("k") == "opened"
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


def test_a_limit_that_somebody_has_set_holds(handlers: types.ModuleType) -> None:
    handlers.KernelWebsocketHandler = subclass(Handler)
    server = Server()
    server.web_app.settings["websocket_max_message_size"] = 5
    extension._load_jupyter_server_extension(server)
    assert server.web_app.settings == {"websocket_max_message_size": 5}


STRANGE_SERVERS = [object(), types.SimpleNamespace(web_app=None), Server()]
STRANGE_CLASSES = [None, object, type("Handler", (), {"__slots__": ()}), int]


@pytest.mark.parametrize("server", STRANGE_SERVERS, ids=["bare", "without an app", "usual"])
@pytest.mark.parametrize("handler", STRANGE_CLASSES, ids=repr)
def test_a_server_made_otherwise_goes_on_as_it_was(
    handlers: types.ModuleType,
    caplog: pytest.LogCaptureFixture,
    server: object,
    handler: object,
) -> None:
    if handler is not None:
        handlers.KernelWebsocketHandler = handler
    with caplog.at_level(logging.DEBUG):
        extension._load_jupyter_server_extension(server)
    assert caplog.records
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


def test_nothing_of_jupyter_is_imported_with_it() -> None:
    code = "import sys, segwidget.server; print([m for m in sys.modules if 'jupyter' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_of_segwidget_imports_it() -> None:
    importers = [
        file.name
        for file in (ROOT / "segwidget").rglob("*.py")
        if re.search(
            r"^\s*(import segwidget\.server|from segwidget(\.server import| import .*\bserver\b))",
            file.read_text("utf-8"),
            re.MULTILINE,
        )
    ]
    assert importers == []
