"""The database file behind a `Store`: how it is opened, and which tables it has.

A file of an older version is brought up to date when it is opened, in one transaction; one of a
newer version, or of something else, is left alone. `store_drive` knows what drives allow, and
`store_reading` opens what cannot be written.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeVar

from segwidget.annotation import store_drive
from segwidget.annotation.store_drive import explained
from segwidget.errors import StoreError

T = TypeVar("T")

APPLICATION = 0x53575744  # "SWWD", in the file's header
BUSY_SECONDS = 5.0
UNWRITABLE = "the file or its folder cannot be written"

# One list of statements for each version; a file of version n has had the first n.
MIGRATIONS: Sequence[Sequence[str]] = (
    (
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        # revision counts the commits to an image, so that whoever knows it knows the annotations.
        """CREATE TABLE images (
            number INTEGER PRIMARY KEY,
            key TEXT NOT NULL UNIQUE,
            info TEXT,
            revision INTEGER NOT NULL DEFAULT 0
        )""",
        # data is the annotation's JSON without id and label. place orders an image's annotations;
        # there is room between two places, so that one that moves changes one row.
        """CREATE TABLE annotations (
            image INTEGER NOT NULL REFERENCES images (number),
            id TEXT NOT NULL,
            place INTEGER NOT NULL,
            label TEXT NOT NULL,
            data TEXT NOT NULL,
            PRIMARY KEY (image, id)
        )""",
        "CREATE INDEX annotations_by_label ON annotations (label)",
    ),
    (
        "ALTER TABLE images ADD COLUMN status TEXT NOT NULL DEFAULT 'todo'",
        """CREATE TABLE steps (
            number INTEGER PRIMARY KEY,
            image INTEGER REFERENCES images (number),
            name TEXT NOT NULL,
            author TEXT NOT NULL,
            at TEXT NOT NULL,
            seconds REAL NOT NULL,
            added INTEGER NOT NULL,
            changed INTEGER NOT NULL,
            removed INTEGER NOT NULL
        )""",
        "CREATE INDEX steps_by_image ON steps (image)",
    ),
)
VERSION = len(MIGRATIONS)


class Opened(NamedTuple):
    """A database that is ready to be used.

    Attributes:
        connection: without transactions of its own; any thread may use it, one at a time.
        journal: "wal", or "delete" where that is impossible.
        remark: why it is not "wal", or only read, in a sentence; "" where all is well.
        read_only: why it can only be read, for a sentence; "" where it can be written.
        unchanged: whether what is read is still one state; asked before each reading.
        copy: of what is read, where it cannot be read in its place; it is thrown away in the end.
    """

    connection: sqlite3.Connection
    journal: str
    remark: str
    read_only: str = ""
    unchanged: Callable[[], bool] = lambda: True
    copy: TemporaryDirectory[str] | None = None


def open_database(
    path: Path, busy_seconds: float = BUSY_SECONDS, *, read_only: bool = False
) -> Opened:
    """Open a database, made where there is none, and bring it up to date.

    What was confirmed survives a killed process and a power failure (`synchronous=FULL`). One that
    is there and cannot be written is opened for reading.

    Args:
        path: of the file; its folder must be there.
        busy_seconds: how long to wait for whoever else writes.
        read_only: whether it is only to be read, so that nothing is made, changed or updated.

    Raises:
        StoreError: no such folder, a new file in one that cannot be written, a file that is
            damaged, of a newer version or no store at all; it is as it was.
    """
    try:
        is_folder, has_folder = path.is_dir(), path.parent.is_dir()
        is_there = path.is_file() and (read_only or path.stat().st_size > 0)
    except (OSError, ValueError) as error:  # such as a name that is too long
        raise explained(error, path) from error
    if is_folder:
        raise StoreError(f"{str(path)!r} is a folder; expected the name of a file in it.")
    if not has_folder:
        raise StoreError(
            f"{str(path)!r} cannot be opened: there is no folder {str(path.parent)!r}. "
            "Create it first, or check the spelling."
        )
    if read_only and not is_there:
        raise StoreError(
            f"There is no store {str(path)!r} to read. Check the spelling, or leave read_only away "
            "to make one."
        )
    try:
        if read_only:
            return _open_to_read(path, busy_seconds, "read_only=True")
        if is_there and not store_drive.may_write(path):
            return _open_to_read(path, busy_seconds, UNWRITABLE)
        try:
            return _open_on_drive(path, busy_seconds)
        except sqlite3.OperationalError as error:
            if not is_there or not any(w in str(error) for w in ("readonly", "unable to open")):
                raise
            return _open_to_read(path, busy_seconds, UNWRITABLE)
    except StoreError:
        raise
    except (sqlite3.Error, OSError, ValueError) as error:
        raise explained(error, path) from error


def _open_to_read(path: Path, busy_seconds: float, reason: str) -> Opened:
    from segwidget.annotation.store_reading import open_to_read  # which builds on this file

    return open_to_read(path, busy_seconds, reason)


def _open_on_drive(path: Path, busy_seconds: float) -> Opened:
    """Open to read and write; where the drive has no locks on files, with a folder for them."""
    try:
        return _open_to_write(path, busy_seconds)
    except sqlite3.OperationalError as error:
        # Missing locks look like taken ones, so this is only asked when somebody was waited for.
        if not any(word in str(error) for word in ("lock", "disk I/O")):
            raise
        if store_drive.has_locks(path.parent):
            raise
    return _open_to_write(path, busy_seconds, store_drive.LOCK_FOLDER_VFS)


def _open_to_write(path: Path, busy_seconds: float, vfs: str = "") -> Opened:
    connection = store_drive.connect(path, busy_seconds, vfs=vfs)
    try:
        alone = False
        try:
            require_ours(connection, path)
        except sqlite3.OperationalError as error:
            if "unable to open" not in str(error):
                raise
            alone = True  # it has a log, and the drive no shared memory to read it with
            store_drive.read_log_alone(connection)
            require_ours(connection, path)
        connection.execute("PRAGMA foreign_keys = ON")
        if alone:
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
            store_drive.let_others_in(connection)
        journal, remark = _patiently(
            lambda: store_drive.choose_journal(connection, path), busy_seconds
        )
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return Opened(connection, journal, remark)


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Bring a database to a version, all of the way or not at all.

    Raises:
        sqlite3.Error: what the disk refuses.
    """
    if version_of(connection) >= to:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read anew: somebody else may have done it while this one waited.
        for statements in MIGRATIONS[version_of(connection) : to]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(to, version_of(connection))}")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def require_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse other programs' databases, and those of newer versions.

    Raises:
        StoreError: it is one of them.
        sqlite3.Error: it cannot be read.
    """
    connection.execute("BEGIN")  # somebody may be making the file: all is read at one moment
    try:
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        version = version_of(connection)
    finally:
        connection.execute("ROLLBACK")
    if application != APPLICATION and (application or tables):
        raise StoreError(
            f"{str(path)!r} is a database of another program; expected one that segwidget has "
            "made. It was left as it is. Choose another name for the store."
        )
    if version > VERSION:
        raise StoreError(
            f"{str(path)!r} was written by a newer segwidget: its version is {version}, and this "
            f"one reads versions up to {VERSION}. It was left as it is. Install the newer "
            "segwidget to open it."
        )


def version_of(connection: sqlite3.Connection) -> int:
    """How many of `MIGRATIONS` a database has had."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _patiently(act: Callable[[], T], seconds: float) -> T:
    """Do something again while others hinder it; SQLite itself does not wait for a journal."""
    end = time.monotonic() + seconds
    while True:
        try:
            return act()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)
