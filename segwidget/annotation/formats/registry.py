"""The formats in which a data set of many images goes out to other programs, and comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

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
    """

    name: str
    title: str
    kind: Literal["file", "folder"]
    suffix: str
    exact: bool
    write: Callable[..., Path]
    read: Callable[..., Imported]


#: Of the formats of folders, those of which a single file can be read, too.
_FILES_TOO = ("sa1b", "labelme", "coco-panoptic")
_HERE = "segwidget.annotation.formats"
#: Name -> the module and the name in it.
FORMATS = {
    "coco": f"{_HERE}.coco_dataset:COCO",
    "coco-polygons": f"{_HERE}.coco_dataset:COCO_POLYGONS",
    "sa1b": f"{_HERE}.sa1b:FORMAT",
    "labelme": f"{_HERE}.labelme:FORMAT",
    "yolo-seg": f"{_HERE}.yolo:FORMAT",
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
    place = Path(path)
    if place.is_dir():
        if (place / "data.yaml").is_file():
            return get_format("yolo-seg")
        if next(place.rglob("*.parquet"), None):
            return get_format("parquet")
        if next(place.rglob("*_gtFine_*Ids.png"), None):
            return get_format("cityscapes")
        if _says(place.glob("*.json"), b'"segments_info"') or _says(
            place.glob("annotations/*.json"), b'"segments_info"'
        ):
            return get_format("coco-panoptic")
        if _says(place.glob("labels.json"), b'"images"') or (
            next(place.rglob("*.png"), None) and not next(place.rglob("*.json"), None)
        ):
            return get_format("indexed-png")
        for file in sorted(place.rglob("*.json")):
            with file.open("rb") as stream:
                start = stream.read(4096)
            return get_format("labelme" if b'"shapes"' in start else "sa1b")
    elif place.name.lower().endswith(".sa1b.json"):
        return get_format("sa1b")
    elif place.suffix.lower() == ".parquet":
        return get_format("parquet")
    elif place.suffix.lower() == ".json":
        return get_format("coco")
    raise FormatError(
        f"Nothing tells which format {place.name!r} is in. Say it with format=..., one of "
        f"{', '.join(FORMATS)}."
    )


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

    Raises:
        FormatError, StoreError: it cannot be written or read.
    """
    kept = list(records)
    chosen = get_format(format)
    name = "data" if chosen.kind == "folder" else f"data{chosen.suffix}"
    path = chosen.write(kept, folder / name, images=None)
    sizes = {one.image.name: (one.image.height, one.image.width) for one in kept}
    found = {one.image.name: one for one in chosen.read(path, sizes=_known(sizes)).records}
    ious = []
    for one in kept:
        name = one.image.name
        back = [(a.label, a.mask) for a in found.get(name) or found.get(_stem(name)) or ()]
        for item in one:
            mask = item.mask
            ious.append(
                max(
                    (
                        float((mask & other).sum() / (mask | other).sum())
                        for label, other in back
                        if label == item.label and other.shape == mask.shape
                    ),
                    default=0.0,
                )
            )
    return float(np.mean(ious)) if ious else 1.0


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


def _says(files: Iterable[Path], word: bytes) -> bool:
    """Whether one of the files holds a word, within reason."""
    for file in files:
        with file.open("rb") as stream:
            if word in stream.read(2**26):
                return True
    return False


def _stem(name: str) -> str:
    """A name without its suffix, as formats without images' names have it."""
    return PurePosixPath(name).with_suffix("").as_posix()


def _known(sizes: dict[str, tuple[int, int]]) -> Sizes:
    stems = {_stem(name): size for name, size in sizes.items()}

    def size(name: str) -> tuple[int, int]:
        return sizes[name] if name in sizes else stems[name]

    return size
