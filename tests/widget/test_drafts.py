"""What a page has answered by itself is kept by the kernel, whatever came between."""

import numpy as np
import pytest

from segwidget import Point
from segwidget.inference.dialogue import Dialogue

from .conftest import PATIENCE

ID = "0123456789abcdef" * 2


def keep(page, places=((20, 20),), *, name=ID, **fields):
    page.do(
        "keep_draft",
        **{
            "id": name,
            "request": name,
            "prompts": [{"type": "point", "x": x, "y": y, "label": 1} for x, y in places],
            "picks": [0] * (len(places) - 1),
            "picked": 1,
            "label": "person",
            "threshold": 0.0,
            "seconds": 2.5,
            **fields,
        },
    )


def test_it_is_the_kernels_own_answer_that_is_kept(seg, page):
    keep(page, [(20, 20), (30, 25)], picks=[2], picked=1)
    (kept,) = seg.annotations
    dialogue = Dialogue(seg._answerer._ready().predictor)
    answer = dialogue.answer([Point(20, 20), Point(30, 25)], [2])
    assert np.array_equal(kept.mask, answer.mask(1))
    assert (kept.id, kept.label, kept.picks, kept.picked) == (ID, "person", (2,), 1)
    assert (kept.seconds, kept.threshold) == (2.5, 0.0)
    assert kept.model == "embedded"
    assert kept.image == seg.image.sha256


def test_a_threshold_makes_the_mask_smaller_and_is_recorded(seg, page):
    keep(page)
    keep(page, name="f" * 32, threshold=2.0)
    plain, strict = seg.annotations
    assert strict.area < plain.area
    assert not (strict.mask & ~plain.mask).any()
    assert strict.threshold == 2.0


def test_asked_twice_it_is_kept_once(seg, page):
    keep(page)
    keep(page)
    assert [a.id for a in seg.annotations] == [ID]


def test_a_newer_draft_stays_and_an_older_state_of_it_goes(seg, page):
    page.click(60, 40, "p-1")
    assert seg.wait(PATIENCE)
    keep(page)
    assert seg.prompts == (Point(60, 40),)
    page.do("clear")
    page.click(20, 20, "p-2")
    assert seg.wait(PATIENCE)
    keep(page, [(20, 20), (25, 25)], name="a" * 32)
    assert seg.prompts == ()
    seg.undo()
    assert seg.prompts == (Point(20, 20),)
    assert [a.id for a in seg.annotations] == [ID]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"id": "../../etc"}, "32 hexadecimal"),
        ({"label": "tree"}, "tree"),
        ({"prompts": []}, "no prompt"),
        ({"prompts": [{"type": "point", "x": 1e6, "y": 0}]}, "outside"),
        ({"picks": [0, 1]}, "picks"),
        ({"picks": ["0"], "prompts": [{"type": "point", "x": 3, "y": 3}] * 2}, "picks"),
        ({"threshold": 1e3}, "empty"),
        ({"threshold": "high"}, "threshold"),
        ({"seconds": None}, "seconds"),
    ],
)
def test_what_is_refused_is_told_under_its_request(seg, page, fields, says):
    keep(page, **{"request": ID, **fields})
    assert says in page["notice"]["message"]
    assert page["notice"]["request"] == ID
    assert len(seg.annotations) == 0


def test_a_day_is_the_longest(seg, page):
    keep(page, seconds=1e8)
    assert seg.annotations[0].seconds == 86_400
