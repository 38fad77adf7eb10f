"""Formats that have a file for each image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from segwidget.annotation.annotation import Annotations
from segwidget.annotation.formats.raster import left_out
from segwidget.annotation.formats.registry import Format, Imported, file_for, make_folder
from segwidget.errors import FormatError, SegwidgetError


def read_each(
    read: Imported,
    files: Iterable[Path],
    read_one: Callable[[Path], tuple[Annotations, list[str]]],
) -> None:
    """Read the file of each image; one that is wrong, or about the same image, is left out.

    Args:
        read: gets the records and the problems.
        files: of the images.
        read_one: reads one, and tells what it has left out.
    """
    names: set[str] = set()
    for file in files:
        try:
            record, problems = read_one(file)
            if record.image.name in names:
                raise FormatError(f"another file is about {record.image.name!r}, too.")
        except SegwidgetError as error:
            read.problems.append(left_out(file.name, error))
            continue
        names.add(record.image.name)
        read.records.append(record)
        read.problems += problems


def file_per_image(
    name: str,
    title: str,
    *,
    exact: bool,
    write_one: Callable[[Annotations, Path], Any],
    read_one: Callable[..., tuple[Annotations, list[str]]],
    suffix: str = ".json",
    hears: bool = False,
) -> Format:
    """A format of which each image has a file.

    Args:
        name: of the format.
        title: for people.
        exact: whether masks come back pixel by pixel.
        write_one: writes the file of an image.
        read_one: reads one, and tells what it has left out.
        suffix: of the files.
        hears: whether `write_one` takes `images`, and `read_one` takes `sizes`, too.
    """

    def write(records: Iterable[Annotations], path: Path, *, images: Any = None) -> Path:
        make_folder(path)
        taken: set[Path] = set()
        more = {"images": images} if hears else {}
        for record in records:
            write_one(record, file_for(path, record.image.name, suffix, taken), **more)
        return path

    def read(path: Path, *, sizes: Any = None) -> Imported:
        more = {"sizes": sizes} if hears else {}
        found = Imported()
        names: set[str] = set()
        for file in [path] if path.is_file() else sorted(path.rglob(f"*{suffix}")):
            try:
                record, problems = read_one(file, **more)
            except SegwidgetError as error:
                found.problems.append(f"{error} The file was left out.")
                continue
            found.problems += problems
            if record.image.name in names:
                found.problems.append(
                    f"{file.name!r}: another file is about {record.image.name!r}, too. It was left "
                    "out."
                )
                continue
            names.add(record.image.name)
            found.records.append(record)
        return found

    return Format(name, title, "folder", suffix, exact, write, read)
