"""Masks as COCO's compressed run lengths.

The runs go down the columns, left to right, and take turns: outside first, then inside. COCO packs
them into text, five bits a character, each run from the fourth on as its difference to the run two
before it (`rleToString` in pycocotools). pycocotools does the work on masks; it trusts its input,
and a damaged text can crash the interpreter, so the text is unpacked and checked here first.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pycocotools.mask as coco
from numpy.typing import NDArray

from segwidget.errors import AnnotationError

MAX_PIXELS = 2**30  # a short text may claim a mask that no memory holds
_STRIP_PIXELS = 2**22  # of a mask that are looked at together
_MAX_CHARACTERS = 7  # of one run: 35 bits hold any difference of two runs below 2**32


@dataclass(frozen=True)
class Rle:
    """One mask, immutable and small; equal masks are equal and hash alike.

    Attributes:
        size: (height, width) in pixels.
        counts: COCO's compressed run lengths.

    Raises:
        AnnotationError: an impossible size, or counts that are damaged or do not fill the size.
    """

    size: tuple[int, int]
    counts: str

    def __post_init__(self) -> None:
        size = _checked_size(self.size)
        counts: Any = self.counts
        if isinstance(counts, bytes):
            counts = counts.decode("ascii", "replace")
        if not isinstance(counts, str):
            raise AnnotationError(
                f"The counts of a mask are {type(counts).__name__}; expected COCO's compressed "
                "text. For a list of run lengths, use Rle.from_runs(size, runs)."
            )
        runs = unpack(counts)
        _check_runs(runs, size)
        # Empty runs inside say nothing, and pycocotools measures them wrongly; many a writer pads.
        if not runs[1:].all():
            runs = _without_empty_runs(runs)
            counts = pack(runs)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "counts", counts)

    @classmethod
    def encode(cls, mask: NDArray[Any]) -> Rle:
        """Encode a mask.

        Args:
            mask: (H, W), bool; or numbers of which one is 0 and at most one other occurs.

        Raises:
            AnnotationError: another shape, no pixels, or an array of several labels.
        """
        array = np.asarray(mask)
        if array.ndim != 2 or array.size == 0:
            raise AnnotationError(
                f"A mask has the shape {array.shape}; expected (H, W) with at least one pixel. "
                "Pass one mask at a time."
            )
        if array.dtype != np.bool_:
            array = _as_bool(array)
        packed: Any = coco.encode(np.asfortranarray(array.view(np.uint8)))
        return cls._trusted((array.shape[0], array.shape[1]), packed["counts"].decode("ascii"))

    @classmethod
    def encode_box(
        cls, mask: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]
    ) -> Rle:
        """Encode a mask of which only a box is given; around it there is nothing.

        The same as `encode` of the whole mask, which may be too large to be made.

        Args:
            mask: (h, w) bool, what is inside the box.
            corner: (x, y) of the box's upper left pixel in the whole mask.
            size: (height, width) of the whole mask.

        Raises:
            AnnotationError: an impossible size, or a box that does not lie within it.
        """
        height, width = _checked_size(size)
        (x, y), (h, w) = corner, mask.shape
        if x < 0 or y < 0 or x + w > width or y + h > height:
            raise AnnotationError(
                f"A box of {w} × {h} pixels at ({x}, {y}) does not lie within a mask of "
                f"{width} × {height}. Cut it off at the edges."
            )
        return cls._trusted((height, width), pack(runs_of_box(mask, x, y, (height, width))))

    @classmethod
    def from_runs(cls, size: tuple[int, int], runs: Any) -> Rle:
        """From plain run lengths (COCO's uncompressed form).

        Args:
            size: (height, width) in pixels.
            runs: whole numbers that sum to height × width: outside, inside, outside, ...

        Raises:
            AnnotationError: an impossible size, or runs that do not fill it.
        """
        height_width = _checked_size(size)
        try:
            array = np.array([operator.index(run) for run in runs], dtype=np.int64)
        except (TypeError, OverflowError) as error:
            raise AnnotationError(
                f"The run lengths of a mask are not whole numbers: {error}. Expected a list such "
                "as [12, 3, 9]."
            ) from error
        _check_runs(array, height_width)
        return cls._trusted(height_width, pack(_without_empty_runs(array)))

    @classmethod
    def from_dict(cls, data: Any) -> Rle:
        """From COCO's `{"size": [h, w], "counts": text or list}`.

        Raises:
            AnnotationError: keys that are missing, or values that are no mask.
        """
        if not isinstance(data, Mapping) or not {"size", "counts"} <= data.keys():
            given = sorted(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
            raise AnnotationError(
                f'A mask is given as {given}; expected {{"size": [h, w], "counts": "..."}}. '
                "Encode it with Rle.encode(mask)."
            )
        counts = data["counts"]
        if isinstance(counts, list | tuple | np.ndarray):
            return cls.from_runs(data["size"], counts)
        return cls(data["size"], counts)

    def to_dict(self) -> dict[str, Any]:
        """COCO's `{"size": [h, w], "counts": text}`, ready for JSON and for pycocotools."""
        return {"size": list(self.size), "counts": self.counts}

    def decode(self) -> NDArray[np.bool_]:
        """The mask as a new C-contiguous bool array (H, W)."""
        # Not pycocotools, whose decoder warns under NumPy 2; this is as fast.
        runs = unpack(self.counts)
        inside = np.zeros(runs.size, np.bool_)
        inside[1::2] = True
        height, width = self.size
        return np.ascontiguousarray(np.repeat(inside, runs).reshape(width, height).T)

    def decode_box(
        self, box: tuple[float, float, float, float] | None = None
    ) -> tuple[NDArray[np.bool_], tuple[int, int]]:
        """The mask within a box, without making all of it.

        Args:
            box: (x0, y0, x1, y1) in whole pixels, right and lower edge exclusive; what lies outside
                of the mask is left out. By default the tight box.

        Returns:
            A new C-contiguous bool array (h, w), and the (x, y) of its upper left pixel in the
            whole mask.
        """
        height, width = self.size
        x0, y0, x1, y1 = (int(edge) for edge in (self.box if box is None else box))
        x0, y0 = min(max(x0, 0), width), min(max(y0, 0), height)
        x1, y1 = max(x0, min(x1, width)), max(y0, min(y1, height))
        ends = np.cumsum(unpack(self.counts))
        inside = np.zeros(ends.size, np.bool_)
        inside[1::2] = True
        mask = np.zeros((y1 - y0, x1 - x0), np.bool_)
        step = max(1, _STRIP_PIXELS // height)
        for left in range(x0, x1, step):
            right = min(left + step, x1)
            bounds = np.clip(ends, left * height, right * height)
            lengths = np.diff(bounds, prepend=left * height)
            columns = np.repeat(inside, lengths).reshape(right - left, height)
            mask[:, left - x0 : right - x0] = columns[:, y0:y1].T
        return mask, (x0, y0)

    @cached_property
    def area(self) -> int:
        """Pixels inside."""
        return int(coco.area(self.raw))

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """The tight box (x0, y0, x1, y1) in pixels, right and lower edge exclusive.

        A mask with nothing inside has the box (0, 0, 0, 0).
        """
        x, y, width, height = (float(value) for value in coco.toBbox(self.raw))
        return x, y, x + width, y + height

    def iou(self, other: Rle) -> float:
        """Intersection over union, from 0 to 1; two empty masks have 1, since they are equal.

        Raises:
            AnnotationError: the masks are of different size.
        """
        if self.size != other.size:
            raise AnnotationError(
                f"Masks of size {self.size} and {other.size} cannot be compared; expected the same "
                "(height, width). Take both from the same image."
            )
        if self.area == 0 and other.area == 0:
            return 1.0
        matrix: Any = coco.iou([self.raw], [other.raw], [0])
        return float(matrix[0, 0])

    @property
    def raw(self) -> Any:
        """What pycocotools takes: `size`, and `counts` as bytes."""
        return {"size": list(self.size), "counts": self.counts.encode("ascii")}

    @classmethod
    def _trusted(cls, size: tuple[int, int], counts: str) -> Rle:
        """Skip the checks, for text that was made here."""
        rle = object.__new__(cls)
        object.__setattr__(rle, "size", size)
        object.__setattr__(rle, "counts", counts)
        return rle


def unpack(counts: str) -> NDArray[np.int64]:
    """Unpack COCO's compressed text into run lengths (N,), which may still be impossible.

    Raises:
        AnnotationError: a character that does not belong there, or a text that is cut short.
    """
    try:
        code = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        code = np.array([-1])
    if code.size == 0:
        raise AnnotationError(
            "The counts of a mask are empty; expected at least one run. Encode it again."
        )
    if code.min() < 0 or code.max() > 63:
        wrong = next((c for c in counts if not "0" <= c <= "o"), counts[:1])
        raise AnnotationError(
            f"The counts of a mask hold the character {wrong!r}, which COCO's run lengths never "
            "do. Copy the text again, without escaping it."
        )
    last = np.flatnonzero((code & 32) == 0)  # the last character of each run
    if last.size == 0 or last[-1] != code.size - 1:
        raise AnnotationError("The counts of a mask are cut short. Copy the whole text again.")
    first = np.concatenate(([0], last[:-1] + 1))
    lengths = last - first + 1
    if lengths.max() > _MAX_CHARACTERS:
        raise AnnotationError(
            "The counts of a mask hold a run that is longer than any image. Encode the mask again."
        )
    place = np.arange(code.size) - np.repeat(first, lengths)
    runs: NDArray[np.int64] = np.add.reduceat((code & 31) << (5 * place), first)
    negative = (code[last] & 16) != 0
    runs[negative] -= np.int64(1) << (5 * lengths[negative])
    # From the fourth on, a run is the difference to the run two before it.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def pack(runs: NDArray[np.int64]) -> str:
    """COCO's compressed text of run lengths: the inverse of `unpack`.

    Five bits a character, the sixth says that more come. All runs at once, since pycocotools wants
    them as Python's numbers.
    """
    numbers = runs.copy()
    numbers[3:] -= runs[1:-2]
    pieces, left = [], np.arange(len(runs))  # of the runs, those that need more characters
    while len(left):
        digits = numbers & 31
        numbers >>= 5
        more = numbers != -(digits >> 4)  # what is left is not the sign alone
        pieces.append((left, (digits + 32 * more + 48).astype(np.uint8)))
        left, numbers = left[more], numbers[more]
    lengths = np.zeros(len(runs), np.int64)
    for left, _ in pieces:
        lengths[left] += 1
    starts = np.cumsum(lengths) - lengths
    text = np.empty(int(lengths.sum()), np.uint8)
    for place, (left, characters) in enumerate(pieces):
        text[starts[left] + place] = characters
    return text.tobytes().decode("ascii")


def runs_of_box(
    mask: NDArray[np.bool_], x: int, y: int, size: tuple[int, int]
) -> NDArray[np.int64]:
    """Run lengths of a whole mask that is empty outside of a box; the whole is never made.

    Args:
        mask: (h, w) bool, what is inside the box.
        x: the box's left edge, in pixels of the whole.
        y: its upper edge.
        size: (height, width) of the whole.
    """
    (h, w), (height, width) = mask.shape, size
    found = []
    step = max(1, _STRIP_PIXELS // max(1, h))
    for left in range(0, w, step):
        strip = mask[:, left : left + step]
        framed = np.zeros((strip.shape[1], h + 2), np.bool_)
        framed[:, 1:-1] = strip.T
        # Beginnings and ends, by turns; flat, since NumPy finds those sooner.
        column, row = divmod(np.flatnonzero(framed[:, 1:] ^ framed[:, :-1]), h + 1)
        found.append((column + left + x) * height + row + y)
    at = np.concatenate(found) if found else np.zeros(0, np.int64)
    # A run that ends where the next column's begins goes on.
    joined = np.flatnonzero(at[1:-1:2] == at[2::2])
    at = np.delete(at, np.concatenate([2 * joined + 1, 2 * joined + 2]))
    runs = np.diff(at, prepend=0, append=width * height)
    return runs if runs[-1] else runs[:-1]


def _without_empty_runs(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same mask with runs that take turns; only the first may be empty."""
    full = np.flatnonzero(runs)
    inside = full % 2
    starts = np.flatnonzero(np.diff(inside, prepend=-1))
    merged = np.add.reduceat(runs[full], starts)
    return np.concatenate(([0], merged)) if inside[0] else merged


def _checked_size(size: Any) -> tuple[int, int]:
    try:
        height, width = (operator.index(value) for value in size)
    except (TypeError, ValueError) as error:
        raise AnnotationError(
            f"The size of a mask is {size!r}; expected (height, width) in whole pixels."
        ) from error
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise AnnotationError(
            f"The size of a mask is {height} × {width}; expected (height, width) of at least "
            f"1 × 1 and at most {MAX_PIXELS:,} pixels in all."
        )
    return height, width


def _check_runs(runs: NDArray[np.int64], size: tuple[int, int]) -> None:
    if runs.size == 0 or runs.min() < 0:
        raise AnnotationError(
            "The counts of a mask hold a run below zero, so they are damaged. Encode it again."
        )
    pixels = size[0] * size[1]
    # Judge the largest first: a sum of damaged runs might wrap around.
    if runs.max() > pixels or int(runs.sum()) != pixels:
        raise AnnotationError(
            f"The runs of a mask do not fill its size of {size[0]} × {size[1]} = {pixels} pixels. "
            "Either is wrong; the size is (height, width)."
        )


def _as_bool(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Accept 0/1 and 0/255 masks, but not an array of several labels or of probabilities."""
    if array.dtype.kind not in "iuf":
        raise AnnotationError(
            f"A mask is of type {array.dtype}; expected bool. Compare it first: mask == value."
        )
    inside: NDArray[np.bool_] = array != 0
    values = array[inside]
    if values.size and not (values == values[0]).all():
        raise AnnotationError(
            f"A mask holds several values, such as {values[0]} and "
            f"{values[values != values[0]][0]}; expected bool. Compare it first: labels == 3, or "
            "probabilities > 0.5."
        )
    return inside
