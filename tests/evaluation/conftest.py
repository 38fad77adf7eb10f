"""A tiny set of drawn images with masks."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.inference.rle import Rle


def draw_image(index, height=60, width=80):
    """A bright square and a gray bar on black, and their masks; the third mask is one pixel."""
    pixels = np.zeros((height, width, 3), np.uint8)
    masks = np.zeros((3, height, width), bool)
    masks[0, 10 + index : 31 + index, 8 : 33 + index] = True
    masks[1, 45:54, 20:76] = True
    masks[2, 1, 1] = True
    for mask, color in zip(masks, ([255, 240, 0], [90, 90, 90], [0, 0, 255]), strict=True):
        pixels[mask] = color
    return pixels, masks


def write_set(path, count):
    """A shard of ``count`` drawn images."""
    images = (draw_image(index) for index in range(count))
    return write_shard(
        path, [(pixels, [Rle.encode(mask).to_dict() for mask in masks]) for pixels, masks in images]
    )


def write_shard(path, images):
    """A shard of images, each its pixels and its masks as they stand in JSON."""
    with tarfile.open(path, "w") as tar:
        for index, (pixels, masks) in enumerate(images):
            picture = io.BytesIO()
            PILImage.fromarray(pixels).save(picture, "PNG")
            record = {"masks": masks}
            for suffix, data in (
                ("png", picture.getvalue()),
                ("json", json.dumps(record).encode()),
            ):
                info = tarfile.TarInfo(f"{path.stem}-{index:05}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """A folder of two sets: ``davis2016`` (a natural one) of three images, ``other`` of two."""
    folder = tmp_path_factory.mktemp("shards")
    write_set(folder / "davis2016.tar", 3)
    write_set(folder / "other.tar", 2)
    return folder
