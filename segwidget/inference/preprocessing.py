"""From an image to the network's input, and from its logits back to the image.

SAM: the long side becomes the network's input size, the rest is padded ("Segment Anything",
appendix A, "Image encoder"); the steps are those of the published predictor. MedSAM and SAM 2
squash the image to the square input instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image as PILImage
from torch import Tensor

from segwidget.inference.prompts import Box, Point
from segwidget.media.shrink import HUGE, reduced, resized, shrink_factors
from segwidget.sam.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, NOT_A_POINT


@dataclass(frozen=True)
class Frame:
    """How an image lies in the network's square input.

    Attributes:
        width: of the image, in pixels.
        height: of the image.
        input_size: side of the network's input.
        logits_size: side of the low-resolution logits.
        two_steps: enlarge logits by way of the input's size, as the published predictor does;
            otherwise straight to the image's size, which is what a page draws.
        squash: the image fills the whole input, whatever its shape; nothing is padded.
    """

    width: int
    height: int
    input_size: int
    logits_size: int
    two_steps: bool = True
    squash: bool = False

    @property
    def resized(self) -> tuple[int, int]:
        """``(width, height)`` of the image within the input; at least one pixel each."""
        if self.squash:
            return self.input_size, self.input_size
        scale = self.input_size / max(self.width, self.height)
        return max(1, int(self.width * scale + 0.5)), max(1, int(self.height * scale + 0.5))

    @property
    def logits_scale(self) -> tuple[float, float]:
        """Low-resolution pixels per image pixel, along x and along y."""
        w, h = self.resized
        share = self.logits_size / self.input_size
        return w / self.width * share, h / self.height * share

    @property
    def logits_shape(self) -> tuple[int, int]:
        """``(rows, columns)`` of the low-resolution logits that the image covers."""
        w, h = self.resized
        share = self.logits_size / self.input_size
        return math.ceil(h * share), math.ceil(w * share)

    def resize(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Scale ``(H, W, 3)`` pixels to the input: uint8 ``(1, 3, h, w)``, not padded.

        Of more than :data:`segwidget.media.shrink.HUGE` pixels, blocks are averaged first: what is
        averaged anyway is not copied, and the result differs by a level or two.
        """
        picture = resized(pixels, self.resized, PILImage.Resampling.BILINEAR)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).unsqueeze(0)

    def to_input(self, prompts: tuple[Point | Box, ...]) -> tuple[Tensor, Tensor]:
        """Prompts as the network's points.

        Returns:
            Coordinates ``(1, N, 2)`` in input pixels, pixel centers at integers as the network
            counts, and labels ``(1, N)``. Points come first, then boxes as their two corners;
            without a box a padding point ends the list, as the published network expects.
        """
        coords: list[tuple[float, float]] = []
        labels: list[int] = []
        corners: list[tuple[float, float]] = []
        for prompt in prompts:
            if isinstance(prompt, Point):
                coords.append((prompt.x, prompt.y))
                labels.append(prompt.label)
            else:
                corners += [(prompt.x0, prompt.y0), (prompt.x1, prompt.y1)]
        labels += [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT] * (len(corners) // 2)
        w, h = self.resized
        scale = torch.tensor([w / self.width, h / self.height])
        xy = torch.tensor(coords + corners).view(-1, 2) * scale - 0.5
        if not corners:
            xy = torch.cat([xy, torch.zeros(1, 2)])
            labels.append(NOT_A_POINT)
        return xy.unsqueeze(0), torch.tensor(labels).unsqueeze(0)

    def upsample(self, logits: Tensor) -> Tensor:
        """Low-resolution logits ``(C, s, s)`` at the image's size, ``(C, H, W)``, bilinear."""
        if not self.two_steps:
            rows, columns = self.logits_shape
            sx, sy = self.logits_scale
            along_y = interpolation(self.height, rows, sy).to(logits)
            along_x = interpolation(self.width, columns, sx).to(logits)
            return along_y @ logits[:, :rows, :columns] @ along_x.T
        w, h = self.resized
        side = (self.input_size, self.input_size)
        big = F.interpolate(logits.unsqueeze(0), side, mode="bilinear", align_corners=False)
        big = big[..., :h, :w]
        full = F.interpolate(big, (self.height, self.width), mode="bilinear", align_corners=False)
        return full.squeeze(0)


def interpolation(count: int, samples: int, scale: float) -> Tensor:
    """The matrix ``(count, samples)`` of linear interpolation along one axis.

    Args:
        count: pixels of the image.
        samples: low-resolution samples; beyond the outermost their values go on.
        scale: samples per pixel.
    """
    at = ((torch.arange(count) + 0.5) * scale - 0.5).clamp(0, samples - 1)
    low = at.floor().long().clamp(max=max(samples - 2, 0))
    weight = at - low
    matrix = torch.zeros(count, samples)
    matrix.scatter_(1, low.unsqueeze(1), (1 - weight).unsqueeze(1))
    if samples > 1:
        matrix.scatter_(1, low.unsqueeze(1) + 1, weight.unsqueeze(1))
    return matrix


@dataclass(frozen=True)
class Preprocessing:
    """How images become a network's input.

    Attributes:
        name: part of what an embedding is found again by.
        squash: see :class:`Frame`.
        two_steps: see :class:`Frame`.
        normalized: :meth:`to_input` already gives what the image encoder takes; otherwise pixels
            of 0 to 255, which :meth:`Sam.preprocess` normalizes and pads.
    """

    name: str
    squash: bool = False
    two_steps: bool = False
    normalized: bool = False

    def frame(self, width: int, height: int, input_size: int, logits_size: int) -> Frame:
        """How an image of this size lies in the network's input."""
        return Frame(width, height, input_size, logits_size, self.two_steps, self.squash)

    def to_input(self, pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
        """RGB pixels ``uint8 (H, W, 3)`` as the network's input, ``(1, 3, h, w)``."""
        return frame.resize(pixels)


@dataclass(frozen=True)
class Normalized(Preprocessing):
    """Preprocessing as the image processors of ``transformers`` do it.

    Pixels are resized bilinearly with antialiasing, by the same kernel as theirs, and are
    normalized; what is not covered by the image, right and below, is zeros.

    Attributes:
        mean: of each channel of the RGB input, 0 to 1.
        std: standard deviation of each channel.
    """

    normalized: bool = True
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def with_statistics(
        self, mean: tuple[float, float, float], std: tuple[float, float, float]
    ) -> Normalized:
        """The same with another mean and deviation."""
        return replace(self, mean=mean, std=std)

    def to_input(self, pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
        """RGB pixels ``uint8 (H, W, 3)`` as the network's input, ``(1, 3, S, S)`` float32."""
        w, h = frame.resized
        if pixels.shape[0] * pixels.shape[1] > HUGE:
            x = frame.resize(pixels)  # the same filter
        else:
            x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).unsqueeze(0)
            x = F.interpolate(x, (h, w), mode="bilinear", align_corners=False, antialias=True)
        mean, std = (255 * torch.tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        side = frame.input_size
        return F.pad((x.float() - mean) / std, (0, side - w, 0, side - h))


@dataclass(frozen=True)
class Stretched(Preprocessing):
    """Preprocessing as MedSAM's (Ma et al., "Segment Anything in Medical Images", methods).

    The image fills the square input, resized by cubic splines after a Gaussian filter, as its
    published inference script does; its own extremes become 0 and 1. Logits are enlarged straight
    to the image's size. (The script enlarges their sigmoids, so that outlines may differ by a
    fraction of a low-resolution pixel.)
    """

    squash: bool = True
    normalized: bool = True

    def resize(self, pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        """RGB pixels ``uint8 (H, W, 3)`` as ``uint8 (side, side, 3)``."""
        from skimage.transform import resize  # needs a moment, and only this model needs it

        across, down = shrink_factors(pixels, (side, side), gap=2)
        if (across, down) != (1, 1):  # in float64 a huge image would fill the memory
            pixels = reduced(pixels, across, down)
        big = resize(pixels, (side, side), order=3, preserve_range=True, anti_aliasing=True)
        return np.asarray(big).astype(np.uint8)

    def normalize(self, x: Tensor) -> Tensor:
        """Shift and scale ``(..., 3, S, S)``, the pixels of one image, to 0 to 1; float32."""
        low, high = x.min().double(), x.max().double()
        return ((x.double() - low) / (high - low).clamp(min=1e-8)).float()

    def to_input(self, pixels: NDArray[np.uint8], frame: Frame) -> Tensor:
        """RGB pixels ``uint8 (H, W, 3)`` as the network's input, ``(1, 3, S, S)`` float32."""
        square = torch.from_numpy(self.resize(pixels, frame.input_size))
        return self.normalize(square.permute(2, 0, 1).unsqueeze(0))


#: As published: the long side, padded; logits by way of the input's size.
SAM = Preprocessing("sam", two_steps=True)
#: The embedded model: the same, with logits straight to the image.
COMPACT = Preprocessing("compact")
#: MedSAM: ViT-B whose input the image fills.
MEDSAM = Stretched("medsam")
#: SAM in transformers' layout.
SAM_NORMALIZED = Normalized("sam-normalized", two_steps=True)
#: SAM 2 and 2.1: the image fills the whole input.
SAM2 = Normalized("sam2", squash=True)
#: SAM 3: the same, with other statistics.
SAM3 = Normalized("sam3", squash=True, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
