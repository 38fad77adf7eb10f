"""What a data set's masks are like: SA-1B's own measures (Kirillov et al. 2023, section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segwidget.inference.rle import Rle

if TYPE_CHECKING:
    import pandas as pd

    from segwidget.annotation.annotation import Annotations

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Measures of N masks on M annotated images.

    Attributes:
        images: how many images there are, with masks or without.
        masks_per_image: (M,) whole numbers, at least 1.
        area_fraction: (N,) of the image, 0 to 1.
        relative_size: (N,) the square root of that, SA-1B's relative mask size.
        centers: (N, 2) x and y of the masks' centers of mass, 0 to 1 of the image.
        concavity: (N,) 1 − area / area of the convex hull; 0 is convex.
        predicted_iou: (N,) NaN where no model spoke.
        stability_score: (N,) likewise.
        seconds: (N,) spent on each mask, in the order in which they were kept; 0 where nobody
            spent any.
        labels: how many masks each label has, the most frequent first.
        origins: how many masks came to be in which way.
        judging: seconds that reviewers have spent, in all.
    """

    images: int
    masks_per_image: NDArray[np.int64]
    area_fraction: Floats
    relative_size: Floats
    centers: Floats
    concavity: Floats
    predicted_iou: Floats
    stability_score: Floats
    seconds: Floats
    labels: dict[str, int]
    origins: dict[str, int]
    judging: float = 0.0

    @property
    def masks(self) -> int:
        """How many masks there are."""
        return len(self.area_fraction)

    def summary(self) -> pd.Series:
        """The measures in a few numbers; NaN where there is nothing to measure."""
        import pandas as pd

        spent = self.seconds[self.seconds > 0]
        return pd.Series(
            {
                "images": self.images,
                "images with masks": len(self.masks_per_image),
                "masks": self.masks,
                "masks per image": _median(self.masks_per_image),
                "area fraction": _median(self.area_fraction),
                "concavity": _median(self.concavity),
                "predicted IoU": _median(self.predicted_iou),
                "stability": _median(self.stability_score),
                "seconds per mask": _median(spent),
                "seconds of judging": self.judging,
                "seconds in all": float(spent.sum()) + self.judging,
            },
            dtype=float,
        )

    def __repr__(self) -> str:
        return f"<Statistics of {self.masks} masks on {len(self.masks_per_image)} images>"


def measure(records: Iterable[Annotations], images: int, judging: float = 0.0) -> Statistics:
    """Measure the masks of images, one image in memory at a time.

    Args:
        records: the annotations of each image that has any.
        images: how many images there are in all.
        judging: seconds that reviewers have spent.
    """
    per_image: list[int] = []
    rows: list[tuple[float, ...]] = []
    times: list[tuple[str, float]] = []
    labels: dict[str, int] = {}
    origins: dict[str, int] = {}
    for record in records:
        if not len(record):
            continue
        per_image.append(len(record))
        width, height = record.image.width, record.image.height
        for item in record:
            x, y, concavity = shape_of(item.rle)
            scores = [
                np.nan if score is None else score
                for score in (item.predicted_iou, item.stability_score)
            ]
            fraction = item.area / (width * height)
            rows.append((fraction, x / width, y / height, concavity, *scores))
            times.append((item.created, item.seconds))
            labels[item.label] = labels.get(item.label, 0) + 1
            origins[item.origin] = origins.get(item.origin, 0) + 1
    table = np.array(rows, np.float64).reshape(-1, 6)
    return Statistics(
        images=images,
        masks_per_image=np.array(per_image, np.int64),
        area_fraction=table[:, 0],
        relative_size=np.sqrt(table[:, 0]),
        centers=table[:, 1:3],
        concavity=table[:, 3],
        predicted_iou=table[:, 4],
        stability_score=table[:, 5],
        seconds=np.array([seconds for _, seconds in sorted(times)], np.float64),
        labels=dict(sorted(labels.items(), key=lambda pair: -pair[1])),
        origins=dict(sorted(origins.items(), key=lambda pair: -pair[1])),
        judging=judging,
    )


def shape_of(rle: Rle) -> tuple[float, float, float]:
    """A mask's center of mass (x, y) in pixels, and its concavity.

    The hull is that of the pixels' corners, so a rectangle has the concavity 0 exactly, as has a
    mask with nothing inside.
    """
    from scipy.spatial import ConvexHull

    mask, (left, top) = rle.decode_box()
    rows, columns = mask.sum(axis=1), mask.sum(axis=0)
    area = int(rows.sum())
    if not area:
        return 0.0, 0.0, 0.0
    x = left + float(columns @ (np.arange(columns.size) + 0.5)) / area
    y = top + float(rows @ (np.arange(rows.size) + 0.5)) / area
    filled = np.flatnonzero(rows)
    first = mask[filled].argmax(axis=1)
    last = mask.shape[1] - mask[filled, ::-1].argmax(axis=1)
    ends = np.concatenate([first, first, last, last])
    lines = np.concatenate([filled, filled + 1, filled, filled + 1])
    hull = float(ConvexHull(np.column_stack([ends, lines])).volume)  # in the plane: its area
    return x, y, max(0.0, 1 - area / hull)


def _median(values: NDArray[np.float64] | NDArray[np.int64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")
