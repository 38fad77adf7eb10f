"""Review: one mask after the other, or all of an image at once, accepted or rejected."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import numpy as np
from numpy.typing import NDArray

from segwidget.annotation.annotation import Annotation
from segwidget.annotation.store import Store
from segwidget.annotation.store_values import Status
from segwidget.media.image import Image
from segwidget.widget.thumbnails import jpeg, overlaid, shrink

CROP_SIDE = 132  # CSS pixels, at most
MARGIN = 0.25  # of a mask's box, around it
LONGEST = 300.0  # seconds; nobody looks at a mask for longer, but people go for lunch


class Review:
    """The bar for review; which masks were accepted is kept in the store.

    Args:
        store: of the project.
        reject: takes a mask off its image, as a step that can be undone.
        verdict: sets an image's status, ``"accepted"`` or ``"rejected"``, notes the seconds that
            the judgement took, and goes on.
        spent: told of the seconds that the judgement of a mask took, and of its image's key.
        look_again: called when a mask was accepted and others are left.
        attempt: does what a button asks for, and tells what fails.
    """

    def __init__(
        self,
        store: Store,
        reject: Callable[[str], None],
        verdict: Callable[[Status, float], None],
        spent: Callable[[str, float], None],
        look_again: Callable[[], None],
        attempt: Callable[[Callable[[], None]], None],
    ) -> None:
        self._store, self._reject = store, reject
        self._verdict, self._spent, self._look_again = verdict, spent, look_again
        self._since, self._seen = time.monotonic(), ("", "")
        self._key: str | None = None
        self._image: Image | None = None
        self._waiting: tuple[Annotation, ...] = ()
        self._crop = ipywidgets.Image(format="jpeg")
        self._crop.add_class("segwidget-app-crop")
        self._which = ipywidgets.Label()
        self._which.add_class("segwidget-app-title")
        self._what = ipywidgets.Label()
        self._what.add_class("segwidget-app-quiet")
        self.accept_button = _button("Accept mask", "check", "This mask is good; on to the next.")
        self.reject_button = _button(
            "Reject mask", "times", "Take this mask off; undo puts it back."
        )
        self.accept_image_button = _button("Accept image", "check-square-o", "All of it is good.")
        self.reject_image_button = _button("Reject image", "ban", "Somebody has to do it again.")
        self.accept_button.on_click(lambda _: attempt(self.accept))
        self.reject_button.on_click(lambda _: attempt(self.reject))
        self.accept_image_button.on_click(lambda _: attempt(lambda: self._judge("accepted")))
        self.reject_image_button.on_click(lambda _: attempt(lambda: self._judge("rejected")))
        words = ipywidgets.VBox([self._which, self._what])
        words.add_class("segwidget-app-words")
        self._masks = ipywidgets.HBox([self._crop, words, self.accept_button, self.reject_button])
        self._masks.add_class("segwidget-app-row")
        images = ipywidgets.HBox([self.accept_image_button, self.reject_image_button])
        images.add_class("segwidget-app-row")
        images.add_class("segwidget-app-end")
        self.box = ipywidgets.HBox([self._masks, images])
        self.box.add_class("segwidget-app-review")

    @property
    def mask(self) -> Annotation | None:
        """The mask that is judged now; None where all are."""
        return self._waiting[0] if self._waiting else None

    def look_at(
        self,
        key: str | None,
        image: Image | None = None,
        annotations: Sequence[Annotation] = (),
        colors: dict[str, str] | None = None,
    ) -> None:
        """Judge an image's masks, or go on with those that are left."""
        self._key, self._image = key, image
        accepted = set() if key is None else set(self.accepted(key))
        self._waiting = tuple(a for a in annotations if a.id not in accepted)
        for button in (self.accept_image_button, self.reject_image_button):
            button.disabled = key is None
        mask = self.mask
        seen = key or "", mask.id if mask is not None else ""
        if seen != self._seen:  # looking at it begins
            self._since, self._seen = time.monotonic(), seen
        for button in (self.accept_button, self.reject_button):
            button.disabled = mask is None
        self._crop.layout.display = "none" if mask is None else ""
        if mask is None or image is None:
            self._which.value = "No mask" if not annotations else "All masks are judged"
            self._what.value = "" if key is None else "Judge the image as a whole."
            return
        number = len(annotations) - len(self._waiting) + 1
        self._which.value = f"{mask.label} · mask {number} of {len(annotations)}"
        self._what.value = described(mask)
        self._crop.value = jpeg(crop_of(image, mask, colors or {}), 88)

    def accepted(self, key: str) -> list[str]:
        """Ids of an image's masks that were accepted."""
        found: Any = self._store.get_meta(f"accepted masks of {key}", [])
        return [id_ for id_ in found if isinstance(id_, str)] if isinstance(found, list) else []

    def accept(self) -> None:
        """Accept the present mask; when it was the last one, the image is accepted."""
        key, mask = self._key, self.mask
        if key is None or mask is None:
            return
        accepted = {f"accepted masks of {key}": [*self.accepted(key), mask.id]}
        seconds, last = self._seconds(), len(self._waiting) == 1
        self._store.log(key, f"accept {mask.label}", seconds=seconds, meta=accepted)
        self._spent(key, seconds)
        if last:
            self._judge("accepted")
        else:
            self._look_again()

    def reject(self) -> None:
        """Reject the present mask: it is taken off the image."""
        key, mask = self._key, self.mask
        if key is not None and mask is not None:
            seconds = self._seconds()
            self._reject(mask.id)
            self._store.log(key, f"reject {mask.label}", seconds=seconds)
            self._spent(key, seconds)

    def _judge(self, status: Status) -> None:
        self._verdict(status, self._seconds())

    def _seconds(self) -> float:
        """How long what is shown was looked at; counted once."""
        now = time.monotonic()
        seconds, self._since = min(LONGEST, now - self._since), now
        return round(seconds, 3)


def described(mask: Annotation) -> str:
    """What a reviewer wants to know, in a line."""
    parts = [f"{mask.area:,} px"]
    if mask.predicted_iou is not None:
        parts.insert(0, f"predicted IoU {mask.predicted_iou:.2f}")
    if mask.author:
        parts.append(f"by {mask.author}")
    elif mask.origin != "assisted":
        parts.append(mask.origin)
    return " · ".join(parts)


def crop_of(image: Image, mask: Annotation, colors: dict[str, str]) -> NDArray[np.uint8]:
    """A mask and what is around it, uint8 (h, w, 3), small."""
    x0, y0, x1, y1 = mask.box
    margin = MARGIN * max(x1 - x0, y1 - y0) + 4
    left, top = int(max(0, x0 - margin)), int(max(0, y0 - margin))
    right, bottom = int(min(image.width, x1 + margin)), int(min(image.height, y1 + margin))
    part = Image(image.pixels[top:bottom, left:right])
    inner = mask.mask[top:bottom, left:right]
    cut = Annotation.from_mask(inner, label=mask.label)
    return overlaid(shrink(part, 2 * CROP_SIDE), [cut], colors, fill=0.3)


def _button(text: str, icon: str, tooltip: str) -> ipywidgets.Button:
    return ipywidgets.Button(description=text, icon=icon, tooltip=tooltip)
