"""Relating two masks of the open image: which, how, and what was said already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ipywidgets

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.errors import AnnotationError
from segwidget.widget.app_parts import button, row
from segwidget.widget.segmenter import Segmenter


class Relations:
    """A row that says how one mask is related to another; each change is a step, undo included.

    Args:
        segmenter: answers that of the open image.
        attempt: does what a button asks for, and tells what fails.
    """

    def __init__(
        self,
        segmenter: Callable[[], Segmenter],
        attempt: Callable[[Callable[[], None]], None],
    ) -> None:
        self._segmenter = segmenter
        self.first = ipywidgets.Dropdown(description="Mask")
        self.kind = ipywidgets.Combobox(placeholder="such as: holds", ensure_option=False)
        self.second = ipywidgets.Dropdown()
        self.relate_button = button("Relate", "link", "Say that these two masks are related so")
        self.present = ipywidgets.Dropdown(description="Related")
        self.present.add_class("segwidget-app-wide")
        self.part_button = button("", "unlink", "They are not related so after all")
        self.relate_button.on_click(lambda _: attempt(self.relate))
        self.part_button.on_click(lambda _: attempt(self.part))
        self.box = row(
            row(self.first, self.kind, self.second, self.relate_button),
            row(self.present, self.part_button),
            name="segwidget-app-relations",
        )

    def look_at(self, items: tuple[Annotation, ...], labels: LabelSet) -> None:
        """Offer an image's masks, numbered from the front as they are listed beside it."""
        names = {item.id: f"{n}  {item.label}" for n, item in enumerate(reversed(items), 1)}
        masks = [(name, id_) for id_, name in names.items()]
        for place, choice in enumerate((self.first, self.second)):
            _offer(choice, masks, place)
        self.kind.options = labels.relations
        related = [
            (f"{names[item.id]}  {kind}  {names.get(other, '?')}", (item.id, kind, other))
            for item in reversed(items)
            for kind, other in item.relations
        ]
        _offer(self.present, related)
        self.relate_button.disabled = len(items) < 2
        self.part_button.disabled = not related

    def relate(self) -> None:
        """Relate the two chosen masks; a kind of relation that is new becomes one of the labels'.

        Raises:
            AnnotationError: twice the same mask, or none.
            LabelError: a name that no relation can have.
        """
        first, second, segmenter = self.first.value, self.second.value, self._segmenter()
        if first is None or second is None or first == second:
            raise AnnotationError(
                "A mask cannot be related to itself. Choose two masks; they are numbered as in the "
                "list beside the picture."
            )
        kind = " ".join(self.kind.value.split())
        labels = segmenter.labels
        if kind not in labels.relations:
            segmenter.set_labels(replace(labels, relations=(*labels.relations, kind)))
        segmenter.relate(first, kind, second)

    def part(self) -> None:
        """Take back what is said of the chosen pair."""
        if self.present.value is not None:
            first, kind, second = self.present.value
            self._segmenter().relate(first, kind, second, False)


def _offer(choice: Any, options: list[tuple[str, Any]], place: int = 0) -> None:
    """Offer other options; what was chosen stays, or else the one at a place is."""
    if list(choice.options) == options:
        return
    value = choice.value
    choice.options = options
    values = [one for _, one in options]
    first = values[min(place, len(values) - 1)] if values else None
    choice.value = value if value in values else first
