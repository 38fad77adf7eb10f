"""A look inside the model, asked for by a page or by Python."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from segwidget.errors import ClosedError, ModelError, PromptError
from segwidget.inference.insight import OUTPUT_TOKENS, embedding_pca, prompt_attention
from segwidget.inference.prompts import Point
from segwidget.widget import insights
from tests.widget.conftest import HEIGHT, PATIENCE, WIDTH


def made(seg):
    """Wait until what was asked for is there."""
    thread = seg._insight_thread
    if thread is not None:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return seg.insight


def pixels(data):
    assert bytes(data).startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(bytes(data))))


def test_the_embedding_as_the_page_gets_it(seg, page):
    assert page["insight"] is None
    page.do("insight", kind="pca")
    assert made(seg)["message"] == ""
    sent = page["insight"]
    assert (sent["kind"], sent["request"]) == ("pca", "")
    assert sent["region"] == [0, 0, WIDTH, HEIGHT]
    (picture,) = sent["pictures"]
    shown = pixels(picture["data"])
    assert shown.shape == (sent["height"], sent["width"], 3)
    assert np.array_equal(shown, seg.embedding_pca())
    predictor, _ = seg._answerer.look_inside()
    assert np.array_equal(shown, embedding_pca(predictor))


def test_attention_to_the_drafts_prompts(seg, page):
    page.click(20, 30, "r1")
    assert seg.wait(PATIENCE)
    page.do("insight", kind="attention")
    made(seg)
    sent = page["insight"]
    assert (sent["kind"], sent["request"], sent["message"]) == ("attention", "r1", "")
    assert [p["title"] for p in sent["pictures"]] == [*OUTPUT_TOKENS, "included point"]
    maps = seg.attention().maps
    for picture, expected in zip(sent["pictures"], maps, strict=False):
        shown = pixels(picture["data"])
        assert shown.shape == (sent["height"], sent["width"]) == expected.shape
        assert shown.max() == 255
        # Brightest where the token looks most.
        assert expected[shown == 255].min() >= expected[shown < 255].max()


def test_a_later_prompt_is_looked_at_in_view_of_what_was_picked(seg):
    seg.prompts = [Point(20, 30)]
    seg.picked = 2
    seg.prompts = [Point(20, 30), Point(60, 30, 0)]
    predictor, dialogue = seg._answerer.look_inside()
    before = dialogue.answer([Point(20, 30)]).low_res_logits[2]
    expected = prompt_attention(predictor, seg.prompts, mask_input=before)
    shown = seg.attention()
    assert shown.tokens == expected.tokens
    assert np.array_equal(shown.layers, expected.layers)
    assert not np.allclose(shown.layers, prompt_attention(predictor, seg.prompts).layers)


def test_without_a_draft_it_says_so_kindly(seg, page):
    page.do("insight", kind="attention")
    assert "no draft" in made(seg)["message"]
    assert page["insight"]["pictures"] == []
    assert page["notice"] is None
    with pytest.raises(PromptError, match="Click a thing"):
        seg.attention()


def test_another_architecture_is_a_sentence_in_the_drawer(seg, page, monkeypatch):
    def refuse(*_args, **_others):
        raise ModelError("The model sam2 is not of the SAM architecture.")

    monkeypatch.setattr(insights, "prompt_attention", refuse)
    page.click(20, 30, "r1")
    assert seg.wait(PATIENCE)
    page.do("insight", kind="attention")
    assert made(seg)["message"] == "The model sam2 is not of the SAM architecture."
    assert page["notice"] is None


def test_what_nobody_expected_is_reported_and_ends_the_waiting(seg, page, monkeypatch):
    def fail(_predictor):
        raise RuntimeError("boom")

    monkeypatch.setattr(insights, "embedding_pca", fail)
    page.do("insight", kind="pca")
    assert made(seg)["pictures"] == []
    assert "boom" in page["notice"]["message"]


@pytest.mark.parametrize("kind", ["", "depth", "<img src=x>", "x" * 10_000])
def test_unknown_kinds_are_refused(seg, page, kind):
    page.do("insight", kind=kind)
    assert "pca, attention" in page["notice"]["message"]
    assert len(page["notice"]["message"]) < 200
    assert page["insight"] is None
    for wrong in (None, 3, ["pca"]):
        page.do("insight", kind=wrong)
        assert "lacks a proper 'kind'" in page["notice"]["message"]


def test_a_flood_of_questions_makes_one_thread_and_ends(seg, page, monkeypatch):
    gate, begun, count = threading.Event(), threading.Event(), []

    def slow(predictor):
        count.append(1)
        begun.set()
        assert gate.wait(PATIENCE)
        return embedding_pca(predictor)

    monkeypatch.setattr(insights, "embedding_pca", slow)
    for _ in range(300):
        page.do("insight", kind="pca")
    assert begun.wait(PATIENCE)
    names = [t.name for t in threading.enumerate()]
    assert names.count("segwidget-insight") == 1
    gate.set()
    assert made(seg)["kind"] == "pca"
    assert len(count) <= 2  # the one that ran, and the newest that waited
    assert seg._insight_thread is None


def test_two_views_with_different_questions_both_get_theirs(seg, page, monkeypatch):
    gate, begun = threading.Event(), threading.Event()

    def slow(predictor):
        begun.set()
        assert gate.wait(PATIENCE)
        return embedding_pca(predictor)

    monkeypatch.setattr(insights, "embedding_pca", slow)
    page.do("insight", kind="pca")
    assert begun.wait(PATIENCE)
    for kind in ("attention", "pca", "attention"):
        page.do("insight", kind=kind)
    gate.set()
    made(seg)
    assert [sent["kind"] for sent in page.updates("insight")] == ["pca", "attention", "pca"]


def test_another_model_forgets_what_the_last_one_showed(seg, page, loads, tmp_path):
    page.do("insight", kind="pca")
    made(seg)
    weights = tmp_path / "mine.pth"
    weights.write_bytes(b"what the stand-in for loading never reads")
    seg.model = str(weights)
    assert len(loads) == 2
    assert page["insight"] is None


def test_of_a_region_only_that_is_shown(seg, page):
    page.do("insight", kind="pca")
    whole = made(seg)["pictures"][0]["data"]
    seg.focus((16, 10, 66, 50))
    assert page["insight"] is None  # it was of all of the image
    page.do("insight", kind="pca")
    sent = made(seg)
    assert (sent["region"], sent["message"]) == ([16, 10, 66, 50], "")
    assert sent["pictures"][0]["data"] != whole
    page.click(30, 30, "r1")
    assert seg.wait(PATIENCE)
    page.do("insight", kind="attention")
    sent = made(seg)
    assert (sent["request"], sent["region"], sent["message"]) == ("r1", [16, 10, 66, 50], "")
    seg.leave_region()
    assert page["insight"] is None


def test_a_region_that_comes_meanwhile_is_shown_instead(seg, page, monkeypatch):
    gate, begun = threading.Event(), threading.Event()

    def slow(predictor):
        begun.set()
        assert gate.wait(PATIENCE)
        return embedding_pca(predictor)

    monkeypatch.setattr(insights, "embedding_pca", slow)
    page.do("insight", kind="pca")
    assert begun.wait(PATIENCE)
    seg.focus((16, 10, 66, 50))
    gate.set()
    made(seg)
    assert [sent["region"] for sent in page.updates("insight") if sent] == [[16, 10, 66, 50]]


def test_a_polygon_has_tokens_for_what_is_asked_in_its_place(seg, page):
    corners = [[20, 15], [60, 15], [60, 45], [20, 45]]
    page.set(prompts=[{"type": "polygon", "points": corners, "tolerance": 4}], request="p1")
    assert seg.wait(PATIENCE)
    page.do("insight", kind="attention")
    titles = [p["title"] for p in made(seg)["pictures"]]
    assert titles[:5] == list(OUTPUT_TOKENS)
    assert titles[-2:] == ["box, upper left", "box, lower right"]


def test_a_model_that_comes_meanwhile_is_asked_instead(seg, page, make, monkeypatch):
    gate, begun, asked = threading.Event(), threading.Event(), []

    def slow(predictor):
        asked.append(predictor)
        begun.set()
        assert gate.wait(PATIENCE)
        return embedding_pca(predictor)

    monkeypatch.setattr(insights, "embedding_pca", slow)
    page.do("insight", kind="pca")
    assert begun.wait(PATIENCE)
    thread = seg._insight_thread
    other = make(np.zeros((30, 40, 3), np.uint8))
    assert other.wait(PATIENCE)
    before, seg._answerer = seg._answerer, other._answerer
    gate.set()
    thread.join(PATIENCE)
    seg._answerer = before
    assert asked == [before.look_inside()[0], other._answerer.look_inside()[0]]
    assert page["insight"]["region"] == [0, 0, 40, 30]


def test_many_prompts_stay_small(seg, page):
    points = [
        {"type": "point", "x": 1 + i % 70, "y": 2 + i % 50, "label": i % 2} for i in range(60)
    ]
    page.set(prompts=points, request="many")
    assert seg.wait(PATIENCE)
    page.do("insight", kind="attention")
    sent = made(seg)
    titles = [p["title"] for p in sent["pictures"]]
    assert len(titles) == insights.MAX_TOKENS
    assert titles[:5] == list(OUTPUT_TOKENS)
    assert titles[-1] == "included point 30"


def test_the_largest_insight_fits_its_bound():
    noise = np.random.default_rng(0).integers(0, 256, (insights.MAX_TOKENS, 64, 64), np.uint8)
    shown = [(f"token {i}", picture) for i, picture in enumerate(noise)]
    value = insights.insight_to_json("attention", "r", (64, 64), shown)
    assert sum(len(p["data"]) for p in value["pictures"]) < insights.MAX_BYTES
    colors = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert len(insights.to_png(colors)) < insights.MAX_BYTES


def test_brightness():
    weights = np.zeros((20, 20), np.float32)
    assert not insights.brightened(weights).any()
    assert not insights.brightened(np.full((2, 2), np.nan, np.float32)).any()
    weights[3, 4:10] = np.linspace(0.1, 0.6, 6)
    gray = insights.brightened(weights)
    assert gray.dtype == np.uint8
    assert gray[3, 9] == 255
    assert gray[3, 4] < gray[3, 6] < 255
    assert gray[0, 0] == 0


def test_a_page_cannot_set_it(seg, page):
    page.set(insight={"kind": "pca"})
    assert seg.insight is None


def test_after_close(seg):
    seg.close()
    for ask in (seg.embedding_pca, seg.attention, lambda: seg.show_insight("pca")):
        with pytest.raises(ClosedError):
            ask()
