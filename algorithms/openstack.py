"""openstack: the dates of a stack as layers that QGIS's temporal controller steps through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from qgis.core import (
    QgsContrastEnhancement,
    QgsDateTimeRange,
    QgsMapLayer,
    QgsMultiBandColorRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputMultipleLayers,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterDataProvider,
    QgsRasterLayer,
    QgsRasterLayerTemporalProperties,
    QgsRasterRange,
    QgsRasterRenderer,
    QgsSingleBandGrayRenderer,
)
from qgis.PyQt.QtCore import QDateTime, Qt

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.stack.manifest import Stack
from ..model.stack.views import COLOURS, DatedImage, SensorView, views_of
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm

ON_OPENED: list[Callable[[list[QgsDateTimeRange]], None]] = []
"""Called on the main thread when all layers are there, with the times of the first sensor; the window sets its
temporal controller by them."""


class OpenStack(LandloomAlgorithm):
    """Chooses bands, stretch and times (``model/stack/views.py``); layers are made on the main thread."""

    ID = "openstack"
    NAME = "Open stack in QGIS"
    GROUP = "1 Images"
    SUMMARY = (
        "Adds the dates of a stack to the project: for each sensor a group of layers, each with its time, from its "
        "date to the next, and all in the same colours. QGIS's temporal controller then steps through the season."
    )
    EXAMPLE = "qgis_process run landloom:openstack --STACK=stack.json --SENSORS=S2 --COLOURS=false"
    TAGS = ("temporal", "animation", "time series", "layers", "view", "acquisitions", "dates")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        tr = self.tr
        self.add_stack(
            "A stack.json made by 'Prepare stack' or 'Add rasters'; its files are shown where they lie, nothing is "
            "copied."
        )
        self.add(
            declare.text("SENSORS", "Sensors", optional=True),
            "Sensors separated by commas, such as S2,S1_DES; S1 means every S1 series. All by default; the first "
            "optical one is shown, the groups of the others wait to be ticked.",
        )
        self.add(
            declare.text("START", "First day", optional=True),
            "Only dates from this day on, written 2021-03-01; no limit by default.",
        )
        self.add(
            declare.text("END", "Last day", optional=True),
            "Only dates up to this day, written 2021-10-31; no limit by default.",
        )
        self.add(
            declare.choice("COLOURS", "Colours", COLOURS, COLOURS[0]),
            "Of optical sensors: true shows red, green and blue; false near infrared, red and green, in which green "
            "plants are red. Radar is shown as VV, VH, VV. The stretch is one for all dates, from their valid pixels.",
        )
        self.addOutput(QgsProcessingOutputMultipleLayers("OUTPUT", tr("Layers")))
        self.addOutput(declare.output_number("LAYERS", "Number of layers"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        path = self.parameterAsFile(parameters, "STACK", context)
        if not path:
            raise LandloomError(tr("STACK is missing: give a stack.json."))
        progress = FeedbackProgress(feedback)
        names = (self.parameterAsString(parameters, "SENSORS", context) or "").upper().replace(";", ",")
        views = views_of(
            Stack.read(path),
            [one.strip() for one in names.split(",") if one.strip()],
            (self.parameterAsString(parameters, "START", context) or "").strip(),
            (self.parameterAsString(parameters, "END", context) or "").strip(),
            self.parameterAsEnumString(parameters, "COLOURS", context) or COLOURS[0],
            progress,
        )
        sources = _load_later(context, views, Path(path).stem)
        for view in views:
            dates = sorted({image.first for image in view.images if image.first})
            span = f", {dates[0]} to {dates[-1]}" if dates else ""
            progress.info(
                tr("{sensor}: {n_images} layers{span}, {bands}.").format(
                    sensor=view.sensor, n_images=len(view.images), span=span, bands=", ".join(view.bands)
                )
            )
        progress.percent(100)
        return {"OUTPUT": sources, "LAYERS": len(sources)}


def _load_later(context: QgsProcessingContext, views: list[SensorView], stem: str) -> list[str]:
    """Ask for a layer of each image; gives their sources."""
    sources: list[str] = []
    times = [ranges_of(image) for image in views[0].images if image.first]
    total = sum(len(view.images) for view in views)
    DatedLayer.kept.clear()
    for number, view in enumerate(views):
        group = f"{stem}: {view.sensor} ({', '.join(dict.fromkeys(view.bands))})"
        for place, image in enumerate(view.images):
            sources.append(image.path)
            details = QgsProcessingContext.LayerDetails(
                image.title, context.project(), "OUTPUT", QgsProcessingUtils.LayerHint.Raster
            )
            details.forceName = True
            details.groupName = group
            details.layerSortKey = place  # the newest on top
            done = times if len(sources) == total else None
            DatedLayer.kept[image.path] = DatedLayer(image, view, group, number == 0, done)
            details.setPostProcessor(DatedLayer.kept[image.path])
            context.addLayerToLoadOnCompletion(image.path, details)
    return sources


class DatedLayer(QgsProcessingLayerPostProcessorInterface):
    """Gives a loaded layer its time and colours; the last one tells the project and the window of the times.

    Args:
        image: what is shown.
        view: of its sensor.
        group: the group of layers that it comes into.
        shown: whether the group is.
        times: of the dates to step through, for the layer that is asked for last.
    """

    kept: ClassVar[dict[str, DatedLayer]] = {}  # QGIS does not keep post-processors alive

    def __init__(
        self, image: DatedImage, view: SensorView, group: str, shown: bool, times: list[QgsDateTimeRange] | None
    ) -> None:
        super().__init__()
        self._image, self._view, self._group, self._shown, self._times = image, view, group, shown, times

    def postProcessLayer(  # noqa: N802
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        if not isinstance(layer, QgsRasterLayer):
            return
        provider = layer.dataProvider()
        _declare_nodata(provider, self._image.bands, self._view.nodata)
        layer.setRenderer(renderer_of(provider, self._image, self._view))
        if self._image.first:
            properties = layer.temporalProperties()
            properties.setMode(QgsRasterLayerTemporalProperties.TemporalMode.ModeFixedTemporalRange)
            properties.setFixedTemporalRange(ranges_of(self._image))
            properties.setIsActive(True)
        layer.triggerRepaint()
        project = context.project() or QgsProject.instance()
        node = project.layerTreeRoot().findGroup(self._group)
        if node is not None:
            node.setExpanded(False)
            node.setItemVisibilityChecked(self._shown)
            own = node.findLayer(layer.id())
            if own is not None:
                own.setExpanded(False)
        if self._times:
            whole = QgsDateTimeRange(self._times[0].begin(), self._times[-1].end())
            project.timeSettings().setTemporalRange(whole)
            for tell in list(ON_OPENED):
                tell(self._times)


def ranges_of(image: DatedImage) -> QgsDateTimeRange:
    """From the first second of an image's day to the last one before the next image."""
    iso = Qt.DateFormat.ISODate
    begin = QDateTime.fromString(f"{image.first}T00:00:00Z", iso)
    return QgsDateTimeRange(begin, QDateTime.fromString(f"{image.last}T23:59:59Z", iso))


def renderer_of(provider: QgsRasterDataProvider, image: DatedImage, view: SensorView) -> QgsRasterRenderer:
    """Three bands or one in grey, stretched as all dates of the sensor are."""
    enhancements = []
    for band, (low, high) in zip(image.bands, view.stretch, strict=True):
        made = QgsContrastEnhancement(provider.dataType(band))
        made.setMinimumValue(low)
        made.setMaximumValue(high)
        made.setContrastEnhancementAlgorithm(
            QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum
        )
        enhancements.append(made)
    if len(image.bands) == 1:
        gray = QgsSingleBandGrayRenderer(provider, image.bands[0])
        gray.setContrastEnhancement(enhancements[0])
        return gray
    colour = QgsMultiBandColorRenderer(provider, *image.bands)
    for setter, made in zip(
        (colour.setRedContrastEnhancement, colour.setGreenContrastEnhancement, colour.setBlueContrastEnhancement),
        enhancements,
        strict=True,
    ):
        setter(made)
    return colour


def _declare_nodata(provider: QgsRasterDataProvider, bands: tuple[int, ...], value: float | None) -> None:
    """Leave out what the stack knows to be no data where the file does not say so."""
    if value is None:
        return
    for band in dict.fromkeys(bands):
        if not provider.sourceHasNoDataValue(band):
            provider.setUserNoDataValue(band, [QgsRasterRange(value, value)])
