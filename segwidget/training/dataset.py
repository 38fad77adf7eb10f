"""Images with masks to fine-tune on: from a COCO file, a project, or whatever is at hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.formats.shards import ShardMask
from segwidget.annotation.proposed import confirmed
from segwidget.errors import AnnotationError, FormatError, SettingError
from segwidget.evaluation.data import read_coco
from segwidget.evaluation.protocol import lot
from segwidget.inference.rle import Rle
from segwidget.media.image import Image, ImageSource, open_image

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject


class Record(NamedTuple):
    """One image as :meth:`FineTuneDataset.from_records` takes it.

    Attributes:
        image: whatever :func:`segwidget.open_image` opens.
        masks: each ``(H, W)`` bool, or its run lengths.
        name: of the image; no two have the same. By default its number.
    """

    image: ImageSource
    masks: Iterable[NDArray[Any] | Rle]
    name: str = ""


@dataclass(frozen=True, eq=False)
class TrainingImage:
    """An image and its masks; it is opened when its pixels are asked for.

    Attributes:
        name: no other image of the data set has it.
        masks: at least one, none of them empty.
        opener: opens the image.
    """

    name: str
    masks: tuple[ShardMask, ...]
    opener: Callable[[], Image]

    def open(self) -> Image:
        """The image.

        Raises:
            ImageError: it cannot be opened.
            AnnotationError: its size is not that of its masks.
        """
        image = self.opener()
        size = (image.height, image.width)
        if self.masks[0].rle.size != size:
            raise AnnotationError(
                f"The masks of {self.name!r} are {self.masks[0].rle.size}, but the image is "
                f"{size}; both are (height, width). Pass the image that the masks belong to."
            )
        return image

    @property
    def image(self) -> NDArray[np.uint8]:
        """RGB, ``(H, W, 3)`` uint8; see :meth:`open`."""
        return self.open().pixels


class FineTuneDataset:
    """Images with masks, from which prompts are drawn while a model is fine-tuned.

        dataset = FineTuneDataset.from_coco("cells.coco.json", images="cells/")
        train, held_out = dataset.split(0.2)

    ``len()`` is the number of masks.

    Args:
        images: with masks; see the ``from_…`` methods, which make them.

    Raises:
        SettingError: no image, or two of the same name.
        AnnotationError: an image has no mask, an empty one, or masks of different sizes.
    """

    def __init__(self, images: Iterable[TrainingImage]) -> None:
        self.images = tuple(images)
        if not self.images:
            raise SettingError(
                "The data set has no image with a mask; expected at least one. Label some first."
            )
        seen: set[str] = set()
        for image in self.images:
            if image.name in seen:
                raise SettingError(
                    f"Two images of the data set are named {image.name!r}; expected each name "
                    "once, since the division into parts goes by name. Rename one."
                )
            seen.add(image.name)
            _check(image)

    @classmethod
    def from_records(
        cls, records: Iterable[Record | tuple[ImageSource, Iterable[Any]]]
    ) -> FineTuneDataset:
        """Images and masks that are at hand.

        Args:
            records: one :class:`Record` an image, or ``(image, masks)``.

        Raises:
            ImageError: an image cannot be opened.
            AnnotationError: a mask that is none, is empty, or is not of its image's size.
            SettingError: no record, two of the same name, or something else.
        """
        images = []
        for number, record in enumerate(records):
            try:
                one = Record(*record)
                masks = tuple(one.masks)
            except TypeError as error:
                raise SettingError(
                    f"Record {number} is a {type(record).__name__}; expected (image, masks) or "
                    "(image, masks, name)."
                ) from error
            opened = open_image(one.image)
            encoded = (mask if isinstance(mask, Rle) else Rle.encode(mask) for mask in masks)
            made = TrainingImage(
                one.name or str(number), tuple(map(ShardMask, encoded)), partial(_given, opened)
            )
            if made.masks:
                made.open()
            images.append(made)
        return cls(images)

    @classmethod
    def from_coco(
        cls,
        path: str | PathLike[str],
        images: str | PathLike[str] | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> FineTuneDataset:
        """The images of a COCO file that have masks; crowds are left out.

        Args:
            path: of the JSON.
            images: the folder that its ``file_name`` start from; by default it is looked for beside
                the JSON.
            tell: told of each row that was left out.

        Raises:
            StoreError: the file or an image is not there.
            FormatError: it is not COCO, or it holds no mask.
        """
        made = []
        for one in read_coco(path, images, tell):
            masks = tuple(mask for mask in one.masks if mask.rle.area)
            if masks:
                made.append(TrainingImage(one.name, masks, partial(open_image, one.path)))
        if not made:
            raise FormatError(
                f"{str(path)!r} holds no mask that is not empty; expected COCO's instances."
            )
        return cls(made)

    @classmethod
    def from_project(
        cls, project: BaseProject, labels: Iterable[str] | None = None
    ) -> FineTuneDataset:
        """What people stand for in a project: masks that they made, and all of finished images.

        Masks that were proposed or imported count where a person has edited, relabelled or accepted
        them, or where the image is done or accepted; see :func:`.proposed.confirmed`. Rejected
        images are left out, and so are those that are gone.

        Args:
            project: with annotations.
            labels: only annotations of these.

        Raises:
            SettingError: there is no such mask.
        """
        wanted = None if labels is None else {labels} if isinstance(labels, str) else set(labels)
        counts = project.store.counts()
        images = []
        for key in project.keys:
            if key not in counts or key in project.problems:  # what is gone teaches nothing
                continue
            masks = tuple(
                ShardMask(a.rle)
                for a in confirmed(project.store, key)
                if wanted is None or a.label in wanted
            )
            if masks:
                images.append(TrainingImage(key, masks, partial(project.open, key)))
        if not images:
            of = "" if wanted is None else f" labeled {', '.join(sorted(wanted))}"
            raise SettingError(
                f"The project has no confirmed mask{of}; expected at least one. Keep some masks in "
                "the app, or mark images with proposed or imported masks as done."
            )
        return cls(images)

    def split(
        self, held_out: float = 0.2, seed: int = 0
    ) -> tuple[FineTuneDataset, FineTuneDataset]:
        """Divide by image, so that no image is in both parts.

        Args:
            held_out: share of the images in the second part; either part has one at least.
            seed: of the lots, which depend on names alone.

        Raises:
            SettingError: fewer than two images, or a share that is none.
        """
        share: Any = held_out
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise SettingError(f"held_out is {held_out!r}; expected a share between 0 and 1.")
        if len(self.images) < 2:
            raise SettingError(
                "The data set has one image, which cannot be divided; expected at least two. Label "
                "another one, since masks of the same image would tell nothing new."
            )
        count = min(max(1, round(share * len(self.images))), len(self.images) - 1)
        order = sorted(self.images, key=lambda image: lot(seed, image.name))
        last = {image.name for image in order[:count]}
        return (
            FineTuneDataset(image for image in self.images if image.name not in last),
            FineTuneDataset(image for image in self.images if image.name in last),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hex, of all names and masks."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(repr((image.name, [m.rle.to_dict() for m in image.masks])).encode())
        return digest.hexdigest()

    def __len__(self) -> int:
        return sum(len(image.masks) for image in self.images)

    def __repr__(self) -> str:
        return f"<FineTuneDataset: {len(self.images)} images, {len(self)} masks>"


def _given(image: Image) -> Image:
    """An image that is open already."""
    return image


def _check(image: TrainingImage) -> None:
    masks: Sequence[ShardMask] = image.masks
    if not masks:
        raise AnnotationError(
            f"The image {image.name!r} has no mask; expected at least one. Leave it out."
        )
    for index, mask in enumerate(masks):
        if not mask.rle.area:
            raise AnnotationError(
                f"Mask {index} of {image.name!r} is empty; expected at least one pixel inside. "
                "Leave it out."
            )
        if mask.rle.size != masks[0].rle.size:
            raise AnnotationError(
                f"Mask {index} of {image.name!r} is {mask.rle.size}, but the first one is "
                f"{masks[0].rle.size}; expected masks of the image's (height, width)."
            )
