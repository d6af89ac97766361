"""nomenclature: a table of the classes in reference data, to be edited and given to extractsamples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import Qgis, QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback, QgsWkbTypes

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from . import declare
from .base import FeedbackProgress, LandloomAlgorithm


class MakeNomenclature(LandloomAlgorithm):
    """Lists the values of a class field; see ``model/samples/table.py``."""

    ID = "nomenclature"
    NAME = "Nomenclature"
    GROUP = "2 Reference"
    SUMMARY = (
        "Lists the classes of reference data in a table with value, code, name, colour, use, number of features and "
        "hectares. Edit it to rename, recode, group (same code and name) or leave out (use = no) classes, and give it "
        "to 'Extract samples'. Columns level1, level2... may name coarser classes. Codes 1 to 65535 are kept as given; "
        "text classes get 1, 2, 3... in sorted order, and never change when the table is updated."
    )
    EXAMPLE = (
        "qgis_process run landloom:nomenclature --REFERENCE=fields.gpkg --CLASS_FIELD=crop --OUTPUT=nomenclature.csv"
    )
    TAGS = ("classes", "legend", "codes", "colours", "iota2")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_reference(
            "Polygons or points whose land cover is known. Empty: the table to update is written in another format.",
            optional=True,
        )
        self.add_class_field(
            "The field of the reference data that holds the class, whole numbers or text.", optional=True
        )
        self.add(
            declare.file("TABLE", "Table to update", declare.NOMENCLATURE, optional=True),
            "An earlier table: its codes, names, colours and uses are kept, counts are renewed, new values are added. "
            "Also iota2's nomenclature.txt, with its colours in colors.txt beside it, and a QGIS style (.qml) of "
            "categories or of a raster's unique values.",
        )
        self.add(
            declare.output_file("OUTPUT", "Nomenclature", declare.NOMENCLATURE),
            "The table: .csv, .ods or .xlsx; .txt for iota2's two text files, lines name:label and, in colors.txt "
            "beside, label R G B, without levels; .qml for a QGIS style that both the reference layer and maps load.",
        )

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        from ..model.samples.reference import ReferenceLayer
        from ..model.samples.table import table_of
        from ..model.samples.tablefiles import read_table, write_table

        progress = FeedbackProgress(feedback)
        output = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        table_path = self.parameterAsFile(parameters, "TABLE", context)
        old = read_table(table_path) if table_path else None
        field = self.parameterAsString(parameters, "CLASS_FIELD", context)
        if parameters.get("REFERENCE") in (None, ""):
            if old is None:
                raise LandloomError(tr("Give REFERENCE with its CLASS_FIELD, or TABLE to write it in another format."))
            written = write_table(old, output, field)
            progress.info(tr("Written: {written}.").format(written=", ".join(str(one) for one in written)))
            return {"OUTPUT": str(output)}
        if not field:
            raise LandloomError(tr("CLASS_FIELD is missing: name the field of REFERENCE that holds the class."))
        path, crs = reference_path(self, parameters, context, feedback)
        layer = ReferenceLayer(path, crs)
        counts = layer.values(field, progress)
        if old is not None:
            table = old.update(counts)
            added = [row.value for row in table.rows if old.find(row.value) is None]
            progress.info(tr("New values: {added}.").format(added=", ".join(added)) if added else tr("No new value."))
            gone = [row.value for row in table.rows if row.count == 0]
            if gone:
                progress.info(tr("No longer in the reference data: {gone}.").format(gone=", ".join(gone)))
        else:
            table, renumbered = table_of(counts)
            if renumbered:
                progress.info(
                    tr(
                        "{field} holds texts or numbers outside 1 to 65535: the classes get the codes 1 to "
                        "{n_rows} in sorted order, and their value as name."
                    ).format(field=field, n_rows=len(table.rows))
                )
        if len({row.code for row in table.rows if row.use}) < 2:
            progress.warning(tr("There is one class only; a classification needs at least two."))
        progress.check()
        written = write_table(table, output, field, layer.holds_points)
        for row in table.rows:
            area = "" if row.hectares is None else f", {row.hectares:.2f} ha"
            progress.info(
                tr("{code}: {row} ({count} features{area})").format(
                    code=row.code, row=row.name, count=row.count, area=area
                )
            )
        progress.info(tr("Written: {written}.").format(written=", ".join(str(one) for one in written)))
        return {"OUTPUT": str(output)}


def reference_path(
    algorithm: LandloomAlgorithm,
    parameters: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
    name: str = "REFERENCE",
) -> tuple[str, str]:
    """A file that GDAL reads for a vector parameter, and the CRS that QGIS gives the layer.

    Layers in memory, filtered ones and selections are first written to a temporary GeoPackage.

    Raises:
        LandloomError: if the layer cannot be loaded, or has no geometry.
    """
    try:
        source = algorithm.parameterAsSource(parameters, name, context)
    except QgsProcessingException as error:
        raise LandloomError(tr("{name} cannot be loaded: {error}").format(name=name, error=error)) from error
    if source is None:
        raise LandloomError(
            tr("{name} {get} cannot be loaded as polygons or points; check the path.").format(
                name=name, get=parameters.get(name)
            )
        )
    if source.featureCount() != 0 and QgsWkbTypes.geometryType(source.wkbType()) == Qgis.GeometryType.Null:
        raise LandloomError(
            tr(
                "{name} {layer} is a table without places: give polygons or points. Of columns with coordinates QGIS "
                "makes points by 'Create points layer from table'."
            ).format(name=name, layer=source.sourceName())
        )
    path, layer_name = algorithm.parameterAsCompatibleSourceLayerPathAndLayerName(
        parameters, name, context, ["gpkg", "shp", "geojson", "json", "sqlite", "fgb", "kml", "gml"], "gpkg", feedback
    )
    crs = source.sourceCrs()
    wkt = crs.toWkt() if crs.isValid() else ""
    return f"{path}|layername={layer_name}" if layer_name else path, wkt
