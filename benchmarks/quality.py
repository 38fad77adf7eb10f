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
from pathlib import Path

from baselines import Baseline, all_baselines

from segwidget.errors import SegwidgetError
from segwidget.evaluation.protocol import (
    BOX,
    PredictorSegmenter,
    PromptableSegmenter,
    SampledImage,
    Sampling,
    clicks_name,
)
from segwidget.evaluation.report import Report, compare, compare_sets
from segwidget.evaluation.run import measure, read_sample
from segwidget.inference.predictor import Predictor


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The embedded model beside its alternatives.")
    parser.add_argument("--model", default="embedded", help="name or checkpoint (default embedded)")
    parser.add_argument("--device", help="cpu or cuda; by default a GPU where there is one")
    parser.add_argument("--only", metavar="NAME", help="one baseline, or 'model'")
    parser.add_argument(
        "--baselines", type=Path, metavar="FILE", help="baselines' measurements: read, else written"
    )
    parser.add_argument("--data", required=True, help="folder of *.tar shards, or one shard")
    parser.add_argument("--masks-per-image", type=count, default=4, help="0 for all (default 4)")
    parser.add_argument("--images-per-set", type=count, default=0, help="0 for all (default)")
    parser.add_argument("--seed", type=count, default=0, help="of the sample and of loose boxes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all measurements here")
    arguments = parser.parse_args(argv)
    baselines = {b.name: b for b in all_baselines()}
    if arguments.only not in (None, "model", *baselines):
        names = ", ".join(["model", *baselines])
        parser.error(f"--only {arguments.only!r}: expected one of {names}")
    try:
        model: PromptableSegmenter | None = None
        if arguments.only in (None, "model"):
            model = PredictorSegmenter(Predictor(arguments.model, arguments.device))
        chosen = [b for name, b in baselines.items() if arguments.only in (None, name)]
        sampling = Sampling(
            masks_per_image=arguments.masks_per_image or None,
            images_per_set=arguments.images_per_set or None,
            seed=arguments.seed,
        )
        images = read_sample([arguments.data], sampling)
        reports = [] if model is None else [measure(model, images, sampling)]
        reports += measure_once(chosen, images, sampling, arguments.baselines)
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


def count(text: str) -> int:
    """A whole number that is not below 0, for argparse."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0; expected 0 (no limit) or more")
    return number


def measure_once(
    baselines: Sequence[Baseline],
    images: Sequence[SampledImage],
    sampling: Sampling,
    path: Path | None,
) -> list[Report]:
    """Baselines never change, and take longer than a model: keep what was measured in a file."""
    kept: dict[str, Report] = {}
    if path is not None and path.exists():
        read = (Report.from_dict(data) for data in json.loads(path.read_text(encoding="utf-8")))
        kept = {report.segmenter: report for report in read}
    asked = {(i.set, i.item.name, index) for i in images for index in i.chosen}
    reports = []
    for baseline in baselines:
        report = kept.get(baseline.name)
        known = report and {(m.set, m.image, m.mask) for m in report.measurements}
        if report is None or known != asked or report.sampling != sampling:
            report = measure(baseline, images, sampling)
        kept[baseline.name] = report
        reports.append(report)
        if path is not None:
            text = json.dumps([report.to_dict() for report in kept.values()])
            path.write_text(text, encoding="utf-8")
    return reports


if __name__ == "__main__":
    sys.exit(main())
