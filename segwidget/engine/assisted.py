"""The assisted stage: what masks take a person, read off the masks themselves.

Annotators clicked on what they saw, and the time per mask was measured ("Segment Anything", section
4, "Assisted-manual stage": it fell from 34 to 14 seconds as the model got better). Each annotation
knows how long it took, so nothing needs to be stopped and started.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from segwidget.annotation.proposed import confirmed, read_record

if TYPE_CHECKING:
    from segwidget.annotation.project import BaseProject


@dataclass(frozen=True)
class Effort:
    """What people have done in a stage.

    Attributes:
        images: that have confirmed masks of it.
        masks: that people stand for.
        by_hand: of these, how many they made, or corrected for some time, themselves.
        seconds: that these took, from the first prompt until each was kept.
    """

    images: int = 0
    masks: int = 0
    by_hand: int = 0
    seconds: float = 0.0

    @property
    def seconds_per_mask(self) -> float:
        """Seconds of a person for each confirmed mask; NaN where there is none."""
        return self.seconds / self.masks if self.masks else float("nan")

    @property
    def seconds_by_hand(self) -> float:
        """Seconds for each mask made by hand, as the paper counts them; NaN likewise."""
        return self.seconds / self.by_hand if self.by_hand else float("nan")


def measure_effort(project: BaseProject) -> tuple[Effort, Effort]:
    """What people have done without and with proposals.

    Masks that were there before their image had proposals, and those of images that never had any,
    belong to the assisted stage; the rest to the semi-automatic one. Masks of images whose masks
    all came from files are left out: nobody's time is known.

    Returns:
        The assisted stage, and the semi-automatic one.
    """
    tallies = [_Tally(), _Tally()]
    for key in project.store.counts():
        if key not in project:
            continue
        record = read_record(project.store, key)
        for item in confirmed(project.store, key):
            if item.origin == "imported":
                continue
            late = record is not None and (item.origin != "assisted" or item.created > record.at)
            tallies[late].add(key, item.origin == "assisted" or item.seconds > 0, item.seconds)
    without, with_ = (one.effort() for one in tallies)
    return without, with_


class _Tally:
    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._masks = self._by_hand = 0
        self._seconds = 0.0

    def add(self, key: str, by_hand: bool, seconds: float) -> None:
        self._keys.add(key)
        self._masks += 1
        self._by_hand += by_hand
        self._seconds += seconds

    def effort(self) -> Effort:
        return Effort(len(self._keys), self._masks, self._by_hand, self._seconds)
