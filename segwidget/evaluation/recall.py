"""Average recall of proposals: how many of the things in an image everything mode finds.

"Segment Anything", section 7.3 and appendix D.3, "Zero-Shot Object Proposals": everything mode
without its thresholds of quality, duplicates taken out at an IoU of boxes of 0.9, and of the
masks the 1,000 whose mean of predicted IoU and stability score is highest. Recall is that of
COCO's evaluation without classes (Lin et al., 2014): at each IoU of 0.50, 0.55, … 0.95 proposals
take, best first, the mask that they overlap most and that is not taken; AR@1000 is the mean over
masks and over the ten IoUs. The paper asks about 64 × 64 points; here it is a setting.

Sizes are COCO's: small below 32² pixels, medium below 96², large. Since they are meant for images
of about 640 × 480, and shards are smaller, there are also relative ones: the same areas as shares
of such an image, 1/300 and 3/100.

Every mask of an image that is not below the least share of the draw is asked for, whoever drew it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from segwidget.evaluation.metrics import Mean, mean_with_interval
from segwidget.evaluation.protocol import PredictorSegmenter, SampledImage, Sampling
from segwidget.evaluation.report import MEAN_OF_SETS, line, number
from segwidget.inference.everything import EverythingSettings, Proposal, propose
from segwidget.inference.everything.filters import mask_ious

MOST = 1000
THRESHOLDS = np.linspace(0.5, 0.95, 10)
SMALL, MEDIUM = 32**2, 96**2
_REFERENCE = 640 * 480

SIZES = ("small", "medium", "large")
#: The ranges of areas, in the order of the table.
RANGES = ("all", *SIZES, *(f"relative {size}" for size in SIZES))


@dataclass(frozen=True)
class Recalled:
    """How well one mask was found.

    Attributes:
        set: the set's name.
        image: the image's name within it.
        mask: the mask's index within the image.
        recall: range of areas, of those that it is in, to the share of IoUs at which it was found
            by a proposal that no other mask of the range had taken.
        proposals: how many there were in the image.
    """

    set: str
    image: str
    mask: int
    recall: dict[str, float]
    proposals: int


def settings_for(points_per_side: int) -> EverythingSettings:
    """Everything mode as average recall asks for it."""
    return EverythingSettings(
        points_per_side=points_per_side,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=0.9,
    )


def measure_recall(
    segmenter: PredictorSegmenter,
    images: Sequence[SampledImage],
    sampling: Sampling,
    points_per_side: int = 32,
) -> RecallReport:
    """Propose masks on images, and look for all of theirs; with progress on the standard error."""
    found: list[Recalled] = []
    name = f"{segmenter.name}, proposals"
    for image in tqdm(images, name, unit="image", file=sys.stderr):
        segmenter.set_image(image.item.image)
        proposals = propose(segmenter.predictor, settings_for(points_per_side))
        found += recalled(image, best(proposals), sampling.min_share)
    return RecallReport(segmenter.name, points_per_side, tuple(found))


def best(proposals: Iterable[Proposal], most: int = MOST) -> list[Proposal]:
    """So many proposals, by the mean of predicted IoU and stability score, best first."""
    return sorted(proposals, key=lambda p: -(p.predicted_iou + p.stability_score))[:most]


def recalled(
    image: SampledImage, proposals: Sequence[Proposal], min_share: float
) -> Iterator[Recalled]:
    """How well each mask of an image is found by proposals, which are given best first."""
    masks = image.item.masks
    share = np.array([mask.rle.area / np.prod(mask.rle.size) for mask in masks])
    area = np.array([mask.rle.area for mask in masks])
    asked = np.flatnonzero((share >= min_share) & (area > 0))
    ious = mask_ious(
        [(p.size, p.counts) for p in proposals],
        [(masks[i].rle.size, masks[i].rle.counts) for i in asked],
    )
    recall: list[dict[str, float]] = [{} for _ in asked]
    for name in RANGES:
        inside = np.flatnonzero([_in_range(name, area[i], share[i]) for i in asked])
        shares = taken(ious[:, inside]).mean(axis=0)
        for place, value in zip(inside, shares, strict=True):
            recall[place][name] = float(value)
    for mask, found in zip(asked.tolist(), recall, strict=True):
        yield Recalled(image.set, image.item.name, mask, found, len(proposals))


def taken(
    ious: NDArray[np.float64], thresholds: NDArray[np.float64] = THRESHOLDS
) -> NDArray[np.bool_]:
    """Which masks proposals take, by the rule of COCO's evaluation.

    Args:
        ious: ``(P, M)`` of proposals, best first, and masks.
        thresholds: ``(T,)`` IoUs that count as found.

    Returns:
        ``(T, M)`` bool.
    """
    found = np.zeros((len(thresholds), ious.shape[1]), bool)
    if not ious.size:
        return found
    useful = ious[ious.max(axis=1) >= thresholds.min()]
    for threshold, row in zip(thresholds, found, strict=True):
        for one in useful:
            free = np.where(row, -1.0, one)
            highest = free.max()
            if highest >= threshold:
                row[np.flatnonzero(free == highest)[-1]] = True  # COCO takes the last of equals
    return found


def _in_range(name: str, area: int, share: float) -> bool:
    if name == "all":
        return True
    pixels = share * _REFERENCE if name.startswith("relative") else area
    # COCO's ranges hold both their ends, but one mask should not be in two.
    size = SIZES[int(pixels >= SMALL) + int(pixels >= MEDIUM)]
    return name.endswith(size)


@dataclass(frozen=True)
class RecallReport:
    """Average recall of one model.

    Attributes:
        segmenter: its name.
        points_per_side: of the grid.
        found: one for each mask.
    """

    segmenter: str
    points_per_side: int
    found: tuple[Recalled, ...]

    def rows(self) -> dict[str, dict[str, Mean]]:
        """Set, and the mean of sets, to range of areas to AR@1000; NaN where there is no mask."""
        by_set: dict[str, list[Recalled]] = {}
        for one in sorted(self.found, key=lambda one: one.set):
            by_set.setdefault(one.set, []).append(one)
        groups = {name: [chosen] for name, chosen in by_set.items()}
        if len(by_set) > 1:
            groups[MEAN_OF_SETS] = list(by_set.values())
        return {
            name: {key: _mean(several, key) for key in RANGES} for name, several in groups.items()
        }

    def to_markdown(self) -> str:
        """The table, with half the width of 95 % intervals."""
        head = [f"AR@{MOST}, {self.segmenter}", "masks", "proposals an image", *RANGES]
        lines = [line(head), line(["---", *["--:"] * (len(head) - 1)])]
        for name, row in self.rows().items():
            chosen = [one for one in self.found if name in (one.set, MEAN_OF_SETS)]
            counts = {(one.set, one.image): one.proposals for one in chosen}
            cells = [name, str(len(chosen)), f"{np.mean(list(counts.values())):.0f}"]
            values = ("–" if np.isnan(row[key].value) else number(row[key]) for key in RANGES)
            lines.append(line([*cells, *values]))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "segmenter": self.segmenter,
            "points_per_side": self.points_per_side,
            "sets": {
                name: {key: mean._asdict() for key, mean in row.items()}
                for name, row in self.rows().items()
            },
            "masks": [asdict(one) for one in self.found],
        }


def _mean(groups: Sequence[Sequence[Recalled]], key: str) -> Mean:
    return mean_with_interval(
        [
            (
                [one.recall[key] for one in group if key in one.recall],
                [f"{one.set}/{one.image}" for one in group if key in one.recall],
            )
            for group in groups
        ]
    )
