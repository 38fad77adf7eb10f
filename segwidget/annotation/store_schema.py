"""The database file behind a `Store`: how it is opened, which tables it has, what can go wrong.

A file of an older version is brought up to date when it is opened, in one transaction; one of a
newer version, or of something else, is left alone.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from segwidget.errors import StoreError

T = TypeVar("T")

APPLICATION = 0x53575744  # "SWWD", in the file's header
BUSY_SECONDS = 5.0

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

# Drives that several computers share, or that are no disk at all. A write-ahead log needs memory
# that all who use the file share, which there is silently none of.
_SHARED = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "drvfs", "vboxsf", "sshfs", "webdav", "davfs")


class Opened(NamedTuple):
    """A database that is ready to be used.

    Attributes:
        connection: without transactions of its own; any thread may use it, one at a time.
        journal: "wal", or "delete" where that is impossible.
        remark: why it is not "wal", in a sentence; "" where it is.
    """

    connection: sqlite3.Connection
    journal: str
    remark: str


def open_database(path: Path, busy_seconds: float = BUSY_SECONDS) -> Opened:
    """Open a database, made where there is none, and bring it up to date.

    What was confirmed survives a killed process and a power failure (`synchronous=FULL`).

    Args:
        path: of the file; its folder must be there.
        busy_seconds: how long to wait for whoever else writes.

    Raises:
        StoreError: no such folder, one that cannot be written, a file that is damaged, of a newer
            version or no store at all; it is as it was.
    """
    try:
        is_folder, has_folder = path.is_dir(), path.parent.is_dir()
    except (OSError, ValueError) as error:  # such as a name that is too long
        raise explained(error, path) from error
    if is_folder:
        raise StoreError(f"{str(path)!r} is a folder; expected the name of a file in it.")
    if not has_folder:
        raise StoreError(
            f"{str(path)!r} cannot be opened: there is no folder {str(path.parent)!r}. "
            "Create it first, or check the spelling."
        )
    try:
        connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
    except (sqlite3.Error, ValueError) as error:
        raise explained(error, path) from error
    try:
        _require_ours(connection, path)
        connection.execute("PRAGMA foreign_keys = ON")
        journal, remark = _patiently(lambda: _choose_journal(connection, path), busy_seconds)
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
    except sqlite3.Error as error:
        connection.close()
        raise explained(error, path) from error
    except BaseException:
        connection.close()
        raise
    return Opened(connection, journal, remark)


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Bring a database to a version, all of the way or not at all.

    Raises:
        sqlite3.Error: what the disk refuses.
    """
    if _version(connection) >= to:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read anew: somebody else may have done it while this one waited.
        for statements in MIGRATIONS[_version(connection) : to]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(to, _version(connection))}")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def explained(error: Exception, path: Path) -> StoreError:
    """The sentence for what SQLite refuses."""
    text, place = str(error), repr(str(path))
    if "full" in text:
        return StoreError(
            f"{place} cannot be written: the disk is full. Nothing was changed, and what was saved "
            "before is there. Make room, and do the step again."
        )
    if "locked" in text or "busy" in text:
        return StoreError(
            f"{place} is being written by another notebook, which has not finished in time. "
            "Nothing was changed. Do the step again, or close the other notebook."
        )
    if "readonly" in text or "unable to open" in text or "permission" in text.lower():
        return StoreError(
            f"{place} cannot be written: the file or its folder is read-only. Nothing was changed. "
            "Ask for the right to write there, or choose another place for the store."
        )
    if "not a database" in text or "malformed" in text or "encrypted" in text:
        return StoreError(
            f"{place} is damaged, or is no database; it was left as it is. Put a copy of it back, "
            "or choose another name for a new store. sqlite3's .recover may read what is left."
        )
    return StoreError(
        f"{place} cannot be used: {text}. Nothing was changed. Check the drive, and do the step "
        "again, or choose another place for the store."
    )


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse other programs' databases, and those of newer versions."""
    connection.execute("BEGIN")  # somebody may be making the file: all is read at one moment
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = _version(connection)
    connection.execute("COMMIT")
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


def _version(connection: sqlite3.Connection) -> int:
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


def _choose_journal(connection: sqlite3.Connection, path: Path) -> tuple[str, str]:
    """A write-ahead log where the drive allows it, else a plain journal; and why."""
    drive = drive_type(path)
    shared = drive.startswith(_SHARED)
    journal, reason = "", f"a drive of type {drive!r} does not allow it"
    if not shared:
        try:
            journal = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            reason = "the drive does not allow it"
        except sqlite3.OperationalError as error:
            if any(word in str(error) for word in ("locked", "readonly", "full", "unable")):
                raise  # which is no fault of the log's
            reason = str(error)
    if journal == "wal":
        return journal, ""
    journal = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    return journal, (
        f"{str(path)!r} has a plain journal in place of a write-ahead log: {reason}. Work is as "
        "safe; only one notebook should use the store at a time, and saving takes a little longer."
    )


def drive_type(path: Path) -> str:
    """The type of the file system that a path is on, such as "ext4"; "" where it is unknown."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    real, best, found = os.path.realpath(path), -1, ""
    for mount in mounts:
        fields = mount.split(" ")
        if len(fields) < 3:
            continue
        place = fields[1].replace("\\040", " ").rstrip("/")
        if (real == place or real.startswith(place + "/")) and len(place) >= best:
            best, found = len(place), fields[2]
    return found
