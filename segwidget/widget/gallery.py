"""The gallery: a whole data set as thumbnails with their masks; a click opens one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import ipycanvas
import ipywidgets
from numpy.typing import NDArray
from PIL import ImageColor

from segwidget.errors import ClosedError, SegwidgetError, SettingError
from segwidget.media.image import Image
from segwidget.widget.app_parts import WORDS, button, close_all, label, row, style_sheet
from segwidget.widget.facts import Fact, Facts
from segwidget.widget.thumbnails import Thumbnails, jpeg, overlaid
from segwidget.widget.worker import Worker

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject

# Sizes in CSS pixels.
WIDTH, HEIGHT, GAP = 156, 117, 8  # of a cell, and between two
COLUMNS = 6
HEADER = 34
RATIO = 2  # canvas pixels for each: sharp on fine screens
PAGE = 24

SORTS = {
    "Name": "name",
    "Lowest score first": "score",
    "Highest score first": "-score",
    "Smallest mask first": "size",
    "Largest mask first": "-size",
    "Most masks first": "-masks",
}
GROUPS = {"No groups": "", "By label": "label", "By score": "score", "By size": "size",
          "By status": "status"}  # fmt: skip
NO_LABEL = "no masks"

_DRAWING = threading.Lock()  # all canvases of a kernel send their commands through one manager
GRAY = "#5f6b7a"
_SIZES = ((0.01, "under 1 % of the image"), (0.05, "1 to 5 %"), (0.2, "5 to 20 %"))


class Item(NamedTuple):
    """A thumbnail.

    Attributes:
        key: of its image.
        group: what it stands under; "" where there are no groups.
        label: whose masks are shown; "" for all.
    """

    key: str
    group: str = ""
    label: str = ""


class Place(NamedTuple):
    """Where something lies on the canvas, in CSS pixels."""

    x: float
    y: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies inside."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


class Gallery(ipywidgets.VBox):
    """All images of a project with their masks, sorted, grouped, in pages.

        gallery = project.gallery()
        gallery                                # a click opens the image in the annotator
        gallery.arrange(sort="score", group="label")

    Args:
        project: the images and their store.
        on_open: called with the key of an image that is clicked, instead of the project's app.
        page_size: thumbnails on a page.

    Raises:
        SettingError: a page size that cannot be.
    """

    def __init__(
        self,
        project: BaseProject,
        on_open: Callable[[str], Any] | None = None,
        *,
        page_size: int = PAGE,
    ) -> None:
        if type(page_size) is not int or not 1 <= page_size <= 200:
            raise SettingError(f"page_size is {page_size!r}; expected 1 to 200 thumbnails.")
        self.project, self._on_open, self.page_size = project, on_open, page_size
        self._thumbnails = Thumbnails(self._open_image)
        self._facts = Facts(project.store, project.keys)
        self._items: tuple[Item, ...] = ()
        self._page, self._turn, self._closed = 0, 0, False
        self._places: tuple[tuple[Place, Item], ...] = ()
        self._worker = Worker(lambda error: self.tell(str(error)))
        self._pictures = [ipywidgets.Image(format="jpeg") for _ in range(page_size)]
        self._canvas = ipycanvas.Canvas(width=8, height=8)
        self._canvas.on_mouse_down(self._on_click)
        self._canvas.on_client_ready(self._draw_soon)
        self._sort = ipywidgets.Dropdown(options=SORTS, description="Sort")
        self._group = ipywidgets.Dropdown(options=GROUPS, description="Group")
        self._before = button("", "chevron-left", "The page before this one")
        self._after = button("", "chevron-right", "The next page")
        self._where = label("segwidget-app-quiet")
        self._message = label("segwidget-app-quiet")
        again = button("", "refresh", "Look again at what was annotated since")
        self._before.on_click(lambda _: self.turn_to(self._page - 1))
        self._after.on_click(lambda _: self.turn_to(self._page + 1))
        again.on_click(lambda _: self.refresh())
        for choice in (self._sort, self._group):
            choice.observe(lambda _: self._rearrange(), "value")
        turn = row(self._before, self._where, self._after, again, name="segwidget-app-end")
        head = row(self._sort, self._group, turn, name="segwidget-app-download")
        self._style = ipywidgets.HTML(style_sheet())
        self._style.layout.display = "none"
        super().__init__([self._style, head, self._canvas, self._message])
        self.add_class("segwidget-app")
        self.add_class("segwidget-gallery")
        self._rearrange()
        self._facts.read_all(self._rearrange)

    # What is shown.

    @property
    def items(self) -> tuple[Item, ...]:
        """All thumbnails, in order."""
        return self._items

    @property
    def page(self) -> int:
        """The present page, 0 the first."""
        return self._page

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-len(self._items) // self.page_size))

    @property
    def keys_shown(self) -> tuple[str, ...]:
        """The keys of the images on the present page."""
        return tuple(item.key for item in self._on_page())

    def arrange(self, *, sort: str | None = None, group: str | None = None) -> None:
        """Sort and group.

        Args:
            sort: ``"name"``, ``"score"``, ``"size"`` or ``"masks"``; with ``"-"`` before it, the
                largest first.
            group: ``"label"``, ``"score"``, ``"size"``, ``"status"``, or ``""`` for none.

        Raises:
            SettingError: another word.
        """
        for choice, options, value in ((self._sort, SORTS, sort), (self._group, GROUPS, group)):
            if value is None:
                continue
            if value not in options.values():
                words = ", ".join(repr(word) for word in options.values())
                raise SettingError(f"A gallery cannot be arranged by {value!r}; expected {words}.")
            choice.value = value

    def turn_to(self, page: int) -> None:
        """Turn to a page, 0 the first; beyond the last one, to that."""
        self._page = min(max(0, page), self.pages - 1)
        self._draw_soon()

    def open(self, key: str | None = None) -> None:
        """Open an image, as a click on its thumbnail does.

        Without a key, this is the ``open`` that ipywidgets calls itself.

        Where the project's app is not on screen yet, it comes below the gallery.
        """
        if key is None:
            super().open()
            return
        if self._on_open is not None:
            self._on_open(key)
            return
        project: Any = self.project
        app = project.app()
        if not app.shown and app not in self.children:
            self.children = (*self.children, app)
        app.open(key)

    def refresh(self) -> None:
        """Look again at what was annotated since."""
        self._facts.close()
        self._facts = Facts(self.project.store, self.project.keys)
        self._facts.read_all(self._rearrange)

    def tell(self, message: str) -> None:
        """Show a message; "" takes it away."""
        self._message.value = message

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is drawn; False when `timeout` seconds pass."""
        return self._facts.wait(timeout) and self._worker.wait(timeout)

    def close(self) -> None:
        """End the gallery; an app below it goes on."""
        if self.__dict__.get("_closed", True):
            return
        self._closed = True
        self._facts.close()
        self._thumbnails.close()
        self._worker.close()
        close_all(self.children[:4])
        close_all(self._pictures)
        layout = self.layout
        super().close()
        layout.close()

    # In which order.

    def _open_image(self, key: str) -> Image:
        image: Image = self.project[key].image
        return image

    def _rearrange(self) -> None:
        if self._closed:
            return
        known = {key: self._facts.known(key) or Fact() for key in self._facts.keys}
        self._items = arranged(
            known, self._facts.status, self._sort.value, self._group.value,
            self.project.store.labels.names,
        )  # fmt: skip
        self.turn_to(self._page)

    def _on_page(self) -> tuple[Item, ...]:
        start = self._page * self.page_size
        return self._items[start : start + self.page_size]

    # On the canvas.

    def _draw_soon(self) -> None:
        if self._closed:
            return
        self._turn += 1
        turn = self._turn
        self._before.disabled, self._after.disabled = self._page == 0, self._page + 1 >= self.pages
        self._where.value = f"{self._page + 1} of {self.pages}"
        self._worker.submit(lambda: self._draw(turn))

    def _draw(self, turn: int) -> None:
        """Draw a page, on the thread: first all places, then one picture after the other."""
        items = self._on_page()
        places, headers, height = laid_out(items)
        canvas, colors = self._canvas, {n.name: n.color for n in self.project.store.labels}
        width = COLUMNS * (WIDTH + GAP) - GAP
        with _DRAWING, ipycanvas.hold_canvas():
            canvas.width, canvas.height = width * RATIO, height * RATIO
            canvas.layout.width, canvas.layout.max_width = f"{width}px", "100%"
            canvas.clear()
            for place, text in headers:
                _chip(canvas, place, text, colors.get(text, GRAY))
            canvas.fill_style = "rgba(128,128,128,0.16)"
            for place in places:
                canvas.fill_rect(*_scaled(place))
        self._places = tuple(zip(places, items, strict=True))
        for place, item, picture in zip(places, items, self._pictures, strict=False):
            if turn != self._turn or self._closed:
                return
            self._draw_item(place, item, picture, colors)

    def _draw_item(
        self, place: Place, item: Item, picture: ipywidgets.Image, colors: Mapping[str, str]
    ) -> None:
        made = self._thumbnails.make(item.key)
        fact = self._facts.known(item.key) or Fact()
        masks = [m for m in fact.masks if item.label in ("", m.label)]
        with _DRAWING, ipycanvas.hold_canvas():
            if isinstance(made, SegwidgetError):
                self._caption(place, item.key, "cannot be opened")
                return
            if masks:
                shown = self.project.store.annotations(item.key)
                kept = [a for a in shown if item.label in ("", a.label)]
                made = overlaid(made, kept, colors)
            picture.value = jpeg(made)
            self._canvas.draw_image(picture, *_scaled(fitted(made, place)))
            scores = [m.score for m in masks if m.score is not None]
            note = f"{len(masks)}" + (f" · {min(scores):.2f}" if scores else "") if masks else ""
            self._caption(place, item.key, note)

    def _caption(self, place: Place, text: str, note: str) -> None:
        canvas, room = self._canvas, 19
        canvas.fill_style = "rgba(0,0,0,0.6)"
        strip = Place(place.x, place.y + place.height - room, place.width, room)
        canvas.fill_rect(*_scaled(strip))
        canvas.fill_style = "#fff"
        canvas.font = f"{11 * RATIO}px system-ui, sans-serif"
        canvas.text_baseline = "middle"
        y = (strip.y + room / 2 + 0.5) * RATIO
        letters = int((place.width - 16) / 6.2) - len(note)
        canvas.text_align = "left"
        canvas.fill_text(shortened(text, letters), (strip.x + 6) * RATIO, y)
        canvas.text_align = "right"
        canvas.fill_text(note, (strip.x + strip.width - 6) * RATIO, y)

    def _on_click(self, x: float, y: float) -> None:
        for place, item in self._places:
            if place.holds(x / RATIO, y / RATIO):
                try:
                    self.open(item.key)
                except (SegwidgetError, ClosedError) as error:
                    self.tell(str(error))
                return


def arranged(
    facts: Mapping[str, Fact],
    status: Callable[[str], str],
    sort: str,
    group: str,
    labels: Iterable[str],
) -> tuple[Item, ...]:
    """All thumbnails in order.

    Args:
        facts: by key, in the project's order.
        status: of an image, by its key.
        sort: see :meth:`Gallery.arrange`; what has no score or no masks comes last.
        group: likewise.
        labels: in their order.
    """
    order = list(labels)
    items: list[tuple[Any, Item]] = []
    for key, fact in facts.items():
        if group == "label":
            for name in dict.fromkeys(fact.labels):
                rank = order.index(name) if name in order else len(order)
                items.append((rank, Item(key, name, name)))
            if not fact.masks:
                items.append((len(order) + 1, Item(key, NO_LABEL)))
        else:
            rank, name = _group_of(fact, status(key), group)
            items.append((rank, Item(key, name)))
    name, down = sort.lstrip("-"), sort.startswith("-")

    def place(entry: tuple[Any, Item]) -> tuple[Any, ...]:
        rank, item = entry
        value = _value_of(facts[item.key], item, name, down)
        missing = value is None
        return rank, missing, 0.0 if value is None else -value if down else value

    return tuple(item for _, item in sorted(items, key=place))


def laid_out(
    items: Iterable[Item],
) -> tuple[tuple[Place, ...], tuple[tuple[Place, str], ...], float]:
    """Where thumbnails and the headers of their groups lie, and how high all is, in CSS pixels."""
    places, headers = [], []
    column, y, group = 0, 0.0, None
    for item in items:
        if item.group and item.group != group:
            if places:
                y += (HEIGHT + GAP) if column else 0
                y += GAP
            headers.append((Place(0, y, 0, HEADER - GAP), item.group))
            column, y = 0, y + HEADER
        group = item.group
        places.append(Place(column * (WIDTH + GAP), y, WIDTH, HEIGHT))
        column += 1
        if column == COLUMNS:
            column, y = 0, y + HEIGHT + GAP
    height = max((p.y + p.height for p in places), default=HEIGHT)
    return tuple(places), tuple(headers), height


def fitted(pixels: NDArray[Any], place: Place) -> Place:
    """Where a picture lies in its place: all of it, as large as fits, in the middle."""
    h, w = pixels.shape[:2]
    scale = min(place.width / w, place.height / h)
    return Place(
        place.x + (place.width - w * scale) / 2,
        place.y + (place.height - h * scale) / 2,
        w * scale,
        h * scale,
    )


def shortened(text: str, letters: int) -> str:
    """A text of at most so many letters; of a path, the end says more."""
    return text if len(text) <= letters else f"…{text[-max(1, letters - 1) :]}"


def _value_of(fact: Fact, item: Item, name: str, down: bool) -> float | None:
    masks = [m for m in fact.masks if item.label in ("", m.label)]
    if name == "masks":
        return float(len(masks))
    if name == "name":
        return 0.0
    values = [m.share if name == "size" else m.score for m in masks]
    known = [v for v in values if v is not None]
    if not known:
        return None
    return max(known) if down and name == "size" else min(known)


def _group_of(fact: Fact, status: str, group: str) -> tuple[int, str]:
    """The rank of an image's group, and its name."""
    if group == "status":
        return list(WORDS).index(status), WORDS[status]
    if group == "score":
        score = fact.score
        if score is None:
            return 11, "no score"
        low = min(9, int(score * 10))
        return low, f"score {low / 10:.1f} to {(low + 1) / 10:.1f}"
    if group == "size":
        if not fact.masks:
            return 9, NO_LABEL
        share = max(m.share for m in fact.masks)
        for rank, (limit, text) in enumerate(_SIZES):
            if share < limit:
                return rank, text
        return len(_SIZES), "over 20 %"
    return 0, ""


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
