"""A small stack of two sensors with four classes, clouds and an empty corner, and models trained on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.networks.forest import fit_forest
from landloom.model.networks.inputs import InputRecipe
from landloom.model.networks.modelfile import Model, ModelHeader
from landloom.model.networks.regionfile import KEY, regions_path, save_regions
from landloom.model.networks.registry import build, network_info
from landloom.model.stack.build import source_of, write_stack
from landloom.model.stack.calendar import day_of
from landloom.model.stack.grid import Grid, Window
from landloom.model.stack.manifest import Acquisition, Part, Sensor, Stack
from landloom.model.stack.rasterinfo import inspect
from landloom.model.stack.reader import StackReader
from osgeo import ogr, osr

WIDTH, HEIGHT = 150, 130
EMPTY = (slice(0, 20), slice(0, 30))  # no data at all
NODATA = -10000
S2_BANDS = ("B3", "B4", "B8", "B11")


def crs() -> str:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32738)
    return reference.ExportToWkt()


def grid() -> Grid:
    return Grid(crs(), (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0), WIDTH, HEIGHT)


def truth() -> np.ndarray:
    """Classes 0..3 in fields of 10 x 10 pixels."""
    fields = np.random.default_rng(5).integers(0, 4, (HEIGHT // 10, WIDTH // 10))
    return np.kron(fields, np.ones((10, 10), int))


def nomenclature(codes=(3, 7, 11, 250)) -> Nomenclature:
    names = ("maize", "riz pluvial é", "forêt <dense> & claire", 'water "deep"')
    colors = ("#ffcc00", "#88cc44", "#115511", "#2a6fbb")
    return Nomenclature(tuple(LandCoverClass(*one) for one in zip(codes, names, colors, strict=True)))


def make_stack(folder: Path) -> Path:
    """Files with paths that hold spaces and accents, and their stack.json."""
    folder = folder / "données brutes"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    labels, place = truth(), grid()
    sensors = {}
    for name, bands, dates, kind in (
        ("S2", S2_BANDS, [f"2021-{month:02d}-05" for month in range(1, 9)], "optical"),
        ("S1_ASC", ("VV", "VH"), [f"2021-{month:02d}-11" for month in range(1, 7)], "radar"),
    ):
        acquisitions = []
        level = rng.integers(500, 4000, (4, len(dates), len(bands)))
        for index, date in enumerate(dates):
            values = level[labels, index].transpose(2, 0, 1) + rng.normal(0, 150, (len(bands), HEIGHT, WIDTH))
            values = values.round().astype(np.int16)
            if kind == "radar":
                values = (-values / 2).astype(np.int16)
            else:
                row, column = rng.integers(0, 90, 2)
                values[:, row : row + 40, column : column + 50] = NODATA
            values[(slice(None), *EMPTY)] = NODATA
            path = folder / f"{name}_{date.replace('-', '')}.tif"
            write_raster(path, values, place.transform, place.crs_wkt, NODATA, bands)
            source = source_of(inspect(str(path)), NODATA)
            part = Part(path.stem, {band: (0, k + 1) for k, band in enumerate(bands)}, (source,))
            acquisitions.append(Acquisition(date, day_of(date, "01-01", 2021), (part,)))
        unit = {"scale": 0.01, "unit": "db", "calibration": "sigma0"} if kind == "radar" else {}
        unit = unit or {"scale": 0.0001, "unit": "reflectance"}
        sensors[name] = Sensor(name, kind, bands, "int16", nodata=NODATA, acquisitions=tuple(acquisitions), **unit)
    return write_stack(Stack(folder / "stack.json", place, "01-01", 2021, sensors)).path


def make_model(stack: Path, network: str, path: Path, sensors=None, seed=0, **header) -> Path:
    """A forest trained on every third pixel, or a network with random weights."""
    info = network_info(network)
    with StackReader(stack, sensors) as reader:
        whole = Window(0, 0, WIDTH, HEIGHT)
        batch, specs = reader.read(whole), reader.specs
    recipe = InputRecipe.fit_batches(specs, [batch], step=30, index_names=info.indices)
    if info.is_forest:
        seen = np.zeros((HEIGHT, WIDTH), bool)
        seen[1::3, 1::3] = True
        seen[EMPTY] = False
        features = recipe.features(batch)[seen.ravel()]
        member = fit_forest(features, truth()[seen], 4, {"trees": 15, "depth": 12}, seed=seed)
        settings = {"trees": 15, "depth": 12}
    else:
        import torch

        torch.manual_seed(seed)
        settings = {}
        member = build(network, recipe.shapes(), 4, settings)
    fields = {"settings": settings, "recipe": recipe, "nomenclature": nomenclature(), **header}
    Model(ModelHeader(network, **fields), [member]).save(path)
    return path


def make_regional(folder: Path, general: Path, models: dict[str, Path]) -> tuple[Path, Path]:
    """A model of all samples with those of regions, and the layer of these: stripes of equal width, field ``eco``."""
    folder.mkdir(parents=True, exist_ok=True)
    path, layer_path = folder / "forêt.safetensors", folder / "régions.gpkg"
    model = Model.load(general)
    kept = save_regions(regions_path(path), {name: Model.load(one) for name, one in models.items()})
    model.header = replace(model.header, provenance={KEY: kept})
    model.save(path)
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(layer_path))
    layer = dataset.CreateLayer("regions", spatial_reference(crs()), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("eco", ogr.OFTString))
    width = 10 * WIDTH / len(models)
    for number, name in enumerate(models):
        west, east, south = 5e5 + number * width, 5e5 + (number + 1) * width, 8e6 - 10 * HEIGHT
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("eco", name)
        ring = f"{west} {south},{east} {south},{east} 8000000,{west} 8000000,{west} {south}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
        layer.CreateFeature(feature)
    return path, layer_path
