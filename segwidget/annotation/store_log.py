"""The steps of a store: what was done to which image, by whom, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segwidget.annotation import checks, store_values
from segwidget.annotation.store_file import Run, StoreFile
from segwidget.annotation.store_values import Step
from segwidget.errors import StoreError


class StoreLog(StoreFile):
    """The steps of a `Store`, each written in the transaction that does it."""

    def log(
        self, key: str, step: str, *, seconds: float, meta: Mapping[str, Any] | None = None
    ) -> None:
        """Note something that took time and changed no annotation, such as a judgement.

        Args:
            key: of the image.
            step: what was done, for :meth:`steps`.
            seconds: that it took.
            meta: small values that are written with it; see :meth:`set_meta`.

        Raises:
            StoreError: no such image, or it cannot be written; nothing was changed.
        """
        with self._transaction() as run:
            (number,) = self._image(key, "number")
            self._write_meta(run, meta or {})
            self._log(run, number, Step(key, step, seconds=seconds))

    def judging_seconds(self) -> dict[str, float]:
        """Seconds spent on images by steps that changed no annotation, by key: on judging them."""
        return dict(
            self._read(
                "SELECT key, SUM(seconds) FROM steps JOIN images ON images.number = steps.image "
                "WHERE seconds > 0 AND added + changed + removed = 0 GROUP BY images.number"
            )
        )

    def steps(self, key: str | None = None) -> list[Step]:
        """What was done, the oldest first.

        Args:
            key: of an image; by default of all.
        """
        where, values = ("", ()) if key is None else ("WHERE key = ?", (key,))
        rows = self._read(
            "SELECT COALESCE(key, ''), name, author, at, seconds, added, changed, removed "
            f"FROM steps LEFT JOIN images ON images.number = steps.image {where} "
            "ORDER BY steps.number",
            values,
        )
        return [Step(*row) for row in rows]

    # How it is done.

    def _image(self, key: str, columns: str) -> tuple[Any, ...]:
        rows = self._read(
            f"SELECT {columns} FROM images WHERE key = ?", (store_values.checked_key(key),)
        )
        if not rows:
            raise StoreError(
                f"There is no image {key!r} in {str(self._path)!r}. Add it with add_images, or "
                "check the spelling; keys() has all."
            )
        return tuple(rows[0])

    def _log(self, run: Run, number: int | None, step: Step) -> None:
        run(
            "INSERT INTO steps (image, name, author, at, seconds, added, changed, removed) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, step.name, self.author, checks.now(), *step[4:]),
        )
