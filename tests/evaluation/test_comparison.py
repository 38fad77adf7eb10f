"""Two models on the same masks, before and after."""

import numpy as np
import pytest
import torch

from segwidget.errors import SettingError
from segwidget.evaluation import comparison
from segwidget.evaluation.comparison import MEAN_IOU, PROMPTS, compare
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.sam.build import build_compact
from segwidget.training.dataset import FineTuneDataset


@pytest.fixture(scope="module")
def models():
    made = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        made.append(Model(build_compact(64).eval().requires_grad_(False), f"m{seed}", "ab" * 32))
    return made


@pytest.fixture(scope="module")
def held_out():
    rng = np.random.default_rng(0)
    records = []
    for _ in range(4):
        mask = np.zeros((40, 60), bool)
        y, x = rng.integers(2, 20, 2)
        mask[y : y + 15, x : x + 20] = True
        other = np.zeros_like(mask)
        other[-6:, -9:] = True
        pixels = rng.integers(0, 90, (40, 60, 3)).astype(np.uint8)
        pixels[mask] += 120
        records.append((pixels, [mask, other]))
    return FineTuneDataset.from_records(records)


class Painter:
    """A segmenter that knows the truth, and gives some of it."""

    def __init__(self, held_out, share):
        self.truths = {
            i.image.tobytes(): [m.rle.decode() for m in i.masks] for i in held_out.images
        }
        self.share = share

    def answer(self, at):
        (mask,) = (m for m in self.truths[self.key] if m[at])
        rows, columns = np.nonzero(mask)
        kept = np.zeros_like(mask)
        count = round(self.share * len(rows))
        kept[rows[:count], columns[:count]] = True
        return type("Answer", (), {"mask": kept, "predicted_iou": None})()


@pytest.fixture
def paint(monkeypatch, held_out, models):
    """Answers of the two models: of each the share that it gets right."""

    def begin(before, after):
        shares = {models[0].name: before, models[1].name: after}

        class Segmenter:
            def __init__(self, predictor):
                self.predictor = predictor
                self.painter = Painter(held_out, shares[predictor.model.name])

            def set_image(self, pixels):
                self.painter.key = pixels.tobytes()

            def click(self, points):
                return [self.painter.answer((int(points[0].y), int(points[0].x)))]

            def box(self, box):
                return [self.painter.answer((int(box.y0 + 1), int(box.x0 + 1)))]

        monkeypatch.setattr(comparison, "PredictorSegmenter", Segmenter)

    return begin


def test_better_and_worse(paint, models, held_out):
    paint(0.5, 0.9)
    found = compare(*models, held_out, progress=False)
    assert found.better
    assert found.names == ("m0", "m1")
    assert found.over == "images"
    assert found.mean_before == pytest.approx(dict.fromkeys(PROMPTS, 0.5), abs=0.02)
    assert found.mean_after == pytest.approx(dict.fromkeys(PROMPTS, 0.9), abs=0.02)
    assert found.differences[MEAN_IOU].value == pytest.approx(0.4, abs=0.02)
    assert found.differences["NoC@85"].value < 0
    assert compare(*models, held_out, measure="NoC@85", progress=False).better
    before, after = found.values("NoC@90")
    assert before.tolist() == [10] * 8
    assert set(after.tolist()) <= {1, 10}
    paint(0.9, 0.5)
    assert not compare(*models, held_out, progress=False).better
    assert not compare(*models, held_out, measure="NoC@85", progress=False).better


def test_alike_is_not_better(paint, models, held_out):
    paint(0.6, 0.6)
    found = compare(*models, held_out, progress=False)
    assert not found.better
    assert found.differences[MEAN_IOU] == (0, 0, 0)


def test_few_images_are_drawn_by_mask(paint, models, held_out):
    paint(0.5, 0.9)
    found = compare(*models, FineTuneDataset(held_out.images[:2]), progress=False)
    assert found.over == "masks"
    low, high = found.differences[MEAN_IOU][1:]
    assert low < high


def test_the_table(paint, models, held_out):
    paint(0.5, 0.9)
    told = []
    found = compare(*models, held_out, progress=False, on_progress=lambda *done: told.append(done))
    lines = found.to_markdown().splitlines()
    assert lines[0] == "|  | m0 | m1 | difference |"
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {n}" for n in comparison.SHOWN]
    assert "+0." in lines[2]
    assert told == [(n, 16) for n in range(1, 17)]
    assert "better" in repr(found)


def test_real_networks_and_pictures(models, held_out):
    found = compare(
        Predictor(models[0]), models[1], held_out, masks_per_image=1, most_clicks=3, progress=False
    )
    assert len(found.before) == len(found.after) == 4
    assert [(m.image, m.mask) for m in found.before] == [(m.image, m.mask) for m in found.after]
    assert all(len(m.curve) <= 3 for m in found.after)
    for prompt in ("1 click", "box"):
        figure = found.plot_worst(2, prompt)
        assert len(figure.axes) == 4
        titles = [axes.get_title(loc="left").split(":")[0] for axes in figure.axes]
        assert titles == ["m0", "m0", "m1", "m1"]
        assert figure._repr_png_().startswith(b"\x89PNG")


def test_the_same_model_twice_has_two_names(models, held_out):
    found = compare(models[0], models[0], held_out, masks_per_image=1, progress=False)
    assert found.names == ("before", "after")
    assert not found.better


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"measure": "Dice"}, "'Dice'"),
        ({"most_clicks": 1}, "from 3"),
    ],
)
def test_wrong_options(models, held_out, options, words):
    with pytest.raises(SettingError, match=words):
        compare(*models, held_out, **options)


def test_wrong_models(models, held_out):
    with pytest.raises(SettingError, match="given as int"):
        compare(5, models[0], held_out)
    found = compare(*models, held_out, masks_per_image=1, most_clicks=3, progress=False)
    with pytest.raises(SettingError, match="'3 clicks'"):
        found.plot_worst(prompt="3 clicks")
