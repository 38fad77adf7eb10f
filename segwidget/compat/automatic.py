"""segment-anything's mask generator, by name, arguments and records."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from segwidget.compat.sam import Sam as CompatSam
from segwidget.errors import PromptError
from segwidget.inference.everything import EverythingSettings, Proposal, propose
from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.predictor import Predictor
from segwidget.inference.rle import Rle, unpack
from segwidget.media.image import ImageSource
from segwidget.sam.sam import Sam

OutputMode: TypeAlias = Literal["binary_mask", "uncompressed_rle", "coco_rle"]
_MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class SamAutomaticMaskGenerator:
    """Generates masks for a whole image.

        masks = SamAutomaticMaskGenerator(sam).generate(image)

    Same names, same defaults, same records; `EverythingSettings` says what the arguments mean.
    Masks that are empty are left out, also with ``stability_score_thresh=0``.

    Args:
        model: a network, a loaded model, or a predictor.
        points_per_side: see `EverythingSettings`; this and the rest.
        points_per_batch: as a limit; None measures which number is the fastest.
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
        output_mode: what a record's mask is: ``"binary_mask"``, bool ``(H, W)``;
            ``"uncompressed_rle"``, COCO's run lengths as a list; ``"coco_rle"``, as text.

    Raises:
        PromptError: impossible settings.
    """

    def __init__(
        self,
        model: Sam | Model | Predictor,
        points_per_side: int | None = 32,
        points_per_batch: int | None = None,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[NDArray[np.floating[Any]]] | None = None,
        min_mask_region_area: int = 0,
        output_mode: OutputMode = "binary_mask",
    ) -> None:
        if output_mode not in _MODES:
            raise PromptError(
                f"output_mode is {output_mode!r}; expected one of {', '.join(_MODES)}."
            )
        self.settings = EverythingSettings(
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
        )
        self.output_mode = output_mode
        if isinstance(model, Sam):  # weights without a file: an id stands for their hash
            network = model.make_network() if isinstance(model, CompatSam) else SamNetwork(model)
            model = Model(network, "sam", uuid.uuid4().hex)
        self.predictor = model if isinstance(model, Predictor) else Predictor(model)

    def generate(self, image: ImageSource) -> list[dict[str, Any]]:
        """Generate masks.

        Args:
            image: RGB uint8 ``(H, W, 3)``, or whatever `segwidget.open_image` opens.

        Returns:
            A record for each mask, by predicted IoU, best first:

            - ``segmentation``: the mask, as ``output_mode`` says,
            - ``area``: its pixels,
            - ``bbox``: ``[x, y, w, h]`` of its outermost pixels, as published: one less in width
              and height than there are pixels,
            - ``predicted_iou``, ``stability_score``,
            - ``point_coords``: ``[[x, y]]`` that it was found with,
            - ``crop_box``: ``[x, y, w, h]`` of the crop that it was found in.

        Raises:
            ImageError: the image cannot be opened.
            PromptError: settings that do not fit it.
            ResourceError: there is not enough memory for one point at a time.
        """
        self.predictor.set_image(image)
        return [self._record(proposal) for proposal in propose(self.predictor, self.settings)]

    def _record(self, proposal: Proposal) -> dict[str, Any]:
        height, width = proposal.size
        segmentation: Any
        if self.output_mode == "coco_rle":
            segmentation = {"size": [height, width], "counts": proposal.counts}
        elif self.output_mode == "uncompressed_rle":
            runs = unpack(proposal.counts)
            segmentation = {"size": [height, width], "counts": runs.tolist()}
        else:
            segmentation = Rle(proposal.size, proposal.counts).decode()
        x0, y0, x1, y1 = proposal.box
        left, top, right, bottom = proposal.crop_box
        return {
            "segmentation": segmentation,
            "area": proposal.area,
            "bbox": [int(x0), int(y0), int(x1 - 1 - x0), int(y1 - 1 - y0)],
            "predicted_iou": proposal.predicted_iou,
            "point_coords": [list(proposal.point)],
            "stability_score": proposal.stability_score,
            "crop_box": [left, top, right - left, bottom - top],
        }
