"""Keeps a session, the traits that show it, and the model's answers to its draft in step."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import traitlets

from segwidget.annotation.annotation import Annotations, ImageInfo
from segwidget.annotation.session import Session
from segwidget.errors import AnnotationError, ClosedError
from segwidget.inference.predictor import MAX_CANDIDATES
from segwidget.media.image import Image
from segwidget.widget import protocol
from segwidget.widget.answerer import Answer, Answerer, Computing, status
from segwidget.widget.intents import perform
from segwidget.widget.saving import Saving
from segwidget.widget.traits import SegmenterTraits

# What a page may write; all other traits are the kernel's.
PAGE_WRITES = ("prompts", "request", "picked", "label", "appearance", "level", "protect")

# Answers that a page may still show, and so may still ask to keep.
MAX_SHOWN = 16


class Start(NamedTuple):
    """What a widget starts with.

    Attributes:
        image: the image.
        session: the work on it.
        model: see :class:`Predictor`.
        computing: where, and in which precision.
        height: of the picture in the cell, in CSS pixels.
        saving: where the work is saved; None for nowhere.
    """

    image: Image
    session: Session
    model: str | Path
    computing: Computing
    height: int
    saving: Saving | None = None


class SessionWidget(SegmenterTraits):
    """The widget without its verbs: whatever changes, by Python, a page or undo, goes one way.

    A step is done in the session; then it is saved, where there is a store; then the traits are set
    to what the session holds; then the model is asked where the draft has changed, at once for
    Python, on the worker's thread for a page.

    Args:
        start: see :class:`Start`.

    Raises:
        ModelError: no such model.
    """

    def __init__(self, start: Start) -> None:
        image, self._session, self._saving = start.image, start.session, start.saving
        self._lock = threading.RLock()  # of session and traits
        self._answerer = Answerer(
            image, start.model, start.computing, self._set_status, self._report
        )
        self._shown: dict[str, Answer] = {}  # by request, the newest last
        self._answered = ""  # the request that the present candidates answer
        self._began: float | None = None  # when the draft was
        self._requests = itertools.count(1)
        self._from_page = self._closed = False
        # What a page has set and the session has not yet, and the request before it.
        self._message: tuple[Mapping[str, Any], str] | None = None
        self._image_json: dict[str, Any] | None = None
        self.set_trait("image", image)
        self.set_trait(
            "status", status("loading", self._answerer.model_name, "Loading the model …")
        )
        self._publish()
        super().__init__(height=start.height)
        self.on_msg(self._on_message)

    def __setattr__(self, name: str, value: Any) -> None:
        # Traits are not safe for threads: one thread holding notifications back holds another's
        # too. So whoever sets one takes turns with pages and with the model's answers. What is no
        # trait has locks of its own, and must not wait for this one while it holds them.
        lock = self.__dict__.get("_lock")
        if lock is None or not self.has_trait(name):
            super().__setattr__(name, value)
        else:
            with lock:
                super().__setattr__(name, value)

    # Traits that Python or a page sets.

    @traitlets.observe("prompts", "picked", "labels", "label", "annotations")
    def _on_trait(self, change: Any) -> None:
        """Do in the session what was done to a trait; nothing where the session did it itself."""
        if self._message is not None:
            self._take_message()
            return
        session, name, value = self._session, change["name"], getattr(self, change["name"])
        steps: dict[str, tuple[Any, Callable[[Any], None]]] = {
            "prompts": (session.draft.prompts, session.set_prompts),
            "picked": (session.draft.picked, self._pick),
            "labels": (session.labels, session.set_labels),
            "label": (session.label, session.set_label),
            "annotations": (session.annotations, session.set_annotations),
        }
        held, step = steps[name]
        if (value.items if name == "annotations" else value) != held:
            self._change(lambda: step(value))
        elif name == "annotations" and value.labels != session.labels:
            self._publish()

    def _handle_msg(self, msg: Any) -> None:
        """Hear a page's message; of one that makes no sense, ipywidgets would show a traceback."""
        data = msg["content"]["data"]
        method = data.get("method") if isinstance(data, Mapping) else None
        if method == "update":
            self.set_state(data.get("state"))  # no trait that a page writes travels in buffers
        elif method in ("custom", "request_state"):
            super()._handle_msg(msg)

    def set_state(self, sync_data: Any) -> None:
        """Take over what a page has set, all of it or nothing; what is refused becomes a notice."""
        sent = sync_data if isinstance(sync_data, Mapping) else {}
        mine = {name: value for name, value in sent.items() if name in PAGE_WRITES}
        if not mine:
            return
        with self._lock:
            try:
                self._require_open()
                for name, value in mine.items():
                    checked = self.traits()[name].validate(self, value)
                    if name == "label":
                        self._session.labels.color_of(checked)
                self._message = mine, self.request
                try:
                    super().set_state(mine)
                finally:  # where no trait has changed, or somebody's observer failed before ours
                    self._take_message()
            except Exception as e:
                request = mine.get("request")
                self._report(e, request if isinstance(request, str) else "")
                self.send_state(list(PAGE_WRITES))  # the page shows what holds

    def _take_message(self) -> None:
        """Do in the session what a page has set, in the page's order."""
        if self._message is None:
            return
        (message, request), self._message = self._message, None
        prompts = self.prompts

        def step() -> None:
            for name in message:
                if name == "label":
                    self._session.set_label(message["label"])
                elif name == "prompts":
                    self._session.set_prompts(prompts)
                elif name == "picked":
                    self._pick(message["picked"])

        self._from_page = True
        try:
            self._change(step, message.get("request"))
        except Exception:
            self._publish(request)
            raise

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        with self._lock:
            self._from_page = True
            try:
                perform(self, content)
            except Exception as e:
                request = content.get("request") if isinstance(content, Mapping) else None
                self._report(e, request if isinstance(request, str) else "")
            finally:
                self._from_page = False

    # From session to traits, and from draft to candidates.

    def _change(self, step: Callable[[], Any], request: str | None = None) -> None:
        """Do a step of the session and show what came of it; what is refused changes nothing.

        Args:
            step: what to do.
            request: the name that a page has given to its prompts, and waits for.
        """
        with self._lock:
            # Whatever an observer does in turn is Python's, not the page's.
            from_page, self._from_page = self._from_page, False
            before = Session()
            before.adopt(self._session)
            answer = None
            try:
                self._require_open()
                step()
                draft = self._session.draft
                asked_anew = draft.question != before.draft.question
                if asked_anew and draft.prompts and not from_page:
                    # Whoever sets prompts in Python reads the candidates in the next line.
                    answer = self._answerer.answer(draft)
                if self._saving is not None:
                    self._saving.save(self._session, before)
            except Exception:
                self._session.adopt(before)
                self._publish()
                raise
            if answer is not None:
                self._publish(self._next_request(), answer)
            elif draft.prompts and (asked_anew or request is not None):
                self._ask(self._next_request() if request is None else request)
            else:
                self._publish()

    def _pick(self, index: int) -> None:
        count = MAX_CANDIDATES if self.candidates is None else len(self.candidates)
        if index >= count and self._session.draft.prompts:
            raise AnnotationError(f"There is no candidate {index}; expected 0 to {count - 1}.")
        self._session.pick(index)

    def _ask(self, request: str) -> None:
        """Have the draft answered soon; the answer is shown if it is still wanted then."""
        draft = self._session.draft

        def deliver(answer: Answer) -> None:
            with self._lock:
                self._show(answer, request)

        self._publish(request)
        if self.request == request:  # and no observer has asked for something else
            self._answerer.ask(draft, request, deliver)

    def _publish(self, request: str | None = None, answer: Answer | None = None) -> None:
        """Set the traits to what the session holds, in one message.

        The session is read anew for each, for an observer of one may have changed it.
        """
        session = self._session
        with self._lock, self.hold_sync():
            if request is not None:
                self._assign("request", request)
            self._assign("labels", session.labels)
            self._assign("label", session.label)
            if not session.draft.prompts:
                self._began = None
                self._answerer.drop()
            elif self._began is None:
                self._began = time.monotonic()
            self._assign("prompts", session.draft.prompts)
            if not session.draft.prompts:
                self._assign("candidates", None)
            elif answer is not None and request is not None:
                self._show(answer, request)
            self._assign("picked", session.draft.picked)
            kept = self.annotations if self.trait_has_value("annotations") else None
            if kept is None or (kept.items, kept.labels) != (session.annotations, session.labels):
                info = ImageInfo.of(self.image)
                self._assign("annotations", Annotations(session.annotations, info, session.labels))
            self._assign("history", {"undo": session.undo_name, "redo": session.redo_name})

    def _show(self, answer: Answer, request: str) -> None:
        """Show an answer, if it is the one that is waited for."""
        if self._closed or request != self.request or not answer.answers(self._session.draft):
            return
        self._shown.pop(request, None)
        self._shown[request] = answer
        while len(self._shown) > MAX_SHOWN:
            self._shown.pop(next(iter(self._shown)))
        self._answered = request
        if self.candidates is answer.candidates:  # found again by undo: only its request is new
            self.send_state("candidates")
        self._assign("candidates", answer.candidates)

    # Small things.

    @property
    def image_json(self) -> dict[str, Any]:
        """The ``image`` trait as it travels; made once, for encoding the preview takes a while."""
        if self._image_json is None:
            self._image_json = protocol.image_to_json(self.image)
        return self._image_json

    @property
    def candidates_json(self) -> dict[str, Any] | None:
        """The ``candidates`` trait as it travels."""
        answer = self._shown.get(self._answered)
        if self.candidates is None or answer is None:
            return None
        return protocol.candidates_to_json(answer.candidates, self._answered, answer.ms)

    def _next_request(self) -> str:
        return f"kernel-{next(self._requests)}"

    def _assign(self, name: str, value: Any) -> None:
        """Set a trait. What its observers raise is shown, and stops nothing."""
        try:
            self.set_trait(name, value)
        except Exception as e:
            if name != "notice":
                self._report(e)

    def _set_status(self, value: dict[str, Any]) -> None:
        with self._lock:
            self._assign("status", value)

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("This Segmenter is closed. Run its cell again, or make another one.")

    def _report(self, error: Exception, request: str = "") -> None:
        """Show an error to the person; the session is untouched."""
        with self._lock:
            if not self._closed:
                self._assign("notice", protocol.notice_to_json(error, request))
