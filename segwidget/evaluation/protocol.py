"""The protocol: how a segmenter is measured on shards of images with masks.

Of every set (one shard) some images are drawn, and of each image some masks. For each mask the
simulated annotator (see :mod:`segwidget.evaluation.annotator`) asks, and the answers are compared
with the mask:

- `1 click`, `3 clicks`, `5 clicks`: IoU of the segmenter's first answer after so many clicks. Each
  click corrects the answer before it, and the segmenter sees all clicks so far; a model feeds its
  previous logits back. Where an answer is perfect the annotator stops, and it counts from there on.
- `best of 3`: IoU of the best of the first three candidates after one click, chosen by an oracle;
  those are the masks of the three tokens for ambiguous prompts.
- `box`: IoU after the tight box; `loose box`: after a jittered one.
- predicted IoU against the actual one, of the first answer to each of these prompts.

Masks below 0.05 % of the image are left out: at 480 pixels they are a few specks that nobody
clicks on. What is drawn depends on the seed and on names alone, so that every segmenter is asked
about the same masks, and a smaller sample is a part of a larger one.

A set's number is the mean over its masks; the overall number is given as the mean over sets, where
each kind of image counts alike, and as the mean over masks. `natural` is the mean over the sets of
natural photographs, which are nearest to what people click on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.formats.shards import ShardImage, read_shard
from segwidget.errors import StoreError
from segwidget.evaluation.annotator import first_click, jittered_box, next_click, tight_box
from segwidget.evaluation.metrics import iou, oracle_iou
from segwidget.inference.candidates import Candidates
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point

CLICKS = (1, 3, 5)
MIN_SHARE = 0.0005

#: Sets of natural photographs.
NATURAL = frozenset({"bsds500", "davis2016", "ccp", "camvid", "human290", "food_via"})


class ScoredMask(Protocol):
    """One mask of an answer."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """``(H, W)`` bool."""

    @property
    def predicted_iou(self) -> float | None:
        """What the segmenter believes its IoU to be; ``None`` where it has no opinion."""


class Answer(Protocol):
    """An answer: one or more masks, best first."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> ScoredMask: ...


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

    def click(self, points: Sequence[Point]) -> Candidates:
        """Answer clicks; one more than last time refines the last answer."""
        return self.predictor.predict(points)

    def box(self, box: Box) -> Candidates:
        """Answer a box."""
        return self.predictor.predict([box], refine=False)


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
        set: the shard's name.
        image: the image's name within it.
        mask: the mask's index within the image.
        share: part of the image that it covers.
        iou: prompt, such as ``"1 click"``, to the IoU of the first answer; also ``"best of 3"``.
        predicted: prompt to predicted IoU, where the segmenter has an opinion.
    """

    set: str
    image: str
    mask: int
    share: float
    iou: dict[str, float]
    predicted: dict[str, float]


@dataclass(frozen=True)
class SampledImage:
    """An image and the masks that are asked about.

    Attributes:
        set: the shard's name.
        item: the image with all its masks.
        chosen: indices of the masks.
        too_small: how many masks were below the least share.
    """

    set: str
    item: ShardImage
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
            f"There are no shards in {str(path)!r}; expected a folder of *.tar files, or one such "
            "file. Check the path."
        )
    return shards


def sample(shard: Path, sampling: Sampling) -> list[SampledImage]:
    """Draw images and masks of a shard.

    Raises:
        StoreError: the shard cannot be read.
        FormatError: it is damaged.
    """
    images = []
    for item in read_shard(shard):
        area = np.array([mask.rle.area for mask in item.masks])
        large = np.flatnonzero(area >= sampling.min_share * item.image[..., 0].size)
        if len(large):
            order = sorted(large.tolist(), key=lambda i: lot(sampling.seed, item.name, i))
            chosen = tuple(order[: sampling.masks_per_image])
            images.append(SampledImage(shard.stem, item, chosen, len(area) - len(large)))
    images.sort(key=lambda image: lot(sampling.seed, image.item.name))
    return images[: sampling.images_per_set]


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
            scores, predicted = ask(segmenter, target, rng)
            share = item.masks[index].rle.area / target.size
            yield Measurement(image.set, item.name, index, share, scores, predicted)


def ask(
    segmenter: PromptableSegmenter, target: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, float]]:
    """All prompts for one mask ``(H, W)`` of the present image: actual and predicted IoUs."""
    actual: dict[str, float] = {}
    predicted: dict[str, float] = {}

    def note(prompt: str, answer: Answer) -> None:
        first = answer[0]
        actual[prompt] = iou(first.mask, target)
        if first.predicted_iou is not None:
            predicted[prompt] = float(first.predicted_iou)

    clicks = [first_click(target)]
    for count in range(1, max(CLICKS) + 1):
        if len(clicks) == count:
            answer = segmenter.click(tuple(clicks))
        if count in CLICKS:
            note(clicks_name(count), answer)
        if count == 1:
            three = (answer[i].mask for i in range(min(3, len(answer))))
            actual[BEST_OF_THREE] = oracle_iou(three, target)
        if len(clicks) == count:
            click = next_click(target, answer[0].mask, clicks)
            clicks += [] if click is None else [click]
    note(BOX, segmenter.box(tight_box(target)))
    note(LOOSE_BOX, segmenter.box(jittered_box(target, rng)))
    return actual, predicted


def lot(seed: int, *names: object) -> int:
    """A number that looks random and depends on the arguments alone, on every computer."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
