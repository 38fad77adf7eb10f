"""YOLO's folders: `data.yaml` with the names, and `labels/NAME.txt` with one row an object.

A row of the format `yolo-seg` is a class number and x, y of one ring, in shares of the image's
width and height; islands and holes are joined by cuts of no width. A row of `yolo-boxes` is a class
number and the box's center x, center y, width and height, in shares, too; detectors write a
confidence behind. A box comes back as `segwidget.annotation.formats.shapes` says. Neither scores
nor colors are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.registry import Format, Imported, Sizes, file_for, make_folder
from segwidget.annotation.formats.shapes import CUT, boxed, edges_of
from segwidget.annotation.polygons import joined, polygons_of, rle_of
from segwidget.errors import FormatError, SegwidgetError, StoreError

MAX_BYTES = 64 * 2**20  # of one image's rows


def write_yolo(
    records: Iterable[Annotations], path: Path, *, images: Any = None, boxes: bool = False
) -> Path:
    """Write a YOLO folder: see the top of this module.

    Raises:
        StoreError: the place cannot be written.
    """
    del images
    labels = make_folder(path / "labels")
    taken: set[Path] = set()
    numbers: dict[str, int] = {}
    for record in records:
        for label in record.labels:
            numbers.setdefault(label.name, len(numbers))
        scale = np.array([record.image.width, record.image.height])
        rows = []
        for item in record:
            if boxes:
                first, last = np.array(edges_of(item)).reshape(2, 2) / scale
                shares = np.concatenate([(first + last) / 2, last - first])
            else:
                shares = (joined(polygons_of(item.rle)) / scale).ravel()
            # Enough digits to find the corner of each pixel again.
            rows.append(" ".join([str(numbers[item.label]), *(f"{x:.8g}" for x in shares)]))
        target = file_for(labels, record.image.name, ".txt", taken)
        write_atomically(target, "".join(f"{row}\n" for row in rows).encode("ascii"))
    names = "".join(
        f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for name, number in numbers.items()
    )
    text = f"path: .\ntrain: images\nval: images\nnames:\n{names or '  {}'}"
    write_atomically(path / "data.yaml", text.encode("utf-8"))
    return path


def read_yolo(path: Path, *, sizes: Sizes | None = None, boxes: bool = False) -> Imported:
    """Read a YOLO folder.

    Args:
        path: the folder of `data.yaml` and `labels`.
        sizes: gives an image's (height, width) by its name without a suffix.
        boxes: whether the rows are boxes, or else polygons.

    Raises:
        FormatError: no sizes are given, or the names cannot be read.
        StoreError: `data.yaml` cannot be read.
    """
    if sizes is None:
        raise FormatError(
            "YOLO's files do not say how large the images are. Import them into a project that "
            "has the images, or give sizes=..."
        )
    folder = path / "labels"
    names = _names(_text(path / "data.yaml"))
    row: Callable[..., tuple[Annotation, bool]] = _box if boxes else _ring
    read = Imported()
    for file in sorted(folder.rglob("*.txt")):
        name = file.relative_to(folder).with_suffix("").as_posix()
        try:
            height, width = sizes(name)
        except (SegwidgetError, KeyError):
            read.problems.append(f"{file.name!r}: no image is called {name!r}. It was left out.")
            continue
        try:
            lines = _text(file).splitlines()
        except SegwidgetError as error:
            read.problems.append(f"{error} It was left out.")
            continue
        items = []
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{file.name!r}, line {number}"
            try:
                item, cut = row(line, names, (height, width))
            except SegwidgetError as error:
                read.problems.append(f"{where}: {error} It was left out.")
                continue
            if cut:
                read.problems.append(f"{where}: It {CUT}")
            items.append(item)
        read.records.append(Annotations(items, ImageInfo(name, width, height)))
    return read


def _ring(line: str, names: dict[int, str], size: tuple[int, int]) -> tuple[Annotation, bool]:
    try:
        kind, *numbers = line.split()
        class_, ring = int(kind), np.array(numbers, np.float64).reshape(-1, 2)
    except ValueError:
        raise FormatError("It is no class number with x and y of each corner.") from None
    if len(ring) == 2:
        raise FormatError("It is a box; expected a polygon. The format yolo-boxes reads boxes.")
    if len(ring) < 3 or not (np.abs(ring - 0.5) <= 1).all():
        raise FormatError("Expected three corners or more, in shares of 0 to 1.")
    rle = rle_of([[ring * [size[1], size[0]]]], size)
    if rle.area == 0:
        raise FormatError("It holds no pixel of the image.")
    made = Annotation.from_rle(rle, label=_name(class_, names), origin="imported")
    return made, bool((np.abs(ring - 0.5) > 0.5 + 1e-6).any())


def _box(line: str, names: dict[int, str], size: tuple[int, int]) -> tuple[Annotation, bool]:
    try:
        kind, *numbers = line.split()
        class_, values = int(kind), np.array(numbers, np.float64)
    except ValueError:
        raise FormatError("It is no class number with a box.") from None
    if len(values) > 5 and len(values) % 2 == 0:
        raise FormatError("It is a polygon; expected a box. The format yolo-seg reads polygons.")
    if len(values) not in (4, 5) or not (np.abs(values[:4] - 0.5) <= 1).all():
        raise FormatError("Expected the center, width and height of a box, in shares of 0 to 1.")
    center, extent = values[:2], values[2:4]
    edges = np.concatenate([center - extent / 2, center + extent / 2]) * ([size[1], size[0]] * 2)
    # Shares were rounded; a whole pixel is meant where it is so near.
    near = np.rint(edges)
    edges = np.where(np.abs(edges - near) < 1e-3, near, edges)
    score = {"predicted_iou": float(values[4])} if len(values) == 5 else {}
    return boxed(edges.tolist(), size, label=_name(class_, names), **score)


def _name(class_: int, names: dict[int, str]) -> str:
    if class_ not in names:
        raise FormatError(f"data.yaml has no class {class_}.")
    return names[class_]


def _names(text: str) -> dict[int, str]:
    """The classes of `data.yaml`, as a list, in brackets, or by number."""
    block = re.search(r"^names:[ \t]*(.*(?:\n(?:[ \t-].*)?)*)", text, re.MULTILINE)
    body = block[1].strip() if block else ""
    if body.startswith("["):
        found = re.findall(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[^,\[\]\s][^,\[\]]*", body)
        return {number: _plain(name) for number, name in enumerate(found)}
    listed = re.findall(r"^[ \t]*-[ \t]*(.+?)[ \t]*$", body, re.MULTILINE)
    if listed:
        return {number: _plain(name) for number, name in enumerate(listed)}
    named = re.findall(r"^[ \t]*(\d+):[ \t]*(.+?)[ \t]*$", body, re.MULTILINE)
    if not named and body != "{}":
        raise FormatError("data.yaml has no 'names' as a list or by number.")
    return {int(number): _plain(name) for number, name in named}


def _plain(name: str) -> str:
    text = name.strip()
    try:
        return str(json.loads(text)) if text.startswith('"') else text.strip("'")
    except ValueError:
        raise FormatError(f"data.yaml has the name {text}, which is no text.") from None


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(f"{path.name!r} has {size:,} bytes; at most {MAX_BYTES:,} are read.")
        return path.read_text("utf-8")
    except FormatError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{path.name!r} cannot be read: {reason}. Check the folder.") from error


FORMAT = Format("yolo-seg", "YOLO polygons", "folder", ".txt", False, write_yolo, read_yolo)
BOXES = Format(
    "yolo-boxes", "YOLO boxes", "folder", ".txt", False,
    partial(write_yolo, boxes=True), partial(read_yolo, boxes=True), boxes=True,
)  # fmt: skip
