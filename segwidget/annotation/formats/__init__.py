"""File formats, one module each, and which of them a suffix means."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from segwidget.errors import FormatError

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotations

SUFFIXES = (".coco.json", ".json")


def save(annotations: Annotations, path: str | PathLike[str]) -> Path:
    """Write annotations in the format of the path's suffix; see `Annotations.save`."""
    from segwidget.annotation.formats.coco import write_coco

    _check_suffix(path)
    return write_coco(annotations, path)


def load(path: str | PathLike[str], *, image: str | None = None) -> Annotations:
    """Read annotations in the format of the path's suffix; see `Annotations.load`."""
    from segwidget.annotation.formats.coco import read_coco

    _check_suffix(path)
    return read_coco(path, image=image)


def _check_suffix(path: str | PathLike[str]) -> None:
    if not fspath(path).lower().endswith(SUFFIXES):
        raise FormatError(
            f"{fspath(path)!r} has no suffix of a known format; expected {' or '.join(SUFFIXES)} "
            "for COCO. Choose such a name."
        )
