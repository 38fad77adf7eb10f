"""The recipe of the embedded model: trains the compact SAM from scratch.

    python -m segwidget.training.pretrain --data shards/train --out runs/embedded

Running the same command again resumes. With ``--init WEIGHTS`` a run goes on from finished weights,
which is how later editions are made from earlier, smaller ones; what each run does is in
:mod:`~segwidget.training.recipe`.

The published recipe ("Segment Anything", appendix A) at a thousandth of its size: a random point or
box first, then corrective clicks with the last logits as mask prompt; focal and dice loss; the best
of three masks learns from an ambiguous prompt. The input grows from phase to phase: small crops
teach most of it cheaply, and the last phase shows the network what it will see in use.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import read_state, save_checkpoint
from segwidget.sam.prompt_encoder import FOREGROUND
from segwidget.sam.sam import ImageFeatures, Sam
from segwidget.training.clicks import append_click, corrective_click, first_prompt
from segwidget.training.data import RandomCrops, Sample, load_sets
from segwidget.training.grow import load_grown
from segwidget.training.losses import MASK_LOSSES, decoder_loss, prototype_loss
from segwidget.training.optimizers import MatrixOptimizer
from segwidget.training.recipe import RECIPES, Phase, Recipe

# Steps of one size in a row where phases mix.
BLOCK = 50


class Trainer:
    """Network, optimizer, averaged weights and step count; saved and resumed as one file."""

    def __init__(self, recipe: Recipe, out: Path, device: str, init: Path | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.out, self.device = recipe, out, torch.device(device)
        self.model = build_compact(blocks=recipe.blocks).to(self.device)
        # A seventh faster, and what MatrixOptimizer asks for.
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # as untyped
        if init is not None:
            load_grown(self.model, read_state(init))
        self.prototype = nn.ParameterDict(
            {"scale": nn.Parameter(torch.tensor(5.0)), "bias": nn.Parameter(torch.tensor(-2.0))}
        ).to(self.device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = MatrixOptimizer(
            self.model, list(self.prototype.parameters()), recipe.lr, recipe.weight_decay
        )
        self.step = 0
        self.running: dict[str, float] = {}

    @property
    def decaying(self) -> float:
        """How much of the final fall of the learning rate is behind: 0 to 1."""
        r = self.recipe
        return max(0.0, (self.step / r.steps - 1 + r.decay) / r.decay)

    @property
    def phase(self) -> Phase:
        """The phase of the next step."""
        r = self.recipe
        if r.phases[0].until is not None:
            return next(p for p in r.phases if self.step < (p.until or 1) * r.steps)
        odds = np.cumsum(r.odds[self.decaying > 0])
        # Some steps of one size in a row, since each change starts new worker processes.
        draw = np.random.default_rng([r.seed, self.step // BLOCK]).random()
        return r.phases[int(np.searchsorted(odds, draw * odds[-1]))]

    def learning_rate(self) -> float:
        """Linear warm-up, a plateau (or none), then a cosine."""
        r = self.recipe
        ramp = min(1.0, (self.step + 1) / r.warmup)
        return r.lr * ramp * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * self.decaying)))

    def train_step(self, images: Tensor, masks: Tensor) -> dict[str, float]:
        """One step on ``images (I, 3, S, S)`` and ``masks (I, P, S/2, S/2)``; what to log."""
        r, model = self.recipe, self.model
        self.optimizer.set_lr(self.learning_rate())
        images, masks = images.to(self.device), masks.to(self.device)
        target = masks.flatten(0, 1)
        log: dict[str, float] = {}
        with torch.autocast(self.device.type, torch.bfloat16):
            features = model.encode(model.preprocess(images))
        loss = features.embedding.new_zeros((), dtype=torch.float32)
        if self.step < r.prototype_until * r.steps:
            loss = 0.5 * prototype_loss(
                features.embedding, F.avg_pool2d(masks, 4), **self.prototype
            )
            log["prototype"] = loss.item()
        # Every round has a backward pass of its own, down to the features; the encoder's follows
        # once, with what they add up to.
        outputs = [f for f in features if f is not None]
        leaves = [f.detach().requires_grad_() for f in outputs]
        leaf = ImageFeatures(*leaves)
        rounds = int(torch.multinomial(torch.tensor(self.phase.rounds), 1)) + 1
        log |= self.decoder_rounds(leaf, target, rounds)
        if loss.requires_grad:
            loss.backward(retain_graph=True)
        torch.autograd.backward(outputs, [f.grad for f in leaves])
        norm = nn.utils.clip_grad_norm_(model.parameters(), r.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.update_average()
        self.step += 1
        return log | {"grad": float(norm)}

    def decoder_rounds(self, leaf: ImageFeatures, target: Tensor, rounds: int) -> dict[str, float]:
        """Prompt, answer, correct; gradients collect in ``leaf``. Returns what to log."""
        size = self.model.image_size
        stride = size / target.shape[-1]
        mask_loss = MASK_LOSSES[self.recipe.mask_loss]
        coords, labels = first_prompt(target.cpu(), stride)
        previous: Tensor | None = None
        log: dict[str, float] = {}
        for i in range(rounds):
            points = (coords.to(self.device), labels.to(self.device))
            with torch.autocast(self.device.type, torch.bfloat16):
                logits, iou = self.model.decode(leaf, points, masks=previous, padded=True)
            is_point = (labels == FOREGROUND).any(1) & (labels <= FOREGROUND).all(1)
            ambiguous = is_point & (i == 0)
            result = decoder_loss(logits, iou, target, ambiguous.to(self.device), mask_loss)
            (result.loss / rounds).backward()
            answer = torch.where(
                ambiguous.to(self.device)[:, None, None], top_mask(logits, iou), logits[:, 0]
            ).detach()
            if i == 0:
                log |= mean_where("point", result.top_iou, is_point)
                log |= mean_where("oracle", result.best_iou, is_point)
                log |= mean_where("box", result.single_iou, ~is_point)
            else:
                log[f"click{i + 1}"] = result.single_iou.mean().item()
            log["iou_error"] = result.iou_error.item()
            if i + 1 < rounds:
                xy, label = corrective_click(answer.float().cpu(), target.cpu(), stride)
                coords, labels = append_click(coords, labels, xy, label)
                # The rasters that the predictor feeds back have been through no autocast.
                previous = answer.float().unsqueeze(1)
        return log

    def update_average(self) -> None:
        """Move the averaged weights and batch statistics toward the present ones."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        mine = [t for t in self.average.state_dict().values() if t.is_floating_point()]
        theirs = [t for t in self.model.state_dict().values() if t.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_(mine, theirs, 1 - decay)

    def save(self) -> None:
        """Write ``state.pt`` so that a killed run loses nothing but the last minutes."""
        self.out.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "prototype": self.prototype.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "running": self.running,
        }
        part = self.out / "state.pt.part"
        torch.save(state, part)
        part.replace(self.out / "state.pt")

    def export(self) -> Path:
        """Write the averaged weights as ``weights.safetensors``, as they ship; where they lie.

        The encoder's are kept in 8 bits, which costs the masks nothing that was measurable.
        """
        path = self.out / "weights.safetensors"
        save_checkpoint(self.average, path, eight_bit=["image_encoder."])
        return path

    def resume(self) -> bool:
        """Go on from ``state.pt`` if there is one."""
        path = self.out / "state.pt"
        if not path.exists():
            return False
        state: Mapping[str, Any] = torch.load(path, self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.prototype.load_state_dict(state["prototype"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.running = state["step"], dict(state["running"])
        return True


def top_mask(logits: Tensor, iou: Tensor) -> Tensor:
    """Of the three ambiguous masks the one with the highest predicted IoU: ``(B, h, w)``."""
    best = iou[:, 1:].argmax(dim=1) + 1
    return logits[torch.arange(len(logits)), best]


def mean_where(name: str, values: Tensor, where: Tensor) -> dict[str, float]:
    """``{name: mean}`` of the chosen values; nothing where none is chosen."""
    chosen = values.cpu()[where]
    return {name: chosen.mean().item()} if len(chosen) else {}


def set_input_size(model: Sam, size: int) -> None:
    """Let a compact model work at another input size; its parameters do not depend on it."""
    model.image_encoder.img_size = size
    model.prompt_encoder.image_embedding_size = (size // 8, size // 8)
    model.prompt_encoder.input_image_size = (size, size)


def batches(
    sets: Mapping[str, list[Sample]], phase: Phase, recipe: Recipe, seed: int, workers: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Training batches of a phase, made by worker processes."""
    crops = RandomCrops(
        sets, phase.size, phase.images, phase.prompts, phase.zoom, seed, recipe.paste, recipe.sets
    )
    return iter(DataLoader(crops, batch_size=None, num_workers=workers, prefetch_factor=4))


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    device: str,
    workers: int,
    minutes: float,
    init: Path | None = None,
) -> None:
    """Train until the recipe's last step, or stop (resumable) after ``minutes``.

    ``init`` names safetensors weights to start from, in place of random ones.
    """
    trainer = Trainer(recipe, out, device, init)
    if trainer.resume():
        print(f"resumed at step {trainer.step}")
    sets = load_sets(data, recipe.area)
    print({name: len(samples) for name, samples in sets.items()}, flush=True)
    deadline = time.monotonic() + 60 * minutes
    saved = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log.jsonl").open("a") as log, attention():
        log.write(json.dumps({"recipe": asdict(recipe), "from": trainer.step}) + "\n")
        while trainer.step < recipe.steps and time.monotonic() < deadline:
            phase = trainer.phase
            set_input_size(trainer.model, phase.size)
            stream = batches(sets, phase, recipe, recipe.seed + trainer.step, workers)
            begun, first = time.monotonic(), trainer.step
            for images, masks in stream:
                for key, value in trainer.train_step(images, masks).items():
                    old = trainer.running.get(key, value)
                    trainer.running[key] = 0.98 * old + 0.02 * value
                if trainer.step % 20 == 0:
                    seconds = (time.monotonic() - begun) / (trainer.step - first)
                    line = {k: round(v, 4) for k, v in trainer.running.items()}
                    line |= {"step": trainer.step, "size": phase.size, "s": round(seconds, 3)}
                    log.write(json.dumps(line) + "\n")
                    log.flush()
                if time.monotonic() - saved > 180:
                    trainer.save()
                    saved = time.monotonic()
                over = trainer.step >= recipe.steps or time.monotonic() > deadline
                if over or trainer.phase != phase:
                    break
            del stream
    trainer.save()
    print(f"stopped at step {trainer.step} of {recipe.steps}; weights in {trainer.export()}")


def attention() -> Any:
    """Plain attention on the CPU, whose backward pass is three times faster than the fused one."""
    backends = [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    return sdpa_kernel(backends if torch.cuda.is_available() else [SDPBackend.MATH])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of *.tar shards")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--init", type=Path, metavar="WEIGHTS", help="go on from finished weights")
    parser.add_argument(
        "--recipe", choices=RECIPES, help="by default the first, or with --init the fourth"
    )
    parser.add_argument("--steps", type=int, help="in all; by default the recipe's")
    parser.add_argument("--lr", type=float, help="peak; by default the recipe's")
    parser.add_argument("--seed", type=int, help="by default the recipe's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this long")
    a = parser.parse_args()
    recipe = RECIPES[a.recipe or ("fourth" if a.init else "first")]
    recipe = replace(
        recipe,
        steps=a.steps or recipe.steps,
        lr=a.lr or recipe.lr,
        seed=recipe.seed if a.seed is None else a.seed,
    )
    train(recipe, a.data, a.out, a.device, a.workers, a.minutes, a.init)


if __name__ == "__main__":
    main()
