"""Tuned models as files: what they hold, what they are held to, and how they open."""

import itertools

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from segwidget.errors import CheckpointError, ModelError, StoreError
from segwidget.inference import delta
from segwidget.inference.delta import TunedModel, rounded_state, save_delta, tuned_model
from segwidget.inference.embeddings import embedding_key
from segwidget.inference.models import load_model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.media.image import open_image
from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import save_checkpoint

NAME = "mask_decoder.iou_prediction_head.layers.2.bias"


def make_base(path, seed):
    torch.manual_seed(seed)
    save_checkpoint(build_compact(), path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return load_model(make_base(tmp_path_factory.mktemp("base") / "own.safetensors", 0))


@pytest.fixture
def folder(base, tmp_path):
    """A folder with the base's file, under its name."""
    make_base(tmp_path / "own.safetensors", 0)
    return tmp_path


@pytest.fixture(scope="module")
def tuned(base):
    generator = torch.Generator().manual_seed(1)
    state = {
        k: v + 0.05 * torch.randn(v.shape, generator=generator)
        for k, v in base.sam.state_dict().items()
        if k.startswith("mask_decoder.")
    }
    return tuned_model(base, rounded_state(state), "mine", "# Mine\n")


def test_the_base_stays_and_its_encoder_is_shared(base, tuned):
    assert tuned.sam.image_encoder is base.sam.image_encoder
    assert tuned.sam.mask_decoder is not base.sam.mask_decoder
    assert tuned.sha256 != base.sha256
    assert tuned.base.sha256 == base.sha256
    assert all(name.startswith("mask_decoder.") for name in tuned.changed)
    image = open_image(np.zeros((8, 8, 3), np.uint8))
    assert embedding_key(tuned, image) == embedding_key(base, image)


def test_a_model_with_nothing_new_is_the_same_one(base):
    assert tuned_model(base, {NAME: base.sam.state_dict()[NAME].clone()}) is base


def test_a_file_gives_the_same_model(folder, base, tuned, cache, picture):
    path = save_delta(tuned, folder / "mine.delta.safetensors")
    assert path.stat().st_size < 0.2 * (folder / "own.safetensors").stat().st_size
    assert set(load_file(path)) == set(tuned.changed)
    assert all(t.dtype == torch.float16 for t in load_file(path).values())
    assert (folder / "mine.md").read_text() == "# Mine\n"
    opened = Predictor(path)
    assert isinstance(opened.model, TunedModel)
    assert (opened.model.name, opened.model.sha256) == ("mine.delta.safetensors", tuned.sha256)
    assert load_model(str(path)) is opened.model
    answers = []
    for predictor in (opened, Predictor(tuned), Predictor(base)):
        predictor.set_image(picture)
        answers.append(predictor.predict([Point(20, 20)]).low_res_logits)
    assert np.array_equal(answers[0], answers[1])
    assert not np.allclose(answers[0], answers[2], atol=0.01)


def test_numbers_that_float16_lacks_stay_float32(folder, base):
    state = {NAME: base.sam.state_dict()[NAME] + 1e-7}
    path = save_delta(tuned_model(base, state), folder / "fine.delta.safetensors", "A card.")
    assert load_file(path)[NAME].dtype == torch.float32
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["card"] == "A card."
    assert (metadata["base"], metadata["base_sha256"]) == ("own.safetensors", base.sha256)
    assert load_model(path).sha256 == metadata["sha256"]


def test_tuned_twice_it_still_differs_from_the_first_base(folder, base, tuned):
    again = tuned_model(tuned, {"prompt_encoder.no_mask_embed.weight": torch.ones(1, 128)})
    assert again.base == tuned.base
    assert set(again.changed) == {*tuned.changed, "prompt_encoder.no_mask_embed.weight"}
    path = save_delta(again, folder / "again.delta.safetensors")
    assert load_model(path).sha256 == again.sha256


def test_another_encoder_has_embeddings_of_its_own(base):
    name, tensor = next(
        (k, v) for k, v in base.sam.state_dict().items() if k.startswith("image_encoder.")
    )
    made = tuned_model(base, {name: tensor + 1})
    assert made.encoder_sha256 == made.sha256 != base.sha256


def test_another_base_is_refused(tmp_path, tuned):
    make_base(tmp_path / "own.safetensors", 5)
    path = save_delta(tuned, tmp_path / "mine.delta.safetensors")
    with pytest.raises(CheckpointError, match=r"was tuned from 'own.safetensors'.*SHA-256"):
        load_model(path)


def test_a_base_that_is_not_here(tmp_path, tuned):
    path = save_delta(tuned, tmp_path / "mine.delta.safetensors")
    with pytest.raises(CheckpointError, match="not on this computer"):
        load_model(path)


def test_a_base_is_never_looked_for_elsewhere(tmp_path, tuned):
    (tmp_path / "in").mkdir()
    make_base(tmp_path / "own.safetensors", 0)
    path = tmp_path / "in" / "mine.delta.safetensors"
    tensors, metadata = load_file(save_delta(tuned, path)), {}
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, {**metadata, "base": "../own.safetensors"})
    with pytest.raises(CheckpointError, match="not on this computer"):
        load_model(path)


@pytest.mark.parametrize("what", ["value", "name", "shape", "header", "cut", "foreign", "gone"])
def test_a_changed_file_is_refused(what, folder, tuned):
    path = save_delta(tuned, folder / "mine.delta.safetensors")
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    words = "no tuned model"
    if what == "value":
        tensors[NAME][0] += 1
        words = "changed or damaged"
    elif what == "name":
        tensors["mask_decoder.extra"] = tensors.pop(NAME)
        words = "does not fit"
    elif what == "shape":
        tensors[NAME] = tensors[NAME][:1].clone()
        words = "does not fit"
    elif what == "header":
        del metadata["base"]
    elif what == "foreign":
        metadata = {}
    if what == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif what == "gone":
        path.unlink()
        words = "cannot be read|There is no"
    else:
        save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match=words):
        load_model(path)


def test_what_cannot_be_saved(tmp_path, base, tuned):
    with pytest.raises(ModelError, match="nothing to save"):
        save_delta(base, tmp_path / "a.delta.safetensors")
    with pytest.raises(ModelError, match="nothing to save"):
        save_delta(5, tmp_path / "a.delta.safetensors")
    with pytest.raises(ModelError, match="ends with"):
        save_delta(tuned, tmp_path / "a.safetensors")
    with pytest.raises(StoreError, match="cannot be written"):
        save_delta(tuned, tmp_path / "none" / "a.delta.safetensors")
    assert not list(itertools.chain(tmp_path.glob("*"), tmp_path.glob(".*")))


def test_what_is_a_delta(tmp_path):
    assert delta.is_delta(tmp_path / "A.Delta.Safetensors")
    assert not delta.is_delta(tmp_path / "delta.safetensors")
