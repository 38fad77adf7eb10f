"""Points and boxes, encoded as :class:`PromptEncoder` does, in operations that ONNX has."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segwidget.sam.prompt_encoder import (
    BACKGROUND,
    BOX_TOP_LEFT,
    FOREGROUND,
    NOT_A_POINT,
    POINT_SIGMAS,
    PromptEncoder,
    overlap,
)

#: Maps that points and boxes are drawn into.
MAPS = 2 * len(POINT_SIGMAS) + 1


def sparse_tokens(
    prompts: PromptEncoder, coords: Tensor, labels: Tensor, embedding: Tensor | None
) -> Tensor:
    """Points as tokens, ``(P, C)``.

    Args:
        prompts: the network's.
        coords: ``(P, 2)`` in pixels of the network's input, pixel centers at integers.
        labels: ``(P,)`` float32.
        embedding: ``(1, C, h, w)``, where points read it.
    """
    height, width = prompts.input_image_size
    share = (coords + 0.5) / torch.tensor([float(width), float(height)])
    encoding = prompts.pe_layer.encode(share)
    table = torch.cat([prompts.not_a_point_embed.weight, *prompts.point_embeddings.parameters()])
    is_placed = (labels != NOT_A_POINT).float().unsqueeze(-1)
    sparse = encoding * is_placed + table[labels.long() + 1]
    if embedding is None or prompts.point_feature is None:
        return sparse
    sampled = F.grid_sample(
        embedding,
        (2 * share - 1).reshape(1, -1, 1, 2),
        padding_mode="border",
        align_corners=False,
    )
    is_point = ((labels == FOREGROUND) | (labels == BACKGROUND)).float().unsqueeze(-1)
    feature: Tensor = prompts.point_feature(sampled.reshape(prompts.embed_dim, -1).t())
    return sparse + feature * is_point


def drawn_maps(prompts: PromptEncoder, coords: Tensor, labels: Tensor) -> Tensor:
    """Points and boxes, drawn as for the dense map: ``(2 * sigmas + 1, h * w)``.

    Args:
        prompts: the network's.
        coords: as in :func:`sparse_tokens`.
        labels: likewise.
    """
    h, w = prompts.image_embedding_size
    height, width = prompts.input_image_size
    cells = (coords + 0.5) * torch.tensor([w / width, h / height])
    x, y = cells[:, :1], cells[:, 1:]
    edges_x, edges_y = torch.arange(w).float(), torch.arange(h).float()
    rows, columns = [], []
    for sigma in POINT_SIGMAS:
        bump_x, bump_y = (
            torch.exp(-0.5 * ((edges + 0.5 - at) / sigma) ** 2)
            for edges, at in ((edges_x, x), (edges_y, y))
        )
        for kind in (FOREGROUND, BACKGROUND):
            rows.append(bump_y * (labels == kind).float().unsqueeze(-1))
            columns.append(bump_x)
    # A box's second corner follows its first; nothing starts at the last point.
    end = torch.cat([cells[1:], cells[-1:]])
    starts = (labels == BOX_TOP_LEFT).float().unsqueeze(-1)
    rows.append(overlap(edges_y, y, end[:, 1:]) * starts)
    columns.append(overlap(edges_x, x, end[:, :1]))
    maps = torch.stack(rows).unsqueeze(-1) * torch.stack(columns).unsqueeze(-2)
    return maps.amax(1).reshape(MAPS, h * w)
