"""A run of fine-tuning: embeddings, epochs, the best of them."""

from __future__ import annotations

import copy
import math
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from segwidget.inference.delta import base_of, rounded_state, tuned_model
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.sam.sam import ImageFeatures, Sam
from segwidget.training.dataset import FineTuneDataset
from segwidget.training.finetune_data import Cache, Embeddings, input_of, targets
from segwidget.training.finetune_state import Epoch, State, read_state, write_state
from segwidget.training.finetune_steps import Preset, Score, decoder_step, score_image

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: What learns: the mask decoder; the prompt encoder, too; or the image encoder as well.
Part: TypeAlias = Literal["decoder", "prompt+decoder", "all"]
MODULES: dict[Part, tuple[str, ...]] = {
    "decoder": ("mask_decoder",),
    "prompt+decoder": ("prompt_encoder", "mask_decoder"),
    "all": ("image_encoder", "prompt_encoder", "mask_decoder"),
}
#: Peak learning rate by what learns.
LEARNING_RATES: dict[Part, float] = {"decoder": 2e-4, "prompt+decoder": 2e-4, "all": 5e-5}
MASKS_PER_STEP = 8
WEIGHT_DECAY = 0.01
CLIP = 1.0
#: By how much the held-out IoU must rise to count as better.
LEAST_GAIN = 1e-4
#: By which share the held-out loss must fall where that IoU stays.
LEAST_DROP = 0.01


class Progress(NamedTuple):
    """How far fine-tuning is.

    Attributes:
        stage: ``"embedding"``, ``"training"`` or ``"done"``.
        done: images that are embedded, or steps.
        total: of them.
        history: of the epochs so far; the first is the model before.
    """

    stage: str
    done: int
    total: int
    history: tuple[Epoch, ...]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """What :func:`finetune` answers.

    Attributes:
        model: a predictor of the best epoch's model; of the given one where none was better.
        history: epoch by epoch; the first, number 0, is the given model.
        best_epoch: 0 where the given model was the best.
        interrupted: whether it was stopped before its end.
    """

    model: Predictor
    history: tuple[Epoch, ...]
    best_epoch: int
    interrupted: bool = False

    @property
    def improved(self) -> bool:
        """Whether any epoch was better than the given model, on the held-out images."""
        return self.best_epoch > 0

    @property
    def seconds(self) -> float:
        """That all epochs took."""
        return sum(epoch.seconds for epoch in self.history)

    def to_dataframe(self) -> pd.DataFrame:
        """The history, one row an epoch; the columns are the attributes of :class:`Epoch`."""
        import pandas as pd

        return pd.DataFrame([asdict(epoch) for epoch in self.history])

    def plot(self) -> Figure:
        """Loss and held-out IoU over the epochs."""
        # By its name: figures stand above this room.
        draw: Callable[..., Figure] = import_module("segwidget.plotting").learning_curve
        return draw(self.history, self.best_epoch)

    def __repr__(self) -> str:
        before, best = self.history[0], self.history[self.best_epoch]
        return (
            f"<FineTuned {self.model.model.name}: held-out IoU {before.held_out_iou:.3f} → "
            f"{best.held_out_iou:.3f}, epoch {self.best_epoch} of {len(self.history) - 1}>"
        )


class Run:
    """A run of :func:`finetune`."""

    rate: float
    epochs: int
    patience: int
    path: Path | None
    stop: threading.Event
    on_progress: Callable[[Progress], None] | None

    def __init__(
        self,
        model: Model,
        train: FineTuneDataset,
        test: FineTuneDataset,
        part: Part,
        seed: int,
        preset: Preset | None,
        cache: Cache,
    ) -> None:
        self.model, self.train_set, self.test_set = model, train, test
        self.part, self.seed, self.preset = part, seed, preset
        self.sam, self.parameters = learning_copy(model.sam, part)
        images = (*train.images, *test.images)
        self.embeddings = Embeddings(model, images, cache)

    def train(self, progress: bool) -> FineTuned:
        """Embed, then train epoch by epoch."""
        matrices = [p for p in self.parameters.values() if p.ndim > 1]
        vectors = [p for p in self.parameters.values() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": vectors, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.rate)
        self.state = State(self.parameters, optimizer)
        if self.path is not None:
            read_state(self.path, self.state, self._config())
        curve = _live_curve() if progress else None
        interrupted = False
        try:
            self._embed(progress)
            if not self.state.history and not self.stop.is_set():
                self._finish_epoch(0, math.nan, 0.0, time.monotonic())
            self._epochs(progress, curve)
            interrupted = self.stop.is_set()
        except KeyboardInterrupt:
            interrupted = True
            if not self.state.history:
                raise
        if not self.state.history:  # stopped before anything was known
            self.state.history.append(Epoch(0, math.nan, math.nan, math.nan, 0.0, 0.0))
        return self._answer(interrupted)

    def _embed(self, progress: bool) -> None:
        """Compute embeddings, unless the image encoder learns."""
        if self.part == "all" or self.embeddings.cache == "none":
            return
        images = self.embeddings.images
        with tqdm(
            total=len(images),
            desc="embed",
            unit="image",
            delay=1,
            disable=not progress,
            leave=False,
        ) as bar:
            for index in range(len(images)):
                if self.stop.is_set():
                    return
                self.embeddings.compute(index)
                bar.update()
                self._tell("embedding", index + 1, len(images))

    def _epochs(self, progress: bool, curve: Any) -> None:
        count = len(self.train_set.images)
        first = len(self.state.history)
        with tqdm(
            total=self.epochs * count,
            initial=(first - 1) * count,
            desc="fine-tune",
            unit="step",
            delay=1,
            disable=not progress,
        ) as bar:
            for number in range(first, self.epochs + 1):
                if self.stop.is_set() or self._worn_out():
                    break
                begun = time.monotonic()
                loss = self._epoch(number, bar)
                if loss is None:
                    break
                self._finish_epoch(number, loss, self._rate(number * count - 1), begun)
                best = self.state.history[self.state.best_epoch]
                bar.set_postfix_str(f"held-out IoU {best.held_out_iou:.3f}")
                if curve is not None:
                    curve(tuple(self.state.history), self.state.best_epoch)
        self._tell("done", len(self.state.history) - 1, self.epochs)

    def _worn_out(self) -> bool:
        return len(self.state.history) - 1 - self.state.best_epoch >= self.patience

    def _epoch(self, number: int, bar: Any) -> float | None:
        """Show every image once; the mean loss, ``None`` where it was stopped."""
        rng = np.random.default_rng([self.seed, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        count = len(self.train_set.images)
        losses = []
        for place, index in enumerate(rng.permutation(count).tolist()):
            if self.stop.is_set():
                return None
            image = self.train_set.images[index]
            most = min(MASKS_PER_STEP, len(image.masks))
            chosen = rng.choice(len(image.masks), most, replace=False).tolist()
            target = targets(image, self.model, chosen)
            step = (number - 1) * count + place
            losses.append(self._step(index, target, generator, step))
            bar.update()
            self._tell("training", step + 1, self.epochs * count)
        return float(np.mean(losses))

    def _step(self, index: int, target: Tensor, generator: torch.Generator, step: int) -> float:
        optimizer = self.state.optimizer
        for group in optimizer.param_groups:
            group["lr"] = self._rate(step)
        if self.part == "all":
            outputs = self.sam.encode(input_of(self.model, self.train_set.images[index]))
            kept = [t for t in outputs if t is not None]
            # Rounds have backward passes of their own, down to the features; the encoder's follows.
            leaves = [t.detach().requires_grad_() for t in kept]
            loss = decoder_step(self.sam, ImageFeatures(*leaves), target, generator, self.preset)
            torch.autograd.backward(kept, [t.grad for t in leaves])
        else:
            features = self.embeddings[index]
            loss = decoder_step(self.sam, features, target, generator, self.preset)
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), CLIP)
        if torch.isfinite(norm):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    def _rate(self, step: int) -> float:
        """Linear warm-up over a twentieth, then a cosine down to a twentieth."""
        total = self.epochs * len(self.train_set.images)
        ramp = min(1.0, (step + 1) / max(1.0, total / 20))
        return self.rate * ramp * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / total)))

    def _finish_epoch(self, number: int, loss: float, rate: float, begun: float) -> None:
        state, score = self.state, self.score()
        seconds = time.monotonic() - begun
        state.history.append(Epoch(number, loss, score.loss, score.iou, rate, seconds))
        best = state.history[state.best_epoch]
        gain = score.iou - best.held_out_iou
        # Where IoU does not tell, as with masks that are empty still, the loss does.
        lower = abs(gain) <= LEAST_GAIN and score.loss < (1 - LEAST_DROP) * best.held_out_loss
        if number and (gain > LEAST_GAIN or lower):
            state.best_epoch = number
            state.best = {name: p.detach().clone() for name, p in self.parameters.items()}
        if self.path is not None:
            write_state(self.path, state, self._config())

    def score(self) -> Score:
        """How the network does on the held-out images now."""
        ious: list[float] = []
        losses: list[float] = []
        offset = len(self.train_set.images)
        for number, image in enumerate(self.test_set.images):
            if self.part == "all":
                with torch.no_grad():
                    features = self.sam.encode(input_of(self.model, image))
            else:
                features = self.embeddings[offset + number]
            found = score_image(self.sam, features, image, self.model, number, self.preset)
            ious += found[0]
            losses += found[1]
        return Score(float(np.mean(ious)), float(np.mean(losses)))

    def _answer(self, interrupted: bool) -> FineTuned:
        state = self.state
        best = rounded_state(state.best)
        name = f"{base_of(self.model).name.removesuffix('.safetensors')}-tuned"
        tuned = tuned_model(self.model, best, name, self._card())
        return FineTuned(Predictor(tuned), tuple(state.history), state.best_epoch, interrupted)

    def _card(self) -> str:
        """What a file of the model says of itself."""
        history, best = self.state.history, self.state.history[self.state.best_epoch]
        base = base_of(self.model)
        how = "" if self.preset is None else f", preset {self.preset}"
        return "\n".join(
            [
                f"# {base.name}, fine-tuned",
                "",
                f"- base: {base.name}, SHA-256 {base.sha256}",
                f"- learnt: {self.part}{how}; epoch {best.number} of {len(history) - 1}, learning "
                f"rate {self.rate:g}, seed {self.seed}",
                f"- data: {_counts(self.train_set)}; held out: {_counts(self.test_set)}",
                f"- held-out IoU of low-resolution masks, by which the epoch was chosen: "
                f"{history[0].held_out_iou:.3f} before, {best.held_out_iou:.3f} after",
                "- good for images like those it was tuned on; on others the base may be better",
                "",
            ]
        )

    def _config(self) -> dict[str, Any]:
        """What a run depends on, but for its length."""
        return {
            "model": self.model.sha256,
            "part": self.part,
            "seed": self.seed,
            "lr": self.rate,
            "preset": self.preset or "",
            "data": self.train_set.fingerprint,
            "held_out": self.test_set.fingerprint,
        }

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(stage, done, total, tuple(self.state.history)))


def learning_copy(sam: Sam, part: Part) -> tuple[Sam, dict[str, nn.Parameter]]:
    """A network of which a part may learn, and that part's parameters; the given one stays.

    What does not learn is shared.
    """
    modules = ("image_encoder", "prompt_encoder", "mask_decoder")
    parts: dict[str, Any] = {
        name: copy.deepcopy(getattr(sam, name)) if name in MODULES[part] else getattr(sam, name)
        for name in modules
    }
    copied = Sam(**parts)
    copied.pixel_mean, copied.pixel_std = sam.pixel_mean, sam.pixel_std
    learning: dict[str, nn.Parameter] = {}
    for name, parameter in copied.named_parameters():
        if name.startswith(tuple(f"{module}." for module in MODULES[part])):
            parameter.requires_grad_()
            learning[name] = parameter
    return copied, learning


def _counts(dataset: FineTuneDataset) -> str:
    images, masks = len(dataset.images), len(dataset)
    return f"{masks} mask{'s'[: masks > 1]} on {images} image{'s'[: images > 1]}"


def _live_curve() -> Callable[..., None] | None:
    """What draws the curve that grows, in a notebook; ``None`` elsewhere."""
    if "ipykernel" not in sys.modules:
        return None
    # By its name: what a notebook shows stands above this room.
    made: Callable[..., None] = import_module("segwidget.widget.loss_curve").LossCurve()
    return made
