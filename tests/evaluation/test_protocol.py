"""The protocol on drawn sets, with segmenters that are perfect, bad, or slow to learn."""

import json
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segwidget.errors import FormatError, StoreError
from segwidget.evaluation.protocol import (
    COLUMNS,
    PredictorSegmenter,
    Sampling,
    evaluate,
    find_shards,
    lot,
    sample,
)
from segwidget.evaluation.report import MEASURES, Report, compare, compare_sets
from segwidget.inference.candidates import Candidates
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point
from segwidget.sam.build import build_compact


class Scored(NamedTuple):
    mask: NDArray[np.bool_]
    predicted_iou: float | None


class Perfect:
    """Answers with what has the color under the first click or in the middle of the box."""

    name = "perfect"

    def __init__(self):
        self.asked = []
        self.pixels = None

    def set_image(self, pixels):
        self.pixels = pixels
        self.asked.append("image")

    def click(self, points):
        self.asked.append(points)
        return [Scored(self.same_color(points[0].x, points[0].y), 0.9)]

    def box(self, box):
        self.asked.append(box)
        return [Scored(self.same_color((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), 0.9)]

    def same_color(self, x, y):
        return (self.pixels == self.pixels[int(y), int(x)]).all(axis=2)


class Bad(Perfect):
    """Answers with everything; its third candidate is right. It has no opinion of itself."""

    name = "bad"

    def click(self, points):
        right = super().click(points)[0].mask
        everything = np.ones_like(right)
        return [Scored(m, None) for m in (everything, ~right, right)]

    def box(self, box):
        super().box(box)
        return [Scored(np.ones(self.pixels.shape[:2], bool), None)]


class SlowLearner(Perfect):
    """Knows the thing from the third click on."""

    name = "slow"

    def click(self, points):
        right = super().click(points)[0].mask
        if len(points) < 3:
            right = np.zeros_like(right)
        return [Scored(right, 0.5)]


def images_of(shards, sampling=None):
    sampling = sampling or Sampling()
    return [image for shard in find_shards(shards) for image in sample(shard, sampling)]


def report_of(segmenter, shards):
    return Report(segmenter.name, Sampling(), tuple(evaluate(segmenter, images_of(shards))))


def test_perfect_segmenter(shards):
    report = report_of(Perfect(), shards)
    assert len(report.measurements) == 10
    assert all(set(m.iou.values()) == {1} for m in report.measurements)
    assert all(tuple(m.iou) == COLUMNS for m in report.measurements)
    everything = report.overall()[-1]
    assert (everything.images, everything.masks) == (5, 10)
    assert everything.calibration.error == pytest.approx(0.1)
    assert everything.calibration.bias == pytest.approx(-0.1)
    assert everything.calibration.pairs == 70


def test_bad_segmenter_is_given_its_share(shards):
    report = report_of(Bad(), shards)
    for m in report.measurements:
        assert m.iou["1 click"] == m.iou["9 clicks"] == m.iou["box"] == pytest.approx(m.share)
        assert m.iou["best of 3"] == 1
        assert m.predicted == {}
    assert report.overall()[0].calibration.pairs == 0
    assert "– | – | – |" in report.to_markdown()


def test_a_fourth_candidate_is_none_of_three(shards):
    class Late(Bad):
        def click(self, points):
            everything, wrong, right = super().click(points)
            return [everything, wrong, everything, right]

    assert all(
        m.iou["best of 3"] == m.iou["1 click"] for m in report_of(Late(), shards).measurements
    )


def test_every_click_is_told_all_before_it(shards):
    segmenter = Bad()
    list(evaluate(segmenter, images_of(shards, Sampling(1, 1))[:1]))
    image, *clicks, tight, loose = segmenter.asked
    assert image == "image"
    assert [len(c) for c in clicks] == list(range(1, 21))
    for before, after in pairwise(clicks):
        assert after[:-1] == before
    assert clicks[0][0].label == 1
    assert {p.label for p in clicks[-1][1:]} == {0}  # everything is too much
    assert isinstance(tight, Box)
    assert isinstance(loose, Box)
    assert tight != loose


def test_a_perfect_answer_is_asked_no_more(shards):
    segmenter = Perfect()
    list(evaluate(segmenter, images_of(shards, Sampling(1, 1))[:1]))
    assert [len(a) for a in segmenter.asked if isinstance(a, tuple)] == [1]


def test_clicks_are_counted(shards):
    report = report_of(SlowLearner(), shards)
    for m in report.measurements:
        assert [m.iou[name] for name in ("1 click", "2 clicks", "3 clicks", "9 clicks")] == [
            0,
            0,
            1,
            1,
        ]
        assert m.iou["best of 3"] == 0
        assert m.curve == (0, 0, 1)
        assert [m.after(n) for n in (1, 3, 9, 20)] == [0, 1, 1, 1]
        assert MEASURES["NoC@85"](m) == MEASURES["NoC@90"](m) == 3
        assert not MEASURES["never 90"](m)
        assert m.boundary["2 clicks"] == 0
        assert m.boundary["3 clicks"] == m.boundary["box"] == 1


class Refiner(Perfect):
    """Leaves out less with each click, and asks for more than is needed."""

    name = "refiner"

    def __init__(self, good_from):
        super().__init__()
        self.good_from = good_from

    def click(self, points):
        right = super().click(points)[0].mask
        rows = np.flatnonzero(right.any(axis=1))
        missing = 1 if len(points) >= self.good_from else len(rows) // 2
        right[rows[:missing]] = False
        return [Scored(right, 0.5)]


@pytest.mark.parametrize(("good_from", "made"), [(1, 9), (9, 9), (12, 12), (21, 20)])
def test_clicks_go_on_past_nine_only_until_the_iou_is_high(shards, good_from, made):
    (found,) = evaluate(Refiner(good_from), images_of(shards, Sampling(1, 1))[:1])
    assert len(found.curve) == made
    assert MEASURES["NoC@85"](found) == min(good_from, 20)
    assert MEASURES["never 85"](found) == (good_from > 20)


def test_what_is_never_reached_counts_twenty(shards):
    report = report_of(Bad(), shards)
    everything = report.overall()[-1].means
    assert everything["NoC@85"].value == everything["NoC@90"].value == 20
    assert everything["never 85"].value == 1
    assert everything["oracle gap"].value == pytest.approx(1 - everything["1 click"].value)


def test_groups(shards):
    rows = report_of(Bad(), shards).overall()
    means = [row.means["1 click"].value for row in rows]
    by_set = {row.name: row.means["1 click"].value for row in report_of(Bad(), shards).sets()}
    assert [row.name.split(",")[0] for row in rows] == ["all", "natural", "all"]
    assert means[0] == pytest.approx((by_set["davis2016"] + by_set["other"]) / 2)
    assert means[1] == by_set["davis2016"]
    assert means[2] == pytest.approx((6 * by_set["davis2016"] + 4 * by_set["other"]) / 10)
    assert rows[0].means["1 click"].low <= means[0] <= rows[0].means["1 click"].high


def test_specks_are_left_out(shards):
    images = images_of(shards)
    assert {i for image in images for i in image.chosen} == {0, 1}
    assert {image.too_small for image in images} == {1}
    everything = images_of(shards, Sampling(min_share=0))
    assert {i for image in everything for i in image.chosen} == {0, 1, 2}


def test_a_smaller_sample_is_part_of_a_larger_one(shards):
    def pairs(sampling):
        images = images_of(shards, sampling)
        return {(image.set, image.item.name, i) for image in images for i in image.chosen}

    small, medium, large = (pairs(Sampling(*n)) for n in ((1, 1), (1, 2), (None, None)))
    assert small < medium < large
    assert (len(small), len(medium), len(large)) == (2, 4, 10)
    assert pairs(Sampling(1, 1, seed=3)) == pairs(Sampling(1, 1, seed=3))
    assert len({frozenset(pairs(Sampling(1, 1, seed=s))) for s in range(9)}) > 1


def test_lots_are_the_same_on_every_computer():
    assert lot(0, "a", 1) == 7610914933207370983
    assert lot(0, "a", 1) != lot(1, "a", 1)
    assert lot(0, "a", 1) != lot(0, "a", 2)


def test_loose_boxes_do_not_depend_on_the_sample(shards):
    def loose_boxes(sampling):
        segmenter = Perfect()
        images = images_of(shards, sampling)
        found = {}
        for m in evaluate(segmenter, images):
            found[m.image, m.mask] = segmenter.asked[-1]
        return found

    small, large = loose_boxes(Sampling(1, 1)), loose_boxes(Sampling())
    assert small.items() <= large.items()


def test_markdown_and_comparison(shards):
    reports = [report_of(s, shards) for s in (Perfect(), Bad())]
    table = reports[0].to_markdown().splitlines()
    gap = table.index("")
    for part in (table[:gap], table[gap + 1 :]):
        assert len({line.count("|") for line in part}) == 1
        assert len(part) == 2 + 2 + 3
    assert table[2].startswith("| davis2016 | 3 | 6 | 1.000 |")
    assert table[gap + 3].startswith("| davis2016 | 0.000 | 1.00 | 1.00 | 0.000 |")
    side_by_side = compare(reports).splitlines()
    assert side_by_side[2].startswith("| perfect | all, mean of sets | 1.000 |")
    assert side_by_side[3].startswith("| bad | all, mean of sets | 0.1")
    per_set = compare_sets(reports, "box").splitlines()
    assert per_set[0] == "| set, box | perfect | bad |"
    assert per_set[2].startswith("| davis2016 | 1.000 | 0.1")


def test_reports_come_back_from_json(shards):
    report = report_of(Perfect(), shards)
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    for wrong in ({}, [], None, {"measurements": [1]}, {"measurements": [{"set": "a"}]}):
        with pytest.raises(FormatError, match="no report"):
            Report.from_dict(wrong)


def test_names_cannot_break_the_table(shards):
    report = report_of(Perfect(), shards)
    odd = Report("a|b", Sampling(), report.measurements)
    assert "| a\\|b |" in compare([odd])


def test_no_shards(tmp_path):
    with pytest.raises(StoreError, match="no shards"):
        find_shards(tmp_path)
    with pytest.raises(StoreError, match="no shards"):
        find_shards(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    sam = build_compact(128).eval().requires_grad_(False)
    return Model(sam, "small", "0" * 64)


def test_predictor_refines_its_last_answer(shards, model, monkeypatch):
    predictor = Predictor(model)
    seen = []
    decode = predictor._decode

    def spy(prompts, mask_input):
        seen.append((prompts, mask_input is not None))
        return decode(prompts, mask_input)

    monkeypatch.setattr(predictor, "_decode", spy)
    images = images_of(shards, Sampling(1, 1))[:1]
    (found,) = evaluate(PredictorSegmenter(predictor), images)
    assert set(found.predicted) == set(COLUMNS) - {"best of 3"}
    assert found.iou["best of 3"] >= found.iou["1 click"]
    refined = [with_mask for prompts, with_mask in seen if isinstance(prompts[0], Point)]
    assert refined == [False, *[True] * 19]  # random weights never are good
    assert not any(with_mask for prompts, with_mask in seen if isinstance(prompts[0], Box))


def test_masks_are_made_once_and_only_those_that_count(shards, model, monkeypatch):
    made = []
    upsampled = Candidates._upsampled

    def spy(candidates, index, threshold=0.0):
        made.append((candidates, index))
        return upsampled(candidates, index, threshold)

    monkeypatch.setattr(Candidates, "_upsampled", spy)
    images = images_of(shards, Sampling(1, 1))[:1]
    (found,) = evaluate(PredictorSegmenter(Predictor(model)), images)
    assert len(found.curve) == 20
    # Each click's first mask, two more after the first click for the oracle, and two boxes'.
    assert len(made) == len(set(made)) == 20 + 2 + 2
    assert not any("stability_score" in vars(candidates) for candidates, _ in made)


def test_damaged_shards_are_named(tmp_path):
    (tmp_path / "set.tar").write_bytes(b"nonsense" * 100)
    with pytest.raises(FormatError, match=r"set\.tar"):
        sample(tmp_path / "set.tar", Sampling())
