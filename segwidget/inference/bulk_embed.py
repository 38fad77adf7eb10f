"""Embedding many images ahead, so that each of them later opens in the time of an answer."""

from __future__ import annotations

import glob
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from PIL import Image as PILImage

from segwidget.errors import ImageError, ModelError, StoreError
from segwidget.inference.embedding_store import (
    MAX_BYTES_VARIABLE,
    EmbeddingStore,
    default_store,
    limit_from_environment,
)
from segwidget.inference.embeddings import features_nbytes, find_on_disk, keep, rounded
from segwidget.inference.models import Model, load_model
from segwidget.inference.network import Precision
from segwidget.inference.registry import megabytes
from segwidget.media.decoding import FORMATS
from segwidget.media.image import Image, open_image

HEADER_BYTES = 512  # of an embedding's file, at most
OPENED_AHEAD = 4  # images that are decoded and hashed while the network runs


class Failure(NamedTuple):
    """An image that was skipped.

    Attributes:
        path: as it was given or found.
        reason: why, in a sentence.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class BulkReport:
    """How far a bulk run is.

    Attributes:
        total: images in all.
        embedded: images that were embedded in this run.
        found: images whose embedding was on disk already.
        unkept: images whose embedding cannot be kept: it is larger than the store's limit, or has
            numbers beyond float16's range.
        failures: images that cannot be opened.
        remark: what a person should do about the store's limit, or "".
    """

    total: int
    embedded: int = 0
    found: int = 0
    unkept: int = 0
    failures: tuple[Failure, ...] = ()
    remark: str = ""

    @property
    def done(self) -> int:
        """Images that are dealt with, in whichever way."""
        return self.embedded + self.found + self.unkept + len(self.failures)


def embed_images(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    model: str | Path | Model = "embedded",
    *,
    device: str | None = None,
    precision: Precision | None = None,
    recursive: bool = False,
    max_bytes: int | None = None,
    store: EmbeddingStore | None = None,
    on_progress: Callable[[BulkReport], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> BulkReport:
    """Embed images, so that they are found on disk when they are opened.

    May be stopped at any moment, also by Ctrl+C, and may run several times at once: what is done
    stays, and what is done already is only opened and hashed.

    Args:
        paths: image files, folders, and patterns such as ``"scans/*.png"``.
        model: see :class:`Predictor`.
        device: likewise.
        precision: see :class:`Predictor`; by default float32, or that of a loaded model.
        recursive: look into the folders within folders, too.
        max_bytes: the store's limit in this run, instead of ``$SEGWIDGET_EMBEDDINGS_MAX_BYTES``.
        store: where the embeddings are written; by default the process's.
        on_progress: told after each image.
        cancelled: asked before each image; ``True`` ends the run.

    Returns:
        What became of the images.

    Raises:
        ModelError: no such model, device or precision.
        CheckpointError: the model's file is missing, damaged or unsafe.
        StoreError: embeddings are not kept: the store is turned off or cannot be written.
    """
    store = _usable(store or default_store(), max_bytes)
    files, failures = find_images(paths, recursive=recursive)
    report = BulkReport(len(files) + len(failures), failures=failures)
    if not files:
        return report
    loaded = _loaded(model, device, precision)
    if on_progress is not None:
        on_progress(report)
    run = _Run(loaded, store, report)
    images = _opened_ahead(files)
    try:
        for image in images:
            if cancelled is not None and cancelled():
                break
            run.add(image)
            if on_progress is not None:
                on_progress(run.report)
    except KeyboardInterrupt:
        store.flush()
        run.settle()
        if on_progress is not None:  # may not have been told of the last one
            on_progress(run.report)
        raise
    finally:
        images.close()
        store.flush()
    run.require_kept()
    return run.report


def find_images(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], *, recursive: bool = False
) -> tuple[list[Path], tuple[Failure, ...]]:
    """The image files in folders and patterns, each once, in the order of their names.

    Args:
        paths: see :func:`embed_images`. A file that is named itself is taken whatever its suffix.
        recursive: look into the folders within folders, too.

    Returns:
        The files, and what was given and holds none.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found: dict[Path, None] = {}
    failures = []
    for path in (Path(p).expanduser() for p in given):
        matches = [path]
        if not path.exists() and glob.has_magic(str(path)):
            # Path.glob would find hidden files, too, and takes no absolute patterns.
            matches = [Path(p) for p in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207
        images = [file for match in matches for file in _images_in(match, recursive)]
        if not images:
            where = "It holds no image files" if path.is_dir() else "No file has such a name"
            hint = "; its folders are looked into with recursive (--recursive)."
            more = hint if path.is_dir() and not recursive else "."
            failures.append(Failure(str(path), where + more))
        found.update(dict.fromkeys(images))
    return list(found), tuple(failures)


def _images_in(path: Path, recursive: bool) -> list[Path]:
    """The path itself, or the image files of a folder; hidden ones are nobody's pictures."""
    if not path.is_dir():
        return [path]
    PILImage.init()
    suffixes = {s for s, name in PILImage.EXTENSION.items() if name in FORMATS}
    files = []
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(f for f in folders if not f.startswith(".")) if recursive else []
        files += [
            Path(folder, name)
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes
        ]
    return files


def _usable(store: EmbeddingStore, max_bytes: int | None) -> EmbeddingStore:
    """The store with the limit of this run.

    Raises:
        StoreError: nothing may be written.
    """
    if max_bytes is not None and max_bytes != store.max_bytes:
        store = EmbeddingStore(store.folder, max_bytes)
    if store.max_bytes <= 0:
        raise StoreError(
            f"Embeddings are not kept on disk: the limit is {store.max_bytes} bytes. Set "
            f"{MAX_BYTES_VARIABLE} or max_bytes (--max-bytes) to how much they may take."
        )
    return store


def _loaded(model: str | Path | Model, device: str | None, precision: Precision | None) -> Model:
    """The model, which embeds in the precision that is asked for.

    Raises:
        ModelError: no such model or precision, or a loaded model that embeds in another one.
    """
    if not isinstance(model, Model):
        return load_model(model, device, precision or "float32")
    variant = model.network.variant
    if precision is not None and precision not in variant.split("-"):
        raise ModelError(
            f"{model.name} does not embed in the precision {precision!r} here, but as {variant!r}. "
            "Leave the precision out, or load the model with it."
        )
    return model


def _open(path: Path) -> Image | Failure:
    try:
        image = open_image(path)
    except ImageError as error:
        return Failure(str(path), str(error))
    _ = image.sha256  # kept by the image; hashing lets other threads work
    return image


def _opened_ahead(paths: list[Path]) -> Generator[Image | Failure, None, None]:
    """The images in order, some of them opened on threads before their turn."""
    with ThreadPoolExecutor(min(OPENED_AHEAD, os.cpu_count() or 1)) as pool:
        waiting: deque[Future[Image | Failure]] = deque()
        rest = iter(paths)
        try:
            while True:
                while len(waiting) < OPENED_AHEAD and (path := next(rest, None)) is not None:
                    waiting.append(pool.submit(_open, path))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Run:
    """Embeds images, and keeps count."""

    def __init__(self, model: Model, store: EmbeddingStore, report: BulkReport) -> None:
        self.model, self.store, self.report = model, store, report
        self._size_known = False
        self._keeping: tuple[Image, BulkReport] | None = None  # and the count without it

    def add(self, image: Image | Failure) -> None:
        """Embed one more.

        Raises:
            StoreError: the one before could not be written.
        """
        self.require_kept()
        report = self.report
        if isinstance(image, Failure):
            self.report = replace(report, failures=(*report.failures, image))
            return
        features = find_on_disk(self.model, image, self.store)
        if features is not None:
            report = replace(report, found=report.found + 1)
        else:
            features = rounded(self.model.network.encode(image.pixels))
            self._keeping = image, report
            if keep(self.model, image, features, self.store):
                report = replace(report, embedded=report.embedded + 1)
            else:
                report = replace(report, unkept=report.unkept + 1)
        if not self._size_known:
            self._size_known = True
            report = replace(report, remark=self._remark(features_nbytes(features)))
        self.report = report

    def settle(self) -> None:
        """Count the last image, if an interruption came between its writing and its counting."""
        if self._keeping is None:
            return
        image, before = self._keeping
        if self.report is before and find_on_disk(self.model, image, self.store) is not None:
            self.report = replace(before, embedded=before.embedded + 1)

    def require_kept(self) -> None:
        """Go no further in vain.

        Raises:
            StoreError: the disk is full, or the folder cannot be written.
        """
        if self.store.failure:
            raise StoreError(self.store.failure)

    def _remark(self, size: int) -> str:
        """What to do if all images' embeddings, of `size` bytes each, are more than is kept."""
        needed = self.report.total * (size + HEADER_BYTES)
        usual, _ = limit_from_environment()
        advice = f"Set {MAX_BYTES_VARIABLE}={_round_up(needed)}"
        if needed > self.store.max_bytes:
            return (
                f"{self.report.total} embeddings take {megabytes(needed)}, but at most "
                f"{megabytes(self.store.max_bytes)} are kept: the first make room for the last. "
                f"{advice}, here and where images are opened later."
            )
        if needed > usual:
            return (
                f"{self.report.total} embeddings take {megabytes(needed)}, which this run may use; "
                f"other programs cut that back to {megabytes(usual)}. {advice} for them, too."
            )
        return ""


def _round_up(nbytes: int) -> int:
    """A limit that is easy to read and leaves some room for other images."""
    step = int(10 ** max(0, len(str(nbytes)) - 2))
    return (nbytes * 11 // 10 // step + 1) * step
