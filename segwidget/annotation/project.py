"""Images and their annotations: a folder, a list or a data set, over a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike
from segwidget.annotation.project_image import ProjectImage
from segwidget.annotation.project_images import STORE_NAME as STORE_NAME
from segwidget.annotation.project_images import ProjectImages
from segwidget.errors import ImageError

if TYPE_CHECKING:
    import datasets
    import pandas as pd
    from matplotlib.figure import Figure
    from typing_extensions import Self

    from segwidget.annotation.exchange import Imported
    from segwidget.annotation.project_replay import ProjectReplay
    from segwidget.annotation.statistics import Statistics
    from segwidget.inference.models import Model


class BaseProject(ProjectImages):
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

    # Annotations.

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
