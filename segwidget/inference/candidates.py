"""Candidates: the scored masks with which the model answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from segwidget.inference.derived import Derived
from segwidget.inference.huge_masks import mask_in_box
from segwidget.inference.preprocessing import Frame
from segwidget.inference.region import Region
from segwidget.inference.rle import Rle
from segwidget.media.shrink import HUGE

STABILITY_OFFSET = 1.0


class Candidate(NamedTuple):
    """One candidate.

    Attributes:
        mask: ``(H, W)`` bool.
        predicted_iou: what the model believes the mask's IoU to be.
        stability_score: see :attr:`Candidates.stability_score`.
    """

    mask: NDArray[np.bool_]
    predicted_iou: float
    stability_score: float


@dataclass(frozen=True, eq=False)
class Candidates:
    """The model's answer to a prompt, best first.

    One ambiguous point has the masks of the three tokens for such by predicted IoU, and behind them
    that of the single-mask token. A richer prompt has the single mask first, then the other three.

    Attributes:
        low_res_logits: ``(C, s, s)`` float32; above 0 is the mask. May be given back to the model
            as a mask prompt.
        predicted_iou: ``(C,)`` float32.
        frame: how the image, or the region of it, lies in the logits.
        tokens: for each, which of the decoder's mask tokens it comes from: 0 the single-mask token,
            1 to 3 those for ambiguous prompts. Empty where that is not known.
        region: the part of the image that was looked at, where that is not all of it. Masks are of
            the image's size all the same, and empty outside of the region.
        derived: what stood for a polygon or a mask when the network was asked.
    """

    low_res_logits: NDArray[np.float32]
    predicted_iou: NDArray[np.float32]
    frame: Frame
    tokens: tuple[int, ...] = ()
    region: Region | None = None
    derived: Derived | None = None

    def __len__(self) -> int:
        return len(self.predicted_iou)

    def __getitem__(self, index: int) -> Candidate:
        return Candidate(
            self.mask(index), float(self.predicted_iou[index]), float(self.stability_score[index])
        )

    def __iter__(self) -> Iterator[Candidate]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        scores = ", ".join(f"{s:.2f}" for s in self.predicted_iou)
        height, width = self.image_size
        return f"Candidates({width} × {height}, predicted IoU {scores})"

    @property
    def image_size(self) -> tuple[int, int]:
        """``(height, width)`` of the image, and so of the masks."""
        if self.region is not None:
            return self.region.image_size
        return self.frame.height, self.frame.width

    @property
    def corner(self) -> tuple[int, int]:
        """``(x, y)`` of the upper left pixel of what was looked at."""
        return (0, 0) if self.region is None else self.region.box[:2]

    @property
    def seen_logits(self) -> NDArray[np.float32]:
        """``(C, rows, columns)``: the logits without those of the padding."""
        rows, columns = self.frame.logits_shape
        return self.low_res_logits[:, :rows, :columns]

    @cached_property
    def stability_score(self) -> NDArray[np.float32]:
        """``(C,)`` IoU of the masks at thresholds +1 and −1 ("Segment Anything", section 5).

        Computed from the low-resolution logits, which differs little and costs nothing.
        """
        logits = self.seen_logits
        high = (logits > STABILITY_OFFSET).sum(axis=(1, 2))
        low = (logits > -STABILITY_OFFSET).sum(axis=(1, 2))
        score: NDArray[np.float32] = (high / np.maximum(low, 1)).astype(np.float32)
        return score

    @cached_property
    def masks(self) -> NDArray[np.bool_]:
        """``(C, H, W)`` bool at the image's size; made when first asked for."""
        if self.region is None:
            return self._parts
        out = np.zeros((len(self), *self.image_size), bool)
        x0, y0, x1, y1 = self.region.box
        out[:, y0:y1, x0:x1] = self._parts
        return out

    def mask(self, index: int, threshold: float = 0.0) -> NDArray[np.bool_]:
        """One mask, ``(H, W)`` bool, without making the others.

        Args:
            index: which one, 0 the best.
            threshold: logits above it are the mask; a stricter one is higher than the model's 0.
        """
        part = self._part(index, threshold)
        if self.region is None:
            return part
        mask = np.zeros(self.image_size, bool)
        x0, y0, x1, y1 = self.region.box
        mask[y0:y1, x0:x1] = part
        return mask

    def rle(self, index: int, threshold: float = 0.0) -> Rle:
        """One mask as run lengths, without making all of it where it need not be.

        Args:
            index: which one, 0 the best.
            threshold: logits above it are the mask.
        """
        x, y = self.corner
        if self._is_huge:
            part, (left, top) = mask_in_box(self.frame, self.low_res_logits[index], threshold)
            return Rle.encode_box(part, (x + left, y + top), self.image_size)
        whole = self._part(index, threshold)
        left, top, right, bottom = mask_box(whole)
        return Rle.encode_box(whole[top:bottom, left:right], (x + left, y + top), self.image_size)

    @cached_property
    def area(self) -> NDArray[np.int64]:
        """``(C,)`` pixels of each mask."""
        area: NDArray[np.int64] = self._parts.sum(axis=(1, 2), dtype=np.int64)
        return area

    @cached_property
    def box(self) -> NDArray[np.float32]:
        """``(C, 4)`` ``xyxy`` edges of each mask in pixels; zeros where it is empty."""
        boxes = np.array([mask_box(part) for part in self._parts], np.float32).reshape(-1, 4)
        boxes[boxes[:, 2] > 0] += np.tile(np.array(self.corner, np.float32), 2)
        return boxes

    @cached_property
    def _parts(self) -> NDArray[np.bool_]:
        """``(C, h, w)``: the masks within what was looked at."""
        out = np.empty((len(self), self.frame.height, self.frame.width), bool)
        for i in range(len(self)):
            out[i] = self._upsampled(i)
        return out

    def _part(self, index: int, threshold: float) -> NDArray[np.bool_]:
        if threshold == 0 and "_parts" in self.__dict__:
            chosen: NDArray[np.bool_] = self._parts[index]
            return chosen
        return self._upsampled(index, threshold)

    @property
    def _is_huge(self) -> bool:
        """Whether float32 logits of the size of what was looked at are better not made."""
        return self.frame.width * self.frame.height > HUGE

    def _upsampled(self, index: int, threshold: float = 0.0) -> NDArray[np.bool_]:
        if self._is_huge:
            part, (x, y) = mask_in_box(self.frame, self.low_res_logits[index], threshold)
            whole = np.zeros((self.frame.height, self.frame.width), bool)
            whole[y : y + part.shape[0], x : x + part.shape[1]] = part
            return whole
        logits = torch.from_numpy(self.low_res_logits[index]).unsqueeze(0)
        mask: NDArray[np.bool_] = (self.frame.upsample(logits)[0] > threshold).numpy()
        return mask


def mask_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """``(x0, y0, x1, y1)`` edges of an ``(H, W)`` mask; zeros where it is empty."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
