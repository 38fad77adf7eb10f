"""CVAT's XML 1.1 for images, both ways: one file for all images.

Written are masks as run lengths, along the rows of their box, the frontmost with the highest
z-order, and the labels with colors and attributes. Read are masks, polygons, ellipses and boxes;
boxes as `segwidget.annotation.formats.shapes` says. Tracks of videos, lines and points are told and
left out. What CVAT has no kind for is written as text: a tag with choices as its choices with
commas, and an attribute that the label does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.raster import watched
from segwidget.annotation.formats.registry import Format, Imported
from segwidget.annotation.formats.shapes import CUT, boxed, edges_of, filled, image_of
from segwidget.annotation.formats.xml_file import (
    add,
    number,
    read_xml,
    text_from,
    whole,
    write_xml,
)
from segwidget.annotation.labels import Label, LabelSet
from segwidget.annotation.ontology import Attribute, Kind, Value, Values
from segwidget.errors import FormatError, SegwidgetError
from segwidget.inference.rle import Rle, runs_of_box

_SOURCES = {"assisted": "semi-auto", "imported": "file"}  # the others are "auto"
_INPUTS: dict[Kind, str] = {"text": "text", "number": "number", "choice": "select"}
_CORNERS = 360
_SHAPES = ("mask", "polygon", "box", "ellipse")
_OTHERS = ("polyline", "points", "cuboid", "skeleton", "tag")


def write_cvat(records: Iterable[Annotations], path: Path, *, images: Any = None) -> Path:
    """Write CVAT's file: see the top of this module.

    Raises:
        StoreError: the place cannot be written.
    """
    del images
    root = Element("annotations")
    add(root, "version", "1.1")
    task = SubElement(SubElement(root, "meta"), "task")
    labels: LabelSet | None = None
    used: dict[str, dict[str, Value]] = {}
    count = 0
    for count, record in enumerate(watched(records, "CVAT"), start=1):
        labels = record.labels if labels is None else labels.joined(record.labels)
        image = record.image
        element = SubElement(
            root, "image", id=str(count - 1), name=image.name, width=str(image.width),
            height=str(image.height),
        )  # fmt: skip
        for order, item in enumerate(record):
            shape = _shape(item, order)
            element.append(shape)
            for name, value in item.attributes.items():
                used.setdefault(item.label, {}).setdefault(name, value)
                one = SubElement(shape, "attribute", name=name)
                one.text = text_from(value)
    add(task, "size", count)
    add(task, "mode", "annotation")
    described = SubElement(task, "labels")
    for label in labels or ():
        _describe(described, label, labels, used.get(label.name, {}))
    return write_xml(root, path)


def _shape(item: Annotation, order: int) -> Element:
    common = {"label": item.label, "source": _SOURCES.get(item.origin, "auto"), "occluded": "0"}
    if item.as_box is not None:
        edges = (f"{edge:.10g}" for edge in edges_of(item))
        places = dict(zip(("xtl", "ytl", "xbr", "ybr"), edges, strict=True))
        return Element("box", {**common, **places, "z_order": str(order)})
    mask, (x, y) = item.rle.decode_box()
    height, width = mask.shape
    # Runs go down columns; CVAT's go along rows.
    runs = runs_of_box(mask.T, 0, 0, (width, height))
    places = {"left": str(x), "top": str(y), "width": str(width), "height": str(height)}
    rle = ", ".join(map(str, runs.tolist()))
    return Element("mask", {**common, "rle": rle, **places, "z_order": str(order)})


def _describe(
    parent: Element, label: Label, labels: LabelSet | None, used: dict[str, Value]
) -> None:
    element = SubElement(parent, "label")
    add(element, "name", label.name)
    add(element, "color", label.color)
    add(element, "type", "any")
    attributes = SubElement(element, "attributes")
    known = {one.name: one for one in labels.attributes_of(label.name)} if labels else {}
    for name in {**known, **used}:
        kind, values = "text", ""
        if name in known:
            one = known[name]
            kind = _INPUTS.get(one.kind, "text" if one.choices else "checkbox")
            values = "\n".join(one.choices) if one.kind == "choice" else values
        elif isinstance(used[name], bool):
            kind = "checkbox"
        elif isinstance(used[name], float):
            kind = "number"
        described = SubElement(attributes, "attribute")
        add(described, "name", name)
        add(described, "mutable", "False")
        add(described, "input_type", kind)
        add(described, "default_value", "false" if kind == "checkbox" else "")
        add(described, "values", values)


def read_cvat(path: Path, *, sizes: Any = None) -> Imported:
    """Read CVAT's file, or `annotations.xml` in a folder; what is wrong is told and left out.

    Raises:
        FormatError: it is not CVAT's as a whole.
        StoreError: it cannot be read.
    """
    del sizes
    file = path / "annotations.xml" if path.is_dir() else path
    root = read_xml(file)
    if root.tag != "annotations":
        raise FormatError(
            f"{file.name!r} has the root <{root.tag[:50]}>; expected <annotations>. Export it from "
            "CVAT as 'CVAT for images 1.1'."
        )
    read = Imported()
    inputs: dict[str, dict[str, str]] = {}
    labels = _labels(root, inputs, read.problems)
    tracks = len(root.findall("track"))
    if tracks:
        read.problems.append(
            f"{file.name!r}: {tracks} tracks of a video were left out; expected images."
        )
    names: set[str] = set()
    ids: set[str] = set()
    for index, element in enumerate(watched(root.findall("image"), "CVAT")):
        where = f"image[{index}]"
        try:
            image = image_of(
                element.get("name", ""), whole(element.get("width"), "width"),
                whole(element.get("height"), "height"),
            )  # fmt: skip
            if image.name in names or element.get("id", image.name) in ids:
                raise FormatError(f"Its name {image.name!r} or its id is there twice.")
        except SegwidgetError as error:
            read.problems.append(f"{where} was left out: {error}")
            continue
        names.add(image.name)
        ids.add(element.get("id", image.name))
        items = _items(element, image, inputs, read.problems)
        read.records.append(Annotations(items, image, labels))
    return read


def _items(
    element: Element, image: ImageInfo, inputs: dict[str, dict[str, str]], problems: list[str]
) -> list[Annotation]:
    """The shapes of an image, the lowest z-order first."""
    found: list[tuple[int, Annotation]] = []
    size = (image.height, image.width)
    for index, shape in enumerate(element):
        where = f"{image.name!r}: {shape.tag[:30]}[{index}]"
        try:
            if shape.tag not in _SHAPES:
                kind = "has no inside" if shape.tag in _OTHERS else "is no shape of CVAT's"
                raise FormatError(f"A {shape.tag[:30]} {kind}.")
            order = whole(shape.get("z_order", "0"), "z_order")
            label = shape.get("label", "")
            fields: dict[str, Any] = {
                "label": label, "origin": "imported",
                "attributes": _values(shape, inputs.get(label, {})),
            }  # fmt: skip
            turned = number(shape.get("rotation", "0"), "rotation")
            if shape.tag == "box" and not turned:
                edges = [number(shape.get(key), key) for key in ("xtl", "ytl", "xbr", "ybr")]
                item, cut = boxed(edges, size, **fields)
            else:
                rle, cut = (
                    _mask(shape, size) if shape.tag == "mask"
                    else filled([[_ring(shape, turned)]], size)
                )  # fmt: skip
                item = Annotation.from_rle(rle, **fields)
        except SegwidgetError as error:
            problems.append(f"{where} was left out: {error}")
            continue
        if cut:
            problems.append(f"{where} {CUT}")
        found.append((order, item))
    return [item for _, item in sorted(found, key=lambda one: one[0])]


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


def _labels(
    root: Element, inputs: dict[str, dict[str, str]], problems: list[str]
) -> LabelSet | None:
    """The labels of the task, job or project; `inputs` gets the kinds of their attributes."""
    made: list[dict[str, Any]] = []
    for index, element in enumerate(root.findall("meta/*/labels/label")):
        name = (element.findtext("name") or "").strip()
        attributes = []
        try:
            for one in element.findall("attributes/attribute"):
                called, kind = one.findtext("name") or "", one.findtext("input_type") or "text"
                inputs.setdefault(name, {})[called] = kind
                attributes.append(_attribute(called, kind, one.findtext("values") or ""))
            row = {"name": name, "attributes": attributes, "color": element.findtext("color")}
            row["color"] = row["color"] or None
            LabelSet.of([*made, row])
        except SegwidgetError as error:
            problems.append(f"labels[{index}] was left out: {error}")
            continue
        made.append(row)
    return LabelSet.of(made) if made else None


def _attribute(name: str, kind: str, values: str) -> Attribute:
    choices = tuple(dict.fromkeys(line.strip() for line in values.splitlines() if line.strip()))
    if kind in ("select", "radio") and choices:
        return Attribute(name, "choice", choices)
    if kind == "checkbox":
        return Attribute(name, "tag")
    return Attribute(name, "number" if kind == "number" else "text")


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


FORMAT = Format("cvat", "CVAT for images", "file", ".cvat.xml", True, write_cvat, read_cvat)
