"""Images and their annotations: a folder, a list or a data set, over a store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, overload

from segwidget.annotation import project_store
from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.annotation.project_image import ProjectImage
from segwidget.annotation.sources import ImagesLike, find_source
from segwidget.annotation.store import Store
from segwidget.errors import ImageError
from segwidget.media.image import Image

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    from matplotlib.figure import Figure
    from typing_extensions import Self

    from segwidget.annotation.exchange import Imported
    from segwidget.annotation.project_replay import ProjectReplay
    from segwidget.annotation.statistics import Statistics
    from segwidget.inference.models import Model

STORE_NAME = "segwidget.db"
_OPENED = 2  # images that stay open: the one that is worked on and the one before


class BaseProject(Sequence[ProjectImage]):
    """Images with their annotations; every change is safe when the call returns.

        project = Project("street/", labels=["car", "person"])
        project[0].annotations.add(mask, label="car")
        project.export("street.coco.json")

    Args:
        images: a folder (thousands of images are listed, none is opened), a list of paths, arrays
            or Pillow images, a mapping of names to such, a data frame, or a split of a Hugging Face
            data set.
        labels: anything that `LabelSet.of` takes; those that the store has already stay.
        store: the file of annotations; by default `segwidget.db` in the images' folder, or in the
            present one. On a mounted drive such as Colab's, too: where that allows no write-ahead
            log, or no locks, others take their place and keep the same promises (`store.remark`).
        column: of a data frame or data set.
        recursive: whether a folder's folders are looked into.
        author: who works.
        read_only: only look. A project whose store cannot be written is opened like this, too;
            what is new in the folder is then left out, as `problems` tells.

    Attributes:
        store: the annotations.
        keys: of the images, in order.
        author: who works.

    Raises:
        ImageError: no such folder or column, or something that holds no images.
        StoreError: the store cannot be opened or written.
        LabelError: labels that cannot be used.
    """

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

    # Images.

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

    def filter(
        self,
        *,
        status: str | Iterable[str] | None = None,
        label: str | None = None,
        min_score: float | None = None,
        max_score: float | None = None,
    ) -> list[ProjectImage]:
        """The images for which all of this holds; none is opened.

        Args:
            status: "todo", "done", "accepted" or "rejected", or several of them.
            label: an annotation has this label.
            min_score: an annotation (of the label, where one is given) has at least this predicted
                IoU.
            max_score: likewise at most; both of the same annotation.
        """
        states = None if status is None else {status} if isinstance(status, str) else {*status}
        known = self.store.statuses() if states is not None else {}
        asked = not (label is None and min_score is None and max_score is None)
        counts = self.store.counts() if asked else {}

        def fits(item: Annotation) -> bool:
            score = item.predicted_iou
            if label is not None and item.label != label:
                return False
            if min_score is not None and (score is None or score < min_score):
                return False
            return max_score is None or (score is not None and score <= max_score)

        found = [one for one in self if states is None or known[one.key] in states]
        if not asked:
            return found
        having = (one for one in found if one.key in counts)
        return [one for one in having if any(map(fits, self.store.annotations(one.key)))]

    # Annotations.

    @property
    def labels(self) -> LabelSet:
        """The labels of the project; set anything that `LabelSet.of` takes.

        Raises:
            LabelError: labels that cannot be used, or annotations have one that would be gone.
        """
        return self.store.labels

    @labels.setter
    def labels(self, labels: LabelsLike) -> None:
        self.store.set_labels(labels)

    def records(self, only: Iterable[str | ProjectImage] | None = None) -> Iterator[Annotations]:
        """The annotations, image by image; broken images that have none are left out.

        Args:
            only: images or their keys. By default those that have annotations or are done, but
                none that is rejected.
        """
        for key in self._chosen(only):
            try:
                yield self[key].record
            except ImageError:
                continue

    def to_dataframe(self) -> pd.DataFrame:
        """All annotations, one row each; `Annotations.to_dataframe` has the columns.

        The column `image` has the image's key, and `status` says how far the image is.
        """
        import pandas as pd

        counts, statuses = self.store.counts(), self.store.statuses()
        frames = [
            self[key].record.to_dataframe().assign(status=statuses[key])
            for key in self.keys
            if key in counts
        ]
        if not frames:
            empty = Annotations((), ImageInfo("none", 1, 1), self.labels).to_dataframe()
            return empty.assign(status=pd.Series([], dtype=object))
        return pd.concat(frames, ignore_index=True)

    def statistics(self) -> Statistics:
        """Masks per image, sizes, positions, shapes, scores and times."""
        from segwidget.annotation.statistics import measure

        counts = self.store.counts()
        judging = self.store.judging_seconds()
        records = (self[key].record for key in self.keys if key in counts)
        return measure(records, len(self), sum(judging.get(key, 0.0) for key in self.keys))

    def plot(self) -> Figure:
        """The statistics as one matplotlib figure."""
        # By its name: figures stand above this room.
        draw: Callable[[Statistics], Figure] = import_module("segwidget.plotting").overview
        return draw(self.statistics())

    def replay(self, model: str | Path | Model | None = None) -> ProjectReplay:
        """Ask a model all recorded prompts again; nothing is changed before `accept`.

        Args:
            model: see `Predictor`; by default the recorded ones.

        Raises:
            ModelError, CheckpointError: the model cannot be loaded.
        """
        from segwidget.annotation.project_replay import replay_project

        return replay_project(self, model)

    # Files of other programs.

    def export(
        self,
        path: str | PathLike[str],
        format: str | None = None,  # noqa: A002
        *,
        only: Iterable[str | ProjectImage] | None = None,
    ) -> Path:
        """Write the annotations for other programs.

        Args:
            path: the file or folder.
            format: such as "coco" or "yolo-seg"; by default as the path ends.
            only: see `records`.

        Raises:
            FormatError: no such format, or one that cannot hold the annotations.
            StoreError: the place cannot be written.
        """
        from segwidget.annotation.exchange import export_project

        return export_project(self, Path(path).expanduser(), format, only)

    def import_(
        self,
        path: str | PathLike[str],
        format: str | None = None,  # noqa: A002
    ) -> Imported:
        """Add the annotations of another program's file, with the origin "imported".

        Args:
            path: the file or folder.
            format: such as "coco"; by default as it looks.

        Returns:
            What was added, by image, and a sentence for each entry that could not be.

        Raises:
            FormatError: no such format, or a file that is not of it at all.
            StoreError: it cannot be read, or the store cannot be written.
        """
        from segwidget.annotation.exchange import import_into

        return import_into(self, Path(path).expanduser(), format)

    def to_dataset(self, *, only: Iterable[str | ProjectImage] | None = None) -> datasets.Dataset:
        """The images and annotations as a Hugging Face data set, one row an image.

        Photographs in a folder are named, and opened by `datasets` when they are asked for; others
        are in it as PNG. `segwidget.annotation.formats.parquet` has the columns; masks are COCO's
        run lengths, labels a `ClassLabel`.

        Args:
            only: see `records`.

        Raises:
            FormatError: datasets is not installed.
            ImageError: an image cannot be opened.
        """
        from segwidget.annotation.datasets_exchange import to_dataset

        return to_dataset(self, only)

    @classmethod
    def from_dataset(
        cls,
        dataset: datasets.Dataset,
        labels: LabelsLike = None,
        *,
        store: str | PathLike[str] | None = None,
        column: str | None = None,
        author: str = "",
    ) -> Self:
        """A project of the images and annotations of a split of a Hugging Face data set.

        Args:
            dataset: with a column of images, and `annotations` or `objects` with a list of masks.
            labels: by default the names of its classes.
            store: see the class.
            column: of the images, where there are several.
            author: who works.

        Returns:
            The project; `problems` tells what was left out.

        Raises:
            FormatError, ImageError: no such columns.
            StoreError: the store cannot be opened or written.
        """
        from segwidget.annotation.datasets_exchange import classes_of, import_dataset

        classes = classes_of(dataset)
        made = cls(dataset, labels or classes or None, store=store, column=column, author=author)
        try:
            for number, problem in enumerate(import_dataset(made, dataset).problems):
                made._problems[f"annotations ({number})"] = problem
        except BaseException:
            made.close()
            raise
        return made

    def download(self, format: str = "coco") -> Path:  # noqa: A002
        """Export as one ZIP file beside the store, and answer its path.

        Where the project is open for reading only, the file is in the present folder.
        """
        from segwidget.annotation.exchange import zip_project

        return zip_project(self, format)

    # Ending.

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> BaseProject:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        counts = self.store.counts()
        masks = sum(counts.get(key, 0) for key in self.keys)
        return f"<{type(self).__name__}: {len(self)} images, {masks} annotations>"

    # How it is done.

    def _chosen(self, only: Iterable[str | ProjectImage] | None) -> list[str]:
        if only is not None:
            given = [only] if isinstance(only, str | ProjectImage) else only
            return [self[one].key if isinstance(one, str) else one.key for one in given]
        counts, statuses = self.store.counts(), self.store.statuses()
        return [
            key
            for key in self.keys
            if statuses[key] != "rejected" and (key in counts or statuses[key] != "todo")
        ]

    def _info(self, key: str) -> ImageInfo:
        """What is known of an image, which is opened where that is nothing."""
        info = self.store.info(key)
        if info is None:
            info = ImageInfo.of(self.open(key))
            self.store.set_info(key, info)
        return info if info.name == key else replace(info, name=key)
