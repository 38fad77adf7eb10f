"""One run of everything mode, beside the answers to clicks, which says how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from segwidget.inference.everything import EverythingSettings, Progress, Proposal, propose
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.media.image import Image
from segwidget.widget import threads

# Seconds between two reports: each sends all proposals so far.
PERIOD = 0.35


class Run:
    """A run of everything mode about one image.

    It has a predictor of its own, with the same model and the same embedding, so that clicks need
    not wait for it and closing the widget's own takes nothing away from under it.

    Its callbacks run on whichever thread does the work, while no lock of its own is held, and are
    called no more once it is cancelled.

    Args:
        image: what to look at.
        settings: how.
        model: gives the model, when it is loaded.
        on_update: told when there is something new in ``progress`` and ``found``.

    Attributes:
        progress: how far it is; 0 of 0 points before it has begun.
        found: the proposals so far, provisional until it ends.
        model: which model is asked; ``None`` before it is loaded.
    """

    def __init__(
        self,
        image: Image,
        settings: EverythingSettings,
        model: Callable[[], Model],
        on_update: Callable[[], None],
    ) -> None:
        self.progress, self.found = Progress(0, 0), tuple[Proposal, ...]()
        self.model: Model | None = None
        self._image, self._settings, self._load = image, settings, model
        self._on_update = on_update
        self._told = float("-inf")  # when
        self._cancelled, self._ended = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None

    def perform(self) -> None:
        """Do it on the caller's thread.

        Raises:
            ClosedError: the widget was closed.
            SegwidgetError: the model cannot be loaded, or the settings do not fit the image.
        """
        try:
            self._perform()
        finally:
            self._ended.set()

    def start(self, on_end: Callable[[Exception | None], None]) -> None:
        """Do it on a thread of its own.

        Args:
            on_end: told how it ended: ``None`` for well, else what went wrong.
        """

        def job() -> None:
            error = None
            try:
                self._perform()
            except Exception as e:
                error = e
            try:
                if not self.is_cancelled:
                    on_end(error)
            finally:
                self._ended.set()

        self.thread = threads.begin(job, "segwidget-everything")

    def cancel(self) -> None:
        """Stop soon, without waiting for it; what is found stays in ``found``."""
        self._cancelled.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether it has been told to stop."""
        return self._cancelled.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended and said so; ``False`` when ``timeout`` seconds pass."""
        return self._ended.wait(timeout)

    def _perform(self) -> None:
        self.model = self._load()
        if self.is_cancelled:
            return
        predictor = Predictor(self.model)
        predictor.set_image(self._image)
        try:
            found = propose(
                predictor,
                self._settings,
                on_update=self._update,
                cancelled=lambda: self.is_cancelled or threads.ending(),
            )
        finally:
            predictor.reset_image(forget=True)  # it stays where the widget still uses it
        self.found = found

    def _update(self, progress: Progress, found: tuple[Proposal, ...]) -> None:
        self.progress, self.found = progress, found
        now = time.monotonic()
        if now - self._told >= PERIOD and not self.is_cancelled:
            self._told = now
            self._on_update()
