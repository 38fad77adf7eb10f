"""The model behind a widget: loaded, fed the image, and asked, on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from segwidget.annotation.history import Draft
from segwidget.errors import ClosedError
from segwidget.inference.candidates import Candidates
from segwidget.inference.dialogue import Dialogue
from segwidget.inference.models import Model
from segwidget.inference.network import Precision, require_precision
from segwidget.inference.predictor import Predictor
from segwidget.inference.region import Region
from segwidget.inference.registry import find_checkpoint
from segwidget.media.image import Image
from segwidget.widget.worker import Worker


class Answer(NamedTuple):
    """What a draft was answered.

    Attributes:
        draft: the draft.
        candidates: the answer.
        ms: how long it took, in milliseconds.
        model: which model answered.
    """

    draft: Draft
    candidates: Candidates
    ms: float
    model: Model

    def answers(self, draft: Draft) -> bool:
        """Whether it is the answer to this draft, whatever is picked of it."""
        return self.draft.question == draft.question


class Computing(NamedTuple):
    """Where a model computes, and in which precision; see :class:`Predictor`."""

    device: str | None = None
    precision: Precision = "float32"


class _Opened(NamedTuple):
    """A model that has seen the image, or a region of it."""

    predictor: Predictor
    dialogue: Dialogue


class Answerer:
    """Answers drafts about one image.

    Its callbacks run on whichever thread does the work, while no lock of its own is held.

    Args:
        image: what the drafts are about.
        model: see :class:`Predictor`.
        computing: where, and in which precision.
        on_status: told what goes on, as the ``status`` trait says it.
        on_error: told what went wrong, and with which request.

    Raises:
        ModelError: no such model or precision.
    """

    def __init__(
        self,
        image: Image,
        model: str | Path,
        computing: Computing,
        on_status: Callable[[dict[str, Any]], None],
        on_error: Callable[[Exception, str], None],
    ) -> None:
        self.model_name, _ = find_checkpoint(model)
        require_precision(computing.precision)
        self._image, self._model, self._computing = image, model, computing
        self._on_status, self._on_error = on_status, on_error
        self._loading = threading.Lock()  # held while the model is loaded, which may take long
        self._state = threading.Lock()  # of what follows, held for moments only
        self._opened: _Opened | None = None
        self._region: Region | None = None  # what is looked at
        self._focused: _Opened | None = None  # the newest region that was asked about
        self._before: Answerer | None = None
        self._closed = False
        self._worker = Worker(lambda e: on_error(e, ""))

    def start(self, before: Answerer | None = None) -> None:
        """Load the model and embed the image, on the thread.

        Args:
            before: one that has ended. It is closed as soon as this one is ready, so that both
                can use the same model and the same embedding.
        """
        self._before = before
        self._worker.submit(self._open)

    @property
    def device(self) -> str:
        """Where the model runs; empty until it is loaded."""
        opened = self._opened
        return "" if opened is None else opened.predictor.model.device

    def load(self) -> None:
        """Load the model and embed the image at once, on the caller's thread.

        Raises:
            ClosedError: after ``close``.
            SegwidgetError: the model cannot be loaded.
        """
        self._ready()

    def loaded_model(self) -> Model:
        """The model, for work beside the answers; loads it first if need be.

        Raises:
            ClosedError: after ``close``.
            SegwidgetError: the model cannot be loaded.
        """
        return self._ready().predictor.model

    def focus(self, region: Region | None) -> None:
        """Look at a region from now on, or at all of the image; embed it on the thread."""
        if region == self._region:
            return
        self._region = region
        if region is not None:
            self._worker.submit(self._open)
        elif self._focused is not None:
            self._focused.predictor.reset_image()  # its embedding may be found again

    def look_inside(self) -> tuple[Predictor, Dialogue]:
        """What answers now, to be looked at: about the present region, or all of the image.

        Loads the model, or embeds the region, first if need be.

        Raises:
            ClosedError: after ``close``.
            SegwidgetError: the model cannot be loaded.
        """
        # Without a word: whoever looks inside does so because of what is told.
        opened = self._ready(self._region, tell=False)
        return opened.predictor, opened.dialogue

    def answer(self, draft: Draft) -> Answer:
        """Answer at once, on the caller's thread; loads the model first if need be.

        Raises:
            ClosedError: after ``close``.
            SegwidgetError: the model cannot be loaded, or the prompts are impossible.
        """
        while True:
            predictor, dialogue = self._ready(draft.region)
            with predictor.lock:
                if predictor.image is None:  # another region has taken its place meanwhile
                    continue
                began = time.perf_counter()
                candidates = dialogue.answer(draft.prompts, draft.picks)
                ms = 1000 * (time.perf_counter() - began)
            return Answer(draft, candidates, ms, predictor.model)

    def ask(self, draft: Draft, request: str, deliver: Callable[[Answer], None]) -> None:
        """Answer soon, on the thread, unless a newer draft comes before its turn."""

        def job() -> None:
            try:
                deliver(self.answer(draft))
            except Exception as e:
                self._fail(e, request)

        self._worker.submit(job)

    def drop(self) -> None:
        """Forget a draft that still waits; loading goes on, and so does embedding a region."""
        if self._opened is not None and self._look_at(self._region) is not None:
            self._worker.drop()
        elif self._opened is not None:
            self._worker.submit(self._open)

    def wait(self, timeout: float | None) -> bool:
        """Wait until nothing is left to do; ``False`` when ``timeout`` seconds pass."""
        return self._worker.wait(timeout)

    def end(self) -> None:
        """Answer no more, but hold on to the embedding until ``close``."""
        self._closed = True
        self._worker.close()

    def close(self) -> None:
        """Answer no more and free the embedding, unless somebody else uses it too.

        Does not wait: a model that is being loaded is let go of when it is there.
        """
        self.end()
        with self._state:
            opened = [one for one in (self._opened, self._focused) if one is not None]
            self._opened = self._focused = None
            before, self._before = self._before, None
        for one in opened:
            one.predictor.reset_image(forget=True)
        if before is not None:
            before.close()

    def _open(self) -> None:
        try:
            self._ready(self._region)
        except Exception as e:
            self._fail(e, "")

    def _ready(self, region: Region | None = None, *, tell: bool = True) -> _Opened:
        """The model with the image or a region; made by the first who asks, on any thread."""
        whole = self._opened or self._ready_for_all()
        if region is None:
            return whole  # as it was found: closed since, it must not be embedded again
        opened = self._look_at(region)
        if opened is not None:
            return opened
        model = whole.predictor.model
        if tell:
            self._tell("embedding", "Looking closer …", model.device)
        try:
            with self._loading:
                return self._look_at(region) or self._embed(model, region)
        finally:
            if tell:
                self._tell("ready", "", model.device)

    def _look_at(self, region: Region | None) -> _Opened | None:
        """The model with the image or a region, if it is there already."""
        if region is None:
            return self._opened
        focused = self._focused
        same = focused is not None and focused.predictor.region == region
        return focused if same else None

    def _embed(self, model: Model, region: Region) -> _Opened:
        predictor = Predictor(model)
        predictor.set_image(self._image, region)
        opened = _Opened(predictor, Dialogue(predictor))
        with self._state:
            # After close nobody is to use it; it is let go of then and there.
            closed = self._closed
            old, self._focused = (opened, None) if closed else (self._focused, opened)
        if old is not None:
            old.predictor.reset_image(forget=closed)
        self._require_open()
        return opened

    def _ready_for_all(self) -> _Opened:
        """The model with all of the image."""
        try:
            with self._loading:
                opened = self._opened or self._load()
        except ClosedError:
            raise
        except Exception:
            self._tell("failed", f"{self.model_name} could not be loaded.")
            raise
        self._tell("ready", "", opened.predictor.model.device)
        return opened

    def _load(self) -> _Opened:
        self._require_open()
        try:
            predictor = Predictor(
                self._model, self._computing.device, precision=self._computing.precision
            )
            predictor.set_image(self._image)
        finally:
            with self._state:
                before, self._before = self._before, None
            if before is not None:
                before.close()
        opened = _Opened(predictor, Dialogue(predictor))
        with self._state:
            if not self._closed:
                self._opened = opened
                return opened
        predictor.reset_image(forget=True)
        self._require_open()
        return opened

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("This Segmenter is closed. Run its cell again, or make another one.")

    def _fail(self, error: Exception, request: str) -> None:
        if not self._closed:  # else another answers by now, or nobody is asked any more
            self._on_error(error, request)

    def _tell(self, state: str, message: str, device: str = "") -> None:
        if not self._closed:
            self._on_status(status(state, self.model_name, message, device))


def status(state: str, model: str, message: str = "", device: str = "") -> dict[str, Any]:
    """The value of the ``status`` trait."""
    return {"state": state, "model": model, "device": device, "message": message, "progress": None}
