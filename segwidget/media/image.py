"""One image, opened from whatever a person has at hand."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from segwidget.errors import ImageError
from segwidget.media.arrays import array_to_rgb, is_tensor, tensor_to_rgb
from segwidget.media.decoding import check_pixels, decode_file, pil_to_rgb
from segwidget.media.preview import encode_preview

MAX_PIXELS = 150_000_000

#: Of a file that is mapped into memory: nothing is decoded, and nothing is copied. More than that
#: no mask holds.
MAX_MAPPED_PIXELS = 2**30

#: A path, a file's bytes, an open binary file, a Pillow image, a NumPy array, a torch tensor, or
#: anything that NumPy understands as an array.
ImageSource: TypeAlias = Any

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:")


@dataclass(frozen=True, eq=False)
class Image:
    """One opened image; its pixels never change.

    Attributes:
        pixels: RGB, `uint8` (H, W, 3), C-contiguous and read-only. A file that is mapped for
            reading stays mapped, and must not change meanwhile; all else is copied.
        name: what people call it, such as a file's name; only ever shown as text.

    Raises:
        ImageError: pixels of another shape or type.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    name: str = "image"

    def __post_init__(self) -> None:
        pixels: Any = self.pixels  # types are promises, and callers break them
        if (
            not isinstance(pixels, np.ndarray)
            or pixels.dtype != np.uint8
            or pixels.ndim != 3
            or pixels.shape[2] != 3
            or pixels.size == 0
        ):
            given = (
                f"{pixels.dtype} {pixels.shape}"
                if isinstance(pixels, np.ndarray)
                else type(pixels).__name__
            )
            raise ImageError(
                f"Image pixels are {given}; expected uint8 (H, W, 3) with at least one pixel. "
                "open_image(...) converts other arrays."
            )
        # A view would change with its base, and the content's hash would lie.
        frozen = pixels.flags.owndata and not pixels.flags.writeable
        if not pixels.flags.c_contiguous or not (frozen or _is_mapped(pixels)):
            pixels = np.array(pixels, order="C")
            pixels.flags.writeable = False
            object.__setattr__(self, "pixels", pixels)

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.pixels.shape[0])

    @cached_property
    def sha256(self) -> str:
        """SHA-256, in hex, of the shape and the pixels: the same picture has the same one."""
        digest = hashlib.sha256(repr(tuple(self.pixels.shape)).encode())
        digest.update(self.pixels.data)
        return digest.hexdigest()

    def to_preview(
        self, max_side: int = 2048, max_bytes: int = 1_500_000
    ) -> tuple[bytes, str, tuple[int, int]]:
        """A copy that is small enough for a browser and a saved notebook.

        Args:
            max_side: longest side in pixels; nothing is enlarged.
            max_bytes: largest size of the encoded file.

        Returns:
            The file's bytes, "image/png" or "image/jpeg", and the preview's (width, height).

        Raises:
            ImageError: limits that not even one pixel fits into.
        """
        return encode_preview(self.pixels, max_side, max_bytes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Image):
            return NotImplemented
        same = self.pixels is other.pixels or np.array_equal(self.pixels, other.pixels)
        return self.name == other.name and same

    def __hash__(self) -> int:
        return hash((self.name, self.sha256))

    def __repr__(self) -> str:
        return f"Image({self.name!r}, {self.width} × {self.height})"


def open_image(
    source: ImageSource, *, name: str | None = None, max_pixels: int | None = None
) -> Image:
    """Open an image from whatever is at hand; nothing is ever fetched from the network.

    Args:
        source: one of

            - a path (`str` or `Path`) of an image file; of an animation, the first frame,
            - such a file's bytes (`bytes`, `bytearray`, `memoryview`),
            - a file opened for reading bytes, from its current position, which is kept,
            - a Pillow image of any mode,
            - a NumPy array: grey (H, W) or (H, W, 1), RGB (H, W, 3), RGBA (H, W, 4),
            - a torch tensor: (H, W), (C, H, W) or (H, W, C),
            - anything that NumPy can read as such an array,
            - a file of RGB pixels that is mapped for reading, such as
              `np.memmap(path, np.uint8, "r", shape=(h, w, 3))` or `np.load(path, mmap_mode="r")`:
              it is used in place, however large, and must not change meanwhile,
            - an `Image`, which is answered as it is.

            EXIF orientation is honoured. Transparency is composited over white. Numbers other than
            `uint8` are scaled as the module `segwidget.media.arrays` says.
        name: what to call the image; by default the file's name, or "image".
        max_pixels: images of more than this many pixels are refused before they are decoded; by
            default `MAX_PIXELS`, or `MAX_MAPPED_PIXELS` of a file that is mapped.

    Returns:
        The opened image, with its own copy of the pixels unless they are mapped.

    Raises:
        ImageError: a missing, damaged, foreign or huge file, a URL, or an array of another shape.
    """
    if isinstance(source, Image):
        if max_pixels is not None:
            check_pixels(source.width, source.height, name or source.name, max_pixels)
        return source if name is None or name == source.name else replace(source, name=name)
    called = name if name is not None else _name_of(source)
    if _is_mapped(source) and _is_rgb(source):
        limit = MAX_MAPPED_PIXELS if max_pixels is None else max_pixels
        check_pixels(source.shape[1], source.shape[0], called, limit)
        return Image(source, called)
    pixels = _read(source, called, MAX_PIXELS if max_pixels is None else max_pixels)
    pixels.flags.writeable = False
    return Image(pixels, called)


def _is_mapped(array: object) -> bool:
    """Whether this is (a part of) a file that is mapped for reading only."""
    return isinstance(array, np.memmap) and array.mode == "r" and not array.flags.writeable


def _is_rgb(array: NDArray[Any]) -> bool:
    """Whether an array can be used as it is."""
    shaped = array.ndim == 3 and array.shape[2] == 3 and array.size > 0
    return shaped and array.dtype == np.uint8 and array.flags.c_contiguous


def _read(source: ImageSource, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """The source's RGB pixels, a new `uint8` array (H, W, 3)."""
    if isinstance(source, str | os.PathLike):
        return _read_path(os.fspath(source), name, max_pixels)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_file(BytesIO(source), name, max_pixels)
    if isinstance(source, PILImage.Image):
        return pil_to_rgb(source, name, max_pixels)
    if is_tensor(source):
        _check_array_size(source.shape, name, max_pixels)
        return tensor_to_rgb(source)
    if callable(getattr(source, "read", None)):
        return _read_stream(source, name, max_pixels)
    if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        array = np.asarray(source)
        _check_array_size(array.shape, name, max_pixels)
        return array_to_rgb(array)
    hint = "Pass numpy.asarray(...) of it." if isinstance(source, list | tuple) else "Convert it."
    raise ImageError(
        f"A {type(source).__name__} is not an image; expected a path, a file's bytes, an open "
        f"file, a Pillow image, a NumPy array or a torch tensor. {hint}"
    )


def _read_path(path: str | bytes, name: str, max_pixels: int) -> NDArray[np.uint8]:
    text = os.fsdecode(path)
    if _URL.match(text):
        raise ImageError(
            f"{_short(text)!r} is a URL, and nothing is fetched from the network. Download the "
            "image first, and pass the file's path or its bytes."
        )
    if not text.strip() or "\0" in text:
        raise ImageError(f"{text!r} is not a path; expected the path of an image file.")
    file = Path(text)
    try:
        if text.startswith("~") and not file.exists():
            file = file.expanduser()
        if file.is_dir():
            raise ImageError(
                f"{text!r} is a folder; expected an image file. Pass the path of one image in it."
            )
        if file.exists() and not file.is_file():
            raise ImageError(f"{text!r} is not a regular file; expected an image file.")
        with file.open("rb") as stream:
            return decode_file(stream, name, max_pixels)
    except FileNotFoundError as error:
        where = "" if file.is_absolute() else f" in {str(Path.cwd())!r}"
        raise ImageError(
            f"There is no file {_short(text)!r}{where}. Check the spelling and the folder."
        ) from error
    except (OSError, RuntimeError) as error:  # RuntimeError: "~nobody" has no home
        raise ImageError(
            f"{_short(text)!r} cannot be read: {getattr(error, 'strerror', None) or error}. "
            "Check the path and its permissions."
        ) from error


def _read_stream(stream: IO[bytes], name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Read an open file to its end, and put its position back where that is possible."""
    try:
        start = stream.tell() if stream.seekable() else None
        data = stream.read()
        if start is not None:
            stream.seek(start)
    except (OSError, ValueError, AttributeError) as error:
        raise ImageError(
            f"The open file {name!r} cannot be read: {error}. Open it again with open(path, 'rb')."
        ) from error
    if not isinstance(data, bytes):
        raise ImageError(
            f"The open file {name!r} gives {type(data).__name__}; expected bytes. "
            "Open it with open(path, 'rb')."
        )
    if not data:
        raise ImageError(
            f"The open file {name!r} has nothing left to read; expected an image. "
            "If it was read before, call seek(0) first."
        )
    return decode_file(BytesIO(data), name, max_pixels)


def _check_array_size(shape: tuple[int, ...], name: str, max_pixels: int) -> None:
    """Hold arrays to the same limit as files; odd shapes are refused later, with more to say."""
    if len(shape) == 2:
        pixels = shape[0] * shape[1]
    elif len(shape) == 3:
        pixels = shape[0] * shape[1] * shape[2] // max(1, min(shape))
    else:
        return
    if pixels > max_pixels:
        raise ImageError(
            f"{name!r} has the shape {tuple(shape)}; at most {max_pixels:,} pixels are opened. "
            "Shrink it, pass a larger max_pixels to open_image, or map a file of RGB pixels: "
            "np.memmap(path, np.uint8, 'r', shape=(h, w, 3))."
        )


def _name_of(source: ImageSource) -> str:
    """A file's name without its folder, where the source knows one."""
    if isinstance(source, str | os.PathLike):
        path: object = os.fspath(source)
    else:
        path = getattr(source, "filename", None) or getattr(source, "name", None)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str):
        return "image"
    # File systems allow names that are not Unicode; JSON and browsers do not.
    return Path(path).name.encode("utf-8", "replace").decode() or "image"


def _short(text: str) -> str:
    """A text that fits into a sentence: a data URL may be as long as an image."""
    return text if len(text) <= 200 else f"{text[:200]}…"
