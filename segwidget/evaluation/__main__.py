"""Measure a model on shards of images with masks.

    python -m segwidget.evaluation --model embedded --data shards/val

Prints a table in Markdown; progress goes to the standard error. The protocol is that of
:mod:`segwidget.evaluation.protocol`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from segwidget.errors import FormatError, SegwidgetError
from segwidget.evaluation.protocol import (
    MIN_SHARE,
    PredictorSegmenter,
    PromptableSegmenter,
    SampledImage,
    Sampling,
    evaluate,
    find_shards,
    sample,
)
from segwidget.evaluation.report import Report
from segwidget.inference.embedding_store import MAX_BYTES_VARIABLE
from segwidget.inference.predictor import Predictor


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is measured on."""
    parser.add_argument("--data", required=True, help="folder of *.tar shards, or one shard")
    parser.add_argument("--masks-per-image", type=count, default=4, help="0 for all (default 4)")
    parser.add_argument("--images-per-set", type=count, default=0, help="0 for all (default)")
    parser.add_argument("--seed", type=count, default=0, help="of the sample and of loose boxes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements here")


def count(text: str) -> int:
    """A whole number that is not below 0, for argparse."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0; expected 0 (no limit) or more")
    return number


def draw(arguments: argparse.Namespace) -> tuple[Sampling, list[SampledImage]]:
    """The sample that the arguments ask for, and what it leaves out told on the standard error."""
    sampling = Sampling(
        masks_per_image=arguments.masks_per_image or None,
        images_per_set=arguments.images_per_set or None,
        seed=arguments.seed,
    )
    shards = tqdm(find_shards(arguments.data), "reading", unit="set", file=sys.stderr)
    images = [image for shard in shards for image in sample(shard, sampling)]
    if not images:
        raise FormatError(
            f"The shards in {arguments.data!r} hold no mask that covers {MIN_SHARE:.2%} of its "
            "image; expected at least one. Check that they are shards with masks."
        )
    small = sum(image.too_small for image in images)
    tqdm.write(
        f"{len(images)} images, {sum(len(i.chosen) for i in images)} masks; {small} masks of "
        f"these images are below {MIN_SHARE:.2%} of the image and were left out of the draw.",
        file=sys.stderr,
    )
    return sampling, images


def measure(
    segmenter: PromptableSegmenter, images: Sequence[SampledImage], sampling: Sampling
) -> Report:
    """Measure, with progress on the standard error."""
    total = sum(len(image.chosen) for image in images)
    found = evaluate(segmenter, images, sampling.seed)
    progress = tqdm(found, segmenter.name, total, unit="mask", file=sys.stderr)
    return Report(segmenter.name, sampling, tuple(progress))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m segwidget.evaluation", description="Measure a model on shards."
    )
    parser.add_argument("--model", default="embedded", help="name or checkpoint (default embedded)")
    parser.add_argument("--device", help="cpu or cuda; by default a GPU where there is one")
    add_sampling(parser)
    arguments = parser.parse_args(argv)
    # Images that are measured once would push out embeddings of those that a person opens again.
    os.environ.setdefault(MAX_BYTES_VARIABLE, "0")
    try:
        segmenter = PredictorSegmenter(Predictor(arguments.model, arguments.device))
        sampling, images = draw(arguments)
        report = measure(segmenter, images, sampling)
    except SegwidgetError as error:
        print(error, file=sys.stderr)
        return 1
    print(report.to_markdown())
    if arguments.json:
        arguments.json.write_text(json.dumps(report.to_dict()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
