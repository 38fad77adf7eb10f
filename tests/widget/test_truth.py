"""Answers beside the truth: whatever it is given in, after every prompt, never in the way."""

import json

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.errors import AnnotationError, ClosedError, FormatError, StoreError
from segwidget.inference.prompts import Box, Point
from segwidget.inference.rle import Rle
from segwidget.widget import truth_source
from segwidget.widget.truth_source import truth_of

from .conftest import HEIGHT, PATIENCE, WIDTH, Page


def disk(x, y, radius):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= radius**2


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


BIG, SMALL, FAR = disk(40, 30, 12), disk(40, 30, 6), disk(70, 10, 5)
TRUTH = np.stack([BIG, SMALL, FAR])


@pytest.fixture
def told(make):
    seg = make(truth=TRUTH)
    assert seg.wait(PATIENCE)
    return seg


# What is shown.


def test_without_truth_nothing_is_shown(seg, page):
    seg.prompts = [Point(40, 30)]
    assert seg.truth is None
    assert page["truth_scores"] is None
    assert page["truth_target"] is None
    assert len(seg.truth_history) == 0


def test_each_candidate_beside_the_mask_under_the_click(told):
    page = Page(told)
    assert page["truth_scores"] == {"request": "", "masks": 3, "iou": [], "curve": []}
    page.click(40, 30, "r1")
    assert told.wait(PATIENCE)
    scores, target = page["truth_scores"], page["truth_target"]
    assert scores["request"] == "r1"
    expected = TRUTH[target["index"]]
    assert scores["iou"] == pytest.approx([iou(c.mask, expected) for c in told.candidates])
    # Of the two under the click the one that the picked mask means.
    picked = told.candidates.masks[told.picked]
    assert target["index"] == int(iou(picked, SMALL) > iou(picked, BIG))
    assert Rle.from_dict(target["rle"]).decode().tolist() == expected.tolist()
    assert scores["curve"] == [
        [1, scores["iou"][told.picked], float(told.candidates.predicted_iou[told.picked])]
    ]


def test_candidates_are_sent_before_they_are_compared(told):
    page = Page(told)
    page.comm.sent.clear()
    page.click(40, 30, "r1")
    assert told.wait(PATIENCE)
    names = [name for _, state in page.comm.sent for name in state]
    assert names.index("candidates") < len(names) - 1 - names[::-1].index("truth_scores")


def test_picking_another_candidate_may_mean_another_mask(told):
    told.prompts = [Point(40, 30)]
    seen = set()
    for index in range(len(told.candidates)):
        told.pick(index)
        target = told.truth_target["index"]
        mask = told.candidates.masks[index]
        assert target == max((0, 1), key=lambda i: iou(mask, TRUTH[i]))
        seen.add(target)
        assert told.truth_scores["curve"][-1][1] == pytest.approx(iou(mask, TRUTH[target]))
    assert seen == {0, 1}
    assert len(told.truth_history) == 1  # of one answer the newest pick counts


def test_the_curve_follows_the_draft_back_and_forth(told):
    told.prompts = [Point(40, 30)]
    told.prompts = [Point(40, 30), Point(44, 30)]
    told.prompts = [Point(40, 30), Point(44, 30), Point(50, 30, 0)]
    assert [p[0] for p in told.truth_scores["curve"]] == [1, 2, 3]
    third = told.truth_scores["curve"]
    told.undo()
    assert told.truth_scores["curve"] == third[:2]
    told.redo()
    assert told.truth_scores["curve"] == third
    told.keep()
    assert told.truth_scores["curve"] == []
    assert told.truth_target is None


def test_a_box_and_a_click_beside_everything(told):
    told.prompts = [Box(65, 5, 75, 15)]  # the answer lies where the box begins
    best = told.candidates.masks[told.picked]
    overlaps = [iou(best, mask) for mask in TRUTH]
    assert max(overlaps) > 0
    assert told.truth_target["index"] == int(np.argmax(overlaps))
    told.clear()
    told.prompts = [Point(5, 55)]  # nothing is there
    assert told.truth_target is None
    assert set(told.truth_scores["iou"]) == {0.0}
    row = told.truth_history.iloc[-1]
    assert row.true_iou == 0
    assert row.isna()["truth"]


def test_history_as_a_table(told):
    told.prompts = [Point(40, 30)]
    told.prompts = [Point(40, 30), Point(42, 30)]
    told.keep()
    told.prompts = [Point(70, 10)]
    table = told.truth_history
    assert table[["draft", "prompts"]].to_numpy().tolist() == [[1, 1], [1, 2], [2, 1]]
    assert table.truth.iloc[-1] == 2
    assert (table.best_iou >= table.true_iou).all()
    mask = told.candidates.masks[told.picked]
    assert table.true_iou.iloc[-1] == pytest.approx(iou(mask, FAR))
    assert table.label.unique().tolist() == ["truth"]
    assert table.model.unique().tolist() == ["embedded"]


def test_truth_comes_and_goes_during_a_draft(seg, page):
    seg.prompts = [Point(40, 30)]
    seg.truth = [BIG]
    assert page["truth_scores"]["request"] == page["request"]
    assert page["truth_target"]["index"] == 0
    before = page["truth_scores"]["iou"]
    seg.truth = [SMALL]
    assert page["truth_scores"]["iou"] != before
    seg.truth = None
    assert page["truth_scores"] is None
    assert page["truth_target"] is None
    seg.close()
    with pytest.raises(ClosedError):
        seg.truth = [BIG]


def test_what_travels_is_small(make):
    rng = np.random.default_rng(0)
    seg = make(truth=[rng.random((HEIGHT, WIDTH)) > 0.5 for _ in range(200)])
    assert seg.wait(PATIENCE)
    page = Page(seg)
    page.click(40, 30, "r1")
    assert seg.wait(PATIENCE)
    assert len(json.dumps([page["truth_scores"], page["truth_target"]])) < 10_000


# What it can be given in.


@pytest.fixture
def image(seg):
    return seg.image


def masks(truth):
    return truth.masks.tolist()


def test_arrays_lists_label_maps_and_annotations(image):
    expected = TRUTH[[0, 2]]
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    labels[BIG], labels[FAR] = 7, 300
    one = Annotation.from_mask(BIG, label="car")
    assert masks(truth_of(expected, image)) == expected.tolist()
    assert masks(truth_of(list(expected), image)) == expected.tolist()
    assert masks(truth_of(expected.astype(np.uint8) * 255, image)) == expected.tolist()
    assert masks(truth_of(BIG, image)) == [BIG.tolist()]
    assert masks(truth_of(labels, image)) == expected.tolist()
    assert masks(truth_of([Rle.encode(BIG)], image)) == [BIG.tolist()]
    read = truth_of(Annotations([one], ImageInfo.of(image)), image)
    assert (masks(read), read[0].label) == ([BIG.tolist()], "car")
    assert len(truth_of([one, one], image)) == 2  # the same mask twice is no contradiction


def test_a_coco_file_of_this_image(image, tmp_path):
    record = Annotations([Annotation.from_mask(FAR, label="lamp")], ImageInfo.of(image))
    path = record.save(tmp_path / "truth.coco.json")
    read = truth_of(path, image)
    assert (masks(read), read[0].label) == ([FAR.tolist()], "lamp")


def test_a_file_of_several_images_has_one_of_this_name(image, tmp_path):
    file = {
        "images": [
            {"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for i, name in enumerate(["a.png", "b.png"])
        ],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {"id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "area": 4.0,
             "bbox": [0, 0, 2, 2], "segmentation": Rle.encode(disk(5, 5, 3)).to_dict()}
            for i in (0, 1)
        ],
    }  # fmt: skip
    path = tmp_path / "two.json"
    path.write_text(json.dumps(file))
    with pytest.raises(AnnotationError, match=r"0 images called .*'a.png', 'b.png'"):
        truth_of(path, image)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((HEIGHT, WIDTH), bool), "empty"),
        (np.zeros((HEIGHT, WIDTH), int), "no mask"),
        (np.zeros((0, HEIGHT, WIDTH), bool), "no mask"),
        ([], "no mask"),
        (np.ones((WIDTH, HEIGHT), bool), "transposed"),
        (np.ones((2, HEIGHT, WIDTH + 1), bool), r"size \(60, 81\)"),
        ([np.ones((HEIGHT, WIDTH), bool), np.ones((3, 3), bool)], "mask 1"),
        (np.ones((HEIGHT, WIDTH)), "array of float64"),
        (np.ones(5, bool), r"shape \(5,\)"),
        ([np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)], "mask 0"),
        (["a", "b"], "mask 0"),
        ([None], "no array"),
        (5, "is a int"),
        (b"bytes", "is a bytes"),
        ({"a": 1}, "is a dict"),
    ],
)
def test_what_is_no_truth_is_refused_in_words(image, value, words):
    with pytest.raises(AnnotationError, match=words):
        truth_of(value, image)


def test_too_many(image, monkeypatch):
    monkeypatch.setattr(truth_source, "MAX_MASKS", 3)
    many = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    with pytest.raises(AnnotationError, match="4799 masks; expected at most 3"):
        truth_of(many, image)
    with pytest.raises(AnnotationError, match="more than 3 masks"):
        truth_of((BIG for _ in range(10**9)), image)
    with pytest.raises(AnnotationError, match="4 masks"):
        truth_of(np.stack([BIG] * 4), image)


def test_files_that_are_none(image, tmp_path):
    with pytest.raises(StoreError):
        truth_of(tmp_path / "missing.json", image)
    (tmp_path / "text.json").write_text("[")
    with pytest.raises(FormatError):
        truth_of(tmp_path / "text.json", image)


def test_a_refused_truth_leaves_the_old_one(told):
    with pytest.raises(AnnotationError):
        told.truth = np.ones((3, 3), bool)
    assert len(told.truth) == 3
