"""What a page is sent to answer prompts itself: named by a trait, and sent in pieces."""

import copy
import gzip
import hashlib
import json
import threading

import numpy as np
import pytest

from segwidget import Point
from segwidget.errors import ModelError
from segwidget.inference import predictor as predictor_module
from segwidget.inference.models import Model
from segwidget.widget import parts, threads
from segwidget.widget.parts import Part, bundle

from .conftest import HEIGHT, PATIENCE, WIDTH, Page

SCRIPT = b"self.onmessage = () => {};"
WASM = np.random.default_rng(0).bytes(2_500_000)
NAMES = ["script", "wasm", "prepare", "refine", "decode", "embedding"]


@pytest.fixture(autouse=True)
def program(tmp_path, monkeypatch, _no_page_decoder):
    """A folder with a worker's script and a wasm in place of the package's."""
    folder = tmp_path / "decode"
    folder.mkdir()
    (folder / "worker.js.gz").write_bytes(gzip.compress(SCRIPT))
    (folder / "ort.wasm.gz").write_bytes(gzip.compress(WASM, 1))
    monkeypatch.setattr(parts, "STATIC", folder)
    return folder


@pytest.fixture(scope="module")
def graphs(model, tmp_path_factory):
    """The model is exported once for all tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGWIDGET_CACHE", str(tmp_path_factory.mktemp("cache")))
        return parts._graphs(model)


@pytest.fixture
def begun(monkeypatch):
    """The threads that were begun for parts."""
    begun = []
    begin = threads.begin

    def watched(work, name):
        begun.append(begin(work, name))
        return begun[-1]

    monkeypatch.setattr(parts.threads, "begin", watched)
    return begun


@pytest.fixture
def make(make, begun, graphs):
    """Makes Segmenters for which a page has asked; their threads end before the test does."""

    def make_asked(*args, asked=True, **kwargs):
        seg = make(*args, **kwargs)
        if asked:
            Page(seg).do("decoder")
        return seg

    def wait(*widgets):
        for seg in widgets:
            assert seg.wait(PATIENCE)  # a region that is embedded begins the next thread
        for thread in begun:
            thread.join(PATIENCE)

    make_asked.wait = wait
    yield make_asked
    wait()


@pytest.fixture
def seg(make):
    seg = make()
    assert seg.wait(PATIENCE)
    make.wait()
    return seg


@pytest.fixture
def sent(seg, monkeypatch):
    """What is sent to the page beside traits: contents and their buffers."""
    messages = []
    monkeypatch.setattr(
        seg, "send", lambda content, buffers=None: messages.append((content, buffers))
    )
    return messages


def fetch(page, sent, part):
    """A part as a page puts it together and unpacks it."""
    sent.clear()
    page.do("part", key=part["key"], piece=0)
    count = sent[0][0]["pieces"]
    for piece in range(1, count):
        page.do("part", key=part["key"], piece=piece)
    for i, (content, buffers) in enumerate(sent):
        assert content == {"op": "part", "key": part["key"], "piece": i, "pieces": count}
        assert len(buffers) == 1
        assert len(buffers[0]) <= 1 << 20
    data = b"".join(bytes(buffers[0]) for _, buffers in sent)
    assert len(data) == part["bytes"]
    unpacked = gzip.decompress(data) if part["encoding"] == "gzip" else data
    assert len(unpacked) == part["unpacked"]
    return data, unpacked


def test_the_trait_names_all_parts_and_is_small(seg, page):
    decoder = page["decoder"]
    assert decoder == seg.decoder
    assert sorted(decoder) == sorted([*NAMES, "tensors", "frame"])
    assert len(json.dumps(decoder)) < 3000
    assert len({decoder[name]["key"] for name in NAMES}) == len(NAMES)
    halves = sum(int(np.prod(t["shape"])) for t in decoder["tensors"])
    assert decoder["embedding"]["unpacked"] == 2 * halves
    assert [t["name"] for t in decoder["tensors"]] == ["embedding", "high_res"]


def test_the_frame_is_the_predictor_s(seg):
    frame, _ = seg.decoder["frame"], seg.decoder
    predictor, _ = seg._answerer.look_inside()
    own = predictor.frame
    assert frame["region"] == [0, 0, WIDTH, HEIGHT]
    w, h = own.resized
    assert frame["input_scale"] == [w / WIDTH, h / HEIGHT]
    assert frame["logits_size"] == own.logits_size
    assert frame["logits_shape"] == [*own.logits_shape]
    assert frame["logits_scale"] == [*own.logits_scale]


def test_every_part_arrives_in_pieces(seg, page, sent):
    unpacked = {}
    for name in NAMES:
        part = page["decoder"][name]
        data, unpacked[name] = fetch(page, sent, part)
        assert part["key"] == hashlib.sha256(data).hexdigest()
    assert unpacked["script"] == SCRIPT
    assert unpacked["wasm"] == WASM
    predictor, _ = seg._answerer.look_inside()
    halves = np.frombuffer(unpacked["embedding"], "<f2")
    expected = [t.numpy().ravel() for t in predictor.features if t is not None]
    np.testing.assert_array_equal(halves, np.concatenate(expected))
    assert seg.notice is None


@pytest.mark.parametrize("piece", [-1, 3, 10**9])
def test_a_piece_that_there_is_not_is_answered(page, sent, piece):
    key = page["decoder"]["wasm"]["key"]
    page.do("part", key=key, piece=piece)
    [(content, buffers)] = sent
    assert (content["key"], content["piece"], buffers) == (key, piece, None)
    assert "expected 0 to 2" in content["error"]
    assert page["notice"] is None


@pytest.mark.parametrize("key", ["", "ab" * 32, "../../etc/passwd", "x" * 100_000])
def test_an_unknown_key_is_answered(page, sent, key):
    page.do("part", key=key, piece=0)
    [(content, buffers)] = sent
    assert content["error"]
    assert buffers is None
    assert len(json.dumps(content)) < 500
    assert page["notice"] is None


def test_a_page_cannot_set_it(seg, page):
    before = seg.decoder
    page.set(decoder=None)
    assert seg.decoder == before


def test_nothing_is_named_before_the_model_is_there(make, loads):
    loads.gate = threading.Event()
    seg = make()
    page = Page(seg)
    assert page["decoder"] is None
    loads.gate.set()
    assert seg.wait(PATIENCE)
    make.wait()
    assert page["decoder"] is not None


def test_nothing_is_made_before_a_page_asks(make, begun):
    seg = make(asked=False)
    seg.prompts = [Point(20, 20)]
    seg.focus((10, 20, 50, 44))
    assert seg.wait(PATIENCE)
    assert begun == []
    assert seg.decoder is None
    assert not seg._bundles

    page = Page(seg)
    page.do("decoder")
    make.wait(seg)
    assert page["decoder"]["frame"]["region"] == [10, 20, 50, 44]
    assert seg.notice is None


def test_pages_that_ask_again_change_nothing(seg, begun):
    page, before, threads_then = Page(seg), seg.decoder, len(begun)
    for _ in range(3):
        page.do("decoder")
    assert len(begun) == threads_then
    assert seg.decoder is before


def test_who_asks_before_the_model_is_there_is_served_once_it_is(make, loads, begun):
    loads.gate = threading.Event()
    seg = make(asked=False)
    page = Page(seg)
    page.do("decoder")
    assert begun == []
    loads.gate.set()
    make.wait(seg)
    make.wait()
    assert page["decoder"] is not None


def test_a_closed_widget_that_is_asked_makes_nothing(make, begun):
    seg = make(asked=False)
    assert seg.wait(PATIENCE)
    seg.close()
    seg.offer_decoder()
    assert begun == []
    assert seg.decoder is None


def test_without_the_program_the_kernel_answers(make, program):
    (program / "ort.wasm.gz").unlink()
    seg = make()
    assert seg.wait(PATIENCE)
    make.wait()
    assert seg.decoder is None
    assert seg.notice is None
    with pytest.raises(ModelError, match="without a kernel"):
        bundle(seg)


def test_where_the_graphs_fail_the_kernel_answers(make, monkeypatch):
    def fail(_model):
        raise OSError("the disk is gone")

    monkeypatch.setattr(parts, "_graphs", fail)
    seg = make()
    assert seg.wait(PATIENCE)
    make.wait()
    assert seg.decoder is None
    assert seg.notice is None
    assert seg.status["state"] == "ready"


def test_a_change_of_model_takes_it_back_until_the_new_one_is_ready(
    make, seg, model, monkeypatch, tmp_path
):
    page, before = Page(seg), seg.decoder
    other = Model(copy.copy(model.network), "other", "cd" * 32)
    graphs = (b"prepare", b"refine", b"decode")
    parts._graphs_of[other] = tuple(Part.packed(gzip.compress(x)) for x in graphs)
    monkeypatch.setattr(predictor_module, "load_model", lambda *_: other)
    path = tmp_path / "other.pth"
    path.write_bytes(b"weights")
    seg.model = path
    make.wait()
    assert seg.decoder["prepare"] != before["prepare"]
    assert seg.decoder["embedding"] == before["embedding"]
    assert [value is None for value in page.updates("decoder")][-2:] == [True, False]


def test_a_region_has_its_own_embedding_and_frame(make, seg, page, sent):
    before = seg.decoder
    seg.focus((10, 20, 50, 44))
    make.wait(seg)
    inside = seg.decoder
    assert inside["frame"]["region"] == [10, 20, 50, 44]
    assert inside["embedding"] != before["embedding"]
    assert inside["decode"] == before["decode"]
    fetch(page, sent, inside["embedding"])
    fetch(page, sent, before["embedding"])  # a page that is late still gets it
    seg.leave_region()
    make.wait(seg)
    assert seg.decoder == before
    assert [value is None for value in page.updates("decoder")][-4:] == [True, False, True, False]


def test_of_older_embeddings_one_is_still_there(seg, page, sent):
    first = seg.decoder["embedding"]
    fetch(page, sent, first)
    for number in range(4):
        made = parts.collect(seg._answerer.look_inside()[0])
        part = Part.of(bytes([number]) * 100)
        seg._bundles.append(parts.Bundle(made.decoder, {part.key: part}))
    assert sum(len(b.parts) for b in seg._bundles) == 2
    sent.clear()
    page.do("part", key=first["key"], piece=0)
    assert "error" in sent[0][0]


def test_a_closed_widget_names_nothing_and_holds_nothing(make, loads):
    loads.gate = threading.Event()
    seg = make()
    seg.close()
    loads.gate.set()
    make.wait()
    assert seg.decoder is None
    assert not seg._bundles


def test_closing_lets_go_of_the_bytes(seg):
    assert seg._bundles
    seg.close()
    assert not seg._bundles


def test_widgets_of_one_process_share_what_was_packed(make, picture, monkeypatch):
    packed = []
    of = Part.of
    monkeypatch.setattr(Part, "of", lambda data: packed.append(data) or of(data))
    parts._packed.clear()
    parts._read.cache_clear()
    parts._graphs_of.clear()
    first, second = make(), make()
    make.wait(first, second)
    assert len(packed) == 1  # the embedding; program and graphs are packed in files
    one, other = ({**seg._bundles[-1].parts} for seg in (first, second))
    assert [*one] == [*other]
    assert all(one[key] is other[key] or one[key].data is other[key].data for key in one)

    third = make(255 - picture)
    make.wait(third)
    assert len(packed) == 2
    assert third.decoder["embedding"] != first.decoder["embedding"]


def test_what_was_packed_long_ago_is_let_go(make, picture):
    for i in range(6):
        make.wait(make(np.roll(picture, i, axis=0)))
    assert len(parts._packed) == 4


def test_a_bundle_has_all_that_the_trait_names(seg):
    made = bundle(seg)
    assert made.decoder == seg.decoder
    assert sorted(made.parts) == sorted(made.decoder[name]["key"] for name in NAMES)
    for name in NAMES:
        part = made.parts[made.decoder[name]["key"]]
        assert part.to_json() == made.decoder[name]
    assert gzip.decompress(made.parts[made.decoder["wasm"]["key"]].data) == WASM


@pytest.mark.parametrize("data", [b"", b"a" * 5000, np.random.default_rng(1).bytes(5000)])
def test_a_part_travels_in_the_smaller_form(data):
    part = Part.of(data)
    assert len(part.data) <= len(data)
    assert part.encoding == ("gzip" if data == b"a" * 5000 else "none")
    assert (gzip.decompress(part.data) if part.encoding == "gzip" else part.data) == data
    assert part.unpacked == len(data)
    assert part.pieces == 1
