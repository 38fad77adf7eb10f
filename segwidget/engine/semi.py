"""The semi-automatic stage: confident masks are filled in first, people add what is missing.

"Segment Anything", section 4, "Semi-automatic stage". The paper trained a detector on the first
stage's masks to find confident ones. Here everything mode finds masks; predicted IoU and stability
say which are confident, and once people stand for some, so does the similarity to those of each
label, and to those that were taken off.

Expected gain. Of what everything mode finds, masks that are neither kept, nor filled in, nor mostly
covered by one that is, are objects that a person may have to add. Each has a value v, from 0 to 1:
predicted IoU times stability times the trust in its label. Whether it is an object is uncertain by
4 v (1 - v), most at a half; an image's gain is the sum over these masks: how many objects there are
of which only a person knows. Images are looked at in its order, the highest first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pycocotools.mask as coco
from tqdm.auto import tqdm

from segwidget.annotation import checks
from segwidget.annotation.automatic import to_annotation
from segwidget.annotation.proposed import (
    Record,
    Suggestion,
    confirmed,
    read_record,
    record_values,
)
from segwidget.engine.automatic import WHOLE
from segwidget.engine.records import taken_off, untouched
from segwidget.engine.similarity import REFUSED, Guess, Neighbors, Vectors, mask_vectors
from segwidget.errors import ImageError, SettingError
from segwidget.inference.everything import EverythingSettings
from segwidget.inference.everything import propose as find_all
from segwidget.inference.rle import Rle

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotation
    from segwidget.annotation.project import BaseProject
    from segwidget.inference.predictor import Predictor

#: A quarter of the published grid's points: the stage fills in what stands out.
PROPOSING = EverythingSettings(points_per_side=16)
#: So much below the confident thresholds masks are still looked at, for the gain.
LOOSER = 0.15
SAME = 0.8  # IoU from which on two masks are one
COVERED = 0.5  # of a mask's pixels
REDRAWN = 0.5  # IoU of a mask that was taken off with the one in its place
#: Of so many confirmed masks of each label the embeddings are compared, the latest.
MOST_COMPARED = 300


@dataclass(frozen=True)
class Confidence:
    """Which masks are filled in.

    Attributes:
        predicted_iou: that they must reach; None is what fits the model.
        stability: likewise.
        similarity: to the nearest confirmed masks of a label, -1 to 1; None measures it for each
            label, see `Neighbors`.

    Raises:
        SettingError: a number out of range.
    """

    predicted_iou: float | None = None
    stability: float | None = None
    similarity: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("predicted_iou", 0), ("stability", 0), ("similarity", -1)):
            value = getattr(self, name)
            if value is not None and not (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and least <= value <= 1
            ):
                raise SettingError(
                    f"{name} is {value!r}; expected a number from {least} to 1, or None for what "
                    "fits the model."
                )


#: By the family in a network's variant; those that are not here take SAM's published thresholds.
#: The compact model's scores are lower: of what reaches these, about nine in ten masks of faces'
#: parts, and two in three in photographs, had an IoU above 0.75 with one that a person had drawn.
CONFIDENT = {"compact": Confidence(0.7, 0.6)}
_PUBLISHED = Confidence(0.88, 0.95)


@dataclass
class Proposed:
    """What a run of the stage has done.

    Attributes:
        images: that were looked at.
        masks: that were filled in.
        seconds: that the model took.
        skipped: why images were not opened, by key.
        labels: how many of the masks have each label.
    """

    images: int = 0
    masks: int = 0
    seconds: float = 0.0
    skipped: dict[str, str] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)


class Memory:
    """The embeddings of masks that people stand for, of one model; each computed once."""

    def __init__(self) -> None:
        self._vectors: dict[tuple[str, str], tuple[dict[Rle, Vectors], Vectors]] = {}

    def neighbors(
        self, project: BaseProject, predictor: Predictor, threshold: float | None
    ) -> Neighbors | None:
        """What labels look like at present; None where nobody stands for any mask.

        Args:
            project: with the masks.
            predictor: whose image is another one afterwards.
            threshold: see `Neighbors`.
        """
        chosen: list[tuple[str, str, Rle, str]] = []
        for key in project.store.counts():
            if key not in project:
                continue
            kept = confirmed(project.store, key)
            chosen += [(a.created, a.label, a.rle, key) for a in kept]
            record = read_record(project.store, key)
            if record is None:
                continue
            # What was drawn anew was badly outlined, and not unwanted.
            chosen += [
                (record.at, REFUSED, rle, key)
                for rle in taken_off(project.store, key, record)
                if all(rle.iou(a.rle) < REDRAWN for a in kept)
            ]
        if not any(label != REFUSED for _, label, _, _ in chosen):
            return None
        counts: dict[str, int] = {}
        latest = []
        for row in sorted(chosen, key=lambda row: row[0], reverse=True):
            counts[row[1]] = counts.get(row[1], 0) + 1
            if counts[row[1]] <= MOST_COMPARED:
                latest.append(row)
        vectors, means, labels, keys = [], [], [], []
        for key in dict.fromkeys(row[3] for row in latest):
            rows = [row for row in latest if row[3] == key]
            try:
                found, mean = self._of(project, predictor, key, [rle for _, _, rle, _ in rows])
            except ImageError:  # an image that is gone teaches nothing
                continue
            vectors += [found[rle] for _, _, rle, _ in rows]
            labels += [label for _, label, _, _ in rows]
            keys += [key] * len(rows)
            means.append(mean)
        if not any(label != REFUSED for label in labels):
            return None
        return Neighbors(labels, np.stack(vectors), keys, np.mean(means, axis=0), threshold)

    def _of(
        self, project: BaseProject, predictor: Predictor, key: str, rles: Sequence[Rle]
    ) -> tuple[dict[Rle, Vectors], Vectors]:
        place = predictor.model.sha256, key
        known, mean = self._vectors.get(place, ({}, np.zeros(0, np.float32)))
        new = [rle for rle in dict.fromkeys(rles) if rle not in known]
        if new:
            predictor.set_image(project.open(key))
            fresh, mean = mask_vectors(predictor, new)
            known = {**known, **dict(zip(new, fresh, strict=True))}
            self._vectors[place] = known, mean
        return known, mean


def propose(
    project: BaseProject,
    predictor: Predictor,
    memory: Memory,
    *,
    limit: int | None = None,
    confidence: Confidence | None = None,
    settings: EverythingSettings | None = None,
    label: str | None = None,
    again: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    progress: bool = True,
) -> Proposed:
    """Fill in confident masks where nobody has finished; see `DataEngine.propose`."""
    checkpoint = predictor.model.sha256
    confidence = _filled(confidence or Confidence(), predictor)
    looking = _looser(settings or PROPOSING, confidence)
    if limit is not None and (type(limit) is not int or limit < 0):
        raise SettingError(f"limit is {limit!r}; expected a number of images, or None for all.")
    names = project.labels.names
    if label is not None and label not in names:
        raise SettingError(
            f"The label {label!r} is none of the project's; expected one of "
            f"{', '.join(map(repr, names))}. Add it to project.labels first."
        )
    todo = [key for key in unfinished(project) if again or not _is_done(project, key, checkpoint)]
    todo = todo[:limit]
    report = Proposed()
    if not todo:
        return report
    neighbors = memory.neighbors(project, predictor, confidence.similarity)
    with tqdm(total=len(todo), desc="propose", unit="image", delay=1, disable=not progress) as bar:
        for done, key in enumerate(todo):
            if cancelled is not None and cancelled():
                break
            try:
                _fill_in(
                    project, predictor, key, report,
                    confidence, looking, neighbors, label or names[0],
                )  # fmt: skip
            except ImageError as error:
                report.skipped[key] = str(error)
            bar.update()
            if on_progress is not None:
                on_progress(done + 1, len(todo))
    predictor.reset_image()
    return report


def unfinished(project: BaseProject) -> list[str]:
    """Keys of the images that nobody has finished, in the project's order."""
    statuses = project.store.statuses()
    return [key for key in project.keys if statuses[key] == "todo"]


def by_gain(project: BaseProject) -> tuple[str, ...]:
    """Keys of the unfinished images, the highest expected gain first; unknown ones at the end."""
    records = ((key, read_record(project.store, key)) for key in unfinished(project))
    gains = {key: -1.0 if record is None else record.gain for key, record in records}
    return tuple(sorted(gains, key=lambda key: -gains[key]))


def _fill_in(
    project: BaseProject,
    predictor: Predictor,
    key: str,
    report: Proposed,
    confidence: Confidence,
    looking: EverythingSettings,
    neighbors: Neighbors | None,
    label: str,
) -> None:
    store, checkpoint = project.store, predictor.model.sha256
    image = project.open(key)
    began = time.perf_counter()
    predictor.set_image(image)
    found = [
        to_annotation(
            one,
            label=label,
            model=predictor.model.name,
            checkpoint=checkpoint,
            image=image.sha256,
        )
        for one in find_all(predictor, looking)
    ]
    found = [a for a in found if a.area < WHOLE * image.width * image.height]
    guesses: list[Guess] | None = None
    if neighbors is not None and found:
        guesses = neighbors.guess(mask_vectors(predictor, [a.rle for a in found])[0])
    before = read_record(store, key)
    stale = frozenset() if before is None else untouched(store, key, before)
    refused = () if before is None else taken_off(store, key, before)
    kept = [a for a in store.annotations(key) if a.id not in stale]
    new, left = _sorted_out(found, guesses, confidence, kept, refused)
    seconds = time.perf_counter() - began
    record = Record(
        checkpoint=checkpoint,
        at=checks.now(),
        seconds=seconds,
        gain=_gain(left, [*kept, *new], refused),
        masks=tuple(Suggestion(a.id, a.label, a.rle) for a in new),
        refused=refused,
    )
    # The masks and what is known of them in one transaction: a kill leaves both or neither.
    project[key].annotations.extend(
        new, f"propose {len(new)}", without=stale, meta=record_values(key, record)
    )
    report.images += 1
    report.masks += len(new)
    report.seconds += seconds
    for a in new:
        report.labels[a.label] = report.labels.get(a.label, 0) + 1


def _sorted_out(
    found: Sequence[Annotation],
    guesses: Sequence[Guess] | None,
    confidence: Confidence,
    kept: Sequence[Annotation],
    refused: Sequence[Rle],
) -> tuple[list[Annotation], list[tuple[Annotation, float]]]:
    """The masks to fill in, the best first, and the others with their value."""
    ranked = []
    for index, item in enumerate(found):
        value = min(1.0, item.predicted_iou or 0.0) * min(1.0, item.stability_score or 0.0)
        sure = (item.predicted_iou or 0.0) >= (confidence.predicted_iou or 0.0) and (
            item.stability_score or 0.0
        ) >= (confidence.stability or 0.0)
        if guesses is not None:
            name, _, trust = guesses[index]
            if name == REFUSED:
                continue
            item, value, sure = replace(item, label=name), value * trust, sure and trust == 1.0
        ranked.append((value, sure, item))
    ranked.sort(key=lambda row: -row[0])
    there = [*(a.rle for a in kept), *refused]
    chosen: list[Annotation] = []
    left = []
    for value, sure, item in ranked:
        if any(item.rle.iou(other) >= SAME for other in there):
            continue
        # With labels known, a thing's own part or surroundings of the same label is no new thing.
        nested = guesses is not None and any(
            other.label == item.label and _overlap(item.rle, other.rle) >= SAME for other in chosen
        )
        if sure and not nested:
            chosen.append(item)
            there.append(item.rle)
        else:
            left.append((item, value))
    return chosen, left


def _gain(
    left: Iterable[tuple[Annotation, float]], kept: Sequence[Annotation], refused: Sequence[Rle]
) -> float:
    """The expected gain of an image; see the module."""
    there = [*(a.rle for a in kept), *refused]
    gain = 0.0
    for item, value in sorted(left, key=lambda row: -row[1]):
        if all(_share_in(item.rle, other) < COVERED for other in there):
            gain += 4 * value * (1 - value)
            there.append(item.rle)  # of several masks of one uncertain thing, one counts
    return gain


def _overlap(a: Rle, b: Rle) -> float:
    """The share of the smaller of two masks that lies in the other."""
    return _share_in(*((a, b) if a.area <= b.area else (b, a)))


def _share_in(inner: Rle, outer: Rle) -> float:
    """The share of a mask's pixels that lie in another."""
    # With "crowd", pycocotools divides by the first mask's area alone.
    matrix: Any = coco.iou([inner.raw], [outer.raw], [1])
    return float(matrix[0, 0])


def _is_done(project: BaseProject, key: str, checkpoint: str) -> bool:
    record = read_record(project.store, key)
    return record is not None and record.checkpoint == checkpoint


def _filled(confidence: Confidence, predictor: Predictor) -> Confidence:
    """Thresholds that fit the model, where none are given."""
    own = CONFIDENT.get(predictor.model.network.variant.split("-")[0], _PUBLISHED)
    iou, stability = confidence.predicted_iou, confidence.stability
    return replace(
        confidence,
        predicted_iou=own.predicted_iou if iou is None else iou,
        stability=own.stability if stability is None else stability,
    )


def _looser(settings: EverythingSettings, confidence: Confidence) -> EverythingSettings:
    """Settings that find the uncertain masks, too; those that a person has set stay."""
    own: dict[str, Any] = {
        "pred_iou_thresh": max(0.0, (confidence.predicted_iou or 0.0) - LOOSER),
        "stability_score_thresh": max(0.0, (confidence.stability or 0.0) - LOOSER),
    }
    return replace(settings, **{k: v for k, v in own.items() if getattr(settings, k) is None})
