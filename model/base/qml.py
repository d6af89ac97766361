"""Parts of QGIS's layer styles (.qml), written without QGIS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .xmltext import quoteattr


def pseudocolor(low: float, high: float, ramp: Iterable[tuple[float, str, str]]) -> str:
    """The renderer of one band in interpolated colours.

    Args:
        low: value of the first colour.
        high: value of the last colour.
        ramp: value, label and colour ("#rrggbb") of each step.
    """
    items = "\n".join(
        f'            <item value="{value!r}" label={quoteattr(label)} color="{color}" alpha="255"/>'
        for value, label, color in ramp
    )
    return f"""    <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" nodataColor=""
        classificationMin="{low!r}" classificationMax="{high!r}">
      <rasterTransparency/>
      <rastershader>
        <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0"
            minimumValue="{low!r}" maximumValue="{high!r}">
{items}
        </colorrampshader>
      </rastershader>
    </rasterrenderer>"""


def multiband(bands: Sequence[int], ranges: Sequence[tuple[float, float]]) -> str:
    """The renderer of three bands as red, green and blue.

    Args:
        bands: their places, from 0.
        ranges: for every band of the raster, the value shown dark and the one shown bright.
    """
    lines = [
        f'    <rasterrenderer type="multibandcolor" redBand="{bands[0] + 1}" greenBand="{bands[1] + 1}" '
        f'blueBand="{bands[2] + 1}" opacity="1" alphaBand="-1" nodataColor="">',
        "      <rasterTransparency/>",
    ]
    for color, band in zip(("red", "green", "blue"), bands, strict=True):
        lines.append(_contrast(f"{color}ContrastEnhancement", ranges[band]))
    return "\n".join([*lines, "    </rasterrenderer>"])


def gray(limits: tuple[float, float]) -> str:
    """The renderer of the first band in grey, from the darkest to the brightest value."""
    return "\n".join(
        [
            '    <rasterrenderer type="singlebandgray" grayBand="1" gradient="BlackToWhite" opacity="1" '
            'alphaBand="-1" nodataColor="">',
            "      <rasterTransparency/>",
            _contrast("contrastEnhancement", limits),
            "    </rasterrenderer>",
        ]
    )


def _contrast(tag: str, limits: tuple[float, float]) -> str:
    return (
        f"      <{tag}><minValue>{limits[0]!r}</minValue><maxValue>{limits[1]!r}</maxValue>"
        f"<algorithm>StretchToMinimumMaximum</algorithm></{tag}>"
    )


class Category(NamedTuple):
    """A class of a vector layer: the values of its field, as texts, its name in the legend and its ``#rrggbb``."""

    values: Sequence[str]
    label: str
    color: str


_FILL = """<layer class="SimpleFill" enabled="1" locked="0" pass="0"><Option type="Map">
<Option name="color" type="QString" value="{color}"/><Option name="style" type="QString" value="solid"/>
<Option name="outline_color" type="QString" value="35,35,35,255"/>
<Option name="outline_style" type="QString" value="solid"/>
<Option name="outline_width" type="QString" value="0.15"/><Option name="outline_width_unit" type="QString" value="MM"/>
</Option></layer>"""
_MARKER = """<layer class="SimpleMarker" enabled="1" locked="0" pass="0"><Option type="Map">
<Option name="color" type="QString" value="{color}"/><Option name="name" type="QString" value="circle"/>
<Option name="outline_color" type="QString" value="35,35,35,255"/>
<Option name="outline_style" type="QString" value="solid"/>
<Option name="outline_width" type="QString" value="0.15"/><Option name="outline_width_unit" type="QString" value="MM"/>
<Option name="size" type="QString" value="2.2"/><Option name="size_unit" type="QString" value="MM"/>
</Option></layer>"""


def categorized(field: str, categories: Iterable[Category], points: bool = False) -> str:
    """The renderer of a vector layer by class; a class with several values is one entry of the legend.

    Args:
        field: the class field.
        categories: in the legend's order.
        points: whether the layer holds points, else polygons.
    """
    kind, layer = ("marker", _MARKER) if points else ("fill", _FILL)
    entries, symbols = [], []
    for place, one in enumerate(categories):
        rest = f'symbol="{place}" label={quoteattr(one.label)} render="true"'
        if len(one.values) == 1:
            entries.append(f'<category value={quoteattr(one.values[0])} {rest} type="{_type(one.values[0])}"/>')
        else:
            values = "".join(f'<val value={quoteattr(value)} type="{_type(value)}"/>' for value in one.values)
            entries.append(f'<category {rest} type="List">{values}</category>')
        color = ",".join(str(int(one.color[i : i + 2], 16)) for i in (1, 3, 5)) + ",255"
        symbols.append(
            f'<symbol type="{kind}" name="{place}" alpha="1" clip_to_extent="1" force_rhr="0">'
            f"{layer.format(color=color)}</symbol>"
        )
    return "\n".join(
        [
            f'<renderer-v2 type="categorizedSymbol" attr={quoteattr(field)} enableorderby="0" forceraster="0" '
            'symbollevels="0">',
            "<categories>",
            *entries,
            "</categories>",
            "<symbols>",
            *symbols,
            "</symbols>",
            "</renderer-v2>",
        ]
    )


def paletted(entries: Iterable[tuple[int, str, str]]) -> str:
    """The renderer of a raster of classes: code, name and ``#rrggbb`` of each."""
    lines = "\n".join(
        f'        <paletteEntry value="{int(code)}" color={quoteattr(color)} label={quoteattr(name)} alpha="255"/>'
        for code, name, color in entries
    )
    return f"""    <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="">
      <rasterTransparency/>
      <colorPalette>
{lines}
      </colorPalette>
    </rasterrenderer>"""


def _type(value: str) -> str:
    return "long" if value.lstrip("-").isdigit() and str(int(value)) == value else "string"
