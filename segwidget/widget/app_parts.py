"""The app's buttons, filters and progress, which ask the app and show what it says."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from segwidget.widget.facts import DONE, Facts, Filters

if TYPE_CHECKING:
    from segwidget.widget.app import App

_HERE = Path(__file__).parent
WORDS = {"todo": "to do", "done": "done", "accepted": "accepted", "rejected": "rejected"}
DONE_TOOLTIP = "This image is done; open the next one"
ANY_LABEL, NO_MASKS = "any", "none"


class Controls:
    """All of the app but its picture and its filmstrip.

    Args:
        app: which is asked.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._guard = threading.RLock()
        self._quiet = False  # what is set now is not a person's wish
        self.style = ipywidgets.HTML(style_sheet())
        self.style.layout.display = "none"
        self.previous = button("", "chevron-left", "The image before this one (Shift+Page Up)")
        self.next = button("", "chevron-right", "The next image (Shift+Page Down)")
        self.title = label("segwidget-app-title")
        self.position = label("segwidget-app-quiet")
        self.status = label("segwidget-app-status")
        self.done = button("Done", "check", DONE_TOOLTIP)
        self.done.add_class("segwidget-app-primary")
        self.review = ipywidgets.ToggleButton(
            description="Review", icon="eye", tooltip="Accept or reject what was made"
        )
        self.edit_labels = ipywidgets.ToggleButton(
            description="Labels", icon="tags", tooltip="Add, change, merge and relate"
        )
        self.bar = ipywidgets.HTML()
        self.bar.add_class("segwidget-app-bar")
        self.numbers = label("segwidget-app-quiet")
        self.message = label("segwidget-app-message-text")
        dismiss = button("", "times", "Dismiss")
        self.message_box = row(self.message, dismiss, name="segwidget-app-message")
        self.by_status = ipywidgets.Dropdown(options=[("All images", "")], value="")
        self.by_label = ipywidgets.Dropdown(options=[("Any label", (ANY_LABEL, ""))])
        self.by_score = ipywidgets.FloatSlider(
            value=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            continuous_update=False,
            description="Lowest score ≤",
            readout_format=".2f",
        )
        self.by_score.tooltip = "Images that have a mask of at most this predicted IoU"
        self.tell("")
        self.previous.on_click(lambda _: app._try(app.previous))
        self.next.on_click(lambda _: app._try(app.next))
        self.done.on_click(lambda _: app._try(self._press_done))
        dismiss.on_click(lambda _: self.tell(""))
        self.edit_labels.observe(lambda _: app._try(self._switch_labels), "value")
        self.review.observe(lambda _: app._try(self._switch_review), "value")
        for filter_ in (self.by_status, self.by_label, self.by_score):
            filter_.observe(lambda _: self._filter(), "value")

    def arrange(
        self,
        desk: Any,
        review: Any,
        labels: Any,
        film: ipywidgets.DOMWidget,
        improve: ipywidgets.DOMWidget,
        download: ipywidgets.DOMWidget,
    ) -> None:
        """Put everything in its place; ``children`` is what the app shows."""
        self._review_box, self._labels_box = review, labels
        head = row(
            row(self.previous, self.next, name="segwidget-app-turn"),
            self.title,
            self.status,
            self.position,
            row(self.edit_labels, self.review, self.done, name="segwidget-app-end"),
        )
        filters = row(
            self.by_status,
            self.by_label,
            self.by_score,
            row(download, name="segwidget-app-end"),
            name="segwidget-app-filters",
        )
        progress = row(self.bar, self.numbers, name="segwidget-app-progress")
        self.children = (
            self.style,
            head,
            self.message_box,
            review,
            labels,
            desk,
            progress,
            film,
            filters,
            improve,
        )
        review.layout.display = labels.layout.display = "none"

    @property
    def filters(self) -> Filters:
        """What the filters are set to."""
        kind, name = self.by_label.value or (ANY_LABEL, "")
        return Filters(self.by_status.value, name, self.by_score.value, kind == NO_MASKS)

    @filters.setter
    def filters(self, filters: Filters) -> None:
        kind = NO_MASKS if filters.unlabeled else "label" if filters.label else ANY_LABEL
        with self._silently():
            self.by_status.value = filters.status
            self.by_label.value = (kind, filters.label)
            self.by_score.value = filters.score

    def tell(self, message: str) -> None:
        """Show a message, or take it away."""
        self.message.value = message
        self.message_box.layout.display = "" if message else "none"

    def show_labels(self) -> None:
        """Offer the labels that there are now."""
        names = self._app._store.labels.names
        options = [
            ("Any label", (ANY_LABEL, "")),
            ("No masks", (NO_MASKS, "")),
            *((name, ("label", name)) for name in names),
        ]
        self._set_options(self.by_label, options, (ANY_LABEL, ""))

    def show_progress(self, facts: Facts) -> None:
        """Show how far the project is."""
        numbers, total = facts.numbers(), len(facts.keys)
        options = [(f"All images ({total})", "")]
        options += [(f"{WORDS[s].capitalize()} ({n})", s) for s, n in numbers.items()]
        self._set_options(self.by_status, options, "")
        self.bar.value = progress_bar(numbers, total)
        finished = sum(numbers[status] for status in DONE)
        masks, seconds = facts.masks(), facts.seconds_per_mask()
        parts = [f"{finished} of {total} done", f"{masks} {'mask' if masks == 1 else 'masks'}"]
        if seconds is not None:
            parts.append(f"{seconds:.1f} s per mask")
        self.numbers.value = " · ".join(parts)

    def show_position(
        self,
        key: str | None,
        passing: Sequence[str],
        before: str | None,
        after: str | None,
        facts: Facts,
    ) -> None:
        """Show which image is open, and where it is among those that pass."""
        self.previous.disabled, self.next.disabled = before is None, after is None
        self.title.value = "" if key is None else key
        self.title.tooltip = self.title.value
        if key in passing:
            self.position.value = f"{passing.index(key) + 1} of {len(passing)}"
        else:
            self.position.value = f"not among the {len(passing)} shown" if key else ""
        status = "todo" if key is None else facts.status(key)
        self.status.value = "" if status == "todo" else WORDS[status]
        for one in WORDS:
            (self.status.add_class if one == status else self.status.remove_class)(
                f"segwidget-app-is-{one}"
            )
        again = status in DONE
        self.done.description = "Reopen" if again else "Done"
        self.done.icon = "undo" if again else "check"
        self.done.tooltip = "This image is not done after all" if again else DONE_TOOLTIP
        self.done.disabled = key is None

    def _press_done(self) -> None:
        key = self._app.key
        self._app.mark_done(key is None or self._app._facts.status(key) not in DONE)

    def _switch_review(self) -> None:
        self._review_box.layout.display = "" if self.review.value else "none"
        self._app._panels.look_again()

    def _switch_labels(self) -> None:
        self._labels_box.layout.display = "" if self.edit_labels.value else "none"
        self._app._panels.look_again()

    def _filter(self) -> None:
        if not self._quiet:
            self._app._try(self._app._show_list)

    def _set_options(self, choice: Any, options: list[Any], otherwise: Any) -> None:
        if list(choice.options) == options:
            return
        with self._silently():
            value = choice.value
            values = [v for _, v in options]
            choice.options = options
            choice.value = value if value in values else otherwise

    def _silently(self) -> _Silence:
        return _Silence(self)


class _Silence:
    """What is set within is not a person's wish."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def __enter__(self) -> None:
        self._controls._guard.acquire()
        self._before, self._controls._quiet = self._controls._quiet, True

    def __exit__(self, *_error: object) -> None:
        self._controls._quiet = self._before
        self._controls._guard.release()


def style_sheet() -> str:
    """The style of app and gallery, as an element."""
    return f"<style>{(_HERE / 'app.css').read_text('utf-8')}</style>"


def progress_bar(numbers: dict[str, int], total: int) -> str:
    """The bar, as HTML of numbers alone."""
    parts = "".join(
        f'<i class="segwidget-app-is-{status}" style="width:{100 * numbers[status] / total:.2f}%">'
        "</i>"
        for status in ("accepted", "done", "rejected")
        if total and numbers[status]
    )
    return f'<div class="segwidget-app-track">{parts}</div>'


def button(text: str, icon: str, tooltip: str) -> ipywidgets.Button:
    """A button, as wide as its text."""
    return ipywidgets.Button(description=text, icon=icon, tooltip=tooltip)


def label(name: str) -> ipywidgets.Label:
    """A line of text, which is never taken for HTML."""
    made = ipywidgets.Label()
    made.add_class(name)
    return made


def row(*children: ipywidgets.Widget, name: str = "") -> ipywidgets.HBox:
    """Widgets side by side, which wrap where there is no room."""
    made = ipywidgets.HBox(list(children))
    made.add_class("segwidget-app-row")
    if name:
        made.add_class(name)
    return made


def close_all(widgets: Iterable[Any]) -> None:
    """Close widgets, all that is inside, and their layouts and styles."""
    for widget in widgets:
        close_all(getattr(widget, "children", ()))
        belongings = [getattr(widget, name, None) for name in ("layout", "style")]
        widget.close()
        for one in belongings:
            if one is not None:
                one.close()
