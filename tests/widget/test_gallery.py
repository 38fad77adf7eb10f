"""The gallery: thumbnails with masks, sorted, grouped, in pages; a click opens one."""

import numpy as np
import pytest
from ipywidgets import Widget
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation
from segwidget.errors import SettingError
from segwidget.widget import project as project_module
from segwidget.widget.facts import Fact, MaskFact
from segwidget.widget.gallery_order import (
    COLUMNS,
    GAP,
    HEADER,
    HEIGHT,
    RATIO,
    WIDTH,
    Item,
    arranged,
    fitted,
    laid_out,
    shortened,
)
from segwidget.widget.project import Project
from segwidget.widget.thumbnails import overlaid, small_mask

from .conftest import PATIENCE

FACTS = {
    "a": Fact((MaskFact("car", 0.9, 0.5), MaskFact("person", 0.4, 0.02))),
    "b": Fact(),
    "c": Fact((MaskFact("car", 0.6, 0.001),)),
    "d": Fact((MaskFact("person", None, 0.1),)),
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
    wide = fitted(np.zeros((10, 100, 3), np.uint8), place)
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
    place, _ = gallery._places[n]
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
    assert {n for n in range(7) if gallery._thumbnails.get(f"{n}.png") is not None} == {0, 1, 2, 3}
    gallery.turn_to(1)
    assert gallery._worker.wait(PATIENCE)
    assert "no picture" not in gallery._message.value
    assert isinstance(gallery._thumbnails.get("6.png"), Exception)


def test_arranged_from_python(gallery):
    gallery.arrange(sort="-score", group="label")
    assert gallery.keys_shown == ("2.png", "1.png", "0.png", "3.png")
    with pytest.raises(SettingError, match="'colour'"):
        gallery.arrange(sort="colour")


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
