"""Precisions, runtimes, and the probe that finds the fastest kernel."""

import json
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch

from segwidget.errors import ModelError
from segwidget.inference import onnx, probe
from segwidget.inference.models import load_model
from segwidget.inference.network import SamNetwork
from segwidget.inference.onnx import exported_path
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Point
from segwidget.sam.build import build_compact
from segwidget.sam.checkpoint import save_checkpoint
from segwidget.sam.fast.linear import KERNELS
from segwidget.sam.image_encoder import ImageEncoderViT


@pytest.fixture
def checkpoint(tmp_path):
    """A small embedded network of random weights, in a file."""
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    save_checkpoint(build_compact(), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache folder, empty; and nothing measured yet."""
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(probe, "_known", {})
    return tmp_path / "cache"


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


def answer(model, image):
    predictor = Predictor(model)
    predictor.set_image(image)
    return predictor.predict([Point(40, 30)])


def test_bfloat16_answers_nearly_the_same(checkpoint, folder, image):
    exact = answer(load_model(checkpoint, "cpu"), image)
    model = load_model(checkpoint, "cpu", "bfloat16")
    assert model.network.variant == "compact-bfloat16"
    near = answer(model, image)
    assert near.low_res_logits.dtype == np.float32
    error = np.abs(near.low_res_logits - exact.low_res_logits).max()
    assert 0 < error < 0.2 * exact.low_res_logits.std() + 0.1


def test_precisions_are_models_of_their_own(checkpoint, folder):
    exact, near = load_model(checkpoint, "cpu"), load_model(checkpoint, "cpu", "bfloat16")
    assert exact is not near
    assert load_model(checkpoint, "cpu") is exact
    assert exact.network.variant != near.network.variant  # so embeddings are not mixed up


@pytest.mark.parametrize(("pays", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_fastest_is_what_was_measured(checkpoint, folder, monkeypatch, pays, expected):
    speed = {torch.float32: 2.0, torch.bfloat16: 1.0 if pays else 1.9}
    monkeypatch.setattr(probe, "_measure", lambda dtype: dict.fromkeys(KERNELS, speed[dtype]))
    model = load_model(checkpoint, "cpu", "fastest")
    assert model.network.precision == expected
    assert model.network.variant == f"compact-{expected}"


def test_the_fastest_kernel_is_measured_once_and_remembered(folder, monkeypatch):
    kernel = probe.fastest_kernel(torch.float32)
    (file,) = (folder / "probes").glob("float32-*.json")
    times = json.loads(file.read_text())
    assert set(times) == set(KERNELS)
    assert kernel == min(times, key=times.get)

    monkeypatch.setattr(probe, "_known", {})  # as in the next process
    monkeypatch.setattr(probe, "_measure", None)
    file.write_text(json.dumps({"matmul": 2.0, "convolution": 1.0, "packed": 3.0}))
    assert probe.fastest_kernel(torch.float32) == "convolution"


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", '{"matmul": "x"}', '{"rm": 1}', '{"packed": -1}']
)
def test_a_damaged_record_is_measured_again(folder, monkeypatch, damage):
    monkeypatch.setattr(probe, "_measure", lambda dtype: {"matmul": 1.0, "packed": 2.0})
    probe.fastest_kernel(torch.float32)
    (file,) = (folder / "probes").glob("float32-*.json")
    file.write_text(damage)
    monkeypatch.setattr(probe, "_known", {})
    assert probe.fastest_kernel(torch.float32) == "matmul"
    assert json.loads(file.read_text()) == {"matmul": 1.0, "packed": 2.0}


def test_a_folder_that_cannot_be_written_is_no_error(folder, monkeypatch):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file where the folder should be")
    monkeypatch.setattr(probe, "_measure", lambda dtype: {"matmul": 1.0})
    assert probe.fastest_kernel(torch.float32) == "matmul"


def test_onnx_runtime_gives_the_same_embedding(checkpoint, folder, image):
    exact = load_model(checkpoint, "cpu")
    model = load_model(checkpoint, "cpu", runtime="onnx")
    found, expected = (m.network.encode(image) for m in (model, exact))
    for x, y in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(x, y, rtol=1e-3, atol=1e-3)
    assert found.finest is None
    path = exported_path(model.sha256, "float32")
    assert path.is_file()
    assert path.is_relative_to(folder)
    assert [p.name for p in path.parents[1].iterdir()] == [path.parent.name]  # nothing half-done


def test_eight_bits_are_near_and_smaller(checkpoint, folder, image):
    model = load_model(checkpoint, "cpu", "int8")
    assert model.network.variant == "compact-int8"
    found = model.network.encode(image).embedding
    expected = load_model(checkpoint, "cpu").network.encode(image).embedding
    error = ((found - expected).norm() / expected.norm()).item()
    assert 0 < error < 0.1
    assert len(answer(model, image)) == 4


def test_an_exported_encoder_is_found_again(checkpoint, folder, image, monkeypatch):
    first = load_model(checkpoint, "cpu", runtime="onnx").network.encode(image)
    monkeypatch.setattr(onnx, "_trace", None)
    network = SamNetwork(
        load_model(checkpoint, "cpu").sam,
        runtime="onnx",
        checkpoint=load_model(checkpoint, "cpu").sha256,
    )
    assert torch.equal(network.encode(image).embedding, first.embedding)


def test_without_onnx_runtime(checkpoint, folder, image, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    model = load_model(checkpoint, "cpu", "int8")
    with pytest.raises(ModelError, match=r"not installed.*segwidget\[onnx\]"):
        model.network.encode(image)
    assert onnxruntime.__version__  # it is here, so that the other tests mean something


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"precision": "float8"}, r"'float8'.*float32, bfloat16, int8, fastest"),
        ({"runtime": "tpu"}, r"'tpu'.*'torch' or 'onnx'"),
        (
            {"precision": "bfloat16", "runtime": "onnx", "checkpoint": "ab" * 32},
            r"'float32' or 'int8'",
        ),
        ({"precision": "int8"}, r"weights from a file.*save_checkpoint"),
    ],
)
def test_what_cannot_be_is_refused(arguments, told):
    sam = build_compact(64).eval()
    with pytest.raises(ModelError, match=told):
        SamNetwork(sam, **arguments)


def test_windows_that_do_not_divide_the_image_are_exported(tmp_path):
    torch.manual_seed(0)
    encoder = ImageEncoderViT(  # 12 patches a side, windows of 5
        192,
        embed_dim=32,
        depth=2,
        num_heads=2,
        out_chans=16,
        window_size=5,
        global_attn_indexes=[1],
    ).eval()
    for parameter in encoder.parameters():
        parameter.data.normal_(0, 0.1)
    onnx._trace(SimpleNamespace(image_encoder=encoder, image_size=192), tmp_path / "vit.onnx")
    x = torch.randn(1, 3, 192, 192)
    with torch.no_grad():
        expected, _ = encoder(x)
    found, high_res = onnx.OnnxEncoder(tmp_path / "vit.onnx")(x)
    assert high_res is None
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
