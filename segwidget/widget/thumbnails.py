"""Small pictures of a project's images, made on a thread when they are first looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageColor

from segwidget.annotation.annotation import Annotation
from segwidget.errors import SegwidgetError
from segwidget.media.image import Image
from segwidget.media.shrink import resized
from segwidget.widget import threads

SIDE = 224  # pixels of the longer side: sharp at half of that on a fine screen
MAX_KEPT = 600  # of some 100 kB each

#: What there is to see of an image: its pixels, or why there are none.
Thumbnail: TypeAlias = "NDArray[np.uint8] | SegwidgetError"


class Thumbnails:
    """Thumbnails by the images' keys; those that are wanted last come first.

    Args:
        opener: opens an image by its key; called on the thread.
        side: of a thumbnail's longer side, in pixels; nothing is enlarged.
    """

    def __init__(self, opener: Callable[[str], Image], side: int = SIDE) -> None:
        self._opener, self.side = opener, side
        self._changed = threading.Condition()
        self._kept: OrderedDict[str, Thumbnail] = OrderedDict()
        self._wanted: dict[int, tuple[list[str], Callable[[str], None]]] = {}  # by who wants them
        self._running = self._closed = False

    def get(self, key: str) -> Thumbnail | None:
        """A thumbnail, uint8 (h, w, 3), or what is wrong with the image; None while unmade."""
        with self._changed:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def make(self, key: str) -> Thumbnail:
        """A thumbnail, or what is wrong with the image; made at once, on the caller's thread."""
        found = self.get(key)
        if found is not None:
            return found
        try:
            return self.put(key, self._opener(key))
        except SegwidgetError as e:
            return self.put(key, e)
        except Exception as e:  # of the person's own source of images
            return self.put(key, SegwidgetError(f"{key!r} cannot be opened: {e}"))

    def put(self, key: str, image: Image | SegwidgetError) -> Thumbnail:
        """Make a thumbnail of an image that somebody has opened anyway, or tell of a failure."""
        made: Thumbnail = image if isinstance(image, SegwidgetError) else shrink(image, self.side)
        with self._changed:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return made

    def want(self, owner: object, keys: Iterable[str], tell: Callable[[str], None]) -> None:
        """Make thumbnails soon, in order, instead of what the same owner wanted before.

        Args:
            owner: who wants them.
            keys: of the images.
            tell: called on the thread with each key whose thumbnail is there now.
        """
        with self._changed:
            missing = [key for key in keys if key not in self._kept]
            self._wanted.pop(id(owner), None)
            if missing and not self._closed:
                self._wanted[id(owner)] = missing, tell
                if not self._running:
                    self._running = True
                    threads.begin(self._run, "segwidget-thumbnails")

    def forget(self, owner: object) -> None:
        """Make no more for an owner."""
        with self._changed:
            self._wanted.pop(id(owner), None)
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to make; False when `timeout` seconds pass."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout)

    def close(self) -> None:
        """Make no more at all."""
        with self._changed:
            self._closed = True
            self._wanted.clear()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            key, tell = job
            self.make(key)
            tell(key)

    def _next(self) -> tuple[str, Callable[[str], None]] | None:
        with self._changed:
            while self._wanted and not threads.ending():
                owner = next(reversed(self._wanted))
                keys, tell = self._wanted[owner]
                if keys:
                    return keys.pop(0), tell
                del self._wanted[owner]
            self._running = False
            self._changed.notify_all()
            return None


def shrink(image: Image, side: int) -> NDArray[np.uint8]:
    """An image's pixels, uint8 (h, w, 3), its longer side at most `side`."""
    scale = min(1.0, side / max(image.width, image.height))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size == (image.width, image.height):
        return image.pixels
    return np.asarray(resized(image.pixels, size, PILImage.Resampling.BOX, gap=2))


def overlaid(
    thumbnail: NDArray[np.uint8],
    annotations: Iterable[Annotation],
    colors: Mapping[str, str],
    fill: float = 0.45,
) -> NDArray[np.uint8]:
    """A thumbnail with masks over it, each in its label's color with a firm edge.

    Args:
        thumbnail: uint8 (h, w, 3) of all of the image.
        annotations: of the image; hidden ones are left out.
        colors: "#rrggbb" by label; a label that is missing is gray.
        fill: opacity inside.
    """
    out = thumbnail.astype(np.float32)
    for annotation in annotations:
        if not annotation.visible:
            continue
        inside = small_mask(annotation, thumbnail.shape[:2])
        color = np.array(ImageColor.getrgb(colors.get(annotation.label, "#8b95a1")), np.float32)
        out[inside] += fill * (color - out[inside])
        out[inside & ~eroded(inside)] = color
    return out.round().astype(np.uint8)


def small_mask(annotation: Annotation, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask as bool (h, w) of a thumbnail's shape; it never vanishes, however small it is."""
    mask = annotation.mask
    (height, width), (h, w) = mask.shape, shape[:2]
    rows = np.minimum(((np.arange(h) + 0.5) * height / h).astype(int), height - 1)
    columns = np.minimum(((np.arange(w) + 0.5) * width / w).astype(int), width - 1)
    small: NDArray[np.bool_] = mask[np.ix_(rows, columns)]
    if not small.any():
        x0, y0, x1, y1 = annotation.box
        row, column = int((y0 + y1) / 2 * h / height), int((x0 + x1) / 2 * w / width)
        small[min(row, h - 1), min(column, w - 1)] = True
    return small


def eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without its outermost pixels."""
    padded = np.pad(mask, 1)
    inner: NDArray[np.bool_] = (
        padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    )
    return mask & inner


def jpeg(pixels: NDArray[np.uint8], quality: int = 82) -> bytes:
    """Pixels as a JPEG file."""
    buffer = BytesIO()
    PILImage.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
