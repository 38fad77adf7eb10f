"""How much memory everything mode takes, and how many points it therefore asks about at once."""

from __future__ import annotations

import statistics
from pathlib import Path

import psutil
import torch

from segwidget.errors import ResourceError
from segwidget.inference.network import Network, SamNetwork
from segwidget.inference.preprocessing import Frame

# Batches that are tried, on a processor and on a GPU.
CPU_SIZES = (1, 2, 4)
GPU_SIZES = (4, 16, 64)
TRIALS = 2  # of each
# Of the free memory, what is left to others; and the least that is left.
SPARED, LEAST_SPARED = 0.2, 256 << 20
# Of the budget, what found masks may take before they are kept as run lengths.
HELD, LEAST_HELD = 0.25, 16 << 20

# Values that a decoder holds at its busiest, for each point and each pixel of its low-resolution
# logits: our own measures 64 at all published sizes, SAM's published one 96. The tests measure it.
_OURS, _OTHERS = 80, 160


def prompt_bytes(network: Network, frame: Frame) -> int:
    """Bytes that each point of a batch takes while it is answered, at most."""
    ours = isinstance(network, SamNetwork) and network.device.type == "cpu"
    values = _OURS if ours else _OTHERS
    return 4 * values * frame.logits_size**2


def free_bytes(device: torch.device) -> int:
    """Bytes that may be taken: what the system, or the container around it, or the GPU has left."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return min(int(psutil.virtual_memory().available), _container_bytes())


def _container_bytes(root: Path = Path("/sys/fs/cgroup")) -> int:
    """What the control group has left (version 2, then 1); without a limit, a very large number."""
    unlimited = 1 << 62
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = int((root / limit).read_text())
            return max(0, most - int((root / used).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return unlimited


class Budget:
    """What may be used beyond the model, the image and its embedding.

    Args:
        total: bytes; None takes what is free, and leaves some.
        per_prompt: bytes that each point of a batch takes.
        fixed: bytes of buffers.
        most_held: bytes that found masks take as logits, if all are kept so.
        device: where the network runs.

    Attributes:
        held: bytes that found masks may take as logits.
        max_batch: how many points fit.
        sizes: of batches to try.

    Raises:
        ResourceError: not even one point fits.
    """

    def __init__(
        self,
        total: int | None,
        per_prompt: int,
        fixed: int,
        most_held: int,
        device: torch.device,
    ) -> None:
        if total is None:
            free = free_bytes(device)
            total = free - max(int(SPARED * free), min(LEAST_SPARED, free // 2))
        self.total, self.per_prompt, self.fixed = total, per_prompt, fixed
        self.held = min(most_held, max(int(HELD * total), LEAST_HELD))
        room = total - fixed - self.held
        if room < per_prompt:  # small budgets: masks as run lengths at once
            self.held = 0
            room = total - fixed
        self.max_batch = room // per_prompt
        if self.max_batch < 1:
            raise ResourceError(
                f"Everything mode needs about {_megabytes(fixed + per_prompt)} for one point at a "
                f"time, and {_megabytes(total)} are to be used. Close other programs, raise "
                "memory_budget, or take a smaller image or model."
            )
        sizes = GPU_SIZES if device.type == "cuda" else CPU_SIZES
        self.sizes = tuple(size for size in sizes if size <= self.max_batch) or (self.max_batch,)

    def predicted(self, batch: int) -> int:
        """Bytes that are used at most with batches of this size."""
        return self.fixed + self.held + batch * self.per_prompt


class BatchSize:
    """Chooses how many points are asked about at once, by timing the first batches.

    Args:
        sizes: that are tried; a single one is taken without trial.
        trials: how often each is timed. The very first batch is not: it pays for starting up.
    """

    def __init__(self, sizes: tuple[int, ...], trials: int = TRIALS) -> None:
        self._sizes = sizes
        self._plan = [] if len(sizes) == 1 else [sizes[0], *(list(sizes) * trials)]
        self._warm = False
        self._seconds: dict[int, list[float]] = {}
        self.chosen: int | None = sizes[0] if len(sizes) == 1 else None

    @property
    def next(self) -> int:
        """How many points to ask about now."""
        return self._plan[0] if self.chosen is None else self.chosen

    def record(self, size: int, seconds: float) -> None:
        """Take note of a batch that was answered; one cut short by the end says nothing."""
        if self.chosen is not None or size != self._plan[0]:
            return
        self._plan.pop(0)
        if self._warm:
            self._seconds.setdefault(size, []).append(seconds / size)
        self._warm = True
        if not self._plan:
            self.chosen = min(self._seconds, key=lambda n: statistics.median(self._seconds[n]))

    def shrink(self) -> None:
        """Halve the batches: memory ran out.

        Raises:
            ResourceError: it is one point already.
        """
        if self.next == 1:
            raise ResourceError(
                "Memory ran out with one point at a time. Close other programs or images, or take "
                "a smaller image or model; what was found so far was handed over as it was found."
            )
        self.chosen = self.next // 2


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, as NumPy or PyTorch say it."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    signs = ("not enough memory", "DefaultCPUAllocator", "out of memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
