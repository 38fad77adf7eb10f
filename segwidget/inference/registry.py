"""The checkpoints that are known by name, and where their files lie.

Imports neither torch nor NumPy, so that the command line can list models at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import platformdirs

from segwidget.errors import ModelError
from segwidget.inference.hf_files import find_folder

EMBEDDED_WEIGHTS = Path(__file__).parents[1] / "weights" / "embedded.safetensors"


@dataclass(frozen=True)
class ModelRow:
    """What is known of a checkpoint without having it.

    Attributes:
        name: as a person calls it, such as ``"vit_b"``.
        title: in words.
        file_name: of the published file; under this name it lies in the cache folder.
        url: where its authors offer it; empty for the model that comes with the package.
        size: of the file, in bytes.
        sha256: of the file, in hex.
        licence: of the weights, as SPDX identifiers.
        architecture: ``"embedded"``, ``"mobile_sam"``, ``"vit_b"``, ``"vit_l"`` or ``"vit_h"``.
        preprocessing: how an image becomes the network's input: ``"sam"`` or ``"medsam"``.
        parameters: in millions.
        purpose: what it is for, one sentence.
    """

    name: str
    title: str
    file_name: str
    url: str
    size: int
    sha256: str
    licence: str
    architecture: str
    preprocessing: str
    parameters: float
    purpose: str

    @property
    def path(self) -> Path:
        """Where its file lies, or would lie."""
        return cache_folder() / self.file_name if self.url else EMBEDDED_WEIGHTS


_SAM = "https://dl.fbaipublicfiles.com/segment_anything"

_ROWS = (
    ModelRow(
        name="embedded",
        title="the model that segwidget carries",
        file_name=EMBEDDED_WEIGHTS.name,
        url="",
        size=9_257_576,
        sha256="bbad4e83c27a9b3ea942d676f28772a363ee1900595213c1d780c28d3f2a78eb",
        licence="Apache-2.0",
        architecture="embedded",
        preprocessing="sam",
        parameters=8.3,
        purpose="Masks at once on any computer, without a download or a GPU.",
    ),
    ModelRow(
        name="mobile_sam",
        title="MobileSAM",
        file_name="mobile_sam.pt",
        url="https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
        size=40_728_226,
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        licence="Apache-2.0",
        architecture="mobile_sam",
        preprocessing="sam",
        parameters=9.8,
        purpose="SAM's decoder behind a small encoder: the one to take on a CPU.",
    ),
    ModelRow(
        name="vit_b",
        title="SAM ViT-B",
        file_name="sam_vit_b_01ec64.pth",
        url=f"{_SAM}/sam_vit_b_01ec64.pth",
        size=375_042_383,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        licence="Apache-2.0",
        architecture="vit_b",
        preprocessing="sam",
        parameters=93.7,
        purpose="The smallest SAM as published; seconds an image on a CPU, at once on a GPU.",
    ),
    ModelRow(
        name="vit_l",
        title="SAM ViT-L",
        file_name="sam_vit_l_0b3195.pth",
        url=f"{_SAM}/sam_vit_l_0b3195.pth",
        size=1_249_524_607,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
        licence="Apache-2.0",
        architecture="vit_l",
        preprocessing="sam",
        parameters=312.3,
        purpose="Nearly as good as ViT-H at half its size; wants a GPU.",
    ),
    ModelRow(
        name="vit_h",
        title="SAM ViT-H",
        file_name="sam_vit_h_4b8939.pth",
        url=f"{_SAM}/sam_vit_h_4b8939.pth",
        size=2_564_550_879,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
        licence="Apache-2.0",
        architecture="vit_h",
        preprocessing="sam",
        parameters=641.1,
        purpose="The SAM of the paper, for the best masks; wants a GPU.",
    ),
    ModelRow(
        name="medsam",
        title="MedSAM",
        file_name="medsam_vit_b.pth",
        url="https://zenodo.org/records/10689643/files/medsam_vit_b.pth",
        size=375_049_145,
        sha256="34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74",
        # The authors' repository states the former, their record of the file the latter.
        licence="Apache-2.0, CC-BY-4.0",
        architecture="vit_b",
        preprocessing="medsam",
        parameters=93.7,
        purpose="ViT-B, tuned on medical images; made for boxes, not for clicks.",
    ),
)

MODELS: Mapping[str, ModelRow] = {row.name: row for row in _ROWS}


def cache_folder() -> Path:
    """Where checkpoints are looked for: ``$SEGWIDGET_CACHE``, or the user's cache folder."""
    given = os.environ.get("SEGWIDGET_CACHE")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("segwidget")


def is_cached(row: ModelRow) -> bool:
    """Whether its file is on this computer, judged by its size alone.

    The file's bytes were verified when they were downloaded; :func:`verify` does it again.
    """
    try:
        return row.path.stat().st_size == row.size
    except OSError:
        return False


def find_row(name: str) -> ModelRow:
    """The row of a model by its name.

    Raises:
        ModelError: there is no such model.
    """
    if name in MODELS:
        return MODELS[name]
    raise ModelError(f"There is no model {name!r}. {_suggestion(name)}")


def find_checkpoint(model: str | Path) -> tuple[str, Path]:
    """The name and the file of a model. Nothing is ever downloaded.

    Args:
        model: a name in :data:`MODELS`, the name of a published file, a checkpoint's path, or a
            model in transformers' layout, as :func:`find_folder` finds it.

    Raises:
        ModelError: no such model, or its file is not on this computer.
    """
    if not isinstance(model, str | Path):
        raise ModelError(
            f"A model is given as {type(model).__name__}; expected its name, such as 'embedded', "
            "or the path of a checkpoint."
        )
    path = Path(model).expanduser()
    row = None
    if isinstance(model, str):  # a file that happens to be called vit_b is meant by "./vit_b"
        row = MODELS.get(model) or (None if path.is_file() else _of_file(model))
    if row is not None:
        if not row.path.is_file():
            raise ModelError(
                f"The weights of {row.name} ({row.title}, {megabytes(row.size)}) are not on this "
                f"computer. Fetch them with `segwidget models download {row.name}`, put "
                f"{row.file_name} into {row.path.parent}, or pass its path as the model. "
                "Predictor('embedded') needs no download."
            )
        return row.name, row.path
    found = find_folder(model)
    if found is not None:
        return found
    if not path.suffix and not path.is_file():
        raise ModelError(
            f"There is no model {str(model)!r}. {_suggestion(str(model))} The path of a "
            "checkpoint (.pth, .pt or .safetensors) will do, too."
        )
    return path.name, path


def megabytes(size: int) -> str:
    """A file's size in words, such as ``"375 MB"``; decimal units, as networks and disks count."""
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def _of_file(name: str) -> ModelRow | None:
    """The model whose published file is called so."""
    return next((row for row in MODELS.values() if row.url and row.file_name == name), None)


def _suggestion(name: str) -> str:
    """What may have been meant, and all names."""
    near = get_close_matches(name.lower().replace("-", "_"), MODELS, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Expected one of {', '.join(MODELS)}."
