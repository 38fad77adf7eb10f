"""A store that cannot be written, or is not to be: opened so that all of it can be read.

Nothing is written beside the file, so this works in a read-only folder, too.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from segwidget.annotation import store_drive, store_schema
from segwidget.annotation.store_schema import Opened

_BESIDE = ("-wal", "-journal")  # files that hold a part of the truth, if there is anything in them
_READ_ONLY = ("readonly", "unable to open")


def open_to_read(path: Path, busy_seconds: float, reason: str) -> Opened:
    """Open a database only to read it; every statement that writes is refused.

    As it is, where SQLite can: then it is seen what others write. Otherwise, where a log was left
    behind or the version is an older one, from a copy that is thrown away in the end; and where
    there is nothing but the file, from that alone.

    Args:
        path: of the file.
        busy_seconds: how long to wait for whoever writes.
        reason: why it is not written, for what is told.

    Raises:
        StoreError: it is damaged, of a newer version, or no store.
        sqlite3.Error: what SQLite refuses.
    """
    copy: TemporaryDirectory[str] | None = None
    unchanged: Callable[[], bool] = _always
    try:
        connection = _opened(path, busy_seconds, "ro")
    except sqlite3.OperationalError as error:
        if not any(words in str(error) for words in _READ_ONLY):
            raise
        connection = None
    if connection is None and not _beside(path):
        # Nobody may change it meanwhile, which SQLite does not notice; so it is looked after here.
        seen = _stamp(path)
        connection = _opened(path, busy_seconds, "ro&immutable=1")
        unchanged = lambda: _stamp(path) == seen  # noqa: E731
    if connection is None or store_schema.version_of(connection) < store_schema.VERSION:
        if connection is not None:
            connection.close()
        copy, unchanged = TemporaryDirectory(prefix="segwidget-"), _always
        connection = _opened(_copied(path, Path(copy.name)), busy_seconds, "rw")
        store_schema.migrate(connection)
    connection.execute("PRAGMA query_only = ON")
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    remark = (
        f"{str(path)!r} is open for reading only: {reason}. Looking, statistics and exports work. "
        "To change it, take a copy with store.backup('mine.db'), and open that: "
        "Project(..., store='mine.db')."
    )
    return Opened(connection, journal, remark, reason, unchanged, copy)


def _opened(path: Path, busy_seconds: float, mode: str) -> sqlite3.Connection:
    connection = store_drive.connect(path, busy_seconds, mode=mode)
    try:
        store_schema.require_ours(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _beside(path: Path) -> list[Path]:
    found = []
    for end in _BESIDE:
        with suppress(OSError):
            other = path.with_name(path.name + end)
            if other.stat().st_size:
                found.append(other)
    return found


def _copied(path: Path, folder: Path) -> Path:
    for one in (path, *_beside(path)):
        made = folder / one.name
        shutil.copyfile(one, made)  # not its permissions, which may forbid to write
    return folder / path.name


def _stamp(path: Path) -> tuple[int, ...]:
    """What differs once somebody has written."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, *(one.stat().st_size for one in _beside(path))


def _always() -> bool:
    return True
