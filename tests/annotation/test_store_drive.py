"""Drives that lack something: shared memory, locks, or the right to write."""

import ctypes
import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from segwidget.annotation import store_drive
from segwidget.annotation.project import BaseProject
from segwidget.annotation.store import Store
from segwidget.annotation.store_drive import lock_folder
from segwidget.annotation.store_schema import VERSION, migrate, open_database
from segwidget.errors import StoreError
from tests.annotation.squares import square

INSTANTLY = 0.05  # seconds that a test waits for whoever else writes
UNIX = pytest.mark.skipif(os.name == "nt", reason="VFSs and permissions of Unix")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "street").mkdir()
    return tmp_path / "street" / "street.db"


@pytest.fixture
def kept(path):
    """What a store has that was closed properly."""
    item = square(0)
    with Store(path) as store:
        store.add_images([("a.png", None), ("b.png", None)])
        store.commit("a.png", [item])
    return item


KILLED = """
import os, sys
from segwidget.annotation.store import Store
from segwidget.annotation.annotation import Annotation
import numpy as np
store = Store(sys.argv[1])
store.commit("b.png", [Annotation.from_mask(np.ones((12, 20), bool), label="tree", id="late")])
os._exit(0)
"""


def leave_a_log(path):
    """What a killed process leaves: a log with something confirmed in it."""
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=True, timeout=120)
    assert path.with_name(path.name + "-wal").stat().st_size > 0


# The right to write.


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("may", ctypes.c_uint32), ("on", ctypes.c_uint32))


def _override_permissions(on):
    """Take from this thread root's power to write everywhere, or give it back (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, state = _Header(0x20080522, 0), (_Capabilities * 2)()
    assert libc.capget(ctypes.byref(header), state) == 0
    bit = 1 << 1  # CAP_DAC_OVERRIDE
    state[0].effective = state[0].effective | bit if on else state[0].effective & ~bit
    assert libc.capset(ctypes.byref(header), state) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def unwritable(folder, files=0o444):
    """A folder that cannot be written, as the file system sees it; by root neither."""
    root = os.geteuid() == 0
    if root and not sys.platform.startswith("linux"):
        pytest.skip("root may write everywhere")
    before = {p: p.stat().st_mode for p in (folder, *folder.iterdir())}
    for one in folder.iterdir():
        one.chmod(files)
    folder.chmod(0o555)
    if root:
        _override_permissions(False)
    try:
        with pytest.raises(PermissionError):
            (folder / "probe").touch()
        yield
    finally:
        if root:
            _override_permissions(True)
        for one, mode in before.items():
            if one.exists():
                one.chmod(mode)


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def refuses_to_write(store):
    ways = (
        lambda: store.commit("a.png", []),
        lambda: store.set_labels(["car", "tree"]),
        lambda: store.rename_label("car", "tree"),
        lambda: store.add_images([("c.png", None)]),
        lambda: store.set_status("a.png", "done"),
        lambda: store.set_meta("x", "y"),
    )
    for way in ways:
        with pytest.raises(StoreError, match=r"reading only.*Nothing was changed.*store\.backup"):
            way()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):  # SQLite refuses it as well
        store._connection.execute("DELETE FROM annotations")


@UNIX
@pytest.mark.parametrize("files", [0o444, 0o644])
@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_a_read_only_folder_can_be_read(path, kept, tmp_path, journal, files):
    if journal == "delete":
        with Store(path) as store:
            store._connection.execute("PRAGMA journal_mode = DELETE")
    before = contents(path.parent)
    with unwritable(path.parent, files), Store(path) as store:
        assert store.read_only
        assert "open for reading only" in store.remark
        assert store.annotations("a.png") == (kept,)
        assert store.counts() == {"a.png": 1}
        refuses_to_write(store)
        store.backup(tmp_path / "mine.db")
    assert contents(path.parent) == before
    with Store(tmp_path / "mine.db") as mine:  # as the sentence says
        mine.commit("b.png", [square(1)])
        assert mine.annotations("a.png") == (kept,)


@UNIX
@pytest.mark.parametrize("shared_memory", [True, False])
def test_what_a_killed_process_left_in_the_log_is_read(path, kept, shared_memory):
    leave_a_log(path)
    if not shared_memory:  # as after copying a folder
        path.with_name(path.name + "-shm").unlink()
    before = contents(path.parent)
    with unwritable(path.parent), Store(path) as store:
        assert store.annotations("a.png") == (kept,)
        assert [a.id for a in store.annotations("b.png")] == ["late"]
        assert store.labels.names == ("car", "tree")
        refuses_to_write(store)
        copy = store._opened.copy
        assert (copy is None) == shared_memory
    assert contents(path.parent) == before
    assert copy is None or not Path(copy.name).exists()


@UNIX
def test_an_older_version_is_read_without_touching_it(path):
    old = sqlite3.connect(path, isolation_level=None)
    migrate(old, 1)
    old.execute("INSERT INTO images (key) VALUES ('a.png')")
    old.close()
    before = contents(path.parent)
    with unwritable(path.parent), Store(path) as store:
        assert store.statuses() == {"a.png": "todo"}
        assert store._read("PRAGMA user_version") == [(VERSION,)]
        refuses_to_write(store)
    assert contents(path.parent) == before


@UNIX
def test_who_reads_a_file_that_somebody_else_writes_is_told(path, kept):
    with unwritable(path.parent):
        store = Store(path)
    assert store.annotations("a.png") == (kept,)
    with Store(path) as other:
        other.commit("b.png", [square(n) for n in range(9)])
    with pytest.raises(StoreError, match=r"Somebody has written.*Open it again"):
        store.annotations("a.png")
    store.close()


def test_reading_only_can_be_asked_for(path, kept):
    before = path.read_bytes()
    with Store(path, read_only=True) as store:
        assert "read_only=True" in store.remark
        assert store.annotations("a.png") == (kept,)
        refuses_to_write(store)
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match="There is no store"):
        Store(path.with_name("other.db"), read_only=True)
    assert not path.with_name("other.db").exists()


def test_who_reads_sees_what_a_living_writer_confirms(path, kept):
    with Store(path) as writer:
        writer.set_status("a.png", "done")
        with Store(path, read_only=True) as reader:
            assert reader.status("a.png") == "done"
            writer.set_status("a.png", "accepted")
            assert reader.status("a.png") == "accepted"


@UNIX
def test_damage_is_still_called_damage(path, kept):
    path.write_bytes(b"labels,masks\n" * 200)
    with unwritable(path.parent), pytest.raises(StoreError, match="is damaged"):
        Store(path)


# No shared memory, so no write-ahead log.


def without_shared_memory(monkeypatch):
    """Connect through the VFS of SQLite that has none."""
    connect = store_drive.connect
    monkeypatch.setattr(
        store_drive,
        "connect",
        lambda *args, **options: connect(*args, **{**options, "vfs": "unix-dotfile"}),
    )


@pytest.mark.parametrize("drive", ["fuse.drive", "nfs4", "9p", "cifs"])
def test_a_shared_drive_has_a_plain_journal(path, monkeypatch, drive):
    with Store(path) as store:
        store.add_images([("a.png", None)])
        assert store.journal == "wal"
    monkeypatch.setattr(store_drive, "drive_type", lambda _: drive)
    with Store(path) as store:
        assert store.journal == "delete"
        assert drive in store.remark
        assert "Work is as safe" in store.remark
        store.commit("a.png", [square()])
    with Store(path) as store:
        assert len(store.annotations("a.png")) == 1


class NoLog(sqlite3.Connection):
    """A database on a drive where a write-ahead log fails."""

    def execute(self, sql, *values):
        if "WAL" in sql:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *values)


def test_a_drive_that_fails_at_a_log_has_a_plain_journal(path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr(
        store_drive.sqlite3, "connect", lambda *a, **k: connect(*a, factory=NoLog, **k)
    )
    opened = open_database(path)
    assert opened.journal == "delete"
    assert "disk I/O error" in opened.remark
    opened.connection.close()


def test_the_drive_of_a_path_is_found(tmp_path):
    if Path("/proc/self/mounts").exists():
        assert store_drive.drive_type(Path("/proc/self/x")) == "proc"
        assert store_drive.drive_type(tmp_path) != ""


@UNIX
def test_a_drive_without_shared_memory_has_a_plain_journal(path, monkeypatch):
    without_shared_memory(monkeypatch)
    with Store(path) as store:
        assert store.journal == "delete"
        assert "Work is as safe" in store.remark
        assert store._read("PRAGMA synchronous") == [(2,)]  # FULL
        store.add_images([("a.png", None)])
        store.commit("a.png", [square()])
    with Store(path) as store:
        assert len(store.annotations("a.png")) == 1
    assert not lock_folder(path).exists()


@UNIX
@pytest.mark.parametrize("left", [False, True])
def test_a_store_with_a_log_is_opened_where_there_is_no_shared_memory(
    path, kept, monkeypatch, left
):
    """A folder that was made on a disk, and copied to such a drive."""
    if left:
        leave_a_log(path)
        path.with_name(path.name + "-shm").unlink()
    without_shared_memory(monkeypatch)
    with Store(path) as store:
        assert store.journal == "delete"
        assert store.annotations("a.png") == (kept,)
        assert len(store.annotations("b.png")) == left
        with Store(path) as second:  # nobody is kept out for good
            second.set_status("a.png", "done")
        assert store.status("a.png") == "done"
    assert {p.name for p in path.parent.iterdir()} == {path.name}


# No locks on files.


def without_locks(monkeypatch):
    """Locks fail as on a drive that has none."""
    import fcntl

    def fails(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", fails)
    connect = store_drive.connect

    class Unlockable(sqlite3.Connection):
        def execute(self, sql, *values):
            raise sqlite3.OperationalError("database is locked")  # as SQLite calls ENOLCK

    def connected(*args, vfs="", **options):
        if vfs:
            return connect(*args, vfs=vfs, **options)
        return sqlite3.connect(":memory:", factory=Unlockable)

    monkeypatch.setattr(store_drive, "connect", connected)


@UNIX
def test_a_folder_takes_the_place_of_locks(path, kept, monkeypatch):
    with Store(path) as store:
        store._connection.execute("PRAGMA journal_mode = DELETE")
    without_locks(monkeypatch)
    with Store(path, busy_seconds=INSTANTLY) as one, Store(path, busy_seconds=INSTANTLY) as two:
        assert one.journal == two.journal == "delete"
        one.commit("a.png", [kept, square(3)], before=[kept])
        assert len(two.annotations("a.png")) == 2
        with one._transaction() as run:
            run("UPDATE images SET status = 'done'")
            with pytest.raises(StoreError, match=r"written by another notebook.*Nothing was chang"):
                two.set_status("a.png", "accepted")
        assert one.status("a.png") == two.status("a.png") == "done"
    assert not lock_folder(path).exists()


@UNIX
def test_the_lock_of_a_killed_process_is_named(path, kept, monkeypatch):
    without_locks(monkeypatch)
    lock_folder(path).mkdir()
    with pytest.raises(StoreError, match=r"one was killed at work: delete 'street\.db\.lock'"):
        Store(path, busy_seconds=INSTANTLY)
    lock_folder(path).rmdir()
    with Store(path) as store:
        assert store.annotations("a.png") == (kept,)


def test_locks_of_a_drive_that_has_them(tmp_path):
    assert store_drive.has_locks(tmp_path)
    assert list(tmp_path.iterdir()) == []


# A project.


@UNIX
def test_a_project_in_a_read_only_folder(path, tmp_path):
    from PIL import Image

    folder = path.parent
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 12), (90, 9, 9)).save(folder / name)
    with BaseProject(folder, labels=["car", "person"]) as project:
        item = project["a.png"].annotations.add(square().mask, label="car", predicted_iou=0.9)
        project["a.png"].status = "done"
    shutil.copy(folder / "a.png", folder / "new.png")
    with unwritable(folder), BaseProject(folder, labels=["car", "tree"]) as project:
        assert project.read_only
        assert project.keys == ("a.png", "b.png")
        assert "new.png" in project.problems
        assert "tree" in project.problems["labels"]
        assert project.labels.names == ("car", "person")
        assert list(project["a.png"].annotations) == [item]
        assert project["b.png"].info.width == 20  # which was not known; it is only remembered
        assert project.store.info("b.png").width == 20
        assert project.statistics().masks == 1
        assert len(project.to_dataframe()) == 1
        assert project.filter(label="car") == [project["a.png"]]
        assert project.export(tmp_path / "out.coco.json").stat().st_size > 0
        monkey = Path.cwd()
        os.chdir(tmp_path)
        try:
            assert project.download().resolve().parent == tmp_path.resolve()
        finally:
            os.chdir(monkey)
        with pytest.raises(StoreError, match="reading only"):
            project["b.png"].annotations.add(square().mask, label="car")
        with pytest.raises(StoreError, match="reading only"):
            project["b.png"].status = "done"
    with BaseProject(folder) as project:
        assert project.keys == ("a.png", "b.png", "new.png")


def test_a_project_can_be_opened_for_reading(path, kept):
    from PIL import Image

    Image.new("RGB", (20, 12), (90, 9, 9)).save(path.parent / "a.png")
    with BaseProject(path.parent, store=path, read_only=True) as project:
        assert project.read_only
        with pytest.raises(StoreError, match="reading only"):
            project.labels = ["car", "x"]
