"""Edges and their scores on pictures whose answers are known."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from segwidget.annotation.formats.shards import ShardImage, ShardMask
from segwidget.errors import FormatError
from segwidget.evaluation.edge_scores import (
    EdgeScores,
    divided,
    edge_counts,
    match,
    measure_edges,
    to_markdown,
)
from segwidget.evaluation.edges import add_edges, boundaries_of, boundary, edge_map, thinned
from segwidget.evaluation.protocol import PredictorSegmenter, SampledImage
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.rle import Rle
from segwidget.sam.build import build_compact


def line(height, width, column):
    found = np.zeros((height, width), bool)
    found[:, column] = True
    return found


def halves(columns, size=(40, 60)):
    """Everybody's division into left and right."""
    masks = []
    for person, column in enumerate(columns):
        left = np.zeros(size, bool)
        left[:, :column] = True
        masks += [ShardMask(Rle.encode(m), person) for m in (left, ~left)]
    item = ShardImage(np.zeros((*size, 3), np.uint8), tuple(masks), "i", "s", "i")
    return SampledImage("set", item, (0,), 0)


def test_boundary_is_one_pixel_wide_and_left_or_above():
    labels = np.ones((6, 8), np.int32)
    labels[:, 5:] = 2
    assert np.array_equal(boundary(labels), line(6, 8, 4))
    assert np.array_equal(boundary(labels.T), line(6, 8, 4).T)


def test_specks_without_a_region_get_the_nearest():
    labels = np.ones((6, 8), np.int32)
    labels[:, 5:] = 2
    labels[2, 2] = labels[5, 7] = 0
    assert np.array_equal(boundary(labels), line(6, 8, 4))


def test_people_who_divide_the_image():
    first, second = boundaries_of(halves([20, 30]).item)
    assert np.array_equal(first, line(40, 60, 19))
    assert np.array_equal(second, line(40, 60, 29))
    assert not boundaries_of(halves([20]).item)  # one person alone
    masks = halves([20, 30]).item.masks
    for wrong in ((*masks, masks[0]), masks[:3]):  # an overlap; not all of it
        assert not boundaries_of(ShardImage(np.zeros((40, 60, 3)), tuple(wrong), "i", "s", "i"))
    with pytest.raises(FormatError, match=r"two people.*--edges"):
        divided([halves([20])])


def largest_matching(first, second, reach):
    """By trying, for few pixels."""
    a, b = np.argwhere(first), np.argwhere(second)
    if len(a) > len(b):
        a, b = b, a
    near = np.hypot(*(a[:, None] - b[None]).transpose(2, 0, 1)) <= reach
    orders = itertools.permutations(range(len(b)), len(a))
    return max(sum(near[i, j] for i, j in enumerate(order)) for order in orders)


def test_matching_is_the_largest():
    rng = np.random.default_rng(0)
    for _ in range(30):
        first, second = np.zeros((2, 5, 6), bool)
        first.flat[rng.choice(30, 5, replace=False)] = True
        second.flat[rng.choice(30, rng.integers(1, 7), replace=False)] = True
        for reach in (0.0, 1.0, 1.5):
            partners = match(first, second, reach)
            assert len(partners) == 5
            used = partners[partners >= 0]
            assert len(used) == len(set(used)) == largest_matching(first, second, reach)
            pairs = zip(np.argwhere(first), partners, strict=True)
            for place, partner in pairs:
                if partner >= 0:
                    assert np.hypot(*(place - np.argwhere(second)[partner])) <= reach


def test_matching_is_one_to_one():
    thick = line(30, 30, 10) | line(30, 30, 11) | line(30, 30, 12)
    assert (match(thick, line(30, 30, 11), 3) >= 0).sum() == 30
    assert (match(line(30, 30, 11), thick, 3) >= 0).sum() == 30


def test_matching_with_nothing():
    nothing, some = np.zeros((4, 4), bool), line(4, 4, 1)
    assert match(nothing, some, 2).tolist() == []
    assert match(some, nothing, 2).tolist() == [-1] * 4


def test_counts_of_a_line_that_is_near_one_of_two_people():
    # The diagonal is 500, so that pixels match up to 3.75 pixels away.
    truths = [line(300, 400, 100), line(300, 400, 200)]
    edges = np.zeros((300, 400))
    edges[:, 103] = 0.8
    edges[:150, 300] = 0.3
    low, high, none = edge_counts(edges, truths, np.array([0.2, 0.5, 0.9]))
    assert low.tolist() == [300, 600, 300, 450]
    assert high.tolist() == [300, 600, 300, 300]
    assert none.tolist() == [0, 600, 0, 0]
    edges = np.roll(edges, 1, axis=1)  # four pixels away
    assert edge_counts(edges, truths, np.array([0.5]))[0].tolist() == [0, 600, 0, 300]


def test_a_pixel_may_be_matched_with_several_people():
    truths = [line(300, 400, 100), line(300, 400, 102)]
    found = edge_counts(line(300, 400, 101).astype(float), truths, np.array([0.5]))
    assert found.tolist() == [[600, 600, 300, 300]]


def scores_of(*counts):
    return EdgeScores("model", "set", np.array(counts), np.linspace(0.1, 0.9, len(counts[0])))


def test_ods_and_ois():
    # Each image is perfect at its own threshold and finds nothing at the other.
    one = scores_of([[10, 10, 10, 10], [0, 10, 0, 10]], [[0, 10, 0, 10], [10, 10, 10, 10]])
    found = one.scores
    assert found["OIS"].value == 1
    assert found["ODS"].value == pytest.approx(0.5)
    assert found["ODS"].low <= 0.5 <= found["ODS"].high
    recall, precision = one.curve
    assert recall.tolist() == precision.tolist() == [0.5, 0.5]
    assert replace(one).scores == found


def test_average_precision_and_recall_at_half():
    # Recall 0.2 at precision 1, 0.6 at 0.5: a line between them, nothing beyond.
    found = scores_of([[60, 100, 60, 120], [20, 100, 20, 20]]).scores
    between = np.interp(np.arange(20, 61) / 100, [0.2, 0.6], [1, 0.5]).sum() / 101
    assert found["AP"].value == pytest.approx(between)
    assert found["R50"].value == pytest.approx(0.6)
    assert scores_of([[0, 9, 0, 0], [0, 9, 0, 0]]).scores["ODS"].value == 0
    assert scores_of([[0, 9, 0, 0], [0, 9, 0, 0]]).scores["AP"].value == 0


def test_edges_of_one_mask_lie_on_its_boundary():
    rows, columns = np.mgrid[:60, :80]
    logits = (15 - np.hypot(rows - 30, columns - 40)).astype(np.float32)
    strength = np.zeros((60, 80), np.float32)
    add_edges(strength, logits)
    away = np.abs(np.hypot(rows - 30, columns - 40) - 15)
    assert (strength[away < 0.5] > 0).all()
    assert (strength[away > 2] == 0).all()
    before = strength.copy()
    add_edges(strength, np.full((60, 80), -5, np.float32))  # an empty mask
    add_edges(strength, np.full((60, 80), 5, np.float32))  # the image's edge is none
    assert np.array_equal(strength, before)


def test_thinning_leaves_the_crest():
    rows, columns = np.mgrid[:80, :80]
    for away in (columns - 40, rows - 40, (rows - columns) / np.sqrt(2)):
        crest = np.exp(-(away**2) / 8).astype(np.float32)
        found = thinned(crest)
        inner = (slice(15, 65),) * 2
        assert (found[inner] > 0)[np.abs(away[inner]) < 0.4].all()
        beside = (np.abs(away[inner]) > 1) & (np.abs(away[inner]) < 4)
        assert not found[inner][beside].any()


def test_thinning_lowers_values_at_the_border():
    found = thinned(np.ones((30, 30), np.float32))
    assert found[0].max() == 0
    assert found[15, 2] == pytest.approx(0.4)
    assert found[15, 15] == 1
    assert thinned(np.ones((1, 5), np.float32)).shape == (1, 5)


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    model = Model(build_compact(128).eval().requires_grad_(False), "small", "0" * 64)
    model.sam.mask_decoder.smooth = False  # what is random would be even, without an edge
    return PredictorSegmenter(Predictor(model), "x")


def test_a_model_draws_edges():
    rows, columns = np.mgrid[:80, :120]
    distance = np.hypot(columns - 60, rows - 40)
    predictor = Predictor("embedded", device="cpu")
    pixels = np.where(distance < 25, 220, 30)[..., None]
    predictor.set_image(np.repeat(pixels, 3, axis=2).astype(np.uint8))
    found = edge_map(predictor, 4)
    assert found.shape == (80, 120)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1
    assert (found > 0).mean() < 0.6
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert abs(distance[row, column] - 25) < 4


def test_a_model_is_measured(segmenter):
    (found,) = measure_edges(segmenter, divided([halves([20, 30]), halves([20])]))
    assert found.counts.shape == (1, 99, 4)
    assert (found.counts[0, 0] > 0).all()
    assert (found.counts[0, :, 1] == 80).all()
    assert (found.counts[..., 0] <= found.counts[..., 1]).all()
    assert (found.counts[..., 2] <= found.counts[..., 3]).all()
    assert to_markdown([found]).splitlines()[2].startswith("| x | set | 1 |")
    written = found.to_dict()
    assert len(written["recall"]) == len(written["thresholds"]) == 99
    assert 0 <= written["ODS"]["value"] <= written["OIS"]["value"] <= 1
