"""Numbers that keep a list in order, of which few change when the list does."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

GAP = 1 << 20


def new_places(present: Sequence[int | None]) -> list[int]:
    """Increasing numbers for a list whose items have some already; as many as can stay do.

    Args:
        present: the number of each item, in the list's new order; `None` for those without.

    Returns:
        A number for each. Where there is no room left between two, all are new.
    """
    stay = _longest_increasing(present)
    places: list[int] = []
    position = 0
    while position < len(present):
        if position in stay:
            kept = present[position]
            assert kept is not None
            places.append(kept)
            position += 1
            continue
        end = position
        while end < len(present) and end not in stay:
            end += 1
        count = end - position
        low = places[-1] if places else None
        high = present[end] if end < len(present) else None
        if low is None and high is None:
            low, step = 0, GAP
        elif high is None:
            step = GAP
        elif low is None:
            low, step = high - GAP * (count + 1), GAP
        else:
            step = (high - low) // (count + 1)
        if step < 1:
            return [GAP * (n + 1) for n in range(len(present))]
        assert low is not None
        places += [low + step * (n + 1) for n in range(count)]
        position = end
    return places


def _longest_increasing(values: Sequence[int | None]) -> set[int]:
    """The positions of a longest strictly increasing part; those of None are never in it."""
    ends: list[int] = []  # of the parts of each length, the smallest last value
    last: list[int] = []  # and where it is
    before: dict[int, int] = {}
    for position, value in enumerate(values):
        if value is None:
            continue
        length = bisect_left(ends, value)
        before[position] = last[length - 1] if length else -1
        if length == len(ends):
            ends.append(value)
            last.append(position)
        else:
            ends[length], last[length] = value, position
    chosen: set[int] = set()
    at = last[-1] if last else -1
    while at >= 0:
        chosen.add(at)
        at = before[at]
    return chosen
