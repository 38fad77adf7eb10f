"""The app's panels beside its picture: review, the label editor, and relations of masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import ipywidgets

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet
from segwidget.errors import ClosedError
from segwidget.widget.app_labels import LabelEditor
from segwidget.widget.app_relations import Relations
from segwidget.widget.review import Review
from segwidget.widget.segmenter import Segmenter

if TYPE_CHECKING:
    from segwidget.widget.app import App


class Panels:
    """What an app shows where *Review* or *Labels* is pressed.

    Args:
        app: whose they are.

    Attributes:
        review: accepts and rejects masks and images.
        labels: edits the project's labels.
        relations: relates masks of the open image.
        ontology: the two of them, to be shown.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.review = Review(
            app._store,
            lambda id_: app.segmenter.delete([id_]),
            app._set_status,
            self._on_judged,
            self.look_again,
            app._try,
        )
        self.labels = LabelEditor(app._store, app._try, self._set_labels)
        self.relations = Relations(lambda: app.segmenter, app._try)
        self.ontology = ipywidgets.VBox([self.labels.box, self.relations.box])
        self.ontology.add_class("segwidget-app-ontology")

    def show(self, segmenter: Segmenter) -> None:
        """Show what is new of the open image, in the panels that are open."""
        items = tuple(segmenter.annotations)
        if self._app.editing_labels:
            self.labels.refresh()
            self.relations.look_at(items, segmenter.labels)
        if self._app.reviewing:
            self._judge(segmenter, items)

    def look_again(self) -> None:
        """A panel was opened or closed, or a mask judged: go on with what is left."""
        segmenter = self._app._desk.segmenter
        if segmenter is None or not self._app.reviewing:
            self.review.look_at(None)
        if segmenter is not None:
            self.show(segmenter)

    def _judge(self, segmenter: Segmenter, items: tuple[Annotation, ...]) -> None:
        colors = {label.name: label.color for label in segmenter.labels}
        self.review.look_at(self._app.key, segmenter.image, items, colors)

    def _on_judged(self, key: str, seconds: float) -> None:
        self._app._facts.add_judging(key, seconds)
        self._app._controls.show_progress(self._app._facts)

    def _set_labels(self, labels: LabelSet, renames: Mapping[str, str]) -> None:
        """Give all images other labels; the one that is open stays, with its steps and draft."""
        app, filters = self._app, self._app.filters
        segmenter, followed = app._desk.segmenter, False
        try:
            if segmenter is not None:
                followed = segmenter.set_store_labels(labels, renames)
        except ClosedError:  # another image is opened meanwhile
            segmenter = None
        if segmenter is None:
            app._store.set_labels(labels, renames)
        app._controls.show_labels()
        if filters.label in renames:
            app.filters = filters._replace(label=renames[filters.label])
        if followed:
            app._read_facts()
        else:
            app.refresh()
