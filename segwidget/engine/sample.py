"""A random sample of automatic masks for a person to correct, as the paper's authors had one made.

"Segment Anything", section 5, "Mask quality": of randomly chosen images all automatic masks were
corrected by annotators, and each was compared with its correction. The sample is a project of its
own over the same images, in a store beside the project's, so that nobody's masks come in the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segwidget.annotation import checks
from segwidget.annotation.proposed import Record, Suggestion, read_record, record_values
from segwidget.annotation.sources import Source
from segwidget.engine.automatic import all_done, read_masks
from segwidget.errors import SettingError, StoreError

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject

_NAME = "data engine: sample"


def draw_sample(
    project: BaseProject, count: int, seed: int = 0, masks_per_image: int | None = None
) -> BaseProject:
    """Draw images with automatic masks, or open the sample that was drawn so before.

    Args:
        project: with automatic masks.
        count: of images; all, where there are fewer.
        seed: of the draw.
        masks_per_image: draw so many masks of each, at most; None takes all, as the paper did.

    Returns:
        A project of the same class over these images, with `origin="automatic"` masks.

    Raises:
        SettingError: numbers that cannot be.
        StoreError: there are no automatic masks, or the sample's store cannot be written.
        FormatError: a file of automatic masks is damaged.
    """
    for name, value, least in (
        ("n", count, 1), ("seed", seed, 0), ("masks_per_image", masks_per_image, 1),
    ):  # fmt: skip
        if (value is not None or name != "masks_per_image") and (
            type(value) is not int or value < least
        ):
            raise SettingError(f"{name} is {value!r}; expected a whole number from {least}.")
    done = {key: one for key, one in all_done(project).items() if one.masks}
    if not done:
        raise StoreError("There are no automatic masks to draw from. Call automatic() first.")
    pool = sorted(done)
    keys = [pool[i] for i in sorted(np.random.default_rng(seed).permutation(len(pool))[:count])]
    version = _version(done[key].checkpoint + done[key].settings for key in keys)
    few = "" if masks_per_image is None else f"-m{masks_per_image}"
    store = Path(project.store.path).absolute()
    path = store.with_name(f"{store.stem}-sample-n{count}-s{seed}{few}-{version}.db")
    sample = _over(project, keys, path)
    try:
        for key in keys:
            if read_record(sample.store, key) is None:
                _fill(project, sample, key, done[key].checkpoint, seed, masks_per_image)
    except BaseException:
        sample.close()
        raise
    project.store.set_meta(_NAME, {"store": path.name, "keys": keys})
    return sample


def open_sample(project: BaseProject) -> BaseProject | None:
    """The sample that was drawn last; None where there is none, or its store is gone."""
    found: Any = project.store.get_meta(_NAME)
    try:
        name, keys = Path(str(found["store"])).name, [str(key) for key in found["keys"]]
    except (KeyError, TypeError):
        return None
    path = Path(project.store.path).absolute().with_name(name)
    present = [key for key in keys if key in project]
    return _over(project, present, path) if path.is_file() and present else None


def _over(project: BaseProject, keys: list[str], path: Path) -> BaseProject:
    """A project over some of another's images."""
    source = Source(tuple(keys), lambda position: project.open(keys[position]), Path())
    return type(project)(source, project.labels, store=path, author=project.author)


def _fill(
    project: BaseProject,
    sample: BaseProject,
    key: str,
    checkpoint: str,
    seed: int,
    most: int | None,
) -> None:
    masks = list(read_masks(project, key))
    if most is not None and len(masks) > most:
        # By image, so that going on after a kill draws the same.
        random = np.random.default_rng([seed, *key.encode()])
        masks = [masks[i] for i in sorted(random.permutation(len(masks))[:most])]
    record = Record(
        checkpoint=checkpoint,
        at=checks.now(),
        masks=tuple(Suggestion(a.id, a.label, a.rle) for a in masks),
    )
    sample[key].annotations.extend(masks, "sample", meta=record_values(key, record))


def _version(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
