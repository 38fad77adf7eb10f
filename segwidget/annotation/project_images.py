"""The images of a project: listed at once, opened when they are asked for, known to a store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, overload

from segwidget.annotation import project_store
from segwidget.annotation.annotation import ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.annotation.project_image import ProjectImage
from segwidget.annotation.sources import ImagesLike, find_source
from segwidget.annotation.store import Store
from segwidget.errors import ImageError
from segwidget.media.image import Image

if TYPE_CHECKING:
    from typing_extensions import Self

STORE_NAME = "segwidget.db"
_OPENED = 2  # images that stay open: the one that is worked on and the one before


class ProjectImages(Sequence[ProjectImage]):
    """The images of a `BaseProject`, which has the arguments, attributes and errors."""

    def __init__(
        self,
        images: ImagesLike,
        labels: LabelsLike = None,
        *,
        store: str | PathLike[str] | None = None,
        column: str | None = None,
        recursive: bool = True,
        author: str = "",
        read_only: bool = False,
    ) -> None:
        self._source = find_source(images, column=column, recursive=recursive)
        self.author = author
        self._problems = dict(self._source.problems)
        self._opened: OrderedDict[str, Image] = OrderedDict()
        self._lock = threading.Lock()
        path = (self._source.folder or Path()) / STORE_NAME if store is None else Path(store)
        wanted = None if labels is None else LabelSet.of(labels)
        self.store = Store(path.expanduser(), author=author, read_only=read_only)
        try:
            left_out = project_store.add_images(self.store, self._source.keys)
            self._problems |= left_out
            if wanted is not None:
                keep_colors = not isinstance(labels, LabelSet)
                self._problems |= project_store.add_labels(self.store, wanted, keep_colors)
        except BaseException:
            self.store.close()
            raise
        places = {key: place for place, key in enumerate(self._source.keys)}
        self._places = {key: place for key, place in places.items() if key not in left_out}
        self.keys = tuple(self._places)

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int | str) -> ProjectImage: ...
    @overload
    def __getitem__(self, index: slice) -> list[ProjectImage]: ...
    def __getitem__(self, index: int | str | slice) -> ProjectImage | list[ProjectImage]:
        """An image by its position or key; several by a slice.

        Raises:
            IndexError, KeyError: no such image.
        """
        if isinstance(index, slice):
            return [ProjectImage(self, key) for key in self.keys[index]]
        if isinstance(index, str):
            if index not in self._places:
                raise KeyError(f"There is no image {index!r} in the project; see project.keys.")
            return ProjectImage(self, index)
        return ProjectImage(self, self.keys[index])

    def __iter__(self) -> Iterator[ProjectImage]:
        return (ProjectImage(self, key) for key in self.keys)

    def __contains__(self, item: object) -> bool:
        """Whether there is an image of this key, or this image."""
        if isinstance(item, ProjectImage):
            return item.project is self and item.key in self._places
        return isinstance(item, str) and item in self._places

    @property
    def read_only(self) -> bool:
        """Whether it can only be looked at; `store.remark` tells why, and what to do."""
        return self.store.read_only

    @property
    def problems(self) -> dict[str, str]:
        """Images that were left out or could not be opened so far, and why."""
        return dict(self._problems)

    def check(self) -> dict[str, str]:
        """Open every image once, which may take long; answers `problems`."""
        for key in self.keys:
            try:
                self.open(key)
            except ImageError:
                continue
        return self.problems

    def open(self, key: str) -> Image:
        """Open an image; the last few stay open.

        Raises:
            KeyError: no such image.
            ImageError: it cannot be opened, which `problems` tells from then on, or it is not the
                one that was annotated.
        """
        with self._lock:
            found = self._opened.get(key)
            if found is not None:
                self._opened.move_to_end(key)
                return found
        if key not in self._places:
            raise KeyError(f"There is no image {key!r} in the project; see project.keys.")
        try:
            image = self._source.open(self._places[key])
            named = self._source.folder is not None
            project_store.check_same(self.store, key, image, named=named)
        except ImageError as error:
            self._problems[key] = str(error)
            raise
        with self._lock:
            self._problems.pop(key, None)
            self._opened[key] = image
            while len(self._opened) > _OPENED:
                self._opened.popitem(last=False)
        return image

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _info(self, key: str) -> ImageInfo:
        """What is known of an image, which is opened where that is nothing."""
        info = self.store.info(key)
        if info is None:
            info = ImageInfo.of(self.open(key))
            self.store.set_info(key, info)
        return info if info.name == key else replace(info, name=key)
