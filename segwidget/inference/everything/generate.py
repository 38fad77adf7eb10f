"""Asks a model about a grid of points, and keeps the masks that are good, stable and unalike.

"Segment Anything", section 5 ("Fully automatic stage") and appendix B. What is kept, and in which
order, is what the published generator keeps; how it is computed is not: the image's side of the
decoder is shared by all points, masks are judged by predicted IoU before anything is enlarged, one
mask at a time is enlarged where it can be, and run lengths are made of those that survive.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwidget.errors import PromptError, ResourceError
from segwidget.inference.embeddings import embed
from segwidget.inference.everything.budget import (
    BatchSize,
    Budget,
    is_out_of_memory,
    prompt_bytes,
)
from segwidget.inference.everything.canvas import Canvas, Piece
from segwidget.inference.everything.filters import near_crop_edge
from segwidget.inference.everything.grid import Crop, make_crops
from segwidget.inference.everything.keeping import Found, Keeper
from segwidget.inference.everything.proposal import OnUpdate, Progress, Proposal
from segwidget.inference.everything.settings import EverythingSettings
from segwidget.inference.network import Prepared
from segwidget.inference.predictor import Predictor
from segwidget.sam.prompt_encoder import FOREGROUND, NOT_A_POINT

# Provisional results take at most about so large a share of the time.
_REPORTING = 0.1


def propose(
    predictor: Predictor,
    settings: EverythingSettings | None = None,
    *,
    on_update: OnUpdate | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[Proposal, ...]:
    """Propose masks of all there is in a predictor's image.

    Other threads may ask the predictor meanwhile; their questions come between two batches.

    Args:
        predictor: with an image.
        settings: by default the published ones, with the thresholds that fit the model.
        on_update: called after each batch with all proposals so far, without duplicates. They are
            provisional, and brought up to date no more often than a tenth of the time allows; at
            the last call they are final.
        on_progress: called after each batch; costs nothing.
        cancelled: asked before each batch; once true, what was found so far is returned.

    Returns:
        The proposals: by predicted IoU, best first; with crops, those of smaller crops first.

    Raises:
        PromptError: the predictor has no image, or the settings do not fit it.
        ResourceError: there is not enough memory for one point at a time.
    """
    run = _Run(predictor, settings or EverythingSettings())
    return run(on_update, on_progress, cancelled or (lambda: False))


class _Run:
    """One run of everything mode."""

    def __init__(self, predictor: Predictor, settings: EverythingSettings) -> None:
        network = predictor.model.network
        image = predictor.image
        if image is None:
            raise PromptError("There is no image to look at. Call set_image(image) first.")
        self._predictor, self._network, self._image = predictor, network, image
        self._settings = settings.resolved(network.variant)
        self._thresholds = self._settings.thresholds
        self._size = image.width, image.height
        self._crops = make_crops(*self._size, self._settings)
        self._prepared: Prepared = predictor.prepared
        frame = network.frame(*self._size)
        canvas = Canvas(frame, self._thresholds.stability_score_offset)
        # Run lengths are made in a few bytes a pixel, regions are numbered in some more.
        per_pixel = 4 + (16 if self._settings.min_mask_region_area else 0)
        self.budget = Budget(
            self._settings.memory_budget,
            prompt_bytes(network, frame),
            canvas.nbytes + per_pixel * image.width * image.height,
            max(len(crop.points) for crop in self._crops) * 3 * canvas.seen_bytes,
            network.device,
        )
        wanted = self._settings.points_per_batch
        sizes = self.budget.sizes if wanted is None else (min(wanted, self.budget.max_batch),)
        self._batch = BatchSize(sizes)
        self._keeper = Keeper(self._size, self._settings, canvas, self.budget.held)

    def __call__(
        self,
        on_update: OnUpdate | None,
        on_progress: Callable[[Progress], None] | None,
        cancelled: Callable[[], bool],
    ) -> tuple[Proposal, ...]:
        total = sum(len(crop.points) for crop in self._crops)
        done, finished, report = 0, list[Found](), _Reporter()
        for crop in self._crops:
            if cancelled():
                break
            self._open(crop)
            found: list[Found] = []
            start = 0
            while start < len(crop.points) and not cancelled():
                points = crop.points[start : start + self._batch.next]
                answers = self._try(crop, points)
                if answers is None:
                    self._batch.shrink()
                    continue
                found += answers
                start += len(points)
                done += len(points)
                progress = Progress(done, total)
                if on_progress is not None:
                    on_progress(progress)
                if on_update is not None and done < total:
                    on_update(progress, report(partial(self._provisional, finished, found)))
            finished += self._keeper.distinct(found)
        kept = self._keeper.clean(self._across_crops(finished))
        proposals = tuple(map(self._keeper.proposal, kept))
        if on_update is not None:
            on_update(Progress(done, total), proposals)
        return proposals

    def _open(self, crop: Crop) -> None:
        """Embed a crop; the whole image is embedded already."""
        if crop.layer == 0:
            return
        self._prepared = None  # the one before may go
        x0, y0, x1, y1 = crop.box
        pixels = np.ascontiguousarray(self._image.pixels[y0:y1, x0:x1])
        frame = self._network.frame(*crop.size)
        try:
            with self._predictor.lock:
                self._prepared = self._network.prepare(embed(self._predictor.model, pixels))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ResourceError(
                "Memory ran out while a crop of the image was embedded. Close other programs or "
                "images, or look at the whole image only: crop_n_layers=0."
            ) from error
        self._keeper.canvas = Canvas(frame, self._thresholds.stability_score_offset)

    def _try(self, crop: Crop, points: NDArray[np.float64]) -> list[Found] | None:
        """Ask about some points; None if memory ran out, after all of it has been given back."""
        try:
            return self._ask(crop, points)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Here the error, and with it every array of the attempt, is gone.
        if self._network.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _ask(self, crop: Crop, points: NDArray[np.float64]) -> list[Found]:
        network, frame = self._network, self._network.frame(*crop.size)
        # As published: positions are scaled as they are, though the network counts from centers.
        scale = np.divide(frame.resized, crop.size)
        coords = torch.zeros(len(points), 2, 2)
        coords[:, 0] = torch.from_numpy(points * scale)
        labels = torch.tensor([FOREGROUND, NOT_A_POINT]).repeat(len(points), 1)
        began = time.perf_counter()
        with self._predictor.lock, torch.inference_mode():
            logits, iou = network.decode(
                self._prepared, coords.to(network.device), labels.to(network.device)
            )
            scores = iou[:, 1:].float().cpu()
        self._batch.record(len(points), time.perf_counter() - began)
        least = self._thresholds.pred_iou_thresh
        good = scores > least if least > 0 else torch.ones_like(scores, dtype=torch.bool)
        if not good.any():
            return []
        with torch.inference_mode():
            chosen = logits[:, 1:][good.to(logits.device)].float().cpu()
        del logits
        at = [
            (x, y) for (x, y), row in zip(points, good, strict=True) for _ in range(int(row.sum()))
        ]
        measure = self._measure_low if self._settings.scores_from == "low_res" else self._measure
        return measure(crop, at, scores[good].numpy(), chosen)

    def _measure(
        self,
        crop: Crop,
        points: list[tuple[float, float]],
        scores: NDArray[np.float32],
        logits: Tensor,
    ) -> list[Found]:
        """Those of the masks ``(K, s, s)`` that are stable and whole, measured at full size."""
        found = []
        for point, score, one in zip(points, scores, logits.numpy(), strict=True):
            window = self._keeper.canvas.window(one)
            if window is None:
                continue
            measured, piece = self._keeper.canvas.measure(window)
            if not self._is_stable(measured.stability):
                continue
            piece = piece.moved(*crop.box[:2])
            box = piece.box()
            if box is None:
                continue
            inner = (box[0], box[1], box[2] - 1, box[3] - 1)
            if near_crop_edge(inner, crop.box, *self._size):
                continue
            area = int(np.count_nonzero(piece.mask))
            one_found = Found(score, measured.stability, inner, area, self._at(crop, point), crop)
            self._keeper.hold(one_found, window, piece)
            found.append(one_found)
        return found

    def _measure_low(
        self,
        crop: Crop,
        points: list[tuple[float, float]],
        scores: NDArray[np.float32],
        logits: Tensor,
    ) -> list[Found]:
        """As `_measure`, from the low-resolution logits: nothing is enlarged."""
        frame, canvas = self._network.frame(*crop.size), self._keeper.canvas
        rows, columns = frame.logits_shape
        seen = logits.numpy()[:, :rows, :columns]
        high, area, low = (
            np.count_nonzero(seen > level, axis=(1, 2))
            for level in (canvas.high, canvas.middle, canvas.low)
        )
        sx, sy = frame.logits_scale
        x, y = crop.box[:2]
        found = []
        for i, (point, score) in enumerate(zip(points, scores, strict=True)):
            stability = np.float32(high[i]) / np.float32(max(low[i], 1))
            if not area[i] or not self._is_stable(stability):
                continue
            box = Piece(seen[i] > canvas.middle, 0, 0).box()
            window = canvas.window(logits[i].numpy())
            if box is None or window is None:
                continue
            inner = (
                x + box[0] / sx,
                y + box[1] / sy,
                x + min(box[2] / sx, crop.size[0]) - 1,
                y + min(box[3] / sy, crop.size[1]) - 1,
            )
            if near_crop_edge(inner, crop.box, *self._size):
                continue
            pixels = round(area[i] / (sx * sy))
            one_found = Found(score, stability, inner, pixels, self._at(crop, point), crop)
            self._keeper.hold(one_found, window, None)
            found.append(one_found)
        return found

    def _is_stable(self, stability: np.float32) -> bool:
        least = self._thresholds.stability_score_thresh
        return least <= 0 or bool(stability >= np.float32(least))

    @staticmethod
    def _at(crop: Crop, point: tuple[float, float]) -> tuple[float, float]:
        return crop.box[0] + float(point[0]), crop.box[1] + float(point[1])

    def _across_crops(self, found: list[Found]) -> list[Found]:
        return found if len(self._crops) == 1 else self._keeper.across_crops(found)

    def _provisional(self, finished: list[Found], found: list[Found]) -> tuple[Proposal, ...]:
        together = self._across_crops(finished + self._keeper.distinct(found))
        return tuple(map(self._keeper.proposal, together))


class _Reporter:
    """Keeps provisional results up to date as often as a share of the time allows."""

    def __init__(self) -> None:
        self._latest: tuple[Proposal, ...] = ()
        self._due = 0.0

    def __call__(self, compute: Callable[[], tuple[Proposal, ...]]) -> tuple[Proposal, ...]:
        began = time.perf_counter()
        if began >= self._due:
            self._latest = compute()
            ended = time.perf_counter()
            self._due = ended + (ended - began) * (1 / _REPORTING - 1)
        return self._latest
