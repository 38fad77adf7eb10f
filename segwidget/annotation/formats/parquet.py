"""Parquet as Hugging Face's `datasets` has it: one row an image, and its annotations in a list.

The columns are `image` (the file's bytes, or its name), `file_name`, `width`, `height`, `sha256`
and `annotations`: of each `id`, `label` (a class number), `bbox` (x, y, width, height in pixels),
`area`, `segmentation` (COCO's run lengths: `size` [h, w] and `counts`), `iscrowd`, `predicted_iou`,
`stability_score`, `origin`, and all the rest as JSON in `segwidget`. The names of the classes stand
in the schema, where `datasets` looks for them (`ClassLabel`), so that
`datasets.Dataset.from_parquet(path)` gives images and names at once.

Tables of others are read too, where they have such a list as `annotations` or `objects`, with
run lengths or polygons.
"""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats.coco import from_row
from segwidget.annotation.formats.raster import watched
from segwidget.annotation.formats.registry import Format, Imported, Opener, Sizes
from segwidget.annotation.labels import DEFAULT_NAME, Label, LabelSet
from segwidget.errors import FormatError, SegwidgetError, StoreError

_COLUMNS = frozenset(
    {"id", "label", "rle", "box", "area", "predicted_iou", "stability_score", "origin"}
)
_REST = frozenset(one.name for one in fields(Annotation)) - _COLUMNS
_LISTS = ("annotations", "objects")
_CLASSES = ("label", "category", "category_id")
_ROWS, _BYTES = 1000, 2**26  # of a row group, whichever is reached first


def labels_in(records: Iterable[Annotations]) -> LabelSet:
    """The labels of several images as one set."""
    labels: LabelSet | None = None
    for record in records:
        labels = record.labels if labels is None else labels.joined(record.labels)
    return LabelSet.of(DEFAULT_NAME) if labels is None else labels


def schema_of(labels: LabelSet) -> Any:
    """The Arrow schema of a data set, with what `datasets` wants to know of it.

    Raises:
        FormatError: pyarrow is not installed.
    """
    pa, _ = _pyarrow()

    def value(kind: str) -> dict[str, str]:
        return {"dtype": kind, "_type": "Value"}

    numbers = {name: value("float64") for name in ("predicted_iou", "stability_score")}
    item = {
        "id": value("string"),
        "label": {"names": list(labels.names), "_type": "ClassLabel"},
        "bbox": [value("float64")],
        "area": value("int64"),
        "segmentation": {"size": [value("int64")], "counts": value("string")},
        "iscrowd": value("bool"), **numbers,
        "origin": value("string"), "segwidget": value("string"),
    }  # fmt: skip
    features = {
        "image": {"_type": "Image"},
        "file_name": value("string"), "width": value("int64"), "height": value("int64"),
        "sha256": value("string"), "annotations": [item],
    }  # fmt: skip
    metadata = {
        "huggingface": json.dumps({"info": {"features": features}}),
        "segwidget": json.dumps(labels.to_json()),
    }
    types = {
        "string": pa.string(),
        "float64": pa.float64(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
    }

    def arrow(feature: Any) -> Any:
        if isinstance(feature, list):
            return pa.list_(arrow(feature[0]))
        kind = feature.get("_type")
        if kind == "Image":
            return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        if kind == "ClassLabel":
            return pa.int64()
        if kind == "Value":
            return types[feature["dtype"]]
        return pa.struct([(name, arrow(one)) for name, one in feature.items()])

    return pa.schema([(name, arrow(one)) for name, one in features.items()], metadata)


def row_of(record: Annotations, image: Mapping[str, Any], labels: LabelSet) -> dict[str, Any]:
    """A row: the image and its annotations.

    Args:
        record: the annotations.
        image: "bytes" and "path", one of them None.
        labels: of the data set.
    """
    numbers = {name: number for number, name in enumerate(labels.names)}
    items = []
    for item in record:
        (x0, y0, x1, y1), whole = item.box, item.to_dict()
        rest = {key: whole[key] for key in whole if key in _REST}
        items.append({
            "id": item.id, "label": numbers[item.label], "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": item.area, "segmentation": whole["rle"],
            "iscrowd": item.attributes.get("iscrowd") is True,
            "predicted_iou": item.predicted_iou, "stability_score": item.stability_score,
            "origin": item.origin, "segwidget": json.dumps(rest, allow_nan=False),
        })  # fmt: skip
    info = record.image
    return {
        "image": dict(image), "file_name": info.name, "width": info.width, "height": info.height,
        "sha256": info.sha256, "annotations": items,
    }  # fmt: skip


def png_bytes(pixels: Any) -> bytes:
    """An image as a PNG file.

    Args:
        pixels: (H, W, 3) uint8.
    """
    stream = io.BytesIO()
    PILImage.fromarray(pixels).save(stream, "PNG", compress_level=3)
    return stream.getvalue()


def write_parquet(
    records: Iterable[Annotations], path: Path, *, images: Opener | None = None
) -> Path:
    """Write a Parquet file, whole or not at all.

    Args:
        records: the annotations of each image.
        path: of the file.
        images: opens an image by its name; then their pixels are in the file, as PNG.

    Raises:
        FormatError: pyarrow is not installed.
        ImageError: an image cannot be opened.
        StoreError: the place cannot be written; what was there before is untouched.
    """
    pa, parquet = _pyarrow()
    kept = list(records)
    labels = labels_in(kept)
    schema = schema_of(labels)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with parquet.ParquetWriter(temporary, schema) as writer:
            rows: list[dict[str, Any]] = []
            size = 0
            for record in watched(kept, "Writing"):
                name = record.image.name
                data = None if images is None else png_bytes(images(name))
                rows.append(row_of(record, {"bytes": data, "path": name}, labels))
                size += len(data or b"")
                if len(rows) >= _ROWS or size >= _BYTES:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows, size = [], 0
            writer.write_table(pa.Table.from_pylist(rows, schema))
        os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        if isinstance(error, SegwidgetError):
            raise
        raise StoreError(
            f"{str(path)!r} cannot be written: {error.strerror or error}. What was there before is "
            "untouched; choose another place, or make room."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return path


def read_parquet(path: Path, *, sizes: Sizes | None = None) -> Imported:
    """Read a Parquet file, or a folder of them; what is wrong is told and left out.

    Args:
        path: the file or folder.
        sizes: the images' sizes, where the table does not have them.

    Raises:
        FormatError: pyarrow is not installed, or this is no Parquet with such a list.
        StoreError: it cannot be read.
    """
    _pyarrow()
    read, names = Imported(), set[str]()
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    for file in files:
        schema, rows = _open(file, read.problems)
        classes = class_names(_features(schema))
        known = _own_labels(schema)
        for index, row in watched(enumerate(rows), "Reading"):
            where = f"{file.name!r}: row {index}"
            record = record_of(row, where, classes, known, sizes, read.problems)
            if record is not None and record.image.name in names:
                read.problems.append(f"{where}: another row is about {record.image.name!r}, too. "
                                     "It was left out.")  # fmt: skip
            elif record is not None:
                names.add(record.image.name)
                read.records.append(record)
    return read


def _open(file: Path, problems: list[str]) -> tuple[Any, Iterator[dict[str, Any]]]:
    """The schema, and the rows without their images."""
    pa, parquet = _pyarrow()
    try:
        opened = parquet.ParquetFile(file)
        schema = opened.schema_arrow
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise StoreError(f"{str(file)!r} cannot be read: {error.strerror}.") from error
        raise FormatError(
            f"{file.name!r} is no Parquet file, or a damaged one: {error}. Copy or export it again."
        ) from error
    if not set(_LISTS) & set(schema.names):
        raise FormatError(
            f"{file.name!r} has the columns {', '.join(map(repr, schema.names))}; expected "
            "'annotations' or 'objects', a list of masks for each image."
        )
    # The images would be most of the work.
    wanted = [name for name in schema.names if name != "image"]
    if "image" in schema.names and pa.types.is_struct(schema.field("image").type):
        wanted.append("image.path")

    def rows() -> Iterator[dict[str, Any]]:
        done = 0
        try:
            with opened:
                for batch in opened.iter_batches(64, columns=wanted):
                    for row in batch.to_pylist():
                        done += 1
                        yield row
        except (pa.ArrowException, OSError, ValueError) as error:
            problems.append(
                f"{file.name!r} is damaged after row {done}: {error}. The rest was left out."
            )

    return schema, rows()


def _features(schema: Any) -> Any:
    try:
        return json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        return {}


def _own_labels(schema: Any) -> LabelSet | None:
    """The labels with their colors, where segwidget has written them."""
    try:
        return LabelSet.from_json(json.loads((schema.metadata or {})[b"segwidget"]))
    except (KeyError, ValueError, SegwidgetError):
        return None


def class_names(features: Any) -> list[str]:
    """The names of the classes in `datasets`' features as JSON, or in a part of them.

    Those of the list of annotations, which may be of one of several forms.
    """
    if isinstance(features, Mapping) and set(_LISTS) & features.keys():
        features = next(features[name] for name in _LISTS if name in features)
    if isinstance(features, Mapping) and features.get("_type") == "ClassLabel":
        names = features.get("names")
        return [str(name) for name in names] if isinstance(names, list) else []
    inside = features.values() if isinstance(features, Mapping) else features
    if isinstance(inside, str) or not isinstance(inside, Iterable):
        return []
    return next((found for one in inside if (found := class_names(one))), [])


def record_of(
    row: Mapping[str, Any],
    where: str,
    classes: list[str],
    known: LabelSet | None,
    sizes: Sizes | None,
    problems: list[str],
) -> Annotations | None:
    """The annotations of a row; what is wrong is told and left out.

    Args:
        row: of the table.
        where: its place, for messages.
        classes: names by class number.
        known: the labels, where more than their names is known.
        sizes: the images' sizes, where the table does not have them.
        problems: are added to.
    """
    try:
        info = _info(row, sizes)
        listed = next(row[name] for name in _LISTS if name in row)
        if isinstance(listed, Mapping):  # as older versions of datasets hold a list of structs
            keys = [key for key in listed if isinstance(listed[key], list)]
            listed = [
                dict(zip(keys, values, strict=True))
                for values in zip(*(listed[key] for key in keys), strict=True)
            ]
    except (SegwidgetError, KeyError, StopIteration, ValueError) as error:
        problems.append(f"{where}: {error} It was left out.")
        return None
    items: dict[str, Annotation] = {}
    for index, one in enumerate(listed or ()):
        place = f"annotations[{index}]"
        try:
            item = _item(one, place, classes, info)
            if item.rle.area == 0 or item.id in items:
                raise FormatError("its mask is empty, or its id is there twice.")
        except SegwidgetError as error:
            text = str(error).removeprefix(place).lstrip(": ")
            problems.append(f"{where}: {place}: {text} It was left out.")
            continue
        items[item.id] = item
    return Annotations(items.values(), info, known)


def _info(row: Mapping[str, Any], sizes: Sizes | None) -> ImageInfo:
    image = row.get("image")
    name = row.get("file_name") or (image.get("path") if isinstance(image, Mapping) else None)
    if not isinstance(name, str):
        raise FormatError("There is neither a 'file_name' nor a path of its image.")
    width, height = row.get("width"), row.get("height")
    if width is None or height is None:
        if sizes is None:
            raise FormatError("There is no 'width' and 'height'; import it into its project.")
        height, width = sizes(name)
    text: Any = PurePosixPath(name).as_posix() if name else name
    return ImageInfo(text, width, height, row.get("sha256") or "")


def _item(row: Any, where: str, classes: list[str], image: ImageInfo) -> Annotation:
    if not isinstance(row, Mapping):
        raise FormatError(f"It is a {type(row).__name__}; expected an object.")
    class_ = next((row[name] for name in _CLASSES if row.get(name) is not None), None)
    if isinstance(class_, int) and 0 <= class_ < len(classes):
        class_ = classes[class_]
    if not isinstance(class_, str):
        raise FormatError(f"Its label is {class_!r}, and there are {len(classes)} classes.")
    if row.get("segmentation") is None:
        raise FormatError("It has no 'segmentation'; a box alone is no mask.")
    given = {**row, "category_id": class_, "segwidget": None}
    if isinstance(row.get("segwidget"), str):
        try:
            extras = json.loads(row["segwidget"])
        except (ValueError, RecursionError):
            raise FormatError("Its 'segwidget' is not JSON.") from None
        if not isinstance(extras, Mapping):
            raise FormatError("Its 'segwidget' is no object.")
        own = {key: row[key] for key in ("id", "origin") if key in row}
        given["segwidget"] = {**extras, **own}
    return from_row(given, where, image, {class_: Label(class_, "#808080")})


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise FormatError(
            "Parquet needs pyarrow, which is not installed: pip install 'segwidget[datasets]'"
        ) from error
    return pa, parquet


FORMAT = Format("parquet", "Parquet", "file", ".parquet", True, write_parquet, read_parquet)
