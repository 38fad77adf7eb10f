"""In which order a gallery shows its thumbnails, under which headers, and where on its canvas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from segwidget.widget.app_parts import WORDS
from segwidget.widget.facts import Fact

# Sizes in CSS pixels.
WIDTH, HEIGHT, GAP = 156, 117, 8  # of a cell, and between two
COLUMNS = 6
HEADER = 34
CAPTION = 19  # of a cell's height
RATIO = 2  # canvas pixels for each: sharp on fine screens

SORTS = {
    "Name": "name",
    "Lowest score first": "score",
    "Highest score first": "-score",
    "Smallest mask first": "size",
    "Largest mask first": "-size",
    "Most masks first": "-masks",
}
GROUPS = {"No groups": "", "By label": "label", "By score": "score", "By size": "size",
          "By status": "status"}  # fmt: skip
VIEWS = {"Images": "images", "Masks": "masks"}
NO_LABEL = "no masks"
_SIZES = ((0.01, "under 1 % of the image"), (0.05, "1 to 5 %"), (0.2, "5 to 20 %"))


class Item(NamedTuple):
    """A thumbnail.

    Attributes:
        key: of its image.
        group: what it stands under; "" where there are no groups.
        label: whose masks are shown; "" for all.
        mask: the id of the only one that is shown, cut out of the image; "" for all of the image.
    """

    key: str
    group: str = ""
    label: str = ""
    mask: str = ""


class Place(NamedTuple):
    """Where something lies on the canvas, in CSS pixels."""

    x: float
    y: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies inside."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


def passing(facts: Mapping[str, Fact], label: str = "", score: float = 1.0) -> dict[str, Fact]:
    """What is left of images' facts where only some masks are looked at.

    Args:
        facts: by key.
        label: of the masks; "" for any.
        score: that the masks have at most; 1 for any, also for those without one.
    """
    if not label and score >= 1:
        return dict(facts)
    left = {}
    for key, fact in facts.items():
        masks = tuple(
            mask
            for mask in fact.masks
            if label in ("", mask.label)
            and (score >= 1 or (mask.score is not None and mask.score <= score))
        )
        if masks:
            left[key] = fact._replace(masks=masks)
    return left


def each_mask(facts: Mapping[str, Fact]) -> dict[tuple[str, str], Fact]:
    """Facts of each mask on its own, by its image's key and its id."""
    return {(key, mask.id): Fact((mask,)) for key, fact in facts.items() for mask in fact.masks}


def arranged_masks(
    facts: Mapping[str, Fact],
    status: Callable[[str], str],
    sort: str,
    group: str,
    labels: Iterable[str],
) -> tuple[Item, ...]:
    """All masks in order, each with a thumbnail of its own; arguments as of `arranged`.

    "masks" sorts by how many there are in the mask's image.
    """
    order = {name: rank for rank, name in enumerate(labels)}
    name, down = sort.lstrip("-"), sort.startswith("-")
    items: list[tuple[Any, Item]] = []
    for (key, id_), fact in each_mask(facts).items():
        label = fact.masks[0].label
        rank, title = _group_of(fact, status(key), group)
        if group == "label":
            rank, title = order.get(label, len(order)), label
        item = Item(key, title, label, id_)
        value = (
            float(len(facts[key].masks)) if name == "masks" else _value_of(fact, item, name, down)
        )
        items.append((_place(rank, value, down), item))
    return tuple(item for _, item in sorted(items, key=lambda entry: entry[0]))


def arranged(
    facts: Mapping[str, Fact],
    status: Callable[[str], str],
    sort: str,
    group: str,
    labels: Iterable[str],
) -> tuple[Item, ...]:
    """All thumbnails in order.

    Args:
        facts: by key, in the project's order.
        status: of an image, by its key.
        sort: see :meth:`Gallery.arrange`; what has no score or no masks comes last.
        group: likewise.
        labels: in their order.
    """
    order = list(labels)
    items: list[tuple[Any, Item]] = []
    for key, fact in facts.items():
        if group == "label":
            for name in dict.fromkeys(fact.labels):
                rank = order.index(name) if name in order else len(order)
                items.append((rank, Item(key, name, name)))
            if not fact.masks:
                items.append((len(order) + 1, Item(key, NO_LABEL)))
        else:
            rank, name = _group_of(fact, status(key), group)
            items.append((rank, Item(key, name)))
    name, down = sort.lstrip("-"), sort.startswith("-")

    def place(entry: tuple[Any, Item]) -> tuple[Any, ...]:
        rank, item = entry
        return _place(rank, _value_of(facts[item.key], item, name, down), down)

    return tuple(item for _, item in sorted(items, key=place))


def _place(rank: Any, value: float | None, down: bool) -> tuple[Any, bool, float]:
    """What to sort by: the group first, and in it what has no value last."""
    if value is None:
        return rank, True, 0.0
    return rank, False, -value if down else value


def laid_out(
    items: Iterable[Item],
) -> tuple[tuple[Place, ...], tuple[tuple[Place, str], ...], float]:
    """Where thumbnails and the headers of their groups lie, and how high all is, in CSS pixels."""
    places: list[Place] = []
    headers: list[tuple[Place, str]] = []
    column, y, group = 0, 0.0, None
    for item in items:
        if item.group and item.group != group:
            if places:
                y += (HEIGHT + GAP) if column else 0
                y += GAP
            headers.append((Place(0, y, 0, HEADER - GAP), item.group))
            column, y = 0, y + HEADER
        group = item.group
        places.append(Place(column * (WIDTH + GAP), y, WIDTH, HEIGHT))
        column += 1
        if column == COLUMNS:
            column, y = 0, y + HEIGHT + GAP
    height = max((p.y + p.height for p in places), default=HEIGHT)
    return tuple(places), tuple(headers), height


def fitted(shape: Sequence[int], place: Place) -> Place:
    """Where a picture lies in its place: all of it, as large as fits, in the middle.

    Args:
        shape: of its pixels, (h, w, ...).
        place: where it may lie.
    """
    h, w = shape[:2]
    scale = min(place.width / w, place.height / h)
    return Place(
        place.x + (place.width - w * scale) / 2,
        place.y + (place.height - h * scale) / 2,
        w * scale,
        h * scale,
    )


def shortened(text: str, letters: int) -> str:
    """A text of at most so many letters; of a path, the end says more."""
    return text if len(text) <= letters else f"…{text[-max(1, letters - 1) :]}"


def _value_of(fact: Fact, item: Item, name: str, down: bool) -> float | None:
    masks = [m for m in fact.masks if item.label in ("", m.label)]
    if name == "masks":
        return float(len(masks))
    if name == "name":
        return 0.0
    values = [m.share if name == "size" else m.score for m in masks]
    known = [v for v in values if v is not None]
    if not known:
        return None
    return max(known) if down and name == "size" else min(known)


def _group_of(fact: Fact, status: str, group: str) -> tuple[int, str]:
    """The rank of an image's group, and its name."""
    if group == "status":
        return list(WORDS).index(status), WORDS[status]
    if group == "score":
        score = fact.score
        if score is None:
            return 11, "no score"
        low = min(9, int(score * 10))
        return low, f"score {low / 10:.1f} to {(low + 1) / 10:.1f}"
    if group == "size":
        if not fact.masks:
            return 9, NO_LABEL
        share = max(m.share for m in fact.masks)
        for rank, (limit, text) in enumerate(_SIZES):
            if share < limit:
                return rank, text
        return len(_SIZES), "over 20 %"
    return 0, ""
