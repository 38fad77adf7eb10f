"""Which answers are shown, and that they are."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwidget.evaluation.examples import choose, examples
from segwidget.evaluation.protocol import COLUMNS, Measurement, Sampling, find_shards, sample
from segwidget.evaluation.report import Report


def measured(image, value, mask=0, name="set"):
    ious = dict.fromkeys(COLUMNS, value)
    return Measurement(name, image, mask, 0.1, ious, {}, (value,), dict(ious))


def test_worst_median_and_best():
    given = [measured(str(i), i / 20) for i in range(20)][::-1]
    rows = choose(given, "1 click", 3)
    values = {name: [round(20 * m.iou["1 click"]) for m in row] for name, row in rows.items()}
    assert values == {"worst": [0, 1, 2], "median": [8, 9, 10], "best": [19, 18, 17]}


def test_each_image_is_shown_once():
    given = [measured("a", v, i) for i, v in enumerate([0.1, 0.2, 0.3])]
    given += [measured("b", 0.6, 0), measured("b", 0.9, 1), measured("c", 0.5)]
    rows = choose(given, "1 click")
    assert [(m.image, m.mask) for row in rows.values() for m in row] == [
        ("a", 0),
        ("c", 0),
        ("b", 1),
    ]
    assert choose(given[:1], "1 click") == {"worst": given[:1]}


class Scored(NamedTuple):
    mask: NDArray[np.bool_]
    predicted_iou: None = None


class Half:
    """Answers with the upper half of the image."""

    name = "half"

    def set_image(self, pixels):
        self.mask = np.zeros(pixels.shape[:2], bool)
        self.mask[: len(self.mask) // 2] = True

    def click(self, points):
        self.asked = points
        return [Scored(self.mask)]


def test_pictures_are_drawn(shards):
    images = [i for shard in find_shards(shards) for i in sample(shard, Sampling())]
    measurements = tuple(
        measured(image.item.name, 0.1 * n, image.chosen[0], image.set)
        for n, image in enumerate(images)
    )
    segmenter = Half()
    figure = examples(segmenter, Report("half", Sampling(), measurements), images)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["worst: 0.00, davis2016", "median: 0.20, davis2016", "best: 0.40, other"]
    assert len(segmenter.asked) == 1
    for axes in figure.axes:
        (click,) = (line for line in axes.lines if line.get_marker() == "o")
        x, y = float(click.get_xdata()[0]), float(click.get_ydata()[0])
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        assert left < x < right
        assert top < y < bottom
        assert len(axes.collections) == 2  # two outlines
