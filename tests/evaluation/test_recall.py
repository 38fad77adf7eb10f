"""Average recall by hand, and against COCO's own evaluation."""

import contextlib
import io

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segwidget.annotation.formats.shards import ShardImage, ShardMask
from segwidget.evaluation.protocol import (
    PredictorSegmenter,
    SampledImage,
    Sampling,
    find_shards,
    first_of_each_set,
    sample,
)
from segwidget.evaluation.recall import (
    RANGES,
    Recalled,
    RecallReport,
    best,
    measure_recall,
    recalled,
    taken,
)
from segwidget.inference.everything import Proposal
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.rle import Rle
from segwidget.sam.build import build_compact

SIZE = (200, 300)


def rectangle(x0, y0, x1, y1):
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return Rle.encode(mask)


def proposal(rle, predicted_iou, stability=0.5):
    place = (0.0, 0.0, 1.0, 1.0)
    return Proposal(rle.size, rle.counts, place, rle.area, predicted_iou, stability, (0, 0), place)


def image_of(rles, name="image"):
    pixels = np.zeros((*SIZE, 3), np.uint8)
    item = ShardImage(pixels, tuple(map(ShardMask, rles)), name, "set", name)
    return SampledImage("set", item, tuple(range(len(rles))), 0)


def test_taking_goes_best_first_and_takes_what_is_free():
    # The first proposal prefers mask 1; the second prefers it too, and gets mask 0 where it may.
    ious = np.array([[0.6, 0.8], [0.65, 0.9]])
    found = taken(ious, np.array([0.5, 0.6, 0.7, 0.85]))
    assert found.tolist() == [[True, True], [True, True], [False, True], [False, True]]


def test_nothing_is_found_by_nothing():
    assert not taken(np.zeros((0, 3))).any()
    assert taken(np.zeros((3, 0))).shape == (10, 0)


def test_recall_by_hand():
    masks = [rectangle(0, 0, 100, 100), rectangle(150, 50, 170, 70), rectangle(200, 100, 250, 150)]
    proposals = [
        proposal(rectangle(0, 0, 100, 80), 0.9),  # IoU 0.8 with the first: 7 of 10 thresholds
        proposal(masks[1], 0.8),
        proposal(rectangle(0, 0, 100, 100), 0.1),  # the first again, perfect, but later
    ]
    found = list(recalled(image_of(masks), best(proposals), 0.0005))
    assert [one.recall["all"] for one in found] == pytest.approx([1, 1, 0])
    assert [set(one.recall) - {"all"} for one in found] == [
        {"large", "relative large"},  # 10,000 pixels, 1/6 of the image
        {"small", "relative medium"},  # 400 pixels, 1/150
        {"medium", "relative large"},  # 2,500 pixels, 1/24
    ]
    found = list(recalled(image_of(masks), best(proposals[:2]), 0.0005))
    assert [one.recall["all"] for one in found] == pytest.approx([0.7, 1, 0])
    assert {one.proposals for one in found} == {2}


def test_best_is_by_the_mean_of_both_scores():
    rle = rectangle(0, 0, 5, 5)
    given = [proposal(rle, 0.9, 0.1), proposal(rle, 0.6, 0.6), proposal(rle, 0.1, 0.95)]
    assert best(given) == [given[1], given[2], given[0]]
    assert best(given, 1) == [given[1]]


def random_scene(rng):
    """Masks of all sizes, and proposals of which some are nearly right."""

    def box(near=None):
        if near is None:
            side = rng.integers(8, 150, 2)
            x, y = rng.integers(0, 300 - side[0]), rng.integers(0, 200 - min(side[1], 190))
            return np.array([x, y, x + side[0], min(y + side[1], 200)])
        moved = near + rng.integers(-6, 7, 4)
        x0, y0 = np.clip(moved[:2], 0, (295, 195))
        return np.array([x0, y0, *np.clip(moved[2:], (x0 + 2, y0 + 2), (300, 200))])

    truth = [box() for _ in range(12)]
    near = [box(truth[i]) for i in rng.integers(0, 12, 25)]
    guesses = near + [box() for _ in range(5)]
    return [rectangle(*b) for b in truth], [rectangle(*b) for b in guesses]


def test_against_cocos_own_evaluation():
    rng = np.random.default_rng(0)
    rows, results, found = [], [], []
    for number in range(4):
        masks, guesses = random_scene(rng)
        scores = rng.permutation(len(guesses)) / len(guesses)
        proposals = [proposal(g, s, s) for g, s in zip(guesses, scores, strict=True)]
        found += recalled(image_of(masks, str(number)), best(proposals), 0.0)
        for mask in masks:
            x0, y0, x1, y1 = mask.box
            rows.append({
                "id": len(rows) + 1, "image_id": number, "category_id": 1, "iscrowd": 0,
                "segmentation": mask.to_dict(), "area": mask.area,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
            })  # fmt: skip
        results += [
            {"image_id": number, "category_id": 1, "segmentation": g.to_dict(), "score": float(s)}
            for g, s in zip(guesses, scores, strict=True)
        ]
    images = [{"id": i, "width": 300, "height": 200} for i in range(4)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": rows}
        coco.createIndex()
        theirs = COCOeval(coco, coco.loadRes(results), "segm")
        theirs.params.maxDets = [1, 10, 1000]
        theirs.evaluate()
        theirs.accumulate()
    recall = theirs.eval["recall"][:, 0, :, -1].mean(axis=0)
    ours = RecallReport("m", 32, tuple(found)).rows()["set"]
    assert [ours[key].value for key in ("all", "small", "medium", "large")] == pytest.approx(recall)
    assert 0.2 < recall[0] < 0.9


def test_the_table():
    found = [
        Recalled("a", "x", 0, {"all": 1.0, "small": 1.0}, 10),
        Recalled("b", "y", 0, {"all": 0.0, "large": 0.0}, 30),
        Recalled("b", "y", 1, {"all": 0.5, "small": 0.5}, 30),
    ]
    report = RecallReport("model", 32, tuple(found))
    rows = report.rows()
    assert rows["b"]["all"].value == 0.25
    assert rows["all, mean of sets"]["small"].value == 0.75
    assert rows["all, mean of sets"]["large"].value == 0
    table = report.to_markdown().splitlines()
    assert table[2].startswith("| a | 1 | 10 | 1.000 | 1.000 | – | – |")
    assert table[4].startswith("| all, mean of sets | 3 | 20 | 0.625 |")
    assert report.to_dict()["sets"]["a"]["all"]["value"] == 1


def test_a_model_is_asked(shards):
    torch.manual_seed(0)
    model = Model(build_compact(128).eval().requires_grad_(False), "small", "0" * 64)
    images = [i for shard in find_shards(shards) for i in sample(shard, Sampling())]
    few = first_of_each_set(images, 1)
    assert [image.set for image in few] == ["davis2016", "other"]
    assert first_of_each_set(images, None) == images
    report = measure_recall(PredictorSegmenter(Predictor(model), "x"), few, Sampling(), 3)
    assert len(report.found) == 4  # the one-pixel masks are too small
    assert set(report.rows()) == {"davis2016", "other", "all, mean of sets"}
    assert set(report.rows()["other"]) == set(RANGES)
    assert all(1 <= one.proposals <= 27 for one in report.found)
