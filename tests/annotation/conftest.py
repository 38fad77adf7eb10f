"""Small annotations of a small image."""

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, ImageInfo
from segwidget.annotation.labels import LabelSet
from segwidget.inference.prompts import Box, Point

HEIGHT, WIDTH = 12, 20


def square(x=3, y=2, side=4):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + side, x : x + side] = True
    return mask


@pytest.fixture
def image():
    return ImageInfo("street.jpg", WIDTH, HEIGHT, "ab" * 32)


@pytest.fixture
def labels():
    return LabelSet.of({"car": "#f00", "person": None, "<b>tree</b>": "teal"})


@pytest.fixture
def annotations():
    """One with everything, one with a hole and an island, one that nobody spoke about."""
    holed = square(6, 1, 8)
    holed[4:6, 8:11] = False
    holed[11, 0] = True
    return [
        Annotation.from_mask(
            square(),
            label="car",
            predicted_iou=0.9,
            stability_score=np.float32(0.75),
            prompts=[Point(4.5, 3.5), Box(2, 1, 8, 7), Point(9, 9, 0)],
            picks=[2, 0],
            picked=1,
            model="embedded",
            checkpoint="cd" * 32,
            image="ab" * 32,
            seconds=3.25,
            visible=False,
        ),
        Annotation.from_mask(holed, label="person", prompts=[Point(7, 2)], origin="automatic"),
        Annotation.from_mask(square(15, 6, 3), label="<b>tree</b>"),
    ]
