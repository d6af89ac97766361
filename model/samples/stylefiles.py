"""Nomenclatures in QGIS styles (``.qml``).

One file holds both forms: categories for the reference layer (by the values of its class field) and unique values for
maps (by code). What neither has room for, the parents and the classes left out, is kept as a property of the layer,
which QGIS saves with the style; names and colours are always those that the legend shows.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..base.errors import LandloomError
from ..base.files import write_text
from ..base.language import tr
from ..base.legend import TABLE_PROPERTY, Entry, Style, read_style
from ..base.nomenclature import as_code, normalise_color
from ..base.qml import Category, categorized, paletted
from ..base.xmltext import quoteattr
from .table import NomenclatureTable, Row

_POINTS, _POLYGONS = 0, 2  # QGIS's types of geometry: a style is for one of them


def read_style_table(path: str | os.PathLike[str]) -> NomenclatureTable:
    """The nomenclature of a QGIS style of categories or unique values.

    Raises:
        LandloomError: if the file is no such style.
    """
    path = Path(path)
    style = read_style(path)
    entries = [one for one in style.palette if one.values[0] != "0"]  # 0 is no data in maps
    if not entries and not style.categories:
        raise LandloomError(
            tr(
                "The style {path} shows no classes: save one of 'Categorized' symbols (vector) or of 'Unique "
                "values' (raster)."
            ).format(path=path)
        )
    kept = {str(row.get("value")): row for row in style.table}
    rows = _rows_of_categories(style, kept) if style.categories else _rows_of_palette(entries, kept, path)
    shown = {row.value for row in rows}
    rows += [_kept_row(value, row) for value, row in kept.items() if value not in shown and row.get("use") is False]
    return NomenclatureTable(rows, str(path), by_name=not style.categories)


def write_style_table(
    table: NomenclatureTable, path: str | os.PathLike[str], field: str = "", points: bool = False
) -> None:
    """Write a nomenclature as a style that both the reference layer and maps load.

    Args:
        table: the nomenclature.
        path: the ``.qml``.
        field: the class field of the reference layer; its codes where it is empty.
        points: whether the reference layer holds points.

    Raises:
        LandloomError: if it cannot be written.
    """
    classes = table.nomenclature()
    values: dict[int, list[str]] = {}
    for row in table.rows:
        if row.use and row.code is not None:
            values.setdefault(row.code, []).append(row.value)
    categories = [Category(values[one.code], one.name, one.color) for one in classes]
    rows = [
        {"value": row.value, "code": row.code, "name": row.name, "parents": list(row.parents), "use": row.use}
        for row in table.rows
    ]
    kept = json.dumps(rows, ensure_ascii=False)
    write_text(
        path,
        f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34.0" styleCategories="Symbology|CustomProperties" hasScaleBasedVisibilityFlag="0">
{categorized(field or "code", categories, points)}
<customproperties><Option type="Map">
<Option name="{TABLE_PROPERTY}" type="QString" value={quoteattr(kept)}/>
</Option></customproperties>
<blendMode>0</blendMode>
<layerGeometryType>{_POINTS if points else _POLYGONS}</layerGeometryType>
  <pipe>
{paletted((one.code, one.name, one.color) for one in classes)}
    <brightnesscontrast brightness="0" contrast="0" gamma="1"/>
    <huesaturation saturation="0" grayscaleMode="0" colorizeOn="0"/>
    <rasterresampler maxOversampling="2"/>
  </pipe>
</qgis>
""",
    )


def _rows_of_categories(style: Style, kept: dict[str, dict]) -> list[Row]:
    codes = {one.label: as_code(one.values[0]) for one in style.palette}
    rows = []
    for one in style.categories:
        for value in one.values:
            row = kept.get(value, {})
            code = row.get("code") if isinstance(row.get("code"), int) else codes.get(one.label)
            rows.append(Row(value, code, one.label, _color(one), _parents(row)))
    return rows


def _rows_of_palette(entries: list[Entry], kept: dict[str, dict], path: Path) -> list[Row]:
    by_code = {row.get("code"): row for row in kept.values()}
    rows = []
    for one in entries:
        code = as_code(one.values[0])
        if code is None:
            raise LandloomError(
                tr("In the style {path} '{label}' stands for {values}, which is no class code.").format(
                    path=path, label=one.label, values=one.values[0]
                )
            )
        rows.append(Row(str(code), code, one.label, _color(one), _parents(by_code.get(code, {}))))
    return rows


def _kept_row(value: str, row: dict) -> Row:
    code = row.get("code")
    name = row.get("name")
    return Row(
        value, code if isinstance(code, int) else None, name if isinstance(name, str) else "", "", _parents(row), False
    )


def _parents(row: dict) -> tuple[str, ...]:
    found = row.get("parents", [])
    return tuple(str(one) for one in found) if isinstance(found, list) else ()


def _color(one: Entry) -> str:
    return normalise_color(one.color, one.label) if one.color else ""
