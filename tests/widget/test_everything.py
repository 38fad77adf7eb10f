"""Everything mode in a widget: threads, duplicates, keeping, undo, and whatever a page says."""

import json
import threading

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation
from segwidget.errors import AnnotationError, ClosedError, LabelError, PromptError, SegwidgetError
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.everything import EverythingSettings, Progress, Proposal
from segwidget.inference.prompts import Point
from segwidget.inference.rle import Rle
from segwidget.widget import findings, proposer
from segwidget.widget.findings import proposal_id
from segwidget.widget.intents import perform

from .conftest import HEIGHT, PATIENCE, WIDTH, Page

ALL = EverythingSettings(points_per_side=4, pred_iou_thresh=0, stability_score_thresh=0)


def proposal(x0, y0, x1, y1, score=0.9):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    rle = Rle.encode(mask)
    return Proposal(
        size=rle.size,
        counts=rle.counts,
        box=rle.box,
        area=rle.area,
        predicted_iou=score,
        stability_score=0.95,
        point=(x0 + 0.5, y0 + 0.5),
        crop_box=(0, 0, WIDTH, HEIGHT),
    )


A, B, C = proposal(2, 2, 22, 22), proposal(30, 10, 50, 40, 0.8), proposal(60, 40, 70, 50, 0.7)
ALIKE_A = proposal(2, 2, 22, 21)  # IoU 0.95 with A


def ids(*proposals):
    return [proposal_id(p) for p in proposals]


def annotation(p, label="car", **fields):
    return Annotation.from_rle(Rle(p.size, p.counts), label=label, **fields)


@pytest.fixture
def script(monkeypatch):
    """What a run finds, report by report; a test may let each report out, or have it fail."""

    class Script:
        reports = ((A,), (A, B), (A, B, C))
        error = None
        steps = None  # a Semaphore: each report waits for a release

    script = Script()
    script.calls, script.begun = [], threading.Event()

    def propose(predictor, settings, *, on_update, cancelled):
        script.calls.append((predictor, settings, threading.current_thread()))
        script.begun.set()
        found = ()
        for n, report in enumerate(script.reports, 1):
            if script.steps is not None:
                assert script.steps.acquire(timeout=PATIENCE)
            if cancelled():
                return found
            found = report
            on_update(Progress(n, len(script.reports)), found)
        if script.error is not None:
            raise script.error
        return found

    monkeypatch.setattr(proposer, "propose", propose)
    monkeypatch.setattr(proposer, "PERIOD", 0)
    return script


@pytest.fixture
def gated(script):
    script.steps = threading.Semaphore(0)
    yield script
    script.steps.release(1000)


def shown(page):
    """The ids that a page proposes."""
    return [p["id"] for p in page["found"] if p["id"] not in page["taken"]]


def reported(page, count, seen=()):
    """Wait until the page has been told of so many points."""
    changed = threading.Event()
    receive = page.comm._receive

    def heard(data, buffers):
        receive(data, buffers)
        changed.set()

    page.comm._receive = heard
    while page["everything_run"]["done"] < count:
        assert changed.wait(PATIENCE)
        changed.clear()
    page.comm._receive = receive


def end_of(seg):
    """Wait for the run that is under way, if any."""
    assert seg.wait(PATIENCE)
    for thread in threading.enumerate():
        if thread.name == "segwidget-everything":
            thread.join(PATIENCE)
            assert not thread.is_alive()


# A run.


def test_python_waits_and_has_annotations(seg, page, script):
    found = seg.everything()
    assert [a.mask.sum() for a in found] == [A.area, B.area, C.area]
    assert {a.origin for a in found} == {"proposed"}
    assert {a.label for a in found} == {"car"}
    assert seg.proposals == seg.found == (A, B, C)
    assert seg.everything_run == {"state": "done", "done": 3, "total": 3, "found": 3}
    assert len(seg.annotations) == 0
    assert shown(page) == [a.id for a in found] == ids(A, B, C)
    assert page["found"][1] == {
        "id": proposal_id(B),
        "rle": {"size": [HEIGHT, WIDTH], "counts": B.counts},
        "box": [30, 10, 50, 40],
        "area": 600,
        "predicted_iou": 0.8,
        "stability_score": 0.95,
        "point": [30.5, 10.5],
    }
    assert seg.history == {"undo": None, "redo": None}  # finding is no step of the work


def test_proposals_appear_as_they_are_found(seg, page, script):
    seg.everything()
    runs = page.updates("everything_run")
    assert [r["state"] for r in runs] == ["running"] * 4 + ["done"]
    assert [r["found"] for r in runs] == [0, 1, 2, 3, 3]
    assert [len(f) for f in page.updates("found")] == [1, 2, 3]


def test_reports_are_held_back_but_the_last(seg, page, script, monkeypatch):
    monkeypatch.setattr(proposer, "PERIOD", 1e9)
    seg.everything()
    assert [len(f) for f in page.updates("found")] == [1, 3]
    assert seg.found == (A, B, C)


def test_a_page_is_answered_while_its_run_goes_on(seg, page, gated):
    page.do("everything")
    assert page["everything_run"]["state"] == "running"
    gated.steps.release()
    reported(page, 1)
    assert shown(page) == ids(A)
    page.click(40, 30, "p-1")
    assert seg._wait_for_answers(PATIENCE)
    assert page["candidates"]["request"] == "p-1"
    page.do("keep", request="p-1", picked=0)
    assert len(page["annotations"]) == 1
    assert page["everything_run"]["state"] == "running"
    gated.steps.release(2)
    end_of(seg)
    assert page["everything_run"] == {"state": "done", "done": 3, "total": 3, "found": 3}
    (predictor, settings, thread) = gated.calls[0]
    assert thread is not threading.main_thread()
    assert settings == EverythingSettings()
    assert predictor.model is seg._answerer.loaded_model()
    assert page["notice"] is None


def test_one_run_at_a_time(seg, page, gated):
    page.do("everything")
    page.do("everything")
    gated.steps.release(3)
    end_of(seg)
    assert len(gated.calls) == 1
    assert page["notice"] is None
    gated.steps.release(3)
    page.do("everything")
    end_of(seg)
    assert len(gated.calls) == 2


def test_python_takes_a_pages_run_over(seg, page, gated):
    page.do("everything")
    assert gated.begun.wait(PATIENCE)
    gated.steps.release(10)
    seg.everything()
    end_of(seg)
    assert len(gated.calls) == 2
    assert page["everything_run"]["state"] == "done"
    assert seg.proposals == (A, B, C)
    assert page["notice"] is None


def test_cancelling_keeps_what_is_found_and_nothing_comes_later(seg, page, gated):
    page.do("everything")
    gated.steps.release()
    reported(page, 1)
    page.do("cancel_everything")
    assert page["everything_run"] == {"state": "cancelled", "done": 1, "total": 3, "found": 1}
    gated.steps.release(2)
    end_of(seg)
    assert seg.proposals == (A,)
    assert shown(page) == ids(A)
    page.do("cancel_everything")  # there is nothing left to cancel
    assert page["everything_run"]["state"] == "cancelled"
    assert page["notice"] is None
    assert [a.mask.sum() for a in seg.keep_proposals(ids(A))] == [A.area]


def test_what_was_held_back_shows_when_a_run_is_cancelled(seg, page, gated, monkeypatch):
    monkeypatch.setattr(proposer, "PERIOD", 1e9)
    second = threading.Event()
    update = proposer.Run._update

    def noticed(self, progress, found):
        update(self, progress, found)
        if progress.done == 2:
            second.set()

    monkeypatch.setattr(proposer.Run, "_update", noticed)
    page.do("everything")
    gated.steps.release(2)
    assert second.wait(PATIENCE)
    page.do("cancel_everything")
    assert shown(page) == ids(A, B)


def test_another_threads_cancelling_ends_pythons_run(seg, script):
    script.reports = ((A,), (A, B))
    seg.observe(lambda change: seg.cancel_everything(), "proposals")
    assert len(seg.everything()) == 1
    assert seg.everything_run["state"] == "cancelled"
    assert seg.proposals == (A,)


def test_a_failure_becomes_a_notice_and_what_was_found_stays(seg, page, script):
    script.error = PromptError("This grid has no points.")
    page.do("everything")
    end_of(seg)
    assert page["everything_run"]["state"] == "failed"
    assert page["notice"]["message"] == "This grid has no points."
    assert shown(page) == ids(A, B, C)


def test_python_is_told_of_a_failure(seg, page, script):
    script.error = RuntimeError("broken")
    with pytest.raises(RuntimeError, match="broken"):
        seg.everything()
    assert page["everything_run"]["state"] == "failed"
    assert page["notice"] is None
    script.error = None
    assert len(seg.everything()) == 3


def test_an_interrupt_stops_it(seg, page, script):
    script.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        seg.everything()
    assert page["everything_run"]["state"] == "cancelled"
    assert seg.proposals == (A, B, C)


def test_an_observer_may_ask_for_everything(seg, script):
    """It holds the widget's lock."""
    seg.observe(lambda change: seg.everything(), "label")
    seg.label = "person"
    assert seg.proposals == (A, B, C)


def test_a_model_that_cannot_be_loaded(make, loads, script):
    loads.error = SegwidgetError("There is no such model.")
    seg = make()
    page = Page(seg)
    page.do("everything")
    end_of(seg)
    assert page["everything_run"]["state"] == "failed"
    assert page["notice"]["message"] == "There is no such model."
    assert script.calls == []


def test_a_run_waits_for_the_model(make, loads, script):
    loads.gate = threading.Event()
    seg = make()
    page = Page(seg)
    page.do("everything")
    assert page["everything_run"] == {"state": "running", "done": 0, "total": 0, "found": 0}
    loads.gate.set()
    end_of(seg)
    assert shown(page) == ids(A, B, C)
    assert len(loads) == 1


def test_nothing_found_is_said(seg, page, script):
    script.reports = ((),)
    page.do("everything")
    end_of(seg)
    assert page["notice"]["level"] == "info"
    assert "Nothing was found" in page["notice"]["message"]
    page.do("dismiss", id=page["notice"]["id"])
    assert page["notice"] is None


def test_a_real_run_on_a_small_network(seg, page):
    seg.everything_settings = ALL
    found = seg.everything(points_per_batch=1)
    assert len(found) > 3
    assert seg.everything_run["done"] == seg.everything_run["total"] == 16
    one = found[0]
    assert one.prompts[0].x % 10 == 0  # of the grid of 4 by 4 on 80 by 60 pixels
    assert one.mask[int(one.prompts[0].y), int(one.prompts[0].x)]
    assert shown(page) == [a.id for a in found]
    page.do("everything", settings={"points_per_side": 2})
    end_of(seg)
    assert page["everything_run"]["total"] == 4
    assert len(embedding_cache) == 1


# Closing.


def test_closing_stops_a_run_and_frees_the_embedding(seg, page, gated):
    page.do("everything")
    assert gated.begun.wait(PATIENCE)
    (thread,) = (t for t in threading.enumerate() if t.name == "segwidget-everything")
    seg.close()
    gated.steps.release(3)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert len(embedding_cache) == 0
    assert seg.found == ()
    assert seg.notice is None


def test_closing_while_the_model_is_loaded(make, loads, script):
    loads.gate = threading.Event()
    seg = make()
    Page(seg).do("everything")
    (thread,) = (t for t in threading.enumerate() if t.name == "segwidget-everything")
    seg.close()
    loads.gate.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert seg.notice is None
    assert script.calls == []


@pytest.mark.parametrize(
    "use",
    [
        lambda seg: seg.everything(),
        lambda seg: seg.start_everything(),
        lambda seg: seg.keep_proposals(ids(A)),
        lambda seg: seg.clear_proposals(),
    ],
)
def test_a_closed_widget_says_so(seg, script, use):
    seg.everything()
    seg.close()
    with pytest.raises(ClosedError, match="Run its cell again"):
        use(seg)
    assert seg.proposals == (A, B, C)
    seg.cancel_everything()


# Keeping.


def test_a_kept_proposal_knows_where_it_comes_from(seg, page, script):
    seg.everything()
    page.do("keep_proposals", ids=ids(B), label="person")
    (kept,) = seg.annotations
    assert (kept.mask == Rle(B.size, B.counts).decode()).all()
    assert kept.label == "person"
    assert kept.origin == "proposed"
    assert kept.prompts == (Point(30.5, 10.5),)
    assert (kept.predicted_iou, kept.stability_score) == (0.8, 0.95)
    assert (kept.model, kept.checkpoint) == ("embedded", "ab" * 32)
    assert kept.image == seg.image.sha256
    assert kept.created
    assert kept.id != proposal_id(B)
    assert page["history"]["undo"] == "keep person"
    assert seg.label == "car"


def test_keeping_many_is_one_step_that_undo_takes_back(seg, page, script):
    seg.everything()
    page.do("keep_proposals", ids=ids(C, A))
    assert [a["area"] for a in page["annotations"]] == [C.area, A.area]
    assert page["history"]["undo"] == "keep 2 masks"
    assert shown(page) == ids(B)
    assert seg.proposals == (B,)
    assert seg.found == (A, B, C)
    page.do("undo")
    assert page["annotations"] == []
    assert shown(page) == ids(A, B, C)
    page.do("redo")
    assert shown(page) == ids(B)
    page.do("delete", ids=[page["annotations"][1]["id"]])
    assert shown(page) == ids(A, B)


def test_keeping_sends_no_proposal_again(seg, page, script):
    seg.everything()
    sent = len(page.updates("found"))
    page.do("keep_proposals", ids=ids(A))
    page.do("undo")
    assert len(page.updates("found")) == sent


def test_proposals_are_chosen_by_value_annotation_or_id(seg, script):
    found = seg.everything()
    kept = seg.keep_proposals([A, found[1], found[2].id, A])
    assert [a.area for a in kept] == [A.area, B.area, C.area]
    assert list(seg.annotations) == kept
    assert seg.keep_proposals([A, B]) == []  # kept already
    assert seg.history["undo"] == "keep 3 masks"


def test_the_draft_stays(seg, page, script):
    seg.everything()
    seg.prompts = [Point(40, 30)]
    candidates = seg.candidates
    page.do("keep_proposals", ids=ids(A))
    assert seg.prompts == (Point(40, 30),)
    assert seg.candidates is candidates
    page.do("undo")
    assert seg.prompts == (Point(40, 30),)
    assert not page.waiting


def test_what_has_given_way_meanwhile_can_still_be_kept(seg, page, gated):
    """A better mask took its place while somebody clicked it."""
    gated.reports = ((ALIKE_A,), (A,))
    page.do("everything")
    gated.steps.release()
    reported(page, 1)
    before = shown(page)
    gated.steps.release()
    end_of(seg)
    assert shown(page) == ids(A) != before
    page.do("keep_proposals", ids=before)
    assert [a["area"] for a in page["annotations"]] == [ALIKE_A.area]
    assert shown(page) == []


def test_an_unknown_proposal_keeps_none(seg, page, script):
    seg.everything()
    with pytest.raises(AnnotationError, match="no proposal with the id 'gone'"):
        seg.keep_proposals([*ids(A), "gone"])
    with pytest.raises(LabelError):
        seg.keep_proposals(ids(A), "tree")
    with pytest.raises(AnnotationError, match="given as int"):
        seg.keep_proposals([7])
    assert len(seg.annotations) == 0
    seg.clear_proposals()
    page.do("keep_proposals", ids=ids(A))
    assert page["notice"]["code"] == "AnnotationError"
    assert seg.history == {"undo": None, "redo": None}


# Duplicates.


def test_what_is_kept_already_is_not_proposed(seg, page, script):
    seg.annotations = [annotation(ALIKE_A)]
    found = seg.everything()
    assert [a.id for a in found] == ids(B, C)
    assert seg.proposals == (B, C)
    assert seg.everything_run["found"] == 3
    assert shown(page) == ids(B, C)


def test_duplicates_follow_whatever_is_kept_however(seg, page, script):
    seg.everything()
    seg.annotations = [annotation(ALIKE_A), annotation(proposal(30, 10, 50, 30))]  # IoU 2/3 with B
    assert shown(page) == ids(B, C)
    seg.undo()
    assert shown(page) == ids(A, B, C)
    seg.redo()
    page.do("show", ids=[page["annotations"][0]["id"]], visible=False)
    assert shown(page) == ids(B, C)  # hidden is kept, too
    seg.annotations = []
    assert seg.proposals == (A, B, C)


def test_each_kept_mask_is_compared_once(seg, script, monkeypatch):
    compared = []

    def counted(masks, others):
        compared.append(len(others))
        return ious(masks, others)

    ious = findings.mask_ious
    monkeypatch.setattr(findings, "mask_ious", counted)
    seg.everything()
    for one in (A, B, C):
        seg.keep_proposals([one])
    seg.undo()
    seg.label = "person"
    seg.redo()
    assert compared == [1, 1, 1]


def test_clearing_leaves_what_is_kept(seg, page, gated):
    gated.steps.release(3)
    seg.everything()
    seg.keep_proposals([A])
    page.do("clear_proposals")
    assert page["found"] == []
    assert seg.proposals == seg.found == ()
    assert page["everything_run"]["state"] == "idle"
    assert len(seg.annotations) == 1
    page.do("everything")
    gated.steps.release()
    reported(page, 1)
    page.do("clear_proposals")  # also stops the run
    gated.steps.release(2)
    end_of(seg)
    assert page["found"] == []
    assert page["everything_run"]["state"] == "idle"


# What travels, and what a page may say.


def test_a_reload_finds_the_proposals(seg, page, script):
    seg.everything()
    seg.keep_proposals([A])
    state = json.loads(json.dumps(seg.get_state(["found", "taken", "everything_run"])))
    assert [p["id"] for p in state["found"]] == ids(A, B, C)
    assert state["taken"] == ids(A)
    assert state["everything_run"]["state"] == "done"


def test_too_many_proposals_are_cut_to_the_best(seg, page, script, monkeypatch):
    monkeypatch.setattr(findings, "PROPOSALS_BYTES", 2000)
    rng = np.random.default_rng(0)
    many = tuple(
        proposal(x, y, x + 4, y + 4, score=float(score))
        for (x, y), score in zip(
            [(x, y) for x in range(0, 76, 4) for y in range(0, 56, 4)], rng.random(266), strict=True
        )
    )
    script.reports = (many,)
    found = seg.everything()
    assert len(found) == len(seg.proposals) == len(many)
    assert len(json.dumps(page["found"])) < 2000
    least = min(p["predicted_iou"] for p in page["found"])
    assert sum(p.predicted_iou >= least for p in many) == len(page["found"]) > 3
    assert page["notice"]["level"] == "info"
    assert f"Of 266 masks the best {len(page['found'])}" in page["notice"]["message"]
    assert len(seg.keep_proposals(seg.proposals)) == len(many)  # nothing is lost to Python


def test_a_thousand_proposals_of_a_photograph_stay_small():
    rng, size = np.random.default_rng(1), (600, 800)
    many = []
    for n in range(1000):
        mask = np.zeros(size, bool)
        x, y, r = rng.integers(0, 800), rng.integers(0, 600), 8 + rng.integers(60)
        rows, columns = np.ogrid[: size[0], : size[1]]
        mask[(columns - x) ** 2 + (rows - y) ** 2 < r * r] = True
        rle = Rle.encode(mask)
        many.append(
            Proposal(rle.size, rle.counts, rle.box, rle.area, n / 1000, 0.9, (x, y), (0, 0, 8, 6))
        )
    text = json.dumps(findings.proposals_to_json(many))
    assert len(text) <= findings.PROPOSALS_BYTES
    assert len(findings.sent(many)) > 500


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -1.0, 1.07])
def test_odd_scores_are_plain_json(seg, page, script, score):
    script.reports = ((proposal(0, 0, 9, 9, score),),)
    page.do("everything")
    end_of(seg)
    assert 0 <= page["found"][0]["predicted_iou"] <= 1


@pytest.mark.parametrize(
    ("content", "call"),
    [
        ({"op": "everything"}, ("start_everything", None)),
        ({"op": "everything", "settings": {"a": 1}}, ("start_everything", {"a": 1})),
        ({"op": "cancel_everything"}, ("cancel_everything",)),
        ({"op": "keep_proposals", "ids": ["a"]}, ("keep_proposals", ["a"], None)),
        ({"op": "keep_proposals", "ids": [], "label": "x"}, ("keep_proposals", [], "x")),
        ({"op": "clear_proposals"}, ("clear_proposals",)),
    ],
)
def test_each_intent_is_one_verb(content, call):
    calls = []

    class Recorder:
        def __getattr__(self, name):
            return lambda *arguments: calls.append((name, *arguments))

    perform(Recorder(), content)
    assert calls == [call]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"op": "everything", "settings": 3}, "IntentError"),
        ({"op": "everything", "settings": ["points_per_side"]}, "IntentError"),
        ({"op": "everything", "settings": {"points_per_side": 10**9}}, "PromptError"),
        ({"op": "everything", "settings": {"points_per_side": "many"}}, "PromptError"),
        ({"op": "everything", "settings": {"points_per_side": 0}}, "PromptError"),
        ({"op": "everything", "settings": {"points_per_side": True}}, "PromptError"),
        ({"op": "everything", "settings": {"points_per_side": None}}, "PromptError"),
        ({"op": "everything", "settings": {"crop_n_layers": 20}}, "PromptError"),
        ({"op": "everything", "settings": {"pred_iou_thresh": "x"}}, "PromptError"),
        ({"op": "everything", "settings": {"point_grids": [[[0, 0]]]}}, "PromptError"),
        ({"op": "everything", "settings": {"memory_budget": 1}}, "PromptError"),
        ({"op": "everything", "settings": {"__class__": 1}}, "PromptError"),
        ({"op": "keep_proposals"}, "IntentError"),
        ({"op": "keep_proposals", "ids": "a"}, "IntentError"),
        ({"op": "keep_proposals", "ids": [1]}, "IntentError"),
        ({"op": "keep_proposals", "ids": ["a"], "label": 1}, "IntentError"),
        ({"op": "keep_proposals", "ids": ["a"]}, "AnnotationError"),
        ({"op": "keep_proposals", "ids": ["\ud800" * 100]}, "AnnotationError"),
        ({"op": "keep_proposals", "ids": ids(A), "label": "tree"}, "LabelError"),
    ],
    ids=repr,
)
def test_whatever_is_wrong_becomes_a_notice(seg, page, script, content, code):
    seg.everything()
    before = seg._session.snapshot
    page.send(content)
    assert page["notice"]["code"] == code
    assert seg._session.snapshot == before
    assert len(script.calls) == 1
    assert page["everything_run"]["state"] == "done"


def test_python_names_settings_too(seg, script):
    seg.everything_settings = EverythingSettings(points_per_side=8, min_mask_region_area=5)
    seg.everything(points_per_side=200)
    assert script.calls[0][1] == EverythingSettings(points_per_side=200, min_mask_region_area=5)
    with pytest.raises(PromptError, match="no setting 'points_per_sid'; expected some of points_"):
        seg.everything(points_per_sid=3)
    page = Page(seg)
    page.do("everything", settings={"points_per_side": 9})
    end_of(seg)
    assert script.calls[1][1] == EverythingSettings(points_per_side=9, min_mask_region_area=5)
