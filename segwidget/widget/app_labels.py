"""The app's label editor: one label at a time, its name, color, key, parent, and where it goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import ipywidgets

from segwidget.annotation.labels import Label, LabelSet
from segwidget.annotation.store import Store
from segwidget.errors import LabelError
from segwidget.widget.app_parts import button, row

NO_PARENT, NOBODY = "", ""


class LabelEditor:
    """A form for a project's labels; each change is of all images, and safe when it is shown.

    Args:
        store: of the project.
        attempt: does what a button asks for, and tells what fails.
        change: gives the project other labels, with what is renamed: new names by old ones.
    """

    def __init__(
        self,
        store: Store,
        attempt: Callable[[Callable[[], None]], None],
        change: Callable[[LabelSet, Mapping[str, str]], None],
    ) -> None:
        self._store, self._change_labels = store, change
        self._quiet = False
        self._filled: tuple[LabelSet, str] | None = None  # what the form was filled with
        self.choice = ipywidgets.Dropdown(description="Label")
        self.name = ipywidgets.Text(description="Name")
        self.color = ipywidgets.ColorPicker(concise=True, description="Color")
        self.hotkey = ipywidgets.Text(description="Key", placeholder="–")
        self.hotkey.add_class("segwidget-app-key")
        self.parent = ipywidgets.Dropdown(description="Part of")
        self.save_button = button("Save", "check", "Change this label, in all images")
        self.heir = ipywidgets.Dropdown(description="Its masks become")
        self.heir.add_class("segwidget-app-wide")
        self.remove_button = button("Remove", "trash-o", "Remove this label; no mask is lost")
        self.new_name = ipywidgets.Text(placeholder="new label")
        self.add_button = button("Add", "plus", "Add a label")
        self.save_button.on_click(lambda _: attempt(self.save))
        self.remove_button.on_click(lambda _: attempt(self.remove))
        self.add_button.on_click(lambda _: attempt(self.add))
        self.choice.observe(lambda _: self._fill(), "value")
        self.box = ipywidgets.VBox(
            [
                row(
                    self.choice,
                    row(self.new_name, self.add_button, name="segwidget-app-end"),
                ),
                row(self.name, self.color, self.hotkey, self.parent, self.save_button),
                row(self.heir, self.remove_button),
            ]
        )
        self.box.add_class("segwidget-app-labels")

    @property
    def label(self) -> Label:
        """The label that is edited."""
        return self._store.labels.find(self.choice.value)

    def refresh(self, chosen: str = "") -> None:
        """Show the labels as they are now.

        Args:
            chosen: the name of the one that is edited then; by default the same as before.
        """
        labels, counts = self._store.labels, self._store.label_counts()
        value = chosen or self.choice.value
        options = []
        for name in labels.names:
            count = counts.get(name, 0)
            options.append((f"{name} ({count} {'mask' if count == 1 else 'masks'})", name))
        self._quiet = True
        try:
            self.choice.options = options
            self.choice.value = value if value in labels.names else labels.names[0]
        finally:
            self._quiet = False
        if self._filled != (labels, self.choice.value):  # what is typed in stays
            self._fill()

    def save(self) -> None:
        """Give the label what the form says.

        Raises:
            LabelError: a name, color, key or parent that cannot be; nothing was changed.
            StoreError: it cannot be written; nothing was changed.
        """
        old = self.label
        made = replace(
            old,
            name=self.name.value,
            color=self.color.value,
            hotkey=self.hotkey.value.strip(),
            parent=self.parent.value,
        )
        renames = {} if made.name == old.name else {old.name: made.name}
        self._change(self._store.labels.change(old.name, made), renames, made.name)

    def add(self) -> None:
        """Add a label at the end, in a color that no other one has.

        Raises:
            LabelError: a name that cannot be, or is there; nothing was changed.
            StoreError: it cannot be written; nothing was changed.
        """
        labels = self._store.labels.add(self.new_name.value)
        self._change(labels, {}, labels.names[-1])
        self.new_name.value = ""

    def remove(self) -> None:
        """Remove the label; its masks become another one's.

        Raises:
            LabelError: it has masks, and none is chosen that they go to; or that one cannot hold
                what is said of them; nothing was changed.
            StoreError: it cannot be written; nothing was changed.
        """
        name, heir = self.label.name, self.heir.value
        count = self._store.label_counts().get(name, 0)
        if count and heir == NOBODY:
            raise LabelError(
                f"{count} {'mask is' if count == 1 else 'masks are'} {name!r}. Choose the label "
                "that they become, and remove it then; no mask is lost."
            )
        labels = self._store.labels.remove(name)
        self._change(labels, {name: heir} if heir else {}, heir or labels.names[0])

    def _change(self, labels: LabelSet, renames: Mapping[str, str], chosen: str) -> None:
        self._change_labels(labels, renames)
        self.refresh(chosen)

    def _fill(self) -> None:
        """Show the chosen label in the form."""
        if self._quiet or self.choice.value is None:
            return
        labels, label = self._store.labels, self.label
        self._filled = labels, label.name
        below = labels.below(label.name)
        others = [name for name in labels.names if name != label.name]
        self.name.value, self.color.value = label.name, label.color
        self.hotkey.value = label.hotkey
        _offer(self.parent, [("–", NO_PARENT), *((n, n) for n in others if n not in below)])
        self.parent.value = label.parent
        _offer(self.heir, [("–", NOBODY), *((name, name) for name in others)])
        self.heir.value = NOBODY
        self.remove_button.disabled = not others


def _offer(choice: Any, options: list[tuple[str, str]]) -> None:
    if list(choice.options) != options:
        choice.options = options
