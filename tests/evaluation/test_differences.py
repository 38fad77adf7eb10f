"""Two reports of the same masks against differences computed by hand."""

from dataclasses import replace

import pytest

from segwidget.errors import SettingError
from segwidget.evaluation.differences import differences, to_dicts, to_markdown
from segwidget.evaluation.protocol import COLUMNS, Measurement, Sampling
from segwidget.evaluation.report import Report


def measured(image, value, name="set"):
    ious = dict.fromkeys(COLUMNS, value)
    return Measurement(name, image, 0, 0.1, ious, {}, (value,), dict(ious))


def report(name, measurements):
    return Report(name, Sampling(), tuple(measurements))


def test_an_equal_gain_is_certain_however_masks_differ():
    values = [0.1, 0.3, 0.5, 0.7]
    first = report("a", [measured(str(i), v) for i, v in enumerate(values)])
    second = report("b", [measured(str(i), v + 0.2) for i, v in enumerate(values)][::-1])
    (row,) = differences(first, second)
    found = row.means["box"]
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2)
    assert found.high == pytest.approx(0.2)
    assert row.means["NoC@85"].value == pytest.approx((20 - 20) * 3 / 4 + (1 - 20) / 4)


def test_sets_count_alike():
    first = [measured("x", 0.5, "p"), measured("y", 0.5, "q"), measured("z", 0.5, "q")]
    second = [measured("x", 0.6, "p"), measured("y", 0.3, "q"), measured("z", 0.5, "q")]
    rows = {
        r.name: r.means["1 click"] for r in differences(report("a", first), report("b", second))
    }
    assert rows["p"].value == pytest.approx(0.1)
    assert rows["q"].value == pytest.approx(-0.1)
    assert rows["all, mean of sets"].value == pytest.approx(0)
    assert rows["all, mean of masks"].value == pytest.approx(-0.1 / 3)
    assert rows["q"].low < rows["q"].value < rows["q"].high


def test_the_table_and_the_dictionaries():
    first, second = report("a|", [measured("x", 0.5)]), report("b", [measured("x", 0.75)])
    table = to_markdown(first, second).splitlines()
    assert table[0].startswith("| b − a\\| | 1 click | best of 3 |")
    assert table[2].startswith("| set | +0.250 [+0.250, +0.250] |")
    (row,) = to_dicts(differences(first, second))
    assert row["means"]["box"] == {"value": 0.25, "low": 0.25, "high": 0.25}


def test_other_masks_are_refused():
    first = report("a", [measured("x", 0.5)])
    for other in ([], [replace(measured("x", 0.5), mask=1)], [measured("y", 0.5)]):
        with pytest.raises(SettingError, match="different masks"):
            differences(first, report("b", other))
