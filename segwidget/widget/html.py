"""One HTML file with the whole widget inside: for lectures, reports and colleagues."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from os import PathLike
from pathlib import Path
from typing import Any

from segwidget.annotation.atomic import write_atomically
from segwidget.errors import StoreError
from segwidget.widget import protocol
from segwidget.widget.parts import Bundle, PartsWidget, bundle

STATIC = Path(__file__).parents[1] / "static"

# Traits that the page starts with; what is drafted stays behind.
TRAITS = ("label", "level", "appearance", "keys", "protect", "model", "height", "region")


class HtmlWidget(PartsWidget):
    """A widget that can be handed on as a file."""

    def to_html(
        self, path: str | PathLike[str], *, title: str | None = None, height: int | None = None
    ) -> Path:
        """Write one file in which a reader clicks and gets masks, without a kernel or a network.

        Image, kept annotations, labels, the image's embedding, the model's decoder and ONNX
        Runtime are inside: about 8 MB with the embedded model, more with others. The reader points,
        clicks, draws boxes, picks, keeps, takes back and zooms; what they keep stays in their page
        and is gone when it is closed. What only a kernel can do is left out. Nothing is sent or
        fetched: the file's own policy forbids the browser to.

        Args:
            path: of the file, such as ``"demo.html"``; what is there is replaced.
            title: of the page; by default the image's name.
            height: of the picture in the page, in CSS pixels; by default the widget's.

        Returns:
            The path as it was given.

        Raises:
            ModelError: this model's prompts can only be answered by a kernel.
            StoreError: the file cannot be written.
            ClosedError: after ``close``.
        """
        target = Path(path)
        if target.is_dir():
            raise StoreError(f"{str(target)!r} is a folder; expected the name of a file in it.")
        made = bundle(self)
        with self._lock:
            traits = self._traits_for(made)
            image = self.image_json
        if height is not None:
            traits["height"] = height
        text = page(title or self.image.name, traits, image, made)
        return write_atomically(path, text.encode("utf-8"))

    def _traits_for(self, made: Bundle) -> dict[str, Any]:
        """The traits that the page starts with, as they travel."""
        state = self.get_state([name for name in TRAITS if self.has_trait(name)])
        session = self._session
        return {
            **state,
            "labels": protocol.labels_to_json(session.labels),
            "annotations": protocol.annotations_to_json(session.annotations),
            "decoder": made.decoder,
        }


def page(title: str, traits: dict[str, Any], image: dict[str, Any], made: Bundle) -> str:
    """The text of the file.

    Args:
        title: any text.
        traits: what the page starts with, JSON, without the image.
        image: the value of the ``image`` trait.
        made: what answers prompts in the page.
    """
    script = _static("standalone.js")
    style = _static("widget.css") + PAGE_STYLE
    described = {key: value for key, value in image.items() if key != "data"}
    # Tiles come from a kernel; the preview is all there is here.
    described["tiles"] = None
    blocks = [
        _block("segwidget-traits", _json({**traits, "image": described}), "application/json"),
        _block("segwidget-image", _base64(image["data"]), "text/plain"),
    ]
    blocks += [
        _block(f"segwidget-part-{key}", _base64(part.data), "text/plain")
        for key, part in made.parts.items()
    ]
    name = html.escape(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(_policy(script, style))}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{name}</h1></header>
<main id="segwidget"></main>
<footer>All of this happens in your browser; nothing is sent. What you keep is gone when you close
the page. Made with segwidget.</footer>
{"".join(blocks)}<script type="module">{script}</script>
</body>
</html>
"""


PAGE_STYLE = """
body { margin: 0 auto; padding: 16px; max-width: 1280px; background: Canvas; color: CanvasText;
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { margin: 0 0 12px; font-size: 18px; font-weight: 600; overflow-wrap: anywhere; }
footer { margin-top: 12px; font-size: 12px; opacity: 0.7; }
"""


def _policy(script: str, style: str) -> str:
    """What the browser lets the file do: run this script and this style, and compute."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)} 'wasm-unsafe-eval' blob:",
            "worker-src blob:",
            # The picture's size and colors are set as styles of single elements.
            f"style-src {_hash(style)}",
            "style-src-attr 'unsafe-inline'",
            "img-src data: blob:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
    return f"'sha256-{digest}'"


def _block(name: str, text: str, mime: str) -> str:
    """Data in the page, which no browser runs."""
    return f'<script type="{mime}" id="{name}">{text}</script>\n'


def _json(value: Any) -> str:
    """JSON that can stand in a script element: no text of a user's ends it, or begins a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _static(name: str) -> str:
    """A file of the front end, so that it can stand in its element."""
    try:
        text = (STATIC / name).read_text("utf-8")
    except OSError as e:
        raise FileNotFoundError(
            f"The front end, {name}, is not there. Install segwidget again; in a clone of the "
            "repository, run 'make setup'."
        ) from e
    # In scripts and styles alike, a backslash before the slash changes nothing.
    return text.replace("</script", "<\\/script").replace("</style", "<\\/style")
