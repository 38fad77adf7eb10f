"""What a predictor asks of a network, whoever runs it."""

from __future__ import annotations

import threading
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segwidget.errors import ModelError
from segwidget.inference.onnx import OnnxPrecision, onnx_encoder
from segwidget.inference.preprocessing import COMPACT, SAM, Frame, Preprocessing
from segwidget.inference.probe import bfloat16_pays, fastest_kernel
from segwidget.sam.compact_encoder import CompactEncoder
from segwidget.sam.fast.decoder import FastDecoder
from segwidget.sam.fast.encoders import Encoder, encoder_for
from segwidget.sam.fast.linear import Kernel
from segwidget.sam.sam import ImageFeatures, Sam

#: What a network has computed of one image for its decoder; each network's own affair.
Prepared: TypeAlias = Any


class Network(Protocol):
    """A promptable segmentation network that is ready to answer."""

    @property
    def variant(self) -> str:
        """What else than weights and pixels an embedding depends on, such as ``"sam-float32"``.

        How images are preprocessed, and in which precision they are embedded.
        """
        ...

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        ...

    def frame(self, width: int, height: int) -> Frame:
        """How an image of this size lies in the network's input."""
        ...

    def encode(self, pixels: NDArray[np.uint8]) -> ImageFeatures:
        """Embed an RGB image, ``uint8 (H, W, 3)``."""
        ...

    def prepare(self, features: ImageFeatures) -> Prepared:
        """Compute what depends on the image alone and every answer needs."""
        ...

    def decode(
        self,
        prepared: Prepared,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer ``B`` prompts about one image.

        Args:
            prepared: of the image.
            coords: ``(B, N, 2)`` in pixels of the network's input, pixel centers at integers.
            labels: ``(B, N)``: 1 foreground, 0 background, 2 and 3 a box's corners next to each
                other, -1 padding, which ends every prompt without a box.
            masks: logits ``(B, 1, s, s)`` of earlier answers.

        Returns:
            Low-resolution logits ``(B, 4, s, s)`` and predicted IoUs ``(B, 4)``, float32; index 0
            is the single-mask token, 1 to 3 are the masks for ambiguous prompts.
        """
        ...


#: ``"float32"`` is exact. ``"bfloat16"`` and ``"int8"`` are sooner and nearly the same;
#: ``"fastest"`` is the former where this computer is at least a third faster with it.
Precision: TypeAlias = Literal["float32", "bfloat16", "int8", "fastest"]
#: What runs the image encoder.
Runtime: TypeAlias = Literal["torch", "onnx"]


class SamNetwork:
    """A :class:`Sam` as a predictor's network.

    On a CPU it is run by :mod:`segwidget.sam.fast`, in the way that a short measurement has found
    to be the fastest here; on a GPU, by PyTorch as it is. Nothing of that is made before it is
    needed, since an embedding may come from elsewhere.

    Args:
        sam: in evaluation mode. Its weights must not change afterwards.
        preprocessing: how an image becomes its input; by default that of its encoder.
        precision: of embeddings, and on a CPU of answers. In ``"int8"`` only the image encoder
            computes, on a CPU by ONNX Runtime; answers are then float32.
        runtime: what runs the image encoder on a CPU.
        checkpoint: SHA-256 of its weights, in hex, by which ONNX Runtime's copy is found again.

    Raises:
        ModelError: another precision or runtime, or one that this device does not have.
    """

    def __init__(
        self,
        sam: Sam,
        preprocessing: Preprocessing | None = None,
        precision: Precision = "float32",
        runtime: Runtime = "torch",
        checkpoint: str = "",
    ) -> None:
        self.sam = sam
        compact = isinstance(sam.image_encoder, CompactEncoder)
        self.preprocessing = preprocessing or (COMPACT if compact else SAM)
        self.precision = checked_precision(precision, sam.device, runtime, checkpoint)
        self.runtime: Runtime = "onnx" if self.precision == "int8" else runtime
        self._checkpoint = checkpoint
        self._making = threading.Lock()
        self._encoder: Encoder | None = None
        self._decoder: FastDecoder | None = None

    @property
    def variant(self) -> str:
        """How images are preprocessed and in which precision they are embedded."""
        return f"{self.preprocessing.name}-{self.precision}"

    @property
    def device(self) -> torch.device:
        """The device that holds the parameters."""
        return self.sam.device

    def frame(self, width: int, height: int) -> Frame:
        """How an image of this size lies in the network's input."""
        logits_size = self.sam.prompt_encoder.mask_input_size[0]
        return self.preprocessing.frame(width, height, self.sam.image_size, logits_size)

    def encode(self, pixels: NDArray[np.uint8]) -> ImageFeatures:
        """Embed an RGB image, ``uint8 (H, W, 3)``."""
        height, width = pixels.shape[:2]
        frame = self.frame(width, height)
        with torch.inference_mode():
            x = self.preprocessing.to_input(pixels, frame).to(self.sam.device)
            return self.embed(x if self.preprocessing.normalized else self.sam.preprocess(x))

    def embed(self, x: Tensor) -> ImageFeatures:
        """Embed normalized and padded ``(1, 3, S, S)`` images, as :meth:`Sam.encode` does."""
        with self._making:
            if self._encoder is None:
                self._encoder = self._make_encoder()
        with torch.inference_mode():
            return ImageFeatures(*self._encoder(x))

    def prepare(self, features: ImageFeatures) -> Prepared:
        """Compute what depends on the image alone and every answer needs."""
        if self.device.type != "cpu":
            return features
        with self._making:
            if self._decoder is None:
                dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
                self._decoder = FastDecoder(self.sam, dtype, fastest_kernel(dtype))
        return self._decoder.prepare(features)

    def decode(
        self,
        prepared: Prepared,
        coords: Tensor,
        labels: Tensor,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer prompts; see :meth:`Network.decode`."""
        with torch.inference_mode():
            if self._decoder is not None:
                return self._decoder(prepared, (coords, labels), masks=masks, padded=True)
            return self.sam.decode(prepared, (coords, labels), masks=masks, padded=True)

    def _make_encoder(self) -> Encoder:
        module = self.sam.image_encoder
        if self.runtime == "onnx":
            kind: OnnxPrecision = "int8" if self.precision == "int8" else "float32"
            return onnx_encoder(self.sam, kind, self._checkpoint)
        dtype = torch.bfloat16 if self.precision == "bfloat16" else torch.float32
        kernel: Kernel = fastest_kernel(dtype) if self.device.type == "cpu" else "matmul"
        return encoder_for(module, dtype, kernel)


def require_precision(precision: object) -> None:
    """Check the name of a precision.

    Raises:
        ModelError: no such precision.
    """
    if precision not in get_args(Precision):
        raise ModelError(
            f"The precision is {precision!r}; expected one of {', '.join(get_args(Precision))}."
        )


def checked_precision(
    precision: Precision, device: torch.device, runtime: Runtime, checkpoint: str
) -> Literal["float32", "bfloat16", "int8"]:
    """The precision that was asked for, decided where that was ``"fastest"``.

    Raises:
        ModelError: no such precision or runtime, or one that this device does not have.
    """
    require_precision(precision)
    if runtime not in get_args(Runtime):
        raise ModelError(f"The runtime is {runtime!r}; expected 'torch' or 'onnx'.")
    onnx = runtime == "onnx" or precision == "int8"
    if onnx and device.type != "cpu":
        raise ModelError(
            f"ONNX Runtime is used on a CPU only, but the device is {device}. Use "
            "precision='bfloat16' there."
        )
    if onnx and not checkpoint:
        raise ModelError(
            "ONNX Runtime needs weights from a file, by whose SHA-256 its copy is found again. "
            "Save them with segwidget.sam.checkpoint.save_checkpoint, and load that."
        )
    if runtime == "onnx" and precision == "bfloat16":
        raise ModelError("ONNX Runtime computes in 'float32' or 'int8' here, not in 'bfloat16'.")
    if precision != "fastest":
        return precision
    if runtime == "onnx":
        return "float32"
    if device.type == "cpu":
        return "bfloat16" if bfloat16_pays() else "float32"
    return "bfloat16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "float32"
