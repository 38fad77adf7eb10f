"""COCO files that are too large to be parsed as a whole are read row by row, and give the same."""

import json
import tracemalloc

import pytest

from segwidget.annotation.formats import coco_dataset, json_rows, registry
from segwidget.errors import FormatError


def data_set(count):
    """Annotations before categories, as COCO's own files have them."""
    return {
        "info": {"description": "of two images", "nested": [{"a": [1, 2]}, None]},
        "licenses": [],
        "images": [{"id": n, "file_name": f"{n}.png", "width": 64, "height": 48} for n in (1, 2)],
        "annotations": [
            {
                "id": n,
                "image_id": 1 + n % 2,
                "category_id": 7,
                "segmentation": [[1, 1, 20 + n % 9, 1.5, 20, 20 + n % 11, 1, 20e0]],
                "area": 361,
                "bbox": [1, 1, 19, 19],
                "iscrowd": 0,
            }
            for n in range(count)
        ],
        "categories": [{"id": 7, "name": "Stra\u00dfe \U0001f697", "supercategory": ""}],
    }


@pytest.fixture
def small_window(monkeypatch):
    monkeypatch.setattr(coco_dataset, "MAX_AT_ONCE", 100)
    monkeypatch.setattr(json_rows, "CHUNK", 64)  # every row is cut somewhere


def written(path, data, **options):
    path.write_text(json.dumps(data, **options), "utf-8")
    return path


def shown(read):
    return [
        (one.image, one.labels, [(item.label, item.rle) for item in one]) for one in read.records
    ]


@pytest.mark.parametrize("options", [{}, {"indent": 1, "ensure_ascii": False}])
def test_a_large_file_gives_what_a_small_one_does(tmp_path, monkeypatch, options):
    path = written(tmp_path / "a.json", data_set(60), **options)
    small = registry.read(path)
    assert [len(record) for record in small.records] == [30, 30]
    monkeypatch.setattr(coco_dataset, "MAX_AT_ONCE", 100)
    for chunk in (1, 7, 64, 2**20):
        monkeypatch.setattr(json_rows, "CHUNK", chunk)
        large = registry.read(path)
        assert shown(large) == shown(small)
        assert large.problems == []


@pytest.mark.usefixtures("small_window")
def test_a_wrong_row_is_told_and_the_rest_is_read(tmp_path):
    data = data_set(6)
    data["annotations"][2]["category_id"] = 8
    data["annotations"][3] = "no row"
    read = registry.read(written(tmp_path / "a.json", data))
    assert sum(map(len, read.records)) == 4
    first, second = read.problems
    assert first.startswith("annotations[2].category_id is 8")
    assert second.startswith("annotations[3] is a str")


@pytest.mark.usefixtures("small_window")
def test_a_file_that_breaks_off_gives_what_stands_before(tmp_path):
    data = data_set(40)
    data["categories"], data["annotations"] = data.pop("categories"), data.pop("annotations")
    text = json.dumps(data)
    path = tmp_path / "a.json"
    path.write_text(text[: text.index('"id": 30')], "utf-8")
    read = registry.read(path)
    assert sum(map(len, read.records)) == 30
    (problem,) = read.problems
    assert "'a.json' is not JSON after annotations[29]" in problem
    path.write_text(text[: text.index('"id": 30')] + "NaN" + text[-200:], "utf-8")
    assert sum(map(len, registry.read(path).records)) == 30


@pytest.mark.usefixtures("small_window")
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" + "1, " * 100 + "2]", "instead of '{'"),
        ('{"images": [' + "[" * 100_000, "recursion"),
        ('{"images": [{"id": 1, "file_name": "' + "a" * 3000, "more than 1,000 characters|Unterm"),
        ('{"images": ' + " " * 200 + "[]}", "no images"),
        ('{"images" ' + " " * 200 + "[]}", "instead of ':'"),
        ("{1" + " " * 200 + "}", "name of a value is a int"),
        (" " * 200, "breaks off"),
        ('{"images": [{"id": 1}' + " " * 200 + "}", "instead of ','"),
        ('{"images": [{"id": 1}], "categories": []' + " " * 200 + "}", "no categories"),
    ],
)
def test_what_is_no_coco_is_told_in_one_sentence(tmp_path, monkeypatch, text, told):
    monkeypatch.setattr(json_rows, "MAX_ROW", 1000 if "aaa" in text else 2**25)
    path = tmp_path / "a.json"
    path.write_text(text, "utf-8")
    with pytest.raises(FormatError, match=f"(?i){told}"):
        registry.read(path)


def test_memory_is_a_matter_of_the_window_and_not_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    row = json.dumps({"id": 1, "segmentation": [[0.5] * 500]})
    with path.open("w") as file:
        file.write('{"annotations": [' + ", ".join([row] * 600) + "]}")
    size = path.stat().st_size
    monkeypatch.setattr(json_rows, "CHUNK", 2**16)
    tracemalloc.start()
    try:
        count = sum(1 for _ in json_rows.rows_in(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 600
    assert size > 1_500_000
    assert peak < 500_000
