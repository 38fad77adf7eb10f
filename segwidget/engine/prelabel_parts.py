"""The files that a bulk run writes: many images each, whole or not at all.

A part is written under a name of its own that begins with a dot; whoever keeps the books
(`prelabel_folder`) gives it its final name. `read_part` reads one back.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from segwidget.errors import FormatError, SettingError, StoreError

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotations

OutputFormat: TypeAlias = Literal["sa1b", "parquet"]
SUFFIXES: dict[str, str] = {"sa1b": ".tar", "parquet": ".parquet"}
PART = re.compile(r"\.[0-9a-z-]+\.[0-9a-f]{12}\.part")
_ROW_FIELDS = (
    "segmentation", "area", "bbox", "predicted_iou", "stability_score", "crop_box", "point_coords"
)  # fmt: skip


def new_part(folder: Path, shard: str) -> Path:
    """A name that no other part has."""
    return folder / f".{shard}.{secrets.token_hex(6)}.part"


def require_pyarrow() -> None:
    """Raise a sentence where Parquet cannot be written.

    Raises:
        SettingError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise SettingError(
            "Parquet needs the package pyarrow, which is not installed: "
            "pip install 'segwidget[datasets]'. Or write SA-1B's files, with format='sa1b'."
        ) from error


class PartWriter:
    """Collects images, and writes them into one file.

    Attributes:
        nbytes: of the file, once it is written.
        sha256: likewise, in hex.
    """

    def __init__(self, path: Path, format: OutputFormat) -> None:  # noqa: A002
        self._path, self._format = path, format
        self._rows: list[tuple[str, dict[str, Any]]] = []
        self.nbytes, self.sha256 = 0, ""

    @property
    def written(self) -> bool:
        """Whether any image was added; then there is a file in the end."""
        return bool(self._rows)

    def add(self, key: str, annotations: Annotations) -> None:
        """Add an image with its masks."""
        from segwidget.annotation.formats.sa1b import to_sa1b

        self._rows.append((key, to_sa1b(annotations)))

    def write(self) -> None:
        """Write the file and have the disk confirm it; nothing where no image was added."""
        if not self._rows:
            return
        data = _tar(self._rows) if self._format == "sa1b" else _parquet(self._rows)
        try:
            with self._path.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise StoreError(
                f"{str(self._path.parent)!r} cannot be written: {error.strerror or error}. What is "
                "done stays; make room and run the same again."
            ) from error
        self.nbytes, self.sha256 = len(data), hashlib.sha256(data).hexdigest()


@contextmanager
def part_writer(path: Path, format: OutputFormat) -> Iterator[PartWriter]:  # noqa: A002
    """A writer whose file is there when the block has ended, and is not where it failed.

    Raises:
        StoreError: the folder cannot be written, or the disk is full.
    """
    writer = PartWriter(path, format)
    try:
        yield writer
        writer.write()
    except BaseException:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def read_part(path: Path) -> Iterator[Annotations]:
    """Read a file of a bulk run, an image at a time.

    Raises:
        StoreError: it cannot be read.
        FormatError: it is damaged, or of another kind; the message names the place.
    """
    from segwidget.annotation.formats.sa1b import from_sa1b

    rows = _tar_rows(path) if path.suffix == ".tar" else _parquet_rows(path)
    try:
        for name, row in rows:
            try:
                yield from_sa1b(row)
            except FormatError as error:
                raise FormatError(f"{path.name!r}: {name}: {error}") from error
    except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"{path.name!r} is damaged: {error}. Delete its line in the manifest and run the same "
            "again."
        ) from error
    except OSError as error:
        raise StoreError(
            f"{str(path)!r} cannot be read: {error.strerror or error}. Check the path."
        ) from error


def _tar(rows: list[tuple[str, dict[str, Any]]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for key, row in rows:
            text = json.dumps(row, allow_nan=False, separators=(",", ":")).encode("ascii")
            member = tarfile.TarInfo(f"{key}.json")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return stream.getvalue()


def _tar_rows(path: Path) -> Iterator[tuple[str, Any]]:
    with tarfile.open(path) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is not None:
                yield member.name, json.loads(stream.read())


def _parquet(rows: list[tuple[str, dict[str, Any]]]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(
        [
            {
                **{k: row["image"][k] for k in ("file_name", "width", "height", "sha256")},
                "annotations": [
                    {**{k: a[k] for k in _ROW_FIELDS}, "segwidget": json.dumps(a["segwidget"])}
                    for a in row["annotations"]
                ],
            }
            for _, row in rows
        ],
        schema=_schema(),
    )
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd")
    return stream.getvalue()


def _schema() -> Any:
    """One row for each image; its masks have SA-1B's fields, and all the rest as JSON."""
    import pyarrow as pa

    segmentation = pa.struct({"size": pa.list_(pa.int32()), "counts": pa.string()})
    mask = pa.struct(
        {
            "segmentation": segmentation,
            "area": pa.int64(),
            "bbox": pa.list_(pa.float64()),
            "predicted_iou": pa.float64(),
            "stability_score": pa.float64(),
            "crop_box": pa.list_(pa.int32()),
            "point_coords": pa.list_(pa.list_(pa.float64())),
            "segwidget": pa.string(),
        }
    )
    return pa.schema(
        {
            "file_name": pa.string(),
            "width": pa.int32(),
            "height": pa.int32(),
            "sha256": pa.string(),
            "annotations": pa.list_(mask),
        }
    )


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    require_pyarrow()
    import pyarrow.parquet as pq

    for row in pq.read_table(path).to_pylist():
        masks = [{**a, "segwidget": json.loads(a["segwidget"])} for a in row.pop("annotations")]
        yield row["file_name"], {"image": row, "annotations": masks}
