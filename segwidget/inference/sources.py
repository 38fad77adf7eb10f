"""Where the bytes of a checkpoint come from: a web server, or a folder.

A source delivers a file's bytes from an offset on. It believes nothing that the other side says:
lengths, ranges, types and redirects are checked here, the bytes themselves by the caller.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

import httpx

from segwidget import __version__
from segwidget.errors import CheckpointError
from segwidget.inference.registry import ModelRow

BLOCK = 1 << 18  # bytes that are copied at once
MAX_REDIRECTS = 10

# Answers that may be another one in a moment (RFC 9110, section 15; 425 and 429: RFC 8470, 6585).
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_MEANINGS = {
    401: "it wants a login",
    403: "it forbids this, or a proxy does",
    404: "it has no such file",
    407: "the proxy wants a login",
    410: "the file is gone",
    429: "it gets too many requests",
}


class TransientError(Exception):
    """The transfer broke off, and may work when it is tried again.

    Args:
        reason: what happened, as a clause.
        wait: seconds that the other side asks to wait.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class StartOverError(Exception):
    """The other side cannot, or must not, go on from this offset."""


class Delivery(NamedTuple):
    """Bytes on their way.

    Attributes:
        start: the offset in the file of the first byte; 0 if a server does not resume.
        validator: what recognizes this version of the file later (an entity tag or a date), or "".
        blocks: the bytes, up to the file's end.
    """

    start: int
    validator: str
    blocks: Iterator[bytes]


class Source(Protocol):
    """Where a file can be had."""

    name: str

    def open(self, offset: int, validator: str) -> AbstractContextManager[Delivery]:
        """Have the bytes sent from an offset on.

        Args:
            offset: how many bytes are already here.
            validator: which version of the file they belong to, as an earlier delivery said.

        Raises:
            CheckpointError: the file is not to be had here.
            TransientError: it may be in a moment.
            StartOverError: it is, but only from its beginning.
        """
        ...


def choose_source(row: ModelRow, mirror: str | None, timeout: float) -> Source:
    """The given mirror, ``$SEGWIDGET_MIRROR``, or where the authors offer the file.

    Raises:
        CheckpointError: the mirror's address makes no sense, or the file would have to come over
            the network while ``$SEGWIDGET_OFFLINE`` is set.
    """
    base = (mirror if mirror is not None else os.environ.get("SEGWIDGET_MIRROR", "")).strip()
    parts = urlsplit(base)
    if base and len(parts.scheme) < 2:  # none, or the letter of a drive
        return FolderSource(Path(base).expanduser(), row)
    if parts.scheme == "file":
        path = unquote(parts.path)
        if re.match(r"/[A-Za-z]:", path):
            path = path[1:]
        host = f"//{parts.netloc}" if parts.netloc not in ("", "localhost") else ""
        return FolderSource(Path(host + path), row)
    if base and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise CheckpointError(
            f"{base!r} is no mirror. Expected a folder, or an address such as "
            "'https://host/folder', under which the file's name follows."
        )
    if offline():
        raise CheckpointError(
            f"{row.file_name} is not fetched, because SEGWIDGET_OFFLINE is set. {by_hand(row)}"
        )
    return WebSource(f"{base.rstrip('/')}/{row.file_name}" if base else row.url, row, timeout)


def offline() -> bool:
    """Whether ``$SEGWIDGET_OFFLINE`` forbids requests."""
    return os.environ.get("SEGWIDGET_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def by_hand(row: ModelRow) -> str:
    """How a person gets the file to where it belongs without this program."""
    return (
        f"Fetch {row.url} in another way and put it into {row.path.parent} as {row.file_name}, "
        "or name a mirror: `--mirror`, or SEGWIDGET_MIRROR."
    )


class FolderSource:
    """A folder, on this computer or mounted from another one."""

    def __init__(self, folder: Path, row: ModelRow) -> None:
        self.path = folder / row.file_name
        self.name = str(self.path)
        self.row = row

    @contextmanager
    def open(self, offset: int, validator: str) -> Iterator[Delivery]:
        """See :class:`Source`."""
        del validator  # whatever the folder holds now; the hash decides
        try:
            size = self.path.stat().st_size
            stream = self.path.open("rb")
        except OSError as e:
            raise CheckpointError(
                f"The mirror {self.path.parent} does not hold a readable {self.row.file_name}: "
                f"{e.strerror or e}. Expected a folder with the published file in it."
            ) from e
        with stream:
            if size != self.row.size:
                raise CheckpointError(
                    f"{self.name} has {size:,} bytes, the published file has {self.row.size:,}: "
                    "it is damaged or another one. Put the published file there."
                )
            yield Delivery(offset, "", self._blocks(stream, offset))

    def _blocks(self, stream: BinaryIO, offset: int) -> Iterator[bytes]:
        try:
            stream.seek(offset)
            while block := stream.read(BLOCK):
                yield block
        except OSError as e:  # a drive that has gone
            raise TransientError(f"{self.name} cannot be read: {e.strerror or e}") from e


class WebSource:
    """A file on a web server.

    Args:
        url: of the file.
        row: the model it belongs to.
        timeout: seconds to wait for a connection, and for each next piece of an answer.
    """

    def __init__(self, url: str, row: ModelRow, timeout: float) -> None:
        self.url = url
        self.name = shown(url)
        self.row = row
        self.timeout = timeout

    @contextmanager
    def open(self, offset: int, validator: str) -> Iterator[Delivery]:
        """See :class:`Source`."""
        # Other encodings would change the length and the offsets.
        headers = {"Accept-Encoding": "identity", "User-Agent": f"segwidget/{__version__}"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if validator:
                headers["If-Range"] = validator
        try:
            with self._client() as client, get(client, self.url, headers) as response:
                start = self._check(response, offset, validator)
                yield Delivery(start, _validator(response), response.iter_raw())
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as e:
            raise CheckpointError(f"{self.name} is no address that can be asked: {e}.") from e
        except httpx.TransportError as e:
            raise TransientError(self._describe(e)) from e

    def _client(self) -> httpx.Client:
        try:
            return make_client(self.timeout)
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as e:
            raise CheckpointError(
                f"The settings for the network cannot be used: {e}. Check the variables "
                "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and SSL_CERT_FILE."
            ) from e

    def _check(self, response: httpx.Response, offset: int, validator: str) -> int:
        """Where in the file an answer's body starts."""
        host, status = response.url.host, response.status_code
        if status in _PASSING:
            raise TransientError(
                f"{host} answers {_phrase(status)}", _seconds(response.headers.get("retry-after"))
            )
        if status == 416 and offset:
            raise StartOverError
        if status not in (200, 206) or (status == 206 and not offset):
            raise CheckpointError(
                f"{self.name} is not to be had: {host} answers {_phrase(status)}. "
                f"{by_hand(self.row)}"
            )
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml"):
            raise CheckpointError(
                f"{self.name} is answered with a web page instead of the file, as login pages and "
                f"proxies do. Open it in a browser to see what it says. {by_hand(self.row)}"
            )
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise CheckpointError(
                f"{host} sends {self.row.file_name} compressed, although it is asked not to. "
                f"{by_hand(self.row)}"
            )
        start = self._start(response, offset, validator) if status == 206 else 0
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) != self.row.size - start:
            if start:
                raise StartOverError
            raise CheckpointError(
                f"{self.name} has {int(length):,} bytes, the published file has "
                f"{self.row.size:,}: it is another file. {by_hand(self.row)}"
            )
        return start

    def _start(self, response: httpx.Response, offset: int, validator: str) -> int:
        """The offset that a partial answer claims, if it is the one that was asked for."""
        told = response.headers.get("content-range", "")
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", told.strip())
        if (
            found is None
            or int(found[1]) != offset
            or found[3] not in ("*", str(self.row.size))
            or (validator and _validator(response) not in ("", validator))
        ):
            raise StartOverError
        return offset

    def _describe(self, error: httpx.TransportError) -> str:
        reason = str(error) or type(error).__name__
        host = urlsplit(self.url).hostname or self.name
        with suppress(RuntimeError):  # where no request had been made
            host = error.request.url.host  # after a redirect, another one
        if isinstance(error, httpx.TimeoutException):
            return f"{host} does not answer within {self.timeout:g} seconds"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return (
                f"the certificate of {host} is not trusted (where a proxy has its own, name its "
                f"authority in SSL_CERT_FILE): {reason}"
            )
        return f"the connection to {host} fails: {reason}"


def make_client(timeout: float) -> httpx.Client:
    """A client that heeds the variables for proxies and certificates, and follows nothing."""
    where = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return httpx.Client(timeout=timeout, follow_redirects=False, verify=_certificates(*where))


@cache
def _certificates(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Whom to trust; reading it takes a while, and every try needs it."""
    del file, folder  # httpx reads the variables itself
    return httpx.create_ssl_context()


@contextmanager
def get(client: httpx.Client, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Request a file, follow redirects, and leave the body unread.

    Raises:
        CheckpointError: a redirect leads nowhere, in circles, or to an unprotected connection.
    """
    target = httpx.URL(url)
    for _ in range(MAX_REDIRECTS):
        response = client.send(client.build_request("GET", target, headers=headers), stream=True)
        try:
            if not response.has_redirect_location:
                yield response
                return
            target = redirected(response.url, response.headers["location"])
        finally:
            response.close()
    raise CheckpointError(
        f"{shown(url)} leads from one address to the next, {MAX_REDIRECTS} times. Try later, or "
        "name a mirror: `--mirror`, or SEGWIDGET_MIRROR."
    )


def redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect leads.

    Raises:
        CheckpointError: from https to anything else, or to another protocol.
    """
    target = url.join(location)
    if target.scheme not in ("http", "https") or (url.scheme == "https" != target.scheme):
        raise CheckpointError(
            f"{url.host} redirects from a protected connection to {shown(str(target))}, which is "
            "refused. Name a mirror that you trust: `--mirror`, or SEGWIDGET_MIRROR."
        )
    return target


def shown(url: str) -> str:
    """An address without what may be secret in it: a password, or a query's token."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _validator(response: httpx.Response) -> str:
    """A strong entity tag, or the date of the last change, or "" (RFC 9110, section 13.1.5)."""
    tag: str = response.headers.get("etag", "")
    if tag.startswith('"'):
        return tag
    date: str = response.headers.get("last-modified", "")
    return date


def _phrase(status: int) -> str:
    meaning = _MEANINGS.get(status) or httpx.codes.get_reason_phrase(status) or "something unusual"
    return f"{status} ({meaning})"


def _seconds(retry_after: str | None) -> float:
    """What ``Retry-After`` asks for, at most half a minute; dates are not worth the parsing."""
    return min(float(retry_after), 30.0) if retry_after and retry_after.isdecimal() else 0.0
