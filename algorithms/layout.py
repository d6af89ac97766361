"""layout: a page of the map as PDF, and the map packed for others."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal
from qgis.core import (
    QgsPalettedRasterRenderer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)

from ..model.base.errors import LandloomError
from ..model.base.files import whole_file, writing_failed
from ..model.base.isometadata import MapMetadata, iso_metadata
from ..model.base.language import language, tr, use_language
from ..model.base.provenance import landloom_version
from ..model.base.raster import gdal_cannot_write, open_raster, quiet_gdal
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm
from .layoutpage import SIZES, Page, degrees, export_pdf, literal, make_layout, save_template

LANGUAGES = ["auto", "en", "fr"]


class Layout(LandloomAlgorithm):
    """Layouts are made in a project of their own, never in the user's."""

    ID = "layout"
    NAME = "Layout and package"
    GROUP = "7 Share"
    SUMMARY = (
        "A page of the map as PDF, A3 or A4, with legend, scale, north, sources, accuracy and date; and a zip for "
        "others: the map as cloud-optimised GeoTIFF with its QGIS style, metadata by ISO 19115, and the reports. In "
        "English or French."
    )
    EXAMPLE = (
        "qgis_process run landloom:layout --MAP=map.tif --STACK=stack.json --MODEL=model.safetensors --LANGUAGE=fr "
        "--TITLE='Occupation du sol 2021' --OUTPUT=map.pdf --PACKAGE=map.zip"
    )
    TAGS = ("print", "pdf", "map", "legend", "metadata", "iso 19115", "cog", "zip", "publish")

    def flags(self) -> Any:
        return super().flags() | QgsProcessingAlgorithm.Flag.FlagNoThreading  # layouts belong to the main thread

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.raster("MAP", "Land-cover map"),
            "A map of 'Classify' or any raster of classes with a paletted style.",
        )
        self.add(
            declare.text("TITLE", "Title", optional=True),
            "Heading of the page and name of the data set; 'Land cover' and the years of the images by default.",
        )
        self.add_stack(
            "The stack that was mapped: sensors, number of dates and period are named as sources.", optional=True
        )
        self.add_model(
            "The model that made the map: its network and its accuracy on test samples are told.", optional=True
        )
        self.add(
            declare.file("ASSESSMENT", "Assessment", declare.JSON, optional=True),
            "TABLE of 'Assess': its accuracy is told instead of the model's, with its interval where it has one.",
        )
        self.add(
            declare.choice("LANGUAGE", "Language", LANGUAGES, "auto"),
            "Of the page and the metadata: auto (QGIS's own), en or fr.",
        )
        self.add(declare.choice("PAPER", "Paper", SIZES, "A3"), "A3 (420 x 297 mm) or A4 (297 x 210 mm), landscape.")
        self.add(
            declare.whole("DPI", "Resolution", 300, 50, 1200),
            "Dots per inch of the page, 50 to 1200; 300 prints well.",
            advanced=True,
        )
        self.add(
            declare.extent("EXTENT", "Extent shown", optional=True),
            "Part of the map on the page, in any coordinate system; all of it by default. The package holds all.",
        )
        self.add(
            declare.text("ORGANISATION", "Organisation", optional=True),
            "Who answers for the map; on the page and in the metadata.",
        )
        self.add(
            declare.text("EMAIL", "E-mail", optional=True),
            "Address for questions, in the metadata only.",
            advanced=True,
        )
        self.add(
            declare.text("LICENCE", "Licence", optional=True),
            "Terms of use such as CC BY 4.0; on the page and in the metadata.",
        )
        self.add(
            declare.files("REPORTS", "Files to add to the package", optional=True),
            "Reports, tables and other files that go into the zip as they are.",
        )
        self.add(declare.output_file("OUTPUT", "Page", "PDF (*.pdf)"), "The page as PDF, to print or to send.")
        self.add(
            declare.output_file("TEMPLATE", "Layout template", "QGIS layout (*.qpt)", optional=True, by_default=False),
            "The same page as a template, to change it in QGIS's layout window.",
        )
        self.add(
            declare.output_file("PACKAGE", "Package", "Zip (*.zip)", optional=True, by_default=False),
            "A zip with the map as cloud-optimised GeoTIFF, its style, its metadata (ISO 19115), the page and REPORTS.",
        )

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        wanted = self.parameterAsEnumString(parameters, "LANGUAGE", context)
        before = language()
        try:
            if wanted in ("en", "fr"):
                use_language(wanted)
            return self._make(parameters, context, feedback)
        finally:
            use_language(before)

    def _make(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        progress = FeedbackProgress(feedback)
        given = self.parameterAsRasterLayer(parameters, "MAP", context)
        if given is None or not given.isValid():
            raise LandloomError(
                tr("MAP {get} cannot be loaded: give a land-cover map.").format(get=parameters.get("MAP"))
            )
        path = given.source()
        layer = _shown_classes(given, path)
        output = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        progress.percent(10)
        facts = self._facts(parameters, context)
        extra = [Path(one) for one in self.parameterAsFileList(parameters, "REPORTS", context) if one]
        for one in extra:
            if not one.is_file():
                raise LandloomError(
                    tr("REPORTS holds {one}, which is not a file: give reports and tables.").format(one=one)
                )
        extent = None
        if parameters.get("EXTENT") not in (None, ""):
            extent = self.parameterAsExtent(parameters, "EXTENT", context, layer.crs())
            if extent.isNull() or not extent.isFinite() or not extent.intersects(layer.extent()):
                raise LandloomError(tr("EXTENT does not meet the map: give xmin,xmax,ymin,ymax and a CRS within it."))
        page = Page(
            facts["title"],
            facts["subtitle"],
            facts["lines"],
            self.parameterAsEnumString(parameters, "PAPER", context),
            extent,
        )
        results: dict[str, Any] = {"OUTPUT": output}
        template = self.parameterAsFileOutput(parameters, "TEMPLATE", context) if parameters.get("TEMPLATE") else ""
        dpi = self.parameterAsInt(parameters, "DPI", context)
        box = _write_page(layer, page, output, template, dpi, progress)
        progress.percent(60)
        if template:
            results["TEMPLATE"] = template
        package = self.parameterAsFileOutput(parameters, "PACKAGE", context) if parameters.get("PACKAGE") else ""
        if package:
            metadata = MapMetadata(
                title=facts["title"],
                abstract=" ".join([facts["subtitle"], *facts["lines"]]),
                language=language(),
                crs=layer.crs().authid(),
                west=box.xMinimum(),
                south=box.yMinimum(),
                east=box.xMaximum(),
                north=box.yMaximum(),
                pixel=None if layer.crs().isGeographic() else layer.rasterUnitsPerPixelX(),
                begin=facts["begin"],
                end=facts["end"],
                organisation=self.parameterAsString(parameters, "ORGANISATION", context),
                email=self.parameterAsString(parameters, "EMAIL", context),
                lineage=facts["made"],
                accuracy=facts["accuracy"],
                accuracy_method=facts["method"],
                keywords=(tr("land cover"), tr("time series"), "Landloom"),
                constraints=self.parameterAsString(parameters, "LICENCE", context),
            )
            write_package(package, path, layer, [Path(output), *extra], iso_metadata(metadata, _today()), progress)
            results["PACKAGE"] = package
        progress.percent(100)
        return results

    def _facts(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, Any]:
        """What is known of the map, in words."""
        from ..model.accuracy.assessfiles import read_assessment
        from ..model.networks.modelfile import Model
        from ..model.stack.manifest import Stack

        lines, begin, end, method, accuracy = [], "", "", "", None
        stack_path = self.parameterAsFile(parameters, "STACK", context)
        if stack_path:
            stack = Stack.read(stack_path)
            named = []
            dates: list[str] = []
            for name, sensor in stack.sensors.items():
                own = sorted({one.date for one in sensor.acquisitions if one.date})
                dates += own
                named.append(tr("{sensor} ({count} dates)").format(sensor=name, count=len(own)) if own else name)
            if dates:
                begin, end = min(dates), max(dates)
                named.append(tr("from {begin} to {end}").format(begin=begin, end=end))
            lines.append(tr("Sources: {sources}").format(sources=", ".join(named)))
        network = ""
        model_path = self.parameterAsFile(parameters, "MODEL", context)
        if model_path:
            header = Model.load(model_path).header
            network = header.network
            pixel = header.scores.get("pixel") or {}
            if isinstance(pixel.get("overall_accuracy"), float):
                accuracy = 100 * pixel["overall_accuracy"]
                method = tr("inside reference polygons that did not train the model")
        assessment = self.parameterAsFile(parameters, "ASSESSMENT", context)
        interval = ""
        if assessment:
            content = read_assessment(assessment)
            whole = content.get("whole_map")
            if whole:
                found = whole["overall_accuracy"]
                accuracy, method = 100 * found["value"], tr("of the whole map, estimated from a probability sample")
                low, high = found.get("low"), found.get("high")
                if low is not None and high is not None:
                    interval = tr(" (95 % interval {low:.1f} to {high:.1f})").format(low=100 * low, high=100 * high)
            elif content["pixel"]["overall_accuracy"] is not None:
                accuracy = 100 * content["pixel"]["overall_accuracy"]
                method = tr("inside the reference polygons of the assessment")
        if accuracy is not None:
            text = tr("Overall accuracy {value:.1f} %{interval}, {method}")
            lines.append(text.format(value=accuracy, interval=interval, method=method))
        organisation = self.parameterAsString(parameters, "ORGANISATION", context)
        licence = self.parameterAsString(parameters, "LICENCE", context)
        made = tr("Made with Landloom {version}").format(version=landloom_version())
        if network:
            made += tr(", network {network}").format(network=network)
        lines.append(f"{made}, {_today().isoformat()}")
        if organisation or licence:
            lines.append(", ".join(one for one in (organisation, licence) if one))
        title = self.parameterAsString(parameters, "TITLE", context).strip()
        if not title:
            years = sorted({one[:4] for one in (begin, end) if one})
            title = f"{tr('Land cover')} {'–'.join(years)}".strip()
        subtitle = tr("Land-cover map from satellite time series")
        return {
            "title": title,
            "subtitle": subtitle,
            "lines": lines,
            "begin": begin,
            "end": end,
            "accuracy": accuracy,
            "method": method,
            "made": f"{made}. " + " ".join(lines[:1]),
        }


def _write_page(
    layer: QgsRasterLayer, page: Page, output: str, template: str, dpi: int, progress: FeedbackProgress
) -> QgsRectangle:
    """Write page and template from a project that ends here, and give the layer's extent in degrees."""
    project = QgsProject()
    layout = None
    try:
        layout = make_layout(layer.clone(), page, project)
        progress.check()
        with whole_file(output) as temporary:
            export_pdf(layout, str(temporary), dpi)
        if template:
            with whole_file(template) as temporary:
                save_template(layout, str(temporary))
        return degrees(layer.extent(), layer.crs(), project)
    finally:
        # A traceback that is kept would keep them too, and a project must not outlive QGIS.
        del layout, project


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.timezone.utc).date()


def _shown_classes(given: QgsRasterLayer, path: str) -> QgsRasterLayer:
    """A copy of the layer whose legend lists the classes that the map holds.

    Raises:
        LandloomError: if the layer has no style of classes.
    """
    layer = QgsRasterLayer(path, given.name())
    # A layer of the project has the user's own style; one that Processing opened by its path has none yet.
    if isinstance(given.renderer(), QgsPalettedRasterRenderer):
        layer.setRenderer(given.renderer().clone())
    renderer = layer.renderer()
    if not isinstance(renderer, QgsPalettedRasterRenderer):
        raise LandloomError(
            tr("MAP {file} has no style of classes: load its .qml, or choose 'Paletted/Unique values' for it.").format(
                file=Path(path).name
            )
        )
    there = _codes(path, renderer.inputBand())
    classes = [one for one in renderer.classes() if one.value in there]
    for one in classes:
        one.label = literal(one.label)
    if not classes:
        raise LandloomError(
            tr("MAP {file} holds none of the classes of its style: load the .qml of this map.").format(
                file=Path(path).name
            )
        )
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), renderer.inputBand(), classes))
    return layer


def _codes(path: str, band_number: int) -> set[float]:
    """Values of a raster, read in strips."""
    dataset = open_raster(path)
    band = dataset.GetRasterBand(band_number)
    rows = max(1, 2**22 // dataset.RasterXSize)
    found: set[float] = set()
    for row in range(0, dataset.RasterYSize, rows):
        lines = band.ReadAsArray(0, row, dataset.RasterXSize, min(rows, dataset.RasterYSize - row))
        found |= set(np.unique(lines).tolist())
    return found


def write_package(
    path: str, map_path: str, layer: QgsRasterLayer, files: list[Path], metadata: bytes, progress: FeedbackProgress
) -> None:
    """Write the zip: map, style, metadata and files.

    Raises:
        LandloomError: if it cannot be written.
    """
    stem = Path(map_path).stem
    try:
        with whole_file(path) as temporary:
            cog, style = temporary.with_suffix(".cog.tif"), temporary.with_suffix(".qml")
            names_of_classes = Path(f"{cog}.aux.xml")  # where GDAL keeps them
            try:
                _cloud_optimised(map_path, cog, progress)
                message, good = layer.saveNamedStyle(str(style))
                if not good:
                    raise LandloomError(
                        tr("The style of {stem} cannot be written: {message}").format(stem=stem, message=message)
                    )
                with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
                    archive.write(cog, f"{stem}.tif", zipfile.ZIP_STORED)  # compressed already
                    if names_of_classes.exists():
                        archive.write(names_of_classes, f"{stem}.tif.aux.xml")
                    archive.write(style, f"{stem}.qml")
                    archive.writestr(f"{stem}.xml", metadata)
                    names = {f"{stem}.tif", f"{stem}.qml", f"{stem}.xml"}
                    for one in files:
                        name, number = one.name, 2
                        while name in names:  # two reports of one name
                            name, number = f"{one.stem}_{number}{one.suffix}", number + 1
                        names.add(name)
                        archive.write(one, name)
            finally:
                for left in (cog, names_of_classes, style):
                    left.unlink(missing_ok=True)
    except OSError as error:
        raise LandloomError(writing_failed(path, error)) from error


def _cloud_optimised(source: str, target: Path, progress: FeedbackProgress) -> None:
    """Write a raster of classes as cloud-optimised GeoTIFF; overviews take the most frequent class."""

    def tell(share: float, _message: str, _data: object) -> int:
        progress.percent(60 + 35 * share)
        return 0 if progress.is_cancelled() else 1

    options = gdal.TranslateOptions(
        format="COG",
        creationOptions=["COMPRESS=DEFLATE", "OVERVIEW_RESAMPLING=MODE", "BIGTIFF=IF_SAFER"],
        callback=tell,
    )
    dataset = open_raster(source)
    with quiet_gdal() as messages:
        written = gdal.Translate(str(target), dataset, options=options)
    progress.check()
    if written is None:
        raise gdal_cannot_write(target, messages)
