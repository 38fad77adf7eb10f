"""Training crops: image and mask stay together, and sets and masks are drawn as they should be."""

import numpy as np
import pytest
import torch

from segwidget.errors import FormatError
from segwidget.inference.rle import Rle
from segwidget.training import data
from segwidget.training.augment import recolor
from segwidget.training.data import (
    PIXEL_MEAN,
    RandomCrops,
    Sample,
    cut,
    load_sets,
    pad,
    paste_object,
    window,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def sample_of(pixels, *masks, weight=None):
    weight = np.full(len(masks), 1 / len(masks)) if weight is None else np.array(weight)
    return Sample(pixels, tuple(Rle.encode(m) for m in masks), weight)


@pytest.fixture
def square():
    """A white square on black, off the middle, and its mask."""
    mask = np.zeros((90, 120), bool)
    mask[20:50, 60:100] = True
    return sample_of(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask)


def crops(sample, rng, monkeypatch, size=64, zoom=(0.4, 1.3), count=40, prompts=1):
    """Crops whose colors are left as they are."""
    monkeypatch.setattr(data, "recolor", lambda image, rng: image.astype(np.float32))
    made = RandomCrops({"s": [sample]}, size, 1, prompts, zoom, 0)
    found = [made.crop(sample, rng) for _ in range(count)]
    return [f for f in found if f is not None]


def test_image_and_mask_stay_aligned(square, rng, monkeypatch):
    found = crops(square, rng, monkeypatch)
    assert len(found) > 20
    for image, masks in found:
        assert image.shape == (64, 64, 3)
        assert masks.shape == (1, 32, 32)
        bright = image[..., 0].reshape(32, 2, 32, 2).mean(axis=(1, 3)) / 255
        padded = (image == np.float32(PIXEL_MEAN)).all(axis=2).reshape(32, 2, 32, 2)
        padding = padded.any(axis=(1, 3))
        gap = np.abs(bright - masks[0] / 255.0)[~padding]
        assert gap.mean() < 0.03  # nothing but the two ways of shrinking an edge
        assert not masks[0][padded.all(axis=(1, 3))].any()


def test_crops_are_flipped_moved_and_scaled(square, rng, monkeypatch):
    masks = [m[0] > 127 for _, m in crops(square, rng, monkeypatch)]
    areas = {int(m.sum()) for m in masks}
    assert max(areas) > 2 * min(areas)
    assert len({tuple(np.argwhere(m).mean(axis=0).round()) for m in masks}) > 10


def test_a_flip_mirrors_both(rng, monkeypatch):
    mask = np.zeros((64, 64), bool)
    mask[10:30, 4:20] = True
    sample = sample_of(np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask)
    sides = set()
    for image, masks in crops(sample, rng, monkeypatch, zoom=(1.0, 1.0)):
        left = masks[0][:, :16].sum() > masks[0][:, 16:].sum()
        white = image.min(axis=2) > 200  # not the padding
        assert left == (white[:, :32].sum() > white[:, 32:].sum())
        sides.add(bool(left))
    assert sides == {True, False}


def test_padding_is_the_mean_color(rng, monkeypatch):
    sample = sample_of(np.full((32, 64, 3), 200, np.uint8), np.ones((32, 64), bool))
    for image, masks in crops(sample, rng, monkeypatch, zoom=(1.3, 1.3), count=5):
        below = image[-4:, :, :]
        assert np.array_equal(np.unique(below.reshape(-1, 3), axis=0), [np.float32(PIXEL_MEAN)])
        assert (masks[:, -2:] == 0).all()
    padded = pad(np.full((2, 3, 3), 9.0), 4, PIXEL_MEAN)
    assert padded[:2, :3].tolist() == np.full((2, 3, 3), 9.0).tolist()
    assert padded[3, 3].tolist() == list(PIXEL_MEAN)


def test_a_mask_that_is_not_seen_has_no_crop(rng, monkeypatch):
    corner = np.zeros((200, 200), bool)
    corner[:4, :4] = True
    sample = sample_of(np.zeros((200, 200, 3), np.uint8), corner)
    assert len(crops(sample, rng, monkeypatch, zoom=(0.2, 0.2))) < 40
    for _, masks in crops(sample, rng, monkeypatch, zoom=(0.2, 0.2)):
        assert (masks > 127).sum() >= 12


def test_few_masks_repeat_and_specks_are_never_drawn(square, rng, monkeypatch):
    ((_, masks),) = crops(square, rng, monkeypatch, zoom=(1.0, 1.0), count=1, prompts=4)
    assert masks.shape == (4, 32, 32)
    assert (masks == masks[0]).all()
    both = sample_of(
        square.image, square.masks[0].decode(), np.ones((90, 120), bool), weight=[1, 0]
    )
    for _, found in crops(both, rng, monkeypatch, prompts=2):
        assert not (found > 127).all()


def test_batches(shards):
    sets = load_sets(shards)
    images, masks = next(iter(RandomCrops(sets, 64, 3, 2, (0.5, 1.0), 0)))
    assert images.shape == (3, 3, 64, 64)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < images.max() <= 255
    assert images.max() > 2
    assert masks.shape == (3, 2, 32, 32)
    assert 0 <= masks.min() < masks.max() <= 1


def test_the_seed_decides(shards):
    sets = load_sets(shards)

    def first(seed):
        return next(iter(RandomCrops(sets, 64, 2, 1, (0.5, 1.0), seed)))[0]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_sets_are_drawn_by_weight(monkeypatch):
    mask = np.ones((16, 16), bool)
    sets = {
        name: [sample_of(np.full((16, 16, 3), value, np.uint8), mask)]
        for name, value in (("often", 250), ("seldom", 10))
    }
    weights = {"often": 3.0, "seldom": 1.0}
    monkeypatch.setattr(data, "recolor", lambda image, rng: image.astype(np.float32))
    batch, _ = next(iter(RandomCrops(sets, 32, 600, 1, (0.5, 0.6), 0, weights=weights)))
    often = (batch[:, 0, 5, 5] > 128).float().mean().item()
    assert often == pytest.approx(0.75, abs=0.06)


def test_masks_are_weighed_by_area_up_to_a_third(shards, tmp_path):
    sets = load_sets(shards)
    assert {name: len(samples) for name, samples in sets.items()} == {"bsds500": 4, "other": 4}
    for sample in sets["bsds500"]:
        share = np.array([m.area for m in sample.masks]) / sample.image[..., 0].size
        expected = np.minimum(share, 0.3) ** 0.4
        np.testing.assert_allclose(sample.weight, expected / expected.sum())


def test_a_folder_without_shards_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--data.*\.tar"):
        load_sets(tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"nonsense" * 99)
    with pytest.raises(FormatError, match=r"bad\.tar"):
        load_sets(tmp_path)


def test_windows_lie_within_the_image_where_they_fit(rng):
    for _ in range(50):
        x0, y0, x1, y1 = window(100, 60, 40, 80, rng)
        assert 0 <= x0 <= 60
        assert (x1 - x0, y1 - y0) == (pytest.approx(40), pytest.approx(80))
        assert y0 == 0


def test_cut_scales_the_window_to_the_size():
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(cut(image, (2, 3, 6, 7), 4), image[3:7, 2:6])
    assert cut(image, (5, 0, 15, 10), 20).shape == (20, 10)  # half of the window has no image


def test_recolor_keeps_shape_range_and_content(rng):
    image = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    original = image.copy()
    versions = [recolor(image, rng) for _ in range(40)]
    assert np.array_equal(image, original)
    for found in versions:
        assert found.shape == image.shape
        assert found.dtype == np.float32
        assert found.min() >= 0
        assert found.max() <= 255
        assert np.corrcoef(found.mean(2).ravel(), image.mean(2).ravel())[0, 1] > 0.35
    assert any((np.ptp(found, axis=2) < 1e-3).all() for found in versions)  # some turn gray


def test_a_pasted_object_covers_what_it_says_and_nothing_else(rng):
    donor_mask = np.zeros((40, 40), bool)
    donor_mask[10:30, 5:35] = True
    donor = Sample(np.full((40, 40, 3), 250, np.uint8), (Rle.encode(donor_mask),), np.ones(1))
    scene = np.full((64, 96, 3), 10, np.uint8)
    for _ in range(20):
        picture, cover = paste_object(scene, donor, rng)
        assert picture.shape == scene.shape
        assert cover.shape == scene.shape[:2]
        assert (picture[cover == 0] == 10).all()
        assert (picture[cover == 255] == 250).all()
        assert cover.any()
        assert (scene == 10).all()


def test_a_pasted_object_hides_the_masks_below(square, rng, monkeypatch):
    monkeypatch.setattr(data, "recolor", lambda image, _: image.astype(np.float32))
    made = RandomCrops({"davis2016": [square]}, 64, 1, 2, (1.0, 1.0), 0, paste=1.0)
    pairs = [masks for _, masks in (made.crop(square, rng) for _ in range(30))]
    both = [(a > 127, b > 127) for a, b in pairs if not np.array_equal(a, b)]
    assert len(both) > 5
    assert all(not (a & b).any() for a, b in both)
