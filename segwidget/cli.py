"""The ``segwidget`` command.

A command is a short function: it reads its arguments, calls the library, and prints. What is heavy
is imported inside of it, so that every other command answers at once. A group of commands is a
:class:`typer.Typer` of its own, added to `app`.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segwidget import __version__
from segwidget.errors import CheckpointError, SegwidgetError
from segwidget.inference.registry import (
    MODELS,
    ModelRow,
    cache_folder,
    find_row,
    is_cached,
    megabytes,
)

if TYPE_CHECKING:
    from segwidget.inference.bulk_embed import BulkReport

app = typer.Typer(
    name="segwidget",
    help="Promptable segmentation in notebooks: what can be done without one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="List, download and verify models.", invoke_without_command=True)
app.add_typer(models, name="models")
cache = typer.Typer(help="What is kept of images that were embedded.", no_args_is_help=True)
app.add_typer(cache, name="cache")

Name = Annotated[str, typer.Argument(help="Of a model, as `segwidget models` lists them.")]


def main() -> None:
    """Run the command; an error of segwidget's is one sentence on stderr and exit code 1."""
    try:
        app()
    except SegwidgetError as error:
        typer.echo(f"segwidget: {error}", err=True)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    del version  # its callback has ended the program


@models.callback()
def list_models(context: typer.Context) -> None:
    """List the models that are known by name, and which of them are on this computer."""
    if context.invoked_subcommand is not None:
        return
    rows = [("NAME", "SIZE", "LICENCE", "HERE", "WHERE"), *map(_describe, MODELS.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
    typer.echo()
    for model in MODELS.values():
        typer.echo(f"{model.name.ljust(widths[0])}  {model.title}. {model.purpose}")
    typer.echo(
        "\n`segwidget models download NAME` fetches one into the folder "
        f"{cache_folder()}; SEGWIDGET_CACHE names another."
    )


def _describe(row: ModelRow) -> tuple[str, str, str, str, str]:
    if is_cached(row):
        here, where = "yes", str(row.path)
    elif row.path.exists():
        here, where = "damaged", str(row.path)
    else:
        here, where = "no", ""
    return row.name, megabytes(row.size), row.licence, here, where


@models.command()
def download(
    name: Name,
    mirror: Annotated[
        str | None,
        typer.Option(
            help="An address or a folder under which the file's name follows, instead of the "
            "authors' address. SEGWIDGET_MIRROR does the same."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Fetch it also if it is here.")] = False,
) -> None:
    """Fetch a model's weights, verified by size and SHA-256; goes on where it was interrupted."""
    from tqdm import tqdm

    from segwidget.inference.download import download_checkpoint

    row = find_row(name)
    if row.url and (force or not is_cached(row)):
        # The delay keeps the bar away from errors that come at once.
        with tqdm(total=row.size, unit="B", unit_scale=True, desc=row.name, delay=0.1) as bar:

            def show(done: int, total: int) -> None:
                del total
                bar.update(done - bar.n)  # backwards, too, where a server cannot go on

            def tell(sentence: str) -> None:
                bar.write(sentence, file=sys.stderr)

            try:
                download_checkpoint(row, progress=show, notice=tell, mirror=mirror, force=force)
            except KeyboardInterrupt:
                tell("Stopped. The same command goes on from there.")
                raise typer.Exit(130) from None
    typer.echo(f"{row.name} is here: {row.path}")


@models.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="Of a model; without it, all here.")] = None,
) -> None:
    """Hash the files that are here again, and compare them with the published ones."""
    from segwidget.inference.download import verify as verify_file

    if name is None:
        rows = [row for row in MODELS.values() if row.path.exists()]
    else:
        rows = [find_row(name)]
    failures = []
    for row in rows:
        try:
            typer.echo(f"{row.name} is the published file, SHA-256 {verify_file(row)}")
        except SegwidgetError as error:
            failures.append(str(error))
    if failures:
        raise CheckpointError("\n".join(failures))


@app.command()
def embed(
    paths: Annotated[list[str], typer.Argument(help="Images, folders, or patterns.")],
    model: Annotated[str, typer.Option(help="A model's name, or a checkpoint.")] = "embedded",
    device: Annotated[
        str | None, typer.Option(help="Such as cpu or cuda; by default a GPU if there is one.")
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "int8", "fastest"],
        typer.Option(help="Found again by whoever embeds in the same one."),
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


if __name__ == "__main__":
    main()
