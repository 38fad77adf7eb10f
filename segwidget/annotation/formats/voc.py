"""Pascal VOC's folders, both ways (Everingham et al., IJCV 2010, and the development kit).

`Annotations/NAME.xml` has the objects of an image, with boxes whose pixels count from 1 and belong
to the box at both ends. `SegmentationObject/NAME.png` has the number of the object at each pixel,
in the order of the file, `SegmentationClass/NAME.png` that of its class; 0 is the background, 255
is void. `ImageSets` lists the names, and `labelmap.txt`, as CVAT adds it, the classes and colors.

A pixel has one object. Where masks overlap, see `segwidget.annotation.formats.raster`; a mask of
which nothing is left, or for which no number is left, is written as its box. An object without
pixels of its own is read as its box; see `segwidget.annotation.formats.shapes`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.colors import channels_of
from segwidget.annotation.formats.folders import read_each
from segwidget.annotation.formats.raster import (
    Flattened,
    Overlaps,
    OverlapWarning,
    masks_of,
    paint,
    png_of,
    read_png,
    watched,
)
from segwidget.annotation.formats.registry import Format, Imported, file_for, make_folder
from segwidget.annotation.formats.shapes import CUT, boxed, edges_of, image_of
from segwidget.annotation.formats.xml_file import (
    add,
    number,
    read_xml,
    text_from,
    text_of,
    whole,
    write_xml,
)
from segwidget.annotation.labels import Label, LabelSet
from segwidget.annotation.ontology import Values
from segwidget.errors import FormatError, SegwidgetError
from segwidget.inference.rle import Rle

_VOID = 255
_MAX = 254  # numbers between the background and void
_PNG = ("palette", "gray8")
_OBJECTS, _CLASSES = "SegmentationObject", "SegmentationClass"


def write_voc(records: Iterable[Annotations], path: Path, *, images: Any = None) -> Path:
    """Write a VOC folder: see the top of this module.

    Raises:
        FormatError: more than 254 labels.
        StoreError: the place cannot be written.
    """
    del images
    folder = make_folder(path / "Annotations")
    taken: set[Path] = set()
    colors: dict[str, str] = {}
    overlaps = Overlaps()
    stems: list[str] = []
    crowded = unnumbered = 0
    for record in watched(records, "VOC"):
        for label in record.labels:
            colors.setdefault(label.name, label.color)
        if len(colors) > _MAX:
            raise FormatError(
                f"There are more than {_MAX} labels, for which VOC has no numbers. Use fewer, or "
                "another format such as coco."
            )
        target = file_for(folder, record.image.name, ".xml", taken)
        stem = target.relative_to(folder).with_suffix("").as_posix()
        stems.append(stem)
        masks = [item for item in record if item.as_box is None]
        flat = overlaps.flatten(Annotations(masks, record.image, record.labels))
        if len(flat.items) > _MAX:
            crowded += 1
            unnumbered += len(flat.items) - _MAX
        if flat.items:
            _write_pngs(path, stem, flat, list(colors))
        seen = {item.id: item for item in flat.items[:_MAX]}
        rest = [item for item in record if item.id not in seen]
        write_xml(_root(record.image, [*seen.values(), *rest], bool(flat.items)), target)
    for name in ("Main", "Segmentation"):
        lists = make_folder(path / "ImageSets" / name)
        write_atomically(lists / "trainval.txt", "".join(f"{s}\n" for s in stems).encode())
    rows = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    rows += [f"{name}:{','.join(map(str, channels_of(color)))}::" for name, color in colors.items()]
    write_atomically(path / "labelmap.txt", "\n".join([*rows, ""]).encode())
    overlaps.tell("Pascal VOC")
    if crowded:
        warnings.warn(
            f"Pascal VOC numbers {_MAX} objects an image, so {unnumbered} masks of {crowded} "
            "images were written as boxes. The formats coco and sa1b have no such limit.",
            OverlapWarning,
            stacklevel=3,
        )
    return path


def _write_pngs(path: Path, stem: str, flat: Flattened, names: list[str]) -> None:
    places = {name: number for number, name in enumerate(names, 1)}
    numbers = np.minimum(np.arange(1, len(flat.items) + 1), _VOID).astype(np.uint8)
    classes = np.array([places[item.label] for item in flat.items], np.uint8)
    classes[numbers == _VOID] = _VOID
    for folder, values in ((_OBJECTS, numbers), (_CLASSES, classes)):
        target = path.joinpath(folder, *PurePosixPath(f"{stem}.png").parts)
        make_folder(target.parent)
        write_atomically(target, png_of(paint(flat, values), _colormap()))


def _root(image: ImageInfo, items: list[Annotation], segmented: bool) -> Element:
    root = Element("annotation")
    add(root, "folder")
    add(root, "filename", image.name)
    size = SubElement(root, "size")
    for tag, value in (("width", image.width), ("height", image.height), ("depth", 3)):
        add(size, tag, value)
    add(root, "segmented", int(segmented))
    for item in items:
        one = SubElement(root, "object")
        x0, y0, x1, y1 = edges_of(item)
        add(one, "name", item.label)
        add(one, "pose", "Unspecified")
        add(one, "truncated", 0)
        add(one, "difficult", 0)
        box = SubElement(one, "bndbox")
        for tag, edge in (("xmin", x0 + 1), ("ymin", y0 + 1), ("xmax", x1), ("ymax", y1)):
            add(box, tag, f"{edge:.10g}")
        if item.attributes:
            attributes = SubElement(one, "attributes")
            for name, said in item.attributes.items():
                attribute = SubElement(attributes, "attribute")
                add(attribute, "name", name)
                add(attribute, "value", text_from(said))
    return root


def read_voc(path: Path, *, sizes: Any = None) -> Imported:
    """Read a VOC folder; what is wrong is told and left out.

    Raises:
        FormatError: there is no folder `Annotations`.
    """
    del sizes
    folder = path / "Annotations"
    if not folder.is_dir():
        raise FormatError(f"{path.name!r} has no folder 'Annotations'. Is this Pascal VOC's?")
    read = Imported()
    known = _labels(path / "labelmap.txt", read.problems)
    files = watched(sorted(folder.rglob("*.xml")), "VOC")
    read_each(read, files, lambda file: _read_one(file, path, file.relative_to(folder), known))
    return read


def _read_one(
    file: Path, path: Path, place: Path, known: LabelSet | None
) -> tuple[Annotations, list[str]]:
    root = read_xml(file)
    if root.tag != "annotation":
        raise FormatError(f"its root is <{root.tag[:50]}>; expected <annotation>.")
    image = image_of(
        text_of(root, "filename", "it"),
        whole(root.findtext("size/width"), "width"),
        whole(root.findtext("size/height"), "height"),
    )
    size = (image.height, image.width)
    problems: list[str] = []
    png = (path / _OBJECTS / place).with_suffix(".png")
    masks: dict[int, Rle] = {}
    if png.is_file():
        try:
            masks = masks_of(read_png(png, _PNG, "the numbers of objects", size), (0, _VOID))
        except SegwidgetError as error:
            problems.append(f"{error} The objects were read as boxes.")
    elif root.findtext("segmented") == "1":
        problems.append(f"{file.name!r}: there is no {png.name!r}, so its objects are boxes.")
    items: list[Annotation] = []
    for index, element in enumerate(root.findall("object"), start=1):
        where = f"{file.name!r}: object {index}"
        mask = masks.pop(index, None)
        try:
            label = text_of(element, "name", "It")
            fields = {"origin": "imported", "attributes": _values(element)}
            if mask is not None:
                items.append(Annotation.from_rle(mask, label=label, **fields))
                continue
            item, cut = boxed(_box(element), size, label=label, **fields)
        except SegwidgetError as error:
            problems.append(f"{where} was left out: {error}")
            continue
        items.append(item)
        if cut:
            problems.append(f"{where} {CUT}")
    problems += [
        f"{png.name!r}: the mask {value} was left out: {file.name!r} has no such object."
        for value in masks
    ]
    return Annotations(items, image, known), problems


def _box(element: Element) -> list[float]:
    found = [number(element.findtext(f"bndbox/{tag}"), tag) for tag in
             ("xmin", "ymin", "xmax", "ymax")]  # fmt: skip
    return [found[0] - 1, found[1] - 1, found[2], found[3]]


def _values(element: Element) -> Values:
    said = {}
    for one in element.findall("attributes/attribute"):
        text = one.findtext("value") or ""
        said[one.findtext("name") or ""] = text == "true" if text in ("true", "false") else text
    return Values(said)


def _labels(file: Path, problems: list[str]) -> LabelSet | None:
    """The labels of CVAT's list, where there is one."""
    if not file.is_file():
        return None
    found: dict[str, Label] = {}
    try:
        lines = file.read_text("utf-8")[: 2**20].splitlines()
    except (OSError, ValueError) as error:
        problems.append(f"{file.name!r} cannot be read: {error}. Labels have colors of their own.")
        return None
    for at, line in enumerate(lines, start=1):
        if line.startswith("#") or not line.strip():
            continue
        # A name may hold colons.
        name, color, *_ = [*line.rsplit(":", 3), ""] if line.count(":") >= 3 else (line, "")
        if name == "background":
            continue
        try:
            label = Label(name, f"rgb({color})")
        except SegwidgetError as error:
            problems.append(f"{file.name!r}, line {at}: {error} It was left out.")
            continue
        found.setdefault(label.name, label)
    return LabelSet(tuple(found.values())) if found else None


def _colormap() -> NDArray[np.uint8]:
    """VOC's own palette (256, 3): the bits of a number, from its lowest, spread over R, G and B."""
    values = np.arange(256)
    colors = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= ((values >> channel & 1) << (7 - bit)).astype(np.uint8)
        values >>= 3
    return colors


FORMAT = Format("voc", "Pascal VOC", "folder", ".xml", True, write_voc, read_voc)
