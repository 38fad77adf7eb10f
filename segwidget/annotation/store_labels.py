"""The labels of a store, and how they change without losing what annotations have of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from segwidget.annotation import store_values
from segwidget.annotation.annotation import Annotation
from segwidget.annotation.describing import renamed
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.annotation.store_file import Run
from segwidget.annotation.store_log import StoreLog
from segwidget.annotation.store_values import Step
from segwidget.errors import LabelError


class StoreLabels(StoreLog):
    """The part of a `Store` that is about labels; each change is one transaction."""

    @property
    def has_labels(self) -> bool:
        """Whether labels were ever set; until then they are the one label "object"."""
        return self._setting("labels") is not None

    @property
    def labels(self) -> LabelSet:
        """The labels of the project.

        Raises:
            StoreError: the file cannot be read.
        """
        text = self._setting("labels")
        return LabelSet.of() if text is None else self._decoded(store_values.labels_of, text)

    def label_counts(self) -> dict[str, int]:
        """How many annotations labels have, by name; those that have none are left out."""
        return dict(self._read("SELECT label, COUNT(*) FROM annotations GROUP BY label"))

    def set_labels(self, labels: LabelsLike, renames: Mapping[str, str] | None = None) -> None:
        """Replace the labels, and relabel annotations of all images, all or nothing.

        Args:
            labels: anything that `LabelSet.of` takes.
            renames: new names by old ones: annotations that have an old one get the new one. Two
                old ones may become the same.

        Raises:
            LabelError: labels that cannot be used; or they lack a label, an attribute or a relation
                that annotations have; nothing was changed.
            StoreError: it cannot be written; nothing was changed.
        """
        new, moves = LabelSet.of(labels), dict(renames or {})
        with self._transaction() as run:
            used, old = self._label_counts(run), self.labels
            moves = {name: to for name, to in moves.items() if name != to}
            lost = [
                f"{name!r} ({count})"
                for name, count in used.items()
                if moves.get(name, name) not in new.names
            ]
            if lost:
                raise LabelError(
                    f"Annotations have labels that the new ones lack: {', '.join(lost)}. Leave "
                    "these in, rename them with rename_label, or relabel the annotations first."
                )
            self._check_values(run, used, old, new, moves)
            self._write_labels(run, new)
            changed = sum(used.get(name, 0) for name in moves)
            if changed:
                self._relabel(run, moves)
                step = ", ".join(f"{name} to {to}" for name, to in moves.items())
                self._log(run, None, Step("", f"relabel {step}", changed=changed))

    def rename_label(self, old: str, new: str) -> None:
        """Rename a label, also in all annotations that have it.

        Raises:
            LabelError: no such label, or the new name is taken or cannot be used.
            StoreError: it cannot be written; nothing was changed.
        """
        with self._transaction() as run:
            labels = self.labels
            others = labels.rename(old, new)
            name = others[labels.names.index(old)].name
            changed = self._label_counts(run).get(old, 0)
            self._relabel(run, {old: name})
            self._write_labels(run, others)
            self._log(run, None, Step("", f"rename {old} to {name}", changed=changed))

    # How it is done.

    def _write_labels_of(self, run: Run, changed: list[Annotation], new: LabelSet | None) -> None:
        present = self.labels if self.has_labels else None
        wanted = present if new is None else new
        used = dict.fromkeys(item.label for item in changed)
        if new is not None:
            used = dict.fromkeys([*used, *self._label_counts(run)])
        missing = [name for name in used if wanted is None or name not in wanted.names]
        if wanted is None:
            if missing:
                self._write_labels(run, LabelSet.of(missing))
            return
        if present is not None:
            wanted = store_values.joined(wanted, (one for one in present if one.name in missing))
        for name in missing:
            wanted = wanted if name in wanted.names else wanted.add(name)
        if wanted != present:
            self._write_labels(run, wanted)

    def _check_values(
        self,
        run: Run,
        used: Iterable[str],
        old: LabelSet,
        new: LabelSet,
        moves: Mapping[str, str],
    ) -> None:
        """Refuse labels that cannot hold what is said of annotations; reads only those in doubt."""
        doubtful = [
            name
            for name in used
            if name in old.names
            and (has := old.attributes_of(name))
            and has != new.attributes_of(moves.get(name, name))
        ]
        if set(old.relations) - set(new.relations):
            doubtful = [name for name in used if name in old.names]
        for name in doubtful:
            rows = run("SELECT id, label, data FROM annotations WHERE label = ?", (name,))
            items = [self._decoded(store_values.annotation_of, *row) for row in rows.fetchall()]
            renamed(items, old, new, {one: to for one, to in moves.items() if one in old.names})

    def _relabel(self, run: Run, moves: Mapping[str, str]) -> None:
        """Give annotations other labels by old ones, all at once: two may change places."""
        marks = ", ".join("?" for _ in moves)
        run(
            "UPDATE images SET revision = revision + 1 WHERE number IN "
            f"(SELECT image FROM annotations WHERE label IN ({marks}))",
            tuple(moves),
        )
        cases = " ".join("WHEN ? THEN ?" for _ in moves)
        run(
            f"UPDATE annotations SET label = CASE label {cases} END WHERE label IN ({marks})",
            (*(text for pair in moves.items() for text in pair), *moves),
        )

    def _write_labels(self, run: Run, labels: LabelSet) -> None:
        text = store_values.labels_text(labels)
        run("INSERT OR REPLACE INTO settings (name, value) VALUES ('labels', ?)", (text,))

    def _label_counts(self, run: Run) -> dict[str, int]:
        return dict(run("SELECT label, COUNT(*) FROM annotations GROUP BY label").fetchall())
