"""Candidates: masks on demand, scores, areas and boxes."""

import numpy as np
import pytest

from segwidget.inference.candidates import Candidates, mask_box
from segwidget.inference.preprocessing import Frame


def hill(x0, y0, x1, y1, side=64, height=5.0):
    """Logits that are `height` within a rectangle of low-resolution cells and `-height` outside."""
    logits = np.full((side, side), -height, np.float32)
    logits[y0:y1, x0:x1] = height
    return logits


@pytest.fixture
def candidates():
    """Of an image of 256 × 128 pixels: four cells of the image are one of the logits."""
    logits = np.stack([hill(10, 5, 30, 25), hill(0, 0, 64, 32), hill(0, 0, 0, 0)])
    return Candidates(logits, np.array([0.9, 0.5, 0.1], np.float32), Frame(256, 128, 128, 64))


def test_masks(candidates):
    masks = candidates.masks
    assert masks.shape == (3, 128, 256)
    assert masks.dtype == bool
    expected = np.zeros((128, 256), bool)
    expected[20:100, 40:120] = True
    assert (masks[0] ^ expected).sum() <= 2 * (80 + 80)  # corners and edges of interpolation
    assert masks[1].all()
    assert not masks[2].any()


def test_masks_are_made_once_and_only_when_asked_for(candidates, monkeypatch):
    made = []
    upsampled = Candidates._upsampled
    monkeypatch.setattr(
        Candidates, "_upsampled", lambda self, i, *at: made.append(i) or upsampled(self, i, *at)
    )
    assert len(candidates) == 3
    assert candidates.stability_score.shape == (3,)
    assert made == []
    first = candidates.mask(0)
    assert made == [0]
    assert np.array_equal(candidates.masks[0], first)
    assert candidates.masks is candidates.masks
    assert candidates.mask(1) is not None
    assert made == [0, 0, 1, 2]


def test_area_and_box(candidates):
    assert candidates.area.tolist() == [int(m.sum()) for m in candidates.masks]
    assert candidates.box.shape == (3, 4)
    np.testing.assert_allclose(candidates.box[0], [40, 20, 120, 100], atol=1)
    assert candidates.box[1].tolist() == [0, 0, 256, 128]
    assert candidates.box[2].tolist() == [0, 0, 0, 0]


def test_stability_by_hand():
    logits = np.full((1, 64, 64), -9.0, np.float32)
    logits[0, 0, :10] = 2.0  # inside at every offset
    logits[0, 1, :6] = 0.5  # inside at 0 and at -1, but not at +1
    logits[0, 2, :4] = -0.5  # inside at -1 only
    logits[0, 40:, :] = 9.0  # in the padding of a wide image, and not seen
    wide = Candidates(logits, np.ones(1, np.float32), Frame(256, 128, 128, 64))
    assert wide.stability_score.tolist() == [pytest.approx(10 / 20)]
    assert wide.stability_score.dtype == np.float32


def test_stability_of_nothing_is_zero(candidates):
    assert candidates.stability_score.tolist() == [1, 1, 0]


def test_seen_logits_leave_the_padding_out(candidates):
    assert candidates.seen_logits.shape == (3, 32, 64)
    assert np.array_equal(candidates.seen_logits, candidates.low_res_logits[:, :32])


def test_as_a_sequence(candidates):
    assert len(candidates) == 3
    mask, predicted_iou, stability = candidates[1]
    assert mask.all()
    assert predicted_iou == pytest.approx(0.5)
    assert isinstance(predicted_iou, float)
    assert stability == 1
    assert [c.predicted_iou for c in candidates] == pytest.approx([0.9, 0.5, 0.1])
    assert repr(candidates) == "Candidates(256 × 128, predicted IoU 0.90, 0.50, 0.10)"


def test_mask_box():
    mask = np.zeros((5, 9), bool)
    mask[1, 2] = mask[3, 6] = True
    assert mask_box(mask) == (2, 1, 7, 4)
    assert mask_box(~mask) == (0, 0, 9, 5)
    assert mask_box(np.zeros((5, 9), bool)) == (0, 0, 0, 0)
