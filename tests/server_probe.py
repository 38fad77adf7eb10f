"""A real Jupyter Server with a kernel; prints what a client's connection to that kernel is like.

    python tests/server_probe.py FOLDER

Jupyter's configuration is what lies in FOLDER/config, and nothing else. It is a program, so that
the server's many globals and threads do not meet those of other tests.
"""

import asyncio
import gc
import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

LARGE = 11 << 20  # more than a websocket takes by default
PATIENCE = 60  # seconds


def isolate(folder: Path) -> None:
    for name in ("config", "data", "runtime", "root"):
        (folder / name).mkdir(exist_ok=True)
        os.environ[f"JUPYTER_{name.upper()}_DIR"] = str(folder / name)
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    os.environ["IPYTHONDIR"] = str(folder / "ipython")
    from jupyter_core import paths

    paths.ENV_CONFIG_PATH = paths.SYSTEM_CONFIG_PATH = []  # JupyterLab's, Voilà's, …


def execute_request(code: str) -> str:
    header = {"msg_id": "1", "msg_type": "execute_request", "username": "", "session": "probe"}
    message = {
        "channel": "shell",
        "header": {**header, "date": "", "version": "5.3"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "user_expressions": {}, "allow_stdin": False},
    }
    return json.dumps(message)


async def probe(folder: Path) -> dict[str, object]:
    from jupyter_server.serverapp import ServerApp
    from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.websocket import WebSocketClosedError, websocket_connect

    app = ServerApp()
    options = {
        "ServerApp.root_dir": folder / "root",
        "ServerApp.allow_root": True,
        "ServerApp.terminals_enabled": False,
        "ServerApp.log_level": "ERROR",
        "IdentityProvider.token": "",
    }
    app.initialize([f"--{name}={value}" for name, value in options.items()], new_httpserver=False)
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(app.web_app)
    server.add_sockets(sockets)
    kernel = await app.kernel_manager.start_kernel()
    try:
        client = await websocket_connect(
            f"ws://127.0.0.1:{sockets[0].getsockname()[1]}/api/kernels/{kernel}/channels"
            "?session_id=probe",
            max_message_size=2 * LARGE,
        )
        streams = [
            handler.ws_connection.stream
            for handler in gc.get_objects()
            if type(handler) is KernelWebsocketHandler and handler.ws_connection is not None
        ]
        no_delay = [
            s.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0 for s in streams
        ]
        result = None
        with suppress(WebSocketClosedError):  # by a server that finds this too large
            await client.write_message(execute_request(f"len('{'x' * LARGE}')"))
            while (text := await client.read_message()) is not None:
                message = json.loads(text)
                if message["header"]["msg_type"] == "execute_result":
                    result = int(message["content"]["data"]["text/plain"])
                    break
        client.close()
        return {
            "extensions": sorted(app.extension_manager.extensions),
            "no_delay": no_delay,
            "received": result,
        }
    finally:
        await app.kernel_manager.shutdown_all()
        server.stop()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    isolate(folder)
    json.dump(asyncio.run(asyncio.wait_for(probe(folder), PATIENCE)), sys.stdout)
