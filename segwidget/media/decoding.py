"""Image files as 8-bit RGB pixels, through Pillow.

Whatever a file holds, the answer is pixels or an `ImageError`: the bytes come from anywhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps, UnidentifiedImageError

from segwidget.errors import ImageError
from segwidget.media.arrays import array_to_rgb

# Raster formats with a signature. Left out on purpose: EPS and WMF run other programs or system
# interpreters, and formats without a signature (TGA and the like) claim files that are not theirs.
# fmt: off
FORMATS = frozenset({
    "AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO",
    "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "SUN", "TIFF", "WEBP",
})
# fmt: on

# What people hand in by mistake: the first bytes, and what they mean.
_FOREIGN = (
    (b"<!doctype html", "a web page, perhaps the answer of a failed download; download it again"),
    (b"<html", "a web page, perhaps the answer of a failed download; download it again"),
    (b"<svg", "a vector drawing (SVG); export it as PNG first"),
    (b"<?xml", "an XML file; export the drawing as PNG first"),
    (b"%pdf", "a PDF document; export its page as PNG first"),
    (b"%!ps", "a PostScript document; export it as PNG first"),
    (b"pk\x03\x04", "a ZIP archive; unpack it and pass one image"),
    (b"\x1f\x8b", "a gzip archive; unpack it and pass one image"),
    (b"version https://git-lfs", "a Git LFS pointer, not the image itself; run `git lfs pull`"),
    (b"\x93numpy", "a NumPy file; pass numpy.load(...)"),
)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings (odd EXIF, many pixels) from the person: we answer or we refuse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode_file(stream: IO[bytes], name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode the first frame of an image file.

    Args:
        stream: the file's bytes, seekable, at its beginning.
        name: what to call the file in a message.
        max_pixels: the largest width × height that is decoded; checked on the header.

    Returns:
        RGB pixels, a new `uint8` array (H, W, 3), turned upright as EXIF says.

    Raises:
        ImageError: not an image, damaged, or more pixels than the limit.
    """
    head = stream.read(512)
    stream.seek(0)
    if not head:
        raise ImageError(
            f"{name!r} is empty (0 bytes); expected an image file. Copy or download it again."
        )
    try:
        with _quiet():
            PILImage.init()
            known = sorted(FORMATS & PILImage.OPEN.keys())
            with PILImage.open(stream, formats=known) as image:
                return pil_to_rgb(image, name, max_pixels)
    except ImageError:
        raise
    except PILImage.DecompressionBombError as error:
        raise ImageError(
            f"{name!r} claims more pixels than Pillow decodes: {error} Shrink the image or cut it "
            "into tiles; for a file that you trust, raise PIL.Image.MAX_IMAGE_PIXELS."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name!r} is not an image that can be read: {_guess(head)}.") from error
    # Damaged files make Pillow's plugins raise almost anything: OSError, SyntaxError, struct.error,
    # zlib.error, KeyError, IndexError, OverflowError, MemoryError ...
    except Exception as error:
        raise _damaged(name, error) from error


def pil_to_rgb(image: PILImage.Image, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Turn a Pillow image (its current frame) into RGB pixels; the image itself is left alone.

    Palettes are resolved, CMYK and other color spaces converted (embedded color profiles are not
    applied), 16-bit and floating-point modes scaled as `segwidget.media.arrays` says, and
    transparency is composited over white.

    Args:
        image: any mode; it may not be loaded yet.
        name: what to call the image in a message.
        max_pixels: the largest width × height that is accepted.

    Returns:
        A new `uint8` array (H, W, 3), turned upright as EXIF says.

    Raises:
        ImageError: damaged, without pixels, or more pixels than the limit.
    """
    check_pixels(image.width, image.height, name, max_pixels)
    try:
        with _quiet():
            image.load()
            upright = _upright(image)
            mode = upright.mode
            if mode in ("I", "F") or mode.startswith("I;"):
                return array_to_rgb(np.asarray(upright))
            if upright.has_transparency_data:
                return array_to_rgb(np.asarray(upright.convert("RGBA")))
            return np.array(upright.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:  # as in decode_file: the file behind the image may be damaged
        raise _damaged(name, error) from error


def check_pixels(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse an image without pixels, or with more of them than the limit."""
    if width < 1 or height < 1:
        raise ImageError(
            f"{name!r} is {width} × {height} pixels; expected at least 1 × 1. "
            "Check the crop or the export that made it."
        )
    if width * height > max_pixels:
        raise ImageError(
            f"{name!r} is {width} × {height} = {width * height:,} pixels; at most {max_pixels:,} "
            "are opened, because a file may claim more than memory holds. Shrink the image or cut "
            "it into tiles, or pass a larger max_pixels to open_image."
        )


def _upright(image: PILImage.Image) -> PILImage.Image:
    """The image as its EXIF orientation wants it seen."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF: the pixels are still good, so take them as they lie
        return image


def _damaged(name: str, error: Exception) -> ImageError:
    if isinstance(error, MemoryError):
        return ImageError(
            f"{name!r} does not fit into memory. Shrink the image or cut it into tiles first."
        )
    detail = str(error).rstrip(".") or type(error).__name__
    return ImageError(
        f"{name!r} is damaged or cut short: {detail}. Copy or download the file again."
    )


def _guess(head: bytes) -> str:
    """What the first bytes of a file that is no image suggest, and what to do."""
    start = head.lstrip().lower()
    for signature, meaning in _FOREIGN:
        if start.startswith(signature):
            return f"it is {meaning}"
    if head[128:132] == b"DICM":
        return "it is a DICOM file; pass pydicom.dcmread(...).pixel_array"
    if head[4:8] == b"ftyp":
        return (
            "it is a video, or a photograph in a format such as HEIC; convert it to JPEG or PNG "
            "first, or pass one frame as an array"
        )
    return (
        f"its first bytes are {head[:8]!r}; expected a format such as PNG, JPEG, WebP, TIFF, BMP "
        "or GIF. Convert it first, or download it again"
    )
