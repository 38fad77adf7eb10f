"""The network's building blocks against plain, slow renderings of the same formulas."""

import pytest
import torch
from torch import nn

from segwidget.sam import image_encoder
from segwidget.sam.common import MLP, LayerNorm2d
from segwidget.sam.image_encoder import (
    offsets_table,
    relative_position_bias,
    window_partition,
    window_unpartition,
)
from segwidget.sam.mask_decoder import double, in_order
from segwidget.sam.transformer import Attention, TwoWayTransformer, add_shared


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_layer_norm_2d_is_layer_norm_at_each_position(generator):
    x = 3 + 2 * torch.randn(2, 6, 4, 5, generator=generator)
    norm = LayerNorm2d(6)
    norm.weight.copy_(torch.randn(6, generator=generator))
    norm.bias.copy_(torch.randn(6, generator=generator))
    mean = x.mean(dim=1, keepdim=True)
    variance = (x - mean).square().mean(dim=1, keepdim=True)
    expected = (x - mean) / (variance + 1e-6).sqrt()
    expected = expected * norm.weight.view(1, -1, 1, 1) + norm.bias.view(1, -1, 1, 1)
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=1e-5)
    last = norm.channels_last(x.permute(0, 2, 3, 1))
    torch.testing.assert_close(last.permute(0, 3, 1, 2), expected, rtol=0, atol=1e-5)


def test_mlp_has_a_relu_between_layers_and_none_after_the_last(generator):
    torch.manual_seed(0)  # other weights may happen to answer above zero only
    mlp = MLP(3, 5, 2, num_layers=3)
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(5, 3), (5, 5), (2, 5)]
    x = torch.randn(7, 3, generator=generator)
    first, second, third = mlp.layers
    expected = third(second(first(x).clamp(min=0)).clamp(min=0))
    torch.testing.assert_close(mlp(x), expected)
    assert (mlp(torch.randn(200, 3, generator=generator)) < 0).any()


@pytest.mark.parametrize(
    ("height", "width", "window", "count"),
    [(10, 10, 5, 4), (7, 9, 4, 6), (3, 8, 5, 2), (5, 1, 2, 3), (13, 14, 14, 1)],
)
def test_windows_round_trip(generator, height, width, window, count):
    x = torch.randn(2, height, width, 3, generator=generator)
    windows = window_partition(x, window)
    assert windows.shape == (2 * count, window, window, 3)
    assert torch.equal(window_unpartition(windows, window, height, width), x)


def test_windows_run_along_rows_and_are_padded_with_zeros():
    x = torch.arange(1, 16).view(1, 3, 5, 1)
    windows = window_partition(x, 2).squeeze(-1)
    assert windows.tolist() == [
        [[1, 2], [6, 7]],
        [[3, 4], [8, 9]],
        [[5, 0], [10, 0]],
        [[11, 12], [0, 0]],
        [[13, 14], [0, 0]],
        [[15, 0], [0, 0]],
    ]


def test_relative_position_bias_against_a_loop(generator):
    height, width, dim = 3, 4, 5
    q = torch.randn(2, height * width, dim, generator=generator)
    rel_pos_h = torch.randn(2 * height - 1, dim, generator=generator)
    rel_pos_w = torch.randn(2 * width - 1, dim, generator=generator)
    bias = relative_position_bias(q, rel_pos_h, rel_pos_w, height, width)
    assert bias.shape == (2, 1, 12, 12)
    for image in range(2):
        for query in range(height * width):
            for key in range(height * width):
                down = query // width - key // width
                right = query % width - key % width
                offset = rel_pos_h[down + height - 1] + rel_pos_w[right + width - 1]
                expected = q[image, query] @ offset
                assert bias[image, 0, query, key].item() == pytest.approx(expected.item(), abs=1e-5)


def test_relative_position_bias_of_one_head_among_many(generator):
    """The queries of a head are a strided view, and the bias is made without a copy of it."""
    q = torch.randn(2, 12, 3, 5, generator=generator).transpose(1, 2)  # (B, heads, h*w, d)
    rel_pos_h, rel_pos_w = torch.randn(2, 5, 5, generator=generator)
    rel_pos_w = torch.cat([rel_pos_w, rel_pos_w[:2]])
    for head in range(3):
        bias = relative_position_bias(q[:, head], rel_pos_h, rel_pos_w, 3, 4)
        expected = relative_position_bias(q[:, head].contiguous(), rel_pos_h, rel_pos_w, 3, 4)
        assert torch.equal(bias, expected)
        assert bias.is_contiguous()


def test_offsets_are_query_minus_key():
    table = offsets_table(torch.arange(-2.0, 3.0).unsqueeze(1), 3).squeeze(-1)
    assert table.tolist() == [[0, -1, -2], [1, 0, -1], [2, 1, 0]]


@pytest.mark.parametrize("bias", [True, False])
def test_double_is_the_transposed_convolution(generator, bias):
    layer = nn.ConvTranspose2d(6, 4, kernel_size=2, stride=2, bias=bias)
    x = torch.randn(2, 6, 3, 5, generator=generator)
    ours = in_order(double(x.permute(0, 2, 3, 1), layer))
    assert ours.shape == (2, 6, 10, 4)
    torch.testing.assert_close(ours.permute(0, 3, 1, 2), layer(x), rtol=0, atol=1e-5)


def test_add_shared_serves_neighbors():
    shared = torch.tensor([[10.0], [20.0]])
    x = torch.arange(6.0).unsqueeze(1)
    assert add_shared(shared, x).flatten().tolist() == [10, 11, 12, 23, 24, 25]


class TestSharing:
    """``I`` images with ``P`` prompts each, where an image's side is held once."""

    images, prompts, dim = 2, 3, 16

    @pytest.fixture
    def image(self, generator):
        return torch.randn(self.images, 10, self.dim, generator=generator)

    @pytest.fixture
    def tokens(self, generator):
        return torch.randn(self.images * self.prompts, 4, self.dim, generator=generator)

    @pytest.fixture
    def attention(self, random_state):
        attention = Attention(self.dim, num_heads=2, downsample_rate=2)
        attention.load_state_dict(random_state(attention))
        return attention

    @pytest.fixture
    def transformer(self, random_state):
        transformer = TwoWayTransformer(2, self.dim, num_heads=2, mlp_dim=24)
        transformer.load_state_dict(random_state(transformer))
        return transformer

    def test_attention_from_tokens_to_a_shared_image(self, attention, image, tokens):
        ours = attention(tokens, image, 2 * image)
        assert ours.shape == tokens.shape
        for i, row in enumerate(tokens):
            own = image[i // self.prompts].unsqueeze(0)
            torch.testing.assert_close(ours[i], attention(row.unsqueeze(0), own, 2 * own)[0])

    def test_attention_from_a_shared_image_to_tokens(self, attention, image, tokens):
        ours = attention(image, tokens, 2 * tokens)
        assert ours.shape == (self.images * self.prompts, 10, self.dim)
        for i in range(len(tokens)):
            own, row = image[i // self.prompts].unsqueeze(0), tokens[i].unsqueeze(0)
            torch.testing.assert_close(ours[i], attention(own, row, 2 * row)[0])

    def test_attention_is_softmax_of_scaled_scores(self, attention, image, tokens):
        q, k, v = tokens[:1], image[:1], 2 * image[:1]
        queries, keys, values = attention.q_proj(q), attention.k_proj(k), attention.v_proj(v)
        heads = []
        for channels in (slice(0, 4), slice(4, 8)):  # two heads of the halved width
            scores = queries[..., channels] @ keys[..., channels].transpose(1, 2) / 4**0.5
            heads.append(scores.softmax(dim=-1) @ values[..., channels])
        expected = attention.out_proj(torch.cat(heads, dim=-1))
        torch.testing.assert_close(attention(q, k, v), expected, rtol=0, atol=1e-5)

    def test_transformer_with_a_shared_image_equals_one_with_copies(
        self, transformer, image, tokens, generator
    ):
        pe = torch.randn(1, 10, self.dim, generator=generator)
        shared = transformer(image, pe, tokens)
        copied = transformer(image.repeat_interleave(self.prompts, dim=0), pe, tokens)
        for ours, expected, shape in zip(shared, copied, [(6, 4, 16), (6, 10, 16)], strict=True):
            assert ours.shape == shape
            assert ours.std() > 0.1
            torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)

    def test_transformer_answers_each_prompt_as_if_alone(
        self, transformer, image, tokens, generator
    ):
        pe = torch.randn(1, 10, self.dim, generator=generator)
        together = transformer(image, pe, tokens)
        for i in range(len(tokens)):
            alone = transformer(image[[i // self.prompts]], pe, tokens[[i]])
            for ours, expected in zip(together, alone, strict=True):
                torch.testing.assert_close(ours[[i]], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("together", [2, 4])
def test_heads_may_be_attended_with_together(monkeypatch, together):
    torch.manual_seed(0)
    attention = image_encoder.Attention(32, num_heads=4, size=5).eval()
    for table in (attention.rel_pos_h, attention.rel_pos_w):
        torch.nn.init.normal_(table)
    x = torch.randn(3, 5, 5, 32)
    with torch.no_grad():
        expected = attention(x)
        assert attention.heads_at_once(torch.device("cpu")) == 1
        assert attention.heads_at_once(torch.device("cuda")) == 4
        monkeypatch.setattr(attention, "heads_at_once", lambda device: together)
        torch.testing.assert_close(attention(x), expected)
