"""Keeping a layer's QGIS style with its data."""

from __future__ import annotations

import contextlib
import os
import sqlite3

from .errors import LandloomError
from .files import cannot_write


def keep_style(path: str | os.PathLike[str], layer: str, style: str) -> None:
    """Write a style into a GeoPackage that does not have its final name yet, as QGIS's "save style in database" does.

    Raises:
        LandloomError: if it cannot be written.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,))
            column = found.fetchone()[0]
            connection.execute(
                "CREATE TABLE IF NOT EXISTS layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "
                "f_table_catalog TEXT, f_table_schema TEXT, f_table_name TEXT, f_geometry_column TEXT, styleName TEXT, "
                "styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT, ui TEXT, "
                "update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
            )
            connection.execute(
                "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) VALUES "
                "('layer_styles', 'attributes', 'layer_styles', '', 0)"
            )
            connection.execute(
                "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, "
                "styleName, styleQML, styleSLD, useAsDefault, description, owner, ui) VALUES ('', '', ?, ?, ?, ?, '', "
                "1, ?, '', NULL)",
                (layer, column, layer, style, layer),
            )
            connection.commit()
    except sqlite3.Error as error:
        raise LandloomError(cannot_write(path, str(error))) from error
