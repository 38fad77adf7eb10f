"""Bulk runs: masks, or embeddings, of more images than anybody waits for.

On this computer by worker processes, or on a cluster by Ray Data; either way the same code does a
batch of images (`prelabel_job`), and one process keeps the books (`prelabel_folder`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segwidget.engine.interrupts import interrupts_wait
from segwidget.engine.prelabel_boxes import DetectedBoxes, read_boxes
from segwidget.engine.prelabel_folder import OutputFolder, read_manifest, read_prelabels
from segwidget.engine.prelabel_job import Job
from segwidget.engine.prelabel_local import cores, run_local
from segwidget.engine.prelabel_parts import OutputFormat, require_pyarrow
from segwidget.errors import SettingError, StoreError

if TYPE_CHECKING:
    from segwidget.inference.everything import EverythingSettings
    from segwidget.inference.network import Precision

__all__ = ["PrelabelReport", "prelabel", "read_manifest", "read_prelabels"]

SHARD_SIZE = 100  # images; so many, times the workers, are done again after a kill


@dataclass(frozen=True)
class PrelabelReport:
    """How far a bulk run is.

    Attributes:
        total: images in all.
        found: images that earlier runs dealt with.
        done: images that are done in this run, and on disk.
        begun: images that workers are at or have finished, and that are not on disk yet.
        masks: that were found in this run.
        skipped: (key, reason) of images that were skipped in this run.
        remarks: sentences about boxes that were left out.
        seconds: of all workers in this run: "open" (waiting for images), "model" (all that
            becomes of an image until its masks are there), "write".
    """

    total: int
    found: int = 0
    done: int = 0
    begun: int = 0
    masks: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)


def prelabel(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    model: str | Path = "embedded",
    *,
    task: Literal["everything", "boxes", "embed"] = "everything",
    boxes: str | os.PathLike[str] | None = None,
    min_score: float = 0.0,
    settings: EverythingSettings | None = None,
    label: str = "object",
    format: OutputFormat = "sa1b",  # noqa: A002
    shard_size: int = SHARD_SIZE,
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    threads: int | None = None,
    device: str | None = None,
    precision: Precision = "float32",
    gpus_per_worker: float = 0,
    recursive: bool = False,
    retry_skipped: bool = False,
    on_progress: Callable[[PrelabelReport], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> PrelabelReport:
    """Segment, or embed, many images; each exactly once, whatever happens meanwhile.

        prelabel("photographs/", "masks/", workers=2)
        for annotations in read_prelabels("masks/"):
            annotations.image.name, len(annotations)

    May be stopped at any moment, also by Ctrl+C or SIGKILL: the same call goes on from there, and
    takes images that have come since. Images that cannot be opened are listed and skipped.

    Args:
        images: image files, folders, and patterns. An image's key is its path from their common
            folder.
        out: the folder that is written: a manifest, and shards of many images each. For "embed",
            `embeddings/` in it is what a cache folder holds: with `SEGWIDGET_CACHE` set to `out`,
            these images open at once.
        model: a model's name, or a checkpoint's path.
        task: "everything", "boxes" (the mask of the thing in each box), or "embed".
        boxes: for "boxes", a detector's file; see `read_boxes`.
        min_score: boxes with a lower score are left out.
        settings: for "everything"; by default the published ones.
        label: of masks that come without one.
        format: "sa1b", tar files of SA-1B's JSON, a file for each image; or "parquet", a row for
            each image.
        shard_size: images in a shard, at most. What is not in a finished shard is done again after
            a kill.
        engine: "local", or "ray" (extra `ray`): where Ray has been initialized, or `RAY_ADDRESS`
            says, else a cluster on this computer. All its nodes see the images, the model and
            `out` under the same paths.
        workers: processes; by default one for each GPU, else one for every two cores.
        threads: that the network uses in each; by default the cores are divided.
        device: see `Predictor`; several GPUs are divided among the workers.
        precision: likewise.
        gpus_per_worker: that Ray reserves for each worker; may be a fraction.
        recursive: look into the folders within folders, too.
        retry_skipped: try images again that an earlier run skipped.
        on_progress: told after each image that begins, and after each shard.
        cancelled: asked likewise; once true, the run ends, and what is done stays.

    Returns:
        What became of the images.

    Raises:
        SettingError: an impossible setting, or a package that is missing.
        ModelError, CheckpointError: the model cannot be loaded.
        StoreError: `out` cannot be written, or is another run's; the detector's file is missing.
        FormatError: the detector's file is of no known format, or the manifest is damaged.
        ResourceError: worker processes end again and again.
    """
    _check_settings(task, boxes, engine, format, shard_size, workers, threads)
    if engine == "ray":
        from segwidget.engine.ray_prelabel import require_ray, run_ray

        require_ray()
    name, path, sha256 = _identify(model)
    job = Job(
        model=path,
        device=device,
        precision=precision,
        task=task,
        format=format,
        label=label,
        settings=_changed(settings),
    )
    root, entries, skipped = _find(images, recursive)
    detected = DetectedBoxes() if boxes is None else read_boxes(boxes, min_score=min_score)
    run = {**job.result, "model": name, "checkpoint": sha256, "images": str(root)}
    if boxes is not None:
        digest = hashlib.sha256(Path(boxes).expanduser().read_bytes()).hexdigest()
        run.update(boxes=digest, min_score=min_score)
    with OutputFolder(out, json.loads(json.dumps(run)), format) as folder:
        past = folder.done if retry_skipped else folder.done | folder.skipped.keys()
        todo = [entry for entry in entries if entry["key"] not in past]
        count = max(1, min(workers or _default_workers(), -(-len(todo) // shard_size)))
        job = replace(job, threads=threads or max(1, cores() // count))
        report = PrelabelReport(
            total=len(entries) + len(skipped),
            found=len(entries) - len(todo),
            skipped=skipped,
            remarks=tuple(detected.problems),
        )
        progress = _Progress(report, on_progress, cancelled)
        shards = _shards(todo, shard_size, folder.next_shard, detected)
        with suppress(_CancelledError):
            progress.tell()
            if engine == "ray":
                records = run_ray(job, folder.path, shards, count, gpus_per_worker)
            else:
                records = run_local(job, folder.path, shards, count, progress.begin)
            with closing(records):  # ends the workers before the folder is tidied
                for record in records:
                    with interrupts_wait():  # so that the last report tells all that is written
                        if folder.commit(record):
                            progress.commit(record)
    return progress.report


class _CancelledError(Exception):
    """Whoever started the run wants no more of it."""


class _Progress:
    """Keeps count, and tells of it."""

    def __init__(
        self,
        report: PrelabelReport,
        on_progress: Callable[[PrelabelReport], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self.report = report
        self._on_progress, self._cancelled = on_progress, cancelled
        self._begun: set[str] = set()

    def begin(self, key: str) -> None:
        self._begun.add(key)
        self.tell()

    def commit(self, record: dict[str, Any]) -> None:
        self._begun.difference_update(record["images"], (key for key, _ in record["skipped"]))
        now = self.report
        self.report = replace(
            now,
            done=now.done + len(record["images"]),
            masks=now.masks + record["masks"],
            skipped=now.skipped + tuple((key, reason) for key, reason in record["skipped"]),
            remarks=now.remarks + tuple(f"{key}: {text}" for key, text in record["remarks"]),
            seconds={k: now.seconds.get(k, 0.0) + v for k, v in record["seconds"].items()},
        )
        self.tell()

    def tell(self) -> None:
        self.report = replace(self.report, begun=len(self._begun))
        if self._on_progress is not None:
            self._on_progress(self.report)
        if self._cancelled is not None and self._cancelled():
            raise _CancelledError


def _check_settings(
    task: str,
    boxes: object,
    engine: str,
    format: str,  # noqa: A002
    shard_size: int,
    workers: int | None,
    threads: int | None,
) -> None:
    if (task == "boxes") != (boxes is not None):
        raise SettingError(
            f"The task is {task!r}, and a file of boxes is "
            f"{'missing' if boxes is None else 'given'}; expected it for 'boxes' alone."
        )
    if engine not in ("local", "ray"):
        raise SettingError(f"The engine is {engine!r}; expected 'local' or 'ray'.")
    for name, value in (("shard_size", shard_size), ("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise SettingError(f"{name} is {value!r}; expected a whole number from 1.")
    if format == "parquet":
        require_pyarrow()


def _identify(model: str | Path) -> tuple[str, str, str]:
    """The model's name, what workers load it by, and its SHA-256; told before any work begins."""
    from segwidget.inference.models import load_model
    from segwidget.inference.registry import MODELS, find_checkpoint

    name, path = find_checkpoint(model)
    loaded = load_model(model, "cpu")
    return name, name if name in MODELS else str(path.resolve()), loaded.sha256


def _changed(settings: EverythingSettings | None) -> dict[str, Any]:
    """Settings that are not the defaults, as JSON."""
    if settings is None:
        return {}
    changed: dict[str, Any] = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        if each.name == "point_grids" and value is not None:
            changed[each.name] = [np.asarray(grid).tolist() for grid in value]
        elif value != each.default:
            changed[each.name] = value
    return changed


def _find(
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], recursive: bool
) -> tuple[Path, list[dict[str, Any]], tuple[tuple[str, str], ...]]:
    """The images' common folder, an entry for each, and what cannot be one."""
    from segwidget.inference.bulk_embed import find_images

    given = [images] if isinstance(images, str | os.PathLike) else list(images)
    found, failures = find_images(given, recursive=recursive)
    files = [Path(os.path.abspath(file)) for file in found]  # noqa: PTH100  # links stay
    folders = [Path(g).expanduser() for g in given]
    if len(folders) == 1 and folders[0].is_dir():
        root = Path(os.path.abspath(folders[0]))  # noqa: PTH100
    elif files:
        try:
            root = Path(os.path.commonpath([file.parent for file in files]))
        except ValueError as error:
            raise StoreError(
                "The images are on several drives; expected them under one folder. Run once for "
                "each drive, into an output folder of its own."
            ) from error
    else:
        root = Path()
    entries, skipped = [], [(failure.path, failure.reason) for failure in failures]
    for file in dict.fromkeys(files):
        key = file.relative_to(root).as_posix()
        try:
            key.encode("utf-8")
        except UnicodeEncodeError:
            skipped.append((ascii(key), "Its name is no text; rename the file."))
        else:
            entries.append({"key": key, "path": str(file)})
    return root, entries, tuple(skipped)


def _shards(
    entries: list[dict[str, Any]], size: int, first: int, detected: DetectedBoxes
) -> Iterator[dict[str, Any]]:
    for number, start in enumerate(range(0, len(entries), size), first):
        batch = entries[start : start + size]
        if detected.by_name:
            batch = [{**entry, "boxes": detected.of(entry["key"])} for entry in batch]
        yield {"shard": f"{number:06}", "images": batch}


def _default_workers() -> int:
    import torch

    return torch.cuda.device_count() or max(1, cores() // 2)
