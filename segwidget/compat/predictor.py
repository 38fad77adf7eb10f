"""The published predictor: one image, many prompts, arrays in and arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwidget.compat.sam import Sam, each_map, mask_tokens
from segwidget.compat.utils.transforms import checked_image
from segwidget.errors import ImageError, PromptError
from segwidget.inference.models import Model
from segwidget.inference.network import Prepared, SamNetwork
from segwidget.inference.predictor import Predictor
from segwidget.sam.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NOT_A_POINT
from segwidget.sam.sam import ImageFeatures

# Prompts that are decoded at once on a CPU, where more only take more memory.
CPU_BATCH = 4


class NoImageError(PromptError, RuntimeError):
    """No image is set; a ``RuntimeError`` as the published predictor's."""


class SamPredictor:
    """Predicts masks of one image from prompts.

    Points are ``(x, y)`` pixels of the image with centers at integers, as published, and not at
    half-integers as elsewhere in segwidget: the pixel in the corner is ``(0, 0)``.

    Args:
        sam_model: a network of :data:`segwidget.compat.sam_model_registry`; or a loaded model, or
            a :class:`segwidget.Predictor`, which then answers here by this class's methods. It is
            shared, not copied.

    Attributes:
        model: the network.
        transform: from pixels of the image to those of the network's input.
        is_image_set: whether there is an image to ask about.
        original_size: ``(H, W)`` of the image.
        input_size: ``(h, w)`` of the image in the network's input.

    Raises:
        ModelError: the model is not of the SAM architecture.
    """

    def __init__(self, sam_model: Sam | Model | Predictor) -> None:
        model = sam_model.model if isinstance(sam_model, Predictor) else sam_model
        if isinstance(model, Model):
            own = model.sam
            assert isinstance(model.network, SamNetwork)
            self.model = Sam(own, model.network.preprocessing)
            self._shared: SamNetwork | None = model.network
        else:
            self.model = model
            self._shared = None
        self._own: tuple[object, SamNetwork] | None = None
        self.transform = self.model.make_transform()
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.model.device

    @property
    def features(self) -> Tensor | None:
        """The image's embedding, ``(1, C, h, w)``; may be set to one that was kept.

        Who sets it also sets `original_size`, `input_size` and `is_image_set`.
        """
        return None if self._features is None else self._features.embedding

    @features.setter
    def features(self, embedding: Tensor | None) -> None:
        self._features = None if embedding is None else ImageFeatures(embedding)
        self._prepared: Prepared = None

    def reset_image(self) -> None:
        """Let go of the image."""
        self.is_image_set = False
        self.features = None
        self.original_size: tuple[int, ...] | None = None
        self.input_size: tuple[int, ...] | None = None

    def set_image(self, image: NDArray[np.uint8], image_format: str = "RGB") -> None:
        """Embed an image.

        Args:
            image: ``uint8 (H, W, 3)``.
            image_format: ``"RGB"`` or ``"BGR"``.

        Raises:
            ImageError: no such image or format.
        """
        if image_format not in ("RGB", "BGR"):
            raise ImageError(f"image_format is {image_format!r}; expected 'RGB' or 'BGR'.")
        pixels = checked_image(image)
        if image_format != self.model.image_format:
            pixels = pixels[..., ::-1]
        features = self._network().encode(np.ascontiguousarray(pixels))
        self._keep(features, self.transform.target_size(pixels.shape), pixels.shape[:2])

    @torch.no_grad()
    def set_torch_image(
        self, transformed_image: Tensor, original_image_size: tuple[int, ...]
    ) -> None:
        """Embed an image that is already transformed.

        Args:
            transformed_image: ``(1, 3, h, w)`` of 0 to 255, RGB.
            original_image_size: ``(H, W)`` of the image before.

        Raises:
            ImageError: another shape.
        """
        shape, side = tuple(transformed_image.shape), self.model.image_size
        if len(shape) != 4 or shape[:2] != (1, 3) or max(shape[2:]) != side:
            raise ImageError(
                f"The transformed image has the shape {shape}; expected (1, 3, h, w), and {side} "
                "for the longer of h and w. Use predictor.transform, or set_image."
            )
        features = self._network().embed(self.model.preprocess(transformed_image))
        self._keep(features, shape[2:], original_image_size)

    def predict(
        self,
        point_coords: NDArray[Any] | None = None,
        point_labels: NDArray[Any] | None = None,
        box: NDArray[Any] | None = None,
        mask_input: NDArray[Any] | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
        """Predict masks for prompts that all speak of one thing.

        Args:
            point_coords: ``(N, 2)`` pixels ``(x, y)`` of the image.
            point_labels: ``(N,)``: 1 foreground, 0 background.
            box: ``(4,)`` ``xyxy``.
            mask_input: ``(1, s, s)`` logits of an earlier answer.
            multimask_output: three masks for an ambiguous prompt, else the single mask.
            return_logits: the masks' logits in place of the masks.

        Returns:
            Masks ``(C, H, W)``, bool, or float32 where ``return_logits``; predicted IoUs ``(C,)``
            float32; and low-resolution logits ``(C, s, s)`` float32.

        Raises:
            NoImageError: no image is set.
            PromptError: prompts of another shape, or points without labels.
        """
        size = self._require_size()
        coords = labels = boxes = masks = None
        if point_coords is not None:
            if point_labels is None:
                raise PromptError(
                    "point_coords are given without point_labels; expected a label for each: "
                    "1 foreground, 0 background."
                )
            scaled = self.transform.apply_coords(_numbers(point_coords, "point_coords", 2), size)
            coords = self._tensor(scaled)[None]
            labels = self._tensor(_numbers(point_labels, "point_labels"))[None].int()
        if box is not None:
            boxes = self._tensor(self.transform.apply_boxes(_numbers(box, "box", 4), size))
        if mask_input is not None:
            masks = self._tensor(_numbers(mask_input, "mask_input"))[None]
        answer = self.predict_torch(coords, labels, boxes, masks, multimask_output, return_logits)
        shown, iou, low_res = (t[0].detach().cpu().numpy() for t in answer)
        return shown, iou, low_res

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict masks for ``B`` prompts, which are already transformed.

        Args:
            point_coords: ``(B, N, 2)`` in pixels of the network's input.
            point_labels: ``(B, N)``: 1 foreground, 0 background, -1 padding.
            boxes: ``(B, 4)`` ``xyxy``.
            mask_input: ``(B, 1, s, s)`` logits.
            multimask_output: three masks for an ambiguous prompt, else the single mask.
            return_logits: the masks' logits in place of the masks.

        Returns:
            Masks ``(B, C, H, W)``, predicted IoUs ``(B, C)`` and low-resolution logits
            ``(B, C, s, s)``, as :meth:`predict`.

        Raises:
            NoImageError: no image is set.
            PromptError: prompts of another shape, or points without labels.
        """
        size = self._require_size()
        network, wanted = self._network(), mask_tokens(multimask_output)
        coords, labels = self._as_points(point_coords, point_labels, boxes, mask_input)
        mask_input = self._checked_masks(mask_input, len(coords))
        if self._prepared is None:
            self._prepared = network.prepare(self._require_features())
        step = CPU_BATCH if self.device.type == "cpu" else len(coords)
        answers = [
            network.decode(
                self._prepared,
                coords[i : i + step],
                labels[i : i + step],
                None if mask_input is None else mask_input[i : i + step],
            )
            for i in range(0, len(coords), step)
        ]
        # Cloned outside of inference mode, so that a caller may go on computing with them.
        logits, iou = (torch.cat(parts)[:, wanted].clone() for parts in zip(*answers, strict=True))
        masks = self.model.postprocess_masks(logits, self.input_size or size, size)
        return masks if return_logits else masks > self.model.mask_threshold, iou, logits

    def get_image_embedding(self) -> Tensor:
        """The image's embedding, ``(1, C, h, w)``.

        Raises:
            NoImageError: no image is set.
        """
        self._require_size()
        return self._require_features().embedding

    def _keep(
        self, features: ImageFeatures, input_size: tuple[int, ...], size: tuple[int, ...]
    ) -> None:
        self.reset_image()
        # Not an inference tensor, which autograd could not save.
        self._features = each_map(features, torch.clone)
        self.input_size, self.original_size = tuple(input_size), tuple(size)
        self.is_image_set = True

    def _network(self) -> SamNetwork:
        """What answers; made anew after the weights have changed, or have moved."""
        if self._shared is not None:
            return self._shared
        weights = list(self.model.parameters())
        state = self.device, [(id(p), p._version) for p in weights]
        if self._own is None or self._own[0] != state:
            self._own = state, self.model.make_network()
            self._prepared = None
        return self._own[1]

    def _as_points(
        self,
        coords: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Points, then the corners of boxes; without a box a padding point, as published."""
        count = next((len(t) for t in (coords, boxes, masks) if t is not None), 1)
        xy = torch.zeros(count, 0, 2, device=self.device)
        kinds = torch.zeros(count, 0, dtype=torch.int64, device=self.device)
        if coords is not None:
            shape = tuple(coords.shape)
            if labels is None or len(shape) != 3 or shape[2] != 2 or shape[:2] != labels.shape:
                found = None if labels is None else tuple(labels.shape)
                raise PromptError(
                    f"The points have the shape {shape} and their labels {found}; expected "
                    "(B, N, 2) and (B, N), or (N, 2) and (N,) in predict."
                )
            xy, kinds = coords.to(xy), labels.to(kinds)
        if boxes is not None:
            if boxes.shape[-1] != 4 or boxes.numel() != 4 * count:
                raise PromptError(
                    f"The boxes have the shape {tuple(boxes.shape)}; expected {(count, 4)}, or "
                    "(4,) in predict: one for each prompt, as (x0, y0, x1, y1)."
                )
            corners = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]).to(kinds)
            xy = torch.cat([xy, boxes.to(xy).reshape(count, 2, 2)], dim=1)
            kinds = torch.cat([kinds, corners.expand(count, -1)], dim=1)
        elif coords is not None:
            xy = torch.cat([xy, xy.new_zeros(count, 1, 2)], dim=1)
            kinds = torch.cat([kinds, kinds.new_full((count, 1), NOT_A_POINT)], dim=1)
        return xy, kinds

    def _checked_masks(self, masks: Tensor | None, count: int) -> Tensor | None:
        if masks is None:
            return None
        expected = (count, 1, *self.model.prompt_encoder.mask_input_size)
        if len(masks) == 1:  # one for all
            masks = masks.expand(count, *masks.shape[1:])
        if tuple(masks.shape) != expected:
            raise PromptError(
                f"The mask input has the shape {tuple(masks.shape)}; expected {expected}, or "
                f"{expected[1:]} in predict: low-resolution logits of an earlier answer."
            )
        return masks.to(self.device, torch.float32)

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float32, device=self.device)

    def _require_size(self) -> tuple[int, int]:
        if not self.is_image_set or self.original_size is None:
            raise NoImageError("There is no image to ask about. Call set_image(image) first.")
        height, width = self.original_size
        return int(height), int(width)

    def _require_features(self) -> ImageFeatures:
        if self._features is None:
            raise NoImageError("There is no embedding to ask about. Call set_image(image) first.")
        return self._features


def _numbers(values: object, name: str, length: int | None = None) -> NDArray[Any]:
    """An array of finite numbers, with a last axis of a given length.

    Raises:
        PromptError: something else.
    """
    expected = "finite numbers" if length is None else f"finite numbers of shape (..., {length})"
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as e:
        raise PromptError(f"{name} is no array; expected {expected}.") from e
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise PromptError(f"{name} holds something that is no finite number; expected {expected}.")
    if length is not None and array.shape[-1:] != (length,):
        raise PromptError(f"{name} has the shape {array.shape}; expected {expected}.")
    return array
