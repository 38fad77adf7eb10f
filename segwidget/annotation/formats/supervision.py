"""supervision's `Detections`, both ways: for its annotators, trackers and metrics.

What `Detections` has no array for stands in its `data`, one value a mask: `class_name`,
`annotation_id`, `origin`, and the names of attributes after `attribute.`, None where a mask has no
such value. The predicted IoU is the confidence where every mask has one.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.shapes import boxed
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.errors import FormatError, SegwidgetError

if TYPE_CHECKING:
    import supervision as sv

_ATTRIBUTE = "attribute."


def to_detections(annotations: Annotations) -> sv.Detections:
    """The annotations of an image as supervision has them, in order.

    Returns:
        With `xyxy` (N, 4) float32, `mask` (N, H, W) bool, `class_id` the places of the labels in
        their set, and `confidence` or None.

    Raises:
        FormatError: supervision is not installed.
    """
    library = _library()
    if not annotations:
        empty: sv.Detections = library.Detections.empty()
        return empty
    scores = [one.predicted_iou for one in annotations]
    names = annotations.labels.names
    data: dict[str, Any] = {
        "class_name": np.array([one.label for one in annotations]),
        "annotation_id": np.array([one.id for one in annotations]),
        "origin": np.array([one.origin for one in annotations]),
    }
    for name in dict.fromkeys(name for one in annotations for name in one.attributes):
        values = np.empty(len(annotations), object)
        values[:] = [one.attributes.get(name) for one in annotations]
        data[_ATTRIBUTE + name] = values
    made: sv.Detections = library.Detections(
        xyxy=np.array([one.box for one in annotations], np.float32),
        mask=annotations.masks,
        confidence=None if None in scores else np.array(scores, np.float32),
        class_id=np.array([names.index(one.label) for one in annotations]),
        data=data,
    )
    return made


class DetectionWarning(UserWarning):
    """A detection cannot be used, and was left out."""


def from_detections(
    detections: sv.Detections,
    image: ImageInfo,
    labels: LabelsLike = None,
    *,
    problems: list[str] | None = None,
) -> Annotations:
    """Detections of an image as annotations; those that cannot be used are told and left out.

    Args:
        detections: with or without masks; a box without one becomes what
            `segwidget.annotation.formats.shapes` says.
        image: what they are of.
        labels: the names of the classes by their number; by default those in `data["class_name"]`,
            and where there are none, the numbers.
        problems: gets a sentence for each detection that was left out; by default, each is a
            `DetectionWarning`.

    Raises:
        FormatError: masks of another size than the image.
        LabelError: labels that cannot be used.
    """
    known = None if labels is None else LabelSet.of(labels)
    size = (image.height, image.width)
    if detections.mask is not None and np.asarray(detections.mask).shape[1:] != size:
        raise FormatError(
            f"The masks of the detections have the shape {np.asarray(detections.mask).shape}; "
            f"expected (N, {size[0]}, {size[1]}), the size of {image.name!r}."
        )
    items: list[Annotation] = []
    ids: set[str] = set()
    for index in range(len(detections)):
        try:
            item = _annotation(detections, index, image, known)
            if item.id in ids:
                raise FormatError(f"Its id {item.id!r} is there twice.")
        except (SegwidgetError, TypeError, ValueError, OverflowError) as error:
            told = f"Detection {index} of {image.name!r} was left out: {error}"
            if problems is None:
                warnings.warn(told, DetectionWarning, stacklevel=2)
            else:
                problems.append(told)
            continue
        ids.add(item.id)
        items.append(item)
    return Annotations(items, image, known)


def _annotation(
    detections: sv.Detections, index: int, image: ImageInfo, known: LabelSet | None
) -> Annotation:
    data = {key: values[index] for key, values in detections.data.items()}
    fields: dict[str, Any] = {
        "label": _label(detections, index, data.get("class_name"), known),
        "origin": str(data.get("origin", "imported")),
        "image": image.sha256,
    }
    if "annotation_id" in data:
        fields["id"] = str(data["annotation_id"])
    if detections.confidence is not None:
        fields["predicted_iou"] = float(detections.confidence[index])
    fields["attributes"] = {
        key.removeprefix(_ATTRIBUTE): value
        for key, value in data.items()
        if key.startswith(_ATTRIBUTE) and value is not None
    }
    if detections.mask is not None:
        return Annotation.from_mask(np.asarray(detections.mask[index], np.bool_), **fields)
    edges = np.asarray(detections.xyxy[index], np.float64).tolist()
    return boxed(edges, (image.height, image.width), **fields)[0]


def _label(detections: sv.Detections, index: int, name: Any, known: LabelSet | None) -> str:
    number = None if detections.class_id is None else int(detections.class_id[index])
    if known is not None and number is not None:
        if not 0 <= number < len(known):
            raise FormatError(
                f"Its class is {number}; expected 0 to {len(known) - 1}, "
                "since there are no more labels. Pass labels=... with all names."
            )
        return known[number].name
    if name is not None:
        return str(name)
    return known[0].name if known else "object" if number is None else str(number)


def _library() -> Any:
    try:
        import supervision
    except ImportError as error:
        raise FormatError(
            "supervision is not installed; install it with: pip install 'segwidget[supervision]'"
        ) from error
    return supervision
