"""The exported graphs answer what the network answers, and are exported once a checkpoint."""

import gzip

import onnx
import onnxruntime
import pytest
import torch

from segwidget.inference import decoder_graph
from segwidget.inference.decoder_graph import decoder_graphs, graphs_folder, tensor_shapes
from segwidget.inference.models import Model
from segwidget.sam.build import build_compact
from segwidget.sam.sam import ImageFeatures
from tests.sam.conftest import Sizes, _random_state, build_own

PROMPTS = {
    "point": [1, -1],
    "box": [2, 3],
    "points and box": [1, 0, 2, 3],
    "many points": [1, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, -1],
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


def randomized(sam):
    sam.load_state_dict(_random_state(sam))
    return sam.eval().requires_grad_(False)


def in_halves(sam):
    """The same network with large weights rounded to float16, as the graphs store them."""
    for parameter in sam.parameters():
        if parameter.numel() > decoder_graph.LARGE:
            parameter.copy_(parameter.half().float())
    return sam


class Page:
    """Runs the graphs as a page does."""

    def __init__(self, graphs):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self.prepare, self.refine, self.decode = (
            onnxruntime.InferenceSession(
                gzip.decompress(graph), options, providers=["CPUExecutionProvider"]
            )
            for graph in graphs
        )

    def prepared(self, tensors, mask=None):
        prepared = self._run(self.prepare, {name: t.numpy() for name, t in tensors.items()})
        if mask is not None:
            refined = self._run(self.refine, {**prepared, "mask": mask.numpy()})
            prepared |= {name.removeprefix("refined_"): x for name, x in refined.items()}
        return prepared

    def _run(self, session, given):
        outputs = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
        return dict(zip((o.name for o in session.get_outputs()), outputs, strict=True))

    def answer(self, prepared, coords, labels):
        points = {"coords": coords.numpy(), "labels": labels.float().numpy()}
        logits, iou = self.decode.run(["logits", "iou"], {**prepared, **points})
        return torch.from_numpy(logits), torch.from_numpy(iou)


@pytest.fixture(scope="module")
def networks():
    """By family: a network, and a page with its graphs."""
    made = {}

    def get(family):
        if family not in made:
            sam = build_compact(96) if family == "embedded" else build_own(Sizes())
            sam = in_halves(randomized(sam))
            made[family] = sam, Page(decoder_graph.export(sam))
        return made[family]

    return get


def tensors_of(sam, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return {n: torch.randn(shape, generator=generator) for n, shape in tensor_shapes(sam)}


def prompts_of(sam, labels, seed=2):
    generator = torch.Generator().manual_seed(seed)
    coords = sam.image_size * torch.rand(1, len(labels), 2, generator=generator)
    return coords, torch.tensor([labels])


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("masked", [False, True], ids=["first", "refined"])
@pytest.mark.parametrize("family", ["embedded", "sam"])
def test_answers_are_the_network_s(networks, family, masked, kind):
    sam, page = networks(family)
    tensors, (coords, labels) = tensors_of(sam), prompts_of(sam, PROMPTS[kind])
    side = sam.prompt_encoder.mask_input_size[0]
    mask = 5 * torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(3))
    mask = mask if masked else None
    features = ImageFeatures(*tensors.values())
    expected, expected_iou = sam.decode(features, (coords, labels), masks=mask, padded=True)
    logits, iou = page.answer(page.prepared(tensors, mask), coords, labels)
    assert logits.shape == (1, 4, side, side)
    assert iou.shape == (1, 4)
    assert expected.std() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(iou, expected_iou, rtol=1e-4, atol=1e-4)


def test_points_at_the_very_edge_are_read_as_the_network_reads_them(networks):
    sam, page = networks("embedded")
    tensors = tensors_of(sam)
    size = float(sam.image_size)
    coords = torch.tensor([[[-0.5, -0.5], [size - 0.5, size - 0.5], [0.0, 0.0]]])
    labels = torch.tensor([[1, 0, -1]])
    features = ImageFeatures(*tensors.values())
    expected, _ = sam.decode(features, (coords, labels), padded=True)
    logits, _ = page.answer(page.prepared(tensors), coords, labels)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_what_float16_takes_from_weights_is_hardly_seen():
    sam = randomized(build_own(Sizes()))
    page, tensors = Page(decoder_graph.export(sam)), tensors_of(sam)
    ious = []
    for seed in range(6):
        coords, labels = prompts_of(sam, PROMPTS["point"], seed)
        expected, _ = sam.decode(ImageFeatures(*tensors.values()), (coords, labels), padded=True)
        logits, _ = page.answer(page.prepared(tensors), coords, labels)
        both = ((logits > 0) & (expected > 0)).sum((0, 2, 3))
        ious.append(both / ((logits > 0) | (expected > 0)).sum((0, 2, 3)))
    assert torch.cat(ious).mean() > 0.999


def test_the_files_are_small_and_plain_onnx(networks):
    sam, _ = networks("embedded")
    graphs = decoder_graph.export(sam)
    weights = sum(
        p.numel() for part in (sam.prompt_encoder, sam.mask_decoder) for p in part.parameters()
    )
    models = [onnx.load_from_string(gzip.decompress(graph)) for graph in graphs]
    for model in models:
        onnx.checker.check_model(model)
        assert {o.domain for o in model.opset_import} == {""}
        assert model.opset_import[0].version == 17
    assert sum(m.ByteSize() for m in models) < 2.5 * weights
    assert [i.name for i in models[0].graph.input] == ["embedding", "high_res"]
    outputs = [o.name for o in models[0].graph.output]
    changed = [o.name.removeprefix("refined_") for o in models[1].graph.output]
    assert [i.name for i in models[1].graph.input] == [*changed, "mask"]
    assert set(changed) < set(outputs)
    assert [i.name for i in models[2].graph.input] == [*outputs, "coords", "labels"]
    assert [o.name for o in models[2].graph.output] == ["logits", "iou"]


def test_a_weight_beyond_float16_stays_as_it_is(networks):
    sam = randomized(build_own(Sizes()))
    weight = sam.mask_decoder.output_hypernetworks_mlps[0].layers[0].weight
    weight[0, 0] = 1e6
    page, tensors = Page(decoder_graph.export(sam)), tensors_of(sam)
    coords, labels = prompts_of(sam, PROMPTS["box"])
    logits, _ = page.answer(page.prepared(tensors), coords, labels)
    expected, _ = sam.decode(ImageFeatures(*tensors.values()), (coords, labels), padded=True)
    assert logits.isfinite().all()
    error = (logits[:, 0] - expected[:, 0]).norm() / expected[:, 0].norm()
    assert error < 0.01


# Exported once a checkpoint.


@pytest.fixture
def own(monkeypatch):
    """A model, and how often it was exported."""
    model = Model(randomized(build_own(Sizes(img_size=64, window_size=2))), "own", "cd" * 32)
    calls = []

    def export(sam):
        calls.append(sam)
        return decoder_graph.DecoderGraphs(b"prepare", b"refine", b"decode")

    monkeypatch.setattr(decoder_graph, "export", export)
    return model, calls


def again(model):
    """The same checkpoint, loaded anew."""
    return Model(model.network, model.name, model.sha256)


def test_is_exported_once_and_found_on_disk(own):
    model, calls = own
    graphs = decoder_graphs(model)
    assert graphs == (b"prepare", b"refine", b"decode")
    assert sorted(p.name for p in graphs_folder(model.sha256).iterdir()) == [
        "decode",
        "prepare",
        "refine",
    ]
    assert decoder_graphs(again(model)) == graphs
    assert len(calls) == 1
    leftovers = {p.name for p in graphs_folder(model.sha256).parent.iterdir()}
    assert leftovers == {graphs_folder(model.sha256).name}


def test_half_a_folder_is_written_anew(own):
    model, calls = own
    decoder_graphs(model)
    (graphs_folder(model.sha256) / "decode").unlink()
    assert decoder_graphs(model) == (b"prepare", b"refine", b"decode")
    assert len(calls) == 2
    assert (graphs_folder(model.sha256) / "decode").read_bytes() == b"decode"


def test_where_nothing_can_be_written_they_stay_in_memory(own, tmp_path, monkeypatch):
    model, calls = own
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "file" / "cache"))
    first, second = decoder_graphs(model), decoder_graphs(again(model))
    assert first == second == (b"prepare", b"refine", b"decode")
    assert len(calls) == 1


def test_weights_without_a_checksum_are_not_written(own):
    model, calls = own
    nameless = Model(model.network, "own", "")
    assert (
        decoder_graphs(nameless) == decoder_graphs(nameless) == (b"prepare", b"refine", b"decode")
    )
    assert len(calls) == 1
    assert not graphs_folder("").parent.exists()


def test_without_onnx_there_are_none(own, monkeypatch):
    model, calls = own
    monkeypatch.setattr(decoder_graph, "find_spec", lambda name: None)
    assert decoder_graphs(model) is None
    assert calls == []


def test_what_cannot_be_exported_has_none(own, monkeypatch):
    model, _ = own

    def fail(_sam):
        raise RuntimeError("no symbol for this")

    monkeypatch.setattr(decoder_graph, "export", fail)
    assert decoder_graphs(model) is None
    assert not graphs_folder(model.sha256).exists()


def test_a_network_of_another_family_has_none():
    class Other:
        device = torch.device("cpu")

    assert decoder_graphs(Model(Other(), "sam2", "ef" * 32)) is None
