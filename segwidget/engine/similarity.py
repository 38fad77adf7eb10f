"""Which label a mask has, by those that look alike in the model's embedding.

"Segment Anything", appendix D ("Probing the latent space of SAM"): the image embedding, averaged
over a mask, tells what the mask shows, although the model never saw a label. Here the embedding is
that of the whole image, which is there anyway, and not one of a crop. Beside it stands how it
differs from what lies around the mask: of a cell and its nucleus, most pixels are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from scipy.ndimage import maximum_filter

from segwidget.inference.predictor import Predictor
from segwidget.inference.rle import Rle

AROUND = 7  # cells of the embedding, 3 to each side
NEAREST = 3  # confirmed masks of a label that speak for it, at most
# How far, 1 - cosine, nine in ten of a label's masks are from those of other images at most; a
# model's masks are less exact than a person's, so that some times that distance is allowed.
SPARED, ALLOWED = 0.1, 2.0
# A similarity that is always enough, and one that never is.
ENOUGH, LEAST = 0.9, 0.3
# Where a label's masks are all of one image, nothing can be measured.
UNMEASURED = 0.6
REFUSED = ""  # stands for masks that people have taken off; no label is called so

Vectors = NDArray[np.float32]


class Guess(NamedTuple):
    """What a mask shows, perhaps.

    Attributes:
        label: the nearest one; `REFUSED` for what people do not want.
        similarity: mean cosine to the label's nearest masks, -1 to 1.
        trust: 1 where it is as near as the label's own masks are to each other, down to 0.
    """

    label: str
    similarity: float
    trust: float


def mask_vectors(predictor: Predictor, rles: Sequence[Rle]) -> tuple[Vectors, Vectors]:
    """The embedding of a predictor's image, averaged over masks.

    Args:
        predictor: with the image.
        rles: masks of the image's size.

    Returns:
        (N, 2, C) float32: of each mask the mean inside, and that less the mean just around it; and
        (C,) the mean of the whole image.

    Raises:
        PromptError: the predictor has no image.
    """
    embedding = predictor.features[0][0].float().cpu().numpy()
    frame, side = predictor.frame, embedding.shape[-1]
    width, height = (max(1, round(n * side / frame.input_size)) for n in frame.resized)
    seen = embedding[:, :height, :width].reshape(len(embedding), -1)
    weights = np.empty((len(rles), 2, height * width), np.float32)
    for (inside, around), rle in zip(weights, rles, strict=True):
        mask = PILImage.fromarray(rle.decode().astype(np.float32))
        covered = np.asarray(mask.resize((width, height), PILImage.Resampling.BOX))
        inside[:] = covered.ravel()
        around[:] = (maximum_filter(covered, AROUND) - covered).ravel()
    weights /= np.maximum(weights.sum(axis=-1, keepdims=True), 1e-6)
    vectors = weights @ seen.T
    vectors[:, 1] = vectors[:, 0] - vectors[:, 1]
    return vectors, seen.mean(axis=1)


class Neighbors:
    """Guesses labels from masks that people stand for.

    Args:
        labels: N of them, `REFUSED` for masks that were taken off.
        vectors: (N, 2, C) of `mask_vectors`.
        images: N keys of the images that the masks are of.
        middle: (C,) what is common to all images, and is taken away before vectors are compared.
        threshold: the similarity at which a guess is trusted; None measures it for each label, by
            how similar its masks are to those of other images.
    """

    def __init__(
        self,
        labels: Sequence[str],
        vectors: Vectors,
        images: Sequence[str],
        middle: Vectors,
        threshold: float | None = None,
    ) -> None:
        self._middle = middle
        self._names = tuple(dict.fromkeys(labels))
        self._of = np.array([self._names.index(label) for label in labels], np.intp)
        self._vectors = self._normal(vectors)
        groups = np.array(images, object)
        self.thresholds = {
            name: self._measured(index, groups) if threshold is None else threshold
            for index, name in enumerate(self._names)
        }

    def guess(self, vectors: Vectors) -> list[Guess]:
        """The label of each of (M, 2, C) vectors of `mask_vectors`."""
        if not len(vectors):
            return []
        cosines = self._normal(vectors) @ self._vectors.T
        by_label = np.stack(
            [_nearest(cosines[:, self._of == index]) for index in range(len(self._names))], axis=1
        )
        guesses = []
        for row in by_label:
            best = int(row.argmax())
            name, similarity = self._names[best], float(row[best])
            limit = self.thresholds[name]
            share = float(np.clip(similarity / max(limit, 0.01), 0, 1))
            trust = 1.0 if similarity >= limit else min(share, 0.99)
            guesses.append(Guess(name, similarity, trust))
        return guesses

    def _normal(self, vectors: Vectors) -> Vectors:
        """Both parts at length 1, and all at length 1, so that products are cosines."""
        centered = vectors - np.stack([self._middle, np.zeros_like(self._middle)])
        lengths = np.linalg.norm(centered, axis=-1, keepdims=True)
        parts = centered / np.maximum(lengths, 1e-6)
        normal: Vectors = parts.reshape(len(parts), -1) / np.float32(np.sqrt(2))
        return normal

    def _measured(self, label: int, groups: NDArray[np.object_]) -> float:
        """The similarity at which a mask is taken for one of the label's."""
        own = np.flatnonzero(self._of == label)
        cosines = self._vectors[own] @ self._vectors[own].T
        reached = []
        for i, row in enumerate(cosines):
            others = groups[own] != groups[own[i]]
            if others.any():
                reached.append(_nearest(row[None, others])[0])
        if len(reached) < 2:
            return UNMEASURED
        usual = float(np.quantile(reached, SPARED))
        return float(np.clip(1 - ALLOWED * (1 - usual), LEAST, ENOUGH))


def _nearest(cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of each row's largest few: of a third at most, since a label may have many looks."""
    few = max(1, min(NEAREST, cosines.shape[1] // 3))
    means: NDArray[np.float32] = np.sort(cosines, axis=1)[:, -few:].mean(axis=1)
    return means
