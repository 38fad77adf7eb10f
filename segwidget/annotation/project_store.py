"""How a project's images and its store come together: what each knows that the other does not."""

from __future__ import annotations

from collections.abc import Iterable

from segwidget.annotation.labels import LabelSet
from segwidget.annotation.store import Store
from segwidget.errors import ImageError
from segwidget.media.image import Image


def add_images(store: Store, keys: Iterable[str]) -> dict[str, str]:
    """Add images that a store does not have yet.

    Args:
        store: where they are added.
        keys: of all images.

    Returns:
        Why images could not be added, by key: none where the store can be written.

    Raises:
        StoreError: it cannot be written after all.
    """
    known = set(store.keys())
    new = [key for key in keys if key not in known]
    if store.read_only:
        reason = "It is new, and was left out, since the project is open for reading only."
        return dict.fromkeys(new, reason)
    if new:
        store.add_images([(key, None) for key in new])
    return {}


def add_labels(store: Store, wanted: LabelSet, keep_colors: bool) -> dict[str, str]:
    """Add labels that a store does not have yet.

    Args:
        store: where they are added.
        wanted: the labels.
        keep_colors: whether labels that both have stay as they are in the store.

    Returns:
        As `add_images` does, under the key "labels".

    Raises:
        StoreError: it cannot be written after all.
    """
    if not store.has_labels:
        labels = wanted
    else:
        present = store.labels
        labels = present if keep_colors else wanted
        for label in wanted if keep_colors else present:
            if label.name not in labels.names:
                labels = LabelSet((*labels, label))
        if labels == present:
            return {}
    if store.read_only:
        new = [name for name in labels.names if name not in store.labels.names]
        told = f"The labels {', '.join(map(repr, new))}" if new else "Changes of labels"
        return {"labels": f"{told} were left out, since the project is open for reading only."}
    store.set_labels(labels)
    return {}


def check_same(store: Store, key: str, image: Image, *, named: bool) -> None:
    """Masks of one picture must not come to lie upon another.

    Args:
        store: what is known of the images.
        key: of the image.
        image: as it was opened.
        named: whether the key is the name of a file, which is taken for the same as long as its
            size is; a position in a list says next to nothing.

    Raises:
        ImageError: it is not the image that was annotated.
    """
    known = store.info(key)
    if known is None or not store.annotations(key):
        return
    size, before = (image.width, image.height), (known.width, known.height)
    by_pixels = not named and known.sha256 != ""
    if size == before and not (by_pixels and image.sha256 != known.sha256):
        return
    told = f"{before[0]} × {before[1]} pixels, and this one {size[0]} × {size[1]}"
    raise ImageError(
        f"The image {key!r} is not the one that was annotated under this name: that had "
        f"{told if size != before else 'other pixels'}. Give these images another store: "
        "Project(..., store='other.db')."
    )
