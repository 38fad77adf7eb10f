"""The gallery: thumbnails with masks, sorted, grouped, in pages; a click opens one."""

import numpy as np
import pytest
from ipywidgets import Widget
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation
from segwidget.errors import SettingError
from segwidget.inference.rle import Rle
from segwidget.media.image import Image
from segwidget.widget import project as project_module
from segwidget.widget.facts import Fact, MaskFact
from segwidget.widget.gallery_crops import AROUND, EDGE, Crops, crop, window
from segwidget.widget.gallery_order import (
    COLUMNS,
    GAP,
    HEADER,
    HEIGHT,
    RATIO,
    WIDTH,
    Item,
    arranged,
    arranged_masks,
    fitted,
    laid_out,
    passing,
    shortened,
)
from segwidget.widget.project import Project
from segwidget.widget.thumbnails import overlaid, small_mask

from .conftest import PATIENCE

FACTS = {
    "a": Fact((MaskFact("car", 0.9, 0.5, "1"), MaskFact("person", 0.4, 0.02, "2"))),
    "b": Fact(),
    "c": Fact((MaskFact("car", 0.6, 0.001, "3"),)),
    "d": Fact((MaskFact("person", None, 0.1, "4"),)),
}


def order(sort="name", group="", facts=FACTS):
    items = arranged(
        facts, lambda key: "done" if key == "c" else "todo", sort, group, ("car", "person")
    )
    return [(item.group, item.key) for item in items]


@pytest.mark.parametrize(
    ("sort", "keys"),
    [
        ("name", "abcd"),
        ("score", "acbd"),  # b and d have none
        ("-score", "cabd"),
        ("size", "cadb"),
        ("-size", "adcb"),
        ("-masks", "acdb"),
    ],
)
def test_sorted(sort, keys):
    assert "".join(key for _, key in order(sort)) == keys


def test_grouped():
    assert order(group="label") == [
        ("car", "a"),
        ("car", "c"),
        ("person", "a"),
        ("person", "d"),
        ("no masks", "b"),
    ]
    assert order(group="status") == [("to do", "a"), ("to do", "b"), ("to do", "d"), ("done", "c")]
    assert order(group="score") == [
        ("score 0.4 to 0.5", "a"),
        ("score 0.6 to 0.7", "c"),
        ("no score", "b"),
        ("no score", "d"),
    ]
    assert order(group="size") == [
        ("under 1 % of the image", "c"),
        ("5 to 20 %", "d"),
        ("over 20 %", "a"),
        ("no masks", "b"),
    ]


def test_within_a_label_only_its_masks_count():
    assert order("score", "label")[:2] == [("car", "c"), ("car", "a")]


def masks(sort="name", group="", **only):
    items = arranged_masks(
        passing(FACTS, **only), lambda key: "done", sort, group, ("person", "car")
    )
    assert all(item.label == {"1": "car", "3": "car"}.get(item.mask, "person") for item in items)
    assert all(item.key == {"3": "c", "4": "d"}.get(item.mask, "a") for item in items)
    return [(item.group, item.mask) for item in items]


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("name", "1234"),
        ("score", "2314"),  # the last has none
        ("-score", "1324"),
        ("size", "3241"),
        ("-size", "1423"),
        ("-masks", "1234"),
    ],
)
def test_masks_are_sorted_one_by_one(sort, ids):
    assert "".join(id_ for _, id_ in masks(sort)) == ids


def test_masks_are_grouped_one_by_one():
    assert masks(group="label") == [("person", "2"), ("person", "4"), ("car", "1"), ("car", "3")]
    assert masks(group="score")[-1] == ("no score", "4")
    assert masks(group="size")[0] == ("under 1 % of the image", "3")
    assert masks("-size", "label")[:2] == [("person", "4"), ("person", "2")]


def test_only_some_masks_pass():
    assert masks(label="car") == [("", "1"), ("", "3")]
    assert masks(score=0.6) == [("", "2"), ("", "3")]
    assert masks(label="person", score=0.3) == []
    assert passing(FACTS) == FACTS
    assert list(passing(FACTS, label="person")) == ["a", "d"]


def test_laid_out_in_rows_below_headers():
    items = [Item(str(n), "x") for n in range(COLUMNS + 1)] + [Item("y", "y")]
    places, headers, height = laid_out(items)
    assert [(p.x, p.y) for p in places[:2]] == [(0, HEADER), (WIDTH + GAP, HEADER)]
    assert places[COLUMNS][:2] == (0, HEADER + HEIGHT + GAP)
    assert [text for _, text in headers] == ["x", "y"]
    assert headers[1][0].y >= places[COLUMNS].y + HEIGHT
    assert places[-1].y == headers[1][0].y + HEADER
    assert height == places[-1].y + HEIGHT
    assert laid_out([])[2] == HEIGHT


def test_a_picture_keeps_its_shape_in_its_place():
    (place,), _, _ = laid_out([Item("x")])
    wide = fitted((10, 100, 3), place)
    assert (wide.x, wide.width) == (0, WIDTH)
    assert wide.y == (HEIGHT - wide.height) / 2
    assert shortened("folder/picture.png", 8) == "…ure.png"


def test_masks_lie_over_a_thumbnail_in_their_colors():
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    speck = np.zeros((60, 80), bool)
    speck[1, 1] = True
    one = Annotation.from_mask(mask, label="car")
    small = small_mask(one, (15, 20))
    assert small.sum() == 5 * 10
    assert small_mask(Annotation.from_mask(speck, label="car"), (15, 20)).sum() == 1
    plain = np.full((15, 20, 3), 100, np.uint8)
    seen = overlaid(plain, [one], {"car": "#ff0000"})
    assert (seen[~small] == 100).all()
    assert tuple(seen[5, 5]) == (255, 0, 0)  # the edge
    assert tuple(seen[7, 8]) == (170, 55, 55)
    hidden = Annotation.from_mask(mask, label="car", visible=False)
    assert (overlaid(plain, [hidden], {}) == plain).all()


# Crops.


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((100, 100, 140, 120), (91, 86, 149, 134)),  # in the middle of the image: 1.2 to 1
        ((0, 0, 2, 2), (0, 0, 29, 24)),  # a speck in the corner
        ((0, 0, 300, 200), (0, 0, 300, 200)),  # all of it
        ((295, 195, 300, 200), (271, 176, 300, 200)),
    ],
)
def test_the_part_of_an_image_that_a_mask_is_shown_in(box, expected):
    x0, y0, x1, y1 = window(box, (300, 200), 1.2)
    assert all(abs(a - b) <= 1 for a, b in zip((x0, y0, x1, y1), expected, strict=True))
    assert x0 <= box[0] < box[2] <= x1
    assert y0 <= box[1] < box[3] <= y1


def test_a_crop_shows_the_mask_outlined_and_the_rest_darker():
    mask = np.zeros((200, 300), bool)
    mask[90:110, 130:170] = True
    image = Image(np.full((200, 300, 3), 200, np.uint8))
    seen = crop(image, Annotation.from_mask(mask, label="car"), "#ff0000", (312, 196))
    assert seen.shape == (196, 312, 3)
    assert (seen[98, 156] == 200).all()
    assert (seen[0, 0] == round(200 * AROUND)).all()
    red = (seen == (255, 0, 0)).all(axis=-1)
    rows = np.flatnonzero(red[:, 156])
    assert len(rows) == 2 * EDGE  # above and below
    height = rows.max() - rows.min() - 2 * EDGE + 1
    assert height == pytest.approx(20 * 312 / 58, abs=5)


def test_a_speck_in_a_huge_image_is_seen():
    counts = [10_000 * 5_000 + 777, 1, 10_000 * 10_000 - 10_000 * 5_000 - 778]
    speck = Annotation.from_rle(Rle.from_runs((10_000, 10_000), counts), label="car")
    pixels = np.broadcast_to(np.uint8(9), (10_000, 10_000, 3))
    seen = crop(Image(pixels), speck, "#00ff00", (120, 80))
    assert (seen == 9).all(axis=-1).sum() >= 3
    assert (seen == (0, 255, 0)).all(axis=-1).any()


def test_crops_are_kept_until_the_mask_is_another():
    opened = []
    image = Image(np.full((60, 80, 3), 50, np.uint8))
    crops = Crops(lambda key: (opened.append(key), image)[1], (120, 80))
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    one = Annotation.from_mask(mask, label="car", id="x")
    first = crops.make("a", one, "#ff0000")
    assert crops.make("a", one, "#ff0000") is first
    assert opened == ["a"]
    assert crops.make("a", one, "#0000ff").data != first.data
    other = Annotation.from_mask(~mask, label="car", id="x")
    assert crops.make("a", other, "#ff0000").data != first.data
    assert len(opened) == 3


# The widget.


@pytest.fixture
def pictures(tmp_path, comms, loads):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(5)
    for n in range(7):
        pixels = rng.integers(0, 255, (60, 80, 3), np.uint8)
        PILImage.fromarray(pixels).save(folder / f"{n}.png")
    (folder / "6.png").write_text("no picture")
    project = Project(folder, labels=["car", "person"])
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    for n, label in enumerate(("person", "car", "car")):
        found = Annotation.from_mask(mask, label=label, predicted_iou=0.5 + n / 10)
        project.store.commit(f"{n}.png", [found])
    yield project
    for app in list(project_module._apps.values()):
        app.close()
    project_module._apps.clear()


@pytest.fixture
def gallery(pictures):
    gallery = pictures.gallery(page_size=4)
    assert gallery.wait(PATIENCE)
    yield gallery
    gallery.close()


def middle(gallery, n):
    place, _ = gallery._sheet.places[n]
    return (place.x + WIDTH / 2) * RATIO, (place.y + HEIGHT / 2) * RATIO


def test_pages(gallery):
    assert gallery.pages == 2
    assert gallery.keys_shown == ("0.png", "1.png", "2.png", "3.png")
    assert gallery._before.disabled
    gallery._after.click()
    assert gallery.keys_shown == ("4.png", "5.png", "6.png")
    assert gallery._where.value == "2 of 2"
    gallery.turn_to(99)
    assert gallery.page == 1


def test_only_what_is_on_the_page_is_opened(gallery):
    assert {n for n in range(7) if gallery._sheet._thumbnails.get(f"{n}.png") is not None} == {
        0,
        1,
        2,
        3,
    }
    gallery.turn_to(1)
    assert gallery._worker.wait(PATIENCE)
    assert "no picture" not in gallery._message.value
    assert isinstance(gallery._sheet._thumbnails.get("6.png"), Exception)


def test_arranged_from_python(gallery):
    gallery.arrange(sort="-score", group="label")
    assert gallery.keys_shown == ("2.png", "1.png", "0.png", "3.png")
    with pytest.raises(SettingError, match="'colour'"):
        gallery.arrange(sort="colour")


def test_masks_one_by_one(gallery, pictures):
    gallery.arrange(show="masks", sort="-score")
    assert gallery.wait(PATIENCE)
    assert gallery.keys_shown == ("2.png", "1.png", "0.png")
    assert gallery.pages == 1
    gallery.arrange(label="car")
    assert gallery.keys_shown == ("2.png", "1.png")
    gallery.arrange(label="", score=0.55)
    assert gallery.keys_shown == ("0.png",)
    gallery.arrange(score=0.1)
    assert gallery.keys_shown == ()
    assert gallery._message.value.startswith("No mask passes")
    gallery.arrange(score=1, show="images")
    assert len(gallery.items) == 7
    assert gallery._message.value == ""
    for wrong in ({"label": "tree"}, {"show": "crops"}, {"score": 2}):
        with pytest.raises(SettingError, match="expected"):
            gallery.arrange(**wrong)


def test_only_masks_on_the_page_are_decoded_and_their_images_opened_once(pictures, monkeypatch):
    mask = np.zeros((60, 80), bool)
    mask[5:9, 5:9] = True
    for key in ("0.png", "1.png", "2.png"):
        items = [Annotation.from_mask(mask, label="car", predicted_iou=0.5) for _ in range(400)]
        pictures.store.commit(key, items)
    decoded, opened = [], []
    source = type(pictures._source)
    decode, open_ = Rle.decode_box, source.open
    monkeypatch.setattr(
        Rle, "decode_box", lambda self, *box: (decoded.append(1), decode(self, *box))[1]
    )
    gallery = pictures.gallery(page_size=12)
    assert gallery.wait(PATIENCE)
    pictures._opened.clear()
    monkeypatch.setattr(
        source, "open", lambda self, place: (opened.append(place), open_(self, place))[1]
    )
    decoded.clear()
    gallery.arrange(show="masks")
    assert gallery.wait(PATIENCE)
    assert gallery.pages == 100
    assert len(decoded) == 12
    assert opened == [0]
    gallery.close()


def test_a_click_on_a_mask_selects_it_in_the_app(gallery, pictures):
    gallery.arrange(show="masks", sort="-score")
    assert gallery.wait(PATIENCE)
    gallery._on_click(*middle(gallery, 1))
    app = pictures.app()
    assert app.wait(PATIENCE)
    (mask,) = pictures.store.annotations("1.png")
    assert app.key == "1.png"
    assert gallery.clicked.mask == mask.id
    segmenter = app.segmenter
    assert segmenter.selection == mask.id
    segmenter.note_selected(mask.id)
    app.open("1.png", mask=mask.id)  # which is open: nothing is opened anew
    assert app.segmenter is segmenter
    assert segmenter.selection == mask.id
    pictures.store.commit("2.png", [])
    app.open("2.png", mask="gone")
    assert app.wait(PATIENCE)
    assert "no longer there" in app._controls.message.value


def test_a_mask_that_is_gone_and_an_image_that_is(gallery, pictures, monkeypatch):
    told = []
    monkeypatch.setattr(
        gallery._sheet, "_caption", lambda place, text, note, color="": told.append(note)
    )
    gallery.arrange(show="masks", sort="score")
    assert gallery.wait(PATIENCE)  # or what is drawn now might keep its crops
    pictures.store.commit("0.png", [])
    monkeypatch.setattr(gallery._sheet._crops, "_opener", lambda key: pictures["6.png"].image)
    gallery._sheet._crops._kept.clear()
    gallery.turn_to(0)
    assert gallery.wait(PATIENCE)
    assert told[-3:] == ["gone", "cannot be opened", "cannot be opened"]


def test_what_was_annotated_since_is_there_after_a_refresh(gallery, pictures):
    pictures.store.commit("0.png", [])
    gallery.refresh()
    assert gallery.wait(PATIENCE)
    gallery.arrange(sort="-masks")
    assert gallery.keys_shown[:2] == ("1.png", "2.png")


def test_a_click_opens_the_image_in_the_app(gallery, pictures):
    gallery._on_click(*middle(gallery, 2))
    app = pictures.app()
    assert app.key == "2.png"
    assert gallery.children[-1] is app  # since it was nowhere else
    gallery._on_click(*middle(gallery, 1))
    assert app.key == "1.png"
    assert gallery.children.count(app) == 1
    gallery._on_click(WIDTH * RATIO + 2, 2)  # between two
    assert app.key == "1.png"


def test_an_app_that_is_on_screen_stays_where_it_is(gallery, pictures):
    app = pictures.app()
    app._repr_mimebundle_()
    gallery.open("2.png")
    assert app.key == "2.png"
    assert app not in gallery.children


def test_a_click_can_be_somebody_elses(pictures):
    clicked = []
    gallery = pictures.gallery(clicked.append)
    assert gallery.wait(PATIENCE)
    gallery._on_click(*middle(gallery, 3))
    assert clicked == ["3.png"]
    gallery.close()
    gallery.close()
    assert gallery._canvas.comm is None


def test_a_page_size_that_cannot_be(pictures):
    with pytest.raises(SettingError, match="page_size is 0"):
        pictures.gallery(page_size=0)


def test_a_gallery_after_all_widgets_were_closed(pictures):
    """All canvases share one hidden widget, which that closes, too."""
    Widget.close_all()
    gallery = pictures.gallery(page_size=4)
    assert gallery.comm is not None
    assert gallery._canvas._canvas_manager.comm is not None
    gallery.close()
