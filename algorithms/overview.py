"""The one-page report of ``landcovermap``."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from ..model.base.files import parse_json
from ..model.base.html import Report
from ..model.base.language import mark, tr
from ..model.base.provenance import Provenance
from ..model.base.raster import open_raster
from ..model.base.reportfiles import beside, write_facts, write_rows
from ..model.mapping.unsure import level_of
from ..model.networks.modelfile import Model

PREVIEW_MODEL = "preview.safetensors"
"""The random forest of PREVIEW, in the folder of the steps."""
_PICTURE = 720  # pixels, the longer side of the map's picture


def write_overview(
    path: Path,
    land_cover: Path,
    network: str,
    results: dict[str, Any],
    work: Path,
    warnings: Sequence[str] = (),
    made: Provenance | None = None,
    regional: Path | None = None,
    forest: Path | None = None,
) -> None:
    """Write warnings, the map's picture, accuracy, areas of its classes and links to the reports of the steps.

    Args:
        path: the HTML file.
        land_cover: the map, whose colour table and category names are read.
        network: name of the network.
        results: numbers OVERALL_ACCURACY, KAPPA, MACRO_F1 (0..1, or None), and the path MODEL.
        work: folder of the steps' reports.
        warnings: of all steps.
        made: how the map came about.
        regional: the page of a training by regions, beside which lie its scores; None without REGIONS.
        forest: the model of the random forest, whose scores stand beside if the same groups judged it.
    """
    report = Report(tr("Land-cover map"), tr("{map}, made with {network}").format(map=land_cover.name, network=network))
    report.warnings(warnings)
    header = Model.load_header(results["MODEL"])
    judged, level = header.scores, level_of(land_cover)
    if regional is not None:
        judged = _by_region(regional)
    found = _scores_at(judged, level) if judged else {}
    codes = header.nomenclature.at_level(level)[0].codes.tolist()
    of_class = dict(zip(codes, found["f1"], strict=True)) if found else {}
    report.image(map_picture(land_cover), tr("The land-cover map"))
    report.heading(tr("Accuracy on reference groups that did not train the model"))
    if judged:
        how = (
            tr("Each group was judged once, by a model of the cross-validation that had not seen it:")
            if judged["evaluation"] == "folds"
            else tr("Judged on the test groups, which training never read:")
        )
        counts = tr("{pixels} pixels in {groups} groups.").format(pixels=judged["pixels"], groups=judged["groups"])
        report.paragraph(f"{how} {counts}")
    rows = [
        (tr("overall accuracy"), results.get("OVERALL_ACCURACY"), found.get("overall_accuracy")),
        (tr("kappa"), results.get("KAPPA"), found.get("kappa")),
        (tr("macro F1 (mean over classes)"), results.get("MACRO_F1"), found.get("macro_f1")),
    ]
    if level and not found:
        report.paragraph(
            tr("Scores of the map's classes (LEVEL {level}) are in the training report of each region.").format(
                level=level
            )
        )
    columns = [tr("score"), network]
    if level and found:
        columns = [tr("score"), tr("of the model's own classes")]
        columns.append(tr("of the map's classes (LEVEL {level})").format(level=level))
    scores = [row[: len(columns)] for row in rows]
    beside_it = _same_groups(forest, judged) if judged else {}
    if beside_it:
        columns.append(tr("random forest, on the same groups"))
        own = _scores_at(beside_it, level if found else 0)
        keys = ("overall_accuracy", "kappa", "macro_f1")
        scores = [(*row, own.get(key)) for row, key in zip(scores, keys, strict=True)]
    report.table(columns, scores)
    if beside_it:
        report.paragraph(
            tr("How sure a difference between the two is, 'Compare classifiers' tells on the same samples.")
        )
    if results.get("UNSURE_SHARE") is not None:
        report.paragraph(
            tr(
                "{share} % of the map is unsure: less confident than UNSURE_ERROR needs. The scores count every judged "
                "pixel, the unsure ones too; the training report tells the error of the rest."
            ).format(share=f"{100 * results['UNSURE_SHARE']:.1f}")
        )
    report.paragraph(
        tr(
            "These scores hold for the inside of reference polygons like yours; they are not a probability sample of "
            "the map. The training report has the confusion matrix and the scores of each class."
        )
    )
    report.heading(tr("Area of each class in the map"))
    areas, colors = class_areas(land_cover)
    lines = [
        (name, str(code), pixels, f"{ha:.2f}" if math.isfinite(ha) else "–", f"{percent:.1f}", of_class.get(code))
        for name, code, pixels, ha, percent in areas
    ]
    titles = [tr("class"), tr("code"), tr("pixels"), tr("hectares"), tr("percent"), tr("F1")]
    report.table(titles, lines, colors=colors)
    report.paragraph(tr("Areas are counted pixels: they carry the errors of the map. F1 is that of the judged pixels."))
    report.heading(tr("Reports of the steps"))
    for name, label in (
        ("stack.html", mark("Images: dates found, used and skipped")),
        ("samples.html", mark("Reference data: groups, pixels and curves of each class")),
        ("training.html", mark("Training: scores, confusion matrix, learning curve")),
        ("preview.html", mark("Random forest of the preview")),
    ):
        if (work / name).exists():
            report.link(tr(label), Path(os.path.relpath(work / name, path.parent)).as_posix())
    if made is not None:
        report.provenance(made)
    fields = ["code", "name", "pixels", "hectares", "percent", "f1"]
    table = [(code, name, pixels, ha, percent, of_class.get(code)) for name, code, pixels, ha, percent in areas]
    write_rows(path, "areas", fields, table)
    content = {
        "map": str(land_cover),
        "network": network,
        "scores": judged,
        "forest": beside_it or None,
        "areas": [dict(zip(fields, row, strict=True)) for row in table],
        "warnings": list(warnings),
    }
    write_facts(path, "landcovermap", content, made)
    report.write(path)


def _scores_at(judged: Mapping[str, Any], level: int) -> dict[str, Any]:
    """Scores per pixel of the classes of a level; empty where there are none."""
    if not level:
        return judged["pixel"]
    return next((one["pixel"] for one in judged.get("levels", ()) if one["level"] == level), {})


def _same_groups(forest: Path | None, judged: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of the forest, empty where there is none or where other samples judged it."""
    scores = Model.load_header(forest).scores if forest is not None else None
    same = scores and all(scores[key] == judged[key] for key in ("evaluation", "pixels", "groups"))
    return scores if scores and same else {}


def _by_region(page: Path) -> dict[str, Any]:
    """Scores of the map that the models of regions make together, as a header holds those of one model."""
    content = parse_json(beside(page, "report.json").read_bytes())
    rows = [row["own"] or row["general"] or {} for row in content["regions"]]
    return {
        "evaluation": content["evaluation"],
        "pixel": content["combined"],
        "pixels": sum(row.get("pixels", 0) for row in rows),
        "groups": sum(row.get("groups", 0) for row in rows),
    }


def map_picture(land_cover: Path) -> bytes:
    """The map as a small PNG in its colours, transparent where there is no data."""
    dataset = open_raster(land_cover)
    largest = max(dataset.RasterXSize, dataset.RasterYSize)
    width, height = (max(1, round(size * _PICTURE / largest)) for size in (dataset.RasterXSize, dataset.RasterYSize))
    codes = dataset.GetRasterBand(1).ReadAsArray(buf_xsize=width, buf_ysize=height)
    table = dataset.GetRasterBand(1).GetColorTable()
    colors = np.zeros((int(codes.max()) + 1, 4), dtype=np.uint8)
    for code in np.unique(codes[codes > 0]):
        colors[code] = (*bytes.fromhex(_color(table, int(code))[1:]), 255)
    picture = gdal.GetDriverByName("MEM").Create("", width, height, 4, gdal.GDT_Byte)
    for number in range(4):
        picture.GetRasterBand(number + 1).WriteArray(colors[codes][:, :, number])
    name = f"/vsimem/{uuid.uuid4().hex}.png"
    gdal.GetDriverByName("PNG").CreateCopy(name, picture)
    try:
        return _read(name)
    finally:
        gdal.Unlink(name)


def _read(name: str) -> bytes:
    """A file of GDAL's virtual file systems."""
    file = gdal.VSIFOpenL(name, "rb")
    try:
        return bytes(gdal.VSIFReadL(1, gdal.VSIStatL(name).size, file))
    finally:
        gdal.VSIFCloseL(file)


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
