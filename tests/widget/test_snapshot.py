"""The picture that a saved notebook keeps."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image as PILImage

from segwidget import Segmenter
from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.errors import ImageError
from segwidget.widget.snapshot import FILL, draw_masks, to_png

RED = np.array([255, 0, 0])
GREY = 100


def annotation(mask: np.ndarray, label: str = "red", **changes: object) -> Annotation:
    made = Annotation.from_mask(mask, label=label)
    return Annotation(**{**vars(made), **changes}) if changes else made


def box_mask(height: int, width: int, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def grey(width: int, height: int) -> PILImage.Image:
    return PILImage.new("RGB", (width, height), (GREY,) * 3)


LABELS = LabelSet.of({"red": "#ff0000", "blue": "#0000ff"})


def test_a_mask_is_tinted_in_its_labels_color_and_outlined() -> None:
    mask = box_mask(40, 60, 10, 10, 30, 30)
    drawn = np.asarray(draw_masks(grey(60, 40), [annotation(mask)], LABELS))
    assert (drawn[~mask] == GREY).all()
    assert np.allclose(drawn[20, 20], np.rint(GREY * (1 - FILL) + RED * FILL))
    assert (drawn[10, 10:30] == RED).all()
    assert (drawn[10:30, 29] == RED).all()


@pytest.mark.parametrize("scale", [0.5, 0.3, 1.0])
def test_a_mask_is_where_it_was_at_any_size(scale: float) -> None:
    rng = np.random.default_rng(1)
    mask = np.kron(rng.random((6, 9)) > 0.5, np.ones((10, 10), bool))
    height, width = mask.shape
    size = round(width * scale), round(height * scale)
    drawn = np.asarray(draw_masks(grey(*size), [annotation(mask)], LABELS))
    inside = (drawn != GREY).any(axis=2)
    y = ((np.arange(size[1]) + 0.5) * height / size[1]).astype(int)
    x = ((np.arange(size[0]) + 0.5) * width / size[0]).astype(int)
    assert (inside == mask[np.ix_(y, x)]).all()


def test_a_thing_smaller_than_a_pixel_takes_one_and_an_unknown_label_is_grey() -> None:
    mask = box_mask(400, 400, 399, 398, 400, 400)
    drawn = np.asarray(draw_masks(grey(20, 20), [annotation(mask, "gone")], LABELS))
    assert (drawn != GREY).any(axis=2).sum() == 1
    assert (drawn[19, 19] != GREY).any()


def test_later_masks_lie_on_top() -> None:
    whole = box_mask(10, 10, 0, 0, 10, 10)
    drawn = np.asarray(
        draw_masks(grey(10, 10), [annotation(whole), annotation(whole, "blue")], LABELS)
    )
    assert drawn[5, 5, 2] > drawn[5, 5, 0]


@pytest.mark.parametrize("limit", [300_000, 30_000])
def test_a_png_keeps_to_its_bytes(limit: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    data = to_png(PILImage.fromarray(noise), limit)
    assert len(data) <= limit
    with PILImage.open(BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.width / picture.height == pytest.approx(4 / 3, abs=0.05)


@pytest.mark.usefixtures("loads")
def test_a_display_carries_a_picture_and_a_word_for_who_has_no_kernel() -> None:
    pixels = np.full((900, 1200, 3), GREY, np.uint8)
    kept = annotation(box_mask(900, 1200, 300, 300, 600, 600), "cat")
    hidden = annotation(box_mask(900, 1200, 0, 0, 100, 100), "cat", id="h", visible=False)
    seg = Segmenter(pixels, labels={"cat": "#ff0000"}, annotations=[kept, hidden])
    try:
        bundle = seg._repr_mimebundle_()
        assert bundle is not None
        data = bundle[0]
        assert data["text/plain"] == "Segmenter('image', 1200 × 900, 2 masks)"
        assert "application/vnd.jupyter.widget-view+json" in data
        with PILImage.open(BytesIO(base64.b64decode(data["image/png"]))) as picture:
            assert picture.size == (800, 600)
            shown = np.asarray(picture.convert("RGB"), int)
        assert np.allclose(shown[300, 300], GREY * (1 - FILL) + RED * FILL, atol=3)
        assert np.allclose(shown[20, 20], GREY, atol=3)
        assert seg.snapshot(100).size == (100, 75)
        with pytest.raises(ImageError, match="max_side is 0"):
            seg.snapshot(0)
    finally:
        seg.close()


@pytest.mark.usefixtures("loads")
def test_nbconvert_shows_the_picture() -> None:
    seg = Segmenter(np.full((30, 40, 3), GREY, np.uint8))
    try:
        bundle = seg._repr_mimebundle_()
    finally:
        seg.close()
    assert bundle is not None
    output = nbformat.v4.new_output("execute_result", data=bundle[0], execution_count=1)
    cell = nbformat.v4.new_code_cell("seg", outputs=[output])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    [data] = re.findall(r'<img[^>]+src="data:image/png;base64,\s*([^"]+)"', page)
    with PILImage.open(BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (40, 30)
