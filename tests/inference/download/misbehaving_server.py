"""A web server that offers one file, and misbehaves as it is told to.

Its answers are a list of deeds, one for each request; the last one is repeated.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Deed:
    """What to answer one request.

    Attributes:
        status: sent instead of 200 or 206; with `body` only.
        body: sent instead of the file.
        headers: sent besides or instead of the usual ones; None leaves one out.
        cut: close the connection after so many bytes of the body, as if the line broke.
        ranges: heed Range and If-Range.
        length: claim this length; "" claims none and ends the body by closing.
        pause: seconds between pieces of the body.
        piece: bytes in a piece.
        endless: repeat the body for ever.
        gate: do not send the last `withheld` bytes of the body before this is set.
        withheld: by default all.
    """

    status: int | None = None
    body: bytes | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    cut: int | None = None
    ranges: bool = True
    length: int | str | None = None
    pause: float = 0.0
    piece: int = 1 << 16
    endless: bool = False
    gate: threading.Event | None = None
    withheld: int | None = None


GOOD = Deed()


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    path: str
    headers: Message

    @property
    def range(self) -> str | None:
        return self.headers["Range"]


class Server:
    """The file, the deeds, and what happened."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.deeds: list[Deed] = [GOOD]
        self.requests: list[Request] = []
        self.sent = 0  # bytes of bodies
        self.arrived = threading.Condition()
        self.url = ""

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'

    def next_deed(self, request: Request) -> Deed:
        with self.arrived:
            deed = self.deeds[min(len(self.requests), len(self.deeds) - 1)]
            self.requests.append(request)
            self.arrived.notify_all()
        return deed

    def wait_for_requests(self, count: int) -> bool:
        with self.arrived:
            return self.arrived.wait_for(lambda: len(self.requests) >= count, timeout=60)


@contextmanager
def serving(content: bytes) -> Iterator[Server]:
    """Serve on a free port of this computer."""
    server = Server(content)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    httpd.daemon_threads = True
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            deed = server.next_deed(Request(self.path, self.headers))
            body, status, headers = self._answer(deed)
            headers.update(deed.headers)
            self.send_response(status)
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # the client may have seen enough
                if deed.gate is not None:
                    kept = len(body) if deed.withheld is None else deed.withheld
                    self._send(body[: len(body) - kept], deed)
                    body = body[len(body) - kept :]
                    self.wfile.flush()
                    deed.gate.wait(60)
                self._send(body, deed)

        def _answer(self, deed: Deed) -> tuple[bytes, int, dict[str, str | None]]:
            headers: dict[str, str | None] = {"Content-Type": "application/octet-stream"}
            body = server.content if deed.body is None else deed.body
            status = deed.status or 200
            if deed.body is None and deed.status is None:
                headers["ETag"] = server.etag
                asked = self.headers["Range"]
                fresh = self.headers["If-Range"] in (None, server.etag)
                if asked and deed.ranges and fresh:
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    body, status = body[start:], 206
                    if not body:
                        return b"", 416, {"Content-Length": "0"}
            length = len(body) if deed.length is None else deed.length
            headers["Content-Length"] = str(length) if length != "" else None
            headers["Connection"] = "close"
            return body, status, headers

        def _send(self, body: bytes, deed: Deed) -> None:
            if deed.cut is not None:
                body = body[: deed.cut]
            while True:
                for start in range(0, len(body), deed.piece):
                    piece = body[start : start + deed.piece]
                    self.wfile.write(piece)
                    server.sent += len(piece)
                    if deed.pause:
                        threading.Event().wait(deed.pause)
                if not deed.endless:
                    return

        def log_message(self, *args: object) -> None:
            pass

    return Handler
