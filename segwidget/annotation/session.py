"""The work on one image, and how to take any step of it back.

A session is a row of snapshots (see `History`); each method that changes something is a step, which
`undo` takes back. A step that is refused changes nothing at all.

Nothing here knows of models, threads or widgets: whoever owns a session compares the snapshots
before and after a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeAlias, get_args

from segwidget.annotation import checks
from segwidget.annotation.annotation import Annotation, Annotations
from segwidget.annotation.describing import (
    Describing,
    carried,
    checked,
    relabeled,
    renamed,
    unlinked,
)
from segwidget.annotation.editing import Combination, combined, without
from segwidget.annotation.history import MAX_STEPS, Draft, Snapshot
from segwidget.annotation.label_change import LabelChange
from segwidget.annotation.labels import Label, LabelSet, LabelsLike
from segwidget.errors import AnnotationError, LabelError
from segwidget.inference.rle import Rle

#: Where to in the z-order.
Place: TypeAlias = Literal["front", "back", "forward", "backward"]

_COMBINED = {"add": "add to", "subtract": "subtract from", "intersect": "intersect with"}


class Session(Describing):
    """The undoable work on one image.

    Args:
        labels: anything that `LabelSet.of` takes.
        annotations: what was kept before; their labels are added where they are missing.
        label: the current label's name, by default the first.
        max_steps: how many steps can be undone; older ones are forgotten.

    Raises:
        AnnotationError: an annotation id twice.
        LabelError: labels that cannot be used, or a current label that is none of them.
    """

    def __init__(
        self,
        labels: LabelsLike = None,
        annotations: Iterable[Annotation] = (),
        *,
        label: str | None = None,
        max_steps: int = MAX_STEPS,
    ) -> None:
        kept = _unique(annotations)
        known = _with_labels_of(annotations, kept, LabelSet.of(labels))
        current = known[0].name if label is None else label
        known.color_of(current)  # refuses a name that is no label
        super().__init__(Snapshot(Draft(), kept, known, current), max_steps)

    # What is kept.

    def keep(
        self, annotation: Annotation, *, replacing: bool = False, sparing: bool = False
    ) -> None:
        """Append an annotation and drop the draft, in one step.

        Args:
            annotation: what to keep.
            replacing: put it in place of the one of the same id, of which it takes over
                attributes, parent and relations where it has none.
            sparing: leave the pixels of what is kept to it.

        Raises:
            AnnotationError: its id is there already, and not to be replaced; or nothing is left;
                or attributes, a parent or relations that do not fit.
            LabelError: its label is none of the session's.
        """
        if not replacing:
            self._append((annotation,), sparing, draft=Draft())
            return
        (old,) = self._items(self._chosen(annotation.id))
        others = [item for item in self.annotations if item is not old]
        (new,) = _spared((annotation,), others) if sparing else (annotation,)
        self.labels.color_of(new.label)
        items = tuple(new if item is old else item for item in self.annotations)
        checked((new,), items, self.labels)
        new = carried(new, old, self.labels)
        items = tuple(new if item is old else item for item in self.annotations)
        self._step(f"refine {new.label}", annotations=items, draft=Draft())

    def keep_all(self, annotations: Iterable[Annotation], *, sparing: bool = False) -> None:
        """Append several annotations in one step; the draft stays. None at all is no step.

        Args:
            annotations: what to keep.
            sparing: leave the pixels of what is kept to it, and those of each to those before it.

        Raises:
            AnnotationError: an id is there already, or twice; or of none anything is left; or
                attributes, parents or relations that do not fit.
            LabelError: a label is none of the session's.
        """
        self._append(checks.listed("list", annotations), sparing)

    def edit(self, masks: Mapping[str, Rle], edit: str, *, sparing: bool = False) -> None:
        """Give annotations other masks.

        Args:
            masks: by the annotations' ids.
            edit: what was done, for `Annotation.edits` and the step's name, such as "paint".
            sparing: leave the pixels of what else is kept to it.

        Raises:
            AnnotationError: an unknown id, or a mask of which nothing is left.
        """
        chosen = self._chosen(list(masks))
        items = tuple(
            item if item.id not in chosen else self._edited(item, masks[item.id], edit, sparing)
            for item in self.annotations
        )
        self._step(f"{edit} {self._called(chosen)}", annotations=items)

    def combine(self, id_: str, how: Combination, rle: Rle, *, sparing: bool = False) -> None:
        """Add a mask to an annotation, subtract it from it or intersect both; the draft ends.

        Raises:
            AnnotationError: an unknown id or word, or nothing is left.
        """
        (item,) = self._items(self._chosen(id_))
        new = self._edited(item, combined(item.rle, rle, how), how, sparing)
        items = tuple(new if one is item else one for one in self.annotations)
        self._step(f"{_COMBINED[how]} {item.label}", annotations=items, draft=Draft())

    def reorder(self, ids: Iterable[str], to: Place) -> None:
        """Move annotations in the z-order; among themselves they keep it.

        Args:
            ids: which.
            to: "front", "back", or one place "forward" or "backward".

        Raises:
            AnnotationError: an unknown id, or another word.
        """
        if to not in get_args(Place):
            raise checks.unexpected("place", to, f"one of {', '.join(get_args(Place))}")
        chosen = self._chosen(ids)
        items = list(self.annotations)
        if to in ("front", "back"):
            items.sort(key=lambda item: (item.id in chosen) == (to == "front"))
        else:
            if to == "forward":
                items.reverse()
            for i in range(1, len(items)):
                if items[i].id in chosen and items[i - 1].id not in chosen:
                    items[i - 1], items[i] = items[i], items[i - 1]
            if to == "forward":
                items.reverse()
        name = f"{self._called(chosen)} {'to ' if to in ('front', 'back') else ''}{to}"
        self._step(name, annotations=tuple(items))

    def delete(self, ids: Iterable[str]) -> None:
        """Delete annotations; none that stays points at them any longer.

        Raises:
            AnnotationError: an unknown id.
        """
        chosen = self._chosen(ids)
        left = unlinked(item for item in self.annotations if item.id not in chosen)
        self._step(f"delete {self._called(chosen)}", annotations=left)

    def relabel(self, ids: Iterable[str], label: str) -> None:
        """Give annotations another label; values that it has no attributes for are gone.

        Raises:
            AnnotationError: an unknown id.
            LabelError: the label is none of the session's.
        """
        chosen = self._chosen(ids)
        self.labels.color_of(label)
        items = tuple(
            relabeled(item, label, self.labels) if item.id in chosen else item
            for item in self.annotations
        )
        self._step(f"relabel to {label}", annotations=items)

    def show(self, ids: Iterable[str], visible: bool) -> None:
        """Show or hide annotations.

        Raises:
            AnnotationError: an unknown id, or `visible` is neither True nor False.
        """
        chosen = self._chosen(ids)
        verb = "show" if checks.flag("visible", visible) else "hide"
        self._step(
            f"{verb} {self._called(chosen)}", annotations=self._changed(chosen, visible=visible)
        )

    def set_annotations(self, annotations: Iterable[Annotation]) -> None:
        """Replace all annotations; labels that they have and the session lacks are added.

        Parents and relations that are not among them are left out.

        Raises:
            AnnotationError: an id twice, or something that is no annotation.
        """
        kept = unlinked(_unique(annotations))
        self._step(
            "annotations", annotations=kept, labels=_with_labels_of(annotations, kept, self.labels)
        )

    # The labels.

    def set_labels(self, labels: LabelsLike, renames: Mapping[str, str] | None = None) -> None:
        """Replace the labels; where the current one is gone, the first becomes current.

        Args:
            labels: anything that `LabelSet.of` takes.
            renames: new names by old ones: annotations are relabeled, and lose no value.

        Raises:
            LabelError: labels that cannot be used, or one that annotations have would be gone, or
                one of its attributes.
        """
        new = LabelSet.of(labels)
        given = {} if renames is None else renames
        items = renamed(self.annotations, self.labels, new, given)
        current = given.get(self.label, self.label)
        current = current if current in new.names else new[0].name
        self._step("labels", labels=new, label=current, annotations=items)

    def follow_labels(self, labels: LabelSet, renames: Mapping[str, str] | None = None) -> None:
        """Go on with labels that were changed for all images, which undo does not take back.

        All steps stay, told in the new labels; see `LabelChange`.

        Args:
            labels: the new ones, among them all that present annotations have.
            renames: new names by old ones: annotations are relabeled, and lose no value.
        """
        self._retell(LabelChange(self.labels, labels, renames or {}))

    def add_label(self, name: str, color: str | None = None, *, select: bool = True) -> None:
        """Add a label at the end, and make it the current one unless `select` is False.

        Raises:
            LabelError: the name is there already, or cannot be used.
        """
        new = self.labels.add(name, color)
        name = new[-1].name
        current = name if select else self.label
        self._step(f"add label {name}", labels=new, label=current)

    def add_labels(self, labels: Iterable[Label]) -> None:
        """Add those that are missing at the end; see `LabelSet.joined`.

        What would take away something that was said of annotations stays as it is.
        """
        new = tuple(labels)
        joined = self.labels.joined(labels if isinstance(labels, LabelSet) else new)
        try:
            self.set_labels(joined)
        except LabelError:
            bare = [replace(one, hotkey="", attributes=(), parent="") for one in new]
            self.set_labels(self.labels.joined(bare))

    def rename_label(self, old: str, new: str) -> None:
        """Rename a label, also in the annotations that have it.

        Raises:
            LabelError: no such label, or the new name is taken or cannot be used.
        """
        labels = self.labels.rename(old, new)
        name = labels[self.labels.names.index(old)].name
        chosen = {item.id for item in self.annotations if item.label == old}
        self._step(
            f"rename {old} to {name}",
            labels=labels,
            label=name if self.label == old else self.label,
            annotations=self._changed(chosen, label=name),
        )

    def set_label(self, name: str) -> None:
        """Choose the label that the next mask will have; choices in a row are one step.

        Raises:
            LabelError: no such label.
        """
        self.labels.color_of(name)
        self._step(f"label {name}", browsing="label", label=name)

    def _append(self, new: tuple[Annotation, ...], sparing: bool, **changes: Any) -> None:
        kept = _unique((*self.annotations, *new))
        for label in {annotation.label for annotation in new}:
            self.labels.color_of(label)
        if sparing and new:
            new = _spared(new, self.annotations)
            kept = (*self.annotations, *new)
        checked(new, kept, self.labels)
        name = new[0].label if len(new) == 1 else f"{len(new)} masks"
        self._step(f"keep {name}", annotations=kept, **changes)

    def _edited(self, item: Annotation, rle: Rle, edit: str, sparing: bool) -> Annotation:
        if sparing and rle != item.rle:
            rle = without(rle, (other.rle for other in self.annotations if other is not item))
        if rle.area == 0:
            raise AnnotationError(
                f"Nothing would be left of {item.label!r}, so it is as it was. To be rid of it, "
                "delete it."
            )
        return item.with_mask(rle, edit)


def _unique(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    items = tuple(annotations)
    ids: set[str] = set()
    for item in items:
        given: Any = item
        if not isinstance(given, Annotation):
            raise AnnotationError(
                f"A {type(given).__name__} is no annotation; expected Annotation values. "
                "Annotation.from_mask(mask, label=...) makes one."
            )
        if item.id in ids:
            raise AnnotationError(
                f"The annotation id {item.id!r} is there twice; expected each once. "
                "Give it another id."
            )
        ids.add(item.id)
    return items


def _spared(new: Iterable[Annotation], kept: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Annotations without the pixels of those that are kept, and of each other."""
    taken = [item.rle for item in kept]
    left = []
    for item in new:
        rle = without(item.rle, taken)
        if rle.area:
            taken.append(rle)
            left.append(item.with_mask(rle, "protect"))
    if not left:
        raise AnnotationError(
            "All of it belongs to what was kept before, which is protected. Switch the protection "
            "off, or edit what is there."
        )
    return tuple(left)


def _with_labels_of(
    given: Iterable[Annotation], kept: Iterable[Annotation], labels: LabelSet
) -> LabelSet:
    """Labels with those that annotations have, as what was given defines them."""
    used = list(dict.fromkeys(item.label for item in kept))
    missing = [name for name in used if name not in labels.names]
    if missing and isinstance(given, Annotations):
        defined = [one for one in given.labels if one.name in missing]
        labels = labels.joined(defined)
    for name in missing:
        labels = labels if name in labels.names else labels.add(name)
    return labels
