"""Classification of objects: polygons with class, confidence, second class, probabilities and shares of a pixel map."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.files import file_hash, whole_file, write_text
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..base.progress import Progress
from ..base.raster import DTYPES, gdal_cannot_write, gdal_options, quiet_gdal, read_array
from ..base.vectorfile import check_vector_path
from ..base.xmltext import quoteattr
from ..mapping.descriptors import map_descriptors
from ..mapping.outputs import TILE
from ..mapping.style import category_names, classes_qml, color_table
from ..networks.registry import PIXELSET
from ..networks.tensorfile import read_metadata
from ..stack.burning import burnt
from ..stack.grid import Grid, Window
from ..stack.manifest import Stack
from .features import FeatureSettings, ObjectTable, measure_objects
from .features_segments import Segments
from .features_sources import Layers, Measured, RasterSource, strips
from .objectmodel import ObjectModel
from .objecttraining import segment_bounds


@dataclass
class ClassifiedObjects:
    """What a run gave.

    Attributes:
        labels: ``[n]`` class index; -1 for objects outside the images.
        confidence: ``[n]`` probability of the class, 0..1; NaN outside.
    """

    labels: np.ndarray
    confidence: np.ndarray


class ClassSource(RasterSource):
    """A map of classes as one plane a class: its mean over an object is the share of the class.

    Args:
        path: the map; 0 and its no data are none.
        codes: the classes.
    """

    def __init__(self, path: str | os.PathLike[str], codes: Sequence[int]) -> None:
        super().__init__(path)
        if len(self._names) != 1:
            raise LandloomError(
                tr("MAP {path} has {n_names} bands: give a map of classes with one.").format(
                    path=path, n_names=len(self._names)
                )
            )
        self._codes = [int(code) for code in codes]
        self._names = [f"share_{code}" for code in self._codes]

    def layers(self, window: Window, step: int = 1) -> Iterator[Layers]:
        pieces = [
            read_array(self._dataset, (one.column, one.row, one.width, one.height))[0, ::step, ::step].ravel()
            for one in strips(window, step)
        ]
        self._room.check(self._let_go)
        codes = np.concatenate(pieces)
        valid = codes != 0
        if self._nodata[0] is not None:
            valid &= codes != self._nodata[0]
        planes = np.stack([codes == code for code in self._codes]).astype(np.float32)
        yield Layers(self._names, planes, valid)


def classify_objects(
    stack: str | os.PathLike[str] | None,
    segments: Segments,
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    rasters: Sequence[str] = (),
    class_map: str = "",
    descriptors: str = "",
    raster_output: str = "",
    memory_mb: int = 1024,
    device: str = "auto",
    progress: Progress | None = None,
) -> ClassifiedObjects:
    """Classify objects and write them.

    Args:
        stack: a ``stack.json`` with the sensors of the model.
        segments: the objects.
        model: a model of objects.
        output: polygons with a ``.qml`` beside.
        rasters: other rasters, as in the training and in its order.
        class_map: a pixel map, whose class shares in every object are written too.
        descriptors: the pixel model of the training, if it was moved since.
        raster_output: class codes on the grid of the stack; empty = none.
        memory_mb: working memory.
        device: for descriptors.
        progress: shown, and asked whether to stop.

    Raises:
        LandloomError: if an input does not do or an output cannot be written.
        Cancelled: if the user asked to stop.
    """
    progress = progress or Progress()
    check_vector_path(output)
    if raster_output and Path(raster_output).with_suffix("") == Path(output).with_suffix(""):
        raise LandloomError(
            tr(
                "OUTPUT and RASTER have the same name {stem}, so that their styles would be one file: give "
                "them different names."
            ).format(stem=Path(output).stem)
        )
    if read_metadata(model).get("network") == PIXELSET:
        from .pixelsetmodel import SetModel  # needs torch

        sets = SetModel.load(model)
        reading, warnings = sets.source(stack, rasters, memory_mb / 4)
        for warning in warnings:
            progress.warning(warning)
        progress.text(tr("Classifying {n_segments} objects by their pixels").format(n_segments=len(segments)))
        try:
            probabilities, pixels = sets.predict(segments, reading, memory_mb, device, progress.part(0, 80))
        finally:
            reading.close()
        nomenclature = sets.nomenclature
    else:
        loaded = ObjectModel.load(model)
        measured = stack, segments, loaded, rasters, descriptors, memory_mb, device, progress
        probabilities, pixels = _by_features(*measured)
        nomenclature = loaded.nomenclature
    outside = pixels == 0
    if outside.all():
        raise LandloomError(
            tr(
                "None of the {n_segments:,} segments of {source} lies on the images: check the CRS and the "
                "place of both."
            ).format(n_segments=len(segments), source=segments.source)
        )
    labels = np.where(outside, -1, probabilities.argmax(axis=1))
    confidence = np.where(outside, np.nan, probabilities.max(axis=1))
    probabilities[outside] = np.nan
    columns = _columns(nomenclature, labels, confidence, probabilities)
    if class_map:
        progress.text(tr("Counting the classes of the map"))
        columns |= class_shares(segments, class_map, nomenclature, memory_mb, progress.part(80, 88))
    progress.text(tr("Writing the objects"))
    bare = ObjectTable(segments, [], np.zeros((len(segments), 0), np.float32), pixels)
    bare.write(output, progress.part(88, 96), columns)
    write_text(Path(output).with_suffix(".qml"), objects_qml(nomenclature))
    if raster_output:
        if stack is None:
            raise LandloomError(tr("RASTER is written on the grid of a stack: give STACK too, or leave RASTER empty."))
        progress.text(tr("Writing the raster"))
        rasterise(output, raster_output, Stack.read(stack).grid, nomenclature, progress, memory_mb)
    return ClassifiedObjects(labels, confidence)


def _by_features(
    stack: str | os.PathLike[str] | None,
    segments: Segments,
    loaded: ObjectModel,
    rasters: Sequence[str],
    descriptors: str,
    memory_mb: int,
    device: str,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Class probabilities ``[n, K]`` of all segments by a forest on features, and their sizes in pixels ``[n]``."""
    recipe = loaded.recipe
    sources, warnings = recipe.sources(stack, rasters, memory_mb / 4)
    for warning in warnings:
        progress.warning(warning)
    every = np.arange(len(segments))
    with tempfile.TemporaryDirectory(prefix="landloom") as folder:
        try:
            if loaded.descriptors:
                sources.append(
                    _described(stack, segments, loaded, descriptors, Path(folder), memory_mb, device, progress)
                )
            progress.text(tr("Measuring {n_segments} objects").format(n_segments=len(segments)))
            table = measure_objects(segments, sources, recipe.settings, memory_mb, progress.part(40, 80))
            return loaded.predict(table, sources, every), table.pixels
        finally:
            for source in sources:
                source.close()


def _described(
    stack: str | os.PathLike[str] | None,
    segments: Segments,
    loaded: ObjectModel,
    given: str,
    folder: Path,
    memory_mb: int,
    device: str,
    progress: Progress,
) -> Measured:
    """The raster of descriptors that the model reads."""
    path = given or loaded.descriptors["model"]
    if not Path(path).is_file():
        raise LandloomError(
            tr("The pixel model {path}, whose descriptors are read, is gone: give it as DESCRIPTORS.").format(path=path)
        )
    if file_hash(path) != loaded.descriptors["hash"]:
        raise LandloomError(
            tr(
                "The pixel model {path} is not the one whose descriptors trained the model of objects: give "
                "that one as DESCRIPTORS, or train again."
            ).format(path=path)
        )
    if not stack:
        raise LandloomError(tr("STACK is missing: the model reads descriptors, which are computed from it."))
    grid = Stack.read(stack).grid
    target = folder / "descriptors.tif"
    progress.text(tr("Computing descriptors"))
    map_descriptors(
        stack,
        path,
        target,
        loaded.descriptors["branch"],
        loaded.descriptors["dimensions"],
        bounds=segment_bounds(segments, np.arange(len(segments)), grid.crs_wkt),
        memory_mb=memory_mb,
        device=device,
        progress=progress.part(0, 40),
    )
    return RasterSource(target)


def _columns(
    nomenclature: Nomenclature, labels: np.ndarray, confidence: np.ndarray, probabilities: np.ndarray
) -> dict[str, Any]:
    names = np.array([*nomenclature.names, None], dtype=object)
    codes = np.append(nomenclature.codes, 0)
    order = np.argsort(-np.nan_to_num(probabilities), axis=1, kind="stable")
    second = np.where(labels < 0, -1, order[:, 1]) if len(nomenclature) > 1 else np.full(len(labels), -1)
    columns: dict[str, Any] = {
        "class": codes[labels].astype(np.int32),
        "name": names[labels].tolist(),
        "confidence": np.round(100.0 * confidence, 1),
        "second": codes[second].astype(np.int32),
        "second_name": names[second].tolist(),
    }
    for place, code in enumerate(nomenclature.codes.tolist()):
        columns[f"p_{code}"] = np.round(probabilities[:, place].astype(float), 4)
    return columns


def class_shares(
    segments: Segments, class_map: str, nomenclature: Nomenclature, memory_mb: int, progress: Progress
) -> dict[str, np.ndarray]:
    """Share of each class of a pixel map in every object, 0..1."""
    source = ClassSource(class_map, nomenclature.codes.tolist())
    settings = FeatureSettings(statistics=("mean",), shape=False)
    table = measure_objects(segments, [source], settings, memory_mb, progress)
    return {name.removesuffix("_mean"): np.round(table.column(name).astype(float), 4) for name in table.names}


def objects_qml(nomenclature: Nomenclature) -> str:
    """A QGIS style: polygons filled in the colour of their class, thin grey borders."""
    categories = "\n".join(
        f'<category value="{one.code}" symbol="{place}" label={quoteattr(one.name)} render="true" type="long"/>'
        for place, one in enumerate(nomenclature)
    )
    symbols = "\n".join(
        _SYMBOL.format(place=place, color=",".join(str(int(one.color[k : k + 2], 16)) for k in (1, 3, 5)))
        for place, one in enumerate(nomenclature)
    )
    return (
        '<!DOCTYPE qgis PUBLIC "http://mrcc.com/qgis.dtd" "SYSTEM">\n'
        '<qgis version="3.34" styleCategories="Symbology">\n'
        '<renderer-v2 type="categorizedSymbol" attr="class" enableorderby="0" forceraster="0" symbollevels="0">\n'
        f"<categories>\n{categories}\n</categories>\n<symbols>\n{symbols}\n</symbols>\n"
        "</renderer-v2>\n<blendMode>0</blendMode>\n<layerGeometryType>2</layerGeometryType>\n</qgis>\n"
    )


_SYMBOL = """<symbol type="fill" name="{place}" alpha="1" clip_to_extent="1" force_rhr="0">
<layer class="SimpleFill" enabled="1" locked="0" pass="0"><Option type="Map">
<Option name="color" type="QString" value="{color},255"/><Option name="style" type="QString" value="solid"/>
<Option name="outline_color" type="QString" value="70,70,70,120"/>
<Option name="outline_style" type="QString" value="solid"/><Option name="outline_width" type="QString" value="0.1"/>
<Option name="outline_width_unit" type="QString" value="MM"/></Option></layer></symbol>"""


def rasterise(
    objects: str | os.PathLike[str],
    output: str | os.PathLike[str],
    grid: Grid,
    nomenclature: Nomenclature,
    progress: Progress,
    memory_mb: float = 1024,
) -> None:
    """Burn the classes of objects into a raster, as a map with colours and names; a pixel belongs where its centre is.

    Raises:
        LandloomError: if it cannot be written.
    """
    path = Path(output)
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise LandloomError(tr("RASTER {path} must be a GeoTIFF: let its name end in .tif.").format(path=path))
    codes, colors, names = nomenclature.codes.tolist(), list(nomenclature.colors), list(nomenclature.names)
    kind = "uint8" if max(codes) <= 255 else "uint16"
    options = ["TILED=YES", "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER"]
    with whole_file(path) as temporary, gdal_options(GDAL_PAM_ENABLED="YES"), quiet_gdal() as messages:
        try:
            target = gdal.GetDriverByName("GTiff").Create(
                str(temporary), grid.width, grid.height, 1, DTYPES[kind], options
            )
            source = gdal.OpenEx(os.fspath(objects), gdal.OF_VECTOR)
            if target is None or source is None:
                raise gdal_cannot_write(path, messages)
            target.SetGeoTransform(grid.transform)
            target.SetProjection(grid.crs_wkt)
            band = target.GetRasterBand(1)
            band.SetNoDataValue(0)
            band.SetDescription("Land cover")
            band.SetRasterColorTable(color_table(codes, colors))
            band.SetRasterCategoryNames(category_names(codes, names))
            layer = source.GetLayer(0)
            rows = max(1, int(memory_mb * 2**20 / 8 / (grid.width * np.dtype(kind).itemsize)) // TILE) * TILE
            for row in range(0, grid.height, rows):
                progress.check()
                strip = grid.crop(Window(0, row, grid.width, min(rows, grid.height - row)))
                band.WriteArray(burnt(layer, strip, kind, "class", whole=True), 0, row)
                target.FlushCache()
            layer = None
            band = target = source = None
        except RuntimeError as error:
            raise gdal_cannot_write(path, [*messages, str(error)]) from error
        names_beside = Path(f"{temporary}.aux.xml")  # where GDAL keeps the names of classes
        if names_beside.exists():
            os.replace(names_beside, f"{path}.aux.xml")
    write_text(path.with_suffix(".qml"), classes_qml(codes, names, colors))
