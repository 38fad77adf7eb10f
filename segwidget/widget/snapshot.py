"""A still picture of the work: what a saved notebook shows where there is no kernel."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageColor
from PIL.PngImagePlugin import PngInfo

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.errors import ImageError
from segwidget.widget.binding import SessionWidget

SNAPSHOT_SIDE = 800
SNAPSHOT_BYTES = 300_000
#: The keyword of a snapshot's first text chunk; ``js/src/host/still.ts`` looks for it.
MARK = "segwidget"

FILL = 0.4  # opacity of a mask; its outline is opaque
ORPHAN = "#8a8f98"  # the color of a label that is no longer in the list


class SnapshotWidget(SessionWidget):
    """A widget that leaves a picture of itself wherever it is displayed."""

    def snapshot(self, max_side: int = SNAPSHOT_SIDE) -> PILImage.Image:
        """The image with the kept masks over it, in their labels' colors; hidden ones are left out.

        Args:
            max_side: of the picture's longer side, in pixels; nothing is enlarged.

        Raises:
            ImageError: a side below 1 pixel.
        """
        given: Any = max_side
        if not isinstance(given, int) or given < 1:
            raise ImageError(
                f"max_side is {max_side!r}; expected a whole number of pixels from 1. "
                "Pass 800, say."
            )
        with self._lock:
            shown = [a for a in self._session.annotations if a.visible]
            labels = self._session.labels
            preview = self.image_json["data"]
        with PILImage.open(BytesIO(preview)) as file:
            picture = file.convert("RGB")
        picture.thumbnail((max_side, max_side), PILImage.Resampling.LANCZOS)
        return draw_masks(picture, shown, labels)

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The live widget; and for whoever has no kernel, a picture of it as it is now."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        data["image/png"] = self._png()
        return data, metadata

    def _png(self) -> str:
        """The picture of now as it stands in a notebook, base64."""
        return base64.b64encode(to_png(self.snapshot(), SNAPSHOT_BYTES)).decode("ascii")

    def __repr__(self) -> str:
        image = self.image
        kept = len(self._session.annotations)
        masks = "1 mask" if kept == 1 else f"{kept} masks"
        return f"{type(self).__name__}({image.name!r}, {image.width} × {image.height}, {masks})"


def draw_masks(
    picture: PILImage.Image, annotations: Iterable[Annotation], labels: LabelSet
) -> PILImage.Image:
    """Draw masks over a picture, each a translucent color with a line along its inner edge.

    Args:
        picture: RGB, the annotations' image at any size.
        annotations: the oldest first; later ones lie on top.
        labels: where the colors come from.

    Returns:
        A new RGB picture.
    """
    pixels = np.array(picture.convert("RGB"))
    colors = {label.name: label.color for label in labels}
    for annotation in annotations:
        color = np.array(ImageColor.getrgb(colors.get(annotation.label, ORPHAN))[:3], np.float32)
        mask, (x, y) = _shrunk(annotation, pixels.shape[1], pixels.shape[0])
        part = pixels[y : y + mask.shape[0], x : x + mask.shape[1]]
        part[mask] = np.rint(part[mask] * (1 - FILL) + color * FILL).astype(np.uint8)
        part[mask & ~_eroded(mask)] = color.astype(np.uint8)
    return PILImage.fromarray(pixels)


def to_png(picture: PILImage.Image, max_bytes: int) -> bytes:
    """Encode a picture as PNG of at most so many bytes.

    As it is where it fits, else in 256 colors, and where even that is too much, smaller. The first
    thing in it after its size is a note by which a page tells it from other pictures.

    Args:
        picture: RGB.
        max_bytes: of the file.
    """
    data = _png(picture)
    while len(data) > max_bytes:
        data = _png(picture.quantize(256, PILImage.Quantize.FASTOCTREE))
        if min(picture.size) <= 1:
            break
        width, height = (max(1, side * 4 // 5) for side in picture.size)
        picture = picture.resize((width, height), PILImage.Resampling.LANCZOS)
    return data


def _png(picture: PILImage.Image) -> bytes:
    note = PngInfo()
    note.add_text(MARK, "")
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=6, pnginfo=note)
    return buffer.getvalue()


def _shrunk(
    annotation: Annotation, width: int, height: int
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """A mask at a picture's size, sampled at its pixels' centers, only where the mask's box is.

    Returns:
        (h, w) bool, and the (x, y) of its upper left pixel in the picture. No mask vanishes: a
        thing smaller than a pixel takes one.
    """
    full_height, full_width = annotation.rle.size
    mask, (left, top) = annotation.rle.decode_box()
    if not mask.size:
        return np.zeros((0, 0), np.bool_), (0, 0)
    # One pixel around it, since a center may lie just outside.
    mask = np.pad(mask, 1)
    columns, x = _centers(left, mask.shape[1] - 2, width / full_width, width)
    rows, y = _centers(top, mask.shape[0] - 2, height / full_height, height)
    small = mask[np.ix_(rows, columns)]
    if not small.any():
        small[small.shape[0] // 2, small.shape[1] // 2] = True
    return small, (x, y)


def _centers(start: int, length: int, scale: float, limit: int) -> tuple[NDArray[np.intp], int]:
    """Which of `length` full-size pixels from `start` on lie below the centers of small ones.

    Returns:
        For each small pixel that the range touches: 0 where its center lies before the range, else
        1 + the index in the range, `length` + 1 where it lies behind. And the first of them.
    """
    first = min(int(start * scale), limit - 1)
    last = min(max(int(np.ceil((start + length) * scale)), first + 1), limit)
    centers = (np.arange(first, last) + 0.5) / scale
    return np.clip(centers.astype(np.intp) - start + 1, 0, length + 1), first


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its outermost pixels; beyond the array there is nothing."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, :-2] & padded[1:-1, 2:] & padded[:-2, 1:-1] & padded[2:, 1:-1]
    return mask & inner
