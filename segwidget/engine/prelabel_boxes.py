"""Boxes from a detector's file: COCO's JSON, a list of COCO results, or CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

from segwidget.annotation.labels import checked_name
from segwidget.errors import FormatError, LabelError, StoreError

_FILE = ("file_name", "filename", "file", "image", "path")
_EDGES = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
_CORNER = ("x", "y")
_SIZES = (("w", "h"), ("width", "height"))
_LABEL = ("label", "category", "class", "name")
_SCORE = ("score", "confidence")
MAX_PROBLEMS = 1000  # sentences that are kept

#: x0, y0, x1, y1 in pixels, and the label, "" where it has none.
LabelledBox = tuple[float, float, float, float, str]


@dataclass
class DetectedBoxes:
    """A detector's boxes.

    Attributes:
        by_name: the boxes of each image, by its name as the file has it.
        problems: a sentence for each entry that is left out, with its place.
    """

    by_name: dict[str, list[LabelledBox]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def of(self, key: str) -> list[LabelledBox]:
        """The boxes of an image, which detectors call by its path, its file name, or its stem."""
        path = PurePosixPath(key)
        for name in (key, path.name, path.stem):
            if name in self.by_name:
                return self.by_name[name]
        return []


def read_boxes(path: str | PathLike[str], *, min_score: float = 0.0) -> DetectedBoxes:
    """Read a detector's boxes.

    Args:
        path: a COCO data set (`images`, `annotations`, `categories`); a list of COCO results whose
            entries name their image by `file_name`, or by an `image_id` that is a file's name or
            stem; or CSV with a column `file_name`, the columns x0, y0, x1, y1 (or x, y, w, h), and
            perhaps `label` and `score`.
        min_score: boxes with a lower score are left out, silently; those without one stay.

    Raises:
        StoreError: the file cannot be read.
        FormatError: it is none of these.
    """
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{file.name!r} is no text in UTF-8; expected JSON or CSV.") from error
    except OSError as error:
        raise StoreError(
            f"{str(file)!r} cannot be read: {error.strerror or error}. Check the path."
        ) from error
    entries = _csv(text, file.name) if file.suffix.lower() == ".csv" else _coco(text, file.name)
    boxes = DetectedBoxes()
    for where, entry in entries:
        try:
            name, box, score = _entry(entry)
        except (ValueError, LabelError) as error:
            if len(boxes.problems) < MAX_PROBLEMS:
                boxes.problems.append(f"{file.name}: {where}: {error}")
            continue
        if score is None or score >= min_score:
            boxes.by_name.setdefault(name, []).append(box)
    return boxes


def _csv(text: str, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(text.splitlines())
    if not any(column in _FILE for column in reader.fieldnames or ()):
        raise FormatError(
            f"{name!r} has the columns {', '.join(reader.fieldnames or ()) or '(none)'}; expected "
            "file_name, x0, y0, x1, y1, and perhaps label and score."
        )
    for row in reader:
        yield f"line {reader.line_num}", row


def _coco(text: str, name: str) -> Iterator[tuple[str, Any]]:
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name!r} is no JSON: {error}. Expected COCO's JSON, or CSV.") from error
    whole = isinstance(data, Mapping)
    rows = data.get("annotations") if whole else data
    if not isinstance(rows, list):
        raise FormatError(
            f"{name!r} is neither COCO's JSON, with 'images' and 'annotations', nor a list of COCO "
            "results."
        )
    names = _names(data.get("images"), "file_name") if whole else {}
    labels = _names(data.get("categories"), "name") if whole else {}
    for index, row in enumerate(rows):
        found: Any = row
        if isinstance(row, Mapping):
            found = dict(row)
            image, category = row.get("image_id"), row.get("category_id")
            if "file_name" not in row and image is not None:
                known = names.get(str(image))
                found["file_name"] = known or ("" if whole or isinstance(image, int) else image)
            found.setdefault("label", labels.get(str(category), ""))
        yield f"annotations[{index}]" if whole else f"[{index}]", found


def _names(rows: Any, key: str) -> dict[str, str]:
    """Names by id, of those entries that have both."""
    return {
        str(row["id"]): row[key]
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, Mapping) and "id" in row and isinstance(row.get(key), str)
    }


def _entry(row: Any) -> tuple[str, LabelledBox, float | None]:
    """Name, box and score.

    Raises:
        ValueError: what is wrong with the entry.
        LabelError: likewise.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"is a {type(row).__name__}; expected an object")
    name = _first(row, _FILE)
    if not isinstance(name, str) or not name:
        raise ValueError(
            "names no image of the file; expected a file_name, or an image_id among 'images'"
        )
    label = _first(row, _LABEL)
    score = _first(row, _SCORE)
    return (
        name,
        (*_edges(row), checked_name(label) if label else ""),
        None if score is None else _number(score),
    )


def _edges(row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    box = row.get("bbox")
    if box is not None:
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"bbox is {box!r}; expected [x, y, width, height]")
        x, y, width, height = map(_number, box)
        return x, y, x + width, y + height
    for names in _EDGES:
        if all(row.get(edge) not in (None, "") for edge in names):
            x0, y0, x1, y1 = (_number(row[edge]) for edge in names)
            return x0, y0, x1, y1
    for sizes in _SIZES:
        if all(row.get(edge) not in (None, "") for edge in (*_CORNER, *sizes)):
            x, y, width, height = (_number(row[edge]) for edge in (*_CORNER, *sizes))
            return x, y, x + width, y + height
    raise ValueError("has no box; expected bbox, or x0, y0, x1, y1")


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no finite number")
    return number


def _first(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)
