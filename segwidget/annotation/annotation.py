"""What is kept: one annotation, and all those of an image."""

from __future__ import annotations

import html
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from segwidget.annotation import checks
from segwidget.annotation.image_info import ImageInfo as ImageInfo
from segwidget.annotation.labels import LabelSet, LabelsLike, checked_name
from segwidget.annotation.ontology import Value, Values
from segwidget.errors import AnnotationError
from segwidget.inference.prompts import Box, Prompt, prompt_to_dict
from segwidget.inference.rle import Rle

if TYPE_CHECKING:
    import pandas as pd

#: How a mask came to be: by a person with the model's help, by the model for a person to judge, by
#: the model alone, or from a file.
ORIGINS = ("assisted", "proposed", "automatic", "imported")

#: The `edits` of an annotation that is no more than its one prompt, a box, filled with pixels.
FILLED = ("fill",)


@dataclass(frozen=True)
class Annotation:
    """One mask that was kept, and how it came to be. `Annotation.from_mask` makes one.

    Attributes:
        id: unique within the image.
        label: what the mask shows.
        rle: the mask at the image's full resolution.
        box: its tight box (x0, y0, x1, y1) in pixels, right and lower edge exclusive.
        area: pixels inside.
        predicted_iou: what the model believed the mask's IoU to be; None where no model spoke.
        stability_score: the IoU of the mask at a higher and a lower threshold; None likewise.
        prompts: what was pointed at, in the order in which it was given.
        picks: for each prompt but the last, the candidate that was picked when the next one was
            given, since its logits went into the next answer; empty stands for 0 each time.
        picked: the candidate that was kept, 0 the best.
        region: the part of the image (x0, y0, x1, y1) that the model looked at, in whole pixels;
            None where that was all of it.
        edits: what was done to the mask after the model's answer, by name, in order and without
            repetitions: such as "paint", "erase", "tidy", "add", "subtract", "intersect", or
            "protect" where pixels were left to other annotations; "fill" where it is a box, filled.
            Where there is none, the prompts lead to this very mask.
        threshold: logits above it are the mask.
        model: the model's name.
        checkpoint: SHA-256 of the model's weights, in hex.
        image: SHA-256 of the image's pixels, in hex.
        created: when it was kept, ISO 8601 in UTC.
        seconds: from the first prompt until it was kept.
        visible: whether the widget shows it.
        origin: one of `ORIGINS`.
        attributes: values by the names of the label's attributes; immutable.
        parent: the id of the annotation that it is a part of; "" for none.
        author: who kept it; "" where that is unknown.
        relations: (kind, id of another annotation), such as ("holds", "9f…"), each once.

    Raises:
        AnnotationError: a value of another kind, or a box or an area that is not the mask's.
        LabelError: a label that cannot be used.
    """

    id: str
    label: str
    rle: Rle
    box: tuple[float, float, float, float]
    area: int
    predicted_iou: float | None = None
    stability_score: float | None = None
    prompts: tuple[Prompt, ...] = ()
    picks: tuple[int, ...] = ()
    picked: int = 0
    threshold: float = 0.0
    model: str = ""
    checkpoint: str = ""
    image: str = ""
    created: str = ""
    seconds: float = 0.0
    visible: bool = True
    origin: str = "assisted"
    region: tuple[int, int, int, int] | None = None
    edits: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=Values)
    parent: str = ""
    author: str = ""
    relations: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        rle: Any = self.rle
        if not isinstance(rle, Rle):
            raise AnnotationError(
                f"The mask of an annotation is a {type(rle).__name__}; expected an Rle. "
                "Annotation.from_mask(mask, label=...) takes an array."
            )
        for name in ("id", "model", "checkpoint", "image", "created", "origin", "parent", "author"):
            if not isinstance(getattr(self, name), str):
                raise checks.unexpected(name, getattr(self, name), "text")
        if not self.id.strip():
            raise AnnotationError("The id of an annotation is empty; expected text.")
        if self.origin not in ORIGINS:
            raise checks.unexpected("origin", self.origin, f"one of {', '.join(ORIGINS)}")
        set_ = object.__setattr__
        set_(self, "label", checked_name(self.label))
        set_(self, "created", checks.utc(self.created))
        set_(self, "visible", checks.flag("visible", self.visible))
        set_(self, "picked", checks.index("picked", self.picked))
        for name in ("seconds", "threshold"):
            set_(self, name, checks.finite(name, getattr(self, name)))
        for name in ("predicted_iou", "stability_score"):
            value = getattr(self, name)
            set_(self, name, None if value is None else checks.finite(name, value))
        set_(self, "prompts", checks.prompts(self.prompts))
        set_(
            self,
            "picks",
            tuple(checks.index("picks", pick) for pick in checks.listed("picks", self.picks)),
        )
        if self.picks and len(self.picks) != len(self.prompts) - 1:
            raise AnnotationError(
                f"An annotation has {len(self.prompts)} prompts and {len(self.picks)} picks; "
                "expected a pick for each prompt but the last, or none."
            )
        set_(self, "region", checks.region(self.region))
        set_(self, "edits", checks.texts("edits", self.edits))
        given: Any = self.attributes
        set_(self, "attributes", given if isinstance(given, Values) else Values(given))
        set_(self, "relations", checks.relations(self.relations))
        if self.parent == self.id or any(other == self.id for _, other in self.relations):
            raise AnnotationError(
                f"The annotation {self.id!r} has itself as its parent or relation; expected the id "
                "of another one."
            )
        set_(
            self,
            "box",
            tuple(checks.finite("box", edge) for edge in checks.listed("box", self.box)),
        )
        if self.box != rle.box or self.area != rle.area:
            raise AnnotationError(
                f"An annotation has the box {self.box} and the area {self.area}, but its mask has "
                f"{rle.box} and {rle.area}. Annotation.from_rle(rle, label=...) measures the mask."
            )

    @classmethod
    def from_mask(cls, mask: NDArray[Any], *, label: str, **fields: Any) -> Annotation:
        """Keep a mask; id, box, area and time are filled in.

        Args:
            mask: (H, W) bool, at the image's full resolution, with something inside.
            label: what it shows.
            **fields: other attributes of `Annotation`.

        Raises:
            AnnotationError: an impossible or empty mask, or an impossible value.
            LabelError: a label that cannot be used.
        """
        rle = Rle.encode(mask)
        if rle.area == 0:
            raise AnnotationError(
                "The mask is empty; expected at least one pixel inside. Pick another candidate, or "
                "point at the thing again."
            )
        return cls.from_rle(rle, label=label, **fields)

    @classmethod
    def from_rle(cls, rle: Rle, *, label: str, **fields: Any) -> Annotation:
        """Keep an encoded mask; id, box, area and time are filled in.

        Raises:
            AnnotationError: an impossible value.
            LabelError: a label that cannot be used.
        """
        made = {"id": uuid.uuid4().hex, "created": checks.now(), **fields}
        return cls(label=label, rle=rle, box=rle.box, area=rle.area, **made)

    def with_mask(self, rle: Rle, edit: str) -> Annotation:
        """The same with another mask, of which `edits` tells; itself where it has this mask.

        Scores stay as they are: what the model believed of its own answer.
        """
        if rle == self.rle:
            return self
        edits = self.edits if self.edits[-1:] == (edit,) else (*self.edits, edit)
        return replace(self, rle=rle, box=rle.box, area=rle.area, edits=edits)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The mask, (H, W) bool, decoded anew each time."""
        return self.rle.decode()

    @property
    def as_box(self) -> Box | None:
        """The box that it is no more than, as one from a detector; None where it has a mask."""
        if self.edits != FILLED or len(self.prompts) != 1:
            return None
        prompt = self.prompts[0]
        return prompt if isinstance(prompt, Box) else None

    def to_dict(self) -> dict[str, Any]:
        """All attributes as JSON; `Annotation.from_dict` reads them back without loss."""
        data = {one.name: getattr(self, one.name) for one in fields(self)}
        return {
            **data,
            "rle": self.rle.to_dict(),
            "box": list(self.box),
            "prompts": [prompt_to_dict(prompt) for prompt in self.prompts],
            "picks": list(self.picks),
            "region": None if self.region is None else list(self.region),
            "edits": list(self.edits),
            "attributes": Values(self.attributes).to_dict(),
            "relations": [list(relation) for relation in self.relations],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Annotation:
        """Read what `to_dict` wrote; box and area are measured on the mask.

        Raises:
            AnnotationError: keys that are missing or unknown, or impossible values.
            LabelError, PromptError: likewise.
        """
        given: Any = data
        if not isinstance(given, Mapping):
            raise checks.unexpected("JSON", given, "a dictionary as to_dict() writes it")
        known = {one.name for one in fields(cls)}
        unknown = sorted(str(key) for key in given if key not in known)
        missing = [key for key in ("id", "label", "rle") if key not in given]
        if unknown or missing:
            problem = f"lacks {', '.join(missing)}" if missing else f"has {', '.join(unknown)}"
            raise AnnotationError(
                f"An annotation {problem}; expected the keys that to_dict() writes. "
                "A newer version may have written it."
            )
        values = {key: given[key] for key in given if key not in ("rle", "box", "area")}
        rle = Rle.from_dict(given["rle"])
        return cls(**values, rle=rle, box=rle.box, area=rle.area)


@dataclass(frozen=True, init=False, repr=False)
class Annotations(Sequence[Annotation]):
    """The annotations of one image, the frontmost last; immutable.

    Attributes:
        items: the annotations.
        image: the image that they are of.
        labels: the labels to choose from. It is made from anything that `LabelSet.of` takes, by
            default nothing, and those of the annotations are added where they are missing.

    Raises:
        AnnotationError: a mask that is not of the image's size, or an id twice.
    """

    items: tuple[Annotation, ...]
    image: ImageInfo
    labels: LabelSet

    def __init__(
        self, items: Iterable[Annotation], image: ImageInfo, labels: LabelsLike = None
    ) -> None:
        items = tuple(items)
        size = (image.height, image.width)
        ids: set[str] = set()
        for item in items:
            given: Any = item
            if not isinstance(given, Annotation):
                raise AnnotationError(
                    f"Annotations hold a {type(given).__name__}; expected Annotation values. "
                    "Annotation.from_mask(mask, label=...) makes one."
                )
            if item.rle.size != size:
                raise AnnotationError(
                    f"The mask of annotation {item.id!r} is of size {item.rle.size}, but "
                    f"{image.name!r} is {size}; both are (height, width). Does it belong to "
                    "another image?"
                )
            if item.id in ids:
                raise AnnotationError(
                    f"The annotation id {item.id!r} is there twice; expected each once. "
                    "Leave one out, or give it another id."
                )
            ids.add(item.id)
        names = list(dict.fromkeys(item.label for item in items))
        known = LabelSet.of(names if labels is None else labels)
        for name in names:
            known = known if name in known.names else known.add(name)
        object.__setattr__(self, "items", items)
        object.__setattr__(self, "image", image)
        object.__setattr__(self, "labels", known)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """All masks, (N, H, W) bool, in order; (0, H, W) where there is none."""
        masks = np.zeros((len(self.items), self.image.height, self.image.width), np.bool_)
        for mask, item in zip(masks, self.items, strict=True):
            mask[:] = item.mask
        return masks

    def to_dataframe(self) -> pd.DataFrame:
        """One row an annotation, in order.

        Columns: id, label, area (pixels), x0, y0, x1, y1 (the box, pixels), predicted_iou,
        stability_score (NaN where no model spoke), clicks, boxes (how many of each were given),
        picked, seconds, model, checkpoint, created (UTC), visible, origin, image (its name),
        image_sha256, threshold, region ((x0, y0, x1, y1) or None), edits (names, with commas),
        parent, author, and one for each attribute by its name, None where there is no value; where
        a column has that name already, "attribute." stands before it.
        """
        from segwidget.annotation.table import to_dataframe

        return to_dataframe(self)

    def to_coco(self) -> dict[str, Any]:
        """The annotations as a COCO data set with run-length masks, ready for JSON."""
        from segwidget.annotation.formats.coco import to_coco

        return to_coco(self)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write the annotations to a file, whole or not at all.

        Args:
            path: the file's suffix says the format: `.coco.json` or `.json` is COCO, `.sa1b.json`
                is SA-1B.

        Returns:
            The path that was written.

        Raises:
            FormatError: no format has this suffix.
            StoreError: the place cannot be written; what was there before is untouched.
        """
        from segwidget.annotation.formats import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | PathLike[str], *, image: str | None = None) -> Annotations:
        """Read annotations from a file.

        Args:
            path: the file's suffix says the format: `.coco.json` is COCO, `.sa1b.json` is SA-1B,
                and `.json` is either.
            image: the name of the image, where the file holds several.

        Raises:
            FormatError: no format has this suffix, or the file is not of its format.
            StoreError: the file cannot be read.
        """
        from segwidget.annotation.formats import load

        return load(path, image=image)

    @overload
    def __getitem__(self, index: int) -> Annotation: ...
    @overload
    def __getitem__(self, index: slice) -> Annotations: ...
    def __getitem__(self, index: int | slice) -> Annotation | Annotations:
        if isinstance(index, slice):
            return Annotations(self.items[index], self.image, self.labels)
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Annotation]:
        return iter(self.items)

    def __repr__(self) -> str:
        count = f"{len(self)} annotation" + ("" if len(self) == 1 else "s")
        return f"<{count} of {self.image.name!r}, {self.image.width} × {self.image.height}>"

    def _repr_html_(self) -> str:
        from segwidget.annotation.table import to_html

        return to_html(self, html.escape(repr(self)))
