"""Protects models by region: each region mapped by its own, blended without a step, and trained in one call."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster, spatial_reference
from landloom.model.mapping.chunks import Area
from landloom.model.mapping.classify import classify
from landloom.model.mapping.regionblend import RegionChoice, RegionWeights
from landloom.model.networks.modelfile import Model
from landloom.model.networks.regionfile import KEY, load_regions, regions_path
from landloom.model.samples.regions import OUTSIDE, Regions
from landloom.model.samples.store import SampleStore
from landloom.model.stack.grid import Grid, Window
from landloom.model.stack.reader import StackReader
from landloom.model.training import regions as training_regions
from landloom.model.training.regions import subset, train_regions
from landloom.model.training.regionsreport import write_report
from landloom.model.training.run import train
from landloom.model.training.settings import TrainingSettings
from osgeo import gdal, ogr

WIDTH, HEIGHT, BORDER = 192, 130, 96
DATES = ("2021-01-05", "2021-03-05", "2021-06-05")
FOREST = TrainingSettings(network="randomforest", evaluation="holdout", seed=1)
CLASSES = Nomenclature((LandCoverClass(1, "maïs", "#ffcc00"), LandCoverClass(2, "riz", "#3366cc")))


def truth() -> np.ndarray:
    """Two classes in fields of 8 x 8 pixels."""
    fields = np.random.default_rng(2).integers(0, 2, (HEIGHT // 8 + 1, WIDTH // 8))
    return np.kron(fields, np.ones((8, 8), int))[:HEIGHT]


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    """In the west maize is bright and rice dark, in the east the other way round: one model cannot tell them apart."""
    rng = np.random.default_rng(0)
    labels = truth()
    bright = np.where(np.arange(WIDTH) < BORDER, labels, 1 - labels)
    values = 1500 + 900 * bright[None, None] + rng.normal(0, 260, (len(DATES), 2, HEIGHT, WIDTH))
    values = values.round().astype(np.int16)
    sensors = {"S2": {"values": values, "bands": ["B4", "B8"], "dates": DATES, "scale": 1e-4, "nodata": -1}}
    return make_stack(tmp_path_factory.mktemp("régions"), sensors)


@pytest.fixture(scope="module")
def store(stack):
    """A pixel of every field's middle and its neighbours, by field."""
    labels = truth()
    rows, columns = (axis.ravel() for axis in np.mgrid[3:HEIGHT:8, 3:WIDTH:8])
    rows, columns = (np.concatenate([axis, axis + step]) for axis, step in ((rows, 1), (columns, 0)))
    with StackReader(stack) as reader:
        series = reader.read(Window(0, 0, WIDTH, HEIGHT))["S2"]
        specs = reader.specs
    fields = rows // 8 * 1000 + columns // 8
    values = series.values[0][:, :, rows, columns].transpose(2, 0, 1)
    made = SampleStore.from_arrays({"S2": (values, None)}, specs, labels[rows, columns], CLASSES, fields, seed=3)
    x, y = 500005.0 + 10 * columns, 7999995.0 - 10 * rows
    return replace(made, x=x, y=y, crs_wkt=spatial_reference("EPSG:32738").ExportToWkt())


def polygons(path, shapes, epsg=32738):
    """A layer of ``{name: (left, top, right, bottom)}`` in pixels of the stack, or of rings of map coordinates."""
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = dataset.CreateLayer("regions", spatial_reference("EPSG:32738"), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("eco", ogr.OFTString))
    for name, (left, top, right, bottom) in shapes:
        west, east, north, south = (
            500000 + 10 * left,
            500000 + 10 * right,
            8000000 - 10 * top,
            8000000 - 10 * bottom,
        )
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("eco", name)
        ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
        layer.CreateFeature(feature)
    dataset = layer = None
    if epsg != 32738:
        other = path.with_name(f"{epsg}.gpkg")
        gdal.VectorTranslate(str(other), str(path), dstSRS=f"EPSG:{epsg}", reproject=True)
        return other
    return path


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    """Two regions that meet at column 96; the northernmost ten rows belong to none."""
    shapes = [("east", (BORDER, 10, 400, 400)), ("ouest é", (-200, 10, BORDER, 400))]
    return polygons(tmp_path_factory.mktemp("polygones") / "regions.gpkg", shapes)


@pytest.fixture(scope="module")
def trained(store, layer, tmp_path_factory):
    """The model's path, and what the training says."""
    output = tmp_path_factory.mktemp("models") / "forest.safetensors"
    page = output.with_name("training.html")
    result = train_regions([store], Regions(str(layer), "eco"), FOREST, output, None, page)
    write_report(result, page, output)
    return output, result


def read(path):
    return open_raster(path).ReadAsArray()


def mapped(stack, model, folder, name, choice, **more):
    done = classify(stack, model, folder / f"{name}.tif", None, folder / f"{name}_p.tif", regions=choice, **more)
    return read(done.output), read(done.probabilities)


def test_the_regional_models_beat_the_one_of_all(trained, stack, layer, tmp_path):
    output, result = trained
    assert result.combined.macro_f1 > 0.9
    assert result.general.macro_f1 < 0.7
    rows = {row.name: row for row in result.regions}
    assert set(rows) == {"east", "ouest é", ""}
    assert rows["east"].own["pixel"]["macro_f1"] > rows["east"].general["pixel"]["macro_f1"] + 0.2
    assert rows[""].own is None and rows[""].general["pixels"] <= rows[""].samples
    assert sum(row.samples for row in result.regions) == 768
    labels = truth() + 1
    regional, _ = mapped(stack, output, tmp_path, "regional", RegionChoice(str(layer), "eco", 0))
    single, _ = mapped(stack, output, tmp_path, "single", None)
    inner = np.s_[10:]
    assert (regional == labels)[inner].mean() > 0.9
    assert (single == labels)[inner].mean() < 0.8
    assert np.array_equal(regional[:10], single[:10])  # outside all regions


def test_unsure_error_holds_in_each_region(trained, stack, layer, tmp_path):
    """Though the model of all samples cannot reach it: only what that one maps is unsure as a whole."""
    output, _ = trained
    choice = RegionChoice(str(layer), "eco", 0)
    made, _ = mapped(stack, output, tmp_path, "unsure", choice, unsure_error=0.02)
    assert (made[:10] == 3).all()  # outside all regions
    labels = truth() + 1
    for columns in (slice(None, BORDER), slice(BORDER, None)):
        own = np.s_[10:, columns]
        kept = made[own] != 3
        assert kept.mean() > 0.4 and (made[own] != labels[own])[kept].mean() < 0.04
    with pytest.raises(LandloomError, match="cannot be reached"):
        mapped(stack, output, tmp_path, "general", None, unsure_error=0.02)


def test_hard_borders_equal_maps_made_one_by_one(trained, stack, layer, tmp_path):
    output, _ = trained
    _, blended = mapped(stack, output, tmp_path, "hard", RegionChoice(str(layer), "eco", 0))
    header = Model.load_header(output)
    apart = {}
    for name, model in load_regions(output, header).items():
        model.save(tmp_path / f"{name}.safetensors")
        apart[name] = mapped(stack, tmp_path / f"{name}.safetensors", tmp_path, name, None)[1]
    assert np.array_equal(blended[:, 10:, :BORDER], apart["ouest é"][:, 10:, :BORDER])
    assert np.array_equal(blended[:, 10:, BORDER:], apart["east"][:, 10:, BORDER:])


def test_weights_go_over_without_a_step(layer):
    """Linear over BLEND metres across the border, 1 beyond, a sum of 1 everywhere, also where three meet."""
    grid = Grid("EPSG:32738", (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0), WIDTH, HEIGHT)
    weights = RegionWeights(Regions(str(layer), "eco"), grid, ["east", "ouest é"], 300)
    whole = weights.weights(Area(0, 0, WIDTH, HEIGHT))
    assert set(whole) == {0, 1, OUTSIDE}
    assert np.allclose(sum(whole.values()), 1, atol=1e-6)
    east = whole[0][60]
    assert east[BORDER - 16] == 0 and east[BORDER + 16] == 1
    centres = 10 * (np.arange(WIDTH) + 0.5 - BORDER)
    assert np.allclose(east, np.clip(0.5 + centres / 300, 0, 1), atol=1e-6)
    for weight in whole.values():
        assert np.abs(np.diff(weight, axis=1)).max() < 0.08
        assert np.abs(np.diff(weight, axis=0)).max() < 0.08
    # chunk by chunk it is the same
    for place in (Area(64, 0, 64, 64), Area(128, 64, 64, 64), Area(0, 64, 64, 64)):
        own = weights.weights(place)
        for model, weight in whole.items():
            part = weight[place.row : place.row + 64, place.column : place.column + 64]
            mine = own.get(model, np.zeros((64, 64)))[: part.shape[0]]
            assert np.allclose(mine, part, atol=1e-6)


def test_the_map_does_not_depend_on_blocks_and_threads(trained, stack, layer, tmp_path):
    output, _ = trained
    choice = RegionChoice(str(layer), "eco", 400)
    _, first = mapped(stack, output, tmp_path, "first", choice, threads=1)
    _, second = mapped(stack, output, tmp_path, "second", choice, threads=2, memory_mb=128)
    assert np.array_equal(first, second)
    grid = (500000.0 + 640, 8000000.0 - 900, 500000.0 + 1500, 8000000.0 - 300)
    _, part = mapped(stack, output, tmp_path, "part", choice, bounds=grid)
    assert np.array_equal(part, first[:, 30:90, 64:150])


def test_a_changed_border_or_blend_is_another_run(trained, stack, layer, tmp_path):
    output, _ = trained
    hard = mapped(stack, output, tmp_path, "map", RegionChoice(str(layer), "eco", 0))[1]
    soft = mapped(stack, output, tmp_path, "map", RegionChoice(str(layer), "eco", 800))[1]
    near, far = np.s_[:, 30:, BORDER - 5 : BORDER + 5], np.s_[:, 80:, :20]
    assert not np.array_equal(hard[near], soft[near])
    assert np.array_equal(hard[far], soft[far])


def test_regions_in_another_crs_and_overlaps(tmp_path, layer):
    """The same places within a pixel; where polygons overlap the first counts."""
    grid = Grid(spatial_reference("EPSG:32738").ExportToWkt(), (5e5, 10.0, 0, 8e6, 0, -10.0), WIDTH, HEIGHT)
    window = Window(0, 0, WIDTH, HEIGHT)
    shapes = [("b", (0, 0, 50, 50)), ("a", (40, 0, 90, 50)), ("b", (100, 60, 120, 80))]
    here = Regions(str(polygons(tmp_path / "here.gpkg", shapes)), "eco")
    there = Regions(str(polygons(tmp_path / "there.gpkg", shapes, 4326)), "eco")
    assert here.names == ["a", "b"] and here.identity != there.identity
    painted = here.painter(grid).read(window)
    assert painted[10, 45] == 1 and painted[10, 60] == 0 and painted[70, 110] == 1 and painted[70, 10] == OUTSIDE
    assert (there.painter(grid).read(window) == painted).mean() > 0.995
    rows, columns = np.mgrid[:HEIGHT:7, :WIDTH:7].reshape(2, -1)
    x, y = 500005.0 + 10 * columns, 7999995.0 - 10 * rows
    assert np.array_equal(here.locate(x, y, grid.crs_wkt), painted[rows, columns])


def test_a_region_without_samples_enough_takes_the_model_of_all(store, stack, tmp_path):
    shapes = [("big", (-5, -5, WIDTH + 5, 120)), ("one class", (0, 120, 6, 127)), ("none", (500, 0, 510, 10))]
    layer = polygons(tmp_path / "some.gpkg", shapes)
    output = tmp_path / "model.safetensors"
    result = train_regions([store], Regions(str(layer), "eco"), FOREST, output)
    rows = {row.name: row for row in result.regions}
    assert rows["big"].own is not None and rows["one class"].own is None and "1 class" in rows["one class"].why
    assert list(load_regions(output, Model.load_header(output))) == ["big"]
    assert rows["none"].samples == 0
    one, _ = mapped(stack, output, tmp_path, "regions", RegionChoice(str(layer), "eco", 0))
    assert one.all()


def test_groups_are_never_split_between_regions(store, layer):
    places = training_regions._places(store, Regions(str(layer), "eco"), Progress())
    for group in np.unique(store.groups):
        assert len(np.unique(places[store.groups == group])) == 1


def test_a_subset_reads_the_same_series(store):
    some = np.array([5, 3, 100])
    part = subset(store, some)
    assert np.array_equal(part.batch([0, 1, 2])["S2"].values, store.batch(some)["S2"].values)


def test_a_killed_training_goes_on(trained, store, layer, tmp_path, monkeypatch):
    """What is finished is not trained again, and the result is that of an undisturbed run."""
    output = tmp_path / "forest.safetensors"
    calls = []

    def counting(*arguments, **more):
        calls.append(arguments[2].name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(*arguments, **more)

    monkeypatch.setattr(training_regions, "train", counting)
    monkeypatch.setattr(training_regions.shutil, "rmtree", lambda *_, **__: None)  # as a kill would leave it
    regions = Regions(str(layer), "eco")
    with pytest.raises(KeyboardInterrupt):
        train_regions([store], regions, FOREST, output)
    assert not output.exists() and not regions_path(output).exists()
    monkeypatch.undo()
    calls.clear()
    monkeypatch.setattr(training_regions, "train", lambda *a, **k: calls.append(a[2].name) or train(*a, **k))
    result = train_regions([store], regions, FOREST, output)
    assert len(calls) == 1
    assert not (tmp_path / "forest.safetensors.regions").exists()
    assert result.combined.macro_f1 == trained[1].combined.macro_f1
    ours, theirs = (load_regions(path, Model.load_header(path)) for path in (output, trained[0]))
    assert list(ours) == list(theirs)
    for name in ours:
        assert np.array_equal(ours[name].members[0].threshold, theirs[name].members[0].threshold)


class Impatient(Progress):
    """Stops after some questions."""

    def __init__(self, after):
        self.left = after

    def is_cancelled(self):
        self.left -= 1
        return self.left < 0


class StopsAtARegion(Progress):
    """Stops while the first region is trained."""

    stopped = False

    def info(self, text):
        self.stopped = self.stopped or text.startswith("Region ")

    def is_cancelled(self):
        return self.stopped


@pytest.mark.parametrize("impatient", [Impatient(12), StopsAtARegion()], ids=["early", "at a region"])
def test_a_cancelled_training_leaves_nothing(store, layer, tmp_path, impatient):
    page = tmp_path / "page.html"
    with pytest.raises(Cancelled):
        train_regions([store], Regions(str(layer), "eco"), FOREST, tmp_path / "m.safetensors", impatient, page)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".gpkg"]


def test_what_fails_for_another_reason_than_few_samples_is_no_region_without_a_model(
    store, layer, tmp_path, monkeypatch
):
    from landloom.model.training import regions

    def full(*_arguments):
        raise LandloomError("The disk is full: free some space.")

    general = regions.train
    calls = []

    def once(*arguments, **more):
        calls.append(1)
        return general(*arguments, **more) if len(calls) == 1 else full()

    monkeypatch.setattr(regions, "train", once)
    with pytest.raises(LandloomError, match="disk is full"):
        train_regions([store], Regions(str(layer), "eco"), FOREST, tmp_path / "m.safetensors")


def test_bad_regions_are_named(store, stack, layer, trained, tmp_path):
    output, _ = trained
    with pytest.raises(LandloomError, match="no field région"):
        Regions(str(layer), "région")
    with pytest.raises(LandloomError, match="no vector layer"):
        Regions(str(tmp_path / "nothing.gpkg"), "eco")
    far = Regions(str(polygons(tmp_path / "far.gpkg", [("x", (9000, 9000, 9100, 9100))])), "eco")
    with pytest.raises(LandloomError, match="do not meet"):
        train_regions([store], far, FOREST, tmp_path / "m.safetensors")
    with pytest.raises(LandloomError, match="has models of the regions"):
        mapped(stack, output, tmp_path, "far", RegionChoice(far.source, "eco"))
    with pytest.raises(LandloomError, match="BLEND"):
        mapped(stack, output, tmp_path, "wide", RegionChoice(str(layer), "eco", -1))
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(output.read_bytes())
    with pytest.raises(LandloomError, match="are missing"):
        mapped(stack, alone, tmp_path, "alone", RegionChoice(str(layer), "eco"))
    regions_path(alone).write_bytes(regions_path(output).read_bytes()[:-1])
    with pytest.raises(LandloomError, match="another training"):
        mapped(stack, alone, tmp_path, "alone", RegionChoice(str(layer), "eco"))
    train([store], FOREST, tmp_path / "plain.safetensors")
    with pytest.raises(LandloomError, match="no models of regions"):
        mapped(stack, tmp_path / "plain.safetensors", tmp_path, "plain", RegionChoice(str(layer), "eco"))


def test_the_model_of_all_is_a_model_like_any_other(trained, stack, tmp_path):
    output, _ = trained
    assert Model.load_header(output).provenance[KEY]["regions"] == ["east", "ouest é"]
    assert mapped(stack, output, tmp_path, "plain", None)[0].all()


def test_the_report_tells_each_region(trained):
    output, result = trained
    page = output.with_name("training.html").read_text(encoding="utf-8")
    assert "ouest é" in page and "training_all.html" in page
    links = [name for name in output.parent.iterdir() if name.suffix == ".html"]
    assert len(links) == 4
    facts = json.loads(output.with_name("training_report.json").read_text(encoding="utf-8"))
    assert facts["kind"] == "trainregions"
    assert [one["name"] for one in facts["regions"]] == [row.name for row in result.regions]
    table = output.with_name("training_regions.csv").read_text(encoding="utf-8").splitlines()
    assert table[0].startswith("region,samples,groups") and len(table) == 4
