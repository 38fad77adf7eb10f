"""Images with masks in memory, and random training crops of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageFilter
from torch import Tensor
from torch.utils.data import IterableDataset

from segwidget.annotation.formats.shards import read_shard
from segwidget.inference.rle import Rle
from segwidget.training.augment import recolor

# How often a set is drawn. Natural photographs, whole partitions and parts count most, since they
# are what people click on; defects and nuclei are many and would drown the rest.
SET_WEIGHTS: Mapping[str, float] = {
    "bsds500": 3.5, "davis2016": 1.5, "ccp": 2.0, "camvid": 1.2, "facade_1024": 1.0,
    "food_via": 1.0, "human290": 1.0, "fasseg": 0.6, "artdeco": 0.4, "dsb2018": 0.8, "wbc": 0.5,
    "hc18": 0.2, "solar_pv": 0.4, "car_damage": 0.2, "concrete": 0.1, "crackforest": 0.05,
    "magnetic_tile": 0.05, "neu_seg": 0.1, "kudzu": 0.3, "spacecraft": 0.4,
}  # fmt: skip

# Sets whose masks are whole things, fit to be cut out and pasted elsewhere.
OBJECT_SETS = ("davis2016", "human290", "food_via", "ccp", "spacecraft", "kudzu", "wbc")

# The padding after normalization is zero, which before it is the mean color.
PIXEL_MEAN = (123.675, 116.28, 103.53)

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Sample:
    """One image and its masks, as kept in memory.

    Attributes:
        image: ``(H, W, 3)`` uint8.
        masks: run-length masks.
        weight: ``(N,)`` how often each mask is drawn.
    """

    image: NDArray[np.uint8]
    masks: tuple[Rle, ...]
    weight: NDArray[np.float64]


def load_sets(folder: Path, area: float = 0.4) -> dict[str, list[Sample]]:
    """Read every ``*.tar`` of a folder.

    Masks are drawn with a probability that grows with their area to the power of ``area``, up to a
    third of the image, so that specks do not outnumber things.
    """
    sets: dict[str, list[Sample]] = {}
    for path in sorted(folder.glob("*.tar")):
        samples = []
        for item in read_shard(path):
            masks = tuple(m.rle for m in item.masks if m.rle.area > 0)
            if masks:
                pixels = item.image.shape[0] * item.image.shape[1]
                share = np.array([m.area for m in masks]) / pixels
                weight = np.minimum(share, 0.3) ** area
                samples.append(Sample(item.image, masks, weight / weight.sum()))
        sets[path.stem] = samples
    if not any(sets.values()):
        raise FileNotFoundError(
            f"No shards with masks in {folder}. Point --data at a folder of *.tar shards."
        )
    return sets


class RandomCrops(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches of augmented crops.

    Yields ``(images, masks)``: images ``(I, 3, S, S)`` float32 of 0 to 255 and masks
    ``(I, P, S/2, S/2)`` float32 coverage in ``[0, 1]``.

    Args:
        sets: from :func:`load_sets`.
        size: side ``S`` of the crops.
        images: ``I``.
        prompts: ``P``; where an image has fewer masks they repeat.
        zoom: least and greatest side of the window that is cut, over the image's long side.
        seed: of everything random; a resumed run passes another one.
        paste: share of the crops into which objects of other images are pasted.
        weights: how often each set is drawn; one that is not named counts half.
    """

    def __init__(
        self,
        sets: Mapping[str, list[Sample]],
        size: int,
        images: int,
        prompts: int,
        zoom: tuple[float, float],
        seed: int,
        paste: float = 0.0,
        weights: Mapping[str, float] = SET_WEIGHTS,
    ) -> None:
        self.sets = {name: samples for name, samples in sets.items() if samples}
        self.paste, self.weights = paste, weights
        self.donors = [name for name in OBJECT_SETS if self.sets.get(name)]
        self.size, self.images, self.prompts = size, images, prompts
        self.zoom, self.seed = zoom, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        names = list(self.sets)
        odds = np.array([self.weights.get(name, 0.5) for name in names])
        odds /= odds.sum()
        while True:
            crops: list[tuple[NDArray[np.float32], NDArray[np.uint8]]] = []
            while len(crops) < self.images:
                samples = self.sets[names[rng.choice(len(names), p=odds)]]
                crop = self.crop(samples[rng.integers(len(samples))], rng)
                if crop is not None:
                    crops.append(crop)
            images, masks = zip(*crops, strict=True)
            yield (
                torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
                torch.from_numpy(np.stack(masks)).float().div_(255),
            )

    def crop(
        self, sample: Sample, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
        """One crop ``(S, S, 3)`` and its masks ``(P, S/2, S/2)``; ``None`` where none is seen."""
        height, width = sample.image.shape[:2]
        side = max(height, width) * np.exp(rng.uniform(*np.log(self.zoom)))
        stretch = np.exp(rng.uniform(-0.2, 0.2))
        box = window(width, height, side * stretch, side / stretch, rng)
        flip = rng.random() < 0.5

        half = self.size // 2
        seen = cut(sample.image, box, self.size)
        seen = seen[:, ::-1] if flip else seen
        hidden: NDArray[np.uint8] | None = None
        masks: list[NDArray[np.uint8]] = []
        if self.donors and rng.random() < self.paste:
            donor = self.sets[self.donors[rng.integers(len(self.donors))]]
            seen, hidden = paste_object(seen, donor[rng.integers(len(donor))], rng)
            # Smaller than the picture where the crop reaches beyond it, and by one where it is odd.
            hidden = np.asarray(PILImage.fromarray(hidden).reduce(2))[:half, :half]
            if np.count_nonzero(hidden > 127) >= 12:
                masks.append(pad(hidden, half, 0))
        chosen = rng.choice(len(sample.masks), size=2 * self.prompts, p=sample.weight)
        for index in dict.fromkeys(chosen.tolist()):
            mask = cut(sample.masks[index].decode() * np.uint8(255), box, half)
            mask = pad(mask[:, ::-1] if flip else mask, half, 0)
            if hidden is not None:
                mask = np.minimum(mask, 255 - pad(hidden, half, 0))
            if np.count_nonzero(mask > 127) >= 12:
                masks.append(mask)
            if len(masks) == self.prompts:
                break
        if not masks:
            return None
        image = recolor(seen, rng)
        stacked = np.stack([masks[i % len(masks)] for i in range(self.prompts)])
        return pad(image, self.size, PIXEL_MEAN), stacked


def window(
    width: int, height: int, w: float, h: float, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """A random ``w x h`` window; where the image is smaller it starts at the image's edge."""
    x = rng.uniform(0, max(width - w, 0))
    y = rng.uniform(0, max(height - h, 0))
    return x, y, x + w, y + h


def cut(
    image: NDArray[np.uint8], box: tuple[float, float, float, float], size: int
) -> NDArray[np.uint8]:
    """Cut the part of ``box`` that the image has, at the scale that makes all of it ``size``."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    seen = (x0, y0, min(x1, width), min(y1, height))
    w = max(1, round(size * (seen[2] - x0) / (x1 - x0)))
    h = max(1, round(size * (seen[3] - y0) / (y1 - y0)))
    picture = PILImage.fromarray(image).resize((w, h), PILImage.Resampling.BILINEAR, box=seen)
    return np.asarray(picture)


def pad(image: NDArray[T], size: int, value: float | tuple[float, ...]) -> NDArray[T]:
    """Fill up to ``size x size`` on the right and below, as the network's preprocessing does."""
    out = np.empty((size, size, *image.shape[2:]), image.dtype)
    out[...] = value
    out[: image.shape[0], : image.shape[1]] = image
    return out


def paste_object(
    scene: NDArray[np.uint8], donor: Sample, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Put an object of another image into a scene ("Simple Copy-Paste", Ghiasi et al., 2021).

    Args:
        scene: ``(H, W, 3)`` uint8.
        donor: where the object comes from.
        rng: source of chance.

    Returns:
        The scene with it and its coverage ``(H, W)`` uint8 of 0 to 255, softened at the edge.
    """
    height, width = scene.shape[:2]
    mask = donor.masks[rng.choice(len(donor.masks), p=donor.weight)].decode()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    part = PILImage.fromarray(donor.image[inside])
    cover = PILImage.fromarray(mask[inside].astype(np.uint8) * 255)
    scale = max(height, width) * np.exp(rng.uniform(np.log(0.12), np.log(0.6))) / max(part.size)
    size = (max(4, round(part.width * scale)), max(4, round(part.height * scale)))
    part, cover = part.resize(size), cover.resize(size)
    if rng.random() < 0.5:
        mirror = PILImage.Transpose.FLIP_LEFT_RIGHT
        part, cover = part.transpose(mirror), cover.transpose(mirror)
    cover = cover.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.0)))
    x = round(rng.uniform(-0.25 * size[0], width - 0.75 * size[0]))
    y = round(rng.uniform(-0.25 * size[1], height - 0.75 * size[1]))
    picture, whole = PILImage.fromarray(scene), PILImage.new("L", (width, height))
    picture.paste(part, (x, y), cover)
    whole.paste(cover, (x, y))
    return np.asarray(picture), np.asarray(whole)
