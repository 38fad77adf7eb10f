"""The file that carries a whole widget."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from segwidget import Segmenter
from segwidget.annotation.annotation import Annotation
from segwidget.errors import ModelError, StoreError
from segwidget.widget import html as html_module
from segwidget.widget.parts import Bundle, Part

HOSTILE = "</script><!--<script><b onclick=\"x()\">&amp; 'cat'"


class Elements(HTMLParser):
    """The elements of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._in = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._in] = self.texts.get(self._in, "") + data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def seg(loads: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Segmenter]:
    """A widget with hostile names and a stand-in for what answers in the page."""
    part = Part.of(b"graph" * 100)
    decoder = {"wasm": part.to_json(), "frame": {"region": [0, 0, 80, 60]}}
    monkeypatch.setattr(html_module, "bundle", lambda _: Bundle(decoder, {part.key: part}))
    static = tmp_path / "static"
    static.mkdir()
    (static / "standalone.js").write_text("const a = '</script>';")
    (static / "widget.css").write_text(".segwidget { color: red }")
    monkeypatch.setattr(html_module, "STATIC", static)
    mask = np.zeros((60, 80), bool)
    mask[10:20, 10:30] = True
    seg = Segmenter(
        np.zeros((60, 80, 3), np.uint8),
        labels=[HOSTILE],
        annotations=[Annotation.from_mask(mask, label=HOSTILE)],
        height=333,
    )
    yield seg
    seg.close()


def test_all_that_was_kept_is_inside_and_text_stays_text(seg: Segmenter, tmp_path: Path) -> None:
    path = seg.to_html(tmp_path / "demo.html", title=HOSTILE)
    elements = Elements(path.read_text("utf-8"))
    assert [tag for tag, _ in elements.found if tag in ("b", "img", "iframe", "link")] == []
    assert elements.texts["title"] == elements.texts["h1"] == HOSTILE
    traits = json.loads(elements.texts["segwidget-traits"])
    assert traits["labels"][0]["name"] == traits["annotations"][0]["label"] == HOSTILE
    assert traits["label"] == HOSTILE
    assert traits["height"] == 333
    assert "prompts" not in traits
    assert traits["annotations"][0]["rle"] == seg.annotations[0].rle.to_dict()
    image = base64.b64decode(elements.texts["segwidget-image"])
    assert image == seg.image_json["data"]
    key = traits["decoder"]["wasm"]["key"]
    packed = base64.b64decode(elements.texts[f"segwidget-part-{key}"])
    assert gzip.decompress(packed) == b"graph" * 100


def test_the_policy_lets_only_this_script_run_and_nothing_be_fetched(
    seg: Segmenter, tmp_path: Path
) -> None:
    text = seg.to_html(tmp_path / "demo.html").read_text("utf-8")
    [policy] = [
        meta["content"]
        for meta in Elements(text).named("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in (policy or "").split("; "))
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert "unsafe-inline" not in rules["script-src"] + rules["style-src"]
    [script] = re.findall(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    assert html_module._hash(script) in rules["script-src"]
    assert script == "const a = '<\\/script>';"


def test_the_picture_may_be_taller_and_the_title_is_the_images_name(
    seg: Segmenter, tmp_path: Path
) -> None:
    elements = Elements(seg.to_html(tmp_path / "a.html", height=700).read_text("utf-8"))
    assert json.loads(elements.texts["segwidget-traits"])["height"] == 700
    assert elements.texts["title"] == "image"


def test_what_cannot_be_written_is_said_and_leaves_nothing(
    seg: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        seg.to_html(tmp_path)
    with pytest.raises(StoreError, match="there is no folder"):
        seg.to_html(tmp_path / "missing" / "demo.html")

    def refuse(_: object) -> Bundle:
        raise ModelError("The model cannot answer prompts in a page.")

    monkeypatch.setattr(html_module, "bundle", refuse)
    with pytest.raises(ModelError, match="in a page"):
        seg.to_html(tmp_path / "demo.html")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == []
