"""Shards are read in either order of members, and damaged ones are named."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.annotation.formats.shards import read_shard
from segwidget.errors import FormatError, StoreError
from segwidget.inference.rle import Rle


def picture(height=12, width=20, seed=0, kind="PNG"):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue(), pixels


def masks(height=12, width=20):
    first = np.zeros((height, width), bool)
    first[2:6, 3:9] = True
    return [first, ~first]


def record(**changes):
    entries = [
        {**Rle.encode(mask).to_dict(), "area": int(mask.sum()), "annotator": index}
        for index, mask in enumerate(masks())
    ]
    whole = {"source": "set", "key": "a/b.jpg", "width": 20, "height": 12, "masks": entries}
    return json.dumps({**whole, **changes}).encode()


def write(path, members, mode="w"):
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "set.tar"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_members_in_any_order(path, mode):
    data, pixels = picture()
    members = [
        ("set-0.png", data), ("set-0.json", record()),
        ("set-1.json", record(key="second")), ("set-1.png", data),
        ("set-2.png", data), ("set-3.png", data), ("README.txt", b"hello"),
        ("set-3.json", record()), ("set-2.json", record()),
    ]  # fmt: skip
    samples = list(read_shard(write(path, members, mode)))
    assert [sample.name for sample in samples] == ["set-0", "set-1", "set-3", "set-2"]
    for sample in samples:
        np.testing.assert_array_equal(sample.image, pixels)
        assert sample.source == "set"
        assert [mask.annotator for mask in sample.masks] == [0, 1]
        for found, expected in zip(sample.masks, masks(), strict=True):
            np.testing.assert_array_equal(found.rle.decode(), expected)
    assert [sample.key for sample in samples[:2]] == ["a/b.jpg", "second"]


def test_images_can_be_changed(path):
    data, _ = picture()
    (sample,) = read_shard(write(path, [("a.png", data), ("a.json", record())]))
    sample.image[:] = 0
    assert sample.image.flags.c_contiguous


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_other_image_formats(path, kind):
    data, _ = picture(kind=kind)
    suffix = {"WEBP": "webp", "JPEG": "jpg"}[kind]
    (sample,) = read_shard(write(path, [(f"a.{suffix}", data), ("a.json", record())]))
    assert sample.image.shape == (12, 20, 3)


def test_what_may_be_left_out(path):
    data, _ = picture()
    plain = json.dumps({"masks": [Rle.encode(masks()[0]).to_dict()]}).encode()
    (sample,) = read_shard(write(path, [("x/a.1.png", data), ("x/a.1.json", plain)]))
    assert (sample.source, sample.key, sample.name) == ("set", "a.1", "a.1")
    assert sample.masks[0].annotator == 0


def test_it_reads_one_sample_at_a_time(path):
    data, _ = picture()
    write(path, [("a.png", data), ("a.json", record()), ("b.png", b"broken"), ("b.json", record())])
    samples = read_shard(path)
    assert next(samples).name == "a"
    with pytest.raises(FormatError, match=r"set\.tar.*b\.png"):
        next(samples)


@pytest.mark.parametrize(
    ("json_data", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "list of"),
        (b"{}", "list of"),
        (record(masks={}), "list of"),
        (record(width=21), r"\(12, 21\), but the image's are \(12, 20\)"),
        (record(masks=[5]), r"masks\[0\]"),
        (record(masks=[{"size": [12, 20], "counts": "bad!"}]), r"masks\[0\].*character"),
        (record(masks=[Rle.encode(masks(9, 9)[0]).to_dict()]), r"size is \(9, 9\)"),
        (record(masks=[{**Rle.encode(masks()[0]).to_dict(), "annotator": "x"}]), "annotator"),
    ],
)
def test_damaged_records_are_named(path, json_data, words):
    data, _ = picture()
    write(path, [("a.png", data), ("a.json", json_data)])
    with pytest.raises(FormatError, match=words) as caught:
        list(read_shard(path))
    assert str(caught.value).startswith("set.tar: a.json: ")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([("a.png", picture()[0])], "its JSON file is missing"),
        ([("a.json", record())], "its image is missing"),
        ([("a.png", picture()[0]), ("a.webp", picture()[0])], "a second file like 'a.png'"),
        ([("a.json", record()), ("a.json", record())], "a second file"),
    ],
)
def test_incomplete_samples_are_named(path, members, words):
    with pytest.raises(FormatError, match=words):
        list(read_shard(write(path, members)))


def test_files_that_are_no_shard(tmp_path, path):
    with pytest.raises(StoreError, match="cannot be read"):
        list(read_shard(tmp_path / "missing.tar"))
    path.write_bytes(b"not a tar file" * 100)
    with pytest.raises(FormatError, match="not a readable tar file"):
        list(read_shard(path))
    data, _ = picture()
    write(path, [("a.png", data), ("a.json", record())])
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(FormatError, match="tar"):
        list(read_shard(path))


def test_an_empty_shard_has_no_samples(path):
    assert list(read_shard(write(path, []))) == []
