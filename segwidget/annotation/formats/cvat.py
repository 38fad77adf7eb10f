"""CVAT's XML 1.1 for images, both ways: one file for all images.

Written are masks as run lengths, along the rows of their box, the frontmost with the highest
z-order, and the labels with colors and attributes. Read are masks, polygons, ellipses and boxes, of
images and of tracks (`cvat_shapes`, `cvat_tracks`). Lines and points are told and left out. What
CVAT has no kind for is written as text: a tag with choices as its choices with commas, and an
attribute that the label does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.cvat_shapes import Shape, in_z_order, read_shape
from segwidget.annotation.formats.cvat_tracks import read_tracks
from segwidget.annotation.formats.raster import watched
from segwidget.annotation.formats.registry import Format, Imported
from segwidget.annotation.formats.shapes import CUT, edges_of, image_of
from segwidget.annotation.formats.xml_file import (
    add,
    read_xml,
    text_from,
    whole,
    write_xml,
)
from segwidget.annotation.labels import Label, LabelSet
from segwidget.annotation.ontology import Attribute, Kind, Value
from segwidget.errors import FormatError, SegwidgetError
from segwidget.inference.rle import runs_of_box

_SOURCES = {"assisted": "semi-auto", "imported": "file"}  # the others are "auto"
_INPUTS: dict[Kind, str] = {"text": "text", "number": "number", "choice": "select"}


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

    Args:
        path: of the file or folder.
        sizes: gives images' sizes; tracks also ask its `names` and its `find`.

    Raises:
        FormatError: it is not CVAT's as a whole.
        StoreError: it cannot be read.
    """
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
    read_tracks(root, file.name, labels, inputs, sizes, read)
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
    found: list[Shape] = []
    for index, shape in enumerate(element):
        where = f"{image.name!r}: {shape.tag[:30]}[{index}]"
        try:
            label = shape.get("label", "")
            one = read_shape(shape, label, (image.height, image.width), inputs.get(label, {}))
        except SegwidgetError as error:
            problems.append(f"{where} was left out: {error}")
            continue
        if one.cut:
            problems.append(f"{where} {CUT}")
        found.append(one)
    return in_z_order(found)


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


FORMAT = Format("cvat", "CVAT for images", "file", ".cvat.xml", True, write_cvat, read_cvat)
