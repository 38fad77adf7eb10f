"""LabelMe's files, both ways: one JSON file an image.

Written are polygons that follow the edges of pixels, or masks (a PNG in their box). A hole is
joined to its outer ring by a keyhole; islands of one annotation share a `group_id`. Attributes that
are true or false are flags. The others stand in the shape's `attributes`, and the labels' colors in
`label_colors`: LabelMe does not know these two, and keeps them when it saves the file.

Read are polygons, rectangles, circles and masks; shapes of one group and label are one annotation.
A rectangle is a box; see `segwidget.annotation.formats.shapes`.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as Pillow

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.colors import channels_of
from segwidget.annotation.formats.coco import read_json
from segwidget.annotation.formats.folders import file_per_image
from segwidget.annotation.formats.shapes import CUT, boxed, edges_of, filled
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.ontology import Values
from segwidget.annotation.polygons import joined, polygons_of
from segwidget.errors import FormatError, SegwidgetError
from segwidget.inference.rle import Rle

_CIRCLE_CORNERS = 360


def write_labelme(
    annotations: Annotations, path: str | PathLike[str], *, masks: bool = False
) -> Path:
    """Write a LabelMe file, whole or not at all; the image itself is not in it.

    Args:
        annotations: of the image.
        path: of the file.
        masks: as shapes of the type "mask", or else as polygons.

    Raises:
        StoreError: the place cannot be written; what was there before is untouched.
    """
    shapes = [
        {
            "label": one.label,
            **shape,
            "group_id": group,
            "description": "",
            "flags": {k: v for k, v in one.attributes.items() if isinstance(v, bool)},
            "attributes": {
                key: value
                for key, value in Values(one.attributes).to_dict().items()
                if not isinstance(value, bool)
            },
        }
        for group, one in enumerate(annotations, 1)
        for shape in _shapes(one, masks)
    ]
    image = annotations.image
    data: dict[str, Any] = {
        "version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": image.name,
        "imageData": None, "imageHeight": image.height, "imageWidth": image.width,
        "label_colors": {
            label.name: list(channels_of(label.color))
            for label in annotations.labels
        },
    }  # fmt: skip
    return write_atomically(path, json.dumps(data, allow_nan=False).encode("ascii"))


def _shapes(item: Annotation, masks: bool) -> list[dict[str, Any]]:
    if item.as_box is not None:
        x0, y0, x1, y1 = edges_of(item)
        return [{"points": [[x0, y0], [x1, y1]], "shape_type": "rectangle", "mask": None}]
    if not masks:
        return [
            {"points": joined([polygon]).tolist(), "shape_type": "polygon", "mask": None}
            for polygon in polygons_of(item.rle)
        ]
    mask, (x, y) = item.rle.decode_box()
    png = io.BytesIO()
    Pillow.fromarray(mask.astype(np.uint8) * 255).save(png, "PNG")
    corners = [[x, y], [x + mask.shape[1] - 1, y + mask.shape[0] - 1]]
    text = base64.b64encode(png.getvalue()).decode("ascii")
    return [{"points": corners, "shape_type": "mask", "mask": text}]


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
    groups: dict[Any, list[_Shape]] = {}
    for index, shape in enumerate(data["shapes"]):
        where = f"{name}: shapes[{index}]"
        try:
            found = _shape(shape, (image.height, image.width))
        except (SegwidgetError, ValueError, OSError, TypeError, KeyError, SyntaxError) as error:
            problems.append(f"{where} was left out: {error}")
            continue
        if found.cut:
            problems.append(f"{where} {CUT}")
        group = shape.get("group_id")
        key = (group, found.item.label) if isinstance(group, int) else ("shape", index)
        groups.setdefault(key, []).append(found)
    items = []
    for shapes in groups.values():
        whole = shapes[0].item
        if len(shapes) > 1:
            rle = Rle.encode(np.logical_or.reduce([one.item.mask for one in shapes]))
            whole = Annotation.from_rle(
                rle, label=whole.label, origin="imported", attributes=whole.attributes
            )
        items.append(whole)
    return Annotations(items, image, _labels(data.get("label_colors"), name, problems)), problems


class _Shape(NamedTuple):
    item: Annotation
    cut: bool


def _shape(shape: Any, size: tuple[int, int]) -> _Shape:
    if not isinstance(shape, Mapping) or not isinstance(shape.get("label"), str):
        raise FormatError("It is no object with a 'label'.")
    kind, points = shape.get("shape_type", "polygon"), np.asarray(shape["points"], np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise FormatError("Its 'points' are no list of [x, y].")
    fields: dict[str, Any] = {
        "label": shape["label"], "origin": "imported", "attributes": _values(shape),
    }  # fmt: skip
    if kind == "rectangle" and len(points) == 2:
        edges = [*points.min(axis=0), *points.max(axis=0)]
        return _Shape(*boxed(edges, size, **fields))
    if kind == "mask":
        rle, cut = _mask(shape.get("mask"), points, size)
    else:
        rle, cut = filled([[_ring(kind, points)]], size)
    return _Shape(Annotation.from_rle(rle, **fields), cut)


def _values(shape: Mapping[str, Any]) -> Values:
    flags, others = shape.get("flags"), shape.get("attributes")
    said = {
        str(key): value
        for given in (flags, others)
        if isinstance(given, Mapping)
        for key, value in given.items()
        if given is others or isinstance(value, bool)
    }
    return Values(said)


def _labels(colors: Any, name: str, problems: list[str]) -> LabelSet | None:
    """Labels of colors [r, g, b] by name."""
    if not isinstance(colors, Mapping) or not colors:
        return None
    try:
        return LabelSet.of({key: "rgb({}, {}, {})".format(*rgb) for key, rgb in colors.items()})
    except (SegwidgetError, TypeError, IndexError) as error:
        problems.append(f"{name}: label_colors was left out: {error}")
        return None


def _ring(kind: Any, points: Any) -> Any:
    if kind == "polygon":
        return points
    if kind == "circle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
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
MASKS = file_per_image(
    "labelme-masks", "LabelMe with masks", exact=True,
    write_one=partial(write_labelme, masks=True), read_one=read_labelme,
)  # fmt: skip
