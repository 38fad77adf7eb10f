"""Where one image after the other is worked on: its picture at once, then its Segmenter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets

from segwidget.annotation.store import Store
from segwidget.errors import ClosedError, SegwidgetError
from segwidget.inference.models import Model
from segwidget.media.image import Image
from segwidget.widget import threads
from segwidget.widget.segmenter import Segmenter
from segwidget.widget.shared_program import SharedSegmenter
from segwidget.widget.thumbnails import Thumbnails, jpeg
from segwidget.widget.worker import Worker

# What a person has set in one Segmenter and expects in the next.
CARRIED = ("level", "protect", "appearance")


class Desk:
    """Shows a thumbnail at once, opens the image on a thread, and puts a Segmenter in its place.

    There is one Segmenter at a time; the last one is closed, and what was drafted in it is drafted
    again when its image is opened again. The callbacks run on the thread, while no lock is held.

    Args:
        store: where the work is saved.
        opener: opens an image by its key.
        thumbnails: of the images.
        options: of each Segmenter.
        on_opened: told of each Segmenter when it is shown, and of its image's key.
        on_failed: told of an image that cannot be shown, and why.
    """

    def __init__(
        self,
        store: Store,
        opener: Callable[[str], Image],
        thumbnails: Thumbnails,
        options: Mapping[str, Any],
        on_opened: Callable[[Segmenter, str], None],
        on_failed: Callable[[str, Exception], None],
    ) -> None:
        self._store, self._opener, self._thumbnails = store, opener, thumbnails
        self._options = dict(options)
        self._on_opened, self._on_failed = on_opened, on_failed
        self._lock = threading.RLock()
        self._turn = 0  # counts what was asked for
        self._segmenter: Segmenter | None = None
        self._key: str | None = None  # of the Segmenter
        self._model: Model | None = None  # held, so that it is loaded once
        self._chosen: str | Path | None = None  # the model of the next Segmenter
        self._drafts: dict[str, Any] = {}
        self._leaving: list[Segmenter] = []  # not shown any more, to be closed on the thread
        self._closed = False
        self._worker = Worker(lambda error: on_failed("", error))
        self._picture = ipywidgets.Image(format="jpeg")
        self._picture.add_class("segwidget-app-picture")
        self.box = ipywidgets.Box()
        self.box.add_class("segwidget-app-desk")

    @property
    def segmenter(self) -> Segmenter | None:
        """The Segmenter that is shown; None while an image is being opened."""
        return self._segmenter

    @property
    def model(self) -> Model | None:
        """The model in use, once it is loaded."""
        segmenter = self._segmenter
        if segmenter is not None and segmenter.status.get("state") == "ready":
            try:
                self._model = segmenter._answerer.loaded_model()
            except ClosedError:
                return None
        return self._model

    @property
    def busy(self) -> bool:
        """Whether somebody waits: for an image, its embedding, or an answer."""
        segmenter = self._segmenter
        if segmenter is None or segmenter.status.get("state") not in ("ready", "failed"):
            return True
        return not segmenter._answerer.wait(0)

    def show(self, key: str) -> None:
        """Show an image soon; what was asked for before and is not there yet is dropped."""
        with self._lock:
            if self._closed:
                raise ClosedError("This app is closed. Call project.app() again.")
            self._turn += 1
            turn = self._turn
            self._take_away()
            self._show_picture(key)
        self._worker.submit(lambda: self._open(key, turn))

    def use(self, model: str | Path, tell: Callable[[str], None]) -> None:
        """Have this Segmenter, as soon as it is loaded, and later ones use another model.

        Loading may take long, so it is done on a thread; what fails is told.
        """
        with self._lock:
            segmenter = self._segmenter
            self._chosen = model  # also of an image that is just being opened

        def change() -> None:
            if segmenter is None:
                return
            try:
                segmenter.model = model
            except ClosedError:  # another image is opened meanwhile, with this model
                return
            except SegwidgetError as error:
                tell(str(error))
            with self._lock:
                if self._segmenter is segmenter:  # from now on its own model is carried on
                    self._chosen = None

        threads.begin(change, "segwidget-use-model")

    def clear(self) -> None:
        """Show nothing."""
        with self._lock:
            self._turn += 1
            self._take_away()
            self.box.children = ()
        self._worker.submit(self._close_leaving)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was asked for is shown; False when `timeout` seconds pass."""
        return self._worker.wait(timeout)

    def close(self) -> None:
        """Close the Segmenter, and show nothing any more."""
        with self._lock:
            self._closed = True
            self._turn += 1
            self._take_away()
        self._worker.close()
        self._close_leaving()
        self._model = None
        for widget in (self._picture, self.box):
            layout = widget.layout
            widget.close()
            layout.close()

    def _show_picture(self, key: str) -> None:
        """The thumbnail, enlarged, until there is more; nothing where there is none yet."""
        thumbnail = self._thumbnails.get(key)
        if thumbnail is None or isinstance(thumbnail, SegwidgetError):
            self.box.children = ()
            return
        self._picture.value = jpeg(thumbnail)
        self.box.children = (self._picture,)

    def _take_away(self) -> None:
        """Take the Segmenter off the desk, and remember what was drafted."""
        segmenter, key = self._segmenter, self._key
        self._segmenter = self._key = None
        if segmenter is None or key is None:
            return
        self._leaving.append(segmenter)
        if segmenter.prompts:
            self._drafts[key] = segmenter.prompts
        else:
            self._drafts.pop(key, None)

    def _close_leaving(self) -> None:
        """Close what is not shown any more."""
        with self._lock:
            leaving, self._leaving = self._leaving, []
        for segmenter in leaving:
            segmenter.close()

    def _open(self, key: str, turn: int) -> None:
        made: Segmenter | None = None
        with self._lock:
            old = self._leaving[-1] if self._leaving else None
        try:
            image = self._opener(key)
            if self._thumbnails.get(key) is None:
                self._thumbnails.put(key, image)
            if turn == self._turn:
                made = self._make(image, key, old)
        except Exception as error:
            if turn == self._turn:
                self._on_failed(key, error)
        finally:
            self._close_leaving()
        if made is None:
            return
        with self._lock:
            shown = turn == self._turn
            if shown:
                self._segmenter, self._key = made, key
                self.box.children = (made,)
        if not shown:
            made.close()
            return
        self._on_opened(made, key)
        draft = self._drafts.pop(key, None)
        if draft is not None:
            made.prompts = draft

    def _make(self, image: Image, key: str, old: Segmenter | None) -> Segmenter:
        if old is not None:
            self._options["model"] = old.model
        with self._lock:
            if self._chosen is not None:
                self._options["model"], self._chosen = self._chosen, None
        made = SharedSegmenter(image, store=self._store, key=key, **self._options)
        if old is not None:
            for name in CARRIED:
                setattr(made, name, getattr(old, name))
            if old.label in made.labels.names:
                made.label = old.label
        return made
