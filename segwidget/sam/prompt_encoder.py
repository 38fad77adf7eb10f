"""The prompt encoder of SAM ("Segment Anything", section 3 and appendix A).

Points and boxes become sparse tokens, a mask becomes a dense map that is added to the image
embedding. Two additions, off by default, are used by the embedded model, which learns from little
data: a point's token also reads the image embedding under the point, and points and boxes are
drawn into the dense map as well.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import LayerNorm2d

NOT_A_POINT = -1
BACKGROUND = 0
FOREGROUND = 1
BOX_TOP_LEFT = 2
BOX_BOTTOM_RIGHT = 3

# Widths, in cells of the embedding, of the bumps that stand for points in the dense map.
POINT_SIGMAS = (0.7, 3.0)


class PromptEncoder(nn.Module):
    """Encodes points, boxes and masks.

    Args:
        embed_dim: channels of tokens and of the dense map.
        image_embedding_size: ``(h, w)`` of the image embedding.
        input_image_size: ``(H, W)`` of the padded network input in pixels.
        mask_in_chans: hidden channels of the mask's down-scaling.
        activation: in the mask's down-scaling; the published model's is GELU.
        point_features: points read the image embedding under them.
        dense_prompts: points and boxes are drawn into the dense map.
    """

    def __init__(
        self,
        embed_dim: int,
        image_embedding_size: tuple[int, int],
        input_image_size: tuple[int, int],
        mask_in_chans: int = 16,
        *,
        activation: type[nn.Module] = nn.GELU,
        point_features: bool = False,
        dense_prompts: bool = False,
    ) -> None:
        super().__init__()
        self.embed_dim = embed_dim
        self.image_embedding_size = image_embedding_size
        self.input_image_size = input_image_size
        self.pe_layer = PositionEmbeddingRandom(embed_dim // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, embed_dim) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, embed_dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, mask_in_chans // 4, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans // 4),
            activation(),
            nn.Conv2d(mask_in_chans // 4, mask_in_chans, kernel_size=2, stride=2),
            LayerNorm2d(mask_in_chans),
            activation(),
            nn.Conv2d(mask_in_chans, embed_dim, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, embed_dim)
        self.point_feature = nn.Linear(embed_dim, embed_dim) if point_features else None
        self.dense_prompt = (
            nn.Conv2d(2 * len(POINT_SIGMAS) + 1, embed_dim, kernel_size=1)
            if dense_prompts
            else None
        )

    @property
    def mask_input_size(self) -> tuple[int, int]:
        """``(h, w)`` of a mask prompt and of the low-resolution logits: 4x the embedding's."""
        h, w = self.image_embedding_size
        return 4 * h, 4 * w

    def get_dense_pe(self) -> Tensor:
        """The positional encoding of the image embedding, ``(1, embed_dim, h, w)``."""
        encoding: Tensor = self.pe_layer(self.image_embedding_size)
        return encoding.unsqueeze(0)

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
        image_embeddings: Tensor | None = None,
        *,
        padded: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Encode ``B`` prompts.

        Args:
            points: coordinates ``(B, N, 2)`` as ``(x, y)`` in pixels of the network's input, pixel
                centers at integers, and labels ``(B, N)``: 1 foreground, 0 background, -1 padding;
                also 2 and 3, the corners of a box, next to each other.
            boxes: ``(B, 4)`` or ``(B, K, 4)`` as ``(x0, y0, x1, y1)``.
            masks: logits ``(B, 1, 4h, 4w)``.
            image_embeddings: ``(I, embed_dim, h, w)`` with ``B`` a multiple of ``I``; only read
                where the encoder was made with ``point_features``.
            padded: the points already hold the padding point that is otherwise added to prompts
                without a box; so that one batch may mix points with boxes given as corners.

        Returns:
            Sparse tokens ``(B, T, embed_dim)`` and the dense map ``(B or 1, embed_dim, h, w)``.
        """
        coords, labels = self._as_points(points, boxes, padded)
        batch = len(coords) if coords is not None else len(masks) if masks is not None else 1
        if masks is not None:
            dense: Tensor = self.mask_downscaling(masks)
        else:
            dense = self.no_mask_embed.weight.view(1, -1, 1, 1).expand(
                1, -1, *self.image_embedding_size
            )
        if coords is None or labels is None:
            return dense.new_empty(batch, 0, self.embed_dim), dense
        sparse = self._embed_points(coords, labels)
        if self.point_feature is not None and image_embeddings is not None:
            sampled = self._sample(image_embeddings, coords)
            is_point = (labels == FOREGROUND) | (labels == BACKGROUND)
            sparse = sparse + self.point_feature(sampled) * is_point.unsqueeze(-1)
        if self.dense_prompt is not None:
            dense = dense + self.dense_prompt(self._draw(coords, labels))
        return sparse, dense

    def _as_points(
        self, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, padded: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Points and the corners of boxes in one list, as the published code orders them."""
        if boxes is None:
            if points is None:
                return None, None
            coords, labels = points
            if padded:
                return coords, labels
            # Without a box the published model always sees one padding point.
            return F.pad(coords, (0, 0, 0, 1)), F.pad(labels, (0, 1), value=NOT_A_POINT)
        corners = boxes.reshape(len(boxes), -1, 2)
        kinds = labels_of_corners(corners)
        if points is None:
            return corners, kinds
        coords, labels = points
        return torch.cat([coords, corners], dim=1), torch.cat([labels, kinds.to(labels)], dim=1)

    def _embed_points(self, coords: Tensor, labels: Tensor) -> Tensor:
        encoding = self.pe_layer.forward_with_coords(coords + 0.5, self.input_image_size)
        table = torch.cat([self.not_a_point_embed.weight, *self.point_embeddings.parameters()])
        kinds = labels.long()
        return encoding * (kinds != NOT_A_POINT).unsqueeze(-1) + table[kinds + 1]

    def _cells(self, coords: Tensor) -> Tensor:
        """Coordinates in cells of the embedding, whose first cell spans 0 to 1."""
        h, w = self.image_embedding_size
        height, width = self.input_image_size
        return (coords + 0.5) * coords.new_tensor([w / width, h / height])

    def _sample(self, image_embeddings: Tensor, coords: Tensor) -> Tensor:
        """Bilinear samples ``(B, N, C)`` of each prompt's image embedding."""
        height, width = self.input_image_size
        grid = 2 * (coords + 0.5) / coords.new_tensor([width, height]) - 1
        images = len(image_embeddings)
        rows = grid.reshape(images, -1, 1, 2).to(image_embeddings.dtype)
        sampled = F.grid_sample(image_embeddings, rows, padding_mode="border", align_corners=False)
        return sampled.squeeze(-1).transpose(1, 2).reshape(*coords.shape[:2], -1)

    def _draw(self, coords: Tensor, labels: Tensor) -> Tensor:
        """Draw the prompts as ``(B, 2 * sigmas + 1, h, w)``: points +, points -, boxes."""
        h, w = self.image_embedding_size
        cells = self._cells(coords)
        edges_x = torch.arange(w, device=coords.device, dtype=coords.dtype)
        edges_y = torch.arange(h, device=coords.device, dtype=coords.dtype)
        dx = edges_x + 0.5 - cells[..., 0:1]  # (B, N, w)
        dy = edges_y + 0.5 - cells[..., 1:2]
        maps = []
        for sigma in POINT_SIGMAS:
            bump_x = torch.exp(-0.5 * (dx / sigma) ** 2)
            bump_y = torch.exp(-0.5 * (dy / sigma) ** 2)
            for kind in (FOREGROUND, BACKGROUND):
                rows = bump_y * (labels == kind).unsqueeze(-1)
                maps.append((rows.unsqueeze(-1) * bump_x.unsqueeze(-2)).amax(dim=1))
        # A box's corners are neighbors. The last point starts no box; it meets a filler, so that
        # one point alone is no special case.
        top_left, bottom_right = cells, F.pad(cells[:, 1:], (0, 0, 0, 1))
        cover_x = overlap(edges_x, top_left[..., 0:1], bottom_right[..., 0:1])
        cover_y = overlap(edges_y, top_left[..., 1:2], bottom_right[..., 1:2])
        cover_y = cover_y * (labels == BOX_TOP_LEFT).unsqueeze(-1)
        maps.append((cover_y.unsqueeze(-1) * cover_x.unsqueeze(-2)).amax(dim=1))
        return torch.stack(maps, dim=1)


def labels_of_corners(corners: Tensor) -> Tensor:
    """Labels ``(B, 2K)`` of the corners ``(B, 2K, 2)`` of ``K`` boxes."""
    pair = torch.tensor([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT], device=corners.device)
    return pair.repeat(corners.shape[1] // 2).expand(len(corners), -1)


def overlap(cell: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The share of each cell ``[cell, cell + 1]`` that ``[low, high]`` covers."""
    return (torch.minimum(high, cell + 1) - torch.maximum(low, cell)).clamp(0, 1)


class PositionEmbeddingRandom(nn.Module):
    """Positional encoding by random spatial frequencies (Tancik et al., Fourier features).

    Args:
        num_pos_feats: half of the channels.
        scale: standard deviation of the frequencies.
    """

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, num_pos_feats: int, scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer(
            "positional_encoding_gaussian_matrix", scale * torch.randn(2, num_pos_feats)
        )

    def encode(self, coords: Tensor) -> Tensor:
        """Encode ``(..., 2)`` coordinates in ``[0, 1]`` as ``(..., 2 * num_pos_feats)``."""
        angles = 2 * math.pi * ((2 * coords - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def forward(self, size: tuple[int, int]) -> Tensor:
        """Encode the cells of an ``(h, w)`` grid as ``(C, h, w)``."""
        h, w = size
        like = self.positional_encoding_gaussian_matrix
        y = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) / h
        x = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) / w
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        return self.encode(grid).permute(2, 0, 1)

    def forward_with_coords(self, coords: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Encode ``(B, N, 2)`` positions in pixels of an ``(H, W)`` image as ``(B, N, C)``."""
        height, width = image_size
        like = self.positional_encoding_gaussian_matrix
        return self.encode(coords.to(like) / like.new_tensor([width, height]))
