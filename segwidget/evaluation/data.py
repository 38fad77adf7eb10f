"""What is measured on: shards, folders of them, and COCO files with their images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.annotation import ImageInfo
from segwidget.annotation.formats.coco import read_json
from segwidget.annotation.formats.coco_dataset import from_coco_dataset
from segwidget.annotation.formats.shards import ShardMask
from segwidget.errors import FormatError, SettingError, StoreError
from segwidget.evaluation.protocol import (
    MIN_SHARE,
    SampledImage,
    Sampling,
    draw,
    find_shards,
    sample,
)
from segwidget.media.image import open_image

#: Told what was left out, one sentence each.
Tell = Callable[[str], None]


@dataclass(frozen=True)
class CocoImage:
    """An image of a COCO file, which is opened when its pixels are asked for.

    Attributes:
        name: its ``file_name``.
        path: where it is.
        size: its ``(height, width)``, as the file has it.
        masks: its masks.
    """

    name: str
    path: Path
    size: tuple[int, int]
    masks: tuple[ShardMask, ...]

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB, ``(H, W, 3)`` uint8, opened anew.

        Raises:
            ImageError: it cannot be opened.
            FormatError: it is of another size than the COCO file says.
        """
        pixels = open_image(self.path).pixels
        if pixels.shape[:2] != self.size:
            raise FormatError(
                f"The image {self.name!r} is {pixels.shape[:2]}, but the COCO file says "
                f"{self.size}; both are (height, width). Pass the images that the masks belong to."
            )
        return pixels


def read_coco(
    path: str | PathLike[str], images: str | PathLike[str] | None = None, tell: Tell | None = None
) -> Iterator[CocoImage]:
    """The images of a COCO file with instance masks; crowds are left out.

    Args:
        path: of the JSON.
        images: the folder that its ``file_name`` start from; by default the first of the JSON's
            folder, ``images`` in it, and ``images`` or a folder of the JSON's name beside it, in
            which the first image is.
        tell: told of each row that was left out.

    Raises:
        StoreError: the file cannot be read, or an image is not there.
        FormatError: it is not COCO, or it holds no image or no mask.
    """
    file = Path(path)
    raw: Any = read_json(file)
    if isinstance(raw, dict) and isinstance(raw.get("annotations"), list):
        rows = raw["annotations"]
        kept = [row for row in rows if not (isinstance(row, dict) and row.get("iscrowd"))]
        raw = {**raw, "annotations": kept}
    try:
        imported = from_coco_dataset(raw)
    except FormatError as error:
        raise FormatError(f"{file.name!r}: {error}") from error
    for problem in imported.problems:
        if tell is not None:
            tell(f"{file.name}: {problem}")
    if not any(len(record) for record in imported.records):
        raise FormatError(
            f"{file.name!r} holds {len(imported.records)} images and no mask that can be read; "
            "expected COCO's instances with segmentations."
        )
    folder = _folder(file, images, imported.records[0].image)
    for record in imported.records:
        info = record.image
        yield CocoImage(
            info.name,
            _place(folder, info.name),
            (info.height, info.width),
            tuple(ShardMask(annotation.rle) for annotation in record),
        )


def _folder(file: Path, images: str | PathLike[str] | None, first: ImageInfo) -> Path:
    """The folder of images."""
    if images is not None:
        folder = Path(images).expanduser()
        if not folder.is_dir():
            raise StoreError(
                f"There is no folder {str(folder)!r}; expected the images of {file.name!r}."
            )
        return folder
    beside = file.parent
    candidates = (beside, beside / "images", beside.parent / "images", beside / file.stem)
    for folder in candidates:
        if (folder / first.name).is_file():
            return folder
    raise StoreError(
        f"The image {first.name!r} of {file.name!r} is not beside it. Say where its images are "
        "with --images FOLDER."
    )


def _place(folder: Path, name: str) -> Path:
    """Where an image is; never outside of the folder, whatever its name says."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FormatError(
            f"The image {name!r} would lie outside of its folder; expected a name within it."
        )
    if not path.is_file():
        raise StoreError(
            f"There is no image {name!r} in {str(folder)!r}. Pass the folder of the COCO file's "
            "images with --images FOLDER."
        )
    return path


def sample_data(
    data: Sequence[str | PathLike[str]],
    sampling: Sampling,
    images: str | PathLike[str] | None = None,
    *,
    tell: Tell | None = None,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> list[SampledImage]:
    """Draw images and masks of everything that is given.

    Args:
        data: shards, folders of shards, and COCO files.
        sampling: how many of each set.
        images: the folder of the COCO files' images, see :func:`read_coco`.
        tell: told what was left out.
        progress: wraps the list of files that are read.

    Raises:
        StoreError: something is not there, or cannot be read.
        FormatError: something is no shard and no COCO file, or holds no mask to ask about.
        SettingError: two sets have the same name, or images are given and no COCO file.
    """
    files: list[Path] = []
    for one in data:
        path = Path(one).expanduser()
        files += [path] if path.suffix.lower() == ".json" and path.is_file() else find_shards(path)
    names = [file.stem for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingError(
            f"There are several sets named {', '.join(twice)}; expected each once, since tables "
            "go by name. Measure them one after the other, or rename a file."
        )
    if images is not None and not any(file.suffix.lower() == ".json" for file in files):
        raise SettingError(
            "A folder of images is given, but no COCO file; shards hold their images. Leave it out."
        )
    drawn: list[SampledImage] = []
    for file in progress(files):
        if file.suffix.lower() == ".json":
            drawn += draw(file.stem, read_coco(file, images, tell), sampling)
        else:
            drawn += sample(file, sampling)
    if not drawn:
        raise FormatError(
            f"The data {', '.join(names)} hold no mask that covers {MIN_SHARE:.2%} of its image; "
            "expected at least one. Check that they are images with masks."
        )
    return drawn
