"""What becomes of masks that were found: held, thinned out, cleaned, and told as proposals.

Until it is known which masks are duplicates they are held as logits, which are small, while the
budget has room for them; run lengths are made of those that survive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segwidget.inference.everything.canvas import Canvas, Piece, Window, unroll
from segwidget.inference.everything.filters import non_maximum, without_crumbs
from segwidget.inference.everything.grid import Crop
from segwidget.inference.everything.proposal import Proposal
from segwidget.inference.everything.settings import EverythingSettings
from segwidget.inference.rle import pack


@dataclass
class Found:
    """A mask that is good and stable; it may yet be a duplicate.

    Attributes:
        inner: its outermost pixels ``(x0, y0, x1, y1)``, inclusive, which is what the published
            generator calls its box.
        window: its logits, until ``runs`` are made of them.
        crop: where it was found.
    """

    predicted_iou: np.float32
    stability_score: np.float32
    inner: tuple[float, float, float, float]
    area: int
    point: tuple[float, float]
    crop: Crop
    window: Window | None = None
    runs: NDArray[np.int64] | None = None
    proposal: Proposal | None = None


class Keeper:
    """Holds the masks of one run.

    Args:
        size: ``(width, height)`` of the image.
        settings: of the run.
        canvas: what enlarges logits of the present crop; whoever opens the next one replaces it.
        room: bytes of logits that may be held.
    """

    def __init__(
        self, size: tuple[int, int], settings: EverythingSettings, canvas: Canvas, room: int
    ) -> None:
        self._size, self._settings, self._room = size, settings, room
        self.canvas = canvas
        self._held = 0  # bytes of logits

    def hold(self, found: Found, window: Window, piece: Piece | None) -> None:
        """Keep a mask as logits while there is room, otherwise as run lengths at once.

        Args:
            found: the mask; its logits or run lengths are put into it.
            window: its logits, which are copied.
            piece: the mask at full size, where it has been made.
        """
        found.window = Window(window.logits.copy(), window.row, window.column)
        self._held += window.logits.nbytes
        if self._held > self._room:
            self._finish(found, piece)

    def _finish(self, found: Found, piece: Piece | None = None) -> NDArray[np.int64] | None:
        """Make run lengths of a mask; None if nothing is inside after all."""
        if found.window is not None:
            if piece is None:
                _, piece = self.canvas.measure(found.window)
                piece = piece.moved(*found.crop.box[:2])
            self._held -= found.window.logits.nbytes
            found.window = None
            box = piece.box()
            if box is not None:
                found.runs = piece.runs(*self._size)
                found.inner = (box[0], box[1], box[2] - 1, box[3] - 1)
                found.area = int(found.runs[1::2].sum())
        return found.runs

    def distinct(self, found: list[Found]) -> list[Found]:
        """One of several alike, best first; all of one crop, which is still the present one."""
        keep = non_maximum(
            [one.inner for one in found],
            [one.predicted_iou for one in found],
            self._settings.box_nms_thresh,
        )
        return [found[i] for i in keep if self._finish(found[i]) is not None]

    def across_crops(self, found: list[Found]) -> list[Found]:
        """One of several alike from overlapping crops, those of smaller crops first."""
        keep = non_maximum(
            [one.inner for one in found],
            [1 / np.prod(one.crop.size) for one in found],
            self._settings.crop_nms_thresh,
        )
        return [found[i] for i in keep]

    def clean(self, found: list[Found]) -> list[Found]:
        """Remove crumbs, then masks that have become alike, of which unchanged ones are kept."""
        least = self._settings.min_mask_region_area
        if not least or not found:
            return found
        unchanged = []
        for one in found:
            assert one.runs is not None
            mask, changed = without_crumbs(unroll(one.runs, *self._size), least)
            unchanged.append(not changed)
            if not changed:
                continue
            piece = Piece(mask, 0, 0)
            box = piece.box()
            assert box is not None  # the largest island stays
            one.runs, one.proposal = piece.runs(*self._size), None
            one.inner = (box[0], box[1], box[2] - 1, box[3] - 1)
            one.area = int(np.count_nonzero(mask))
        settings = self._settings
        keep = non_maximum(
            [one.inner for one in found],
            unchanged,
            max(settings.box_nms_thresh, settings.crop_nms_thresh),
        )
        return [found[i] for i in keep]

    def proposal(self, found: Found) -> Proposal:
        """What is told of a mask whose run lengths are made; made once."""
        if found.proposal is None:
            assert found.runs is not None
            width, height = self._size
            x0, y0, x1, y1 = found.inner
            found.proposal = Proposal(
                size=(height, width),
                counts=pack(found.runs),
                box=(float(x0), float(y0), float(x1 + 1), float(y1 + 1)),
                area=found.area,
                predicted_iou=float(found.predicted_iou),
                stability_score=float(found.stability_score),
                point=found.point,
                crop_box=found.crop.box,
            )
        return found.proposal
