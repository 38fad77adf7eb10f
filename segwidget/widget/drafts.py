"""Drafts that a page has answered by itself, to be kept all the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.history import Draft
from segwidget.errors import AnnotationError, PromptError
from segwidget.widget.answerer import Answer
from segwidget.widget.binding import SessionWidget

_ID = re.compile(r"[0-9a-f]{32}")

# Nobody takes longer over one mask; a page's clock may have been set meanwhile.
MAX_SECONDS = 86_400.0


class DraftsWidget(SessionWidget):
    """Keeps what a page has drafted and answered while the kernel was at something else."""

    def keep_draft(
        self,
        id: str,  # noqa: A002 - as the message calls it
        prompts: Sequence[Any],
        picks: Sequence[int],
        picked: int,
        label: str,
        threshold: float = 0.0,
        seconds: float = 0.0,
    ) -> Annotation:
        """Answer prompts again and keep the picked candidate, whatever is drafted now.

        The page shows its own answer; what is kept is the kernel's. Asked twice with one id, as a
        page may that has lost its connection, it keeps once.

        Args:
            id: of the annotation, 32 hexadecimal digits.
            prompts: in the order in which they were given, as values or dictionaries.
            picks: for each prompt but the last, the candidate that was picked when the next came.
            picked: the candidate to keep, 0 the first.
            label: what it shows.
            threshold: logits above it are the mask.
            seconds: from the first prompt until it was kept.

        Returns:
            What was kept.

        Raises:
            PromptError: the prompts are impossible.
            AnnotationError: an id of another form, or an empty mask.
            LabelError: no such label.
        """
        with self._lock:
            self._require_open()
            if not _ID.fullmatch(id):
                raise AnnotationError(
                    f"The id of a draft is {id[:40]!r}; expected 32 hexadecimal digits."
                )
            for annotation in self._session.annotations:
                if annotation.id == id:
                    return annotation
            self._session.labels.color_of(label)
            checked = self.traits()["prompts"].validate(self, list(prompts))
            if not checked:
                raise PromptError("There is no prompt in what was to be kept. Click again.")
            draft = Draft(
                checked,
                _checked_picks(picks, len(checked) - 1),
                max(0, picked),
                self._session.region,
            )
            answer = self._answerer.answer(draft)
            kept = self._annotation_of(
                answer,
                draft.picked,
                label,
                threshold,
                id=id,
                seconds=round(min(max(float(seconds), 0.0), MAX_SECONDS), 3),
            )
            # An older state of the same draft may have come before; a newer draft stays.
            present = self._session.draft.prompts
            over = checked[: len(present)] == present
            if over:
                self._change(lambda: self._session.keep(kept, sparing=self.protect))
            else:
                self._change(lambda: self._session.keep_all((kept,), sparing=self.protect))
            return self._kept_as(kept)

    def _kept_as(self, annotation: Annotation) -> Annotation:
        """An annotation as it was kept, which may have left pixels to others."""
        return next((a for a in self._session.annotations if a.id == annotation.id), annotation)

    def _annotation_of(
        self, answer: Answer, picked: int, label: str, threshold: float, **fields: Any
    ) -> Annotation:
        """A candidate as an annotation, with all that led to it.

        Raises:
            AnnotationError: its mask is empty.
        """
        candidates = answer.candidates
        index = min(max(picked, 0), len(candidates) - 1)
        rle = candidates.rle(index, threshold)
        if rle.area == 0:
            raise AnnotationError(
                "The mask is empty; expected at least one pixel inside. Pick another candidate, or "
                "point at the thing again."
            )
        return Annotation.from_rle(
            rle,
            label=label,
            predicted_iou=float(np.nan_to_num(candidates.predicted_iou[index])),
            stability_score=float(candidates.stability_score[index]),
            prompts=answer.draft.prompts,
            picks=answer.draft.picks,
            picked=index,
            threshold=threshold,
            region=None if answer.draft.region is None else answer.draft.region.box,
            model=answer.model.name,
            checkpoint=answer.model.sha256,
            image=self.image.sha256,
            **fields,
        )


def _checked_picks(picks: Sequence[int], count: int) -> tuple[int, ...]:
    """Picks for all prompts but the last.

    Raises:
        PromptError: another number of them, or one that is no candidate.
    """
    numbers: tuple[Any, ...] = tuple(picks)
    whole = all(isinstance(p, int) and not isinstance(p, bool) and 0 <= p < 16 for p in numbers)
    if len(numbers) != count or not whole:
        raise PromptError(
            f"The picks of a draft are {numbers[:20]!r}; expected {count} whole numbers from 0, "
            "one for each prompt but the last."
        )
    return numbers
