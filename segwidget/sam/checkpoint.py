"""Files of weights: reading, recognizing and writing them. Weights are data, never code."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from segwidget.errors import CheckpointError
from segwidget.sam.build import BUILDERS, build_compact
from segwidget.sam.compact_encoder import CompactEncoder, blocks_in
from segwidget.sam.eight_bit import SCALE, packed, unpacked
from segwidget.sam.hashing import file_sha256
from segwidget.sam.sam import Sam
from segwidget.sam.tiny_vit import TinyViT

# Width of the patch embedding -> architecture.
_VIT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}


class Checkpoint(NamedTuple):
    """A network with its weights.

    Attributes:
        sam: in evaluation mode, float32, on the CPU.
        architecture: ``"embedded"``, ``"mobile_sam"``, ``"vit_b"``, ``"vit_l"`` or ``"vit_h"``.
        sha256: of the file, in hex.
    """

    sam: Sam
    architecture: str
    sha256: str


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Load a checkpoint; which network it belongs to is seen from its keys.

    Args:
        path: a ``.safetensors`` file, or a ``.pth`` / ``.pt`` file as published for SAM. The
            latter is read without running what it may contain (``weights_only``).

    Raises:
        CheckpointError: the file is missing, damaged or unsafe, or no network of ours fits it.
    """
    path = Path(path).expanduser()
    state = read_state(path)
    architecture = recognize(state, path)
    with torch.device("meta"):
        if architecture == "embedded":
            sam = build_compact(blocks=blocks_in(state))
        else:
            sam = BUILDERS[architecture]()
    floats = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    try:
        sam.load_state_dict(floats, strict=True, assign=True)
    except RuntimeError as e:
        raise CheckpointError(
            f"The weights in {path.name} look like {architecture}, but do not fit it: "
            f"{' '.join(str(e).split())[:300]}. Use a checkpoint of the unchanged network."
        ) from e
    sam.pixel_mean, sam.pixel_std = (  # not in the file, so still without values
        torch.tensor(v).view(-1, 1, 1) for v in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    )
    sam.eval().requires_grad_(False)
    if isinstance(sam.image_encoder, CompactEncoder | TinyViT):
        sam.image_encoder.fuse()
    return Checkpoint(sam, architecture, file_sha256(path))


def save_checkpoint(
    sam: Sam,
    path: str | Path,
    metadata: Mapping[str, str] | None = None,
    eight_bit: Iterable[str] = (),
) -> None:
    """Write the weights as safetensors, in float16 and 8-bit integers.

    Args:
        sam: the network, not fused.
        path: the file to write.
        metadata: short texts that travel in the file's header.
        eight_bit: starts of the names of weights to keep in 8 bits, for instance
            ``["image_encoder."]``; see :mod:`~segwidget.sam.eight_bit`.
    """
    small = {
        k: (v.half() if v.is_floating_point() and not k.endswith(SCALE) else v).cpu().contiguous()
        for k, v in packed(sam.state_dict(), eight_bit).items()
    }
    save_file(small, Path(path), metadata=dict(metadata or {}))
    Path(path).chmod(0o644)  # safetensors writes for the owner alone; a package is for all


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; weights kept in 8 bits come back as float32.

    Raises:
        CheckpointError: the file is missing, damaged, unsafe, or holds something else.
    """
    if not path.is_file():
        raise CheckpointError(
            f"There is no checkpoint {path}. Check the path, or use Predictor('embedded'), "
            "which needs no file."
        )
    try:
        if path.suffix == ".safetensors":
            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        raise CheckpointError(
            f"{path.name} is no plain file of weights: it holds code, which is never run, or is "
            "damaged. Ask its author for safetensors, or download it again."
        ) from e
    except Exception as e:  # whatever the readers stumble over; damaged files raise anything
        raise CheckpointError(
            f"{path.name} cannot be read as weights ({type(e).__name__}): it is damaged or of "
            "another format. Download it again; expected .safetensors, .pth or .pt."
        ) from e
    if not isinstance(state, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()
    ):
        raise CheckpointError(
            f"{path.name} holds no table of tensors. Expected the state dict of a SAM network."
        )
    try:
        return unpacked(state)
    except ValueError as e:
        raise CheckpointError(
            f"{path.name} is damaged: {e}. Download it again, or use Predictor('embedded')."
        ) from e


def recognize(state: Mapping[str, Tensor], path: Path) -> str:
    """Which architecture a state dict belongs to.

    Raises:
        CheckpointError: none of ours.
    """
    if "image_encoder.stem.conv.weight" in state:
        return "embedded"
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return "mobile_sam"
    patch = state.get("image_encoder.patch_embed.proj.weight")
    if patch is not None and patch.ndim == 4 and patch.shape[0] in _VIT_WIDTHS:
        return _VIT_WIDTHS[patch.shape[0]]
    found = ", ".join(sorted(state)[:3]) or "nothing"
    raise CheckpointError(
        f"{path.name} is not a SAM checkpoint that is known here: it holds {found} … . Expected "
        "ViT-B, ViT-L, ViT-H or MobileSAM as published, or the embedded model."
    )
