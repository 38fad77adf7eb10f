"""The work on one image, and how to take any step of it back.

A session is a row of snapshots, each an immutable value: a step makes a new one, undo and redo walk
along the row. A step that changes nothing is not counted, and consecutive steps of browsing, such
as going through the candidates, count as one. A step that is refused changes nothing at all.

Nothing here knows of models, threads or widgets: whoever owns a session compares the snapshots
before and after a call.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from segwidget.annotation import checks
from segwidget.annotation.annotation import Annotation
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.errors import AnnotationError, LabelError, PromptError
from segwidget.inference.prompts import PROMPTS, Box, Point, Polygon, Prompt

MAX_STEPS = 1000


@dataclass(frozen=True)
class Draft:
    """A mask in the making.

    Attributes:
        prompts: what was pointed at, in order; empty where there is no draft.
        picks: for each prompt but the last, the candidate that was picked when the next one was
            given: its logits went into the next answer.
        picked: the candidate that is picked now, 0 the best.
    """

    prompts: tuple[Prompt, ...] = ()
    picks: tuple[int, ...] = ()
    picked: int = 0


@dataclass(frozen=True)
class Snapshot:
    """All that a session holds at one moment.

    Attributes:
        draft: the mask in the making.
        annotations: what was kept, oldest first.
        labels: the labels to choose from.
        label: the name of the one that the next mask will have.
    """

    draft: Draft
    annotations: tuple[Annotation, ...]
    labels: LabelSet
    label: str


class Session:
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
        known = _with_labels_of(kept, LabelSet.of(labels))
        current = known[0].name if label is None else label
        known.color_of(current)  # refuses a name that is no label
        self._now = Snapshot(Draft(), kept, known, current)
        # Each step's name, beside the snapshot that undoing (or redoing) it leads to.
        self._past: deque[tuple[str, Snapshot]] = deque(maxlen=max_steps)
        self._future: list[tuple[str, Snapshot]] = []
        self._browsing = ""  # the newest step's kind, where the next of its kind joins it

    @property
    def snapshot(self) -> Snapshot:
        """All that the session holds now."""
        return self._now

    @property
    def draft(self) -> Draft:
        """The mask in the making."""
        return self._now.draft

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """What was kept, oldest first."""
        return self._now.annotations

    @property
    def labels(self) -> LabelSet:
        """The labels to choose from."""
        return self._now.labels

    @property
    def label(self) -> str:
        """The name of the current label."""
        return self._now.label

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step that was taken back."""
        return bool(self._future)

    @property
    def undo_name(self) -> str | None:
        """The name of the step that `undo` would take back, such as "keep car"."""
        return self._past[-1][0] if self._past else None

    @property
    def redo_name(self) -> str | None:
        """The name of the step that `redo` would do again."""
        return self._future[-1][0] if self._future else None

    def undo(self) -> str | None:
        """Take the newest step back; answer its name, or None where there is none."""
        if not self._past:
            return None
        name, before = self._past.pop()
        self._future.append((name, self._now))
        self._now = before
        self._browsing = ""
        return name

    def redo(self) -> str | None:
        """Do the step again that was taken back last; answer its name, or None."""
        if not self._future:
            return None
        name, after = self._future.pop()
        self._past.append((name, self._now))
        self._now = after
        self._browsing = ""
        return name

    def adopt(self, other: Session) -> None:
        """Take over another session's state and history; the other one stays as it is."""
        self._now = other._now
        self._past = other._past.copy()
        self._future = list(other._future)
        self._browsing = other._browsing

    # The draft.

    def set_prompts(self, prompts: Iterable[Prompt]) -> None:
        """Replace the draft's prompts.

        One prompt more at the end refines the picked candidate, so that pick is remembered. Any
        other change starts over from the best candidate each time.

        Raises:
            PromptError: something that is no prompt. (`validate_prompts` checks against the image.)
        """
        new = tuple(prompts)
        for prompt in new:
            given: Any = prompt
            if not isinstance(given, PROMPTS):
                raise PromptError(
                    f"A prompt of a session is a {type(given).__name__}; expected Point, Box, Polygon "
                    "or MaskPrompt. validate_prompts(...) reads other forms."
                )
        old = self.draft
        if new == old.prompts:
            return
        if old.prompts and len(new) > 1 and new[:-1] == old.prompts:
            draft = Draft(new, (*old.picks, old.picked))
        else:
            draft = Draft(new, (0,) * (len(new) - 1))
        self._step(_prompts_step(old.prompts, new), draft=draft)

    def pick(self, index: int) -> None:
        """Pick a candidate of the draft, 0 the best; picks in a row are one step.

        Raises:
            AnnotationError: not a whole number from 0, or there is no draft to pick from.
        """
        picked = checks.index("picked candidate", index)
        if not self.draft.prompts and picked != 0:
            raise AnnotationError(
                f"Candidate {picked} cannot be picked: there is no draft. Give a prompt first."
            )
        self._step("pick", browsing="pick", draft=replace(self.draft, picked=picked))

    def clear_draft(self) -> None:
        """Drop the draft."""
        self._step("clear", draft=Draft())

    # What is kept.

    def keep(self, annotation: Annotation) -> None:
        """Append an annotation and drop the draft, in one step.

        Raises:
            AnnotationError: its id is there already.
            LabelError: its label is none of the session's.
        """
        self._append((annotation,), draft=Draft())

    def keep_all(self, annotations: Iterable[Annotation]) -> None:
        """Append several annotations in one step; the draft stays. None at all is no step.

        Raises:
            AnnotationError: an id is there already, or twice.
            LabelError: a label is none of the session's.
        """
        self._append(checks.listed("list", annotations))

    def delete(self, ids: Iterable[str]) -> None:
        """Delete annotations.

        Raises:
            AnnotationError: an unknown id.
        """
        chosen = self._chosen(ids)
        left = tuple(item for item in self.annotations if item.id not in chosen)
        self._step(f"delete {self._called(chosen)}", annotations=left)

    def relabel(self, ids: Iterable[str], label: str) -> None:
        """Give annotations another label.

        Raises:
            AnnotationError: an unknown id.
            LabelError: the label is none of the session's.
        """
        chosen = self._chosen(ids)
        self.labels.color_of(label)
        self._step(f"relabel to {label}", annotations=self._changed(chosen, label=label))

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

        Raises:
            AnnotationError: an id twice, or something that is no annotation.
        """
        kept = _unique(annotations)
        self._step("annotations", annotations=kept, labels=_with_labels_of(kept, self.labels))

    # The labels.

    def set_labels(self, labels: LabelsLike) -> None:
        """Replace the labels; where the current one is gone, the first becomes current.

        Raises:
            LabelError: labels that cannot be used, or one that annotations have would be gone.
        """
        new = LabelSet.of(labels)
        used = Counter(item.label for item in self.annotations)
        lost = [f"{name!r} ({count})" for name, count in used.items() if name not in new.names]
        if lost:
            raise LabelError(
                f"Annotations have labels that the new ones lack: {', '.join(lost)}. Leave these "
                "in, or relabel or delete the annotations first."
            )
        current = self.label if self.label in new.names else new[0].name
        self._step("labels", labels=new, label=current)

    def add_label(self, name: str, color: str | None = None, *, select: bool = True) -> None:
        """Add a label at the end, and make it the current one unless `select` is False.

        Raises:
            LabelError: the name is there already, or cannot be used.
        """
        new = self.labels.add(name, color)
        name = new[-1].name
        current = name if select else self.label
        self._step(f"add label {name}", labels=new, label=current)

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

    # How a step is made.

    def _step(self, name: str, *, browsing: str = "", **changes: Any) -> None:
        """Make the changed snapshot the current one, and remember how to come back.

        Args:
            name: what undo and redo call the step.
            browsing: its kind, where steps of this kind in a row are one.
            **changes: what is new in the snapshot.
        """
        after = replace(self._now, **changes)
        if after == self._now:
            return
        before = self._now
        if browsing and browsing == self._browsing and self._past:
            _, before = self._past.pop()
        if after == before:
            browsing = ""  # browsed back to where it began, so that no step is left
        else:
            self._past.append((name, before))
        self._future.clear()
        self._now = after
        self._browsing = browsing

    def _append(self, new: tuple[Annotation, ...], **changes: Any) -> None:
        kept = _unique((*self.annotations, *new))
        for label in {annotation.label for annotation in new}:
            self.labels.color_of(label)
        name = new[0].label if len(new) == 1 else f"{len(new)} masks"
        self._step(f"keep {name}", annotations=kept, **changes)

    def _chosen(self, ids: Iterable[str]) -> set[str]:
        given = [ids] if isinstance(ids, str) else checks.listed("ids", ids)
        known = {item.id for item in self.annotations}
        for id_ in given:
            if not isinstance(id_, str) or id_ not in known:
                raise AnnotationError(
                    f"There is no annotation with the id {id_!r}. It may have been deleted, or its "
                    "keeping undone."
                )
        return set(given)

    def _called(self, chosen: set[str]) -> str:
        """What to call some annotations in a step's name."""
        labels = [item.label for item in self.annotations if item.id in chosen]
        return labels[0] if len(labels) == 1 else f"{len(labels)} masks"

    def _changed(self, chosen: set[str], **changes: Any) -> tuple[Annotation, ...]:
        return tuple(
            replace(item, **changes) if item.id in chosen else item for item in self.annotations
        )


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


def _with_labels_of(annotations: Iterable[Annotation], labels: LabelSet) -> LabelSet:
    for name in dict.fromkeys(item.label for item in annotations):
        labels = labels if name in labels.names else labels.add(name)
    return labels


def _prompts_step(old: tuple[Prompt, ...], new: tuple[Prompt, ...]) -> str:
    """What to call the step from one list of prompts to another."""
    if not new:
        return "clear"
    if new[:-1] == old:
        return _kind(new[-1])
    if len(new) == len(old) - 1:
        place = next((i for i, prompt in enumerate(new) if prompt != old[i]), len(new))
        if new[place:] == old[place + 1 :]:
            return f"remove {_kind(old[place])}"
    return "prompts"


def _kind(prompt: Prompt) -> str:
    names = {Point: "point", Box: "box", Polygon: "polygon"}
    return names.get(type(prompt), "mask")
