"""Folders in the layout of Hugging Face's ``transformers``: found, and checked before use.

Imports neither torch nor transformers. Nothing is ever fetched: a name such as
``"facebook/sam2.1-hiera-tiny"`` is looked up in this computer's Hugging Face cache only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segwidget.errors import CheckpointError, ModelError
from segwidget.sam.hashing import file_sha256

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

#: What to say to somebody who lacks the optional packages.
INSTALL = 'Install them with `pip install "segwidget[hf]"`.'

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = (".pth", ".pt", ".safetensors")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")

# Which of transformers' models answers for a kind of checkpoint. Those for videos hold the model
# for single images, and more.
CLASSES: Mapping[str, str] = {
    "sam": "SamModel",
    "sam2": "Sam2Model",
    "sam2_video": "Sam2Model",
    "sam3_tracker": "Sam3TrackerModel",
    "sam3_tracker_video": "Sam3TrackerModel",
    "sam3_video": "Sam3TrackerModel",
}

# The image encoders that those may have. Transformers knows more, some of which would fetch
# weights of their own.
_ENCODERS = {
    "SamModel": ("sam_vision_model", None),
    "Sam2Model": ("sam2_vision_model", "sam2_hiera_det_model"),
    "Sam3TrackerModel": ("sam3_vision_model", "sam3_vit_model"),
}


@dataclass(frozen=True)
class ModelFolder:
    """A folder that holds a model of the SAM family.

    Attributes:
        path: of the folder.
        model_type: what its configuration calls it, one of :data:`CLASSES`.
        config: its configuration, with all that nests in it.
        files: the configuration and the files of weights, by name.
    """

    path: Path
    model_type: str
    config: Mapping[str, Any]
    files: tuple[Path, ...]

    @property
    def class_name(self) -> str:
        """Which of transformers' models it is loaded as."""
        return CLASSES[self.model_type]

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files of weights, by name."""
        return tuple(f for f in self.files if f.suffix == ".safetensors")

    def sha256(self) -> str:
        """SHA-256 of the file of weights, in hex; of several, that of their list of hashes."""
        hashes = [(file_sha256(path), path.name) for path in self.weights]
        if len(hashes) == 1:
            return hashes[0][0]
        lines = "".join(f"{digest}  {name}\n" for digest, name in hashes)
        return hashlib.sha256(lines.encode()).hexdigest()


def find_folder(model: str | Path) -> tuple[str, Path] | None:
    """The name and the folder of a model in transformers' layout.

    Args:
        model: a folder, or a name on the Hugging Face Hub, which is looked up in the local cache.

    Returns:
        ``None`` where `model` speaks of something else: a file, or one of our own names.

    Raises:
        ModelError: a folder without a model, or a name on the hub that is not in the cache.
    """
    path = Path(model).expanduser()
    if model != "" and path.is_dir():  # an empty path would be this very folder
        _require_config(path)
        return path.resolve().name, path
    if path.exists() or not isinstance(model, str) or not _HUB_NAME.fullmatch(model):
        return None
    return None if path.suffix in _FILES else (model, _find_in_cache(model))


def _find_in_cache(name: str) -> Path:
    """The folder of a model that was fetched from the hub before."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError as e:
        raise ModelError(
            f"There is no file or folder {name!r} here. If it is a model's name on the Hugging "
            f"Face Hub: such models need optional packages. {INSTALL}"
        ) from e
    try:
        found = try_to_load_from_cache(name, CONFIG)
    except ValueError:  # the hub would not allow such a name
        found = None
    if not isinstance(found, str):
        raise ModelError(
            f"There is no file or folder {name!r} here, and no model of that name in this "
            f"computer's Hugging Face cache. Fetch it with `hf download {name}`."
        )
    return Path(found).parent


def read_folder(path: Path) -> ModelFolder:
    """Check that a folder holds a model that can be run, and nothing that must not be.

    Raises:
        ModelError: there is no model in it, or one of another kind.
        CheckpointError: its files are missing, damaged or unsafe.
    """
    _require_config(path)
    config = read_json(path / CONFIG)
    if any("auto_map" in part for part in _mappings(config)):
        raise ModelError(
            f"The model in {path} asks for code of its own (auto_map in its {CONFIG}), which is "
            "never run. Use a model that needs none, such as facebook/sam2.1-hiera-tiny."
        )
    kind = config.get("model_type")
    if kind == "sam3":
        raise ModelError(
            f"The model in {path} is the part of SAM 3 that finds what a text names; it answers "
            "no clicks. Use a folder with all of SAM 3 (model_type sam3_video), such as "
            "facebook/sam3, or its tracker alone (sam3_tracker)."
        )
    if not isinstance(kind, str) or kind not in CLASSES:
        raise ModelError(
            f"The model in {path} is of the type {kind!r}, which cannot be asked with clicks here. "
            f"Expected one of {', '.join(CLASSES)}."
        )
    _check_encoder(path, kind, config)
    return ModelFolder(path, kind, config, (path / CONFIG, *_find_weights(path)))


def file_stamps(path: Path) -> tuple[tuple[int, int], ...]:
    """When the files of a checkpoint were changed, and how long they are.

    Args:
        path: a file, or a folder, whose configuration and weights are looked at.
    """
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in (".json", ".safetensors"))
    stats = [file.stat() for file in files if file.exists()]
    return tuple((s.st_mtime_ns, s.st_size) for s in stats)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: the file cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise CheckpointError(
            f"{path} cannot be read as JSON: it is damaged or incomplete. Fetch the model again."
        ) from e
    if not isinstance(value, dict):
        raise CheckpointError(
            f"{path} holds a {type(value).__name__}; expected an object. Fetch the model again."
        )
    return value


def _require_config(path: Path) -> None:
    if not (path / CONFIG).is_file():
        raise ModelError(
            f"There is no model in the folder {path}: it has no {CONFIG}. Expected a folder as "
            "transformers saves it, or the path of a checkpoint (.pth, .pt or .safetensors)."
        )


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """All objects in a JSON value, itself included."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _mappings(part)


def _check_encoder(path: Path, kind: str, config: Mapping[str, Any]) -> None:
    """Hold the image encoder to those that SAM has; what is not said is transformers' default."""
    vision_type, backbone_type = _ENCODERS[CLASSES[kind]]
    owner = config
    if kind == "sam3_video":
        owner = _part(config, "tracker_config")
    vision = _part(owner, "vision_config")
    for part, expected in (
        (vision, vision_type),
        (_part(vision, "backbone_config"), backbone_type),
    ):
        given = part.get("model_type") or expected  # SAM's first configurations leave it empty
        if given != expected:
            raise ModelError(
                f"The model in {path} has an image encoder of the type {given!r}; expected "
                f"{expected!r}. Use a model of the SAM family as published."
            )


def _part(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = config.get(name)
    return part if isinstance(part, dict) else {}


def _find_weights(path: Path) -> list[Path]:
    """The files of weights of a folder, by name."""
    if (path / WEIGHTS).is_file():
        return [path / WEIGHTS]
    if (path / INDEX).is_file():
        table = read_json(path / INDEX).get("weight_map")
        names = set(table.values()) if isinstance(table, dict) else set()
        for name in names:
            if not isinstance(name, str) or Path(name).name != name or "\\" in name:
                raise CheckpointError(
                    f"{path / INDEX} names {name!r} as a file of weights; expected files of the "
                    "same folder. Fetch the model again."
                )
        missing = sorted(n for n in names if not (path / n).is_file())
        if names and not missing:
            return sorted(path / n for n in names)
        raise CheckpointError(
            f"The weights in {path} are incomplete: {', '.join(missing) or 'all files'} missing. "
            "Fetch the model again with `hf download`."
        )
    if any(next(path.glob(pattern), None) for pattern in _PICKLES):
        raise CheckpointError(
            f"The weights in {path} are pickled, and may hold code, which is never run. Fetch "
            f"{WEIGHTS} of the same model, or ask its author for it."
        )
    raise CheckpointError(
        f"There are no weights in {path}: expected {WEIGHTS} beside {CONFIG}. Fetch the whole "
        "model again with `hf download`."
    )
