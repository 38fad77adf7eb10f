"""Measure what masks take: clicks on a model's answers, against polygons and brushes by hand.

    python benchmarks/effort.py --data shards/val --images-per-set 5 --figure effort.png

How it is counted: segwidget/evaluation/effort.py. What came of it: benchmarks/effort.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from segwidget.errors import SegwidgetError
from segwidget.evaluation.effort import (
    BOX,
    BRUSH,
    CLICKS,
    COCO_POLYGON_SECONDS,
    POLYGON,
    Effort,
    Value,
    actions_by,
    by_set,
    mean_effort,
    measure_effort,
    saving,
    seconds_by,
    to_markdown,
)
from segwidget.evaluation.figures import style
from segwidget.evaluation.protocol import NATURAL, THRESHOLDS, Sampling
from segwidget.evaluation.run import read_sample
from segwidget.inference.predictor import Predictor

COLORS = {CLICKS: "#2b6cb0", BOX: "#2f855a", POLYGON: "#c05621", BRUSH: "#6b46c1"}
PATIENCE = (1, 3, 5, 20)
HEAD = (
    "a polygon is drawn after", "no polygon needed", "actions, clicks", "actions, box + clicks",
    "clicks, s", "polygon, s", "saved", "saved if a polygon took COCO's 79 s",
)  # fmt: skip
NAMES = {CLICKS: "clicks", BOX: "box + clicks", POLYGON: "polygon corners", BRUSH: "brush strokes"}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What masks take, with a model and by hand.")
    parser.add_argument("--data", required=True, help="folder of *.tar shards, or one shard")
    parser.add_argument("--model", default="embedded", help="name or checkpoint (default embedded)")
    parser.add_argument("--device", help="cpu or cuda; by default a GPU where there is one")
    parser.add_argument("--images-per-set", type=int, default=5, help="0 for all (default 5)")
    parser.add_argument("--masks-per-image", type=int, default=1, help="0 for all (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw it here, as PNG")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements here")
    arguments = parser.parse_args(argv)
    sampling = Sampling(
        masks_per_image=arguments.masks_per_image or None,
        images_per_set=arguments.images_per_set or None,
        seed=arguments.seed,
    )
    began = time.monotonic()
    try:
        predictor = Predictor(arguments.model, arguments.device)
        images = read_sample([arguments.data], sampling)
        masks = sum(len(image.chosen) for image in images)
        efforts = []
        with tqdm(total=masks, unit="mask", file=sys.stderr) as progress:
            for effort in measure_effort(predictor, images):
                efforts.append(effort)
                progress.update(effort.threshold == THRESHOLDS[-1])
    except SegwidgetError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{predictor.model.name}, {len(images)} images, {masks} masks, seed {sampling.seed}")
    report(efforts)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(e) for e in efforts]), encoding="utf-8")
    if arguments.figure:
        draw(efforts).savefig(arguments.figure, dpi=110)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


def report(efforts: Sequence[Effort]) -> None:
    """Print for each IoU a table of sets, and what patience does."""
    for threshold in THRESHOLDS:
        print(f"\n### IoU {threshold:.2f}\n\n{to_markdown(efforts, threshold)}\n")
        sets = by_set(efforts, threshold)
        natural = [group for name, group in sets.items() if name in NATURAL]
        print(f"| {' | '.join(HEAD)} |\n| --- |{' ---: |' * (len(HEAD) - 1)}")
        for title, groups in (("all sets", list(sets.values())), ("natural photographs", natural)):
            for patience in PATIENCE if groups else ():
                name = f"{patience} click{'s' if patience > 1 else ''}, {title}"
                print(f"| {name} | {' | '.join(patient(groups, patience))} |")


def patient(groups: Sequence[Sequence[Effort]], patience: int) -> list[str]:
    """What comes of turning to a polygon after so many clicks."""

    def mean(value: Value) -> float:
        return mean_effort(groups, value).value

    ours, theirs = seconds_by(CLICKS, patience), seconds_by(POLYGON)
    coco = COCO_POLYGON_SECONDS
    slow = saving(groups, seconds_by(CLICKS, patience, coco), seconds_by(POLYGON, polygon=coco))
    quick = saving(groups, ours, theirs)
    return [
        f"{mean(lambda e: float(e.reached(CLICKS, patience))):.0%}",
        f"{mean(actions_by(CLICKS, patience)):.1f}",
        f"{mean(actions_by(BOX, patience)):.1f}",
        f"{mean(ours):.0f}",
        f"{mean(theirs):.0f}",
        f"{quick.value:.1f} ({quick.low:.1f}–{quick.high:.1f})×",
        f"{slow.value:.1f} ({slow.low:.1f}–{slow.high:.1f})×",
    ]


def draw(efforts: Sequence[Effort]) -> Figure:
    """Actions by set, one panel for each IoU, the sets by what polygons take; logarithmic."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(1, len(THRESHOLDS), sharey=True)
    order: list[str] = []
    for axes, threshold in zip(panels, THRESHOLDS, strict=True):
        groups = by_set(efforts, threshold)
        if not order:
            order = sorted(groups, key=lambda n: mean_effort([groups[n]], actions_by(POLYGON)))
        lines = [("mean of sets", list(groups.values()))]
        lines += [(name, [groups[name]]) for name in order]
        style(axes, f"Actions per mask to IoU {threshold:.2f}", "actions (log scale)", "")
        for number, way in enumerate(NAMES):
            means = [mean_effort(group, actions_by(way)) for _, group in lines]
            values = np.array([m.value for m in means])
            low, high = np.array([m.low for m in means]), np.array([m.high for m in means])
            places = np.arange(len(lines)) + 0.18 * (number - 1.5)
            errors = np.maximum([values - low, high - values], 0)
            axes.errorbar(
                values, places, xerr=errors, fmt="o", ms=4, lw=1.2, color=COLORS[way],
                label=NAMES[way],
            )  # fmt: skip
        axes.set_xscale("log")
        ticks = [1, 2, 5, 10, 20, 50, 100]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_yticks(range(len(lines)), [name.replace("$", r"\$") for name, _ in lines])
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.axhline(0.5, color="#e3e7ec", lw=1)
        axes.grid(axis="x", color="#e3e7ec", lw=0.8)
        axes.grid(visible=False, axis="y")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    return figure


if __name__ == "__main__":
    sys.exit(main())
