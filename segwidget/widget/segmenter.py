"""The widget: an image in a cell, clicks to a model, scored candidates to pick from and keep."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.labels import LabelsLike
from segwidget.annotation.session import Draft, Session
from segwidget.errors import AnnotationError, ClosedError, SegwidgetError
from segwidget.inference.candidates import Candidates
from segwidget.media.image import Image, ImageSource, open_image
from segwidget.widget import protocol
from segwidget.widget.answerer import Answer, Answerer, status
from segwidget.widget.cells import CellRun, current_cell_run
from segwidget.widget.intents import perform
from segwidget.widget.traits import AnnotationsTrait, LabelsTrait, PromptsTrait

STATIC = Path(__file__).parents[1] / "static"

# What a page may write; all other traits are the kernel's.
PAGE_WRITES = ("prompts", "request", "picked", "label")

# Answers that a page may still show, and so may still ask to keep.
MAX_SHOWN = 16


def _to_json(convert: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """A trait's serializer from a function of its value alone."""
    return lambda value, _widget: None if value is None else convert(value)


class Segmenter(anywidget.AnyWidget):
    """A promptable segmentation model in a notebook cell.

        seg = Segmenter("street.jpg", labels=["car", "person"])
        seg                                    # click; 1 / 2 / 3 picks a candidate; Enter keeps it
        seg.annotations.to_dataframe()
        seg.annotations.save("street.coco.json")

    What the cell shows is in the traits below, and setting one moves the picture; ``observe``
    them as with any widget. Running the cell again takes the work of its last run over.

    Args:
        image: whatever :func:`segwidget.open_image` opens.
        labels: names, names with colors, or labels to choose from; by default ``"object"``.
        model: ``"embedded"``, the name of a published checkpoint, or a checkpoint's path.
        device: ``"cpu"``, ``"cuda"``, …; by default a GPU where there is one.
        annotations: what was kept before, to be gone on with.
        height: of the picture in the cell, in CSS pixels.

    Raises:
        ImageError: the image cannot be opened.
        ModelError: no such model.
        LabelError: labels that cannot be used.
        AnnotationError: annotations of another image's size.
    """

    _esm = STATIC / "widget.js"
    _css = STATIC / "widget.css"

    image = traitlets.Instance(
        Image, help="The opened image. It cannot be replaced; make another Segmenter."
    ).tag(sync=True, echo_update=False, to_json=_to_json(protocol.image_to_json))

    prompts = PromptsTrait(help="The draft's prompts, a tuple of Point and Box.").tag(
        sync=True, to_json=_to_json(protocol.prompts_to_json), from_json=lambda value, _: value
    )

    request = traitlets.Unicode("", help="Names the newest prompts; an answer repeats it.").tag(
        sync=True
    )

    picked = traitlets.Int(0, min=0, help="Which candidate is picked, 0 the first.").tag(sync=True)

    candidates = traitlets.Instance(
        Candidates, allow_none=True, help="The answer to the draft; None where there is no draft."
    ).tag(
        sync=True,
        echo_update=False,
        to_json=lambda value, widget: widget._candidates_to_json(value),
    )

    labels = LabelsTrait(help="The labels to choose from, a LabelSet.").tag(
        sync=True, to_json=_to_json(protocol.labels_to_json)
    )

    label = traitlets.Unicode(help="The name of the label that the next mask gets.").tag(sync=True)

    annotations = AnnotationsTrait(help="What was kept, an Annotations.").tag(
        sync=True, echo_update=False, to_json=_to_json(protocol.annotations_to_json)
    )

    history = traitlets.Dict(help="Names of the steps that undo and redo would touch.").tag(
        sync=True
    )

    status = traitlets.Dict(help="What the kernel is doing, and with which model.").tag(sync=True)

    notice = traitlets.Dict(
        default_value=None, allow_none=True, help="A message to the person, until it is dismissed."
    ).tag(sync=True)

    height = traitlets.Int(480, min=120, help="Height of the picture in CSS pixels.").tag(sync=True)

    def __init__(
        self,
        image: ImageSource,
        labels: LabelsLike = None,
        model: str | Path = "embedded",
        *,
        device: str | None = None,
        annotations: Iterable[Annotation] | None = None,
        height: int = 480,
    ) -> None:
        opened = open_image(image)
        session = Session(labels, annotations or ())
        kept = Annotations(session.annotations, ImageInfo.of(opened), session.labels)
        self._lock = threading.RLock()  # of session and traits
        self._session = session
        self._answerer = Answerer(opened, model, device, self._set_status, self._report)
        self._shown: dict[str, Answer] = {}  # by request, the newest last
        self._began: float | None = None  # when the draft was
        self._requests = itertools.count(1)
        self._from_page = self._closed = False
        self._publishing = True  # the values below come from the session, not from a person
        self._run: CellRun | None = current_cell_run()
        super().__init__(
            image=opened,
            labels=session.labels,
            label=session.label,
            annotations=kept,
            height=height,
            history={"undo": None, "redo": None},
            status=status("loading", self._answerer.model_name, "Loading the model …"),
        )
        self._publishing = False
        self.on_msg(self._on_message)
        self._answerer.start()
        if annotations is None:
            self._take_over()

    # What Python asks.

    @property
    def masks(self) -> NDArray[np.bool_]:
        """The kept masks, ``(N, H, W)`` bool, oldest first."""
        masks: NDArray[np.bool_] = self.annotations.masks
        return masks

    def pick(self, index: int) -> None:
        """Pick a candidate, 0 the first."""
        self.picked = index

    def keep(self, label: str | None = None) -> Annotation:
        """Keep the picked candidate under a label, by default the current one.

        Raises:
            AnnotationError: there is no draft, or its mask is empty.
            LabelError: no such label.
        """
        with self._lock:
            self._require_open()
            draft = self._session.draft
            if not draft.prompts:
                raise AnnotationError("There is nothing to keep. Click, or set prompts, first.")
            return self._keep(self._answerer.answer(draft), draft.picked, label)

    def keep_shown(self, request: str, picked: int) -> Annotation:
        """Keep what a page shows: the answer to ``request``, whatever was asked since.

        Raises:
            AnnotationError: that answer is gone, or its mask is empty.
        """
        with self._lock:
            self._require_open()
            if request not in self._shown:
                raise AnnotationError(
                    "That answer is no longer here, so nothing was kept. Click the thing again."
                )
            return self._keep(self._shown[request], picked, None)

    def clear(self) -> None:
        """Drop the draft."""
        self._change(self._session.clear_draft)

    def undo(self) -> None:
        """Take the newest step back, whatever it was; nothing where there is none."""
        self._change(self._session.undo)

    def redo(self) -> None:
        """Do again what was taken back."""
        self._change(self._session.redo)

    def delete(self, ids: Iterable[str]) -> None:
        """Delete annotations by id."""
        self._change(lambda: self._session.delete(ids))

    def relabel(self, ids: Iterable[str], label: str) -> None:
        """Give annotations another label."""
        self._change(lambda: self._session.relabel(ids, label))

    def show(self, ids: Iterable[str], visible: bool = True) -> None:
        """Show or hide annotations."""
        self._change(lambda: self._session.show(ids, visible))

    def add_label(self, name: str, color: str | None = None) -> None:
        """Add a label and make it the current one."""
        self._change(lambda: self._session.add_label(name, color))

    def dismiss(self, notice_id: str) -> None:
        """Take a notice off the screen."""
        with self._lock:
            if (self.notice or {}).get("id") == notice_id:
                self.set_trait("notice", None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the model is ready and the newest prompts are answered.

        Args:
            timeout: seconds; ``None`` waits as long as it takes.

        Returns:
            Whether it is so; ``False`` when the time is up.
        """
        return self._answerer.wait(timeout)

    def close(self) -> None:
        """End the widget and free the embedding; what was kept can still be read."""
        if hasattr(self, "_answerer") and not self._closed:
            self._closed = True
            self._answerer.close()
            self._shown.clear()
        super().close()

    # Traits that Python or a page sets.

    @traitlets.observe("prompts", "picked", "labels", "label", "annotations")
    def _on_trait(self, change: Any) -> None:
        if self._publishing:
            return
        steps: dict[str, Callable[[Any], None]] = {
            "prompts": self._session.set_prompts,
            "picked": self._pick,
            "labels": self._session.set_labels,
            "label": self._session.set_label,
            "annotations": self._session.set_annotations,
        }
        try:
            self._change(lambda: steps[change["name"]](change["new"]))
        except SegwidgetError:
            self._publish()  # the traits say again what the session holds
            raise

    def _pick(self, index: int) -> None:
        count = len(self.candidates) if self.candidates is not None else 0
        if 0 < count <= index:
            raise AnnotationError(f"There is no candidate {index}; expected 0 to {count - 1}.")
        self._session.pick(index)

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Take over what a page has set; what is refused becomes a notice."""
        mine = {name: value for name, value in sync_data.items() if name in PAGE_WRITES}
        request = mine.get("request")
        with self._lock:
            self._from_page = True
            try:
                super().set_state(mine)
            except Exception as e:
                self._report(e, request if isinstance(request, str) else "")
                self.send_state(list(PAGE_WRITES))  # the page shows what holds
            finally:
                self._from_page = False

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        with self._lock:
            self._from_page = True
            try:
                perform(self, content)
            except Exception as e:
                self._report(e)
            finally:
                self._from_page = False

    # From session to traits, and from draft to candidates.

    def _change(self, step: Callable[[], Any]) -> None:
        """Do a step of the session and show what came of it."""
        with self._lock:
            self._require_open()
            before = self._session.draft
            step()
            draft = self._session.draft
            asked_anew = (draft.prompts, draft.picks) != (before.prompts, before.picks)
            if not (asked_anew and draft.prompts):
                self._publish()
            elif self._from_page:
                # A page that has named its prompts waits for an answer of that name.
                named = self.request and self.request not in self._shown
                self._ask(draft, self.request if named else self._next_request())
            else:
                # Whoever sets prompts in Python reads the candidates in the next line.
                self._publish(self._next_request())
                self._show(self._answerer.answer(draft), self.request)

    def _ask(self, draft: Draft, request: str) -> None:
        """Have the draft answered soon; the answer is shown if it is still wanted then."""

        def deliver(answer: Answer) -> None:
            with self._lock:
                now = self._session.draft
                wanted = (now.prompts, now.picks) == (draft.prompts, draft.picks)
                if wanted and not self._closed:
                    self._show(answer, request)

        self._publish(request)
        self._answerer.ask(draft, request, deliver)

    def _publish(self, request: str | None = None) -> None:
        """Set the traits to what the session holds."""
        session = self._session
        draft = session.draft
        if not draft.prompts:
            self._began = None
            self._answerer.drop()
        elif self._began is None:
            self._began = time.monotonic()
        with self._lock, self.hold_sync():
            self._publishing = True
            try:
                if request is not None:
                    self.request = request
                self.labels, self.label = session.labels, session.label
                self.prompts, self.picked = draft.prompts, draft.picked
                if session.annotations != self.annotations.items or (
                    session.labels != self.annotations.labels
                ):
                    self.annotations = Annotations(
                        session.annotations, ImageInfo.of(self.image), session.labels
                    )
                if not draft.prompts:
                    self.candidates = None
                self.history = {"undo": session.undo_name, "redo": session.redo_name}
            finally:
                self._publishing = False

    def _show(self, answer: Answer, request: str) -> None:
        self._shown.pop(request, None)
        self._shown[request] = answer
        while len(self._shown) > MAX_SHOWN:
            self._shown.pop(next(iter(self._shown)))
        if self.candidates is answer.candidates:  # found again by undo: only its request is new
            self.send_state("candidates")
        self.candidates = answer.candidates

    def _keep(self, answer: Answer, picked: int, label: str | None) -> Annotation:
        candidates = answer.candidates
        index = min(max(picked, 0), len(candidates) - 1)
        annotation = Annotation.from_mask(
            candidates.mask(index),
            label=self._session.label if label is None else label,
            predicted_iou=float(candidates.predicted_iou[index]),
            stability_score=float(candidates.stability_score[index]),
            prompts=answer.draft.prompts,
            picks=answer.draft.picks,
            picked=index,
            model=answer.model.name,
            checkpoint=answer.model.sha256,
            image=self.image.sha256,
            seconds=round(time.monotonic() - (self._began or time.monotonic()), 3),
        )
        self._change(lambda: self._session.keep(annotation))
        return annotation

    def _take_over(self) -> None:
        """Go on with the work of this cell's last run, if it was on the same image."""
        run = self._run
        if run is None:
            return
        key = run.cell, self.image.sha256
        old, _by_cell[key] = _by_cell.get(key), self
        if old is None or old._closed or old._run is None or old._run.run == run.run:
            return
        given = self._session.labels
        self._session.adopt(old._session)
        for label in given:
            if label.name not in self._session.labels.names:
                self._session.add_label(label.name, label.color, select=False)
        old.close()
        if self._session.draft.prompts:
            self._ask(self._session.draft, self._next_request())
        else:
            self._publish()

    # Small things.

    def _next_request(self) -> str:
        return f"kernel-{next(self._requests)}"

    def _candidates_to_json(self, candidates: Candidates | None) -> dict[str, Any] | None:
        if candidates is None:
            return None
        request, answer = next(reversed(self._shown.items()))
        return protocol.candidates_to_json(candidates, request, answer.ms)

    def _set_status(self, value: dict[str, Any]) -> None:
        with self._lock:
            self.status = value

    def _require_open(self) -> None:
        if self._closed:
            raise ClosedError("This Segmenter is closed. Run its cell again, or make another one.")

    def _report(self, error: Exception, request: str = "") -> None:
        """Show an error to the person; the session is untouched."""
        if self._closed:
            return
        known = isinstance(error, SegwidgetError)
        message = (
            str(error)
            if known
            else f"Something unexpected went wrong ({type(error).__name__}: {error}). "
            "What was kept is safe; try again, or run the cell again."
        )
        self.notice = {
            "id": uuid.uuid4().hex,
            "level": "error",
            "code": type(error).__name__,
            "message": message,
            "request": request,
        }


# The newest Segmenter of each cell and image.
_by_cell: WeakValueDictionary[tuple[str, str], Segmenter] = WeakValueDictionary()
