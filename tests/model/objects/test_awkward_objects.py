"""Segments and reference polygons as they are: overlapping, in parts, invalid, tiny, elsewhere, with long ids.

Every one of them is learnt from, classified and flagged as documented, or refused in one sentence.
"""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.objects.features_segments import open_segments
from landloom.model.objects.objectclassify import classify_objects
from landloom.model.objects.objecttraining import ObjectTraining, train_objects
from landloom.model.samples.settings import ExtractionSettings
from osgeo import gdal, ogr, osr

pytest.importorskip("sklearn")
UTM = spatial_reference("EPSG:32738").ExportToWkt()
CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
FIELDS, FIELD = 8, 5
SIDE = FIELDS * FIELD
CLASSES = np.random.default_rng(1).permutation(np.arange(FIELDS**2) % 2)


class Said(Progress):
    def __init__(self):
        self.lines = []

    def info(self, message):
        self.lines.append(message)

    warning = info

    @property
    def all(self):
        return "\n".join(self.lines)


@pytest.fixture(params=[False, True], ids=["errors by value", "GDAL exceptions"], autouse=True)
def exceptions(request):
    """Other plugins switch GDAL's exceptions on for the whole of QGIS."""
    modules = [one for one in (gdal, ogr, osr) if bool(one.GetUseExceptions()) != request.param]
    for module in modules if request.param else reversed(modules):  # GDAL wants the last one switched off first
        module.UseExceptions() if request.param else module.DontUseExceptions()
    yield
    for module in reversed(modules) if request.param else modules:
        module.DontUseExceptions() if request.param else module.UseExceptions()


def ring(place, inner=0.0, wide=1.0):
    """The corners of a field, or of a part of it, in fields."""
    row, column = divmod(place, FIELDS)
    x, y = 500000 + (column + inner) * FIELD * 10, 8000000 - (row + inner) * FIELD * 10
    side = (wide - 2 * inner) * FIELD * 10
    return f"({x} {y},{x + side} {y},{x + side} {y - side},{x} {y - side},{x} {y})"


def square(place, **part):
    return f"POLYGON({ring(place, **part)})"


def layer(path, wkts, epsg=32738, fids=None, **columns):
    """A GeoPackage with these shapes, given in UTM, in any CRS; None is a feature without geometry."""
    change = osr.CoordinateTransformation(spatial_reference("EPSG:32738"), spatial_reference(f"EPSG:{epsg}"))
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    made = dataset.CreateLayer("fields", spatial_reference(f"EPSG:{epsg}"), ogr.wkbUnknown)
    for name, values in columns.items():
        made.CreateField(ogr.FieldDefn(name, ogr.OFTString if isinstance(values[0], str) else ogr.OFTInteger))
    for place, wkt in enumerate(wkts):
        feature = ogr.Feature(made.GetLayerDefn())
        if wkt is not None:
            shape = ogr.CreateGeometryFromWkt(wkt)
            shape.Transform(change)
            feature.SetGeometry(shape)
        if fids is not None:
            feature.SetFID(fids[place])
        for name, values in columns.items():
            feature.SetField(name, values[place])
        made.CreateFeature(feature)
    return str(path)


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    level = np.kron(1000 + 1500 * CLASSES.reshape(FIELDS, FIELDS), np.ones((FIELD, FIELD)))
    values = (level + np.random.default_rng(0).normal(0, 50, (2, 2, SIDE, SIDE))).astype(np.int16)
    sensor = {"values": values, "bands": ["B4", "B8"], "dates": ["2021-01-05", "2021-03-05"], "scale": 1e-4}
    return make_stack(tmp_path_factory.mktemp("pile"), {"S2": sensor})


def crops(places):
    return [["maïs", "riz"][CLASSES[place]] for place in places]


def learnt(stack, segments, reference, progress=None):
    given = open_segments(segments, Progress())
    extraction, settings = ExtractionSettings(class_field="crop"), ObjectTraining(folds=2)
    return train_objects(stack, given, reference, extraction, settings, progress=progress or Progress())


def classified(stack, segments, model, folder, progress=None):
    """Object -> class, and the fields of every feature."""
    output = folder / "classified.gpkg"
    classify_objects(stack, open_segments(segments, Progress()), model, output, progress=progress or Progress())
    dataset = gdal.OpenEx(str(output))
    rows = [feature.items() for feature in dataset.GetLayer(0)]
    return {row["object"]: row for row in rows}


BOW = 9  # the field with the bow tie


def test_odd_segments_are_learnt_from_and_classified(stack, tmp_path):
    """One layer with all of them, in degrees, with ids beyond 2^31."""
    tie = ring(BOW)[1:-1].split(",")
    bow = f"POLYGON(({tie[0]},{tie[2]},{tie[1]},{tie[3]},{tie[0]}))"
    parts = f"MULTIPOLYGON(({ring(10, inner=0.0, wide=0.4)}),({ring(10, inner=0.55, wide=1.5)}))"
    shapes = [square(place) for place in range(FIELDS**2)]
    shapes[BOW], shapes[10] = bow, parts
    shapes += [square(20), square(22, inner=0.4), square(900), None]  # twice the same, one pixel, far away, empty
    fids = [2**32 + place for place in range(len(shapes))]
    segments = layer(tmp_path / "segments.gpkg", shapes, 4326, fids)
    known = [place for place in range(FIELDS**2) if place % 3]
    reference = layer(tmp_path / "r.gpkg", [square(place, inner=0.05) for place in known], 3857, crop=crops(known))
    said = Said()
    result = learnt(stack, segments, reference, said)
    assert "1 invalid geometries were repaired" in said.all and "1 features have no geometry" in said.all
    assert "2 objects have several parts" in said.all and "4 objects overlap others" in said.all
    assert "1 objects have fewer than 4 pixels: they are kept and flagged" in said.all
    assert set(known) < set(result.matched.objects.tolist()) and result.scores.overall_accuracy > 0.9
    small = len(shapes) - 3
    assert small in result.matched.objects  # the tiny one teaches as well
    twins = np.isin(result.matched.objects, [20, FIELDS**2])
    assert twins.sum() == 2 and len(np.unique(result.matched.groups[twins])) == 1  # never one against the other
    result.model.save(tmp_path / "m.safetensors")
    found = classified(stack, segments, tmp_path / "m.safetensors", tmp_path)
    assert set(found) == set(fids[:-1])
    right = [found[2**32 + place]["name"] == one for place, one in enumerate(crops(range(FIELDS**2)))]
    assert np.mean(right) > 0.95
    assert found[2**32 + FIELDS**2]["name"] == crops([20])[0]
    assert [row["object"] for row in found.values() if row["small"]] == [fids[small], fids[small + 1]]
    far = found[fids[small + 1]]
    assert far["pixels"] == 0 and far["class"] == 0 and far["name"] is None and far["confidence"] is None


def test_labels_beyond_two_to_the_31(stack, tmp_path):
    numbers = np.kron(np.arange(FIELDS**2).reshape(FIELDS, FIELDS), np.ones((FIELD, FIELD))) + 2.0**33
    segments = str(write_raster(tmp_path / "labels.tif", numbers, CORNER, UTM))
    places = range(FIELDS**2)
    reference = layer(tmp_path / "r.gpkg", [square(place) for place in places], crop=crops(places))
    learnt(stack, segments, reference).model.save(tmp_path / "m.safetensors")
    found = classified(stack, segments, tmp_path / "m.safetensors", tmp_path)
    assert [found[2**33 + place]["name"] for place in places] == crops(places)


def test_odd_reference_polygons(stack, tmp_path):
    """Where two of one class overlap, nothing changes; of two classes, the object is left out; bow ties are mended."""
    segments = layer(tmp_path / "segments.gpkg", [square(place) for place in range(FIELDS**2)])
    places = list(range(FIELDS**2))
    shapes = [square(place) for place in places]
    tie = ring(BOW)[1:-1].split(",")
    shapes[BOW] = f"POLYGON(({tie[0]},{tie[2]},{tie[1]},{tie[3]},{tie[0]}))"
    same, other = 12, 20
    shapes[12] = f"MULTIPOLYGON(({ring(12, inner=0.0, wide=0.5)}),({ring(12, inner=0.5, wide=1.5)}))"
    shapes += [square(same), square(other), square(500), None]
    names = [*crops([*places, same]), *crops([other]), "riz", "riz"]
    names[len(places) + 1] = "riz" if names[len(places) + 1] == "maïs" else "maïs"
    reference = layer(tmp_path / "r.gpkg", shapes, 4326, crop=names)
    said = Said()
    result = learnt(stack, segments, reference, said)
    known = dict(zip(result.matched.objects.tolist(), result.matched.labels.tolist(), strict=True))
    assert other not in known and result.matched.disputed == 1
    assert {place: one for place, one in known.items() if place != BOW} == {
        place: int(CLASSES[place]) for place in places if place not in (other, BOW)
    }
    shares = dict(zip(result.matched.objects.tolist(), result.matched.shares.tolist(), strict=True))
    assert max(shares.values()) <= 1 and shares.get(BOW, 0.5) == pytest.approx(0.5, abs=0.01)
    assert "gave no object a class" in said.all


@pytest.mark.parametrize("epsg", [32738, 4326])
def test_segments_that_do_not_meet_the_stack(stack, tmp_path, epsg):
    places = [500, 501, 502, 503]
    far = layer(tmp_path / "far.gpkg", [square(place) for place in places], epsg)
    here = layer(tmp_path / "here.gpkg", [square(place) for place in range(FIELDS**2)])
    reference = layer(tmp_path / "r.gpkg", [square(place) for place in range(8)], crop=crops(range(8)))
    there = layer(tmp_path / "there.gpkg", [square(place) for place in places], crop=["maïs", "riz", "maïs", "riz"])
    with pytest.raises(LandloomError, match="No segment is covered by reference data to 50%: check the CRS"):
        learnt(stack, far, reference)
    with pytest.raises(LandloomError, match=r"None of the 4 features of .* lies on the stack"):
        learnt(stack, far, there)
    learnt(stack, here, reference).model.save(tmp_path / "m.safetensors")
    with pytest.raises(LandloomError, match=r"None of the 4 segments of .* lies on the images: check the CRS"):
        classified(stack, far, tmp_path / "m.safetensors", tmp_path)
    assert not (tmp_path / "classified.gpkg").exists()


def test_points_and_empty_layers_are_no_segments(stack, tmp_path):
    points = layer(tmp_path / "points.gpkg", ["POINT(500010 7999990)"])
    with pytest.raises(LandloomError, match="hold points: give polygons, or a raster of labels"):
        open_segments(points, Progress())
    nothing = layer(tmp_path / "nothing.gpkg", [None])
    with pytest.raises(LandloomError, match="hold no polygon"):
        open_segments(nothing, Progress())
