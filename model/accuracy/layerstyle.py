"""QGIS styles of vector layers, written without QGIS: categories, rules, forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..base.xmltext import quoteattr

HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


@dataclass(frozen=True)
class Category:
    """A value of a field and how it looks."""

    value: str
    label: str
    color: str


def options(pairs: dict[str, str | float]) -> str:
    """The ``Option`` map of a symbol layer."""
    inner = "".join(f'<Option name={quoteattr(k)} type="QString" value={quoteattr(str(v))}/>' for k, v in pairs.items())
    return f'<Option type="Map">{inner}</Option>'


def code_by_class(classes: Iterable[tuple[str, int]]) -> str:
    """The defaults of a layer whose field ``code`` follows its field ``class`` as that is filled in.

    Args:
        classes: value of ``class`` and code.
    """

    def quoted(text: str) -> str:
        return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    cases = " ".join(f'WHEN "class" = {quoted(value)} THEN {code}' for value, code in classes)
    return f'<defaults><default field="code" expression={quoteattr(f"CASE {cases} END")} applyOnUpdate="1"/></defaults>'


def rgba(color: str, alpha: int = 255) -> str:
    """``r,g,b,a`` of ``#rrggbb``."""
    return ",".join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5)) + f",{alpha}"


def fill(name: str, color: str) -> str:
    """A symbol of polygons: thin fill, thick outline, so that the map below is seen."""
    inner = options(
        {
            "color": rgba(color, 60),
            "style": "solid",
            "outline_color": rgba(color),
            "outline_style": "solid",
            "outline_width": "0.6",
            "outline_width_unit": "MM",
        }
    )
    return _symbol("fill", name, [f'<layer class="SimpleFill" enabled="1" locked="0" pass="0">{inner}</layer>'])


def marker(name: str, color: str, footprint: float = 0.0) -> str:
    """A symbol of points: a dot, and the outline of a square of ``footprint`` units of the map round it."""
    dot = options(
        {
            "name": "circle",
            "color": rgba(color),
            "outline_color": "255,255,255,255",
            "outline_width": "0.2",
            "outline_width_unit": "MM",
            "size": "2" if not footprint else "1.4",
            "size_unit": "MM",
        }
    )
    layers = [f'<layer class="SimpleMarker" enabled="1" locked="0" pass="0">{dot}</layer>']
    if footprint:
        square = options(
            {
                "name": "square",
                "color": "0,0,0,0",
                "outline_color": rgba(color),
                "outline_width": "0.4",
                "outline_width_unit": "MM",
                "size": repr(footprint),
                "size_unit": "MapUnit",
            }
        )
        layers.insert(0, f'<layer class="SimpleMarker" enabled="1" locked="0" pass="0">{square}</layer>')
    return _symbol("marker", name, layers)


def _symbol(kind: str, name: str, layers: Sequence[str]) -> str:
    return f'<symbol type="{kind}" name="{name}" alpha="1" clip_to_extent="1" force_rhr="0">{"".join(layers)}</symbol>'


def categorized_qml(field: str, categories: Iterable[Category], point: bool, label: str = "") -> str:
    """A style of one colour a value, with labels by an expression."""
    entries, symbols = [], []
    for position, one in enumerate(categories):
        entries.append(
            f'<category value={quoteattr(one.value)} symbol="{position}" label={quoteattr(one.label)} render="true" '
            'type="string"/>'
        )
        symbols.append((marker if point else fill)(str(position), one.color))
    renderer = (
        f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(field)} enableorderby="0" forceraster="0" '
        f'symbollevels="0">\n<categories>{"".join(entries)}</categories>\n<symbols>{"".join(symbols)}</symbols>\n'
        "</renderer-v2>"
    )
    return qml(renderer, point, labeling(label, point) if label else "")


def labeling(expression: str, point: bool) -> str:
    """Labels by an expression, with a white buffer."""
    placement = 'placement="6" dist="1.5"' if point else 'placement="1" dist="0"'
    return (
        '<labeling type="simple"><settings calloutType="simple">'
        f'<text-style fieldName={quoteattr(expression)} isExpression="1" fontSize="8" fontSizeUnit="Point" '
        'textColor="40,20,20,255" fontFamily="Sans" textOpacity="1" namedStyle="Regular">'
        '<text-buffer bufferDraw="1" bufferSize="0.8" bufferSizeUnits="MM" bufferColor="255,255,255,255" '
        'bufferOpacity="0.85"/></text-style>'
        f'<placement {placement} distUnits="MM" priority="5"/><rendering drawLabels="1" scaleVisibility="0" '
        'obstacle="1"/></settings></labeling>'
    )


def qml(renderer: str, point: bool, labels: str = "", more: str = "") -> str:
    """The document round a renderer, labels and what else it says of the layer."""
    kinds = "Symbology|Labeling" + ("|Fields|Forms|AttributeTable" if more else "")
    return (
        f'{HEAD}<qgis version="3.34.0" styleCategories="{kinds}" labelsEnabled="{1 if labels else 0}">\n{renderer}\n'
        f"{labels}\n{more}\n<blendMode>0</blendMode>\n<layerGeometryType>{0 if point else 2}</layerGeometryType>\n"
        "</qgis>\n"
    )
