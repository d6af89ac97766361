"""Where a map is wrong, as ``assess`` wrote it: pairs of classes, and the reference features in which they are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from osgeo import gdal, ogr

from ..model.accuracy.assessfiles import LAYER, read_assessment
from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.raster import quiet_gdal


@dataclass(frozen=True)
class Pair:
    """A class that is mapped as another one.

    Attributes:
        reference: what it is.
        mapped: what the map says.
        pixels: how many pixels of the judged features.
        features: number of the feature in the reference data and its pixels, the worst first.
    """

    reference: str
    mapped: str
    pixels: int
    features: tuple[tuple[int, int], ...]


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The confusions of an assessment, the worst first.

    Raises:
        LandloomError: if it is none.
    """
    content = read_assessment(path)
    names = {one["code"]: one["name"] for one in content["classes"]}
    pairs = [
        Pair(
            names[one["reference"]],
            names[one["mapped"]],
            int(one["pixels"]),
            tuple((int(place["feature"]), int(place["pixels"])) for place in one["features"]),
        )
        for one in content["confusions"]
    ]
    return sorted(pairs, key=lambda pair: -pair.pixels)


def object_geometry(path: str | os.PathLike[str], feature: int) -> tuple[bytes, str]:
    """Outline of a reference feature in OBJECTS as WKB, and its CRS as WKT.

    Raises:
        LandloomError: if it is not there.
    """
    with quiet_gdal():
        try:
            dataset = gdal.OpenEx(str(path), gdal.OF_VECTOR)
        except RuntimeError:
            dataset = None
        layer = dataset.GetLayerByName(LAYER) if dataset is not None else None
        if layer is None:
            raise LandloomError(tr("{file} cannot be read: look for confusions again.").format(file=Path(path).name))
        layer.SetAttributeFilter(f"feature = {int(feature)}")
        found = layer.GetNextFeature()
        if found is None or found.GetGeometryRef() is None:
            raise LandloomError(
                tr("{file} has no feature {feature}: look for confusions again.").format(
                    file=Path(path).name, feature=feature
                )
            )
        geometry: ogr.Geometry = found.GetGeometryRef()
        crs = layer.GetSpatialRef()
        return bytes(geometry.ExportToWkb()), crs.ExportToWkt() if crs is not None else ""
