"""Image embeddings, computed once: found again by content, in memory and on disk.

An embedding is rounded to float16 as soon as it is computed, whether it is kept or not. So the
first answer about an image equals all later ones, bit for bit, and it takes half the room.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from segwidget.inference.embedding_file import (
    EmbeddingKey,
    file_name,
    has_file,
    pack,
    unpack,
    well_formed,
)
from segwidget.inference.embedding_store import EmbeddingStore, default_store
from segwidget.inference.models import Model
from segwidget.inference.network import Network, SamNetwork
from segwidget.media.image import Image, ImageSource, open_image
from segwidget.sam.sam import ImageFeatures


class EmbeddingCache:
    """A bounded store of embeddings; the least recently used goes first. Safe for threads.

    Args:
        max_bytes: how much it may hold; the newest embedding stays even if it alone is larger.
    """

    def __init__(self, max_bytes: int = 512 << 20) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[EmbeddingKey, ImageFeatures] = OrderedDict()
        self._users: dict[EmbeddingKey, int] = {}
        self._lock = threading.RLock()

    def __contains__(self, key: EmbeddingKey) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        with self._lock:
            return sum(features_nbytes(f) for f in self._entries.values())

    def get(self, key: EmbeddingKey) -> ImageFeatures | None:
        """The embedding, if it is here."""
        with self._lock:
            features = self._entries.get(key)
            if features is not None:
                self._entries.move_to_end(key)
            return features

    def acquire(self, key: EmbeddingKey, compute: Callable[[], ImageFeatures]) -> ImageFeatures:
        """The embedding, computed unless it is here, and one more user of it.

        Two threads that ask for a new one at the same time may both compute it; both get one.
        """
        features = self.get(key)
        if features is None:
            features = compute()
        with self._lock:
            features = self._entries.setdefault(key, features)
            self._users[key] = self._users.get(key, 0) + 1
            while len(self._entries) > 1 and self.nbytes > self.max_bytes:
                self._entries.popitem(last=False)
        return features

    def release(self, key: EmbeddingKey, *, forget: bool = False) -> None:
        """One user less; the last one may have the embedding forgotten at once.

        What is on disk stays there.
        """
        with self._lock:
            left = self._users.pop(key, 1) - 1
            if left > 0:
                self._users[key] = left
            elif forget:
                self._entries.pop(key, None)


def features_nbytes(features: ImageFeatures) -> int:
    """Bytes of an embedding."""
    return sum(t.numel() * t.element_size() for t in features if t is not None)


#: The process's embeddings.
embedding_cache = EmbeddingCache()


def embed(model: Model, image: ImageSource, store: EmbeddingStore | None = None) -> ImageFeatures:
    """An image's embedding: from memory, else from disk, else computed and written to disk.

    The one way to an embedding, for clicks, everything mode and its crops, training and bulk runs.
    Only a predictor's present image is held in memory; see :meth:`Predictor.set_image`.

    Args:
        model: what embeds it.
        image: whatever :func:`segwidget.open_image` opens.
        store: the disk's; by default the process's.

    Returns:
        What ``model.network.prepare`` takes: float32 on the model's device, rounded to float16's
        numbers unless they are beyond float16's range.

    Raises:
        ImageError: the image cannot be opened.
    """
    opened = open_image(image)
    found = embedding_cache.get(embedding_key(model, opened))
    return as_float(found if found is not None else find_or_compute(model, opened, store))


def embedding_key(model: Model, image: Image) -> EmbeddingKey:
    """By what an image's embedding is found again."""
    return EmbeddingKey(image.sha256, model.encoder_sha256, model.device, model.network.variant)


def find_or_compute(
    model: Model, image: Image, store: EmbeddingStore | None = None
) -> ImageFeatures:
    """An image's embedding, from disk or computed, as it is kept; see :func:`embed`."""
    features = find_on_disk(model, image, store)
    if features is None:
        features = rounded(model.network.encode(image.pixels))
        keep(model, image, features, store)
    return features


def find_on_disk(
    model: Model, image: Image, store: EmbeddingStore | None = None
) -> ImageFeatures | None:
    """An image's embedding if it is on disk and undamaged, as it is kept, on the model's device."""
    key = embedding_key(model, image)
    if not has_file(key):
        return None
    data = (store or default_store()).read(file_name(key))
    features = None if data is None else unpack(key, data)
    if features is None or not fits(model.network, features):
        return None
    return _each(features, lambda t: t.to(model.network.device))


def keep(
    model: Model, image: Image, features: ImageFeatures, store: EmbeddingStore | None = None
) -> bool:
    """Write a :func:`rounded` embedding to disk soon; whether it can be kept there."""
    key = embedding_key(model, image)
    store = store or default_store()
    if store.max_bytes <= 0 or not has_file(key) or not fits(model.network, features):
        return False
    return store.write(file_name(key), pack(key, features))


def rounded(features: ImageFeatures) -> ImageFeatures:
    """An embedding as it is kept: float16, or float32 where numbers are beyond float16's range.

    Its tensors are contiguous, as those from a file are, since a network's kernels may round
    differently for other layouts; and they may take part in training.
    """
    with torch.inference_mode(False), torch.no_grad():
        half = _each(features, lambda t: t.half().contiguous())
        if not all(t is None or bool(t.isfinite().all()) for t in half):
            half = _each(features, lambda t: t.float().contiguous())
        return _each(half, lambda t: t.clone() if t.is_inference() else t)


def as_float(features: ImageFeatures) -> ImageFeatures:
    """A kept embedding as the network takes it: float32."""
    with torch.inference_mode(False), torch.no_grad():
        return _each(features, lambda t: t.float())


def fits(network: Network, features: ImageFeatures) -> bool:
    """Whether an embedding may come from a file or go into one, as far as its shapes tell.

    For SAM's architecture, all of them are known beforehand.
    """
    if not well_formed(features):
        return False
    if not isinstance(network, SamNetwork):
        return True
    prompts, high_res = network.sam.prompt_encoder, network.sam.mask_decoder.high_res
    h, w = prompts.image_embedding_size
    expected = (
        (1, prompts.embed_dim, h, w),
        None if high_res is None else (1, high_res.in_channels, 2 * h, 2 * w),
        None,
    )
    return tuple(None if t is None else tuple(t.shape) for t in features) == expected


def _each(features: ImageFeatures, change: Callable[[Tensor], Tensor]) -> ImageFeatures:
    first, *others = features
    return ImageFeatures(change(first), *(None if t is None else change(t) for t in others))
