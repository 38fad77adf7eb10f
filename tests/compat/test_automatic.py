"""The published generator's names, arguments and records; its masks are compared elsewhere."""

import inspect

import numpy as np
import pytest
import torch

from segwidget.compat import SamAutomaticMaskGenerator
from segwidget.errors import PromptError
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.sam.build import build_compact
from tests.reference import segment_anything

LOOSE = {
    "points_per_side": 3,
    "pred_iou_thresh": -10,
    "stability_score_thresh": 0,
    "box_nms_thresh": 1.0,
}


@pytest.fixture(scope="module")
def compact():
    torch.manual_seed(0)
    return build_compact(128).eval().requires_grad_(False)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


def test_arguments_are_the_published_ones():
    ours = inspect.signature(SamAutomaticMaskGenerator).parameters
    theirs = inspect.signature(segment_anything().SamAutomaticMaskGenerator).parameters
    assert list(ours) == list(theirs)
    for name, parameter in theirs.items():
        if name != "points_per_batch":  # 64 there, which is slow on a processor
            assert ours[name].default == parameter.default, name


def test_records_and_forms_of_masks(compact, picture):
    makers = {
        mode: SamAutomaticMaskGenerator(compact, output_mode=mode, **LOOSE)
        for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    }
    records = {mode: maker.generate(picture) for mode, maker in makers.items()}
    amg = segment_anything().utils.amg
    assert len(records["coco_rle"]) > 5
    for binary, plain, packed in zip(*records.values(), strict=True):
        mask = binary["segmentation"]
        assert mask.shape == (60, 90)
        assert mask.dtype == bool
        np.testing.assert_array_equal(amg.rle_to_mask(plain["segmentation"]), mask)
        assert amg.coco_encode_rle(plain["segmentation"]) == packed["segmentation"]
        assert binary["area"] == mask.sum() == amg.area_from_rle(plain["segmentation"])
        x0, y0, x1, y1 = amg.batched_mask_to_box(torch.from_numpy(mask)).tolist()
        assert binary["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert binary["crop_box"] == [0, 0, 90, 60]
        assert len(binary["point_coords"][0]) == 2


def test_takes_networks_models_and_predictors(compact, picture):
    model = Model(compact, "mine", "ab" * 32)
    counts = {
        len(SamAutomaticMaskGenerator(given, **LOOSE).generate(picture))
        for given in (compact, model, Predictor(model))
    }
    assert len(counts) == 1


def test_impossible_arguments(compact):
    with pytest.raises(PromptError, match="output_mode is 'png'"):
        SamAutomaticMaskGenerator(compact, output_mode="png")
    with pytest.raises(PromptError, match="exactly one"):
        SamAutomaticMaskGenerator(compact, points_per_side=None)
