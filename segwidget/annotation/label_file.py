"""Labels as a file of JSON."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path

from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.labels import LabelSet
from segwidget.errors import LabelError, StoreError

MAX_BYTES = 16 * 2**20


def write_labels(labels: LabelSet, path: str | PathLike[str]) -> Path:
    """Write a file; `LabelSet.save` says more."""
    text = json.dumps(labels.to_json(), ensure_ascii=False, indent=2)
    return write_atomically(path, f"{text}\n".encode())


def read_labels(path: str | PathLike[str]) -> LabelSet:
    """Read a file; `LabelSet.load` says more."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{str(file)!r} cannot be read: {reason}. Check the path.") from error
    if len(data) > MAX_BYTES:
        raise LabelError(
            f"{file.name!r} has more than {MAX_BYTES:,} bytes. Is it a file of labels?"
        )
    try:
        parsed = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise LabelError(f"{file.name!r} is not JSON: {error}. Write it again.") from error
    try:
        return LabelSet.from_json(parsed)
    except LabelError as error:
        raise LabelError(f"{file.name!r}: {error}") from error
