"""What everything mode has found: by id, and without what is kept already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.automatic import to_annotation
from segwidget.errors import AnnotationError
from segwidget.inference.everything import Proposal
from segwidget.inference.everything.filters import mask_ious
from segwidget.inference.models import Model

# A proposal whose mask has at least this IoU with a kept one is the same thing again.
DUPLICATE = 0.8

# What proposals may add to a saved notebook, which has at most 2 MB for each cell.
PROPOSALS_BYTES = 400_000
_ITEM_BYTES = 230  # of what stands beside the run lengths


def proposal_id(proposal: Proposal) -> str:
    """A proposal's id, which follows from its mask: the same in every report, and in every run."""
    text = f"{proposal.size} {proposal.counts}"
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:24]


class Findings:
    """The proposals of one run, and those that were asked for by boxes since.

    Attributes:
        proposals: the newest report, best first, and behind it what was added.
    """

    def __init__(self) -> None:
        self.proposals: tuple[Proposal, ...] = ()
        self._added: tuple[Proposal, ...] = ()
        self._models: dict[str, Model | None] = {}  # by the id of what each has proposed
        self._ids: tuple[str, ...] = ()
        self._reported: Sequence[Proposal] = ()
        # Also those that have given way to better ones since: somebody may just be keeping them.
        self._by_id: dict[str, Proposal] = {}
        # By a kept mask: the ids of the proposals that are compared with it, and of those alike.
        self._compared: dict[str, tuple[set[str], set[str]]] = {}

    def report(self, proposals: Sequence[Proposal], model: Model | None) -> None:
        """Take a newer report over."""
        if proposals is self._reported:
            return
        self._reported = proposals
        self._hold((*proposals, *self._added), model)

    def add(self, proposals: Sequence[Proposal], model: Model | None) -> int:
        """Take over proposals that no report is about; how many of them are new."""
        known = set(self._ids)
        new = {proposal_id(proposal): proposal for proposal in proposals}
        fresh = tuple(proposal for id_, proposal in new.items() if id_ not in known)
        self._added += fresh
        self._hold((*self._reported, *self._added), model)
        return len(fresh)

    def _hold(self, proposals: Sequence[Proposal], model: Model | None) -> None:
        by_id = {proposal_id(proposal): proposal for proposal in proposals}
        self._ids, self.proposals = tuple(by_id), tuple(by_id.values())
        for id_ in by_id.keys() - self._by_id.keys():
            self._models[id_] = model
        self._by_id.update(by_id)

    def taken(self, kept: Sequence[Annotation]) -> tuple[str, ...]:
        """The ids of the proposals that duplicate something kept, in order."""
        alike: set[str] = set()
        for annotation in self._comparable(kept):
            alike |= self._compared[annotation.rle.counts][1]
        return tuple(id_ for id_ in self._ids if id_ in alike)

    def without(self, taken: Iterable[str]) -> tuple[Proposal, ...]:
        """The proposals of the newest report but those."""
        gone = set(taken)
        pairs = zip(self._ids, self.proposals, strict=True)
        return tuple(proposal for id_, proposal in pairs if id_ not in gone)

    def annotate(self, id_: str, label: str, image: str, own_id: str | None = None) -> Annotation:
        """A proposal as an annotation.

        Args:
            id_: of the proposal.
            label: what it shows.
            image: SHA-256 of the image's pixels.
            own_id: of the annotation; by default a new one.

        Raises:
            AnnotationError: an unknown id.
            LabelError: a label that cannot be used.
        """
        if id_ not in self._by_id:
            raise AnnotationError(
                f"There is no proposal with the id {id_[:40]!r}. It may have been cleared; look "
                "for everything again."
            )
        model = self._models[id_]
        name, sha256 = ("", "") if model is None else (model.name, model.sha256)
        proposal = self._by_id[id_]
        made = to_annotation(proposal, label=label, model=name, checkpoint=sha256, image=image)
        return made if own_id is None else replace(made, id=own_id)

    def _comparable(self, kept: Sequence[Annotation]) -> list[Annotation]:
        """The kept masks of the proposals' size, after all of them have been compared."""
        if not self.proposals:
            return []
        size = self.proposals[0].size
        same = [annotation for annotation in kept if annotation.rle.size == size]
        ids = set(self._ids)
        new = [a for a in same if not ids <= self._compared.get(a.rle.counts, (set(), set()))[0]]
        if new:
            mine = [(proposal.size, proposal.counts) for proposal in self.proposals]
            ious = mask_ious(mine, [(size, a.rle.counts) for a in new])
            for annotation, column in zip(new, ious.T, strict=True):
                alike = {self._ids[i] for i in np.flatnonzero(column >= DUPLICATE)}
                self._compared[annotation.rle.counts] = ids, alike
        return same


def proposals_to_json(proposals: Sequence[Proposal]) -> list[dict[str, Any]]:
    """What the page needs of each proposal; of too many, the best that fit.

    Args:
        proposals: the best first.
    """
    return [
        {
            "id": proposal_id(p),
            "rle": {"size": list(p.size), "counts": p.counts},
            "box": [float(edge) for edge in p.box],
            "area": int(p.area),
            "predicted_iou": _score(p.predicted_iou),
            "stability_score": _score(p.stability_score),
            "point": [round(float(v), 2) for v in p.point],
        }
        for p in sent(proposals)
    ]


def sent(proposals: Sequence[Proposal]) -> list[Proposal]:
    """The proposals that fit into a saved notebook: the best, in their order."""
    best = sorted(range(len(proposals)), key=lambda i: -_score(proposals[i].predicted_iou))
    room, fitting = PROPOSALS_BYTES, set()
    for i in best:
        room -= len(proposals[i].counts) + _ITEM_BYTES
        if room < 0:
            break
        fitting.add(i)
    return [proposal for i, proposal in enumerate(proposals) if i in fitting]


def _score(value: float) -> float:
    """A score that JSON has a word for, and people too: regression may overshoot 1."""
    return round(min(max(float(value), 0.0), 1.0), 4) if value == value else 0.0
