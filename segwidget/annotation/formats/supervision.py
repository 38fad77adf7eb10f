"""supervision's `Detections`, both ways: for its annotators, trackers and metrics.

What `Detections` has no array for stands in its `data`, one value a mask: `class_name`,
`annotation_id`, `origin`, and the names of attributes after `attribute.`, None where a mask has no
such value. The predicted IoU is the confidence where every mask has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.errors import FormatError

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


def from_detections(
    detections: sv.Detections, image: ImageInfo, labels: LabelsLike = None
) -> Annotations:
    """Detections of an image as annotations; those of nothing are left out.

    Args:
        detections: with or without masks; a box without one is filled, to its nearest whole pixels.
        image: what they are of.
        labels: the names of the classes by their number; by default those in `data["class_name"]`,
            and where there are none, the numbers.

    Raises:
        FormatError: masks of another size than the image, or a class that has no label.
        AnnotationError, LabelError: values that cannot be used.
    """
    known = None if labels is None else LabelSet.of(labels)
    size = (image.height, image.width)
    if detections.mask is not None and np.asarray(detections.mask).shape[1:] != size:
        raise FormatError(
            f"The masks of the detections have the shape {np.asarray(detections.mask).shape}; "
            f"expected (N, {size[0]}, {size[1]}), the size of {image.name!r}."
        )
    items = []
    for index in range(len(detections)):
        mask = _mask(detections, index, size)
        if not mask.any():
            continue
        data = {key: values[index] for key, values in detections.data.items()}
        fields: dict[str, Any] = {"origin": str(data.get("origin", "imported"))}
        if "annotation_id" in data:
            fields["id"] = str(data["annotation_id"])
        if detections.confidence is not None:
            fields["predicted_iou"] = float(detections.confidence[index])
        fields["attributes"] = {
            key.removeprefix(_ATTRIBUTE): value
            for key, value in data.items()
            if key.startswith(_ATTRIBUTE) and value is not None
        }
        label = _label(detections, index, data.get("class_name"), known)
        items.append(Annotation.from_mask(mask, label=label, image=image.sha256, **fields))
    return Annotations(items, image, known)


def _mask(detections: sv.Detections, index: int, size: tuple[int, int]) -> Any:
    if detections.mask is not None:
        return np.asarray(detections.mask[index], np.bool_)
    edges = np.asarray(detections.xyxy[index], np.float64)
    if not np.isfinite(edges).all():
        raise FormatError(f"The box of detection {index} is {edges.tolist()}; expected pixels.")
    x0, y0, x1, y1 = np.rint(np.clip(edges, 0, [size[1], size[0]] * 2)).astype(int)
    mask = np.zeros(size, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def _label(detections: sv.Detections, index: int, name: Any, known: LabelSet | None) -> str:
    number = None if detections.class_id is None else int(detections.class_id[index])
    if known is not None and number is not None:
        if not 0 <= number < len(known):
            raise FormatError(
                f"The class of detection {index} is {number}; expected 0 to {len(known) - 1}, "
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
