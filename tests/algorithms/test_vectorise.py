"""vectorise and regularise through Processing: fields against counts of pixels, validity, style, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsFeatureRequest,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsRasterLayer,
    QgsVectorLayer,
)

CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
NAMES, COLORS = {2: "maïs", 5: "forêt", 9: "eau"}, {2: "#e6c229", 5: "#1b6e2e", 9: "#2a6fbb"}


@pytest.fixture(scope="module")
def rasters(tmp_path_factory):
    """A noisy map with its confidence, probabilities, valid counts and segments."""
    from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
    from landloom.model.base.raster import spatial_reference, write_raster
    from landloom.model.mapping.chunks import Area
    from landloom.model.mapping.classify import map_layers
    from landloom.model.mapping.outputs import create, publish
    from landloom.model.stack.grid import Grid
    from scipy.ndimage import gaussian_filter

    folder = tmp_path_factory.mktemp("une carte")
    rng = np.random.default_rng(2)
    smooth = gaussian_filter(rng.normal(size=(90, 120)), 4)
    codes = np.array([2, 5, 9])[np.digitize(smooth, [-0.02, 0.04])]
    wrong = rng.random(codes.shape) < 0.04
    codes[wrong] = rng.choice([2, 5, 9], int(wrong.sum()))
    codes[30:36, 20:60] = 0
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    classes = Nomenclature(tuple(LandCoverClass(k, NAMES[k], COLORS[k]) for k in NAMES))
    layer = map_layers(classes, folder / "map.tif")[0]
    dataset = create(layer, folder / "map.partial.tif", Grid(crs, CORNER, 120, 90), Area(0, 0, 120, 90))
    dataset.GetRasterBand(1).WriteArray(codes.astype(np.uint8))
    dataset.FlushCache()
    dataset = None
    publish(layer, folder / "map.partial.tif")
    confidence = rng.integers(30, 101, codes.shape).astype(np.uint8)
    confidence[codes == 0] = 255
    valid = rng.integers(3, 30, codes.shape).astype(np.uint16)
    chances = rng.integers(0, 10001, (3, *codes.shape)).astype(np.uint16)
    segments = (1 + np.indices(codes.shape)[0] // 30 * 4 + np.indices(codes.shape)[1] // 30).astype(np.uint32)
    for name, values, nodata in (
        ("confidence", confidence, 255), ("valid", valid, None), ("chances", chances, 65535), ("segments", segments, 0)
    ):  # fmt: skip
        write_raster(folder / f"{name}.tif", values, CORNER, crs, nodata)
    dataset = gdal.Open(str(folder / "chances.tif"), gdal.GA_Update)
    dataset.SetMetadataItem("LANDLOOM_CODES", "2,5,9")
    for band in (1, 2, 3):
        dataset.GetRasterBand(band).SetScale(0.0001)
    dataset = None
    return folder, dict(codes=codes, confidence=confidence, valid=valid, chances=chances, segments=segments)


def test_regularised_then_vectorised(landloom_provider, count_invalid, rasters, tmp_path):
    import processing

    folder, arrays = rasters
    regular, output = tmp_path / "régulière.tif", tmp_path / "carte.gpkg"
    processing.run(
        "landloom:regularise",
        {"MAP": str(folder / "map.tif"), "RADIUS": 1, "MIN_AREA": "0.2;9=0.05", "KEEP": "", "OUTPUT": str(regular)},
    )
    layer = QgsRasterLayer(str(regular))
    layer.loadDefaultStyle()
    assert [(one.value, one.label) for one in layer.renderer().classes()] == [(2, "maïs"), (5, "forêt"), (9, "eau")]
    processing.run(
        "landloom:vectorise",
        {
            "MAP": str(regular), "CONFIDENCE": str(folder / "confidence.tif"), "SHARES": str(folder / "map.tif"),
            "VALID_COUNT": str(folder / "valid.tif"), "PROBABILITIES": str(folder / "chances.tif"),
            "TOLERANCE": 0, "OUTPUT": str(output),
        },
    )  # fmt: skip
    assert count_invalid(output) == 0
    polygons = QgsVectorLayer(str(output))
    codes = gdal.Open(str(regular)).ReadAsArray()
    assert sum(one["area_ha"] for one in polygons.getFeatures()) == pytest.approx(np.count_nonzero(codes) / 100)
    rows, columns = np.indices(codes.shape)
    from qgis.core import QgsPointXY

    for feature in polygons.getFeatures(QgsFeatureRequest().setLimit(12)):
        box = feature.geometry().boundingBox()
        near = (500000 + 10 * columns + 5 > box.xMinimum()) & (500000 + 10 * columns + 5 < box.xMaximum())
        near &= (8000000 - 10 * rows - 5 > box.yMinimum()) & (8000000 - 10 * rows - 5 < box.yMaximum())
        inside = np.zeros(codes.shape, bool)
        for r, c in np.argwhere(near & (codes == feature["code"])):
            inside[r, c] = feature.geometry().contains(QgsPointXY(500005 + 10 * c, 7999995 - 10 * r))
        assert feature["area_ha"] == pytest.approx(inside.sum() / 100)
        assert feature["class"] == NAMES[feature["code"]]
        known = inside & (arrays["confidence"] != 255)
        assert feature["confidence"] == pytest.approx(arrays["confidence"][known].mean(), abs=0.051)
        assert feature["valid_mean"] == pytest.approx(arrays["valid"][inside].mean(), abs=0.0051)
        assert feature["valid_std"] == pytest.approx(arrays["valid"][inside].std(), abs=0.0051)
        before = arrays["codes"][inside]
        for band, code in enumerate((2, 5, 9)):
            share = 100 * (before == code).sum() / (before > 0).sum()
            assert feature[f"share_{code}"] == pytest.approx(share, abs=0.0051)
            assert feature[f"prob_{code}"] == pytest.approx(arrays["chances"][band][inside].mean() / 100, abs=0.0051)
    polygons.loadDefaultStyle()
    shown = {one.label(): one.symbol().color().name() for one in polygons.renderer().categories()}
    assert shown == {NAMES[code]: COLORS[code] for code in NAMES}


@pytest.mark.parametrize("tolerance", [None, 0, 9, 19])
def test_polygons_are_valid_and_cover_the_map_once(landloom_provider, count_invalid, rasters, tmp_path, tolerance):
    import processing

    folder, arrays = rasters
    output = tmp_path / "map.gpkg"
    given = {"MAP": str(folder / "map.tif"), "OUTPUT": str(output), "MEMORY_MB": 128}
    processing.run("landloom:vectorise", given if tolerance is None else {**given, "TOLERANCE": tolerance})
    assert count_invalid(output) == 0
    layer = QgsVectorLayer(str(output))
    total = sum(feature.geometry().area() for feature in layer.getFeatures())
    from qgis.core import QgsGeometry

    union = QgsGeometry.unaryUnion([feature.geometry() for feature in layer.getFeatures()])
    assert union.area() == pytest.approx(total, abs=1e-3)
    data = 100.0 * np.count_nonzero(arrays["codes"])
    assert total == pytest.approx(data, abs=1e-6 if tolerance == 0 else 0.01 * data)
    if tolerance is None:
        names = [field.name() for field in layer.fields()]
        assert names == ["fid", "code", "class", "area_ha"]


def test_small_patches_join_and_shares_say_what_they_were(landloom_provider, rasters, tmp_path):
    import processing

    folder, arrays = rasters
    regular, output = tmp_path / "regular.tif", tmp_path / "map.gpkg"
    source = {"MAP": str(folder / "map.tif")}
    processing.run("landloom:regularise", {**source, "RADIUS": 0, "MIN_AREA": "0.3", "OUTPUT": str(regular)})
    processing.run("landloom:vectorise", {**source, "MIN_AREA": 0.3, "OUTPUT": str(output)})
    layer = QgsVectorLayer(str(output))
    codes = gdal.Open(str(regular)).ReadAsArray()
    for code in NAMES:
        chosen = [one for one in layer.getFeatures() if one["code"] == code]
        assert sum(one["area_ha"] for one in chosen) == pytest.approx((codes == code).sum() / 100)
        own = sum(one["area_ha"] * one[f"share_{code}"] / 100 for one in chosen)
        assert own == pytest.approx(((codes == code) & (arrays["codes"] == code)).sum() / 100, rel=1e-3)


def test_segments_get_their_most_frequent_class(landloom_provider, rasters, tmp_path):
    import processing

    folder, arrays = rasters
    output = tmp_path / "objects.gpkg"
    given = {"MAP": str(folder / "map.tif"), "SEGMENTS": str(folder / "segments.tif"), "OUTPUT": str(output)}
    processing.run("landloom:vectorise", given)
    found = {one["segment"]: one for one in QgsVectorLayer(str(output)).getFeatures()}
    assert sorted(found) == list(range(1, 13))
    for number, feature in found.items():
        counts = np.bincount(arrays["codes"][arrays["segments"] == number], minlength=10)[1:]
        assert feature["code"] == 1 + counts.argmax()
        assert feature["share_5"] == pytest.approx(100 * counts[4] / counts.sum(), abs=0.0051)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"TOLERANCE": 25}, "TOLERANCE is 25; give 0"),
        ({"MIN_AREA": 1, "SEGMENTS": "segments.tif"}, "only one of them"),
        ({"CONFIDENCE": "other.tif"}, "CONFIDENCE .* has other pixels"),
        ({"OUTPUT": "map.kmz"}, "unknown format"),
        ({"MAP": "chances.tif"}, "3 bands"),
    ],
)
def test_refusals(landloom_provider, rasters, tmp_path, parameters, message):
    from landloom.model.base.raster import spatial_reference, write_raster

    folder, _ = rasters
    other = folder / "other.tif"
    if not other.exists():
        shifted = (500004.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)
        write_raster(other, np.ones((90, 120), np.uint8), shifted, spatial_reference("EPSG:32738").ExportToWkt())
    given = {key: str(folder / value) if str(value).endswith(".tif") else value for key, value in parameters.items()}
    if "OUTPUT" in given:
        given["OUTPUT"] = str(tmp_path / given["OUTPUT"])
    algorithm = landloom_provider.algorithm("vectorise").create()
    with pytest.raises(QgsProcessingException, match=message):
        algorithm.run(
            {"MAP": str(folder / "map.tif"), "OUTPUT": str(tmp_path / "o.gpkg"), **given},
            QgsProcessingContext(),
            QgsProcessingFeedback(),
            catchExceptions=False,
        )
    assert not list(tmp_path.iterdir())
