"""COCO for many images: masks as run lengths, or as polygons for readers that know nothing else.

A COCO polygon has no holes, so that in the polygon form they are joined to the outline by a cut of
no width (a keyhole), which every even-odd rasterizer fills rightly.

A large file is read row by row, so that its size is no matter of memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.coco import (
    from_row,
    key_of,
    labels_of,
    need,
    read_json,
    rows_of,
    to_coco,
)
from segwidget.annotation.formats.json_rows import rows_in
from segwidget.annotation.formats.raster import watched
from segwidget.annotation.formats.registry import Format, Imported
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.polygons import joined, polygons_of
from segwidget.errors import FormatError, SegwidgetError

MAX_AT_ONCE = 64 * 2**20  # bytes; parsed as a whole, they take ten times as much memory


def to_coco_dataset(records: Iterable[Annotations], *, polygons: bool = False) -> dict[str, Any]:
    """The annotations of many images as one COCO data set, ready for JSON.

    Args:
        records: one an image.
        polygons: masks as polygons, each island of a mask one ring.
    """
    merged: dict[str, Any] = {
        "info": {"description": "Annotations made with segwidget", "version": "1"},
        "licenses": [], "images": [], "categories": [], "annotations": [],
    }  # fmt: skip
    ids: dict[str, int] = {}
    for number, record in enumerate(records, start=1):
        one = to_coco(record)
        here = {}
        for category in one["categories"]:
            name = category["name"]
            if name not in ids:
                ids[name] = len(ids) + 1
                merged["categories"].append({**category, "id": ids[name]})
            here[category["id"]] = ids[name]
        merged["images"].append({**one["images"][0], "id": number})
        for row, item in zip(one["annotations"], record, strict=True):
            row["id"] = len(merged["annotations"]) + 1
            row["image_id"] = number
            row["category_id"] = here[row["category_id"]]
            if polygons:
                row["segmentation"] = [
                    joined([island]).ravel().tolist() for island in polygons_of(item.rle)
                ]
            merged["annotations"].append(row)
    return merged


def from_coco_dataset(data: Any) -> Imported:
    """Read a COCO data set of many images; wrong rows are told and left out.

    Raises:
        FormatError: it is not COCO as a whole.
    """
    if not isinstance(data, Mapping):
        raise FormatError(f"The file holds a {type(data).__name__}; expected COCO's object.")
    rows = {key: rows_of(data, key) for key in ("images", "categories", "annotations")}
    return _imported(rows["images"], rows["categories"], rows["annotations"])


def read_large(path: Path) -> Imported:
    """Read a COCO file of any size, row by row; what holds no more is told, the rest is read.

    It is read twice, since images and categories may stand after the annotations. In memory are its
    images and masks, as run lengths; of its text there is never more than a window.

    Raises:
        StoreError: it cannot be read.
        FormatError: it has no images or categories.
    """
    found: dict[str, list[Any]] = {"images": [], "categories": []}
    broken: list[str] = []
    try:
        for key, row in rows_in(path):
            if key in found:
                found[key].append(row)
    except FormatError as error:
        broken.append(f"{error} What stands before that was read.")

    def annotations() -> Iterator[Any]:
        with suppress(FormatError):  # told above
            yield from (row for key, row in rows_in(path) if key == "annotations")

    for key, listed in found.items():
        if not listed:
            raise FormatError(
                f"It has no {key}; expected COCO's format for instances. {' '.join(broken)}".strip()
            )
    rows = {key: rows_of(found, key) for key in found}
    read = _imported(rows["images"], rows["categories"], watched(annotations(), "COCO"))
    read.problems[:0] = broken
    return read


def _imported(
    images: Iterable[Mapping[str, Any]],
    categories: list[Mapping[str, Any]],
    annotations: Iterable[Any],
) -> Imported:
    labels = labels_of(categories)
    problems: list[str] = []
    infos: dict[Any, ImageInfo] = {}
    names: set[str] = set()
    for index, row in enumerate(images):
        where = f"images[{index}]"
        try:
            number = key_of(row, "id", where)
            name, width, height = (
                need(row, key, where) for key in ("file_name", "width", "height")
            )
            info = ImageInfo(name, width, height, row.get("sha256") or "")
            if number in infos or info.name in names:
                raise FormatError(f"{where}: the id {number!r} or its name is there twice.")
        except SegwidgetError as error:
            problems.append(_at(where, error))
            continue
        infos[number] = info
        names.add(info.name)
    items: dict[Any, list[Annotation]] = {number: [] for number in infos}
    seen: set[Any] = set()
    ids: dict[Any, set[str]] = {number: set() for number in infos}
    for index, row in enumerate(annotations):
        where = f"annotations[{index}]"
        try:
            if not isinstance(row, Mapping):
                raise FormatError(f"{where} is a {type(row).__name__}; expected an object.")
            image = key_of(row, "image_id", where)
            if image not in infos:
                raise FormatError(f"{where}.image_id is {image!r}, and no image has this id.")
            number = row.get("id", f"row {index}")
            if not isinstance(number, int | str) or number in seen:
                raise FormatError(f"{where}.id is {number!r}; expected one that no other row has.")
            item = from_row(row, where, infos[image], labels)
            if item.rle.area == 0:
                raise FormatError(f"{where}: its mask is empty.")
            if item.id in ids[image]:
                raise FormatError(f"{where}: another annotation of the image has its id.")
        except SegwidgetError as error:
            problems.append(_at(where, error))
            continue
        seen.add(number)
        ids[image].add(item.id)
        items[image].append(item)
    known = LabelSet(tuple(labels.values())) if labels else None
    return Imported([Annotations(items[n], infos[n], known) for n in infos], problems)


def _at(where: str, error: SegwidgetError) -> str:
    text = str(error)
    return f"{text if text.startswith(where) else f'{where}: {text}'} It was left out."


def _write(
    records: Iterable[Annotations], path: Path, *, images: Any = None, polygons: bool = False
) -> Path:
    del images
    data = to_coco_dataset(records, polygons=polygons)
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return write_atomically(path, text.encode("ascii"))


def _read(path: Path, *, sizes: Any = None) -> Imported:
    del sizes
    try:
        if path.is_file() and path.stat().st_size > MAX_AT_ONCE:
            return read_large(path)
        return from_coco_dataset(read_json(path))
    except FormatError as error:
        raise FormatError(f"{path.name!r}: {error}") from error


COCO = Format("coco", "COCO", "file", ".coco.json", True, _write, _read)
COCO_POLYGONS = Format(
    "coco-polygons", "COCO with polygons", "file", ".coco.json", False,
    partial(_write, polygons=True), _read,
)  # fmt: skip
