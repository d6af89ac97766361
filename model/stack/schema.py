"""The schema of ``stack.json`` and a small checker for it (JSON Schema's words, so that other tools can use it too)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..base.errors import LandloomError
from ..base.language import tr

LARGEST = 2**53
"""Whole numbers beyond this are not the same in all programs that read JSON."""

_NUMBER: dict[str, Any] = {"type": "number"}
_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}

_SOURCE: dict[str, Any] = {
    "type": "object",
    "required": ["path", "size", "time"],
    "properties": {
        "path": {"type": "string", "minLength": 1},
        "size": {"type": "integer", "minimum": 0},
        "time": _NUMBER,
        "nodata": _NUMBER,
        "corner": {"type": "array", "items": _WHOLE, "minItems": 2, "maxItems": 2},
        "ratio": {"type": "integer", "minimum": 1},
    },
}
_MASK: dict[str, Any] = {
    "type": "object",
    "required": ["raster", "band", "source"],
    "properties": {
        "raster": {"type": "string", "minLength": 1},
        "band": {"type": "integer", "minimum": 1},
        "invalid_values": {"type": "array", "items": _NUMBER},
        "invalid_bits": {"type": "integer", "minimum": 1},
        "valid_values": {"type": "array", "items": _NUMBER},
        "buffer": {"type": "number", "minimum": 0},
        "source": _SOURCE,
    },
}
_PART: dict[str, Any] = {
    "type": "object",
    "required": ["product", "data", "bands", "masks", "sources"],
    "properties": {
        "product": _TEXT,
        "data": {"type": "string", "minLength": 1},
        "bands": {
            "type": "object",
            "additionalProperties": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": 2,
                "maxItems": 2,
            },
        },
        "masks": {"type": "array", "items": _MASK},
        "sources": {"type": "array", "items": _SOURCE, "minItems": 1},
        "cover": {"type": "array", "items": _WHOLE, "minItems": 4, "maxItems": 4},
        "convert": {
            "type": "object",
            "required": ["unit", "scale", "offset"],
            "properties": {"unit": {"enum": ["db", "amplitude", "power"]}, "scale": _NUMBER, "offset": _NUMBER},
        },
        "scales": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2},
        },
        "orbit": _TEXT,
        "calibration": _TEXT,
        "unit": _TEXT,
        "filtered": {"type": "boolean"},
        "shift_db": {"type": "object", "additionalProperties": _NUMBER},
        "shift": {
            "type": "array",
            "items": {"type": "number", "minimum": -1000, "maximum": 1000},
            "minItems": 2,
            "maxItems": 2,
        },
    },
}
_SENSOR: dict[str, Any] = {
    "type": "object",
    "required": ["name", "kind", "bands", "dtype", "scale", "offset", "acquisitions"],
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "kind": {"enum": ["optical", "radar", "static"]},
        "bands": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        "dtype": {"enum": ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]},
        "scale": _NUMBER,
        "offset": _NUMBER,
        "nodata": {"type": ["number", "null"]},
        "unit": {"enum": ["", "reflectance", "power", "db", "amplitude"]},
        "calibration": _TEXT,
        "orbit": _TEXT,
        "speckle": {"enum": ["", *(f"quegan {size}" for size in range(3, 23, 2))]},
        "acquisitions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["date", "day", "parts"],
                "properties": {"date": _TEXT, "day": _WHOLE, "parts": {"type": "array", "items": _PART, "minItems": 1}},
            },
        },
    },
}
STACK_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Landloom stack",
    "type": "object",
    "required": ["format", "version", "grid", "season", "sensors"],
    "properties": {
        "format": {"const": "landloom-stack"},
        "version": {"type": "integer", "minimum": 1, "maximum": 1},
        "grid": {
            "type": "object",
            "required": ["crs", "transform", "width", "height"],
            "properties": {
                "crs": {"type": "string", "minLength": 1},
                "transform": {"type": "array", "items": _NUMBER, "minItems": 6, "maxItems": 6},
                "width": {"type": "integer", "minimum": 1},
                "height": {"type": "integer", "minimum": 1},
            },
        },
        "season": {
            "type": "object",
            "required": ["start", "year"],
            "properties": {"start": {"type": "string", "minLength": 5, "maxLength": 5}, "year": _WHOLE},
        },
        "sensors": {"type": "array", "items": _SENSOR},
    },
}


def check_stack(content: Any, path: Path) -> None:
    """Check the content of a ``stack.json``.

    Raises:
        LandloomError: naming the file, the entry and what is wrong with it.
    """
    if not isinstance(content, dict) or content.get("format") != "landloom-stack":
        raise LandloomError(
            tr("{path} is not a Landloom stack; make one with preparestack or addrasters.").format(path=path)
        )
    version = content.get("version")
    if isinstance(version, int) and version > 1:
        raise LandloomError(
            tr("The stack {path} was made by a newer Landloom (version {version}); update the plugin.").format(
                path=path, version=version
            )
        )
    problem = first_problem(content, STACK_SCHEMA) or _beyond_schema(content)
    if problem:
        raise LandloomError(
            tr("The stack {path} is damaged: {problem}. Make it again.").format(path=path, problem=problem)
        )


def first_problem(value: Any, schema: dict[str, Any], where: str = "stack") -> str:
    """What first breaks the schema, empty if nothing does."""
    if "const" in schema and value != schema["const"]:
        return tr("{where} must be {schema!r}").format(where=where, schema=schema["const"])
    if "enum" in schema and value not in schema["enum"]:
        return tr("{where} is {value!r:.40} but must be one of {schema}").format(
            where=where, value=value, schema=schema["enum"]
        )
    kinds = schema.get("type")
    if kinds is not None and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return tr("{where} must be of type {kinds}").format(where=where, kinds=kinds)
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, (int, float)):
        if value < schema.get("minimum", -math.inf) or value > schema.get("maximum", math.inf):
            return tr("{where} is {value}, out of range").format(where=where, value=value)
    elif isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf):
            return tr("{where} has a wrong length").format(where=where)
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            return tr("{where} has {n_value} entries").format(where=where, n_value=len(value))
        for index, item in enumerate(value):
            problem = first_problem(item, schema.get("items", {}), f"{where}[{index}]")
            if problem:
                return problem
    elif isinstance(value, dict):
        for key in schema.get("required", ()):
            if key not in value:
                return tr("{where}.{key} is missing").format(where=where, key=key)
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for key, item in value.items():
            problem = first_problem(item, properties.get(key, others), f"{where}.{key}")
            if problem:
                return problem
    return ""


def _is(value: Any, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    kinds: dict[str, type] = {"string": str, "array": list, "object": dict, "null": type(None), "boolean": bool}
    return isinstance(value, kinds[kind])


def _beyond_schema(content: dict[str, Any]) -> str:
    names = [sensor["name"] for sensor in content["sensors"]]
    if len(set(names)) < len(names):
        return tr("two sensors have one name")
    transform = content["grid"]["transform"]
    if transform[1] <= 0 or transform[5] >= 0 or transform[2] or transform[4]:
        return tr("the grid is not north-up")
    for sensor in content["sensors"]:
        for acquisition in sensor["acquisitions"]:
            for part in acquisition["parts"]:
                if any(place[0] >= len(part["sources"]) or place[1] < 1 for place in part["bands"].values()):
                    return tr("a band of {part} names a file that is not listed").format(part=part["product"])
                for mask in part["masks"]:
                    if sum(key in mask for key in ("invalid_values", "invalid_bits", "valid_values")) != 1:
                        return tr("a mask of {part} needs exactly one rule").format(part=part["product"])
    return ""
