"""What travels: right to the threshold, small at any image size, and plain JSON."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.errors import PromptError
from segwidget.inference.candidates import Candidates
from segwidget.inference.preprocessing import Frame
from segwidget.inference.prompts import Box, Point
from segwidget.media.image import open_image
from segwidget.widget import protocol

SIZES = [(1, 1), (3, 2), (1, 4000), (4000, 1), (4000, 3000), (20000, 10), (10, 20000), (512, 511)]
floats = st.floats(width=32, allow_nan=True, allow_infinity=True)


def sent(logits):
    return protocol.dequantize_logits(protocol.quantize_logits(np.asarray(logits, np.float32)))


@given(floats)
def test_the_mask_survives_whatever_the_logit(logit):
    assert (sent([logit])[0] > 0) == (logit > 0)


@given(st.floats(-32, 32, width=32))
def test_the_error_is_small_beside_the_logit(logit):
    assert abs(sent([logit])[0] - logit) <= 0.02 + 0.03 * abs(logit)


def test_quantizing_is_monotone():
    logits = np.sort(np.random.default_rng(0).normal(0, 12, 20_000)).astype(np.float32)
    quantized = protocol.quantize_logits(logits).astype(int)
    assert (np.diff(quantized) >= 0).all()
    assert quantized.min() == 1
    assert quantized.max() == 255
    assert (np.diff(protocol.dequantize_logits(np.arange(256, dtype=np.uint8))) > 0).all()


def test_every_byte_but_the_lowest_comes_back():
    every = np.arange(1, 256, dtype=np.uint8)
    assert (protocol.quantize_logits(protocol.dequantize_logits(every)) == every).all()


def test_infinite_logits_saturate_and_nan_is_background():
    values = [np.inf, -np.inf, np.nan, 3e38, -3e38, 1e-45, -1e-45, 0]
    assert protocol.quantize_logits(np.array(values, np.float32)).tolist() == [
        255, 1, 128, 255, 1, 129, 128, 128,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("logit", "byte"), [(0.5, 149), (-0.5, 107), (32.0, 255), (-32.0, 1), (0.0, 128)]
)
def test_the_law_is_the_one_that_the_page_knows(logit, byte):
    assert protocol.quantize_logits(np.float32([logit]))[0] == byte
    d = byte - 128
    expected = np.sign(d) * 0.5 * (65 ** (abs(d) / 127) - 1)
    assert protocol.dequantize_logits(np.uint8([byte]))[0] == pytest.approx(expected, rel=1e-6)


def candidates(width, height, logits_size=256, seed=0):
    logits = np.random.default_rng(seed).normal(0, 4, (3, logits_size, logits_size))
    logits = logits.astype(np.float32)
    return Candidates(
        logits, np.float32([0.9, 0.5, 0.123456]), Frame(width, height, 1024, logits_size)
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("logits_size", [256, 128])
def test_an_answer_is_small_and_within_the_image(size, logits_size):
    width, height = size
    data = protocol.candidates_to_json(candidates(width, height, logits_size), "page-1", 12.34)
    logits = data.pop("logits")
    assert len(logits) + len(json.dumps(data, allow_nan=False)) <= 256_000
    count, rows, columns = data["shape"]
    assert len(logits) == count * rows * columns
    assert count == len(data["items"]) == 3
    assert max(rows, columns) == logits_size
    assert data["request"] == "page-1"
    assert data["ms"] == 12.3
    sx, sy = data["scale"]
    # The logits cover the image, and not more than a sample beyond it.
    assert width * sx <= columns + 1e-6 < width * sx + 1
    assert height * sy <= rows + 1e-6 < height * sy + 1
    for item in data["items"]:
        x0, y0, x1, y1 = item["box"]
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert 0 <= item["area"] <= width * height
    assert [item["predicted_iou"] for item in data["items"]] == [0.9, 0.5, 0.1235]


def test_the_logits_are_trimmed_to_what_the_image_covers():
    made = candidates(400, 100)
    data = protocol.candidates_to_json(made, "r", 1)
    assert data["shape"] == [3, 64, 256]
    quantized = np.frombuffer(data["logits"], np.uint8).reshape(3, 64, 256)
    assert ((quantized > 128) == (made.low_res_logits[:, :64] > 0)).all()


def test_area_and_box_are_those_of_the_mask_within_a_low_resolution_pixel():
    logits = np.full((1, 256, 256), -5, np.float32)
    logits[0, 40:80, 100:180] = 5
    made = Candidates(logits, np.float32([1]), Frame(1024, 768, 1024, 256))
    item = protocol.candidates_to_json(made, "r", 1)["items"][0]
    assert item["box"] == [400, 160, 720, 320]
    assert item["area"] == pytest.approx(made.area[0], rel=0.05)
    assert made.box[0] == pytest.approx(item["box"], abs=4)


def test_an_empty_mask_has_no_area_and_no_box():
    made = Candidates(
        np.full((1, 64, 64), -1, np.float32), np.float32([0.1]), Frame(50, 50, 64, 64)
    )
    item = protocol.candidates_to_json(made, "r", 1)["items"][0]
    assert item == {
        "predicted_iou": 0.1, "stability_score": 0.0, "area": 0, "box": [0, 0, 0, 0],
    }  # fmt: skip


def test_an_answer_of_a_broken_network_is_still_json():
    made = Candidates(
        np.full((2, 64, 64), np.nan, np.float32),
        np.float32([np.nan, 0.5]),
        Frame(50, 50, 64, 64),
    )
    data = protocol.candidates_to_json(made, "r", 1)
    data.pop("logits")
    json.dumps(data, allow_nan=False)
    assert data["items"][0]["predicted_iou"] == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (700, 2)])
def test_a_small_image_travels_without_loss(size):
    pixels = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)
    data = protocol.image_to_json(open_image(pixels, name="<b>x</b>.png"))
    assert (
        (data["width"], data["height"]) == size == (data["preview_width"], data["preview_height"])
    )
    assert data["mime"] == "image/png"
    assert data["name"] == "<b>x</b>.png"
    assert (open_image(data["data"]).pixels == pixels).all()


def test_a_photograph_travels_as_a_bounded_preview(photo):
    data = protocol.image_to_json(photo)
    assert len(data["data"]) <= protocol.PREVIEW_BYTES
    assert max(data["preview_width"], data["preview_height"]) <= 2048
    assert data["preview_width"] / data["preview_height"] == pytest.approx(4 / 3, rel=0.01)
    opened = open_image(data["data"])
    assert (opened.width, opened.height) == (data["preview_width"], data["preview_height"])


def test_labels_and_prompts_are_dictionaries():
    assert protocol.labels_to_json(LabelSet.of({"<i>": "#f00"})) == [
        {"name": "<i>", "color": "#ff0000"}
    ]
    assert protocol.prompts_to_json((Point(1, 2, 0), Box(1, 2, 3, 4))) == [
        {"type": "point", "x": 1, "y": 2, "label": 0},
        {"type": "box", "x0": 1, "y0": 2, "x1": 3, "y1": 4},
    ]


def test_annotations_carry_what_the_page_needs_and_no_more():
    mask = np.zeros((6, 9), bool)
    mask[1:3, 2:7] = True
    made = Annotation.from_mask(mask, label="car", predicted_iou=0.5, visible=False)
    (data,) = protocol.annotations_to_json([made])
    assert data == {
        "id": made.id,
        "label": "car",
        "rle": {"size": [6, 9], "counts": made.rle.counts},
        "box": [2, 1, 7, 3],
        "area": 10,
        "predicted_iou": 0.5,
        "stability_score": None,
        "visible": False,
    }
    json.dumps(data)


def test_an_error_of_ours_speaks_for_itself():
    notice = protocol.notice_to_json(PromptError("Not there."), "page-7")
    assert notice.pop("id")
    assert notice == {
        "level": "error", "code": "PromptError", "message": "Not there.", "request": "page-7",
    }  # fmt: skip


def test_an_error_of_somebody_elses_is_explained():
    notice = protocol.notice_to_json(ZeroDivisionError("division by zero"))
    assert "ZeroDivisionError: division by zero" in notice["message"]
    assert "What was kept is safe" in notice["message"]
    assert notice["request"] == ""


def test_a_message_fits_on_the_screen_and_ids_differ():
    one, two = (protocol.notice_to_json(kind("x" * 10**6)) for kind in (PromptError, KeyError))
    assert max(len(one["message"]), len(two["message"])) <= protocol.MAX_NOTICE_LENGTH
    assert two["message"].endswith("run the cell again.")
    assert one["id"] != two["id"]
