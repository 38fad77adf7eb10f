"""Fine-tuning on tiny networks and drawn images: what learns, what stays, and how it ends."""

import itertools
import json
import threading

import numpy as np
import pytest
import torch

from segwidget.annotation.project import BaseProject
from segwidget.errors import (
    AnnotationError,
    CheckpointError,
    FormatError,
    ModelError,
    SettingError,
    StoreError,
)
from segwidget.inference.embedding_store import default_store
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.rle import Rle
from segwidget.sam.build import build_compact, build_sam_mobile
from segwidget.sam.image_encoder import ImageEncoderViT
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.sam import Sam
from segwidget.sam.tiny_vit import TinyViT
from segwidget.sam.transformer import TwoWayTransformer
from segwidget.training import finetune_run
from segwidget.training.dataset import FineTuneDataset, Record
from segwidget.training.finetune import finetune
from segwidget.training.finetune_data import Embeddings, coverage
from segwidget.training.finetune_steps import mask_loss_of
from segwidget.training.losses import entropy_mask_loss, sam_mask_loss
from tests.training.conftest import draw_image


@pytest.fixture(autouse=True)
def _small(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEGWIDGET_EMBEDDINGS_MAX_BYTES", str(1 << 26))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    default_store().flush()


def vit(encoder, side, dim=32):
    """A small SAM of the published kind."""
    size = encoder.img_size
    return Sam(
        encoder,
        PromptEncoder(dim, (side, side), (size, size), 8),
        MaskDecoder(
            transformer_dim=dim,
            transformer=TwoWayTransformer(1, dim, 2, 48),
            iou_head_hidden_dim=32,
        ),
    )


def build(family):
    torch.manual_seed(0)
    if family == "embedded":
        sam = build_compact(64)
        sam.image_encoder.eval().fuse()
    elif family == "vit":
        encoder = ImageEncoderViT(
            64, 16, embed_dim=32, depth=1, num_heads=2, out_chans=32, global_attn_indexes=(0,)
        )
        sam = vit(encoder, 4)
    else:
        encoder = TinyViT(64)
        sam = vit(encoder, encoder.img_size // 16, 256)
        encoder.eval().fuse()
    return Model(sam.eval().requires_grad_(False), family, "ab" * 32)


@pytest.fixture(scope="module")
def model():
    return build("embedded")


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    drawn = [draw_image(rng) for _ in range(4)]
    return FineTuneDataset.from_records(
        Record(pixels, list(masks), f"image {i}") for i, (pixels, masks) in enumerate(drawn)
    )


def state_of(model):
    return {k: v.clone() for k, v in model.sam.state_dict().items()}


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def tune(model, data, **options):
    return finetune(model, data, **{"epochs": 2, "lr": 3e-3, "progress": False, **options})


# Data sets.


def test_a_data_set_of_records(data):
    assert (len(data), len(data.images)) == (8, 4)
    train, held_out = data.split(0.25, seed=3)
    names = [{i.name for i in part.images} for part in (train, held_out)]
    assert [len(n) for n in names] == [3, 1]
    assert not names[0] & names[1]
    assert [i.name for i in data.split(0.25, seed=3)[1].images] == sorted(names[1])


def test_records_may_be_pairs_of_image_and_run_lengths():
    mask = np.zeros((8, 9), bool)
    mask[2:5, 3:6] = True
    data = FineTuneDataset.from_records([(np.zeros((8, 9), np.uint8), [Rle.encode(mask)])])
    assert data.images[0].image.shape == (8, 9, 3)
    assert np.array_equal(data.images[0].masks[0].rle.decode(), mask)


@pytest.mark.parametrize(
    ("records", "error", "words"),
    [
        ([], SettingError, "no image"),
        ([(np.zeros((8, 8, 3), np.uint8), [])], AnnotationError, "has no mask"),
        ([(np.zeros((8, 8, 3), np.uint8), [np.zeros((8, 8), bool)])], AnnotationError, "empty"),
        (
            [(np.zeros((8, 8, 3), np.uint8), [np.ones((8, 9), bool)])],
            AnnotationError,
            r"\(8, 9\).*\(8, 8\)",
        ),
        (
            [(np.zeros((8, 8, 3), np.uint8), [np.ones((8, 8), bool)], "a")] * 2,
            SettingError,
            "'a'",
        ),
        ([5], SettingError, "Record 0 is a int"),
    ],
)
def test_wrong_records(records, error, words):
    with pytest.raises(error, match=words):
        FineTuneDataset.from_records(records)


def test_one_image_cannot_be_divided(data):
    with pytest.raises(SettingError, match="one image"):
        FineTuneDataset(data.images[:1]).split()
    with pytest.raises(SettingError, match="between 0 and 1"):
        data.split(1.5)


def test_a_data_set_of_a_coco_file(tmp_path, data):
    from PIL import Image as PILImage

    images = []
    rows = []
    for number, image in enumerate(data.images):
        PILImage.fromarray(image.image).save(tmp_path / f"{number}.png")
        height, width = image.masks[0].rle.size
        images.append(
            {"id": number, "file_name": f"{number}.png", "width": width, "height": height}
        )
        for mask in image.masks:
            row = {"id": len(rows), "image_id": number, "category_id": 1, "iscrowd": 0}
            rows.append({**row, "segmentation": mask.rle.to_dict()})
    coco = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "thing"}]}
    path = tmp_path / "all.json"
    path.write_text(json.dumps(coco))
    read = FineTuneDataset.from_coco(path)
    assert len(read) == len(data)
    assert np.array_equal(read.images[1].image, data.images[1].image)
    path.write_text(json.dumps({**coco, "annotations": []}))
    with pytest.raises(FormatError, match="no mask"):
        FineTuneDataset.from_coco(path)
    with pytest.raises(StoreError):
        FineTuneDataset.from_coco(tmp_path / "none.json")


def test_a_project_gives_what_people_stand_for(tmp_path, data):
    pictures = {image.name: image.image for image in data.images}
    with BaseProject(pictures, ["cell", "other"], store=tmp_path / "p.db") as project:
        with pytest.raises(SettingError, match="no confirmed mask"):
            FineTuneDataset.from_project(project)
        for number, image in enumerate(data.images):
            here = project[image.name]
            for mask, label in zip(image.masks, ("cell", "other"), strict=True):
                origin = "assisted" if number != 2 else "proposed"
                here.annotations.add(mask.rle, label=label, origin=origin)
        project["image 1"].status = "rejected"
        assert [i.name for i in FineTuneDataset.from_project(project).images] == [
            "image 0",
            "image 3",
        ]
        project["image 2"].status = "done"
        made = FineTuneDataset.from_project(project, labels="cell")
        assert [i.name for i in made.images] == ["image 0", "image 2", "image 3"]
        assert len(made) == 3
        assert np.array_equal(made.images[0].image, data.images[0].image)


def test_targets_cover_what_masks_cover(model):
    frame = model.network.frame(96, 72)
    mask = np.zeros((72, 96), bool)
    mask[12:60, 24:48] = True
    target = coverage(Rle.encode(mask), frame)
    assert target.shape == (32, 32)
    assert target.sum() == pytest.approx(mask.sum() / 9, rel=0.02)
    assert target[10, 10] == 1
    assert not target[24:].any()
    speck = np.zeros((72, 96), bool)
    speck[5, 5] = True
    assert coverage(Rle.encode(speck), frame).max() == 1


# Training.


@pytest.mark.parametrize("family", ["embedded", "vit", "mobile_sam"])
def test_every_family_learns(family, data):
    model = build(family)
    before = state_of(model)
    tuned = tune(model, data, held_out=0.5)
    assert equal(state_of(model), before)
    assert tuned.history[0].number == 0
    assert np.isfinite([e.held_out_loss for e in tuned.history]).all()
    losses = [e.loss for e in tuned.history[1:]]
    assert np.isfinite(losses).all()


@pytest.mark.parametrize(
    ("part", "modules"),
    [
        ("decoder", {"mask_decoder"}),
        ("prompt+decoder", {"prompt_encoder", "mask_decoder"}),
        ("all", {"image_encoder", "prompt_encoder", "mask_decoder"}),
    ],
)
def test_only_the_part_changes(part, modules, data, monkeypatch):
    model = build("vit")
    scores = itertools.count()
    monkeypatch.setattr(  # every epoch is better than the one before
        finetune_run.Run, "score", lambda _run: finetune_run.Score(next(scores) / 100, 1.0)
    )
    tuned = tune(model, data, part=part)
    assert tuned.best_epoch == 2
    changed = {name.split(".")[0] for name in tuned.model.model.changed}
    assert changed == modules
    assert tuned.model.model.encoder_sha256 == (
        tuned.model.model.sha256 if part == "all" else model.sha256
    )


def test_it_learns_what_it_is_shown(model, data):
    tuned = tune(model, data, epochs=24, lr=2e-3, patience=24, preset="medsam")
    first, best = tuned.history[0], tuned.history[tuned.best_epoch]
    assert tuned.improved
    assert best.held_out_iou > first.held_out_iou + 0.3
    assert best.held_out_iou == max(e.held_out_iou for e in tuned.history)
    assert best.held_out_loss < 0.7 * first.held_out_loss
    assert list(tuned.to_dataframe()["number"]) == list(range(25))
    assert "→" in repr(tuned)


def test_seeds(model, data):
    one, two, other = (tune(model, data, seed=seed, held_out=0.25) for seed in (1, 1, 2))
    assert [e.loss for e in one.history[1:]] == [e.loss for e in two.history[1:]]
    assert one.model.model.sha256 == two.model.model.sha256
    assert [e.loss for e in one.history[1:]] != [e.loss for e in other.history[1:]]


def test_where_nothing_is_better_the_given_model_is_the_answer(model, data):
    tuned = tune(model, data, lr=1e-9, patience=1, epochs=5)
    assert tuned.best_epoch == 0
    assert not tuned.improved
    assert tuned.model.model is model
    assert len(tuned.history) == 2  # it did not go on in vain


def test_resumed_it_is_as_if_never_stopped(model, data, tmp_path):
    whole = tune(model, data, epochs=3)
    path = tmp_path / "state.safetensors"
    stop = threading.Event()

    def after_one(progress):
        if len(progress.history) == 2:
            stop.set()

    part = tune(model, data, epochs=3, resume=path, stop=stop, on_progress=after_one)
    assert part.interrupted
    assert len(part.history) == 2
    rest = tune(model, data, epochs=3, resume=path)
    assert not rest.interrupted
    assert [e.loss for e in rest.history[1:]] == [e.loss for e in whole.history[1:]]
    assert rest.model.model.sha256 == whole.model.model.sha256
    with pytest.raises(CheckpointError, match="seed"):
        tune(model, data, epochs=3, resume=path, seed=1)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        tune(model, data, epochs=3, resume=path)


def test_an_interrupt_keeps_the_best(model, data):
    def interrupt(progress):
        if len(progress.history) == 3:
            raise KeyboardInterrupt

    tuned = tune(model, data, epochs=9, on_progress=interrupt)
    assert tuned.interrupted
    assert len(tuned.history) == 3
    assert tuned.improved == (tuned.model.model is not model)


def test_medsam_asks_boxes_alone(model, data, monkeypatch):
    asked = []
    decode = Sam.decode

    def watch(self, features, points, **options):
        asked.append(points[1])
        return decode(self, features, points, **options)

    monkeypatch.setattr(Sam, "decode", watch)
    tuned = tune(model, data, preset="medsam", epochs=1)
    assert len(asked) == 1 + 3 + 1  # held out, learnt, held out
    assert all(labels.tolist() == [[2, 3]] * len(labels) for labels in asked)
    assert np.isfinite(tuned.history[1].loss)


def test_embeddings_are_computed_once(model, data, monkeypatch):
    encoded = []
    network = type(model.network)
    encode = network.encode
    monkeypatch.setattr(
        network, "encode", lambda self, pixels: encoded.append(1) or encode(self, pixels)
    )
    tune(model, data)
    assert len(encoded) == 4
    default_store().flush()
    tune(model, data, cache="disk")
    assert len(encoded) == 4  # found again


@pytest.mark.parametrize("cache", ["memory", "disk", "none"])
def test_caches_agree(model, data, cache):
    found = Embeddings(model, data.images, cache)
    found.compute(1)
    default_store().flush()
    expected = Embeddings(model, data.images, "none")[1]
    assert all(torch.equal(a, b) for a, b in zip(found[1][:2], expected[:2], strict=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"part": "head"}, "part is 'head'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"patience": True}, "patience is True"),
        ({"lr": 2}, "lr is 2"),
        ({"preset": "sam"}, "preset is 'sam'"),
        ({"cache": "ram"}, "cache is 'ram'"),
        ({"held_out": 7}, "held_out is 7"),
    ],
)
def test_wrong_options(model, data, options, words):
    with pytest.raises(SettingError, match=words):
        tune(model, data, **options)


def test_wrong_data_and_models(model, data):
    with pytest.raises(SettingError, match="is a list"):
        tune(model, [])
    with pytest.raises(SettingError, match="learnt from and held out"):
        tune(model, data, held_out=data)
    with pytest.raises(ModelError, match="no model 'embeded'"):
        tune("embeded", data)


def test_a_predictor_may_be_tuned(model, data):
    predictor = Predictor(model)
    predictor.set_image(data.images[0].image)
    tuned = tune(predictor, data, epochs=1)
    assert predictor.image is not None
    assert tuned.model is not predictor


def test_masks_learn_from_what_their_network_was_trained_with():
    assert mask_loss_of(build_compact(64)) is entropy_mask_loss
    assert mask_loss_of(build_sam_mobile()) is sam_mask_loss
