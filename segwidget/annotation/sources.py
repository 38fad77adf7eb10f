"""Where a project's images come from: folders, lists, data frames and data sets, all lazily."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, TypeAlias

from PIL import Image as PILImage

from segwidget.errors import ImageError
from segwidget.media.decoding import FORMATS
from segwidget.media.georeference import Georeference, read_georeference
from segwidget.media.image import Image, ImageSource, open_image

#: A folder, a list of whatever `open_image` takes, a mapping of names to such, a data frame, or a
#: split of a Hugging Face data set.
ImagesLike: TypeAlias = Any

_PATH_COLUMNS = ("image", "path", "file", "filename", "file_name", "image_path", "image_file")


@dataclass(frozen=True)
class Source:
    """Images by key; none is opened before it is asked for.

    Attributes:
        keys: in order, each once: a file's name relative to the folder, with "/" between parts; or
            "image-00000.png" by position where there is no name.
        find: what to open for a position.
        folder: where the files are; None where there are none, or in no common place.
        problems: what was left out, by name, and why.
    """

    keys: tuple[str, ...]
    find: Callable[[int], ImageSource] = field(repr=False)
    folder: Path | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

    def open(self, position: int) -> Image:
        """Open an image; it is named by its key.

        Raises:
            ImageError: it cannot be opened.
        """
        name = self.keys[position]
        try:
            found = self.find(position)
            if isinstance(found, Mapping) and found.keys() >= {"bytes", "path"}:
                found = found["bytes"] if found["bytes"] is not None else found["path"]
            return open_image(found, name=name)
        except ImageError:
            raise
        except Exception as error:  # a data set decodes for itself, and fails in its own ways
            raise ImageError(
                f"The image {name!r} cannot be opened: {error}. Replace it, or leave it out."
            ) from error

    def georeference(self, position: int) -> Georeference | None:
        """Where on the map an image lies, if it is a file that tells."""
        found = self.find(position)
        return read_georeference(found) if isinstance(found, str | os.PathLike) else None


def find_source(images: ImagesLike, *, column: str | None = None, recursive: bool = True) -> Source:
    """Whatever is at hand as a source of images; nothing is opened.

    Args:
        images: a folder's path; a list of paths, bytes, arrays or Pillow images; a mapping of names
            to such; a pandas data frame; a split of a Hugging Face data set; or a source.
        column: of a data frame or a data set, where it has several that could be it.
        recursive: whether a folder's folders are looked into, too.

    Raises:
        ImageError: something else, or a folder or column that is not there.
    """
    if isinstance(images, Source):
        return images
    if isinstance(images, str | os.PathLike):
        return _folder(Path(images).expanduser(), recursive)
    if hasattr(images, "features") and hasattr(images, "column_names"):
        return _dataset(images, column)
    if hasattr(images, "iloc"):
        return _frame(images, column)
    if isinstance(images, Mapping):
        if images and all(hasattr(split, "features") for split in images.values()):
            raise ImageError(
                f"The data set has the splits {', '.join(map(repr, images))}; expected one of "
                f"them, such as dataset[{next(iter(images))!r}]."
            )
        items = list(images.values())
        return _named([str(name) for name in images], items.__getitem__, None)
    if isinstance(images, Iterable) and not isinstance(images, bytes | bytearray | Image):
        if hasattr(images, "__array__") and getattr(images, "ndim", 4) < 4:
            raise ImageError("This is one image; expected several: put it into a list.")
        return _list(list(images))
    raise ImageError(
        f"The images are a {type(images).__name__}; expected a folder, a list of paths or images, "
        "a data frame, or a split of a data set."
    )


def image_suffixes() -> frozenset[str]:
    """The suffixes of files that may be images, such as ".png"."""
    PILImage.init()
    return frozenset(s for s, name in PILImage.EXTENSION.items() if name in FORMATS)


def _folder(folder: Path, recursive: bool) -> Source:
    if not folder.is_dir():
        what = "is a file; its folder holds a project" if folder.exists() else "is not there"
        raise ImageError(
            f"The folder {str(folder)!r} {what}. Check the spelling; a single image goes in a list."
        )
    suffixes, keys, problems = image_suffixes(), [], {}
    waiting = [("", folder)]
    while waiting:
        prefix, place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                found = [e for e in entries if not e.name.startswith(".")]
        except OSError as error:
            problems[prefix or str(folder)] = f"The folder cannot be read: {error.strerror}."
            continue
        for entry in found:
            name = prefix + entry.name
            # Links to folders may lead in circles; a link to a file is as good as the file.
            if entry.is_dir(follow_symlinks=False):
                if recursive:
                    waiting.append((f"{name}/", Path(entry.path)))
            elif os.path.splitext(entry.name)[1].lower() in suffixes:  # noqa: PTH122
                if name.isprintable():
                    keys.append(name)
                else:
                    problems[ascii(name)] = "Its name is no proper text. Rename the file."
    keys.sort(key=lambda key: key.split("/"))
    return Source(tuple(keys), lambda position: folder / keys[position], folder, problems)


def _list(items: Sequence[Any]) -> Source:
    names, paths = [], []
    for position, item in enumerate(items):
        if isinstance(item, str | os.PathLike):
            paths.append(Path(item).expanduser())
            names.append("")
        else:
            names.append(f"image-{position:05d}.png")
    folder = _common([Path(os.path.abspath(p)).parent for p in paths])  # noqa: PTH100
    rest = iter(_path_names(paths, folder))
    names = [name or next(rest) for name in names]
    return _named(names, items.__getitem__, folder if len(paths) == len(items) else None)


def _frame(frame: Any, column: str | None) -> Source:
    columns = [str(name) for name in frame.columns]
    if column is None:
        likely = [name for name in columns if name.lower() in _PATH_COLUMNS] or columns
        if len(likely) != 1:
            raise ImageError(
                f"The data frame has the columns {', '.join(map(repr, columns))}; say which one "
                "holds the images or their paths: column=..."
            )
        column = likely[0]
    if column not in columns:
        raise ImageError(
            f"The data frame has no column {column!r}, but {', '.join(map(repr, columns))}."
        )
    return _list(list(frame[column]))


def _dataset(dataset: Any, column: str | None) -> Source:
    features = dict(dataset.features or {})
    if not hasattr(dataset, "__len__"):
        raise ImageError(
            "The data set is a stream; a project goes back and forth. Load it without streaming, "
            "or take a list of its first images."
        )
    if column is None:
        pictures = [name for name, kind in features.items() if type(kind).__name__ == "Image"]
        if len(pictures) != 1:
            raise ImageError(
                f"The data set has {len(pictures)} columns of images among "
                f"{', '.join(map(repr, features))}; say which one: column=..."
            )
        column = pictures[0]
    if column not in features:
        raise ImageError(
            f"The data set has no column {column!r}, but {', '.join(map(repr, features))}."
        )
    keys = tuple(f"image-{position:05d}.png" for position in range(len(dataset)))
    only = dataset.select_columns([column])  # others need not be decoded
    return Source(keys, lambda position: only[position][column])


def _named(names: list[str], find: Callable[[int], Any], folder: Path | None) -> Source:
    """A source of named items; what has no name of its own, or one twice, is left out."""
    places: dict[str, int] = {}
    problems = {}
    for position, name in enumerate(names):
        if not name or not name.isprintable():
            problems[f"number {position}"] = f"Its name {name!a} is no proper text. Give another."
        elif name in places:
            problems[f"{name} (number {position})"] = "It is there twice, and taken once."
        else:
            places[name] = position
    positions = list(places.values())
    return Source(tuple(places), lambda position: find(positions[position]), folder, problems)


def _path_names(paths: list[Path], folder: Path | None) -> list[str]:
    """The files' names where they differ, or else their places below the common folder."""
    names = [path.name for path in paths]
    places = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100
    if len(set(names)) == len(set(places)):
        return names
    parts = [PurePath(*p.parts[1:]) if folder is None else p.relative_to(folder) for p in places]
    return [part.as_posix() for part in parts]


def _common(folders: list[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # none, or on several drives
        return None
