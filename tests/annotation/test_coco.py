"""COCO: lossless for us, valid for pycocotools, and careful with the files of others."""

import contextlib
import copy
import io
import os
import stat
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.formats.coco import from_coco, to_coco
from segwidget.annotation.labels import LabelSet
from segwidget.errors import FormatError, StoreError
from segwidget.inference.prompts import Point


@pytest.fixture
def whole(annotations, image, labels):
    return Annotations(annotations, image, labels.add("unused"))


def changed(data, place, value):
    """A copy of nested data in which one place has another value (or none: KeyError)."""
    data = copy.deepcopy(data)
    inner = data
    for key in place[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return data


def test_nothing_is_lost(whole, tmp_path):
    path = tmp_path / "street.coco.json"
    assert whole.save(path) == path
    assert Annotations.load(path) == whole
    assert Annotations.load(str(path), image="street.jpg") == whole


def test_nothing_is_lost_of_nothing(tmp_path, image):
    empty = Annotations([], image, ["car"])
    assert Annotations.load(empty.save(tmp_path / "a.json")) == empty


def test_saving_twice_gives_the_same_file(whole, tmp_path):
    first = whole.save(tmp_path / "a.json").read_bytes()
    again = Annotations.load(tmp_path / "a.json").save(tmp_path / "b.json")
    assert again.read_bytes() == first


def test_pycocotools_reads_it(whole, tmp_path):
    path = whole.save(tmp_path / "street.coco.json")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    rows = coco.loadAnns(coco.getAnnIds())
    assert len(rows) == 3
    names = {category["id"]: category["name"] for category in coco.loadCats(coco.getCatIds())}
    assert list(names.values()) == ["car", "person", "<b>tree</b>", "unused"]
    for row, item in zip(rows, whole, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
            mask = coco.annToMask(row)
        np.testing.assert_array_equal(mask.astype(bool), item.mask)
        x, y, width, height = row["bbox"]
        assert (x, y, x + width, y + height) == item.box
        assert row["area"] == item.area == mask.sum()
        assert names[row["category_id"]] == item.label
        assert row["iscrowd"] == 0
    (loaded,) = coco.loadImgs(coco.getImgIds())
    assert (loaded["width"], loaded["height"]) == (20, 12)
    assert coco.getAnnIds(catIds=[1]) == [1]


def test_scores_and_clicks_stand_where_sa1b_has_them(whole):
    row = to_coco(whole)["annotations"][0]
    assert row["predicted_iou"] == 0.9
    assert row["stability_score"] == 0.75
    assert row["point_coords"] == [[4.5, 3.5], [9.0, 9.0]]


def test_names_are_only_text(tmp_path, annotations):
    image = ImageInfo("../../../etc/passwd", 20, 12)
    before = sorted(tmp_path.rglob("*"))
    path = Annotations(annotations, image).save(tmp_path / "a.json")
    assert Annotations.load(path).image.name == "../../../etc/passwd"
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


def test_a_file_of_several_images(whole):
    data = to_coco(whole)
    data["images"].append({"id": 7, "file_name": "other.jpg", "width": 4, "height": 3})
    runs = {"size": [3, 4], "counts": [2, 5, 5]}
    data["annotations"].append({"id": 9, "image_id": 7, "category_id": 2, "segmentation": runs})
    assert from_coco(data, image="street.jpg") == whole
    (other,) = from_coco(data, image="other.jpg")
    assert (other.label, other.area, other.origin) == ("person", 5, "imported")
    with pytest.raises(FormatError, match=r"2 images; say which.*'street\.jpg', 'other\.jpg'"):
        from_coco(data)
    with pytest.raises(FormatError, match="0 images named 'cat'"):
        from_coco(data, image="cat")


def foreign(segmentation):
    """A data set as others write it: no scores, no extras, polygons."""
    return {
        "images": [{"id": 3, "file_name": "a.jpg", "width": 20, "height": 12}],
        "categories": [{"id": 18, "name": "dog", "color": [255, 0, 0]}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 18, "segmentation": segmentation,
             "bbox": [1, 2, 3, 4], "area": 99.5, "iscrowd": 0}
        ],
    }  # fmt: skip


def test_polygons():
    (item,) = from_coco(foreign([[2, 3, 8, 3, 8, 7, 2, 7], [10, 0, 12, 0, 12, 2, 10, 2]]))
    expected = np.zeros((12, 20), bool)
    expected[3:7, 2:8] = True
    expected[0:2, 10:12] = True
    np.testing.assert_array_equal(item.mask, expected)
    assert item.label == "dog"
    assert item.predicted_iou is None
    assert item.origin == "imported"


def test_colors_of_panoptic_files():
    assert from_coco(foreign([[2, 3, 8, 3, 8, 7]])).labels.color_of("dog") == "#ff0000"


def test_clicks_of_sa1b_are_kept():
    data = foreign({"size": [12, 20], "counts": [10, 30, 200]})
    data["annotations"][0].update(point_coords=[[3.5, 4]], predicted_iou=0.8, stability_score=0.9)
    (item,) = from_coco(data)
    assert item.prompts == (Point(3.5, 4),)
    assert (item.predicted_iou, item.stability_score) == (0.8, 0.9)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (["images"], KeyError, "images is missing"),
        (["images"], [], "images is empty"),
        (["images"], {}, "images is dict"),
        (["images"], ["a.jpg"], r"images\[0\] is a str"),
        (["images", 0, "width"], KeyError, r"images\[0\] lacks 'width'"),
        (["images", 0, "width"], -5, r"images\[0\].*width"),
        (["images", 0, "id"], None, r"images\[0\]\.id is None"),
        (["images", 0, "file_name"], 5, r"images\[0\].*name"),
        (["categories"], KeyError, "categories is missing"),
        (["categories", 1, "id"], 1, "categories has an id twice"),
        (["categories", 1, "name"], "car", "categories: The label 'car' is there twice"),
        (["categories", 1, "name"], "", "categories.*empty"),
        (["categories", 1, "color"], "loud", "categories.*'loud'"),
        (["annotations"], None, "annotations is missing"),
        (["annotations", 1], 5, r"annotations\[1\] is a int"),
        (["annotations", 1, "image_id"], 99, r"annotations\[1\]\.image_id is 99"),
        (["annotations", 1, "image_id"], [1], r"annotations\[1\]\.image_id is \[1\]"),
        (["annotations", 1, "category_id"], 99, r"annotations\[1\]\.category_id is 99"),
        (["annotations", 1, "id"], 1, r"annotations\[1\]\.id is 1"),
        (["annotations", 1, "id"], [], r"annotations\[1\]\.id"),
        (["annotations", 1, "segmentation"], KeyError, r"annotations\[1\] lacks 'segm"),
        (["annotations", 1, "segmentation"], None, r"annotations\[1\]\.segmentation"),
        (["annotations", 1, "segmentation"], [], r"annotations\[1\]\.segmentation is empty"),
        (["annotations", 1, "segmentation"], [[1, 2, 3, 4]], r"segmentation\[0\] is no polygon"),
        (["annotations", 1, "segmentation"], [[0, 0, 1e9, 0, 1, 1]], r"\[0\] reaches outside"),
        (["annotations", 1, "segmentation"], [[0, 0, float("nan"), 0, 1, 1]], "reaches outside"),
        (["annotations", 1, "segmentation"], [["a"] * 6], "no polygon"),
        (["annotations", 1, "segmentation", "counts"], "!!", r"annotations\[1\].*'!'"),
        (["annotations", 1, "segmentation", "counts"], "0" * 50, r"annotations\[1\].*fill"),
        (["annotations", 1, "segmentation", "counts"], [240, -1, 1], r"annotations\[1\].*zero"),
        (["annotations", 1, "segmentation"], {"size": [2, 2], "counts": [4]}, r"is \[2, 2\]"),
        (["annotations", 1, "predicted_iou"], "high", r"annotations\[1\].*predicted_iou"),
        (["annotations", 1, "segwidget"], [], r"annotations\[1\]\.segwidget"),
        (["annotations", 1, "segwidget", "spam"], 1, r"annotations\[1\].*spam"),
        (["annotations", 1, "segwidget", "id"], "same", None),
        (["annotations", 1, "segwidget", "prompts"], [{"type": "x"}], r"annotations\[1\].*'x'"),
        ([], None, "holds a NoneType"),
    ],
)
def test_wrong_files_are_refused_with_the_place(whole, place, value, words):
    data = changed(to_coco(whole), place, value) if place else value
    if words is None:
        data["annotations"][0]["segwidget"]["id"] = value
        words = "'same' is there twice"
    with pytest.raises(FormatError, match=words) as caught:
        from_coco(data)
    assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("coords", [5, [5], [[1]], [["a", 2]]])
def test_wrong_clicks_are_refused(coords):
    data = foreign([[2, 3, 8, 3, 8, 7]])
    data["annotations"][0]["point_coords"] = coords
    with pytest.raises(FormatError, match=r"annotations\[0\]"):
        from_coco(data)


def test_extras_cannot_contradict_coco(whole):
    data = to_coco(whole)
    data["annotations"][0]["segwidget"].update(label="person", area=1, rle=None)
    assert from_coco(data) == whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 30) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.data())
def test_any_damage_is_an_annotation_or_a_sentence(data):
    whole = foreign({"size": [12, 20], "counts": [10, 30, 200]})
    inner, path = whole, []
    while isinstance(inner, dict | list) and inner and (not path or data.draw(st.booleans())):
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        path.append(data.draw(st.sampled_from(keys)))
        inner = inner[path[-1]]
    broken = changed(whole, path, data.draw(JSON))
    try:
        count = len(from_coco(broken))
    except FormatError:
        count = 0
    assert count <= 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"images": NaN}', "NaN is not a number"),
        (b"[]", "holds a list"),
    ],
)
def test_files_that_are_no_json(tmp_path, content, words):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=words) as caught:
        Annotations.load(path)
    assert "'a.json'" in str(caught.value)


def test_a_byte_order_mark_is_no_problem(whole, tmp_path):
    path = whole.save(tmp_path / "a.json")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert Annotations.load(path) == whole


def test_missing_and_huge_files(tmp_path, monkeypatch, whole):
    with pytest.raises(StoreError, match="cannot be read"):
        Annotations.load(tmp_path / "missing.json")
    with pytest.raises(StoreError, match="cannot be read"):
        Annotations.load("a\0.json")
    path = whole.save(tmp_path / "a.json")
    monkeypatch.setattr("segwidget.annotation.formats.coco.MAX_BYTES", 100)
    with pytest.raises(FormatError, match="at most 100"):
        Annotations.load(path)


@pytest.mark.parametrize("name", ["street", "street.png", "street.json.txt", "json"])
def test_unknown_suffixes(whole, tmp_path, name):
    with pytest.raises(FormatError, match=r"expected \.coco\.json or \.json"):
        whole.save(tmp_path / name)
    with pytest.raises(FormatError, match="no suffix"):
        Annotations.load(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(whole, tmp_path):
    with pytest.raises(StoreError, match="no folder"):
        whole.save(tmp_path / "missing" / "a.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(StoreError, match="is a folder"):
        whole.save(tmp_path / "folder.json")
    with pytest.raises(StoreError, match="cannot be written"):
        whole.save("a\0.json")


def test_a_failed_save_leaves_the_old_file(whole, tmp_path, monkeypatch):
    path = whole.save(tmp_path / "a.json")
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        whole[:1].save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions and links")
def test_permissions_and_links_survive(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    fresh = write_atomically(tmp_path / "b.json", b"x")
    plain = tmp_path / "plain"
    plain.write_bytes(b"x")
    assert fresh.stat().st_mode == plain.stat().st_mode


def test_a_thousand_annotations_are_quick(tmp_path):
    import time

    random = np.random.default_rng(0)
    items = []
    for _ in range(1000):
        mask = np.zeros((120, 160), bool)
        x, y = random.integers(0, 100, 2)
        mask[y : y + 20, x : x + 40] = True
        items.append(Annotation.from_mask(mask, label=f"kind {x % 5}"))
    whole = Annotations(items, ImageInfo("a.jpg", 160, 120), LabelSet.of(["kind 0"]))
    start = time.perf_counter()
    path = whole.save(tmp_path / "a.json")
    # The budget is 100 ms; a busy computer gets more.
    assert time.perf_counter() - start < 1
    assert Annotations.load(path) == whole
