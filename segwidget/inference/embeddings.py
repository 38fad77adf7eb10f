"""Image embeddings in memory, found again by content."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from segwidget.sam.sam import ImageFeatures


class EmbeddingKey(NamedTuple):
    """What an embedding depends on.

    Attributes:
        image: SHA-256 of the image's pixels.
        model: SHA-256 of the model's checkpoint.
        device: where it lies.
        variant: how the image was preprocessed, and in which precision it was embedded.
    """

    image: str
    model: str
    device: str
    variant: str = ""


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

    def acquire(self, key: EmbeddingKey, compute: Callable[[], ImageFeatures]) -> ImageFeatures:
        """The embedding, computed unless it is here, and one more user of it.

        Two threads that ask for a new one at the same time may both compute it; both get one.
        """
        with self._lock:
            features = self._entries.get(key)
            if features is not None:
                self._entries.move_to_end(key)
        if features is None:
            features = compute()
        with self._lock:
            features = self._entries.setdefault(key, features)
            self._users[key] = self._users.get(key, 0) + 1
            while len(self._entries) > 1 and self.nbytes > self.max_bytes:
                self._entries.popitem(last=False)
        return features

    def release(self, key: EmbeddingKey, *, forget: bool = False) -> None:
        """One user less; the last one may have the embedding forgotten at once."""
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
