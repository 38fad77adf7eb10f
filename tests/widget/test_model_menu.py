"""Another model takes over, is fetched first where need be, and no work is lost."""

import copy
import hashlib
import json
import threading
from dataclasses import replace

import pytest
import traitlets

from segwidget.errors import CheckpointError, ClosedError, ModelError
from segwidget.inference import predictor
from segwidget.inference.embeddings import embedding_cache
from segwidget.inference.models import Model
from segwidget.inference.prompts import Point
from segwidget.inference.registry import MODELS
from segwidget.widget import fetch as fetch_module
from segwidget.widget import proposer
from segwidget.widget.fetch import Fetch
from tests.slow_mirror import PIECE, SlowMirror

from .conftest import PATIENCE, Page

DOT, OTHER = Point(40, 30), Point(10, 12, 0)
WEIGHTS = bytes(range(256)) * 1024  # what stands for a file of weights; nothing reads it
NAME = "mobile_sam"


@pytest.fixture(scope="module")
def others(model):
    """Models that answer otherwise, by name: their masks are grown by so many logits."""

    def grown(by, name):
        network = copy.copy(model.network)
        network.prepare = model.network.prepare

        def decode(*arguments):
            logits, iou = model.network.decode(*arguments)
            return logits + by, iou

        network.decode = decode
        return Model(network, name, hashlib.sha256(name.encode()).hexdigest())

    return {
        NAME: grown(2.0, NAME),
        "vit_b": grown(4.0, "vit_b"),
        "mine.pth": grown(3.0, "mine.pth"),
    }


@pytest.fixture
def loads(model, others, monkeypatch):
    """Every loading by name; under a name a test may put an exception, or an Event to wait for."""

    class Loads(list):
        """Names, oldest first."""

    calls = Loads()
    calls.errors, calls.gates = {}, {}
    calls.begun = {name: threading.Event() for name in ("embedded", *others)}

    def load_model(given="embedded", device=None, *how):
        name = str(given).rpartition("/")[2]
        calls.append(name)
        calls.begun[name].set()
        if name in calls.gates:
            assert calls.gates[name].wait(PATIENCE)
        if name in calls.errors:
            raise calls.errors[name]
        return others.get(name, model)

    monkeypatch.setattr(predictor, "load_model", load_model)
    return calls


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and a registry whose published files are all WEIGHTS."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("SEGWIDGET_CACHE", str(folder))
    monkeypatch.delenv("SEGWIDGET_OFFLINE", raising=False)
    monkeypatch.setenv("SEGWIDGET_MIRROR", str(tmp_path / "no such mirror"))
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    for name, row in list(MODELS.items()):
        if row.url:
            monkeypatch.setitem(MODELS, name, replace(row, size=len(WEIGHTS), sha256=sha256))
    return folder


def put(cache, *names):
    for name in names:
        (cache / MODELS[name].file_name).write_bytes(WEIGHTS)


@pytest.fixture
def mirror(monkeypatch, cache):
    with SlowMirror(**{MODELS[NAME].file_name: WEIGHTS}) as mirror:
        monkeypatch.setenv("SEGWIDGET_MIRROR", mirror.url)
        yield mirror


@pytest.fixture
def seg(cache, make):
    seg = make()
    assert seg.wait(PATIENCE)
    return seg


def row(page, name):
    (found,) = [entry for entry in page["models"] if entry["name"] == name]
    return found


def wait_for_download(seg, state, *, least=0):
    """Wait until the trait says so."""
    reached = threading.Event()

    def look(_change=None):
        if seg.download["state"] == state and seg.download["done"] >= least:
            reached.set()

    seg.observe(look, "download")
    look()
    assert reached.wait(PATIENCE), seg.download
    seg.unobserve(look, "download")


# The menu.


def test_the_menu_says_what_there_is_and_what_is_here(cache, make):
    put(cache, "vit_b")
    page = Page(make())
    assert page["model"] == "embedded"
    assert [entry["name"] for entry in page["models"]] == list(MODELS)
    assert row(page, "embedded")["packaged"]
    assert row(page, "embedded")["cached"]
    assert row(page, "vit_b")["cached"]
    absent = row(page, NAME)
    assert absent == {
        "name": NAME,
        "title": MODELS[NAME].title,
        "bytes": len(WEIGHTS),
        "licence": MODELS[NAME].licence,
        "packaged": False,
        "cached": False,
        "summary": MODELS[NAME].purpose,
        "usable": True,
        "reason": "",
    }
    assert page["download"]["state"] == "idle"
    json.dumps(page["models"], allow_nan=False)


def test_without_a_network_the_menu_says_why_a_model_cannot_be_had(cache, make, monkeypatch):
    put(cache, "vit_b")
    monkeypatch.delenv("SEGWIDGET_MIRROR")
    monkeypatch.setenv("SEGWIDGET_OFFLINE", "1")
    page = Page(make())
    assert not row(page, NAME)["usable"]
    assert "SEGWIDGET_OFFLINE" in row(page, NAME)["reason"]
    assert str(cache) not in json.dumps(page["models"])
    assert row(page, "vit_b")["usable"]
    assert row(page, "embedded")["usable"]


def test_a_checkpoint_of_ones_own_is_in_the_menu_for_as_long_as_the_widget(cache, make, tmp_path):
    mine = tmp_path / "mine.pth"
    mine.write_bytes(WEIGHTS)
    seg = make(model=mine)
    page = Page(seg)
    assert seg.model == mine
    assert page["model"] == "mine.pth"
    assert row(page, "mine.pth")["bytes"] == len(WEIGHTS)
    assert str(tmp_path) not in json.dumps([page["models"], page["model"], page["status"]])
    page.do("use_model", name="embedded")
    assert seg.wait(PATIENCE)
    assert page["model"] == seg.model == "embedded"
    page.do("use_model", name="mine.pth")
    assert seg.wait(PATIENCE)
    assert seg.model == mine
    mine.unlink()
    page.do("use_model", name="embedded")
    assert seg.wait(PATIENCE)
    assert not row(page, "mine.pth")["usable"]


def test_the_name_of_a_published_file_is_the_models(cache, make):
    put(cache, "vit_b")
    assert make(model="vit_b").model == "vit_b"
    seg = make(model=MODELS["vit_b"].file_name)
    assert (seg.model, Page(seg)["model"]) == ("vit_b", "vit_b")
    assert len(seg.models) == len(MODELS)


# Changing the model.


def test_a_page_changes_the_model_and_the_draft_is_asked_anew(seg, loads, cache):
    put(cache, NAME)
    page = Page(seg)
    seg.prompts = [Point(20, 20)]
    kept = seg.keep("person")
    page.click(40, 30, "p-1")
    page.set(label="person")
    assert seg.wait(PATIENCE)
    before, session = seg.candidates, seg._session.snapshot
    history = dict(seg.history)
    page.do("use_model", name=NAME)
    assert seg.wait(PATIENCE)
    assert seg.model == page["model"] == NAME
    assert page["status"] == {
        "state": "ready", "model": NAME, "device": "cpu", "message": "", "progress": None,
    }  # fmt: skip
    assert row(page, NAME)["cached"]
    assert seg._session.snapshot == session
    assert seg.history == page["history"] == history
    assert seg.annotations.items == (kept,)
    assert not page.waiting
    assert page["candidates"]["request"] == seg.request != "p-1"
    assert (seg.candidates.area > before.area).all()
    assert seg.keep().model == NAME
    assert [a.model for a in seg.annotations] == ["embedded", NAME]
    assert loads == ["embedded", NAME]
    assert page["notice"] is None


def test_python_changes_the_model_before_the_next_line(seg, loads, cache, others):
    put(cache, NAME)
    page = Page(seg)
    seg.prompts = [DOT]
    before = seg.candidates
    seg.model = NAME
    assert (seg.candidates.area > before.area).all()
    assert page["candidates"]["request"] == page["request"]
    assert page["model"] == page["status"]["model"] == NAME
    kept = seg.keep()
    assert (kept.model, kept.checkpoint) == (NAME, others[NAME].sha256)
    seg.model = "embedded"
    seg.prompts = [DOT]
    assert (seg.candidates.masks == before.masks).all()


def test_without_a_draft_nothing_is_asked(seg, cache, predictions):
    put(cache, NAME)
    seg.model = NAME
    page = Page(seg)
    page.do("use_model", name="embedded")
    assert seg.wait(PATIENCE)
    assert predictions == []
    assert seg.candidates is None
    assert seg.history == {"undo": None, "redo": None}


def test_the_old_model_answers_while_the_new_one_is_loaded(seg, loads, cache):
    put(cache, NAME)
    page = Page(seg)
    loads.gates[NAME] = threading.Event()
    page.do("use_model", name=NAME)
    assert loads.begun[NAME].wait(PATIENCE)
    assert page["status"]["state"] == "loading"
    assert page["status"]["message"] == f"Loading {NAME} …"
    assert page["status"]["model"] == page["model"] == "embedded"
    seg.prompts = [DOT]
    assert len(seg.candidates) == 4
    old = seg.candidates
    assert seg.keep().model == "embedded"
    seg.undo()
    page.do("undo")
    page.do("redo")
    assert not seg.wait(0)  # not before the new one is there
    loads.gates[NAME].set()
    assert seg.wait(PATIENCE)
    assert page["status"]["state"] == "ready"
    assert page["status"]["model"] == NAME
    assert seg.prompts == (DOT,)
    assert (seg.candidates.area > old.area).all()


def test_a_click_that_the_old_model_has_not_answered_yet_is_the_new_ones(
    seg, loads, cache, predictions
):
    put(cache, NAME)
    page = Page(seg)
    predictions.gate = threading.Event()
    page.click(40, 30, "p-1")
    assert predictions.begun.wait(PATIENCE)
    page.do("use_model", name=NAME)
    assert loads.begun[NAME].wait(PATIENCE)
    predictions.gate.set()
    assert seg.wait(PATIENCE)
    assert not page.waiting
    assert seg.keep().model == NAME


def test_a_model_that_cannot_be_loaded_leaves_everything_as_it_was(seg, loads, cache):
    put(cache, NAME)
    page = Page(seg)
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    before, status = seg.candidates, seg.status
    loads.errors[NAME] = CheckpointError("The file is damaged. Download it again.")
    page.do("use_model", name=NAME)
    assert seg.wait(PATIENCE)
    assert page["notice"]["message"] == "The file is damaged. Download it again."
    assert page["notice"]["request"] == ""
    assert seg.status == page["status"] == status
    assert seg.model == page["model"] == "embedded"
    assert seg.candidates is before
    page.click(20, 20, "p-2")
    assert seg.wait(PATIENCE)
    assert not page.waiting
    assert seg.keep().model == "embedded"


def test_python_is_told_that_a_model_cannot_be_loaded(seg, loads, cache):
    put(cache, NAME)
    page = Page(seg)
    seg.prompts = [DOT]
    before, status = seg.candidates, seg.status
    loads.errors[NAME] = CheckpointError("The file is damaged.")
    with pytest.raises(CheckpointError, match="damaged"):
        seg.model = NAME
    loads.errors[NAME] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        seg.model = NAME
    assert (seg.model, page["model"], seg.status) == ("embedded", "embedded", status)
    assert seg.candidates is before
    seg.prompts = [DOT, OTHER]
    assert seg.keep().model == "embedded"


def test_a_model_that_fails_at_the_draft_leaves_everything_as_it_was(seg, cache, predictions):
    put(cache, NAME)
    seg.prompts = [DOT]
    before = seg.candidates
    predictions.error = RuntimeError("out of memory")
    with pytest.raises(RuntimeError, match="out of memory"):
        seg.model = NAME
    predictions.error = None
    assert (seg.model, seg.status["model"]) == ("embedded", "embedded")
    assert seg.candidates is before


@pytest.mark.parametrize("wrong", ["vit_x", "", 5, None, ["embedded"]], ids=str)
def test_a_model_that_does_not_exist_is_refused(seg, wrong):
    with pytest.raises(ModelError):
        seg.model = wrong
    assert seg.model == "embedded"


def test_a_model_that_is_not_here_is_refused_with_how_to_get_it(seg, mirror):
    with pytest.raises(ModelError, match="segwidget models download mobile_sam"):
        seg.model = NAME
    page = Page(seg)
    page.do("use_model", name=NAME)
    assert "segwidget models download mobile_sam" in page["notice"]["message"]
    assert seg.model == page["model"] == "embedded"
    assert mirror.ranges == []  # nothing is fetched that nobody has asked for


@pytest.mark.parametrize("op", ["use_model", "download_model"])
@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "mine.pth", "<b>vit_b</b>", "", "x" * 10**6]
)
def test_a_page_names_nothing_but_what_is_in_the_menu(seg, op, name):
    page = Page(seg)
    page.do(op, name=name)
    assert page["notice"]["code"] == "ModelError"
    assert len(page["notice"]["message"]) < 300
    assert seg.model == "embedded"
    assert page["download"]["state"] == "idle"


@pytest.mark.parametrize(
    "content",
    [
        {"op": "use_model"},
        {"op": "use_model", "name": None},
        {"op": "use_model", "name": ["embedded"]},
        {"op": "download_model", "name": 5},
        {"op": "download_model", "model": NAME},
    ],
    ids=str,
)
def test_a_malformed_wish_becomes_a_notice(seg, content):
    page = Page(seg)
    page.send(content)
    assert page["notice"]["code"] == "IntentError"


def test_a_page_cannot_set_the_model_itself(seg, cache):
    put(cache, NAME)
    Page(seg).set(model=NAME, models=[], download={"state": "running"})
    assert seg.model == "embedded"
    assert len(seg.models) == len(MODELS)
    assert seg.download["state"] == "idle"
    for name in ("models", "download"):
        with pytest.raises(traitlets.TraitError, match="read-only"):
            setattr(seg, name, getattr(seg, name))


def test_of_several_wishes_the_last_counts(seg, loads, cache):
    put(cache, NAME, "vit_b")
    page = Page(seg)
    loads.gates[NAME] = threading.Event()
    page.do("use_model", name=NAME)
    assert loads.begun[NAME].wait(PATIENCE)
    page.do("use_model", name="vit_b")
    assert seg.wait(PATIENCE)
    loads.gates[NAME].set()
    assert seg.model == page["model"] == page["status"]["model"] == "vit_b"
    assert page["notice"] is None
    seg.prompts = [DOT]
    assert seg.keep().model == "vit_b"


def test_the_present_model_called_for_again_calls_the_change_off(seg, loads, cache):
    put(cache, NAME)
    page, status = Page(seg), seg.status
    loads.gates[NAME] = threading.Event()
    page.do("use_model", name=NAME)
    assert loads.begun[NAME].wait(PATIENCE)
    changing = seg._changing._worker._thread
    page.do("use_model", name="embedded")
    assert seg.status == status
    loads.gates[NAME].set()
    changing.join(PATIENCE)
    assert not changing.is_alive()
    assert (seg.model, page["model"]) == ("embedded", "embedded")
    assert seg.status == status
    assert page["notice"] is None
    assert len(embedding_cache) == 1
    page.do("use_model", name="embedded")
    assert loads == ["embedded", NAME]


def test_python_overtakes_a_change_that_is_under_way(seg, loads, cache):
    put(cache, NAME, "vit_b")
    loads.gates[NAME] = threading.Event()
    Page(seg).do("use_model", name=NAME)
    assert loads.begun[NAME].wait(PATIENCE)
    seg.model = "vit_b"
    loads.gates[NAME].set()
    assert seg.wait(PATIENCE)
    assert (seg.model, seg.status["model"]) == ("vit_b", "vit_b")


def test_another_model_helps_where_the_first_could_not_be_loaded(cache, make, loads):
    put(cache, NAME)
    loads.errors["embedded"] = CheckpointError("The file is damaged.")
    seg = make()
    page = Page(seg)
    assert seg.wait(PATIENCE)
    assert page["status"]["state"] == "failed"
    page.do("use_model", name=NAME)
    assert seg.wait(PATIENCE)
    assert page["status"]["state"] == "ready"
    seg.prompts = [DOT]
    assert seg.keep().model == NAME


def test_the_present_model_is_tried_again_where_it_had_failed(cache, make, loads):
    loads.errors["embedded"] = CheckpointError("The file is damaged.")
    seg = make()
    page = Page(seg)
    assert seg.wait(PATIENCE)
    del loads.errors["embedded"]
    page.do("use_model", name="embedded")
    assert seg.wait(PATIENCE)
    assert page["status"]["state"] == "ready"


def test_a_model_that_is_still_being_loaded_says_nothing_once_another_took_over(cache, make, loads):
    put(cache, NAME)
    loads.gates["embedded"] = threading.Event()
    seg = make()
    page, first = Page(seg), seg._answerer._worker._thread
    assert loads.begun["embedded"].wait(PATIENCE)
    page.do("use_model", name=NAME)
    assert seg.wait(PATIENCE)
    loads.gates["embedded"].set()
    first.join(PATIENCE)
    assert not first.is_alive()
    assert page["status"]["model"] == NAME
    assert page["notice"] is None
    assert len(embedding_cache) == 1


def test_a_change_frees_the_old_embedding_and_thread(seg, cache):
    put(cache, NAME)
    page, old = Page(seg), seg._answerer
    for name in (NAME, "embedded", NAME):
        page.do("use_model", name=name)
        assert seg.wait(PATIENCE)
        assert len(embedding_cache) == 1
    old._worker._thread.join(PATIENCE)
    assert not old._worker._thread.is_alive()
    seg.close()
    assert len(embedding_cache) == 0


@pytest.mark.parametrize("by", ["python", "page"])
def test_everything_is_undone_and_redone_across_changes(seg, cache, by):
    put(cache, NAME, "vit_b")
    page = Page(seg)

    def use(name):
        if by == "python":
            seg.model = name
        else:
            page.do("use_model", name=name)
        assert seg.wait(PATIENCE)

    seg.prompts = [DOT]
    seg.pick(1)
    first = seg.keep()
    use(NAME)
    seg.prompts = [Point(20, 20)]
    second = seg.keep("person")
    use("vit_b")
    assert seg.history["undo"] == "keep person"
    page.do("undo")
    assert seg.wait(PATIENCE)
    assert seg.annotations.items == (first,)
    assert seg.prompts == second.prompts
    assert not page.waiting
    assert len(seg.candidates) == 4  # by the present model
    assert seg.keep().model == "vit_b"
    for _ in range(3):
        page.do("undo")
        assert seg.wait(PATIENCE)
    assert (seg.prompts, seg.picked) == ((DOT,), 1)
    assert len(seg.annotations) == 0
    for _ in range(2):
        page.do("redo")
        assert seg.wait(PATIENCE)
    assert seg.annotations.items == (first,)
    assert page["notice"] is None
    assert seg.model == "vit_b"


def test_a_cell_that_is_run_again_gives_up_what_was_being_loaded(seg, loads, cache):
    put(cache, NAME)
    loads.gates[NAME] = threading.Event()
    Page(seg).do("use_model", name=NAME)
    assert loads.begun[NAME].wait(PATIENCE)
    changing = seg._changing._worker._thread
    seg.close()
    loads.gates[NAME].set()
    changing.join(PATIENCE)
    assert not changing.is_alive()
    assert seg.model == "embedded"
    assert len(embedding_cache) == 0
    assert seg.notice is None
    assert seg.wait(PATIENCE)


def test_a_closed_widget_changes_no_model(seg, cache):
    put(cache, NAME)
    seg.close()
    for use in (
        lambda: setattr(seg, "model", NAME),
        lambda: seg.use_model(NAME),
        lambda: seg.download_model("vit_b"),
    ):
        with pytest.raises(ClosedError):
            use()
    seg.cancel_download()
    assert seg.model == "embedded"
    assert seg.download["state"] == "idle"


def test_everybody_changes_the_model_at_once(seg, cache):
    put(cache, NAME, "vit_b")
    page = Page(seg)
    wrong = []

    def talk(number):
        try:
            for n in range(12):
                name = ["embedded", NAME, "vit_b"][(n + number) % 3]
                if number == 0:
                    seg.model = name
                elif number == 1:
                    seg._handle_custom_msg({"op": "use_model", "name": name}, [])
                else:
                    dot = {"type": "point", "x": n, "y": 9, "label": 1}
                    seg.set_state({"prompts": [dot], "request": f"p-{n}"})
        except Exception as e:
            wrong.append(e)

    threads = [threading.Thread(target=talk, args=(n,), daemon=True) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a deadlock"
    assert wrong == []
    assert seg.wait(PATIENCE)
    assert seg.status["state"] == "ready"
    assert seg.status["model"] == seg.model == page["model"]
    assert seg._answerer.model_name == seg.model
    assert seg.candidates is seg._answerer.answer(seg._session.draft).candidates
    assert len(embedding_cache) == 1
    assert seg.notice is None


def test_a_run_of_everything_mode_ends_with_the_model_that_it_began_with(seg, cache, monkeypatch):
    put(cache, NAME)
    page, begun, gate = Page(seg), threading.Event(), threading.Event()
    propose = proposer.propose

    def gated(*arguments, **named):
        begun.set()
        assert gate.wait(PATIENCE)
        return propose(*arguments, **named)

    monkeypatch.setattr(proposer, "propose", gated)
    lenient = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    page.do("everything", settings=lenient)
    assert begun.wait(PATIENCE)
    seg.model = NAME
    gate.set()
    assert seg.wait(PATIENCE)
    assert page["everything_run"]["state"] == "done"
    (kept, *_) = seg.keep_proposals(seg.proposals)
    assert kept.model == "embedded"
    seg.everything(**lenient)
    seg.annotations = []
    (kept, *_) = seg.keep_proposals(seg.proposals)
    assert kept.model == NAME
    assert len(embedding_cache) == 1
    assert seg.notice is None


# Downloading.


def test_a_model_is_fetched_while_clicks_are_answered_and_then_used(seg, mirror, loads, cache):
    page = Page(seg)
    mirror.stop_at(len(WEIGHTS) // 2)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "running", least=len(WEIGHTS) // 4)
    assert page["download"]["name"] == NAME
    assert page["download"]["total"] == len(WEIGHTS)
    assert page["download"]["done"] <= len(WEIGHTS) // 2
    assert page["status"]["state"] == "ready"
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    assert seg.keep().model == "embedded"
    fetching = seg._fetch.thread
    mirror.stop_at(None)
    wait_for_download(seg, "done")
    fetching.join(PATIENCE)
    assert seg.wait(PATIENCE)
    assert page["download"] == {
        "name": NAME, "done": len(WEIGHTS), "total": len(WEIGHTS), "state": "done", "message": "",
    }  # fmt: skip
    assert row(page, NAME)["cached"]
    assert seg.model == page["model"] == NAME
    assert (cache / MODELS[NAME].file_name).read_bytes() == WEIGHTS
    page.click(40, 30, "p-2")
    assert seg.wait(PATIENCE)
    assert seg.keep().model == NAME
    assert page["notice"] is None
    assert mirror.ranges == [None]


def test_a_cancelled_download_is_gone_on_with(seg, mirror, cache):
    page = Page(seg)
    mirror.stop_at(len(WEIGHTS) // 2)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "running", least=len(WEIGHTS) // 4)
    fetching = seg._fetch.thread
    page.do("cancel_download")
    assert page["download"]["state"] == "idle"
    assert page["download"]["done"] >= len(WEIGHTS) // 4
    assert not (cache / MODELS[NAME].file_name).exists()
    mirror.cut()
    fetching.join(PATIENCE)
    assert not fetching.is_alive()
    assert page["notice"] is None
    assert page["download"]["state"] == "idle"
    mirror.stop_at(None)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "done")
    assert seg.wait(PATIENCE)
    assert seg.model == NAME
    assert mirror.ranges[0] is None
    assert int(mirror.ranges[-1].removeprefix("bytes=")[:-1]) >= len(WEIGHTS) // 4
    page.do("cancel_download")  # there is none any more
    assert page["download"]["state"] == "done"


def test_a_download_that_fails_says_so_and_the_old_model_answers(seg, mirror):
    page = Page(seg)
    page.do("download_model", name="vit_b")  # of which the mirror has no file
    wait_for_download(seg, "failed")
    assert "answers 404" in page["notice"]["message"]
    assert page["notice"]["code"] == "CheckpointError"
    assert seg.model == "embedded"
    page.click(40, 30, "p-1")
    assert seg.wait(PATIENCE)
    assert seg.keep().model == "embedded"
    page.do("download_model", name=NAME)  # another may be fetched at once
    wait_for_download(seg, "done")
    assert seg.wait(PATIENCE)
    assert seg.model == NAME


def test_another_file_than_the_published_one_is_refused(seg, mirror, cache):
    mirror.files[MODELS[NAME].file_name] = WEIGHTS[::-1]
    page = Page(seg)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "failed")
    assert "SHA-256" in page["notice"]["message"]
    assert not row(page, NAME)["cached"]
    assert seg.model == "embedded"
    assert not (cache / MODELS[NAME].file_name).exists()


def test_one_download_at_a_time(seg, mirror):
    page = Page(seg)
    mirror.stop_at(PIECE)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "running", least=1)
    fetching = seg._fetch
    page.do("download_model", name=NAME)
    assert page["notice"] is None
    page.do("download_model", name="vit_b")
    assert "is being downloaded" in page["notice"]["message"]
    assert seg._fetch is fetching
    assert page["download"]["name"] == NAME
    mirror.stop_at(None)
    wait_for_download(seg, "done")
    assert seg.wait(PATIENCE)
    assert seg.model == NAME
    assert len(mirror.ranges) == 1


def test_who_has_chosen_something_else_meanwhile_is_left_with_it(seg, mirror, cache):
    put(cache, "vit_b")
    page = Page(seg)
    mirror.stop_at(PIECE)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "running", least=1)
    page.do("use_model", name="vit_b")
    assert seg.wait(PATIENCE)
    fetching = seg._fetch.thread
    mirror.stop_at(None)
    wait_for_download(seg, "done")
    fetching.join(PATIENCE)
    assert seg.wait(PATIENCE)
    assert seg.model == "vit_b"
    assert row(page, NAME)["cached"]


def test_a_model_that_came_here_in_another_way_is_used_at_once(seg, mirror, cache):
    put(cache, NAME)  # by the command line, say, while the menu was open
    page = Page(seg)
    page.do("download_model", name=NAME)
    assert seg.wait(PATIENCE)
    assert seg.model == NAME
    assert mirror.ranges == []


def test_a_fetched_file_that_cannot_be_loaded_leaves_the_old_model(seg, mirror, loads):
    page = Page(seg)
    loads.errors[NAME] = CheckpointError("No network of ours fits it.")
    page.do("download_model", name=NAME)
    wait_for_download(seg, "done")
    assert loads.begun[NAME].wait(PATIENCE)
    assert seg.wait(PATIENCE)
    assert page["notice"]["message"] == "No network of ours fits it."
    assert seg.model == "embedded"
    assert page["status"]["state"] == "ready"


def test_offline_nothing_is_fetched(seg, mirror, monkeypatch):
    monkeypatch.setenv("SEGWIDGET_OFFLINE", "1")
    page = Page(seg)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "failed")
    assert "SEGWIDGET_OFFLINE" in page["notice"]["message"]
    assert mirror.ranges == []


def test_closing_cancels_the_download_and_keeps_what_is_here(seg, mirror, cache):
    page = Page(seg)
    mirror.stop_at(len(WEIGHTS) // 2)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "running", least=len(WEIGHTS) // 4)
    fetching = seg._fetch.thread
    seg.close()
    mirror.stop_at(len(WEIGHTS) // 2 + PIECE)  # the next bytes show it that nobody waits
    fetching.join(PATIENCE)
    assert not fetching.is_alive()
    part = cache / f"{MODELS[NAME].file_name}.part"
    assert part.stat().st_size >= len(WEIGHTS) // 4
    assert seg.notice is None


def test_progress_is_told_a_few_times_a_second(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fetch_module.time, "monotonic", lambda: now[0])
    told = []
    size = MODELS[NAME].size
    fetch = Fetch(MODELS[NAME], lambda *words: told.append(words), lambda error: None)
    fetch._progress(0, size)
    for done in range(1, 101):  # a hundred pieces in a tenth of a second
        now[0] += 0.001
        fetch._progress(done * 1000, size)
    assert told == [(0, size, "")]
    now[0] += 0.25
    fetch._progress(200_000, size)
    fetch._notice("Trying again: the line is bad.")
    fetch._progress(200_000, size)
    fetch._progress(size // 2, size)
    fetch._progress(size, size)
    assert told[1:] == [
        (200_000, size, ""),
        (200_000, size, "Trying again: the line is bad."),
        (size // 2, size, ""),
        (size, size, ""),
    ]
    fetch.cancel()
    fetch._progress(size, size)
    assert len(told) == 5


def test_closing_ends_all_threads(seg, mirror):
    page = Page(seg)
    page.do("download_model", name=NAME)
    wait_for_download(seg, "done")
    assert seg.wait(PATIENCE)
    seg.close()
    for thread in threading.enumerate():
        if thread.name == "segwidget-worker":
            thread.join(PATIENCE)
            assert not thread.is_alive()
