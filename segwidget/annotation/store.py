"""The store: a project's annotations in one file, each step safe before it is confirmed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any, NamedTuple

from segwidget.annotation import store_values
from segwidget.annotation.annotation import Annotation, ImageInfo
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.places import new_places
from segwidget.annotation.store_file import Run
from segwidget.annotation.store_labels import StoreLabels
from segwidget.annotation.store_schema import BUSY_SECONDS
from segwidget.annotation.store_values import STATUSES, Status, Step
from segwidget.errors import StoreError

MAX_REMEMBERED = 16  # images whose annotations are not read anew for each commit


class ConflictError(StoreError):
    """Somebody else has changed an image's annotations in the meantime."""


class _Known(NamedTuple):
    """What an image had at a revision; annotations and places in order."""

    revision: int
    annotations: tuple[Annotation, ...]
    places: tuple[int, ...]


class Store(StoreLabels):
    """Labels, images and annotations of a project in one SQLite file.

        with Store("street/segwidget.db") as store:
            store.add_images([("a.jpg", None)])
            store.commit("a.jpg", [Annotation.from_mask(mask, label="car")])

    When a method that writes returns, what it wrote survives a killed process and a power failure;
    when it raises, nothing was changed. Several stores, also of several processes, may use one
    file. Safe for threads. Images are known by keys, which are only ever text to a store.

    Args:
        path: of the file, made where there is none; its folder must be there.
        author: who works, for :meth:`steps`.
        busy_seconds: how long to wait for whoever else writes.
        read_only: open a store that is there, and never write to it. One that cannot be written is
            opened like this, too: :attr:`read_only` and :attr:`remark` tell.

    Raises:
        StoreError: it cannot be opened: no such folder, nothing in a read-only one, a file that is
            damaged, of a newer version, or no store. The file is as it was.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        author: str = "",
        busy_seconds: float = BUSY_SECONDS,
        read_only: bool = False,
    ) -> None:
        super().__init__(path, author, busy_seconds, read_only)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._learned: dict[str, ImageInfo] = {}  # of images, where it can only be read

    # Images.

    def add_images(self, infos: Iterable[tuple[str, ImageInfo | None]]) -> None:
        """Add images at the end; those that are there stay, and learn what was unknown of them.

        Args:
            infos: of each its key, such as a relative name, and what is known of it.

        Raises:
            StoreError: a key that is no text; or it cannot be written. No image was added.
        """
        infos = tuple(infos)
        if self.read_only and all(key in self for key, _ in infos):
            known = {key: info for key, info in infos if info is not None}
            self._learned |= {key: info for key, info in known.items() if self.info(key) is None}
            return
        rows = [
            (store_values.checked_key(key), None if info is None else store_values.info_text(info))
            for key, info in infos
        ]
        with self._transaction() as run:
            for row in rows:
                run(
                    "INSERT INTO images (key, info) VALUES (?, ?) "
                    "ON CONFLICT (key) DO UPDATE SET info = COALESCE(info, excluded.info) "
                    "WHERE info IS NULL AND excluded.info IS NOT NULL",
                    row,
                )

    def keys(self) -> tuple[str, ...]:
        """The keys of all images, in the order in which they were added."""
        return tuple(key for (key,) in self._read("SELECT key FROM images ORDER BY number"))

    def __contains__(self, key: object) -> bool:
        """Whether there is an image of this key."""
        return isinstance(key, str) and bool(
            self._read("SELECT 1 FROM images WHERE key = ?", (key,))
        )

    def info(self, key: str) -> ImageInfo | None:
        """What is known of an image; None where that is nothing.

        Raises:
            StoreError: no such image.
        """
        (text,) = self._image(key, "info")
        if text is None:
            return self._learned.get(key)
        found: ImageInfo = self._decoded(store_values.info_of, text)
        return found

    def set_info(self, key: str, info: ImageInfo) -> None:
        """Say what is known of an image, which a store that is only read remembers till it closes.

        Raises:
            StoreError: no such image, or it cannot be written.
        """
        if self.read_only:
            self._image(key, "number")
            self._learned[key] = info
            return
        with self._transaction() as run:
            self._image(key, "number")
            text = store_values.info_text(info)
            run("UPDATE images SET info = ? WHERE key = ?", (text, key))

    def status(self, key: str) -> str:
        """How far an image is: "todo", "done", "accepted" or "rejected".

        Raises:
            StoreError: no such image.
        """
        return str(self._image(key, "status")[0])

    def set_status(self, key: str, status: Status, *, seconds: float = 0.0) -> None:
        """Say how far an image is.

        Args:
            key: of the image.
            status: how far it is.
            seconds: that somebody took to judge it, for :meth:`steps`.

        Raises:
            StoreError: no such image, another word, or it cannot be written.
        """
        if status not in STATUSES:
            raise StoreError(
                f"The status of an image is {status!r}; expected one of {', '.join(STATUSES)}."
            )
        with self._transaction() as run:
            (number,) = self._image(key, "number")
            run("UPDATE images SET status = ? WHERE number = ?", (status, number))
            self._log(run, number, Step(key, status, seconds=seconds))

    def statuses(self) -> dict[str, str]:
        """How far each image is, by key, in order."""
        return dict(self._read("SELECT key, status FROM images ORDER BY number"))

    # Annotations.

    def annotations(self, key: str) -> tuple[Annotation, ...]:
        """The annotations of an image, the frontmost last.

        Raises:
            StoreError: no such image, or the file cannot be read.
        """
        with self._lock:
            return self._present(key).annotations

    def counts(self) -> dict[str, int]:
        """How many annotations images have, by key, in order; those that have none are left out."""
        return dict(
            self._read(
                "SELECT key, n FROM images JOIN (SELECT image, COUNT(*) AS n FROM annotations "
                "GROUP BY image) ON image = number ORDER BY number"
            )
        )

    def commit(
        self,
        key: str,
        after: Iterable[Annotation],
        *,
        before: Iterable[Annotation] | None = None,
        labels: LabelSet | None = None,
        step: str = "",
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Make an image's annotations the given ones; only what differs is written.

        Args:
            key: of the image.
            after: all of its annotations, the frontmost last.
            before: those that the caller knows. Where the store has others, somebody else has
                changed them, and nothing is written.
            labels: the labels, where they change too. Those that annotations of other images have
                stay, and those of `after` are added.
            step: what was done, for :meth:`steps`.
            meta: small values by name, written with them or not at all; see :meth:`set_meta`.

        Raises:
            AnnotationError: an id twice, or a mask that is not of the image's size.
            ConflictError: the store has others than `before`; nothing was changed.
            StoreError: no such image, or it cannot be written; nothing was changed.
        """
        items = store_values.checked_items(after)
        expected = None if before is None else tuple(before)
        with self._transaction() as run:
            number, revision = self._image(key, "number, revision")
            present = self._present(key)
            if expected is not None and expected != present.annotations:
                raise ConflictError(
                    f"Another notebook, or other code, has changed the annotations of {key!r}: "
                    f"there are {len(present.annotations)} now. Nothing was overwritten, and the "
                    "last step was not saved. Open the image again to go on from what is there."
                )
            known = dict(zip((a.id for a in present.annotations), present.annotations, strict=True))
            changed = [
                # Most are the very same, which is sooner seen than that they are equal.
                item
                for item in items
                if (old := known.get(item.id)) is not item and old != item
            ]
            if changed:
                store_values.check_sizes(changed, self.info(key))
            places = self._write_items(run, number, present, items, changed)
            self._write_labels_of(run, changed, labels)
            self._write_meta(run, meta or {})
            left = {item.id for item in items}
            added = sum(item.id not in known for item in changed)
            done = Step(
                key,
                step,
                added=added,
                changed=len(changed) - added,
                removed=sum(id_ not in left for id_ in known),
                seconds=store_values.seconds_spent(changed, known),
            )
            if items == present.annotations and labels is None:
                return
            run("UPDATE images SET revision = revision + 1 WHERE number = ?", (number,))
            self._log(run, number, done)
        self._remember(key, _Known(revision + 1, items, places))

    # How it is done.

    def _present(self, key: str) -> _Known:
        """An image's annotations, read anew only where somebody has changed them."""
        number, revision = self._image(key, "number, revision")
        known = self._known.get(key)
        if known is None or known.revision != revision:
            # One statement sees one state, and the revision of that very state.
            rows = self._read(
                "SELECT revision, place, id, label, data FROM images "
                "LEFT JOIN annotations ON image = number WHERE number = ? ORDER BY place",
                (number,),
            )
            revision = rows[0][0]
            rows = [row for row in rows if row[1] is not None]
            items = tuple(self._decoded(store_values.annotation_of, *row[2:]) for row in rows)
            known = _Known(revision, items, tuple(row[1] for row in rows))
        self._remember(key, known)
        return known

    def _remember(self, key: str, known: _Known) -> None:
        self._known[key] = known
        self._known.move_to_end(key)
        while len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)

    def _write_items(
        self,
        run: Run,
        number: int,
        present: _Known,
        items: tuple[Annotation, ...],
        changed: list[Annotation],
    ) -> tuple[int, ...]:
        """Write what differs, and answer the new places."""
        old = dict(zip((a.id for a in present.annotations), present.places, strict=True))
        left = {item.id for item in items}
        for id_ in old.keys() - left:
            run("DELETE FROM annotations WHERE image = ? AND id = ?", (number, id_))
        places = new_places([old.get(item.id) for item in items])
        rewritten = {item.id for item in changed}
        for item, place in zip(items, places, strict=True):
            if item.id in rewritten:
                run(
                    "INSERT INTO annotations (image, id, place, label, data) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (image, id) DO UPDATE SET "
                    "place = excluded.place, label = excluded.label, data = excluded.data",
                    (number, item.id, place, item.label, store_values.annotation_text(item)),
                )
            elif old[item.id] != place:
                run(
                    "UPDATE annotations SET place = ? WHERE image = ? AND id = ?",
                    (place, number, item.id),
                )
        return tuple(places)
