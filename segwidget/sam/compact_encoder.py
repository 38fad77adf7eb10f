"""The image encoder of the embedded model: a small residual network with a little attention.

Dense 3x3 convolutions, because they run at full speed on every CPU; attention only at strides 16
and 32, where it costs little; a top-down path as in feature pyramids (Lin et al., 2017) to bring
context back to stride 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from segwidget.sam.common import LayerNorm2d, MLPBlock


class Blocks(NamedTuple):
    """How deep the encoder is: at strides 4, 8, 16 and 32.

    Attributes:
        depths: residual blocks at each of them.
        attention: attention blocks that end each of them.
    """

    depths: tuple[int, ...]
    attention: tuple[int, ...]


# As shipped; earlier editions are shallower.
BLOCKS = Blocks((2, 4, 7, 3), (0, 0, 3, 4))


class CompactEncoder(nn.Module):
    """Turns a ``(B, 3, S, S)`` image into an embedding of stride 8 and a map of stride 4.

    Args:
        img_size: side of the square input in pixels; any multiple of 32 works.
        widths: channels at strides 4, 8, 16 and 32.
        blocks: how deep it is.
        out_chans: channels of the embedding.
        high_res_channels: channels of the stride-4 map.
    """

    def __init__(
        self,
        img_size: int = 512,
        widths: Sequence[int] = (48, 96, 176, 224),
        blocks: Blocks = BLOCKS,
        out_chans: int = 128,
        high_res_channels: int = 32,
    ) -> None:
        super().__init__()
        self.img_size = img_size
        self.stem = ConvBN(3, 32, stride=2)
        self.stages = nn.ModuleList()
        before = 32
        for width, depth, attention in zip(widths, *blocks, strict=True):
            stage: list[nn.Module] = [ConvBN(before, width, stride=2)]
            stage += [ResidualBlock(width) for _ in range(depth)]
            stage += [AttentionBlock(width) for _ in range(attention)]
            self.stages.append(nn.Sequential(*stage))
            before = width
        self.lateral = nn.ModuleList(nn.Conv2d(width, out_chans, 1) for width in widths[1:])
        self.merge = nn.Sequential(ResidualBlock(out_chans), ResidualBlock(out_chans))
        self.neck = nn.Sequential(nn.Conv2d(out_chans, out_chans, 1), LayerNorm2d(out_chans))
        self.high_res_lateral = nn.Conv2d(widths[0], high_res_channels, 1)
        self.high_res_top = nn.Conv2d(out_chans, high_res_channels, 1)
        self.high_res_merge = ResidualBlock(high_res_channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a normalized and padded ``(B, 3, S, S)`` float image.

        Returns:
            The embedding ``(B, out_chans, S/8, S/8)`` and the stride-4 features
            ``(B, high_res_channels, S/4, S/4)``.
        """
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        finest, *coarser = maps
        top = self.lateral[-1](coarser[-1])
        for lateral, skip in zip(self.lateral[-2::-1], coarser[-2::-1], strict=True):
            top = lateral(skip) + upsample(top)
        top = self.merge(top)
        high_res = self.high_res_lateral(finest) + upsample(self.high_res_top(top))
        return self.neck(top), self.high_res_merge(high_res)

    def fuse(self) -> CompactEncoder:
        """Fold every batch norm into its convolution, in place; for inference only."""
        for module in list(self.modules()):
            if isinstance(module, ConvBN):
                module.fuse()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # untyped in torch
        return self


def upsample(x: Tensor) -> Tensor:
    """Double the height and width, bilinearly."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class ConvBN(nn.Module):
    """A convolution, a batch norm and a ReLU (or none).

    Args:
        cin: channels in.
        cout: channels out.
        kernel: side of the kernel.
        stride: stride.
        act: apply the ReLU.
    """

    def __init__(
        self, cin: int, cout: int, kernel: int = 3, stride: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(cout)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """``(B, cin, h, w)`` to ``(B, cout, h / stride, w / stride)``."""
        y: Tensor = self.bn(self.conv(x))
        return F.relu(y, inplace=True) if self.act else y

    def fuse(self) -> None:
        """Fold the batch norm's running statistics into the convolution."""
        if isinstance(self.bn, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv.eval(), self.bn.eval())
            self.bn = nn.Identity()


class ResidualBlock(nn.Module):
    """3x3, ReLU, 1x1, added to the input (He et al., 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = ConvBN(channels, channels)
        self.pointwise = ConvBN(channels, channels, kernel=1, act=False)
        bn = self.pointwise.bn
        assert isinstance(bn, nn.BatchNorm2d)
        nn.init.constant_(bn.weight, 0.2)  # nearly the identity at first, which trains faster

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        return F.relu(x + self.pointwise(self.spatial(x)))


class AttentionBlock(nn.Module):
    """Global self-attention over a map, placed by a depthwise convolution (Chu et al., 2021).

    Args:
        channels: channels.
        head_dim: channels of a head; must divide ``channels``.
    """

    def __init__(self, channels: int, head_dim: int = 16) -> None:
        super().__init__()
        self.heads = channels // head_dim
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLPBlock(channels, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """The shape ``(B, C, h, w)`` stays."""
        b, c, h, w = x.shape
        x = x + self.position(x)
        t = x.permute(0, 2, 3, 1).reshape(b, h * w, c)
        qkv = self.qkv(self.norm1(t)).view(b, h * w, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        t = t + self.proj(y.transpose(1, 2).reshape(b, h * w, c))
        t = t + self.mlp(self.norm2(t))
        out: Tensor = t.view(b, h, w, c)
        return out.permute(0, 3, 1, 2)


def blocks_in(names: Iterable[str]) -> Blocks:
    """How deep the encoder is of the network whose state dict has these names."""
    names = list(names)

    def count(stage: int, mark: str) -> int:
        start = f"image_encoder.stages.{stage}."
        return sum(name.startswith(start) and name.endswith(mark) for name in names)

    depths = tuple(count(s, ".spatial.conv.weight") for s in range(4))
    return Blocks(depths, tuple(count(s, ".qkv.weight") for s in range(4)))
