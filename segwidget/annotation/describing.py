"""What is said of kept masks beside their labels: attributes, parents and relations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from segwidget.annotation import checks
from segwidget.annotation.annotation import Annotation
from segwidget.annotation.drafting import Drafting
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.ontology import Value, Values, ancestors
from segwidget.errors import AnnotationError, LabelError


class Describing(Drafting):
    """The part of a `Session` that is about attributes, parents and relations."""

    def set_attributes(self, ids: Iterable[str], values: Mapping[str, Any]) -> None:
        """Give annotations values of attributes; those that are not named stay.

        Args:
            ids: which.
            values: by the names of attributes; None takes a value away.

        Raises:
            AnnotationError: an unknown id, an attribute that the label of one of them does not
                have, or a value that is not of its kind.
        """
        chosen = self._chosen(ids)
        given: Any = values
        if not isinstance(given, Mapping):
            raise checks.unexpected("attributes", given, "values by name, such as {'state': 'new'}")
        items = tuple(
            _described(item, given, self.labels) if item.id in chosen else item
            for item in self.annotations
        )
        self._step(f"describe {self._called(chosen)}", annotations=items)

    def set_parent(self, ids: Iterable[str], parent: str) -> None:
        """Say which annotation others are parts of.

        Args:
            ids: of the parts.
            parent: the id of the whole; "" for none.

        Raises:
            AnnotationError: an unknown id, or one that would be above itself.
        """
        chosen = self._chosen(ids)
        if parent != "":
            self._chosen([parent])
        items = self._changed(chosen, parent=parent)
        _check_parents(items)
        self._step(f"parent of {self._called(chosen)}", annotations=items)

    def relate(self, id_: str, kind: str, other: str, related: bool = True) -> None:
        """Say that an annotation is related to another one, or that it is not.

        Args:
            id_: of the annotation.
            kind: one of the relations of the labels.
            other: the id of the other one.
            related: or no longer so.

        Raises:
            AnnotationError: an unknown id or relation, or twice the same id.
        """
        (item,) = self._items(self._chosen([id_]))
        self._chosen([other])
        pair = (kind, other)
        if checks.flag("related", related):
            _check_relation(kind, self.labels)
            relations = item.relations if pair in item.relations else (*item.relations, pair)
        else:
            relations = tuple(one for one in item.relations if one != pair)
        items = self._changed({item.id}, relations=relations)
        self._step(f"relate {item.label}", annotations=items)

    def _called(self, chosen: set[str]) -> str:
        """What to call some annotations in a step's name."""
        labels = [item.label for item in self.annotations if item.id in chosen]
        return labels[0] if len(labels) == 1 else f"{len(labels)} masks"

    def _changed(self, chosen: set[str], **changes: Any) -> tuple[Annotation, ...]:
        return tuple(
            replace(item, **changes) if item.id in chosen else item for item in self.annotations
        )


def checked(new: Iterable[Annotation], kept: Iterable[Annotation], labels: LabelSet) -> None:
    """Refuse annotations whose attributes, parents or relations do not fit.

    Args:
        new: the annotations.
        kept: all annotations that will be there, the new ones too.
        labels: the labels, which those of the new ones are among.

    Raises:
        AnnotationError: an attribute that the label lacks, a value that is not of its kind, a
            parent or a relation to an annotation that is not there, or parents in a circle.
    """
    new, kept = tuple(new), tuple(kept)
    for item in new:
        if item.attributes:
            _described(item, item.attributes, labels)
        for kind, _ in item.relations:
            _check_relation(kind, labels)
    pointing = [item for item in new if item.parent or item.relations]
    if not pointing:
        return
    ids = {item.id for item in kept}
    for item in pointing:
        missing = [other for other in _links(item) if other not in ids]
        if missing:
            raise AnnotationError(
                f"The annotation {item.id!r} points at {missing[0]!r}, which is not there. Keep "
                "that one first, or leave the parent or the relation out."
            )
    _check_parents(kept)


def unlinked(items: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Annotations without parents and relations that are not among them."""
    items = tuple(items)
    if not any(item.parent or item.relations for item in items):
        return items
    ids = {item.id for item in items}
    return tuple(
        item
        if all(other in ids for other in _links(item))
        else replace(
            item,
            parent=item.parent if item.parent in ids else "",
            relations=tuple(pair for pair in item.relations if pair[1] in ids),
        )
        for item in items
    )


def relabeled(item: Annotation, label: str, labels: LabelSet) -> Annotation:
    """An annotation with another label, and those of its values that this label can have."""
    fits = {
        attribute.name: item.attributes[attribute.name]
        for attribute in labels.attributes_of(label)
        if attribute.name in item.attributes
        and _fits(attribute.check, item.attributes[attribute.name])
    }
    kept = {name: fits[name] for name in item.attributes if name in fits}
    return item if label == item.label else replace(item, label=label, attributes=Values(kept))


def carried(new: Annotation, old: Annotation, labels: LabelSet) -> Annotation:
    """An annotation that takes another one's place, with what was said of that one."""
    values = relabeled(old, new.label, labels).attributes
    return replace(
        new,
        attributes=new.attributes or values,
        parent=new.parent or old.parent,
        relations=new.relations or old.relations,
    )


def renamed(
    items: Iterable[Annotation], old: LabelSet, new: LabelSet, renames: Mapping[str, str]
) -> tuple[Annotation, ...]:
    """Annotations under other labels; nothing that was said of them is lost.

    Args:
        items: the annotations.
        old: the labels that they have.
        new: the labels that they get.
        renames: new names by old ones, where they differ.

    Raises:
        LabelError: a name in `renames` that is not there; or new labels that lack a label, an
            attribute, a choice or a relation that annotations have.
    """
    given: Any = renames
    if not isinstance(given, Mapping):
        raise LabelError(f"The renames are {given!r}; expected new names by old ones.")
    for name, other in given.items():
        if name not in old.names or other not in new.names:
            lacking, names = (name, old.names) if name not in old.names else (other, new.names)
            raise LabelError(
                f"The rename of {name!r} to {other!r} is impossible: there is no label "
                f"{lacking!r} among {', '.join(map(repr, names))}. Correct the spelling."
            )
    items = tuple(items)
    lost: Counter[str] = Counter()
    for item in items:
        if given.get(item.label, item.label) not in new.names:
            lost[repr(item.label)] += 1
    if lost:
        raise LabelError(
            f"Annotations have labels that the new ones lack: {_counted(lost)}. Leave these in, "
            "say what they are called now in renames, or relabel or delete the annotations first."
        )
    made = []
    for item in items:
        label = given.get(item.label, item.label)
        known = {one.name: one for one in old.attributes_of(item.label)} if item.attributes else {}
        now = {one.name: one for one in new.attributes_of(label)} if item.attributes else {}
        for name, value in item.attributes.items():
            # What the old labels did not know either is left as it is.
            if name in known and not (name in now and _fits(now[name].check, value)):
                lost[f"{name!r} of {label!r}"] += 1
        for kind, _ in item.relations:
            if kind in old.relations and kind not in new.relations:
                lost[f"the relation {kind!r}"] += 1
        made.append(item if label == item.label else replace(item, label=label))
    if lost:
        raise LabelError(
            f"Annotations have values that the new labels cannot hold: {_counted(lost)}. Leave "
            "these attributes, choices and relations in, or take the values away first."
        )
    return tuple(made)


def _described(item: Annotation, values: Mapping[str, Any], labels: LabelSet) -> Annotation:
    known = {attribute.name: attribute for attribute in labels.attributes_of(item.label)}
    merged: dict[str, Value] = dict(item.attributes)
    for name, value in values.items():
        if name in known:
            merged.pop(name, None)
            if value is not None:
                merged[name] = known[name].check(value)
        elif value is None and name in merged:
            del merged[name]
        else:
            has = ", ".join(map(repr, known)) or "none"
            raise AnnotationError(
                f"The label {item.label!r} has no attribute {name!r}; it has {has}. Add it to the "
                "label's attributes first."
            )
    return replace(item, attributes=Values(merged))


def _check_parents(items: Iterable[Annotation]) -> None:
    parents = {item.id: item.parent for item in items}
    for id_, parent in parents.items():
        if parent:
            try:
                ancestors(id_, parents, "annotation")
            except LabelError as error:
                raise AnnotationError(str(error)) from error


def _check_relation(kind: object, labels: LabelSet) -> None:
    if kind not in labels.relations:
        has = ", ".join(map(repr, labels.relations)) or "none"
        raise AnnotationError(
            f"There is no relation {kind!r}; the labels have {has}. Add it to their relations "
            "first."
        )


def _links(item: Annotation) -> list[str]:
    return [*([item.parent] if item.parent else []), *(other for _, other in item.relations)]


def _fits(check: Any, value: Value) -> bool:
    try:
        check(value)
    except AnnotationError:
        return False
    return True


def _counted(lost: Counter[str]) -> str:
    return ", ".join(f"{what} ({count})" for what, count in lost.items())
