"""A change of a whole project's labels, as it reaches one image's history.

Such a change is no step of the work on an image: other images have changed, too, so taking it back
here would leave half of it. Instead each snapshot, past and future, is told anew in the new labels,
and undo goes on from there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.history import Snapshot
from segwidget.annotation.labels import Label, LabelSet


class LabelChange:
    """Tells snapshots of a history in other labels.

    A snapshot keeps what sets its labels apart from the present ones: one from before a label was
    added still lacks it. A label that is gone stays where a mask has it, so that a mask whose
    deletion is undone comes back whole.

    Args:
        old: the present labels.
        new: those that take their place.
        renames: new names by old ones; masks get them, and keep all that is said of them.
    """

    def __init__(self, old: LabelSet, new: LabelSet, renames: Mapping[str, str]) -> None:
        self._new = new
        self._renames = {name: to for name, to in renames.items() if to in new.names}
        self._old_names = {self._name(name) for name in old.names}
        self._old_relations = frozenset(old.relations)
        # Snapshots share most of what they hold, and shall go on to. By identity, with what it is
        # the identity of, which must not be gone meanwhile.
        self._items: dict[int, tuple[Annotation, Annotation]] = {}
        self._rows: dict[int, tuple[tuple[Annotation, ...], tuple[Annotation, ...]]] = {}
        self._sets: dict[tuple[LabelSet, frozenset[str], frozenset[str]], LabelSet] = {}

    def __call__(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot in the new labels."""
        items = self._row(snapshot.annotations)
        labels = self._labels(
            snapshot.labels,
            frozenset(item.label for item in items),
            frozenset(kind for item in items for kind, _ in item.relations),
        )
        label = self._name(snapshot.label)
        label = label if label in labels.names else labels[0].name
        return replace(snapshot, annotations=items, labels=labels, label=label)

    def _name(self, name: str) -> str:
        return self._renames.get(name, name)

    def _row(self, items: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
        if id(items) not in self._rows:
            made = tuple(map(self._item, items))
            same = all(new is old for new, old in zip(made, items, strict=True))
            self._rows[id(items)] = items, items if same else made
        return self._rows[id(items)][1]

    def _item(self, item: Annotation) -> Annotation:
        name = self._name(item.label)
        if name == item.label:
            return item
        if id(item) not in self._items:
            self._items[id(item)] = item, replace(item, label=name)
        return self._items[id(item)][1]

    def _labels(self, mine: LabelSet, used: frozenset[str], related: frozenset[str]) -> LabelSet:
        key = mine, used, related
        if key not in self._sets:
            self._sets[key] = self._made(mine, used, related)
        return self._sets[key]

    def _made(self, mine: LabelSet, used: frozenset[str], related: frozenset[str]) -> LabelSet:
        own: dict[str, Label] = {}
        for label in mine:
            name, parent = self._name(label.name), self._name(label.parent)
            own.setdefault(name, replace(label, name=name, parent=parent))
        known = {label.name: label for label in self._new}
        names = _followed(tuple(own), self._old_names, self._new.names, used)
        relations = _followed(mine.relations, self._old_relations, self._new.relations, related)
        if not names:
            return self._new
        return LabelSet(_fitting([known.get(name) or own[name] for name in names]), relations)


def _followed(
    mine: Collection[str], old: Collection[str], new: Sequence[str], used: Collection[str]
) -> tuple[str, ...]:
    """A snapshot's names after the present ones, `old`, became `new`; what is used stays."""
    there = [name for name in new if name in mine or name not in old]
    only_mine = [name for name in mine if name not in new and (name not in old or name in used)]
    return (*there, *only_mine)


def _fitting(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Labels of two sets as one: a hotkey is the first one's, and a parent is one of them."""
    names = {label.name for label in labels}
    taken: set[str] = set()
    made = []
    for label in labels:
        hotkey = "" if label.hotkey in taken else label.hotkey
        taken.add(hotkey)
        parent = label.parent if label.parent in names else ""
        made.append(replace(label, hotkey=hotkey, parent=parent))
    return tuple(made)
