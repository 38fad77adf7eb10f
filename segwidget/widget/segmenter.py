"""The widget: an image in a cell, clicks to a model, scored candidates to pick from and keep."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from segwidget.annotation import checks
from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.labels import LabelsLike
from segwidget.annotation.session import Session
from segwidget.annotation.store import Store
from segwidget.errors import AnnotationError
from segwidget.inference.network import Precision
from segwidget.media.image import ImageSource, open_image
from segwidget.widget.answerer import Answer, Computing
from segwidget.widget.attributes import AttributesWidget
from segwidget.widget.binding import Start
from segwidget.widget.boxes import BoxesWidget
from segwidget.widget.cells import CellRun, Places, current_cell_run
from segwidget.widget.editing import EditingWidget
from segwidget.widget.focus import FocusWidget
from segwidget.widget.html import HtmlWidget
from segwidget.widget.insights import InsightsWidget
from segwidget.widget.latency import LatencyWidget
from segwidget.widget.levels import LevelsWidget
from segwidget.widget.look import LookWidget
from segwidget.widget.model_menu import ModelWidget
from segwidget.widget.parts import PartsWidget
from segwidget.widget.saving import Saving, changed_pixels
from segwidget.widget.selecting import SelectingWidget
from segwidget.widget.still import StillWidget
from segwidget.widget.tiles import TilesWidget
from segwidget.widget.truth import TruthWidget
from segwidget.widget.truth_source import truth_of

STATIC = Path(__file__).parents[1] / "static"


class Segmenter(
    TruthWidget,
    StillWidget,
    HtmlWidget,
    TilesWidget,
    PartsWidget,
    BoxesWidget,
    InsightsWidget,
    LatencyWidget,
    LookWidget,
    AttributesWidget,
    SelectingWidget,
    EditingWidget,
    FocusWidget,
    LevelsWidget,
    ModelWidget,
):
    """A promptable segmentation model in a notebook cell.

        seg = Segmenter("street.jpg", labels=["car", "person"])
        seg                                    # click; 1 / 2 / 3 picks a candidate; Enter keeps it
        seg.everything()                       # proposes masks for all there is
        seg.annotations.to_dataframe()
        seg.annotations.save("street.coco.json")

    What the cell shows is in the traits of :class:`SegmenterTraits`, and setting one moves the
    picture; ``observe`` them as with any widget. Running the cell again takes the work of its last
    run over, unless it is given annotations to go on with.

    Args:
        image: whatever :func:`segwidget.open_image` opens.
        labels: names, names with colors, or labels to choose from; by default ``"object"``.
        model: ``"embedded"``, the name of a published checkpoint, or a checkpoint's path.
        device: ``"cpu"``, ``"cuda"``, …; by default a GPU where there is one.
        precision: ``"float32"``, or one that is nearly the same and sooner; see :class:`Predictor`.
        annotations: what was kept before, to be gone on with.
        height: of the picture in the cell, in CSS pixels.
        keys: keys for verbs instead of their usual ones, such as ``{"keep": ["q"]}``; ``?`` in the
            picture shows all verbs, ``segwidget.widget.look.VERBS`` their names.
        store: where the work is saved, a :class:`Store` or the path of its file: each step is on
            the disk before the cell shows it, and one that cannot be saved is taken back. What the
            store has of the image, and its labels, are there from the start.
        key: of the image in the store; by default its name.
        truth: the masks as they should be, to be compared with each answer; whatever can be set as
            ``truth``.

    Raises:
        ImageError: the image cannot be opened.
        SettingError: keys that cannot be given.
        ModelError: no such model.
        LabelError: labels that cannot be used.
        AnnotationError: annotations or a truth of another image's size, or something else; or
            annotations and a store.
        StoreError: the store cannot be opened, read or written.
    """

    # Read anew for each widget. A path would have anywidget watch the files, and what watches them
    # would keep each widget and its image in memory for good.
    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        image: ImageSource,
        labels: LabelsLike = None,
        model: str | Path = "embedded",
        *,
        device: str | None = None,
        precision: Precision = "float32",
        annotations: Iterable[Annotation] | None = None,
        height: int = 540,
        keys: Mapping[str, str | Iterable[str]] | None = None,
        store: Store | str | Path | None = None,
        key: str | None = None,
        truth: Any = None,
    ) -> None:
        self.keymap = keys
        opened = open_image(image)
        truth = None if truth is None else truth_of(truth, opened)
        given = () if annotations is None else checks.listed("list", annotations)
        saving = None
        if store is not None:
            if annotations is not None:
                raise AnnotationError(
                    "A Segmenter is given annotations and a store, which has annotations of its "
                    "own; expected either. Set seg.annotations afterwards to replace the store's."
                )
            saving = Saving(store, key, opened, labels)
            given, labels = saving.annotations, saving.labels
        try:
            session = Session(labels, given)
            Annotations(session.annotations, ImageInfo.of(opened))  # refuses those of another size
            self._kept: dict[str, Annotation] = {}  # the newest, by its request
            self.made_in: CellRun | None = current_cell_run()
            computing = Computing(device, precision)
            super().__init__(Start(opened, session, model, computing, height, saving))
            self.truth = truth
        except BaseException:
            if saving is not None:
                saving.close()
            raise
        if saving is not None and saving.other_pixels:
            self._report(changed_pixels(saving.key))
        old = _places.take(self, opened.sha256)
        if old is None:
            self._answerer.start()
            return
        go_on = annotations is None and not old._closed and self._saves_as(old)
        old._end()
        self._answerer.start(before=old._answerer)  # the same model and embedding, mostly
        if go_on:
            self._go_on_from(old, add_labels=labels is not None)

    @traitlets.default("_esm")
    def _read_esm(self) -> str:
        return _read_static("widget.js")

    @traitlets.default("_css")
    def _read_css(self) -> str:
        return _read_static("widget.css")

    # What Python asks.

    @property
    def masks(self) -> NDArray[np.bool_]:
        """The kept masks, ``(N, H, W)`` bool, the frontmost last."""
        masks: NDArray[np.bool_] = self.annotations.masks
        return masks

    def pick(self, index: int) -> None:
        """Pick a candidate, 0 the first."""
        self.picked = index

    def keep(self, label: str | None = None, *, threshold: float = 0.0) -> Annotation:
        """Keep the picked candidate.

        Args:
            label: what it shows; by default the current label.
            threshold: logits above it are the mask; a stricter one is higher than the model's 0.

        Raises:
            AnnotationError: there is no draft, or its mask is empty.
            LabelError: no such label.
        """
        with self._lock:
            self._require_open()
            draft = self._session.draft
            if not draft.prompts:
                raise AnnotationError("There is nothing to keep. Click, or set prompts, first.")
            return self._keep(self._answerer.answer(draft), draft.picked, label, threshold)

    def keep_shown(self, request: str, picked: int, threshold: float | None = None) -> Annotation:
        """Keep what a page shows: the answer to ``request``, whatever was asked since.

        Raises:
            AnnotationError: that answer is gone, or its mask is empty.
        """
        with self._lock:
            self._require_open()
            kept = self._kept.get(request)
            if kept is not None and kept.id in {a.id for a in self._session.annotations}:
                return kept  # Enter was pressed twice
            if request not in self._shown:
                raise AnnotationError(
                    "That answer is no longer here, so nothing was kept. Click the thing again."
                )
            annotation = self._keep(self._shown[request], picked, None, threshold or 0.0)
            self._kept = {request: annotation}
            return annotation

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
                self._assign("notice", None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing is left to do: loading, answering the newest prompts, everything mode.

        A download goes on meanwhile; its end is in ``download``.

        Args:
            timeout: seconds; ``None`` waits as long as it takes.

        Returns:
            ``False`` when the time is up. Whether it went well is in ``status`` and ``notice``.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if not self._wait_for_answers(timeout):
            return False
        return self._wait_for_run(None if end is None else max(0.0, end - time.monotonic()))

    def close(self) -> None:
        """End the widget and free the embedding; what was kept can still be read."""
        if "_answerer" in self.__dict__:
            self._end()
            self._answerer.close()
        super().close()

    def _keep(self, answer: Answer, picked: int, label: str | None, threshold: float) -> Annotation:
        replaced = {a.id for a in self._session.annotations} & {answer.draft.replaces}
        annotation = self._annotation_of(
            answer,
            picked,
            self._session.label if label is None else label,
            threshold,
            seconds=round(time.monotonic() - (self._began or time.monotonic()), 3),
            **({"id": answer.draft.replaces} if replaced else {}),
        )
        self._change(
            lambda: self._session.keep(annotation, replacing=bool(replaced), sparing=self.protect)
        )
        return self._kept_as(annotation)

    def _annotation_of(
        self, answer: Answer, picked: int, label: str, threshold: float, **fields: Any
    ) -> Annotation:
        if self._saving is not None and self._saving.store.author:
            fields = {"author": self._saving.store.author, **fields}
        return super()._annotation_of(answer, picked, label, threshold, **fields)

    def _saves_as(self, old: Segmenter) -> bool:
        """Whether what another Segmenter has done is what is saved here, or nothing is saved."""
        saving = self._saving
        if saving is None:
            return old._saving is None
        return saving.same_place(old._saving) and old._session.annotations == saving.annotations

    def _go_on_from(self, old: Segmenter, *, add_labels: bool) -> None:
        """Go on with another Segmenter's work on the same image."""
        with old._lock:
            given = self._session.labels if add_labels else ()
            self._session.adopt(old._session)
            self._began = old._began
            self._go_on_with_proposals(old)
            self.level, self.protect = old.level, old.protect
            self.appearance = old.appearance
        self._session.add_labels(given)
        if self._session.draft.prompts:
            self._ask(self._next_request())
        else:
            self._publish()

    def _end(self) -> None:
        """Be closed, but leave the embedding to whoever comes next."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._answerer.end()
            self._end_models()
            self._end_run_for_good()
            self._shown.clear()
            if self._saving is not None:
                self._saving.close()
            layout = self.layout
            super().close()
            layout.close()  # a widget of its own, which nobody else closes


def _read_static(name: str) -> str:
    try:
        return (STATIC / name).read_text("utf-8")
    except OSError as e:
        raise FileNotFoundError(
            f"The front end, {name}, is not there. Install segwidget again; in a clone of the "
            "repository, run 'make setup'."
        ) from e


# What each cell has made.
_places: Places[Segmenter] = Places()
