"""Embeds the images that come next while a person works on this one, so that they open at once."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterable

from segwidget.errors import SegwidgetError
from segwidget.inference.models import Model
from segwidget.inference.predictor import Predictor
from segwidget.media.image import Image
from segwidget.widget import threads

AGAIN_AFTER = 0.25  # seconds until it is asked once more whether the person waits for the model
NICENESS = 10  # of the thread, where the system knows such a thing


class Ahead:
    """Holds the embeddings of a few images, computed on a thread that gives way to others.

    An embedding is computed in one go, so the thread begins one only while nobody waits for the
    model. It is held in memory (and kept on disk, where that is turned on) until the image is not
    wanted any more; whoever sets the same image meanwhile finds it.

    Args:
        opener: opens an image by its key; called on the thread.
        model: gives the model that is in use, or None while there is none yet.
        busy: whether somebody waits for the model right now.
    """

    def __init__(
        self,
        opener: Callable[[str], Image],
        model: Callable[[], Model | None],
        busy: Callable[[], bool],
    ) -> None:
        self._opener, self._model, self._busy = opener, model, busy
        self._changed = threading.Condition()
        self._wanted: tuple[str, ...] = ()
        self._held: dict[str, Predictor] = {}
        self._failed: set[str] = set()
        self._running = self._closed = False

    @property
    def ready(self) -> tuple[str, ...]:
        """The keys of the images that are embedded, in the order in which they were wanted."""
        with self._changed:
            return tuple(key for key in self._wanted if key in self._held)

    def want(self, keys: Iterable[str]) -> None:
        """Hold the embeddings of these images, the first of them first, and of no others."""
        model = self._model()
        with self._changed:
            if self._closed:
                return
            others = [key for key, p in self._held.items() if model not in (None, p.model)]
            dropped = [self._held.pop(key) for key in others]
            self._wanted = tuple(dict.fromkeys(keys))
            self._changed.notify_all()
            if not self._running and self._next() is not None:
                self._running = True
                threads.begin(self._run, "segwidget-ahead")
            dropped += [self._held.pop(key) for key in set(self._held) - set(self._wanted)]
        for predictor in dropped:
            predictor.reset_image(forget=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all that is wanted is embedded; False when `timeout` seconds pass."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout)

    def close(self) -> None:
        """Begin no more, and let go of all embeddings; does not wait."""
        with self._changed:
            self._closed, self._wanted = True, ()
            held, self._held = self._held, {}
            self._changed.notify_all()
        for predictor in held.values():
            predictor.reset_image(forget=True)

    def _next(self) -> str | None:
        missing = (k for k in self._wanted if k not in self._held and k not in self._failed)
        return next(missing, None)

    def _run(self) -> None:
        give_way()
        while True:
            with self._changed:
                while self._next() is not None and (self._busy() or self._model() is None):
                    if threads.ending():
                        break
                    self._changed.wait(AGAIN_AFTER)
                key, model = self._next(), self._model()
                if key is None or model is None or threads.ending():
                    self._running = False
                    self._changed.notify_all()
                    return
            self._embed(key, model)

    def _embed(self, key: str, model: Model) -> None:
        predictor: Predictor | None = Predictor(model)
        try:
            assert predictor is not None
            predictor.set_image(self._opener(key))
        except (SegwidgetError, OSError, RuntimeError, ValueError):
            predictor = None  # whoever opens it is told
        with self._changed:
            if predictor is None:
                self._failed.add(key)
            elif key in self._wanted:
                self._held[key], predictor = predictor, None
        if predictor is not None:
            predictor.reset_image(forget=True)


def give_way() -> None:
    """Have the system prefer other threads; on Linux each thread has a niceness of its own.

    PyTorch's helpers of this thread are begun by it, and inherit it.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
