"""The app's "Improve on my masks": the model learns from them while the person goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import ipywidgets

from segwidget.errors import SegwidgetError, SettingError
from segwidget.widget import threads
from segwidget.widget.ahead import give_way
from segwidget.widget.app_parts import button, label, row

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject
    from segwidget.evaluation.comparison import Comparison
    from segwidget.inference.models import Model
    from segwidget.training.dataset import FineTuneDataset
    from segwidget.training.finetune_run import FineTuned, Progress
    from segwidget.widget.desk import Desk

    Parts: TypeAlias = tuple[FineTuneDataset, FineTuneDataset, FineTuneDataset]

FEWEST_IMAGES, FEWEST_MASKS = 4, 12
EPOCHS = 12
CLICKS = 3  # of the comparison; more would take longer than they tell
GIVE_WAY_FOR, LOOK_AGAIN = 20.0, 0.05  # seconds


class CancelledError(Exception):
    """The person has taken it back."""


class Improve:
    """A button, and what it shows meanwhile and afterwards.

    A part of the images with confirmed masks is learnt from, another one chooses the best epoch,
    and a third one says whether the new model is better. Only then is it offered. All of it runs on
    a thread that gives way to others, and waits while somebody waits for the model.

    Args:
        project: whose masks are learnt from; the tuned model's file lies beside its store.
        desk: where the model is used.
        tell: shows a message.
    """

    def __init__(self, project: BaseProject, desk: Desk, tell: Callable[[str], None]) -> None:
        self._project, self._desk, self._tell = project, desk, tell
        self._stop = threading.Event()
        self.thread: threading.Thread | None = None
        self.offered: Path | None = None
        self.comparison: Comparison | None = None
        self.button = button(
            "Improve on my masks", "magic", "Tune the model on the masks of this project"
        )
        self.bar = ipywidgets.FloatProgress(value=0, min=0, max=1)
        self.text = label("segwidget-app-quiet")
        self.cancel_button = button("Cancel", "times", "Stop; the present model stays")
        self.use_button = button("Use it", "check", "Use the improved model from now on")
        self.use_button.add_class("segwidget-app-primary")
        self.keep_button = button("Keep the present one", "undo", "Leave the model as it is")
        self.button.on_click(lambda _: self._try(self.begin))
        self.cancel_button.on_click(lambda _: self.cancel())
        self.use_button.on_click(lambda _: self._try(self.accept))
        self.keep_button.on_click(lambda _: self.decline())
        self.box = row(
            self.button,
            self.bar,
            self.text,
            self.cancel_button,
            self.use_button,
            self.keep_button,
            name="segwidget-app-improve",
        )
        self._show("ready")

    def begin(self) -> None:
        """Begin to learn, on a thread.

        Raises:
            SettingError: too few masks, the model is not loaded yet, or it is learning already.
            ModelError: the model is of another family.
        """
        if self.thread is not None and self.thread.is_alive():
            raise SettingError("The model is learning already. Wait for it, or cancel that.")
        model = self._desk.model
        if model is None:
            raise SettingError("The model is not loaded yet. Try again in a moment.")
        _ = model.sam  # raises for other families
        parts = divided(self._project)
        self._stop = stop = threading.Event()
        self.offered = self.comparison = None
        self._progress(0.0, "Looking at the images …")
        self._show("running")
        self.thread = threads.begin(lambda: self._work(model, parts, stop), "segwidget-improve")

    def cancel(self) -> None:
        """Stop soon; the present model stays."""
        self._stop.set()
        self.text.value = "Stopping …"

    def accept(self) -> None:
        """Use the model that is offered.

        Raises:
            SettingError: none is.
        """
        path = self.offered
        if path is None:
            raise SettingError("No improved model is offered. Improve on your masks first.")
        self.offered = None
        self._show("ready")
        self._desk.use(path, self._tell)

    def decline(self) -> None:
        """Keep the present model, and delete what was offered."""
        path, self.offered = self.offered, None
        if path is not None:
            from segwidget.inference.delta import card_path

            for file in (path, card_path(path)):
                file.unlink(missing_ok=True)
        self._show("ready")

    def close(self) -> None:
        """Stop soon; does not wait."""
        self._stop.set()

    def _work(self, model: Model, parts: Parts, stop: threading.Event) -> None:
        give_way()
        try:
            tuned, found = self._improved(model, parts, stop)
            self.comparison = found
            if tuned is None or found is None:
                self._tell("No epoch was better than the present model, which stays.")
            elif not found.better:
                self._tell(f"The present model stays: {told(found)}, which may be chance.")
            else:
                self.offered = self._saved(tuned)
                self.text.value = f"Better on held-out images: {told(found)}"
        except CancelledError:
            pass
        except SegwidgetError as error:
            self._tell(str(error))
        except Exception as error:  # a thread that ends would not be missed
            self._tell(f"Improving has failed: {error}")
        finally:
            self._show("ready" if self.offered is None else "offer")

    def _improved(
        self, model: Model, parts: Parts, stop: threading.Event
    ) -> tuple[FineTuned | None, Comparison | None]:
        from segwidget.evaluation.comparison import compare
        from segwidget.training.finetune import finetune

        learn, choose, judge = parts

        def on_progress(progress: Progress) -> None:
            share = progress.done / max(progress.total, 1)
            if progress.stage == "embedding":
                self._progress(0.1 * share, f"Image {progress.done} of {progress.total}")
            elif progress.stage == "training":
                self._progress(0.1 + 0.7 * share, _curve(progress))
            self._wait(stop)

        def on_comparison(done: int, total: int) -> None:
            self._progress(0.8 + 0.2 * done / total, "Comparing on held-out images")
            self._wait(stop)
            if stop.is_set():
                raise CancelledError

        tuned = finetune(
            model,
            learn,
            held_out=choose,
            epochs=EPOCHS,
            patience=3,
            stop=stop,
            on_progress=on_progress,
            progress=False,
        )
        if stop.is_set():
            raise CancelledError
        if not tuned.improved:
            return None, None
        found = compare(
            model, tuned, judge, most_clicks=CLICKS, on_progress=on_comparison, progress=False
        )
        return tuned, found

    def _wait(self, stop: threading.Event) -> None:
        """Let the person's own request go first."""
        rounds = int(GIVE_WAY_FOR / LOOK_AGAIN)
        while rounds and not stop.is_set() and self._desk.busy:
            stop.wait(LOOK_AGAIN)
            rounds -= 1
        if threads.ending():
            stop.set()

    def _saved(self, tuned: FineTuned) -> Path:
        from segwidget.inference.delta import save_delta

        store, number = Path(self._project.store.path).absolute(), 1
        while (path := store.with_name(f"{store.stem}-tuned-{number}.delta.safetensors")).exists():
            number += 1
        return save_delta(tuned, path)

    def _progress(self, share: float, text: str) -> None:
        if not self._stop.is_set():
            self.bar.value, self.text.value = share, text

    def _show(self, state: str) -> None:
        """Show what belongs to a state: "ready", "running" or "offer"."""
        shown: dict[Any, tuple[str, ...]] = {
            self.button: ("ready",),
            self.bar: ("running",),
            self.text: ("running", "offer"),
            self.cancel_button: ("running",),
            self.use_button: ("offer",),
            self.keep_button: ("offer",),
        }
        for widget, states in shown.items():
            widget.layout.display = "" if state in states else "none"

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except SegwidgetError as error:
            self._tell(str(error))


def divided(project: BaseProject) -> Parts:
    """The confirmed masks, by image: to learn from, to choose the best epoch by, to judge by.

    Raises:
        SettingError: there are too few.
    """
    from segwidget.training.dataset import FineTuneDataset

    try:
        dataset = FineTuneDataset.from_project(project)
        images, masks = len(dataset.images), len(dataset)
    except SettingError:
        images = masks = 0
    if images < FEWEST_IMAGES or masks < FEWEST_MASKS:
        raise SettingError(
            f"Improving needs at least {FEWEST_MASKS} masks on {FEWEST_IMAGES} images, and there "
            f"{'is' if masks == 1 else 'are'} {masks} on {images}. Label some more first."
        )
    rest, judge = dataset.split(0.25)
    learn, choose = rest.split(0.2)
    return learn, choose, judge


def told(comparison: Comparison) -> str:
    """A comparison in a few words."""
    before, after = comparison.mean_before, comparison.mean_after
    return "IoU " + ", ".join(f"{how} {before[how]:.2f} → {after[how]:.2f}" for how in after)


def _curve(progress: Progress) -> str:
    ious = [epoch.held_out_iou for epoch in progress.history]
    gained = f", IoU {ious[0]:.3f} → {max(ious):.3f}" if len(ious) > 1 else ""
    return f"Epoch {len(ious)} of at most {EPOCHS}{gained}"
