"""Many boxes at once: each is answered with the mask of the thing in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from segwidget.errors import PromptError
from segwidget.inference.candidates import Candidates
from segwidget.inference.everything.proposal import Proposal
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, validate_prompts

MAX_BOXES = 1000
BATCH = 16


def checked_boxes(boxes: Iterable[Box | Iterable[float]], width: int, height: int) -> list[Box]:
    """Boxes within an image.

    Args:
        boxes: `Box` values, or (x0, y0, x1, y1) in pixels, such as the rows of an array. What lies
            beyond the image's edges is left out.
        width: of the image.
        height: likewise.

    Raises:
        PromptError: no boxes, too many, or one that is impossible or outside the image.
    """
    checked = []
    for box in boxes:
        checked.append(Box.of(box).clipped(width, height))
        if len(checked) > MAX_BOXES:
            raise PromptError(
                f"There are more than {MAX_BOXES} boxes. Ask for the best of them first."
            )
    if not checked:
        raise PromptError("There are no boxes; expected at least one (x0, y0, x1, y1).")
    validate_prompts(checked, width, height)
    return checked


def propose_boxes(
    predictor: Predictor,
    boxes: Sequence[Box],
    on_update: Callable[[tuple[Proposal, ...]], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[Proposal, ...]:
    """The masks of the things in boxes, a batch at a time ("Segment Anything", section 3).

    Each is the single mask for its box, as :meth:`Predictor.predict` has it first.

    Args:
        predictor: has its image set; all boxes lie within it, or within its region.
        boxes: in pixels of the image.
        on_update: told after each batch what was found so far.
        cancelled: asked before each batch; once true, what was found is returned.

    Returns:
        In the order of the boxes, without those whose mask is empty.

    Raises:
        PromptError: no image is set, or a box outside the region.
    """
    found: list[Proposal] = []
    for start in range(0, len(boxes), BATCH):
        if cancelled is not None and cancelled():
            break
        found += _answered(predictor, boxes[start : start + BATCH])
        if on_update is not None:
            on_update(tuple(found))
    return tuple(found)


def _answered(predictor: Predictor, boxes: Sequence[Box]) -> list[Proposal]:
    network = predictor.model.network
    with predictor.lock:
        frame, region = predictor.frame, predictor.region
        inputs = [frame.to_input(predictor.question(box).prompts) for box in boxes]
        coords, labels = (torch.cat(part).to(network.device) for part in zip(*inputs, strict=True))
        logits, iou = network.decode(predictor.prepared, coords, labels)
    # Index 0 is the single mask.
    candidates = Candidates(
        logits[:, 0].float().cpu().numpy(), iou[:, 0].float().cpu().numpy(), frame, (), region
    )
    height, width = candidates.image_size
    looked_at = (0, 0, width, height) if region is None else region.box
    found = []
    for i, box in enumerate(boxes):
        rle = candidates.rle(i)
        if rle.area:
            found.append(
                Proposal(
                    size=rle.size,
                    counts=rle.counts,
                    box=rle.box,
                    area=rle.area,
                    predicted_iou=float(np.nan_to_num(candidates.predicted_iou[i])),
                    stability_score=float(candidates.stability_score[i]),
                    point=((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2),
                    crop_box=looked_at,
                    prompt_box=(box.x0, box.y0, box.x1, box.y1),
                )
            )
    return found
