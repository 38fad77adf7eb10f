"""Linear layers for inference on a CPU, in the three ways that PyTorch can compute them.

Which is the fastest depends on the processor: one library's matrix product is made for one maker's,
and another library, which is only reached through convolutions, may be twice as fast elsewhere.
All give the same numbers up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel: TypeAlias = Literal["matmul", "convolution", "packed"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)


def can_pack() -> bool:
    """Whether this build of PyTorch can keep weights in the order that oneDNN wants."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_reorder_linear_weight", "_linear_pointwise")
    )


class FastLinear:
    """A linear layer, with or without a GELU after it.

    Args:
        weight: ``(cout, cin)``, on the CPU.
        bias: ``(cout,)``.
        dtype: of input, weights and output.
        kernel: how it is computed; ``"packed"`` where :func:`can_pack`.
        gelu: apply a GELU (exact) to the output.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        dtype: torch.dtype = torch.float32,
        kernel: Kernel = "matmul",
        *,
        gelu: bool = False,
    ) -> None:
        self.cin = weight.shape[1]
        self._bias = bias.detach().to(dtype)
        self._gelu = gelu
        weight = weight.detach().to(dtype)
        makers: dict[Kernel, Callable[[Tensor], Callable[[Tensor], Tensor]]] = {
            "matmul": self._matmul,
            "convolution": self._convolution,
            "packed": self._packed,
        }
        self._run = makers[kernel](weight)

    def __call__(self, x: Tensor) -> Tensor:
        """``(N, cin)``, contiguous, to ``(N, cout)``."""
        return self._run(x)

    def _matmul(self, weight: Tensor) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            return self._activate(F.linear(x, weight, self._bias))

        return run

    def _convolution(self, weight: Tensor) -> Callable[[Tensor], Tensor]:
        kernel = weight.view(*weight.shape, 1, 1).contiguous(memory_format=torch.channels_last)

        def run(x: Tensor) -> Tensor:
            pixels = x.view(1, 1, -1, self.cin).permute(0, 3, 1, 2)  # a row of channels-last pixels
            y = F.conv2d(pixels, kernel, self._bias)
            return self._activate(y.permute(0, 2, 3, 1).view(len(x), -1))

        return run

    def _packed(self, weight: Tensor) -> Callable[[Tensor], Tensor]:
        ops: Any = torch.ops.mkldnn
        packed = ops._reorder_linear_weight(weight)
        after: tuple[str, list[float], str]
        after = ("gelu", [], "none") if self._gelu else ("none", [], "")

        def run(x: Tensor) -> Tensor:
            y: Tensor = ops._linear_pointwise(x, packed, self._bias, *after)
            return y

        return run

    def _activate(self, x: Tensor) -> Tensor:
        return torch.ops.aten.gelu_(x) if self._gelu else x
