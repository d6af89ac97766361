"""What the algorithms that compute pixels of a stack with a model share: STACK, MODEL, EXTENT and MASK."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qgis.core import QgsCoordinateReferenceSystem, QgsProcessingContext, QgsProcessingFeedback, QgsRasterLayer

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.base.nomenclature import MOST_LEVELS
from . import declare
from .base import LandloomAlgorithm

if TYPE_CHECKING:
    from ..model.base.elsewhere import Elsewhere
    from ..model.base.progress import Progress
    from ..model.stack.grid import Bounds

PRECISIONS = ["float32", "bfloat16"]


class MapAlgorithm(LandloomAlgorithm):
    """Base of the algorithms that apply a model to a stack."""

    def file(self, parameters: dict[str, Any], name: str, context: QgsProcessingContext) -> str:
        """A file parameter that must be given: models skip QGIS's own check.

        Raises:
            LandloomError: if it is empty.
        """
        path = self.parameterAsFile(parameters, name, context)
        if not path:
            raise LandloomError(tr("{name} is missing: give a file.").format(name=name))
        return path

    def bounds(self, parameters: dict[str, Any], stack: str, context: QgsProcessingContext) -> Bounds | None:
        """EXTENT in the stack's CRS; None where it is not given.

        Raises:
            LandloomError: if it is empty or not understood.
        """
        if parameters.get("EXTENT") in (None, ""):
            return None
        from ..model.stack.manifest import Stack

        return self.bounds_in(parameters, Stack.read(stack).grid.crs_wkt, context)

    def bounds_in(self, parameters: dict[str, Any], crs_wkt: str, context: QgsProcessingContext) -> Bounds | None:
        """EXTENT in a CRS; None where it is not given.

        Raises:
            LandloomError: if it is empty or not understood.
        """
        if parameters.get("EXTENT") in (None, ""):
            return None
        crs = QgsCoordinateReferenceSystem.fromWkt(crs_wkt)
        extent = self.parameterAsExtent(parameters, "EXTENT", context, crs)
        if extent.isNull() or not extent.isFinite():
            raise LandloomError(tr("EXTENT is empty or not understood: give xmin,xmax,ymin,ymax and a CRS."))
        return extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()

    def mask_source(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> str | None:
        """The mask as a file: GDAL's name of a raster, or of a vector layer with its selection and filter."""
        if parameters.get("MASK") in (None, ""):
            return None
        layer = self.parameterAsLayer(parameters, "MASK", context)
        if layer is None or not layer.isValid():
            raise LandloomError(
                tr("The mask {parameters} cannot be opened: give polygons or a raster.").format(
                    parameters=parameters["MASK"]
                )
            )
        if isinstance(layer, QgsRasterLayer):
            return layer.source()
        return self.vector_source(parameters, "MASK", context, feedback)

    def vector_source(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> str | None:
        """A vector layer as a file, with its selection and filter; None where it is not given."""
        if parameters.get(name) in (None, ""):
            return None
        source, layer = self.parameterAsCompatibleSourceLayerPathAndLayerName(
            parameters, name, context, ["gpkg", "shp", "geojson"], "gpkg", feedback
        )
        if not source:
            raise LandloomError(
                tr("{name} cannot be opened: {parameters} is not a vector layer that GDAL reads.").format(
                    name=name, parameters=parameters[name]
                )
            )
        return f"{source}|layername={layer}" if layer else source


def add_precision(algorithm: LandloomAlgorithm) -> None:
    """The parameter PRECISION."""
    algorithm.add(
        declare.choice("PRECISION", "Precision", PRECISIONS, PRECISIONS[0]),
        "float32: the same pixels on every run. bfloat16: fewer digits where that is faster (twinns on newer "
        "processors, networks on a GPU); it is tried on some parts of the stack first, and float32 is used where fewer "
        "than 99.5 % of the pixels get the same class.",
        advanced=True,
    )


def add_scheduler(algorithm: LandloomAlgorithm) -> None:
    """The parameters SCHEDULER and PATH_MAP: computing on other machines."""
    algorithm.add(
        declare.text("SCHEDULER", "Scheduler", optional=True),
        "Computes on other machines: the address of a Dask scheduler, such as tcp://host:8786, or slurm:file.yaml or "
        "pbs:file.yaml with a configuration of dask-jobqueue. Inputs and output must lie in folders that all machines "
        "share; see the page on clusters. Empty: this machine.",
        advanced=True,
    )
    algorithm.add(
        declare.text("PATH_MAP", "Names of shared folders", optional=True),
        "For SCHEDULER, where the workers know shared folders by other names: from=to;from=to, such as "
        "Z:\\data=/mnt/data. Empty: the names are the same.",
        advanced=True,
    )


@contextlib.contextmanager
def scheduler(
    algorithm: LandloomAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext, progress: Progress
) -> Iterator[Elsewhere | None]:
    """Who computes by SCHEDULER and PATH_MAP: None for this machine; the connection is closed at the end."""
    address = (algorithm.parameterAsString(parameters, "SCHEDULER", context) or "").strip()
    path_map = (algorithm.parameterAsString(parameters, "PATH_MAP", context) or "").strip()
    if not address:
        if path_map:
            raise LandloomError(tr("PATH_MAP is given without SCHEDULER: give both, or none of them."))
        yield None
        return
    from ..model.mapping.daskcluster import DaskCluster

    with DaskCluster(address, path_map, progress) as cluster:
        yield cluster


def add_classes(algorithm: LandloomAlgorithm) -> None:
    """The parameters LEVEL and UNSURE_ERROR: which classes a map shows."""
    algorithm.add(
        declare.whole("LEVEL", "Level of the classes", 0, 0, MOST_LEVELS),
        "0: the classes that the model was trained on. 1, 2...: the coarser classes of the nomenclature's columns "
        "level1, level2...; probabilities are summed, and maps of different levels agree with each other.",
        advanced=True,
    )
    algorithm.add(
        declare.number("UNSURE_ERROR", "Share of errors accepted", low=0.0, high=50.0, optional=True),
        "Pixels become 'unsure', a class of its own, where that is needed so that at most this share of the "
        "others is wrong: 0.05 (or 5) for 5 %, at most 0.5. Found on samples that the model has not learnt from, "
        "so it holds for the inside of reference polygons. Empty: every pixel gets a class.",
        advanced=True,
    )
