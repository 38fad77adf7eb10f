"""A page asks for the finer pixels of a large image, and is sent them or a reason."""

import io

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.widget import tiles
from segwidget.widget.tiles import Tile, TileCache
from tests.widget.conftest import PATIENCE, Page


@pytest.fixture
def picture():
    """Wider than a preview may be, so that there is a pyramid."""
    pixels = np.zeros((700, 2600, 3), np.uint8)
    pixels[:, ::7] = (250, 120, 30)
    pixels[100:200, 600:1500] = (20, 60, 200)
    return pixels


@pytest.fixture
def deliveries(seg, monkeypatch):
    """What the widget sends; `wait` returns when its thread is done."""
    sent = []
    monkeypatch.setattr(seg, "send", lambda content, buffers=(): sent.append((content, buffers)))

    def wait():
        thread = seg._tiles_thread
        if thread is not None:
            thread.join(PATIENCE)
        return sent

    return wait


def test_the_page_knows_of_the_pyramid(page, make):
    assert page["image"]["preview_width"] < 2600
    assert page["image"]["tiles"] == {"size": 512, "levels": 1}
    small = make(np.zeros((60, 80, 3), np.uint8))
    assert Page(small)["image"]["tiles"] is None


def test_a_tile_is_delivered(page, deliveries, picture):
    page.do("tile", level=0, column=1, row=0)
    ((content, buffers),) = deliveries()
    assert content == {"op": "tile", "level": 0, "column": 1, "row": 0, "mime": "image/png"}
    with PILImage.open(io.BytesIO(buffers[0])) as shown:
        np.testing.assert_array_equal(np.asarray(shown), picture[:512, 512:1024])
    assert page["notice"] is None


@pytest.mark.parametrize("place", [(0, 6, 0), (0, 0, -1), (9, 0, 0), (-1, 0, 0), (0, 10**30, 0)])
def test_what_is_not_there_is_an_error_and_no_exception(page, deliveries, place):
    level, column, row = place
    page.do("tile", level=level, column=column, row=row)
    ((content, buffers),) = deliveries()
    assert "There is no" in content["error"]
    assert (content["level"], content["column"], content["row"]) == place
    assert not buffers
    assert page["notice"] is None


def test_a_message_that_is_no_request_is_a_notice(page, deliveries):
    page.do("tile", level="0", column=None, row=[])
    assert deliveries() == []
    assert "level" in page["notice"]["message"]


def test_tiles_are_made_once(seg, deliveries, monkeypatch):
    made = []
    cut = tiles.cut_tile
    monkeypatch.setattr(tiles, "cut_tile", lambda *args: made.append(args[1:]) or cut(*args))
    for _ in range(3):
        seg.send_tile(0, 2, 1)
        deliveries()
    assert made == [(0, 2, 1)]
    assert len(deliveries()) == 3


def test_a_tile_that_cannot_be_made_or_sent_stops_nothing(seg, deliveries, monkeypatch):
    cut = tiles.cut_tile
    monkeypatch.setattr(tiles, "cut_tile", lambda *_: (_ for _ in ()).throw(MemoryError("full")))
    seg.send_tile(0, 0, 0)
    assert deliveries()[-1][0]["error"] == "MemoryError: full"
    monkeypatch.setattr(tiles, "cut_tile", cut)
    seg.send_tile(0, 0, 0)
    assert "error" not in deliveries()[-1][0]


def test_too_many_are_told_to_ask_again(seg, deliveries, monkeypatch):
    monkeypatch.setattr(tiles, "MAX_WAITING", 0)
    seg.send_tile(0, 0, 0)
    assert "Ask again" in deliveries()[-1][0]["error"]


def test_a_closed_widget_sends_nothing(seg, deliveries):
    seg.close()
    seg.send_tile(0, 0, 0)
    assert deliveries() == []


def test_the_cache_is_bounded():
    cache = TileCache(100)
    for i in range(5):
        cache.put((0, i, 0), Tile(bytes(30), "image/png"))
    assert (len(cache), cache.nbytes) == (3, 90)
    assert cache.get((0, 0, 0)) is None
    assert cache.get((0, 2, 0)) is not None  # now the newest
    cache.put((1, 0, 0), Tile(bytes(40), "image/png"))
    assert cache.get((0, 2, 0)) is not None
    assert cache.get((0, 3, 0)) is None
    cache.put((1, 0, 0), Tile(bytes(10), "image/png"))
    assert cache.nbytes == 30 + 30 + 10
    cache.put((2, 0, 0), Tile(bytes(500), "image/png"))  # one is always kept
    assert (len(cache), cache.nbytes) == (1, 500)
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)
