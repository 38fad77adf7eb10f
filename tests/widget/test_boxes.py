"""Boxes are answered as proposals, beside what everything mode has found."""

import numpy as np
import pytest

from segwidget.errors import PromptError
from segwidget.inference.boxes import BATCH, checked_boxes
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point

from .conftest import PATIENCE

BOXES = [(5, 5, 30, 30), (40, 10, 70, 40), (20, 30, 50, 58)]


def single(seg, box):
    """The mask that a box alone has first."""
    predictor = Predictor(seg._answerer.loaded_model())
    predictor.set_image(seg.image)
    try:
        return predictor.predict(Box(*box)).rle(0)
    finally:
        predictor.reset_image()


def test_each_box_has_its_single_mask(seg, page):
    found = seg.propose_boxes(np.array(BOXES, np.float32))
    assert [a.rle for a in found] == [single(seg, box) for box in BOXES]
    assert [a.prompts for a in found] == [(Box(*box),) for box in BOXES]
    assert [p["id"] for p in page["found"]] == [a.id for a in found]
    assert page["found"][0]["point"] == [17.5, 17.5]
    kept = seg.keep_proposals(found[:2], "person")
    assert [a.prompts for a in kept] == [(Box(*box),) for box in BOXES[:2]]
    assert {(a.label, a.origin, a.model) for a in kept} == {("person", "proposed", "embedded")}
    assert page["taken"] == [a.id for a in found[:2]]
    assert [a.rle for a in seg.propose_boxes(BOXES)] == [found[2].rle]
    assert len(embedding_cache) == 1


def test_a_page_adds_box_after_box(seg, page):
    for box in BOXES:
        page.do("propose_boxes", boxes=[list(box)])
    assert seg.wait(PATIENCE)
    assert len(page["found"]) == 3
    assert page["notice"] is None
    assert page["everything_run"]["state"] == "idle"
    page.do("keep_proposals", ids=[page["found"][1]["id"]])
    assert seg.annotations[0].prompts == (Box(*BOXES[1]),)
    page.do("clear_proposals")
    assert page["found"] == []


def test_nothing_new_is_said(seg, page):
    seg.propose_boxes(BOXES[:1])
    page.do("propose_boxes", boxes=[list(BOXES[0])])
    assert seg.wait(PATIENCE)
    assert page["notice"]["code"] == "nothing_found"
    assert len(page["found"]) == 1


def test_boxes_stand_beside_what_everything_mode_finds(seg):
    seg.everything(points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0)
    before = seg.found
    assert before
    seg.propose_boxes(BOXES)
    assert seg.found[: len(before)] == before
    assert len(seg.found) > len(before)


def test_batches_are_answered_as_alone(seg):
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 30, (BATCH + 5, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 28, corners.shape)], axis=1)
    found = seg.propose_boxes(boxes)
    by_prompt = {a.prompts[0]: a.rle for a in found}
    for box in boxes:
        assert by_prompt[Box(*box)].iou(single(seg, box)) > 0.99


def test_boxes_within_the_region_are_answered_there(seg):
    seg.focus((0, 0, 40, 40))
    (found,) = seg.propose_boxes(BOXES[:1])
    assert found.region == (0, 0, 40, 40)
    assert not found.mask[:, 40:].any()
    (_, found) = seg.propose_boxes([BOXES[0], BOXES[1]])
    assert found.region is None


def test_clicks_go_on(seg, page):
    page.do("propose_boxes", boxes=[list(box) for box in BOXES])
    seg.prompts = [Point(40, 30)]
    assert len(seg.candidates) == 4
    assert seg.wait(PATIENCE)
    assert len(page["found"]) == 3


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        [(1, 2, 3)],
        [(5, 5, 1, 1)],
        [(100, 100, 120, 120)],
        [("a", 1, 2, 3)],
        [(0, 0, 5, 5)] * 1001,
    ],
)
def test_impossible_boxes(seg, boxes):
    with pytest.raises(PromptError):
        seg.propose_boxes(boxes)
    assert seg.found == ()


def test_boxes_are_clipped():
    assert checked_boxes([Box(-5, -5, 20, 100)], 80, 60) == [Box(0, 0, 20, 60)]


def test_a_failure_becomes_a_notice(seg, page, monkeypatch):
    from segwidget.widget import boxes

    def fail(*_arguments, **_named):
        raise MemoryError("no room")

    monkeypatch.setattr(boxes, "propose_boxes", fail)
    page.do("propose_boxes", boxes=[list(BOXES[0])])
    assert seg.wait(PATIENCE)
    assert "no room" in page["notice"]["message"]
    monkeypatch.undo()
    page.do("propose_boxes", boxes=[list(BOXES[0])])
    assert seg.wait(PATIENCE)
    assert len(page["found"]) == 1
