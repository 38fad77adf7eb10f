"""GeoJSON, both ways, in pixels and on the map."""

import json

import numpy as np
import pytest
from PIL import Image as PILImage
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from segwidget.annotation.annotation import Annotation, Annotations, ImageInfo
from segwidget.annotation.formats import coco, registry
from segwidget.annotation.formats.geojson import read_geojson, write_geojson
from segwidget.annotation.labels import LabelSet
from segwidget.annotation.polygons import ring_area
from segwidget.annotation.project import BaseProject
from segwidget.errors import FormatError
from segwidget.media.georeference import read_georeference

SIZE = (12, 20)
LABELS = LabelSet.of({"roof": "#ff8000", "road": "#0080ff"})


def mask():
    made = np.zeros(SIZE, bool)
    made[2:9, 3:15] = made[10, 18] = True
    made[4:6, 5:9] = False
    return made


@pytest.fixture
def record():
    items = [
        Annotation.from_mask(mask(), label="roof", attributes={"flat": True}),
        Annotation.from_mask(~mask(), label="road"),
    ]
    return Annotations(items, ImageInfo("../x.png", SIZE[1], SIZE[0]), LABELS)


def geotiff(path, scale=(0.5, 0.5, 0.0), tie=(0.0, 0.0, 0.0, 500000.0, 5400000.0, 0.0),
            keys=(1, 1, 0, 2, 1025, 0, 1, 1, 3072, 0, 1, 32633)):  # fmt: skip
    tags = ImageFileDirectory_v2()
    for tag, kind, values in ((33550, 12, scale), (33922, 12, tie), (34735, 3, keys)):
        tags.tagtype[tag] = kind
        tags[tag] = values
    PILImage.new("RGB", (SIZE[1], SIZE[0]), (9, 90, 9)).save(path, tiffinfo=tags)
    return path


def test_a_file_is_as_qupath_has_it(record, tmp_path):
    path = write_geojson(record, tmp_path / "x.geojson")
    data = json.loads(path.read_text())
    first = data["features"][0]
    assert data["type"] == "FeatureCollection"
    assert "crs" not in data
    assert first["properties"]["classification"] == {"name": "roof", "color": [255, 128, 0]}
    assert first["geometry"]["type"] == "MultiPolygon"
    outer, hole = (np.array(ring) for ring in first["geometry"]["coordinates"][0])
    assert (outer[0] == outer[-1]).all()
    assert ring_area(outer[:-1]) > 0 > ring_area(hole[:-1])  # RFC 7946, section 3.1.6
    back, problems = read_geojson(path)
    assert problems == []
    assert back.items == record.items
    assert back.labels.labels == LABELS.labels


def test_a_geotiff_is_known_by_its_tags(tmp_path):
    found = read_georeference(geotiff(tmp_path / "a.tif"))
    assert found.epsg == 32633
    assert found.flips
    points = np.array([[0.0, 0.0], [20.0, 12.0]])
    assert found.to_map(points).tolist() == [[500000, 5400000], [500010, 5399994]]
    assert found.to_pixels(found.to_map(points)) == pytest.approx(points)
    point = geotiff(tmp_path / "b.tif", keys=(1, 1, 0, 2, 1025, 0, 1, 2, 2048, 0, 1, 4326))
    assert read_georeference(point).transform[2] == 500000 - 0.25
    assert read_georeference(geotiff(tmp_path / "c.tif", scale=(0.0, 1.0, 0.0))) is None
    assert read_georeference(geotiff(tmp_path / "d.tif", keys=(1, 1, 0, 0))) is None
    (tmp_path / "e.tif").write_bytes(b"II*\0no")
    assert read_georeference(tmp_path / "e.tif") is None
    assert read_georeference(tmp_path / "e.png") is None


def test_masks_of_a_geotiff_lie_on_the_map_and_come_back(tmp_path):
    folder = tmp_path / "tiles"
    folder.mkdir()
    geotiff(folder / "a.tif")
    with BaseProject(folder, labels=LABELS) as project:
        project[0].annotations.add(mask(), "roof")
        out = project.export(tmp_path / "out", "geojson")
        (file,) = out.rglob("*.geojson")
        data = json.loads(file.read_text())
        assert data["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
        ring = np.array(data["features"][0]["geometry"]["coordinates"][0][0])
        assert ring.min(axis=0).tolist() == [500001.5, 5399995.5]
        assert ring_area(ring[:-1]) > 0  # counterclockwise with the north up
        # As another program would write it: nothing of ours is left.
        del data["segwidget"], data["features"][0]["properties"]["segwidget"]
        file.write_text(json.dumps(data))
        with BaseProject(folder, store=tmp_path / "other.db") as other:
            done = other.import_(out)
            assert done.problems == []
            assert (other[0].annotations[0].mask == mask()).all()
        data["crs"]["properties"]["name"] = "EPSG:3857"
        file.write_text(json.dumps(data))
        with BaseProject(folder, store=tmp_path / "third.db") as third:
            (problem,) = third.import_(out).problems
            assert "EPSG:3857" in problem
            assert "EPSG:32633" in problem


def feature(coordinates, kind="Polygon", **more):
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, **more}


def test_features_of_others_and_wrong_ones(tmp_path, monkeypatch):
    square = [[1, 1], [5, 1], [5, 4], [1, 4], [1, 1]]
    far = [[x + 90, y] for x, y in square]
    part = feature([[[-3, 0, 7], [4, 0, 7], [4, 4, 7]]], properties={"label": "b"})
    given = [
        feature([square], id="q", properties={"classification": {"name": "cell"}}),
        part,
        feature([square], id="q"),
        feature([far]),
        feature([square[:2]]),
        feature([1, 1], "Point"),
        feature("abc"),
        feature([[["x", 1], [2, 3], [3, 3]]]),
        feature([square], properties={"segwidget": {"future": 1}}),
        7,
        feature([[square]], "MultiPolygon", properties={"name": "c\n"}, id=4),
        {"type": "Feature", "properties": None,
         "geometry": {"type": "GeometryCollection", "geometries": [part["geometry"]]}},
    ]  # fmt: skip
    path = tmp_path / "scan.geojson"
    path.write_text(json.dumps(given))  # a bare list, as QuPath may write it
    read = registry.read(path, sizes=lambda name: {"scan": SIZE}[name])
    assert read.records[0].image.name == "scan"
    assert [one.label for one in read.records[0]] == ["cell", "b", "c", "object"]
    assert [p.split(" ")[1] for p in read.problems] == [
        f"features[{at}]" for at in (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)
    ]
    assert "how large" in registry.read(path).problems[0]
    assert "no image" in registry.read(path, sizes=lambda name: {}[name]).problems[0]
    monkeypatch.setattr(coco, "MAX_BYTES", 10)
    (problem,) = registry.read(path).problems
    assert "at most 10" in problem


def test_what_is_no_geojson(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text('{"type": "Topology"}')
    with pytest.raises(FormatError, match="features"):
        read_geojson(path)
    path.write_text('{"features": [], "crs": 3, "segwidget": {"width": 3, "height": 3}}')
    with pytest.raises(FormatError, match="crs"):
        read_geojson(path)
    path.write_text('{"features": [], "segwidget": {"width": 3, "height": 3, "transform": [0]}}')
    with pytest.raises(FormatError, match="six numbers"):
        read_geojson(path)
