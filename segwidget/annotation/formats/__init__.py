"""File formats, one module each, and which of them a suffix means."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from segwidget.errors import FormatError

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotations

# Suffix -> format; the first that fits counts.
SUFFIXES = {".sa1b.json": "SA-1B", ".coco.json": "COCO", ".json": "JSON"}


def save(annotations: Annotations, path: str | PathLike[str]) -> Path:
    """Write annotations in the format of the path's suffix; see `Annotations.save`."""
    from segwidget.annotation.formats.coco import write_coco
    from segwidget.annotation.formats.sa1b import write_sa1b

    write = write_sa1b if _format(path) == "SA-1B" else write_coco
    return write(annotations, path)


def load(path: str | PathLike[str], *, image: str | None = None) -> Annotations:
    """Read annotations in the format of the path's suffix; see `Annotations.load`.

    A file that ends in `.json` and nothing else may also be SA-1B's, whose own files do.
    """
    from segwidget.annotation.formats.coco import from_coco, read_json
    from segwidget.annotation.formats.sa1b import from_sa1b, is_sa1b

    format_ = _format(path)
    data = read_json(path)
    read = from_sa1b if format_ == "SA-1B" or (format_ == "JSON" and is_sa1b(data)) else from_coco
    try:
        return read(data, image=image)
    except FormatError as error:
        raise FormatError(f"{Path(path).name!r}: {error}") from error


def _format(path: str | PathLike[str]) -> str:
    name = fspath(path).lower()
    for suffix, format_ in SUFFIXES.items():
        if name.endswith(suffix):
            return format_
    raise FormatError(
        f"{fspath(path)!r} has no suffix of a known format; expected .coco.json or .json for COCO, "
        "or .sa1b.json for SA-1B. Choose such a name."
    )
