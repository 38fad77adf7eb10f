"""Muon for matrices and kernels, AdamW for the rest, behind the interface of one optimizer.

Muon (Jordan et al., 2024) makes the momentum of each matrix orthogonal before it is applied. At
this size it learns from the same batches distinctly faster than AdamW; what it costs is a tenth of
a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Smaller matrices have no spectrum worth flattening.
LEAST_SIDE = 16
# Tables of vectors, and last layers of a few outputs, which Muon is known not to suit.
NOT_MATRICES = ("embed", "token", "hypernetworks", "iou", "position", "stem")


class MatrixOptimizer:
    """Optimizes a network's matrices and kernels by Muon, everything else by AdamW.

    Both get the same learning rate: Muon's updates are scaled to the root mean square of AdamW's.

    Args:
        model: the network; its kernels should be in channels-last order, which Muon's matrices
            share memory with.
        others: parameters outside of it, for AdamW without decay.
        lr: learning rate.
        weight_decay: of matrices and kernels.

    Raises:
        ValueError: a kernel is not in channels-last order.
        RuntimeError: this torch has no Muon; 2.9 was the first.
    """

    def __init__(
        self, model: nn.Module, others: list[nn.Parameter], lr: float, weight_decay: float
    ) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise RuntimeError(
                f"The recipe needs torch 2.9 or later; this is {torch.__version__}. "
                "Upgrade it with: pip install -U torch"
            )
        self.kernels: list[nn.Parameter] = []
        matrices: list[nn.Parameter] = []
        vectors = list(others)
        for name, p in model.named_parameters():
            if is_matrix(name, p):
                self.kernels.append(p)
                if as_matrix(p).data_ptr() != p.data_ptr():
                    raise ValueError(
                        f"{name} is not in channels-last order. Call "
                        "model.to(memory_format=torch.channels_last) first."
                    )
            else:
                (matrices if p.ndim > 1 else vectors).append(p)
        self.views = [nn.Parameter(as_matrix(p.detach())) for p in self.kernels]
        self.muon = torch.optim.Muon(
            self.views, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self.adamw = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=lr,
            betas=(0.9, 0.98),
            fused=True,
        )

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of both."""
        for group in self.muon.param_groups + self.adamw.param_groups:
            group["lr"] = lr

    def step(self) -> None:
        """Apply the gradients."""
        for kernel, view in zip(self.kernels, self.views, strict=True):
            view.grad = None if kernel.grad is None else as_matrix(kernel.grad)
        self.muon.step()
        self.adamw.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.kernels:
            p.grad = None
        self.adamw.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """The state of both, to be saved."""
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.muon.load_state_dict(state["muon"])
        self.adamw.load_state_dict(state["adamw"])


def is_matrix(name: str, p: Tensor) -> bool:
    """Whether a parameter is a matrix or kernel that Muon suits."""
    if p.ndim < 2 or any(part in name for part in NOT_MATRICES):
        return False
    return min(p.shape[0], p.numel() // p.shape[0]) >= LEAST_SIDE


def as_matrix(x: Tensor) -> Tensor:
    """A kernel ``(C', C, k, k)`` as ``(C', k * k * C)``; shares memory if it is channels-last."""
    return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x
