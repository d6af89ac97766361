"""The page of a map: title, map, legend, scale, north arrow, and what it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsLayoutExporter,
    QgsLayoutItem,
    QgsLayoutItemLabel,
    QgsLayoutItemLegend,
    QgsLayoutItemMap,
    QgsLayoutItemPage,
    QgsLayoutItemPicture,
    QgsLayoutItemScaleBar,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsLayoutUtils,
    QgsLegendRenderer,
    QgsLegendSettings,
    QgsLegendStyle,
    QgsMapLayerLegendUtils,
    QgsPrintLayout,
    QgsProject,
    QgsRasterLayer,
    QgsReadWriteContext,
    QgsRectangle,
    QgsTextFormat,
    QgsUnitTypes,
)
from qgis.PyQt.QtCore import QRectF, QSizeF
from qgis.PyQt.QtGui import QColor, QFont

from ..model.base.errors import LandloomError
from ..model.base.language import tr

SIZES = {"A3": (420.0, 297.0), "A4": (297.0, 210.0)}  # mm, landscape
MARGIN, TITLE, FOOT = 10.0, 22.0, 34.0  # mm
NORTH = Path(__file__).parents[1] / "resources" / "icons" / "north.svg"
_GREY = QColor("#4a5a50")


@dataclass(frozen=True)
class Page:
    """What stands on the page.

    Attributes:
        title: heading.
        subtitle: line under it.
        lines: sources, accuracy, date: one line each, at the foot.
        paper: ``A3`` or ``A4``.
        extent: what the map shows, in its CRS; the whole layer where it is None.
    """

    title: str
    subtitle: str
    lines: list[str] = field(default_factory=list)
    paper: str = "A3"
    extent: QgsRectangle | None = None


def make_layout(layer: QgsRasterLayer, page: Page, project: QgsProject) -> QgsPrintLayout:
    """A print layout, landscape, with the map as large as legend and texts leave room for.

    Args:
        layer: the map, styled.
        page: the texts.
        project: holds the layer while the layout lives.
    """
    project.addMapLayer(layer, True)
    project.setCrs(layer.crs())
    layout = QgsPrintLayout(project)
    layout.initializeDefaults()
    layout.setName(literal(page.title))
    project.layoutManager().addLayout(layout)  # so that the layout never outlives its project
    width, height = SIZES[page.paper]
    layout.pageCollection().page(0).setPageSize(page.paper, QgsLayoutItemPage.Orientation.Landscape)
    legend_width = 0.2 * width
    map_box = (MARGIN, MARGIN + TITLE, width - 3 * MARGIN - legend_width, height - 2 * MARGIN - TITLE - FOOT)
    scale = 1.0 if page.paper == "A3" else 0.72

    _label(layout, page.title, (MARGIN, MARGIN, width - 2 * MARGIN, 12), 22 * scale, bold=True)
    _label(layout, page.subtitle, (MARGIN, MARGIN + 12, width - 2 * MARGIN, 8), 11 * scale, color=_GREY)
    shown = _map(layout, layer, map_box, page.extent or layer.extent())
    right = map_box[0] + map_box[2] + MARGIN
    _legend(layout, layer, shown, (right, map_box[1], legend_width, map_box[3]), scale)
    _north(layout, shown, (right + legend_width - 14 * scale, height - MARGIN - FOOT + 6, 12 * scale, 16 * scale))
    _scale_bar(layout, shown, (right, height - MARGIN - FOOT + 6), scale)
    foot = (MARGIN, height - MARGIN - FOOT + 4, map_box[2], FOOT - 4)
    _label(layout, "\n".join(page.lines), foot, 9 * scale, color=_GREY)
    return layout


def export_pdf(layout: QgsPrintLayout, path: str, dpi: int) -> None:
    """Write the page as PDF.

    Raises:
        LandloomError: if it cannot be written.
    """
    settings = QgsLayoutExporter.PdfExportSettings()
    settings.dpi = dpi
    settings.rasterizeWholeImage = False
    done = QgsLayoutExporter(layout).exportToPdf(path, settings)
    if done != QgsLayoutExporter.ExportResult.Success:
        raise LandloomError(
            tr("OUTPUT {path} cannot be written as PDF: check the folder, or lower DPI where memory is short.").format(
                path=path
            )
        )


def save_template(layout: QgsPrintLayout, path: str) -> None:
    """Write the layout as a template that QGIS's layout window opens.

    Raises:
        LandloomError: if it cannot be written.
    """
    if not layout.saveAsTemplate(path, QgsReadWriteContext()):
        raise LandloomError(
            tr("TEMPLATE {path} cannot be written: check the folder and its permissions.").format(path=path)
        )


def literal(text: str) -> str:
    """A text of the data as layouts show it: ``[% ... %]`` in it would be evaluated as an expression."""
    return text.replace("[%", "[ %")


def degrees(extent: QgsRectangle, crs: QgsCoordinateReferenceSystem, project: QgsProject) -> QgsRectangle:
    """The extent in longitude and latitude (WGS 84)."""
    target = QgsCoordinateReferenceSystem("EPSG:4326")
    return QgsCoordinateTransform(crs, target, project).transformBoundingBox(extent)


def _place(item: QgsLayoutItem, layout: QgsPrintLayout, box: tuple[float, float, float, float]) -> None:
    unit = QgsUnitTypes.LayoutUnit.LayoutMillimeters
    layout.addLayoutItem(item)
    item.attemptMove(QgsLayoutPoint(box[0], box[1], unit))
    item.attemptResize(QgsLayoutSize(box[2], box[3], unit))


def _format(size: float, bold: bool = False, color: QColor | None = None) -> QgsTextFormat:
    font = QFont("DejaVu Sans")
    font.setStyleHint(QFont.StyleHint.SansSerif)
    font.setBold(bold)
    form = QgsTextFormat()
    form.setFont(font)
    form.setSize(size)
    form.setSizeUnit(QgsUnitTypes.RenderUnit.RenderPoints)
    form.setColor(color or QColor("#1d2a22"))
    return form


def _label(
    layout: QgsPrintLayout,
    text: str,
    box: tuple[float, float, float, float],
    size: float,
    bold: bool = False,
    color: QColor | None = None,
) -> None:
    label = QgsLayoutItemLabel(layout)
    label.setMode(QgsLayoutItemLabel.Mode.ModeFont)  # text as it is: names from data are never read as HTML
    label.setText(literal(text))
    label.setTextFormat(_format(size, bold, color))
    label.setMarginX(0)
    _place(label, layout, box)


def _map(
    layout: QgsPrintLayout, layer: QgsRasterLayer, box: tuple[float, float, float, float], extent: QgsRectangle
) -> QgsLayoutItemMap:
    item = QgsLayoutItemMap(layout)
    item.setRect(QRectF(0, 0, box[2], box[3]))
    _place(item, layout, box)
    item.setCrs(layer.crs())
    item.setLayers([layer])
    item.setKeepLayerSet(True)
    item.zoomToExtent(extent)
    item.setFrameEnabled(True)
    item.setFrameStrokeColor(QColor("#9aa8a0"))
    item.setBackgroundColor(QColor("#ffffff"))
    return item


_LEGENDS: tuple[tuple[int, float], ...] = ((1, 1.0), (1, 0.7), (2, 0.7), (2, 0.5), (3, 0.5))
"""Columns and size of a legend, the first with room for all classes is taken; below 5 points nobody reads it."""


def _legend(
    layout: QgsPrintLayout,
    layer: QgsRasterLayer,
    shown: QgsLayoutItemMap,
    box: tuple[float, float, float, float],
    scale: float,
) -> None:
    legend = QgsLayoutItemLegend(layout)
    legend.setLinkedMap(shown)
    legend.setAutoUpdateModel(False)
    legend.setTitle(tr("Land cover"))
    group = legend.model().rootGroup()
    group.clear()
    node = group.addLayer(layer)
    QgsLegendRenderer.setNodeLegendStyle(node, QgsLegendStyle.Style.Hidden)
    # The first entry of a raster's legend is the name of its band.
    count = len(legend.model().layerLegendNodes(node))
    legend.setWrapString("\n")
    legend.setResizeToContents(True)
    legend.setSplitLayer(True)
    _place(legend, layout, box)
    most, tried = count - 1, _LEGENDS
    while True:
        QgsMapLayerLegendUtils.setLegendNodeOrder(node, list(range(1, most + 1)))
        legend.model().refreshLayerLegend(node)
        if most < count - 1:
            legend.setTitle(tr("Land cover ({most} of {count} classes)").format(most=most, count=count - 1))
        if most <= 1 or any(_fits(legend, columns, factor * scale, box) for columns, factor in tried):
            return
        most, tried = most * 9 // 10, _LEGENDS[-1:]


def _fits(legend: QgsLayoutItemLegend, columns: int, scale: float, box: tuple[float, float, float, float]) -> bool:
    """Give a legend its columns and size of letters; whether it leaves the rest of the page free then."""
    legend.setColumnCount(columns)
    settings = QgsLegendSettings()
    settings.setTitle(legend.title())
    settings.setWrapChar(legend.wrapString())
    settings.setColumnCount(columns)
    settings.setSplitLayer(True)
    for style, size, bold in (
        (QgsLegendStyle.Style.Title, 13.0, True),
        (QgsLegendStyle.Style.SymbolLabel, 10.0, False),
    ):
        found = legend.style(style)
        found.setTextFormat(_format(size * scale, bold))
        legend.setStyle(style, found)
        settings.setStyle(style, found)
    between = legend.style(QgsLegendStyle.Style.Symbol)
    between.setMargin(QgsLegendStyle.Side.Top, 2.5 * min(scale, 1.0))
    legend.setStyle(QgsLegendStyle.Style.Symbol, between)
    settings.setStyle(QgsLegendStyle.Style.Symbol, between)
    legend.setSymbolWidth(6 * scale)
    legend.setSymbolHeight(4 * scale)
    settings.setSymbolSize(QSizeF(6 * scale, 4 * scale))
    legend.adjustBoxSize()
    # The legend itself knows its size only when it was drawn.
    context = QgsLayoutUtils.createRenderContextForLayout(legend.layout(), None)
    size = QgsLegendRenderer(legend.model(), settings).minimumSize(context)
    return size.height() <= box[3] and (columns == 1 or size.width() <= box[2])


def _north(layout: QgsPrintLayout, shown: QgsLayoutItemMap, box: tuple[float, float, float, float]) -> None:
    picture = QgsLayoutItemPicture(layout)
    picture.setPicturePath(str(NORTH))
    picture.setLinkedMap(shown)
    picture.setNorthMode(QgsLayoutItemPicture.NorthMode.TrueNorth)
    _place(picture, layout, box)


def _scale_bar(layout: QgsPrintLayout, shown: QgsLayoutItemMap, place: tuple[float, float], scale: float) -> None:
    bar = QgsLayoutItemScaleBar(layout)
    bar.setLinkedMap(shown)
    bar.applyDefaultSize()
    bar.setStyle("Line Ticks Up")
    bar.setTextFormat(_format(9 * scale))
    _place(bar, layout, (*place, 60 * scale, 12 * scale))
    bar.applyDefaultSize()
