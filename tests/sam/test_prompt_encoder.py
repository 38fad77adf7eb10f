"""Points, boxes and masks as tokens and as a dense map, published and with the two additions."""

import math

import pytest
import torch
from torch import nn

from segwidget.sam.prompt_encoder import POINT_SIGMAS, PromptEncoder

SIZE, SIDE = 64, 8  # pixels of the input, cells of the embedding: 8 pixels a cell
PIXELS = SIZE // SIDE


@pytest.fixture
def published(random_state):
    encoder = PromptEncoder(16, (SIDE, SIDE), (SIZE, SIZE))
    encoder.load_state_dict(random_state(encoder))
    return encoder


@pytest.fixture
def extended(random_state):
    encoder = PromptEncoder(
        16,
        (SIDE, SIDE),
        (SIZE, SIZE),
        activation=nn.ReLU,
        point_features=True,
        dense_prompts=True,
    )
    encoder.load_state_dict(random_state(encoder))
    return encoder


@pytest.fixture(params=["published", "extended"])
def encoder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def embedding():
    """Of two images."""
    return torch.randn(2, 16, SIDE, SIDE, generator=torch.Generator().manual_seed(3))


def center(column, row):
    """The point in the middle of a cell; pixel centers are at integers here."""
    return [(column + 0.5) * PIXELS - 0.5, (row + 0.5) * PIXELS - 0.5]


def corner(column, row):
    """The point at a cell's upper left corner; a part of a cell may be added."""
    return [column * PIXELS - 0.5, row * PIXELS - 0.5]


def test_points_without_a_box_get_one_padding_point(encoder):
    points = torch.tensor([[[3.0, 5.0], [40.0, 9.0]]]), torch.tensor([[1, 0]])
    sparse, _ = encoder(points, None, None)
    assert sparse.shape == (1, 3, 16)
    assert torch.equal(sparse[0, 2], encoder.not_a_point_embed.weight[0])
    with_box, _ = encoder(points, torch.tensor([[1.0, 2.0, 30.0, 40.0]]), None)
    assert with_box.shape == (1, 4, 16)
    torch.testing.assert_close(with_box[:, :2], sparse[:, :2])


def test_where_a_padding_point_lies_is_of_no_matter(encoder, embedding):
    labels = torch.tensor([[1, -1], [1, -1]])
    coords = torch.tensor([[[3.0, 5.0], [0.0, 0.0]], [[3.0, 5.0], [40.0, 9.0]]])
    sparse, dense = encoder((coords, labels), None, None, embedding[:1], padded=True)
    assert torch.equal(sparse[0], sparse[1])
    assert torch.equal(dense[0], dense[-1])
    added, added_dense = encoder((coords[:1, :1], labels[:1, :1]), None, None, embedding[:1])
    torch.testing.assert_close(added[0], sparse[0])
    torch.testing.assert_close(added_dense[0], dense[0])


def test_boxes_are_their_corners(encoder, embedding):
    boxes = torch.tensor([[1.0, 2.0, 30.0, 40.0], [7.0, 3.0, 50.0, 20.5]])
    corners = boxes.view(2, 2, 2), torch.tensor([[2, 3], [2, 3]])
    expected = encoder(corners, None, None, embedding, padded=True)
    for ours, theirs in zip(encoder(None, boxes, None, embedding), expected, strict=True):
        assert torch.equal(ours, theirs)
    assert not torch.equal(expected[0][0], expected[0][1])


def test_one_batch_may_mix_points_and_boxes(encoder, embedding):
    point, box = torch.tensor([[[20.0, 9.0]]]), torch.tensor([[7.0, 3.0, 50.0, 20.5]])
    mixed = torch.tensor([[[20.0, 9.0], [0.0, 0.0]], [[7.0, 3.0], [50.0, 20.5]]])
    labels = torch.tensor([[1, -1], [2, 3]])
    sparse, dense = encoder((mixed, labels), None, None, embedding[:1], padded=True)
    alone = [
        encoder((point, labels[:1, :1]), None, None, embedding[:1]),
        encoder(None, box, None, embedding[:1]),
    ]
    for i, (own_sparse, own_dense) in enumerate(alone):
        torch.testing.assert_close(sparse[[i]], own_sparse)
        torch.testing.assert_close(dense.expand(2, -1, -1, -1)[[i]], own_dense)


def test_several_boxes_of_one_prompt(encoder):
    boxes = torch.tensor([[[1.0, 2.0, 30.0, 40.0], [7.0, 3.0, 50.0, 20.5]]])
    sparse, dense = encoder(None, boxes, None)
    assert sparse.shape == (1, 4, 16)
    assert dense.shape == (1, 16, SIDE, SIDE)
    for i in range(2):
        own, _ = encoder(None, boxes[:, i], None)
        torch.testing.assert_close(sparse[:, 2 * i : 2 * i + 2], own)


@pytest.mark.parametrize("points", [None, (torch.zeros(2, 0, 2), torch.zeros(2, 0).long())])
def test_a_mask_alone(encoder, points):
    masks = torch.randn(2, 1, 4 * SIDE, 4 * SIDE, generator=torch.Generator().manual_seed(0))
    sparse, dense = encoder(points, None, masks)
    assert dense.shape == (2, 16, SIDE, SIDE)
    assert not torch.equal(dense[0], dense[1])
    assert encoder.mask_input_size == masks.shape[-2:]
    if points is None:
        assert sparse.shape == (2, 0, 16)
    else:  # an empty list of points is still padded, as published
        assert torch.equal(sparse, encoder.not_a_point_embed.weight.expand(2, 1, -1))


def test_no_prompt_at_all(encoder):
    sparse, dense = encoder(None, None, None)
    assert sparse.shape == (1, 0, 16)
    expected = encoder.no_mask_embed.weight.view(1, 16, 1, 1).expand(1, 16, SIDE, SIDE)
    assert torch.equal(dense, expected)


def test_the_grid_is_encoded_as_points_in_the_middle_of_cells(published):
    dense = published.get_dense_pe()
    assert dense.shape == (1, 16, SIDE, SIDE)
    at = torch.tensor([[center(2, 5)]])
    sparse, _ = published((at, torch.tensor([[1]])), None, None)
    token = sparse[0, 0] - published.point_embeddings[1].weight[0]
    torch.testing.assert_close(token, dense[0, :, 5, 2], rtol=0, atol=1e-5)


def test_points_read_the_embedding_exactly_at_the_middle_of_cells(extended, embedding):
    cells = [[(0, 0), (7, 7), (2, 5)], [(6, 1), (3, 3), (7, 0)]]
    coords = torch.tensor([[center(*cell) for cell in row] for row in cells])
    points = coords, torch.tensor([[1, 0, 1], [0, 1, 1]])
    with_image, _ = extended(points, None, None, embedding)
    without, _ = extended(points, None, None)
    for image, row in enumerate(cells):
        for i, (x, y) in enumerate(row):
            expected = extended.point_feature(embedding[image, :, y, x])
            read = with_image[image, i] - without[image, i]
            torch.testing.assert_close(read, expected, rtol=0, atol=1e-5)
    assert torch.equal(with_image[:, 3], without[:, 3])  # the padding reads nothing


def test_points_between_cells_read_a_mixture(extended, embedding):
    points = torch.tensor([[corner(3, 6)]]), torch.tensor([[1]])
    with_image, _ = extended(points, None, None, embedding[:1])
    without, _ = extended(points, None, None)
    expected = extended.point_feature(embedding[0, :, 5:7, 2:4].mean(dim=(1, 2)))
    read = with_image[0, 0] - without[0, 0]
    torch.testing.assert_close(read, expected, rtol=0, atol=1e-5)


def test_corners_of_boxes_read_nothing(extended, embedding):
    boxes = torch.tensor([[5.0, 6.0, 40.0, 50.0]])
    assert torch.equal(
        extended(None, boxes, None, embedding[:1])[0], extended(None, boxes, None)[0]
    )


def test_each_prompt_reads_its_own_image(extended, embedding):
    coords = torch.tensor([[center(1, 2)], [center(5, 5)], [center(1, 2)], [center(5, 5)]])
    labels = torch.ones(4, 1)
    together, _ = extended((coords, labels), None, None, embedding)
    for i in range(4):
        own, _ = extended((coords[[i]], labels[[i]]), None, None, embedding[[i // 2]])
        torch.testing.assert_close(together[[i]], own)


def drawing(encoder, coords, labels):
    """The channels (points +, points - for each width; boxes) of one prompt's drawing."""
    drawn = encoder._draw(torch.tensor([coords]), torch.tensor([labels]))
    assert drawn.shape == (1, 2 * len(POINT_SIGMAS) + 1, SIDE, SIDE)
    return drawn[0]


def test_a_box_covers_parts_of_cells(extended):
    drawn = drawing(extended, [corner(0.5, 1), corner(3.25, 2.5)], [2, 3])
    expected = torch.zeros(SIDE, SIDE)
    expected[1, :4] = torch.tensor([0.5, 1, 1, 0.25])
    expected[2, :4] = 0.5 * expected[1, :4]
    torch.testing.assert_close(drawn[-1], expected)
    assert not drawn[:-1].any()


def test_a_box_within_a_cell_and_one_beyond_the_image(extended):
    inside = drawing(extended, [corner(2.25, 4.5), corner(2.75, 5)], [2, 3])[-1]
    assert inside[4, 2].item() == pytest.approx(0.25)
    assert inside.sum().item() == pytest.approx(0.25)
    beyond = drawing(extended, [corner(6.5, -3), corner(99, 1)], [2, 3])[-1]
    assert beyond[0].tolist() == pytest.approx([0] * 6 + [0.5, 1])
    assert not beyond[1:].any()


def test_several_boxes_are_united(extended):
    corners = [corner(0, 0), corner(2, 2), corner(1, 1), corner(4, 3)]
    drawn = drawing(extended, corners, [2, 3, 2, 3])[-1]
    expected = torch.zeros(SIDE, SIDE)
    expected[:2, :2] = 1
    expected[1:3, 1:4] = 1  # and nothing between the first box's end and the second one's start
    torch.testing.assert_close(drawn, expected)


def test_points_are_bumps_of_two_widths(extended):
    drawn = drawing(extended, [center(2, 5), center(6, 1), [0.0, 0.0]], [1, 0, -1])
    for channel, (column, row) in enumerate([(2, 5), (6, 1)]):
        for i, sigma in enumerate(POINT_SIGMAS):
            bump = drawn[2 * i + channel]
            for y in range(SIDE):
                for x in range(SIDE):
                    square = (x - column) ** 2 + (y - row) ** 2
                    expected = math.exp(-square / (2 * sigma**2))
                    assert bump[y, x].item() == pytest.approx(expected, abs=1e-5)
    assert not drawn[-1].any()


def test_bumps_of_one_label_take_their_maximum(extended):
    both = drawing(extended, [center(2, 5), center(3, 5)], [1, 1])
    first = drawing(extended, [center(2, 5), [0.0, 0.0]], [1, -1])
    second = drawing(extended, [[0.0, 0.0], center(3, 5)], [-1, 1])
    torch.testing.assert_close(both, torch.maximum(first, second))


def test_a_drawing_of_points_and_a_box_after_them(extended):
    coords = [center(2, 5), corner(1, 1), corner(3, 4)]
    drawn = drawing(extended, coords, [0, 2, 3])
    torch.testing.assert_close(drawn[-1], drawing(extended, coords[1:], [2, 3])[-1])
    torch.testing.assert_close(drawn[:-1], drawing(extended, coords[:1], [0])[:-1])
    assert drawn[-1].sum() == 6
