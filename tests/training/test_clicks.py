"""Clicks and boxes for training: where they lie, and what they say."""

import pytest
import torch

from segwidget.sam.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NOT_A_POINT
from segwidget.training.clicks import (
    append_click,
    corrective_click,
    depth,
    first_prompt,
    mask_boxes,
    pick_pixel,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def targets():
    """Masks ``(6, 32, 32)``: a square, a ring, two blobs, a pixel in the corner, a line, all."""
    masks = torch.zeros(6, 32, 32)
    masks[0, 5:15, 8:20] = 1
    masks[1, 4:28, 4:28] = 1
    masks[1, 9:23, 9:23] = 0
    masks[2, 2:8, 2:8] = 1
    masks[2, 20:30, 18:30] = 1
    masks[3, 0, 31] = 1
    masks[4, 16, :] = 1
    masks[5] = 1
    return masks


def cell_of(coords, stride):
    """The cell that holds a position in input pixels, pixel centers at integers."""
    return ((coords + 0.5) / stride).floor().long()


def test_depth_is_largest_in_the_middle(targets):
    d = depth(targets > 0.5)
    assert (d[targets < 0.5] == 0).all()
    assert (d[targets > 0.5] > 0).all()
    assert d[0, 9:11, 13:15].min() > d[0, 5, 8:20].max()
    assert divmod(int(d[2].argmax()), 32)[0] > 19  # the larger of the two blobs


def test_picked_pixels_lie_inside(targets, generator):
    inside = targets > 0.5
    for _ in range(30):
        xy, found = pick_pixel(inside, generator)
        assert inside[torch.arange(6), xy[:, 1], xy[:, 0]].all()
        assert (found > 0).all()
    assert pick_pixel(torch.zeros(1, 8, 8, dtype=torch.bool))[1].item() == 0


def test_first_points_lie_inside(targets, generator):
    for _ in range(30):
        coords, labels = first_prompt(targets, 2.0, box_share=0, generator=generator)
        assert (labels == torch.tensor([1, NOT_A_POINT])).all()
        x, y = cell_of(coords[:, 0], 2).T
        assert (targets[torch.arange(6), y, x] > 0.5).all()


def test_first_points_vary(targets, generator):
    points = {tuple(first_prompt(targets, 2.0, 0, generator)[0][0, 0].tolist()) for _ in range(20)}
    assert len(points) > 10


def test_boxes_cover_their_masks_up_to_the_jitter(targets, generator):
    tight = mask_boxes(targets > 0.5) * 2 - 0.5
    side = (tight[:, 2:] - tight[:, :2]).repeat(1, 2)
    gaps = []
    for _ in range(50):
        coords, labels = first_prompt(targets, 2.0, box_share=1, generator=generator)
        assert (labels == torch.tensor([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT])).all()
        box = coords.flatten(1)
        assert ((box - tight).abs() <= 0.1 * side + 1e-4).all()
        assert (box >= -0.5).all()
        assert (box <= 63.5).all()
        assert (box[:, 2:] > box[:, :2]).all()
        gaps.append(box[0] - tight[0])
    gaps = torch.stack(gaps)
    assert 0.1 < (gaps == 0).all(dim=1).float().mean() < 0.6  # some are tight
    assert gaps.std() > 0.3


def test_share_of_boxes(generator):
    target = torch.zeros(2000, 8, 8)
    target[:, 2:6, 2:6] = 1
    _, labels = first_prompt(target, 2.0, generator=generator)
    boxes = (labels[:, 0] == BOX_TOP_LEFT).float().mean().item()
    assert boxes == pytest.approx(0.4, abs=0.04)


def test_mask_boxes_by_hand(targets):
    found = mask_boxes(targets > 0.5)
    assert found.tolist() == [
        [8, 5, 20, 15],
        [4, 4, 28, 28],
        [2, 2, 30, 30],
        [31, 0, 32, 1],
        [0, 16, 32, 17],
        [0, 0, 32, 32],
    ]


def test_correction_adds_what_is_missing(targets, generator):
    answer = torch.full_like(targets, -5.0)
    for _ in range(10):
        coords, labels = corrective_click(answer, targets, 2.0, generator)
        assert coords.shape == (6, 1, 2)
        assert (labels == 1).all()
        x, y = cell_of(coords[:, 0], 2).T
        assert (targets[torch.arange(6), y, x] == 1).all()


def test_correction_removes_what_is_too_much(targets, generator):
    answer = torch.full_like(targets, 5.0)
    for _ in range(10):
        coords, labels = corrective_click(answer, targets, 2.0, generator)
        assert (labels[:5] == 0).all()
        x, y = cell_of(coords[:5, 0], 2).T
        assert (targets[torch.arange(5), y, x] == 0).all()


def test_correction_goes_to_the_larger_error(generator):
    target, answer = torch.zeros(2, 32, 32), torch.full((2, 32, 32), -1.0)
    target[:, 2:22, 2:22] = 1
    answer[0, 2:22, 2:20] = 1  # lacks a strip of 2
    answer[0, 22:31, 22:31] = 1  # and has a block of 9 too much
    answer[1, 2:22, 12:22] = 1  # lacks a half
    answer[1, 25:28, 25:28] = 1
    for _ in range(10):
        coords, labels = corrective_click(answer, target, 1.0, generator)
        assert labels.flatten().tolist() == [0, 1]
        (x0, y0), (x1, y1) = cell_of(coords[:, 0], 1).tolist()
        assert 22 <= x0 < 31
        assert 22 <= y0 < 31
        assert 2 <= x1 < 12
        assert 2 <= y1 < 22


def test_a_perfect_answer_gets_a_point_inside(targets, generator):
    coords, labels = corrective_click(targets * 10 - 5, targets, 2.0, generator)
    assert (labels == 1).all()
    x, y = cell_of(coords[:, 0], 2).T
    assert (targets[torch.arange(6), y, x] == 1).all()


def test_clicks_are_at_the_centers_of_cells(targets, generator):
    coords, _ = corrective_click(torch.full_like(targets, -1.0), targets, 4.0, generator)
    assert torch.equal((coords + 0.5) % 4, torch.full_like(coords, 2.0))


def test_clicks_go_in_front_of_a_box():
    coords, labels = torch.zeros(1, 2, 2), torch.tensor([[2, 3]])
    xy, label = append_click(coords, labels, torch.ones(1, 1, 2), torch.tensor([[0]]))
    assert label.tolist() == [[0, 2, 3]]
    assert xy[0, :, 0].tolist() == [1, 0, 0]
