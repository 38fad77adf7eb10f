"""Masks, polygons and boxes of other programs are refined by a click."""

import numpy as np
import pytest
from PIL import Image as PILImage

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import registry
from segwidget.annotation.project import BaseProject
from segwidget.inference.prompts import Box, MaskPrompt, Point

from .conftest import HEIGHT, PATIENCE, WIDTH

DOT = Point(40, 30)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    pixels = np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    PILImage.fromarray(pixels).save(place / "a.png")
    return place


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("voc", MaskPrompt),
        ("cvat", MaskPrompt),
        ("labelme-masks", MaskPrompt),
        ("geojson", MaskPrompt),
        ("coco-polygons", MaskPrompt),
        ("yolo-seg", MaskPrompt),
        ("yolo-boxes", Box),
    ],
)
def test_what_is_imported_opens_and_is_refined(name, kind, folder, tmp_path, make):
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 20:40, 30:50] = masks[1, 2:10, 4:20] = True
    items = [Annotation.from_mask(mask, label="car") for mask in masks]
    chosen = registry.get_format(name)
    out = tmp_path / ("out" if chosen.kind == "folder" else f"out{chosen.suffix}")
    given = Annotations(items, ImageInfo("a.png", WIDTH, HEIGHT))
    registry.export([given], out, name)
    with BaseProject(folder, labels=["car", "person"]) as project:
        assert project.import_(out, name).problems == []
        image = project[0]
        seg = make(image.image, annotations=image.record)
        first, second = seg.annotations
        assert {first.origin, second.origin} == {"imported"}
        assert first.image == seg.image.sha256
        seg.start_from(first.id)
        (start,) = seg.prompts
        assert isinstance(start, kind)
        seg.prompts = [start, DOT]
        assert seg.wait(PATIENCE)
        refined = seg.keep()
        assert refined.id == first.id
        assert (refined.label, refined.origin) == ("car", "assisted")
        assert refined.prompts == (start, DOT)
        assert refined.edits == ()
        assert refined.as_box is None
        assert refined.model == "embedded"
        assert seg.annotations[1] == second  # what nobody touched is still imported
        seg.undo()
        assert seg.annotations[0] == first
