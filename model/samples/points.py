"""Samples as points for people: a GeoPackage (or another format) and its style."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, ogr

from ..base.errors import LandloomError
from ..base.files import whole_file, write_text
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.raster import gdal_cannot_write, quiet_gdal, spatial_reference
from ..base.xmltext import quoteattr
from .splits import PART_NAMES
from .store import SampleStore

DRIVERS = {".gpkg": "GPKG", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON", ".json": "GeoJSON", ".fgb": "FlatGeobuf"}
_COLUMNS = ("label", "group", "polygon", "split", "fold", "suspect", "x", "y")
SUSPECT_COLOR = "#e4002b"


def write_points(
    path: str | os.PathLike[str],
    samples: np.ndarray,
    nomenclature: Nomenclature,
    crs_wkt: str,
    progress: Progress,
) -> None:
    """Write samples as points with a ``.qml`` style beside.

    Args:
        path: the suffix says the format.
        samples: table of samples, as :data:`~.store.SAMPLE`.
        nomenclature: what labels mean.
        crs_wkt: CRS of x and y.
        progress: asked for cancellation.

    Raises:
        LandloomError: if the format is unknown or the file cannot be written.
    """
    path = Path(path)
    check_points_path(path)
    driver_name = DRIVERS[path.suffix.lower()]
    with whole_file(path) as temporary:
        _write(temporary, driver_name, samples, nomenclature, crs_wkt, progress)
    write_text(path.with_suffix(".qml"), points_style(nomenclature))


def check_points_path(path: str | os.PathLike[str]) -> None:
    """Check, before the work, that the format of a layer of points is known.

    Raises:
        LandloomError: if it is not.
    """
    if Path(path).suffix.lower() not in DRIVERS:
        raise LandloomError(
            tr("POINTS {path} has an unknown format: end its name in {drivers}.").format(
                path=path, drivers=", ".join(DRIVERS)
            )
        )


def export_points(folder: str | os.PathLike[str], path: str | os.PathLike[str], progress: Progress) -> None:
    """Write the points of a folder of samples to another place or format."""
    folder = Path(folder)
    store = SampleStore.open(folder)
    samples = np.load(folder / "samples.npy", allow_pickle=False)
    write_points(path, samples, store.nomenclature, store.crs_wkt, progress)


def _write(
    path: Path, driver_name: str, samples: np.ndarray, nomenclature: Nomenclature, crs_wkt: str, progress: Progress
) -> None:
    kinds = {
        "name": ogr.OFTString,
        "split": ogr.OFTString,
        "polygon": ogr.OFTInteger64,
        "group": ogr.OFTInteger64,
        "code": ogr.OFTInteger,
        "fold": ogr.OFTInteger,
        "suspect": ogr.OFTInteger,
    }
    with quiet_gdal() as messages:
        driver = gdal.GetDriverByName(driver_name)
        dataset = driver.Create(str(path), 0, 0, 0, gdal.GDT_Unknown) if driver is not None else None
        layer = (
            dataset.CreateLayer("samples", spatial_reference(crs_wkt), ogr.wkbPoint) if dataset is not None else None
        )
        if layer is None:
            raise gdal_cannot_write(path, messages)
        for name, kind in kinds.items():
            field = ogr.FieldDefn(name, kind)
            if name == "suspect":
                field.SetSubType(ogr.OFSTBoolean)
            layer.CreateField(field)
        definition = layer.GetLayerDefn()
        position = {name: i for i, name in enumerate(kinds)}
        codes, names = nomenclature.codes.tolist(), nomenclature.names
        layer.StartTransaction()
        for number, (label, group, polygon, split, fold, suspect, x, y) in enumerate(_rows(samples)):
            if number % 1000 == 0:
                progress.check()
                progress.percent(100 * number / len(samples))
            feature = ogr.Feature(definition)
            feature.SetField(position["name"], names[label])
            feature.SetField(position["split"], PART_NAMES[split])
            feature.SetField(position["polygon"], polygon)
            feature.SetField(position["group"], group)
            feature.SetField(position["code"], codes[label])
            feature.SetField(position["fold"], fold)
            feature.SetField(position["suspect"], int(suspect))
            point = ogr.Geometry(ogr.wkbPoint)
            point.AddPoint_2D(x, y)
            feature.SetGeometryDirectly(point)
            if layer.CreateFeature(feature) != 0:
                raise gdal_cannot_write(path, messages)
        if layer.CommitTransaction() != 0:
            raise gdal_cannot_write(path, messages)
        layer = dataset = feature = None


def _rows(samples: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Rows of Python values, some thousands at a time: a million at once would take hundreds of megabytes."""
    for start in range(0, len(samples), 10_000):
        part = samples[start : start + 10_000]
        yield from zip(*(part[key].tolist() for key in _COLUMNS), strict=True)


def points_style(nomenclature: Nomenclature) -> str:
    """A QGIS style: points in their class's colour, suspect ones with a thick red rim."""
    categories, symbols = [], []
    for position, one in enumerate(nomenclature):
        red, green, blue = (int(one.color[i : i + 2], 16) for i in (1, 3, 5))
        label = quoteattr(f"{one.name} ({one.code})")
        categories.append(f'<category value="{one.code}" symbol="{position}" label={label} render="true" type="long"/>')
        symbols.append(_SYMBOL.format(position=position, color=f"{red},{green},{blue},255"))
    return (
        '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM">\n'
        '<qgis version="3.34" styleCategories="Symbology">\n'
        '<renderer-v2 type="categorizedSymbol" attr="code" enableorderby="0" forceraster="0" symbollevels="0">\n'
        f"<categories>\n{chr(10).join(categories)}\n</categories>\n<symbols>\n{chr(10).join(symbols)}\n</symbols>\n"
        "</renderer-v2>\n<blendMode>0</blendMode>\n<layerGeometryType>0</layerGeometryType>\n</qgis>\n"
    )


_SYMBOL = f"""<symbol type="marker" name="{{position}}" alpha="1" clip_to_extent="1" force_rhr="0">
<layer class="SimpleMarker" enabled="1" locked="0" pass="0"><Option type="Map">
<Option name="color" type="QString" value="{{color}}"/><Option name="name" type="QString" value="circle"/>
<Option name="outline_color" type="QString" value="40,40,40,255"/>
<Option name="outline_style" type="QString" value="solid"/>
<Option name="outline_width" type="QString" value="0.1"/><Option name="outline_width_unit" type="QString" value="MM"/>
<Option name="size" type="QString" value="1.8"/><Option name="size_unit" type="QString" value="MM"/>
</Option><data_defined_properties><Option type="Map"><Option name="name" type="QString" value=""/>
<Option name="properties" type="Map">
<Option name="outlineColor" type="Map"><Option name="active" type="bool" value="true"/>
<Option name="expression" type="QString" value="if(&quot;suspect&quot;, '{SUSPECT_COLOR}', '#282828')"/>
<Option name="type" type="int" value="3"/></Option>
<Option name="outlineWidth" type="Map"><Option name="active" type="bool" value="true"/>
<Option name="expression" type="QString" value="if(&quot;suspect&quot;, 0.8, 0.1)"/>
<Option name="type" type="int" value="3"/></Option>
</Option><Option name="type" type="QString" value="collection"/></Option></data_defined_properties></layer></symbol>"""
