"""COCO with run-length masks, both ways.

The file is plain COCO for pycocotools and others. What COCO has no place for stands beside it: the
image's hash in the image, the label's color in the category, the model's scores and the clicks
where SA-1B has them (`predicted_iou`, `stability_score`, `point_coords`), and all the rest of an
annotation under `segwidget`, so that reading such a file back loses nothing.

Files of others are read too: compressed and plain run lengths, and polygons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pycocotools.mask as coco

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.labels import Label, LabelSet
from segwidget.errors import FormatError, SegwidgetError, StoreError
from segwidget.inference.prompts import Point
from segwidget.inference.rle import Rle

MAX_BYTES = 512 * 2**20

# What an annotation holds that COCO or SA-1B has a place for; the rest goes under "segwidget".
_ELSEWHERE = frozenset({"label", "rle", "box", "area", "predicted_iou", "stability_score"})
_FIELDS = frozenset(field.name for field in fields(Annotation))


def to_coco(annotations: Annotations) -> dict[str, Any]:
    """The annotations of an image as a COCO data set: a dictionary that is ready for JSON."""
    image = annotations.image
    categories = {label.name: index for index, label in enumerate(annotations.labels, start=1)}
    return {
        "info": {"description": "Annotations made with segwidget", "version": "1"},
        "licenses": [],
        "images": [
            {
                "id": 1,
                "file_name": image.name,
                "width": image.width,
                "height": image.height,
                "sha256": image.sha256,
            }
        ],
        "categories": [
            {"id": categories[label.name], "name": label.name, "supercategory": label.parent,
             "color": label.color,
             **({"segwidget": label.to_dict()} if len(label.to_dict()) > 2 else {})}
            for label in annotations.labels
        ],
        "annotations": [
            to_row(annotation, index, categories[annotation.label])
            for index, annotation in enumerate(annotations, start=1)
        ],
    }  # fmt: skip


def write_coco(annotations: Annotations, path: str | PathLike[str]) -> Path:
    """Write a COCO file, whole or not at all.

    Raises:
        StoreError: the place cannot be written; what was there before is untouched.
    """
    text = json.dumps(to_coco(annotations), allow_nan=False, separators=(",", ":"))
    return write_atomically(path, text.encode("ascii"))


def read_coco(path: str | PathLike[str], *, image: str | None = None) -> Annotations:
    """Read the annotations of one image from a COCO file.

    Args:
        path: of the file.
        image: the image's `file_name`, where the file holds several.

    Raises:
        StoreError: the file cannot be read.
        FormatError: it is not COCO; the message names the place.
    """
    parsed = read_json(path)
    try:
        return from_coco(parsed, image=image)
    except FormatError as error:
        raise FormatError(f"{Path(path).name!r}: {error}") from error


def read_json(path: str | PathLike[str]) -> Any:
    """Parse a file of JSON, within reason.

    Raises:
        StoreError: the file cannot be read.
        FormatError: it is too large, or not JSON.
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise FormatError(
                f"{file.name!r} has {size:,} bytes; at most {MAX_BYTES:,} are read. Split the data "
                "set by image first."
            )
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{str(file)!r} cannot be read: {reason}. Check the path.") from error
    try:
        # RFC 8259 has no NaN, which Python would let pass.
        return json.loads(data.decode("utf-8-sig"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{file.name!r} is not JSON: {error}. Export it again.") from error


def from_coco(data: Mapping[str, Any], *, image: str | None = None) -> Annotations:
    """Read the annotations of one image from a COCO data set.

    Args:
        data: the parsed JSON.
        image: the image's `file_name`, where the data set holds several.

    Raises:
        FormatError: not COCO, or no such image; the message names the place.
    """
    given: Any = data
    if not isinstance(given, Mapping):
        raise wrong("the file", f"holds a {type(given).__name__}; expected an object with 'images'")
    rows = {key: rows_of(given, key) for key in ("images", "categories", "annotations")}
    if not rows["images"]:
        raise wrong("images", "is empty; expected at least one image")
    place, row = _choose(rows["images"], image)
    try:
        info = ImageInfo(
            need(row, "file_name", place),
            need(row, "width", place),
            need(row, "height", place),
            row.get("sha256", ""),
        )
    except SegwidgetError as error:
        raise FormatError(f"{place}: {error}") from error
    labels = labels_of(rows["categories"])

    images = {key_of(entry, "id", f"images[{i}]") for i, entry in enumerate(rows["images"])}
    if len(images) < len(rows["images"]):
        raise wrong("images", "has an id twice; expected each id once")
    items = []
    seen: set[Any] = set()
    for index, entry in enumerate(rows["annotations"]):
        where = f"annotations[{index}]"
        image_id = key_of(entry, "image_id", where)
        if image_id not in images:
            raise wrong(f"{where}.image_id", f"is {image_id!r}, and no image has this id")
        if image_id != row["id"]:
            continue
        number = entry.get("id", index)
        if not isinstance(number, int | str) or number in seen:
            raise wrong(f"{where}.id", f"is {number!r}; expected a number that no other row has")
        seen.add(number)
        items.append(from_row(entry, where, info, labels))
    try:
        return Annotations(items, info, LabelSet(tuple(labels.values())) if labels else None)
    except SegwidgetError as error:
        raise FormatError(str(error)) from error


def to_row(annotation: Annotation, index: int, category: int) -> dict[str, Any]:
    """One annotation as COCO has it, `index` counting from 1."""
    x0, y0, x1, y1 = annotation.box
    whole = annotation.to_dict()
    return {
        "id": index,
        "image_id": 1,
        "category_id": category,
        "segmentation": whole["rle"],
        "area": annotation.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
        "predicted_iou": annotation.predicted_iou,
        "stability_score": annotation.stability_score,
        "point_coords": [[p.x, p.y] for p in annotation.prompts if isinstance(p, Point)],
        "segwidget": {key: value for key, value in whole.items() if key not in _ELSEWHERE},
    }


def from_row(
    row: Mapping[str, Any], where: str, image: ImageInfo, labels: dict[Any, Label]
) -> Annotation:
    """One annotation of a row; `where` is the row's place in the file, for messages."""
    category = key_of(row, "category_id", where)
    if category not in labels:
        raise wrong(f"{where}.category_id", f"is {category!r}, and no category has this id")
    rle = _mask(need(row, "segmentation", where), f"{where}.segmentation", image)
    extras = row.get("segwidget")
    if extras is None:
        # SA-1B's files and those of others: what they say of clicks is kept, without its answers.
        prompts = _points(row.get("point_coords"), f"{where}.point_coords")
        extras = {"origin": "imported", "image": image.sha256, "prompts": prompts}
    elif not isinstance(extras, Mapping):
        raise wrong(f"{where}.segwidget", f"is a {type(extras).__name__}; expected an object")
    rest = {key: value for key, value in extras.items() if key not in _ELSEWHERE}
    unknown = sorted(str(key) for key in rest.keys() - _FIELDS)
    if unknown:
        raise wrong(f"{where}.segwidget", f"has {', '.join(unknown)}, of a newer version perhaps")
    scores = {key: row.get(key) for key in ("predicted_iou", "stability_score")}
    try:
        return Annotation.from_rle(rle, label=labels[category].name, **rest, **scores)
    except SegwidgetError as error:
        raise FormatError(f"{where}: {error}") from error


def _mask(segmentation: Any, where: str, image: ImageInfo) -> Rle:
    size = (image.height, image.width)
    try:
        if isinstance(segmentation, list):
            return _polygons(segmentation, where, size)
        rle = Rle.from_dict(segmentation)
    except FormatError:
        raise
    except SegwidgetError as error:
        raise FormatError(f"{where}: {error}") from error
    if rle.size != size:
        raise wrong(f"{where}.size", f"is {list(rle.size)}, but the image is {list(size)}, [h, w]")
    return rle


def _polygons(polygons: list[Any], where: str, size: tuple[int, int]) -> Rle:
    """The union of COCO's polygons [[x, y, x, y, ...], ...], by pycocotools' own rule."""
    height, width = size
    checked = []
    for index, polygon in enumerate(polygons):
        try:
            points = np.asarray(polygon, dtype=np.float64)
        except (TypeError, ValueError):
            points = np.zeros(0)
        if points.ndim != 1 or points.size < 6 or points.size % 2:
            raise wrong(
                f"{where}[{index}]", "is no polygon; expected [x, y, x, y, ...] of three points"
            )
        # pycocotools walks along every edge, so an edge that is far outside would take forever.
        limits = np.tile([width + 1.0, height + 1.0], points.size // 2)
        if not ((points >= -1) & (points <= limits)).all():
            raise wrong(
                f"{where}[{index}]", f"reaches outside the image of {width} × {height} pixels"
            )
        checked.append(points.tolist())
    if not checked:
        raise wrong(where, "is empty; expected run lengths or polygons")
    packed: Any = coco.merge(coco.frPyObjects(checked, height, width))
    return Rle(size, packed["counts"])


def labels_of(categories: list[Mapping[str, Any]]) -> dict[Any, Label]:
    """Labels by category id, in order."""
    ids = []
    named: list[Any] = []
    for index, category in enumerate(categories):
        where = f"categories[{index}]"
        ids.append(key_of(category, "id", where))
        named.append({"name": need(category, "name", where)})
        color = category.get("color")
        if isinstance(color, list) and len(color) == 3:  # as COCO's panoptic files have it
            color = "rgb({}, {}, {})".format(*color)
        if color is not None:
            named[-1]["color"] = color
        if isinstance(category.get("segwidget"), Mapping):
            named[-1] = {**category["segwidget"], **named[-1]}
    if not ids:
        return {}
    if len(set(ids)) < len(ids):
        raise wrong("categories", "has an id twice; expected each id once")
    try:
        return dict(zip(ids, LabelSet.of(named), strict=True))
    except SegwidgetError as error:
        raise FormatError(f"categories: {error}") from error


def _choose(images: list[Mapping[str, Any]], name: str | None) -> tuple[str, Mapping[str, Any]]:
    """The wanted image's place in the file, and its row."""
    wanted = [
        (f"images[{index}]", row)
        for index, row in enumerate(images)
        if name is None or row.get("file_name") == name
    ]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(repr(row.get("file_name")) for row in images[:5])
    names += ", …" if len(images) > 5 else ""
    if name is None:
        raise wrong(
            "images", f"has {len(images)} images; say which with image=..., such as {names}"
        )
    raise wrong("images", f"has {len(wanted)} images named {name!r}; expected one of {names}")


def _points(coords: Any, where: str) -> list[dict[str, Any]]:
    if coords is None:
        return []
    if not isinstance(coords, list) or not all(
        isinstance(pair, list) and len(pair) == 2 for pair in coords
    ):
        raise wrong(where, "is no list of points; expected [[x, y], ...]")
    return [{"type": "point", "x": x, "y": y} for x, y in coords]


def rows_of(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """One of the file's lists of objects."""
    rows = data.get(key)
    if not isinstance(rows, list):
        raise wrong(
            key, f"is {'missing' if rows is None else type(rows).__name__}; expected a list"
        )
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise wrong(f"{key}[{index}]", f"is a {type(row).__name__}; expected an object")
    return rows


def need(row: Mapping[str, Any], key: str, where: str) -> Any:
    """A value that has to be there."""
    if key not in row:
        raise wrong(where, f"lacks {key!r}")
    return row[key]


def key_of(row: Mapping[str, Any], key: str, where: str) -> int | str:
    """An id: COCO has whole numbers, others also text."""
    value = need(row, key, where)
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong(f"{where}.{key}", f"is {value!r}; expected a whole number")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def wrong(where: str, problem: str) -> FormatError:
    """What is wrong at a place in the file."""
    return FormatError(f"{where} {problem}. Is this COCO's format for instances?")
