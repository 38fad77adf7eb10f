"""A project that notebooks show: as an app to work in, and as a gallery to look through."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from segwidget.annotation.project import BaseProject
from segwidget.widget.app import App
from segwidget.widget.gallery import Gallery

# The app of each store; two of them would take each other's work for somebody else's.
_apps: WeakValueDictionary[Path, App] = WeakValueDictionary()
_lock = threading.RLock()


class Project(BaseProject):
    """Images, their annotations in a store, and the cells to work on them.

    Everything else is :class:`BaseProject`'s.
    """

    def app(self, **options: Any) -> App:
        """The app of the project: made when it is first asked for, and found again until closed.

        Args:
            **options: see :class:`App`. Where any are given, a new app takes the old one's place;
                so does the app of another ``Project`` on the same store.

        Raises:
            ModelError, SettingError: as :class:`App`.
        """
        place = Path(self.store.path).resolve()
        with _lock:
            found = _apps.get(place)
            if found is not None and not found._closed:
                if found.project is self and not options:
                    return found
                found.close()
            made = App(self, **options)
            _apps[place] = made
            return made

    def gallery(
        self, on_open: Callable[[str], Any] | None = None, *, page_size: int | None = None
    ) -> Gallery:
        """All images with their masks; see :class:`Gallery`."""
        options = {} if page_size is None else {"page_size": page_size}
        return Gallery(self, on_open, **options)

    def close(self) -> None:
        """Close the store, and the app, where there is one."""
        with _lock:
            found = _apps.get(Path(self.store.path).resolve())
            if found is not None and found.project is self:
                found.close()
        super().close()
