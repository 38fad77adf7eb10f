"""The automatic stage: everything mode over all images, with SA-1B's settings, into SA-1B's files.

"Segment Anything", section 4, "Fully automatic stage", and appendix B: a grid of 32 x 32 points
over the image, 16 x 16 over each of four crops of it and 8 x 8 over each of sixteen; masks that are
good and stable; non-maximum suppression within and across crops; crumbs and holes of fewer than 100
pixels removed; and no mask that covers 95 % of the image or more.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm.auto import tqdm

from segwidget.annotation.annotation import Annotations
from segwidget.annotation.automatic import everything
from segwidget.annotation.formats.registry import file_for, make_folder
from segwidget.annotation.formats.sa1b import read_sa1b, write_sa1b
from segwidget.annotation.labels import DEFAULT_NAME
from segwidget.errors import FormatError, ImageError, PromptError, SettingError, StoreError
from segwidget.inference.everything import EverythingSettings

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject
    from segwidget.inference.predictor import Predictor

#: SA-1B's settings. On a processor, fewer points and layers do; thresholds are the model's own.
SA1B = EverythingSettings(
    points_per_side=32,
    crop_n_layers=2,
    crop_n_points_downscale_factor=2,
    min_mask_region_area=100,
)
#: A mask that covers so much of the image is the image.
WHOLE = 0.95
_FOLDER = "data engine: automatic folder"


@dataclass(frozen=True)
class Done:
    """An image of which all masks were made.

    Attributes:
        checkpoint: SHA-256 of the model's weights.
        settings: a fingerprint of the settings.
        file: of its masks, within the folder.
        masks: how many there are.
        seconds: that they took.
    """

    checkpoint: str
    settings: str
    file: str
    masks: int
    seconds: float


@dataclass
class Automatic:
    """What a run of the stage has done.

    Attributes:
        folder: of the files.
        images: that were segmented in this run.
        masks: that were found in them.
        seconds: that the model took.
        earlier: images that were done before.
        skipped: why images were left out, by key.
    """

    folder: Path
    images: int = 0
    masks: int = 0
    seconds: float = 0.0
    earlier: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


def segment_all(
    project: BaseProject,
    predictor: Predictor,
    out: Path | None = None,
    *,
    limit: int | None = None,
    settings: EverythingSettings | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    progress: bool = True,
) -> Automatic:
    """Segment all there is in all images; see `DataEngine.automatic`."""
    if limit is not None and (type(limit) is not int or limit < 0):
        raise SettingError(f"limit is {limit!r}; expected a number of images, or None for all.")
    settings = SA1B if settings is None else settings
    store, checkpoint, print_ = project.store, predictor.model.sha256, fingerprint(settings)
    folder = _folder(project, out)
    make_folder(folder)
    store.set_meta(_FOLDER, str(folder))
    statuses = store.statuses()
    records = {key: read_done(project, key) for key in project.keys}
    taken = {folder / one.file for one in records.values() if one is not None}
    report = Automatic(folder)
    todo = []
    for key in project.keys:
        one = records[key]
        if statuses[key] == "rejected":
            continue
        if (
            one is not None
            and (one.checkpoint, one.settings) == (checkpoint, print_)
            and (folder / one.file).is_file()
        ):
            report.earlier += 1
        else:
            todo.append(key)
    todo = todo[:limit]
    with tqdm(
        total=len(todo), desc="automatic", unit="image", delay=1, disable=not progress
    ) as bar:
        for number, key in enumerate(todo):
            if cancelled is not None and cancelled():
                break
            one = records[key]
            try:
                masks, seconds = _segment(project, predictor, key, settings)
            except (ImageError, PromptError) as error:  # broken, or too small for so many crops
                report.skipped[key] = str(error)
            else:
                target = folder / one.file if one else file_for(folder, key, ".json", taken)
                make_folder(target.parent)
                write_sa1b(masks, target)
                file = target.relative_to(folder).as_posix()
                _write_done(project, key, Done(checkpoint, print_, file, len(masks), seconds))
                report.images += 1
                report.masks += len(masks)
                report.seconds += seconds
            bar.update()
            if on_progress is not None:
                on_progress(number + 1, len(todo))
    predictor.reset_image()
    return report


def read_done(project: BaseProject, key: str) -> Done | None:
    """What is known of an image's automatic masks; None where there are none."""
    found: Any = project.store.get_meta(_name(key))
    try:
        return Done(
            str(found["checkpoint"]),
            str(found["settings"]),
            str(found["file"]),
            int(found["masks"]),
            float(found["seconds"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def all_done(project: BaseProject) -> dict[str, Done]:
    """What is known of the automatic masks of each image that has any, by key."""
    found = ((key, read_done(project, key)) for key in project.keys)
    return {key: one for key, one in found if one is not None}


def read_masks(project: BaseProject, key: str) -> Annotations:
    """The automatic masks of an image, from its file.

    Raises:
        StoreError: it has none, or their file is gone.
        FormatError: the file is damaged.
    """
    done = read_done(project, key)
    if done is None:
        raise StoreError(f"{key!r} has no automatic masks yet. Call automatic() first.")
    folder = _folder(project, None)
    path = (folder / done.file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise FormatError(
            f"The store says that the masks of {key!r} are in {done.file!r}, outside of their "
            "folder. It was changed by something else; call automatic() into another folder."
        )
    return read_sa1b(path)


def fingerprint(settings: EverythingSettings) -> str:
    """The same for the same settings, and for no others, 16 hex digits."""
    values = {}
    for one in fields(settings):
        value = getattr(settings, one.name)
        if one.name == "point_grids" and value is not None:
            value = [np.asarray(grid).tolist() for grid in value]
        # How many points are asked at once, and in how much memory, changes no mask.
        if one.name not in ("points_per_batch", "memory_budget"):
            values[one.name] = value
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _segment(
    project: BaseProject, predictor: Predictor, key: str, settings: EverythingSettings
) -> tuple[Annotations, float]:
    image = project.open(key)
    began = time.perf_counter()
    options = {one.name: getattr(settings, one.name) for one in fields(settings)}
    found = everything(image, predictor, labels=DEFAULT_NAME, progress=False, **options)
    most = WHOLE * image.width * image.height
    info = project[key].info
    kept = Annotations((a for a in found if a.area < most), info, found.labels)
    return kept, time.perf_counter() - began


def _folder(project: BaseProject, out: Path | None) -> Path:
    """Where the files are: as told, or as before, or beside the store."""
    if out is not None:
        return out.expanduser().absolute()
    before = project.store.get_meta(_FOLDER)
    if isinstance(before, str) and before:
        return Path(before)
    store = Path(project.store.path).absolute()
    return store.with_name(f"{store.stem}-sa1b")


def _write_done(project: BaseProject, key: str, done: Done) -> None:
    values = {one.name: getattr(done, one.name) for one in fields(done)}
    project.store.set_meta(_name(key), {**values, "seconds": round(done.seconds, 3)})


def _name(key: str) -> str:
    return f"data engine: automatic masks of {key}"
