"""A bulk run on a cluster, by Ray Data: `map_batches` over shards, an actor for each worker.

An actor that dies is replaced by Ray, and its shard done again. Parts are written by the actors
into the output folder, which all nodes share; their names come back to the one process that keeps
the books.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from segwidget import errors
from segwidget.engine.prelabel_job import Job, Prelabeler, job_from_dict, keep_no_embeddings
from segwidget.errors import ResourceError, SegwidgetError, SettingError

SHARDS_AT_ONCE = 1000  # that Ray is given; actors load their model anew for each such lot


def require_ray() -> None:
    """Raise a sentence where Ray is missing.

    Raises:
        SettingError: Ray Data is not installed.
    """
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise SettingError(
            "The engine 'ray' needs Ray Data, which is not installed: "
            "pip install 'segwidget[ray]'. The engine 'local' needs nothing more."
        ) from error


class RayPrelabeler:
    """An actor: does the shards of a batch, which is one of them.

    Args:
        job: as `Job.to_dict` has it.
        folder: the output's.
    """

    def __init__(self, job: dict[str, Any], folder: str) -> None:
        keep_no_embeddings()
        self._prelabeler = Prelabeler(job_from_dict(job), folder)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Records of shards, both as JSON."""
        return {"record": [self._record(json.loads(text)) for text in batch["shard"]]}

    def _record(self, shard: dict[str, Any]) -> str:
        try:
            return json.dumps(self._prelabeler.run(shard))
        except SegwidgetError as error:  # as a value, so that it arrives as what it is
            return json.dumps({"error": type(error).__name__, "message": str(error)})


def run_ray(
    job: Job, folder: Path, shards: Iterable[dict[str, Any]], workers: int, gpus: float = 0
) -> Generator[dict[str, Any], None, None]:
    """Do shards on a Ray cluster.

    Args:
        job: what is done; each worker reserves as many cores as it has threads.
        folder: the output's.
        shards: as `Prelabeler.run` takes them.
        workers: actors.
        gpus: that each of them reserves.

    Yields:
        The shards' records, as they are done.

    Raises:
        SegwidgetError: what an actor cannot go on from.
    """
    from ray.exceptions import RayError

    rest = iter(shards)
    with _cluster() as ray:
        while lot := list(islice(rest, SHARDS_AT_ONCE)):
            rows = [{"shard": json.dumps(shard)} for shard in lot]
            # A block for each shard: it is what Ray hands out, and what it does again.
            records = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
                RayPrelabeler,
                fn_constructor_args=(job.to_dict(), str(folder.resolve())),
                batch_size=1,
                compute=ray.data.ActorPoolStrategy(size=min(workers, len(lot))),
                num_cpus=max(job.threads, 1),
                num_gpus=gpus or None,
            )
            try:
                for row in records.iter_rows():
                    record = json.loads(row["record"])
                    if "error" in record:
                        raise getattr(errors, record["error"], SegwidgetError)(record["message"])
                    yield record
            except RayError as error:
                last = str(error).strip().splitlines()[-1]
                raise ResourceError(
                    f"Ray gave up: {last} What is done stays; run the same again, perhaps with "
                    "fewer workers."
                ) from error


@contextmanager
def _cluster() -> Iterator[Any]:
    """Ray, connected: to what the caller has initialized, or else for as long as this takes."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    import logging

    import ray
    import ray.data

    if ray.is_initialized():
        yield ray
        return
    # RAY_ADDRESS, where it is set, names the cluster.
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    bars = context.enable_progress_bars
    context.enable_progress_bars = False
    try:
        yield ray
    finally:
        context.enable_progress_bars = bars
        ray.shutdown()
