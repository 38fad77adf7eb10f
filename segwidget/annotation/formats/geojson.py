"""GeoJSON (RFC 7946), both ways: a FeatureCollection for each image, as QuPath and samgeo have it.

A mask is a Polygon or a MultiPolygon that follows the edges of its pixels, holes and islands too.
Coordinates are pixels from the upper left corner. Where the image is a GeoTIFF whose place on the
map is known, they are of the map, in the image's own system, which the member `crs` names as in
GeoJSON of 2008. A file with such a member is read by it; one without has pixels, but for images in
longitude and latitude (EPSG:4326), where RFC 7946 takes it for granted.

A feature's label is where QuPath has it, at `properties.classification`; in other files
`properties.label`, `class`, `category` or `name` are read. All else of an annotation is under
`properties.segwidget`, and what is known of the image under `segwidget`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.atomic import write_atomically
from segwidget.annotation.colors import channels_of
from segwidget.annotation.formats.coco import read_json
from segwidget.annotation.formats.folders import file_per_image
from segwidget.annotation.formats.shapes import CUT, filled
from segwidget.annotation.labels import DEFAULT_NAME, Label, LabelSet
from segwidget.annotation.polygons import polygons_of
from segwidget.errors import FormatError, SegwidgetError
from segwidget.media.georeference import Georeference

_MEASURED = frozenset({"rle", "box", "area", "label", "id"})
_FIELDS = frozenset(one.name for one in fields(Annotation)) - _MEASURED
_WGS84 = 4326
_CRS84 = "urn:ogc:def:crs:OGC:1.3:CRS84"  # EPSG:4326 with the longitude first


def write_geojson(annotations: Annotations, path: Path, *, images: Any = None) -> Path:
    """Write the GeoJSON of an image, whole or not at all.

    Args:
        annotations: of the image.
        path: of the file.
        images: its method `georeference(name)`, where it has one, tells the image's place.

    Raises:
        StoreError: the place cannot be written.
    """
    image = annotations.image
    tell = getattr(images, "georeference", None)
    place: Georeference | None = None if tell is None else tell(image.name)
    about: dict[str, Any] = {
        "image": image.name, "width": image.width, "height": image.height, "sha256": image.sha256,
        "labels": annotations.labels.to_json(),
    }  # fmt: skip
    data: dict[str, Any] = {"type": "FeatureCollection"}
    if place is not None:
        about["transform"] = list(place.transform)
        name = _CRS84 if place.epsg == _WGS84 else f"urn:ogc:def:crs:EPSG::{place.epsg}"
        data["crs"] = {"type": "name", "properties": {"name": name}}
    data["segwidget"] = about
    data["features"] = [_feature(item, annotations.labels, place) for item in annotations]
    return write_atomically(path, json.dumps(data, allow_nan=False).encode("ascii"))


def _feature(item: Annotation, labels: LabelSet, place: Georeference | None) -> dict[str, Any]:
    polygons = []
    for polygon in polygons_of(item.rle):
        rings = []
        for ring in polygon:
            corners = ring if place is None else place.to_map(ring)
            # An outer ring turns counterclockwise, were y up: RFC 7946, section 3.1.6.
            corners = corners[::-1] if place is not None and place.flips else corners
            rings.append(np.concatenate([corners, corners[:1]]).tolist())
        polygons.append(rings)
    single = len(polygons) == 1
    color = labels.color_of(item.label)
    rest = {key: value for key, value in item.to_dict().items() if key in _FIELDS}
    return {
        "type": "Feature",
        "id": item.id,
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": polygons[0] if single else polygons,
        },
        "properties": {
            "objectType": "annotation",
            "classification": {
                "name": item.label,
                "color": list(channels_of(color)),
            },
            "segwidget": rest,
        },
    }


def read_geojson(path: Path, *, sizes: Any = None) -> tuple[Annotations, list[str]]:
    """Read the GeoJSON of an image.

    Args:
        path: of the file; where it does not name its image, the image is called like the file.
        sizes: gives an image's (height, width) by its name; its method `georeference(name)`, where
            it has one, the image's place.

    Returns:
        The annotations, and a sentence for each feature that was left out or cut off.

    Raises:
        StoreError: the file cannot be read.
        FormatError: it is no GeoJSON, or nothing tells the image's size or place.
    """
    name, data = path.name, read_json(path)
    features = _features(data)
    if features is None:
        raise FormatError(f"{name!r} has no list of 'features'. Is this GeoJSON?")
    about = data.get("segwidget") if isinstance(data, Mapping) else None
    about = about if isinstance(about, Mapping) else {}
    image = _image(about, path, sizes)
    place = _place(data if isinstance(data, Mapping) else {}, about, image, sizes, name)
    problems: list[str] = []
    known = _labels(about, name, problems)
    items: list[Annotation] = []
    ids: set[str] = set()
    for index, feature in enumerate(features):
        where = f"{name}: features[{index}]"
        try:
            item, cut, color = _read_feature(feature, image, place)
            if item.id in ids:
                raise FormatError(f"Its id {item.id[:100]!r} is there twice.")
        except SegwidgetError as error:
            problems.append(f"{where} was left out: {error}")
            continue
        if cut:
            problems.append(f"{where} {CUT}")
        if item.label not in known:
            known[item.label] = color
        ids.add(item.id)
        items.append(item)
    labels = LabelSet.of(
        [one if isinstance(one, Label) else {"name": key, "color": one}
         for key, one in known.items()]
    ) if known else None  # fmt: skip
    return Annotations(items, image, labels), problems


def _features(data: Any) -> list[Any] | None:
    """The features; QuPath also writes them as a bare list, or one alone."""
    if isinstance(data, list):
        return data
    if isinstance(data, Mapping) and data.get("type") == "Feature":
        return [data]
    found = data.get("features") if isinstance(data, Mapping) else None
    return found if isinstance(found, list) else None


def _image(about: Mapping[str, Any], path: Path, sizes: Any) -> ImageInfo:
    name = about.get("image", path.stem)
    try:
        if "width" in about and "height" in about:
            return ImageInfo(name, about["width"], about["height"], about.get("sha256", ""))
        if sizes is None:
            raise FormatError(
                "it does not say how large its image is. Import it into a project that has the "
                "image, or give sizes=..."
            )
        try:
            height, width = sizes(name)
        except KeyError:
            raise FormatError(f"no image is called {name!r}.") from None
        return ImageInfo(name, width, height)
    except SegwidgetError as error:
        raise FormatError(f"{path.name!r}: {error}") from error


def _place(
    data: Mapping[str, Any], about: Mapping[str, Any], image: ImageInfo, sizes: Any, name: str
) -> Georeference | None:
    """The place on the map that the coordinates are meant by; None where they are pixels."""
    epsg = _epsg(data.get("crs"), name)
    transform = about.get("transform")
    if transform is not None:
        try:
            return Georeference(tuple(map(float, transform)), epsg or _WGS84)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise FormatError(
                f"{name!r}: segwidget.transform is {str(transform)[:100]}; expected six numbers."
            ) from error
    tell = getattr(sizes, "georeference", None)
    there: Georeference | None = None if tell is None else tell(image.name)
    if epsg is None:
        return there if there is not None and there.epsg == _WGS84 else None
    if there is None or there.epsg != epsg:
        has = "no place on the map" if there is None else f"coordinates in EPSG:{there.epsg}"
        raise FormatError(
            f"{name!r} has coordinates in EPSG:{epsg}, but its image has {has}. Reproject the file "
            "to the image's system first, or take out 'crs' if they are pixels."
        )
    return there


def _epsg(crs: Any, name: str) -> int | None:
    if crs is None:
        return None
    properties = crs.get("properties") if isinstance(crs, Mapping) else None
    text = properties.get("name") if isinstance(properties, Mapping) else None
    if isinstance(text, str):
        if "CRS84" in text:
            return _WGS84
        found = re.fullmatch(r"(?:urn:ogc:def:crs:)?EPSG:[\d.]*:?(\d{4,5})", text.strip())
        if found:
            return int(found[1])
    raise FormatError(
        f"{name!r}: its 'crs' is {str(crs)[:100]}; expected the name of an EPSG code."
    )


def _read_feature(
    feature: Any, image: ImageInfo, place: Georeference | None
) -> tuple[Annotation, bool, str | None]:
    """An annotation, whether it was cut off, and its label's color."""
    if not isinstance(feature, Mapping) or not isinstance(feature.get("geometry"), Mapping):
        raise FormatError("It is no feature with a 'geometry'.")
    given = feature.get("properties")
    properties = given if isinstance(given, Mapping) else {}
    label, color = _label(properties)
    polygons = _polygons(feature["geometry"], place)
    rle, cut = filled(polygons, (image.height, image.width))
    extras = properties.get("segwidget")
    rest = dict(extras) if isinstance(extras, Mapping) else {}
    unknown = sorted(str(key) for key in rest.keys() - _FIELDS)
    if unknown:
        raise FormatError(
            f"'segwidget' has {', '.join(unknown)[:100]}, of a newer version perhaps."
        )
    made: dict[str, Any] = {"origin": "imported", "image": image.sha256, **rest}
    id_ = feature.get("id")
    if isinstance(id_, str | int) and not isinstance(id_, bool) and str(id_).strip():
        made["id"] = str(id_)
    return Annotation.from_rle(rle, label=label, **made), cut, color


def _label(properties: Mapping[str, Any]) -> tuple[str, str | None]:
    found: Any = properties.get("classification")
    color: Any = None
    if isinstance(found, Mapping):
        color = found.get("color")
        found = found.get("name")
    names = [found, *(properties.get(key) for key in ("label", "class", "category", "name"))]
    label = next((name for name in names if isinstance(name, str) and name.strip()), DEFAULT_NAME)
    if not (
        isinstance(color, list)
        and len(color) == 3
        and all(isinstance(one, int) and 0 <= one <= 255 for one in color)
    ):
        return label.strip(), None
    return label.strip(), "#{:02x}{:02x}{:02x}".format(*color)


def _polygons(geometry: Mapping[str, Any], place: Georeference | None) -> list[list[Any]]:
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        parts = geometry.get("geometries")
        if isinstance(parts, list) and all(
            isinstance(part, Mapping) and part.get("type") in ("Polygon", "MultiPolygon")
            for part in parts
        ):
            return [polygon for part in parts for polygon in _polygons(part, place)]
        raise FormatError("It is a collection of more than polygons.")
    if kind not in ("Polygon", "MultiPolygon"):
        raise FormatError(f"It is a {str(kind)[:50]!r}, which encloses nothing.")
    given = [coordinates] if kind == "Polygon" else coordinates
    try:
        return [[_ring(ring, place) for ring in polygon] for polygon in given]  # type: ignore[union-attr]
    except TypeError:
        raise FormatError("Its coordinates are no lists of rings.") from None


def _ring(ring: Any, place: Georeference | None) -> Any:
    try:
        points = np.array([pair[:2] for pair in ring], np.float64)
    except (TypeError, ValueError, IndexError):
        points = np.zeros((0, 0))
    if points.ndim != 2 or points.shape[1:] != (2,) or not np.isfinite(points).all():
        raise FormatError("Its coordinates are no [x, y] of each corner.")
    if len(points) > 1 and (points[0] == points[-1]).all():
        points = points[:-1]
    if place is None:
        return points
    pixels = place.to_pixels(points)
    # Maps have large numbers, whose rounding must not move a corner off its pixel's edge.
    whole = np.rint(pixels)
    spread = max(1.0, math.ceil(float(np.abs(pixels).max(initial=0)) / 1e6))
    return np.where(np.abs(pixels - whole) < 1e-4 * spread, whole, pixels)


def _labels(about: Mapping[str, Any], name: str, problems: list[str]) -> dict[str, Any]:
    """The file's own labels by name; colors of others' are added as they are met."""
    if "labels" not in about:
        return {}
    try:
        return {label.name: label for label in LabelSet.from_json(about["labels"])}
    except SegwidgetError as error:
        problems.append(f"{name}: segwidget.labels was left out: {error}")
        return {}


FORMAT = file_per_image(
    "geojson", "GeoJSON", exact=True, write_one=write_geojson, read_one=read_geojson,
    suffix=".geojson", hears=True,
)  # fmt: skip
