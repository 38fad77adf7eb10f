"""Work on what is kept, by hand: brush, eraser, tidying, combining, order, and starting from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.editing import Combination, painted, tidied
from segwidget.annotation.session import Place
from segwidget.errors import AnnotationError
from segwidget.inference.prompts import MaskPrompt, validate_prompts
from segwidget.inference.rle import Rle
from segwidget.widget.answerer import Answer
from segwidget.widget.binding import SessionWidget


class EditingWidget(SessionWidget):
    """A widget whose annotations can be edited; each edit is a step, and is told of in ``edits``.

    While ``protect`` is set, no edit takes pixels of other annotations.
    """

    def paint(
        self,
        id: str,  # noqa: A002 - as the message calls it
        points: Sequence[Any],
        radius: float,
        add: bool = True,
    ) -> Annotation:
        """Paint on an annotation's mask with a round brush, or erase from it.

        Args:
            id: of the annotation.
            points: (x, y) in pixels of the image, along the stroke; one alone is a dab.
            radius: of the brush, in pixels of the image.
            add: or erase.

        Returns:
            The annotation as it is now.

        Raises:
            AnnotationError: no such annotation, an impossible stroke, or nothing would be left.
        """
        with self._lock:
            rle = painted(self._found(id).rle, points, radius, add)
            return self._edit({id: rle}, "paint" if add else "erase")[0]

    def tidy(self, ids: Iterable[str] | str, holes: int = 0, islands: int = 0) -> list[Annotation]:
        """Fill small holes of annotations' masks, and drop small islands, in one step.

        Args:
            ids: of the annotations.
            holes: those of at most so many pixels are filled.
            islands: those of fewer pixels are dropped; the largest always stays.

        Returns:
            The annotations as they are now.

        Raises:
            AnnotationError: no such annotation, or a number below 0.
        """
        with self._lock:
            chosen = [ids] if isinstance(ids, str) else list(ids)
            masks = {id_: tidied(self._found(id_).rle, holes, islands) for id_ in chosen}
            return self._edit(masks, "tidy")

    def combine(
        self,
        id: str,  # noqa: A002 - as the message calls it
        how: Combination,
        *,
        threshold: float = 0.0,
    ) -> Annotation:
        """Add the draft's picked candidate to an annotation's mask, or otherwise; the draft ends.

        Args:
            id: of the annotation.
            how: ``"add"``, ``"subtract"`` or ``"intersect"``.
            threshold: logits above it are the candidate's mask.

        Returns:
            The annotation as it is now.

        Raises:
            AnnotationError: no such annotation, no draft, or nothing would be left.
        """
        with self._lock:
            self._require_open()
            draft = self._session.draft
            if not draft.prompts:
                raise AnnotationError("There is no draft to combine. Click, or set prompts, first.")
            return self._combine(id, how, self._answerer.answer(draft), draft.picked, threshold)

    def combine_shown(
        self,
        id: str,  # noqa: A002 - as the message calls it
        how: Combination,
        request: str,
        picked: int,
        threshold: float | None = None,
    ) -> Annotation:
        """Combine what a page shows, the answer to ``request``, with an annotation's mask.

        Raises:
            AnnotationError: that answer is gone, or as :meth:`combine` says.
        """
        with self._lock:
            self._require_open()
            if request not in self._shown:
                raise AnnotationError(
                    "That answer is no longer here, so nothing was combined. Click the thing again."
                )
            return self._combine(id, how, self._shown[request], picked, threshold or 0.0)

    def reorder(self, ids: Iterable[str], to: Place) -> None:
        """Move annotations in the z-order, of which the front is the end of ``annotations``.

        Args:
            ids: of the annotations; among themselves they keep their order.
            to: ``"front"``, ``"back"``, or one place ``"forward"`` or ``"backward"``.

        Raises:
            AnnotationError: no such annotation, or another word.
        """
        self._change(lambda: self._session.reorder(ids, to))

    def start_from(self, mask: str | Annotation | Rle | NDArray[Any]) -> None:
        """Begin a draft with a mask of any origin, to refine it with points.

        Args:
            mask: ``(H, W)`` bool or an ``Rle``, from which a new annotation will come. Or an
                annotation, or its id: keeping the draft takes its place, and keeps its id; its
                label becomes the current one.

        Raises:
            AnnotationError: no such annotation.
            PromptError: an empty mask, one of another size, or one outside the region.
        """
        given: str | Rle
        if isinstance(mask, Annotation):
            here = mask.id in {a.id for a in self._session.annotations}
            given = mask.id if here else mask.rle
        else:
            given = mask if isinstance(mask, str) else MaskPrompt.of(mask).rle
        if isinstance(given, Rle):
            validate_prompts(MaskPrompt(given), self.image.width, self.image.height)
        self._change(lambda: self._session.start_from(given))

    def _combine(
        self, id_: str, how: Combination, answer: Answer, picked: int, threshold: float
    ) -> Annotation:
        index = min(max(picked, 0), len(answer.candidates) - 1)
        rle = answer.candidates.rle(index, threshold)
        self._change(lambda: self._session.combine(id_, how, rle, sparing=self.protect))
        return self._found(id_)

    def _edit(self, masks: dict[str, Rle], edit: str) -> list[Annotation]:
        self._change(lambda: self._session.edit(masks, edit, sparing=self.protect))
        return [self._found(id_) for id_ in masks]

    def _found(self, id_: str) -> Annotation:
        return self._session.find(id_)
