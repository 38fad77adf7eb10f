"""A mirror of checkpoints on this computer, which sends as much of a file as a test lets it."""

import hashlib
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 60  # seconds until a test that forgot to open the gate is given up
PIECE = 1 << 14


class SlowMirror:
    """Serves files by name. Use it as a context."""

    def __init__(self, **files):
        self.files = {name: bytes(content) for name, content in files.items()}
        self.ranges = []  # what each request wanted, None for the whole file
        self._changed = threading.Condition()
        self._limit = None  # so many bytes of a file are sent, then nothing more
        self._cut = 0  # how often the connections were cut
        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._httpd.daemon_threads = True
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._httpd.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.cut()
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()

    def stop_at(self, limit):
        """Send files up to this offset, and then wait; ``None`` sends all."""
        with self._changed:
            self._limit = limit
            self._changed.notify_all()

    def cut(self):
        """End all transfers that wait, as a line that breaks."""
        with self._changed:
            self._cut += 1
            self._changed.notify_all()

    def wait_for_requests(self, count):
        with self._changed:
            return self._changed.wait_for(lambda: len(self.ranges) >= count, PATIENCE)

    def _may_send(self, offset, cut):
        """Wait until the byte at ``offset`` may be sent; ``False`` when it never may."""

        def decided():
            return self._cut != cut or self._limit is None or offset < self._limit

        with self._changed:
            return self._changed.wait_for(decided, PATIENCE) and self._cut == cut

    def _handler(self):
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                asked = self.headers["Range"]
                with mirror._changed:
                    mirror.ranges.append(asked)
                    cut = mirror._cut
                    mirror._changed.notify_all()
                content = mirror.files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                self.send_response(206 if start else 200)
                self.send_header("Content-Type", "application/octet-stream")
                self.send_header("Content-Length", str(len(content) - start))
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
                if start:
                    span = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    self.send_header("Content-Range", span)
                self.end_headers()
                with suppress(OSError):  # the client may have seen enough
                    for at in range(start, len(content), PIECE):
                        if not mirror._may_send(at, cut):
                            return
                        self.wfile.write(content[at : at + PIECE])

            def log_message(self, *_):
                pass

        return Handler
