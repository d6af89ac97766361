"""What an assessment writes beside its report: a JSON table, the confusion matrix as CSV, and the reference objects."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import ogr

from ..base.errors import LandloomError
from ..base.files import parse_json, write_json, write_text
from ..base.language import tr
from ..base.progress import Progress
from ..base.vectorfile import write_table
from ..stack.schema import first_problem
from .assessment import NO_DATA, RIGHT, TRAINED, WRONG, Assessment
from .assessreport import design_sentence, made_from
from .estimators import Estimate
from .layerstyle import Category, categorized_qml

FORMAT, VERSION = "landloom-assessment", 1
LAYER = "objects"


def write_assessment(result: Assessment, path: str | os.PathLike[str]) -> None:
    """Write all figures as JSON; ``docs/accuracy.md`` names its parts."""
    write_json(path, assessment_json(result))


def assessment_json(result: Assessment) -> dict[str, Any]:
    """The figures of an assessment as JSON holds them; what is undefined is null."""
    settings = result.settings
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "map": {
            "path": result.map_path,
            "pixels": {str(value): one.pixels for value, one in result.counts.values.items()},
            "hectares": {str(value): one.hectares for value, one in result.counts.values.items()},
            "no_data_pixels": result.counts.no_data.pixels,
        },
        "classes": [
            {
                "code": one.code,
                "name": one.name,
                "color": one.color,
                "map_values": list(one.map_values),
                "reference_values": list(one.reference_values),
            }
            for one in result.matching.classes
        ],
        "level": settings.level,
        "matched_by": result.matching.by,
        "design": "purposive" if result.design is None else result.design.kind,
        "statement": design_sentence(result),
        "independence": result.independence,
        "warnings": result.warnings,
        "groups": result.groups,
        "no_data_pixels": result.no_data,
        "matrix": result.matrix.astype(int).tolist(),
        "pixel": {**result.pixel.to_json(), "n": int(result.matrix.sum()), "intervals": _intervals(result.bootstrap)},
        "polygon": None,
        "whole_map": None,
        "confusions": [
            {
                "reference": result.matching.classes[one.reference].code,
                "mapped": result.matching.classes[one.mapped].code,
                "pixels": one.pixels,
                "features": [{"feature": result.objects.features[i].fid, "pixels": n} for i, n in one.places],
            }
            for one in result.confusions
        ],
        "provenance": made_from(result).to_json(),
    }
    if result.polygon is not None and result.polygon_matrix is not None:
        content["polygon"] = {
            **result.polygon.to_json(),
            "n": int(result.polygon_matrix.sum()),
            "matrix": result.polygon_matrix.astype(int).tolist(),
            "intervals": _intervals(result.polygon_bootstrap),
        }
    found = result.estimates
    if found is not None:

        def each(estimates: tuple[Estimate, ...], factor: float = 1.0) -> list[dict[str, Any]]:
            return [one.scaled(factor).to_json() for one in estimates]

        content["whole_map"] = {
            "n": int(found.counts.sum()),
            "hectares": result.hectares,
            "overall_accuracy": found.overall.to_json(),
            "users_accuracy": each(found.users),
            "producers_accuracy": each(found.producers),
            "f1": each(found.f1),
            "area_share": each(found.shares),
            "area_hectares": each(found.shares, result.hectares),
            "matrix_of_shares": found.matrix.tolist(),
            "strata": [{"name": one.name, "pixels": one.size, "units": one.drawn} for one in found.strata],
        }
    return content


def _intervals(bootstrap: Any) -> dict[str, Any] | None:
    if bootstrap is None:
        return None
    return {score: bootstrap.interval([0], score).to_json() for score in bootstrap.observed if score != "f1"}


_COUNTS = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}}
_ESTIMATE = {
    "type": "object",
    "required": ["value", "standard_error", "low", "high"],
    "additionalProperties": {"type": ["number", "null"]},
}
_CLASS = {
    "type": "object",
    "required": ["code", "name", "map_values"],
    "properties": {
        "code": {"type": "integer"},
        "name": {"type": "string"},
        "map_values": {"type": "array", "items": {"type": "integer"}},
    },
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["map", "classes", "pixel"],
    "properties": {
        "map": {
            "type": "object",
            "required": ["path", "pixels"],
            "properties": {"path": {"type": "string"}, "pixels": _COUNTS},
        },
        "classes": {"type": "array", "items": _CLASS},
        "pixel": {
            "type": "object",
            "required": ["overall_accuracy"],
            "properties": {"overall_accuracy": {"type": ["number", "null"]}},
        },
        "whole_map": {
            "type": ["object", "null"],
            "required": ["area_hectares"],
            "properties": {"area_hectares": {"type": "array", "items": _ESTIMATE}},
        },
    },
}
"""What other algorithms read of an assessment."""


def _problem(content: dict[str, Any]) -> str:
    found = first_problem(content, _SCHEMA, "it")
    if found:
        return found
    if not all(value.removeprefix("-").isdecimal() and len(value) < 12 for value in content["map"]["pixels"]):
        return tr("a value of the map is no whole number")
    whole = content.get("whole_map")
    if whole is not None and len(whole["area_hectares"]) != len(content["classes"]):
        return tr("there is not one area for each class")
    return ""


def read_assessment(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The JSON of an assessment.

    Raises:
        LandloomError: if it is not one.
    """
    try:
        content = parse_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise LandloomError(
            tr("Cannot read ASSESSMENT {path}: {reason}. Check the path.").format(
                path=path, reason=error.strerror or error
            )
        ) from error
    except ValueError as error:
        raise LandloomError(
            tr("ASSESSMENT {path} is not JSON: give the TABLE of 'Assess'.").format(path=path)
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LandloomError(
            tr("ASSESSMENT {path} is no assessment of Landloom: give the TABLE of 'Assess'.").format(path=path)
        )
    if content.get("version") != VERSION:
        raise LandloomError(
            tr("ASSESSMENT {path} has version {get}, this Landloom reads {version}: assess the map again.").format(
                path=path, get=content.get("version"), version=VERSION
            )
        )
    problem = _problem(content)
    if problem:
        raise LandloomError(
            tr("ASSESSMENT {path} is damaged ({problem}): assess the map again.").format(path=path, problem=problem)
        )
    return content


def write_matrix(result: Assessment, path: str | os.PathLike[str]) -> None:
    """Write the confusion matrix in pixels: a header of the map's codes, then a line for each class of the reference.

    The first cell says what stands where; it can be read by :func:`~landloom.model.base.matrixfile.read_matrix`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    codes = [one.code for one in result.matching.classes]
    writer.writerow(["reference\\map", *codes])
    for code, row in zip(codes, result.matrix.astype(int).tolist(), strict=True):
        writer.writerow([code, *row])
    write_text(path, text.getvalue())


def write_objects(result: Assessment, path: str | os.PathLike[str], progress: Progress) -> None:
    """Write the reference features with what the map says of them, in the map's CRS, styled by right and wrong.

    Fields: ``feature`` (its number in the reference), ``class``, ``predicted``, ``verdict`` (right, wrong, trained, no
    data), ``agreement`` (percent of its pixels that are right), ``confidence`` (percent), ``pixels``, ``no_data``
    (pixels without data), ``group``, ``code``, ``mapcode``.
    """
    objects, classes = result.objects, result.matching.classes
    count = len(objects.features)
    names = [one.name for one in classes]
    codes = np.array([one.code for one in classes], np.int32)
    predicted = objects.predicted
    known = predicted >= 0
    columns: dict[str, Any] = {
        "feature": np.array([one.fid for one in objects.features], np.int64),
        "class": [names[k] for k in objects.label],
        "predicted": [names[k] if k >= 0 else None for k in predicted],
        "verdict": [objects.verdict(i) for i in range(count)],
        "agreement": np.round(100 * objects.agreement, 1),
        "confidence": np.round(objects.confidence, 1),
        "pixels": objects.pixels.astype(np.int32),
        "no_data": objects.no_data.astype(np.int32),
        "group": objects.group.astype(np.int64),
        "code": codes[objects.label],
        "mapcode": np.ma.masked_array(codes[np.where(known, predicted, 0)], ~known),
    }
    columns = {
        name: values if isinstance(values, np.ndarray) else np.array(values, object) for name, values in columns.items()
    }

    def geometries() -> Any:
        for one in objects.features:
            geometry = one.geometry()
            if not result.is_point:
                geometry = ogr.ForceToMultiPolygon(geometry)
            elif ogr.GT_Flatten(geometry.GetGeometryType()) == ogr.wkbMultiPoint:
                geometry = geometry.GetGeometryRef(0).Clone()
            yield bytes(geometry.ExportToWkb())

    kind = ogr.wkbPoint if result.is_point else ogr.wkbMultiPolygon
    label = "if(\"verdict\" = 'wrong', \"class\" || ' → ' || \"predicted\", '')"
    style = categorized_qml(
        "verdict",
        [
            Category(RIGHT, tr("right"), "#2f8f4e"),
            Category(WRONG, tr("wrong"), "#d7301f"),
            Category(TRAINED, tr("trained the model, not judged"), "#8c8c8c"),
            Category(NO_DATA, tr("no data in the map"), "#f0c808"),
        ],
        point=result.is_point,
        label=label,
    )
    write_table(path, LAYER, result.crs_wkt, kind, geometries(), columns, progress, style)
