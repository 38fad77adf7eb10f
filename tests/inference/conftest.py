"""A compact network with random weights: what it answers is nonsense, but in the right places."""

import numpy as np
import pytest
import torch

from segwidget.inference import embeddings, predictor
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.sam.build import build_compact


@pytest.fixture(scope="session")
def model():
    torch.manual_seed(0)
    sam = build_compact(128).eval().requires_grad_(False)
    return Model(sam, "random", "ab" * 32)


@pytest.fixture
def cache(monkeypatch):
    """An empty embedding cache in place of the process's."""
    cache = embeddings.EmbeddingCache()
    monkeypatch.setattr(embeddings, "embedding_cache", cache)
    monkeypatch.setattr(predictor, "embedding_cache", cache)
    return cache


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


@pytest.fixture
def ready(model, cache, picture):
    """A predictor that has an image of 90 × 60 pixels."""
    predictor = Predictor(model)
    predictor.set_image(picture)
    return predictor


@pytest.fixture(scope="session")
def hf_folder(tmp_path_factory):
    """Folders of tiny models as transformers saves them, by the name of their builder."""
    made = {}

    def make(kind):
        if kind not in made:
            from tests.inference import tiny_transformers

            made[kind] = tmp_path_factory.mktemp("transformers") / kind
            model = tiny_transformers.randomized(getattr(tiny_transformers, kind)())
            model.save_pretrained(made[kind])
        return made[kind]

    return make
