"""The protocol: how a segmenter is measured on images with masks.

The data are sets: a shard is one, and so is a COCO file with its images (see
:mod:`segwidget.evaluation.data`). Of every set some images are drawn, and of each image some masks.
For each mask the simulated annotator (see :mod:`segwidget.evaluation.annotator`) asks, and the
answers are compared with the mask:

- `1 click`, `2 clicks`, `3 clicks`, `5 clicks`, `9 clicks`: IoU of the segmenter's first answer
  after so many clicks. Each click corrects the answer before it, and the segmenter sees all clicks
  so far; a model feeds its previous logits back. Where an answer is perfect the annotator stops,
  and it counts from there on.
- `NoC@85`, `NoC@90`: the number of clicks after which the IoU first is 0.85 or 0.90. At most 20
  clicks are made; what is never reached counts 20, and `never 85`, `never 90` are the shares of
  such masks. After nine clicks the annotator goes on only until 0.90 was reached once, since
  nothing else depends on later clicks.
- `best of 3`: IoU of the best of the first three candidates after one click, chosen by an oracle
  ("Segment Anything", section 7.1); those are the masks of the three tokens for ambiguous prompts.
  `oracle gap`: how much better it is than the segmenter's own choice.
- `box`: IoU after the tight box; `loose box`: after a jittered one.
- boundary IoU of the first answer to each of these prompts.
- predicted IoU against the actual one, of the first answer to each of these prompts.

Every segmenter is asked about the same masks with the same first clicks and the same boxes; later
clicks correct each one's own answers, by the same rule.

Masks below 0.05 % of the image are left out: at 480 pixels they are a few specks that nobody
clicks on. What is drawn depends on the seed and on names alone, so that a smaller sample is a part
of a larger one.

A set's number is the mean over its masks; the overall number is given as the mean over sets, where
each kind of image counts alike, and as the mean over masks. `natural` is the mean over the sets of
natural photographs, which are nearest to what people click on. Intervals are 95 % bootstraps over
images (:func:`segwidget.evaluation.metrics.mean_with_interval`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.formats.shards import ShardMask, read_shard
from segwidget.errors import StoreError
from segwidget.evaluation.annotator import jittered_box, tight_box
from segwidget.evaluation.clicking import Answer, ScoredMask, turns
from segwidget.evaluation.metrics import boundary_band, iou, oracle_iou
from segwidget.inference.candidates import Candidates
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point

CLICKS = (1, 2, 3, 5, 9)
MIN_SHARE = 0.0005
#: IoUs up to which clicks are counted.
THRESHOLDS = (0.85, 0.90)

#: Sets of natural photographs.
NATURAL = frozenset({"bsds500", "davis2016", "ccp", "camvid", "human290", "food_via"})


class PromptableSegmenter(Protocol):
    """Whatever can be measured: a model, or what a person could have instead of one."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def set_image(self, pixels: NDArray[np.uint8]) -> None:
        """Take an RGB image, ``(H, W, 3)`` uint8; all prompts until the next one speak of it."""

    def click(self, points: Sequence[Point]) -> Answer:
        """Answer clicks on one thing: all of them so far, the newest last."""

    def box(self, box: Box) -> Answer:
        """Answer a box around one thing."""


class ScoredAnswer:
    """Candidates as they are measured: each mask is made when it is asked for, and nothing else.

    Stability scores are not, which would be counted in all logits of each answer.

    Args:
        candidates: of a predictor.
    """

    def __init__(self, candidates: Candidates) -> None:
        self._candidates = candidates

    def __len__(self) -> int:
        return len(self._candidates)

    def __getitem__(self, index: int, /) -> Scored:
        mask, predicted = self._candidates.mask(index), self._candidates.predicted_iou[index]
        return Scored(mask, float(predicted))


class Scored(NamedTuple):
    """One mask of an answer; see :class:`segwidget.evaluation.clicking.ScoredMask`."""

    mask: NDArray[np.bool_]
    predicted_iou: float | None


class PredictorSegmenter:
    """A predictor, ready to be measured.

    Args:
        predictor: it is asked one thing after the other.
        name: what tables call it; by default the model's name.
    """

    def __init__(self, predictor: Predictor, name: str | None = None) -> None:
        self.predictor = predictor
        self.name = name or predictor.model.name

    def set_image(self, pixels: NDArray[np.uint8]) -> None:
        """Embed an image; that of the image before is forgotten, since it does not come back."""
        self.predictor.reset_image(forget=True)
        self.predictor.set_image(pixels)

    def click(self, points: Sequence[Point]) -> ScoredAnswer:
        """Answer clicks; one more than last time refines the last answer."""
        return ScoredAnswer(self.predictor.predict(points))

    def box(self, box: Box) -> ScoredAnswer:
        """Answer a box."""
        return ScoredAnswer(self.predictor.predict([box], refine=False))


@dataclass(frozen=True)
class Sampling:
    """Which masks are asked about.

    Attributes:
        masks_per_image: at most so many of each image; ``None`` for all.
        images_per_set: at most so many of each set; ``None`` for all.
        min_share: least part of the image that a mask covers.
        seed: of the lots that are drawn, and of the noise of loose boxes.
    """

    masks_per_image: int | None = 4
    images_per_set: int | None = None
    min_share: float = MIN_SHARE
    seed: int = 0


@dataclass(frozen=True)
class Measurement:
    """What came of one mask.

    Attributes:
        set: the set's name.
        image: the image's name within it.
        mask: the mask's index within the image.
        share: part of the image that it covers.
        iou: prompt, such as ``"1 click"``, to the IoU of the first answer; also ``"best of 3"``.
        predicted: prompt to predicted IoU, where the segmenter has an opinion.
        curve: IoU after each click that was made; after an early end the last one holds.
        boundary: prompt to the boundary IoU of the first answer.
    """

    set: str
    image: str
    mask: int
    share: float
    iou: dict[str, float]
    predicted: dict[str, float]
    curve: tuple[float, ...] = ()
    boundary: dict[str, float] = field(default_factory=dict)

    def after(self, clicks: int) -> float:
        """IoU after so many clicks, from 1."""
        return self.curve[min(clicks, len(self.curve)) - 1]


class MaskedImage(Protocol):
    """An image with all its masks, such as one of a shard."""

    @property
    def name(self) -> str:
        """Within its set."""

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB, ``(H, W, 3)`` uint8."""

    @property
    def masks(self) -> tuple[ShardMask, ...]:
        """All of the image's size."""


@dataclass(frozen=True)
class SampledImage:
    """An image and the masks that are asked about.

    Attributes:
        set: the set's name.
        item: the image with all its masks.
        chosen: indices of the masks.
        too_small: how many masks were below the least share.
    """

    set: str
    item: MaskedImage
    chosen: tuple[int, ...]
    too_small: int


def clicks_name(count: int) -> str:
    """``"1 click"``, ``"3 clicks"``."""
    return f"{count} click" if count == 1 else f"{count} clicks"


BEST_OF_THREE = "best of 3"
BOX = "box"
LOOSE_BOX = "loose box"

#: What is asked, in the order of the tables' columns.
COLUMNS = (
    clicks_name(CLICKS[0]),
    BEST_OF_THREE,
    *(clicks_name(n) for n in CLICKS[1:]),
    BOX,
    LOOSE_BOX,
)


def find_shards(data: str | Path) -> list[Path]:
    """The shards of a folder, or the one shard that is named.

    Raises:
        StoreError: there is none.
    """
    path = Path(data).expanduser()
    shards = sorted(path.glob("*.tar")) if path.is_dir() else [path] if path.is_file() else []
    if not shards:
        raise StoreError(
            f"There are no shards in {str(path)!r}; expected a folder of *.tar files, one such "
            "file, or a COCO file (.json). Check the path."
        )
    return shards


def sample(shard: Path, sampling: Sampling) -> list[SampledImage]:
    """Draw images and masks of a shard.

    Raises:
        StoreError: the shard cannot be read.
        FormatError: it is damaged.
    """
    return draw(shard.stem, read_shard(shard), sampling)


def draw(name: str, items: Iterable[MaskedImage], sampling: Sampling) -> list[SampledImage]:
    """Draw images and masks of a set.

    Args:
        name: of the set.
        items: its images; their pixels are not looked at.
        sampling: how many of them.
    """
    images = []
    for item in items:
        share = np.array([mask.rle.area / np.prod(mask.rle.size) for mask in item.masks])
        large = np.flatnonzero((share >= sampling.min_share) & (share > 0))
        if len(large):
            order = sorted(large.tolist(), key=lambda i: lot(sampling.seed, item.name, i))
            chosen = tuple(order[: sampling.masks_per_image])
            images.append(SampledImage(name, item, chosen, len(share) - len(large)))
    images.sort(key=lambda image: lot(sampling.seed, image.item.name))
    return images[: sampling.images_per_set]


def first_of_each_set(images: Sequence[SampledImage], count: int | None) -> list[SampledImage]:
    """At most so many images of each set; they are a draw, too. ``None`` for all."""
    seen: dict[str, int] = {}
    kept = []
    for image in images:
        seen[image.set] = seen.get(image.set, 0) + 1
        if count is None or seen[image.set] <= count:
            kept.append(image)
    return kept


def evaluate(
    segmenter: PromptableSegmenter, images: Iterable[SampledImage], seed: int = 0
) -> Iterator[Measurement]:
    """Ask a segmenter about masks.

    Args:
        segmenter: what is measured.
        images: from :func:`sample`.
        seed: of the noise of loose boxes.

    Yields:
        One measurement for each chosen mask.
    """
    for image in images:
        item = image.item
        segmenter.set_image(item.image)
        for index in image.chosen:
            target = item.masks[index].rle.decode()
            rng = np.random.default_rng(lot(seed, item.name, index))
            asked = ask(segmenter, target, rng)
            share = item.masks[index].rle.area / target.size
            yield Measurement(image.set, item.name, index, share, *asked)


def ask(
    segmenter: PromptableSegmenter, target: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, float], tuple[float, ...], dict[str, float]]:
    """All prompts for one mask ``(H, W)`` of the present image.

    Returns:
        Actual and predicted IoUs by prompt, IoUs click by click, and boundary IoUs by prompt.
    """
    actual: dict[str, float] = {}
    predicted: dict[str, float] = {}
    boundary: dict[str, float] = {}
    band = boundary_band(target)

    def note(first: ScoredMask, *prompts: str) -> None:
        whole, near = iou(first.mask, target), iou(boundary_band(first.mask), band)
        for prompt in prompts:
            actual[prompt], boundary[prompt] = whole, near
            if first.predicted_iou is not None:
                predicted[prompt] = float(first.predicted_iou)

    curve: list[float] = []
    for _, answer, first, value in turns(segmenter.click, target):
        curve.append(value)
        count = len(curve)
        if count in CLICKS:
            note(first, clicks_name(count))
        if count == 1:
            others = (answer[i].mask for i in range(1, min(3, len(answer))))
            actual[BEST_OF_THREE] = oracle_iou((first.mask, *others), target)
        if count >= CLICKS[-1] and max(curve) >= THRESHOLDS[-1]:
            break
    rest = [clicks_name(count) for count in CLICKS if count > len(curve)]
    if rest:  # nothing was left to correct: the last answer counts from there on
        note(first, *rest)
    for name, box in ((BOX, tight_box(target)), (LOOSE_BOX, jittered_box(target, rng))):
        note(segmenter.box(box)[0], name)
    return actual, predicted, tuple(curve), boundary


def lot(seed: int, *names: object) -> int:
    """A number that looks random and depends on the arguments alone, on every computer."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
