"""The figures, by what they hold."""

import numpy as np
import pytest

from segwidget import plotting
from segwidget.annotation.statistics import Statistics

DRAW = [
    plotting.masks_per_image, plotting.mask_sizes, plotting.positions, plotting.concavity,
    plotting.predicted_iou, plotting.stability, plotting.seconds_per_mask,
]  # fmt: skip


def statistics(masks, images=12):
    random = np.random.default_rng(0)
    area = random.beta(0.6, 8, masks)
    seconds = np.where(np.arange(masks) % 5 == 0, 0.0, random.exponential(8, masks))
    seconds[-1:] = 900  # a coffee break
    return Statistics(
        images=images,
        masks_per_image=np.full(masks // 10, 10),
        area_fraction=area,
        relative_size=np.sqrt(area),
        centers=random.random((masks, 2)),
        concavity=random.random(masks),
        predicted_iou=np.where(np.arange(masks) % 2, 0.9, np.nan),
        stability_score=np.full(masks, np.nan),
        seconds=seconds,
        labels={"car": masks},
        origins={"assisted": masks},
    )


@pytest.mark.parametrize("draw", DRAW)
@pytest.mark.parametrize("masks", [0, 10, 100])
def test_each_figure_is_a_picture(draw, masks):
    figure = draw(statistics(masks))
    assert figure._repr_png_().startswith(b"\x89PNG")
    axes = figure.axes[0]
    assert axes.get_title(loc="left")
    empty = [text.get_text() for text in axes.texts] == ["nothing yet"]
    expected = not masks and draw is not plotting.masks_per_image
    assert empty == (expected or draw is plotting.stability)  # nobody spoke of stability


def test_bars_count_images_and_sum_to_one():
    figure = plotting.masks_per_image(statistics(100, images=12))
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert sum(heights) == 12
    assert heights[0] == 2  # two images have no masks
    figure = plotting.mask_sizes(statistics(100))
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == pytest.approx(1)


def test_one_long_pause_does_not_press_the_rest_flat():
    axes = plotting.seconds_per_mask(statistics(100)).axes[0]
    assert axes.get_ylim()[1] < 100
    assert any("above" in text.get_text() for text in axes.texts)


def test_running_median():
    values = np.array([1.0, 9, 2, 8, 3])
    np.testing.assert_array_equal(plotting.running_median(values, 3), [5, 2, 8, 3, 5.5])
    np.testing.assert_array_equal(plotting.running_median(values, 1), values)


def test_the_overview_has_all():
    figure = plotting.overview(statistics(100))
    titles = {axes.get_title(loc="left") for axes in figure.axes} - {""}
    assert len(titles) == len(DRAW)
    assert figure.get_suptitle() == "100 masks on 10 of 12 images"
