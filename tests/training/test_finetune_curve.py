"""The curve of a fine-tuning run, and the one that grows in a notebook."""

import math
import sys

import pytest

from segwidget.plotting import learning_curve
from segwidget.training import finetune_run
from segwidget.training.finetune_state import Epoch

HISTORY = (
    Epoch(0, math.nan, 0.9, 0.5, 0.0, 1.0),
    Epoch(1, 0.8, 0.7, 0.65, 1e-4, 1.0),
    Epoch(2, 0.6, 0.8, 0.6, 1e-4, 1.0),
)


def test_the_curve_marks_the_best_epoch():
    figure = learning_curve(HISTORY, 1)
    loss, score = figure.axes
    assert [line.get_label() for line in loss.lines] == ["learning", "held out"]
    assert score.texts[0].get_text() == "0.500 → 0.650"
    assert score.lines[-1].get_xydata().tolist() == [[1, 0.65]]


def test_in_a_notebook_one_display_is_drawn_anew(monkeypatch):
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(("update", figure))

    def display(figure, display_id):
        shown.append(("display", figure))
        return Handle()

    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr("IPython.display.display", display)
    curve = finetune_run._live_curve()
    curve(HISTORY[:2], 1)
    curve(HISTORY, 1)
    assert [kind for kind, _ in shown] == ["display", "update"]
    assert len(shown[1][1].axes[1].lines[0].get_xdata()) == 3


def test_elsewhere_there_is_none(monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert finetune_run._live_curve() is None


@pytest.mark.parametrize("images", [1, 2])
def test_counts(images):
    import numpy as np

    from segwidget.training.dataset import FineTuneDataset, Record

    mask = np.ones((4, 4), bool)
    data = FineTuneDataset.from_records(
        Record(np.zeros((4, 4, 3), np.uint8), [mask], str(i)) for i in range(images)
    )
    told = {1: "1 mask on 1 image", 2: "2 masks on 2 images"}
    assert finetune_run._counts(data) == told[images]
