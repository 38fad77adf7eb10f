"""The gallery: a data set as thumbnails, of images or of masks one by one; a click opens one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets

from segwidget.errors import ClosedError, SegwidgetError, SettingError
from segwidget.media.image import Image
from segwidget.widget.app_parts import button, close_all, label, row, style_sheet
from segwidget.widget.facts import Fact, Facts
from segwidget.widget.gallery_order import (
    GROUPS,
    SORTS,
    VIEWS,
    Item,
    arranged,
    arranged_masks,
    passing,
)
from segwidget.widget.gallery_sheet import Sheet
from segwidget.widget.worker import Worker

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject

PAGE = 24  # thumbnails


class Gallery(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """All images of a project with their masks, or all masks one by one; sorted, grouped, in pages.

        gallery = project.gallery()
        gallery                                # a click opens the image in the annotator
        gallery.arrange(sort="score", group="label")
        gallery.arrange(show="masks", label="car")    # what is no car is seen at a glance

    Only what is on the page is opened and decoded.

    Args:
        project: the images and their store.
        on_open: called with the key of an image that is clicked, instead of the project's app;
            :attr:`clicked` tells which mask it was.
        page_size: thumbnails on a page.

    Raises:
        SettingError: a page size that cannot be.
    """

    children: tuple[Any, ...]

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
        self._facts = Facts(project.store, project.keys)
        self._sheet = Sheet(
            project.store, self._open_image, lambda key: self._facts.known(key), page_size
        )
        self.clicked: Item | None = None
        self._items: tuple[Item, ...] = ()
        self._page, self._turn, self._closed = 0, 0, False
        self._worker = Worker(lambda error: self.tell(str(error)))
        self._canvas = self._sheet.canvas
        self._canvas.on_mouse_down(self._on_click)
        self._canvas.on_client_ready(self._draw_soon)
        self._show = ipywidgets.Dropdown(options=VIEWS, description="Show")
        self._sort = ipywidgets.Dropdown(options=SORTS, description="Sort")
        self._group = ipywidgets.Dropdown(options=GROUPS, description="Group")
        self._label = ipywidgets.Dropdown(options=[("Any label", "")], description="Label")
        self._score = ipywidgets.FloatSlider(
            value=1.0, min=0.0, max=1.0, step=0.01, continuous_update=False, description="Score ≤",
            readout_format=".2f",
        )  # fmt: skip
        self._score.tooltip = "Only masks of at most this predicted IoU; at 1, all"
        for choice in (self._show, self._label):
            choice.add_class("segwidget-gallery-short")
        self._before = button("", "chevron-left", "The page before this one")
        self._after = button("", "chevron-right", "The next page")
        self._where = label("segwidget-app-quiet")
        self._message = label("segwidget-app-quiet")
        again = button("", "refresh", "Look again at what was annotated since")
        self._before.on_click(lambda _: self.turn_to(self._page - 1))
        self._after.on_click(lambda _: self.turn_to(self._page + 1))
        again.on_click(lambda _: self.refresh())
        for choice in (self._show, self._sort, self._group, self._label, self._score):
            choice.observe(lambda _: self._rearrange(), "value")
        turn = row(self._before, self._where, self._after, again, name="segwidget-app-end")
        head = row(
            self._show, self._sort, self._group, self._label, self._score, turn,
            name="segwidget-gallery-head",
        )  # fmt: skip
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

    def arrange(
        self,
        *,
        show: str | None = None,
        sort: str | None = None,
        group: str | None = None,
        label: str | None = None,
        score: float | None = None,
    ) -> None:
        """Say what is shown, and in which order; what is left out stays as it is.

        Args:
            show: ``"images"``, or ``"masks"`` one by one.
            sort: ``"name"``, ``"score"``, ``"size"`` or ``"masks"``; with ``"-"`` before it, the
                largest first.
            group: ``"label"``, ``"score"``, ``"size"``, ``"status"``, or ``""`` for none.
            label: only masks of this label; ``""`` for any.
            score: only masks of at most this predicted IoU; 1 for any.

        Raises:
            SettingError: another word, or a number that is no score.
        """
        labels = {name: name for name in ("", *self.project.store.labels.names)}
        wanted = (
            (self._show, VIEWS, show),
            (self._sort, SORTS, sort),
            (self._group, GROUPS, group),
            (self._label, labels, label),
        )
        for _, options, value in wanted:
            if value is not None and value not in options.values():
                words = ", ".join(repr(word) for word in options.values())
                raise SettingError(f"A gallery cannot be arranged by {value!r}; expected {words}.")
        given: Any = score
        if given is not None and not (isinstance(given, int | float) and 0 <= given <= 1):
            raise SettingError(f"The score is {score!r}; expected a number from 0 to 1.")
        self._offer_labels()
        for choice, _, value in wanted:
            if value is not None:
                choice.value = value
        if score is not None:
            self._score.value = float(score)

    def turn_to(self, page: int) -> None:
        """Turn to a page, 0 the first; beyond the last one, to that."""
        self._page = min(max(0, page), self.pages - 1)
        self._draw_soon()

    def open(self, key: str | None = None, mask: str = "") -> None:
        """Open an image, as a click on its thumbnail does, and select one of its masks.

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
        app.open(key, mask=mask)

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
        self._worker.close()
        close_all(self.children[:4])
        self._sheet.close()
        layout = self.layout
        super().close()
        layout.close()

    def __repr__(self) -> str:
        return f"<Gallery: {len(self._items)} thumbnails, page {self._page + 1} of {self.pages}>"

    # In which order.

    def _open_image(self, key: str) -> Image:
        image: Image = self.project[key].image
        return image

    def _rearrange(self) -> None:
        if self._closed:
            return
        self._offer_labels()
        known = {key: self._facts.known(key) or Fact() for key in self._facts.keys}
        arrange = arranged_masks if self._show.value == "masks" else arranged
        self._items = arrange(
            passing(known, self._label.value or "", self._score.value),
            self._facts.status, self._sort.value, self._group.value,
            self.project.store.labels.names,
        )  # fmt: skip
        nothing = not self._items and self._facts.complete
        self.tell("No mask passes. Choose another label, or a higher score." if nothing else "")
        self.turn_to(self._page)

    def _offer_labels(self) -> None:
        names = self.project.store.labels.names
        options = [("Any label", ""), *((name, name) for name in names)]
        if list(self._label.options) != options:
            value = self._label.value
            self._label.options = options
            self._label.value = value if value in names else ""

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
        """Draw a page, on the thread, until another one is asked for."""
        colors = {label.name: label.color for label in self.project.store.labels}
        self._sheet.draw(self._on_page(), colors, lambda: turn == self._turn and not self._closed)

    def _on_click(self, x: float, y: float) -> None:
        item = self._sheet.at(x, y)
        if item is not None:
            try:
                self.clicked = item
                self.open(item.key, item.mask)
            except (SegwidgetError, ClosedError) as error:
                self.tell(str(error))
