"""The QGIS form in which points are labelled: a list of classes, points in order, no word of the map's class."""

from __future__ import annotations

from collections.abc import Sequence

from ..base.language import tr
from ..base.xmltext import quoteattr
from .layerstyle import code_by_class, labeling, marker, qml

HIDDEN = ("fid", "stratum", "probability", "pixels")
"""Fields that would tell the interpreter what the map says."""
SHOWN = ("point", "class", "code", "note")


def form_qml(classes: Sequence[tuple[str, str, int]], footprint: float) -> str:
    """Style and form of the layer of points.

    Args:
        classes: value, label and code of each class to choose from; QGIS fills in the code as the class is chosen.
        footprint: width of the pixel that is to be labelled, in units of the map's CRS.
    """
    rules = (("&quot;class&quot; IS NULL", tr("to label"), "#ff7f00"), ("ELSE", tr("labelled"), "#2f8f4e"))
    entries = "".join(
        f'<rule key="{{{i}}}" filter="{condition}" label={quoteattr(label)} symbol="{i}"/>'
        for i, (condition, label, _) in enumerate(rules)
    )
    symbols = "".join(marker(str(i), color, footprint) for i, (_, _, color) in enumerate(rules))
    renderer = (
        '<renderer-v2 type="RuleRenderer" enableorderby="0" forceraster="0" symbollevels="0">'
        f'<rules key="{{root}}">{entries}</rules><symbols>{symbols}</symbols></renderer-v2>'
    )
    return qml(renderer, True, labeling('"point"', True), _fields(classes))


def _fields(classes: Sequence[tuple[str, str, int]]) -> str:
    choices = "".join(
        f'<Option type="Map"><Option name={quoteattr(label)} type="QString" value={quoteattr(value)}/></Option>'
        for value, label, _code in classes
    )
    value_map = f'<Option type="Map"><Option name="map" type="List">{choices}</Option></Option>'
    multiline = '<Option type="Map"><Option name="IsMultiline" type="bool" value="true"/></Option>'
    widgets = [
        _widget("point", "Range", "<Option/>"),
        _widget("class", "ValueMap", value_map),
        _widget("code", "TextEdit", "<Option/>"),
        _widget("note", "TextEdit", multiline),
        *(_widget(name, "Hidden", "<Option/>") for name in HIDDEN),
    ]
    aliases = "".join(
        f'<alias index="{i}" field="{name}" name={quoteattr(label)}/>'
        for i, (name, label) in enumerate(
            (("point", tr("point")), ("class", tr("class")), ("code", tr("code")), ("note", tr("note"))), 1
        )
    )
    columns = "".join(
        f'<column type="field" name="{name}" hidden="{1 if name in HIDDEN else 0}" width="-1"/>'
        for name in (*SHOWN, *HIDDEN)
    )
    return (
        f"<fieldConfiguration>{''.join(widgets)}</fieldConfiguration><aliases>{aliases}</aliases>"
        f"{code_by_class((value, code) for value, _label, code in classes)}"
        '<attributetableconfig actionWidgetStyle="dropDown" sortExpression="&quot;point&quot;" sortOrder="0">'
        f"<columns>{columns}</columns></attributetableconfig><editorlayout>generatedlayout</editorlayout>"
        '<editable><field name="point" editable="0"/><field name="class" editable="1"/>'
        '<field name="code" editable="0"/>'
        '<field name="note" editable="1"/></editable>'
        "<previewExpression>&quot;point&quot;</previewExpression>"
    )


def _widget(name: str, kind: str, config: str) -> str:
    return (
        f'<field name="{name}" configurationFlags="None"><editWidget type="{kind}"><config>{config}</config>'
        "</editWidget></field>"
    )
