"""The ``segwidget`` command.

A command is a short function: it reads its arguments, calls the library, and prints. What is heavy
is imported inside of it, so that every other command answers at once. A group of commands is a
module of its own, whose functions are added to `app` here.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from segwidget import __version__
from segwidget.cli.embed import cache, embed
from segwidget.cli.evaluate import evaluate
from segwidget.cli.exchange import export, import_
from segwidget.cli.models import models
from segwidget.cli.prelabel import prelabel
from segwidget.errors import SegwidgetError

app = typer.Typer(
    name="segwidget",
    help="Promptable segmentation in notebooks: what can be done without one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(models, name="models")
app.command()(embed)
app.command()(prelabel)
app.command()(evaluate)
app.command()(export)
app.command("import")(import_)
app.add_typer(cache, name="cache")


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
