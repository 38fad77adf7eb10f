"""What a network does with an image and with prompts, as pictures to learn from.

Nothing here is needed for an answer: the same modules are run once more, and what goes on inside is
shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwidget.errors import ModelError
from segwidget.inference.predictor import Predictor
from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import Prompt
from segwidget.sam.mask_decoder import as_tokens
from segwidget.sam.prompt_encoder import BACKGROUND, BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND
from segwidget.sam.sam import Sam
from segwidget.sam.transformer import Attention, TwoWayAttentionBlock

#: The decoder's own tokens, in its order: they read the answer off the image.
OUTPUT_TOKENS = ("IoU", "single mask", "mask 1", "mask 2", "mask 3")

_PROMPT_TOKENS = {
    FOREGROUND: "included point",
    BACKGROUND: "excluded point",
    BOX_TOP_LEFT: "box, upper left",
    BOX_BOTTOM_RIGHT: "box, lower right",
}

# Of each component: what lies beyond is cut, so that a few odd cells do not pale the rest.
_PERCENTILES = (2, 98)


@dataclass(frozen=True, eq=False)
class PromptAttention:
    """Where each token of the mask decoder looks.

    Attributes:
        tokens: what each of the ``T`` tokens is called: the five of ``OUTPUT_TOKENS``, and then
            those of the prompts in the prompt encoder's order (points, corners of a box, padding).
        layers: ``(L, T, h, w)`` float32, one for each attention from tokens to the image: that of
            each two-way block and the final one. The weights are averaged over the heads; over the
            whole input they add up to 1, and what lies on its padding is cut off.
    """

    tokens: tuple[str, ...]
    layers: NDArray[np.float32]

    @property
    def maps(self) -> NDArray[np.float32]:
        """``(T, h, w)`` float32: the mean over the layers."""
        mean: NDArray[np.float32] = self.layers.mean(axis=0, dtype=np.float32)
        return mean


class TokenPasses(NamedTuple):
    """What :func:`attend` has seen.

    Attributes:
        weights: ``(T, N)`` for each attention from tokens to the image, averaged over the heads.
        tokens: ``(1, T, C)`` as the two-way transformer leaves them.
    """

    weights: list[Tensor]
    tokens: Tensor


def embedding_pca(predictor: Predictor) -> NDArray[np.uint8]:
    """The image embedding's first three principal components as red, green and blue.

    Cells of like color mean alike to the network. Of each component the second to the 98th
    percentile becomes 0 to 255; the strongest is red. Components have no sign of their own: each
    is turned so that its heaviest channel counts positively, and so the picture is always the same.

    Args:
        predictor: has its image set.

    Returns:
        uint8 ``(h, w, 3)``: the cells of the embedding that the image covers.

    Raises:
        PromptError: no image is set.
        ModelError: a network that keeps no embedding.
    """
    with predictor.lock:
        embedding = _embedding(predictor)
        frame = predictor.frame
    rows, columns = _covered(frame, embedding.shape[-2:])
    cells = embedding[0, :, :rows, :columns].flatten(1).T.double().cpu().numpy()
    cells = cells - cells.mean(axis=0)
    _, vectors = np.linalg.eigh(cells.T @ cells)
    axes = vectors[:, :-4:-1]
    heaviest = axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])]
    components = cells @ (axes * np.where(heaviest < 0, -1, 1))
    low, high = np.percentile(components, _PERCENTILES, axis=0)
    span = high - low
    # A picture of one color has no components; rounding errors are none.
    flat = span <= 1e-9 * max(1.0, float(embedding.abs().max()))
    scaled = np.where(flat, 0.5, (components - low) / np.where(flat, 1, span))
    picture: NDArray[np.uint8] = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
    return picture.reshape(rows, columns, 3)


def prompt_attention(
    predictor: Predictor,
    prompts: Prompt | Iterable[Prompt | Mapping[str, Any]],
    *,
    mask_input: NDArray[np.float32] | None = None,
) -> PromptAttention:
    """Where the tokens look while the mask decoder answers prompts.

    The softmax weights of ``cross_attn_token_to_image`` in each two-way block and of
    ``final_attn_token_to_image`` ("Segment Anything", appendix A, figure 14), in float32.

    Args:
        predictor: has its image set.
        prompts: as for :meth:`Predictor.predict`.
        mask_input: ``(s, s)`` float32 logits of an earlier answer that these prompts refine.

    Raises:
        PromptError: no image is set, or the prompts are impossible.
        ModelError: the network is not of the SAM architecture.
    """
    sam = predictor.model.sam
    with predictor.lock:
        embedding, frame = _embedding(predictor), predictor.frame
        question = predictor.question(prompts, mask_input)
    coords, labels = (t.to(sam.device) for t in frame.to_input(question.prompts))
    mask = None
    if question.mask_input is not None:
        mask = torch.from_numpy(np.array(question.mask_input)).to(sam.device)[None, None]
    passes = attend(sam, embedding.to(sam.device), coords, labels, mask)
    h, w = embedding.shape[-2:]
    rows, columns = _covered(frame, (h, w))
    layers = torch.stack(passes.weights).unflatten(-1, (h, w))[..., :rows, :columns]
    names = OUTPUT_TOKENS + token_names(labels[0].tolist())
    return PromptAttention(names, np.ascontiguousarray(layers.float().cpu().numpy()))


def token_names(labels: Iterable[int]) -> tuple[str, ...]:
    """What the prompt tokens of these point labels are called; points of a kind are counted."""
    labels = list(labels)
    names = []
    for i, label in enumerate(labels):
        name = _PROMPT_TOKENS.get(label, "padding")
        if labels.count(label) > 1 and label in (FOREGROUND, BACKGROUND):
            name = f"{name} {labels[: i + 1].count(label)}"
        names.append(name)
    return tuple(names)


def attend(
    sam: Sam, embedding: Tensor, coords: Tensor, labels: Tensor, mask: Tensor | None = None
) -> TokenPasses:
    """Run the prompt encoder and the two-way transformer, and note the attention to the image.

    Args:
        sam: the network.
        embedding: ``(1, C, h, w)``.
        coords: ``(1, N, 2)`` in input pixels, as :meth:`Frame.to_input` gives them.
        labels: ``(1, N)``.
        mask: logits ``(1, 1, 4h, 4w)`` of an earlier answer.
    """
    decoder = sam.mask_decoder
    with torch.inference_mode():
        sparse, dense = sam.prompt_encoder((coords, labels), None, mask, embedding, padded=True)
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight]).unsqueeze(0)
        tokens = torch.cat([own, sparse], dim=1)
        queries, keys = tokens, as_tokens(embedding + dense)
        positions = as_tokens(sam.prompt_encoder.get_dense_pe())
        transformer = decoder.transformer
        weights = []
        for layer in transformer.layers:
            block = cast(TwoWayAttentionBlock, layer)
            asking = _after_self_attention(block, queries, tokens)
            attention = block.cross_attn_token_to_image
            weights.append(attention_weights(attention, asking + tokens, keys + positions))
            queries, keys = block(queries, keys, tokens, positions)
        final = transformer.final_attn_token_to_image
        weights.append(attention_weights(final, queries + tokens, keys + positions))
        attended = final(queries + tokens, keys + positions, keys)
        return TokenPasses(
            [w[0].mean(dim=0) for w in weights], transformer.norm_final_attn(queries + attended)
        )


def attention_weights(attention: Attention, q: Tensor, k: Tensor) -> Tensor:
    """The softmax weights ``(B, heads, Nq, Nk)`` with which ``q`` attends to ``k``."""
    queries = attention.q_proj(q).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    keys = attention.k_proj(k).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
    weights: Tensor = (queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])).softmax(-1)
    return weights


def _after_self_attention(block: TwoWayAttentionBlock, queries: Tensor, tokens: Tensor) -> Tensor:
    """The tokens as they turn to the image, as :class:`TwoWayAttentionBlock` makes them."""
    if block.skip_first_layer_pe:
        attended = block.self_attn(queries, queries, queries)
    else:
        q = queries + tokens
        attended = queries + block.self_attn(q, q, queries)
    turned: Tensor = block.norm1(attended)
    return turned


def _embedding(predictor: Predictor) -> Tensor:
    """``(1, C, h, w)`` float of the present image; the caller holds the predictor's lock."""
    embedding = getattr(predictor.prepared, "embedding", None)
    if not isinstance(embedding, Tensor):
        raise ModelError(
            f"The model {predictor.model.name} keeps no image embedding that could be shown. Use "
            "'embedded', or a SAM checkpoint."
        )
    return embedding.float()


def _covered(frame: Frame, grid: tuple[int, ...]) -> tuple[int, int]:
    """How many rows and columns of the embedding's grid the image covers."""
    width, height = frame.resized
    rows, columns = grid
    return (
        min(rows, math.ceil(height * rows / frame.input_size)),
        min(columns, math.ceil(width * columns / frame.input_size)),
    )
