"""The state of a fine-tuning run as one safetensors file: what it goes on from after a stop."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from segwidget.annotation.atomic import write_atomically
from segwidget.errors import CheckpointError

FORMAT = "segwidget-finetune-1"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True)
class Epoch:
    """What came of one epoch.

    Attributes:
        number: from 1; 0 is the model before.
        loss: mean training loss; NaN before the first epoch.
        held_out_loss: mean loss on the held-out images.
        held_out_iou: mean IoU there, over prompts, of low-resolution masks.
        lr: learning rate of the last step.
        seconds: that it took.
    """

    number: int
    loss: float
    held_out_loss: float
    held_out_iou: float
    lr: float
    seconds: float


@dataclass
class State:
    """Where a run is.

    Attributes:
        present: parameters that learn, by name.
        optimizer: AdamW over them, in the same order.
        best: parameters of the best epoch; empty while that is the model before.
        best_epoch: its number.
        history: of all epochs, the model before among them.
    """

    present: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    history: list[Epoch] = field(default_factory=list)


def write_state(path: Path, state: State, config: dict[str, Any]) -> None:
    """Write a run's state, whole or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    tensors = {f"present/{name}": p.detach() for name, p in state.present.items()}
    tensors |= {f"best/{name}": t for name, t in state.best.items()}
    for name, parameter in state.present.items():
        moments = state.optimizer.state.get(parameter, {})
        tensors |= {f"{kind}/{name}": moments[kind] for kind in _MOMENTS if kind in moments}
    metadata = {
        "format": FORMAT,
        "config": json.dumps(config, sort_keys=True),
        "best_epoch": str(state.best_epoch),
        "history": json.dumps([asdict(epoch) for epoch in state.history]),
    }
    data = save({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, metadata)
    write_atomically(path, data)


def read_state(path: Path, state: State, config: dict[str, Any]) -> bool:
    """Go on from a file, if there is one; whether there was.

    Raises:
        CheckpointError: it is damaged, something else, or of another run.
    """
    if not path.exists():
        return False
    try:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        if metadata["format"] != FORMAT:
            raise ValueError("another format")
        before = json.loads(metadata["config"])
        history = [Epoch(**epoch) for epoch in json.loads(metadata["history"])]
        best_epoch = int(metadata["best_epoch"])
        tensors = load(data)
        other = sorted(key for key in config if before.get(key) != config[key])
    except Exception as error:  # damaged files raise anything
        raise CheckpointError(
            f"{path.name} is no state of a fine-tuning run, or is damaged "
            f"({type(error).__name__}). Delete it to begin anew, or pass another path as resume."
        ) from error
    if other:
        raise CheckpointError(
            f"{path.name} is the state of another run: {', '.join(other)} differ. Pass what it was "
            "begun with, or another path as resume to begin anew."
        )
    try:
        with torch.no_grad():
            for name, parameter in state.present.items():
                parameter.copy_(tensors[f"present/{name}"])
                moments = {kind: tensors.get(f"{kind}/{name}") for kind in _MOMENTS}
                if all(value is not None for value in moments.values()):
                    state.optimizer.state[parameter] = {
                        kind: value if kind == "step" else value.to(parameter)
                        for kind, value in moments.items()
                        if value is not None
                    }
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path.name} does not fit the network. Delete it to begin anew."
        ) from error
    prefix = "best/"
    state.best = {
        name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)
    }
    state.best_epoch, state.history = best_epoch, history
    return True
