"""An extension of Jupyter Server that lets widgets answer sooner and browsers send more.

A wheel enables it where Jupyter Server lives (``etc/jupyter/jupyter_server_config.d``). It does two
things to the connection between a browser and its kernels:

* Small messages leave at once. By default TCP holds one back until the browser has confirmed the
  one before, which a browser may put off for 40 ms (RFC 896 against RFC 1122, 4.2.3.2).
* A message from the browser may have 256 MiB instead of 10, beyond which the connection would
  be closed: enough for a large picture.

Nothing depends on it. Where a server is made otherwise than expected, it goes on as it was.
``jupyter server extension disable segwidget.server`` turns it off.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

MAX_MESSAGE_BYTES = 256 << 20


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "segwidget.server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Improve a server's connections to kernels.

    Args:
        server: the ``ServerApp``, before it accepts connections.
    """
    for improve in (_accept_large_messages, _send_at_once):
        try:
            improve(server)
        except Exception:  # a server must start, whatever has become of its insides
            log = getattr(server, "log", logging.getLogger(__name__))
            log.debug("segwidget: %s does not suit this server", improve.__name__, exc_info=True)


def _accept_large_messages(server: Any) -> None:
    # Read at every new connection; who has set another limit keeps it.
    server.web_app.settings.setdefault("websocket_max_message_size", MAX_MESSAGE_BYTES)


def _send_at_once(_server: Any) -> None:
    from jupyter_server.services.kernels.websocket import KernelWebsocketHandler

    handler: Any = KernelWebsocketHandler
    if not hasattr(handler.open, "__segwidget__"):  # as it would be on a second server in a process
        handler.open = _after_no_delay(handler.open)


def _after_no_delay(opened: Callable[..., Any]) -> Callable[..., Any]:
    """A handler's ``open``, which may be a coroutine or not, with TCP_NODELAY set before it."""

    @functools.wraps(opened)
    def opened_without_delay(handler: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            handler.set_nodelay(True)
        except Exception:  # slower, but connected
            log = getattr(handler, "log", logging.getLogger(__name__))
            log.debug("segwidget: TCP_NODELAY could not be set", exc_info=True)
        return opened(handler, *args, **kwargs)

    opened_without_delay.__dict__["__segwidget__"] = True
    return opened_without_delay
