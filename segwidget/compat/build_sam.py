"""Networks by the published names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from segwidget.compat.sam import Sam
from segwidget.errors import CheckpointError
from segwidget.inference.models import preprocessing_of
from segwidget.inference.preprocessing import MEDSAM, Preprocessing
from segwidget.inference.registry import EMBEDDED_WEIGHTS, find_checkpoint
from segwidget.sam.build import BUILDERS
from segwidget.sam.checkpoint import load_checkpoint


class Builder(Protocol):
    """Makes a network."""

    def __call__(self, checkpoint: str | Path | None = None) -> Sam:
        """Make it, with the weights of a file or with random ones."""
        ...


def build_sam_vit_h(checkpoint: str | Path | None = None) -> Sam:
    """SAM with ViT-H; see :func:`build`."""
    return build("vit_h", checkpoint)


def build_sam_vit_l(checkpoint: str | Path | None = None) -> Sam:
    """SAM with ViT-L; see :func:`build`."""
    return build("vit_l", checkpoint)


def build_sam_vit_b(checkpoint: str | Path | None = None) -> Sam:
    """SAM with ViT-B; see :func:`build`."""
    return build("vit_b", checkpoint)


def build_sam_vit_t(checkpoint: str | Path | None = None) -> Sam:
    """MobileSAM; see :func:`build`."""
    return build("mobile_sam", checkpoint)


def build_medsam(checkpoint: str | Path | None = None) -> Sam:
    """MedSAM: ViT-B that is given images in its own way; see :func:`build`."""
    return build("vit_b", checkpoint, MEDSAM)


def build_embedded(checkpoint: str | Path | None = None) -> Sam:
    """The model that segwidget carries, with its own weights unless others are given."""
    return build("embedded", EMBEDDED_WEIGHTS if checkpoint is None else checkpoint)


def build(
    architecture: str,
    checkpoint: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
) -> Sam:
    """Make a network in evaluation mode, on the CPU.

    Args:
        architecture: a name in :data:`segwidget.sam.build.BUILDERS`.
        checkpoint: a file, or the name of a published one in the cache folder; ``None`` gives
            random weights.
        preprocessing: how an image becomes its input; by default what the file, or the encoder,
            wants.

    Raises:
        ModelError: there is no such file.
        CheckpointError: the file is damaged, unsafe, or of another network.
    """
    if checkpoint is None:
        return Sam(BUILDERS[architecture]().eval(), preprocessing)
    _, path = find_checkpoint(checkpoint)
    loaded = load_checkpoint(path)
    if loaded.architecture != architecture:
        raise CheckpointError(
            f"{path.name} holds weights of {loaded.architecture}, not of {architecture}. Build it "
            f"with sam_model_registry[{loaded.architecture!r}]."
        )
    sam = loaded.sam.requires_grad_(True)  # as published; loading for a widget freezes them
    return Sam(sam, preprocessing or preprocessing_of(path, loaded.sha256))


build_sam: Callable[..., Sam] = build_sam_vit_h

#: Published names, and those of :data:`segwidget.inference.registry.MODELS`.
sam_model_registry: dict[str, Builder] = {
    "default": build_sam_vit_h,
    "vit_h": build_sam_vit_h,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "vit_t": build_sam_vit_t,
    "mobile_sam": build_sam_vit_t,
    "medsam": build_medsam,
    "embedded": build_embedded,
}
