"""``segwidget evaluate``: how good a model is, on images with masks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from segwidget.errors import StoreError


def evaluate(
    data: Annotated[
        list[str],
        typer.Option(
            help="Shards, a folder of shards, or a COCO file; may be given several times."
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model's name, or a checkpoint; by default embedded. Several are measured on "
            "identical prompts, and compared with the first."
        ),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="The folder of a COCO file's images, if not beside it.")
    ] = None,
    masks_per_image: Annotated[
        int, typer.Option(min=0, help="Masks that are asked about, at most; 0 for all.")
    ] = 4,
    images_per_set: Annotated[
        int, typer.Option(min=0, help="Images that are drawn, at most; 0 for all.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the draw, and of loose boxes.")] = 0,
    device: Annotated[
        str | None, typer.Option(help="Such as cpu or cuda; by default a GPU if there is one.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write every measurement here.")] = None,
    figures: Annotated[
        Path | None,
        typer.Option(help="Write a page of figures, and one of examples, into this folder."),
    ] = None,
    proposals: Annotated[
        bool, typer.Option("--proposals", help="Also everything mode's average recall.")
    ] = False,
    proposal_images: Annotated[
        int, typer.Option(min=0, help="Images of each set for --proposals, at most; 0 for all.")
    ] = 4,
    points_per_side: Annotated[
        int,
        typer.Option(min=1, help="Points along one side of everything's grid, for --proposals."),
    ] = 32,
    edges: Annotated[
        bool,
        typer.Option("--edges", help="Also edges, on sets whose images several people divided."),
    ] = False,
) -> None:
    """Measure models with a simulated annotator: clicks, boxes, calibration, by set.

    Prints tables in Markdown; progress goes to the standard error. Intervals are 95 % bootstraps
    over images. The protocol is written at the top of segwidget/evaluation/protocol.py, and in
    recall.py and edges.py beside it.
    """
    from segwidget.evaluation import edge_scores, recall
    from segwidget.evaluation.differences import differences, to_dicts
    from segwidget.evaluation.differences import to_markdown as compared
    from segwidget.evaluation.protocol import PredictorSegmenter, Sampling, first_of_each_set
    from segwidget.evaluation.run import measure, read_sample, write_json
    from segwidget.inference.embedding_store import MAX_BYTES_VARIABLE
    from segwidget.inference.predictor import Predictor

    # Images that are measured once would push out embeddings of those that a person opens again.
    os.environ.setdefault(MAX_BYTES_VARIABLE, "0")
    _check_places(json, figures)
    names = _named(model or ["embedded"])
    segmenters = [PredictorSegmenter(Predictor(source, device), name) for source, name in names]
    sampling = Sampling(masks_per_image or None, images_per_set or None, seed=seed)
    try:
        drawn = read_sample(data, sampling, images)
        fewer = first_of_each_set(drawn, proposal_images or None)
        divided = edge_scores.divided(drawn) if edges else []
        reports, recalls, contours = [], [], []
        for segmenter in segmenters:
            reports.append(measure(segmenter, drawn, sampling))
            if proposals:
                recalls.append(recall.measure_recall(segmenter, fewer, sampling, points_per_side))
            if edges:
                contours += edge_scores.measure_edges(segmenter, divided)
    except KeyboardInterrupt:
        typer.echo("Stopped; nothing was written.", err=True)
        raise typer.Exit(130) from None
    rows = [differences(reports[0], other) for other in reports[1:]]
    for report in reports:
        typer.echo(f"\n{report.segmenter}\n\n{report.to_markdown()}")
    for other, changes in zip(reports[1:], rows, strict=True):
        typer.echo(f"\n{compared(reports[0], other, changes)}")
    for found in recalls:
        typer.echo(f"\n{found.to_markdown()}")
    if contours:
        typer.echo(f"\n{edge_scores.to_markdown(contours)}")
    if json is not None:
        written: dict[str, Any] = {
            "reports": [report.to_dict() for report in reports],
            "differences": [
                {"first": reports[0].segmenter, "second": other.segmenter, "rows": to_dicts(change)}
                for other, change in zip(reports[1:], rows, strict=True)
            ],
            "proposals": [found.to_dict() for found in recalls],
            "edges": [one.to_dict() for one in contours],
        }
        write_json(json, written)
    if figures is not None:
        from segwidget.evaluation.examples import examples
        from segwidget.evaluation.figures import page, save

        drawing = page(reports, rows[0] if rows else (), recalls, contours)
        pages = {"evaluation": drawing}
        for number, (segmenter, report) in enumerate(zip(segmenters, reports, strict=True), 1):
            pages[f"examples-{number}"] = examples(segmenter, report, drawn)
        for name, drawing in pages.items():
            typer.echo(f"Written: {save(drawing, figures, name)}", err=True)


def _check_places(json: Path | None, figures: Path | None) -> None:
    """What cannot be written is told before an hour of measuring."""
    from segwidget.annotation.formats.registry import make_folder

    for path in (json.parent if json else None, figures):
        if path is not None:
            make_folder(path)
    if json is not None and json.is_dir():
        raise StoreError(f"--json is {str(json)!r}, which is a folder; expected a file's name.")


def _named(models: list[str]) -> list[tuple[str, str | None]]:
    """Models, and names that tell apart files of the same name; None for a model's own."""
    own = [Path(source).name for source in models]
    return [
        (source, source if own.count(name) > 1 else None)
        for source, name in zip(models, own, strict=True)
    ]
