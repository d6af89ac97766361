"""Draws the demo's picture with QGIS itself: the map with its legend beside the confidence, as map.png.

Usage: picture.py FOLDER, where FOLDER holds map.tif and confidence.tif with their .qml styles.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import (
    QgsApplication,
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemScaleBar,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsMapLayerLegendUtils,
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsTextFormat,
)
from qgis.PyQt.QtCore import QRectF
from qgis.PyQt.QtGui import QFont

WIDTH, HEIGHT, SIDE, TOP = 292.0, 132.0, 104.0, 16.0  # millimetres


def label(layout: QgsPrintLayout, text: str, x: float, y: float, size: float, bold: bool = False) -> None:
    """Put a line of text on the page."""
    item = QgsLayoutItemLabel(layout)
    item.setText(text)
    font = QFont("DejaVu Sans", int(size))
    font.setBold(bold)
    item.setTextFormat(QgsTextFormat.fromQFont(font))
    layout.addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(x, y))
    item.attemptResize(QgsLayoutSize(130, 8))


def picture(layout: QgsPrintLayout, layer: QgsRasterLayer, x: float) -> QgsLayoutItemMap:
    """Put a layer on the page as a square map."""
    item = QgsLayoutItemMap(layout)
    item.attemptSetSceneRect(QRectF(x, TOP, SIDE, SIDE))
    item.setLayers([layer])
    item.setCrs(layer.crs())
    item.zoomToExtent(layer.extent())
    item.setFrameEnabled(True)
    layout.addLayoutItem(item)
    return item


def legend(layout: QgsPrintLayout, layer: QgsRasterLayer, x: float) -> None:
    """Put the classes of a layer on the page."""
    item = QgsLayoutItemLegend(layout)
    item.setAutoUpdateModel(False)
    group = item.model().rootGroup()
    group.clear()
    entry = group.addLayer(layer)
    # Without the first line, which names the band.
    classes = len(layer.renderer().classes())
    QgsMapLayerLegendUtils.setLegendNodeOrder(entry, list(range(1, classes + 1)))
    item.model().refreshLayerLegend(entry)
    layout.addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(x, TOP - 2))


def main(folder: Path) -> None:
    """Draw the picture.

    Raises:
        SystemExit: if a layer cannot be drawn.
    """
    application = QgsApplication([], True)
    application.initQgis()
    project = QgsProject.instance()
    classes = QgsRasterLayer(str(folder / "map.tif"), "Land cover")
    confidence = QgsRasterLayer(str(folder / "confidence.tif"), "Confidence (%)")
    for layer in (classes, confidence):
        if not layer.isValid():
            raise SystemExit(f"picture: {layer.source()} is not a raster")
        project.addMapLayer(layer)
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    layout.pageCollection().page(0).setPageSize(QgsLayoutSize(WIDTH, HEIGHT))
    label(layout, "Land cover", 6, 6, 12, bold=True)
    label(layout, "Confidence of the mapped class", 6 + SIDE + 8, 6, 12, bold=True)
    first = picture(layout, classes, 6)
    picture(layout, confidence, 6 + SIDE + 8)
    legend(layout, classes, 6 + 2 * (SIDE + 6) + 2)
    scale = QgsLayoutItemScaleBar(layout)
    scale.setLinkedMap(first)
    scale.applyDefaultSize()
    scale.setNumberOfSegmentsLeft(0)
    scale.setNumberOfSegments(1)
    scale.setUnitsPerSegment(500)
    layout.addLayoutItem(scale)
    scale.attemptMove(QgsLayoutPoint(6, TOP + SIDE))
    if not QgsLayoutExporter(layout).renderPageToImage(0, dpi=130).save(str(folder / "map.png")):
        raise SystemExit(f"picture: {folder / 'map.png'} could not be written")
    project.clear()
    application.exitQgis()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
