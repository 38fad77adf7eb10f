"""Models that are loaded: the embedded one, published checkpoints, and a person's own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch

from segwidget.errors import CheckpointError, ModelError
from segwidget.inference.hf import load_network
from segwidget.inference.hf_files import file_stamps
from segwidget.inference.network import Network, Precision, Runtime, SamNetwork
from segwidget.inference.preprocessing import MEDSAM, Preprocessing
from segwidget.inference.registry import MODELS, find_checkpoint
from segwidget.sam.checkpoint import load_checkpoint
from segwidget.sam.sam import Sam

#: How files of tuned models end.
DELTA_SUFFIX = ".delta.safetensors"


@dataclass(frozen=True, eq=False)
class Model:
    """A network that is ready to answer, and what it is called.

    Attributes:
        network: on its device; given a :class:`Sam`, a network that runs it.
        name: as a person calls it: ``"embedded"``, ``"vit_b"``, or a file's name.
        sha256: of its checkpoint's weights, in hex.
    """

    network: Network
    name: str
    sha256: str

    def __post_init__(self) -> None:
        given: Any = self.network
        if isinstance(given, Sam):
            object.__setattr__(self, "network", SamNetwork(given))

    @property
    def sam(self) -> Sam:
        """The network as a :class:`Sam`, for training and export.

        Raises:
            ModelError: it is one of another family.
        """
        if not isinstance(self.network, SamNetwork):
            raise ModelError(
                f"The model {self.name} is not of the SAM architecture, which this needs. Use "
                "'embedded', or a SAM checkpoint."
            )
        return self.network.sam

    @property
    def encoder_sha256(self) -> str:
        """By what embeddings are found again: the checkpoint whose image encoder it has, in hex."""
        return self.sha256

    @property
    def device(self) -> str:
        """Where it runs, such as ``"cpu"`` or ``"cuda:0"``."""
        return str(self.network.device)


def choose_device(device: str | None = None) -> torch.device:
    """The device that was asked for; by default a GPU where there is one, else the CPU.

    Raises:
        ModelError: the device does not exist here.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as e:
        raise ModelError(
            f"The device {device!r} cannot be used here. Expected 'cpu', or 'cuda' where a GPU "
            "and a build of PyTorch for it are installed."
        ) from e
    return chosen


# One network serves all who ask for the same file on the same device, as long as anybody uses it.
_loaded: WeakValueDictionary[tuple[object, ...], Model] = WeakValueDictionary()
_lock = threading.Lock()


def load_model(
    model: str | Path = "embedded",
    device: str | None = None,
    precision: Precision = "float32",
    runtime: Runtime = "torch",
) -> Model:
    """Load a model, or find it again if it is in use.

    A checkpoint of MedSAM's looks like one of SAM's and yet wants images prepared in another way.
    One is known by its published file's content, whatever the file is called, and a person's own,
    trained further, by a file name that begins with ``medsam``.

    Args:
        model: ``"embedded"``, the name of a published checkpoint, a checkpoint's path, that of a
            tuned model (``.delta.safetensors``), or a folder in the layout of ``transformers``; see
            :func:`find_checkpoint`.
        device: see :func:`choose_device`.
        precision: ``"float32"``, or one that is nearly the same and sooner: ``"bfloat16"``,
            ``"int8"`` or ``"fastest"``; see :class:`SamNetwork`.
        runtime: ``"torch"``, or ``"onnx"`` for an image encoder run by ONNX Runtime.

    Raises:
        ModelError: no such model, device, precision or runtime.
        CheckpointError: its file is missing, damaged or unsafe, or is asked for by a published
            checkpoint's name and is another file.
    """
    name, path = find_checkpoint(model)
    chosen = choose_device(device)
    with _lock:
        key = (str(path), file_stamps(path), str(chosen), precision, runtime)
        found = _loaded.get(key)
        if found is None:
            if path.is_dir():
                if precision not in ("float32", "fastest") or runtime != "torch":
                    raise ModelError(
                        f"Models of transformers are run in float32 by PyTorch, but {precision} by "
                        f"{runtime} is asked for. Leave both out."
                    )
                foreign, sha256 = load_network(path, chosen)
                found = Model(foreign, name, sha256)
            elif path.name.lower().endswith(DELTA_SUFFIX):
                from segwidget.inference.delta import load_delta  # which builds on this module

                found = load_delta(path, chosen, precision, runtime)
            else:
                checkpoint = load_checkpoint(path)
                sam, sha256 = checkpoint.sam.to(chosen), checkpoint.sha256
                prepare = preprocessing_of(path, sha256)
                network = SamNetwork(sam, prepare, precision, runtime, sha256)
                found = Model(network, name, sha256)
            _loaded[key] = found
    _check_published(name, path, found.sha256)
    return found


def preprocessing_of(path: Path, sha256: str) -> Preprocessing | None:
    """How a checkpoint wants images prepared; ``None`` as its encoder does without being told.

    Args:
        path: of the file.
        sha256: of the file, in hex.
    """
    rows = [row for row in MODELS.values() if row.sha256 == sha256]
    named = not rows and path.name.lower().startswith("medsam")
    return MEDSAM if named or any(row.preprocessing == "medsam" for row in rows) else None


def _check_published(name: str, path: Path, sha256: str) -> None:
    """Hold a file that is asked for by a published checkpoint's name to that checkpoint."""
    row = MODELS.get(name)
    if row is None or not row.url or path != row.path or sha256 == row.sha256:
        return
    raise CheckpointError(
        f"{path} is not {row.title} as published: its SHA-256 is {sha256}, expected "
        f"{row.sha256}. Fetch it anew with `segwidget models download {name} --force`, or pass its "
        "path to use it as it is."
    )
