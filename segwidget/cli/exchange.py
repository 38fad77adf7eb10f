"""``segwidget export`` and ``segwidget import``: annotations as other programs' files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segwidget.errors import FormatError, StoreError

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject

Source = Annotated[str, typer.Argument(help="A project's folder of images, or its .db file in it.")]


def export(
    project: Source,
    out: Annotated[str, typer.Option(help="The file or folder that is written.")],
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="Such as coco or yolo-seg; by default as the name ends.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Read it again, and print the IoU with what there is.")
    ] = False,
) -> None:
    """Write a project's annotations for other programs."""
    _check_format(out, format)
    with _open(project, needed=True) as opened:
        written = opened.export(out, format)
        typer.echo(f"Written: {written}")
        if not opened.store.counts():
            typer.echo("It holds no annotation, since the project has none yet.", err=True)
        if check:
            _check(opened, written, format)


def _check(project: BaseProject, path: Path, format: str | None) -> None:  # noqa: A002
    """Print how the annotations would come back."""
    from segwidget.annotation.formats.registry import get_format, guess_format
    from segwidget.annotation.formats.round_trip import read_back

    chosen = guess_format(path) if format is None else get_format(format)
    done = read_back(project.records(), path, chosen)
    for problem in done.problems:
        typer.echo(problem, err=True)
    for name, iou in done.worst():
        typer.echo(f"  {name}: {len(done.ious[name])} annotations, mean IoU {iou:.4f}")
    typer.echo(
        f"{chosen.name}: {done.count} {'boxes' if chosen.boxes else 'masks'} of {len(done.ious)} "
        f"images read back, mean IoU {done.mean:.4f}, lowest {done.min:.4f}, {done.lost} lost, "
        f"{len(done.problems)} problems."
    )


def import_(
    project: Source,
    source: Annotated[str, typer.Argument(help="A file or folder of another program's.")],
    format: Annotated[  # noqa: A002
        str | None, typer.Option(help="Such as coco or yolo-seg; by default as it looks.")
    ] = None,
) -> None:
    """Read annotations of other programs into a project, or those of `segwidget prelabel`."""
    if Path(source).expanduser().exists():
        _check_source(source, format)
    with _open(project) as opened:
        if (Path(source).expanduser() / "manifest.jsonl").is_file():
            taken = _import_prelabels(opened, source)
        else:
            taken = _import_file(opened, source, format)
    if not taken:
        raise typer.Exit(1)


def _import_file(project: BaseProject, source: str, format: str | None) -> int:  # noqa: A002
    imported = project.import_(source, format)
    for problem in imported.problems:
        typer.echo(problem, err=True)
    count = sum(len(record) for record in imported.records)
    typer.echo(
        f"{count} annotations of {len(imported.records)} images read, "
        f"{len(imported.problems)} problems."
    )
    return len(imported.records)


def _import_prelabels(project: BaseProject, folder: str) -> int:
    from segwidget.engine.prelabel import read_prelabels

    keys = set(project.keys)
    taken = masks = unknown = busy = 0
    for record in read_prelabels(folder):
        key = record.image.name
        if key not in keys:
            unknown += 1
        elif len(project[key].annotations):
            busy += 1  # a person's work is never written over
        else:
            project[key].annotations.replace(list(record))
            taken += 1
            masks += len(record)
    typer.echo(
        f"{masks} annotations of {taken} images read; {busy} images have annotations already and "
        f"{unknown} are not in the project."
    )
    return taken + busy


def _check_source(source: str, format: str | None) -> None:  # noqa: A002
    """Tell early, in the command line's words, what cannot be imported."""
    path = Path(source).expanduser()
    if path.is_dir() and next(path.iterdir(), None) is None:
        raise StoreError(f"The folder {source!r} is empty. Check the path.")
    if not (path / "manifest.jsonl").is_file():
        _check_format(source, format)


def _check_format(path: str, format: str | None) -> None:  # noqa: A002
    """Check that a format is named, or told by a path.

    Raises:
        FormatError: neither.
    """
    from segwidget.annotation.formats.guessing import guess
    from segwidget.annotation.formats.registry import FORMATS

    if format is None and guess(Path(path).expanduser()) is None:
        raise FormatError(
            f"Nothing tells which format {Path(path).name!r} is in. Say it with --format, one of "
            f"{', '.join(FORMATS)}."
        )


def _open(source: str, *, needed: bool = False) -> BaseProject:
    """The project in a folder, or of a .db file; one that is not there is not made.

    Args:
        source: the folder, or the file.
        needed: the folder must hold a project already, not only images.

    Raises:
        StoreError: there is none.
    """
    from segwidget.annotation.project import STORE_NAME, BaseProject

    path = Path(source).expanduser()
    if needed and path.is_dir() and not (path / STORE_NAME).exists():
        raise StoreError(
            f"There is no {STORE_NAME} in {source!r}, so nothing is annotated there. Check the "
            "path; a project whose store lies elsewhere is named by its .db file."
        )
    if path.is_file():
        return BaseProject(path.parent, store=path)
    if path.is_dir():
        return BaseProject(path)
    raise StoreError(
        f"There is no project {source!r}; expected a folder of images, or a project's .db file."
    )
