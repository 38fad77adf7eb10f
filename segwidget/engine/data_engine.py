"""The data engine: three stages over a project, and a model that learns between them.

"Segment Anything", section 4. Each stage may be stopped or killed at any moment, and goes on where
it was; all it knows lies in the project's store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwidget.engine import adopt, automatic, sample, semi
from segwidget.engine.records import Quality, quality
from segwidget.engine.stages import stage_report
from segwidget.errors import SettingError, StoreError
from segwidget.inference.predictor import Predictor

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from segwidget.annotation.project import BaseProject
    from segwidget.inference.everything import EverythingSettings
    from segwidget.inference.network import Precision
    from segwidget.training.finetune_run import Part


class DataEngine:
    """From a few masks by hand to a data set.

        engine = DataEngine(project)
        engine.assisted()                  # click in the cell; each mask's time is measured
        engine.improve()                   # learn from them; adopted only where better
        engine.propose()                   # confident masks are filled in
        engine.assisted()                  # correct, and add what is missing
        engine.automatic()                 # all that there is, into SA-1B's files
        engine.review(); engine.quality()  # a random sample is corrected, and compared
        engine.report()

    Args:
        project: images and their store.
        model: that it begins with, see `Predictor`. Where a better one was adopted in place of this
            very one, that is used.
        device: see `Predictor`.
        precision: likewise.
        forget: begin with `model` again, whatever was adopted.

    Raises:
        ModelError: no such model.
        CheckpointError: the adopted model's file is gone.
    """

    def __init__(
        self,
        project: BaseProject,
        model: str | Path = "embedded",
        *,
        device: str | None = None,
        precision: Precision = "float32",
        forget: bool = False,
    ) -> None:
        from segwidget.inference.registry import find_checkpoint

        self.project, self._base = project, str(find_checkpoint(model)[1].name)
        self._given, self._device, self._precision = model, device, precision
        self._predictor: Predictor | None = None
        self._memory = semi.Memory()
        self._sample: BaseProject | None = None
        if forget:
            adopt.forget_adopted(project)
        self._adopted = adopt.adopted_model(project, self._base)

    # The model.

    @property
    def model(self) -> str | Path:
        """The model that is used now: as given, or the file of the one that was adopted."""
        return self._given if self._adopted is None else self._adopted

    @property
    def predictor(self) -> Predictor:
        """The present model; loaded when it is first asked for.

        Raises:
            ModelError, CheckpointError: it cannot be loaded.
        """
        if self._predictor is None:
            self._predictor = self._load(self.model)
        return self._predictor

    def improve(
        self,
        part: Part = "decoder",
        *,
        held_out: float = 0.2,
        seed: int = 0,
        labels: Iterable[str] | None = None,
        **options: Any,
    ) -> adopt.Improvement:
        """Learn from the masks that people stand for, and use the new model where it is better.

        The model that the engine began with is fine-tuned on all confirmed masks so far, and
        compared with the present one on images that were held out. It is adopted only where the
        lower end of the comparison's interval is above 0; then it is saved beside the store, and
        all later stages use it.

        Args:
            part: "decoder", "prompt+decoder" or "all".
            held_out: share of the images that is compared on; likewise of the rest, by which
                training is stopped.
            seed: of the division and the training.
            labels: learn from masks of these labels only.
            **options: see `segwidget.training.finetune.finetune`, such as `epochs`. After a kill,
                the same call goes on with the training.

        Returns:
            Whether it was adopted, and why; too few images are a reason, too.

        Raises:
            SettingError: numbers that cannot be.
            ModelError: a model that cannot be trained.
            CheckpointError: the model that it began with is a file of one's own, which has to lie
                beside the store.
            StoreError: the new model cannot be written; the old one stays.
        """
        present = self.predictor
        base = present if self._adopted is None else self._load(self._given)
        done = adopt.improve(
            self.project, base, present, self._base,
            part=part, held_out=held_out, seed=seed, labels=labels, **options,
        )  # fmt: skip
        if done.adopted:
            self._adopted, self._predictor = done.path, None
        return done

    @property
    def improvements(self) -> pd.DataFrame:
        """All attempts to improve the model; columns: at, adopted, reason, images, held_out, masks,
        file, before (the checkpoint that was to be surpassed).
        """
        import pandas as pd

        columns = ["at", "adopted", "reason", "images", "held_out", "masks", "file", "before"]
        return pd.DataFrame(adopt.history(self.project), columns=columns)

    # Stages.

    def assisted(self, **options: Any) -> Any:
        """The app to work in, with the present model; images by expected gain, where it is known.

        Args:
            **options: see `segwidget.widget.app.App`.

        Raises:
            SettingError: the project has no app: it is a `BaseProject`.
        """
        return self._app(self.project, order=self.order, **options)

    def propose(
        self,
        limit: int | None = None,
        *,
        predicted_iou: float | None = None,
        stability: float | None = None,
        similarity: float | None = None,
        label: str | None = None,
        settings: EverythingSettings | None = None,
        again: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        progress: bool = True,
    ) -> semi.Proposed:
        """Fill in confident masks of the images that nobody has finished, with origin "proposed".

        As long as nobody stands for any mask, predicted IoU and stability decide. After that, a
        mask gets the label of the confirmed ones that it is most similar to, and is left out where
        it is similar to none, or most to those that were taken off. Masks that are there stay, and
        none that was taken off comes again. Proposals of an earlier model that nobody has touched
        give way to the present one's.

        Args:
            limit: images in this call; those that were done before do not count.
            predicted_iou: masks must reach it; by default what fits the model.
            stability: likewise.
            similarity: likewise, to a label's nearest confirmed masks, the cosine, -1 to 1; by
                default measured for each label. See `segwidget.engine.similarity`.
            label: of masks, as long as there is nothing to compare with; by default the first.
            settings: of everything mode; by default `segwidget.engine.semi.PROPOSING`.
            again: also images that this model has dealt with: labels may be known by now.
            on_progress: told how many images of how many are done.
            cancelled: asked before each image; once true, what is done stays.
            progress: show a bar where it takes longer than a second.

        Returns:
            What was filled in. `order` then has the images by expected gain.

        Raises:
            SettingError: a number out of range, or an unknown label.
            StoreError: the store cannot be written; images that are done stay done.
        """
        return semi.propose(
            self.project,
            self.predictor,
            self._memory,
            limit=limit,
            confidence=semi.Confidence(predicted_iou, stability, similarity),
            settings=settings,
            label=label,
            again=again,
            on_progress=on_progress,
            cancelled=cancelled,
            progress=progress,
        )

    @property
    def order(self) -> tuple[str, ...]:
        """Keys of the unfinished images, the highest expected gain of a person's look first.

        See `segwidget.engine.semi` for what the gain is. Images without proposals are at the end.
        """
        return semi.by_gain(self.project)

    def automatic(
        self,
        out: str | PathLike[str] | None = None,
        limit: int | None = None,
        *,
        settings: EverythingSettings | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        progress: bool = True,
    ) -> automatic.Automatic:
        """Segment all there is in all images, and write an SA-1B file for each.

        Images that are done, with this model and these settings, are not done again; rejected ones
        are left out. The project's own annotations are not touched.

        Args:
            out: the folder; by default that of the last call, or one beside the store.
            limit: images in this call; those that were done before do not count.
            settings: by default `segwidget.engine.automatic.SA1B`, 3,072 points an image.
            on_progress: told how many images of how many are done.
            cancelled: asked before each image; once true, what is done stays.
            progress: show a bar where it takes longer than a second.

        Raises:
            SettingError: an impossible limit.
            StoreError: the folder or the store cannot be written; images that are done stay done.
        """
        return automatic.segment_all(
            self.project,
            self.predictor,
            None if out is None else Path(out),
            limit=limit,
            settings=settings,
            on_progress=on_progress,
            cancelled=cancelled,
            progress=progress,
        )

    def sample(self, n: int = 5, seed: int = 0, *, masks_per_image: int | None = None) -> Any:
        """Draw images at random, whose automatic masks a person corrects.

        Args:
            n: images; all, where fewer have automatic masks.
            seed: the same images for the same seed.
            masks_per_image: draw so many masks of each, at most; None takes all.

        Returns:
            A project of its own, of the same class, with a store beside the project's; found again
            when it is drawn again. `review()` opens it in the app.

        Raises:
            SettingError: numbers that cannot be.
            StoreError: there are no automatic masks.
            FormatError: a file of automatic masks is damaged.
        """
        drawn = sample.draw_sample(self.project, n, seed, masks_per_image)
        self._close_sample()
        self._sample = drawn
        return drawn

    def review(self, **options: Any) -> Any:
        """The app over the sample, in review mode; one is drawn where there is none.

        Accept a mask, reject it, or correct it with clicks and the brush; "Done" ends an image.

        Args:
            **options: see `segwidget.widget.app.App`.

        Raises:
            SettingError: the project has no app: it is a `BaseProject`.
            StoreError: there are no automatic masks.
        """
        app = self._app(self._drawn() or self.sample(), **options)
        app.reviewing = True
        return app

    def quality(self) -> Quality:
        """How good the automatic masks are, by the corrections of the sample so far.

        Raises:
            StoreError: no sample was drawn.
        """
        drawn = self._drawn()
        if drawn is None:
            raise StoreError(
                "No sample was drawn yet. Call sample(n), correct its masks with review(), and "
                "ask again."
            )
        return quality(drawn.store, drawn.keys)

    # How far it is.

    def report(self) -> pd.DataFrame:
        """The stages in numbers, a row each.

        Columns: images and masks (that people stand for; of the automatic stage, all that were
        made), by_hand (masks that people made or corrected for some time), seconds_per_mask (of a
        person, over all masks), seconds_by_hand (over those by hand, as the paper has it),
        model_seconds (of the model, for each mask that it proposed), above_90 and above_75 (share
        of proposed masks that were kept whose IoU with what people made of them is above 0.9 and
        0.75), untouched, rejected (how many). NaN where nothing is known.
        """
        return stage_report(self.project, self._drawn())

    def plot(self) -> Figure:
        """The report as a figure: masks, seconds for each, and quality."""
        # By its name: figures stand above this room.
        draw: Callable[[pd.DataFrame], Figure] = import_module("segwidget.plotting").data_engine
        return draw(self.report())

    def close(self) -> None:
        """Close the sample and let go of the image; the project stays open."""
        self._close_sample()
        if self._predictor is not None:
            self._predictor.reset_image()

    def __enter__(self) -> DataEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name = self._base if self._adopted is None else self._adopted.name
        return f"<DataEngine over {len(self.project)} images with {name}>"

    # How it is done.

    def _load(self, model: str | Path) -> Predictor:
        return Predictor(model, self._device, precision=self._precision)

    def _app(self, project: Any, **options: Any) -> Any:
        # The room of notebooks lies above this one, so a project brings its app along.
        if not hasattr(project, "app"):
            raise SettingError(
                f"A {type(project).__name__} has no app; expected a segwidget.Project. Make the "
                "engine over one, or add masks from Python."
            )
        given = {"model": self.model, "device": self._device, "precision": self._precision}
        return project.app(**{**given, **options})

    def _drawn(self) -> Any:
        if self._sample is None:
            self._sample = sample.open_sample(self.project)
        return self._sample

    def _close_sample(self) -> None:
        if self._sample is not None:
            self._sample.close()
        self._sample = None
