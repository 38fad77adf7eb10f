"""Small annotations for tests of the store."""

import numpy as np

from segwidget.annotation.annotation import Annotation


def square(n=0, label="car", **fields):
    """A square of 4 x 4 on an image of 12 x 20; `n` says where, `fields` are the annotation's."""
    mask = np.zeros((12, 20), bool)
    mask[2:6, n % 15 : n % 15 + 4] = True
    return Annotation.from_mask(mask, label=label, **fields)
