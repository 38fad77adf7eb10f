"""The registry of networks, and the network as the published package shows it."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from segwidget import compat
from segwidget.compat import Sam, build_sam, sam_model_registry
from segwidget.compat.modeling import ImageEncoderViT, TinyViT
from segwidget.errors import CheckpointError, ModelError
from segwidget.inference.preprocessing import COMPACT, MEDSAM, SAM
from segwidget.inference.registry import EMBEDDED_WEIGHTS
from segwidget.sam.checkpoint import save_checkpoint
from tests.reference import make_picture, segment_anything


def test_names():
    published = segment_anything()
    assert set(published.sam_model_registry) <= set(sam_model_registry)
    assert {"mobile_sam", "vit_t", "medsam", "embedded"} <= set(sam_model_registry)
    assert sam_model_registry["default"] is build_sam
    for name in ("SamPredictor", "SamAutomaticMaskGenerator", "build_sam_vit_b", "build_sam_vit_l"):
        assert hasattr(published, name)
        assert hasattr(compat, name)


@pytest.mark.parametrize(
    ("name", "kind", "width"), [("vit_b", ImageEncoderViT, 768), ("vit_t", TinyViT, 320)]
)
def test_random_weights(name, kind, width):
    sam = sam_model_registry[name]()
    assert isinstance(sam, Sam)
    assert isinstance(sam.image_encoder, kind)
    assert sam.image_encoder.neck[0].in_channels == width
    assert sam.image_encoder.img_size == 1024
    assert not sam.training
    assert sam.preprocessing is SAM
    assert (sam.mask_threshold, sam.image_format) == (0.0, "RGB")
    assert sam.device == torch.device("cpu")
    assert all(p.requires_grad for p in sam.parameters())


def test_medsam_is_vit_b_with_images_of_its_own():
    with torch.device("meta"):
        sam = sam_model_registry["medsam"]()
    assert sam.preprocessing is MEDSAM
    assert len(sam.state_dict()) == 314


def test_the_embedded_model_has_its_weights():
    sam = sam_model_registry["embedded"]()
    assert sam.preprocessing is COMPACT
    assert sam.image_encoder.img_size == 512
    token = load_file(EMBEDDED_WEIGHTS)["mask_decoder.iou_token.weight"]
    assert torch.equal(sam.mask_decoder.iou_token.weight, token.float())
    predictor = compat.SamPredictor(sam)
    predictor.set_image(make_picture(200, 150))
    masks, iou, _ = predictor.predict(np.array([[50, 60]]), np.array([1]))
    assert masks.shape == (3, 150, 200)
    assert ((iou > 0) & (iou < 1.1)).all()


def test_a_file_of_another_network(tmp_path):
    path = tmp_path / "sam_vit_b_01ec64.safetensors"
    save_file(load_file(EMBEDDED_WEIGHTS), path)
    with pytest.raises(CheckpointError, match=r"weights of embedded, not of vit_b.*\['embedded'\]"):
        sam_model_registry["vit_b"](checkpoint=path)
    assert sam_model_registry["embedded"](checkpoint=str(path)).image_size == 512
    with pytest.raises(CheckpointError, match="no checkpoint"):
        sam_model_registry["vit_b"](checkpoint=tmp_path / "gone.pth")
    with pytest.raises(ModelError, match="not on this computer"):
        sam_model_registry["vit_b"](checkpoint="sam_vit_b_01ec64.pth")


def test_a_published_file_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path))
    sam = sam_model_registry["vit_t"]()
    torch.save(sam.state_dict(), tmp_path / "mobile_sam.pt")
    again = sam_model_registry["mobile_sam"](checkpoint="mobile_sam.pt")
    assert torch.equal(again.mask_decoder.iou_token.weight, sam.mask_decoder.iou_token.weight)
    assert all(p.requires_grad for p in again.parameters())


def test_the_encoder_gives_the_embedding_alone(own, sam, published):
    x = sam.preprocess(torch.as_tensor(make_picture(64, 1024)).permute(2, 0, 1)[None])
    with torch.no_grad():
        embedding = sam.image_encoder(x)
        torch.testing.assert_close(embedding, published.image_encoder(x), rtol=0, atol=1e-4)
        assert isinstance(own.image_encoder(x), tuple)  # which is left as it was
        torch.testing.assert_close(sam.encode(x).embedding, embedding)
    assert sam.image_encoder.patch_embed is own.image_encoder.patch_embed


def test_weights_go_both_ways(sam, published, tmp_path):
    assert sam.state_dict().keys() == published.state_dict().keys()
    published.load_state_dict(sam.state_dict(), strict=True)
    sam.load_state_dict(published.state_dict(), strict=True)
    save_checkpoint(sam, tmp_path / "mine.safetensors")
    assert set(load_file(tmp_path / "mine.safetensors")) == set(published.state_dict())


def test_mobile_sam_s_classifier_is_passed_over():
    sam = sam_model_registry["vit_t"]()
    state = sam.state_dict()
    state["image_encoder.head.weight"] = torch.zeros(1000, 320)
    state["image_encoder.norm_head.bias"] = torch.zeros(320)
    sam.load_state_dict(state, strict=True)
    with pytest.raises(RuntimeError, match="Unexpected"):
        sam.load_state_dict({**state, "image_encoder.tail.weight": torch.zeros(1)}, strict=True)


@pytest.mark.parametrize("size", [(300, 400), (50, 40), (1, 700)])
def test_enlarging(sam, published, size):
    logits = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    shape = sam.make_transform().target_size(size)
    found = sam.postprocess_masks(logits, shape, size)
    torch.testing.assert_close(found, published.postprocess_masks(logits, shape, size))


def test_normalizing(sam, published):
    for shape in ((3, 700, 1024), (1, 3, 1024, 33)):
        x = 255 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
        found, expected = sam.preprocess(x), published.preprocess(x)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
