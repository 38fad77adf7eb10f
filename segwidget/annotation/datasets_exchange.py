"""A project as a Hugging Face data set, and such a data set as a project's annotations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwidget.annotation.exchange import import_records
from segwidget.annotation.formats.parquet import (
    class_names,
    labels_in,
    png_bytes,
    record_of,
    row_of,
    schema_of,
)
from segwidget.annotation.formats.raster import watched
from segwidget.annotation.formats.registry import Imported
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError, ImageError

if TYPE_CHECKING:
    import datasets

    from segwidget.annotation.project import BaseProject
    from segwidget.annotation.project_image import ProjectImage

_BATCH = 100
_PHOTOGRAPHS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def to_dataset(
    project: BaseProject, only: Iterable[str | ProjectImage] | None = None
) -> datasets.Dataset:
    """See `BaseProject.to_dataset`."""
    library = _library()
    import pyarrow as pa

    records = list(project.records(only))
    labels = labels_in(records)
    schema = schema_of(labels)

    def batches() -> Iterator[Any]:
        rows = []
        for record in watched(records, "Collecting"):
            rows.append(row_of(record, _image(project, record.image.name), labels))
            if len(rows) == _BATCH:
                yield pa.RecordBatch.from_pylist(rows, schema)
                rows = []
        yield pa.RecordBatch.from_pylist(rows, schema)

    table = pa.Table.from_batches(batches(), schema)
    made: datasets.Dataset = library.Dataset(library.table.InMemoryTable(table))
    return made


def _image(project: BaseProject, key: str) -> dict[str, Any]:
    """An image's file, which `datasets` opens when it is asked for; or its pixels as PNG."""
    folder = project._source.folder
    found = None if folder is None else project._source.find(project._places[key])
    if isinstance(found, str | os.PathLike) and Path(found).suffix.lower() in _PHOTOGRAPHS:
        return {"bytes": None, "path": os.path.abspath(Path(found).expanduser())}  # noqa: PTH100
    return {"bytes": png_bytes(project.open(key).pixels), "path": key}


def classes_of(dataset: Any) -> list[str]:
    """The names of the classes of a data set's masks.

    Raises:
        FormatError: this is no split of a data set.
    """
    if not hasattr(dataset, "features") or not hasattr(dataset, "column_names"):
        raise FormatError(
            f"The data set is a {type(dataset).__name__}; expected one split, such as "
            "datasets.load_dataset(...)['train']."
        )
    features: Any = dataset.features
    return class_names(features.to_dict()) if features is not None else []


def import_dataset(project: BaseProject, dataset: Any) -> Imported:
    """Take over the annotations of a data set whose images the project has, in its order.

    Raises:
        FormatError: it has no list of annotations.
        StoreError: the store cannot be written.
    """
    classes = classes_of(dataset)
    columns = [name for name in ("annotations", "objects") if name in dataset.column_names][:1]
    if not columns:
        raise FormatError(
            f"The data set has the columns {', '.join(map(repr, dataset.column_names))}; expected "
            "'annotations' or 'objects', a list of masks for each image."
        )
    rows = dataset.select_columns(columns)
    known = LabelSet.of(classes) if classes else None
    read = Imported()
    for key, row in watched(zip(project.keys, rows, strict=True), "Reading"):
        try:
            info = project[key].info
        except ImageError as error:
            read.problems.append(f"{key!r}: its annotations were left out. {error}")
            continue
        whole: Mapping[str, Any] = {
            **row, "file_name": key, "width": info.width, "height": info.height,
            "sha256": info.sha256,
        }  # fmt: skip
        record = record_of(whole, repr(key), classes, known, None, read.problems)
        if record is not None and len(record):
            read.records.append(record)
    return import_records(project, read)


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise FormatError(
            "datasets is not installed; install it with: pip install 'segwidget[datasets]'"
        ) from error
    return datasets
