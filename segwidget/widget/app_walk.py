"""The app's way through its images: which one comes next, and what happens where one is broken."""

from __future__ import annotations

from collections.abc import Sequence


class Walk:
    """Goes along the images that pass the filters, in the direction that was taken last.

    Attributes:
        keys: of all images, in order.
        passing: of those that pass the filters, in the same order.
        failures: how many images in a row could not be opened until now.
    """

    def __init__(self) -> None:
        self.keys: tuple[str, ...] = ()
        self.passing: tuple[str, ...] = ()
        self.failures = 0
        self._direction, self._chosen = 1, False

    def over(self, keys: Sequence[str], passing: Sequence[str]) -> None:
        """Go along others from now on."""
        self.keys, self.passing = tuple(keys), tuple(passing)

    def turn(self, step: int) -> None:
        """Somebody goes on: 1 forwards, -1 backwards."""
        self._direction, self.failures, self._chosen = step, 0, False

    def jump(self) -> None:
        """Somebody has chosen an image, which is not skipped where it cannot be opened."""
        self._direction, self.failures, self._chosen = 1, 0, True

    def arrive(self) -> None:
        """An image was opened."""
        self.failures = 0

    def beside(self, key: str | None, step: int) -> str | None:
        """The image beside one, of those that pass; where it does not pass itself, too."""
        if key in self.passing:
            index = self.passing.index(key) + step
            return self.passing[index] if 0 <= index < len(self.passing) else None
        if key not in self.keys:
            return self.passing[0] if self.passing else None
        order = {k: n for n, k in enumerate(self.keys)}
        here = order[key]
        beyond = [k for k in self.passing if (order[k] - here) * step > 0]
        return None if not beyond else beyond[0] if step > 0 else beyond[-1]

    def coming(self, key: str, count: int) -> list[str]:
        """The images that are likely to be wanted soon, the likeliest first.

        Args:
            key: of the one that is open, which is the first of them.
            count: how many that come next; none makes the list empty.
        """
        if not count:
            return []
        coming, last = [key], self.beside(key, self._direction)
        while last is not None and len(coming) <= count:
            coming.append(last)
            last = self.beside(last, self._direction)
        back = self.beside(key, -self._direction)
        return coming if back is None else [*coming, back]

    def after_failure(self, key: str | None) -> str | None:
        """An image cannot be opened: the one to try instead, or None where there is none.

        Whoever goes through all goes on; whoever has chosen this one stays.
        """
        following = None if self._chosen else self.beside(key, self._direction)
        self.failures += 1
        return None if self.failures > len(self.keys) else following
