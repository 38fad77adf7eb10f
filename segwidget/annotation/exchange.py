"""A project's annotations to other programs' files and back."""

from __future__ import annotations

import os
import secrets
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.formats import registry
from segwidget.annotation.formats.registry import Imported
from segwidget.errors import AnnotationError, ImageError, StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from segwidget.annotation.project import BaseProject
    from segwidget.annotation.project_image import ProjectImage
    from segwidget.media.georeference import Georeference


def export_project(
    project: BaseProject,
    path: Path,
    format_: str | None,
    only: Iterable[str | ProjectImage] | None = None,
) -> Path:
    """See `BaseProject.export`."""
    return registry.export(project.records(only), path, format_, images=_Images(project))


def import_into(project: BaseProject, path: Path, format_: str | None) -> Imported:
    """See `BaseProject.import_`."""
    sizes = _ImageSizes(project, _Names(project.keys))
    return import_records(project, registry.read(path, format_, sizes=sizes))


def import_records(project: BaseProject, read: Imported) -> Imported:
    """Add to a project what was read; what does not fit is told, after the reader's problems.

    Raises:
        StoreError: the store cannot be written.
    """
    names = _Names(project.keys)
    done, problems = [], list(read.problems)
    for record in read.records:
        name = record.image.name
        key = names.find(name)
        if key is None:
            problems.append(
                f"{name!r}: no image of the project has this name, so its {len(record)} "
                "annotations were left out."
            )
            continue
        try:
            new, reasons = _fitting(project, key, record)
            project[key].annotations.extend(new, "import")
        except (ImageError, AnnotationError) as error:
            problems.append(f"{name!r}: its annotations were left out. {error}")
            continue
        problems += reasons
        info = project[key].info
        done.append(Annotations(new, info, record.labels))
    return Imported(done, problems)


def zip_project(project: BaseProject, format_: str) -> Path:
    """See `BaseProject.download`."""
    kind = registry.get_format(format_)
    store = Path(project.store.path)
    if project.read_only:
        store = Path(store.name).absolute()
    target = store.with_name(f"{store.stem}-{kind.name}.zip")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    with tempfile.TemporaryDirectory(prefix="segwidget-") as place:
        folder = Path(place)
        name = kind.name if kind.kind == "folder" else f"annotations{kind.suffix}"
        written = export_project(project, folder / name, kind.name)
        try:
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for file in sorted(folder.rglob("*")) if written.exists() else ():
                    if file.is_file():
                        archive.write(file, file.relative_to(folder).as_posix())
            os.replace(temporary, target)  # noqa: PTH105
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StoreError(
                f"{str(target)!r} cannot be written: {error.strerror or error}. Make room, or use "
                "export(path) to another place."
            ) from error
    return target


class _Images:
    """What formats may ask of a project's images: their pixels, and their places on the map."""

    def __init__(self, project: BaseProject) -> None:
        self._project = project

    def __call__(self, name: str) -> NDArray[Any]:
        return self._project.open(name).pixels

    def georeference(self, name: str) -> Georeference | None:
        return _georeference(self._project, name)


class _ImageSizes:
    """What formats may ask of a project's images by the names that files give them.

    Attributes:
        names: of all images, in order.
    """

    def __init__(self, project: BaseProject, names: _Names) -> None:
        self._project, self._names = project, names
        self.names = project.keys

    def find(self, name: str) -> str | None:
        """The name in the project of the image that is called so."""
        return self._names.find(name)

    def __call__(self, name: str) -> tuple[int, int]:
        key = self._names.find(name)
        if key is None:
            raise ImageError(f"There is no image {name!r} in the project.")
        info = self._project[key].info
        return info.height, info.width

    def georeference(self, name: str) -> Georeference | None:
        key = self._names.find(name)
        return None if key is None else _georeference(self._project, key)


def _georeference(project: BaseProject, key: str) -> Georeference | None:
    return project._source.georeference(project._places[key])


class _Names:
    """Finds a key for the name that a file gives an image; names are only ever text."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = frozenset(keys)
        self._by_tail: dict[str, set[str]] = defaultdict(set)
        for key in self._keys:
            path = PurePosixPath(key)
            for tail in (path.name, path.stem, path.with_suffix("").as_posix()):
                self._by_tail[tail].add(key)

    def find(self, name: str) -> str | None:
        """The key of this name; or the only one whose file is called so, with or without suffix."""
        text = name.replace("\\", "/")
        if text in self._keys:
            return text
        path = PurePosixPath(text)
        for tail in (
            text,
            path.name,
            path.with_suffix("").as_posix() if path.name else "",
            path.stem,
        ):
            found = self._by_tail.get(tail, set())
            if len(found) == 1:
                return next(iter(found))
        return None


def _fitting(
    project: BaseProject, key: str, record: Annotations
) -> tuple[list[Annotation], list[str]]:
    """What can be added to an image as imported, and why the rest cannot."""
    info = project[key].info
    present = project.store.annotations(key)
    ids = {item.id for item in present}
    masks = {(item.label, item.rle) for item in present}
    new, reasons, again = [], [], 0
    for item in record:
        if item.rle.size != (info.height, info.width):
            reasons.append(
                f"{key!r}: annotation {item.id!r} was left out: its mask is of size "
                f"{item.rle.size}, but the image is {(info.height, info.width)}, both "
                "(height, width)."
            )
        elif (item.label, item.rle) in masks:
            again += 1
        else:
            id_ = item.id if item.id not in ids else secrets.token_hex(16)
            ids.add(id_)
            new.append(replace(item, id=id_, origin="imported", image=info.sha256))
    if again:
        reasons.append(f"{key!r}: {again} annotations are there already and were not added again.")
    return new, reasons


__all__ = ["Imported", "export_project", "import_into", "import_records", "zip_project"]
