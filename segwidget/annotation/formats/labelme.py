"""LabelMe's files, both ways: one JSON file an image.

Written are polygons that follow the edges of pixels. A hole is joined to its outer ring by a
keyhole; islands of one annotation share a `group_id`. Attributes that are true or false are flags.
Read are polygons, rectangles, circles and masks; shapes of one group and label are one annotation.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.coco import read_json
from segwidget.annotation.formats.folders import file_per_image
from segwidget.annotation.polygons import joined, polygons_of, rle_of
from segwidget.errors import FormatError, SegwidgetError
from segwidget.inference.rle import Rle

_CIRCLE_CORNERS = 360


def write_labelme(annotations: Annotations, path: str | PathLike[str]) -> Path:
    """Write a LabelMe file, whole or not at all; the image itself is not in it.

    Raises:
        StoreError: the place cannot be written; what was there before is untouched.
    """
    shapes = [
        {
            "label": one.label,
            "points": joined([polygon]).tolist(),
            "group_id": group,
            "description": "",
            "shape_type": "polygon",
            "flags": {key: value for key, value in one.attributes.items() if value in (True, False)
                      and isinstance(value, bool)},
            "mask": None,
        }
        for group, one in enumerate(annotations, 1)
        for polygon in polygons_of(one.rle)
    ]  # fmt: skip
    image = annotations.image
    data: dict[str, Any] = {
        "version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image.name,
        "imageData": None, "imageHeight": image.height, "imageWidth": image.width,
    }  # fmt: skip
    return write_atomically(path, json.dumps(data, allow_nan=False).encode("ascii"))


def read_labelme(path: str | PathLike[str]) -> tuple[Annotations, list[str]]:
    """Read a LabelMe file.

    Returns:
        The annotations, and one sentence for each shape that was left out or cut off, with its
        place.

    Raises:
        StoreError: the file cannot be read.
        FormatError: it is not LabelMe's.
    """
    name, data = Path(path).name, read_json(path)
    if not isinstance(data, Mapping) or not isinstance(data.get("shapes"), list):
        raise FormatError(f"{name!r} has no list of 'shapes'. Is this LabelMe's format?")
    try:
        image = ImageInfo(data["imagePath"], data["imageWidth"], data["imageHeight"])
    except (KeyError, SegwidgetError) as error:
        raise FormatError(f"{name!r} does not say its image's name and size: {error}.") from error
    problems: list[str] = []
    groups: dict[Any, tuple[str, list[Rle], dict[str, bool]]] = {}
    for index, shape in enumerate(data["shapes"]):
        where = f"{name}: shapes[{index}]"
        try:
            label, rle, flags, cut = _shape(shape, (image.height, image.width))
        except (SegwidgetError, ValueError, OSError, TypeError, KeyError, SyntaxError) as error:
            problems.append(f"{where} was left out: {error}")
            continue
        if cut:
            problems.append(f"{where} reaches outside of the image and was cut off.")
        group = shape.get("group_id")
        key = (group, label) if isinstance(group, int) else ("shape", index)
        groups.setdefault(key, (label, [], flags))[1].append(rle)
    items = []
    for label, rles, flags in groups.values():
        whole = rles[0]
        if len(rles) > 1:
            whole = Rle.encode(np.logical_or.reduce([rle.decode() for rle in rles]))
        try:
            items.append(
                Annotation.from_rle(whole, label=label, origin="imported", attributes=flags)
            )
        except SegwidgetError as error:
            problems.append(f"{name}: a shape of {label!r} was left out: {error}")
    return Annotations(items, image), problems


def _shape(shape: Any, size: tuple[int, int]) -> tuple[str, Rle, dict[str, bool], bool]:
    if not isinstance(shape, Mapping) or not isinstance(shape.get("label"), str):
        raise FormatError("It is no object with a 'label'.")
    kind, points = shape.get("shape_type", "polygon"), np.asarray(shape["points"], np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise FormatError("Its 'points' are no list of [x, y].")
    flags = {str(k): v for k, v in (shape.get("flags") or {}).items() if isinstance(v, bool)}
    if kind == "mask":
        rle, cut = _mask(shape.get("mask"), points, size)
    else:
        ring = _ring(kind, points)
        rle = rle_of([[ring]], size)
        cut = bool((ring < 0).any() or (ring > [size[1], size[0]]).any())
    if rle.area == 0:
        raise FormatError("It holds no pixel of the image.")
    return shape["label"], rle, flags, cut


def _ring(kind: Any, points: Any) -> Any:
    if kind == "polygon":
        return points
    if kind in ("rectangle", "circle") and len(points) == 2:
        (x0, y0), (x1, y1) = points
        if kind == "rectangle":
            return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        angles = np.linspace(0, 2 * math.pi, _CIRCLE_CORNERS, endpoint=False)
        circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return points[0] + math.hypot(x1 - x0, y1 - y0) * circle
    raise FormatError(f"It is a {kind!r} of {len(points)} points, which encloses nothing.")


def _mask(text: Any, points: Any, size: tuple[int, int]) -> tuple[Rle, bool]:
    """A PNG in base64, the points being its upper left and lower right pixel."""
    try:
        with Pillow.open(io.BytesIO(base64.b64decode(text, validate=True)), formats=["PNG"]) as png:
            if png.width * png.height > 4 * size[0] * size[1]:
                raise FormatError("Its mask is larger than the image.")
            mask = np.asarray(png.convert("L")) > 0
    except (binascii.Error, TypeError) as error:
        raise FormatError(f"Its mask is no PNG in base64: {error}.") from error
    x, y = (int(value) for value in np.rint(points[0]))
    inside = mask[max(0, -y) : max(0, size[0] - y), max(0, -x) : max(0, size[1] - x)]
    if not inside.any():
        raise FormatError("It holds no pixel of the image.")
    return Rle.encode_box(inside, (max(0, x), max(0, y)), size), inside.sum() < mask.sum()


FORMAT = file_per_image(
    "labelme", "LabelMe", exact=False, write_one=write_labelme, read_one=read_labelme
)
