"""classify: a land-cover map from a stack and a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from qgis.core import QgsMapLayer, QgsProcessingContext, QgsProcessingFeedback, QgsProcessingLayerPostProcessorInterface

from . import declare
from .base import FeedbackProgress
from .mapinputs import PRECISIONS, MapAlgorithm, add_classes, add_precision, add_scheduler, scheduler
from .regioninputs import MOST_BLEND, add_regions, region_source


class Classify(MapAlgorithm):
    """Reads, computes and writes in blocks; see ``model/mapping``."""

    ID = "classify"
    NAME = "Classify"
    GROUP = "4 Maps"
    SUMMARY = (
        "Maps land cover with a trained model: all of a stack, or an extent or mask of it. Colours and names come "
        "from the model. A run that was cut off goes on from where it was; a cancelled one leaves nothing."
    )
    EXAMPLE = (
        "qgis_process run landloom:classify --STACK=stack.json --MODEL=model.safetensors --OUTPUT=map.tif "
        "--CONFIDENCE=confidence.tif"
    )
    TAGS = ("map", "land cover", "predict", "inference", "sentinel", "time series")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_stack(
            "A stack.json made by 'Prepare stack' or 'Add rasters', with the sensors and bands of the model; its dates "
            "and year may differ."
        )
        self.add_model("A model made by 'Train'.")
        self.add_area(
            "Part of the stack to map, in any coordinate system; all of it by default.",
            "Polygons or a raster: pixels whose centre is outside (in a raster: 0 or no data) become 0 and are not "
            "computed.",
        )
        add_classes(self)
        add_regions(
            self,
            "Polygons of eco-climatic regions that MODEL was trained with: each is mapped by its own model; regions "
            "without one, and what is outside all, by that of all samples.",
        )
        self.add(
            declare.number("BLEND", "Blending at borders of regions (m)", 500.0, 0.0, MOST_BLEND),
            "Metres, 0 to 50,000, across which the probabilities of two regions' models go over into each other, half "
            "on each side of the border; 0 = each up to the border.",
            advanced=True,
        )
        self.add_device()
        self.add_memory()
        add_precision(self)
        add_scheduler(self)
        self.add(
            declare.output_raster("OUTPUT", "Land-cover map"),
            "GeoTIFF of class codes, Byte or UInt16 by the largest code, 0 = no data, with colours, names and a style.",
        )
        self.add(
            declare.output_raster("CONFIDENCE", "Confidence", optional=True),
            "GeoTIFF: probability of the mapped class in percent, 0 to 100; 255 = no data.",
        )
        self.add(
            declare.output_raster("PROBABILITIES", "Probabilities of all classes", optional=True, by_default=False),
            "GeoTIFF with one band a class: 0 to 10000, scale 0.0001; 65535 = no data.",
        )
        self.addOutput(declare.output_number("PIXELS_PER_SECOND", "Pixels per second"))
        self.addOutput(declare.output_number("UNSURE_SHARE", "Share of the map that is unsure, 0 to 1"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.mapping.classify import classify
        from ..model.mapping.regionblend import RegionChoice
        from ..model.mapping.unsure import error_share

        asked = parameters.get("UNSURE_ERROR") not in (None, "")
        error = error_share(self.parameterAsDouble(parameters, "UNSURE_ERROR", context)) if asked else None
        level = self.parameterAsInt(parameters, "LEVEL", context)
        stack, model = (self.file(parameters, name, context) for name in ("STACK", "MODEL"))
        away = bool(self.parameterAsString(parameters, "SCHEDULER", context))
        regions = region_source(self, parameters, context, feedback, away)
        blend = self.parameterAsDouble(parameters, "BLEND", context)
        outputs = {
            name: self.parameterAsOutputLayer(parameters, name, context)
            for name in ("OUTPUT", "CONFIDENCE", "PROBABILITIES")
        }
        progress = FeedbackProgress(feedback)
        with scheduler(self, parameters, context, progress) as elsewhere:
            done = classify(
                stack,
                model,
                outputs["OUTPUT"],
                outputs["CONFIDENCE"] or None,
                outputs["PROBABILITIES"] or None,
                bounds=self.bounds(parameters, stack, context),
                mask=self.mask_source(parameters, context, feedback),
                memory_mb=self.parameterAsInt(parameters, "MEMORY_MB", context),
                device=self.parameterAsEnumString(parameters, "DEVICE", context) or declare.DEVICES[0],
                progress=progress,
                level=level,
                unsure_error=error,
                elsewhere=elsewhere,
                regions=RegionChoice(*regions, blend) if regions else None,
                precision=self.parameterAsEnumString(parameters, "PRECISION", context) or PRECISIONS[0],
            )
        name = Path(model).stem
        titles = {
            "OUTPUT": self.tr("Land cover ({})").format(name),
            "CONFIDENCE": self.tr("Confidence ({})").format(name),
            "PROBABILITIES": self.tr("Probabilities ({})").format(name),
        }
        results: dict[str, Any] = {key: path for key, path in outputs.items() if path}
        MapLayer.load_together(context, {path: titles[key] for key, path in results.items()}, name)
        results["PIXELS_PER_SECOND"] = done.summary.pixels / max(done.summary.seconds, 1e-9)
        if error is not None:
            results["UNSURE_SHARE"] = done.unsure
        return results


class MapLayer(QgsProcessingLayerPostProcessorInterface):
    """Names a loaded layer and makes sure of its style, also in a project that has another default style."""

    _kept: ClassVar[dict[str, MapLayer]] = {}  # QGIS does not keep post-processors alive

    def __init__(self, title: str, legend: bool | None = None) -> None:
        super().__init__()
        self._title, self._legend = title, legend

    @classmethod
    def name_on_load(
        cls, context: QgsProcessingContext, path: str, title: str, group: str = "", legend: bool | None = None
    ) -> bool:
        """Ask for this when, and if, the layer is loaded; gives whether it will be.

        Args:
            context: of the run.
            path: of the raster.
            title: of the layer.
            group: of layers, in which it comes; it is made where there is none of that name.
            legend: whether its classes are shown below it; None leaves that to QGIS.
        """
        if not context.willLoadLayerOnCompletion(path):
            return False
        cls._kept[path] = cls(title, legend)
        details = context.layerToLoadOnCompletionDetails(path)
        details.setPostProcessor(cls._kept[path])
        if group:
            details.groupName = group
        return True

    @classmethod
    def load_together(cls, context: QgsProcessingContext, titles: dict[str, str], run: str) -> None:
        """Name the layers of a run; two or more come in a group of their own, the first on top.

        Args:
            context: of the run.
            titles: path -> name of the layer, in order.
            run: what tells the run from others of the same output, such as the name of the model.
        """
        loaded = [path for path in titles if context.willLoadLayerOnCompletion(path)]
        group = ""
        if len(loaded) > 1:
            first = Path(loaded[0]).stem
            group = next(iter(titles.values())) if first == "OUTPUT" else f"{first} ({run})"  # OUTPUT: a temporary file
        for place, path in enumerate(loaded):
            cls.name_on_load(context, path, titles[path], group, place == 0 if group else None)
            context.layerToLoadOnCompletionDetails(path).layerSortKey = len(loaded) - place

    def postProcessLayer(  # noqa: N802
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        layer.setName(self._title)
        layer.loadDefaultStyle()
        layer.triggerRepaint()
        project = context.project()
        node = project.layerTreeRoot().findLayer(layer.id()) if project is not None else None
        if node is not None and self._legend is not None:
            node.setExpanded(self._legend)
