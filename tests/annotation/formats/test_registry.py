"""Data sets of many images, out and in again, in every format."""

import json

import numpy as np
import pytest

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError, StoreError

WIDTH, HEIGHT = 48, 32
LABELS = LabelSet.of(
    [
        {"name": "car", "color": "#ff0000", "hotkey": "c"},
        '<b>näme</b>: "x", [y]',
        {"name": "wheel", "parent": "car"},
    ]
)


def ring():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[3:20, 4:26] = True
    mask[6:10, 8:12] = mask[12:16, 15:22] = False  # two holes
    return mask


def islands():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[22:30, 2:9] = mask[22:30, 30:44] = True
    mask[24:27, 33:36] = False
    return mask


def dot():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[0, WIDTH - 1] = True
    return mask


@pytest.fixture
def records():
    def record(name, *pairs):
        items = [Annotation.from_mask(mask, label=label) for mask, label in pairs]
        return Annotations(items, ImageInfo(name, WIDTH, HEIGHT), LABELS)

    odd = LABELS.names[1]
    return [
        record("a.png", (ring(), "car"), (islands(), odd), (dot(), "wheel")),
        record("night/c.png"),
        record("night/a.png", (islands(), "wheel")),
    ]


def sizes(_name):
    return HEIGHT, WIDTH


@pytest.mark.parametrize("name", registry.FORMATS)
def test_masks_with_holes_and_islands_come_back(name, records, tmp_path):
    iou = registry.round_trip(records, name, tmp_path)
    assert iou == 1.0 if registry.get_format(name).exact else iou >= 0.99


@pytest.mark.parametrize("name", registry.FORMATS)
def test_names_of_images_never_leave_the_folder(name, records, tmp_path):
    inside = tmp_path / "in" / "side"
    inside.mkdir(parents=True)
    evil = [
        Annotations(records[0].items, ImageInfo(text, WIDTH, HEIGHT), LABELS)
        for text in ("../../evil.png", "/etc/evil.png", "C:\\evil.png", "evil.jpg", "..")
    ]
    chosen = registry.get_format(name)
    path = inside / ("data" if chosen.kind == "folder" else f"data{chosen.suffix}")
    registry.export(evil, path, name)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert all(path in (file, *file.parents) for file in files)
    if chosen.kind == "folder":
        assert len([file for file in files if file.name.endswith(chosen.suffix)]) == len(evil)
    read = registry.read(path, name, sizes)
    assert sum(len(record) for record in read.records) == len(evil) * len(records[0])


@pytest.mark.parametrize("name", registry.FORMATS)
def test_nothing_at_all_can_be_written(name, tmp_path):
    assert registry.round_trip([], name, tmp_path) == 1.0


def test_coco_keeps_all_that_an_annotation_holds(records, tmp_path):
    path = registry.export(records, tmp_path / "all.coco.json")
    read = registry.read(path)
    assert read.problems == []
    assert [record.items for record in read.records] == [record.items for record in records]
    assert read.records[0].labels.labels == LABELS.labels


def test_wrong_rows_of_coco_are_told_and_the_rest_is_read(records, tmp_path):
    path = registry.export(records, tmp_path / "all.json", "coco")
    data = json.loads(path.read_text())
    rows = data["annotations"]
    good = dict(rows[0])
    rows[1]["segmentation"]["counts"] = "!!!"
    rows[2]["image_id"] = 99
    rows.append({**good, "id": 50, "segmentation": [[1, 1, 900, 1, 900, 900]], "segwidget": None})
    rows.append({**good, "id": 51})  # the same id of segwidget's
    rows.append({**good, "id": good["id"], "segwidget": None})
    rows.append({**good, "id": 52, "segwidget": None, "category_id": "none"})
    data["images"].append({"id": 1, "file_name": "again.png", "width": 5, "height": 5})
    path.write_text(json.dumps(data))
    read = registry.read(path, "coco")
    assert sum(len(record) for record in read.records) == 2
    assert len(read.problems) == 7
    for place in ("images[3]", *(f"annotations[{i}]" for i in (1, 2, 4, 5, 6, 7))):
        assert sum(problem.startswith(place) for problem in read.problems) == 1


def test_wrong_rows_and_files_of_sa1b(records, tmp_path):
    registry.export(records, tmp_path / "set", "sa1b")
    path = tmp_path / "set" / "a.json"
    data = json.loads(path.read_text())
    data["annotations"][0]["segmentation"]["size"] = [3, 3]
    path.write_text(json.dumps(data))
    (tmp_path / "set" / "b.json").write_text("no")
    (tmp_path / "set" / "d.json").write_text(json.dumps(data))
    read = registry.read(tmp_path / "set")
    assert len(read.records[0]) == 2
    assert len(read.problems) == 4  # the row, twice; no JSON; a second file of the image
    assert "annotations[0]" in read.problems[0]


def test_wrong_rows_of_yolo(tmp_path):
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text("nc: 2\nnames: [car, 'big dog']\n")
    (tmp_path / "labels" / "a.txt").write_text(
        "1 0.1 0.1 0.9 0.1 0.9 0.9\n0 0.5 0.5 0.2 0.2\n7 0.1 0.1 0.9 0.1 0.9 0.9\nx y\n"
        "0 nan 0 1 1 0 1\n"
    )
    read = registry.read(tmp_path, sizes=sizes)
    assert [item.label for item in read.records[0]] == ["big dog"]
    assert [problem.split(":")[0] for problem in read.problems] == [
        f"'a.txt', line {number}" for number in (2, 3, 4, 5)
    ]
    (tmp_path / "data.yaml").write_text("train: x\nnames:\n  - car\n  - dog\n\nval: y\n")
    assert registry.read(tmp_path, sizes=sizes).records[0][0].label == "dog"
    with pytest.raises(FormatError, match="how large"):
        registry.read(tmp_path)


def test_a_format_is_found_by_what_lies_there(records, tmp_path):
    for name in ("labelme", "sa1b", "yolo-seg"):
        registry.export(records, tmp_path / name, name)
        assert registry.guess_format(tmp_path / name).name == name
    with pytest.raises(FormatError, match="tells"):
        registry.guess_format(tmp_path / "data.xyz")
    with pytest.raises(FormatError, match="one of coco"):
        registry.get_format("gif")
    with pytest.raises(StoreError, match="not there"):
        registry.read(tmp_path / "gone.json")
