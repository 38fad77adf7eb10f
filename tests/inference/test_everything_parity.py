"""Everything mode keeps the masks that the package segment-anything's generator keeps."""

import numpy as np
import pytest
import torch
from torch import nn

from segwidget.compat.automatic import SamAutomaticMaskGenerator
from segwidget.inference.models import Model
from segwidget.inference.preprocessing import SAM
from segwidget.sam.sam import ImageFeatures
from tests.reference import build_reference, segment_anything
from tests.sam import conftest as small

SIZES = small.Sizes()


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_picture(width, height):
    """Colors with structure at several scales."""
    generator = torch.Generator().manual_seed(5)
    picture = torch.full((1, 3, height, width), 120.0)
    for side in (3, 9, 40):
        noise = torch.randn(1, 3, side, side, generator=generator)
        picture += 30 * nn.functional.interpolate(noise, (height, width), mode="bilinear")
    return picture[0].permute(1, 2, 0).clamp(0, 255).to(torch.uint8).numpy()


def iou(a, b):
    return np.count_nonzero(a & b) / max(np.count_nonzero(a | b), 1)


def assert_same(ours, theirs, least):
    """Record by record, the same order included.

    A crumb that is as large as the limit may stay here and go there, for a pixel's sake.
    """
    assert len(theirs) >= least, f"only {len(theirs)} masks survive: this would mean little"
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        assert iou(a["segmentation"], b["segmentation"]) > 0.99
        np.testing.assert_allclose(a["point_coords"], b["point_coords"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(a["predicted_iou"], b["predicted_iou"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(a["stability_score"], b["stability_score"], rtol=0, atol=2e-3)
        np.testing.assert_allclose(a["bbox"], b["bbox"], rtol=0, atol=1)
        assert a["crop_box"] == b["crop_box"]
        np.testing.assert_allclose(a["area"], b["area"], rtol=1e-2, atol=2)


def run_both(ours, theirs, picture, **settings):
    reference = segment_anything().SamAutomaticMaskGenerator(theirs, **settings)
    with torch.no_grad():
        expected = reference.generate(picture)
    return SamAutomaticMaskGenerator(ours, **settings).generate(picture), expected


@pytest.fixture(scope="module")
def networks():
    """Ours and the package's, with the same random weights."""
    theirs = build_reference(SIZES)
    theirs.load_state_dict(small._random_state(theirs), strict=True)
    ours = small.build_small.__wrapped__(SIZES)()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


# Random masks reach from edge to edge, so that all boxes are alike: nothing is suppressed here.
ALL_BOXES = {"box_nms_thresh": 1.0, "crop_nms_thresh": 1.0, "stability_score_offset": 0.02}


@pytest.mark.parametrize(
    ("size", "settings", "least"),
    [
        ((260, 180), {"pred_iou_thresh": 0.2, "stability_score_thresh": 0.9}, 40),
        ((100, 150), {"pred_iou_thresh": 0.2, "stability_score_thresh": 0.9}, 40),
        ((700, 190), {"pred_iou_thresh": -1.0, "stability_score_thresh": 0.5}, 100),
        (
            (260, 180),
            {
                "pred_iou_thresh": 0.2,
                "stability_score_thresh": 0.85,
                "min_mask_region_area": 60,
                "crop_n_layers": 1,
                "crop_n_points_downscale_factor": 2,
            },
            40,
        ),
    ],
)
def test_random_weights(networks, size, settings, least):
    ours, theirs = run_both(
        *networks, make_picture(*size), points_per_side=8, **ALL_BOXES, **settings
    )
    assert_same(ours, theirs, least)


def blobs(coords, content):
    """Masks that lie near their points, with crumbs, of all qualities; many are alike.

    Args:
        coords: ``(B, 2)`` in input pixels.
        content: ``(3,)``, of the image.

    Returns:
        Logits ``(B, 3, s, s)`` and predicted IoUs ``(B, 3)``.
    """
    side = SIZES.img_size // 4
    center = 24 * ((coords / 24).floor() + 0.5) + 3 * content[:2]
    kind = center.sum(dim=1, keepdim=True) / 24 + torch.arange(3)
    radius = torch.tensor([8.0, 14.0, 25.0]) + 4 * torch.sin(3 * kind)
    at = 4 * (torch.arange(side) + 0.5)
    dx = (at - center[:, :1])[:, None, None, :]
    dy = (at - center[:, 1:])[:, None, :, None]
    inside = 1 - (dx**2 + dy**2) / radius[..., None, None] ** 2
    ripple = torch.sin(at / 3)[:, None] * torch.sin(at / 2.5 + content[2])
    steep = 6 + 5 * torch.sin(5 * kind)[..., None, None]
    logits = steep * inside.clamp(min=-1.2) + 3 * ripple
    scores = 0.8 + 0.2 * torch.sin(7 * kind + coords.sum(dim=1, keepdim=True) / 50)
    return logits, scores


class BlobNetwork:
    """A network that answers with blobs."""

    variant = "sam-blobs"
    device = torch.device("cpu")

    def __init__(self, sam):
        self.sam = sam
        self.batches = []

    def frame(self, width, height):
        return SAM.frame(width, height, SIZES.img_size, SIZES.img_size // 4)

    def encode(self, pixels):
        height, width = pixels.shape[:2]
        x = self.sam.preprocess(SAM.to_input(pixels, self.frame(width, height)))
        return ImageFeatures(x.mean(dim=(2, 3)))

    def prepare(self, features):
        return features.embedding[0]

    def decode(self, prepared, coords, labels, masks=None):
        assert labels.tolist() == [[1, -1]] * len(coords)
        self.batches.append(len(coords))
        logits, iou = blobs(coords[:, 0], prepared)
        # The mask of the single-mask token is not to be used: it would always win.
        first = torch.full_like(logits[:, :1], 9.0), torch.full_like(iou[:, :1], 9.0)
        return torch.cat([first[0], logits], dim=1), torch.cat([first[1], iou], dim=1)


class BlobEncoder(nn.Module):
    img_size = SIZES.img_size

    def forward(self, x):
        return x.mean(dim=(2, 3))


class BlobPrompts(nn.Module):
    def forward(self, points, boxes, masks):
        return points[0].float(), None

    def get_dense_pe(self):
        return None


class BlobDecoder(nn.Module):
    def forward(self, image_embeddings, sparse_prompt_embeddings, multimask_output, **_):
        assert multimask_output
        return blobs(sparse_prompt_embeddings[:, 0], image_embeddings[0])


@pytest.fixture
def blob_networks(networks):
    theirs = build_reference(SIZES)
    theirs.image_encoder = BlobEncoder()
    theirs.prompt_encoder = BlobPrompts()
    theirs.mask_decoder = BlobDecoder()
    return Model(BlobNetwork(networks[0]), "blobs", "cd" * 32), theirs


THRESHOLDS = {"pred_iou_thresh": 0.75, "stability_score_thresh": 0.6}


@pytest.mark.parametrize(
    ("size", "settings", "least"),
    [
        ((300, 200), {"points_per_side": 16}, 30),
        ((620, 410), {"points_per_side": 14, "min_mask_region_area": 300}, 30),
        ((420, 320), {"points_per_side": 12, "crop_n_layers": 1}, 30),
        (
            (480, 360),
            {
                "points_per_side": 12,
                "crop_n_layers": 2,
                "crop_n_points_downscale_factor": 2,
                "crop_overlap_ratio": 0.2,
                "min_mask_region_area": 100,
                "crop_nms_thresh": 0.5,
            },
            30,
        ),
        (
            (200, 340),
            {
                "points_per_side": None,
                "point_grids": [np.random.default_rng(0).random((150, 2))],
                "box_nms_thresh": 0.3,
                "stability_score_offset": 2.0,
            },
            10,
        ),
        ((300, 200), {"points_per_side": 9, "min_mask_region_area": 700}, 10),
    ],
)
def test_blobs(blob_networks, size, settings, least):
    ours, theirs = run_both(
        *blob_networks, make_picture(*size), **{**THRESHOLDS, "points_per_batch": 7, **settings}
    )
    assert_same(ours, theirs, least)
    if settings.get("crop_n_layers"):
        assert len({tuple(row["crop_box"]) for row in theirs}) > 4
