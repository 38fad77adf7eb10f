"""One image of a project, and its annotations as a sequence that saves itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.store import ConflictError
from segwidget.annotation.store_values import Status
from segwidget.errors import AnnotationError
from segwidget.inference.rle import Rle
from segwidget.media.image import Image

if TYPE_CHECKING:
    from segwidget.annotation.project_images import ProjectImages

_TRIES = 5  # when somebody else writes at the same moment


class ProjectImage:
    """An image of a project; nothing is opened before it is asked for.

    Attributes:
        project: that it is of.
        key: its name in the project.
    """

    def __init__(self, project: ProjectImages, key: str) -> None:
        self.project, self.key = project, key

    @property
    def info(self) -> ImageInfo:
        """Its name (the key), size and hash; the image is opened once to learn them.

        Raises:
            ImageError: it cannot be opened.
        """
        return self.project._info(self.key)

    @property
    def image(self) -> Image:
        """The image itself, opened.

        Raises:
            ImageError: it cannot be opened; `project.problems` has the reason, too.
        """
        return self.project.open(self.key)

    @property
    def annotations(self) -> ProjectAnnotations:
        """Its annotations, the frontmost last."""
        return ProjectAnnotations(self)

    @property
    def status(self) -> str:
        """How far it is: "todo", "done", "accepted" or "rejected"; saved when it is set."""
        return self.project.store.status(self.key)

    @status.setter
    def status(self, status: Status) -> None:
        self.project.store.set_status(self.key, status)

    @property
    def record(self) -> Annotations:
        """Its present annotations as one immutable value; the image's name is the key.

        Raises:
            ImageError: there are none, and the image cannot be opened.
        """
        store = self.project.store
        items = store.annotations(self.key)
        known = store.info(self.key)
        if known is None and items:  # an image that is gone still has its masks
            height, width = items[0].rle.size
            known = ImageInfo(self.key, width, height, items[0].image)
        elif known is None:
            known = self.info
        info = ImageInfo(self.key, known.width, known.height, known.sha256)
        return Annotations(items, info, store.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProjectImage):
            return NotImplemented
        return self.project is other.project and self.key == other.key

    def __hash__(self) -> int:
        return hash((id(self.project), self.key))

    def __repr__(self) -> str:
        return f"<{self.key!r}: {len(self.annotations)} annotations, {self.status}>"


class ProjectAnnotations(Sequence[Annotation]):
    """The annotations of an image as the store has them now; changes are saved at once."""

    def __init__(self, image: ProjectImage) -> None:
        self._image = image

    @property
    def items(self) -> tuple[Annotation, ...]:
        """The present annotations, the frontmost last."""
        return self._image.project.store.annotations(self._image.key)

    def add(self, mask: NDArray[Any] | Rle, label: str | None = None, **fields: Any) -> Annotation:
        """Add a mask in front of the others; it is saved when this returns.

        Args:
            mask: (H, W) bool at the image's full resolution, or its run lengths.
            label: what it shows; may be left out where the project has one label only.
            **fields: other attributes of `Annotation`.

        Raises:
            AnnotationError: an impossible or empty mask, or one of another size.
            LabelError: a label that cannot be used.
            ImageError: the image cannot be opened, so that its size is unknown.
            StoreError: it cannot be written; nothing was changed.
        """
        project, info = self._image.project, self._image.info
        if label is None:
            names = project.store.labels.names
            if len(names) != 1:
                raise AnnotationError(
                    f"The annotation has no label; expected one such as {names[0]!r}: "
                    f"add(mask, label={names[0]!r})."
                )
            label = names[0]
        fields = {"image": info.sha256, "author": project.author, **fields}
        rle = mask if isinstance(mask, Rle) else Rle.encode(mask)
        if not rle.area:
            raise AnnotationError("The mask is empty; expected at least one pixel inside.")
        made = Annotation.from_rle(rle, label=label, **fields)
        self._change(lambda items: (*items, made), f"add {made.label}")
        return made

    def remove(self, id: str) -> Annotation:  # noqa: A002
        """Remove an annotation, and answer it.

        Raises:
            AnnotationError: no such annotation.
            StoreError: it cannot be written; nothing was changed.
        """
        removed = self[id]
        self._change(lambda items: tuple(a for a in items if a.id != id), f"remove {removed.label}")
        return removed

    def replace(self, items: Iterable[Annotation]) -> None:
        """Put others in the place of all.

        Raises:
            AnnotationError: something else, an id twice, or a mask of another size.
            StoreError: it cannot be written; nothing was changed.
        """
        new = tuple(items)
        _ = self._image.info  # the store compares sizes with it
        self._change(lambda _: new, "replace all")

    def extend(
        self,
        items: Iterable[Annotation],
        step: str = "add several",
        *,
        without: Collection[str] = (),
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Add annotations in front of the others, all or none.

        Args:
            items: what is added.
            step: what was done, for `Store.steps`.
            without: ids of annotations that go in the same step, where they are there.
            meta: small values that are written with them; see `Store.commit`.

        Raises:
            AnnotationError: something else, an id that is there, or a mask of another size.
            StoreError: it cannot be written; nothing was changed.
        """
        new = tuple(items)
        _ = self._image.info  # the store compares sizes with it
        self._change(
            lambda present: (*(a for a in present if a.id not in without), *new), step, meta
        )

    def exchange(self, changes: Mapping[str, tuple[Annotation, Annotation]]) -> set[str]:
        """Put new annotations in the place of old ones, by id; those that have changed since stay.

        Returns:
            The ids of those that were exchanged.

        Raises:
            AnnotationError: a mask of another size.
            StoreError: it cannot be written; nothing was changed.
        """
        done: set[str] = set()

        def change(present: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
            done.clear()
            done.update(a.id for a in present if a.id in changes and changes[a.id][0] == a)
            return tuple(changes[a.id][1] if a.id in done else a for a in present)

        self._change(change, "replace masks")
        return done

    def _change(
        self,
        change: Callable[[tuple[Annotation, ...]], tuple[Annotation, ...]],
        step: str,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        store, key = self._image.project.store, self._image.key
        for left in reversed(range(_TRIES)):
            before = store.annotations(key)
            try:
                store.commit(key, change(before), before=before, step=step, meta=meta)
                return
            except ConflictError:
                if not left:
                    raise

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int | str) -> Annotation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Annotation, ...]: ...
    def __getitem__(self, index: int | str | slice) -> Annotation | tuple[Annotation, ...]:
        """An annotation by its position or id; several by a slice.

        Raises:
            IndexError: no such position.
            AnnotationError: no such id.
        """
        if not isinstance(index, str):
            return self.items[index]
        for item in self.items:
            if item.id == index:
                return item
        raise AnnotationError(
            f"There is no annotation {index!r} of {self._image.key!r}; each has its .id."
        )

    def __repr__(self) -> str:
        return f"<{len(self)} annotations of {self._image.key!r}>"
