"""Small maps and reference layers, written as people have them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from landloom.model.accuracy.assess import assess
from landloom.model.accuracy.assessment import AssessmentSettings
from landloom.model.base.progress import Progress
from landloom.model.base.raster import spatial_reference, write_raster
from osgeo import gdal, ogr

ORIGIN, STEP = (500000.0, 8000000.0), 10.0


class Remembering(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.infos: list[str] = []

    def warning(self, message):
        self.warnings.append(message)

    def info(self, message):
        self.infos.append(message)


def write_map(path, array, names=None, nodata=None, epsg=32738, transform=None, tiled=True):
    """A map; ``names`` maps a value to a name, as categories of the raster."""
    transform = transform or (ORIGIN[0], STEP, 0.0, ORIGIN[1], 0.0, -STEP)
    crs = spatial_reference(f"EPSG:{epsg}").ExportToWkt() if epsg else ""
    options = ("TILED=YES", "BLOCKXSIZE=16", "BLOCKYSIZE=16") if tiled else ()
    write_raster(path, np.asarray(array), transform, crs, nodata, creation=options)
    if names:
        dataset = gdal.Open(str(path), gdal.GA_Update)
        categories = [names.get(value, "") for value in range(max(names) + 1)]
        band = dataset.GetRasterBand(1)
        band.SetCategoryNames(categories)
        dataset.FlushCache()
        band = dataset = None
    return Path(path)


def centre(row, column, transform=None):
    """Coordinates of a pixel's centre."""
    x, dx, _, y, _, dy = transform or (ORIGIN[0], STEP, 0.0, ORIGIN[1], 0.0, -STEP)
    return x + (column + 0.5) * dx, y + (row + 0.5) * dy


def write_layer(path, geometries, fields, epsg=32738, to_epsg=None):
    """A layer of WKT geometries; ``fields`` maps a name to its values. ``to_epsg`` reprojects them."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".shp": "ESRI Shapefile"}[path.suffix]
    target = spatial_reference(f"EPSG:{to_epsg or epsg}") if epsg else None
    dataset = ogr.GetDriverByName(driver).CreateDataSource(str(path))
    layer = dataset.CreateLayer("reference", target, ogr.wkbUnknown)
    for name, values in fields.items():
        kinds = {type(value) for value in values if value is not None}
        kind = ogr.OFTInteger if kinds == {int} else ogr.OFTReal if kinds <= {int, float} and kinds else ogr.OFTString
        layer.CreateField(ogr.FieldDefn(name, kind))
    forward = None
    if to_epsg:
        from osgeo import osr

        forward = osr.CoordinateTransformation(spatial_reference(f"EPSG:{epsg}"), target)
    for index, wkt in enumerate(geometries):
        feature = ogr.Feature(layer.GetLayerDefn())
        for name, values in fields.items():
            if values[index] is not None:
                feature.SetField(name, values[index])
        geometry = ogr.CreateGeometryFromWkt(wkt)
        if forward is not None:
            geometry.Transform(forward)
        feature.SetGeometry(geometry)
        layer.CreateFeature(feature)
    layer = dataset = None
    return path


def point(row, column, transform=None):
    """WKT of a pixel's centre."""
    x, y = centre(row, column, transform)
    return f"POINT ({x!r} {y!r})"


def box(row, column, height, width, transform=None):
    """WKT of the rectangle of some pixels."""
    x0, dx, _, y0, _, dy = transform or (ORIGIN[0], STEP, 0.0, ORIGIN[1], 0.0, -STEP)
    left, right = x0 + column * dx, x0 + (column + width) * dx
    top, bottom = y0 + row * dy, y0 + (row + height) * dy
    ring = ((left, top), (right, top), (right, bottom), (left, bottom), (left, top))
    return f"POLYGON (({', '.join(f'{x!r} {y!r}' for x, y in ring)}))"


def judged(map_path, reference, class_field="class", progress=None, **settings):
    """Assess with some settings."""
    return assess(map_path, reference, AssessmentSettings(class_field, **settings), progress or Progress())


def read_json(path):
    return json.loads(Path(path).read_text(encoding="utf-8"))
