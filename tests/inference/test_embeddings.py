"""The embedding cache: found by content, bounded, let go, and safe for threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from segwidget.inference.embeddings import EmbeddingCache, EmbeddingKey, features_nbytes
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.sam.sam import ImageFeatures


def features(kilobytes=1):
    return ImageFeatures(torch.zeros(1, 1, kilobytes, 256), None)


def key(name):
    return EmbeddingKey(name, "model", "cpu")


@pytest.fixture
def counted(model, cache, monkeypatch):
    """How often the image encoder ran."""
    runs = []
    encode = model.sam.encode
    monkeypatch.setattr(model.sam, "encode", lambda x: runs.append(1) or encode(x))
    return runs


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
