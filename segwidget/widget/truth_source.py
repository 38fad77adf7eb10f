"""The ground truth of an image, from whatever a person has it in."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.annotation.formats.raster import masks_of
from segwidget.errors import AnnotationError
from segwidget.inference.rle import Rle
from segwidget.media.image import Image

#: More are no picture's ground truth, and each answer is compared with all of them.
MAX_MASKS = 10_000

#: What a mask that comes without a label is called.
NAME = "truth"

_EXPECTED = (
    "expected masks (N, H, W) or (H, W) of bool, a list of such masks, a label map (H, W) of whole "
    "numbers, annotations, or the path of an annotation file"
)


def truth_of(value: Any, image: Image) -> Annotations:
    """Ground truth as annotations.

    Args:
        value: bool ``(N, H, W)`` or ``(H, W)``; a list of ``(H, W)`` masks or of annotations;
            a label map, whole numbers ``(H, W)`` of which each but 0 is a mask; annotations; or the
            path of a file that :func:`segwidget.annotation.formats.registry.read` reads, such as
            COCO's. Of a file with several images the one of this image's name is taken.
        image: what the masks are of.

    Returns:
        At least one mask, none of them empty, all of the image's size.

    Raises:
        AnnotationError: something else, another image's size, no mask, an empty or too many.
        FormatError: a file in no known format.
        StoreError: a file that cannot be read.
    """
    info = ImageInfo.of(image)
    if isinstance(value, str | PathLike):
        items: Iterable[Any] = _read(Path(value), info)
    elif isinstance(value, Annotations):
        items = value.items
    elif hasattr(value, "__array__") and not isinstance(value, list | tuple):
        items = _from_array(np.asarray(value), info)
    elif isinstance(value, Iterable) and not isinstance(value, bytes | dict):
        items = value
    else:
        raise AnnotationError(f"The truth is a {type(value).__name__}; {_EXPECTED}.")
    made: list[Annotation] = []
    for item in items:
        if len(made) == MAX_MASKS:
            raise _too_many()
        made.append(_annotation(item, len(made), info))
    if not made:
        raise AnnotationError(
            "The truth holds no mask; expected at least one. Set it to None to have none."
        )
    return Annotations(made, info)


def _annotation(item: Any, index: int, info: ImageInfo) -> Annotation:
    """One of the masks, checked."""
    if isinstance(item, Annotation):
        rle, label = item.rle, item.label
    elif isinstance(item, Rle):
        rle, label = item, NAME
    else:
        array = np.asarray(item)
        if array.dtype == object:
            raise AnnotationError(f"The truth's mask {index} is no array; {_EXPECTED}.")
        if array.ndim != 2:
            raise AnnotationError(
                f"The truth's mask {index} has the shape {array.shape}; expected "
                f"({info.height}, {info.width}), the (height, width) of {info.name!r}."
            )
        _require_size(array.shape, index, info)
        try:
            rle, label = Rle.encode(array), NAME
        except AnnotationError as error:
            raise AnnotationError(f"The truth's mask {index} cannot be used. {error}") from error
    _require_size(rle.size, index, info)
    if rle.area == 0:
        raise AnnotationError(
            f"The truth's mask {index} is empty; expected at least one pixel inside. Leave it out."
        )
    # A new one, for the same annotation may be given twice, and may be kept beside it.
    return Annotation.from_rle(rle, label=label)


def _require_size(size: tuple[int, ...], index: int, info: ImageInfo) -> None:
    if tuple(size) != (info.height, info.width):
        raise AnnotationError(
            f"The truth's mask {index} is of size {tuple(size)}, but {info.name!r} is "
            f"({info.height}, {info.width}); both are (height, width). Does it belong to another "
            "image, or is it transposed?"
        )


def _from_array(array: NDArray[Any], info: ImageInfo) -> Iterable[Any]:
    """The masks of a stack, or of a label map."""
    if array.dtype != np.bool_ and array.dtype.kind not in "iu":
        raise AnnotationError(f"The truth is an array of {array.dtype}; {_EXPECTED}.")
    if array.ndim == 3:
        if len(array) > MAX_MASKS:
            raise _too_many(len(array))
        return array
    if array.ndim != 2:
        raise AnnotationError(f"The truth is an array of shape {array.shape}; {_EXPECTED}.")
    _require_size(array.shape, 0, info)
    if array.dtype == np.bool_:
        return [array]
    count = int(np.count_nonzero(np.unique(array)))
    if count > MAX_MASKS:
        raise _too_many(count)
    return masks_of(array).values()


def _read(path: Path, info: ImageInfo) -> Iterable[Annotation]:
    """The annotations of the image in a file."""
    size = info.height, info.width
    records = registry.read(path, sizes=lambda _name: size).records
    names = [record.image.name for record in records]
    if len(records) > 1:
        records = [r for r in records if _stem(r.image.name) == _stem(info.name)]
    if len(records) != 1:
        shown = ", ".join(repr(name[:40]) for name in names[:5]) + (" …" if names[5:] else "")
        raise AnnotationError(
            f"{path.name!r} has {len(records)} images called {info.name!r}; expected one. "
            f"It speaks of {shown or 'no image'}. Pass that image's annotations instead."
        )
    return records[0].items


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _too_many(count: int | None = None) -> AnnotationError:
    found = f"more than {MAX_MASKS}" if count is None else str(count)
    return AnnotationError(
        f"The truth has {found} masks; expected at most {MAX_MASKS}. Pass those of the things that "
        "are asked about."
    )
