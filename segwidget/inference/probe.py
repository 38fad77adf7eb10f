"""Which way of computing is the fastest on this computer: measured once, then remembered.

Processors differ: one library's matrix product runs at half of another's speed on some, and
bfloat16 is four times as fast as float32 on some and slower on others. A measurement takes about a
tenth of a second; its result is kept beside the cached models, for this processor, version of
PyTorch and number of threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from segwidget.inference.registry import cache_folder
from segwidget.sam.fast.linear import KERNELS, FastLinear, Kernel, can_pack

# A layer of ViT-B's MLP for 1,024 tokens: 4.8 GFLOP.
TOKENS, CHANNELS, HIDDEN = 1024, 768, 3072
RUNS = 4

_lock = threading.Lock()
_known: dict[str, dict[str, float]] = {}


def fastest_kernel(dtype: torch.dtype) -> Kernel:
    """How linear layers of this dtype are computed soonest on this computer's CPU."""
    times = measured(dtype)
    return min((k for k in KERNELS if k in times), key=times.__getitem__)


def bfloat16_pays() -> bool:
    """Whether bfloat16 is at least a third faster than float32 on this computer's CPU."""
    best = [min(measured(dtype).values()) for dtype in (torch.float32, torch.bfloat16)]
    return best[0] > 1.33 * best[1]


def measured(dtype: torch.dtype) -> dict[str, float]:
    """Seconds that each kernel takes for one layer, measured now or before."""
    name = f"{str(dtype).removeprefix('torch.')}-{_machine()}"
    with _lock:
        if name not in _known:
            path = cache_folder() / "probes" / f"{name}.json"
            times = _read(path)
            if times is None:
                times = _measure(dtype)
                _write(path, times)
            _known[name] = times
        return _known[name]


def _measure(dtype: torch.dtype) -> dict[str, float]:
    with torch.inference_mode():
        x = torch.ones(TOKENS, CHANNELS, dtype=dtype)
        weight, bias = torch.ones(HIDDEN, CHANNELS), torch.zeros(HIDDEN)
        layers: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
            kernel: FastLinear(weight, bias, dtype, kernel)
            for kernel in KERNELS
            if kernel != "packed" or can_pack()
        }
        best = dict.fromkeys(layers, float("inf"))
        for run in range(RUNS):
            for kernel, layer in layers.items():  # in turns, so that a busy moment hits all of them
                start = time.perf_counter()
                layer(x)
                if run:  # the first one warms up
                    best[kernel] = min(best[kernel], time.perf_counter() - start)
    return best


def _machine() -> str:
    """What the measurement depends on, as a short digest."""
    facts = [torch.__version__, str(torch.get_num_threads()), platform.machine(), _processor()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _processor() -> str:
    """The processor's name, and what PyTorch makes of it."""
    name = platform.processor()
    wanted = ("cpu family", "model", "model name", "stepping", "CPU implementer", "CPU part")
    try:
        first, *_ = Path("/proc/cpuinfo").read_text("utf-8", "replace").split("\n\n")
    except OSError:
        first = ""  # no Linux: its architecture has to do
    name += "|".join(ln for ln in first.splitlines() if ln.split(":")[0].strip() in wanted)
    return f"{name}|{torch.backends.cpu.get_cpu_capability()}"


def _read(path: Path) -> dict[str, float] | None:
    try:
        times = json.loads(path.read_text("utf-8"))
        good = times and all(k in KERNELS and float(v) > 0 for k, v in times.items())
        return {k: float(v) for k, v in times.items()} if good else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # not measured yet, or damaged: measure


def _write(path: Path, times: dict[str, float]) -> None:
    """Remember times; where that cannot be done, the next process measures again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(times), "utf-8")
        part.replace(path)
    except OSError:
        pass
