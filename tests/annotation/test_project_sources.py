"""Where a project's images may come from."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from segwidget.annotation.sources import find_source
from segwidget.errors import ImageError


def picture(level=9):
    return Image.new("RGB", (6, 4), (level, 0, 0))


def png(level=9):
    stream = io.BytesIO()
    picture(level).save(stream, "PNG")
    return stream.getvalue()


def test_a_folder_leaves_out_what_is_hidden_or_no_picture(tmp_path):
    (tmp_path / ".cache").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("z.PNG", "b/c.jpg", ".hidden.png", ".cache/d.png", "b/e.json", "a.png"):
        (tmp_path / name).touch()
    (tmp_path / "circle").symlink_to(tmp_path, target_is_directory=True)
    source = find_source(tmp_path)
    assert source.keys == ("a.png", "b/c.jpg", "z.PNG")
    assert source.folder == tmp_path
    assert find_source(str(tmp_path), recursive=False).keys == ("a.png", "z.PNG")


def test_a_name_that_is_no_text_is_told(tmp_path):
    (tmp_path / "good.png").touch()
    (tmp_path / "line\nbreak.png").touch()
    source = find_source(tmp_path)
    assert source.keys == ("good.png",)
    assert list(source.problems) == [r"'line\nbreak.png'"]


def test_a_list_of_all_kinds(tmp_path):
    picture(1).save(tmp_path / "a.png")
    items = [tmp_path / "a.png", picture(2), np.full((4, 6, 3), 3, np.uint8), png(4), None]
    source = find_source(items)
    assert source.keys == (
        "a.png", "image-00001.png", "image-00002.png", "image-00003.png", "image-00004.png",
    )  # fmt: skip
    assert [int(source.open(n).pixels[0, 0, 0]) for n in range(4)] == [1, 2, 3, 4]
    assert source.open(3).name == "image-00003.png"
    with pytest.raises(ImageError):
        source.open(4)


def test_paths_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    paths = [tmp_path / "x" / "a.png", tmp_path / "y" / "a.png"]
    assert find_source(paths).keys == ("x/a.png", "y/a.png")
    assert find_source(paths).folder == tmp_path


def test_what_is_there_twice_is_taken_once_and_told(tmp_path):
    source = find_source([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "a.png"])
    assert source.keys == ("a.png", "b.png")
    assert list(source.problems) == ["a.png (number 2)"]


def test_names_of_a_mapping_are_only_text():
    source = find_source({"../up.png": picture(5), "": picture(6), "last": picture(7)})
    assert source.keys == ("../up.png", "last")
    assert int(source.open(1).pixels[0, 0, 0]) == 7
    assert list(source.problems) == ["number 1"]


def test_a_data_frame_finds_its_column():
    frame = pd.DataFrame({"label": ["x", "y"], "Image": [png(1), png(2)]}, index=[7, 7])
    source = find_source(frame)
    assert int(source.open(1).pixels[0, 0, 0]) == 2
    with pytest.raises(ImageError, match=r"say which one.*column="):
        find_source(frame.rename(columns={"Image": "photo"}))
    with pytest.raises(ImageError, match="no column 'nope'"):
        find_source(frame, column="nope")
    found = find_source(frame.rename(columns={"Image": "photo"}), column="photo")
    assert int(found.open(0).pixels[0, 0, 0]) == 1


def test_a_split_decodes_one_image_at_a_time():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"photo": datasets.Image(), "label": datasets.Value("int64")})
    split = datasets.Dataset.from_dict(
        {
            "photo": [{"bytes": png(3), "path": None}, {"bytes": b"no", "path": None}],
            "label": [0, 1],
        },
        features=features,
    )
    source = find_source(split)
    assert source.keys == ("image-00000.png", "image-00001.png")
    assert int(source.open(0).pixels[0, 0, 0]) == 3
    with pytest.raises(ImageError, match="image-00001"):
        source.open(1)
    raw = split.cast_column("photo", datasets.Image(decode=False))
    assert int(find_source(raw).open(0).pixels[0, 0, 0]) == 3
    with pytest.raises(ImageError, match="splits 'train'"):
        find_source(datasets.DatasetDict({"train": split}))
    with pytest.raises(ImageError, match="stream"):
        find_source(split.to_iterable_dataset())
    with pytest.raises(ImageError, match="no column"):
        find_source(split, column="picture")


@pytest.mark.parametrize("given", [7, b"bytes", np.zeros((4, 6, 3), np.uint8), None])
def test_what_holds_no_images_is_refused(given):
    with pytest.raises(ImageError, match="expected"):
        find_source(given)


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(ImageError, match="not there"):
        find_source(tmp_path / "nowhere")
    file = tmp_path / "a.png"
    picture().save(file)
    with pytest.raises(ImageError, match="in a list"):
        find_source(file)
    assert find_source([Path(file)]).open(0).width == 6
