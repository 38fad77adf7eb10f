"""Files in the manner of Cityscapes: for each image NAME_gtFine_instanceIds.png and labelIds.png.

A pixel of `instanceIds` (16 bits) is class × 1000 + n for the object n of a class, and the class
alone for a group or for what is not counted; `labelIds` (8 bits) has the classes. Classes that
Cityscapes has keep its numbers, and others get free ones. `labels.json` tells their names:

    {"labels": [{"id": 26, "name": "car", "color": "#…"}, …],
     "images": {"night/a_gtFine_instanceIds.png": {"name": "night/a.png", "sha256": "…"}, …}}

Without that file the classes are Cityscapes' own. Neither scores nor prompts have a place here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.coco import read_json
from segwidget.annotation.formats.folders import read_each
from segwidget.annotation.formats.raster import (
    CROWD,
    Overlaps,
    masks_of,
    paint,
    png_of,
    read_png,
    require_size,
    watched,
)
from segwidget.annotation.formats.registry import (
    Format,
    Imported,
    Sizes,
    file_for,
    make_folder,
)
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError, SegwidgetError

INSTANCES, CLASSES = "_gtFine_instanceIds.png", "_gtFine_labelIds.png"
PICTURE = "_leftImg8bit"
_MOST_CLASSES, _MOST_OBJECTS = 65, 1000  # 65 * 1000 + 535 are all that 16 bits hold
#: Cityscapes' classes from number 4 on; 0 to 3 are the camera's own frame and no objects.
_NAMES = (
    "static", "dynamic", "ground", "road", "sidewalk", "parking", "rail track", "building", "wall",
    "fence", "guard rail", "bridge", "tunnel", "pole", "polegroup", "traffic light",
    "traffic sign", "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus",
    "caravan", "trailer", "train", "motorcycle", "bicycle",
)  # fmt: skip
NUMBERS = {name: number for number, name in enumerate(_NAMES, start=4)}
_FIRST_COUNTED = 24  # of Cityscapes' own: persons and vehicles


def write_cityscapes(records: Iterable[Annotations], path: Path, *, images: Any = None) -> Path:
    """Write a folder in the manner of Cityscapes: see the top of this module.

    Raises:
        FormatError: more than 65 labels, or than 1,000 objects of a label in an image.
        StoreError: the place cannot be written.

    Warns:
        OverlapWarning: masks overlap; smaller ones are above larger ones.
    """
    del images
    make_folder(path)
    overlaps, taken = Overlaps(), set[Path]()
    numbers: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    places = {}
    for record in watched(records, "Painting"):
        for label in record.labels:
            if label.name not in numbers:
                numbers[label.name] = _number(label.name, set(numbers.values()))
                rows.append({"id": numbers[label.name], **label.to_dict()})
        flat = overlaps.flatten(record)
        ids = np.array(_ids(flat.items, numbers, record.image.name), np.uint16)
        classes = np.array([numbers[item.label] for item in flat.items], np.uint8)
        name = record.image.name.replace(f"{PICTURE}.", ".")
        target = file_for(path, name, INSTANCES, taken)
        write_atomically(target, png_of(paint(flat, ids)))
        twin = target.with_name(target.name.replace("instanceIds", "labelIds"))
        write_atomically(twin, png_of(paint(flat, classes)))
        places[target.relative_to(path).as_posix()] = {
            "name": record.image.name, "sha256": record.image.sha256
        }  # fmt: skip
    text = json.dumps({"labels": rows, "images": places}, indent=1)
    write_atomically(path / "labels.json", text.encode("ascii"))
    overlaps.tell("Cityscapes")
    return path


def _number(name: str, used: set[int]) -> int:
    if name in NUMBERS:
        return NUMBERS[name]
    free = (n for n in range(1, _MOST_CLASSES + 1) if n not in used and n not in _RESERVED)
    # Where these are used up, the numbers of Cityscapes' own classes are better than none.
    more = (n for n in range(1, _MOST_CLASSES + 1) if n not in used)
    found = next(free, None) or next(more, None)
    if found is None:
        raise FormatError(
            f"Cityscapes' files number at most {_MOST_CLASSES} labels. Export as coco-panoptic."
        )
    return found


_RESERVED = frozenset({1, 2, 3, *NUMBERS.values()})


def _ids(items: list[Annotation], numbers: Mapping[str, int], image: str) -> list[int]:
    """The value of each object; of a label's crowds, the first has the class alone."""
    counts: dict[str, int] = {}
    crowds: set[str] = set()
    ids = []
    for item in items:
        number = numbers[item.label]
        if item.attributes.get(CROWD) is True and item.label not in crowds:
            crowds.add(item.label)
            ids.append(number)
            continue
        count = counts.get(item.label, 0)
        counts[item.label] = count + 1
        value = number * 1000 + count
        if count >= _MOST_OBJECTS or value >= 2**16:
            raise FormatError(
                f"{image!r} has more than {count:,} masks of {item.label!r}, which Cityscapes' "
                "files cannot number. Export as coco-panoptic."
            )
        ids.append(value)
    return ids


@dataclass
class _Classes:
    """What `labels.json` says.

    Attributes:
        names: by class number.
        void: classes that are no objects.
        images: name and hash by the PNG's place.
        labels: with colors and all, where there is such a file.
        counted: the lowest class of which a region without a number is a group.
    """

    names: dict[int, str]
    void: frozenset[int] = frozenset({0})
    images: Mapping[str, Any] = field(default_factory=dict)
    labels: LabelSet | None = None
    counted: int = 1000


def read_cityscapes(path: Path, *, sizes: Sizes | None = None) -> Imported:
    """Read a folder in the manner of Cityscapes; what is wrong is told and left out.

    Where only `labelIds` are there, each class of an image is one mask.

    Args:
        path: the folder.
        sizes: if given, images are looked for under Cityscapes' own names, too.

    Raises:
        FormatError: `labels.json` cannot be used, or the folder holds no such PNG.
    """
    read = Imported()
    classes = _classes(path, read.problems)
    files = [
        file
        for file in sorted(path.rglob(f"*{CLASSES}"))
        if not file.with_name(file.name.replace("labelIds", "instanceIds")).is_file()
    ]
    files = sorted([*files, *path.rglob(f"*{INSTANCES}")])
    here = {file.relative_to(path).as_posix() for file in files}
    for place in classes.images:
        if place not in here:
            read.problems.append(f"'labels.json': there is no file {place!r}. It was left out.")
    if not files and not (path / "labels.json").is_file():
        raise FormatError(
            f"{path.name!r} holds no file that ends in {INSTANCES} or {CLASSES}. Are these "
            "Cityscapes' annotations?"
        )
    read_each(read, watched(files, "Reading"), lambda file: _read_one(file, path, classes, sizes))
    return read


def _read_one(
    file: Path, folder: Path, classes: _Classes, sizes: Sizes | None
) -> tuple[Annotations, list[str]]:
    by_class = file.name.endswith(CLASSES)
    if by_class:
        pixels = read_png(file, ["gray8"], "8-bit gray with a class a pixel")
    else:
        pixels = read_png(file, ["gray16"], "16-bit gray with class × 1000 + n a pixel")
    info = _info(file, folder, classes, sizes, pixels.shape)
    items, problems = [], []
    for value, rle in masks_of(pixels).items():
        class_ = value if by_class or value < 1000 else value // 1000
        if class_ in classes.void:
            continue
        if class_ not in classes.names:
            problems.append(
                f"{file.name!r}: {rle.area:,} pixels have the value {value}, and there is no class "
                f"{class_}. They were left out."
            )
            continue
        crowd = not by_class and value < 1000 and class_ >= classes.counted
        items.append(
            Annotation.from_rle(
                rle,
                label=classes.names[class_],
                origin="imported",
                image=info.sha256,
                attributes={CROWD: True} if crowd else {},
            )
        )
    return Annotations(items, info, classes.labels), problems


def _info(
    file: Path, folder: Path, classes: _Classes, sizes: Sizes | None, shape: tuple[int, ...]
) -> ImageInfo:
    place = file.relative_to(folder).as_posix()
    stem = place.removesuffix(INSTANCES).removesuffix(CLASSES)
    row = classes.images.get(place)
    if isinstance(row, Mapping):
        return ImageInfo(row.get("name", stem), shape[1], shape[0], row.get("sha256", ""))
    for name in (stem, stem + PICTURE):
        try:
            size = (0, 0) if sizes is None else sizes(name)
        except (SegwidgetError, KeyError):
            continue
        if sizes is not None:
            require_size(shape, size)
        return ImageInfo(name, shape[1], shape[0])
    return ImageInfo(stem, shape[1], shape[0])


def _classes(folder: Path, problems: list[str]) -> _Classes:
    file = folder / "labels.json"
    if not file.is_file():
        names = {number: name for name, number in NUMBERS.items()}
        return _Classes(names, frozenset(range(4)), counted=_FIRST_COUNTED)
    data = read_json(file)
    rows = data.get("labels") if isinstance(data, Mapping) else data
    if not isinstance(rows, list):
        raise FormatError("'labels.json' has no list of 'labels', each with 'id' and 'name'.")
    named: dict[int, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        where = f"'labels.json': labels[{index}]"
        if not isinstance(row, Mapping) or type(row.get("id")) is not int or "name" not in row:
            problems.append(f"{where} lacks a whole number 'id' or a 'name'. It was left out.")
        elif row["id"] in named or any(row["name"] == one["name"] for one in named.values()):
            problems.append(f"{where}: its id or name is there twice. It was left out.")
        else:
            known = ("name", "color", "hotkey", "attributes", "parent")
            named[row["id"]] = {key: row[key] for key in known if key in row}
    try:
        labels = LabelSet.of(list(named.values())) if named else None
    except SegwidgetError as error:
        raise FormatError(f"'labels.json': {error}") from error
    images = data.get("images", {}) if isinstance(data, Mapping) else {}
    if not isinstance(images, Mapping):
        raise FormatError("'labels.json': 'images' is no object of names by files.")
    names = {} if labels is None else dict(zip(named, labels.names, strict=True))
    return _Classes(names, frozenset({0} - names.keys()), images, labels, counted=1)


FORMAT = Format(
    "cityscapes", "Cityscapes", "folder", INSTANCES, True, write_cityscapes, read_cityscapes
)
