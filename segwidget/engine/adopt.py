"""Between the stages: the model learns from what people stand for, and is adopted where better.

"Segment Anything", section 4: the model was trained anew on the masks so far, six times in the
first stage and five times in the second. Here the given model is fine-tuned on a part of the
confirmed images, compared with the present one on images that it has not seen, and takes its place
only where the comparison says that it is better. What is adopted is a small file beside the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segwidget.annotation import checks
from segwidget.errors import CheckpointError, SettingError
from segwidget.inference.models import DELTA_SUFFIX

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject
    from segwidget.evaluation.comparison import Comparison
    from segwidget.inference.predictor import Predictor
    from segwidget.training.dataset import TrainingImage
    from segwidget.training.finetune_run import Part

FEWEST = 4  # images: to learn from, to stop by, and to compare on
_ADOPTED = "data engine: adopted model"
_HISTORY = "data engine: improvements"


@dataclass(frozen=True)
class Improvement:
    """How an attempt to improve the model has ended.

    Attributes:
        adopted: whether the new model is used from now on.
        reason: in a sentence, why or why not.
        images: that were learnt from.
        held_out: images that were compared on.
        masks: that were learnt from.
        path: of the adopted model's file; None where the old one stays.
        comparison: of both models on the held-out images; None where there was none.
    """

    adopted: bool
    reason: str
    images: int
    held_out: int
    masks: int
    path: Path | None = None
    comparison: Comparison | None = None

    def __repr__(self) -> str:
        return f"<Improvement {'adopted' if self.adopted else 'refused'}: {self.reason}>"


def adopted_model(project: BaseProject, base: str) -> Path | None:
    """The file of the model that was adopted in place of another; None where none was.

    Args:
        project: that it was adopted in.
        base: the name of the model that the engine began with.

    Raises:
        CheckpointError: it was adopted, and its file is gone.
    """
    found: Any = project.store.get_meta(_ADOPTED)
    if not isinstance(found, dict) or found.get("base") != base:
        return None
    path = _beside(project, str(found.get("file", "")))
    if not path.is_file():
        raise CheckpointError(
            f"The adopted model {path.name!r} is not beside the store {project.store.path.name!r} "
            "any more. Put it back, or go on without it: DataEngine(project, forget=True)."
        )
    return path


def forget_adopted(project: BaseProject) -> None:
    """Go on with the model that the engine began with; the file stays."""
    project.store.set_meta(_ADOPTED, None)


def history(project: BaseProject) -> list[dict[str, Any]]:
    """All attempts to improve the model, the oldest first: at, adopted, reason, and so on."""
    found: Any = project.store.get_meta(_HISTORY, [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def improve(
    project: BaseProject,
    base: Predictor,
    present: Predictor,
    name: str,
    *,
    part: Part = "decoder",
    held_out: float = 0.2,
    seed: int = 0,
    labels: Iterable[str] | None = None,
    **options: Any,
) -> Improvement:
    """Fine-tune, compare, and adopt where better; see `DataEngine.improve`.

    Args:
        project: with confirmed masks.
        base: the model that the engine began with, which learns.
        present: the model that is used now, which is to be surpassed.
        name: of the base, under which what is adopted is found again.
        part: see `segwidget.training.finetune.finetune`.
        held_out: share of the images that is compared on; likewise of the others, by which training
            is stopped, since what was chosen by some images cannot be judged on them.
        seed: of the division, and of the training.
        labels: only masks of these.
        **options: see `finetune`.
    """
    from segwidget.evaluation.comparison import compare
    from segwidget.training.dataset import FineTuneDataset
    from segwidget.training.finetune import finetune

    share: Any = held_out
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise SettingError(f"held_out is {held_out!r}; expected a share between 0 and 1.")
    wanted = {labels} if isinstance(labels, str) else labels
    images = _confirmed_images(project, None if wanted is None else frozenset(wanted))
    if len(images) < FEWEST:
        few = f"{len(images)} image{'' if len(images) == 1 else 's'}"
        reason = (
            f"{few} with confirmed masks are too few to learn from and to compare on; expected at "
            f"least {FEWEST}. Finish more images."
        )
        return _note(project, present, Improvement(False, reason, 0, 0, 0))
    dataset = FineTuneDataset(images)
    rest, test = dataset.split(held_out, seed=seed)
    learn, stop = rest.split(held_out, seed=seed)
    # After a kill, training goes on; for other masks or another model it begins anew.
    run = _digest(base.model.sha256, part, repr(share), repr(seed), dataset.fingerprint)
    unfinished = _beside(project, f"{_stem(project)}-{run}.training.safetensors")
    options = {"resume": unfinished, **options}
    tuned = finetune(base, learn, held_out=stop, part=part, seed=seed, **options)
    comparison = compare(present, tuned.model, test, progress=options.get("progress", True))
    unfinished.unlink(missing_ok=True)
    before, after = comparison.mean_before, comparison.mean_after
    told = "; ".join(f"{how} {before[how]:.3f} → {after[how]:.3f}" for how in after)
    counts = len(learn.images), len(test.images), len(learn)
    if not comparison.better:
        reason = f"The new model is not surely better on images that it has not seen ({told})."
        return _note(project, present, Improvement(False, reason, *counts, None, comparison))
    path = _save(project, base, tuned)
    project.store.set_meta(
        _ADOPTED, {"base": name, "file": path.name, "checkpoint": tuned.model.model.sha256}
    )
    reason = f"The new model is better on images that it has not seen ({told})."
    return _note(project, present, Improvement(True, reason, *counts, path, comparison))


def _save(project: BaseProject, base: Predictor, tuned: Any) -> Path:
    """Write the new model beside the store, so that it can be loaded from there.

    Raises:
        CheckpointError: it cannot be loaded again, since its base is out of reach.
        StoreError: it cannot be written.
    """
    from segwidget.inference.delta import save_delta
    from segwidget.inference.models import load_model

    path = _beside(project, f"{_stem(project)}-{_number(project)}{DELTA_SUFFIX}")
    save_delta(tuned, path)
    try:
        load_model(path, base.model.device)
    except CheckpointError:
        path.unlink(missing_ok=True)
        raise
    return path


def _confirmed_images(project: BaseProject, labels: frozenset[str] | None) -> list[TrainingImage]:
    """Images with masks that people stand for; none is opened yet."""
    from segwidget.training.dataset import FineTuneDataset

    try:
        return list(FineTuneDataset.from_project(project, labels).images)
    except SettingError:  # there is none
        return []


def _note(project: BaseProject, present: Predictor, done: Improvement) -> Improvement:
    """Write an attempt down."""
    entry = {
        "at": checks.now(),
        "adopted": done.adopted,
        "reason": done.reason,
        "images": done.images,
        "held_out": done.held_out,
        "masks": done.masks,
        "file": "" if done.path is None else done.path.name,
        "before": present.model.sha256,
    }
    project.store.set_meta(_HISTORY, [*history(project), entry])
    return done


def _number(project: BaseProject) -> int:
    """Of the next file: one that is used by no earlier model."""
    number = 1 + len(history(project))
    while _beside(project, f"{_stem(project)}-{number}{DELTA_SUFFIX}").exists():
        number += 1
    return number


def _digest(*parts: str) -> str:
    """The same for the same training, 12 hex digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def _stem(project: BaseProject) -> str:
    return Path(project.store.path).stem


def _beside(project: BaseProject, name: str) -> Path:
    """A file beside the store; a name is never a path out of its folder."""
    store = Path(project.store.path).absolute()
    return store.with_name(Path(name).name or "missing")
