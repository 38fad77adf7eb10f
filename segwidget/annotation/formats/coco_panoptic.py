"""COCO's panoptic format: `panoptic.json`, and in `panoptic/` a PNG for each image.

A pixel's color is the number of its segment, R + 256 G + 256² B, and black is nothing; the JSON has
the category of each number in `segments_info` (Kirillov et al., "Panoptic Segmentation", and COCO's
description of its data). What else an annotation holds stands under `segwidget` there, as in the
COCO of instances. Every category is a thing (`isthing` 1), since annotations are objects one by
one; a crowd (`iscrowd`) is an annotation whose attribute `iscrowd` is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.colors import channels_of
from segwidget.annotation.formats.coco import from_row, key_of, labels_of, need, read_json, rows_of
from segwidget.annotation.formats.coco_dataset import to_coco_dataset
from segwidget.annotation.formats.raster import (
    CROWD,
    Overlaps,
    masks_of,
    paint,
    place_below,
    png_of,
    read_png,
    tints,
    watched,
)
from segwidget.annotation.formats.registry import Format, Imported, file_for, make_folder
from segwidget.annotation.labels import Label, LabelSet
from segwidget.errors import FormatError, SegwidgetError, StoreError
from segwidget.inference.rle import Rle

NAME = "panoptic.json"


def write_coco_panoptic(records: Iterable[Annotations], path: Path, *, images: Any = None) -> Path:
    """Write a folder of the panoptic format: see the top of this module.

    Raises:
        StoreError: the place cannot be written.

    Warns:
        OverlapWarning: masks overlap; smaller ones are above larger ones.
    """
    del images
    folder = make_folder(path / "panoptic")
    overlaps, taken = Overlaps(), set[Path]()
    flat_records, files = [], []
    for record in watched(records, "Painting"):
        flat = overlaps.flatten(record)
        flat_records.append(Annotations(flat.items, record.image, record.labels))
        colors = tints(record.labels.color_of(item.label) for item in flat.items)
        target = file_for(folder, record.image.name, ".png", taken)
        pixels = paint(flat, np.array(colors, np.uint8).reshape(-1, 3), (0, 0, 0))
        write_atomically(target, png_of(pixels))
        codes = [red + 256 * green + 65536 * blue for red, green, blue in colors]
        files.append((target.relative_to(folder).as_posix(), codes))
    data = to_coco_dataset(flat_records)
    rows = iter(data["annotations"])
    data["annotations"] = [
        {
            "image_id": number,
            "file_name": name,
            "segments_info": [_segment(next(rows), code) for code in codes],
        }
        for number, (name, codes) in enumerate(files, start=1)
    ]
    for category in data["categories"]:
        category["color"] = list(channels_of(category["color"]))
        category["isthing"] = 1
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    write_atomically(path / NAME, text.encode("ascii"))
    overlaps.tell("COCO panoptic")
    return path


def _segment(row: dict[str, Any], code: int) -> dict[str, Any]:
    extras = row["segwidget"]
    kept = {key: value for key, value in row.items() if key not in ("segmentation", "image_id")}
    return {**kept, "id": code, "iscrowd": int(extras["attributes"].get(CROWD) is True)}


def read_coco_panoptic(path: Path, *, sizes: Any = None) -> Imported:
    """Read the panoptic format; what is wrong is told and left out.

    Args:
        path: the folder of one or several JSON files, or one of these.
        sizes: not needed.

    Raises:
        FormatError: no JSON file there is of this format.
        StoreError: it cannot be read.
    """
    del sizes
    files = [path] if path.is_file() else panoptic_files(path)
    if not files:
        raise FormatError(
            f"{path.name!r} holds no JSON file with 'segments_info'. Is this COCO's panoptic "
            "format?"
        )
    read, names = Imported(), set[str]()
    for file in files:
        _read_file(file, read, names)
    return read


def panoptic_files(folder: Path) -> list[Path]:
    """The JSON files of a folder, or of `annotations` in it, that speak of segments."""
    found = []
    for file in sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")]):
        # All images may be listed before it: some 30 MB for COCO's own.
        with file.open("rb") as stream:
            if file.name == NAME or b'"segments_info"' in stream.read(2**26):
                found.append(file)
    return found


def _read_file(file: Path, read: Imported, names: set[str]) -> None:
    data = read_json(file)
    if not isinstance(data, Mapping):
        raise FormatError(f"{file.name!r} holds a {type(data).__name__}; expected COCO's object.")
    try:
        rows = {key: rows_of(data, key) for key in ("images", "categories", "annotations")}
        labels = labels_of(rows["categories"])
    except FormatError as error:
        raise FormatError(f"{file.name!r}: {error}") from error
    folder = next(
        (one for one in (file.with_suffix(""), file.parent / "panoptic") if one.is_dir()),
        file.parent,
    )
    known = LabelSet(tuple(labels.values())) if labels else None
    infos: dict[Any, ImageInfo] = {}
    for index, row in enumerate(rows["images"]):
        where = f"images[{index}]"
        try:
            number = key_of(row, "id", where)
            name, width, height = (
                need(row, key, where) for key in ("file_name", "width", "height")
            )
            info = ImageInfo(name, width, height, row.get("sha256") or "")
            if number in infos or info.name in names:
                raise FormatError(f"the id {number!r} or its name is there twice.")
        except SegwidgetError as error:
            read.problems.append(_at(f"{file.name!r}: {where}", where, error))
            continue
        infos[number] = info
        names.add(info.name)
    found: dict[Any, list[Annotation]] = {}
    for index, row in enumerate(watched(rows["annotations"], "Reading")):
        where = f"annotations[{index}]"
        try:
            image = key_of(row, "image_id", where)
            if image not in infos:
                raise FormatError(f"image_id is {image!r}, and no image has this id.")
            if image in found:
                raise FormatError(f"another entry is about the image {infos[image].name!r}, too.")
            items, problems = _read_image(row, where, infos[image], labels, folder)
        except SegwidgetError as error:
            read.problems.append(_at(f"{file.name!r}: {where}", where, error))
            continue
        found[image] = items
        read.problems += [f"{file.name!r}: {problem}" for problem in problems]
    read.records += [Annotations(found.get(n, ()), info, known) for n, info in infos.items()]


def _read_image(
    row: Mapping[str, Any],
    where: str,
    info: ImageInfo,
    labels: dict[Any, Label],
    folder: Path,
) -> tuple[list[Annotation], list[str]]:
    segments = rows_of({"segments_info": need(row, "segments_info", where)}, "segments_info")
    file = place_below(folder, need(row, "file_name", where), "file_name")
    if not file.is_file():
        raise StoreError(f"there is no file {file.name!r} in {folder.name!r}.")
    size = (info.height, info.width)
    pixels = read_png(file, ["rgb"], "RGB of 8 bits a channel", size)
    codes = pixels.astype(np.int32) @ np.array([1, 256, 65536], np.int32)
    masks = masks_of(codes)
    items: dict[str, Annotation] = {}
    problems, seen = [], set[int]()
    for index, segment in enumerate(segments):
        place = f"{where}.segments_info[{index}]"
        try:
            code = key_of(segment, "id", place)
            if code in seen:
                raise FormatError(f"the id {code!r} is there twice.")
            if not isinstance(code, int) or code not in masks:
                raise FormatError(f"no pixel of {file.name!r} has the id {code!r}.")
            seen.add(code)
            item = _item(segment, place, info, labels, masks[code])
            if item.id in items:
                raise FormatError("another annotation of the image has its id.")
        except SegwidgetError as error:
            problems.append(_at(place, place, error))
            continue
        items[item.id] = item
    for code in masks.keys() - seen:
        problems.append(
            f"{where}: {masks[code].area:,} pixels of {file.name!r} have the id {code}, which is "
            "not in segments_info. They were left out."
        )
    return list(items.values()), problems


def _item(
    segment: Mapping[str, Any], where: str, info: ImageInfo, labels: dict[Any, Label], rle: Rle
) -> Annotation:
    item = from_row({**segment, "segmentation": rle.to_dict()}, where, info, labels)
    if segment.get("iscrowd") == 1 and CROWD not in item.attributes:
        item = Annotation.from_rle(
            rle, label=item.label, origin=item.origin, image=info.sha256, attributes={CROWD: True}
        )
    return item


def _at(place: str, where: str, error: SegwidgetError) -> str:
    text = str(error).removeprefix(where).lstrip(": ")
    return f"{place}: {text} It was left out."


FORMAT = Format(
    "coco-panoptic", "COCO panoptic", "folder", ".png", True,
    write_coco_panoptic, read_coco_panoptic,
)  # fmt: skip
