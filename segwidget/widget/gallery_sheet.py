"""The sheet of a gallery: a page of thumbnails on a canvas, and which of them is where."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import ipycanvas
import ipywidgets
from ipycanvas.canvas import _CANVAS_MANAGER
from PIL import ImageColor

from segwidget.annotation.store import Store
from segwidget.errors import SegwidgetError
from segwidget.media.image import Image
from segwidget.widget.app_parts import close_all
from segwidget.widget.facts import Fact
from segwidget.widget.gallery_crops import Crops
from segwidget.widget.gallery_order import (
    CAPTION,
    COLUMNS,
    GAP,
    HEIGHT,
    RATIO,
    WIDTH,
    Item,
    Place,
    fitted,
    laid_out,
    shortened,
)
from segwidget.widget.thumbnails import Thumbnails, jpeg, overlaid

GRAY = "#5f6b7a"  # of a group that has no color of its own

_DRAWING = threading.Lock()  # all canvases of a kernel send their commands through one manager


class Sheet:
    """Draws thumbnails of images, or crops of masks, each with its caption.

    Only what is drawn is opened and decoded.

    Args:
        store: of the project.
        opener: opens an image by its key.
        known: what is known of an image by its key, where that was read already.
        size: how many thumbnails there are at most.

    Attributes:
        canvas: what is shown.
        places: of what is shown now, and what that is.
    """

    def __init__(
        self,
        store: Store,
        opener: Callable[[str], Image],
        known: Callable[[str], Fact | None],
        size: int,
    ) -> None:
        self._store, self._known = store, known
        self._thumbnails = Thumbnails(opener)
        self._crops = Crops(opener, (RATIO * WIDTH, RATIO * (HEIGHT - CAPTION)))
        self._pictures = [ipywidgets.Image(format="jpeg") for _ in range(size)]
        if _CANVAS_MANAGER.comm is None:  # as Widget.close_all() leaves it, for all canvases
            _CANVAS_MANAGER.open()
        self.canvas = ipycanvas.Canvas(width=8, height=8)
        self.places: tuple[tuple[Place, Item], ...] = ()

    def draw(
        self, items: Sequence[Item], colors: Mapping[str, str], wanted: Callable[[], bool]
    ) -> None:
        """Draw all places first, then one picture after the other.

        Args:
            items: what is shown.
            colors: of labels, by name.
            wanted: whether to go on, which is asked before each picture.
        """
        places, headers, height = laid_out(items)
        canvas = self.canvas
        width = COLUMNS * (WIDTH + GAP) - GAP
        with _drawing(canvas):
            canvas.width, canvas.height = width * RATIO, height * RATIO
            canvas.layout.width, canvas.layout.max_width = f"{width}px", "100%"
            canvas.clear()
            for place, text in headers:
                _chip(canvas, place, text, colors.get(text, GRAY))
            canvas.fill_style = "rgba(128,128,128,0.16)"
            for place in places:
                canvas.fill_rect(*_scaled(place))
        self.places = tuple(zip(places, items, strict=True))
        cells = list(zip(places, items, self._pictures, strict=False))
        first = {item.key: -n for n, item in reversed(list(enumerate(items)))}
        # Masks of one image after the other, so that each image is opened once for a page.
        for place, item, picture in sorted(cells, key=lambda cell: -first[cell[1].key]):
            if not wanted():
                return
            if item.mask:
                self._draw_mask(place, item, picture, colors)
            else:
                self._draw_item(place, item, picture, colors)

    def at(self, x: float, y: float) -> Item | None:
        """What is shown at a place of the canvas, in its own pixels."""
        return next(
            (item for place, item in self.places if place.holds(x / RATIO, y / RATIO)), None
        )

    def close(self) -> None:
        """Open no more images, and close the pictures; the canvas is closed by who shows it."""
        self._thumbnails.close()
        close_all(self._pictures)

    def _draw_item(
        self, place: Place, item: Item, picture: ipywidgets.Image, colors: Mapping[str, str]
    ) -> None:
        made = self._thumbnails.make(item.key)
        fact = self._known(item.key) or Fact()
        masks = [m for m in fact.masks if item.label in ("", m.label)]
        if isinstance(made, SegwidgetError):
            with _drawing(self.canvas):
                self._caption(place, item.key, "cannot be opened")
            return
        if masks:
            shown = self._store.annotations(item.key)
            made = overlaid(made, [a for a in shown if item.label in ("", a.label)], colors)
        picture.value = jpeg(made)
        scores = [m.score for m in masks if m.score is not None]
        note = " · ".join([f"{len(masks)}", *(f"{min(scores):.2f}" for _ in scores[:1])])
        with _drawing(self.canvas):
            self.canvas.draw_image(picture, *_scaled(fitted(made.shape, place)))
            self._caption(place, item.key, note if masks else "")

    def _draw_mask(
        self, place: Place, item: Item, picture: ipywidgets.Image, colors: Mapping[str, str]
    ) -> None:
        """Draw a crop, above its caption."""
        found = [a for a in self._store.annotations(item.key) if a.id == item.mask]
        color = colors.get(item.label, GRAY)
        try:
            made = self._crops.make(item.key, found[0], color) if found else None
        except (SegwidgetError, OSError, ValueError):
            made = None
        if made is None:
            with _drawing(self.canvas):
                self._caption(place, item.label, "cannot be opened" if found else "gone", color)
            return
        picture.value = made.data
        room = place._replace(height=place.height - CAPTION)
        score = found[0].predicted_iou
        with _drawing(self.canvas):
            self.canvas.draw_image(picture, *_scaled(fitted(made.shape, room)))
            self._caption(place, item.label, "" if score is None else f"{score:.2f}", color)

    def _caption(self, place: Place, text: str, note: str, color: str = "") -> None:
        canvas, room = self.canvas, CAPTION
        canvas.fill_style = "rgb(30,33,38)" if color else "rgba(0,0,0,0.6)"
        strip = Place(place.x, place.y + place.height - room, place.width, room)
        canvas.fill_rect(*_scaled(strip))
        canvas.fill_style = "#fff"
        canvas.font = f"{11 * RATIO}px system-ui, sans-serif"
        canvas.text_baseline = "middle"
        y = (strip.y + room / 2 + 0.5) * RATIO
        letters = int((place.width - 16) / 6.2) - len(note)
        canvas.text_align = "left"
        left = strip.x + 6
        if color:  # a mask's label
            canvas.fill_style = color
            canvas.fill_rect(*_scaled(Place(left, strip.y + 5, 9, 9)))
            canvas.fill_style = "#fff"
            left, letters = left + 14, letters - 2
        canvas.fill_text(shortened(text, letters), left * RATIO, y)
        canvas.text_align = "right"
        canvas.fill_text(note, (strip.x + strip.width - 6) * RATIO, y)


@contextmanager
def _drawing(canvas: ipycanvas.Canvas) -> Iterator[None]:
    """What is drawn within is sent at once, and also to a page that was loaded since."""
    with _DRAWING, ipycanvas.hold_canvas():
        # The manager tells pages which canvas it draws on only when that changes; a page that was
        # loaded since does not know, and would draw nothing.
        canvas._canvas_manager._current_canvas = None
        yield


def _scaled(place: Place) -> tuple[float, float, float, float]:
    x, y, width, height = (RATIO * v for v in place)
    return x, y, width, height


def _chip(canvas: ipycanvas.Canvas, place: Place, text: str, color: str) -> None:
    """A group's name on its own color, so that it is read on any background."""
    text = shortened(text, 60)
    r, g, b = ImageColor.getrgb(color)[:3]
    width = 20 + 7.4 * len(text)
    canvas.fill_style = color
    canvas.fill_rect(*_scaled(place._replace(width=width, height=24)))
    canvas.fill_style = "#fff" if 0.299 * r + 0.587 * g + 0.114 * b < 150 else "#111"
    canvas.font = f"600 {12.5 * RATIO}px system-ui, sans-serif"
    canvas.text_align, canvas.text_baseline = "left", "middle"
    canvas.fill_text(text, (place.x + 10) * RATIO, (place.y + 12.5) * RATIO, (width - 16) * RATIO)
