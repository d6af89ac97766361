"""Shows a date of a stack on the map: its virtual raster in true colours."""

from __future__ import annotations

from qgis.core import (
    QgsContrastEnhancement,
    QgsMultiBandColorRenderer,
    QgsProject,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
    QgsRectangle,
    QgsSingleBandGrayRenderer,
)

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.stack.manifest import Stack
from ..model.stack.thumbnail import picture_bands

_MARK = "landloom/image"


def show_image(
    stack_path: str,
    sensor: str,
    date: str,
    project: QgsProject,
    extent: QgsRectangle | None = None,
    on_top: bool = False,
) -> list[QgsRasterLayer]:
    """Add the products of a date, beneath all other layers, in place of the last date shown.

    Args:
        stack_path: the stack.
        sensor: its sensor.
        date: ISO.
        project: takes the layers.
        extent: where colours are stretched, in the CRS of the stack; all by default.
        on_top: above them instead, so that neither a map nor filled polygons hide the image.

    Raises:
        LandloomError: if the stack has no such date or it cannot be loaded.
    """
    own = Stack.read(stack_path).sensor(sensor)
    acquisition = next((one for one in own.complete if one.date == date), None)
    if acquisition is None:
        raise LandloomError(
            tr("The stack has no date {date} of {sensor}: prepare it again.").format(date=date, sensor=sensor)
        )
    bands = picture_bands(own)
    layers = []
    for part in acquisition.parts:
        layer = QgsRasterLayer(part.data, f"{sensor} {date}")
        if not layer.isValid():
            raise LandloomError(tr("{data} cannot be loaded: make the stack again.").format(data=part.data))
        names = list(part.bands)
        if not all(band in names for band in bands):
            continue
        numbers = [names.index(band) + 1 for band in bands]
        provider = layer.dataProvider()
        if len(numbers) == 3:
            layer.setRenderer(QgsMultiBandColorRenderer(provider, *numbers))
        else:
            layer.setRenderer(QgsSingleBandGrayRenderer(provider, numbers[0]))
        layer.setContrastEnhancement(
            QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum,
            QgsRasterMinMaxOrigin.Limits.CumulativeCut,
            QgsRectangle() if extent is None else extent,
        )
        layer.setCustomProperty(_MARK, True)
        layers.append(layer)
    before = [one.id() for one in project.mapLayers().values() if one.customProperty(_MARK)]
    if before:
        project.removeMapLayers(before)
    root = project.layerTreeRoot()
    for layer in layers:
        project.addMapLayer(layer, False)
        node = root.insertLayer(0 if on_top else len(root.children()), layer)
        node.setExpanded(False)
    return layers
