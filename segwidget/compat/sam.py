"""The network as the published package shows it."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from operator import itemgetter
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.compat.utils.transforms import ResizeLongestSide, ResizeToSquare
from segwidget.inference.network import SamNetwork
from segwidget.inference.preprocessing import Preprocessing, Stretched
from segwidget.sam.compact_encoder import CompactEncoder
from segwidget.sam.sam import ImageFeatures
from segwidget.sam.sam import Sam as OwnSam


class Sam(OwnSam):
    """A :class:`segwidget.sam.Sam` that is called as the published one.

    It shares the modules and weights of the network that it is made of. Its ``image_encoder``
    returns the embedding alone; only the embedded model's still returns its two maps.

    Args:
        sam: the network.
        preprocessing: how an image becomes its input; by default that of its encoder.
    """

    image_format = "RGB"

    def __init__(self, sam: OwnSam, preprocessing: Preprocessing | None = None) -> None:
        super().__init__(sam.image_encoder, sam.prompt_encoder, sam.mask_decoder)
        self._encoder = (sam.image_encoder,)  # in a tuple, or its weights would be listed twice
        if not isinstance(sam.image_encoder, CompactEncoder):
            self.image_encoder = cast(Any, _with_embedding_alone(sam.image_encoder))
        self.pixel_mean, self.pixel_std = sam.pixel_mean, sam.pixel_std
        self.preprocessing = preprocessing or SamNetwork(sam).preprocessing
        self.train(sam.training)

    def encode(self, x: Tensor) -> ImageFeatures:
        """Encode a preprocessed ``(B, 3, S, S)`` image."""
        return ImageFeatures(*self._encoder[0](x))

    def make_network(self) -> SamNetwork:
        """The same network as a predictor of segwidget's asks it; weights are to stay the same."""
        sam = OwnSam(self._encoder[0], self.prompt_encoder, self.mask_decoder)
        sam.pixel_mean, sam.pixel_std = self.pixel_mean, self.pixel_std
        return SamNetwork(sam.train(self.training), self.preprocessing)

    def make_transform(self) -> ResizeLongestSide:
        """What brings images, points and boxes into the pixels of the network's input."""
        kind = ResizeToSquare if self.preprocessing.squash else ResizeLongestSide
        return kind(self.image_size)

    @torch.no_grad()
    def forward(
        self, batched_input: list[dict[str, Any]], multimask_output: bool
    ) -> list[dict[str, Tensor]]:
        """Predict masks end to end.

        Args:
            batched_input: a dictionary for each image, with ``image``, ``(3, h, w)`` of 0 to 255,
                transformed but not padded; ``original_size``, its ``(H, W)`` before; and of the
                prompts, in pixels of the network's input, those that there are: ``point_coords``
                ``(B, N, 2)`` and ``point_labels`` ``(B, N)``; ``boxes`` ``(B, 4)``;
                ``mask_inputs`` ``(B, 1, s, s)``.
            multimask_output: three masks for an ambiguous prompt, else the single mask.

        Returns:
            A dictionary for each image: ``masks`` bool ``(B, C, H, W)``, ``iou_predictions``
            ``(B, C)`` and ``low_res_logits`` ``(B, C, s, s)``.
        """
        encoded = self.encode(torch.stack([self.preprocess(x["image"]) for x in batched_input]))
        outputs = []
        for i, given in enumerate(batched_input):
            features = each_map(encoded, itemgetter(slice(i, i + 1)))
            points = None
            if "point_coords" in given:
                points = given["point_coords"], given["point_labels"]
            logits, iou = self.decode(
                features, points, given.get("boxes"), given.get("mask_inputs")
            )
            wanted = mask_tokens(multimask_output)
            size = tuple(given["image"].shape[-2:])
            masks = self.postprocess_masks(logits[:, wanted], size, given["original_size"])
            outputs.append(
                {
                    "masks": masks > self.mask_threshold,
                    "iou_predictions": iou[:, wanted],
                    "low_res_logits": logits[:, wanted],
                }
            )
        return outputs

    def preprocess(self, x: Tensor) -> Tensor:
        """Normalize a ``(B, 3, h, w)`` or ``(3, h, w)`` image of 0 to 255 and pad it.

        Raises:
            ImageError: the image is larger than the input; it must be transformed before.
        """
        if isinstance(self.preprocessing, Stretched):
            return self.preprocessing.normalize(x)
        return super().preprocess(x)

    def postprocess_masks(
        self, masks: Tensor, input_size: tuple[int, ...], original_size: tuple[int, ...]
    ) -> Tensor:
        """Enlarge low-resolution logits ``(B, C, s, s)`` to the image, ``(B, C, H, W)``.

        Args:
            masks: the logits.
            input_size: ``(h, w)`` of the image after its transform, without padding.
            original_size: ``(H, W)`` of the image.
        """
        height, width = original_size
        if not self.preprocessing.two_steps:
            side = masks.shape[-1]
            frame = self.preprocessing.frame(width, height, self.image_size, side)
            full = frame.upsample(masks.flatten(0, 1))
            return full.view(*masks.shape[:2], height, width)
        side = self.image_size
        big = F.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
        big = big[..., : input_size[0], : input_size[1]]
        return F.interpolate(big, (height, width), mode="bilinear", align_corners=False)


def each_map(features: ImageFeatures, change: Callable[[Tensor], Tensor]) -> ImageFeatures:
    """The features with something done to each map that there is."""
    embedding, *finer = features
    return ImageFeatures(change(embedding), *(None if t is None else change(t) for t in finer))


def mask_tokens(multimask_output: bool) -> slice:
    """Which of the four masks are answered."""
    return slice(1, None) if multimask_output else slice(0, 1)


def _with_embedding_alone(encoder: nn.Module) -> nn.Module:
    """The same encoder, weights and all, but for what a call returns."""
    twin = copy.copy(encoder)
    twin._forward_hooks = OrderedDict()
    twin.register_forward_hook(lambda module, given, encoded: encoded[0])
    return twin
