"""A small stack of fields with known classes, and reference layers on it."""

from __future__ import annotations

import numpy as np
from osgeo import ogr, osr

WIDTH, HEIGHT, FIELD = 60, 50, 10
ORIGIN = (500000.0, 8000000.0)
CLASSES = ("eau", "forêt", "maïs")
S2_DATES = ["2021-01-05", "2021-02-04", "2021-03-06", "2021-04-05", "2021-05-05"]
S1_DATES = ["2021-01-09", "2021-02-20", "2021-03-30"]


def truth() -> np.ndarray:
    """Classes 0..2 of square fields, ``[HEIGHT, WIDTH]``."""
    fields = np.arange((HEIGHT // FIELD) * (WIDTH // FIELD)).reshape(HEIGHT // FIELD, WIDTH // FIELD) % 3
    fields = (fields + np.arange(HEIGHT // FIELD)[:, None]) % 3
    return np.kron(fields, np.ones((FIELD, FIELD), int))


def sensors(seed: int = 0) -> dict:
    """For ``make_stack``: two sensors whose curves differ by class, with clouds and NaN."""
    rng = np.random.default_rng(seed)
    labels = truth()
    ndvi = np.array([[0.05] * 5, [0.8, 0.82, 0.81, 0.8, 0.79], [0.2, 0.4, 0.7, 0.6, 0.25]])[labels].transpose(2, 0, 1)
    red = np.full(ndvi.shape, 600.0)
    nir = red * (1 + ndvi) / (1 - ndvi)
    optical = np.stack([red, nir], 1) + rng.normal(0, 15, (5, 2, HEIGHT, WIDTH))
    mask = rng.random((5, HEIGHT, WIDTH)) > 0.2
    level = np.array([0.002, 0.05, 0.02])[labels]
    radar = level[None, None] * rng.gamma(5.0, 0.2, (3, 2, HEIGHT, WIDTH))
    radar[1, 0, 5, 5] = np.nan
    return {
        "S2": dict(
            values=optical.round().astype(np.int16), mask=mask, dates=S2_DATES, bands=["B4", "B8"], nodata=-10000,
            scale=0.0001,
        ),
        "S1_ASC": dict(values=radar.astype(np.float32), kind="radar", dates=S1_DATES, bands=["VV", "VH"], nodata=0),
    }  # fmt: skip


def square(column: float, row: float, width: float, height: float | None = None) -> str:
    """WKT of a rectangle in pixels of the grid."""
    height = width if height is None else height
    x0, y1 = ORIGIN[0] + column * 10, ORIGIN[1] - row * 10
    x1, y0 = x0 + width * 10, y1 - height * 10
    return f"POLYGON(({x0} {y0},{x1} {y0},{x1} {y1},{x0} {y1},{x0} {y0}))"


def fields(margin: float = 1.0) -> list[tuple[str, dict]]:
    """Every field, shrunk by ``margin`` pixels, with its class as text and as a number."""
    result = []
    for row in range(0, HEIGHT, FIELD):
        for column in range(0, WIDTH, FIELD):
            label = int(truth()[row, column])
            wkt = square(column + margin, row + margin, FIELD - 2 * margin)
            farm = f"farm {len(result) // 2}"
            result.append((wkt, {"crop": CLASSES[label], "number": (5, 7, 300)[label], "farm": farm}))
    return result


def write_layer(path, features, epsg=32738, layer="reference", types=None, geometry=ogr.wkbUnknown, source_epsg=32738):
    """Write features (WKT in ``source_epsg``, attributes) as a GeoPackage or by the suffix; epsg None = no CRS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON"}[path.suffix]
    reference, transformation = None, None
    if epsg is not None:
        reference, source = osr.SpatialReference(), osr.SpatialReference()
        reference.ImportFromEPSG(epsg)
        source.ImportFromEPSG(source_epsg)
        for one in (reference, source):
            one.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        transformation = osr.CoordinateTransformation(source, reference)
    dataset = ogr.GetDriverByName(driver).CreateDataSource(str(path))
    out = dataset.CreateLayer(layer, reference, geometry)
    names = types or {"crop": ogr.OFTString, "number": ogr.OFTInteger, "farm": ogr.OFTString}
    for name, kind in names.items():
        out.CreateField(ogr.FieldDefn(name, kind))
    for wkt, attributes in features:
        feature = ogr.Feature(out.GetLayerDefn())
        for name, value in attributes.items():
            if value is not None:
                feature.SetField(name, value)
        shape = ogr.CreateGeometryFromWkt(wkt)
        if transformation is not None and epsg != source_epsg:
            shape.Transform(transformation)
        feature.SetGeometry(shape)
        out.CreateFeature(feature)
    dataset = out = None
    return path
