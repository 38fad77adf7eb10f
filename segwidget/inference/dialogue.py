"""A dialogue about one thing: each prompt refines the answer that was picked before."""

from __future__ import annotations

import threading
from collections import OrderedDict

from segwidget.inference.candidates import Candidates
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Prompt

MAX_ANSWERS = 48


class Dialogue:
    """Answers to growing lists of prompts, as a function of prompts and picks alone.

    The answer to the first prompt stands by itself. Each later one is given the logits of the
    candidate that was picked before it, so the same prompts with the same picks always have the
    same answer: undo finds it again, and a recorded annotation can be replayed.

    Args:
        predictor: has its image set; the dialogue asks nobody else.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._answers: OrderedDict[tuple[tuple[Prompt, ...], tuple[int, ...]], Candidates] = (
            OrderedDict()
        )
        self._lock = threading.Lock()

    def answer(self, prompts: tuple[Prompt, ...], picks: tuple[int, ...] = ()) -> Candidates:
        """The candidates for ``prompts``.

        Args:
            prompts: in the order in which they were given, at least one.
            picks: for each prompt but the last, which candidate was picked when the next came;
                missing ones count as 0, the best.

        Raises:
            PromptError: the prompts are impossible.
        """
        picks = (*picks, *[0] * len(prompts))[: max(0, len(prompts) - 1)]
        known = len(prompts)
        while known > 0 and (prompts[:known], picks[: known - 1]) not in self._answers:
            known -= 1
        answer: Candidates | None = None
        for n in range(max(known, 1), len(prompts) + 1):
            key = (prompts[:n], picks[: n - 1])
            found = self._find(key)
            if found is None:
                mask_input = None
                if answer is not None:
                    mask_input = answer.low_res_logits[min(picks[n - 2], len(answer) - 1)]
                found = self._predictor.predict(prompts[:n], mask_input=mask_input, refine=False)
                self._keep(key, found)
            answer = found
        if answer is None:  # no prompt at all: the predictor says so
            answer = self._predictor.predict(prompts)
        return answer

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self._answers.clear()

    def _find(self, key: tuple[tuple[Prompt, ...], tuple[int, ...]]) -> Candidates | None:
        with self._lock:
            found = self._answers.get(key)
            if found is not None:
                self._answers.move_to_end(key)
            return found

    def _keep(self, key: tuple[tuple[Prompt, ...], tuple[int, ...]], answer: Candidates) -> None:
        with self._lock:
            self._answers[key] = answer
            while len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
