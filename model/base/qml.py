"""Parts of QGIS's layer styles (.qml), written without QGIS."""

from __future__ import annotations

from collections.abc import Iterable
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
