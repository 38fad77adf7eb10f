"""``segwidget models``: those known by name, fetched and verified."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from segwidget.errors import CheckpointError, SegwidgetError
from segwidget.inference.registry import (
    MODELS,
    ModelRow,
    cache_folder,
    find_row,
    is_cached,
    megabytes,
)

models = typer.Typer(help="List, download and verify models.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="A model's name, as `segwidget models` lists them.")]


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
        title = f"{model.title[:1].upper()}{model.title[1:]}"
        typer.echo(f"{model.name.ljust(widths[0])}  {title}. {model.purpose}")
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
                bar.delay = 0  # what was written ends the bar's line, also when it never moved
                bar.write(sentence, file=sys.stderr)

            try:
                download_checkpoint(row, progress=show, notice=tell, mirror=mirror, force=force)
            except KeyboardInterrupt:
                tell("Stopped. The same command goes on from there.")
                raise typer.Exit(130) from None
    typer.echo(f"{row.name} is here: {row.path}")


@models.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(help="A model's name; without it, all that are here.")
    ] = None,
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
