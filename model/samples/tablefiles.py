"""Reading and writing nomenclature tables: CSV, spreadsheets (ODS, XLSX), QGIS styles and iota2's two text files."""

from __future__ import annotations

import csv
import io
import math
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from osgeo import gdal

from ..base.csvtext import as_given, csv_text
from ..base.errors import LandloomError
from ..base.files import write_text
from ..base.language import tr
from ..base.nomenclature import hex_color, source_value
from ..base.raster import gdal_options, quiet_gdal
from ..base.tablefile import SHEETS, write_rows
from ..base.vectorfile import features_of
from .stylefiles import read_style_table, write_style_table
from .table import NomenclatureTable, Row

TEXT_SUFFIXES = (".txt",)
STYLE_SUFFIX = ".qml"
_KINDS = {"code": int, "count": int, "hectares": float}  # columns of numbers in a sheet
SUFFIXES = (".csv", *SHEETS, STYLE_SUFFIX, *TEXT_SUFFIXES)

#: Names under which iota2 users keep the colours beside the nomenclature.
COLOR_FILES = ("colors", "color", "colours", "colour", "couleurs", "couleur", "colorfile", "colortable", "colorindex")

_COLUMNS = {
    "value": ("value", "source", "source value", "valeur", "valeur source"),
    "code": ("code", "label", "id"),
    "name": ("name", "class", "classe", "nom", "libelle", "class name"),
    "color": ("color", "colour", "couleur"),
    "use": ("use", "used", "utiliser", "utilise", "usage"),
    "count": ("count", "features", "polygons", "points", "nombre", "effectif"),
    "hectares": ("hectares", "ha", "area", "surface"),
}
_YES = {"", "yes", "y", "oui", "o", "true", "vrai", "1", "x", "t"}
_NO = {"no", "n", "non", "false", "faux", "0", "f"}


def read_table(path: str | os.PathLike[str]) -> NomenclatureTable:
    """Read a nomenclature.

    A text file of lines ``name:label`` is iota2's; its colours (lines ``label R G B``) are looked for beside it, in
    ``colors.txt`` or the like.

    Raises:
        LandloomError: naming file and line, if it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise LandloomError(tr("The nomenclature {path} does not exist; check the path.").format(path=path))
    suffix = path.suffix.lower()
    if suffix in SHEETS:
        return _from_cells(_read_sheet(path), path)
    if suffix == STYLE_SUFFIX:
        return read_style_table(path)
    text = _read_text(path)
    if suffix in TEXT_SUFFIXES:
        return _read_iota2(path, text)
    return _from_cells(_read_csv(text, path), path)


def write_table(
    table: NomenclatureTable, path: str | os.PathLike[str], field: str = "", points: bool = False
) -> list[Path]:
    """Write a table in the format that the suffix names; gives the files written.

    Args:
        table: the nomenclature.
        path: ``.csv``, ``.ods``, ``.xlsx``, ``.qml`` or ``.txt``.
        field: for a style, the class field of the reference layer.
        points: for a style, whether that layer holds points.

    Raises:
        LandloomError: if the suffix is unknown or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        return _write_iota2(table, path)
    if suffix == STYLE_SUFFIX:
        write_style_table(table, path, field, points)
        return [path]
    if suffix in SHEETS:
        header, *lines = _cells(table)
        rows = [
            [_KINDS.get(name, str)(cell) if cell else None for name, cell in zip(header, line, strict=True)]
            for line in lines
        ]
        write_rows(path, header, rows, "nomenclature")
        return [path]
    if suffix != ".csv":
        raise LandloomError(
            tr("Cannot write a nomenclature as {path}: end its name in {suffixes}.").format(
                path=path.name, suffixes=", ".join(SUFFIXES)
            )
        )
    write_text(path, csv_text(_cells(table)))
    return [path]


def _cells(table: NomenclatureTable) -> list[list[str]]:
    levels = max((len(row.parents) for row in table.rows), default=0)
    header = ["value", "code", "name", "color", *(f"level{i + 1}" for i in range(levels)), "use", "count", "hectares"]
    cells = [header]
    for row in table.rows:
        parents = [*row.parents, *[""] * (levels - len(row.parents))]
        count = "" if row.count is None else str(row.count)
        hectares = "" if row.hectares is None else f"{row.hectares:.2f}"
        cells.append(
            [row.value, str(row.code), row.name, row.color, *parents, "yes" if row.use else "no", count, hectares]
        )
    return cells


def _from_cells(cells: Iterable[Sequence[str]], path: Path) -> NomenclatureTable:
    lines = [[as_given(cell.strip()) for cell in line] for line in cells]
    lines = [line for line in lines if any(line)]
    if not lines:
        raise LandloomError(
            tr("The nomenclature {path} is empty; make one with the algorithm nomenclature.").format(path=path)
        )
    column = _find_columns(lines[0], path)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        cell = {key: line[i] if i < len(line) else "" for key, i in column.items()}
        value = source_value(_number_text(cell["value"]))
        if value is None:
            raise LandloomError(
                tr("Line {number} of {path} has no value: give the value of the class field.").format(
                    number=number, path=path
                )
            )
        use = _plain(cell.get("use", ""))
        if use not in _YES | _NO:
            raise LandloomError(
                tr("Line {number} of {path}: use is '{cell}', write yes or no.").format(
                    number=number, path=path, cell=cell["use"]
                )
            )
        levels = [cell[key] for key in sorted((k for k in cell if k.startswith("level")), key=lambda k: int(k[5:]))]
        while levels and not levels[-1]:
            levels.pop()
        rows.append(
            Row(
                value,
                _whole_number(
                    cell.get("code", ""), tr("Line {number} of {path}: code").format(number=number, path=path)
                ),
                cell.get("name", ""),
                cell.get("color", ""),
                tuple(levels),
                use in _YES,
                _count(cell.get("count", "")),
                _hectares(cell.get("hectares", "")),
            )
        )
    return NomenclatureTable(rows, str(path))


def _count(text: str) -> int | None:
    """How many features an earlier run counted; what a user wrote there instead is no error."""
    text = _number_text(text)
    return int(text) if text.isascii() and text.isdigit() else None


def _hectares(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _find_columns(header: Sequence[str], path: Path) -> dict[str, int]:
    column: dict[str, int] = {}
    for position, title in enumerate(header):
        plain = _plain(title)
        for key, words in _COLUMNS.items():
            if plain in words:
                column.setdefault(key, position)
        compact = plain.replace(" ", "").replace("_", "").replace("niveau", "level")
        if compact.startswith("level") and compact[5:].isdigit():
            column.setdefault(f"level{int(compact[5:])}", position)
    if "value" not in column:
        raise LandloomError(
            tr(
                "{path} has no column 'value' (it has {header}): the first line must name the columns value, "
                "code, name, color, use."
            ).format(path=path, header=", ".join(header))
        )
    return column


def _plain(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(ascii_text.lower().replace("_", " ").split())


def _number_text(text: str) -> str:
    """Spreadsheets turn 12 into 12.0."""
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text


def _whole_number(text: str, what: str) -> int | None:
    text = _number_text(text)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise LandloomError(tr("{what} '{text}' is not a whole number.").format(what=what, text=text)) from None


def _read_text(path: Path) -> str:
    """UTF-8 with or without its mark; else what French spreadsheets on Windows write."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LandloomError(
            tr("Cannot read {path}: {reason}. Check its permissions.").format(path=path, reason=error.strerror or error)
        ) from error
    if b"\x00" in content:
        raise LandloomError(
            tr("The nomenclature {path} is not a text file; give CSV, ODS or iota2's text.").format(path=path)
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _read_csv(text: str, path: Path) -> list[list[str]]:
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:  # a quote that is never closed, for one
        raise LandloomError(
            tr("The nomenclature {path} is no CSV ({error}): save it again as CSV.").format(path=path, error=error)
        ) from error


def _read_sheet(path: Path) -> list[list[str]]:
    # Headers are told apart by us: GDAL guesses them only where types differ from the lines below.
    options = {f"OGR_{kind}_HEADERS": "DISABLE" for kind in SHEETS.values()}
    options.update({f"OGR_{kind}_FIELD_TYPES": "STRING" for kind in SHEETS.values()})
    with quiet_gdal() as messages, gdal_options(**options):
        try:
            dataset = gdal.OpenEx(str(path), gdal.OF_VECTOR)
        except RuntimeError as error:  # when someone switched GDAL's exceptions on
            messages.append(str(error))
            dataset = None
        if dataset is None or dataset.GetLayerCount() == 0:
            raise LandloomError(
                tr("Cannot read the table {path}: {messages}. Save it as CSV.").format(
                    path=path, messages=" ".join(messages) or "unknown form"
                )
            )
        layer = dataset.GetLayer(0)
        count = layer.GetLayerDefn().GetFieldCount()
        return [
            [feature.GetFieldAsString(i) if feature.IsFieldSetAndNotNull(i) else "" for i in range(count)]
            for feature in features_of(layer, str(path))
        ]


def _read_iota2(path: Path, text: str) -> NomenclatureTable:
    lines = [line.strip() for line in text.splitlines()]
    if lines and ":" not in lines[0] and any(mark in lines[0] for mark in ",;\t"):
        return _from_cells(_read_csv(text, path), path)
    colors = {}
    color_file = find_color_file(path)
    if color_file is not None:
        colors = _read_colors(color_file)
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        name, colon, label = line.rpartition(":")
        if not colon or not name.strip():
            raise LandloomError(
                tr("Line {number} of {path} is '{line}', expected name:label, such as maize:12.").format(
                    number=number, path=path, line=line
                )
            )
        code = _whole_number(label.strip(), tr("Line {number} of {path}: label").format(number=number, path=path))
        if code is None:
            raise LandloomError(
                tr("Line {number} of {path} is '{line}', expected name:label, such as maize:12.").format(
                    number=number, path=path, line=line
                )
            )
        rows.append(Row(str(code), code, name.strip(), colors.get(code, "")))
    if not rows:
        raise LandloomError(
            tr("The nomenclature {path} is empty; make one with the algorithm nomenclature.").format(path=path)
        )
    return NomenclatureTable(rows, str(path), by_name=True)


def find_color_file(path: Path) -> Path | None:
    """The colours beside an iota2 nomenclature, None if there are none."""
    beside = sorted(one for one in path.parent.iterdir() if one.suffix.lower() == ".txt" and one != path)
    wanted = [f"{path.stem.lower()}_colors", *COLOR_FILES]
    for stem in wanted:
        for one in beside:
            if one.stem.lower() == stem:
                return one
    return None


def _read_colors(path: Path) -> dict[int, str]:
    colors = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        parts = line.replace(",", " ").split()
        if not parts or parts[0].startswith("#"):
            continue
        try:
            label, red, green, blue = (int(part) for part in parts[:4])
        except ValueError:
            raise LandloomError(
                tr("Line {number} of {path} is '{line}', expected label R G B, such as 12 255 0 0.").format(
                    number=number, path=path, line=line
                )
            ) from None
        colors[label] = hex_color(red, green, blue)
    return colors


def _write_iota2(table: NomenclatureTable, path: Path) -> list[Path]:
    """Lines name:label and, beside, label R G B; classes left out are not written."""
    classes = table.nomenclature()
    stem = "colors" if path.stem.lower() == "nomenclature" else f"{path.stem}_colors"
    color_path = path.with_name(f"{stem}.txt")
    colors = [tuple(int(one.color[i : i + 2], 16) for i in (1, 3, 5)) for one in classes]
    write_text(
        color_path, "".join(f"{one.code} {' '.join(map(str, rgb))}\n" for one, rgb in zip(classes, colors, strict=True))
    )
    write_text(path, "".join(f"{one.name}:{one.code}\n" for one in classes))
    return [path, color_path]
