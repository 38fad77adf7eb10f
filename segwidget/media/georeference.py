"""Where on the map a GeoTIFF's pixels lie (OGC GeoTIFF 1.1, sections 7.1 and B.6)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

_SCALE, _TIE_POINTS, _MATRIX, _KEYS, _ORIENTATION = 33550, 33922, 34264, 34735, 274
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED = 1025, 2048, 3072
_PIXEL_IS_POINT, _LAST_CODE = 2, 32766  # 32767 is a system that no code stands for


@dataclass(frozen=True)
class Georeference:
    """An affine map from pixels to a coordinate system.

    Attributes:
        transform: (a, b, c, d, e, f): X = a x + b y + c, Y = d x + e y + f, where (x, y) are pixels
            from the image's upper left corner.
        epsg: the code of the coordinate system, such as 32633.

    Raises:
        ValueError: numbers that are not finite, or a map that cannot be undone.
    """

    transform: tuple[float, float, float, float, float, float]
    epsg: int

    def __post_init__(self) -> None:
        a, b, _, d, e, _ = self.transform
        if not all(map(math.isfinite, self.transform)) or a * e == b * d:
            raise ValueError(f"{self.transform} is no map that can be undone.")

    @property
    def flips(self) -> bool:
        """Whether what turns clockwise among pixels turns the other way on the map."""
        a, b, _, d, e, _ = self.transform
        return a * e < b * d

    def to_map(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (N, 2) as coordinates (N, 2)."""
        a, b, c, d, e, f = self.transform
        mapped: NDArray[np.float64] = points @ np.array([[a, d], [b, e]]) + [c, f]
        return mapped

    def to_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates (N, 2) as pixels (N, 2)."""
        a, b, c, d, e, f = self.transform
        pixels: NDArray[np.float64] = (points - [c, f]) @ np.linalg.inv([[a, d], [b, e]])
        return pixels


def read_georeference(path: str | PathLike[str]) -> Georeference | None:
    """What a TIFF file says; None where it is no TIFF, or says nothing that can be used."""
    if Path(path).suffix.lower() not in (".tif", ".tiff"):
        return None
    try:
        with PILImage.open(path, formats=["TIFF"]) as picture:
            tags: Any = getattr(picture, "tag_v2", {})
            found = {
                key: tags.get(key) for key in (_SCALE, _TIE_POINTS, _MATRIX, _KEYS, _ORIENTATION)
            }
        # A turned picture's pixels are elsewhere than its tags say.
        if found[_ORIENTATION] not in (None, 1):
            return None
        keys = _geokeys(found[_KEYS] or ())
        epsg = keys.get(_PROJECTED) or keys.get(_GEOGRAPHIC) or 0
        transform = _transform(found)
        if transform is None or not 0 < epsg <= _LAST_CODE:
            return None
        a, b, c, d, e, f = transform
        if keys.get(_RASTER_TYPE) == _PIXEL_IS_POINT:  # the numbers are of pixels' centers
            c, f = c - (a + b) / 2, f - (d + e) / 2
        return Georeference((a, b, c, d, e, f), epsg)
    except Exception:  # a damaged file is told of where its pixels are read
        return None


def _transform(tags: dict[int, Any]) -> tuple[float, ...] | None:
    matrix, scale, ties = tags[_MATRIX], tags[_SCALE], tags[_TIE_POINTS]
    if matrix is not None:
        return tuple(float(matrix[place]) for place in (0, 1, 3, 4, 5, 7))
    if scale is None or ties is None or len(ties) != 6:  # more points say no affine map
        return None
    x, y, _, east, north, _ = map(float, ties)
    a, e = float(scale[0]), -float(scale[1])
    return a, 0.0, east - a * x, 0.0, e, north - e * y


def _geokeys(directory: Sequence[int]) -> dict[int, int]:
    """The keys whose values stand in the directory itself."""
    rows = [directory[at : at + 4] for at in range(4, len(directory) - 3, 4)]
    return {int(key): int(value) for key, place, _, value in rows if place == 0}
