"""Everything mode's results as annotations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.inference.everything import EverythingSettings, Progress, Proposal, propose
from segwidget.inference.everything.grid import make_crops
from segwidget.inference.models import Model
from segwidget.inference.network import Precision
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point
from segwidget.inference.rle import Rle
from segwidget.media.image import ImageSource, open_image

_PATIENCE = 1.0  # seconds before a progress bar shows


def to_annotation(
    proposal: Proposal,
    *,
    label: str,
    model: str = "",
    checkpoint: str = "",
    image: str = "",
    origin: str = "proposed",
) -> Annotation:
    """Keep a proposal.

    Args:
        proposal: as the model proposed it.
        label: what it shows.
        model: the model's name.
        checkpoint: SHA-256 of the model's weights.
        image: SHA-256 of the image's pixels.
        origin: one of `segwidget.annotation.annotation.ORIGINS`.

    Raises:
        LabelError: a label that cannot be used.
    """
    box = proposal.prompt_box
    prompt = Point(*proposal.point) if box is None else Box(*box)
    # Everything mode's crops are no regions that a person has looked at: prompts are of the image.
    whole = box is None or proposal.crop_box == (0, 0, *proposal.size[::-1])
    return Annotation.from_rle(
        Rle(proposal.size, proposal.counts),
        label=label,
        predicted_iou=float(np.clip(proposal.predicted_iou, 0, 1)),  # regression may overshoot
        stability_score=proposal.stability_score,
        prompts=(prompt,),
        region=None if whole else proposal.crop_box,
        model=model,
        checkpoint=checkpoint,
        image=image,
        origin=origin,
    )


def everything(
    image: ImageSource,
    model: str | Path | Model | Predictor = "embedded",
    *,
    device: str | None = None,
    precision: Precision = "float32",
    labels: LabelsLike = None,
    progress: bool | Callable[[int, int], None] = True,
    cancelled: Callable[[], bool] | None = None,
    points_per_side: int | None = 32,
    points_per_batch: int | None = None,
    pred_iou_thresh: float | None = None,
    stability_score_thresh: float | None = None,
    stability_score_offset: float | None = None,
    box_nms_thresh: float = 0.7,
    crop_n_layers: int = 0,
    crop_nms_thresh: float = 0.7,
    crop_overlap_ratio: float = 512 / 1500,
    crop_n_points_downscale_factor: int = 1,
    point_grids: Sequence[NDArray[np.floating[Any]]] | None = None,
    min_mask_region_area: int = 0,
    scores_from: Literal["full", "low_res"] = "full",
    memory_budget: int | None = None,
) -> Annotations:
    """Find all that can be told apart in an image, without a click.

        everything("street.jpg").save("street.sa1b.json")

    Args:
        image: whatever `segwidget.open_image` opens.
        model: see `Predictor`; or a predictor, which then has the image.
        device: see `Predictor`.
        precision: likewise.
        labels: the labels to choose from; the masks get the first one, by default "object".
        progress: show a bar when it takes longer than a second; or a function that is told how
            many points of how many are done.
        cancelled: asked before each batch of points; once true, what was found is returned.
        points_per_side: this and all that follows: see `EverythingSettings`.
        points_per_batch: likewise.
        pred_iou_thresh: likewise.
        stability_score_thresh: likewise.
        stability_score_offset: likewise.
        box_nms_thresh: likewise.
        crop_n_layers: likewise.
        crop_nms_thresh: likewise.
        crop_overlap_ratio: likewise.
        crop_n_points_downscale_factor: likewise.
        point_grids: likewise.
        min_mask_region_area: likewise.
        scores_from: likewise.
        memory_budget: likewise.

    Returns:
        An annotation for each mask, best first, with `origin="automatic"`.

    Raises:
        ImageError: the image cannot be opened.
        ModelError, CheckpointError: the model cannot be loaded.
        PromptError: impossible settings.
        ResourceError: there is not enough memory for one point at a time.
    """
    settings = EverythingSettings(
        points_per_side=points_per_side,
        points_per_batch=points_per_batch,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
        stability_score_offset=stability_score_offset,
        box_nms_thresh=box_nms_thresh,
        crop_n_layers=crop_n_layers,
        crop_nms_thresh=crop_nms_thresh,
        crop_overlap_ratio=crop_overlap_ratio,
        crop_n_points_downscale_factor=crop_n_points_downscale_factor,
        point_grids=point_grids,
        min_mask_region_area=min_mask_region_area,
        scores_from=scores_from,
        memory_budget=memory_budget,
    )
    known = LabelSet.of(labels)
    opened = open_image(image)
    own = not isinstance(model, Predictor)
    predictor = (
        model if isinstance(model, Predictor) else Predictor(model, device, precision=precision)
    )
    with ExitStack() as stack:
        tell = progress
        if progress is True:
            crops = make_crops(opened.width, opened.height, settings)
            tell = stack.enter_context(_Bar(sum(len(crop.points) for crop in crops)))
        predictor.set_image(opened)
        if own:  # its embedding stays in the cache, for the next who asks
            stack.callback(predictor.reset_image)

        def show(now: Progress) -> None:
            if callable(tell):
                tell(now.done, now.total)

        proposals = propose(predictor, settings, on_progress=show, cancelled=cancelled)
    items = [
        to_annotation(
            proposal,
            label=known[0].name,
            model=predictor.model.name,
            checkpoint=predictor.model.sha256,
            image=opened.sha256,
            origin="automatic",
        )
        for proposal in proposals
    ]
    return Annotations(items, ImageInfo.of(opened), known)


class _Bar:
    """A progress bar that shows when work takes longer than a moment, also before it advances."""

    def __init__(self, total: int) -> None:
        self._bar = tqdm(desc="everything", total=total, unit="point", delay=_PATIENCE, leave=False)
        self._alarm = threading.Timer(_PATIENCE, self._show)
        self._alarm.daemon = True

    def __enter__(self) -> _Bar:
        self._alarm.start()
        return self

    def __call__(self, done: int, total: int) -> None:
        self._bar.update(done - self._bar.n)

    def _show(self) -> None:
        self._bar.refresh()
        self._bar.delay = 0  # tqdm would not believe that it shows, and leave it there at the end

    def __exit__(self, *exception: object) -> None:
        self._alarm.cancel()
        self._alarm.join()
        self._bar.close()
