"""The predictor: one image, many prompts."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from segwidget.errors import PromptError
from segwidget.inference.candidates import Candidates
from segwidget.inference.derived import Derived, derive
from segwidget.inference.embeddings import (
    as_float,
    embedding_cache,
    embedding_key,
    find_or_compute,
)
from segwidget.inference.models import Model, load_model
from segwidget.inference.network import Precision, Prepared, Runtime
from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import (
    Box,
    MaskPrompt,
    Point,
    Polygon,
    Prompt,
    check_extents,
    validate_prompts,
)
from segwidget.inference.region import Region
from segwidget.media.image import Image, ImageSource, open_image
from segwidget.sam.sam import ImageFeatures

MAX_CANDIDATES = 4


class Question(NamedTuple):
    """Prompts as the network is asked them.

    Attributes:
        prompts: points and at most one box, in pixels of what was embedded: the image, or the
            region of it.
        mask_input: ``(s, s)`` float32 logits, or ``None``.
        derived: what stands among them for a polygon or a mask.
        ambiguous: whether they are a single point.
    """

    prompts: tuple[Point | Box, ...]
    mask_input: NDArray[np.float32] | None
    derived: Derived | None
    ambiguous: bool


class Predictor:
    """Answers prompts on an image with scored candidate masks.

        predictor = Predictor("embedded")
        predictor.set_image("street.jpg")
        candidates = predictor.predict([Point(420, 180)])
        candidates.masks[0]

    May be used from several threads; one answers at a time.

    Args:
        model: ``"embedded"``, the name of a published checkpoint, its path, or a loaded model.
        device: ``"cpu"``, ``"cuda"``, …; by default a GPU where there is one.
        precision: ``"float32"``, or one that is nearly the same and sooner: ``"bfloat16"``,
            ``"int8"`` or ``"fastest"``; see :func:`load_model`.
        runtime: ``"torch"`` or ``"onnx"``; see :func:`load_model`.

    Raises:
        ModelError: no such model, device, precision or runtime.
        CheckpointError: the model's file is missing, damaged or unsafe.
    """

    def __init__(
        self,
        model: str | Path | Model = "embedded",
        device: str | None = None,
        *,
        precision: Precision = "float32",
        runtime: Runtime = "torch",
    ) -> None:
        if not isinstance(model, Model):
            model = load_model(model, device, precision, runtime)
        self.model = model
        self._lock = threading.RLock()
        self._image: Image | None = None
        self._seen: Image | None = None  # the image, or the region of it
        self._region: Region | None = None
        self._features: ImageFeatures | None = None
        self._prepared: Prepared = None
        self._last: tuple[tuple[Prompt, ...], Candidates] | None = None

    @property
    def image(self) -> Image | None:
        """The present image."""
        return self._image

    @property
    def region(self) -> Region | None:
        """The part of the image that is looked at; ``None`` for all of it."""
        return self._region

    @property
    def frame(self) -> Frame:
        """How the present image, or the region of it, lies in the network's input.

        Raises:
            PromptError: no image is set.
        """
        seen, _ = self._require_image()
        return self._frame_of(seen)

    @property
    def features(self) -> ImageFeatures:
        """The embedding of the present image, or of the region of it, as it is kept.

        Raises:
            PromptError: no image is set.
        """
        return self._require_image()[1]

    @property
    def lock(self) -> threading.RLock:
        """Held while the network is asked; whoever asks it directly holds it meanwhile."""
        return self._lock

    @property
    def prepared(self) -> Prepared:
        """What the network has computed of the present image for its decoder.

        Raises:
            PromptError: no image is set.
        """
        with self._lock:
            return self._require_prepared()

    def set_image(self, image: ImageSource, region: Region | None = None) -> Image:
        """Embed an image; an embedding of the same pixels by the same model is found again.

        In memory, or else on disk, where it is also found in later sessions.

        Args:
            image: whatever :func:`segwidget.open_image` opens.
            region: the part of it that is embedded, on its own and at full resolution. Prompts and
                masks are in pixels of the image all the same; see :meth:`Region.around`.

        Returns:
            The opened image.

        Raises:
            ImageError: the image cannot be opened.
        """
        opened = open_image(image)
        seen = opened if region is None else region.cut(opened)
        with self._lock:
            features = embedding_cache.acquire(
                embedding_key(self.model, seen), lambda: find_or_compute(self.model, seen)
            )
            self.reset_image()
            self._image, self._seen, self._region = opened, seen, region
            self._features = features
        return opened

    def reset_image(self, *, forget: bool = False) -> None:
        """Let go of the image.

        Args:
            forget: drop its embedding from memory too, unless another predictor uses it.
        """
        with self._lock:
            if self._seen is not None:
                embedding_cache.release(embedding_key(self.model, self._seen), forget=forget)
            self._image = self._seen = self._region = self._features = None
            self._prepared = self._last = None

    def predict(
        self,
        prompts: Prompt | Iterable[Prompt | Mapping[str, Any]],
        *,
        mask_input: NDArray[np.float32] | None = None,
        refine: bool = True,
    ) -> Candidates:
        """Answer prompts that all speak of one thing.

        The low-resolution logits of the best candidate are kept: when the next call begins with
        the same prompts and adds some, the kept logits refine the answer, as the published
        predictor recommends.

        Args:
            prompts: points and at most one box, polygon or mask, in pixels of the image; a polygon
                or a mask comes first.
            mask_input: ``(s, s)`` float32 logits of an earlier answer, to be refined in place of
                the kept ones.
            refine: use the kept logits; ``False`` answers as if nothing had been asked before.

        Returns:
            The candidates, one for each mask token; see :class:`Candidates` for their order.

        Raises:
            PromptError: no image is set, or the prompts are impossible.
        """
        with self._lock:
            checked = self._checked(prompts)
            if mask_input is None and refine and self._last is not None:
                before, answer = self._last
                if len(checked) > len(before) and checked[: len(before)] == before:
                    mask_input = answer.low_res_logits[0]
            candidates = self._decode(checked, mask_input)
            self._last = checked, candidates
            return candidates

    def question(
        self,
        prompts: Prompt | Iterable[Prompt | Mapping[str, Any]],
        mask_input: NDArray[np.float32] | None = None,
    ) -> Question:
        """How the network is asked prompts.

        A polygon or a mask is asked as a box, points inside and logits. The points of whoever
        refines its answer take the place of those inside, which may be what is corrected.

        Raises:
            PromptError: no image is set, or the prompts are impossible.
        """
        with self._lock:
            return self._question(self._checked(prompts), mask_input)

    def _checked(
        self, prompts: Prompt | Iterable[Prompt | Mapping[str, Any]]
    ) -> tuple[Prompt, ...]:
        self._require_image()
        assert self._image is not None
        checked = validate_prompts(prompts, self._image.width, self._image.height)
        check_extents(checked)
        return checked

    def _question(
        self, prompts: tuple[Prompt, ...], mask_input: NDArray[np.float32] | None
    ) -> Question:
        frame, region = self.frame, self._region
        mask = None if mask_input is None else checked_logits(mask_input, frame.logits_size)
        inner = prompts if region is None else tuple(map(region.into, prompts))
        derived = None
        asked: list[Point | Box] = []
        for prompt in inner:
            if isinstance(prompt, Polygon | MaskPrompt):
                derived = derive(prompt, frame)
                asked += [derived.box, *(derived.points if mask is None else ())]
            else:
                asked.append(prompt)
        if derived is not None and mask is None:
            mask = derived.logits
        ambiguous = len(asked) == 1 and isinstance(asked[0], Point) and mask is None
        return Question(tuple(asked), mask, derived, ambiguous)

    def _decode(
        self,
        prompts: tuple[Prompt, ...],
        mask_input: NDArray[np.float32] | None,
    ) -> Candidates:
        network, frame, region = self.model.network, self.frame, self._region
        asked, given, derived, ambiguous = self._question(prompts, mask_input)
        mask = None
        if given is not None:
            mask = torch.from_numpy(np.array(given)).to(network.device)[None, None]
        coords, labels = (t.to(network.device) for t in frame.to_input(asked))
        logits, iou = network.decode(self._require_prepared(), coords, labels, mask)
        scores: NDArray[np.float32] = iou[0].float().cpu().numpy()
        order = ranking(scores, ambiguous)
        # Regression may overshoot what an IoU can be.
        predicted = np.clip(scores[order], 0, 1)
        tokens = tuple(int(token) for token in order)
        answer: NDArray[np.float32] = logits[0].float().cpu().numpy()[order]
        if derived is not None:
            if mask_input is None:
                answer = derived.clamped(answer)
            derived = shown(derived, asked, region)
        return Candidates(answer, predicted, frame, tokens, region, derived)

    def _require_prepared(self) -> Prepared:
        """What depends on the image alone, computed when it is first asked about."""
        _, features = self._require_image()
        if self._prepared is None:
            self._prepared = self.model.network.prepare(as_float(features))
        return self._prepared

    def _frame_of(self, image: Image) -> Frame:
        return self.model.network.frame(image.width, image.height)

    def _require_image(self) -> tuple[Image, ImageFeatures]:
        """What was embedded, and its embedding."""
        if self._seen is None or self._features is None:
            raise PromptError("There is no image to ask about. Call set_image(image) first.")
        return self._seen, self._features


def shown(derived: Derived, asked: Sequence[Point | Box], region: Region | None) -> Derived:
    """What was derived, in pixels of the image, with those of its points that were asked."""
    points = tuple(point for point in derived.points if point in asked)
    box = derived.box
    if region is not None:
        box, points = region.box_out_of(box), tuple(map(region.point_out_of, points))
    return replace(derived, box=box, points=points)


def checked_logits(mask_input: object, side: int) -> NDArray[np.float32]:
    """A mask prompt as ``(side, side)`` float32.

    Raises:
        PromptError: another shape, or something that is no finite number.
    """
    expected = f"expected finite numbers of shape {(side, side)}, one of an answer's low_res_logits"
    try:
        logits = np.array(mask_input, np.float32)
    except (TypeError, ValueError) as e:
        raise PromptError(f"The mask input is no array of numbers; {expected}.") from e
    if logits.shape != (side, side):
        raise PromptError(f"The mask input has the shape {logits.shape}; {expected}.")
    if not np.isfinite(logits).all():
        raise PromptError(f"The mask input holds NaN or infinity; {expected}.")
    return logits


def ranking(predicted_iou: NDArray[np.float32], ambiguous: bool) -> NDArray[np.intp]:
    """In which order the four masks are shown, best first ("Segment Anything", section 3).

    For an ambiguous prompt the three masks for such, by score, and the single mask (index 0) behind
    them; for a richer one the single mask before the three.
    """
    three = 1 + np.argsort(-predicted_iou[1:], kind="stable")
    single = np.zeros(1, np.intp)
    return np.concatenate([three, single] if ambiguous else [single, three])
