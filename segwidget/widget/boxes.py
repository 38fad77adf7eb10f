"""Boxes in a widget, of a detector or drawn, answered as proposals to be judged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.errors import ClosedError
from segwidget.inference.boxes import checked_boxes, propose_boxes
from segwidget.inference.everything import Proposal
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Box
from segwidget.inference.region import Region
from segwidget.widget import threads
from segwidget.widget.findings import Findings, proposal_id
from segwidget.widget.proposals import ProposalsWidget


class BoxesWidget(ProposalsWidget):
    """A widget that proposes the things in boxes, beside what everything mode has found.

    Boxes that come while others are answered wait for their turn, on one thread.
    """

    _waiting_boxes: tuple[tuple[Box, ...], ...] = ()
    _boxes_thread: threading.Thread | None = None

    def propose_boxes(self, boxes: Iterable[Box | Iterable[float]]) -> Annotations:
        """Propose the things in boxes, and wait for them; what was found before stays.

        Boxes within the region that is looked at closely are answered there; where one is not, all
        are answered on the whole image.

        Args:
            boxes: `Box` values, or (x0, y0, x1, y1) in pixels, such as the rows of an array.

        Returns:
            What is proposed, in the order of the boxes, under the current label, but for what
            duplicates something kept. Nothing is kept yet: :meth:`keep_proposals` takes any of
            them.

        Raises:
            PromptError: no boxes, too many, or one that is impossible or outside the image.
            SegwidgetError: the model cannot be loaded.
        """
        checked = checked_boxes(boxes, self.image.width, self.image.height)
        with self._lock:
            self._require_open()
            region = self._session.region
        found, model = self._ask_boxes(checked, region, lambda: self._closed or threads.ending())
        with self._lock:
            self._require_open()
            self._add(found, model)
            return self._as_annotations(found, model)

    def start_propose_boxes(self, boxes: Iterable[Box | Iterable[float]]) -> None:
        """Propose the things in boxes, without waiting for them; clicks are answered meanwhile.

        Raises:
            PromptError: no boxes, too many, or one that is impossible or outside the image.
        """
        checked = checked_boxes(boxes, self.image.width, self.image.height)
        with self._lock:
            self._require_open()
            self._waiting_boxes += (tuple(checked),)
            if self._boxes_thread is None:
                self._boxes_thread = threads.begin(self._answer_boxes, "segwidget-boxes")

    def _answer_boxes(self) -> None:
        """Answer all boxes that wait."""
        while True:
            with self._lock:
                waiting, self._waiting_boxes = self._waiting_boxes, ()
                if not waiting or self._closed:
                    self._boxes_thread = None
                    return
                region = self._session.region
            boxes = [box for some in waiting for box in some]
            try:
                found, model = self._ask_boxes(
                    boxes, region, lambda: self._closed or threads.ending()
                )
                with self._lock:
                    if not self._closed:
                        self._add(found, model)
            except ClosedError:
                continue
            except Exception as e:
                self._report(e)

    def _ask_boxes(
        self, boxes: list[Box], region: Region | None, cancelled: Callable[[], bool]
    ) -> tuple[tuple[Proposal, ...], Model]:
        """Ask the present model, by a predictor that nobody takes the embedding from."""
        model = self._loaded_model()
        predictor = Predictor(model)
        seen = region if region is not None and region.contains(boxes) else None
        predictor.set_image(self.image, seen)
        try:
            return propose_boxes(predictor, boxes, cancelled=cancelled), model
        finally:
            predictor.reset_image(forget=True)  # it stays where the widget still uses it

    def _add(self, found: tuple[Proposal, ...], model: Model) -> None:
        if self._findings.add(found, model) == 0:
            self._inform("nothing_found", "Nothing new was found in the box. Draw it closer.")
        self._assign_proposals()

    def _as_annotations(self, found: tuple[Proposal, ...], model: Model) -> Annotations:
        mine = Findings()
        mine.add(found, model)
        taken = mine.taken(self._session.annotations)
        label, image = self._session.label, self.image
        items: list[Annotation] = [
            mine.annotate(id_, label, image.sha256, id_)
            for id_ in map(proposal_id, mine.without(taken))
        ]
        return Annotations(items, ImageInfo.of(image), self._session.labels)

    def _wait_for_run(self, timeout: float | None) -> bool:
        with self._lock:
            thread = self._boxes_thread
        if thread is not None:
            thread.join(timeout)
            if thread.is_alive():
                return False
        return super()._wait_for_run(timeout)
