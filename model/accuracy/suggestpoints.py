"""Suggested places as a layer of points, ready to be labelled in QGIS: a list of classes, colours by prediction."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from osgeo import ogr

from ..base.files import write_text
from ..base.nomenclature import LandCoverClass, Nomenclature
from ..base.progress import Progress
from ..base.vectorfile import write_table
from ..base.xmltext import quoteattr
from .layerstyle import code_by_class

if TYPE_CHECKING:
    from .suggest import Suggestions

LAYER = "suggestions"
CLASS_FIELD, CODE_FIELD = "class", "code"
SHOWN = ("rank", CODE_FIELD, "predicted", "predicted_name", "second", "second_name", "confidence", "uncertainty")


def write_suggestions(path: str | os.PathLike[str], found: Suggestions, progress: Progress) -> None:
    """Write the places with a ``.qml`` beside: rank, class (empty, to be filled), its code, and what the model thinks.

    QGIS fills in the code as the class is chosen.

    Raises:
        LandloomError: if the format is unknown or the file cannot be written.
    """
    names = (*found.nomenclature.names, None)  # index -1: no second class
    codes = found.nomenclature.codes
    columns = {
        "rank": np.arange(1, len(found) + 1, dtype=np.int32),
        CLASS_FIELD: [None] * len(found),
        CODE_FIELD: np.ma.masked_all(len(found), np.int32),
        "predicted": codes[found.predicted].astype(np.int32),
        "predicted_name": [names[place] for place in found.predicted],
        "second": [int(codes[place]) if place >= 0 else 0 for place in found.second],
        "second_name": [names[place] for place in found.second],
        "confidence": np.round(100.0 * found.confidence, 1),
        "uncertainty": np.round(found.uncertainty, 4),
    }
    write_table(path, LAYER, found.crs_wkt, ogr.wkbPoint, _points(found.x, found.y), columns, progress)
    write_text(Path(path).with_suffix(".qml"), suggestions_qml(found.nomenclature))


def _points(x: np.ndarray, y: np.ndarray) -> Iterator[bytes]:
    for east, north in zip(x.tolist(), y.tolist(), strict=True):
        point = ogr.Geometry(ogr.wkbPoint)
        point.AddPoint_2D(east, north)
        yield bytes(point.ExportToWkb())


def suggestions_qml(nomenclature: Nomenclature) -> str:
    """A QGIS style: rings in the colour of the predicted class, filled once labelled, numbered by rank; a form."""
    rules = "\n".join(
        f'<rule key="c{place}" symbol="{place}" filter={quoteattr(f"{chr(34)}predicted{chr(34)} = {one.code}")} '
        f"label={quoteattr(one.name)}/>"
        for place, one in enumerate(nomenclature)
    )
    symbols = "\n".join(_symbol(place, one) for place, one in enumerate(nomenclature))
    choices = class_choices(nomenclature)
    return f"""<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34" styleCategories="Symbology|Labeling|Fields|Forms" labelsEnabled="1">
<renderer-v2 type="RuleRenderer" forceraster="0" symbollevels="0" enableorderby="0">
<rules key="all">
{rules}
</rules>
<symbols>
{symbols}
</symbols>
</renderer-v2>
<labeling type="simple"><settings calloutType="simple">
<text-style fieldName="rank" isExpression="0" fontSize="8" fontSizeUnit="Point" textColor="20,20,20,255">
<text-buffer bufferDraw="1" bufferSize="0.8" bufferSizeUnits="MM" bufferColor="255,255,255,255"/></text-style>
<placement placement="0" dist="1.5" distUnits="MM"/><rendering drawLabels="1"/></settings></labeling>
<fieldConfiguration>
{class_widget(CLASS_FIELD, choices)}
{read_only(SHOWN)}
</fieldConfiguration>
{code_by_class((value, code) for value, _label, code in choices)}
<editable>
<field name="{CLASS_FIELD}" editable="1"/>
{_not_editable(SHOWN)}
</editable>
<blendMode>0</blendMode><layerGeometryType>0</layerGeometryType>
</qgis>
"""


def class_choices(nomenclature: Nomenclature) -> list[tuple[str, str, int]]:
    """Value, label and code of each class: the name, with the code where names occur twice."""
    labels = [f"{one.name} ({one.code})" for one in nomenclature]
    values = nomenclature.names if len(set(nomenclature.names)) == len(labels) else labels
    return [(value, label, one.code) for value, label, one in zip(values, labels, nomenclature, strict=True)]


def class_widget(name: str, choices: Iterable[tuple[str, str, int]]) -> str:
    """The configuration of a field that is filled from a list of the classes."""
    entries = "\n".join(
        f'<Option type="Map"><Option type="QString" name={quoteattr(label)} value={quoteattr(value)}/></Option>'
        for value, label, _code in choices
    )
    return f"""<field name={quoteattr(name)} configurationFlags="None"><editWidget type="ValueMap"><config>
<Option type="Map"><Option type="List" name="map">
{entries}
</Option></Option></config></editWidget></field>"""


def read_only(names: Iterable[str]) -> str:
    """The configuration of fields that are shown as text."""
    widget = '<editWidget type="TextEdit"><config><Option/></config></editWidget>'
    return "\n".join(f'<field name={quoteattr(name)} configurationFlags="None">{widget}</field>' for name in names)


def _not_editable(names: Iterable[str]) -> str:
    return "\n".join(f'<field name={quoteattr(name)} editable="0"/>' for name in names)


def _symbol(place: int, one: LandCoverClass) -> str:
    red, green, blue = (int(one.color[start : start + 2], 16) for start in (1, 3, 5))
    color = f"{red},{green},{blue},255"
    filled = f"if(&quot;{CLASS_FIELD}&quot; is null, '255,255,255,60', '{color}')"
    return f"""<symbol type="marker" name="{place}" alpha="1" clip_to_extent="1" force_rhr="0">
<layer class="SimpleMarker" enabled="1" locked="0" pass="0"><Option type="Map">
<Option name="color" type="QString" value="255,255,255,60"/><Option name="name" type="QString" value="circle"/>
<Option name="outline_color" type="QString" value="{color}"/><Option name="outline_style" type="QString" value="solid"/>
<Option name="outline_width" type="QString" value="0.8"/><Option name="outline_width_unit" type="QString" value="MM"/>
<Option name="size" type="QString" value="3.6"/><Option name="size_unit" type="QString" value="MM"/>
</Option><data_defined_properties><Option type="Map"><Option name="name" type="QString" value=""/>
<Option name="properties" type="Map"><Option name="fillColor" type="Map">
<Option name="active" type="bool" value="true"/>
<Option name="expression" type="QString" value="{filled}"/>
<Option name="type" type="int" value="3"/></Option></Option>
<Option name="type" type="QString" value="collection"/></Option></data_defined_properties></layer></symbol>"""
