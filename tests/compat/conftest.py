"""The published package's network and ours with the same weights: narrow, but of full size."""

import pytest
import torch

from segwidget.compat import Sam
from segwidget.sam.image_encoder import ImageEncoderViT
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.sam import Sam as OwnSam
from segwidget.sam.transformer import TwoWayTransformer
from tests.reference import build_reference
from tests.sam.conftest import Sizes, _random_state

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
    sam = OwnSam(
        ImageEncoderViT(
            SIZES.img_size,
            SIZES.patch_size,
            embed_dim=SIZES.embed_dim,
            depth=SIZES.depth,
            num_heads=SIZES.num_heads,
            mlp_ratio=SIZES.mlp_ratio,
            out_chans=SIZES.out_chans,
            window_size=SIZES.window_size,
            global_attn_indexes=SIZES.global_attn_indexes,
        ),
        PromptEncoder(
            SIZES.out_chans,
            (SIZES.side, SIZES.side),
            (SIZES.img_size, SIZES.img_size),
            SIZES.mask_in_chans,
        ),
        MaskDecoder(
            transformer_dim=SIZES.out_chans,
            transformer=TwoWayTransformer(
                2, SIZES.out_chans, SIZES.decoder_heads, SIZES.decoder_mlp_dim
            ),
            iou_head_hidden_dim=SIZES.iou_head_hidden_dim,
        ),
    )
    sam.load_state_dict(published.state_dict(), strict=True)
    return sam.eval()


@pytest.fixture(scope="package")
def sam(own):
    """Ours, as `segwidget.compat` shows it."""
    return Sam(own)
