"""A store's file: opened, read, written in transactions, copied and closed."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from segwidget.annotation import store_values
from segwidget.annotation.store_drive import explained
from segwidget.annotation.store_schema import open_database
from segwidget.errors import ClosedError, StoreError

T = TypeVar("T", bound="StoreFile")

#: Runs a statement within a transaction.
Run: TypeAlias = Callable[..., sqlite3.Cursor]


class StoreFile:
    """The part of a `Store` that knows of the file, and not of what is in it."""

    def __init__(
        self, path: str | PathLike[str], author: str, busy_seconds: float, read_only: bool
    ) -> None:
        self._path = Path(path)
        self.author = author
        self._lock = threading.RLock()
        self._opened = open_database(self._path, busy_seconds, read_only=read_only)
        self._connection: sqlite3.Connection | None = self._opened.connection

    @property
    def path(self) -> Path:
        """The file, as it was given."""
        return self._path

    @property
    def journal(self) -> str:
        """How it writes: "wal", or "delete" where the drive does not allow a write-ahead log."""
        return self._opened.journal

    @property
    def remark(self) -> str:
        """What a person should know of the drive, in a sentence; "" where all is well."""
        return self._opened.remark

    @property
    def read_only(self) -> bool:
        """Whether it can only be read: everything that writes raises `StoreError`."""
        return bool(self._opened.read_only)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._connection is None

    def close(self) -> None:
        """Let go of the file; closing twice is fine."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
                if self._opened.copy is not None:
                    self._opened.copy.cleanup()

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r})"

    # Small values of others.

    def get_meta(self, name: str, default: Any = None) -> Any:
        """A value that `set_meta` has written; `default` where there is none."""
        rows = self._read("SELECT value FROM meta WHERE name = ?", (name,))
        return self._decoded(json.loads, rows[0][0]) if rows else default

    def set_meta(self, name: str, value: Any) -> None:
        """Keep a small value, such as how far some work is.

        Args:
            name: what to find it by.
            value: anything that JSON holds.

        Raises:
            StoreError: a value that JSON does not hold, or it cannot be written.
        """
        with self._transaction() as run:
            self._write_meta(run, {name: value})

    def backup(self, path: str | PathLike[str]) -> Path:
        """Write a copy of all that is there, also while somebody works.

        Raises:
            StoreError: the file is there already, or cannot be written.
        """
        target = Path(path)
        if target.exists():
            raise StoreError(
                f"{str(target)!r} is there already; a copy overwrites nothing. Choose another name."
            )
        with self._lock:
            source = self._require_open()
            try:
                copy = sqlite3.connect(target)
                try:
                    source.backup(copy)
                finally:
                    copy.close()
            except sqlite3.Error as error:
                with suppress(OSError):
                    target.unlink(missing_ok=True)
                raise explained(error, target) from error
        return target

    # How it is done.

    def _write_meta(self, run: Run, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            text = store_values.json_text(name, value)
            run("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", (name, text))

    @contextmanager
    def _transaction(self) -> Iterator[Run]:
        """One transaction; whatever is raised inside takes all of it back."""
        with self._lock:
            connection = self._require_open()
            if self._opened.read_only:
                raise StoreError(
                    f"{str(self._path)!r} is open for reading only: {self._opened.read_only}. "
                    "Nothing was changed. To change it, take a copy with store.backup('mine.db'), "
                    "and open that: Project(..., store='mine.db')."
                )
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection.execute
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:  # which a full disk may have ended already
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise explained(error, self._path) from error
            except UnicodeEncodeError as error:
                raise StoreError(
                    f"A text cannot be kept: {error.object[:40]!r} holds half a character. Nothing "
                    "was changed. Write it anew."
                ) from error

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            connection = self._require_open()
            try:
                found = connection.execute(sql, values).fetchall()
                if self._opened.unchanged():
                    return found
            except (sqlite3.Error, OSError) as error:
                if isinstance(error, sqlite3.Error) and self._opened.unchanged():
                    raise explained(error, self._path) from error
            raise StoreError(
                f"Somebody has written to {str(self._path)!r}, or taken it away, since it was "
                "opened for reading. Open it again to see what is there now."
            )

    def _require_open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ClosedError(f"The store {str(self._path)!r} is closed. Open it again.")
        return self._connection

    def _setting(self, name: str) -> str | None:
        rows = self._read("SELECT value FROM settings WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def _decoded(self, decode: Callable[..., Any], *texts: str) -> Any:
        """Decode what the file holds; what is no such thing is damage, and said so."""
        try:
            return decode(*texts)
        except Exception as error:
            raise StoreError(
                f"{str(self._path)!r} is damaged, or a newer segwidget has written to it: {error} "
                "It was left as it is. Install the newest segwidget, or put a copy back."
            ) from error
