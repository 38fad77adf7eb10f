"""Where a store cannot be used, it says so in a sentence, and nothing is lost or overwritten."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from segwidget.annotation import store_drive, store_schema
from segwidget.annotation.store import ConflictError, Store
from segwidget.annotation.store_schema import MIGRATIONS, VERSION, migrate
from segwidget.errors import StoreError
from tests.annotation.squares import square

KILLS = Path(__file__).with_name("kills.py")
INSTANTLY = 0.05  # seconds that a test waits for whoever else writes


@pytest.fixture
def path(tmp_path):
    return tmp_path / "street.db"


@pytest.fixture
def store(path):
    with Store(path, busy_seconds=INSTANTLY) as store:
        store.add_images([("a.png", None)])
        store.commit("a.png", [square(0)])
        yield store


def refuses(store, match):
    """Every way to write is refused with the same sentence, and changes nothing."""
    before = store.annotations("a.png"), store.labels, store.keys(), store.statuses()
    ways = (
        lambda: store.commit("a.png", [*before[0], square(1)], before=before[0], step="keep"),
        lambda: store.commit("a.png", []),
        lambda: store.set_labels(["car", "tree"]),
        lambda: store.rename_label("car", "tree"),
        lambda: store.add_images([("b.png", None)]),
        lambda: store.set_status("a.png", "done"),
        lambda: store.set_meta("x", "y" * 10_000),
    )
    for way in ways:
        with pytest.raises(StoreError, match=match) as caught:
            way()
        assert "Nothing was changed" in str(caught.value)
    after = store.annotations("a.png"), store.labels, store.keys(), store.statuses()
    assert after == before


# A disk that is full, a folder that cannot be written.


def test_a_full_disk_loses_nothing(store):
    (pages,) = store._read("PRAGMA page_count")[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    kept = store.annotations("a.png")
    with pytest.raises(StoreError, match=r"the disk is full\. Nothing was changed"):
        store.commit("a.png", [*kept, *(square(n) for n in range(200))], before=kept)
    assert store.annotations("a.png") == kept
    assert not store._connection.in_transaction
    store._connection.execute("PRAGMA max_page_count = 100000")
    more = (*kept, *(square(n) for n in range(200)))
    store.commit("a.png", more, before=kept)
    with Store(store.path) as other:
        assert other.annotations("a.png") == more


def test_a_file_that_may_not_be_written_any_more(store):
    store._connection.execute("PRAGMA query_only = ON")
    refuses(store, "the file or its folder is read-only")


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(StoreError, match="there is no folder"):
        Store(tmp_path / "nowhere" / "x.db")
    with pytest.raises(StoreError, match="is a folder; expected the name of a file"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="cannot be"):
        Store(tmp_path / ("x" * 300))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that even root cannot write")
def test_a_read_only_folder():
    with pytest.raises(StoreError, match=r"read-only.*choose another place"):
        Store("/proc/self/street.db")


def test_what_a_disk_refuses_otherwise(path):
    said = str(store_drive.explained(sqlite3.OperationalError("disk I/O error"), path))
    assert "disk I/O error. Nothing was changed. Check the drive" in said


# Files that are no store, or none any more.


def unchanged(path, match):
    before = path.read_bytes()
    with pytest.raises(StoreError, match=match):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_of_something_else(path):
    path.write_bytes(b"labels,masks\n" * 200)
    unchanged(path, "is damaged, or is no database; it was left as it is")


def test_a_database_of_another_program(path):
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE friends (name)")
    other.commit()
    other.close()
    unchanged(path, "is a database of another program")


def test_a_database_of_a_newer_version(store, path):
    store._connection.execute(f"PRAGMA user_version = {VERSION + 3}")
    store.close()
    unchanged(path, f"newer segwidget: its version is {VERSION + 3}.*Install the newer")


def test_a_damaged_file(store, path):
    store.commit("a.png", [square(n) for n in range(300)])
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="is damaged"), Store(path) as damaged:
        damaged.annotations("a.png")
    path.write_bytes(data[:5000])
    with pytest.raises(StoreError, match="is damaged"), Store(path) as damaged:
        damaged.annotations("a.png")


@pytest.mark.parametrize("text", ["{", "[]", '{"rle": 3}', '{"rle": {"size": [2, 2]}}', "7"])
def test_a_damaged_annotation(store, path, text):
    store._connection.execute("UPDATE annotations SET data = ?", (text,))
    store._connection.execute("UPDATE images SET revision = 99")
    with Store(path) as other:
        for reader in (store, other):
            with pytest.raises(StoreError, match="is damaged, or a newer segwidget"):
                reader.annotations("a.png")
    with pytest.raises(StoreError, match="is damaged"):
        store.commit("a.png", [])


# Versions.


def first_version(path):
    """A store as version 1 wrote it."""
    old = sqlite3.connect(path, isolation_level=None)
    migrate(old, 1)
    item = square(3, label="bus", id="f" * 32)
    data = item.to_dict()
    for name in ("id", "label", "box", "area"):
        del data[name]
    labels = json.dumps([{"name": "bus", "color": "#112233"}])
    old.execute("INSERT INTO settings VALUES ('labels', ?)", (labels,))
    old.execute("INSERT INTO images (key, info) VALUES ('a.png', NULL)")
    old.execute("INSERT INTO annotations VALUES (1, ?, 100, 'bus', ?)", (item.id, json.dumps(data)))
    old.close()
    return item


def test_an_older_version_is_brought_up_to_date(path):
    item = first_version(path)
    with Store(path) as store:
        assert store._read("PRAGMA user_version") == [(VERSION,)]
        assert store.annotations("a.png") == (item,)
        assert store.labels.color_of("bus") == "#112233"
        assert store.statuses() == {"a.png": "todo"}
        store.set_status("a.png", "done")
        store.commit("a.png", [item, square()], before=[item], step="keep car")
        assert [step.name for step in store.steps()] == ["done", "keep car"]


def test_migrating_is_all_or_nothing(path, monkeypatch):
    item = first_version(path)
    broken = (*MIGRATIONS[1], "CREATE TABLE images (again)")
    with monkeypatch.context() as patch:
        patch.setattr(store_schema, "MIGRATIONS", (MIGRATIONS[0], broken))
        with pytest.raises(StoreError, match="cannot be used"):
            Store(path)
    plain = sqlite3.connect(path)
    assert plain.execute("PRAGMA user_version").fetchone() == (1,)
    assert "status" not in [row[1] for row in plain.execute("PRAGMA table_info(images)")]
    plain.close()
    with Store(path) as store:
        assert store.annotations("a.png") == (item,)


def test_a_new_file_and_a_migrated_one_have_the_same_tables(tmp_path):
    first_version(tmp_path / "old.db")

    def tables(path):
        with Store(path) as store:
            return store._read("SELECT type, name, sql FROM sqlite_master ORDER BY name")

    assert tables(tmp_path / "old.db") == tables(tmp_path / "new.db")


# Others that write.


def test_two_notebooks_overwrite_nothing(store, path):
    with Store(path) as other:
        seen = other.annotations("a.png")
        store.commit("a.png", [*seen, square(5)], before=seen)
        with pytest.raises(
            ConflictError, match=r"Another notebook, or other code, has changed.*there are 2 now"
        ):
            other.commit("a.png", [], before=seen)
        assert len(other.annotations("a.png")) == 2
        other.commit("a.png", [], before=other.annotations("a.png"))
        assert store.annotations("a.png") == ()


def test_two_notebooks_on_two_images_do_not_hinder_each_other(store, path):
    store.add_images([("b.png", None)])
    with Store(path) as other:
        for n in range(10):
            for one, key in ((store, "a.png"), (other, "b.png")):
                before = one.annotations(key)
                one.commit(key, [*before, square(n)], before=before)
        assert store.counts() == other.counts() == {"a.png": 11, "b.png": 10}


def test_who_writes_for_long_is_not_waited_for_for_ever(store, path):
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refuses(store, "is being written by another notebook")
    other.execute("ROLLBACK")
    other.close()
    store.commit("a.png", [])
    assert store.annotations("a.png") == ()


@pytest.mark.parametrize("moment", range(1, 9))
def test_somebody_may_make_the_file_at_the_same_moment(path, monkeypatch, moment):
    connect = sqlite3.connect

    class Meddled(sqlite3.Connection):
        """A connection beside which another one makes the store before the n-th statement."""

        statements = 0

        def execute(self, sql, *values):
            self.statements += 1
            if self.statements == moment:
                other = connect(path, timeout=0, isolation_level=None)
                with suppress(sqlite3.OperationalError):
                    migrate(other)
                other.close()
            return super().execute(sql, *values)

    monkeypatch.setattr(
        store_drive.sqlite3, "connect", lambda *a, **k: connect(*a, factory=Meddled, **k)
    )
    with Store(path) as store:
        store.add_images([("a.png", None)])
        assert store.journal == "wal"
        assert store.keys() == ("a.png",)


def test_who_hinders_the_log_is_waited_for(path, monkeypatch):
    monkeypatch.setattr(store_drive, "drive_type", lambda _: "nfs")
    with Store(path) as store:
        assert store.journal == "delete"
    monkeypatch.undo()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waited = []
    monkeypatch.setattr(
        store_schema.time, "sleep", lambda s: (waited.append(s), other.execute("ROLLBACK"))
    )
    with Store(path) as store:
        assert store.journal == "wal"
    assert len(waited) == 1
    other.close()


def test_threads_may_share_a_store(store):
    store.add_images((f"{n}.png", None) for n in range(4))
    failures = []

    def work(key):
        try:
            for n in range(15):
                before = store.annotations(key)
                store.commit(key, [*before, square(n)], before=before)
                store.set_meta(key, n)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(f"{n}.png",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.counts() == {"a.png": 1, **{f"{n}.png": 15 for n in range(4)}}


# A killed process.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_what_was_confirmed_survives_a_kill_at_any_moment(tmp_path):
    done = subprocess.run(
        [sys.executable, str(KILLS), str(tmp_path), "--kills", "16", "--seed", "3"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kills"] == 16
    assert report["confirmed"] > 16
    assert report["while_saving"] > 0
