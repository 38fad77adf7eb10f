"""A look inside the model, for whoever wants to know how it thinks."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import traitlets
from numpy.typing import NDArray
from PIL import Image as PILImage

from segwidget.annotation.history import Draft
from segwidget.errors import ModelError, PromptError, SegwidgetError
from segwidget.inference.insight import (
    OUTPUT_TOKENS,
    PromptAttention,
    embedding_pca,
    prompt_attention,
)
from segwidget.inference.region import Region
from segwidget.widget import threads
from segwidget.widget.answerer import Answerer
from segwidget.widget.binding import SessionWidget, Start

KINDS = ("pca", "attention")

#: An insight's pictures are at most so large together; see ``MAX_TOKENS``.
MAX_BYTES = 256_000
# A map has at most 64 x 64 bytes before it is packed, and PNG adds little where it packs nothing.
MAX_TOKENS = 24

# A map is brightest where only one cell in two hundred is brighter: a single one must not hide all.
_BRIGHTEST = 99.5


class _Question(NamedTuple):
    """What an insight is about."""

    kind: str
    answerer: Answerer
    draft: Draft
    region: Region | None
    request: str


class InsightsWidget(SessionWidget):
    """A widget that shows the image's embedding and the attention to the draft's prompts.

    Args:
        start: see :class:`Start`.
    """

    insight = traitlets.Dict(
        default_value=None,
        allow_none=True,
        read_only=True,
        help="A picture of what the model does, made when a page asks for it.",
    ).tag(sync=True, echo_update=False)

    def __init__(self, start: Start) -> None:
        self._asked_insights: list[str] = []  # kinds that wait to be made, each once
        self._insight_thread: threading.Thread | None = None
        super().__init__(start)

    def embedding_pca(self) -> NDArray[np.uint8]:
        """The image embedding's first three principal components as colors.

        Returns:
            uint8 ``(h, w, 3)``; see :func:`segwidget.inference.insight.embedding_pca`.

        Raises:
            ClosedError: after ``close``.
            ModelError: the model keeps no embedding.
        """
        self._require_open()
        predictor, _ = self._answerer.look_inside()
        return embedding_pca(predictor)

    def attention(self) -> PromptAttention:
        """Where the tokens look while the draft is answered.

        Raises:
            ClosedError: after ``close``.
            PromptError: there is no draft.
            ModelError: the model is not of the SAM architecture.
        """
        with self._lock:
            self._require_open()
            answerer, draft = self._answerer, self._session.draft
        return _attention(answerer, draft)

    def show_insight(self, kind: str) -> None:
        """Make a picture for the page, on a thread; it comes in ``insight``.

        What cannot be shown, such as attention without a draft, is said there in words.

        Args:
            kind: ``"pca"`` or ``"attention"``.

        Raises:
            ClosedError: after ``close``.
            ModelError: no such kind.
        """
        with self._lock:
            self._require_open()
            if kind not in KINDS:
                raise ModelError(
                    f"There is no insight {kind[:40]!r}; expected one of {', '.join(KINDS)}."
                )
            if kind not in self._asked_insights:
                self._asked_insights.append(kind)
            if self._insight_thread is None:
                self._insight_thread = threads.begin(self._make_insights, "segwidget-insight")

    @traitlets.observe("model", "region")
    def _forget_insight(self, _change: Any) -> None:
        """What another model, or of another part of the image, has shown holds no more."""
        self._assign("insight", None)

    def _make_insights(self) -> None:
        """Make what is asked for, until nothing is; then the thread ends."""
        while True:
            with self._lock:
                if self._closed or not self._asked_insights:
                    self._insight_thread = None
                    return
                kind = self._asked_insights.pop(0)
                asked = self._question(kind)
            try:
                made = _insight(asked)
            except SegwidgetError as e:
                made = insight_to_json(kind, asked.request, message=str(e))
            except Exception as e:
                self._report(e)
                made = insight_to_json(kind, asked.request, message="This could not be drawn.")
            with self._lock:
                now = self._question(kind)
                # Another model or another region has come meanwhile.
                if (asked.answerer, asked.region) != (now.answerer, now.region):
                    if kind not in self._asked_insights:
                        self._asked_insights.append(kind)
                elif not self._closed:
                    self._assign("insight", made)

    def _question(self, kind: str) -> _Question:
        session = self._session
        return _Question(kind, self._answerer, session.draft, session.region, self.request)


def _insight(asked: _Question) -> dict[str, Any]:
    """An insight as the page reads it."""
    predictor, _ = asked.answerer.look_inside()
    frame = predictor.frame
    box = (0, 0, frame.width, frame.height) if asked.region is None else asked.region.box
    if asked.kind == "pca":
        picture = embedding_pca(predictor)
        size = picture.shape[1], picture.shape[0]
        return insight_to_json("pca", "", size, [("embedding", picture)], box)
    attention = _attention(asked.answerer, asked.draft)
    shown = [
        (name, brightened(weights))
        for name, weights in zip(attention.tokens, attention.maps, strict=True)
        if name != "padding"
    ]
    # The newest of very many prompts.
    count = len(OUTPUT_TOKENS)
    shown = shown[:count] + shown[max(count, len(shown) - (MAX_TOKENS - count)) :]
    size = attention.layers.shape[-1], attention.layers.shape[-2]
    return insight_to_json("attention", asked.request, size, shown, box)


def _attention(answerer: Answerer, draft: Draft) -> PromptAttention:
    """The attention while the newest prompt of a draft is answered, in view of those before."""
    if not draft.prompts:
        raise PromptError("There is no draft. Click a thing first: attention answers a prompt.")
    predictor, dialogue = answerer.look_inside()
    before = None
    if len(draft.prompts) > 1:
        logits = dialogue.answer(draft.prompts[:-1], draft.picks[:-1]).low_res_logits
        before = logits[min(draft.picks[-1], len(logits) - 1)]
    return prompt_attention(predictor, draft.prompts, mask_input=before)


def brightened(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Attention ``(h, w)`` as gray, uint8 ``(h, w)``: from nothing to its brightest few cells."""
    top = float(np.percentile(weights, _BRIGHTEST)) if weights.size else 0.0
    if not math.isfinite(top) or top <= 0:
        return np.zeros(weights.shape, np.uint8)
    gray: NDArray[np.uint8] = np.rint(255 * (weights / top).clip(0, 1)).astype(np.uint8)
    return gray


def insight_to_json(
    kind: str,
    request: str,
    size: tuple[int, int] = (0, 0),
    pictures: Sequence[tuple[str, NDArray[np.uint8]]] = (),
    region: tuple[int, int, int, int] = (0, 0, 0, 0),
    message: str = "",
) -> dict[str, Any]:
    """The value of the ``insight`` trait.

    Args:
        kind: ``"pca"`` or ``"attention"``.
        request: whose prompts it speaks of; empty where it speaks of the image alone.
        size: ``(width, height)`` of each picture.
        pictures: titles with uint8 ``(h, w)`` or ``(h, w, 3)`` pixels; they travel as PNG.
        region: which part of the image they show, ``(x0, y0, x1, y1)`` in its pixels.
        message: why there is no picture.
    """
    files: list[Mapping[str, Any]] = [
        {"title": title, "data": to_png(pixels)} for title, pixels in pictures
    ]
    return {
        "kind": kind,
        "request": request,
        "width": size[0],
        "height": size[1],
        "pictures": files,
        "region": list(region),
        "message": message,
    }


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """uint8 ``(h, w)`` or ``(h, w, 3)`` as a PNG file."""
    file = io.BytesIO()
    PILImage.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()
