"""A dialogue about one thing: each prompt refines the answer that was picked before."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

from segwidget.errors import PromptError
from segwidget.inference.candidates import Candidates
from segwidget.inference.predictor import Predictor
from segwidget.inference.prompts import Prompt, check_extents

MAX_ANSWERS = 48

# Each prompt of a dialogue costs an answer of its own, and nobody clicks so often at one thing.
MAX_PROMPTS = 100

_Key: TypeAlias = tuple[tuple[Prompt, ...], tuple[int, ...]]


def check_dialogue(prompts: Sequence[object]) -> None:
    """Check that prompts can be a dialogue about one thing.

    Raises:
        PromptError: more than ``MAX_PROMPTS`` prompts, several boxes, polygons or masks, or a
            polygon or a mask that is not the first.
    """
    if len(prompts) > MAX_PROMPTS:
        raise PromptError(
            f"There are {len(prompts)} prompts for one thing; expected at most {MAX_PROMPTS}. "
            "Keep what there is, and ask for the next thing."
        )
    check_extents(prompts)


class Dialogue:
    """Answers to growing lists of prompts, as a function of prompts and picks alone.

    The answer to the first prompt stands by itself. Each later one is given the logits of the
    candidate that was picked before it, so the same prompts with the same picks always have the
    same answer: undo finds it again, and a recorded annotation can be replayed.

    Safe for threads: each gets the answer that it would get alone.

    Args:
        predictor: has its image set; the dialogue asks nobody else.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._answers: OrderedDict[_Key, Candidates] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, prompts: Sequence[Prompt], picks: Sequence[int] = ()) -> Candidates:
        """The candidates for ``prompts``.

        Args:
            prompts: in the order in which they were given, at least one.
            picks: for each prompt but the last, which candidate was picked when the next came;
                missing ones count as 0, the best, and one beyond the last as the last.

        Raises:
            PromptError: the prompts are impossible.
        """
        prompts = tuple(prompts)
        check_dialogue(prompts)
        picks = (*picks, *[0] * len(prompts))[: max(0, len(prompts) - 1)]
        if not prompts:
            return self._predictor.predict(prompts)  # which says what is wrong with that
        # The newest prefix that was answered before is held on to while the rest is asked: other
        # threads' answers may push it out of the store.
        known = len(prompts)
        answer = None
        while known > 0 and (answer := self._find((prompts[:known], picks[: known - 1]))) is None:
            known -= 1
        for n in range(known + 1, len(prompts) + 1):
            before = None if answer is None else answer.low_res_logits
            found = self._predictor.predict(
                prompts[:n],
                mask_input=None if before is None else before[min(picks[n - 2], len(before) - 1)],
                refine=False,
            )
            answer = self._keep((prompts[:n], picks[: n - 1]), found)
        assert answer is not None  # there is a prompt, so the search or the loop has found one
        return answer

    def clear(self) -> None:
        """Forget all answers."""
        with self._lock:
            self._answers.clear()

    def _find(self, key: _Key) -> Candidates | None:
        with self._lock:
            found = self._answers.get(key)
            if found is not None:
                self._answers.move_to_end(key)
            return found

    def _keep(self, key: _Key, answer: Candidates) -> Candidates:
        """Store an answer; another thread's to the same question goes before."""
        with self._lock:
            answer = self._answers.setdefault(key, answer)
            while len(self._answers) > MAX_ANSWERS:
                self._answers.popitem(last=False)
            return answer
