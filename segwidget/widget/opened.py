"""A project's images, opened; the last few stay open, since what comes next is opened ahead."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from segwidget.media.image import Image

MAX_OPEN = 5
MAX_PIXELS = 64_000_000  # in all of them; the newest stays, however large it is


class OpenedImages:
    """Opens images by their keys. Safe for threads.

    Args:
        opener: opens one.
    """

    def __init__(self, opener: Callable[[str], Image]) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._images: OrderedDict[str, Image] = OrderedDict()

    def open(self, key: str) -> Image:
        """An image, opened anew or found open.

        Raises:
            ImageError: it cannot be opened.
        """
        with self._lock:
            found = self._images.get(key)
            if found is not None:
                self._images.move_to_end(key)
                return found
        image = self._opener(key)
        with self._lock:
            self._images[key] = image
            while len(self._images) > 1 and (
                len(self._images) > MAX_OPEN
                or sum(i.width * i.height for i in self._images.values()) > MAX_PIXELS
            ):
                self._images.popitem(last=False)
        return image

    def close(self) -> None:
        """Let go of all."""
        with self._lock:
            self._images.clear()
