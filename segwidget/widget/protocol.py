"""What travels between kernel and page: each value as JSON, with binary buffers where it is big."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.ontology import Values
from segwidget.errors import SegwidgetError
from segwidget.inference.candidates import Candidates
from segwidget.inference.prompts import Prompt, prompt_to_dict
from segwidget.media.image import Image
from segwidget.media.pyramid import TILE, levels_beyond

# A logit l travels as one byte, 128 + 127 * sign(l) * log(1 + |l| / KNEE) / log(LEVELS), rounded
# away from 128: fine steps around the threshold, where the outline is, and room up to +-32.
KNEE = 0.5
LEVELS = 65.0

# A saved notebook has at most 2 MB for each cell: the preview in base64, which is a third larger,
# and beside it candidates (0.26 MB), front end (up to 0.3 MB) and masks.
PREVIEW_BYTES = 800_000

MAX_NOTICE_LENGTH = 600


def quantize_logits(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Logits as bytes by the mu-law above; the sign, and so the mask, is exact.

    Args:
        logits: any shape, float32. What is not above 0, or not a number, becomes at most 128.
    """
    bounded = np.clip(np.nan_to_num(logits), -100, 100)  # far beyond what a byte can say
    size = np.minimum(np.log1p(np.abs(bounded) / KNEE) / np.log(LEVELS), 1.0)
    steps = np.where(logits > 0, np.maximum(np.rint(127 * size), 1), -np.rint(127 * size))
    quantized: NDArray[np.uint8] = (128 + steps).astype(np.uint8)
    return quantized


def dequantize_logits(quantized: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The logits that the page reads from bytes; the inverse of :func:`quantize_logits`."""
    steps = quantized.astype(np.float32) - 128
    size = KNEE * (LEVELS ** (np.abs(steps) / 127) - 1)
    return (np.sign(steps) * size).astype(np.float32)


def image_to_json(image: Image) -> dict[str, Any]:
    """The image's size and name, and a preview that is small enough to send and to save."""
    data, mime, (width, height) = image.to_preview(max_bytes=PREVIEW_BYTES)
    return {
        "name": image.name,
        "width": image.width,
        "height": image.height,
        "mime": mime,
        "preview_width": width,
        "preview_height": height,
        "data": data,
        "tiles": tiles_to_json(image.width, width),
    }


def tiles_to_json(image_width: int, preview_width: int) -> dict[str, int] | None:
    """The pyramid of tiles that a page may ask for; None where the preview is all there is."""
    levels = levels_beyond(image_width, preview_width)
    return {"size": TILE, "levels": levels} if levels else None


def candidates_to_json(candidates: Candidates, request: str, ms: float) -> dict[str, Any]:
    """An answer: scores, and the logits of the part that the image covers, quantized.

    Areas and boxes are counted in the low-resolution logits, so that no full-size mask is made
    before somebody keeps one; they are right to within a low-resolution pixel.

    Args:
        candidates: the answer.
        request: which prompts it answers.
        ms: how long the kernel took.
    """
    logits = candidates.seen_logits
    frame = candidates.frame
    sx, sy = frame.logits_scale
    # A network that has gone wrong may score with NaN, which JSON has no word for.
    predicted = np.nan_to_num(candidates.predicted_iou)
    items = [
        {
            "predicted_iou": round(float(iou), 4),
            "stability_score": round(float(stability), 4),
            # A low-resolution pixel may reach beyond the image's edge.
            "area": min(round(np.count_nonzero(mask) / (sx * sy)), frame.width * frame.height),
            "box": _low_res_box(mask, candidates),
        }
        for iou, stability, mask in zip(
            predicted, candidates.stability_score, logits > 0, strict=True
        )
    ]
    return {
        "request": request,
        "items": items,
        "tokens": list(candidates.tokens),
        "shape": list(logits.shape),
        "scale": [sx, sy],
        "logits": quantize_logits(logits).tobytes(),
        "ms": round(ms, 1),
        **_beside(candidates),
    }


def _beside(candidates: Candidates) -> dict[str, Any]:
    """What only some answers have: the region that was looked at, and what was asked in fact."""
    more: dict[str, Any] = {}
    if candidates.region is not None:
        more["region"] = list(candidates.region.box)
    if candidates.derived is not None:
        derived = candidates.derived
        more["derived"] = prompts_to_json((derived.box, *derived.points))
    return more


def _low_res_box(mask: NDArray[np.bool_], candidates: Candidates) -> list[float]:
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return [0.0, 0.0, 0.0, 0.0]
    (sx, sy), frame = candidates.frame.logits_scale, candidates.frame
    edges = [columns[0] / sx, rows[0] / sy, (columns[-1] + 1) / sx, (rows[-1] + 1) / sy]
    limits = [frame.width, frame.height] * 2
    corner = candidates.corner * 2
    return [
        round(min(float(edge), limit) + start, 3)
        for edge, limit, start in zip(edges, limits, corner, strict=True)
    ]


def annotations_to_json(annotations: Sequence[Annotation]) -> list[dict[str, Any]]:
    """What the page needs of each annotation, oldest first."""
    return [
        {
            "id": a.id,
            "label": a.label,
            "rle": {"size": list(a.rle.size), "counts": a.rle.counts},
            "box": [float(v) for v in a.box],
            "area": a.area,
            "predicted_iou": a.predicted_iou,
            "stability_score": a.stability_score,
            "visible": a.visible,
            **({"attributes": Values(a.attributes).to_dict()} if a.attributes else {}),
            **({"parent": a.parent} if a.parent else {}),
        }
        for a in annotations
    ]


def labels_to_json(labels: LabelSet) -> list[dict[str, Any]]:
    """What the page needs of each label; attributes are with those of the labels above it."""
    made = []
    for label in labels:
        data: dict[str, Any] = {"name": label.name, "color": label.color}
        if label.hotkey:
            data["hotkey"] = label.hotkey
        if attributes := labels.attributes_of(label.name):
            data["attributes"] = [attribute.to_dict() for attribute in attributes]
        made.append(data)
    return made


def prompts_to_json(prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
    """Prompts as dictionaries."""
    return [prompt_to_dict(prompt) for prompt in prompts]


def notice_to_json(error: Exception, request: str = "") -> dict[str, str]:
    """An error as a message to the person.

    Args:
        error: what went wrong. Errors of segwidget's own speak for themselves.
        request: which prompts failed, if it was about such.
    """
    message = str(error)
    if not isinstance(error, SegwidgetError):
        message = (
            f"Something unexpected went wrong ({type(error).__name__}: {_cut(message, 300)}). "
            "What was kept is safe; try again, or run the cell again."
        )
    return {
        "id": uuid.uuid4().hex,
        "level": "error",
        "code": type(error).__name__,
        "message": _cut(message, MAX_NOTICE_LENGTH),
        "request": request,
    }


def info_to_json(code: str, message: str) -> dict[str, str]:
    """Something that is worth knowing, and no error, as a message to the person."""
    return {
        "id": uuid.uuid4().hex,
        "level": "info",
        "code": code,
        "message": _cut(message, MAX_NOTICE_LENGTH),
        "request": "",
    }


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
