"""Measuring with progress, and the file that is written of it."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from segwidget.annotation.atomic import write_atomically
from segwidget.evaluation.data import sample_data
from segwidget.evaluation.protocol import (
    PromptableSegmenter,
    SampledImage,
    Sampling,
    evaluate,
)
from segwidget.evaluation.report import Report


def read_sample(
    data: Sequence[str | Path], sampling: Sampling, images: str | Path | None = None
) -> list[SampledImage]:
    """Draw a sample, with progress and what is left out told on the standard error.

    Arguments and errors are those of :func:`segwidget.evaluation.data.sample_data`.
    """

    def tell(sentence: str) -> None:
        tqdm.write(sentence, file=sys.stderr)

    drawn = sample_data(
        data,
        sampling,
        images,
        tell=tell,
        progress=lambda files: tqdm(files, "reading", unit="set", file=sys.stderr),
    )
    small = sum(image.too_small for image in drawn)
    tell(
        f"{len(drawn)} images, {sum(len(i.chosen) for i in drawn)} masks; {small} masks of these "
        f"images are below {sampling.min_share:.2%} of the image and were left out of the draw."
    )
    return drawn


def measure(
    segmenter: PromptableSegmenter, images: Sequence[SampledImage], sampling: Sampling
) -> Report:
    """Measure, with progress on the standard error."""
    total = sum(len(image.chosen) for image in images)
    found = evaluate(segmenter, images, sampling.seed)
    progress = tqdm(found, segmenter.name, total, unit="mask", file=sys.stderr)
    return Report(segmenter.name, sampling, tuple(progress))


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all; numbers that JSON lacks, such as NaN, as null.

    Raises:
        StoreError: the place cannot be written.
    """
    text = json.dumps(_finite(value), allow_nan=False)
    write_atomically(path, text.encode("ascii"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
