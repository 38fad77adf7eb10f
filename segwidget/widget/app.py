"""The app: a project's images in a cell, one after the other, to annotate and to review."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from segwidget.annotation.store_values import Status
from segwidget.errors import AnnotationError, ClosedError, SegwidgetError, SettingError
from segwidget.inference.network import Precision
from segwidget.inference.registry import find_checkpoint
from segwidget.media.image import Image
from segwidget.widget.ahead import Ahead
from segwidget.widget.app_panels import Panels
from segwidget.widget.app_parts import Controls, close_all
from segwidget.widget.app_walk import Walk
from segwidget.widget.desk import Desk
from segwidget.widget.download import Download
from segwidget.widget.facts import DONE, Facts, Filters, in_order
from segwidget.widget.filmstrip import Filmstrip
from segwidget.widget.improve import Improve
from segwidget.widget.opened import OpenedImages
from segwidget.widget.segmenter import Segmenter
from segwidget.widget.thumbnails import Thumbnails

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject

STATUSES = ("todo", *DONE)


class App(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets is not typed
    """A project in a cell: the annotator, a filmstrip, filters, progress, review, download.

        app = project.app()
        app                                    # click, keep, "Done"; the next image opens
        app.open("street_12.jpg")
        app.segmenter.annotations

    What is clicked in the cell can be done in Python, too, and the other way round. Nothing waits
    for the model: a thumbnail is there at once, then the picture, then the answers; the embeddings
    of the images that come next are computed meanwhile.

    Args:
        project: the images and their store.
        model: see :class:`Segmenter`.
        device: likewise.
        precision: likewise.
        height: likewise.
        keys: likewise.
        ahead: of how many images that come next the embeddings are computed.
        order: keys of images that come first, in this order; the others follow in the project's.

    Raises:
        ModelError: no such model.
        SettingError: a number of images that cannot be.
    """

    def __init__(
        self,
        project: BaseProject,
        model: str | Path = "embedded",
        *,
        device: str | None = None,
        precision: Precision = "float32",
        height: int = 540,
        keys: Mapping[str, str | Iterable[str]] | None = None,
        ahead: int = 2,
        order: Iterable[str] = (),
    ) -> None:
        find_checkpoint(model)
        if type(ahead) is not int or ahead < 0:
            raise SettingError(f"ahead is {ahead!r}; expected a number of images, 0 for none.")
        self.project, self._store = project, project.store
        self._guard = threading.RLock()  # never held while a Segmenter is asked for anything
        self._key: str | None = None
        self._wanted = "", ""  # an image, and which of its masks is selected when it is shown
        self._walk = Walk()
        self._closed = self.shown = False
        self._ahead_count = ahead
        self._order = tuple(order)
        self._facts = Facts(self._store, in_order(project.keys, self._order))
        self._images = OpenedImages(self._open_image)
        self._thumbnails = Thumbnails(self._open_image)
        options = {
            "model": model,
            "device": device,
            "precision": precision,
            "height": height,
            "keys": keys,
        }
        self._desk = Desk(
            self._store,
            self._images.open,
            self._thumbnails,
            options,
            self._on_opened,
            self._on_failed,
        )
        self._ahead = Ahead(self._images.open, lambda: self._desk.model, lambda: self._desk.busy)
        self._film = Filmstrip(self._thumbnails, self._describe, self.open, self._step)
        self._panels = Panels(self)
        self._controls = Controls(self)
        self._download = Download(project, self._film.save_in_page, self.tell)
        self._improve = Improve(project, self._desk, self.tell)
        self._controls.arrange(
            self._desk.box,
            self._panels.review.box,
            self._panels.ontology,
            self._film,
            self._improve.box,
            self._download.box,
        )
        super().__init__(self._controls.children)
        self.add_class("segwidget-app")
        self._show_list()
        if project.read_only:
            self.tell(self._store.remark)
        if self._facts.keys:
            todo = self._facts.passing(Filters("todo"))
            self.open(todo[0] if todo else self._facts.keys[0])
        else:
            self.tell(
                "The project has no images. Put some into its folder, and run the cell again."
            )
        self._facts.read_all(self._on_facts)

    # What is open.

    @property
    def key(self) -> str | None:
        """The key of the image that is open."""
        return self._key

    @property
    def segmenter(self) -> Segmenter:
        """The Segmenter of the image that is open; waits until it is there.

        Raises:
            SegwidgetError: no image is open.
        """
        self._desk.wait()
        segmenter = self._desk.segmenter
        if segmenter is None:
            if self._closed:
                raise ClosedError("This app is closed. Call project.app() again.")
            raise SegwidgetError("No image is open. Call open(key) with one of project.keys.")
        return segmenter

    @property
    def keys_shown(self) -> tuple[str, ...]:
        """The keys of the images that pass the filters, in order."""
        return self._walk.passing

    def open(self, key: str | int | None = None, *, mask: str = "") -> None:
        """Open an image; it is shown soon.

        Args:
            key: of the image, or its number, 0 the first; without one, this is the ``open`` that
                ipywidgets calls itself.
            mask: the id of an annotation that is selected then.

        Raises:
            SettingError: there is no such image.
            ClosedError: after `close`.
        """
        if key is None:
            super().open()
            return
        key = self._checked_key(key)
        self._walk.jump()
        segmenter = self._desk.segmenter
        if mask and key == self._key and segmenter is not None:  # which nothing is taken from
            self._select(segmenter, mask)
            return
        self._show(key)
        self._wanted = key, mask

    def next(self) -> None:
        """Open the next image of those shown; nothing at the end."""
        self._step(1)

    def previous(self) -> None:
        """Open the last image before this one of those shown; nothing at the start."""
        self._step(-1)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the image is shown and its model is ready; False when time is up."""
        if not (self._desk.wait(timeout) and self._facts.wait(timeout)):
            return False
        segmenter = self._desk.segmenter
        return segmenter is None or segmenter.wait(timeout)

    # How far it is.

    def mark_done(self, done: bool = True) -> None:
        """Say that the open image is done, or to do again.

        Raises:
            StoreError: it cannot be written.
        """
        self._set_status("done" if done else "todo")

    def accept(self) -> None:
        """Accept the open image as a reviewer."""
        self._set_status("accepted")

    def reject(self) -> None:
        """Reject the open image as a reviewer: somebody has to do it again."""
        self._set_status("rejected")

    @property
    def filters(self) -> Filters:
        """Which images are shown; set it to show others."""
        return self._controls.filters

    @filters.setter
    def filters(self, filters: Filters) -> None:
        self._controls.filters = filters
        self._show_list()

    @property
    def reviewing(self) -> bool:
        """Whether masks are judged rather than made."""
        return bool(self._controls.review.value)

    @reviewing.setter
    def reviewing(self, on: bool) -> None:
        self._controls.review.value = bool(on)

    @property
    def editing_labels(self) -> bool:
        """Whether the label editor is shown."""
        return bool(self._controls.edit_labels.value)

    @editing_labels.setter
    def editing_labels(self, on: bool) -> None:
        self._controls.edit_labels.value = bool(on)

    def refresh(self) -> None:
        """Read all of the project anew: after an import, say, or what another notebook did."""
        self._read_facts()
        if self._key is not None and self._key in self._facts.keys:
            self._show(self._key)

    def tell(self, message: str) -> None:
        """Show a message to the person, until it is dismissed; "" takes it away."""
        self._controls.tell(message)

    def close(self) -> None:
        """End the app: its Segmenter, what is computed ahead, and its widgets."""
        if self.__dict__.get("_closed", True):
            return
        self._closed = True
        self._ahead.close()
        self._improve.close()
        self._facts.close()
        self._thumbnails.close()
        self._desk.close()
        self._images.close()
        self._film.close()
        close_all(self.children)
        layout = self.layout
        super().close()
        layout.close()

    def __repr__(self) -> str:
        place = "closed" if self._closed else "nothing open" if self._key is None else self._key
        return f"<App: {len(self._facts.keys)} images, {place}>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        self.shown = True
        return super()._repr_mimebundle_(**options)

    # Going through the images.

    def _open_image(self, key: str) -> Image:
        image: Image = self.project[key].image
        return image

    def _checked_key(self, key: str | int) -> str:
        if self._closed:
            raise ClosedError("This app is closed. Call project.app() again.")
        keys = self._facts.keys
        if isinstance(key, int) and not isinstance(key, bool) and -len(keys) <= key < len(keys):
            return keys[key]
        if isinstance(key, str) and key in keys:
            return key
        raise SettingError(
            f"There is no image {key!r} in the project; expected one of its {len(keys)} keys, or "
            "their numbers from 0. project.keys has all."
        )

    def _show(self, key: str) -> None:
        with self._guard:
            self._key = key
        self._show_position()
        self._panels.review.look_at(None)
        self._desk.show(key)

    def _step(self, step: int) -> None:
        key = self._walk.beside(self._key, step)
        if key is not None:
            self._walk.turn(step)
            self._show(key)

    def _set_status(self, status: Status, seconds: float = 0.0) -> None:
        key = self._key
        if key is None:
            raise SegwidgetError("No image is open. Call open(key) with one of project.keys.")
        following = self._walk.beside(key, 1)
        self._store.set_status(key, status, seconds=seconds)
        self._facts.set_status(key, status)
        if seconds:
            self._facts.add_judging(key, seconds)
        self._show_list()
        self._film.refresh(key)
        if status != "todo" and following is not None:
            self._walk.turn(1)
            self._show(following)
        elif status != "todo":
            left = self._facts.numbers()["todo"]
            self.tell("That was the last one here." if left else "All images are done.")

    # What happens.

    def _on_opened(self, segmenter: Segmenter, key: str) -> None:
        """An image is shown; on the desk's thread."""
        segmenter.observe(lambda _: self._on_annotations(segmenter, key), "annotations")
        segmenter.observe(lambda _: self._controls.show_labels(), "labels")
        self._walk.arrive()
        status = self._store.status(key)
        if status != self._facts.status(key):  # set by Python, or by another notebook
            self._facts.set_status(key, status)
            self._show_list()
        self._on_annotations(segmenter, key)
        wanted, mask = self._wanted
        self._wanted = "", ""
        if mask and wanted == key:
            self._select(segmenter, mask)
        self._ahead.want(self._walk.coming(key, self._ahead_count))

    def _select(self, segmenter: Segmenter, mask: str) -> None:
        """Have pages select a mask."""
        try:
            segmenter.select(mask)
        except ClosedError:
            pass  # another image has been opened meanwhile
        except AnnotationError:
            self.tell("The mask that was clicked is no longer there; this is its image.")

    def _on_failed(self, key: str, error: Exception) -> None:
        """An image cannot be shown; on the desk's thread. Whoever goes through all goes on."""
        skip = self._walk.after_failure(key or self._key)
        reason = str(error) or type(error).__name__
        self._film.refresh(key)
        if skip is None:
            self.tell(f"{key} cannot be opened: {reason}")
            return
        row = self._walk.failures
        self.tell(f"Skipped {key}{f' ({row} in a row)' if row > 1 else ''}: {reason}")
        self._show(skip)

    def _on_annotations(self, segmenter: Segmenter, key: str) -> None:
        items = tuple(segmenter.annotations)
        self._facts.update(key, items)
        self._film.refresh(key)
        self._controls.show_progress(self._facts)
        if key == self._key:
            self._panels.show(segmenter)

    def _read_facts(self) -> None:
        self._facts.close()
        self._facts = Facts(self._store, in_order(self.project.keys, self._order))
        self._show_list()
        self._facts.read_all(self._on_facts)

    def _on_facts(self) -> None:
        if not self._closed:
            self._show_list()

    def _show_list(self) -> None:
        """Show the images that pass the filters."""
        self._walk.over(self._facts.keys, self._facts.passing(self.filters))
        self._controls.show_labels()
        self._controls.show_progress(self._facts)
        self._show_position()

    def _show_position(self) -> None:
        walk, key = self._walk, self._key
        self._film.show(walk.passing, key)
        self._controls.show_position(
            key, walk.passing, walk.beside(key, -1), walk.beside(key, 1), self._facts
        )

    def _describe(self, key: str) -> dict[str, Any]:
        fact = self._facts.known(key)
        count = 0 if fact is None else len(fact.masks)
        return {"title": key, "status": self._facts.status(key), "count": count}

    def _try(self, step: Callable[[], None]) -> None:
        """Do what a person has asked for with a button; what fails is told."""
        try:
            step()
        except SegwidgetError as error:
            self.tell(str(error))
