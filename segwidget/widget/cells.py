"""Which cell, and which run of it, the code that runs now belongs to; and what it made before."""

from __future__ import annotations

import sys
from typing import Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakValueDictionary


class CellRun(NamedTuple):
    """One execution of one notebook cell.

    Attributes:
        cell: the cell's id, which stays when the cell is run again.
        run: the id of this execution.
    """

    cell: str
    run: str


def current_cell_run() -> CellRun | None:
    """The execution that is under way; ``None`` outside notebooks that name their cells."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    parent = getattr(shell, "parent_header", None)  # a property of ipykernel's shell
    if not isinstance(parent, dict):
        return None
    metadata, header = parent.get("metadata"), parent.get("header")
    if not isinstance(metadata, dict) or not isinstance(header, dict):
        return None
    cell, run = metadata.get("cellId"), header.get("msg_id")
    return CellRun(cell, run) if isinstance(cell, str) and isinstance(run, str) else None


class MadeInCell(Protocol):
    """Something that knows in which execution it was made."""

    made_in: CellRun | None


T = TypeVar("T", bound=MadeInCell)


class Places(Generic[T]):
    """Finds what a cell's last run made in the same place: the n-th about the same image."""

    def __init__(self) -> None:
        self._newest: WeakValueDictionary[tuple[str, str, int], T] = WeakValueDictionary()

    def take(self, made: T, image: str) -> T | None:
        """Put something newly made into its place.

        Args:
            made: what was made.
            image: the SHA-256 of its image.

        Returns:
            What an earlier run of the cell had put there, if it still exists.
        """
        run = made.made_in
        if run is None:
            return None
        nth = 0
        while (old := self._newest.get((run.cell, image, nth))) is not None and old.made_in == run:
            nth += 1
        self._newest[run.cell, image, nth] = made
        return old
