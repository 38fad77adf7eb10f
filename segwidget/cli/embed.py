"""``segwidget embed`` and ``segwidget cache``: embeddings that are there before they are needed."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segwidget.inference.registry import megabytes

if TYPE_CHECKING:
    from segwidget.inference.bulk_embed import BulkReport

cache = typer.Typer(help="What is kept of images that were embedded.", no_args_is_help=True)


def embed(
    paths: Annotated[list[str], typer.Argument(help="Images, folders, or patterns.")],
    model: Annotated[str, typer.Option(help="A model's name, or a checkpoint.")] = "embedded",
    device: Annotated[
        str | None, typer.Option(help="Such as cpu or cuda; by default a GPU if there is one.")
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "int8", "fastest"],
        typer.Option(help="Embeddings are found again at the same precision."),
    ] = "float32",
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into folders within folders, too.")
    ] = False,
    max_bytes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How much may be kept, in this run; SEGWIDGET_EMBEDDINGS_MAX_BYTES does the same.",
        ),
    ] = None,
) -> None:
    """Embed images ahead, so that each of them later opens at once. May be stopped and repeated."""
    from tqdm import tqdm

    from segwidget.inference.bulk_embed import BulkReport, embed_images

    report = BulkReport(0)
    bar = tqdm(unit="image", delay=math.inf)  # nothing to be seen before the model is loaded

    def show(now: BulkReport) -> None:
        nonlocal report
        if not report.total:
            bar.delay = 0
            bar.reset(now.total)
        if now.remark and not report.remark:
            bar.write(f"segwidget: {now.remark}", file=sys.stderr)
        report = now
        bar.set_postfix(found=now.found, skipped=len(now.failures), refresh=False)
        bar.update(now.done - bar.n)

    try:
        with bar:
            report = embed_images(
                paths,
                model,
                device=device,
                precision=precision,
                recursive=recursive,
                max_bytes=max_bytes,
                on_progress=show,
            )
    except KeyboardInterrupt:
        _tell_embedded(report)
        typer.echo("Stopped. What is done stays; the same command goes on from there.", err=True)
        raise typer.Exit(130) from None
    _tell_embedded(report)
    if not report.embedded + report.found:
        raise typer.Exit(1)


def _tell_embedded(report: BulkReport) -> None:
    for path, reason in report.failures:
        typer.echo(f"Skipped {path}: {reason}", err=True)
    if report.unkept:
        typer.echo(f"{report.unkept} embeddings cannot be kept; see --max-bytes.", err=True)
    typer.echo(
        f"{report.embedded} embedded, {report.found} were there already, "
        f"{len(report.failures)} skipped, of {report.total}."
    )


@cache.command()
def info() -> None:
    """Say how much is kept, where, and how much may be."""
    from segwidget.inference.embedding_store import MAX_BYTES_VARIABLE, default_store

    store = default_store()
    entries, nbytes = store.usage()
    typer.echo(f"{entries} embeddings, {megabytes(nbytes)} of {megabytes(store.max_bytes)}")
    typer.echo(f"{store.folder}; {MAX_BYTES_VARIABLE} sets the limit, 0 turns it off.")
    if store.problem:
        typer.echo(store.problem, err=True)


@cache.command()
def clear() -> None:
    """Delete all embeddings; images are embedded anew when they are opened."""
    from segwidget.inference.embedding_store import default_store

    entries, nbytes = default_store().clear()
    typer.echo(f"{entries} embeddings deleted, {megabytes(nbytes)}")
