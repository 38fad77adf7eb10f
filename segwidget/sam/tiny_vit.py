"""The image encoder of MobileSAM: a TinyViT whose last stage keeps its resolution.

Wu et al., "TinyViT: Fast Pretraining Distillation for Small Vision Transformers", section 3.2 and
appendix; Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications".
Module names are those of the published checkpoint, ``mobile_sam.pt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segwidget.sam.common import LayerNorm2d, gelu
from segwidget.sam.image_encoder import window_partition, window_unpartition

# The published checkpoint still holds the classifier that the encoder was first trained with.
_CLASSIFIER = ("norm_head.", "head.")


class TinyViT(nn.Module):
    """Turns a ``(B, 3, 1024, 1024)`` image into a ``(B, 256, 64, 64)`` embedding.

    Args:
        img_size: side of the square input in pixels; any multiple of 16 works.
        embed_dims: channels of the four stages.
        depths: blocks of each.
        num_heads: attention heads of each; the first stage is convolutional and has none.
        window_sizes: sides of the attention windows of each.
        mlp_ratio: hidden width of a block's MLP over its channels.
        expand_ratio: hidden width of the first stage's blocks over their channels.
        out_chans: channels of the embedding.
    """

    def __init__(
        self,
        img_size: int = 1024,
        embed_dims: Sequence[int] = (64, 128, 160, 320),
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (2, 4, 5, 10),
        window_sizes: Sequence[int] = (7, 7, 14, 7),
        mlp_ratio: float = 4.0,
        expand_ratio: float = 4.0,
        out_chans: int = 256,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.patch_embed = PatchEmbed(embed_dims[0])
        self.layers = nn.ModuleList()
        for i, (dim, depth) in enumerate(zip(embed_dims, depths, strict=True)):
            blocks: list[nn.Module] = [
                TinyViTBlock(dim, num_heads[i], window_sizes[i], mlp_ratio)
                if i
                else MBConv(dim, expand_ratio)
                for _ in range(depth)
            ]
            after = embed_dims[i + 1] if i + 1 < len(embed_dims) else None
            # MobileSAM's change: the last halving is left out, for a stride of 16 instead of 32.
            stride = 1 if i + 2 == len(embed_dims) else 2
            self.layers.append(Stage(blocks, PatchMerging(dim, after, stride) if after else None))
        self.neck = nn.Sequential(
            nn.Conv2d(embed_dims[-1], out_chans, kernel_size=1, bias=False),
            LayerNorm2d(out_chans),
            nn.Conv2d(out_chans, out_chans, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(out_chans),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """Encode a normalized and padded ``(B, 3, S, S)`` float image.

        Returns:
            The embedding ``(B, out_chans, S / 16, S / 16)`` and ``None``: this encoder has no
            high-resolution features for the decoder.
        """
        x = self.patch_embed(x.contiguous(memory_format=torch.channels_last))
        for layer in self.layers:
            x = layer(x)
        embedding: Tensor = self.neck(x)
        return embedding, None

    def fuse(self) -> TinyViT:
        """Fold every batch norm into its convolution, in place; for inference only."""
        for module in list(self.modules()):
            if isinstance(module, ConvBN):
                module.fuse()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # untyped in torch
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key in list(state_dict):
            if key.startswith(tuple(prefix + name for name in _CLASSIFIER)):
                del state_dict[key]
        super()._load_from_state_dict(state_dict, prefix, *args)


class ConvBN(nn.Module):
    """A convolution without bias and a batch norm.

    Args:
        cin: channels in.
        cout: channels out.
        kernel: side of the kernel.
        stride: stride.
        groups: groups of channels.
        gain: what the batch norm's weight begins with.
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        bn = nn.BatchNorm2d(cout)
        nn.init.constant_(bn.weight, gain)
        self.bn: nn.Module = bn

    def forward(self, x: Tensor) -> Tensor:
        """``(B, cin, h, w)`` to ``(B, cout, h / stride, w / stride)``."""
        out: Tensor = self.bn(self.c(x))
        return out

    def fuse(self) -> None:
        """Fold the batch norm's running statistics into the convolution."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.c = fuse_conv_bn_eval(self.c.eval(), self.bn.eval())
            self.bn = nn.Identity()


class GELU(nn.Module):
    """A GELU as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        return gelu(x)


class PatchEmbed(nn.Module):
    """Two strided convolutions: ``(B, 3, S, S)`` to ``(B, C, S / 4, S / 4)``."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.seq = nn.Sequential(
            ConvBN(3, embed_dim // 2, kernel=3, stride=2),
            GELU(),
            ConvBN(embed_dim // 2, embed_dim, kernel=3, stride=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embed the patches."""
        out: Tensor = self.seq(x)
        return out


class MBConv(nn.Module):
    """An inverted bottleneck (Sandler et al., "MobileNetV2"): expand, depthwise 3x3, project."""

    def __init__(self, dim: int, expand_ratio: float) -> None:
        super().__init__()
        hidden = int(dim * expand_ratio)
        self.conv1 = ConvBN(dim, hidden)
        self.conv2 = ConvBN(hidden, hidden, kernel=3, groups=hidden)
        self.conv3 = ConvBN(hidden, dim, gain=0.0)  # the identity at first, which trains faster

    def forward(self, x: Tensor) -> Tensor:
        """The shape ``(B, C, h, w)`` stays."""
        y = gelu(self.conv2(gelu(self.conv1(x))))
        return gelu(x + self.conv3(y))


class PatchMerging(nn.Module):
    """Another number of channels, and half the resolution: ``(B, C', h / stride, w / stride)``."""

    def __init__(self, dim: int, out_dim: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(dim, out_dim)
        self.conv2 = ConvBN(out_dim, out_dim, kernel=3, stride=stride, groups=out_dim)
        self.conv3 = ConvBN(out_dim, out_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Merge patches of ``(B, C, h, w)``."""
        out: Tensor = self.conv3(gelu(self.conv2(gelu(self.conv1(x)))))
        return out


class Stage(nn.Module):
    """Blocks of one resolution, and what leads to the next one."""

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, h, w)`` to the next stage's shape."""
        for block in self.blocks:
            x = block(x)
        if self.downsample is None:
            return x
        out: Tensor = self.downsample(x)
        return out


class TinyViTBlock(nn.Module):
    """Attention within windows, a depthwise convolution between them, and an MLP.

    Args:
        dim: channels.
        num_heads: attention heads.
        window_size: side of a window.
        mlp_ratio: hidden width of the MLP over ``dim``.
    """

    def __init__(self, dim: int, num_heads: int, window_size: int, mlp_ratio: float) -> None:
        super().__init__()
        self.window_size = window_size
        self.attn = Attention(dim, num_heads, window_size)
        self.local_conv = ConvBN(dim, dim, kernel=3, groups=dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        """The shape ``(B, C, h, w)`` stays."""
        grid = x.permute(0, 2, 3, 1)
        # Padding takes part in the attention of its window, as published.
        windows = self.attn(window_partition(grid, self.window_size).flatten(1, 2))
        attended = window_unpartition(windows, self.window_size, *grid.shape[1:3])
        x = self.local_conv((grid + attended).permute(0, 3, 1, 2))
        grid = x.permute(0, 2, 3, 1)
        out: Tensor = (grid + self.mlp(grid)).permute(0, 3, 1, 2)
        return out


class Attention(nn.Module):
    """Multi-head self-attention within a window, biased by the distance of query and key.

    Args:
        dim: channels.
        num_heads: heads; ``dim`` must be a multiple.
        window_size: side of the window.
    """

    def __init__(self, dim: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.norm = nn.LayerNorm(dim)
        self.qkv = _linear(dim, 3 * dim)
        self.proj = _linear(dim, dim)
        self.attention_biases = nn.Parameter(torch.zeros(num_heads, window_size**2))

    def forward(self, x: Tensor) -> Tensor:
        """Attend over each window of ``x``, shape ``(B, window_size ** 2, C)``; the shape stays."""
        b, n, c = x.shape
        # Each head has its queries, keys and values side by side.
        qkv = self.qkv(self.norm(x)).view(b, n, self.num_heads, 3, -1)
        q, k, v = qkv.permute(3, 0, 2, 1, 4)
        bias = self.attention_biases[:, distances(self.window_size, x.device)]
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype).unsqueeze(0))
        out: Tensor = self.proj(y.transpose(1, 2).reshape(b, n, c))
        return out


class Mlp(nn.Module):
    """A normalization, and two linear layers around a GELU."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fc1 = _linear(dim, hidden_dim)
        self.fc2 = _linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., C)`` to ``(..., C)``."""
        out: Tensor = self.fc2(gelu(self.fc1(self.norm(x))))
        return out


def distances(window_size: int, device: torch.device) -> Tensor:
    """Which bias belongs to each query and key: ``(N, N)`` integers, ``N = window_size ** 2``.

    The bias of ``dy`` rows and ``dx`` columns apart is number ``dy * window_size + dx``.
    """
    at = torch.arange(window_size, device=device)
    apart = (at[:, None] - at[None, :]).abs()
    rows, columns = apart[:, None, :, None] * window_size, apart[None, :, None, :]
    return (rows + columns).reshape(window_size**2, window_size**2)


def _linear(cin: int, cout: int) -> nn.Linear:
    layer = nn.Linear(cin, cout)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer
