"""Measure the embedded model beside what a person could have instead, on the same masks.

    python benchmarks/quality.py --data shards/val

Protocol: segwidget/evaluation/protocol.py. Baselines: benchmarks/baselines.py. The first click and
the boxes are the same for all; later clicks correct each one's own answers, by the same rule.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from baselines import all_baselines

from segwidget.errors import SegwidgetError
from segwidget.evaluation.__main__ import add_sampling, draw, measure
from segwidget.evaluation.protocol import (
    BOX,
    PredictorSegmenter,
    PromptableSegmenter,
    clicks_name,
)
from segwidget.evaluation.report import compare, compare_sets
from segwidget.inference.predictor import Predictor


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The embedded model beside its alternatives.")
    parser.add_argument("--model", default="embedded", help="name or checkpoint (default embedded)")
    parser.add_argument("--device", help="cpu or cuda; by default a GPU where there is one")
    parser.add_argument("--only", metavar="NAME", help="one baseline, or 'model'")
    add_sampling(parser)
    arguments = parser.parse_args(argv)
    baselines = {b.name: b for b in all_baselines()}
    if arguments.only not in (None, "model", *baselines):
        parser.error(
            f"--only {arguments.only!r}: expected 'model' or one of {', '.join(baselines)}"
        )
    try:
        segmenters: list[PromptableSegmenter] = []
        if arguments.only in (None, "model"):
            segmenters.append(PredictorSegmenter(Predictor(arguments.model, arguments.device)))
        segmenters += [b for name, b in baselines.items() if arguments.only in (None, name)]
        sampling, images = draw(arguments)
        reports = [measure(segmenter, images, sampling) for segmenter in segmenters]
    except SegwidgetError as error:
        print(error, file=sys.stderr)
        return 1
    print(compare(reports))
    for column in (clicks_name(1), clicks_name(3), BOX):
        print(f"\n{compare_sets(reports, column)}")
    if arguments.json:
        everything = [report.to_dict() for report in reports]
        arguments.json.write_text(json.dumps(everything), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
