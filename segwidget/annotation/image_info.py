"""What annotations know of their image."""

from __future__ import annotations

import operator
from dataclasses import dataclass

from segwidget.errors import AnnotationError
from segwidget.media.image import Image


@dataclass(frozen=True)
class ImageInfo:
    """What annotations know of their image.

    Attributes:
        name: such as the file's name; only ever text, never opened as a path.
        width: pixels from left to right.
        height: pixels from top to bottom.
        sha256: of the pixels (`Image.sha256`), in hex; "" where it is unknown.

    Raises:
        AnnotationError: an impossible size, or values of another kind.
    """

    name: str
    width: int
    height: int
    sha256: str = ""

    def __post_init__(self) -> None:
        for key in ("name", "sha256"):
            if not isinstance(getattr(self, key), str):
                raise AnnotationError(
                    f"The {key} of an image is {getattr(self, key)!r}; expected text."
                )
        for key in ("width", "height"):
            value = getattr(self, key)
            try:
                size = operator.index(value)
            except TypeError:
                size = 0
            if size < 1:
                raise AnnotationError(
                    f"The {key} of an image is {value!r}; expected at least one whole pixel."
                )
            object.__setattr__(self, key, size)

    @classmethod
    def of(cls, image: Image) -> ImageInfo:
        """What annotations know of an opened image."""
        return cls(image.name, image.width, image.height, image.sha256)
