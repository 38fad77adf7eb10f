"""SA-1B's files, both ways: one JSON file for each image, masks without classes.

"Segment Anything", section 5, and the data set's own description. Beside what SA-1B has a place
for, all the rest of an annotation stands under `segwidget`, its label too, so that reading such a
file back loses nothing; only the colors of labels are not kept. Files of others are read too.

An annotation does not know which crop of the image it was found in; `crop_box` is the whole image.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import Any

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.coco import read_json
from segwidget.annotation.formats.folders import file_per_image
from segwidget.annotation.labels import DEFAULT_NAME
from segwidget.errors import FormatError, SegwidgetError
from segwidget.inference.prompts import Point
from segwidget.inference.rle import Rle

# What SA-1B has a place for; the rest of an annotation goes under "segwidget".
_ELSEWHERE = frozenset({"rle", "box", "area", "predicted_iou", "stability_score"})
_FIELDS = frozenset(field.name for field in fields(Annotation)) - _ELSEWHERE


def to_sa1b(annotations: Annotations) -> dict[str, Any]:
    """The annotations of an image as SA-1B has them: a dictionary that is ready for JSON."""
    image = annotations.image
    return {
        "image": {
            "image_id": 1,
            "file_name": image.name,
            "width": image.width,
            "height": image.height,
            "sha256": image.sha256,
        },
        "annotations": [
            _to_row(annotation, index, image) for index, annotation in enumerate(annotations, 1)
        ],
    }


def write_sa1b(annotations: Annotations, path: str | PathLike[str]) -> Path:
    """Write an SA-1B file, whole or not at all.

    Raises:
        StoreError: the place cannot be written; what was there before is untouched.
    """
    text = json.dumps(to_sa1b(annotations), allow_nan=False, separators=(",", ":"))
    return write_atomically(path, text.encode("ascii"))


def read_sa1b(path: str | PathLike[str], *, image: str | None = None) -> Annotations:
    """Read the annotations of an image from an SA-1B file.

    Args:
        path: of the file.
        image: the image's `file_name`, if it is to be checked.

    Raises:
        StoreError: the file cannot be read.
        FormatError: it is not SA-1B's, or of another image; the message names the place.
    """
    parsed = read_json(path)
    try:
        return from_sa1b(parsed, image=image)
    except FormatError as error:
        raise FormatError(f"{Path(path).name!r}: {error}") from error


def from_sa1b(data: Mapping[str, Any], *, image: str | None = None) -> Annotations:
    """Read the annotations of an image from SA-1B's form.

    Args:
        data: the parsed JSON.
        image: the image's `file_name`, if it is to be checked.

    Raises:
        FormatError: another form, or another image; the message names the place.
    """
    given: Any = data
    if not is_sa1b(given):
        raise _wrong("the file", "lacks 'image' or 'annotations'")
    try:
        info = ImageInfo(
            _need(given["image"], "file_name", "image"),
            _need(given["image"], "width", "image"),
            _need(given["image"], "height", "image"),
            given["image"].get("sha256", ""),
        )
    except FormatError:
        raise
    except SegwidgetError as error:
        raise FormatError(f"image: {error}") from error
    if image is not None and image != info.name:
        raise FormatError(
            f"The file is about the image {info.name!r}; expected {image!r}. Choose another file, "
            "or leave image=... out."
        )
    items = [
        _from_row(row, f"annotations[{index}]", info)
        for index, row in enumerate(given["annotations"])
    ]
    try:
        return Annotations(items, info)
    except SegwidgetError as error:
        raise FormatError(str(error)) from error


def is_sa1b(data: Any) -> bool:
    """Whether parsed JSON looks like SA-1B's: about one image, and not COCO's list of them."""
    return (
        isinstance(data, Mapping)
        and isinstance(data.get("image"), Mapping)
        and isinstance(data.get("annotations"), list)
        and "images" not in data
    )


def _to_row(annotation: Annotation, index: int, image: ImageInfo) -> dict[str, Any]:
    x0, y0, x1, y1 = annotation.box
    whole = annotation.to_dict()
    return {
        "id": index,
        "segmentation": whole["rle"],
        "area": annotation.area,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "predicted_iou": annotation.predicted_iou,
        "stability_score": annotation.stability_score,
        "crop_box": [0, 0, image.width, image.height],
        "point_coords": [[p.x, p.y] for p in annotation.prompts if isinstance(p, Point)],
        "segwidget": {key: value for key, value in whole.items() if key in _FIELDS},
    }


def _from_row(row: Any, where: str, image: ImageInfo) -> Annotation:
    if not isinstance(row, Mapping):
        raise _wrong(where, f"is a {type(row).__name__}; expected an object")
    extras = row.get("segwidget")
    if extras is None:
        extras = {
            "label": DEFAULT_NAME,
            "origin": "imported",
            "image": image.sha256,
            "prompts": _points(row.get("point_coords"), f"{where}.point_coords"),
        }
    elif not isinstance(extras, Mapping) or "label" not in extras:
        raise _wrong(f"{where}.segwidget", "is no object with a 'label'")
    unknown = sorted(str(key) for key in extras.keys() - _FIELDS)
    if unknown:
        raise _wrong(f"{where}.segwidget", f"has {', '.join(unknown)}, of a newer version perhaps")
    scores: dict[str, Any] = {key: row.get(key) for key in ("predicted_iou", "stability_score")}
    try:
        rle = Rle.from_dict(_need(row, "segmentation", where))
        return Annotation.from_rle(rle, **extras, **scores)
    except FormatError:
        raise
    except SegwidgetError as error:
        raise FormatError(f"{where}: {error}") from error


def _points(coords: Any, where: str) -> list[dict[str, Any]]:
    pairs = [] if coords is None else coords
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise _wrong(where, "is no list of points; expected [[x, y], ...]")
    return [{"type": "point", "x": x, "y": y} for x, y in pairs]


def _need(row: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in row:
        raise _wrong(where, f"lacks {key!r}")
    return row[key]


def _wrong(where: str, problem: str) -> FormatError:
    return FormatError(f"{where} {problem}. Is this SA-1B's format?")


def _read_leniently(path: Path) -> tuple[Annotations, list[str]]:
    """A file without its wrong rows, and a sentence for each of these."""
    data = read_json(path)
    if not is_sa1b(data):
        raise FormatError(f"{path.name!r} lacks 'image' or 'annotations'. Is this SA-1B's format?")
    try:
        record = from_sa1b({**data, "annotations": []})
    except FormatError as error:
        raise FormatError(f"{path.name!r}: {error}") from error
    items: dict[str, Annotation] = {}
    problems = []
    for index, row in enumerate(data["annotations"]):
        try:
            item = _from_row(row, f"annotations[{index}]", record.image)
            Annotations([item], record.image)
            if item.id in items:
                raise FormatError(f"annotations[{index}] has an id that is there already.")
        except SegwidgetError as error:
            problems.append(f"{path.name!r}: {error} It was left out.")
            continue
        items[item.id] = item
    return Annotations(items.values(), record.image), problems


FORMAT = file_per_image("sa1b", "SA-1B", exact=True, write_one=write_sa1b, read_one=_read_leniently)
