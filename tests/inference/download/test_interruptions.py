"""Disks that are full, people who stop, processes that are killed, and several at once."""

import errno
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from segwidget.errors import CheckpointError
from segwidget.inference import download
from segwidget.inference.download import DownloadStoppedError, download_checkpoint
from tests.inference.download.misbehaving_server import Deed, serving
from tests.inference.download.small_file import CONTENT, assert_here, leave, part, row_of

CHILD = """
import json, sys
from dataclasses import replace
from segwidget.inference.download import download_checkpoint
from segwidget.inference.registry import MODELS
row = replace(MODELS["vit_b"], **json.loads(sys.argv[1]))
print(download_checkpoint(row, notice=lambda text: print(text, flush=True)))
"""


@contextmanager
def child(row):
    """Another process that downloads; it does not outlive the block."""
    facts = json.dumps({"url": row.url, "size": row.size, "sha256": row.sha256})
    command = [sys.executable, "-c", CHILD, facts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


# --- Folders and disks ---


def test_a_cache_folder_that_is_a_file(row, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for where in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("SEGWIDGET_CACHE", str(where))
        with pytest.raises(CheckpointError, match=r"cannot be written to .*SEGWIDGET_CACHE"):
            download_checkpoint(row)


def test_a_cache_folder_that_cannot_be_written(server, row, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    row.path.parent.mkdir()
    monkeypatch.setattr(download.FileLock, "acquire", refuse)
    with pytest.raises(CheckpointError, match=r"Read-only file system.*SEGWIDGET_CACHE"):
        download_checkpoint(row)
    assert not server.requests
    row.path.write_bytes(CONTENT)
    assert download_checkpoint(row) == row.path  # reading is all that it takes now


def test_a_drive_that_cannot_lock(row, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(download.FileLock, "acquire", refuse)
    download_checkpoint(row)
    assert_here(row)


def test_a_disk_that_is_too_full_to_begin(server, row, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=299_000))
    with pytest.raises(CheckpointError, match=r"needs 300 kB more .* where 299 kB are free"):
        download_checkpoint(row)
    assert not server.requests
    leave(row, CONTENT[:1000])
    download_checkpoint(row)
    assert_here(row)


def test_a_disk_that_fills_up_midway(server, row, monkeypatch):
    write_all = download.write_all

    def write_until_full(stream, block):
        room = 100_000 - stream.tell()
        write_all(stream, block[: max(room, 0)])
        if room < len(block):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(download, "write_all", write_until_full)
        with pytest.raises(CheckpointError, match=r"disk is full.*Make room.*goes on from there"):
            download_checkpoint(row)
    assert part(row).read_bytes() == CONTENT[:100_000]
    assert len(server.requests) == 1
    download_checkpoint(row)
    assert_here(row)
    assert server.requests[1].range == "bytes=100000-"


def test_writes_that_are_taken_in_pieces():
    class Narrow:
        taken = b""

        def write(self, block):
            self.taken += bytes(block[:7])
            return min(len(block), 7)

    narrow = Narrow()
    download.write_all(narrow, CONTENT[:100])
    assert narrow.taken == CONTENT[:100]


# --- Stopping, killing, and two at once ---


def test_a_download_can_be_stopped_and_goes_on(server, row):
    at = []
    with pytest.raises(DownloadStoppedError, match=r"was stopped.*are here and kept"):
        download_checkpoint(
            row,
            progress=lambda done, total: at.append(done),
            cancelled=lambda: bool(at) and at[-1] > 50_000,
        )
    assert part(row).read_bytes() == CONTENT[: at[-1]]
    download_checkpoint(row)
    assert_here(row)
    assert server.requests[1].range == f"bytes={at[-1]}-"


def test_waiting_for_another_try_can_be_stopped(server, row, monkeypatch):
    monkeypatch.setattr(download, "PAUSES", (3600.0,))
    server.deeds = [Deed(status=500, body=b"")]
    stopped = []
    with pytest.raises(DownloadStoppedError):
        download_checkpoint(row, notice=stopped.append, cancelled=lambda: bool(stopped))
    assert len(server.requests) == 1


def test_waiting_for_another_thread_can_be_stopped(server, row):
    gate = threading.Event()
    server.deeds = [Deed(gate=gate)]
    first = threading.Thread(target=download_checkpoint, args=(row,), daemon=True)
    first.start()
    assert server.wait_for_requests(1)
    notices = []
    with pytest.raises(DownloadStoppedError):
        download_checkpoint(row, notice=notices.append, cancelled=lambda: bool(notices))
    assert "fetched elsewhere" in notices[0]
    gate.set()
    first.join()
    assert_here(row)


def test_many_threads_fetch_once(server, row):
    server.deeds = [Deed(pause=0.01)]
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(download_checkpoint(row))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [row.path] * 8
    assert len(server.requests) == 1
    assert_here(row)


def test_two_processes_fetch_once(server, row):
    gate = threading.Event()
    server.deeds = [Deed(gate=gate)]
    with child(row) as first:
        assert server.wait_for_requests(1)
        with child(row) as second:
            assert second.stdout.readline().startswith("Waiting: sam_vit_b_01ec64.pth is already")
            gate.set()
            assert second.stdout.read().strip() == str(row.path)
        assert first.stdout.read().strip() == str(row.path)
    assert (first.returncode, second.returncode) == (0, 0)
    assert len(server.requests) == 1
    assert server.sent == len(CONTENT)
    assert_here(row)


def test_a_killed_download_goes_on():
    content = random.Random(2).randbytes(1_500_000)
    with serving(content) as server:
        gate = threading.Event()  # nobody gets to the end before it is set
        server.deeds = [Deed(piece=10_000, pause=0.003, gate=gate, withheld=100_000)]
        row = row_of(content, f"{server.url}/x.pth")
        reached = 0
        for goal in (1, 200_000, 700_000, 1_200_000):
            with child(row) as process:
                while not part(row).exists() or part(row).stat().st_size < goal:
                    assert process.poll() is None
                    time.sleep(0.002)
                process.send_signal(signal.SIGKILL)
            assert process.returncode == -signal.SIGKILL
            assert not row.path.exists()
            assert part(row).stat().st_size >= max(goal, reached)
            reached = part(row).stat().st_size
        gate.set()
        download_checkpoint(row)
        assert_here(row, content)
        assert server.requests[-1].range == f"bytes={reached}-"
        assert all(r.headers["If-Range"] == server.etag for r in server.requests[1:])
