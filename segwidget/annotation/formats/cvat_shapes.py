"""One shape of CVAT's XML as an annotation: a mask, a polygon, an ellipse or a box.

Boxes are read as `segwidget.annotation.formats.shapes` says; those that are turned, as polygons.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.formats.shapes import boxed, filled
from segwidget.annotation.formats.xml_file import number, whole
from segwidget.annotation.ontology import Value, Values
from segwidget.errors import FormatError
from segwidget.inference.rle import Rle

_CORNERS = 360  # of an ellipse
_SHAPES = ("mask", "polygon", "box", "ellipse")
_OTHERS = ("polyline", "points", "cuboid", "skeleton", "tag")


class Shape(NamedTuple):
    """A shape that was read.

    Attributes:
        z_order: higher ones are in front.
        annotation: the shape.
        cut: whether it reached outside of the image, and was cut off.
    """

    z_order: int
    annotation: Annotation
    cut: bool


def read_shape(shape: Element, label: str, size: tuple[int, int], inputs: dict[str, str]) -> Shape:
    """Read a shape.

    Args:
        shape: its element.
        label: what it shows.
        size: (height, width) of the image.
        inputs: the kinds of the label's attributes, by name.

    Raises:
        SegwidgetError: it is none, or holds no pixel of the image.
    """
    if shape.tag not in _SHAPES:
        kind = "has no inside" if shape.tag in _OTHERS else "is no shape of CVAT's"
        raise FormatError(f"A {shape.tag[:30]} {kind}.")
    order = whole(shape.get("z_order", "0"), "z_order")
    fields: dict[str, Any] = {
        "label": label, "origin": "imported", "attributes": _values(shape, inputs),
    }  # fmt: skip
    turned = number(shape.get("rotation", "0"), "rotation")
    if shape.tag == "box" and not turned:
        edges = [number(shape.get(key), key) for key in ("xtl", "ytl", "xbr", "ybr")]
        item, cut = boxed(edges, size, **fields)
    else:
        rle, cut = (
            _mask(shape, size) if shape.tag == "mask" else filled([[_ring(shape, turned)]], size)
        )
        item = Annotation.from_rle(rle, **fields)
    return Shape(order, item, cut)


def in_z_order(shapes: Iterable[Shape]) -> list[Annotation]:
    """The shapes' annotations, the frontmost last; those of one height as they came."""
    return [one.annotation for one in sorted(shapes, key=lambda one: one.z_order)]


def _mask(shape: Element, size: tuple[int, int]) -> tuple[Rle, bool]:
    """Run lengths along the rows of a box; CVAT's lie within the image."""
    x, y, width, height = (whole(shape.get(key), key) for key in ("left", "top", "width", "height"))
    if width < 1 or height < 1 or x < 0 or y < 0 or x + width > size[1] or y + height > size[0]:
        raise FormatError(f"Its box of {width} × {height} at ({x}, {y}) is not within the image.")
    try:
        runs = np.array([int(run) for run in shape.get("rle", "").split(",")], np.int64)
    except (ValueError, OverflowError):
        raise FormatError("Its run lengths are no whole numbers.") from None
    if (runs < 0).any() or runs.max() > width * height or runs.sum() != width * height:
        raise FormatError(f"Its run lengths do not fill its box of {width} × {height} pixels.")
    inside = np.arange(runs.size) % 2 == 1
    rle = Rle.encode_box(np.repeat(inside, runs).reshape(height, width), (x, y), size)
    if rle.area == 0:
        raise FormatError("It is empty.")
    return rle, False


def _ring(shape: Element, turned: float) -> Any:
    """The corners (N, 2) of a polygon, an ellipse, or a box that is turned by some degrees."""
    if shape.tag == "polygon":
        pairs = [pair.split(",") for pair in shape.get("points", "").split(";") if pair]
        try:
            return np.array(pairs, np.float64).reshape(-1, 2)
        except ValueError:
            raise FormatError("Its points are no 'x,y;x,y;...'.") from None
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (number(shape.get(key), key) for key in ("cx", "cy", "rx", "ry"))
        angles = np.linspace(0, 2 * math.pi, _CORNERS, endpoint=False)
        ring = np.stack([rx * np.cos(angles), ry * np.sin(angles)], axis=1)
    else:
        x0, y0, x1, y1 = (number(shape.get(key), key) for key in ("xtl", "ytl", "xbr", "ybr"))
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        ring = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) - [cx, cy]
    sine, cosine = math.sin(math.radians(turned)), math.cos(math.radians(turned))
    return ring @ np.array([[cosine, sine], [-sine, cosine]]) + [cx, cy]


def _values(shape: Element, inputs: dict[str, str]) -> Values:
    said: dict[str, Value] = {}
    for one in shape.findall("attribute"):
        name, text = one.get("name", ""), one.text or ""
        kind = inputs.get(name, "text")
        if kind == "number" and text.strip():
            said[name] = number(text, f"attribute {name!r}")
        elif kind == "checkbox":
            said[name] = text.strip().lower() == "true"
        elif kind != "number":
            said[name] = text
    return Values(said)
