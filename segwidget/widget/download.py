"""The app's download: the project in a chosen format, as a file that the browser saves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets

from segwidget.annotation.formats.registry import FORMATS
from segwidget.errors import SegwidgetError
from segwidget.widget import threads
from segwidget.widget.app_parts import button, row

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject

MAX_SENT = 64 << 20  # bytes; what is larger stays in the folder, and is named


class Download:
    """A choice of formats and a button.

    Args:
        project: what is exported.
        save: has the browser save a file, by its name and bytes.
        tell: shows a message.
    """

    def __init__(
        self,
        project: BaseProject,
        save: Callable[[str, bytes], None],
        tell: Callable[[str], None],
    ) -> None:
        self._project, self._save, self._tell = project, save, tell
        names = format_names()
        self.format = ipywidgets.Dropdown(
            options=names, value="coco" if "coco" in names else names[0], description="Format"
        )
        self.button = button("Download", "download", "Save all annotations as a file")
        self.button.on_click(lambda _: self.begin())
        self.box = row(self.format, self.button, name="segwidget-app-download")

    def begin(self) -> None:
        """Export on a thread; then the browser saves the file."""
        self.button.disabled = True
        name = self.format.value

        def work() -> None:
            try:
                path = Path(self._project.download(name))
                size = path.stat().st_size
                if size <= MAX_SENT:
                    self._save(path.name, path.read_bytes())
                    self._tell(f"Saved as {path.name}; it also lies in {path.parent}.")
                else:
                    self._tell(f"{size >> 20} MB, too much for a page to save: it lies in {path}.")
            except SegwidgetError as error:
                self._tell(str(error))
            except Exception as error:
                self._tell(f"The export as {name} has failed: {error}")
            finally:
                self.button.disabled = False

        self.thread = threads.begin(work, "segwidget-download")


def format_names() -> list[str]:
    """The formats that a project can be exported to."""
    return list(FORMATS)
