"""What a page needs to answer prompts itself, sent to it once, in pieces, when it asks.

A page that would answer prompts says so, and from then on the parts are made whenever something
else is looked at. A script that no page looks at never exports a graph or packs an embedding.

Six parts: the worker's script and ONNX Runtime's wasm, which the package brings; the model's three
graphs (:mod:`segwidget.inference.decoder_graph`); and the embedding of what is looked at. The
``decoder`` trait only names them, so that saved state stays small.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import threading
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, ref

import traitlets
from torch import Tensor

from segwidget.errors import ModelError
from segwidget.inference.decoder_graph import DecoderGraphs, decoder_graphs, tensor_shapes
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.preprocessing import Frame
from segwidget.widget import threads
from segwidget.widget.binding import SessionWidget, Start

STATIC = Path(__file__).parents[1] / "static" / "decode"
#: Bytes of a piece: messages between kernel and page should stay small.
PIECE = 1 << 20
#: What a widget holds, as a page may still be asking for it: an image's and a region's, say.
MAX_BUNDLES = 2

_log = logging.getLogger(__name__)


class Part(NamedTuple):
    """Bytes that a page asks for.

    Attributes:
        data: as they travel.
        unpacked: how many bytes they are when they are unpacked.
        encoding: ``"gzip"`` or ``"none"``.
        key: SHA-256 of ``data``, in hex.
    """

    data: bytes
    unpacked: int
    encoding: str
    key: str

    @classmethod
    def packed(cls, data: bytes) -> Part:
        """A part of bytes that gzip has compressed already."""
        size = int.from_bytes(data[-4:], "little")  # as every gzip file ends
        return cls(data, size, "gzip", hashlib.sha256(data).hexdigest())

    @classmethod
    def of(cls, data: bytes) -> Part:
        """A part of bytes, compressed where that makes them smaller."""
        packed = gzip.compress(data, 1, mtime=0)
        if len(packed) < len(data):
            return cls.packed(packed)
        return cls(data, len(data), "none", hashlib.sha256(data).hexdigest())

    @property
    def pieces(self) -> int:
        """How many pieces it travels in."""
        return max(1, -(-len(self.data) // PIECE))

    def piece(self, index: int) -> memoryview:
        """One of them."""
        return memoryview(self.data)[index * PIECE : (index + 1) * PIECE]

    def to_json(self) -> dict[str, Any]:
        """As ``PartTrait`` of ``js/src/host/traits.ts``."""
        size = len(self.data)
        return {
            "key": self.key,
            "bytes": size,
            "unpacked": self.unpacked,
            "encoding": self.encoding,
        }


class Bundle(NamedTuple):
    """All that a page needs to answer prompts about one image, or a region of it.

    Attributes:
        decoder: the value of the ``decoder`` trait, JSON.
        parts: by their keys.
    """

    decoder: dict[str, Any]
    parts: dict[str, Part]


class PartsWidget(SessionWidget):
    """A widget that lets its page answer prompts itself, once one has asked for it.

    Args:
        start: see :class:`Start`.
    """

    decoder = traitlets.Dict(
        allow_none=True,
        default_value=None,
        read_only=True,
        help="What a page needs to answer prompts itself; None where only the kernel can, "
        "and until a page asks.",
    ).tag(sync=True, echo_update=False)

    def __init__(self, start: Start) -> None:
        self._bundles: deque[Bundle] = deque(maxlen=MAX_BUNDLES)
        self._offers = 0  # counts them, so that one that is late is dropped
        self._asked = False  # some page would answer prompts itself
        super().__init__(start)

    def offer_decoder(self) -> None:
        """Some page would answer prompts itself: make what it needs, now and from now on.

        Whoever asks once more, as each view of a page that is loaded anew does, changes nothing.
        """
        with self._lock:
            if self._asked:
                return
            self._asked = True
            self._offer()

    def send_part(self, key: str, piece: int) -> None:
        """Send the page one piece of a part that ``decoder`` names.

        Args:
            key: of the part.
            piece: 0 the first. For what is not there the page is sent an ``error``.
        """
        answer: dict[str, Any] = {"op": "part", "key": key[:128], "piece": piece, "pieces": 0}
        part = next((b.parts[key] for b in self._bundles if key in b.parts), None)
        if part is None:
            self.send({**answer, "error": "This part is not here, or not any more."})
            return
        answer["pieces"] = part.pieces
        if not 0 <= piece < part.pieces:
            last = part.pieces - 1
            self.send({**answer, "error": f"There is no such piece; expected 0 to {last}."})
            return
        self.send(answer, buffers=[part.piece(piece)])

    def close(self) -> None:
        """End the widget."""
        if "_bundles" in self.__dict__:  # one that could not be made has none
            self._bundles.clear()
        super().close()

    @traitlets.observe("status", "model", "region")
    def _on_other_view(self, change: Any) -> None:
        """Something else is looked at, or by something else; or it is embedded by now."""
        self._offers += 1
        if change["name"] != "status":
            self._assign("decoder", None)
        self._offer()

    def _offer(self) -> None:
        """Collect the parts on a thread, if a page wants any, and name them when they are there."""
        if not self._asked or self._closed or (self.status or {}).get("state") != "ready":
            return
        offer, answerer = self._offers, self._answerer

        def work() -> None:
            made, error = None, None
            try:
                predictor, _ = answerer.look_inside()
                made = collect(predictor)
            except Exception as e:  # the kernel answers, as it does everywhere else
                error = e
            with self._lock:
                if offer != self._offers or self._closed:
                    return
                if error is not None:
                    _log.warning("The page cannot answer prompts itself.", exc_info=error)
                if made is not None and self._shows(made):
                    self._bundles.append(made)
                    self._assign("decoder", made.decoder)
                else:
                    self._assign("decoder", None)

        threads.begin(work, "segwidget-parts")

    def _shows(self, made: Bundle) -> bool:
        """Whether it is about what is looked at now."""
        region: Any = getattr(self, "region", None)
        box = (0, 0, self.image.width, self.image.height) if region is None else region
        same: bool = [*box] == made.decoder["frame"]["region"]
        return same


def bundle(seg: PartsWidget) -> Bundle:
    """All that a page needs to go on without a kernel; loads the model first if need be.

    Args:
        seg: whose present model, and image or region, it is about.

    Returns:
        ``bundle.decoder``, the value of the trait, and ``bundle.parts``, which names the bytes:
        ``bundle.parts[bundle.decoder["wasm"]["key"]].data``.

    Raises:
        ModelError: this model's prompts can only be answered by a kernel.
        ClosedError: after ``close``.
        SegwidgetError: the model cannot be loaded.
    """
    predictor, _ = seg._answerer.look_inside()
    made = collect(predictor)
    if made is None:
        raise ModelError(
            f"The model {predictor.model.name} cannot answer prompts in a page without a kernel. "
            "Use 'embedded' or a SAM checkpoint, and install the package onnx."
        )
    return made


def collect(predictor: Predictor) -> Bundle | None:
    """All that a page needs to answer prompts about a predictor's present image or region.

    Exporting a model's graphs takes seconds when it is done for the first time.

    Returns:
        ``None`` where the model, its embedding or this installation has not what it takes.

    Raises:
        PromptError: no image is set.
    """
    with predictor.lock:
        model, features, frame = predictor.model, predictor.features, predictor.frame
        region = predictor.region
    with _reading:
        program = _program()
        graphs = None if program is None else _graphs(model)
    if program is None or graphs is None:
        return None
    shapes = tensor_shapes(model.sam)
    embedding = _embedding([t for t in features[: len(shapes)] if t is not None])
    if embedding is None:
        return None
    names = ("script", "wasm", *DecoderGraphs._fields)
    parts = dict(zip(names, (*program, *graphs), strict=True))
    parts["embedding"] = embedding
    box = (0, 0, frame.width, frame.height) if region is None else region.box
    decoder: dict[str, Any] = {name: part.to_json() for name, part in parts.items()}
    decoder["tensors"] = [{"name": name, "shape": [*shape]} for name, shape in shapes]
    decoder["frame"] = frame_to_json(frame, box)
    return Bundle(decoder, {part.key: part for part in parts.values()})


def frame_to_json(frame: Frame, box: tuple[int, int, int, int]) -> dict[str, Any]:
    """As ``FrameTrait`` of ``js/src/host/traits.ts``.

    Args:
        frame: of what was embedded.
        box: where that lies in the image.
    """
    w, h = frame.resized
    return {
        "region": [*box],
        "input_scale": [w / frame.width, h / frame.height],
        "logits_size": frame.logits_size,
        "logits_shape": [*frame.logits_shape],
        "logits_scale": [*frame.logits_scale],
    }


# Program and graphs are read once, whoever asks meanwhile waits.
_reading = threading.Lock()


def _program() -> tuple[Part, Part] | None:
    """The worker's script and its wasm; ``None`` where the package lacks them."""
    try:
        paths = STATIC / "worker.js.gz", STATIC / "ort.wasm.gz"
        script, wasm = (_read(path, path.stat().st_mtime_ns) for path in paths)
    except OSError:
        return None
    return script, wasm


@lru_cache(maxsize=4)
def _read(path: Path, _changed: int) -> Part:
    return Part.packed(path.read_bytes())


# The newest embeddings that were packed, by the first of their tensors, which all widgets about the
# same image share: a cell that is run again has its parts at once.
_packed: deque[tuple[ref[Tensor], Part]] = deque(maxlen=4)
_packing = threading.Lock()


def _embedding(tensors: Sequence[Tensor]) -> Part | None:
    """An image's embedding as float16; ``None`` where it is beyond what that can hold."""
    with _packing:
        for first, part in _packed:
            if first() is tensors[0]:
                return part
        halves = [t.detach().cpu().half() for t in tensors]
        if not all(bool(t.isfinite().all()) for t in halves):
            return None
        part = Part.of(b"".join(t.numpy().astype("<f2").tobytes() for t in halves))
        _packed.append((ref(tensors[0]), part))
        return part


# Shared by all widgets with the same model.
_graphs_of: WeakKeyDictionary[Model, tuple[Part, ...]] = WeakKeyDictionary()


def _graphs(model: Model) -> tuple[Part, ...] | None:
    """A model's graphs; ``None`` where it has none."""
    parts = _graphs_of.get(model)
    if parts is None:
        graphs = decoder_graphs(model)
        if graphs is None:
            return None
        parts = _graphs_of[model] = tuple(Part.packed(graph) for graph in graphs)
    return parts
