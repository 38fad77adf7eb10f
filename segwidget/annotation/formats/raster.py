"""What the formats share that paint all masks of an image into one PNG, one object a pixel."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from scipy import ndimage
from tqdm.auto import tqdm

from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.colors import channels_of
from segwidget.errors import FormatError, StoreError
from segwidget.inference.rle import Rle

MAX_PIXELS = 2**27  # of a PNG whose size nothing else tells
#: The attribute of a group of objects that nobody has told apart.
CROWD = "iscrowd"
_MAX_BYTES = 2**30
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: PNG's color types by their numbers in the header.
_GRAY, _RGB, _PALETTE = 0, 2, 3


class OverlapWarning(UserWarning):
    """Masks overlap, and the format holds one object a pixel."""


@dataclass
class Flattened:
    """The masks of an image without overlaps.

    Attributes:
        items: those of which something is seen, cut to what is seen, in their order.
        numbers: (H, W) int32: 0 for nothing, otherwise 1 and more for the places in `items`.
    """

    items: list[Annotation]
    numbers: NDArray[np.int32]


@dataclass
class Overlaps:
    """What was lost where masks overlap, counted over the images of a data set."""

    images: int = 0
    cut: int = 0
    hidden: int = 0
    pixels: int = 0
    names: list[str] = field(default_factory=list)

    def flatten(self, record: Annotations) -> Flattened:
        """Paint the masks of an image, smaller ones above larger ones.

        Hence a wheel is not lost below its car, whichever was drawn first. Of masks of one size
        the frontmost is above. A mask that is cut tells so in its `edits`, as "protect".
        """
        numbers = np.zeros((record.image.height, record.image.width), np.int32)
        order = sorted(range(len(record)), key=lambda place: (-record[place].area, place))
        for place in order:
            mask, (x, y) = record[place].rle.decode_box()
            numbers[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = place + 1
        seen = np.bincount(numbers.ravel(), minlength=len(record) + 1)[1:]
        items, places = [], np.zeros(len(record) + 1, np.int32)
        lost = 0
        for place, (item, area) in enumerate(zip(record, seen.tolist(), strict=True)):
            lost += item.area - area
            if not area:
                self.hidden += 1
                continue
            if area < item.area:
                self.cut += 1
                item = item.with_mask(_part(numbers, place + 1, item), "protect")
            items.append(item)
            places[place + 1] = len(items)
        if lost:
            self.images += 1
            self.pixels += lost
            self.names.append(record.image.name)
        return Flattened(items, places[numbers])

    def tell(self, title: str) -> None:
        """Warn once of all that was lost."""
        if not self.images:
            return
        some = ", ".join(map(repr, self.names[:3])) + (", …" if self.images > 3 else "")
        warnings.warn(
            f"{title} holds one object a pixel, so smaller masks were put above larger ones: "
            f"{self.cut} masks lost a part and {self.hidden} all of what they show "
            f"({self.pixels:,} pixels of {self.images} images: {some}). The formats coco and sa1b "
            "keep masks that overlap.",
            OverlapWarning,
            stacklevel=4,
        )


def _part(numbers: NDArray[np.int32], number: int, item: Annotation) -> Rle:
    x0, y0, x1, y1 = (int(edge) for edge in item.box)
    return Rle.encode_box(numbers[y0:y1, x0:x1] == number, (x0, y0), item.rle.size)


def paint(
    flat: Flattened, values: NDArray[Any], background: int | tuple[int, ...] = 0
) -> NDArray[Any]:
    """The pixels of a PNG.

    Args:
        flat: the masks.
        values: (N,) or (N, C), what is written for each of the items.
        background: where there is none.

    Returns:
        (H, W) or (H, W, C), of the values' type.
    """
    table = np.concatenate([np.array([background], values.dtype), values])
    pixels: NDArray[Any] = table[flat.numbers]
    return pixels


def masks_of(pixels: NDArray[Any], ignore: Iterable[int] = (0,)) -> dict[int, Rle]:
    """The mask of each value, by value, ascending.

    Args:
        pixels: (H, W), whole numbers.
        ignore: values that are no mask.
    """
    size = (pixels.shape[0], pixels.shape[1])
    values, inverse = np.unique(pixels, return_inverse=True)
    places = inverse.reshape(size) + 1
    skipped = set(ignore)
    found = {}
    boxes: Any = ndimage.find_objects(places)
    for place, (value, box) in enumerate(zip(values.tolist(), boxes, strict=True), start=1):
        if value not in skipped:
            corner = (box[1].start, box[0].start)
            found[value] = Rle.encode_box(places[box] == place, corner, size)
    return found


def tints(colors: Iterable[str], taken: Iterable[int] = (0,)) -> list[tuple[int, int, int]]:
    """A color of its own for each object, near to that of its label.

    Args:
        colors: "#rrggbb" of each object's label.
        taken: R + 256 G + 256² B that are not to be used; black is the background.
    """
    used, tries, made = set(taken), dict[str, int](), []
    for color in colors:
        base = channels_of(color)
        while True:
            step = tries.get(color, 0)
            tries[color] = step + 1
            # Strides without a common divisor come by every color sooner or later.
            shifts = (37 * step % 61 - step % 7, 53 * step % 59 - step // 61, step % 67)
            near = [
                min(255, max(0, channel + (shift if channel < 128 else -shift)))
                for channel, shift in zip(base, shifts, strict=True)
            ]
            code = near[0] + 256 * near[1] + 65536 * near[2]
            if step >= 4000:
                code = (code + step) % 2**24
                near = [code % 256, code // 256 % 256, code // 65536]
            if code not in used:
                break
        used.add(code)
        made.append((near[0], near[1], near[2]))
    return made


def png_of(pixels: NDArray[Any], palette: NDArray[np.uint8] | None = None) -> bytes:
    """A PNG file.

    Args:
        pixels: (H, W) uint8 or uint16, or (H, W, 3) uint8.
        palette: (N, 3), the colors of the values; only for (H, W) uint8.
    """
    picture = PILImage.fromarray(pixels)
    if palette is not None:
        picture.putpalette(palette.tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def read_png(
    path: Path,
    kinds: Iterable[str],
    expected: str,
    size: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """The stored numbers of a PNG, without any color being looked up.

    Args:
        path: of the file.
        kinds: of "gray8", "gray16", "palette" and "rgb", those that are taken.
        expected: what this is, for messages.
        size: (height, width) that it has to have.

    Returns:
        (H, W) uint8 or int32, or (H, W, 3) uint8.

    Raises:
        StoreError: it is missing or cannot be read.
        FormatError: no PNG, a damaged one, or one of another kind or size.
    """
    name = path.name
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise FormatError(
                f"{name!r} has more than {_MAX_BYTES:,} bytes; no mask needs so many."
            )
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{name!r} cannot be read: {error.strerror or error}.") from error
    if not data.startswith(_SIGNATURE) or len(data) < 33:
        raise FormatError(f"{name!r} is no PNG; expected {expected}.")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bits, color = data[24], data[25]
    if size is not None and (height, width) != size:
        raise FormatError(
            f"{name!r} is {width} × {height} pixels, but its image is {size[1]} × {size[0]}."
        )
    if not 0 < width * height <= MAX_PIXELS:
        raise FormatError(
            f"{name!r} claims {width} × {height} pixels; at most {MAX_PIXELS:,} are read."
        )
    kind = {
        (_GRAY, False): "gray8", (_GRAY, True): "gray16",
        (_PALETTE, False): "palette", (_RGB, False): "rgb",
    }.get((color, bits == 16))  # fmt: skip
    if kind not in set(kinds):
        what = {_GRAY: "gray", _RGB: "RGB", _PALETTE: "palette"}.get(color, "transparent")
        raise FormatError(f"{name!r} is a {what} PNG of {bits} bits; expected {expected}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of many pixels, which were judged above
            with PILImage.open(io.BytesIO(data), formats=["PNG"]) as picture:
                if kind == "gray8" and bits < 8:
                    # Pillow stretches 2 and 4 bits over 8; the numbers are wanted.
                    return np.asarray(picture.convert("L")) // np.uint8(255 // (2**bits - 1))
                pixels = np.asarray(picture)
    except Exception as error:  # damaged files make Pillow raise almost anything
        raise FormatError(f"{name!r} is damaged: {error}. Copy or export it again.") from error
    return pixels.astype(np.int32) if kind == "gray16" else pixels


def require_size(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    """Check that pixels are of their image's (height, width).

    Raises:
        FormatError: they are not.
    """
    if size != shape:
        raise FormatError(
            f"it is {shape[1]} × {shape[0]} pixels, but its image is {size[1]} × {size[0]}."
        )


def place_below(folder: Path, name: Any, where: str) -> Path:
    """The file of a name that a foreign file gives; it never leads out of the folder.

    Raises:
        FormatError: no text, or it leads elsewhere.
    """
    if not isinstance(name, str) or not name or "\x00" in name:
        raise FormatError(f"{where} is {name!r}; expected a file's name.")
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise FormatError(f"{where} is {name!r}, which leads out of the folder.")
    return folder / path


def watched(items: Iterable[Any], what: str) -> Iterator[Any]:
    """The same, with a progress bar where it takes longer than a second."""
    return iter(tqdm(items, desc=what, unit="image", delay=1, leave=False))


def left_out(name: str, error: Exception) -> str:
    """A sentence on a file that was left out."""
    text = str(error)
    return f"{text if text.startswith(repr(name)) else f'{name!r}: {text}'} It was left out."
