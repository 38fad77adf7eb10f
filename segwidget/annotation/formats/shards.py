"""Shards of images with masks, in the layout of WebDataset.

A shard is a tar file. Each sample is two members of the same stem, in either order: the image
(`NAME.webp`, `.png`, `.jpg` or `.jpeg`) and `NAME.json`:

    {"source": "a set", "key": "its name there", "width": 480, "height": 320,
     "masks": [{"size": [h, w], "counts": "COCO's compressed run lengths", "annotator": 0}, ...]}

`annotator` tells apart the people who divided the same image; it is 0 where it is missing.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import AnnotationError, FormatError, ImageError, StoreError
from segwidget.inference.rle import Rle
from segwidget.media.decoding import decode_file

IMAGE_SUFFIXES = frozenset({".webp", ".png", ".jpg", ".jpeg"})
MAX_MEMBER_BYTES = 256 * 2**20
MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class ShardMask:
    """One mask of a sample.

    Attributes:
        rle: the mask, of the image's size.
        annotator: who drew it, counted from 0 within the image.
    """

    rle: Rle
    annotator: int = 0


@dataclass(frozen=True, eq=False)
class ShardImage:
    """One sample of a shard.

    Attributes:
        image: RGB, `uint8` (H, W, 3), yours to change.
        masks: its masks, in the file's order.
        key: the image's name within its source.
        source: the set that the image is from.
        name: the stem of the two members in the tar file.
    """

    image: NDArray[np.uint8] = field(repr=False)
    masks: tuple[ShardMask, ...] = field(repr=False)
    key: str
    source: str
    name: str


def read_shard(path: str | PathLike[str]) -> Iterator[ShardImage]:
    """Read a shard, one sample at a time, in the order in which samples are complete.

    Args:
        path: a tar file in the layout at the top of this module, plain or compressed.

    Yields:
        Each image with its masks.

    Raises:
        StoreError: the file is missing or cannot be read.
        FormatError: it is not a shard, or a sample is damaged or incomplete.
    """
    shard = Path(path)
    try:
        with tarfile.open(shard) as tar:
            yield from _samples(tar, shard.name)
    except (tarfile.TarError, EOFError) as error:
        raise FormatError(
            f"{shard.name!r} is not a readable tar file: {error}. Copy or download it again."
        ) from error
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{str(shard)!r} cannot be read: {error.strerror or error}. Check the path."
        ) from error


def _samples(tar: tarfile.TarFile, shard: str) -> Iterator[ShardImage]:
    waiting: dict[str, tuple[str, bytes]] = {}  # stem -> the member that came first, and its bytes
    for member in tar:
        suffix = PurePosixPath(member.name).suffix.lower()
        if not member.isfile() or (suffix != ".json" and suffix not in IMAGE_SUFFIXES):
            continue
        where = f"{shard}: {member.name}"
        if member.size > MAX_MEMBER_BYTES:
            raise FormatError(
                f"{where}: {member.size:,} bytes; at most {MAX_MEMBER_BYTES:,} are read. "
                "Is this a shard of images?"
            )
        stream = tar.extractfile(member)
        data = b"" if stream is None else stream.read()
        if len(data) != member.size:
            raise FormatError(f"{where}: the tar file is cut short. Copy or download it again.")
        stem = member.name[: -len(suffix)]
        if stem not in waiting:
            waiting[stem] = (member.name, data)
            continue
        other, earlier = waiting.pop(stem)
        if (suffix == ".json") == other.lower().endswith(".json"):
            raise FormatError(
                f"{where}: a second file like {other!r}; expected one image and one JSON file of "
                "the same stem."
            )
        if suffix == ".json":
            yield _sample(shard, other, earlier, member.name, data)
        else:
            yield _sample(shard, member.name, data, other, earlier)
    if waiting:
        other, _ = next(iter(waiting.values()))
        missing = "image" if other.lower().endswith(".json") else "JSON file"
        raise FormatError(
            f"{shard}: {other}: its {missing} is missing; expected two members of the same stem."
        )


def _sample(
    shard: str, image_name: str, image_data: bytes, json_name: str, json_data: bytes
) -> ShardImage:
    try:
        image = decode_file(io.BytesIO(image_data), image_name, MAX_PIXELS)
    except ImageError as error:
        raise FormatError(f"{shard}: {error}") from error

    where = f"{shard}: {json_name}"
    try:
        record: Any = json.loads(json_data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: not JSON: {error}. Write the shard again.") from error
    if not isinstance(record, dict) or not isinstance(record.get("masks"), list):
        raise FormatError(f'{where}: expected an object with a list of "masks".')
    size = (image.shape[0], image.shape[1])
    stated = record.get("height", size[0]), record.get("width", size[1])
    if stated != size:
        raise FormatError(
            f"{where}: height and width are {stated}, but the image's are {size}. "
            "Write the shard again with the image that the masks belong to."
        )
    stem = PurePosixPath(json_name).stem
    return ShardImage(
        image=image,
        masks=tuple(
            _mask(entry, size, f"{where}: masks[{index}]")
            for index, entry in enumerate(record["masks"])
        ),
        key=str(record.get("key", stem)),
        source=str(record.get("source", PurePosixPath(shard).stem)),
        name=stem,
    )


def _mask(entry: Any, size: tuple[int, int], where: str) -> ShardMask:
    try:
        rle = Rle.from_dict(entry)
    except AnnotationError as error:
        raise FormatError(f"{where}: {error}") from error
    if rle.size != size:
        raise FormatError(
            f"{where}: the mask's size is {rle.size}, but the image's is {size}; both are "
            "(height, width)."
        )
    annotator = entry.get("annotator", 0)
    if not isinstance(annotator, int):
        raise FormatError(f"{where}: annotator is {annotator!r}; expected a whole number.")
    return ShardMask(rle, annotator)
