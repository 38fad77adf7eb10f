"""Models by name: the embedded one, and published checkpoints that are on this computer."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import platformdirs
import torch

from segwidget.errors import ModelError
from segwidget.inference.network import Network, SamNetwork
from segwidget.sam.checkpoint import load_checkpoint
from segwidget.sam.sam import Sam

EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "weights" / "embedded.safetensors"

# Published checkpoints and the names of their files.
PUBLISHED: Mapping[str, str] = {
    "vit_b": "sam_vit_b_01ec64.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_h": "sam_vit_h_4b8939.pth",
}


@dataclass(frozen=True, eq=False)
class Model:
    """A network that is ready to answer, and what it is called.

    Attributes:
        network: on its device; given a :class:`Sam`, a network that runs it.
        name: as a person calls it: ``"embedded"``, ``"vit_b"``, or a file's name.
        sha256: of its checkpoint's file, in hex.
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
    def device(self) -> str:
        """Where it runs, such as ``"cpu"`` or ``"cuda:0"``."""
        return str(self.network.device)


def cache_folder() -> Path:
    """Where checkpoints are looked for: ``$SEGWIDGET_CACHE``, or the user's cache folder."""
    given = os.environ.get("SEGWIDGET_CACHE")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("segwidget")


def find_checkpoint(model: str | Path) -> tuple[str, Path]:
    """The name and the file of a model.

    Raises:
        ModelError: no such model, or its file is not on this computer.
    """
    if not isinstance(model, str | Path):
        raise ModelError(
            f"A model is given as {type(model).__name__}; expected its name, such as 'embedded', "
            "or the path of a checkpoint."
        )
    if model == "embedded":
        return "embedded", EMBEDDED_WEIGHTS
    if isinstance(model, str) and model in PUBLISHED:
        path = cache_folder() / PUBLISHED[model]
        if not path.is_file():
            raise ModelError(
                f"The weights of {model} are not on this computer. Download {PUBLISHED[model]} as "
                f"the Segment Anything repository describes, put it into {path.parent}, or pass "
                "its path as the model. Predictor('embedded') needs no download."
            )
        return model, path
    path = Path(model).expanduser()
    if not path.suffix and not path.is_file():
        names = ", ".join(["embedded", *PUBLISHED])
        raise ModelError(
            f"There is no model {str(model)!r}. Expected one of {names}, or the path of a "
            "checkpoint (.pth, .pt or .safetensors)."
        )
    return path.name, path


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
_loaded: WeakValueDictionary[tuple[str, int, int, str], Model] = WeakValueDictionary()
_lock = threading.Lock()


def load_model(model: str | Path = "embedded", device: str | None = None) -> Model:
    """Load a model, or find it again if it is in use.

    Args:
        model: ``"embedded"``, the name of a published checkpoint, or a checkpoint's path.
        device: see :func:`choose_device`.

    Raises:
        ModelError: no such model or device.
        CheckpointError: its file is missing, damaged or unsafe.
    """
    name, path = find_checkpoint(model)
    chosen = choose_device(device)
    with _lock:
        stat = path.stat() if path.exists() else None
        key = (str(path), stat.st_mtime_ns if stat else 0, stat.st_size if stat else 0, str(chosen))
        found = _loaded.get(key)
        if found is None:
            checkpoint = load_checkpoint(path)
            found = Model(SamNetwork(checkpoint.sam.to(chosen)), name, checkpoint.sha256)
            _loaded[key] = found
    return found
