"""Parquet and Hugging Face data sets: one row an image."""

import json

import numpy as np
import pytest
from PIL import Image

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.project import BaseProject
from segwidget.errors import FormatError, StoreError
from segwidget.inference.prompts import Point

datasets = pytest.importorskip("datasets")
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

LABELS = LabelSet.of([{"name": "car", "color": "#ff0000", "hotkey": "c"}, "<b>wheel"])


def box(x0, y0, x1, y1):
    mask = np.zeros((20, 30), bool)
    mask[y0:y1, x0:x1] = True
    mask[y0 + 1, x0 + 1] = False
    return mask


@pytest.fixture
def records():
    first = Annotation.from_mask(
        box(0, 0, 9, 9), label="car", prompts=(Point(3.5, 4.5),), predicted_iou=0.9,
        attributes={"a": 1.0}, model="m", seconds=2.0,
    )  # fmt: skip
    second = Annotation.from_mask(box(5, 5, 20, 20), label="<b>wheel", origin="proposed")
    return [
        Annotations([first, second], ImageInfo("n/a.jpg", 30, 20, "ab" * 32), LABELS),
        Annotations([], ImageInfo("b.jpg", 30, 20), LABELS),
    ]


def test_everything_comes_back(records, tmp_path):
    path = registry.export(records, tmp_path / "all.parquet")
    read = registry.read(path)
    assert read.problems == []
    assert [one.items for one in read.records] == [one.items for one in records]
    assert [one.image for one in read.records] == [one.image for one in records]
    assert read.records[0].labels == LABELS
    assert registry.guess_format(tmp_path).name == "parquet"
    assert len(registry.read(tmp_path).records) == 2
    assert not list(tmp_path.glob(".*"))


def test_datasets_reads_it_with_images_and_names(records, tmp_path):
    import pycocotools.mask

    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    path = registry.export(records, tmp_path / "all.parquet", images=lambda _: pixels)
    made = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache"))
    row = made[0]
    assert np.array_equal(np.asarray(row["image"]), pixels)
    one = row["annotations"][0]
    label = (
        getattr(made.features["annotations"], "feature", None) or made.features["annotations"][0]
    )
    assert label["label"].int2str(row["annotations"][1]["label"]) == "<b>wheel"
    assert one["bbox"] == [0, 0, 9, 9]
    rle = one["segmentation"]
    assert pycocotools.mask.area({**rle, "counts": rle["counts"].encode()}) == 80
    assert one["predicted_iou"] == 0.9
    assert row["annotations"][1]["predicted_iou"] is None


def rewritten(path, change, metadata=True):
    """What is read after a change of the rows."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    schema = table.schema if metadata is True else table.schema.with_metadata(metadata)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return registry.read(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a[1].update(label=7), "Its label is 7"),
        (lambda a: a[1].update(label=None), "Its label is None"),
        (lambda a: a[1].update(segmentation=None), "a box alone"),
        (lambda a: a[1]["segmentation"].update(counts="!!"), "character '!'"),
        (lambda a: a[1]["segmentation"].update(size=[3, 3]), "do not fill"),
        (lambda a: a[1].update(segwidget="{"), "not JSON"),
        (lambda a: a[1].update(segwidget='{"new": 1}'), "newer version"),
        (lambda a: a[1].update(id=a[0]["id"]), "there twice"),
    ],
)
def test_wrong_masks_are_told_and_the_rest_is_read(records, tmp_path, change, says):
    path = registry.export(records, tmp_path / "all.parquet")
    read = rewritten(path, lambda rows: change(rows[0]["annotations"]))
    assert [len(one) for one in read.records] == [1, 0]
    assert len(read.problems) == 1
    assert read.problems[0].startswith("'all.parquet': row 0: annotations[1]: ")
    assert says in read.problems[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r[1].update(file_name="n/a.jpg"), "too"),
        (lambda r: r[1].update(width=0), "at least one whole pixel"),
        (lambda r: r[1].update(width=None), "no 'width'"),
        (lambda r: r[1].update(file_name=None, image=None), "neither"),
    ],
)
def test_wrong_rows_are_told_and_the_rest_is_read(records, tmp_path, change, says):
    read = rewritten(registry.export(records, tmp_path / "all.parquet"), change)
    assert [len(one) for one in read.records] == [2]
    assert len(read.problems) == 1
    assert "row 1" in read.problems[0]
    assert says in read.problems[0]


def test_files_that_are_damaged_or_something_else(records, tmp_path):
    path = registry.export(records, tmp_path / "all.parquet")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FormatError, match="no Parquet file"):
        registry.read(path)
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(FormatError, match="columns 'x'"):
        registry.read(path)
    with pytest.raises(StoreError, match="cannot be written"):
        registry.export(records, tmp_path / "none" / "all.parquet")


@pytest.fixture
def project(tmp_path):
    (tmp_path / "p").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (30, 20), (9, 90, 9)).save(tmp_path / "p" / name)
    with BaseProject(tmp_path / "p", labels=["car", "wheel"]) as made:
        made[0].annotations.add(box(0, 0, 9, 9), "wheel", predicted_iou=0.5)
        made[1].annotations.add(box(3, 3, 9, 9), "car")
        yield made


def test_a_project_becomes_a_data_set_and_a_project_again(project, tmp_path):
    made = project.to_dataset()
    assert made[1]["image"].size == (30, 20)
    assert made.to_list()[0]["image"]["bytes"] is None  # the file is named, not copied
    with BaseProject.from_dataset(made, store=tmp_path / "again.db") as again:
        assert again.problems == {}
        assert again.labels.names == ("car", "wheel")
        for old, new in zip(project, again, strict=True):
            assert [a.rle for a in new.annotations] == [a.rle for a in old.annotations]
            assert [a.label for a in new.annotations] == [a.label for a in old.annotations]
        assert again[0].annotations[0].origin == "imported"
        assert again[0].annotations[0].predicted_iou == 0.5
        assert again.to_dataset()[0]["image"].size == (30, 20)  # of pixels
    assert len(project.to_dataset(only=["b.png"])) == 1


def test_a_data_set_of_others_with_polygons(tmp_path):
    lists = getattr(datasets, "List", datasets.Sequence)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "objects": lists(
                {
                    "category": datasets.ClassLabel(names=["cat", "dog"]),
                    "segmentation": lists(lists(datasets.Value("float32"))),
                }
            ),
        }
    )
    objects = [
        {"category": 1, "segmentation": [[2, 2, 8, 2, 8, 8, 2, 8]]},
        {"category": 0, "segmentation": [[2, 2, 90, 2, 8, 8]]},
    ]
    picture = Image.new("RGB", (30, 20))
    made = datasets.Dataset.from_list([{"image": picture, "objects": objects}], features=features)
    with BaseProject.from_dataset(made, store=tmp_path / "x.db") as project:
        (item,) = project[0].annotations
        assert (item.label, item.area) == ("dog", 36)
        (problem,) = project.problems.values()
        assert "annotations[1]" in problem
        assert "outside" in problem
    with pytest.raises(FormatError, match="columns 'image'"):
        BaseProject.from_dataset(made.select_columns(["image"]), store=tmp_path / "y.db")
    with pytest.raises(FormatError, match="one split"):
        BaseProject.from_dataset(json, store=tmp_path / "y.db")
