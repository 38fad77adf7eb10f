"""Run-length masks: lossless, equal when the masks are, and deaf to damage."""

import json

import numpy as np
import pycocotools.mask as coco
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from segwidget.errors import AnnotationError
from segwidget.inference.rle import MAX_PIXELS, Rle, pack, unpack

masks = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


def disc(height=40, width=60):
    y, x = np.mgrid[:height, :width] + 0.5
    return (x - 30) ** 2 + (y - 18) ** 2 < 15**2


@given(masks)
def test_round_trip(mask):
    rle = Rle.encode(mask)
    decoded = rle.decode()
    assert decoded.dtype == bool
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, mask)
    assert Rle.from_dict(json.loads(json.dumps(rle.to_dict()))) == rle
    assert rle.area == mask.sum()
    assert rle.size == mask.shape


@given(masks)
def test_runs_are_those_of_the_mask(mask):
    rle = Rle.encode(mask)
    runs = unpack(rle.counts)
    inside = np.repeat(np.arange(runs.size) % 2, runs).reshape(mask.T.shape).T
    np.testing.assert_array_equal(inside, mask)
    assert pack(runs) == rle.counts
    assert Rle.from_runs(rle.size, runs.tolist()) == rle


@given(masks)
def test_the_box_is_tight(mask):
    x0, y0, x1, y1 = Rle.encode(mask).box
    if not mask.any():
        assert (x0, y0, x1, y1) == (0, 0, 0, 0)
        return
    ys, xs = np.nonzero(mask)
    assert (x0, y0, x1, y1) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


@given(arrays.arrays(bool, (2, 5, 7)))
def test_iou(pair):
    first, second = pair
    union = (first | second).sum()
    expected = (first & second).sum() / union if union else 1.0
    assert Rle.encode(first).iou(Rle.encode(second)) == pytest.approx(expected)


@settings(max_examples=300)
@given(st.text(alphabet=[chr(c) for c in range(46, 114)], max_size=12), st.integers(1, 9))
def test_any_text_is_a_mask_or_a_sentence(text, side):
    try:
        rle = Rle((side, side), text)
    except AnnotationError:
        return
    assert rle.decode().sum() == rle.area
    assert Rle.encode(rle.decode()).area == rle.area


@settings(max_examples=200)
@given(st.data())
def test_damage_is_a_mask_or_a_sentence(data):
    counts = list(Rle.encode(disc()).counts)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(counts) - 1))
        counts[place] = chr(data.draw(st.integers(48, 111)))
    try:
        rle = Rle((40, 60), "".join(counts))
    except AnnotationError:
        return
    assert 0 <= rle.area <= 2400


@pytest.mark.parametrize("side", [1, 300, 5000])
def test_large_runs(side):
    mask = np.zeros((side, side), bool)
    mask[side // 2 :, side // 3 :] = True
    rle = Rle.encode(mask)
    assert Rle(rle.size, rle.counts).area == mask.sum()
    assert rle.counts == coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros(5, bool), r"shape \(5,\)"),
        (np.zeros((1, 5, 5), bool), "one mask at a time"),
        (np.zeros((0, 5), bool), "at least one pixel"),
        (np.arange(4).reshape(2, 2), "several values, such as 1 and 2"),
        (np.array([[0.1, 0.9]]), "probabilities"),
        (np.array([["a"]]), "type <U1"),
        (np.array([[np.nan, np.nan]]), "several values"),
    ],
)
def test_impossible_masks_are_refused(mask, words):
    with pytest.raises(AnnotationError, match=words):
        Rle.encode(mask)


@pytest.mark.parametrize("inside", [1, 255, 1.0, 7])
def test_masks_of_numbers(inside):
    numbers = disc() * np.asarray(inside)
    assert Rle.encode(numbers) == Rle.encode(disc())


def test_masks_of_any_memory_layout():
    mask = disc()
    assert Rle.encode(np.asfortranarray(mask)) == Rle.encode(mask)
    assert Rle.encode(np.repeat(mask, 2, axis=1)[:, ::2]) == Rle.encode(mask)


@pytest.mark.parametrize(
    ("size", "counts", "words"),
    [
        ((2, 2), "", "empty"),
        ((2, 2), " 4", "character ' '"),
        ((2, 2), "4\n", r"character '\\n'"),
        ((2, 2), "é", "character 'é'"),
        ((2, 2), "5", "do not fill its size of 2 × 2 = 4"),
        ((2, 2), "3", "do not fill"),
        ((2, 2), "T", "cut short"),
        ((2, 2), "@", "below zero"),  # -16
        ((2, 2), "PPPPPPPPPPPP1", "longer than any image"),
        ((2, 2), None, "NoneType"),
        ((2, 2), [4], "from_runs"),
        ((0, 2), "4", "at least"),
        ((-2, -2), "4", "at least"),
        ((2.5, 2), "4", "expected .height, width."),
        ((2,), "4", "expected .height, width."),
        (None, "4", "expected .height, width."),
        ((MAX_PIXELS, 2), "4", "at most"),
    ],
)
def test_foreign_counts_are_checked(size, counts, words):
    with pytest.raises(AnnotationError, match=words):
        Rle(size, counts)


def test_bytes_and_lists_are_understood():
    rle = Rle.encode(disc())
    assert Rle(list(rle.size), rle.counts.encode()) == rle
    assert Rle((np.int64(40), np.int64(60)), rle.counts) == rle
    assert hash(Rle(rle.size, rle.counts)) == hash(rle)


def test_empty_runs_inside_are_merged():
    mask = np.zeros((2, 4), bool)
    mask[:, 1:3] = True
    expected = Rle.encode(mask)
    assert Rle.from_runs((2, 4), [2, 1, 0, 3, 2, 0]) == expected
    padded = Rle((2, 4), pack(np.array([2, 1, 0, 3, 2, 0])))
    assert padded == expected
    assert padded.box == (1, 0, 3, 2)
    assert Rle.from_runs((2, 4), [0, 8, 0, 0]).area == 8
    assert Rle.from_runs((2, 4), [0, 0, 8]).area == 0


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([3, 2], "do not fill"),
        ([], "below zero|empty"),
        ([9, -1], "below zero"),
        ([2**62, 2**62, 2**62, 2**62 + 8], "do not fill"),
        ([2**70], "whole numbers"),
        ([7.5, 0.5], "whole numbers"),
        (["8"], "whole numbers"),
    ],
)
def test_foreign_runs_are_checked(runs, words):
    with pytest.raises(AnnotationError, match=words):
        Rle.from_runs((2, 4), runs)


@pytest.mark.parametrize("data", [None, "x", [], {}, {"size": [2, 2]}, {"counts": "4"}])
def test_dictionaries_that_are_no_mask(data):
    with pytest.raises(AnnotationError, match="expected"):
        Rle.from_dict(data)


def test_masks_of_different_size_are_not_compared():
    with pytest.raises(AnnotationError, match="cannot be compared"):
        Rle.encode(disc(40, 60)).iou(Rle.encode(disc(60, 40)))


@given(masks, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_a_box_is_encoded_as_the_whole(part, left, right, above, below):
    h, w = part.shape
    whole = np.zeros((above + h + below, left + w + right), bool)
    whole[above : above + h, left : left + w] = part
    rle = Rle.encode_box(part, (left, above), whole.shape)
    assert rle == Rle.encode(whole)
    assert rle == Rle(rle.size, rle.counts)
    if part.any():
        np.testing.assert_array_equal(*_cut(rle, whole))


def _cut(rle, whole):
    x0, y0, x1, y1 = map(int, rle.box)
    inside, corner = rle.decode_box()
    assert corner == (x0, y0)
    return inside, whole[y0:y1, x0:x1]


@given(masks, st.tuples(*[st.integers(-3, 15)] * 4))
def test_a_box_is_decoded_as_the_whole(mask, box):
    inside, (x, y) = Rle.encode(mask).decode_box(box)
    x0, y0, x1, y1 = box
    expected = mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    assert inside.size == expected.size
    if expected.size:
        assert (x, y) == (max(x0, 0), max(y0, 0))
        np.testing.assert_array_equal(inside, expected)


@pytest.mark.parametrize("full_height", [False, True])
def test_strips_of_a_mask_join(monkeypatch, full_height):
    monkeypatch.setattr("segwidget.inference.rle._STRIP_PIXELS", 25)
    part = np.random.default_rng(1).random((11, 40)) < 0.8
    part[0] = part[-1] = True
    size = (11, 40) if full_height else (20, 50)
    whole = np.zeros(size, bool)
    corner = (0, 0) if full_height else (4, 5)
    whole[corner[1] : corner[1] + 11, corner[0] : corner[0] + 40] = part
    rle = Rle.encode_box(part, corner, size)
    assert rle == Rle.encode(whole)
    np.testing.assert_array_equal(rle.decode_box((0, 0, size[1], size[0]))[0], whole)


def test_a_small_box_of_a_huge_mask():
    """Made, measured and read without 400 million pixels."""
    part = disc()
    rle = Rle.encode_box(part, (19_000, 12_345), (20_000, 20_000))
    assert rle.area == part.sum()
    inside, corner = rle.decode_box()
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    assert corner == (19_000 + columns[0], 12_345 + rows[0])
    assert inside.sum() == part.sum()


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (3, 0), (0, 2)])
def test_a_box_outside_is_refused(corner):
    with pytest.raises(AnnotationError, match="does not lie within"):
        Rle.encode_box(np.ones((3, 4), bool), corner, (4, 6))
