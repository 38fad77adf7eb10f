"""A bounded folder of files that are found by a hash: where embeddings stay between sessions.

There is no index: the folder's entries are all there is to know, and a file's modification time
says when it was last used. So nothing can disagree, whoever is killed at whichever moment, and any
number of processes may share the folder. Imports neither torch nor NumPy.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from segwidget.inference.registry import cache_folder

DEFAULT_MAX_BYTES = 2 << 30
MAX_BYTES_VARIABLE = "SEGWIDGET_EMBEDDINGS_MAX_BYTES"

LARGEST_FILE = 1 << 28  # bytes; whatever is larger is no embedding
MAX_WAITING = 64 << 20  # bytes that wait for the disk before the next caller has to wait
RESCAN_EVERY = 64  # writes; other processes write, too
RETRY_AFTER = 60.0  # seconds without a try once the disk has refused
STALE_AFTER = 24 * 3600.0  # seconds; by then whoever wrote a temporary file is gone
KEPT_SHARE = 0.95  # of the limit stays when room is made, so that not every write has to do so

_NAME = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_FILE = re.compile(r"[0-9a-f]{64}\.safetensors")
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]+\.part")


class Usage(NamedTuple):
    """What a store holds.

    Attributes:
        entries: whole files.
        nbytes: bytes of all files, half-written ones included.
    """

    entries: int
    nbytes: int


class _File(NamedTuple):
    path: Path
    size: int
    used: float  # seconds since the epoch
    whole: bool


class EmbeddingStore:
    """Files by name; the least recently used goes first. Safe for threads and processes.

    The store never raises for what the disk does: what cannot be read is not there, and what cannot
    be written is not kept, which :attr:`problem` then says.

    Args:
        folder: made when the first file is written. Files in it that are not the store's are never
            touched.
        max_bytes: how much it may hold; 0 turns it off.
        remark: something that a person should know from the start; see :attr:`problem`.
    """

    def __init__(
        self, folder: Path, max_bytes: int = DEFAULT_MAX_BYTES, *, remark: str = ""
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._remark = remark
        self._failure = ""
        self._retry_at = 0.0  # on the monotonic clock
        self._total: int | None = None  # bytes in the folder, as far as this process knows
        self._writes = 0  # since the folder was looked through
        self._changed = threading.Condition()
        self._waiting: dict[str, bytes] = {}
        self._writer: threading.Thread | None = None

    @property
    def failure(self) -> str:
        """What the disk has refused, in a sentence; "" since it last accepted a file."""
        return self._failure

    @property
    def problem(self) -> str:
        """Why embeddings are not kept, or not as was asked, in a sentence; "" if all is well."""
        return self._failure or self._remark

    def path(self, name: str) -> Path:
        """Where a file lies.

        Args:
            name: a SHA-256, in hex.

        Raises:
            ValueError: another name; names must never come from a person or a file.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a SHA-256 in hex.")
        return self.folder / name[:2] / f"{name}.safetensors"

    def read(self, name: str) -> bytes | None:
        """A file's bytes, which need not be what was written; ``None`` if there is none."""
        if self.max_bytes <= 0:
            return None
        with self._changed:
            waiting = self._waiting.get(name)
        if waiting is not None:
            return waiting
        path = self.path(name)
        try:
            if not path.is_file() or path.stat().st_size > LARGEST_FILE:
                return None
            data = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):  # may be read by who may not write
            _touch(path)
        return data

    def write(self, name: str, data: bytes) -> bool:
        """Write a file soon, on a thread; :meth:`flush` waits for it.

        The thread lives as long as there is something to write, and the interpreter waits for it
        when it ends. Whoever is much faster than the disk waits here.

        Returns:
            Whether that will be tried: not of a file beyond the limit, nor soon after a failure.
        """
        self.path(name)
        if len(data) > min(self.max_bytes, LARGEST_FILE) or self._refused():
            return False
        with self._changed:
            self._changed.wait_for(lambda: self._backlog() <= MAX_WAITING)
            self._waiting[name] = data
            if self._writer is None:
                writer = threading.Thread(target=self._write_waiting, name="segwidget-embeddings")
                try:
                    writer.start()
                except RuntimeError:  # the interpreter is ending
                    self._waiting.clear()
                    return False
                self._writer = writer
        return True

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to write; ``False`` when `timeout` seconds pass."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not self._waiting and self._writer is None, timeout
            )

    def clear(self) -> Usage:
        """Delete everything, and say what that was."""
        self.flush()
        entries = nbytes = 0
        for file in self._files():
            if _delete(file.path):
                entries += file.whole
                nbytes += file.size
        self._total = None
        return Usage(entries, nbytes)

    def usage(self) -> Usage:
        """Look through the folder."""
        files = list(self._files())
        return Usage(sum(f.whole for f in files), sum(f.size for f in files))

    def _backlog(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _refused(self) -> bool:
        return bool(self._failure) and time.monotonic() < self._retry_at

    def _write_waiting(self) -> None:
        while True:
            with self._changed:
                if not self._waiting:
                    self._writer = None
                    self._changed.notify_all()
                    return
                name, data = next(iter(self._waiting.items()))
            try:
                if not self._refused():
                    self._write(self.path(name), data)
                    self._failure = ""
            except Exception as error:  # of the disk's, but a thread that ends would not be missed
                self._failure = (
                    f"Embeddings cannot be kept in {str(self.folder)!r}: "
                    f"{getattr(error, 'strerror', None) or error}. "
                    "Everything works, but images are embedded anew. "
                    "Make room, or name a folder that can be written in SEGWIDGET_CACHE."
                )
                self._retry_at = time.monotonic() + RETRY_AFTER
            finally:
                with self._changed:
                    if self._waiting.get(name) is data:
                        del self._waiting[name]
                    self._changed.notify_all()

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file whole or not at all.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self._make_room(len(data)):
            return
        temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.part")
        try:
            with temporary.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            _touch(temporary)  # the file system's own clock may be behind that of later uses
            temporary.replace(path)
        except BaseException as error:
            _delete(temporary)
            if isinstance(error, FileNotFoundError):
                return  # another process has cleared the folder meanwhile
            raise
        self._total = (self._total or 0) + len(data)
        self._writes += 1

    def _make_room(self, size: int) -> bool:
        """Delete what was used least recently, so that `size` more bytes fit.

        The folder is looked through only at the start, when the limit is reached, and now and then.

        Returns:
            Whether they fit; not where files that others are just writing take the room.

        Raises:
            OSError: there are files that cannot be deleted, such as another user's.
        """
        known = self._total
        if known is not None and known + size <= self.max_bytes and self._writes < RESCAN_EVERY:
            return True
        files = sorted(self._files(), key=lambda f: f.used)
        total = sum(f.size for f in files)
        room = self.max_bytes if total + size <= self.max_bytes else self.max_bytes * KEPT_SHARE
        long_ago = time.time() - STALE_AFTER
        stuck = False
        for file in files:
            too_much = file.whole and total + size > room
            if too_much or (not file.whole and file.used < long_ago):
                if _delete(file.path):
                    total -= file.size
                else:
                    stuck = True
        self._total, self._writes = total, 0
        fits = total + size <= self.max_bytes
        if stuck and not fits:
            raise PermissionError(
                errno.EPERM, "the limit is reached, and older files cannot be deleted"
            )
        return fits

    def _files(self) -> Iterator[_File]:
        """The store's own files; what vanishes meanwhile is left out."""
        for shard in _entries(self.folder):
            if not _SHARD.fullmatch(shard.name) or not shard.is_dir(follow_symlinks=False):
                continue
            for entry in _entries(shard.path):
                whole = _FILE.fullmatch(entry.name) is not None
                if not whole and not _TEMPORARY.fullmatch(entry.name):
                    continue
                with suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        stat = entry.stat(follow_symlinks=False)
                        yield _File(Path(entry.path), stat.st_size, stat.st_mtime, whole)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _touch(path: Path) -> None:
    now = time.time_ns()
    os.utime(path, ns=(now, now))


def _delete(path: Path) -> bool:
    """Delete a file; whether it is gone now."""
    try:
        path.unlink(missing_ok=True)
    except OSError:  # held open by another process, on systems where that counts
        return False
    return True


def limit_from_environment() -> tuple[int, str]:
    """The store's limit in bytes, and a remark about what is wrong with the variable, if it is."""
    given = os.environ.get(MAX_BYTES_VARIABLE, "").strip()
    if not given:
        return DEFAULT_MAX_BYTES, ""
    try:
        limit = int(given)
    except ValueError:
        limit = -1
    if limit >= 0:
        return limit, ""
    return DEFAULT_MAX_BYTES, (
        f"{MAX_BYTES_VARIABLE} is {given[:100]!r}; expected a whole number of bytes, such as "
        f"{DEFAULT_MAX_BYTES}, or 0 to keep no embeddings on disk. Until then it is "
        f"{DEFAULT_MAX_BYTES}."
    )


_lock = threading.Lock()
_store: EmbeddingStore | None = None


def default_store() -> EmbeddingStore:
    """The process's store: the folder ``embeddings`` in the cache folder, as the environment says.

    ``SEGWIDGET_CACHE`` names the cache folder, ``SEGWIDGET_EMBEDDINGS_MAX_BYTES`` the limit.
    """
    global _store
    folder = cache_folder() / "embeddings"
    limit, remark = limit_from_environment()
    with _lock:
        found = _store
        if found is None or (found.folder, found.max_bytes) != (folder, limit):
            _store = found = EmbeddingStore(folder, limit, remark=remark)
        return found


def _after_fork() -> None:
    """A forked process has no writer thread, and locks that nobody may ever open."""
    global _lock, _store
    _lock, _store = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
