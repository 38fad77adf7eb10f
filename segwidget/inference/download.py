"""Downloading a checkpoint: whole and verified, or not at all.

What has arrived lies beside the file's place as ``NAME.part``. Whoever is interrupted, be it by a
kill, finds it there the next time and goes on. Only a part whose size and SHA-256 are those of the
published file takes the file's name. Nothing in the file is ever interpreted.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from segwidget.errors import CheckpointError
from segwidget.inference.registry import ModelRow, is_cached, megabytes
from segwidget.inference.sources import (
    Delivery,
    Source,
    StartOverError,
    TransientError,
    by_hand,
    choose_source,
)
from segwidget.sam.hashing import file_sha256

# Seconds before each further try. Whoever brings the file forward by SUBSTANTIAL bytes gets them
# all anew, so that a long download over a bad line ends.
PAUSES = (0.5, 1.0, 2.0, 4.0)
SUBSTANTIAL = 1 << 20

# What some network drives answer to whoever wants to lock a file.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)

Progress = Callable[[int, int], None]


class DownloadStoppedError(CheckpointError):
    """The caller stopped a download; what has arrived is kept."""


def download_checkpoint(
    row: ModelRow,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    notice: Callable[[str], None] | None = None,
    mirror: str | None = None,
    force: bool = False,
    timeout: float = 30.0,
) -> Path:
    """Fetch a model's file into the cache folder, unless it is there.

    Any number of threads and processes may call this at once: one fetches, the others wait for it.

    Args:
        row: the model.
        progress: called with the bytes that are here and the bytes in all, at the start and after
            every block.
        cancelled: asked between blocks and while waiting; True stops the download.
        notice: told in a sentence what is being waited for.
        mirror: an address or a folder under which the file's name follows, instead of
            ``$SEGWIDGET_MIRROR`` or the authors' address.
        force: fetch it also if it is there; the old file stays until the new one is verified.
        timeout: seconds to wait for a connection and for each next piece of an answer.

    Returns:
        Where the file lies.

    Raises:
        DownloadStoppedError: `cancelled` said so.
        CheckpointError: the file is not to be had, or is not the published one, or the folder
            cannot be written or is full. The message says what to do; what has arrived is kept,
            unless it was wrong.
    """
    if not row.url or (is_cached(row) and not force):
        return row.path
    source = choose_source(row, mirror, timeout)
    job = _Job(row, source, progress, cancelled or (lambda: False), notice or (lambda _: None))
    with _disk_errors(row):
        row.path.parent.mkdir(parents=True, exist_ok=True)
        with job.alone():
            if force or not is_cached(row):
                job.run()
    return row.path


def verify(row: ModelRow) -> str:
    """Hash a model's file anew.

    Returns:
        Its SHA-256, in hex, which is that of the published file.

    Raises:
        CheckpointError: it is not, or the file cannot be read.
    """
    if not row.path.exists():
        raise CheckpointError(
            f"{row.name} is not on this computer: there is no {row.path}. Fetch it with "
            f"`segwidget models download {row.name}`."
        )
    try:
        size = row.path.stat().st_size
        found = file_sha256(row.path)
    except OSError as e:
        raise CheckpointError(f"{row.path} cannot be read: {e.strerror or e}. {_again(row)}") from e
    if size != row.size or found != row.sha256:
        raise CheckpointError(
            f"{row.path} is not the published file: it has {size:,} bytes and SHA-256 {found}; "
            f"expected {row.size:,} bytes and {row.sha256}. {_again(row)}"
        )
    return found


class _Part:
    """What has arrived of a file, and a note of which version of the file it belongs to."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self, source: str) -> str:
        """The validator of the version that `source` was delivering, or ""."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            found = note["validator"] if note["source"] == source else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""  # none yet, or its writer was killed
        return found if isinstance(found, str) and found.isascii() and found.isprintable() else ""

    def begin(self, delivery: Delivery, source: str) -> None:
        """Drop what does not precede the delivery."""
        if delivery.start == 0:
            with suppress(FileNotFoundError):
                os.truncate(self.path, 0)
            note = json.dumps({"source": source, "validator": delivery.validator})
            self.note.write_text(note, encoding="utf-8")

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def publish(self, target: Path) -> None:
        """Take the file's name, and be on the disk before that."""
        with self.path.open("rb+") as stream:
            os.fsync(stream.fileno())
        self.path.replace(target)
        self.note.unlink(missing_ok=True)
        with suppress(OSError):  # where folders cannot be opened, there is nothing to be done
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class _Job:
    """One download."""

    def __init__(
        self,
        row: ModelRow,
        source: Source,
        progress: Progress | None,
        cancelled: Callable[[], bool],
        notice: Callable[[str], None],
    ) -> None:
        self.row = row
        self.source = source
        self.progress = progress
        self.cancelled = cancelled
        self.notice = notice
        self.part = _Part(row.path)
        self.resumed = False  # is the part of several deliveries, or of unknown ones?

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other threads and processes from the part meanwhile."""
        lock = FileLock(self.row.path.with_name(f".{self.row.file_name}.lock"), thread_local=False)
        told = False
        while not lock.is_locked:
            try:
                lock.acquire(timeout=0.2 if told else 0)
            except Timeout:
                if not told:
                    self.notice(
                        f"Waiting: {self.row.file_name} is already being fetched elsewhere."
                    )
                told = True
                self._heed_cancelled()
            except (NotImplementedError, OSError) as e:
                if isinstance(e, OSError) and e.errno not in _NO_LOCKS:
                    raise
                break  # two at once may now spoil each other's part, which the hash will tell
        try:
            yield
        finally:
            lock.release()

    def run(self) -> None:
        """Fetch, verify, publish."""
        if self.part.size() > self.row.size:
            self.part.delete()
        self.resumed = self.part.size() > 0
        self._fetch()
        found = self._hash()
        if found != self.row.sha256 and self.resumed:
            self.notice("What was here of an earlier download does not fit; starting over.")
            self.part.delete()
            self._fetch()
            found = self._hash()
        if found != self.row.sha256:
            self.part.delete()
            raise CheckpointError(
                f"What came from {self.source.name} is not the published {self.row.file_name}: its "
                f"SHA-256 is {found}, expected {self.row.sha256}. It was deleted. "
                f"{by_hand(self.row)}"
            )
        self.part.publish(self.row.path)

    def _hash(self) -> str:
        self._heed_cancelled()
        return file_sha256(self.part.path)

    def _fetch(self) -> None:
        """Bring the part to its full size, however many tries that takes."""
        self._report()
        self._check_space()
        tries, furthest = 0, self.part.size()
        while (size := self.part.size()) < self.row.size:
            self._heed_cancelled()
            try:
                self._receive(size)
                continue
            except StartOverError:
                self.part.delete()
                reason, wait = f"{self.source.name} does not continue a download", 0.0
            except TransientError as e:
                reason, wait = str(e), e.wait
            if self.part.size() >= furthest + SUBSTANTIAL:
                tries, furthest = 0, self.part.size()
            if tries == len(PAUSES):
                raise CheckpointError(
                    f"{self.row.file_name} cannot be fetched, {tries + 1} tries in a row: "
                    f"{reason}.{self._kept()} {by_hand(self.row)}"
                )
            self.notice(f"Trying again: {reason}.")
            self._pause(max(PAUSES[tries], wait))
            tries += 1

    def _receive(self, offset: int) -> None:
        """Append one delivery to the part.

        Raises:
            TransientError: it ended early.
            CheckpointError: it did not end where the file ends.
        """
        validator = self.part.validator(self.source.name)
        with self.source.open(offset, validator) as delivery:
            self.part.begin(delivery, self.source.name)
            self.resumed = delivery.start > 0
            done = delivery.start
            with self.part.path.open("ab", buffering=0) as stream:
                for block in delivery.blocks:
                    self._heed_cancelled()
                    if done + len(block) > self.row.size:
                        stream.close()
                        self.part.delete()
                        raise CheckpointError(
                            f"{self.source.name} sends more than the {self.row.size:,} bytes of "
                            f"the published file: it is another file. What came was deleted. "
                            f"{by_hand(self.row)}"
                        )
                    write_all(stream, block)
                    done += len(block)
                    self._report(done)
        if done < self.row.size:
            raise TransientError(f"the transfer ended after {done:,} of {self.row.size:,} bytes")

    def _check_space(self) -> None:
        missing = self.row.size - self.part.size()
        free = shutil.disk_usage(self.row.path.parent).free
        if free < missing:
            raise CheckpointError(
                f"{self.row.file_name} needs {megabytes(missing)} more in {self.row.path.parent}, "
                f"where {megabytes(free)} are free. Make room there, or name another folder in "
                "SEGWIDGET_CACHE."
            )

    def _report(self, done: int | None = None) -> None:
        if self.progress is not None:
            self.progress(self.part.size() if done is None else done, self.row.size)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._heed_cancelled()
            time.sleep(min(left, 0.1))

    def _heed_cancelled(self) -> None:
        if self.cancelled():
            raise DownloadStoppedError(
                f"The download of {self.row.file_name} was stopped.{self._kept()}"
            )

    def _kept(self) -> str:
        size = self.part.size()
        if not size:
            return ""
        return (
            f" {megabytes(size)} of {megabytes(self.row.size)} are here and kept: "
            f"`segwidget models download {self.row.name}` goes on from there."
        )


def write_all(stream: BinaryIO, block: bytes) -> None:
    """Write a block to an unbuffered file, which may take it in pieces."""
    view = memoryview(block)
    while view:
        view = view[stream.write(view) :]


@contextmanager
def _disk_errors(row: ModelRow) -> Iterator[None]:
    """Say what to do about a folder that is full or cannot be written."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as e:
        folder = row.path.parent
        if e.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CheckpointError(
                f"The disk is full: {row.file_name} ({megabytes(row.size)}) does not fit into "
                f"{folder}. Make room and run the same again, which goes on from there, or name "
                "another folder in SEGWIDGET_CACHE."
            ) from e
        raise CheckpointError(
            f"{row.file_name} cannot be written to {folder}: {e.strerror or e}. Name a folder "
            "that you may write in SEGWIDGET_CACHE."
        ) from e


def _again(row: ModelRow) -> str:
    if not row.url:
        return "Install segwidget again."
    return f"Fetch it anew with `segwidget models download {row.name} --force`."
