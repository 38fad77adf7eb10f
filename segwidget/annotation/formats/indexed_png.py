"""Palette PNGs as DAVIS and Pascal VOC (`SegmentationObject`) have them: one an image.

A pixel's number is that of its object, 0 for nothing; its color in the palette is near to that of
the object's label. What the numbers mean stands in `labels.json`:

    {"labels": [{"name": "car", "color": "#…"}, …],
     "images": {"night/a.png": {"name": "night/a.jpg", "sha256": "…",
                                "objects": [{"id": 1, "label": "car", …}, …]}, …}}

Without that file each number is an object, whose label is "object"; 255 is VOC's border of objects,
and left out, unless nothing else is there, as in a mask of black and white.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.coco import read_json
from segwidget.annotation.formats.folders import read_each
from segwidget.annotation.formats.raster import (
    Overlaps,
    masks_of,
    paint,
    png_of,
    read_png,
    require_size,
    tints,
    watched,
)
from segwidget.annotation.formats.registry import Format, Imported, Sizes, file_for, make_folder
from segwidget.annotation.labels import DEFAULT_NAME, LabelSet
from segwidget.errors import FormatError, SegwidgetError
from segwidget.inference.rle import Rle

NAMES = "labels.json"
VOID = 255
_MOST = 254
_ELSEWHERE = frozenset({"rle", "box", "area"})
_FIELDS = frozenset(one.name for one in fields(Annotation)) - _ELSEWHERE


def write_indexed_png(records: Iterable[Annotations], path: Path, *, images: Any = None) -> Path:
    """Write a folder of palette PNGs: see the top of this module.

    Raises:
        FormatError: more than 254 masks of an image.
        StoreError: the place cannot be written.

    Warns:
        OverlapWarning: masks overlap; smaller ones are above larger ones.
    """
    del images
    make_folder(path)
    overlaps, taken = Overlaps(), set[Path]()
    labels: LabelSet | None = None
    rows = {}
    for record in watched(records, "Painting"):
        labels = record.labels if labels is None else labels.joined(record.labels)
        flat = overlaps.flatten(record)
        if len(flat.items) > _MOST:
            raise FormatError(
                f"{record.image.name!r} has {len(flat.items)} masks; a palette PNG holds at most "
                f"{_MOST}. Export as coco-panoptic."
            )
        palette = np.zeros((256, 3), np.uint8)
        colors = tints(record.labels.color_of(item.label) for item in flat.items)
        palette[1 : len(colors) + 1] = np.array(colors, np.uint8).reshape(-1, 3)
        palette[VOID] = 224, 224, 192
        target = file_for(path, record.image.name, ".png", taken)
        numbers = np.arange(1, len(flat.items) + 1, dtype=np.uint8)
        write_atomically(target, png_of(paint(flat, numbers), palette))
        rows[target.relative_to(path).as_posix()] = {
            "name": record.image.name,
            "sha256": record.image.sha256,
            "objects": [
                {"id": number, **{k: v for k, v in item.to_dict().items() if k in _FIELDS - {"id"}},
                 "annotation": item.id}
                for number, item in enumerate(flat.items, start=1)
            ],
        }  # fmt: skip
    data = {"labels": [] if labels is None else labels.to_dicts(), "images": rows}
    write_atomically(path / NAMES, json.dumps(data, allow_nan=False, indent=1).encode("ascii"))
    overlaps.tell("An indexed PNG")
    return path


def read_indexed_png(path: Path, *, sizes: Sizes | None = None) -> Imported:
    """Read a folder of palette PNGs; what is wrong is told and left out.

    Args:
        path: the folder.
        sizes: if given, the PNGs' sizes are compared with those of the images.

    Raises:
        FormatError: `labels.json` cannot be used, or there is no PNG.
    """
    read = Imported()
    labels, rows = _names(path)
    files = sorted(path.rglob("*.png"))
    here = {file.relative_to(path).as_posix() for file in files}
    if not files and labels is None and not (path / NAMES).is_file():
        raise FormatError(f"{path.name!r} holds no PNG; expected a folder of palette PNGs.")
    for place in rows:
        if place not in here:
            read.problems.append(f"{NAMES!r}: there is no file {place!r}. It was left out.")

    def read_one(file: Path) -> tuple[Annotations, list[str]]:
        row = rows.get(file.relative_to(path).as_posix())
        return _read_one(file, path, row, labels, sizes)

    read_each(read, watched(files, "Reading"), read_one)
    return read


def _read_one(
    file: Path, folder: Path, row: Any, labels: LabelSet | None, sizes: Sizes | None
) -> tuple[Annotations, list[str]]:
    pixels = read_png(file, ["palette", "gray8"], "a palette PNG of 8 bits")
    height, width = pixels.shape
    masks = masks_of(pixels)
    if row is None:
        name = file.relative_to(folder).with_suffix("").as_posix()
        if masks.keys() != {VOID}:
            masks.pop(VOID, None)
        objects: Any = [{"id": number, "label": DEFAULT_NAME} for number in masks]
        info = ImageInfo(name, width, height)
    elif isinstance(row, Mapping) and isinstance(row.get("objects"), list):
        info = ImageInfo(row.get("name", file.name), width, height, row.get("sha256", ""))
        objects = row["objects"]
    else:
        raise FormatError(f"{NAMES!r} has no list of 'objects' for it.")
    if sizes is not None:
        try:
            size = sizes(info.name)
        except (SegwidgetError, KeyError):
            size = (height, width)  # that there is no such image is told where it is looked for
        require_size((height, width), size)
    items: dict[str, Annotation] = {}
    problems, seen = [], set[int]()
    for index, entry in enumerate(objects):
        try:
            number, item = _object(entry, masks, info)
            if number in seen or item.id in items:
                raise FormatError(f"the id {number} or its annotation is there twice.")
        except SegwidgetError as error:
            problems.append(f"{file.name!r}: objects[{index}]: {error} It was left out.")
            continue
        seen.add(number)
        items[item.id] = item
    for number in masks.keys() - seen - {VOID}:
        problems.append(
            f"{file.name!r}: {masks[number].area:,} pixels have the number {number}, which "
            f"{NAMES!r} does not list. They were left out."
        )
    return Annotations(items.values(), info, labels), problems


def _object(entry: Any, masks: Mapping[int, Rle], info: ImageInfo) -> tuple[int, Annotation]:
    if not isinstance(entry, Mapping) or "label" not in entry:
        raise FormatError("expected an object with 'id' and 'label'.")
    number = entry.get("id")
    if type(number) is not int or number not in masks:
        raise FormatError(f"no pixel has the number {number!r}.")
    unknown = sorted(str(key) for key in entry.keys() - _FIELDS - {"annotation"})
    if unknown:
        raise FormatError(f"it has {', '.join(unknown)}, of a newer version perhaps.")
    extras = {key: value for key, value in entry.items() if key not in ("id", "annotation")}
    if "annotation" in entry:
        extras["id"] = entry["annotation"]
    else:
        extras = {"origin": "imported", "image": info.sha256, **extras}
    return number, Annotation.from_rle(masks[number], **extras)


def _names(folder: Path) -> tuple[LabelSet | None, Mapping[str, Any]]:
    file = folder / NAMES
    if not file.is_file():
        return None, {}
    data = read_json(file)
    labels = data.get("labels", []) if isinstance(data, Mapping) else None
    images = data.get("images") if isinstance(data, Mapping) else None
    if not isinstance(labels, list) or not isinstance(images, Mapping):
        raise FormatError(f"{NAMES!r} has no 'labels' and 'images' of palette PNGs.")
    try:
        return (LabelSet.of(labels) if labels else None), images
    except SegwidgetError as error:
        raise FormatError(f"{NAMES!r}: {error}") from error


FORMAT = Format(
    "indexed-png", "Indexed PNG", "folder", ".png", True, write_indexed_png, read_indexed_png
)
