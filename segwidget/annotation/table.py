"""Annotations as tables: for pandas, and for a notebook's output."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from segwidget.inference.prompts import Box, Point

if TYPE_CHECKING:
    import pandas as pd

    from segwidget.annotation.annotation import Annotations

SHOWN_ROWS = 20

# Stated, so that an empty table has the same types as a full one.
_TYPES = {
    "id": "object", "label": "object", "area": "int64",
    "x0": "float64", "y0": "float64", "x1": "float64", "y1": "float64",
    "predicted_iou": "float64", "stability_score": "float64",
    "clicks": "int64", "boxes": "int64", "picked": "int64", "seconds": "float64",
    "model": "object", "checkpoint": "object", "created": "datetime64[us, UTC]",
    "visible": "bool", "origin": "object", "image": "object", "image_sha256": "object",
    "threshold": "float64", "region": "object", "edits": "object",
    "parent": "object", "author": "object",
}  # fmt: skip


def to_dataframe(annotations: Annotations) -> pd.DataFrame:
    """One row an annotation; `Annotations.to_dataframe` describes the columns."""
    import pandas as pd  # takes half a second, and only this needs it

    rows = [
        (
            item.id,
            item.label,
            item.area,
            *item.box,
            item.predicted_iou,
            item.stability_score,
            sum(isinstance(prompt, Point) for prompt in item.prompts),
            sum(isinstance(prompt, Box) for prompt in item.prompts),
            item.picked,
            item.seconds,
            item.model,
            item.checkpoint,
            item.created or None,
            item.visible,
            item.origin,
            annotations.image.name,
            annotations.image.sha256,
            item.threshold,
            item.region,
            ", ".join(item.edits),
            item.parent,
            item.author,
        )
        for item in annotations
    ]
    frame = pd.DataFrame(rows, columns=list(_TYPES), dtype=object)
    frame["created"] = pd.to_datetime(frame["created"], utc=True, format="ISO8601")
    frame = frame.astype(_TYPES)
    for name, column in _attributes(annotations).items():
        frame[name] = column
    return frame


def _attributes(annotations: Annotations) -> dict[str, pd.Series[Any]]:
    """A column for each attribute that labels define or annotations have."""
    import pandas as pd

    kinds = {
        attribute.name: attribute.kind
        for label in annotations.labels
        for attribute in label.attributes
    }
    names = [one.name for label in annotations.labels for one in label.attributes]
    names += [name for item in annotations for name in item.attributes]
    columns = {}
    for name in dict.fromkeys(names):
        values = [item.attributes.get(name) for item in annotations]
        numbers = kinds.get(name) == "number" and not any(
            isinstance(v, str | tuple) for v in values
        )
        column = name
        while column in _TYPES or column in columns:
            column = f"attribute.{column}"
        columns[column] = pd.Series(values, dtype="float64" if numbers else "object")
    return columns


def to_html(annotations: Annotations, caption: str) -> str:
    """The first rows as an HTML table; every text is escaped.

    Args:
        annotations: what to show.
        caption: HTML to stand above, escaped already.
    """
    head = "".join(f"<th>{name}</th>" for name in ("label", "area", "predicted IoU", "stability"))
    rows = []
    for item in annotations.items[:SHOWN_ROWS]:
        color = annotations.labels.color_of(item.label)
        swatch = f'<span style="color:{color}" aria-hidden="true">■</span>'
        scores = (
            "–" if score is None else f"{score:.3f}"
            for score in (item.predicted_iou, item.stability_score)
        )
        cells = (f"{swatch} {html.escape(item.label)}", f"{item.area:,}", *scores)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    more = len(annotations) - SHOWN_ROWS
    if more > 0:
        rows.append(f'<tr><td colspan="4">… and {more} more</td></tr>')
    return (
        f"<table><caption>{caption}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
