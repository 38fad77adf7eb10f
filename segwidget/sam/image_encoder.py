"""The image encoder of SAM: a plain ViT with windowed and global attention.

Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection" (ViTDet), as used
by Kirillov et al., "Segment Anything", section 3 and appendix A. Module names are those of the
published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.common import LayerNorm2d, MLPBlock


class ImageEncoderViT(nn.Module):
    """Turns a ``(B, 3, 1024, 1024)`` image into a ``(B, 256, 64, 64)`` embedding.

    Args:
        img_size: side of the square input in pixels.
        patch_size: side of a patch in pixels.
        in_chans: channels of the input.
        embed_dim: width of the transformer (768 for B, 1024 for L, 1280 for H).
        depth: number of blocks (12, 24, 32).
        num_heads: attention heads (12, 16, 16).
        mlp_ratio: hidden width of a block's MLP over ``embed_dim``.
        out_chans: channels of the embedding.
        window_size: side of an attention window in patches.
        global_attn_indexes: the blocks that attend over the whole image.
    """

    def __init__(
        self,
        img_size: int = 1024,
        patch_size: int = 16,
        in_chans: int = 3,
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        out_chans: int = 256,
        window_size: int = 14,
        global_attn_indexes: Sequence[int] = (2, 5, 8, 11),
    ) -> None:
        super().__init__()
        self.img_size = img_size
        side = img_size // patch_size
        self.patch_embed = PatchEmbed(patch_size, in_chans, embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, side, side, embed_dim))
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio,
                window_size=0 if i in global_attn_indexes else window_size,
                input_size=side,
            )
            for i in range(depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(embed_dim, out_chans, kernel_size=1, bias=False),
            LayerNorm2d(out_chans),
            nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Encode a normalized and padded ``(B, 3, S, S)`` float image.

        Returns:
            The embedding ``(B, out_chans, S / patch, S / patch)`` and ``None``: this encoder has
            no high-resolution features for the decoder.
        """
        x = self.patch_embed(x) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        embedding: Tensor = self.neck(x.permute(0, 3, 1, 2))
        return embedding, None


class PatchEmbed(nn.Module):
    """Cuts an image into patches and projects each: ``(B, 3, S, S)`` to ``(B, h, w, C)``."""

    def __init__(self, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Project the patches; channels come last, in memory too, or every layer would copy."""
        out: Tensor = self.proj(x)
        return out.permute(0, 2, 3, 1).contiguous()


class Block(nn.Module):
    """A pre-norm transformer block over a ``(B, h, w, C)`` map.

    Args:
        dim: channels.
        num_heads: attention heads.
        mlp_ratio: hidden width of the MLP over ``dim``.
        window_size: side of an attention window; 0 attends over the whole map.
        input_size: side of the whole map, which sizes the relative positions of global attention.
    """

    def __init__(
        self, dim: int, num_heads: int, mlp_ratio: float, window_size: int, input_size: int
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, num_heads, window_size or input_size)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = MLPBlock(dim, int(dim * mlp_ratio))
        self.window_size = window_size

    def forward(self, x: Tensor) -> Tensor:
        """Attend, then apply the MLP, each with a residual; the shape stays."""
        y = self.norm1(x)
        if self.window_size:
            windows = window_partition(y, self.window_size)
            y = window_unpartition(self.attn(windows), self.window_size, x.shape[1], x.shape[2])
        else:
            y = self.attn(y)
        x = x + y
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Attention(nn.Module):
    """Multi-head self-attention with decomposed relative positions (ViTDet, section 3).

    Args:
        dim: channels.
        num_heads: heads; ``dim`` must be a multiple.
        size: side of the square map or window that is attended over.
    """

    def __init__(self, dim: int, num_heads: int, size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        head_dim = dim // num_heads
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, head_dim))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, head_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Attend over each ``(h, w)`` map of ``x``, shape ``(B, h, w, C)``; the shape stays."""
        b, h, w, c = x.shape
        qkv = self.qkv(x).view(b, h * w, 3, self.num_heads, c // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, h*w, head_dim)
        step = self.heads_at_once(x.device)
        heads = [
            F.scaled_dot_product_attention(
                q[:, i : i + step],
                k[:, i : i + step],
                v[:, i : i + step],
                attn_mask=self._bias(q[:, i : i + step], h, w),
            )
            for i in range(0, self.num_heads, step)
        ]
        y = torch.cat(heads, dim=1).transpose(1, 2).reshape(b, h, w, c)
        out: Tensor = self.proj(y)
        return out

    def heads_at_once(self, device: torch.device) -> int:
        """How many heads are attended with together.

        On a CPU one: the bias of a global block is ``(h*w)^2`` floats a head, and twelve at once
        are 805 MB that the allocator hands back to the system and faults in again.
        """
        return self.num_heads if device.type == "cuda" else 1

    def _bias(self, q: Tensor, h: int, w: int) -> Tensor:
        """The bias ``(B, heads, h*w, h*w)`` of some heads' queries ``(B, heads, h*w, d)``."""
        bias = relative_position_bias(q.flatten(0, 1), self.rel_pos_h, self.rel_pos_w, h, w)
        return bias.view(*q.shape[:2], h * w, h * w)


def relative_position_bias(
    q: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, h: int, w: int
) -> Tensor:
    """The attention bias that decomposed relative positions give one head (ViTDet, eq. 1).

    Args:
        q: queries of the head, ``(B, h*w, d)``.
        rel_pos_h: ``(2h-1, d)`` embeddings of vertical offsets; other lengths are interpolated.
        rel_pos_w: the same for horizontal offsets.
        h: rows of the map.
        w: columns of the map.

    Returns:
        ``(B, 1, h*w, h*w)``, to be added to the scaled scores.
    """
    b, _, d = q.shape
    grid = q.view(b, h, w, d)
    bias_h = torch.einsum("bhwd,hkd->bhwk", grid, offsets_table(rel_pos_h, h)).contiguous()
    bias_w = torch.einsum("bhwd,wkd->bhwk", grid, offsets_table(rel_pos_w, w)).contiguous()
    # The sum of contiguous terms is contiguous: reshaping it copies nothing.
    return (bias_h.unsqueeze(-1) + bias_w.unsqueeze(-2)).reshape(b, 1, h * w, h * w)


def offsets_table(rel_pos: Tensor, size: int) -> Tensor:
    """Embeddings ``(size, size, d)`` of the offset of each key from each query."""
    if rel_pos.shape[0] != 2 * size - 1:
        stretched = F.interpolate(rel_pos.T.unsqueeze(0), size=2 * size - 1, mode="linear")
        rel_pos = stretched.squeeze(0).T
    index = torch.arange(size, device=rel_pos.device)
    return rel_pos[index[:, None] - index[None, :] + size - 1]


def window_partition(x: Tensor, size: int) -> Tensor:
    """Cut ``(B, h, w, C)``, padded with zeros, into ``(B * windows, size, size, C)``."""
    b, h, w, c = x.shape
    # Not "-w % size": an exporter to ONNX has another remainder for negative numbers.
    x = F.pad(x, (0, 0, 0, (size - w % size) % size, 0, (size - h % size) % size))
    rows, cols = x.shape[1] // size, x.shape[2] // size
    x = x.view(b, rows, size, cols, size, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, size, size, c)


def window_unpartition(windows: Tensor, size: int, h: int, w: int) -> Tensor:
    """Undo :func:`window_partition`: the ``(B, h, w, C)`` map without its padding."""
    rows, cols = (h + size - 1) // size, (w + size - 1) // size
    x = windows.view(-1, rows, cols, size, size, windows.shape[-1])
    x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, rows * size, cols * size, windows.shape[-1])
    return x[:, :h, :w]
