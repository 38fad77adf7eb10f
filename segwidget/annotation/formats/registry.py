"""The formats in which a data set of many images goes out to other programs, and comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from segwidget.annotation.annotation import Annotations
from segwidget.errors import FormatError, StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: An image's name -> its pixels, (H, W, 3) uint8; for formats that hold images.
Opener: TypeAlias = "Callable[[str], NDArray[Any]]"
#: An image's name -> its (height, width); for formats that do not tell them. It raises ImageError
#: for a name that it does not know.
Sizes: TypeAlias = Callable[[str], tuple[int, int]]


@dataclass
class Imported:
    """What was read from a file or a folder.

    Attributes:
        records: the annotations, one record an image.
        problems: one sentence for each thing that was left out or changed, with its place.
    """

    records: list[Annotations] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """A format, both ways.

    Attributes:
        name: such as "coco".
        title: for people.
        kind: whether it is a file or a folder of files.
        suffix: of the file, or of the files in the folder.
        exact: whether masks come back pixel by pixel.
        write: `write(records, path, images=opener or None)` -> the path.
        read: `read(path, sizes=sizes or None)` -> what was read.
        boxes: whether it holds boxes only.
    """

    name: str
    title: str
    kind: Literal["file", "folder"]
    suffix: str
    exact: bool
    write: Callable[..., Path]
    read: Callable[..., Imported]
    boxes: bool = False


#: Of the formats of folders, those of which a single file can be read, too.
_FILES_TOO = ("sa1b", "labelme", "labelme-masks", "coco-panoptic", "geojson")
_HERE = "segwidget.annotation.formats"
#: Name -> the module and the name in it.
FORMATS = {
    "coco": f"{_HERE}.coco_dataset:COCO",
    "coco-polygons": f"{_HERE}.coco_dataset:COCO_POLYGONS",
    "sa1b": f"{_HERE}.sa1b:FORMAT",
    "labelme": f"{_HERE}.labelme:FORMAT",
    "labelme-masks": f"{_HERE}.labelme:MASKS",
    "yolo-seg": f"{_HERE}.yolo:FORMAT",
    "yolo-boxes": f"{_HERE}.yolo:BOXES",
    "voc": f"{_HERE}.voc:FORMAT",
    "geojson": f"{_HERE}.geojson:FORMAT",
    "cvat": f"{_HERE}.cvat:FORMAT",
    "coco-panoptic": f"{_HERE}.coco_panoptic:FORMAT",
    "cityscapes": f"{_HERE}.cityscapes:FORMAT",
    "indexed-png": f"{_HERE}.indexed_png:FORMAT",
    "parquet": f"{_HERE}.parquet:FORMAT",
}


def get_format(name: str) -> Format:
    """A format by its name.

    Raises:
        FormatError: there is none of this name.
    """
    if name not in FORMATS:
        raise FormatError(f"There is no format {name!r}; expected one of {', '.join(FORMATS)}.")
    module, _, attribute = FORMATS[name].partition(":")
    found: Format = getattr(import_module(module), attribute)
    return found


def guess_format(path: str | PathLike[str]) -> Format:
    """The format of a path: of a file by its suffix, of a folder by what lies in it.

    Raises:
        FormatError: nothing tells.
    """
    from segwidget.annotation.formats.guessing import guess

    name = guess(Path(path))
    if name is None:
        raise FormatError(
            f"Nothing tells which format {Path(path).name!r} is in. Say it with format=..., one of "
            f"{', '.join(FORMATS)}."
        )
    return get_format(name)


def export(
    records: Iterable[Annotations],
    path: str | PathLike[str],
    format: str | None = None,  # noqa: A002
    images: Opener | None = None,
) -> Path:
    """Write a data set.

    Args:
        records: the annotations of each image.
        path: a file or a folder, as the format has it; a folder is made where it is missing.
        format: by default what the path's suffix says.
        images: opens an image by its name, for formats that hold images.

    Returns:
        The path.

    Raises:
        FormatError: no such format, or it cannot hold this.
        StoreError: the place cannot be written.
    """
    chosen = guess_format(path) if format is None else get_format(format)
    return chosen.write(records, Path(path), images=images)


def read(
    path: str | PathLike[str],
    format: str | None = None,  # noqa: A002
    sizes: Sizes | None = None,
) -> Imported:
    """Read a data set; what is wrong in it is told, and the rest is read.

    Args:
        path: a file or a folder, as the format has it.
        format: by default what the path or what lies there says.
        sizes: the images' sizes, for formats that do not tell them.

    Raises:
        FormatError: no such format, or the whole is not in it.
        StoreError: there is nothing, or it cannot be read.
    """
    place = Path(path)
    if not place.exists():
        raise StoreError(f"{str(place)!r} is not there. Check the path.")
    chosen = guess_format(place) if format is None else get_format(format)
    if chosen.kind == "folder" and place.is_file() and chosen.name not in _FILES_TOO:
        raise FormatError(
            f"{place.name!r} is a file; expected the folder of a {chosen.title} data set."
        )
    return chosen.read(place, sizes=sizes)


def round_trip(records: Iterable[Annotations], format: str, folder: Path) -> float:  # noqa: A002
    """The mean IoU of masks with themselves, written and read again; lost ones count 0.

    Of boxes where the format holds nothing else. `round_trip.read_back` tells more.

    Raises:
        FormatError, StoreError: it cannot be written or read.
    """
    from segwidget.annotation.formats.round_trip import read_back

    kept = list(records)
    chosen = get_format(format)
    name = "data" if chosen.kind == "folder" else f"data{chosen.suffix}"
    return read_back(kept, chosen.write(kept, folder / name, images=None), chosen).mean


def file_for(folder: Path, name: str, suffix: str, taken: set[Path]) -> Path:
    """A file within a folder for what belongs to an image; its name is text from anywhere.

    Args:
        folder: which the file never leaves.
        name: of the image, such as "night/c.png".
        suffix: of the file, instead of the image's.
        taken: files that there are already; the new one is added.

    Raises:
        StoreError: its folder cannot be made.
    """
    parts = [re.sub(r'[<>:"|?*\x00-\x1f]', "_", part)[:120] for part in
             PurePosixPath(name.replace("\\", "/")).parts]  # fmt: skip
    parts = [part for part in parts if part.strip(". ") and part != "/"] or ["image"]
    stem = PurePosixPath(parts[-1]).stem
    target, number = folder.joinpath(*parts[:-1], stem + suffix), 1
    while target in taken:
        number += 1
        target = folder.joinpath(*parts[:-1], f"{stem}-{number}{suffix}")
    taken.add(target)
    make_folder(target.parent)
    return target


def make_folder(folder: Path) -> Path:
    """Make a folder where it is missing.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {str(folder)!r} cannot be made: {error.strerror or error}. Choose another "
            "place."
        ) from error
    return folder
