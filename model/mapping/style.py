"""How maps look: GDAL colour tables and QGIS styles (``.qml``) written without QGIS."""

from __future__ import annotations

from collections.abc import Sequence

from osgeo import gdal

from ..base.qml import gray, multiband, paletted, pseudocolor

NO_DATA_NAME = "no data"
CONFIDENCE_RAMP = ((0, "#a50026"), (25, "#f46d43"), (50, "#fee08b"), (75, "#a6d96a"), (100, "#006837"))


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def color_table(codes: Sequence[int], colors: Sequence[str]) -> gdal.ColorTable:
    """The colour table of a map: class colours by code, 0 transparent."""
    table = gdal.ColorTable()
    table.SetColorEntry(0, (0, 0, 0, 0))
    for code, color in zip(codes, colors, strict=True):
        table.SetColorEntry(int(code), (*rgb(color), 255))
    return table


def category_names(codes: Sequence[int], names: Sequence[str]) -> list[str]:
    """GDAL's category names: a list by code, empty where there is no class."""
    categories = [""] * (max(codes) + 1)
    categories[0] = NO_DATA_NAME
    for code, name in zip(codes, names, strict=True):
        categories[int(code)] = name
    return categories


def classes_qml(codes: Sequence[int], names: Sequence[str], colors: Sequence[str]) -> str:
    """A QGIS style for a map: one entry a class, in the nomenclature's order, and no others."""
    return qml(paletted(zip(codes, names, colors, strict=True)))


def confidence_qml() -> str:
    """A QGIS style for confidence: red (0 %) over yellow to green (100 %)."""
    return qml(pseudocolor(0, 100, [(value, f"{value} %", color) for value, color in CONFIDENCE_RAMP]))


def bands_qml(spans: Sequence[tuple[float, float]]) -> str:
    """A QGIS style: the first three bands as red, green and blue, or the first in grey where there are fewer.

    Args:
        spans: for every band, the value shown dark and the one shown bright.
    """
    return qml(multiband((0, 1, 2), spans) if len(spans) > 2 else gray(spans[0]))


def qml(renderer: str) -> str:
    """A QGIS style of a raster with this renderer."""
    return f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34.0" styleCategories="Symbology" hasScaleBasedVisibilityFlag="0">
  <pipe>
{renderer}
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>
    <rasterresampler maxOversampling="2"/>
  </pipe>
  <blendMode>0</blendMode>
</qgis>
"""
