"""A Segmenter with a tiny network, and a page that speaks with it as a browser would."""

import json
import threading

import ipywidgets.widgets.widget as widget_module
import numpy as np
import pytest
import torch
from ipywidgets.widgets.widget import _put_buffers

from segwidget.inference import embeddings, predictor
from segwidget.inference.models import Model
from segwidget.inference.network import SamNetwork
from segwidget.media.image import open_image
from segwidget.sam.build import build_compact
from segwidget.widget import binding, parts, segmenter
from segwidget.widget.segmenter import Segmenter

WIDTH, HEIGHT = 80, 60
PATIENCE = 60  # seconds until something that should have happened counts as hanging


@pytest.fixture(scope="session")
def model():
    """A small network of random weights, whose masks surround the first point or box."""
    torch.manual_seed(3)
    network = SamNetwork(build_compact(64).eval())
    decode = network.decode

    def decode_around_first_prompt(prepared, coords, labels, masks=None):
        logits, iou = decode(prepared, coords, labels, masks)
        side = logits.shape[-1]
        x, y = (coords[:, 0] * side / network.sam.image_size).view(-1, 2, 1, 1, 1).unbind(1)
        rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
        distance = ((columns - x) ** 2 + (rows - y) ** 2).sqrt()
        radius = torch.tensor([3.0, 4.0, 6.0, 9.0]).view(1, 4, 1, 1)
        return 0.2 * logits.tanh() + (radius - distance), iou.sigmoid()

    network.decode = decode_around_first_prompt
    return Model(network, "embedded", "ab" * 32)


@pytest.fixture(autouse=True)
def _one_thread():
    """Several threads for a tiny network only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_downloads(tmp_path, monkeypatch):
    """No test depends on what is on this computer, or fetches anything."""
    monkeypatch.setenv("SEGWIDGET_CACHE", str(tmp_path / "no cache"))
    monkeypatch.setenv("SEGWIDGET_OFFLINE", "1")
    monkeypatch.delenv("SEGWIDGET_MIRROR", raising=False)


@pytest.fixture(autouse=True)
def _no_page_decoder(tmp_path, monkeypatch):
    """No test but those about it exports a decoder for the page."""
    monkeypatch.setattr(parts, "STATIC", tmp_path / "no front end")


@pytest.fixture
def loads(model, monkeypatch):
    """Every loading of a model, by its name; a test may put an exception or an Event inside."""
    calls = []

    class Loads(list):
        error = None
        gate = None  # an Event that loading waits for

    calls = Loads()

    def load_model(name="embedded", device=None, *_how):
        calls.append(name)
        if calls.gate is not None:
            assert calls.gate.wait(PATIENCE)
        if calls.error is not None:
            raise calls.error
        return model

    monkeypatch.setattr(predictor, "load_model", load_model)
    return calls


@pytest.fixture
def predictions(monkeypatch):
    """Every question to the network; a test may hold them back with an Event, or have them fail."""

    class Predictions(list):
        error = None
        gate = None
        begun = threading.Event()

    calls = Predictions()
    calls.begun = threading.Event()
    decode = predictor.Predictor._decode

    def counted(self, prompts, mask_input):
        calls.append(prompts)
        calls.begun.set()
        if calls.gate is not None:
            assert calls.gate.wait(PATIENCE)
        if calls.error is not None:
            raise calls.error
        return decode(self, prompts, mask_input)

    monkeypatch.setattr(predictor.Predictor, "_decode", counted)
    return calls


class FakeComm:
    """A comm whose other end is a Page."""

    def __init__(self, data=None, buffers=None, comm_id=None, **_others):
        self.comm_id = comm_id or f"comm-{id(self)}"
        self.sent = []
        self._closing = threading.Event()
        self.state = {}
        self._receive(data, buffers)

    def _receive(self, data, buffers):
        # What Jupyter's session does: no NaN, no lone surrogates, no objects.
        text = json.dumps(data, ensure_ascii=False, allow_nan=False)
        text.encode()
        copy = json.loads(text)
        copy.setdefault("state", {})
        _put_buffers(copy["state"], copy.get("buffer_paths", []), list(buffers or []))
        self.sent.append((copy.get("method", "open"), copy["state"]))
        if copy.get("method", "open") in ("open", "update"):
            self.state.update(copy["state"])

    def send(self, data=None, metadata=None, buffers=None):
        assert not self.closed
        self._receive(data, buffers)

    def on_msg(self, handler):
        self.handler = handler

    @property
    def closed(self):
        return self._closing.is_set()

    def wait_closed(self):
        assert self._closing.wait(PATIENCE)

    def close(self, *_args, **_others):
        self._closing.set()


class Page:
    """What a browser shows of a widget, and how it speaks: everything as JSON."""

    def __init__(self, seg):
        self.comm = seg.comm

    def __getitem__(self, name):
        return self.comm.state[name]

    def _send(self, data):
        self.comm.handler({"content": {"data": json.loads(json.dumps(data))}, "buffers": []})

    def set(self, **state):
        self.comm.state.update(json.loads(json.dumps(state)))  # the page shows it at once
        self._send({"method": "update", "state": state, "buffer_paths": []})

    def send(self, content):
        self._send({"method": "custom", "content": content})

    def do(self, op, **fields):
        self.send({"op": op, **fields})

    def click(self, x, y, request, *, label=1):
        point = {"type": "point", "x": x, "y": y, "label": label}
        self.set(prompts=[*self["prompts"], point], request=request)

    @property
    def waiting(self):
        """As the front end judges it."""
        answered, notice = self["candidates"] or {}, self["notice"] or {}
        return bool(self["prompts"]) and self["request"] not in (
            answered.get("request"),
            notice.get("request"),
        )

    def updates(self, name):
        """Every value of a trait that came from the kernel, oldest first."""
        return [s[name] for method, s in self.comm.sent if method == "update" and name in s]


@pytest.fixture
def comms(monkeypatch):
    monkeypatch.setattr(widget_module.comm, "create_comm", lambda **kwargs: FakeComm(**kwargs))


@pytest.fixture
def picture():
    return np.random.default_rng(7).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture
def make(comms, loads, picture, monkeypatch):
    """Makes Segmenters, and closes them at the end; none may leave a thread behind."""
    made = []

    def make_segmenter(image=None, labels=("car", "person"), *args, **kwargs):
        seg = Segmenter(picture if image is None else image, labels, *args, **kwargs)
        made.append(seg)
        return seg

    make_segmenter.forget = made.clear
    yield make_segmenter
    for seg in made:
        seg.close()
        join(seg)


def join(seg):
    thread = seg._answerer._worker._thread
    if thread is not None:
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def seg(make):
    seg = make()
    assert seg.wait(PATIENCE)
    return seg


@pytest.fixture
def page(seg):
    return Page(seg)


@pytest.fixture(autouse=True)
def _clean_slate():
    """No cell, no embedding and no widget is left over from another test."""
    _clean()
    yield
    _clean()


def _clean():
    segmenter._places._newest.clear()
    with embeddings.embedding_cache._lock:
        embeddings.embedding_cache._entries.clear()
        embeddings.embedding_cache._users.clear()


def live_widgets():
    return [w for w in widget_module._instances.values() if isinstance(w, binding.SessionWidget)]


def photo_like(width, height):
    """Structure at all scales, as photographs have it, in tiles."""
    rng, tile = np.random.default_rng(2), 400
    out = np.full((tile, tile, 3), 128, np.float32)
    for step in (80, 16, 4):
        coarse = rng.normal(0, 12 * step**0.25, (tile // step, tile // step, 3))
        out += np.repeat(np.repeat(coarse, step, 0), step, 1)
    tiles = np.clip(out, 0, 255).astype(np.uint8)
    return np.tile(tiles, (height // tile + 1, width // tile + 1, 1))[:height, :width]


@pytest.fixture(scope="session")
def photo():
    return open_image(photo_like(4000, 3000), name="photo.jpg")
