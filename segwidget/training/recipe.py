"""What a run of training depends on, and the four runs that made the embedded model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from segwidget.sam.compact_encoder import Blocks
from segwidget.training.data import SET_WEIGHTS


@dataclass(frozen=True)
class Phase:
    """A part of the run.

    Attributes:
        until: share of all steps at which it ends; ``None`` where phases mix, step by step.
        size: side of the input in pixels.
        images: images a step.
        prompts: masks an image.
        zoom: side of the window that is cut, least and greatest, over the image's long side.
        rounds: odds of one, two and three rounds of prompts; corrections are worth learning only
            once there are answers to correct.
    """

    until: float | None
    size: int
    images: int
    prompts: int
    zoom: tuple[float, float]
    rounds: tuple[float, float, float]


PHASES = (
    Phase(0.40, 192, 10, 5, (0.3, 1.0), (0.75, 0.25, 0.0)),
    Phase(0.66, 192, 10, 5, (0.3, 1.0), (0.4, 0.35, 0.25)),
    Phase(0.85, 320, 6, 4, (0.5, 1.1), (0.4, 0.35, 0.25)),
    Phase(1.00, 512, 4, 4, (0.8, 1.1), (0.4, 0.35, 0.25)),
)

# A second run sees all sizes from the first step to the last, since it knows what a mask is.
MIXED = (
    Phase(None, 256, 8, 5, (0.3, 1.0), (0.4, 0.35, 0.25)),
    Phase(None, 384, 5, 4, (0.45, 1.1), (0.4, 0.35, 0.25)),
    Phase(None, 512, 4, 4, (0.7, 1.1), (0.4, 0.35, 0.25)),
)


# The encoder of the first three runs.
SMALL = Blocks((2, 3, 5, 2), (0, 0, 1, 2))


@dataclass(frozen=True)
class Recipe:
    """What the run depends on, beside the data.

    Attributes:
        steps: optimizer steps in all.
        lr: peak learning rate.
        warmup: steps to reach it.
        decay: share of the steps, the last ones, in which a cosine leads down to a hundredth of it.
        weight_decay: of matrices and kernels.
        ema: decay of the averaged weights, which are the ones that are kept.
        prototype_until: share of the steps that the auxiliary loss on the encoder lasts.
        clip: largest norm of the gradient.
        seed: of initial weights and data.
        phases: one after the other, or mixed.
        odds: of each of the mixed phases before the learning rate falls, and while it does.
        paste: share of the crops that get objects of other images pasted in.
        mask_loss: what masks learn from, a name of :data:`~segwidget.training.losses.MASK_LOSSES`.
        sets: how often each set is drawn.
        area: the power of a mask's area that its odds grow with.
        blocks: depth of the encoder.
    """

    steps: int = 4300
    lr: float = 1.2e-3
    warmup: int = 250
    decay: float = 1.0
    weight_decay: float = 0.05
    ema: float = 0.998
    prototype_until: float = 0.4
    clip: float = 1.0
    seed: int = 0
    phases: tuple[Phase, ...] = field(default_factory=lambda: PHASES)
    odds: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    paste: float = 0.0
    mask_loss: str = "focal"
    sets: Mapping[str, float] = field(default_factory=lambda: SET_WEIGHTS)
    area: float = 0.4
    blocks: Blocks = SMALL


FIRST = Recipe()
# The rate stays high until the end is in sight, so that the run may be made longer while it goes.
SECOND = Recipe(
    steps=3200,
    lr=6e-4,
    warmup=100,
    decay=0.35,
    prototype_until=0.0,
    phases=MIXED,
    odds=((0.5, 0.3, 0.2), (0.25, 0.35, 0.4)),
    paste=0.25,
)
# What the second run taught: it learns whenever the rate falls, so the rate falls nearly all the
# time; cross-entropy draws sharper outlines; sets of few images are worth more than a glance.
THIRD = replace(
    SECOND,
    steps=4300,
    lr=5e-4,
    warmup=50,
    decay=0.9,
    odds=((0.5, 0.3, 0.2), (0.35, 0.35, 0.3)),
    mask_loss="entropy",
    sets={
        **SET_WEIGHTS,
        "artdeco": 0.5, "solar_pv": 0.5, "hc18": 0.3, "car_damage": 0.3, "concrete": 0.2,
        "neu_seg": 0.2, "crackforest": 0.15, "magnetic_tile": 0.15,
    },
    area=0.3,
)  # fmt: skip
# The same again, with eight more blocks in the encoder: the third run had not yet learnt what it
# was shown.
FOURTH = replace(
    THIRD,
    steps=3500,
    warmup=100,
    odds=((0.5, 0.3, 0.2), (0.45, 0.3, 0.25)),
    seed=4,
    blocks=Blocks((2, 4, 7, 3), (0, 0, 3, 4)),
)
RECIPES: Mapping[str, Recipe] = {
    "first": FIRST,
    "second": SECOND,
    "third": THIRD,
    "fourth": FOURTH,
}
