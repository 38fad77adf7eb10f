"""Masks as polygons and back."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import ndimage

from segwidget.annotation.polygons import joined, polygons_of, ring_area, rle_of
from segwidget.errors import AnnotationError
from segwidget.inference.rle import Rle


def test_every_small_mask_comes_back_as_it_was() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        mask = random.random(random.integers(1, 14, 2)) < random.random()
        rle = Rle.encode(mask)
        polygons = polygons_of(rle)
        assert rle_of(polygons, rle.size) == rle
        assert len(polygons) == ndimage.label(mask)[1]
        assert sum(ring_area(ring) for polygon in polygons for ring in polygon) == rle.area
        for polygon in polygons:
            assert [ring_area(ring) > 0 for ring in polygon] == [True] + [False] * len(polygon[1:])
            assert sum(ring_area(ring) for ring in polygon) > 0  # the holes are its own
            assert all(len(np.unique(ring, axis=0)) == len(ring) for ring in polygon)
        if polygons:
            assert rle_of([[joined(polygons)]], rle.size) == rle


def test_thin_masks_keep_their_pixels() -> None:
    line = np.zeros((5, 9), bool)
    line[2, 1:8] = True
    (polygon,) = polygons_of(Rle.encode(line))
    assert [ring.tolist() for ring in polygon] == [[[1, 2], [8, 2], [8, 3], [1, 3]]]
    assert polygons_of(Rle.encode(np.zeros((4, 4), bool))) == []


def test_a_large_mask_takes_a_fraction_of_a_second() -> None:
    y, x = np.ogrid[:3000, :4000]
    mask = ((x - 2000) / 1900) ** 2 + ((y - 1500) / 1400) ** 2 < 1
    mask[1200:1600, 1800:2300] = False
    rle = Rle.encode(mask)
    began = time.process_time()
    polygons = polygons_of(rle)
    assert time.process_time() - began < 1.0  # about 0.08 on an idle core
    assert [len(polygon) for polygon in polygons] == [2]
    assert rle_of(polygons, rle.size) == rle


def test_a_simplified_polygon_has_fewer_corners_and_nearly_the_same_mask() -> None:
    y, x = np.ogrid[:200, :200]
    rle = Rle.encode((x - 100) ** 2 + (y - 100) ** 2 < 80**2)
    ((exact,),), ((simple,),) = polygons_of(rle), polygons_of(rle, tolerance=20)
    assert len(simple) < len(exact) / 3
    assert rle_of([[simple]], rle.size).iou(rle) >= 0.99
    with pytest.raises(AnnotationError, match="tolerance is -1"):
        polygons_of(rle, tolerance=-1)


def test_polygons_are_cut_off_at_the_image() -> None:
    square = [[-1e9, -5], [2, -5], [2, 1e9], [-1e9, 1e9]]
    assert rle_of([[square]], (3, 4)).decode().tolist() == [[True, True, False, False]] * 3
    away = [[10, 10], [12, 10], [12, 12]]
    assert rle_of([[away]], (3, 4)).area == 0


@pytest.mark.parametrize("ring", [[[0, 0], [1, 1]], [[0, 0], [1, 1], [np.nan, 2]], "abc", [1, 2]])
def test_what_is_no_ring_is_refused(ring: object) -> None:
    with pytest.raises(AnnotationError, match="ring of a polygon"):
        rle_of([[ring]], (4, 4))
