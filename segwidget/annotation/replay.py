"""Asks a model again what was asked when a mask was kept, and compares the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.errors import AnnotationError, SegwidgetError
from segwidget.inference.candidates import Candidates
from segwidget.inference.dialogue import Dialogue
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.inference.region import Region
from segwidget.inference.rle import Rle
from segwidget.media.image import Image, ImageSource, open_image


@dataclass(frozen=True)
class Replay:
    """What came of asking again.

    Attributes:
        annotation: what was recorded.
        mask: the new answer; the recorded mask where there was none.
        iou: of the two masks.
        same_model: whether the very model answered that was recorded.
        note: what to make of it, in a sentence.
        updated: the annotation with the new mask, its scores and its model, to be kept in place of
            the recorded one; None where there was no new answer, or nothing is inside.
        image: the image's name.
    """

    annotation: Annotation
    mask: Rle
    iou: float
    same_model: bool
    note: str
    updated: Annotation | None = None
    image: str = ""


def replay(
    annotation: Annotation,
    image: ImageSource,
    model: str | Path | Model | None = None,
    *,
    predictor: Predictor | None = None,
) -> Replay:
    """Ask a model the prompts of an annotation again, each refining the answer picked before.

    The recorded model gives the identical mask, where it was not edited afterwards and the same
    computer, precision and image are at hand. Another model scores its candidates otherwise, so
    where one was picked by hand, or the prompt is a single point, its candidate that is most like
    the recorded mask stands for it. So it is for what the model has proposed, of which no pick is
    recorded; answered one by one, and not together, these may differ by a few pixels.

    Args:
        annotation: with prompts.
        image: the image that it is of.
        model: see `Predictor`; by default the recorded one.
        predictor: answers in place of a model's own, and has the image afterwards.

    Raises:
        AnnotationError: no prompts were recorded, or the image is of another size.
        ModelError: no such model.
        CheckpointError: the model cannot be loaded.
        ImageError: the image cannot be opened.
        PromptError: the prompts are impossible.
    """
    if not annotation.prompts:
        raise AnnotationError(
            f"The annotation {annotation.id!r} has no prompts, so there is nothing to ask again: "
            f"it is {annotation.origin}. Masks that were clicked for have prompts."
        )
    opened = open_image(image)
    if predictor is not None:
        return _replay(annotation, opened, predictor)
    if model is None and not annotation.model:
        raise AnnotationError(
            f"The annotation {annotation.id!r} does not say which model made it. Name one: "
            'replay(annotation, image, "embedded").'
        )
    own = Predictor(annotation.model if model is None else model)
    try:
        return _replay(annotation, opened, own)
    finally:
        own.reset_image()


def replay_all(
    records: Iterable[Annotations],
    opener: Callable[[str], ImageSource],
    model: str | Path | Model | None = None,
) -> list[Replay]:
    """Ask a model the prompts of many annotations again.

    What cannot be asked (no prompts, an image that is gone, a model that is not there) keeps its
    mask, and its note says why.

    Args:
        records: the annotations, image by image.
        opener: opens an image by its name, as `Annotations.image` has it.
        model: see `Predictor`; by default each annotation's own.

    Returns:
        A replay for each annotation, in order.

    Raises:
        ModelError, CheckpointError: the given model cannot be loaded.
    """
    predictors = {} if model is None else {"": Predictor(model)}
    return [found for record in records for found in _replay_record(record, opener, predictors)]


def _replay_record(
    record: Annotations, opener: Callable[[str], ImageSource], predictors: dict[str, Predictor]
) -> list[Replay]:
    """The replays of one image; predictors by the recorded model's name, or "" for all."""
    name, found = record.image.name, dict[str, Replay]()
    image: Image | None = None
    # Those about one region together: each is embedded once.
    for item in sorted(record, key=lambda one: (one.model, one.region is not None, one.region)):
        try:
            if not item.prompts:
                raise AnnotationError("It has no prompts, so there is nothing to ask again.")
            if "" not in predictors and not item.model:
                raise AnnotationError("It does not say which model made it; name one.")
            chosen = "" if "" in predictors else item.model
            if chosen not in predictors:
                predictors[chosen] = Predictor(chosen)
            image = open_image(opener(name)) if image is None else image
            found[item.id] = replace(_replay(item, image, predictors[chosen]), image=name)
        except (SegwidgetError, OSError) as error:
            note = f"The mask stays as it is. {error}"
            found[item.id] = Replay(item, item.rle, 1.0, False, note, image=name)
    for predictor in predictors.values():
        predictor.reset_image(forget=True)
    return [found[item.id] for item in record]


def _replay(annotation: Annotation, image: Image, predictor: Predictor) -> Replay:
    size = image.height, image.width
    if annotation.rle.size != size:
        raise AnnotationError(
            f"The annotation {annotation.id!r} is of an image of size {annotation.rle.size}, but "
            f"{image.name!r} is {size}; both are (height, width). Give the image that it is of."
        )
    region = None if annotation.region is None else Region(annotation.region, size)
    # The image may be there already; asked about anew, it would be embedded as soon.
    if predictor.image is not image or predictor.region != region:
        predictor.set_image(image, region)
    model = predictor.model
    same = model.sha256 == annotation.checkpoint
    candidates = Dialogue(predictor).answer(annotation.prompts, annotation.picks)
    index = min(annotation.picked, len(candidates) - 1)
    if not same or annotation.origin != "assisted":  # of proposals, no pick is recorded
        index = _counterpart(annotation, candidates)
    mask = candidates.rle(index, annotation.threshold)
    iou = annotation.rle.iou(mask)
    updated = None
    if mask.area:
        updated = replace(
            annotation,
            rle=mask,
            box=mask.box,
            area=mask.area,
            predicted_iou=float(np.nan_to_num(candidates.predicted_iou[index])),
            stability_score=float(candidates.stability_score[index]),
            picked=index,
            model=model.name,
            checkpoint=model.sha256,
            image=image.sha256,
            edits=(),
        )
    note = _note(annotation, image, model, iou)
    return Replay(annotation, mask, iou, same, note, updated, image.name)


def _counterpart(annotation: Annotation, candidates: Candidates) -> int:
    """Which candidate stands for the one that was kept, where its number does not tell."""
    prompts = annotation.prompts
    ambiguous = len(prompts) == 1 and isinstance(prompts[0], Point)
    if annotation.picked == 0 and not ambiguous and annotation.origin == "assisted":
        return 0  # for a rich prompt both models have the single mask first
    ious = [
        annotation.rle.iou(candidates.rle(index, annotation.threshold))
        for index in range(len(candidates))
    ]
    return int(np.argmax(ious))


def _note(annotation: Annotation, image: Image, model: Model, iou: float) -> str:
    reasons = []
    if model.sha256 != annotation.checkpoint:
        changed = model.name != annotation.model
        before = annotation.model or "a model that is not recorded"
        reasons.append(
            f"{model.name} answered in place of {before}"
            if changed
            else f"{model.name} has other weights than then"
        )
    if annotation.image and annotation.image != image.sha256:
        reasons.append("the image's pixels are others")
    if annotation.edits:
        reasons.append(f"the mask was edited by hand ({', '.join(annotation.edits)})")
    if annotation.origin != "assisted":
        reasons.append("it was proposed together with many others")
    if iou == 1.0:
        return "The mask is the same."
    why = "; ".join(reasons) or "another precision or computer"
    return f"The masks have an IoU of {iou:.3f}: {why}."
