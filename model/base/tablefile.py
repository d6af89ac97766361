"""Writing plain tables for people: CSV, OpenDocument and Excel, whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from osgeo import gdal, ogr

from .csvtext import csv_text, inert
from .errors import LandloomError
from .files import cannot_write, whole_file, write_text
from .language import tr
from .raster import quiet_gdal

SHEETS = {".ods": "ODS", ".xlsx": "XLSX"}
SUFFIXES = (".csv", *SHEETS)


def check_table_path(path: str | os.PathLike[str], parameter: str = "OUTPUT") -> None:
    """Check, before the work, that the format of a table is known.

    Raises:
        LandloomError: if it is not.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise LandloomError(
            tr("{parameter} {path} has an unknown format: end its name in {suffixes}.").format(
                parameter=parameter, path=path, suffixes=", ".join(SUFFIXES)
            )
        )
    if suffix in SHEETS and ogr.GetDriverByName(SHEETS[suffix]) is None:
        raise LandloomError(
            tr("This GDAL cannot write {suffix}; choose an {parameter} that ends in .csv.").format(
                suffix=suffix, parameter=parameter
            )
        )


def write_rows(
    path: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[Any]], sheet: str = "table"
) -> None:
    """Write a table; the suffix says the format.

    Args:
        path: ``.csv`` (commas, UTF-8, point as decimal mark), ``.ods`` or ``.xlsx``.
        header: names of the columns.
        rows: whole numbers, floats (NaN = empty), texts or None (empty); a column is of one kind.
        sheet: name of the sheet.

    Raises:
        LandloomError: if the format is unknown or the file cannot be written.
    """
    check_table_path(path)
    path = Path(path)
    cells = [[_plain(value) for value in row] for row in rows]
    if path.suffix.lower() == ".csv":
        write_text(path, csv_text([header, *cells]))
        return
    driver = ogr.GetDriverByName(SHEETS[path.suffix.lower()])
    with whole_file(path) as temporary, quiet_gdal() as messages:
        try:
            _fill(driver.CreateDataSource(str(temporary)), sheet, header, cells)
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            messages.append(str(error))
        if not temporary.exists():
            raise LandloomError(cannot_write(path, " ".join(messages) or tr("GDAL gives no reason")))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _fill(dataset: gdal.Dataset | None, sheet: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if dataset is None:
        return
    layer = dataset.CreateLayer(sheet, geom_type=ogr.wkbNone)
    for column, name in enumerate(header):
        known = [row[column] for row in rows if row[column] is not None]
        if known and all(isinstance(value, int) for value in known):
            kind = ogr.OFTInteger64 if max(abs(value) for value in known) >= 2**31 else ogr.OFTInteger
        elif known and all(isinstance(value, int | float) for value in known):
            kind = ogr.OFTReal
        else:
            kind = ogr.OFTString
        layer.CreateField(ogr.FieldDefn(name, kind))
    for row in rows:
        feature = ogr.Feature(layer.GetLayerDefn())
        for column, value in enumerate(row):
            if value is not None:
                feature.SetField(column, value if isinstance(value, int | float) else inert(str(value)))
        layer.CreateFeature(feature)
