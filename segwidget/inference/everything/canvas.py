"""From low-resolution logits to a mask of the image, without a full-size map of logits.

A pixel's logit is a weighted mean of a few neighboring samples, whichever way the network's frame
goes from samples to pixels. So pixels whose samples are all below a threshold are below it too:
only the window of the others is enlarged, some rows at a time, in a buffer that stays in the
processor's cache. The counts are those of the whole map.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwidget.inference.preprocessing import Frame, interpolation
from segwidget.inference.rle import runs_of_box

# Pixels along an axis that are enlarged at once, at most: 64 x 1,500 logits are 384 kB.
STEP = 64
# Multiplications of one product, at most. NumPy's BLAS keeps so small ones on the caller's thread;
# waking its other threads, which compete with PyTorch's, may cost a hundred times the product.
_PRODUCT = 1 << 18


class Window(NamedTuple):
    """The part of low-resolution logits that matters.

    Attributes:
        logits: float32 ``(rows, columns)``.
        row: of its first row.
        column: of its first column.
    """

    logits: NDArray[np.float32]
    row: int
    column: int


class Measured(NamedTuple):
    """What a mask is like, at the image's size.

    Attributes:
        high: pixels above the threshold and the offset.
        low: pixels above the threshold less the offset.
    """

    high: int
    low: int

    @property
    def stability(self) -> np.float32:
        """Their ratio, the stability score; 0 where there is nothing."""
        return np.float32(self.high) / np.float32(max(self.low, 1))


class _Axis:
    """Which samples make up which pixels, along one axis.

    Attributes:
        matrix: ``(pixels, samples)``; a row is a pixel's weights, which add up to 1.
        first: each pixel's first sample with a weight.
        last: each pixel's last.
        reach: how many samples at most lie between the two.
    """

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        weighs = matrix != 0
        self.first = weighs.argmax(axis=1)
        self.last = matrix.shape[1] - 1 - weighs[:, ::-1].argmax(axis=1)
        self.reach = int((self.last - self.first).max())
        self.samples = int(self.last[-1]) + 1
        self.matrix = np.ascontiguousarray(matrix[:, : self.samples])

    def pixels(self, start: int, stop: int) -> tuple[int, int]:
        """The range of pixels that are made of the samples ``start`` to ``stop`` alone."""
        low = int(np.searchsorted(self.first, start, "left"))
        return low, max(low, int(np.searchsorted(self.last, stop, "left")))

    def step(self, others: int) -> int:
        """How many pixels to enlarge at once, by so many of the other axis."""
        step = STEP
        density = self.samples / len(self.first)
        while step > 1 and step * (density * step + self.reach + 1) * others > _PRODUCT:
            step //= 2
        return step


class Canvas:
    """Enlarges logits of one crop, into buffers that are used again and again.

    Args:
        frame: how the crop lies in the network's input.
        offset: see `measure`.
        threshold: logits above it are inside.
    """

    def __init__(self, frame: Frame, offset: float = 1.0, threshold: float = 0.0) -> None:
        self._rows = _Axis(_weights(frame, frame.height, 1))
        self._columns = _Axis(_weights(frame, frame.width, 0))
        self._across = np.ascontiguousarray(self._columns.matrix.T)  # (samples, pixels)
        self.high, self.middle, self.low = (
            np.float32(threshold + by) for by in (offset, 0.0, -offset)
        )
        self._wide = np.empty(self._rows.samples * frame.width, np.float32)
        self._block = np.empty(STEP * frame.width, np.float32)
        self._above = np.empty(STEP * frame.width, bool)
        self._mask = np.empty(frame.height * frame.width, bool)

    @property
    def nbytes(self) -> int:
        """Bytes of its buffers and matrices."""
        arrays = (self._wide, self._block, self._above, self._mask, self._across,
                  self._rows.matrix, self._columns.matrix)  # fmt: skip
        return sum(array.nbytes for array in arrays)

    @property
    def seen_bytes(self) -> int:
        """Bytes of one mask's logits, at most."""
        return 4 * self._rows.samples * self._columns.samples

    def seen(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """The ``(rows, columns)`` of logits ``(..., s, s)`` that weigh in any pixel."""
        return logits[..., : self._rows.samples, : self._columns.samples]

    def window(self, logits: NDArray[np.float32]) -> Window | None:
        """The part of ``(s, s)`` logits that decides where the mask is, as a view; None if nowhere.

        Beside the samples above the lower threshold it holds all that share a pixel with them.
        """
        seen = self.seen(logits)
        above = seen > self.low
        rows, columns = np.flatnonzero(above.any(axis=1)), np.flatnonzero(above.any(axis=0))
        if not len(rows):
            return None
        row = max(int(rows[0]) - self._rows.reach, 0)
        column = max(int(columns[0]) - self._columns.reach, 0)
        return Window(
            seen[
                row : int(rows[-1]) + 1 + self._rows.reach,
                column : int(columns[-1]) + 1 + self._columns.reach,
            ],
            row,
            column,
        )

    def measure(self, window: Window) -> tuple[Measured, Piece]:
        """Count the pixels above the thresholds, and threshold the mask.

        Returns:
            The counts, and the mask, which is overwritten by the next call.
        """
        small, row, column = window
        y0, y1 = self._rows.pixels(row, row + len(small))
        x0, x1 = self._columns.pixels(column, column + small.shape[1])
        width, height = x1 - x0, y1 - y0
        wide = self._wide[: len(small) * width].reshape(len(small), width)
        step = self._columns.step(len(small))
        for x in range(x0, x1, step):
            end = min(x + step, x1)
            a, b = int(self._columns.first[x]), int(self._columns.last[end - 1]) + 1
            part = small[:, a - column : b - column] @ self._across[a:b, x:end]
            wide[:, x - x0 : end - x0] = part
        mask = self._mask[: height * width].reshape(height, width)
        high = low = 0
        step = self._rows.step(width)
        for y in range(y0, y1, step):
            end = min(y + step, y1)
            size = (end - y) * width
            a, b = int(self._rows.first[y]), int(self._rows.last[end - 1]) + 1
            block = self._block[:size].reshape(end - y, width)
            above = self._above[:size].reshape(end - y, width)
            np.matmul(self._rows.matrix[y:end, a:b], wide[a - row : b - row], out=block)
            high += int(np.count_nonzero(np.greater(block, self.high, out=above)))
            low += int(np.count_nonzero(np.greater(block, self.low, out=above)))
            np.greater(block, self.middle, out=mask[y - y0 : end - y0])
        return Measured(high, low), Piece(mask, x0, y0)


class Piece(NamedTuple):
    """A part of a mask; around it there is nothing.

    Attributes:
        mask: ``(h, w)`` bool.
        x: of its left edge, in pixels of the whole.
        y: of its upper edge.
    """

    mask: NDArray[np.bool_]
    x: int
    y: int

    def moved(self, x: int, y: int) -> Piece:
        """The same, in a larger whole."""
        return Piece(self.mask, self.x + x, self.y + y)

    def box(self) -> tuple[int, int, int, int] | None:
        """The tight box ``(x0, y0, x1, y1)``, right and lower edge exclusive; None if empty."""
        columns = np.flatnonzero(self.mask.any(axis=0))
        if not len(columns):
            return None
        rows = np.flatnonzero(self.mask.any(axis=1))
        return (
            self.x + int(columns[0]),
            self.y + int(rows[0]),
            self.x + int(columns[-1]) + 1,
            self.y + int(rows[-1]) + 1,
        )

    def runs(self, width: int, height: int) -> NDArray[np.int64]:
        """Run lengths of the whole mask ``(height, width)``, as COCO counts them.

        They go down the columns, left to right, and take turns: outside first, then inside.
        """
        return runs_of_box(self.mask, self.x, self.y, (height, width))


def unroll(runs: NDArray[np.int64], width: int, height: int) -> NDArray[np.bool_]:
    """The mask ``(height, width)`` of run lengths."""
    inside = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)


def _weights(frame: Frame, pixels: int, axis: int) -> NDArray[np.float32]:
    """The matrix ``(pixels, samples)`` by which a frame enlarges logits along an axis."""
    if not frame.two_steps:
        rows, columns = frame.logits_shape
        return np.asarray(
            interpolation(pixels, (columns, rows)[axis], frame.logits_scale[axis]).numpy()
        )
    seen = frame.resized[axis]
    step = frame.logits_size / frame.input_size
    to_input = interpolation(frame.input_size, frame.logits_size, step)[:seen]
    matrix: NDArray[np.float32] = (interpolation(pixels, seen, seen / pixels) @ to_input).numpy()
    return matrix
