"""Looking closer: prompts are answered in the region that was set, however the work goes back."""

import numpy as np
import pytest

from segwidget.errors import PromptError
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box, Point
from segwidget.inference.region import Region
from segwidget.inference.registry import MODELS

from .conftest import HEIGHT, PATIENCE, WIDTH

BOX = (20, 10, 60, 50)
REGION = Region(BOX, (HEIGHT, WIDTH))
DOT = Point(40, 30)


def alone(seg, prompts, region=REGION):
    predictor = Predictor(seg._answerer.loaded_model())
    predictor.set_image(seg.image, region)
    try:
        return predictor.predict(prompts, refine=False)
    finally:
        predictor.reset_image()


def in_region(seg):
    return np.array_equal(seg.candidates.low_res_logits, alone(seg, seg.prompts).low_res_logits)


def test_python_looks_closer(seg, page):
    seg.focus([20.4, 10.2, 59.5, 49.1])
    assert seg.region == BOX
    assert page["region"] == list(BOX)
    assert seg.wait(PATIENCE)
    assert seg.status["state"] == "ready"
    assert {"embedding", "ready"} <= {value["state"] for value in page.updates("status")}
    seg.prompts = [DOT]
    assert in_region(seg)
    assert page["candidates"]["region"] == list(BOX)
    x0, y0, x1, y1 = page["candidates"]["items"][0]["box"]
    assert (x0, y0) >= (20, 10)
    assert x1 <= 60
    assert y1 <= 50
    kept = seg.keep()
    assert kept.region == BOX
    assert kept.mask.shape == (HEIGHT, WIDTH)
    assert not kept.mask[:, :20].any()
    seg.leave_region()
    assert seg.region is page["region"] is None
    seg.prompts = [DOT]
    assert seg.candidates.region is None
    assert seg.keep().region is None


def test_a_page_looks_closer_and_leaves(seg, page):
    page.do("focus_region", box=list(BOX))
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    assert in_region(seg)
    page.do("keep", request="p-1", picked=0)
    assert seg.annotations[0].region == BOX
    page.do("leave_region")
    assert page["region"] is None
    page.click(40, 30, "p-2")
    assert seg.wait(PATIENCE)
    assert "region" not in page["candidates"]
    assert page["notice"] is None


def test_a_draft_goes_along_or_is_dropped(seg, page):
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    page.do("focus_region", box=list(BOX))
    assert seg.wait(PATIENCE)
    assert seg.prompts == (DOT,)
    assert in_region(seg)
    assert not page.waiting
    page.do("focus_region", box=[0, 0, 20, 20])
    assert page["prompts"] == []
    assert page["candidates"] is None
    page.do("undo")
    assert seg.wait(PATIENCE)
    assert page["region"] == list(BOX)
    assert seg.prompts == (DOT,)
    assert in_region(seg)


def test_undo_crosses_regions(seg, page):
    seg.focus(BOX)
    seg.prompts = [DOT]
    first = seg.candidates.low_res_logits
    seg.keep()
    seg.leave_region()
    seg.prompts = [Point(70, 50)]
    for _ in range(3):
        page.do("undo")
        assert seg.wait(PATIENCE)
    assert seg.region == BOX
    assert np.array_equal(seg.candidates.low_res_logits, first)
    page.do("undo")
    page.do("undo")
    assert seg.region is None
    for _ in range(5):
        page.do("redo")
        assert seg.wait(PATIENCE)
    assert seg.region is None
    assert seg.prompts == (Point(70, 50),)
    assert page["notice"] is None


def test_prompts_outside_are_refused(seg, page):
    seg.focus(BOX)
    with pytest.raises(PromptError, match="outside the region"):
        seg.prompts = [Point(70, 30)]
    assert seg.prompts == ()
    page.click(70, 30, "p-1")
    assert "Leave the region" in page["notice"]["message"]
    assert page["notice"]["request"] == "p-1"
    assert page["prompts"] == []
    with pytest.raises(PromptError, match="outside the region"):
        seg.start_from(np.ones((HEIGHT, WIDTH), bool))


def test_the_whole_image_is_no_region(seg, page):
    seg.focus((-9, -9, 999, 999))
    assert seg.region is None
    assert seg.history["undo"] is None
    with pytest.raises(PromptError, match="outside the image"):
        seg.focus((100, 5, 120, 9))
    page.do("focus_region", box=[5, 5, 1, 1])
    assert "inverted" in page["notice"]["message"]
    seg.focus(Box(40, 30, 41, 31))
    assert seg.region == (33, 23, 49, 39)


def test_embeddings_are_freed(seg):
    for x in (0, 10, 20):
        seg.focus((x, 10, x + 30, 50))
        seg.prompts = [Point(x + 5, 20)]
    assert seg.wait(PATIENCE)
    assert sum(embedding_cache._users.values()) == 2  # the image, and the newest region
    seg.leave_region()
    assert sum(embedding_cache._users.values()) == 1
    seg.close()
    assert embedding_cache._users == {}


def test_what_answers_now_can_be_looked_at(seg):
    predictor, _ = seg._answerer.look_inside()
    assert predictor.region is None
    seg.focus(BOX)
    assert seg.wait(PATIENCE)
    predictor, _ = seg._answerer.look_inside()
    assert predictor.region == REGION
    assert (predictor.frame.width, predictor.frame.height) == (40, 40)
    seg.leave_region()
    predictor, _ = seg._answerer.look_inside()
    assert predictor.region is None


def test_a_region_that_cannot_be_embedded(seg, page, monkeypatch):
    def fail(*_arguments):
        raise MemoryError("no room")

    monkeypatch.setattr(Region, "cut", fail)
    page.do("focus_region", box=list(BOX))
    assert seg.wait(PATIENCE)
    assert "no room" in page["notice"]["message"]
    assert seg.status["state"] == "ready"
    page.do("leave_region")
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    assert len(page["candidates"]["items"]) == 4


def test_another_model_looks_at_the_same_region(seg, loads):
    MODELS["vit_b"].path.parent.mkdir(parents=True)
    MODELS["vit_b"].path.write_bytes(b"its weights")
    seg.focus(BOX)
    seg.prompts = [DOT]
    seg.model = "vit_b"
    assert seg.wait(PATIENCE)
    assert seg.region == BOX
    assert in_region(seg)
    assert seg._answerer.look_inside()[0].region == REGION
