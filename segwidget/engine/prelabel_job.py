"""What a bulk run does with a batch of images: the same code on this computer and on a cluster.

A batch, the *shard*, and what became of it, its *record*, are plain JSON, so that they go through a
pipe, Ray, or a file alike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from segwidget.engine.prelabel_parts import OutputFormat, new_part, part_writer
from segwidget.errors import ImageError, PromptError, ResourceError, SettingError
from segwidget.inference.embedding_store import MAX_BYTES_VARIABLE

if TYPE_CHECKING:
    from segwidget.annotation.annotation import Annotation, Annotations
    from segwidget.inference.everything import Proposal
    from segwidget.inference.models import Model
    from segwidget.inference.network import Precision
    from segwidget.inference.predictor import Predictor
    from segwidget.media.image import Image

TASKS = ("everything", "boxes", "embed")
EMBEDDINGS = "embeddings"  # the folder of them, within the output
UNLIMITED = 1 << 62  # bytes


@dataclass(frozen=True)
class Job:
    """What is done with each image.

    Attributes:
        model: its name or path; each worker loads it for itself.
        device: see `Predictor`.
        precision: likewise.
        task: "everything", "boxes" (those that come with each image), or "embed".
        format: of the output, "sa1b" (a tar file of SA-1B's JSON files) or "parquet".
        label: of masks that come without one.
        settings: of `EverythingSettings`, those that are not the defaults.
        threads: that the network uses in each worker; 0 leaves it as it is.

    Raises:
        SettingError: an unknown task or format.
        PromptError: impossible settings.
    """

    model: str = "embedded"
    device: str | None = None
    precision: Precision = "float32"
    task: str = "everything"
    format: OutputFormat = "sa1b"
    label: str = "object"
    settings: dict[str, Any] = field(default_factory=dict)
    threads: int = 0

    def __post_init__(self) -> None:
        for name, known in (("task", TASKS), ("format", get_args(OutputFormat))):
            if getattr(self, name) not in known:
                raise SettingError(
                    f"The {name} is {getattr(self, name)!r}; expected one of {', '.join(known)}."
                )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @property
    def result(self) -> dict[str, Any]:
        """What the output depends on, as JSON: not where it runs, nor on how many threads."""
        return {k: v for k, v in asdict(self).items() if k not in ("device", "threads", "model")}


class Prelabeler:
    """Does a job, one shard at a time; the model is loaded with the first one and then stays.

    Args:
        job: what is done.
        folder: the output's, in which parts are written.
    """

    def __init__(self, job: Job, folder: str | Path) -> None:
        self.job, self.folder = job, Path(folder)
        self._predictor: Predictor | None = None

    def run(
        self, shard: dict[str, Any], on_image: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """Do a shard.

        Args:
            shard: `{"shard": its name, "images": [{"key", "path", "boxes"?, "poison"?}, ...],
                "careful"?}`. `boxes` are `[x0, y0, x1, y1, label]`; `poison` is why an image is
                not to be tried; `careful` opens no image before its turn.
            on_image: told the key of each image before its turn.

        Returns:
            `{"shard", "part": name of the file that was written, or "", "bytes", "sha256",
            "images": [keys], "masks": count, "skipped": [[key, reason], ...],
            "remarks": [[key, sentence], ...], "seconds": {"open", "model", "write"}}`. The part is
            on disk, and has another name than any other part.

        Raises:
            SegwidgetError: not about one image: no such model, no room on the disk.
        """
        predictor = self._loaded()
        record: dict[str, Any] = {
            "shard": shard["shard"], "part": "", "bytes": 0, "sha256": "", "images": [],
            "masks": 0, "skipped": [], "remarks": [],
        }  # fmt: skip
        clock = _Clock()
        part = new_part(self.folder, shard["shard"])
        with part_writer(part, self.job.format) as writer:
            for entry, image in _opened_ahead(shard, on_image):
                key = entry["key"]
                clock.lap("open")
                if isinstance(image, str):
                    record["skipped"].append([key, image])
                    continue
                try:
                    annotations = self._answer(predictor, image, entry, record)
                except (ImageError, PromptError, ResourceError) as error:
                    record["skipped"].append([key, str(error)])
                    continue
                finally:
                    predictor.reset_image(forget=True)
                    clock.lap("model")
                if annotations is not None:
                    writer.add(key, annotations)
                    record["masks"] += len(annotations)
                record["images"].append(key)
                clock.lap("write")
        if writer.written:
            record.update(part=part.name, bytes=writer.nbytes, sha256=writer.sha256)
        clock.lap("write")
        record["seconds"] = clock.seconds
        return record

    def _loaded(self) -> Predictor:
        if self._predictor is None:
            from segwidget.inference.predictor import Predictor

            if self.job.threads:
                import torch

                torch.set_num_threads(self.job.threads)
            self._predictor = Predictor(
                self.job.model, self.job.device, precision=self.job.precision
            )
        return self._predictor

    def _answer(
        self, predictor: Predictor, image: Image, entry: dict[str, Any], record: dict[str, Any]
    ) -> Annotations | None:
        """The annotations of an image; None where there is nothing to write into the part."""
        from segwidget.annotation.annotation import Annotations, ImageInfo

        if self.job.task == "embed":
            self._embed(predictor.model, image)
            return None
        predictor.set_image(image)
        if self.job.task == "boxes":
            items = self._boxes(predictor, image, entry, record)
        else:
            items = self._everything(predictor, image)
        return Annotations(items, ImageInfo(entry["key"], image.width, image.height, image.sha256))

    def _everything(self, predictor: Predictor, image: Image) -> list[Annotation]:
        from segwidget.inference.everything import EverythingSettings, propose

        found = propose(predictor, EverythingSettings(**self.job.settings))
        return [self._kept(p, self.job.label, predictor.model, image) for p in found]

    def _boxes(
        self, predictor: Predictor, image: Image, entry: dict[str, Any], record: dict[str, Any]
    ) -> list[Annotation]:
        from segwidget.inference.boxes import checked_boxes, propose_boxes

        boxes, labels = [], []
        for *edges, label in entry.get("boxes", ()):
            try:  # one by one, so that a wrong one is left out alone
                boxes += checked_boxes([edges], image.width, image.height)
            except PromptError as error:
                record["remarks"].append([entry["key"], f"A box is left out: {error}"])
                continue
            labels.append(label or self.job.label)
        asked = zip(boxes, labels, strict=True)
        items = []
        for proposal in propose_boxes(predictor, boxes):
            # In the order of the boxes, without those whose mask is empty.
            label = next(
                label for b, label in asked if (b.x0, b.y0, b.x1, b.y1) == proposal.prompt_box
            )
            items.append(self._kept(proposal, label, predictor.model, image))
        return items

    def _kept(self, proposal: Proposal, label: str, model: Model, image: Image) -> Annotation:
        from segwidget.annotation.automatic import to_annotation

        return to_annotation(
            proposal,
            label=label,
            model=model.name,
            checkpoint=model.sha256,
            image=image.sha256,
            origin="automatic",
        )

    def _embed(self, model: Model, image: Image) -> None:
        from segwidget.errors import StoreError
        from segwidget.inference.embedding_store import EmbeddingStore
        from segwidget.inference.embeddings import find_on_disk, keep, rounded

        store = EmbeddingStore(self.folder / EMBEDDINGS, UNLIMITED)
        if find_on_disk(model, image, store) is None:
            kept = keep(model, image, rounded(model.network.encode(image.pixels)), store)
            if not kept:
                raise ImageError("Its embedding has numbers beyond float16's range.")
            store.flush()
            if store.failure:
                raise StoreError(store.failure)


def keep_no_embeddings() -> None:
    """Leave the person's own cache alone, in a process that only works: nobody opens these soon."""
    os.environ[MAX_BYTES_VARIABLE] = "0"


def job_from_dict(data: dict[str, Any]) -> Job:
    """Read what `Job.to_dict` wrote."""
    return Job(**{f.name: data[f.name] for f in fields(Job)})


def _opened_ahead(
    shard: dict[str, Any], on_image: Callable[[str], None] | None
) -> Iterator[tuple[dict[str, Any], Image | str]]:
    """Each image, or why there is none; the next one is decoded while the network runs."""
    entries, careful = shard["images"], shard.get("careful", False)
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Image | str] | None = None
        for index, entry in enumerate(entries):
            if on_image is not None:
                on_image(entry["key"])
            image = (waiting or pool.submit(_open, entry)).result()
            alone = careful or index + 1 == len(entries)
            waiting = None if alone else pool.submit(_open, entries[index + 1])
            yield entry, image


def _open(entry: dict[str, Any]) -> Image | str:
    from segwidget.media.image import open_image

    if "poison" in entry:
        return str(entry["poison"])
    try:
        image = open_image(Path(entry["path"]))
        _ = image.sha256  # hashed here, beside the network
    except ImageError as error:
        return str(error)
    return image


class _Clock:
    """Where the time goes, in seconds by name."""

    def __init__(self) -> None:
        self.seconds = {"open": 0.0, "model": 0.0, "write": 0.0}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now
