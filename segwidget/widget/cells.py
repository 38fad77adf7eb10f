"""Which cell, and which run of it, the code that runs now belongs to."""

from __future__ import annotations

import sys
from typing import NamedTuple


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
