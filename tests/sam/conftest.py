"""A small SAM with every mechanism of the published one, random weights of sane size, prompts."""

from dataclasses import dataclass
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segwidget.sam.image_encoder import ImageEncoderViT
from segwidget.sam.mask_decoder import MaskDecoder
from segwidget.sam.prompt_encoder import PromptEncoder
from segwidget.sam.sam import Sam
from segwidget.sam.transformer import TwoWayTransformer


@dataclass(frozen=True)
class Sizes:
    """The sizes of a SAM. The small one's are unlike each other, so that a mix-up shows."""

    img_size: int = 192  # 12 patches a side: windows of 5 need 3 of padding
    patch_size: int = 16
    embed_dim: int = 48
    depth: int = 4
    num_heads: int = 3
    mlp_ratio: float = 3.0
    window_size: int = 5
    global_attn_indexes: tuple[int, ...] = (1, 3)
    out_chans: int = 64
    mask_in_chans: int = 12
    decoder_heads: int = 4
    decoder_mlp_dim: int = 96
    iou_head_hidden_dim: int = 40

    @property
    def side(self):
        """Cells along a side of the image embedding."""
        return self.img_size // self.patch_size


VIT_B = Sizes(1024, 16, 768, 12, 12, 4.0, 14, (2, 5, 8, 11), 256, 16, 8, 2048, 256)


@dataclass(frozen=True)
class Prompts:
    """Prompts on one image, as ``Sam.decode`` takes them."""

    points: tuple[Tensor, Tensor] | None = None
    boxes: Tensor | None = None
    masks: Tensor | None = None

    @property
    def count(self):
        """How many prompts, each of which is answered with its own masks."""
        coords = None if self.points is None else self.points[0]
        return max(len(x) for x in (coords, self.boxes, self.masks) if x is not None)


PROMPT_KINDS = [
    "point",
    "points",
    "box",
    "box and points",
    "mask",
    "mask and points",
    "mask and box",
    "batch of points",
    "batch of boxes",
    "batch of boxes and points",
    "batch of points and one mask",
    "batch of points and a mask each",
]


def _make_prompts(kind, img_size):
    generator = torch.Generator().manual_seed(0)
    count = 3 if kind.startswith("batch") else 1
    points = boxes = masks = None
    if "point" in kind:
        length = 1 if kind == "point" else 4
        coords = img_size * torch.rand(count, length, 2, generator=generator)
        labels = torch.tensor([1, 0, 1, 1])[:length].repeat(count, 1)
        labels[1:, 0] = 0
        points = coords, labels
    if "box" in kind:
        low = 0.5 * torch.rand(count, 2, generator=generator)
        high = low + 0.1 + 0.4 * torch.rand(count, 2, generator=generator)
        boxes = img_size * torch.cat([low, high], dim=1)
    if "mask" in kind:
        side = img_size // 4
        number = 3 if "each" in kind else 1
        masks = 5 * torch.randn(number, 1, side, side, generator=generator)
    return Prompts(points, boxes, masks)


def _random_state(network, seed=0):
    """Weights with which every activation is of the order of one.

    Freshly made weights would be a poor test: positions start at zero, and much of the rest would
    drown in the tolerance.
    """
    fan_in, gains = {}, set()
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            fan_in[f"{name}.weight"] = module.weight[0].numel()
        elif isinstance(module, nn.ConvTranspose2d):  # its 2x2 windows do not overlap
            fan_in[f"{name}.weight"] = module.in_channels
        elif "Norm" in type(module).__name__:
            gains.add(f"{name}.weight")
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, like in network.state_dict().items():
        x = torch.randn(like.shape, generator=generator)
        if not like.is_floating_point():
            state[key] = like.clone()
        elif key in fan_in:
            state[key] = x / fan_in[key] ** 0.5
        elif key in gains:
            state[key] = 1 + 0.2 * x
        elif key.endswith("bias"):
            state[key] = 0.2 * x
        else:  # tokens, frequencies, absolute and relative positions
            state[key] = 0.7 * x
    return state


def _make_pixels(count, img_size):
    """Normalized images ``(count, 3, S, S)`` with structure at every scale."""
    generator = torch.Generator().manual_seed(1)
    image = torch.zeros(count, 3, img_size, img_size)
    for side in (4, 16, img_size):
        noise = torch.randn(count, 3, side, side, generator=generator)
        image += F.interpolate(noise, (img_size, img_size), mode="bilinear")
    return image


def _predict(sam, features, prompts, multimask_output):
    sparse, dense = sam.prompt_encoder(prompts.points, prompts.boxes, prompts.masks)
    return sam.mask_decoder(
        features.embedding, sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output
    )


def _assert_parity(ours, theirs, tolerance=1e-4):
    """Equal within ``tolerance``, and neither constant nor tiny, or it would mean nothing."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype == torch.float32
    assert theirs.std() > 0.1, f"the reference hardly varies: {theirs.std():.2g}"
    difference = (ours - theirs).abs().max().item()
    assert difference < tolerance, f"differs by {difference:.2g}"


@pytest.fixture(scope="package", autouse=True)
def _one_thread():
    """Small networks lose more by waiting for a busy core than they gain by a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="session")
def random_state():
    return _random_state


@pytest.fixture(scope="session")
def make_prompts():
    return _make_prompts


@pytest.fixture(scope="session")
def make_pixels():
    return _make_pixels


@pytest.fixture(scope="session")
def predict():
    """Low-resolution logits and predicted IoUs, by way of the decoder's ``forward``."""
    return _predict


@pytest.fixture(scope="session")
def assert_parity():
    return _assert_parity


@pytest.fixture(scope="session")
def sizes():
    return Sizes()


@pytest.fixture(scope="session")
def vit_b_sizes():
    return VIT_B


def build_own(sizes):
    """Our network at those sizes, with fresh weights."""
    return Sam(
        ImageEncoderViT(
            sizes.img_size,
            sizes.patch_size,
            embed_dim=sizes.embed_dim,
            depth=sizes.depth,
            num_heads=sizes.num_heads,
            mlp_ratio=sizes.mlp_ratio,
            out_chans=sizes.out_chans,
            window_size=sizes.window_size,
            global_attn_indexes=sizes.global_attn_indexes,
        ),
        PromptEncoder(
            sizes.out_chans,
            (sizes.side, sizes.side),
            (sizes.img_size, sizes.img_size),
            sizes.mask_in_chans,
        ),
        MaskDecoder(
            transformer_dim=sizes.out_chans,
            transformer=TwoWayTransformer(
                2, sizes.out_chans, sizes.decoder_heads, sizes.decoder_mlp_dim
            ),
            iou_head_hidden_dim=sizes.iou_head_hidden_dim,
        ),
    ).eval()


@pytest.fixture(scope="session")
def build_small(sizes):
    return partial(build_own, sizes)


@pytest.fixture(scope="session")
def small_sam(build_small):
    sam = build_small()
    sam.load_state_dict(_random_state(sam), strict=True)
    return sam


@pytest.fixture(scope="session")
def pixels(sizes):
    """Two images."""
    return _make_pixels(2, sizes.img_size)


@pytest.fixture(scope="session")
def features(small_sam, pixels):
    """What the small SAM's encoder makes of the first image."""
    with torch.no_grad():
        return small_sam.encode(pixels[:1])


@pytest.fixture(params=PROMPT_KINDS)
def prompts(request, sizes):
    return _make_prompts(request.param, sizes.img_size)


@pytest.fixture(params=[False, True], ids=["single mask", "three masks"])
def multimask_output(request):
    return request.param
