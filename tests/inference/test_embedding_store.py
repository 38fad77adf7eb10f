"""The folder of embeddings: bounded, whole files only, and never in the way."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from segwidget.inference import embedding_store
from segwidget.inference.embedding_store import (
    DEFAULT_MAX_BYTES,
    EmbeddingStore,
    default_store,
    limit_from_environment,
)

PATIENCE = 60  # seconds until something that should have happened counts as hanging

# A process that writes files which say themselves whether they are whole.
WRITER = """
import hashlib, sys
from pathlib import Path
from segwidget.inference.embedding_store import EmbeddingStore
store = EmbeddingStore(Path(sys.argv[1]), int(sys.argv[2]))
first, last = int(sys.argv[3]), int(sys.argv[4])
for i in range(first, last):
    name = hashlib.sha256(str(i).encode()).hexdigest()
    assert store.write(name, name.encode() * (1000 + i % 3))
    store.flush()
    assert store.problem == "", store.problem
    print(i, flush=True)
"""


def name(i):
    return hashlib.sha256(str(i).encode()).hexdigest()


def files(folder):
    return sorted(folder.glob("*/*"))


def is_whole(path):
    data = path.read_bytes()
    return len(data) >= 64000 and data == path.stem.encode() * (len(data) // 64)


@pytest.fixture
def store(tmp_path):
    store = EmbeddingStore(tmp_path / "embeddings")
    yield store
    assert store.flush(PATIENCE)


def put(store, *numbers, size=1000):
    for i in numbers:
        assert store.write(name(i), b"x" * size)
        assert store.flush(PATIENCE)


def has(store, *numbers):
    """Which files are there, without their being used."""
    return [store.path(name(i)).exists() for i in numbers]


def start_writer(folder, limit, first, last):
    command = [sys.executable, "-c", WRITER, str(folder), str(limit), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_written_and_read(store):
    assert store.read(name(1)) is None
    assert store.write(name(1), b"abc")
    assert store.read(name(1)) == b"abc"  # on disk or on its way there
    assert store.flush(PATIENCE)
    assert store.read(name(1)) == b"abc"
    put(store, 1, size=5)
    assert EmbeddingStore(store.folder).read(name(1)) == b"xxxxx"
    assert store.usage() == (1, 5)
    assert store.problem == store.failure == ""


def test_files_are_named_by_digests_in_shards(store):
    put(store, 1)
    (file,) = files(store.folder)
    assert file == store.folder / name(1)[:2] / f"{name(1)}.safetensors"


@pytest.mark.parametrize("bad", ["", "a.png", "../../x", "A" * 64, name(1) + "\n", "/" * 64])
def test_other_names_are_refused(store, bad):
    for use in (store.read, store.path, lambda n: store.write(n, b"x")):
        with pytest.raises(ValueError, match="SHA-256"):
            use(bad)


def test_the_least_recently_used_goes_first(store):
    store.max_bytes = 3500
    put(store, 1, 2, 3)
    assert store.read(name(1)) is not None
    put(store, 4)
    assert has(store, 1, 2, 3, 4) == [True, False, True, True]
    put(store, 5)
    assert has(store, 1, 3, 4, 5) == [True, False, True, True]


def test_never_more_than_the_limit(store):
    store.max_bytes = 10_000
    for i in range(40):
        put(store, i, size=700 + 13 * i)
        assert store.usage().nbytes <= 10_000
    assert has(store, 39) == [True]
    assert store.usage().entries >= 6


def test_what_is_larger_than_the_limit_is_not_written(store):
    store.max_bytes = 999
    assert not store.write(name(1), b"x" * 1000)
    put(store, 2, size=999)
    assert store.usage() == (1, 999)


def test_a_limit_of_nothing_turns_it_off(store):
    put(store, 1)
    off = EmbeddingStore(store.folder, 0)
    assert off.read(name(1)) is None
    assert not off.write(name(2), b"x")
    assert has(store, 1, 2) == [True, False]


def test_a_lower_limit_holds_from_the_first_write_on(store):
    put(store, *range(10))
    lower = EmbeddingStore(store.folder, 4000)
    put(lower, 10)
    assert lower.usage().nbytes <= 4000
    assert has(lower, 10) == [True]


def test_the_folder_is_looked_through_rarely(store, monkeypatch):
    scans = []
    look = EmbeddingStore._files
    monkeypatch.setattr(EmbeddingStore, "_files", lambda self: scans.append(1) or look(self))
    monkeypatch.setattr(embedding_store, "RESCAN_EVERY", 20)
    put(store, *range(20))
    assert len(scans) == 1
    put(store, 20)
    assert len(scans) == 2


def test_writes_of_others_count_when_the_folder_is_looked_through(store, monkeypatch):
    monkeypatch.setattr(embedding_store, "RESCAN_EVERY", 3)
    store.max_bytes = other_limit = 8000
    other = EmbeddingStore(store.folder, other_limit)
    put(store, 0)
    put(other, *range(1, 8))
    put(store, 8, 9, 10, 11)
    assert store.usage().nbytes <= 8000


def test_the_limit_holds_also_where_nothing_can_be_deleted(store, monkeypatch):
    store.max_bytes = 2500
    put(store, 1, 2)
    monkeypatch.setattr(embedding_store, "_delete", lambda _path: False)
    put(store, 3)
    assert has(store, 1, 2, 3) == [True, True, False]
    assert "older files cannot be deleted" in store.failure


def test_files_that_others_are_writing_count(store):
    put(store, 1)
    half = store.path(name(1)).with_name(f".{name(2)}.aa.part")
    half.write_bytes(b"x" * 5000)
    small = EmbeddingStore(store.folder, 5500)
    put(small, 3)
    assert has(small, 1, 3) == [False, False]
    assert small.problem == ""
    half.unlink()
    put(small, 3)
    assert has(small, 3) == [True]


def test_files_that_are_not_ours_stay(store):
    put(store, 1)
    shard = store.path(name(1)).parent
    foreign = [
        store.folder / "notes.txt",
        store.folder / "other" / f"{name(2)}.safetensors",
        shard / "model.safetensors",
        shard / f"{name(2)}.txt",
        shard / ".hidden.part",
    ]
    for file in foreign:
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"y" * 100_000)
    store.max_bytes = 1500
    put(store, 3)
    assert store.usage() == (1, 1000)
    assert store.clear() == (1, 1000)
    assert all(file.exists() for file in foreign)


def test_links_are_not_followed(store, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{name(1)}.safetensors").write_bytes(b"precious")
    store.folder.mkdir()
    (store.folder / "ab").symlink_to(outside, target_is_directory=True)
    (store.folder / "cd").mkdir()
    (store.folder / "cd" / f"{name(1)}.safetensors").symlink_to(outside / f"{name(1)}.safetensors")
    assert store.usage() == (0, 0)
    store.clear()
    assert (outside / f"{name(1)}.safetensors").read_bytes() == b"precious"


def test_stale_temporaries_are_removed(store):
    put(store, 1)
    shard = store.path(name(1)).parent
    old, new = (shard / f".{name(2)}.{x}.part" for x in ("aa", "bb"))
    for file in (old, new):
        file.write_bytes(b"half")
    two_days_ago = time.time() - 48 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    fresh = EmbeddingStore(store.folder)
    put(fresh, 3)
    assert (old.exists(), new.exists()) == (False, True)
    assert fresh.usage() == (2, 2004)
    fresh.clear()
    assert not new.exists()


def test_clear(store):
    assert store.clear() == (0, 0)
    put(store, 1, 2)
    assert store.clear() == (2, 2000)
    assert store.read(name(1)) is None
    put(store, 1)
    assert store.usage() == (1, 1000)


def test_a_folder_that_vanishes_is_made_again(store):
    put(store, 1)
    store.path(name(1)).unlink()
    store.path(name(1)).parent.rmdir()
    put(store, 1)
    assert has(store, 1) == [True]
    assert store.problem == ""


def test_a_temporary_that_is_cleared_meanwhile_is_no_problem(store, monkeypatch):
    def clear_too_early(_descriptor):
        for file in files(store.folder):
            file.unlink()

    monkeypatch.setattr(os, "fsync", clear_too_early)
    put(store, 1)
    assert files(store.folder) == []
    assert store.problem == ""


def test_a_full_disk_is_no_error(store, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        put(store, 1)
        assert files(store.folder) == []  # nor half a file
        assert store.read(name(1)) is None
        assert "No space left" in store.problem
        assert str(store.folder) in store.problem
        assert "SEGWIDGET_CACHE" in store.problem
    assert not store.write(name(1), b"x")  # not again at once
    monkeypatch.setattr(store, "_retry_at", 0.0)
    put(store, 1)
    assert has(store, 1) == [True]
    assert store.problem == ""


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    store = EmbeddingStore(tmp_path / "file" / "embeddings")
    put(store, 1)
    assert store.read(name(1)) is None
    assert store.usage() == store.clear() == (0, 0)
    assert "cannot be kept" in store.failure


def test_what_cannot_be_read_is_not_there(store):
    store.path(name(1)).mkdir(parents=True)
    assert store.read(name(1)) is None
    store.path(name(2)).parent.mkdir()
    os.mkfifo(store.path(name(2)))  # opening it would wait for a writer
    assert store.read(name(2)) is None
    assert store.usage() == (0, 0)


def test_a_file_that_is_far_too_large_is_not_read(store, monkeypatch):
    put(store, 1)
    monkeypatch.setattr(embedding_store, "LARGEST_FILE", 999)
    assert store.read(name(1)) is None
    assert not store.write(name(2), b"x" * 1000)


def test_reading_does_not_need_to_write(store, monkeypatch):
    put(store, 1)

    def refuses(*_arguments, **_others):
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "utime", refuses)
    assert store.read(name(1)) == b"x" * 1000


def test_a_slow_disk_holds_the_fast_back(store, monkeypatch):
    gate, waiting = threading.Event(), []
    sync = os.fsync

    def slow(descriptor):
        waiting.append(store._backlog())
        assert gate.wait(PATIENCE)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    monkeypatch.setattr(embedding_store, "MAX_WAITING", 2500)

    def write_all():
        for i in range(8):
            store.write(name(i), b"x" * 1000)

    fast = threading.Thread(target=write_all)
    fast.start()
    while store._backlog() < 3000:
        time.sleep(0.001)
    gate.set()
    fast.join(PATIENCE)
    assert not fast.is_alive()
    assert store.flush(PATIENCE)
    assert store.usage() == (8, 8000)
    assert max(waiting) <= 3000


def test_the_thread_ends_when_there_is_nothing_to_write(store):
    before = set(threading.enumerate())
    put(store, 1, 2)
    assert set(threading.enumerate()) <= before


def test_the_interpreter_waits_for_what_is_to_be_written(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from segwidget.inference.embedding_store import EmbeddingStore\n"
        "store = EmbeddingStore(Path(sys.argv[1]))\n"
        "for i in range(5): assert store.write(str(i) * 64, b'x' * 1_000_000)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=PATIENCE)
    assert EmbeddingStore(tmp_path).usage() == (5, 5_000_000)


def test_a_kill_leaves_whole_files_only(tmp_path):
    killed = 0
    for n in range(6):
        writer = start_writer(tmp_path, DEFAULT_MAX_BYTES, 1000 * n, 1000 * n + 1000)
        writer.stdout.readline()  # it has begun
        time.sleep(0.004 * n)  # another moment each time
        writer.send_signal(signal.SIGKILL)
        writer.communicate(timeout=PATIENCE)
        killed += writer.returncode == -signal.SIGKILL
        whole = [f for f in files(tmp_path) if f.suffix == ".safetensors"]
        assert all(is_whole(f) for f in whole)
        assert len(whole) > n
    assert killed == 6
    store = EmbeddingStore(tmp_path)
    store.clear()
    assert files(tmp_path) == []


def test_several_processes_share_a_folder(tmp_path):
    limit = 64_000 * 12
    writers = [start_writer(tmp_path, limit, first, 60) for first in (0, 0, 20)]
    for writer in writers:
        _, errors = writer.communicate(timeout=PATIENCE)
        assert writer.returncode == 0, errors
    left = files(tmp_path)
    assert left
    assert all(is_whole(f) for f in left)  # and no temporary among them
    store = EmbeddingStore(tmp_path, limit)
    put(store, 100)
    assert store.usage().nbytes <= limit


def test_the_limit_is_read_from_the_environment(monkeypatch):
    variable = "SEGWIDGET_EMBEDDINGS_MAX_BYTES"
    monkeypatch.delenv(variable)
    assert limit_from_environment() == (2 << 30, "")
    for given, limit in (("0", 0), (" 5_000 ", 5000), ("", 2 << 30)):
        monkeypatch.setenv(variable, given)
        assert limit_from_environment() == (limit, "")
    for given in ("-1", "2 GB", "1e9"):
        monkeypatch.setenv(variable, given)
        limit, remark = limit_from_environment()
        assert limit == 2 << 30
        assert given in remark
        assert "whole number of bytes" in remark


def test_the_process_has_one_store_as_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path))
    assert default_store().folder == tmp_path / "embeddings"
    assert default_store().max_bytes == 0  # as in all tests
    assert default_store() is default_store()
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", "many")
    assert default_store().max_bytes == DEFAULT_MAX_BYTES
    assert "'many'" in default_store().problem
    assert default_store().failure == ""


def test_a_forked_process_writes_for_itself(monkeypatch, tmp_path):
    code = (
        "import os, sys\n"
        "from segwidget.inference.embedding_store import default_store\n"
        "default_store().write('a' * 64, b'x' * 1000)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    store = default_store()\n"
        "    store.write('b' * 64, b'x' * 1000)\n"
        "    os._exit(0 if store.flush(30) else 1)\n"
        "sys.exit(os.waitpid(child, 0)[1])\n"
    )
    env = {**os.environ, "SEGWIDGET_CACHE": str(tmp_path)}
    env["SEGWIDGET_EMBEDDINGS_MAX_BYTES"] = "100000"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE, env=env)
    assert EmbeddingStore(tmp_path / "embeddings").usage() == (2, 2000)


def test_the_store_needs_no_torch():
    code = "import sys, segwidget.inference.embedding_store; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert {"torch", "numpy", "safetensors"}.isdisjoint(done.stdout.split())
