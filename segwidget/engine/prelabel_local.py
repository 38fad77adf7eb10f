"""A bulk run's worker processes on this computer.

Each is a fresh Python that is told shards on its standard input and answers on its standard output,
a line of JSON each: nothing is forked, nothing pickled, and the caller's script is not run again.
A worker that dies is replaced, and its shard done again; an image on which two have died is
skipped. When whoever started it is gone, a worker ends at its next word.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from segwidget import errors
from segwidget.engine.prelabel_job import Job, Prelabeler, job_from_dict, keep_no_embeddings
from segwidget.errors import ResourceError, SegwidgetError

MAX_DEATHS = 2  # of workers, on one image or before the first
MAX_DEATHS_IN_A_SHARD = 12


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def run_local(
    job: Job,
    folder: Path,
    shards: Iterable[dict[str, Any]],
    workers: int,
    on_image: Callable[[str], None],
) -> Generator[dict[str, Any], None, None]:
    """Do shards in worker processes.

    Args:
        job: what is done.
        folder: the output's.
        shards: as `Prelabeler.run` takes them; each is asked for when a worker is free.
        workers: how many.
        on_image: told the key of each image when a worker begins with it.

    Yields:
        The shards' records, as they are done.

    Raises:
        SegwidgetError: what a worker cannot go on from.
    """
    with _Pool(job, folder, workers) as pool:
        rest = iter(shards)
        ahead = workers
        waiting = 0
        while True:
            while ahead and (shard := next(rest, None)) is not None:
                pool.tasks.put(shard)
                waiting += 1
                ahead -= 1
            if not waiting:
                return
            said = pool.answers.get()
            if isinstance(said, str):
                on_image(said)
            elif isinstance(said, BaseException):
                raise said
            else:
                waiting -= 1
                ahead += 1
                yield said


class _Child:
    """A worker process, and the end of what it wrote where errors go."""

    def __init__(self, index: int, start: str, threads: int) -> None:
        environment = dict(os.environ)
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        # What is importable here is so there, too.
        paths = [path for path in sys.path if path]
        environment["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), *paths])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "segwidget.engine.prelabel_local", str(index)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            env=environment,
        )
        self._tail: deque[str] = deque(maxlen=5)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._say(start)

    def ask(self, shard: dict[str, Any]) -> Iterator[str | dict[str, Any]]:
        """The keys of images as they begin, then the record; ends early where the process died.

        Raises:
            SegwidgetError: what the process cannot go on from.
        """
        assert self._process.stdout is not None
        if not self._say(json.dumps(shard)):
            return
        for line in self._process.stdout:
            if not line.endswith("\n"):
                return
            said = json.loads(line)
            if "error" in said:
                raise getattr(errors, said["error"], SegwidgetError)(said["message"])
            if "begin" not in said:
                yield dict(said)
                return
            yield str(said["begin"])

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> str:
        """End the process, and return its last words."""
        self.kill()
        self._process.wait()
        self._reader.join(5)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            with suppress(OSError, ValueError):
                if stream is not None:
                    stream.close()
        words = [line.strip() for line in self._tail if line.strip()]
        return f"Its last words: {words[-1]}" if words else "Is there enough memory for it?"

    def _say(self, text: str) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def _read(self) -> None:
        assert self._process.stderr is not None
        with suppress(ValueError, OSError):
            self._tail.extend(self._process.stderr)


class _Pool:
    """Threads, each of which drives one worker process; leaving it ends them all."""

    def __init__(self, job: Job, folder: Path, workers: int) -> None:
        self.tasks: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[dict[str, Any] | str | BaseException] = queue.SimpleQueue()
        self._start = json.dumps({"job": job.to_dict(), "folder": str(folder)})
        self._threads_each = job.threads
        self._closed = False
        self._lock = threading.Lock()  # held while children come and go
        self._children: dict[int, _Child] = {}
        self._drivers = [
            threading.Thread(target=self._drive, args=(index,), daemon=True)
            for index in range(workers)
        ]

    def __enter__(self) -> _Pool:
        for driver in self._drivers:
            driver.start()
        return self

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._closed = True
            for child in self._children.values():
                child.kill()
        for _ in self._drivers:
            self.tasks.put(None)
        for driver in self._drivers:
            driver.join()

    def _drive(self, index: int) -> None:
        try:
            while (shard := self.tasks.get()) is not None:
                record = self._try(index, shard)
                if record is None:
                    return
                self.answers.put(record)
        except BaseException as error:  # told to whoever waits
            self.answers.put(error)
        finally:
            self._end(index)

    def _try(self, index: int, shard: dict[str, Any]) -> dict[str, Any] | None:
        """A shard's record, however many workers it takes; None once the pool is closed."""
        deaths: Counter[str] = Counter()
        while (child := self._child(index)) is not None:
            key = ""
            for said in child.ask(shard):
                if isinstance(said, dict):
                    return said
                key = said
                self.answers.put(key)
            words = self._end(index)
            deaths[key] += 1
            shard["careful"] = True  # nothing ahead: the next death is the present image's doing
            if deaths[key] < MAX_DEATHS:
                continue
            if not key or deaths.total() >= MAX_DEATHS_IN_A_SHARD:
                raise ResourceError(
                    f"Worker processes end again and again, without a word. {words} What is done "
                    "stays; try fewer workers, or a smaller model."
                )
            for entry in shard["images"]:
                if entry["key"] == key:
                    entry["poison"] = f"The process that worked on it ended, twice. {words}"
        return None

    def _child(self, index: int) -> _Child | None:
        with self._lock:
            if self._closed:
                return None
            if index not in self._children:
                self._children[index] = _Child(index, self._start, self._threads_each)
            return self._children[index]

    def _end(self, index: int) -> str:
        with self._lock:
            child = self._children.pop(index, None)
        return "" if child is None else child.end()


def main(index: int) -> int:
    """Be a worker: shards in, records out, until there are no more."""
    import signal

    # Ctrl+C in a terminal reaches all processes; whoever started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whoever prints, prints elsewhere

    def say(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    keep_no_embeddings()
    start = json.loads(sys.stdin.readline())
    job = job_from_dict(start["job"])
    prelabeler = Prelabeler(_on_own_gpu(job, index), start["folder"])
    try:
        for line in sys.stdin:
            say(**prelabeler.run(json.loads(line), lambda key: say(begin=key)))
    except SegwidgetError as error:
        say(error=type(error).__name__, message=str(error))
        return 1
    except BrokenPipeError:  # nobody listens any more
        os._exit(1)
    return 0


def _on_own_gpu(job: Job, index: int) -> Job:
    """The job on one of several GPUs, where it may run on any."""
    from dataclasses import replace

    import torch

    if job.device in (None, "cuda") and torch.cuda.device_count() > 1:
        return replace(job, device=f"cuda:{index % torch.cuda.device_count()}")
    return job


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
