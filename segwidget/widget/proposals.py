"""Everything mode in a widget: proposals that appear as they are found, to be kept by a click."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import traitlets

from segwidget.annotation import checks
from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.errors import AnnotationError, ClosedError, PromptError
from segwidget.inference.everything import EverythingSettings, Proposal
from segwidget.inference.models import Model
from segwidget.widget import protocol
from segwidget.widget.answerer import Answer
from segwidget.widget.binding import SessionWidget, Start
from segwidget.widget.findings import Findings, proposal_id, proposals_to_json, sent
from segwidget.widget.proposer import Run

# What a page may choose, and how much at most: it must not keep a kernel busy for hours.
PAGE_SETTINGS: Mapping[str, float] = {
    "points_per_side": 128,
    "pred_iou_thresh": 1,
    "stability_score_thresh": 1,
    "box_nms_thresh": 1,
    "crop_n_layers": 2,
    "crop_n_points_downscale_factor": 8,
    "min_mask_region_area": 1_000_000,
}


class ProposalsWidget(SessionWidget):
    """A widget that proposes masks for everything in the image.

    What a run has found is no step of the work, and undo does not touch it. Keeping a proposal is
    a step; what duplicates a kept mask is no longer proposed, for as long as that is kept.

    Args:
        start: see :class:`Start`.
    """

    proposals = traitlets.Tuple(
        read_only=True, help="What is proposed and not kept yet, a tuple of Proposal, best first."
    )

    found = traitlets.Tuple(
        read_only=True, help="All that the last run has found, a tuple of Proposal, best first."
    ).tag(sync=True, echo_update=False, to_json=lambda value, _widget: proposals_to_json(value))

    taken = traitlets.Tuple(
        read_only=True, help="The ids of those that duplicate something kept."
    ).tag(sync=True, echo_update=False)

    everything_run = traitlets.Dict(
        read_only=True, help="How far the present or last run of everything mode is."
    ).tag(sync=True)

    everything_settings = traitlets.Instance(
        EverythingSettings,
        args=(),
        help="How everything mode looks, unless it is told otherwise; what the page's button does.",
    )

    def __init__(self, start: Start) -> None:
        self._findings = Findings()
        self._run: Run | None = None  # under way
        self.set_trait("everything_run", _run_state("idle"))
        super().__init__(start)

    # What a page and Python ask.

    def everything(self, **settings: Any) -> Annotations:
        """Propose masks for everything in the image, and wait for them.

        They appear in the cell as they are found. An interrupt stops it; what is found stays.

        Args:
            **settings: of :class:`EverythingSettings`, where they are to be other than those of
                ``everything_settings``.

        Returns:
            What is proposed, best first, under the current label. Nothing is kept yet:
            :meth:`keep_proposals` takes any of them.

        Raises:
            PromptError: an unknown or impossible setting.
            SegwidgetError: the model cannot be loaded, or memory does not suffice.
        """
        checked = self._settings(settings)
        with self._lock:
            self._require_open()
            run = self._begin_run(checked)
            findings = self._findings
        try:
            run.perform()
        except BaseException as e:  # also an interrupt
            self._end_run(run, "failed" if isinstance(e, Exception) else "cancelled")
            raise
        with self._lock:
            state = "cancelled" if run.is_cancelled else "done"
            self._end_run(run, state)
            if findings is self._findings and not self._closed:
                self._show_run(run, state)  # where it was stopped, with what came last
            return self._annotations_of(run)

    def start_everything(self, settings: Mapping[str, Any] | None = None) -> None:
        """Propose masks for everything, without waiting for them; clicks are answered meanwhile.

        While a run is under way, nothing is done.

        Args:
            settings: as in :meth:`everything`, of those that a page may choose, within reason.

        Raises:
            PromptError: an unknown or impossible setting.
        """
        checked = self._settings(settings or {}, PAGE_SETTINGS)
        with self._lock:
            self._require_open()
            if self._run is None:
                run = self._begin_run(checked)
                run.start(lambda error: self._on_run_end(run, error))

    def cancel_everything(self) -> None:
        """Stop the run that is under way, if there is one; what is found stays."""
        with self._lock:
            if self._run is not None:
                self._run.cancel()
                self._end_run(self._run, "cancelled")

    def keep_proposals(
        self, chosen: Iterable[str | Proposal | Annotation], label: str | None = None
    ) -> list[Annotation]:
        """Keep proposals under a label, by default the current one, as one step; the draft stays.

        Args:
            chosen: proposals, what :meth:`everything` has returned of them, or their ids. What is
                kept already, or something like it, is left out.
            label: the name of a label.

        Returns:
            What was kept.

        Raises:
            AnnotationError: there is no such proposal.
            LabelError: no such label.
        """
        ids = dict.fromkeys(_id_of(one) for one in checks.listed("list", chosen))
        with self._lock:
            self._require_open()
            name = self._session.label if label is None else label
            taken = set(self._findings.taken(self._session.annotations))
            kept = [
                self._findings.annotate(id_, name, self.image.sha256)
                for id_ in ids
                if id_ not in taken
            ]
            self._change(lambda: self._session.keep_all(kept, sparing=self.protect))
            ids_kept = {annotation.id for annotation in kept}
            return [a for a in self._session.annotations if a.id in ids_kept]

    def clear_proposals(self) -> None:
        """Drop all proposals, and stop the run that is under way; what was kept stays."""
        with self._lock:
            self._require_open()
            if self._run is not None:
                self._run.cancel()
                self._run = None
            self._findings = Findings()
            self._show_findings(_run_state("idle"))

    # A run, from its beginning to its end.

    def _settings(
        self, given: Mapping[str, Any], limits: Mapping[str, float] | None = None
    ) -> EverythingSettings:
        names = EverythingSettings.__dataclass_fields__ if limits is None else limits
        for name in given:
            if name not in names:
                raise PromptError(
                    f"Everything mode has no setting {str(name)[:40]!r}; expected some of "
                    f"{', '.join(names)}."
                )
        settings = replace(self.everything_settings, **given)
        for name, most in (limits or {}).items():
            value = getattr(settings, name)
            if name in given and value is not None and value > most:
                raise PromptError(f"{name} is {value}; a page may ask for {most} at most.")
        return settings

    def _begin_run(self, settings: EverythingSettings) -> Run:
        """A new run in place of any other."""
        if self._run is not None:
            self._run.cancel()

        def on_update() -> None:
            with self._lock:
                if run is self._run and not self._closed:
                    self._show_run(run, "running")

        run = self._run = Run(self.image, settings, self._loaded_model, on_update)
        self._findings = Findings()
        self._show_findings(_run_state("running"))
        return run

    def _loaded_model(self) -> Model:
        """The present model, loaded; another one, where that takes its place meanwhile."""
        while True:
            answerer = self._answerer
            try:
                return answerer.loaded_model()
            except ClosedError:
                if self._closed or answerer is self._answerer:
                    raise

    def _on_run_end(self, run: Run, error: Exception | None) -> None:
        with self._lock:
            if run is not self._run or self._closed:
                return
            self._end_run(run, "done" if error is None else "failed")
            if error is not None:
                self._report(error)

    def _end_run(self, run: Run, state: str) -> None:
        with self._lock:
            if run is not self._run or self._closed:
                return
            self._run = None
            self._show_run(run, state)
            found = len(run.found)
            if state == "done" and found == 0:
                self._inform(
                    "nothing_found",
                    "Nothing was found that the model is sure enough of. Click what you look for, "
                    "or lower the thresholds: seg.everything(pred_iou_thresh=0.5).",
                )
            elif (shown := len(sent(run.found))) < found:
                self._inform(
                    "too_many_found",
                    f"Of {found} masks the best {shown} are shown, so that the notebook stays "
                    "small. All of them are in seg.proposals.",
                )

    def _show_run(self, run: Run, state: str) -> None:
        self._findings.report(run.found, run.model)
        done, total = run.progress.done, run.progress.total
        self._show_findings(_run_state(state, done, total, len(self._findings.proposals)))

    def _show_findings(self, run_state: dict[str, Any]) -> None:
        with self.hold_sync():
            self._assign("everything_run", run_state)
            self._assign_proposals()

    def _assign_proposals(self) -> None:
        """What is proposed follows from what was found and what is kept."""
        taken = self._findings.taken(self._session.annotations)
        self._assign("found", self._findings.proposals)
        self._assign("taken", taken)
        self._assign("proposals", self._findings.without(taken))

    def _publish(self, request: str | None = None, answer: Answer | None = None) -> None:
        with self._lock, self.hold_sync():
            super()._publish(request, answer)
            self._assign_proposals()

    def _annotations_of(self, run: Run) -> Annotations:
        """What a run has found and is not kept, as annotations that can be kept by their ids."""
        found = Findings()
        found.report(run.found, run.model)
        image, label = self.image, self._session.label
        ids = map(proposal_id, found.without(found.taken(self._session.annotations)))
        items = [found.annotate(id_, label, image.sha256, id_) for id_ in ids]
        return Annotations(items, ImageInfo.of(image), self._session.labels)

    def _inform(self, code: str, message: str) -> None:
        self._assign("notice", protocol.info_to_json(code, message))

    # Waiting, going on and closing.

    def _wait_for_run(self, timeout: float | None) -> bool:
        with self._lock:
            run = self._run
        return run is None or run.wait(timeout)

    def _go_on_with_proposals(self, old: ProposalsWidget) -> None:
        """Show what another one, which has ended, has found in the same image."""
        self._findings = old._findings
        state = old.everything_run
        if state["state"] == "running":
            state = {**state, "state": "cancelled"}
        self._show_findings(state)

    def _end_run_for_good(self) -> None:
        if self._run is not None:
            self._run.cancel()
            self._run = None


def _run_state(state: str, done: int = 0, total: int = 0, found: int = 0) -> dict[str, Any]:
    """The value of the ``everything_run`` trait.

    Args:
        state: ``"idle"``, ``"running"``, ``"done"``, ``"cancelled"`` or ``"failed"``.
        done: points that are answered.
        total: points in all, 0 where that is not known yet.
        found: proposals so far.
    """
    return {"state": state, "done": done, "total": total, "found": found}


def _id_of(chosen: str | Proposal | Annotation) -> str:
    if isinstance(chosen, Proposal):
        return proposal_id(chosen)
    id_ = chosen.id if isinstance(chosen, Annotation) else chosen
    if not isinstance(id_, str):
        raise AnnotationError(
            f"A proposal is given as {type(id_).__name__}; expected its id, or one of "
            "seg.proposals."
        )
    return id_
