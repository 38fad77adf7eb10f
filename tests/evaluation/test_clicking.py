"""The loop of clicks that all measures share."""

from itertools import islice, pairwise

import numpy as np
import pytest

from segwidget.errors import AnnotationError
from segwidget.evaluation.annotator import first_click
from segwidget.evaluation.clicking import turns


class Mask:
    predicted_iou = None

    def __init__(self, mask):
        self.mask = mask


@pytest.fixture
def target():
    mask = np.zeros((20, 30), bool)
    mask[5:15, 4:24] = True
    return mask


def rows(target, count):
    """The first so many rows of the target."""
    answer = target.copy()
    answer[5 + count :] = False
    return [Mask(answer)]


def test_each_click_corrects_the_answer_before_it(target):
    seen = list(turns(lambda clicks: rows(target, 3 * len(clicks)), target))
    assert [turn.iou for turn in seen] == [0.3, 0.6, 0.9, 1]  # and then nothing is left
    assert seen[0].clicks == (first_click(target),)
    for before, after in pairwise(seen):
        assert after.clicks[:-1] == before.clicks
        new = after.clicks[-1]
        assert new.label == 1
        assert (target & ~before.first.mask)[int(new.y), int(new.x)]


def test_as_many_as_are_wanted(target):
    asked = []

    def ask(clicks):
        asked.append(clicks)
        return rows(target, 1)

    assert len(list(turns(ask, target, 6))) == 6
    asked.clear()
    assert len(list(islice(turns(ask, target), 2))) == 2
    assert len(asked) == 2


def test_the_first_question_may_have_no_click(target):
    seen = list(turns(lambda clicks: rows(target, 5 * len(clicks)), target, 1, clicks=()))
    assert [len(turn.clicks) for turn in seen] == [0, 1]
    assert [turn.iou for turn in seen] == [0, 0.5]


def test_nothing_to_click_on_is_an_error(target):
    with pytest.raises(AnnotationError, match="empty"):
        next(turns(lambda _: rows(target, 1), np.zeros_like(target)))
