"""What fine-tuning reads again and again: embeddings, computed once, and targets.

Encoding an image takes longer than all the rest of a step, and as long as the image encoder does
not learn it gives the same each time. So it is done once, and epochs run on the decoder alone.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from torch import Tensor

from segwidget.errors import SettingError
from segwidget.inference.embedding_file import EmbeddingKey, file_name, has_file, unpack
from segwidget.inference.embedding_store import default_store
from segwidget.inference.embeddings import (
    as_float,
    embed,
    embedding_key,
    features_nbytes,
    rounded,
)
from segwidget.inference.models import Model
from segwidget.inference.preprocessing import Frame
from segwidget.inference.rle import Rle
from segwidget.sam.sam import ImageFeatures
from segwidget.training.dataset import TrainingImage

#: ``"memory"`` holds all embeddings as float16, ``"disk"`` reads them from the embedding store,
#: ``"auto"`` is the former while they are few, ``"none"`` encodes an image each time.
Cache: TypeAlias = Literal["auto", "memory", "disk", "none"]
LARGEST_MEMORY = 1 << 30  # bytes


class Embeddings:
    """The embeddings of some images.

    Args:
        model: whose image encoder makes them.
        images: of a data set; opened when they are embedded.
        cache: where embeddings stay.

    Raises:
        SettingError: no such cache.
    """

    def __init__(
        self, model: Model, images: tuple[TrainingImage, ...], cache: Cache = "auto"
    ) -> None:
        if cache not in get_args(Cache):
            raise SettingError(
                f"cache is {cache!r}; expected one of {', '.join(map(repr, get_args(Cache)))}."
            )
        self.model, self.images, self.cache = model, images, cache
        self._held: dict[int, ImageFeatures] = {}
        self._keys: dict[int, EmbeddingKey] = {}

    def compute(self, index: int) -> None:
        """Embed an image, where it is kept."""
        if self.cache == "none" or index in self._held or index in self._keys:
            return
        image = self.images[index].open()
        features = rounded(embed(self.model, image))
        cache = self.cache
        if cache == "auto":
            few = features_nbytes(features) * len(self.images) <= LARGEST_MEMORY
            cache = "memory" if few else "disk"
        key = embedding_key(self.model, image)
        if cache == "disk" and has_file(key) and default_store().max_bytes > 0:
            self._keys[index] = key
        else:
            self._held[index] = features

    def __getitem__(self, index: int) -> ImageFeatures:
        """The embedding of an image as the decoder takes it: float32, on the model's device.

        Raises:
            ImageError: it has to be opened, and cannot be.
        """
        self.compute(index)
        if index in self._held:
            return as_float(self._held[index])
        if index in self._keys:
            data = default_store().read(file_name(self._keys[index]))
            features = None if data is None else unpack(self._keys[index], data)
            if features is not None:
                device = self.model.network.device
                return ImageFeatures(
                    *(None if t is None else t.to(device).float() for t in features)  # type: ignore[arg-type]  # the first is never None
                )
        if self.cache == "none":
            return as_float(rounded(self.model.network.encode(self.images[index].image)))
        return embed(self.model, self.images[index].open())


def input_of(model: Model, image: TrainingImage) -> Tensor:
    """An image as the image encoder takes it: ``(1, 3, S, S)`` float32, on the model's device."""
    pixels = image.image
    network = model.network
    preprocessing = network.preprocessing  # type: ignore[attr-defined]  # SamNetwork, as asked for
    height, width = pixels.shape[:2]
    x: Tensor = preprocessing.to_input(pixels, network.frame(width, height)).to(network.device)
    return x if preprocessing.normalized else model.sam.preprocess(x)


def coverage(mask: Rle, frame: Frame) -> NDArray[np.float32]:
    """The share of each low-resolution cell that a mask covers: ``(s, s)`` float32 in ``[0, 1]``.

    A mask that covers no cell by half is scaled so that its fullest cell is full: something must be
    learnt of it, and prompts are drawn where it covers more than half of a cell.

    Args:
        mask: of the frame's image, not empty.
        frame: how the image lies in the network's input.
    """
    rows, columns = frame.logits_shape
    sx, sy = frame.logits_scale
    width, height = columns / sx, rows / sy  # in pixels: the last cells may reach beyond the image
    pixels = mask.decode() * np.uint8(255)
    beyond = (
        max(0, math.ceil(height) - pixels.shape[0]),
        max(0, math.ceil(width) - pixels.shape[1]),
    )
    picture = PILImage.fromarray(np.pad(pixels, ((0, beyond[0]), (0, beyond[1]))))
    # Where masks are enlarged the box filter would take the nearest pixel, and edges be steps.
    enlarged = max(sx, sy) > 1
    how = PILImage.Resampling.BILINEAR if enlarged else PILImage.Resampling.BOX
    small = picture.resize((columns, rows), how, box=(0, 0, width, height))
    out = np.zeros((frame.logits_size, frame.logits_size), np.float32)
    out[:rows, :columns] = np.asarray(small, np.float32) / 255
    most = float(out.max())
    if most <= 0.5:
        out /= max(most, 1 / 255)
    return out


def targets(image: TrainingImage, model: Model, chosen: list[int]) -> Tensor:
    """Some masks of an image as the decoder should answer them, ``(P, s, s)`` float32."""
    height, width = image.masks[0].rle.size
    frame = model.network.frame(width, height)
    return torch.from_numpy(np.stack([coverage(image.masks[i].rle, frame) for i in chosen]))
