"""Fine-tuned models as small files: only the tensors that differ from a known checkpoint.

A delta is a safetensors file. Its header names the base by name and SHA-256, and itself by the
SHA-256 of what it holds; so neither another base nor a changed file goes unnoticed. The image
encoder is as a rule the base's, so that the base's embeddings serve both.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from segwidget.errors import CheckpointError, ModelError, StoreError
from segwidget.inference.models import DELTA_SUFFIX as SUFFIX
from segwidget.inference.models import Model, preprocessing_of
from segwidget.inference.network import Precision, Runtime, SamNetwork
from segwidget.inference.preprocessing import MEDSAM, Preprocessing
from segwidget.inference.registry import MODELS, cache_folder
from segwidget.sam.checkpoint import load_checkpoint
from segwidget.sam.sam import Sam

FORMAT = "segwidget-delta-1"
LARGEST_HEADER = 1 << 22  # bytes; ours are some thousand, and a card
_ENCODER = "image_encoder."


@dataclass(frozen=True)
class Base:
    """The checkpoint that a tuned model differs from.

    Attributes:
        name: as :func:`load_model` takes it.
        sha256: of its file, in hex.
    """

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class TunedModel(Model):
    """A model that was fine-tuned.

    Attributes:
        base: what it was, before the first time that it was tuned.
        changed: names of the tensors that differ from the base's.
        card: what its author says of it, Markdown.
    """

    base: Base = field(default_factory=lambda: Base("", ""))
    changed: tuple[str, ...] = ()
    card: str = ""

    @property
    def encoder_sha256(self) -> str:
        """The base's SHA-256, unless the image encoder was tuned, too."""
        if any(name.startswith(_ENCODER) for name in self.changed):
            return self.sha256
        return self.base.sha256


def base_of(model: Model) -> Base:
    """What a model that is to be tuned differs from."""
    return model.base if isinstance(model, TunedModel) else Base(model.name, model.sha256)


def tuned_model(model: Model, state: Mapping[str, Tensor], name: str = "", card: str = "") -> Model:
    """A model with other tensors, which shares all others with the given one.

    Args:
        model: of SAM's architecture; it stays as it is.
        state: the tensors that differ, by their names in its state dict.
        name: of the new model.
        card: of the new model, Markdown.

    Returns:
        A :class:`TunedModel`; the given model itself where nothing differs.

    Raises:
        ModelError: it is of another family.
    """
    sam = model.sam
    known = sam.state_dict()
    differing = {k: v for k, v in state.items() if not torch.equal(v.to(known[k]), known[k])}
    if not differing:
        return model
    base = base_of(model)
    before = model.changed if isinstance(model, TunedModel) else ()
    new = with_tensors(sam, differing)
    changed = tuple(sorted({*before, *differing}))
    found = new.state_dict()
    sha256 = content_sha256(base, {key: found[key] for key in changed})
    network: Any = model.network
    encoder_tuned = any(key.startswith(_ENCODER) for key in changed)
    made = SamNetwork(
        new,
        network.preprocessing,
        network.precision,
        "torch" if encoder_tuned else network.runtime,
        sha256 if encoder_tuned else base.sha256,
    )
    return TunedModel(made, name or f"{base.name}-tuned", sha256, base, changed, card)


def with_tensors(sam: Sam, state: Mapping[str, Tensor]) -> Sam:
    """A network with other tensors; parts in which nothing differs are shared, not copied."""
    parts: dict[str, Any] = {}
    for part in ("image_encoder", "prompt_encoder", "mask_decoder"):
        own = {
            key.removeprefix(f"{part}."): value
            for key, value in state.items()
            if key.startswith(f"{part}.")
        }
        module = getattr(sam, part)
        if own:
            module = copy.deepcopy(module)
            module.load_state_dict({**module.state_dict(), **own}, strict=True)
        parts[part] = module
    new = Sam(**parts)
    new.pixel_mean, new.pixel_std = sam.pixel_mean, sam.pixel_std
    return new.eval().requires_grad_(False)


def content_sha256(base: Base, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, in hex, of a base and of tensors' numbers, whichever precision they are kept in."""
    digest = hashlib.sha256(base.sha256.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, list(tensor.shape)]).encode())
        values = tensor.detach().float() if tensor.is_floating_point() else tensor.detach().long()
        digest.update(values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def card_path(path: Path) -> Path:
    """The card beside a tuned model's file."""
    return path.with_name(path.name.removesuffix(SUFFIX) + ".md")


def save_delta(tuned: Any, path: str | Path, card: str | None = None) -> Path:
    """Write what differs from the base, and the card beside it as Markdown.

    In float16 where that loses nothing, as with what :func:`finetune` makes; else in float32.

    Args:
        tuned: a :class:`TunedModel`, or something whose ``model`` is one: a predictor, or what
            :func:`segwidget.training.finetune.finetune` answers.
        path: the file; it must end with ``.delta.safetensors``.
        card: what it was tuned on and what it is good for, Markdown; by default its own.

    Returns:
        The path.

    Raises:
        ModelError: nothing was tuned, or a path that ends otherwise.
        StoreError: it cannot be written; what was there before is untouched.
    """
    model = _model_of(tuned)
    file = Path(path).expanduser()
    if not is_delta(file):
        raise ModelError(
            f"The path is {str(path)!r}; expected one that ends with {SUFFIX!r}, by which such a "
            "file is known again."
        )
    found = model.sam.state_dict()
    tensors = {name: _kept(found[name]) for name in model.changed}
    text = model.card if card is None else card
    metadata = {
        "format": FORMAT,
        "base": model.base.name,
        "base_sha256": model.base.sha256,
        "sha256": model.sha256,
        "preprocessing": _preprocessing_of(model).name,
        "card": text,
    }
    _write(file, save(tensors, metadata))
    if text:
        _write(card_path(file), text.encode())
    return file


def is_delta(path: Path) -> bool:
    """Whether a file is one by its name."""
    return path.name.lower().endswith(SUFFIX)


def load_delta(
    path: Path,
    device: torch.device,
    precision: Precision = "float32",
    runtime: Runtime = "torch",
) -> TunedModel:
    """Load a tuned model; its base must be on this computer.

    A base with a name in the registry is found by it; another one lies beside the delta or in the
    cache folder, under its own name.

    Raises:
        CheckpointError: the file is missing, damaged or was changed; or its base is missing or
            another one.
    """
    metadata, tensors = read_delta(path)
    base = Base(metadata["base"], metadata["base_sha256"])
    base_file = _find_base(path, base)
    checkpoint = load_checkpoint(base_file)
    if checkpoint.sha256 != base.sha256:
        raise CheckpointError(
            f"{path.name} was tuned from {base.name!r} with the SHA-256 {base.sha256[:12]}…, but "
            f"{base_file.name} has {checkpoint.sha256[:12]}…. Put the base that it was tuned from "
            f"beside it, under the name {_base_file_name(base)!r}, or tune it again."
        )
    sam = checkpoint.sam.to(device)
    known = sam.state_dict()
    strange = [
        name
        for name, tensor in tensors.items()
        if name not in known or known[name].shape != tensor.shape
    ]
    if strange:
        raise CheckpointError(
            f"{path.name} holds {strange[0]!r}, which does not fit {base.name!r}. It is damaged; "
            "tune it again."
        )
    if content_sha256(base, tensors) != metadata["sha256"]:
        raise CheckpointError(
            f"{path.name} does not hold what its header says: it was changed or damaged since it "
            "was saved. Save it again, or copy it again."
        )
    changed = tuple(sorted(tensors))
    sam = with_tensors(sam, {name: tensors[name].to(known[name]) for name in changed})
    encoder_tuned = any(name.startswith(_ENCODER) for name in changed)
    prepare: Preprocessing | None = preprocessing_of(base_file, checkpoint.sha256)
    if metadata.get("preprocessing") == MEDSAM.name:
        prepare = MEDSAM
    network = SamNetwork(
        sam, prepare, precision, runtime, metadata["sha256"] if encoder_tuned else base.sha256
    )
    card = metadata.get("card", "")
    return TunedModel(network, path.name, metadata["sha256"], base, changed, card)


def read_delta(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and the tensors of a delta.

    Raises:
        CheckpointError: the file is missing, damaged, or something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"The tuned model {str(path)!r} cannot be read: {error.strerror or error}. Check the "
            "path."
        ) from error
    try:
        length = int.from_bytes(data[:8], "little")
        if not 0 < length <= LARGEST_HEADER:
            raise ValueError("no header")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        if metadata["format"] != FORMAT:
            raise ValueError("another format")
        for name in ("base", "base_sha256", "sha256"):
            if not isinstance(metadata[name], str):
                raise TypeError(name)
        tensors = load(data)
    except Exception as error:  # damaged files raise anything
        raise CheckpointError(
            f"{path.name} is no tuned model that save_delta has written, or is damaged "
            f"({type(error).__name__}). Copy it again, or tune it again."
        ) from error
    return metadata, tensors


def _model_of(tuned: Any) -> TunedModel:
    for _ in range(3):
        if isinstance(tuned, Model):
            break
        tuned = getattr(tuned, "model", None)
    if isinstance(tuned, TunedModel):
        return tuned
    given = f"the model {tuned.name}" if isinstance(tuned, Model) else type(tuned).__name__
    raise ModelError(
        f"There is nothing to save: {given} was not fine-tuned, or no epoch has made it better. "
        "Pass what finetune(...) answers; with more masks, or a smaller lr, it may improve."
    )


def _preprocessing_of(model: Model) -> Preprocessing:
    network: Any = model.network
    found: Preprocessing = network.preprocessing
    return found


def _kept(tensor: Tensor) -> Tensor:
    """A tensor as it is written."""
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if torch.equal(half.float(), tensor.float()) else tensor.float()


def rounded_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors rounded to float16's numbers, as far as they are within its range."""
    out = {}
    for name, tensor in state.items():
        half = tensor.detach().half().to(tensor) if tensor.is_floating_point() else tensor
        out[name] = half if bool(torch.isfinite(half).all()) else tensor.detach()
    return out


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StoreError(
            f"{str(path)!r} cannot be written: {error.strerror or error}. Choose another place."
        ) from error


def _base_file_name(base: Base) -> str:
    """A base's file name, never a path."""
    return MODELS[base.name].file_name if base.name in MODELS else Path(base.name).name


def _find_base(path: Path, base: Base) -> Path:
    name = _base_file_name(base)
    places: Iterable[Path] = (path.parent / name, cache_folder() / name)
    if base.name in MODELS:
        places = (MODELS[base.name].path, *places)
    for place in places:
        if name and place.is_file():
            return place
    how = (
        f"Fetch it with `segwidget models download {base.name}`."
        if base.name in MODELS
        else "Put its file beside the delta."
    )
    raise CheckpointError(
        f"{path.name} was tuned from {base.name!r}, which is not on this computer. {how}"
    )
