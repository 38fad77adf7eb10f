"""A tiny set of drawn images with masks, as shards."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.inference.rle import Rle

COLORS = ([230, 60, 40], [40, 90, 230], [60, 200, 80], [240, 220, 60])


def draw_image(rng, height=72, width=96):
    """Two colored rectangles on noise, and their masks."""
    pixels = rng.integers(90, 120, (height, width, 3)).astype(np.uint8)
    masks = np.zeros((2, height, width), bool)
    for half, mask in enumerate(masks):
        x, y = rng.integers(4, 16, 2)
        mask[y : y + rng.integers(25, 50), half * 48 + x : half * 48 + x + rng.integers(15, 28)] = (
            True
        )
        pixels[mask] = COLORS[rng.integers(len(COLORS))]
    return pixels, masks


def write_set(path, images):
    """A shard of ``(pixels, masks)`` pairs."""
    with tarfile.open(path, "w") as tar:
        for index, (pixels, masks) in enumerate(images):
            picture = io.BytesIO()
            PILImage.fromarray(pixels).save(picture, "PNG")
            record = {"masks": [Rle.encode(mask).to_dict() for mask in masks]}
            for suffix, data in (
                ("png", picture.getvalue()),
                ("json", json.dumps(record).encode()),
            ):
                info = tarfile.TarInfo(f"{index:05}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """A folder of two sets of four drawn images each."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(0)
    for name in ("bsds500", "other"):
        write_set(folder / f"{name}.tar", [draw_image(rng) for _ in range(4)])
    return folder
