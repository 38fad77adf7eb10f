"""Which of a click's masks a person wants: the whole thing, a part, or a part of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation
from segwidget.inference.candidates import Candidates
from segwidget.inference.prompts import Point, Prompt
from segwidget.widget.answerer import Answer
from segwidget.widget.drafts import DraftsWidget

#: By size, the largest first.
LEVELS = ("whole", "part", "subpart")


def is_ambiguous(prompts: Sequence[Prompt]) -> bool:
    """Whether prompts are a single click on a thing, whose masks differ in what the thing is."""
    return len(prompts) == 1 and isinstance(prompts[0], Point) and prompts[0].label == 1


def by_size(candidates: Candidates) -> list[int]:
    """The candidates of the three tokens for ambiguous prompts, the largest mask first."""
    areas = np.count_nonzero(candidates.seen_logits > 0, axis=(1, 2))
    three = [i for i, token in enumerate(candidates.tokens) if token != 0]
    return sorted(three, key=lambda i: (-int(areas[i]), i))


class LevelsWidget(DraftsWidget):
    """Picks the mask of the preferred level for a page's click, and learns what is preferred."""

    _unpicked = ""  # the request of a page's newest prompts, until they are answered

    def _take_message(self) -> None:
        message = self._message
        super()._take_message()
        if message is not None and "prompts" in message[0]:
            request = message[0].get("request")
            picks = "picked" in message[0] or not is_ambiguous(self._session.draft.prompts)
            self._unpicked = "" if picks or not isinstance(request, str) else request

    def _show(self, answer: Answer, request: str) -> None:
        with self.hold_sync():
            super()._show(answer, request)
            if self._unpicked != request or self._answered != request:
                return
            self._unpicked = ""
            order = by_size(answer.candidates)
            place = LEVELS.index(self.level) if self.level in LEVELS else len(order)
            if self._session.draft.picked == 0 and place < len(order):
                self._session.prefer(order[place])
                self._assign("picked", self._session.draft.picked)

    def _annotation_of(
        self, answer: Answer, picked: int, label: str, threshold: float, **fields: Any
    ) -> Annotation:
        kept = super()._annotation_of(answer, picked, label, threshold, **fields)
        if self._from_page and is_ambiguous(answer.draft.prompts):
            self._learn(answer.candidates, kept.picked)
        return kept

    def _learn(self, candidates: Candidates, picked: int) -> None:
        """Prefer the level of what a page has kept, once somebody has not wanted the best."""
        order = by_size(candidates)[: len(LEVELS)]
        if picked in order and (self.level != "best" or picked != 0):
            self.level = LEVELS[order.index(picked)]
