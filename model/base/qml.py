"""Parts of QGIS's layer styles (.qml), written without QGIS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import quoteattr


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
