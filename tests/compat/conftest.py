"""The published package's network and ours with the same weights: narrow, but of full size."""

import pytest
import torch

from segwidget.compat import Sam
from tests.reference import build_reference
from tests.sam.conftest import Sizes, _random_state, build_own

# 1024 pixels and 256 x 256 logits as published. Without global attention, which takes most time.
SIZES = Sizes(
    img_size=1024,
    embed_dim=32,
    depth=2,
    num_heads=2,
    mlp_ratio=2.0,
    window_size=14,
    global_attn_indexes=(),
    out_chans=64,
)


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def published():
    """The package's network."""
    network = build_reference(SIZES)
    network.load_state_dict(_random_state(network))
    return network


@pytest.fixture(scope="package")
def own(published):
    """Ours, as the rest of segwidget has it."""
    sam = build_own(SIZES)
    sam.load_state_dict(published.state_dict(), strict=True)
    return sam


@pytest.fixture(scope="package")
def sam(own):
    """Ours, as `segwidget.compat` shows it."""
    return Sam(own)
