"""What stands for torchvision under the package that results are compared with."""

import sys

import numpy as np
import torch

from tests.reference import (
    batched_nms,
    box_area,
    importable,
    mobile_sam,
    nms,
    resize,
    segment_anything,
    to_pil_image,
)

BOXES = torch.tensor([[0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 10], [0, 0, 10, 9]]).float()
SCORES = torch.tensor([0.5, 0.9, 0.1, 0.7])


def test_suppression_keeps_the_best_of_those_that_overlap():
    # IoU of the first with the others: 81 / 119, 0, 90 / 100; of the second with the last 72 / 118.
    assert nms(BOXES, SCORES, 0.6).tolist() == [1, 2]
    assert nms(BOXES, SCORES, 0.65).tolist() == [1, 3, 2]
    assert nms(BOXES, SCORES, 0.95).tolist() == [1, 3, 0, 2]
    assert box_area(BOXES).tolist() == [100, 100, 100, 90]


def test_equal_scores_keep_their_order():
    assert nms(BOXES, torch.ones(4), 0.5).tolist() == [0, 2]


def test_classes_do_not_suppress_each_other():
    classes = torch.tensor([0, 1, 0, 0])
    assert batched_nms(BOXES, SCORES, classes, 0.6).tolist() == [1, 3, 2]
    assert not len(batched_nms(BOXES[:0], SCORES[:0], classes[:0], 0.6))


def test_resizing_takes_height_first():
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert np.array(resize(to_pil_image(pixels), (3, 16))).shape == (3, 16, 3)
    assert np.array_equal(np.array(resize(to_pil_image(pixels), (6, 8))), pixels)


def test_nothing_stays_imported():
    package = segment_anything()
    assert package is segment_anything()
    assert set(package.sam_model_registry) == {"default", "vit_b", "vit_l", "vit_h"}
    assert package.SamPredictor.__name__ == "SamPredictor"
    assert package.utils.transforms.ResizeLongestSide(1024).target_length == 1024
    assert set(mobile_sam().sam_model_registry) == {*package.sam_model_registry, "vit_t"}
    passing = {"torchvision", "timm", "segment_anything", "mobile_sam"}
    assert not passing & {name.split(".")[0] for name in sys.modules}


def test_a_package_can_be_imported_for_a_while():
    with importable("segment_anything"):
        from segment_anything.utils.transforms import ResizeLongestSide
    assert ResizeLongestSide is segment_anything().utils.transforms.ResizeLongestSide
    assert "segment_anything" not in sys.modules
