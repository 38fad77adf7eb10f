"""Fine-tuning: a promptable model learns from some tens of images with masks.

    tuned = finetune("embedded", FineTuneDataset.from_coco("cells.coco.json"))
    tuned.model.set_image("cell_12.png")
    save_delta(tuned, "cells.delta.safetensors")

The image encoder stays as it is as a rule; its embeddings are computed once, and epochs run on the
decoder alone, with simulated prompts ("Segment Anything", appendix A) and the losses that the model
was trained with: SAM's focal and dice loss, or the embedded model's cross-entropy and dice loss.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from segwidget.errors import SettingError
from segwidget.inference.models import Model, load_model
from segwidget.inference.predictor import Predictor
from segwidget.training.dataset import FineTuneDataset
from segwidget.training.finetune_data import Cache
from segwidget.training.finetune_run import (
    LEARNING_RATES,
    MODULES,
    FineTuned,
    Part,
    Progress,
    Run,
)
from segwidget.training.finetune_steps import Preset


def finetune(
    model: str | Path | Model | Predictor,
    dataset: FineTuneDataset,
    *,
    held_out: FineTuneDataset | float | None = None,
    part: Part = "decoder",
    epochs: int = 20,
    patience: int = 5,
    lr: float | None = None,
    seed: int = 0,
    preset: Preset | None = None,
    cache: Cache = "auto",
    on_progress: Callable[[Progress], None] | None = None,
    stop: threading.Event | None = None,
    resume: str | Path | None = None,
    progress: bool = True,
) -> FineTuned:
    """Fine-tune a model of SAM's architecture on images with masks.

    Each step asks up to eight masks of one image: a point or a jittered box, then corrective
    clicks. After each epoch the held-out images are asked; the best epoch is what is answered, and
    training stops when none has been better for a while. An interrupt (Ctrl+C, a notebook's stop
    button) ends it with the best so far. The same seed and data give the same result on the same
    computer, as long as PyTorch has the same number of threads.

    Args:
        model: a predictor, a model, its name or its path; it is never changed.
        dataset: what is learnt from.
        held_out: what the best epoch is chosen by; by default a fifth of the images. A number is
            the share. For a fair judgement compare on images that are in neither.
        part: ``"decoder"``, ``"prompt+decoder"`` or ``"all"``, which takes far longer. Batch norms
            stay folded into their convolutions.
        epochs: at most; each shows every image once.
        patience: epochs without a better one after which it ends.
        lr: peak learning rate; by default one that suits the part.
        seed: of everything random.
        preset: ``"medsam"``: one box each, and the single mask learns by Dice loss and
            cross-entropy (Ma et al., "Segment Anything in Medical Images"). Grey images have three
            equal channels, as :func:`segwidget.open_image` makes them.
        cache: where embeddings stay; see :data:`Cache`.
        on_progress: told after every image and step.
        stop: set it, from another thread, to end with the best so far.
        resume: a file (``.safetensors``) that is written after each epoch and gone on from.
        progress: show a bar and, in a notebook, a curve that grows.

    Raises:
        ModelError: no such model, or one of another family.
        SettingError: an argument that makes no sense.
        ImageError: an image cannot be opened.
        CheckpointError: the file to go on from is damaged, or of another run.
        StoreError: it cannot be written.
    """
    _check(dataset, part, epochs, patience, lr, preset)
    train, test = _divided(dataset, held_out, seed)
    loaded = _loaded(model)
    run = Run(loaded, train, test, part, seed, preset, cache)
    run.rate = LEARNING_RATES[part] if lr is None else float(lr)
    run.epochs, run.patience = epochs, patience
    run.path = None if resume is None else Path(resume).expanduser()
    run.stop, run.on_progress = stop or threading.Event(), on_progress
    return run.train(progress)


def _loaded(model: str | Path | Model | Predictor) -> Model:
    if isinstance(model, Predictor):
        model = model.model
    loaded = model if isinstance(model, Model) else load_model(model)
    _ = loaded.sam  # raises for other families
    return loaded


def _divided(
    dataset: FineTuneDataset, held_out: FineTuneDataset | float | None, seed: int
) -> tuple[FineTuneDataset, FineTuneDataset]:
    if not isinstance(held_out, FineTuneDataset):
        return dataset.split(0.2 if held_out is None else held_out, seed)
    shared = {i.name for i in dataset.images} & {i.name for i in held_out.images}
    if shared:
        raise SettingError(
            f"The image {sorted(shared)[0]!r} is learnt from and held out; expected different "
            "images. Divide them with dataset.split()."
        )
    return dataset, held_out


def _check(
    dataset: object, part: object, epochs: object, patience: object, lr: object, preset: object
) -> None:
    if not isinstance(dataset, FineTuneDataset):
        raise SettingError(
            f"The data set is a {type(dataset).__name__}; expected a FineTuneDataset, such as "
            "FineTuneDataset.from_project(project)."
        )
    if part not in MODULES:
        raise SettingError(f"part is {part!r}; expected one of {', '.join(map(repr, MODULES))}.")
    if preset is not None and preset not in get_args(Preset):
        raise SettingError(f"preset is {preset!r}; expected None or 'medsam'.")
    for name, value in (("epochs", epochs), ("patience", patience)):
        if type(value) is not int or value < 1:
            raise SettingError(f"{name} is {value!r}; expected a whole number from 1.")
    if lr is not None and not (
        isinstance(lr, int | float) and not isinstance(lr, bool) and 0 < lr < 1
    ):
        raise SettingError(f"lr is {lr!r}; expected a learning rate between 0 and 1, such as 1e-4.")
