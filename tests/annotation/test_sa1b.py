"""SA-1B: lossless for us, readable for others, and careful with their files."""

import copy
import json

import numpy as np
import pycocotools.mask as coco
import pytest

from segwidget.annotation.annotation import Annotations
from segwidget.annotation.formats.sa1b import from_sa1b, read_sa1b, to_sa1b
from segwidget.errors import FormatError, StoreError
from segwidget.inference.prompts import Point


@pytest.fixture
def whole(annotations, image):
    return Annotations(annotations, image)


@pytest.fixture
def theirs():
    """One image as the data set has it."""
    mask = np.zeros((12, 20), np.uint8, order="F")
    mask[3:7, 5:15] = 1
    rle = coco.encode(mask)
    return {
        "image": {"image_id": 12, "width": 20, "height": 12, "file_name": "sa_12.jpg"},
        "annotations": [
            {
                "id": 400,
                "segmentation": {"size": [12, 20], "counts": rle["counts"].decode()},
                "bbox": [5, 3, 9, 3],
                "area": 40,
                "predicted_iou": 1.01,
                "stability_score": 0.97,
                "crop_box": [0, 0, 20, 12],
                "point_coords": [[7.5, 4.25]],
            }
        ],
    }


def test_nothing_is_lost_but_colors(whole, tmp_path):
    path = tmp_path / "street.sa1b.json"
    assert whole.save(path) == path
    again = Annotations.load(path)
    assert again.items == whole.items
    assert again.image == whole.image
    assert read_sa1b(path, image="street.jpg") == again
    assert Annotations.load(Annotations([], whole.image).save(path)).items == ()


def test_rows_are_the_data_sets(whole):
    data = json.loads(json.dumps(to_sa1b(whole)))
    assert {"image_id", "file_name", "width", "height"} <= data["image"].keys()
    for index, (row, item) in enumerate(zip(data["annotations"], whole, strict=True), 1):
        x, y, width, height = row["bbox"]
        assert (x, y, x + width, y + height) == item.box
        assert row["id"] == index
        assert row["area"] == item.area == coco.area(row["segmentation"])
        assert row["crop_box"] == [0, 0, 20, 12]
        assert row["predicted_iou"] == item.predicted_iou
        assert row["stability_score"] == item.stability_score
    assert data["annotations"][0]["point_coords"] == [[4.5, 3.5], [9.0, 9.0]]


@pytest.mark.parametrize("name", ["sa_12.json", "sa_12.sa1b.json"])
def test_files_of_the_data_set(theirs, tmp_path, name):
    path = tmp_path / name
    path.write_text(json.dumps(theirs))
    (item,) = loaded = Annotations.load(path)
    assert (loaded.image.name, loaded.image.width, loaded.image.height) == ("sa_12.jpg", 20, 12)
    assert (item.label, item.origin, item.area) == ("object", "imported", 40)
    assert item.box == (5, 3, 15, 7)
    assert (item.predicted_iou, item.stability_score) == (1.01, 0.97)
    assert item.prompts == (Point(7.5, 4.25),)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (("image",), KeyError, "lacks 'image'"),
        (("annotations",), {}, "lacks 'image' or 'annotations'"),
        (("image", "width"), KeyError, "image lacks 'width'"),
        (("image", "width"), 0, "image: The width"),
        (("annotations", 0), 7, r"annotations\[0\] is a int"),
        (("annotations", 0, "segmentation"), KeyError, r"annotations\[0\] lacks 'segmentation'"),
        (("annotations", 0, "segmentation", "counts"), "~", r"annotations\[0\]: The counts"),
        (("annotations", 0, "segmentation", "size"), [20, 12], "another image"),
        (("annotations", 0, "point_coords"), [[1]], "no list of points"),
        (("annotations", 0, "predicted_iou"), "much", "predicted_iou"),
        (("annotations", 0, "segwidget"), {"origin": "assisted"}, "'label'"),
        (("annotations", 0, "segwidget"), {"label": "a", "hue": 3}, "hue"),
    ],
)
def test_damage_is_named(theirs, tmp_path, place, value, sentence):
    data = copy.deepcopy(theirs)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    with pytest.raises(FormatError, match=sentence):
        from_sa1b(data)
    path = tmp_path / "a.sa1b.json"
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError, match=r"a\.sa1b\.json"):
        Annotations.load(path)


def test_another_image_and_no_file(theirs, tmp_path):
    with pytest.raises(FormatError, match=r"sa_12\.jpg"):
        from_sa1b(theirs, image="sa_13.jpg")
    with pytest.raises(StoreError, match="cannot be read"):
        read_sa1b(tmp_path / "missing.sa1b.json")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(FormatError, match="holds a list"):
        Annotations.load(tmp_path / "a.json")
