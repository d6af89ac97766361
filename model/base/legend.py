"""Names and colours of classes in QGIS styles (``.qml``) and in rasters."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osgeo import gdal

from .errors import LandloomError
from .files import parse_json
from .language import tr
from .nomenclature import hex_color
from .raster import quiet_gdal
from .xmltext import Element, parse_xml

_LARGEST = 20_000_000  # bytes; a style of that size is no style of classes
TABLE_PROPERTY = "landloom/nomenclature"
"""Custom property of a style that keeps what a renderer has no room for: parents, codes, classes left out."""


@dataclass(frozen=True)
class Entry:
    """A class of a style.

    Attributes:
        values: of the raster's pixels or of the class field, as texts.
        label: what the legend shows.
        color: ``#rrggbb``, empty where the symbol has none.
    """

    values: tuple[str, ...]
    label: str
    color: str = ""


@dataclass
class Style:
    """What a style says of classes.

    Attributes:
        palette: of a raster of unique values.
        categories: of a categorised vector layer.
        class_field: that of the vector layer.
        table: rows that Landloom has put in besides.
    """

    palette: list[Entry] = field(default_factory=list)
    categories: list[Entry] = field(default_factory=list)
    class_field: str = ""
    table: list[dict[str, Any]] = field(default_factory=list)


def read_style(path: str | os.PathLike[str]) -> Style:
    """The classes of a QGIS style of unique values (raster) or categories (vector).

    Raises:
        LandloomError: if the file is no QGIS style.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise LandloomError(
                tr("The style {path} is larger than 20 MB: it is no style of classes.").format(path=path)
            )
        content = path.read_bytes()
        root = parse_xml(content, document_type=True)
    except OSError as error:
        raise LandloomError(
            tr("Cannot read the style {path}: {reason}; check the path.").format(
                path=path, reason=error.strerror or error
            )
        ) from error
    except ValueError as error:
        raise LandloomError(
            tr("{path} is no QGIS style ({error}); save it again from the layer's properties.").format(
                path=path, error=error
            )
        ) from error
    style = Style()
    for one in root.iter("paletteEntry"):
        value = _number(one.get("value", ""))
        style.palette.append(Entry((value,), one.get("label", "").strip() or value, _hex(one.get("color", ""))))
    renderer = next((one for one in root.iter("renderer-v2") if one.get("type") == "categorizedSymbol"), None)
    if renderer is not None:
        style.class_field = renderer.get("attr", "").strip('"')
        colors = {one.get("name", ""): _symbol_color(one) for one in renderer.iterfind("symbols/symbol")}
        for one in renderer.iterfind("categories/category"):
            listed = [_number(val.get("value", "")) for val in one.findall("val")]
            values = tuple(value for value in listed or [_number(one.get("value", ""))] if value not in ("", "NULL"))
            if values:  # the one without a value is 'all other values'
                label = one.get("label", "").strip() or values[0]
                style.categories.append(Entry(values, label, colors.get(one.get("symbol", ""), "")))
    for option in root.iter("Option"):
        if option.get("name") == TABLE_PROPERTY:
            style.table = _rows(option.get("value", ""))
    return style


def legend_of(dataset: gdal.Dataset, zero: bool = False) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours of a map by code: from its categories and colour table, else from the style beside it.

    Args:
        dataset: the map.
        zero: tell of the value 0 too, which is no data in most maps but a class in some.
    """
    band = dataset.GetRasterBand(1)
    first = 0 if zero else 1
    with quiet_gdal():
        band.GetDescription()  # GDAL 3.6 reads category names only after something else was read
        categories, table = band.GetCategoryNames() or [], band.GetColorTable()
        attributes = band.GetDefaultRAT()
    names = {value: name.strip() for value, name in enumerate(categories) if value >= first and name.strip()}
    if not names and attributes is not None:
        names = {value: name for value, name in _names_of_attributes(attributes).items() if value >= first}
    colors: dict[int, str] = {}
    if table is not None:
        for value in range(first, min(table.GetCount(), 65536)):
            red, green, blue, alpha = table.GetColorEntry(value)
            if alpha and (value in names or (not names and (red or green or blue))):
                colors[value] = hex_color(red, green, blue)
    path = Path(dataset.GetDescription()).with_suffix(".qml")
    if names or not path.is_file():
        return names, colors
    try:
        palette = read_style(path).palette
        entries = [one for one in palette if one.values[0].isdigit() and int(one.values[0]) >= first]
    except LandloomError:
        return names, colors  # a style of something else is no fault of the map
    return (
        {int(one.values[0]): one.label for one in entries},
        colors | {int(one.values[0]): one.color for one in entries if one.color},
    )


def _names_of_attributes(attributes: gdal.RasterAttributeTable) -> dict[int, str]:
    """Names in a raster attribute table with a column of values and one of names."""
    value, name = attributes.GetColOfUsage(gdal.GFU_MinMax), attributes.GetColOfUsage(gdal.GFU_Name)
    if value < 0 or name < 0:
        return {}
    rows = range(attributes.GetRowCount())
    found = {attributes.GetValueAsInt(row, value): attributes.GetValueAsString(row, name).strip() for row in rows}
    return {int(key): text for key, text in found.items() if text}


def _number(text: str) -> str:
    """QGIS writes the class 3 of a field of real numbers as 3.0 or 3.00000."""
    text = text.strip()
    whole, point, rest = text.partition(".")
    return whole if point and whole.lstrip("-").isdigit() and not rest.strip("0") else text


def _symbol_color(symbol: Element) -> str:
    """The fill colour of a symbol, in the forms of QGIS before and since 3.26."""
    for layer in symbol.iterfind("layer"):
        for option in layer.iterfind("Option/Option"):
            if option.get("name") in ("color", "line_color"):
                return _hex(option.get("value", ""))
        for prop in layer.iterfind("prop"):
            if prop.get("k") in ("color", "line_color"):
                return _hex(prop.get("v", ""))
    return ""


def _hex(text: str) -> str:
    """``#rrggbb`` of ``#rrggbb[aa]`` or ``r,g,b,a[,rgb:...]``; empty where it is neither."""
    if text.startswith("#") and len(text) >= 7:
        return text[:7].lower()
    parts = text.split(",")[:3]
    if len(parts) == 3 and all(part.strip().isdigit() and int(part) <= 255 for part in parts):
        return hex_color(*(int(part) for part in parts))
    return ""


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        content = parse_json(text)
    except ValueError:
        return []
    return [row for row in content if isinstance(row, dict)] if isinstance(content, list) else []
