"""The one-page report of ``landcovermap``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from ..model.base.html import Report
from ..model.base.raster import open_raster


def write_overview(path: Path, land_cover: Path, network: str, results: dict[str, Any], work: Path) -> None:
    """Write accuracy, areas of the map's classes and links to the reports of the steps.

    Args:
        path: the HTML file.
        land_cover: the map, whose colour table and category names are read.
        network: name of the network.
        results: numbers OVERALL_ACCURACY, KAPPA, MACRO_F1 (0..1, or None).
        work: folder of the steps' reports.
    """
    report = Report("Land-cover map", f"{land_cover.name}, made with {network}")
    report.heading("Accuracy on reference groups that did not train the model")
    report.table(
        ["score", "value"],
        [
            ("overall accuracy", results.get("OVERALL_ACCURACY")),
            ("kappa", results.get("KAPPA")),
            ("macro F1 (mean over classes)", results.get("MACRO_F1")),
        ],
    )
    report.paragraph(
        "These scores hold for the inside of reference polygons like yours; they are not a probability sample of "
        "the map. The training report has the confusion matrix and the scores of each class."
    )
    report.heading("Area of each class in the map")
    rows, colors = class_areas(land_cover)
    report.table(["class", "code", "pixels", "hectares", "percent"], rows, colors=colors)
    report.paragraph("Areas are counted pixels: they carry the errors of the map.")
    report.heading("Reports of the steps")
    for name, label in (
        ("stack.html", "Images: dates found, used and skipped"),
        ("samples.html", "Reference data: groups, pixels and curves of each class"),
        ("training.html", "Training: scores, confusion matrix, learning curve"),
        ("preview.html", "Random forest of the preview"),
    ):
        if (work / name).exists():
            report.link(label, Path(os.path.relpath(work / name, path.parent)).as_posix())
    report.write(path)


def class_areas(land_cover: Path) -> tuple[list[tuple[str, int, int, float, float]], list[str]]:
    """Name, code, pixels, hectares and percent of each class of a map, with its colours."""
    dataset = open_raster(land_cover)
    band = dataset.GetRasterBand(1)
    counts = np.zeros(65536, dtype=np.int64)
    block_rows = max(1, 2**22 // dataset.RasterXSize)
    for row in range(0, dataset.RasterYSize, block_rows):
        lines = band.ReadAsArray(0, row, dataset.RasterXSize, min(block_rows, dataset.RasterYSize - row))
        counts += np.bincount(lines.ravel(), minlength=counts.size)
    transform = dataset.GetGeoTransform()
    hectares = abs(transform[1] * transform[5] - transform[2] * transform[4]) / 1e4
    system = dataset.GetSpatialRef()
    if system is None or not system.IsProjected():
        hectares = float("nan")  # degrees have no constant area
    names, table = band.GetCategoryNames() or [], band.GetColorTable()
    codes = np.flatnonzero(counts[1:]) + 1
    total = max(int(counts[1:].sum()), 1)
    rows, colors = [], []
    for code in codes:
        name = names[code] if code < len(names) and names[code] else str(code)
        pixels = int(counts[code])
        rows.append((name, int(code), pixels, pixels * hectares, 100.0 * pixels / total))
        colors.append(_color(table, int(code)))
    return rows, colors


def _color(table: gdal.ColorTable | None, code: int) -> str:
    if table is None or code >= table.GetCount():
        return "#888888"
    red, green, blue = table.GetColorEntry(code)[:3]
    return f"#{red:02x}{green:02x}{blue:02x}"
