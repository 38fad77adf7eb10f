"""Which format a file or a folder is in, by how it looks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

# Suffix -> format; the first that fits counts.
_SUFFIXES = {
    ".sa1b.json": "sa1b", ".json": "coco", ".parquet": "parquet", ".xml": "cvat",
    ".geojson": "geojson",
}  # fmt: skip
_BOX = re.compile(rb"\s*\d+(\s+[-+.\deE]+){4,5}\s*$")


def guess(place: Path) -> str | None:
    """The format's name; None where nothing tells.

    Args:
        place: a file, which may not be there yet, or a folder.
    """
    if place.is_dir():
        return _guess_folder(place)
    name = place.name.lower()
    return next((format_ for suffix, format_ in _SUFFIXES.items() if name.endswith(suffix)), None)


def _guess_folder(place: Path) -> str | None:
    if (place / "data.yaml").is_file():
        return "yolo-boxes" if _has_boxes(place / "labels") else "yolo-seg"
    if (place / "Annotations").is_dir():
        return "voc"
    if (place / "annotations.xml").is_file():
        return "cvat"
    if next(place.rglob("*.geojson"), None):
        return "geojson"
    if next(place.rglob("*.parquet"), None):
        return "parquet"
    if next(place.rglob("*_gtFine_*Ids.png"), None):
        return "cityscapes"
    if _says(place.glob("*.json"), b'"segments_info"') or _says(
        place.glob("annotations/*.json"), b'"segments_info"'
    ):
        return "coco-panoptic"
    if _says(place.glob("labels.json"), b'"images"') or (
        next(place.rglob("*.png"), None) and not next(place.rglob("*.json"), None)
    ):
        return "indexed-png"
    for file in sorted(place.rglob("*.json")):
        with file.open("rb") as stream:
            start = stream.read(4096)
        return "labelme" if b'"shapes"' in start else "sa1b"
    return None


def _says(files: Iterable[Path], word: bytes) -> bool:
    """Whether one of the files holds a word, within reason."""
    for file in files:
        with file.open("rb") as stream:
            if word in stream.read(2**26):
                return True
    return False


def _has_boxes(labels: Path) -> bool:
    """Whether the first row of YOLO's has the numbers of a box."""
    for file in sorted(labels.rglob("*.txt")):
        with file.open("rb") as stream:
            for line in stream.read(2**16).splitlines():
                if line.strip():
                    return _BOX.match(line) is not None
    return False
