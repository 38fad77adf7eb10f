"""The lines of the model menu, and the trait that says which of them is the present one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

from traitlets import HasTraits, TraitType

from segwidget.errors import CheckpointError, ModelError
from segwidget.inference.registry import MODELS, ModelRow, find_checkpoint, is_cached
from segwidget.inference.sources import choose_source, offline


class Entry(TypedDict):
    """A line of the menu.

    Attributes:
        name: what the model is asked for by, and what its annotations say.
        title: in words.
        bytes: of its file.
        licence: of its weights, as SPDX identifiers; empty where it is not known.
        packaged: does it come with segwidget?
        cached: is its file on this computer?
        summary: what it is for, one sentence.
        usable: can it be used, or be fetched first?
        reason: why not.
    """

    name: str
    title: str
    bytes: int
    licence: str
    packaged: bool
    cached: bool
    summary: str
    usable: bool
    reason: str


def entry_of(row: ModelRow) -> Entry:
    """The line of a model that is known by name."""
    cached = is_cached(row)
    reason = "" if cached else _why_not(row)
    return Entry(
        name=row.name,
        title=row.title,
        bytes=row.size,
        licence=row.licence,
        packaged=not row.url,
        cached=cached,
        summary=row.purpose,
        usable=not reason,
        reason=reason,
    )


def entry_of_own(name: str, model: str | Path) -> Entry:
    """The line of a checkpoint that was given as a path, or as a name outside the registry."""
    size = _size_of(model)
    return Entry(
        name=name,
        title=name,
        bytes=size or 0,
        licence="",
        packaged=False,
        cached=size is not None,
        summary="A model of your own.",
        usable=size is not None,
        reason="" if size is not None else "Its file is no longer there.",
    )


def _size_of(model: str | Path) -> int | None:
    """Bytes of a model's weights, a file or a folder of them; ``None`` where they are gone."""
    try:
        _, path = find_checkpoint(model)
        files = list(path.glob("*.safetensors")) if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except (ModelError, OSError):
        return None


def _why_not(row: ModelRow) -> str:
    """Why a model cannot be fetched; empty where nothing is known against it. Asks nobody."""
    if not row.url:
        return "Its file is missing or damaged. Install segwidget again."
    try:
        choose_source(row, None, 0)
    except CheckpointError as e:
        # The error's own sentences name folders of this computer, which a saved notebook need not.
        return "Not fetched, because SEGWIDGET_OFFLINE is set." if offline() else str(e)
    return ""


def name_of(model: str | Path) -> str:
    """What a model is called in the menu."""
    try:
        return find_checkpoint(model)[0]
    except ModelError:  # its file is gone, but it was one
        return Path(model).name


class ModelTrait(TraitType[str | Path, str | Path]):
    """A model's name, or the path of a checkpoint, as :class:`Predictor` takes it."""

    def validate(self, obj: HasTraits | None, value: Any) -> str | Path:
        """The name of a known model, or the path as it was given.

        Raises:
            ModelError: no such model, or its file is not on this computer.
        """
        name, path = find_checkpoint(value)
        known = name in MODELS and path == MODELS[name].path
        given: str | Path = name if known else value
        return given
