"""A smaller network's weights in a deeper one that answers (nearly) as it did.

Blocks are appended to the residual blocks and to the attention blocks of the encoder's stages, and
begin as the identity or close to it (Chen et al., "Net2Net", 2016), so that a run goes on from what
an earlier one has learnt.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segwidget.sam.compact_encoder import AttentionBlock, ResidualBlock
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
    names: dict[str, str] = {}
    new: list[nn.Module] = []
    for s, stage in enumerate(model.image_encoder.stages):  # type: ignore[arg-type]  # compact
        for kind, mark in ((ResidualBlock, "spatial.conv.weight"), (AttentionBlock, "qkv.weight")):
            prefix = f"image_encoder.stages.{s}."
            here = [i for i, block in enumerate(stage) if isinstance(block, kind)]
            there = sorted(
                int(name.removeprefix(prefix).split(".")[0])
                for name in state
                if name.startswith(prefix) and name.endswith(f".{mark}")
            )
            if len(there) > len(here):
                raise ValueError(
                    f"The weights have {len(there)} blocks ({kind.__name__}) in stage {s + 1} of "
                    f"the encoder, this network only {len(here)}. Start from weights of this "
                    "edition or an earlier one."
                )
            names |= {f"{prefix}{i}.": f"{prefix}{j}." for i, j in zip(there, here, strict=False)}
            new += [stage[j] for j in here[len(there) :]]
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
