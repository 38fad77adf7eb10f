"""The folder that a bulk run writes, and the books that it keeps there: each image exactly once.

    run.json        what is done with each image, by which model; a run of another kind is refused
    manifest.jsonl  one line for each shard that is done: its file, its images, and those skipped
    000000.tar …    the shards

Workers write parts under names of their own. Only one process, the one that holds the lock, gives
a part its final name, has the disk confirm that, and then adds the shard's line, which is what
makes it done. A run that is killed between the two leaves a file without a line, or half a line:
both are removed when the run goes on, and the shard's images are done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from segwidget.annotation.atomic import write_atomically
from segwidget.engine.prelabel_parts import PART, SUFFIXES, OutputFormat, read_part
from segwidget.errors import FormatError, StoreError

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotations

MANIFEST = "manifest.jsonl"
RUN = "run.json"
LOCK = ".lock"
VERSION = 1


class OutputFolder:
    """The books of a run; a context manager, which holds the lock meanwhile.

    Args:
        path: of the folder; made where it is missing.
        run: what is done, as JSON: the same each time.
        format: of the shards.

    Raises:
        StoreError: the folder cannot be written, another process writes it, or it holds another
            run, or anything else.
        FormatError: the manifest is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        run: dict[str, Any],
        format: OutputFormat,  # noqa: A002
    ) -> None:
        self.path = Path(path).expanduser()
        self._suffix = SUFFIXES[format]
        self._run = {"version": VERSION, **run}
        self._lock = FileLock(self.path / LOCK)
        self.done: set[str] = set()
        self.skipped: dict[str, str] = {}
        self.next_shard = 0
        self._files: set[str] = set()

    def __enter__(self) -> OutputFolder:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"Another run writes {str(self.path)!r} at this moment. Wait for it, or choose "
                "another output folder."
            ) from None
        except OSError as error:
            raise StoreError(
                f"{str(self.path)!r} cannot be written: {error.strerror or error}. Choose another "
                "output folder."
            ) from error
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._remove_leftovers()
        self._lock.release()

    def commit(self, record: dict[str, Any]) -> bool:
        """Take a shard into the books; afterwards it is there whatever happens.

        Args:
            record: as `Prelabeler.run` returns it.

        Returns:
            Whether it was taken: not where one of its images is done already, as when a worker
            that was given up for lost answers after all.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        if not self.done.isdisjoint(record["images"]):
            return False
        name = record["shard"] + self._suffix if record["part"] else ""
        line = {key: value for key, value in record.items() if key != "part"}
        line["file"] = name
        try:
            if name:
                (self.path / record["part"]).replace(self.path / name)
                _sync_folder(self.path)
            self._append(line)
        except OSError as error:
            raise StoreError(
                f"{str(self.path)!r} cannot be written: {error.strerror or error}. What is done "
                "stays; make room and run the same again."
            ) from error
        self._count(line)
        return True

    def _append(self, line: dict[str, Any]) -> None:
        """Add a line to the manifest, and have the disk confirm it; or leave it as it was."""
        path = self.path / MANIFEST
        with path.open("ab") as stream:
            size = stream.tell()
            self._files.add(line["file"])  # as the line may be there although the disk refuses
            try:
                stream.write(json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                with suppress(OSError):
                    stream.close()
                os.truncate(path, size)
                self._files.discard(line["file"])
                raise

    def _open(self) -> None:
        entries = {entry.name for entry in self.path.iterdir()} - {LOCK}
        if RUN in entries:
            self._check_run()
        elif {name for name in entries if not name.startswith(".")}:
            raise StoreError(
                f"{str(self.path)!r} is not empty, and holds no earlier run. Choose an empty or a "
                "new output folder."
            )
        else:
            text = json.dumps(self._run, indent=1, sort_keys=True)
            write_atomically(self.path / RUN, text.encode())
        for line in _lines(self.path, repair=True):
            self._count(line)
        self._remove_leftovers()

    def _check_run(self) -> None:
        found = read_run(self.path)
        for key in sorted(found.keys() | self._run.keys()):
            if found.get(key) != self._run.get(key):
                raise StoreError(
                    f"{str(self.path)!r} holds a run with {key} = {found.get(key)!r}, but "
                    f"{self._run.get(key)!r} is asked for. Go on with the same, or choose another "
                    "output folder."
                )

    def _count(self, line: dict[str, Any]) -> None:
        self.done.update(line["images"])
        self.skipped.update((key, reason) for key, reason in line["skipped"])
        for key in line["images"]:
            self.skipped.pop(key, None)
        self.next_shard = max(self.next_shard, int(line["shard"]) + 1)
        self._files.add(line["file"])

    def _remove_leftovers(self) -> None:
        """Remove parts, and shards that were renamed but not written into the manifest."""
        for entry in list(self.path.iterdir()):
            shard, _, suffix = entry.name.partition(".")
            renamed = shard.isdecimal() and f".{suffix}" == self._suffix
            if PART.fullmatch(entry.name) or (renamed and entry.name not in self._files):
                with suppress(OSError):
                    entry.unlink()


def read_run(path: Path) -> dict[str, Any]:
    """What the run in a folder is about.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    try:
        found = json.loads((path / RUN).read_bytes())
    except FileNotFoundError as error:
        raise StoreError(
            f"{str(path)!r} holds no bulk run; expected the output folder of one, with {RUN}."
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{RUN} in {str(path)!r} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{RUN} in {str(path)!r} is no object. Choose another output folder.")
    return found


def read_manifest(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The shards that are done, also while the run goes on.

    Raises:
        StoreError: the folder holds no run.
        FormatError: the manifest is damaged.
    """
    folder = Path(path).expanduser()
    read_run(folder)
    return list(_lines(folder))


def read_prelabels(path: str | os.PathLike[str]) -> Iterator[Annotations]:
    """The annotations that a bulk run wrote, an image at a time; `image.name` is its key.

    Raises:
        StoreError: the folder holds no run, or a file cannot be read.
        FormatError: the manifest or a shard is damaged.
    """
    folder = Path(path).expanduser()
    for line in read_manifest(folder):
        if line["file"]:
            yield from read_part(folder / line["file"])


def _lines(folder: Path, repair: bool = False) -> Iterator[dict[str, Any]]:
    """The manifest's whole lines; half a line at its end was never confirmed.

    Args:
        folder: of the run.
        repair: cut half a line off.
    """
    path = folder / MANIFEST
    if not path.exists():
        return
    whole = 0
    with path.open("rb") as stream:
        for number, text in enumerate(stream, 1):
            if not text.endswith(b"\n"):
                break
            try:
                line = json.loads(text)
                if line["file"] != Path(line["file"]).name or not line["shard"].isdecimal():
                    raise ValueError("a name that no run writes")
                line["images"], line["skipped"]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise FormatError(
                    f"{MANIFEST}, line {number}: not as a run writes it ({error}). Delete the line "
                    "to have its images done again."
                ) from error
            whole += len(text)
            yield line
    if repair and whole < path.stat().st_size:
        os.truncate(path, whole)


def _sync_folder(path: Path) -> None:
    """Have the disk confirm a new name, where the system can."""
    with suppress(OSError, AttributeError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
