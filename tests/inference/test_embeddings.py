"""Embeddings: found by content in memory and on disk, bounded, let go, and safe for threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from segwidget.inference import embeddings, predictor
from segwidget.inference.embedding_file import EmbeddingKey, file_name, pack, unpack
from segwidget.inference.embedding_store import default_store
from segwidget.inference.embeddings import (
    EmbeddingCache,
    embed,
    embedding_key,
    features_nbytes,
    find_on_disk,
    fits,
    rounded,
)
from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.media.image import open_image
from segwidget.sam.sam import ImageFeatures

PATIENCE = 60  # seconds until something that should have happened counts as hanging
DOT = Point(30, 30)


def features(kilobytes=1):
    return ImageFeatures(torch.zeros(1, 1, kilobytes, 256), None)


def key(name):
    return EmbeddingKey(name, "model", "cpu")


@pytest.fixture
def counted(model, cache, monkeypatch):
    """How often the image encoder ran."""
    runs = []
    embed = SamNetwork.embed
    monkeypatch.setattr(SamNetwork, "embed", lambda self, x: runs.append(1) or embed(self, x))
    return runs


@pytest.fixture
def disk(monkeypatch, tmp_path):
    """The process's store, turned on and empty."""
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path))
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", "50_000_000")
    store = default_store()
    yield store
    assert store.flush(PATIENCE)


@pytest.fixture
def later(monkeypatch):
    """Goes on as another session would: what was to be written is, and nothing is in memory."""

    def begin(store):
        assert store.flush(PATIENCE)
        empty = EmbeddingCache()
        monkeypatch.setattr(predictor, "embedding_cache", empty)
        monkeypatch.setattr(embeddings, "embedding_cache", empty)

    return begin


def stored(disk):
    return sorted(disk.folder.glob("*/*"))


def equal(a, b):
    pairs = zip(a, b, strict=True)
    return all((x is None) == (y is None) and (x is None or torch.equal(x, y)) for x, y in pairs)


def test_bytes():
    assert features_nbytes(features(3)) == 3 << 10
    both = ImageFeatures(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 8, 8, dtype=torch.float16))
    assert features_nbytes(both) == 2 * 16 * 4 + 64 * 2


def test_computed_once():
    cache, made = EmbeddingCache(), []
    for _ in range(3):
        found = cache.acquire(key("a"), lambda: made.append(1) or features())
    assert made == [1]
    assert cache.acquire(key("a"), features) is found
    assert key("a") in cache
    assert len(cache) == 1


def test_keys_differ_by_image_model_and_device():
    cache = EmbeddingCache()
    for k in (("a", "m", "cpu"), ("b", "m", "cpu"), ("a", "n", "cpu"), ("a", "m", "cuda:0")):
        cache.acquire(EmbeddingKey(*k), features)
    assert len(cache) == 4


def test_the_least_recently_used_goes_first():
    cache = EmbeddingCache(max_bytes=3 << 10)
    for name in "abc":
        cache.acquire(key(name), features)
    cache.acquire(key("a"), features)
    cache.acquire(key("d"), features)
    assert [key(name) in cache for name in "abcd"] == [True, False, True, True]
    assert cache.nbytes == 3 << 10


def test_the_newest_stays_even_if_it_is_too_large():
    cache = EmbeddingCache(max_bytes=3 << 10)
    cache.acquire(key("small"), features)
    cache.acquire(key("huge"), lambda: features(9))
    assert key("huge") in cache
    assert len(cache) == 1


def test_the_last_user_may_have_it_forgotten():
    cache = EmbeddingCache()
    cache.acquire(key("a"), features)
    cache.acquire(key("a"), features)
    cache.release(key("a"), forget=True)
    assert key("a") in cache
    cache.release(key("a"), forget=True)
    assert key("a") not in cache
    cache.acquire(key("b"), features)
    cache.release(key("b"))
    assert key("b") in cache
    cache.release(key("never seen"), forget=True)


def test_a_failure_leaves_nothing_behind():
    cache = EmbeddingCache()

    def fails():
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        cache.acquire(key("a"), fails)
    assert len(cache) == 0
    made = features()
    assert cache.acquire(key("a"), lambda: made) is made


def test_threads_get_one_embedding():
    cache, barrier = EmbeddingCache(), threading.Barrier(8)

    def work(_):
        barrier.wait()
        return cache.acquire(key("a"), features)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert len(cache) == 1
    assert all(f is found[0] for f in found)
    for _ in range(7):
        cache.release(key("a"), forget=True)
    assert key("a") in cache
    cache.release(key("a"), forget=True)
    assert len(cache) == 0


def test_threads_that_come_and_go_keep_within_bounds():
    cache = EmbeddingCache(max_bytes=4 << 10)

    def work(seed):
        for i in np.random.default_rng(seed).integers(12, size=200):
            cache.acquire(key(str(i)), features)
            cache.release(key(str(i)), forget=bool(i % 2))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert cache.nbytes <= 4 << 10
    assert not cache._users


def test_equal_pixels_are_embedded_once(model, counted, picture):
    a, b = Predictor(model), Predictor(model)
    a.set_image(picture)
    b.set_image(picture.copy())
    a.set_image(picture)
    assert counted == [1]
    b.set_image(255 - picture)
    assert len(counted) == 2


def test_the_same_bytes_in_another_shape_are_another_image(model, counted, picture):
    predictor = Predictor(model)
    predictor.set_image(picture)
    predictor.set_image(picture.reshape(90, 60, 3))
    assert len(counted) == 2


def test_another_model_has_embeddings_of_its_own(model, counted, picture):
    Predictor(model).set_image(picture)
    Predictor(Model(model.sam, "other", "cd" * 32)).set_image(picture)
    assert len(counted) == 2


def test_a_forgotten_image_is_embedded_again(model, cache, counted, picture):
    a, b = Predictor(model), Predictor(model)
    a.set_image(picture)
    b.set_image(picture)
    a.reset_image(forget=True)
    assert len(cache) == 1  # b still needs it
    b.reset_image(forget=True)
    assert len(cache) == 0
    a.set_image(picture)
    assert len(counted) == 2


def test_setting_the_same_image_again_counts_one_user(model, cache, picture):
    predictor = Predictor(model)
    for _ in range(3):
        predictor.set_image(picture)
    predictor.reset_image(forget=True)
    assert len(cache) == 0


def test_an_answer_survives_eviction(model, cache, picture):
    cache.max_bytes = 1
    a, b = Predictor(model), Predictor(model)
    a.set_image(picture)
    before = a.predict([Point(30, 30)]).low_res_logits
    b.set_image(255 - picture)
    assert len(cache) == 1
    assert np.array_equal(a.predict([Point(30, 30)]).low_res_logits, before)


def test_an_image_is_found_on_disk_in_a_later_session(model, cache, counted, picture, disk, later):
    first = Predictor(model)
    first.set_image(picture)
    before = first.predict([DOT])
    later(disk)
    second = Predictor(model)
    second.set_image(picture)
    after = second.predict([DOT])
    assert counted == [1]
    assert np.array_equal(before.low_res_logits, after.low_res_logits)
    assert np.array_equal(before.predicted_iou, after.predicted_iou)
    assert len(stored(disk)) == 1


def test_the_first_answer_equals_later_ones_also_without_a_disk(
    model, cache, picture, disk, later, monkeypatch
):
    kept = Predictor(model)
    kept.set_image(picture)
    later(disk)
    found = Predictor(model)
    found.set_image(picture)
    disk.clear()
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", "0")
    later(disk)
    alone = Predictor(model)
    alone.set_image(picture)
    answers = [p.predict([DOT]).low_res_logits for p in (kept, found, alone)]
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])
    assert stored(disk) == []


def test_embeddings_are_kept_in_half_and_given_in_full(model, cache, picture, disk, later):
    exact = model.network.encode(picture)
    found = embed(model, picture)
    assert all(t is None or t.dtype == torch.float32 for t in found)
    assert equal(
        found,
        rounded(exact)._replace(
            **{k: t.half().float() for k, t in exact._asdict().items() if t is not None}
        ),
    )
    later(disk)
    assert equal(embed(model, picture), found)
    Predictor(model).set_image(picture)
    assert predictor.embedding_cache.nbytes == features_nbytes(exact) // 2


def test_forgetting_frees_memory_only(model, cache, counted, picture, disk):
    predictor = Predictor(model)
    predictor.set_image(picture)
    predictor.reset_image(forget=True)
    assert len(cache) == 0
    assert disk.flush(PATIENCE)
    assert len(stored(disk)) == 1
    predictor.set_image(picture)
    assert counted == [1]


def test_a_predictors_image_is_found_in_memory(model, counted, picture):
    held = Predictor(model)
    held.set_image(picture)
    assert equal(embed(model, picture), embed(model, picture))
    assert counted == [1]
    held.reset_image(forget=True)


def test_other_images_do_not_fill_the_memory(model, picture):
    held = len(embeddings.embedding_cache)
    embed(model, picture)
    assert len(embeddings.embedding_cache) == held


def test_another_device_finds_the_same_file(model, picture):
    key = embedding_key(model, open_image(picture))
    assert file_name(key) == file_name(key._replace(device="cuda:3"))


def test_another_model_or_variant_is_another_file(model, picture, counted, disk, monkeypatch):
    embed(model, picture)
    embed(Model(model.sam, "other", "cd" * 32), picture)
    monkeypatch.setattr(type(model.network), "variant", "compact-bfloat16")
    embed(model, picture)
    assert disk.flush(PATIENCE)
    assert len(stored(disk)) == 3
    assert len(counted) == 3


def test_a_model_without_a_hash_stays_off_the_disk(model, picture, disk):
    for sha256 in ("", "mine", "../" * 21 + "a"):
        embed(Model(model.sam, "mine", sha256), picture)
    assert disk.flush(PATIENCE)
    assert stored(disk) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign", "other image"])
def test_a_damaged_file_is_computed_again_and_replaced(
    model, cache, counted, picture, disk, later, damage
):
    before = embed(model, picture)
    assert disk.flush(PATIENCE)
    (file,) = stored(disk)
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.write_bytes(
        {
            "cut": whole[:middle],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "empty": b"",
            "foreign": b"\x89PNG" * 1000,
            "other image": pack(
                embedding_key(model, open_image(255 - picture)),
                rounded(model.network.encode(picture)),
            ),
        }[damage]
    )
    del counted[:]
    later(disk)
    assert equal(embed(model, picture), before)
    assert counted == [1]
    assert disk.flush(PATIENCE)
    assert equal(
        unpack(embedding_key(model, open_image(picture)), file.read_bytes()), rounded(before)
    )
    assert disk.problem == ""


def test_a_file_of_the_wrong_shape_is_computed_again(model, counted, picture, disk):
    """As another network would have written it that passed for this one."""
    image = open_image(picture)
    right = embed(model, image)
    narrow = right._replace(embedding=right.embedding[:, :8])
    for n, wrong in enumerate([narrow, right._replace(high_res=None)]):
        assert disk.flush(PATIENCE)
        key = embedding_key(model, image)
        assert disk.write(file_name(key), pack(key, rounded(wrong)))
        assert equal(embed(model, image), right)
        assert len(counted) == n + 2


def test_numbers_beyond_half_are_used_as_they_are_and_not_stored(
    model, cache, picture, disk, monkeypatch
):
    encode = model.network.embed

    def large(x):
        features = encode(x)
        embedding = features.embedding.clone()
        embedding[0, 0, 0, 0] = 1e6
        return features._replace(embedding=embedding)

    monkeypatch.setattr(model.network, "embed", large)
    exact = model.network.encode(picture)
    assert equal(embed(model, picture), exact)
    predictor = Predictor(model)
    predictor.set_image(picture)
    assert np.isfinite(predictor.predict([DOT]).low_res_logits).all()
    assert disk.flush(PATIENCE)
    assert stored(disk) == []


def test_embeddings_may_take_part_in_training(model, cache, picture, disk, later):
    weight = torch.ones((), requires_grad=True)
    with torch.inference_mode():
        inside = embed(model, picture)
    later(disk)
    for features in (inside, embed(model, picture)):
        (features.embedding * weight).square().sum().backward()
    assert weight.grad is not None
    assert weight.grad > 0


def test_rounding():
    values = torch.tensor([1 / 3, -70.03, 1e-9, 65504.0]).view(1, 4, 1, 1)
    kept = rounded(ImageFeatures(values.transpose(1, 2)))
    assert torch.equal(kept.embedding.flatten(), values.flatten().half())
    assert rounded(ImageFeatures(values, values.half())).high_res.dtype == torch.float16
    beyond = ImageFeatures(torch.full((1, 1, 1, 1), 65520.0), values)
    assert equal(rounded(beyond), beyond)
    views = torch.randn(1, 4, 4, 8).permute(0, 3, 1, 2)
    assert rounded(ImageFeatures(views)).embedding.is_contiguous()
    assert rounded(ImageFeatures(views * 1e6)).embedding.is_contiguous()


def test_shapes_of_unknown_networks_only_have_to_agree():
    class Other:
        device = torch.device("cpu")

    good = rounded(ImageFeatures(torch.zeros(1, 7, 5, 5), torch.zeros(1, 2, 10, 10)))
    assert fits(Other(), good)
    assert not fits(Other(), good._replace(high_res=good.embedding))


def test_a_disk_that_fails_does_not_stop_the_work(model, cache, picture, disk, tmp_path):
    disk.folder.write_text("in the way")
    predictor = Predictor(model)
    predictor.set_image(picture)
    assert len(predictor.predict([DOT])) == 4
    assert disk.flush(PATIENCE)
    assert "cannot be kept" in disk.problem
    assert find_on_disk(model, open_image(picture)) is None
