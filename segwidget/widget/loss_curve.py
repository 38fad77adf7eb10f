"""The curve that grows in a notebook while a model is fine-tuned."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from segwidget.training.finetune_state import Epoch


class LossCurve:
    """One display that is drawn anew after each epoch."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, history: tuple[Epoch, ...], best_epoch: int) -> None:
        """Show the epochs so far."""
        from IPython.display import display

        # By its name: figures stand above this room.
        figure = import_module("segwidget.plotting").learning_curve(history, best_epoch)
        if self._handle is None:
            # IPython is not typed.
            self._handle = display(figure, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(figure)
