"""``segwidget prelabel``: masks, or embeddings, of whole collections."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segwidget.errors import ImageError, SettingError

if TYPE_CHECKING:
    from segwidget.engine.prelabel import PrelabelReport
    from segwidget.inference.everything import EverythingSettings

_SHOWN = 20  # skipped images that are named; the manifest has all


def prelabel(
    paths: Annotated[list[str], typer.Argument(help="Images, folders, or patterns.")],
    out: Annotated[str, typer.Option(help="The folder that is written.")],
    model: Annotated[str, typer.Option(help="A model's name, or a checkpoint.")] = "embedded",
    task: Annotated[
        Literal["everything", "boxes", "embed"],
        typer.Option(help="Masks of all there is, masks of a detector's boxes, or embeddings."),
    ] = "everything",
    boxes: Annotated[
        str | None, typer.Option(help="A detector's COCO JSON or CSV, for --task boxes.")
    ] = None,
    min_score: Annotated[float, typer.Option(help="Boxes with a lower one are left out.")] = 0.0,
    format: Annotated[  # noqa: A002
        Literal["sa1b", "parquet"], typer.Option(help="What the shards are written as.")
    ] = "sa1b",
    shard_size: Annotated[int, typer.Option(min=1, help="Images in a shard, at most.")] = 100,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Processes here, or a Ray cluster, such as RAY_ADDRESS names."),
    ] = "local",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="By default one a GPU, else one for every two cores."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="In each worker; by default the cores are divided.")
    ] = None,
    gpus_per_worker: Annotated[
        float,
        typer.Option(min=0, help="GPUs that Ray reserves for each worker; may be a fraction."),
    ] = 0,
    device: Annotated[
        str | None, typer.Option(help="Such as cpu or cuda; by default GPUs if there are any.")
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "int8", "fastest"],
        typer.Option(help="In which the image encoder computes."),
    ] = "float32",
    label: Annotated[
        str, typer.Option(help="The label of masks that come without one.")
    ] = "object",
    points_per_side: Annotated[
        int, typer.Option(min=1, help="Points along one side of everything's grid.")
    ] = 32,
    crop_n_layers: Annotated[
        int, typer.Option(min=0, help="Layers of crops that everything looks at, too.")
    ] = 0,
    min_mask_region_area: Annotated[
        int, typer.Option(min=0, help="Smaller holes and islands are removed.")
    ] = 0,
    pred_iou_thresh: Annotated[
        float | None, typer.Option(help="By default the model's own.")
    ] = None,
    stability_score_thresh: Annotated[
        float | None, typer.Option(help="By default the model's own.")
    ] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders within folders, too.")
    ] = False,
    retry_skipped: Annotated[
        bool, typer.Option("--retry-skipped", help="Try again what an earlier run skipped.")
    ] = False,
) -> None:
    """Segment whole collections, each image exactly once. May be stopped and repeated."""
    from tqdm import tqdm

    from segwidget.engine.prelabel import PrelabelReport, prelabel
    from segwidget.inference.everything import EverythingSettings

    settings = EverythingSettings(
        points_per_side=points_per_side,
        crop_n_layers=crop_n_layers,
        min_mask_region_area=min_mask_region_area,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
    )
    _check_settings(task, settings, boxes)
    _check_images(paths, recursive)
    report = PrelabelReport(0)
    bar = tqdm(unit="image", delay=math.inf)  # nothing to be seen before there is work

    def show(now: PrelabelReport) -> None:
        nonlocal report
        if not report.total:
            bar.delay = 0
            bar.reset(now.total)
            bar.initial = bar.n = now.found  # they do not count for the rate
        report = now
        bar.set_postfix(masks=now.masks, skipped=len(now.skipped), refresh=False)
        bar.update(now.found + now.done + now.begun + len(now.skipped) - bar.n)

    try:
        with bar:
            report = prelabel(
                paths,
                out,
                model,
                task=task,
                boxes=boxes,
                min_score=min_score,
                settings=settings if task == "everything" else None,
                label=label,
                format=format,
                shard_size=shard_size,
                engine=engine,
                workers=workers,
                threads=threads,
                device=device,
                precision=precision,
                gpus_per_worker=gpus_per_worker,
                recursive=recursive,
                retry_skipped=retry_skipped,
                on_progress=show,
            )
    except KeyboardInterrupt:
        _tell(report)
        typer.echo("Stopped. Finished shards stay; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    _tell(report)
    if task == "embed":
        typer.echo(f"With SEGWIDGET_CACHE={out} these images open at once.")
    if not report.done + report.found:
        raise typer.Exit(1)


def _check_settings(task: str, settings: EverythingSettings, boxes: str | None) -> None:
    from segwidget.inference.everything import EverythingSettings

    if task == "boxes" and boxes is None:
        raise SettingError(
            "--task boxes needs a detector's file of boxes. Name it with --boxes FILE: COCO's "
            "JSON, or a CSV with file_name, x0, y0, x1, y1."
        )
    if task != "boxes" and boxes is not None:
        raise SettingError(
            f"--boxes is given, but the task is {task!r}. Add --task boxes, or leave --boxes out."
        )
    if task != "everything" and settings != EverythingSettings():
        raise SettingError(
            f"Settings of everything mode are given, but the task is {task!r}. Leave them out, or "
            "use --task everything."
        )


def _check_images(paths: list[str], recursive: bool) -> None:
    """A misspelled folder is told before the output folder belongs to a run of it."""
    from segwidget.inference.bulk_embed import find_images

    files, failures = find_images(paths, recursive=recursive)
    if not any(file.is_file() for file in files):
        for failure in failures[:_SHOWN]:
            typer.echo(f"Skipped {failure.path}: {failure.reason}", err=True)
        raise ImageError(
            f"There is no image in {', '.join(paths)}; nothing was written. Check the path, or "
            "look into folders within folders with --recursive."
        )


def _tell(report: PrelabelReport) -> None:
    def complain(sentences: list[str]) -> None:
        for sentence in sentences[:_SHOWN]:
            typer.echo(sentence, err=True)
        if len(sentences) > _SHOWN:
            typer.echo(f"… and {len(sentences) - _SHOWN} more.", err=True)

    complain([f"Skipped {key}: {reason}" for key, reason in report.skipped])
    complain(list(report.remarks))
    typer.echo(
        f"{report.done} done, with {report.masks} masks, {report.found} were dealt with before, "
        f"{len(report.skipped)} skipped, of {report.total}."
    )
