"""A detector's file, right and wrong."""

import json

import pytest

from segwidget.engine.prelabel_boxes import read_boxes
from segwidget.errors import FormatError, StoreError


def written(tmp_path, data, name="boxes.json"):
    path = tmp_path / name
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_a_coco_data_set(tmp_path):
    data = {
        "images": [{"id": 7, "file_name": "a/one.jpg"}, {"id": 8, "file_name": "two.jpg"}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20], "score": 0.9},
            {"image_id": 7, "category_id": 4, "bbox": [0, 0, 5, 5], "score": 0.1},
            {"image_id": 9, "category_id": 3, "bbox": [0, 0, 5, 5]},
            {"image_id": 8, "category_id": 3, "bbox": [0, 0, 5]},
            {"image_id": 8, "category_id": 3, "bbox": [0, 0, 5, "x"]},
            "no object",
        ],
    }
    boxes = read_boxes(written(tmp_path, data), min_score=0.5)
    assert boxes.of("a/one.jpg") == [(1, 2, 11, 22, "cat")]
    assert boxes.of("two.jpg") == []
    assert [p.split(":")[1].strip() for p in boxes.problems] == [
        f"annotations[{i}]" for i in (2, 3, 4, 5)
    ]
    assert "names no image" in boxes.problems[0]
    everything = read_boxes(written(tmp_path, data))
    assert everything.of("a/one.jpg")[1] == (0, 0, 5, 5, "")


def test_a_list_of_results(tmp_path):
    data = [
        {"image_id": "one", "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5},
        {"file_name": "two.jpg", "label": "dog", "bbox": [0, 0, 5, 5]},
        {"image_id": 12, "bbox": [0, 0, 5, 5]},
    ]
    boxes = read_boxes(written(tmp_path, data))
    assert boxes.of("deep/one.png") == [(0, 0, 5, 5, "")]  # by its stem
    assert boxes.of("deep/two.jpg") == [(0, 0, 5, 5, "dog")]  # by its file name
    assert len(boxes.problems) == 1


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file_name,x0,y0,x1,y1,label,score", "a.png,1,2,3,4,cat,0.5"),
        ("image,xmin,ymin,xmax,ymax,class,confidence", "a.png,1,2,3,4,cat,0.5"),
        ("filename,label,x,y,w,h", "a.png,cat,1,2,2,2"),
        ("file,x1,y1,x2,y2,name", "a.png,1,2,3,4,cat"),
    ],
)
def test_csv(tmp_path, header, row):
    boxes = read_boxes(written(tmp_path, f"{header}\n{row}\n,,,,,,\n", "boxes.csv"))
    assert boxes.of("a.png") == [(1, 2, 3, 4, "cat")]
    assert len(boxes.problems) == 1
    assert "boxes.csv: line 3: " in boxes.problems[0]


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("{", "boxes.json", "is no JSON"),
        ("[" * 100_000, "boxes.json", "is no JSON"),
        ("3", "boxes.json", "neither COCO's JSON"),
        ("a,b\n1,2\n", "boxes.csv", "has the columns a, b"),
        ("", "boxes.csv", "(none)"),
    ],
)
def test_other_files_are_refused(tmp_path, text, name, says):
    with pytest.raises(FormatError) as refused:
        read_boxes(written(tmp_path, text, name))
    assert says in str(refused.value)


def test_no_file_and_no_text(tmp_path):
    with pytest.raises(StoreError, match="cannot be read"):
        read_boxes(tmp_path / "missing.json")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        read_boxes(tmp_path / "b.csv")
