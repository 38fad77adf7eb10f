"""Answers beside the truth: what the picked mask's IoU really is, and how it grew with each prompt.

The mask that a draft is compared with is, of those under its first click, the one that overlaps the
picked candidate most (by IoU): where a wheel and its car are both there, the one that the answer
means. Where the first prompt is no click on a thing, or nothing lies under it, all are looked at.
Compared are masks at the image's own size and at the model's own threshold of 0.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pycocotools.mask as coco
import traitlets
from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotations
from segwidget.annotation.history import Draft
from segwidget.inference.prompts import Point, Prompt
from segwidget.inference.rle import Rle
from segwidget.widget.answerer import Answer
from segwidget.widget.binding import SessionWidget, Start
from segwidget.widget.truth_source import truth_of

if TYPE_CHECKING:
    import pandas as pd

#: Answers whose comparison is remembered: more than a draft's curve needs, and undo goes back to.
MAX_COMPARED = 256
#: Rows of the history; the oldest go.
MAX_ROWS = 100_000
#: Points of the curve as a page draws it, the newest.
MAX_POINTS = 100

_COLUMNS = {
    "draft": "int64", "prompts": "int64", "picked": "int64", "predicted_iou": "float64",
    "true_iou": "float64", "best_iou": "float64", "truth": "Int64", "label": "object",
    "model": "object",
}  # fmt: skip


class _Compared(NamedTuple):
    """An answer beside the truth.

    Attributes:
        ious: ``(C, N)`` of each candidate with each mask of the truth.
        predicted: ``(C,)`` what the model believed.
        model: which one.
    """

    ious: NDArray[np.float32]
    predicted: tuple[float, ...]
    model: str


class TruthWidget(SessionWidget):
    """A widget that knows the truth, where somebody has told it.

    Args:
        start: see :class:`Start`.
    """

    truth_target = traitlets.Dict(
        default_value=None,
        allow_none=True,
        read_only=True,
        help="The mask of the truth that the draft is compared with; None where there is none.",
    ).tag(sync=True, echo_update=False)

    truth_scores = traitlets.Dict(
        default_value=None,
        allow_none=True,
        read_only=True,
        help="True IoUs of the newest answer and of those before it; None without any truth.",
    ).tag(sync=True, echo_update=False)

    def __init__(self, start: Start) -> None:
        self._truth: Annotations | None = None
        self._truth_raw: list[Any] = []
        self._compared: dict[tuple[Any, ...], _Compared] = {}  # by question, the newest last
        self._truth_rows: deque[dict[str, Any]] = deque(maxlen=MAX_ROWS)
        self._truth_drafts = 0  # how many drafts have been compared
        self._first_prompt: Prompt | None = None  # of the draft that is being compared
        super().__init__(start)

    @property
    def truth(self) -> Annotations | None:
        """The ground truth; each answer is compared with it. None for none.

        Set it to masks ``(N, H, W)`` or ``(H, W)`` bool, a list of such masks or of annotations, a
        label map ``(H, W)`` of whole numbers, annotations, or the path of an annotation file such
        as COCO's; see :func:`segwidget.widget.truth_source.truth_of`.

        Raises:
            AnnotationError: it is of another image's size, empty, or something else.
            FormatError: a file in no known format.
            StoreError: a file that cannot be read.
            ClosedError: set after ``close``.
        """
        return self._truth

    @truth.setter
    def truth(self, value: Any) -> None:
        new = None if value is None else truth_of(value, self.image)
        with self._lock:
            self._require_open()
            self._truth = new
            self._truth_raw = [item.rle.raw for item in new or ()]
            self._compared.clear()
            answer = self._shown.get(self._answered)
            if answer is not None and answer.answers(self._session.draft):
                self._compare(answer)
            self._tell_truth()

    @property
    def truth_history(self) -> pd.DataFrame:
        """What every answer was worth since there has been a truth, one row an answer.

        Columns: draft (from 1), prompts (how many it has answered), picked (candidate, 0 the
        first), predicted_iou and true_iou of the picked one, best_iou (the true IoU of the best
        candidate), truth (index of the mask it was compared with, ``<NA>`` where none overlaps;
        the IoUs are 0 then), label (of that mask), model.
        """
        import pandas as pd  # takes half a second, and only this needs it

        with self._lock:
            rows = list(self._truth_rows)
        return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)

    # What the session does.

    def _show(self, answer: Answer, request: str) -> None:
        super()._show(answer, request)
        if self._truth is not None and self._answered == request and self.request == request:
            # The candidates are on their way: nobody waits for this.
            self._compare(answer)
            self._tell_truth()

    def _publish(self, request: str | None = None, answer: Answer | None = None) -> None:
        super()._publish(request, answer)
        self._tell_truth()

    def _compare(self, answer: Answer) -> None:
        """Measure an answer, unless that was done before."""
        question = answer.draft.question
        if question in self._compared:
            self._compared[question] = self._compared.pop(question)
            return
        candidates = answer.candidates
        found = [candidates.rle(i).raw for i in range(len(candidates))]
        ious = coco.iou(found, self._truth_raw, [0] * len(self._truth_raw))
        predicted = tuple(float(p) for p in candidates.predicted_iou)
        matrix = np.asarray(ious, np.float32).reshape(len(found), len(self._truth_raw))
        self._compared[question] = _Compared(matrix, predicted, answer.model.name)
        while len(self._compared) > MAX_COMPARED:
            self._compared.pop(next(iter(self._compared)))

    def _tell_truth(self) -> None:
        """Set the traits to what is known of the present draft."""
        if self._truth is None:
            self._assign("truth_scores", None)
            self._assign("truth_target", None)
            return
        draft = self._session.draft
        count = len(self._truth)
        if not draft.prompts:
            self._first_prompt = None
            self._assign("truth_target", None)
            self._assign("truth_scores", _scores("", count))
            return
        compared = self._compared.get(draft.question)
        if compared is None or self._answered != self.request:
            return  # the answer is yet to come
        if self._first_prompt != draft.prompts[0]:
            self._first_prompt = draft.prompts[0]
            self._truth_drafts += 1
        picked = min(draft.picked, len(compared.predicted) - 1)
        target = self._target(draft, compared.ious[picked])
        ious = [0.0] * len(compared.predicted) if target is None else compared.ious[:, target]
        self._note(draft, picked, compared, [float(i) for i in ious], target)
        with self.hold_sync():
            self._assign("truth_target", self._described(target))
            curve = self._curve(draft, target)
            scores = [float(i) for i in ious]
            self._assign("truth_scores", _scores(self.request, count, scores, curve))

    def _target(self, draft: Draft, ious: NDArray[np.float32]) -> int | None:
        """Which mask of the truth is meant; None where none overlaps."""
        under = self._under(draft.prompts[0])
        if under.any():
            return int(np.where(under, ious, -1).argmax())
        best = int(ious.argmax())
        return best if ious[best] > 0 else None

    def _under(self, prompt: Prompt) -> NDArray[np.bool_]:
        """``(N,)`` which masks of the truth lie under a click on a thing."""
        if not isinstance(prompt, Point) or prompt.label != 1:
            return np.zeros(len(self._truth_raw), bool)
        height, width = self.image.height, self.image.width
        at = min(int(prompt.x), width - 1), min(int(prompt.y), height - 1)
        pixel = Rle.encode_box(np.ones((1, 1), bool), at, (height, width)).raw
        # As of a crowd: the pixel's own share that lies within each mask.
        inside: NDArray[np.bool_] = (
            coco.iou([pixel], self._truth_raw, [1] * len(self._truth_raw))[0] > 0
        )
        return inside

    def _curve(self, draft: Draft, target: int | None) -> list[list[float]]:
        """``[prompts, true IoU, predicted IoU]`` of the answers on the way to a draft."""
        points = []
        picks = (*draft.picks, draft.picked)
        first = max(1, len(draft.prompts) - MAX_POINTS + 1)
        for count in range(first, len(draft.prompts) + 1):
            before = Draft(draft.prompts[:count], draft.picks[: count - 1], region=draft.region)
            compared = self._compared.get(before.question)
            if compared is None:
                continue  # a newer prompt came before its answer
            picked = min(picks[count - 1], len(compared.predicted) - 1)
            iou = 0.0 if target is None else float(compared.ious[picked, target])
            points.append([count, iou, compared.predicted[picked]])
        return points

    def _note(
        self, draft: Draft, picked: int, compared: _Compared, ious: list[float], target: int | None
    ) -> None:
        """A row of the history; of one answer the newest pick counts."""
        row = {
            "draft": self._truth_drafts,
            "prompts": len(draft.prompts),
            "picked": picked,
            "predicted_iou": compared.predicted[picked],
            "true_iou": ious[picked],
            "best_iou": max(ious),
            "truth": target,
            "label": "" if target is None or self._truth is None else self._truth[target].label,
            "model": compared.model,
        }
        rows = self._truth_rows
        key = row["draft"], row["prompts"]
        if rows and (rows[-1]["draft"], rows[-1]["prompts"]) == key:
            rows[-1] = row
        else:
            rows.append(row)

    def _described(self, target: int | None) -> dict[str, Any] | None:
        """A mask of the truth as the page reads it."""
        if target is None or self._truth is None:
            return None
        item = self._truth[target]
        return {
            "index": target,
            "id": item.id,
            "label": item.label,
            "box": list(item.box),
            "area": item.area,
            "rle": item.rle.to_dict(),
        }


def _scores(
    request: str, masks: int, ious: list[float] | None = None, curve: Any = ()
) -> dict[str, Any]:
    """The value of the ``truth_scores`` trait."""
    return {"request": request, "masks": masks, "iou": ious or [], "curve": list(curve)}
