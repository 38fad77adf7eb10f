"""COCO for many images: masks as run lengths, or as polygons for readers that know nothing else.

A COCO polygon has no holes, so that in the polygon form they are joined to the outline by a cut of
no width (a keyhole), which every even-odd rasterizer fills rightly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
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
from segwidget.annotation.formats.registry import Format, Imported
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.polygons import joined, polygons_of
from segwidget.errors import FormatError, SegwidgetError


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
    labels = labels_of(rows["categories"])
    problems: list[str] = []
    infos: dict[Any, ImageInfo] = {}
    names: set[str] = set()
    for index, row in enumerate(rows["images"]):
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
    for index, row in enumerate(rows["annotations"]):
        where = f"annotations[{index}]"
        try:
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
        return from_coco_dataset(read_json(path))
    except FormatError as error:
        raise FormatError(f"{path.name!r}: {error}") from error


COCO = Format("coco", "COCO", "file", ".coco.json", True, _write, _read)
COCO_POLYGONS = Format(
    "coco-polygons", "COCO with polygons", "file", ".coco.json", False,
    partial(_write, polygons=True), _read,
)  # fmt: skip
