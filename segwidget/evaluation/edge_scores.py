"""Edges against those that people have drawn: ODS, OIS, AP of the Berkeley benchmark.

Martin, Fowlkes and Malik, "Learning to Detect Natural Image Boundaries" (2004); Arbeláez et al.,
"Contour Detection and Hierarchical Image Segmentation" (2011), section 3. A map of edges is cut at
99 thresholds, and what is left is thinned. Pixels of it and of a person's boundaries may be
matched one to one if they are no farther apart than 0.75 % of the image's diagonal; the matching
is the largest that there is. (The benchmark's own code also looks for a short one, which does not
change how many are matched.) Precision is the share of the map's pixels that are matched with
anybody's; recall the share of all people's pixels that are matched.

- ODS: the best F of precision and recall at one threshold for all images.
- OIS: F of the sums at each image's own best threshold.
- AP: the mean precision at recalls 0, 0.01, … 1, where the curve reaches them.
- R50: the highest recall at a precision of at least one half.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from skimage.morphology import thin
from tqdm import tqdm

from segwidget.errors import FormatError
from segwidget.evaluation.edges import boundaries_of, edge_map
from segwidget.evaluation.metrics import RESAMPLES, Mean
from segwidget.evaluation.protocol import PredictorSegmenter, SampledImage
from segwidget.evaluation.report import line, number

FARTHEST = 0.0075
#: Inner points of 0 to 1.
THRESHOLDS = np.linspace(0, 1, 101)[1:-1]


def edge_counts(
    edges: NDArray[np.floating[Any]],
    truths: Sequence[NDArray[np.bool_]],
    thresholds: NDArray[np.float64] = THRESHOLDS,
    farthest: float = FARTHEST,
) -> NDArray[np.int64]:
    """Count what is matched in one image.

    Args:
        edges: ``(H, W)`` of 0 to 1.
        truths: one person's boundaries each, ``(H, W)`` bool.
        thresholds: ``(T,)``.
        farthest: how far matched pixels may be apart, as a share of the diagonal.

    Returns:
        ``(T, 4)``: pixels of people that are matched, and all of them; pixels of the map that are
        matched with anybody's, and all of them.
    """
    reach = farthest * float(np.hypot(*edges.shape))
    counts = np.zeros((len(thresholds), 4), np.int64)
    counts[:, 1] = sum(int(truth.sum()) for truth in truths)
    # Whatever is cut and thinned is part of this, so neighbors are looked for once.
    widest = edges >= thresholds.min(initial=np.inf)
    numbers = numbered(widest)
    graphs: list[Any] = [neighbors(widest, truth, reach) for truth in truths]
    before: NDArray[np.bool_] | None = None
    for index, threshold in enumerate(thresholds):
        cut = edges >= threshold
        if before is not None and np.array_equal(cut, before):
            counts[index] = counts[index - 1]
            continue
        before = cut
        lines = numbers[thin(cut)]
        anybody = np.zeros(len(lines), bool)
        for graph in graphs:
            matched = largest_matching(graph[lines]) >= 0
            anybody |= matched
            counts[index, 0] += np.count_nonzero(matched)
        counts[index, 2:] = np.count_nonzero(anybody), anybody.size
    return counts


def match(first: NDArray[np.bool_], second: NDArray[np.bool_], reach: float) -> NDArray[np.int32]:
    """The largest matching of pixels that are no farther apart than ``reach``.

    Args:
        first: ``(H, W)`` bool.
        second: ``(H, W)`` bool.
        reach: in pixels.

    Returns:
        For each pixel of the first, in reading order, the number of its partner among those of the
        second, or -1.
    """
    return largest_matching(neighbors(first, second, reach))


def numbered(pixels: NDArray[np.bool_]) -> NDArray[np.int32]:
    """The number of each pixel ``(H, W)`` in reading order, -1 for those that are not inside."""
    numbers = np.full(pixels.shape, -1, np.int32)
    numbers[pixels] = np.arange(np.count_nonzero(pixels), dtype=np.int32)
    return numbers


def neighbors(first: NDArray[np.bool_], second: NDArray[np.bool_], reach: float) -> csr_array:
    """Which pixels may be matched: those no farther apart than ``reach``.

    Arguments are those of :func:`match`.

    Returns:
        ``(N, M)`` by numbers of pixels; of each of the first its neighbors, the nearest first.
    """
    rows, columns = np.nonzero(first)
    margin = int(reach)
    padded = np.pad(numbered(second), margin, constant_values=-1)
    dy, dx = np.mgrid[-margin : margin + 1, -margin : margin + 1]
    near = np.hypot(dy, dx) <= reach
    # Nearest first, which is where a matching most likely is.
    order = np.argsort(np.hypot(dy, dx)[near], kind="stable")
    dy, dx = dy[near][order], dx[near][order]
    others = padded[rows[:, None] + margin + dy, columns[:, None] + margin + dx]
    linked = others >= 0
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(linked, axis=1))])
    return csr_array(
        (np.ones(int(starts[-1]), np.int8), others[linked], starts),
        shape=(len(rows), int(np.count_nonzero(second))),
    )


def largest_matching(graph: csr_array) -> NDArray[np.int32]:
    """The partner of each row of a graph ``(N, M)`` among the columns, or -1."""
    if not graph.nnz:
        return np.full(graph.shape[0], -1, np.int32)
    return np.asarray(maximum_bipartite_matching(graph, perm_type="column"), np.int32)


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """Edges of one model on one set.

    Attributes:
        segmenter: the model's name.
        set: the set's name.
        counts: ``(images, T, 4)``, from :func:`edge_counts`.
        thresholds: ``(T,)``.
    """

    segmenter: str
    set: str
    counts: NDArray[np.int64]
    thresholds: NDArray[np.float64]

    @property
    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Recall and precision ``(T,)`` over all images."""
        return _curve(self.counts.sum(axis=0))

    @cached_property
    def scores(self) -> dict[str, Mean]:
        """ODS, OIS, AP and R50, with 95 % intervals of a bootstrap over images."""
        rng = np.random.default_rng(0)
        images = len(self.counts)
        drawn = rng.integers(images, size=(RESAMPLES, images))
        found = {}
        for name, score in _SCORES.items():
            values = [score(self.counts[draw]) for draw in drawn]
            low, high = np.percentile(values, [2.5, 97.5])
            found[name] = Mean(score(self.counts), float(low), float(high))
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        recall, precision = self.curve
        return {
            "segmenter": self.segmenter,
            "set": self.set,
            "images": len(self.counts),
            **{name: mean._asdict() for name, mean in self.scores.items()},
            "thresholds": self.thresholds.tolist(),
            "recall": recall.tolist(),
            "precision": precision.tolist(),
        }


#: An image, and what people have drawn on it.
Divided: TypeAlias = tuple[SampledImage, list[NDArray[np.bool_]]]


def divided(images: Sequence[SampledImage]) -> list[Divided]:
    """The images that several people have each divided as a whole, with their boundaries.

    Raises:
        FormatError: there is none.
    """
    found = [(image, truths) for image in images if (truths := boundaries_of(image.item))]
    if not found:
        raise FormatError(
            "No image is divided as a whole by at least two people, so there are no boundaries to "
            "compare edges with. Pass such a set, as shards of BSDS500 are, or leave out --edges."
        )
    return found


def measure_edges(segmenter: PredictorSegmenter, images: Sequence[Divided]) -> list[EdgeScores]:
    """Draw edges, and compare them; with progress on the standard error.

    Args:
        segmenter: a model.
        images: from :func:`divided`.

    Returns:
        One for each set.
    """
    counts: dict[str, list[NDArray[np.int64]]] = {}
    name = f"{segmenter.name}, edges"
    for image, truths in tqdm(images, name, unit="image", file=sys.stderr):
        segmenter.set_image(image.item.image)
        edges = edge_map(segmenter.predictor)
        counts.setdefault(image.set, []).append(edge_counts(edges, truths))
    return [
        EdgeScores(segmenter.name, one, np.stack(found), THRESHOLDS)
        for one, found in sorted(counts.items())
    ]


def to_markdown(scores: Sequence[EdgeScores]) -> str:
    """The table of one or several models."""
    head = ["edges", "set", "images", *_SCORES]
    lines = [line(head), line(["---", "---", *["--:"] * (len(head) - 2)])]
    for one in scores:
        means = one.scores
        cells = [one.segmenter, one.set, str(len(one.counts))]
        lines.append(line([*cells, *(number(means[name]) for name in _SCORES)]))
    return "\n".join(lines)


def _ods(counts: NDArray[np.int64]) -> float:
    return float(_f(counts.sum(axis=0)).max())


def _ois(counts: NDArray[np.int64]) -> float:
    best = np.array([_f(one).argmax() for one in counts])
    return float(_f(counts[np.arange(len(counts)), best].sum(axis=0)))


def _ap(counts: NDArray[np.int64]) -> float:
    recall, precision = _curve(counts.sum(axis=0))
    recall, first = np.unique(recall, return_index=True)
    if len(recall) < 2:
        return 0.0
    steps = np.linspace(0, 1, 101)
    return float(np.interp(steps, recall, precision[first], left=0, right=0).sum() / len(steps))


def _r50(counts: NDArray[np.int64]) -> float:
    recall, precision = _curve(counts.sum(axis=0))
    good = recall[precision >= 0.5]
    return float(good.max()) if good.size else 0.0


_SCORES: dict[str, Callable[[NDArray[np.int64]], float]] = {
    "ODS": _ods, "OIS": _ois, "AP": _ap, "R50": _r50,
}  # fmt: skip


def _curve(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    matched, people, right, drawn = np.moveaxis(counts, -1, 0)
    return matched / np.maximum(people, 1), right / np.maximum(drawn, 1)


def _f(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    recall, precision = _curve(counts)
    both = recall + precision
    f: NDArray[np.float64] = 2 * recall * precision / np.where(both > 0, both, 1)
    return f
