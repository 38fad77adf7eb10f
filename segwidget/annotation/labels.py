"""The labels of a task: names, colors, and what else is said of masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, overload

from segwidget.annotation.colors import PALETTE as PALETTE
from segwidget.annotation.colors import checked_color, new_color
from segwidget.annotation.ontology import MAX_NAME_LENGTH as MAX_NAME_LENGTH
from segwidget.annotation.ontology import Attribute, ancestors, check_tree, checked_hotkey
from segwidget.annotation.ontology import checked_name as checked_name
from segwidget.errors import LabelError

DEFAULT_NAME = "object"
_KEYS = frozenset({"name", "color", "hotkey", "attributes", "parent"})


@dataclass(frozen=True)
class Label:
    """What a mask shows.

    Attributes:
        name: text of 1 to 100 characters on one line; spaces around it are dropped.
        color: "#rrggbb"; also given as "#rgb" or as a CSS name such as "tomato".
        hotkey: the key that chooses it in the widget, one character; "" for none.
        attributes: what is said of its masks beside it.
        parent: the name of the label above it, whose attributes it has too; "" for none.

    Raises:
        LabelError: a name, a color or anything else that cannot be used.
    """

    name: str
    color: str
    hotkey: str = ""
    attributes: tuple[Attribute, ...] = ()
    parent: str = ""

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "name", checked_name(self.name))
        set_(self, "color", checked_color(self.color))
        set_(self, "hotkey", checked_hotkey(self.hotkey))
        set_(self, "parent", checked_name(self.parent) if self.parent else "")
        given: Any = self.attributes
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise LabelError(
                f"The attributes of the label {self.name!r} are {given!r}; expected a list of them."
            )
        attributes = tuple(Attribute.of(one) for one in given)
        if len({one.name for one in attributes}) < len(attributes):
            raise LabelError(
                f"The label {self.name!r} has an attribute twice; expected each name once."
            )
        set_(self, "attributes", attributes)

    def to_dict(self) -> dict[str, Any]:
        """The label as JSON: name, color, and hotkey, attributes and parent where it has them."""
        data: dict[str, Any] = {"name": self.name, "color": self.color}
        if self.hotkey:
            data["hotkey"] = self.hotkey
        if self.attributes:
            data["attributes"] = [attribute.to_dict() for attribute in self.attributes]
        if self.parent:
            data["parent"] = self.parent
        return data


#: What a set of labels is made from: names, names with colors, labels, or a set.
LabelsLike: TypeAlias = (
    "LabelSet | str | Mapping[str, str | None] | Iterable[str | Label | Mapping[str, Any]] | None"
)


@dataclass(frozen=True)
class LabelSet(Sequence[Label]):
    """The labels of a task, in order; immutable, never empty, each name once.

    `LabelSet.of` makes one from whatever is at hand.

    Attributes:
        labels: the labels.
        relations: the kinds of relations that there are between masks, such as "part of".

    Raises:
        LabelError: no label, a name or a hotkey twice, a parent that is none of the labels, or
            parents in a circle.
    """

    labels: tuple[Label, ...]
    relations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        labels = tuple(self.labels)
        if not labels:
            raise LabelError(
                f"There is no label; expected at least one. LabelSet.of([]) makes {DEFAULT_NAME!r}."
            )
        seen: set[str] = set()
        for label in labels:
            if label.name in seen:
                raise LabelError(
                    f"The label {label.name!r} is there twice; expected each name once. "
                    "Rename one of them."
                )
            seen.add(label.name)
        keys: dict[str, str] = {}
        for label in labels:
            if label.hotkey and label.hotkey in keys:
                raise LabelError(
                    f"The hotkey {label.hotkey!r} is that of {keys[label.hotkey]!r} and of "
                    f"{label.name!r}; expected each key once. Give one of them another key."
                )
            keys[label.hotkey] = label.name
        check_tree({label.name: label.parent for label in labels}, "label")
        given: Any = self.relations
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise LabelError(f"The relations are {given!r}; expected a list of names.")
        relations = tuple(dict.fromkeys(checked_name(one, "a relation") for one in given))
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "relations", relations)

    @classmethod
    def of(cls, labels: LabelsLike = None) -> LabelSet:
        """Make a set of labels; those without a color get distinguishable ones.

        Args:
            labels: `["car", "person"]`, `{"car": "#f00", "person": None}`, `[Label(...), ...]`,
                `[{"name": "car", "color": "#f00"}, ...]`, one name, or a `LabelSet`. Nothing at
                all makes the one label "object".

        Raises:
            LabelError: a name or a color that cannot be used, or a name twice.
        """
        if isinstance(labels, LabelSet):
            return labels
        given = _listed(labels) or [DEFAULT_NAME]
        named = [_fields(label) for label in given]
        taken = [checked_color(one["color"]) for one in named if one.get("color") is not None]
        made = []
        for one in named:
            if one.get("color") is None:
                one["color"] = new_color(taken)
                taken.append(one["color"])
            made.append(Label(**one))
        return cls(tuple(made))

    @classmethod
    def from_json(cls, data: Any) -> LabelSet:
        """Read what `to_json` writes, or any JSON that `LabelSet.of` understands.

        Raises:
            LabelError: something else.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("labels"), list):
            return cls.of(data)
        unknown = sorted(str(key) for key in data if key not in ("labels", "relations"))
        if unknown:
            raise LabelError(
                f"The labels have {', '.join(unknown)}; expected 'labels' and 'relations'. "
                "A newer version may have written them."
            )
        return cls(cls.of(data["labels"]).labels, data.get("relations", ()))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> LabelSet:
        """Read labels from a file of JSON, as `save` writes it.

        Raises:
            StoreError: the file cannot be read.
            LabelError: it holds no labels.
        """
        from segwidget.annotation.label_file import read_labels

        return read_labels(path)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(label.name for label in self.labels)

    def find(self, name: str) -> Label:
        """The label of a name.

        Raises:
            LabelError: no such label.
        """
        return self[self._position(name)]

    def attributes_of(self, name: str) -> tuple[Attribute, ...]:
        """What is said of a label's masks: its attributes, then those of the labels above it.

        Raises:
            LabelError: no such label.
        """
        label = self.find(name)
        parents = {one.name: one.parent for one in self.labels}
        found = {one.name: one for one in label.attributes}
        for above in ancestors(name, parents, "label"):
            for one in self.find(above).attributes:
                found.setdefault(one.name, one)
        return tuple(found.values())

    def color_of(self, name: str) -> str:
        """The color "#rrggbb" of a label.

        Raises:
            LabelError: no such label.
        """
        return self[self._position(name)].color

    def add(self, name: str, color: str | None = None) -> LabelSet:
        """This set with one more label at its end.

        Args:
            name: of the new label.
            color: its color; by default one that no other label has.

        Raises:
            LabelError: the name is there already, or name or color cannot be used.
        """
        if color is None:
            color = new_color([label.color for label in self.labels])
        return replace(self, labels=(*self.labels, Label(name, color)))

    def rename(self, old: str, new: str) -> LabelSet:
        """This set with another name for one label; its place and all else stay.

        Raises:
            LabelError: no such label, or the new name is taken or cannot be used.
        """
        place = self._position(old)
        name = replace(self[place], name=new).name
        labels = [replace(one, parent=name) if one.parent == old else one for one in self.labels]
        labels[place] = replace(labels[place], name=name)
        return replace(self, labels=tuple(labels))

    def change(self, name: str, to: Label) -> LabelSet:
        """This set with another label in the place of one; those below it stay below it.

        Raises:
            LabelError: no such label, a name or hotkey of another one, or parents in a circle.
        """
        place = self._position(name)
        labels = list((self if to.name == name else self.rename(name, to.name)).labels)
        labels[place] = to
        return replace(self, labels=tuple(labels))

    def remove(self, name: str) -> LabelSet:
        """This set without a label; those below it go to its parent.

        Raises:
            LabelError: no such label, or it is the only one.
        """
        gone = self.find(name)
        left = (one for one in self.labels if one is not gone)
        return replace(
            self,
            labels=tuple(
                replace(one, parent=gone.parent) if one.parent == name else one for one in left
            ),
        )

    def below(self, name: str) -> frozenset[str]:
        """The names of all labels that have a label above them, however far."""
        parents = {one.name: one.parent for one in self.labels}
        return frozenset(n for n in parents if name in ancestors(n, parents, "label"))

    def joined(self, more: Iterable[Label]) -> LabelSet:
        """This set with the labels of another one that it lacks, and with that one's relations.

        A label that both have stays, but takes over hotkey, attributes and parent where the other
        one has any of them. Where a hotkey is taken or a parent is missing, it has none.
        """
        made = {label.name: label for label in self.labels}
        more_labels = tuple(more)
        for label in more_labels:
            old = made.get(label.name)
            if old is None or label.hotkey or label.attributes or label.parent:
                made[label.name] = label if old is None else replace(label, color=old.color)
        keys = {made[label.name].hotkey for label in more_labels}
        mine = {label.name for label in more_labels}
        labels = []
        for label in made.values():
            taken = label.hotkey in keys and label.name not in mine
            lost = label.parent not in made
            labels.append(
                replace(
                    label,
                    hotkey="" if taken else label.hotkey,
                    parent="" if lost else label.parent,
                )
            )
        relations = more.relations if isinstance(more, LabelSet) else ()
        return LabelSet(tuple(labels), (*self.relations, *relations))

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON, which `LabelSet.from_json` reads back without loss."""
        return {"labels": self.to_dicts(), "relations": list(self.relations)}

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the labels to a file of JSON, whole or not at all; return its path.

        Raises:
            StoreError: the place cannot be written; what was there before is untouched.
        """
        from segwidget.annotation.label_file import write_labels

        return write_labels(self, path)

    def to_dicts(self) -> list[dict[str, Any]]:
        """The labels as JSON, which `LabelSet.of` understands."""
        return [label.to_dict() for label in self.labels]

    def _position(self, name: str) -> int:
        try:
            return self.names.index(name)
        except ValueError:
            raise LabelError(
                f"There is no label {name!r}; there are {', '.join(map(repr, self.names))}. "
                "Add it to the labels first."
            ) from None

    def __contains__(self, label: object) -> bool:
        """Whether a label, or the name of one, is in the set."""
        return label in self.labels or label in self.names

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Label, ...]: ...
    def __getitem__(self, index: int | slice) -> Label | tuple[Label, ...]:
        return self.labels[index]

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __repr__(self) -> str:
        inside = ", ".join(f"{label.name!r}: {label.color!r}" for label in self.labels)
        return f"LabelSet.of({{{inside}}})"


def _listed(labels: Any) -> list[Any]:
    """Labels in any of their forms, from whatever is at hand."""
    if labels is None:
        return []
    if isinstance(labels, str | Label):
        return [labels]
    if isinstance(labels, Mapping):
        return [{"name": name, "color": color} for name, color in labels.items()]
    if not isinstance(labels, Iterable):
        raise LabelError(
            f"Labels are {labels!r}, a {type(labels).__name__}; expected names such as "
            "['car', 'person'], or colors by name such as {'car': '#f00'}."
        )
    return list(labels)


def _fields(label: Any) -> dict[str, Any]:
    """The fields of a label in any of its forms; the color may be missing or None."""
    if isinstance(label, Label):
        return {key: getattr(label, key) for key in _KEYS}
    if not isinstance(label, Mapping):
        return {"name": label}
    if "name" not in label or not label.keys() <= _KEYS:
        raise LabelError(
            f"A label has the keys {sorted(map(str, label))}; expected 'name', and 'color', "
            "'hotkey', 'attributes' and 'parent' where it has them."
        )
    return dict(label)
