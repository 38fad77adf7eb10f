"""A smaller network's weights in a deeper one that answers (nearly) as it did.

Blocks are appended to the residual blocks and to the attention blocks of the encoder's stages, and
begin as the identity or close to it (Chen et al., "Net2Net", 2016), so that a run goes on from what
an earlier one has learnt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from segwidget.sam.compact_encoder import (
    AttentionBlock,
    CompactEncoder,
    ResidualBlock,
    blocks_in,
)
from segwidget.sam.sam import Sam

# What a new residual block adds: little, but enough for its kernels to see a gradient.
ADDED = 0.1


def load_grown(model: Sam, state: Mapping[str, Tensor]) -> int:
    """Load weights of a compact network into one whose encoder's stages may be deeper.

    Args:
        model: a compact network, freshly built; changed in place.
        state: weights of one with as many blocks or fewer, of the same widths.

    Returns:
        How many blocks are new.

    Raises:
        ValueError: the weights are of another or of a deeper network.
    """
    assert isinstance(model.image_encoder, CompactEncoder)
    names: dict[str, str] = {}
    new: list[nn.Module] = []
    old = blocks_in(state)
    for s, blocks in enumerate(model.image_encoder.stages):
        stage = cast(nn.Sequential, blocks)
        first = 1  # after the convolution that halves the map
        for kind, count in ((ResidualBlock, old.depths[s]), (AttentionBlock, old.attention[s])):
            here = [i for i, block in enumerate(stage) if isinstance(block, kind)]
            if count > len(here):
                raise ValueError(
                    f"The weights have {count} blocks ({kind.__name__}) in stage {s + 1} of the "
                    f"encoder, this network only {len(here)}. Start from weights of this edition "
                    "or an earlier one."
                )
            for i, j in enumerate(here[:count]):
                names[f"image_encoder.stages.{s}.{first + i}."] = f"image_encoder.stages.{s}.{j}."
            new += [stage[j] for j in here[count:]]
            first += count
    own = model.state_dict()
    for name, value in state.items():
        parts = name.split(".")
        head = ".".join(parts[:4]) + "."
        target = names[head] + ".".join(parts[4:]) if head in names else name
        if target not in own or own[target].shape != value.shape:
            raise ValueError(
                f"{name} of the weights fits nothing in this network. Start from weights of this "
                "edition or an earlier one."
            )
        own[target] = value.to(own[target].dtype)
    model.load_state_dict(own)
    for block in new:
        _as_identity(block)
    return len(new)


@torch.no_grad()
def _as_identity(block: nn.Module) -> None:
    if isinstance(block, ResidualBlock):
        nn.init.constant_(block.pointwise.bn.weight, ADDED)  # type: ignore[arg-type]  # a tensor
    elif isinstance(block, AttentionBlock):
        for last in (block.position, block.proj, block.mlp.lin2):
            for p in last.parameters():
                p.zero_()
