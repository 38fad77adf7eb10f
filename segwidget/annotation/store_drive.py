"""The drive that a store lies on: what it allows, and how a database is kept safe on it.

Two things that SQLite likes may be missing on a drive that several computers share, or that is no
disk at all, such as Google Drive in Colab: memory that all who use the file share, which a
write-ahead log needs, and locks on files. A plain journal takes the place of the log, and a folder
``NAME.lock`` that of the locks. Both keep the promise: what was confirmed is there.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import suppress
from pathlib import Path

from segwidget.errors import StoreError

# A log works there as long as one computer uses it, and fails silently with two.
_SHARED = ("nfs", "cifs", "smb", "fuse", "9p", "afs", "drvfs", "vboxsf", "sshfs", "webdav", "davfs")

LOCK_FOLDER_VFS = "unix-dotfile"  # SQLite's own, which locks by making a folder beside the file


def connect(
    path: Path, busy_seconds: float, *, mode: str = "rwc", vfs: str = ""
) -> sqlite3.Connection:
    """Connect, without transactions of its own; any thread may use it, one at a time.

    Args:
        path: of the file.
        busy_seconds: how long to wait for whoever else writes.
        mode: "rwc" makes the file where there is none, "ro" only reads it, and
            "ro&immutable=1" believes that nobody else changes it meanwhile.
        vfs: which of SQLite's ways to speak with the drive; "" is the usual one.

    Raises:
        sqlite3.Error, ValueError: what SQLite refuses.
    """
    name = f"{path.absolute().as_uri()}?mode={mode}" + (f"&vfs={vfs}" if vfs else "")
    return sqlite3.connect(
        name, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )


def choose_journal(connection: sqlite3.Connection, path: Path) -> tuple[str, str]:
    """A write-ahead log where the drive allows it, else a plain journal; and why.

    Raises:
        sqlite3.Error: what is no fault of the log's.
    """
    drive = drive_type(path)
    journal, reason = "", f"a drive of type {drive!r} does not allow it"
    if not drive.startswith(_SHARED):
        try:
            journal = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            reason = "the drive does not allow it"
        except sqlite3.OperationalError as error:
            if any(word in str(error) for word in ("locked", "readonly", "full", "unable")):
                raise
            reason = str(error)
    if journal == "wal":
        return journal, ""
    journal = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    return journal, (
        f"{str(path)!r} has a plain journal in place of a write-ahead log: {reason}. Work is as "
        "safe; only one notebook should use the store at a time, and saving takes a little longer."
    )


def read_log_alone(connection: sqlite3.Connection) -> None:
    """Have a log read without shared memory, by keeping all others out; see `let_others_in`.

    A store that was made on a disk has a log; on a drive without shared memory it could not even
    be read.
    """
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")


def let_others_in(connection: sqlite3.Connection) -> None:
    """The end of `read_log_alone`, once there is a plain journal."""
    connection.execute("PRAGMA locking_mode = NORMAL")
    connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # which lets go of the lock


def has_locks(folder: Path) -> bool:
    """Whether a drive has locks on files; tried on a file of its own, since closing one of another
    would drop its locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows has others
        return True
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=folder, prefix=".segwidget") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def lock_folder(path: Path) -> Path:
    """The folder whose presence says that somebody writes, on drives without locks."""
    return path.with_name(f"{path.name}.lock")


def may_write(path: Path) -> bool:
    """Whether an existing database may be written, as far as its file and folder tell."""
    if not _writable(path):
        return False
    if _writable(path.parent):
        return True
    # Nothing can be made in the folder, but the log may be there already.
    return all(_writable(path.with_name(path.name + end)) for end in ("-wal", "-shm"))


def explained(error: Exception, path: Path) -> StoreError:
    """The sentence for what SQLite refuses."""
    text, place = str(error), repr(str(path))
    if "full" in text:
        return StoreError(
            f"{place} cannot be written: the disk is full. Nothing was changed, and what was saved "
            "before is there. Make room, and do the step again."
        )
    if "locked" in text or "busy" in text:
        left = lock_folder(path)
        return StoreError(
            f"{place} is being written by another notebook, which has not finished in time. "
            "Nothing was changed. Do the step again, or close the other notebook."
            + (
                f" Where no other is open, one was killed at work: delete {left.name!r} beside it."
                if left.is_dir()
                else ""
            )
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


def _writable(path: Path) -> bool:
    # The effective user is who SQLite works for; not all systems can ask about that one.
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
