"""An embedding as a file: exact, and recognized if it is anything else."""

import json

import pytest
import torch
from safetensors.torch import load, save

from segwidget.inference.embedding_file import (
    FORMAT,
    EmbeddingKey,
    file_name,
    has_file,
    pack,
    unpack,
    well_formed,
)
from segwidget.sam.sam import ImageFeatures

KEY = EmbeddingKey("1" * 64, "2" * 64, "cpu", "sam-float32")


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).half()


def features():
    return ImageFeatures(random(1, 8, 4, 4), random(1, 3, 8, 8), random(1, 2, 16, 16))


def same(a, b):
    return all(
        (x is None) == (y is None) and (x is None or torch.equal(x, y))
        for x, y in zip(a, b, strict=True)
    )


def header(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(content, rest):
    text = json.dumps(content).encode()
    return len(text).to_bytes(8, "little") + text + rest


def with_metadata(data, **changes):
    content, rest = header(data)
    content["__metadata__"].update(changes)
    return with_header(content, rest)


@pytest.mark.parametrize("fields", [1, 2, 3])
def test_there_and_back(fields):
    given = ImageFeatures(*features()[:fields])
    found = unpack(KEY, pack(KEY, given))
    assert same(found, given)
    assert found.embedding.dtype == torch.float16


def test_it_is_safetensors_that_anybody_can_read():
    data = pack(KEY, features())
    assert set(load(data)) == {"embedding", "high_res", "finest"}
    metadata = header(data)[0]["__metadata__"]
    assert metadata.pop("crc32")
    assert metadata == {
        "format": FORMAT,
        "image": "1" * 64,
        "model": "2" * 64,
        "variant": "sam-float32",
    }


def test_the_name_is_that_of_image_model_and_variant():
    names = {
        file_name(KEY),
        file_name(KEY._replace(image="3" * 64)),
        file_name(KEY._replace(model="3" * 64)),
        file_name(KEY._replace(variant="sam-bfloat16")),
        file_name(KEY._replace(image=KEY.model, model=KEY.image)),
    }
    assert len(names) == 5
    assert all(len(n) == 64 and int(n, 16) for n in names)
    assert file_name(KEY._replace(device="cuda:0")) == file_name(KEY)


@pytest.mark.parametrize(
    "key",
    [KEY._replace(image="a"), KEY._replace(model=""), KEY._replace(model="../" * 20 + "aaaa")],
)
def test_without_real_hashes_there_is_no_file(key):
    assert has_file(KEY)
    assert not has_file(key)


@pytest.mark.parametrize("other", [{"image": "3" * 64}, {"model": "3" * 64}, {"variant": "x"}])
def test_a_file_of_something_else(other):
    data = pack(KEY._replace(**other), features())
    assert unpack(KEY, data) is None


def test_cut_anywhere():
    data = pack(KEY, features())
    for end in [*range(0, len(data), 97), len(data) - 1]:
        assert unpack(KEY, data[:end]) is None
    assert unpack(KEY, data + b"x") is None


def test_a_flipped_bit_anywhere():
    data = pack(KEY, features())
    given = features()
    for at in range(0, len(data), 41):
        damaged = bytearray(data)
        damaged[at] ^= 4
        found = unpack(KEY, bytes(damaged))
        assert found is None or same(found, given)  # blanks in the header may be anything


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" * 100,
        b"\xff" * 1000,
        b"\0" * 1000,
        (1 << 40).to_bytes(8, "little") + b"{}",
        with_header([], b""),
        with_header({}, b""),
        with_header({"__metadata__": None}, b""),
        with_header({"__metadata__": {"format": FORMAT}}, b""),
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (60_000).to_bytes(8, "little") + b"[" * 60_000,
    ],
)
def test_other_files(data):
    assert unpack(KEY, data) is None


@pytest.mark.parametrize(
    "tensors",
    [
        {"embedding": random(1, 8, 4, 4).float()},
        {"embedding": random(8, 4, 4)},
        {"embedding": random(2, 8, 4, 4)},
        {"embedding": random(1, 8, 4, 0)},
        {"embedding": random(1, 8, 4, 4), "high_res": random(1, 3, 4, 4)},
        {"embedding": random(1, 8, 4, 4), "finest": random(1, 3, 8, 8)},
        {"embedding": random(1, 8, 4, 4), "more": random(1, 3, 8, 8)},
        {"high_res": random(1, 3, 8, 8)},
        {},
    ],
)
def test_other_tensors(tensors):
    metadata = header(pack(KEY, features()))[0]["__metadata__"]
    assert unpack(KEY, save(tensors, metadata)) is None


def test_a_wrong_checksum_or_format():
    data = pack(KEY, features())
    assert unpack(KEY, with_metadata(data)) is not None
    assert unpack(KEY, with_metadata(data, crc32="00000000")) is None
    assert unpack(KEY, with_metadata(data, format="segwidget-embedding-0")) is None
    assert unpack(KEY, save({"embedding": random(1, 8, 4, 4)})) is None


def test_only_well_formed_embeddings_go_into_files():
    assert well_formed(features())
    assert not well_formed(ImageFeatures(random(1, 8, 4, 4).float()))
    assert not well_formed(ImageFeatures(random(8, 4)))
