"""What can be chosen in everything mode, under the names and with the defaults of the paper."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwidget.errors import PromptError


class Thresholds(NamedTuple):
    """What a model's scores must reach.

    Attributes:
        pred_iou_thresh: the predicted IoU.
        stability_score_thresh: the stability score.
        stability_score_offset: how far the thresholds lie apart whose masks the score compares.
    """

    pred_iou_thresh: float
    stability_score_thresh: float
    stability_score_offset: float


MOST_POINTS_PER_SIDE = 1024
#: As published for SAM.
PUBLISHED = Thresholds(0.88, 0.95, 1.0)
#: By the family in a network's ``variant``; those that are not here take the published ones.
RECOMMENDED = {
    # Its logits are softer and its predicted IoUs lower than SAM's.
    "compact": Thresholds(0.55, 0.6, 1.0),
    "sam2": Thresholds(0.8, 0.95, 1.0),  # as published for SAM 2
}


@dataclass(frozen=True)
class EverythingSettings:
    """The settings of everything mode.

    Attributes:
        points_per_side: points along one side of the grid, in the whole image; at most 1024, a
            point for each pixel of the published network's input.
        points_per_batch: points that are asked about at once; None measures which number is the
            fastest.
        pred_iou_thresh: masks must have a higher predicted IoU; None is the model's own threshold.
        stability_score_thresh: masks must have at least this stability score; None likewise.
        stability_score_offset: the stability score is the IoU of the mask at so much above and so
            much below the threshold of logits; None likewise.
        box_nms_thresh: of two masks whose boxes have a higher IoU, only the better one is kept.
        crop_n_layers: layers of crops that are looked at beside the whole image; layer i has
            ``(2 ** i) ** 2`` crops.
        crop_nms_thresh: as ``box_nms_thresh``, between crops; the smaller crop's mask is kept.
        crop_overlap_ratio: how far crops overlap, as a share of the image's shorter side; later
            layers have less.
        crop_n_points_downscale_factor: layer n has ``points_per_side`` over this to the power n.
        point_grids: points in place of the grid, ``(N, 2)`` of 0 to 1, one array for the whole
            image and one for each layer; needs ``points_per_side=None``.
        min_mask_region_area: holes and islands of fewer pixels are removed, if above 0.
        scores_from: ``"full"`` measures stability, box and area at the image's size, as published;
            ``"low_res"`` measures them on the network's own logits, which is faster and
            approximate: some masks come and go.
        memory_budget: bytes that may be used beyond the model, the image and its embedding; None
            takes what is free, and leaves some. Crops are embedded one after the other, each of
            which takes as much as the whole image did.

    Raises:
        PromptError: impossible values.
    """

    points_per_side: int | None = 32
    points_per_batch: int | None = None
    pred_iou_thresh: float | None = None
    stability_score_thresh: float | None = None
    stability_score_offset: float | None = None
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: Sequence[NDArray[np.floating[Any]]] | None = None
    min_mask_region_area: int = 0
    scores_from: Literal["full", "low_res"] = "full"
    memory_budget: int | None = None

    def __post_init__(self) -> None:
        for name in ("points_per_side", "points_per_batch", "memory_budget"):
            if getattr(self, name) is not None:
                self._whole(name, 1)
        if self.points_per_side is not None and self.points_per_side > MOST_POINTS_PER_SIDE:
            raise _wrong(
                "points_per_side",
                self.points_per_side,
                f"at most {MOST_POINTS_PER_SIDE}, since time and memory grow with its square; "
                "crop_n_layers=1 finds smaller things",
            )
        for name in ("crop_n_layers", "min_mask_region_area"):
            self._whole(name, 0)
        self._whole("crop_n_points_downscale_factor", 1)
        for name in ("pred_iou_thresh", "stability_score_thresh", "stability_score_offset"):
            if getattr(self, name) is not None:
                self._number(name)
        for name in ("box_nms_thresh", "crop_nms_thresh", "crop_overlap_ratio"):
            self._number(name)
        if self.stability_score_offset is not None and self.stability_score_offset < 0:
            raise _wrong("stability_score_offset", self.stability_score_offset, "at least 0")
        if not 0 <= self.crop_overlap_ratio < 1:
            raise _wrong("crop_overlap_ratio", self.crop_overlap_ratio, "from 0 to below 1")
        if self.scores_from not in ("full", "low_res"):
            raise _wrong("scores_from", self.scores_from, '"full" or "low_res"')
        if (self.points_per_side is None) == (self.point_grids is None):
            raise PromptError(
                f"points_per_side is {self.points_per_side} and point_grids is "
                f"{'None' if self.point_grids is None else 'given'}; expected exactly one of them. "
                "With grids of your own, pass points_per_side=None."
            )
        if self.point_grids is not None:
            object.__setattr__(self, "point_grids", self._checked_grids())

    def resolved(self, variant: str) -> EverythingSettings:
        """Thresholds filled in that a model recommends.

        Args:
            variant: of its network, whose first word is the family.
        """
        own = RECOMMENDED.get(variant.split("-")[0], PUBLISHED)
        given = {name: getattr(self, name) for name in Thresholds._fields}
        return replace(
            self, **{name: getattr(own, name) for name, value in given.items() if value is None}
        )

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds; those that are None are the published ones."""
        return Thresholds(*(
            published if getattr(self, name) is None else float(getattr(self, name))
            for name, published in PUBLISHED._asdict().items()
        ))  # fmt: skip

    def _whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        try:
            number = least - 1 if isinstance(value, bool) else operator.index(value)
        except TypeError:
            number = least - 1
        if number < least:
            raise _wrong(name, value, f"a whole number from {least}")
        object.__setattr__(self, name, number)

    def _number(self, name: str) -> None:
        value = getattr(self, name)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise _wrong(name, value, "a finite number")
        object.__setattr__(self, name, number)

    def _checked_grids(self) -> tuple[NDArray[np.float64], ...]:
        expected = "arrays (N, 2) of numbers from 0 to 1"
        try:
            grids = tuple(np.array(grid, np.float64) for grid in self.point_grids or ())
        except (TypeError, ValueError) as error:
            raise PromptError(f"The point_grids are no numbers; expected {expected}.") from error
        if len(grids) <= self.crop_n_layers:
            raise PromptError(
                f"There are {len(grids)} point_grids for {self.crop_n_layers} layers of crops; "
                f"expected one for the whole image and one for each layer."
            )
        for grid in grids:
            if grid.ndim != 2 or grid.shape[1] != 2 or not ((grid >= 0) & (grid <= 1)).all():
                raise PromptError(
                    f"One of the point_grids has the shape {grid.shape}, or points outside; "
                    f"expected {expected}."
                )
            grid.flags.writeable = False
        return grids


def _wrong(name: str, value: object, expected: str) -> PromptError:
    return PromptError(f"{name} is {value!r}; expected {expected}.")


NAMES = tuple(field.name for field in fields(EverythingSettings))
