"""segment through Processing: raster and stack, mask and extent, polygons valid for QGIS, refusals, cancelling."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal, ogr
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsRasterLayer,
    QgsVectorLayer,
)

CRS, CORNER = "EPSG:32738", (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)


def fields(height, width, rng):
    """A chequerboard of fields of 20 x 20 pixels and its image of three bands with noise."""
    rows, columns = np.indices((height, width)) // 20
    number = rows * (width // 20) + columns
    colour = rng.uniform(500, 4000, (number.max() + 1, 3))
    image = colour[number].transpose(2, 0, 1) + rng.normal(0, 40, (3, height, width))
    return number, image.clip(1, 10000).astype(np.uint16)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    from landloom.model.base.raster import spatial_reference, write_raster

    number, values = fields(100, 140, np.random.default_rng(0))
    values[:, :20, :20] = 0
    path = tmp_path_factory.mktemp("un dossier été") / "spot.tif"
    write_raster(path, values, CORNER, spatial_reference(CRS).ExportToWkt(), 0)
    return path, number


def labels(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_fields_become_objects_and_valid_polygons(landloom_provider, count_invalid, image, tmp_path):
    import processing

    path, number = image
    output, polygons = tmp_path / "objets.tif", tmp_path / "objets.gpkg"
    results = processing.run(
        "landloom:segment",
        {"INPUT": str(path), "SCALE": 40, "MIN_SIZE": 2000, "OUTPUT": str(output), "POLYGONS": str(polygons)},
    )
    found = labels(output)
    assert QgsRasterLayer(str(output)).isValid()
    assert (found[:20, :20] == 0).all() and (found > 0).sum() == found.size - 400
    assert results["OBJECTS"] == found.max() == 34  # one field of 35 has no data
    for one in range(1, 35):  # every object is one field
        inside = number[found == one]
        assert len(np.unique(inside)) == 1 or np.bincount(inside).max() > 0.97 * len(inside)
    layer = QgsVectorLayer(str(polygons))
    assert layer.featureCount() == 34 and count_invalid(polygons) == 0
    areas = {feature["id"]: (feature["area_m2"], feature.geometry().area()) for feature in layer.getFeatures()}
    counts = np.bincount(found.ravel())
    assert all(a == b == 100 * counts[one] for one, (a, b) in areas.items())
    assert layer.renderer().symbol().symbolLayer(0).strokeColor().name() == "#ffd600"


def test_mask_and_extent_leave_the_rest_out(landloom_provider, image, tmp_path):
    import processing

    path, _ = image
    mask = tmp_path / "masque.gpkg"
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(mask))
    layer = source.CreateLayer("zone", gdal.Open(str(path)).GetSpatialRef(), ogr.wkbPolygon)
    feature = ogr.Feature(layer.GetLayerDefn())
    feature.SetGeometry(
        ogr.CreateGeometryFromWkt(
            "POLYGON((500400 7999800,501000 7999800,501000 7999300,500400 7999300,500400 7999800))"
        )
    )
    layer.CreateFeature(feature)
    feature = layer = source = None
    output = tmp_path / "part.tif"
    extent = "500300,501200,7999100,7999900 [EPSG:32738]"
    processing.run("landloom:segment", {"INPUT": str(path), "MASK": str(mask), "EXTENT": extent, "OUTPUT": str(output)})
    dataset = gdal.Open(str(output))
    assert dataset.GetGeoTransform()[::3] == (500300.0, 7999900.0) and dataset.RasterXSize == 90
    found = dataset.ReadAsArray()
    inside = np.zeros(found.shape, bool)
    inside[10:60, 10:70] = True
    assert (found[~inside] == 0).all() and (found[inside] > 0).all()


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    """Four dates of two bands, each half under clouds; fields are told apart by the whole series."""
    rng = np.random.default_rng(1)
    number, _ = fields(60, 80, rng)
    colour = rng.uniform(500, 4000, (number.max() + 1, 4, 2))
    values = colour[number].transpose(2, 3, 0, 1) + rng.normal(0, 30, (4, 2, 60, 80))
    mask = np.ones((4, 60, 80), bool)
    mask[0, :, :40] = mask[1, :, 40:] = mask[2, :30] = mask[3, 30:] = False
    values[~np.broadcast_to(mask[:, None], values.shape)] = 9000
    dates = ["2021-01-05", "2021-02-10", "2021-05-03", "2021-06-07"]
    sensors = {"S2": dict(values=values.astype(np.int16), dates=dates, bands=["B4", "B8"], mask=mask, scale=1e-4)}
    return make_stack(tmp_path_factory.mktemp("pile"), sensors), number


@pytest.mark.parametrize("dates", ["", "2021-02-10,2021-05-03"])
def test_a_stack_is_segmented_through_its_clouds(landloom_provider, stack, tmp_path, dates):
    import processing

    path, number = stack
    output = tmp_path / "objects.tif"
    processing.run(
        "landloom:segment",
        {"STACK": str(path), "SENSOR": "s2", "DATES": dates, "SCALE": 40, "MIN_SIZE": 3000, "OUTPUT": str(output)},
    )
    found = labels(output)
    assert (found > 0).all()
    share = sum(np.bincount(number[found == one]).max() for one in range(1, found.max() + 1)) / found.size
    assert share > 0.95 and found.max() <= 24  # clouds of 9000 would cut every field that they cross


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "either INPUT"),
        ({"INPUT": "image", "STACK": "stack"}, "either INPUT"),
        ({"INPUT": "image", "DATES": "2021-01-05"}, "choose from a STACK"),
        ({"STACK": "stack", "SENSOR": "S3"}, "it has S2"),
        ({"STACK": "stack", "DATES": "2020-01-05"}, "there are 2021-01-05, 2021-02-10"),
        ({"INPUT": "image", "EXTENT": "0,10,0,10 [EPSG:32738]"}, "EXTENT does not meet"),
        ({"INPUT": "image", "POLYGONS": "objects.xyz"}, "unknown format"),
    ],
)
def test_refusals_name_the_parameter(landloom_provider, image, stack, tmp_path, parameters, message):
    known = {"image": str(image[0]), "stack": str(stack[0])}
    given = {name: known.get(value, value) for name, value in parameters.items()}
    algorithm = landloom_provider.algorithm("segment").create()
    with pytest.raises(QgsProcessingException, match=message):
        algorithm.run(
            {"OUTPUT": str(tmp_path / "o.tif"), "SCALE": 30, **given},
            QgsProcessingContext(),
            QgsProcessingFeedback(),
            catchExceptions=False,
        )
    assert not list(tmp_path.glob("*.tif"))


def test_cancelling_leaves_nothing(landloom_provider, image, tmp_path):
    class Stopping(QgsProcessingFeedback):
        def setProgress(self, value):  # noqa: N802
            if value > 20:
                self.cancel()

    algorithm = landloom_provider.algorithm("segment").create()
    feedback = Stopping()
    algorithm.run({"INPUT": str(image[0]), "OUTPUT": str(tmp_path / "o.tif")}, QgsProcessingContext(), feedback)
    assert feedback.isCanceled() and not list(tmp_path.iterdir())
