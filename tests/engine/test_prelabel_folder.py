"""The books of a bulk run: what is confirmed stays, what is not is done again."""

import os

import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.engine.prelabel_folder import OutputFolder, read_manifest, read_prelabels
from segwidget.engine.prelabel_parts import new_part, part_writer
from segwidget.errors import FormatError, StoreError
from segwidget.inference.prompts import Point
from segwidget.inference.rle import Rle

RUN = {"task": "everything", "settings": {"points_per_side": 2}}


def annotations(name):
    mask = Rle((4, 6), Rle.encode(_square()).counts)
    item = Annotation.from_rle(mask, label="cat", origin="automatic", prompts=(Point(2, 2),))
    return Annotations([item], ImageInfo(name, 6, 4, "ab" * 32))


def _square():
    import numpy as np

    mask = np.zeros((4, 6), bool)
    mask[1:3, 1:3] = True
    return mask


def record(folder, shard, *keys, skipped=(), format="sa1b"):  # noqa: A002
    part = new_part(folder, shard)
    with part_writer(part, format) as writer:
        for key in keys:
            writer.add(key, annotations(key))
    return {
        "shard": shard,
        "part": part.name if writer.written else "",
        "bytes": writer.nbytes,
        "sha256": writer.sha256,
        "images": list(keys),
        "masks": len(keys),
        "skipped": [list(pair) for pair in skipped],
    }


def opened(path, run=RUN, format="sa1b"):  # noqa: A002
    return OutputFolder(path, run, format)


def names(path):
    return sorted(entry.name for entry in path.iterdir() if entry.name != ".lock")


@pytest.mark.parametrize(("kind", "suffix"), [("sa1b", "tar"), ("parquet", "parquet")])
def test_what_is_committed_is_read_back_without_loss(tmp_path, kind, suffix):
    out = tmp_path / "new" / "out"
    with opened(out, format=kind) as folder:
        assert folder.commit(record(out, "000000", "a/1.png", "ü.png", format=kind))
        assert folder.commit(record(out, "000001", skipped=[("bad.png", "broken")], format=kind))
        assert folder.done == {"a/1.png", "ü.png"}
        assert folder.next_shard == 2
    assert names(out) == [f"000000.{suffix}", "manifest.jsonl", "run.json"]
    found = list(read_prelabels(out))
    assert [a.image.name for a in found] == ["a/1.png", "ü.png"]
    assert found[0].image == ImageInfo("a/1.png", 6, 4, "ab" * 32)
    assert found[0][0].label == "cat"
    assert found[0][0].prompts == (Point(2, 2),)
    assert (found[0][0].mask == _square()).all()
    with opened(out, format=kind) as again:
        assert again.skipped == {"bad.png": "broken"}
        assert again.done == {"a/1.png", "ü.png"}


def test_half_a_line_and_all_leftovers_are_removed(tmp_path):
    with opened(tmp_path) as folder:
        folder.commit(record(tmp_path, "000000", "a"))
        folder.commit(record(tmp_path, "000002", "c"))
    manifest = tmp_path / "manifest.jsonl"
    whole = manifest.read_bytes()
    manifest.write_bytes(whole + whole.splitlines()[0][:-9])  # killed while it was written
    (tmp_path / "000001.tar").write_bytes(b"renamed, and killed before its line")
    (tmp_path / "000003.tar").write_bytes(b"likewise")
    (tmp_path / ".000004.0123456789ab.part").write_bytes(b"half a part")
    (tmp_path / "notes.txt").write_text("a person's")
    assert len(read_manifest(tmp_path)) == 2  # a reader beside it changes nothing
    with opened(tmp_path) as folder:
        assert folder.done == {"a", "c"}
        assert folder.next_shard == 3
        assert manifest.read_bytes() == whole
        folder.commit(record(tmp_path, "000003", "b"))
    assert names(tmp_path) == [
        "000000.tar", "000002.tar", "000003.tar", "manifest.jsonl", "notes.txt", "run.json",
    ]  # fmt: skip
    assert sorted(a.image.name for a in read_prelabels(tmp_path)) == ["a", "b", "c"]


def test_an_image_that_is_done_is_not_taken_again(tmp_path):
    with opened(tmp_path) as folder:
        assert folder.commit(record(tmp_path, "000000", "a", "b"))
        assert not folder.commit(record(tmp_path, "000001", "b", "c"))
        assert folder.done == {"a", "b"}
    assert "000001.tar" not in names(tmp_path)
    assert [a.image.name for a in read_prelabels(tmp_path)] == ["a", "b"]


def test_another_run_another_process_and_other_folders_are_refused(tmp_path):
    with (
        opened(tmp_path / "out"),
        pytest.raises(StoreError, match="Another run writes"),
        opened(tmp_path / "out"),
    ):
        pass
    with pytest.raises(StoreError, match="task = 'everything', but 'boxes' is asked for"):
        opened(tmp_path / "out", {**RUN, "task": "boxes"}).__enter__()
    with opened(tmp_path / "out"):
        pass  # the refusal has let go of the lock
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="not empty"):
        opened(tmp_path / "mine").__enter__()
    with pytest.raises(StoreError, match="cannot be written"):
        opened(tmp_path / "mine" / "thesis.txt").__enter__()
    with pytest.raises(StoreError, match="holds no bulk run"):
        list(read_prelabels(tmp_path / "mine"))


@pytest.mark.parametrize(
    "line",
    [b"[]", b"{", b'{"file": "../../evil.tar", "shard": "000000", "images": [], "skipped": []}'],
)
def test_a_manifest_that_no_run_writes_is_refused(tmp_path, line):
    with opened(tmp_path):
        pass
    (tmp_path / "manifest.jsonl").write_bytes(line + b"\n")
    with pytest.raises(FormatError, match=r"manifest\.jsonl, line 1"):
        list(read_prelabels(tmp_path))


def test_a_damaged_shard_is_told(tmp_path):
    with opened(tmp_path) as folder:
        folder.commit(record(tmp_path, "000000", "a"))
    (tmp_path / "000000.tar").write_bytes(b"x" * 1024)
    with pytest.raises(FormatError, match=r"000000\.tar.*damaged"):
        list(read_prelabels(tmp_path))
    (tmp_path / "000000.tar").unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_prelabels(tmp_path))


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    with opened(tmp_path) as folder:
        folder.commit(record(tmp_path, "000000", "a"))
        second = record(tmp_path, "000001", "b")

        def full(descriptor):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(StoreError, match=r"No space left.*make room"):
                record(tmp_path, "000002", "c")
            with pytest.raises(StoreError, match=r"No space left.*What is done stays"):
                folder.commit(second)
    with opened(tmp_path) as folder:
        found = {a.image.name for a in read_prelabels(tmp_path)}
        assert found == folder.done
        assert "a" in found
