"""Classification of a real small stack with real models: files, seams, bad input."""

from __future__ import annotations

import shutil
import time

import mapping_scene as scene
import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.raster import write_raster
from landloom.model.mapping import job, opening
from landloom.model.mapping.classify import classify
from landloom.model.mapping.opening import area_of
from landloom.model.networks.modelfile import Model
from landloom.model.networks.predictor import Predictor
from landloom.model.networks.together import Together
from landloom.model.stack.grid import Window
from landloom.model.stack.reader import StackReader
from mapping_fakes import Told
from osgeo import gdal, ogr


def read(path):
    return gdal.Open(str(path)).ReadAsArray()


def tiny_blocks(monkeypatch):
    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 64 * 64)


@pytest.fixture(scope="module")
def forest_map(mapping_stack, forest_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("carte é")
    progress = Told()
    done = classify(
        mapping_stack,
        forest_model,
        folder / "map.tif",
        folder / "confidence.tif",
        folder / "probabilities.tif",
        progress=progress,
    )
    return folder, done, progress


def test_the_files_are_what_the_design_says(forest_map):
    folder, _done, _progress = forest_map
    names = {"map.tif", "map.tif.aux.xml", "map.qml", "confidence.tif", "confidence.qml", "probabilities.tif"}
    assert {p.name for p in folder.iterdir()} == names
    dataset = gdal.Open(str(folder / "map.tif"))
    band = dataset.GetRasterBand(1)
    assert band.DataType == gdal.GDT_Byte and band.GetNoDataValue() == 0 and band.GetBlockSize() == [256, 256]
    assert dataset.GetGeoTransform() == scene.grid().transform
    table = band.GetRasterColorTable()
    assert table.GetColorEntry(3) == (255, 204, 0, 255) and table.GetColorEntry(250)[:3] == (42, 111, 187)
    categories = band.GetRasterCategoryNames()
    assert categories[7] == "riz pluvial é" and categories[11] == "forêt <dense> & claire" and categories[4] == ""
    assert set(np.unique(band.ReadAsArray())) == {0, 3, 7, 11, 250}
    second = gdal.Open(str(folder / "confidence.tif"))
    confidence = second.GetRasterBand(1)
    assert confidence.DataType == gdal.GDT_Byte and confidence.GetNoDataValue() == 255
    probabilities = gdal.Open(str(folder / "probabilities.tif"))
    assert probabilities.RasterCount == 4
    first = probabilities.GetRasterBand(1)
    assert first.DataType == gdal.GDT_UInt16 and first.GetNoDataValue() == 65535
    assert first.GetScale() == 0.0001 and first.GetDescription() == "maize"


def test_map_confidence_and_probabilities_agree(forest_map):
    folder, done, _progress = forest_map
    codes = np.array(scene.nomenclature().codes)
    values, percent = read(folder / "map.tif"), read(folder / "confidence.tif")
    shares = read(folder / "probabilities.tif").astype(float)
    empty = np.zeros(values.shape, bool)
    empty[scene.EMPTY] = True
    np.testing.assert_array_equal(values == 0, empty)
    np.testing.assert_array_equal(percent == 255, empty)
    np.testing.assert_array_equal((shares == 65535).all(axis=0), empty)
    seen = ~empty
    np.testing.assert_array_equal(values[seen], codes[shares.argmax(axis=0)][seen])
    assert np.abs(shares.sum(axis=0)[seen] - 10000).max() <= 3
    assert np.abs(percent[seen] - shares.max(axis=0)[seen] / 100).max() <= 0.51
    accuracy = (values[seen] == codes[scene.truth()][seen]).mean()
    assert accuracy > 0.95
    assert done.summary.pixels == seen.size


def test_the_map_equals_the_predictor_on_single_pixels(forest_map, mapping_stack, forest_model):
    folder, _done, _progress = forest_map
    predictor = Predictor(Model.load(forest_model), threads=1)
    with StackReader(mapping_stack) as reader:
        predictor.check_fits(reader.specs)
        for row, column in ((25, 3), (64, 64), (127, 149), (70, 128)):
            alone = predictor.predict(reader.read(Window(column, row, 1, 1)))[0, :, 0, 0]
            mapped = read(folder / "probabilities.tif")[:, row, column] / 10000
            assert np.abs(alone - mapped).max() < 1e-4


@pytest.mark.parametrize("network", ["randomforest", "ltae", "tempcnn", "twinns"])
def test_blocks_threads_and_extent_leave_no_trace(network, mapping_stack, tmp_path, monkeypatch):
    if network != "randomforest":
        pytest.importorskip("torch")
        pytest.importorskip(f"landloom.model.networks.{network}")
    model = scene.make_model(mapping_stack, network, tmp_path / "model.safetensors")
    whole = classify(mapping_stack, model, tmp_path / "a.tif", None, tmp_path / "pa.tif", threads=1, device="cpu")
    assert whole.summary.blocks == 1
    tiny_blocks(monkeypatch)
    classify(mapping_stack, model, tmp_path / "b.tif", None, tmp_path / "pb.tif", threads=3, device="cpu")
    x, y = 500000, 8000000
    part = classify(
        mapping_stack,
        model,
        tmp_path / "c.tif",
        None,
        tmp_path / "pc.tif",
        bounds=(x + 333, y - 1105, x + 1207, y - 221),
        device="cpu",
    )
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), read(tmp_path / "b.tif"))
    np.testing.assert_array_equal(read(tmp_path / "pa.tif"), read(tmp_path / "pb.tif"))
    rows, columns = slice(22, 111), slice(33, 121)
    assert part.summary.pixels == 89 * 88
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[rows, columns], read(tmp_path / "c.tif"))
    np.testing.assert_array_equal(read(tmp_path / "pa.tif")[:, rows, columns], read(tmp_path / "pc.tif"))


@pytest.mark.parametrize("network", ["ltae", "tempcnn", "twinns"])
def test_patch_equals_tile(network, mapping_stack, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip(f"landloom.model.networks.{network}")
    path = scene.make_model(mapping_stack, network, tmp_path / "model.safetensors")
    classify(mapping_stack, path, tmp_path / "m.tif", None, tmp_path / "p.tif", device="cpu")
    codes, scaled = read(tmp_path / "m.tif"), read(tmp_path / "p.tif")
    predictor = Predictor(Model.load(path), threads=1)
    index = np.array(scene.nomenclature().codes)
    with StackReader(mapping_stack) as reader:
        predictor.check_fits(reader.specs)
        tile = predictor.predict(reader.read(Window(64, 64, 64, 64), predictor.halo))[0]
        for row, column in ((64, 64), (100, 90), (127, 127)):
            patch = predictor.predict(reader.read(Window(column, row, 1, 1), predictor.halo))[0, :, 0, 0]
            assert np.abs(patch - tile[:, row - 64, column - 64]).max() < 1e-5
            assert np.abs(patch * 10000 - scaled[:, row, column]).max() < 0.7
            assert codes[row, column] == index[patch.argmax()]


def make_polygon(path, ring, epsg=4326):
    from osgeo import osr

    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32738)
    target = osr.SpatialReference()
    target.ImportFromEPSG(epsg)
    target.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    geometry = ogr.CreateGeometryFromWkt("POLYGON((" + ",".join(f"{x} {y}" for x, y in [*ring, ring[0]]) + "))")
    geometry.Transform(osr.CoordinateTransformation(reference, target))
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("mask é", target, ogr.wkbPolygon)
    feature = ogr.Feature(layer.GetLayerDefn())
    feature.SetGeometry(geometry)
    layer.CreateFeature(feature)
    return path


def test_a_mask_of_polygons_in_another_crs(forest_map, mapping_stack, forest_model, tmp_path):
    x, y = 500000, 8000000
    ring = [(x + 402, y - 302), (x + 1004, y - 302), (x + 1004, y - 902), (x + 402, y - 902)]
    mask = make_polygon(tmp_path / "m.gpkg", ring)
    done = classify(mapping_stack, forest_model, tmp_path / "map.tif", mask=f"{mask}|layername=mask é")
    inside = np.zeros((scene.HEIGHT, scene.WIDTH), bool)
    inside[30:90, 40:100] = True
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), np.where(inside, read(forest_map[0] / "map.tif"), 0))
    assert done.summary.pixels < 130 * 150


def test_a_mask_raster_of_another_resolution(forest_map, mapping_stack, forest_model, tmp_path, monkeypatch):
    tiny_blocks(monkeypatch)
    values = np.zeros((20, 20), np.float32)
    values[10:, :8] = 2.5
    values[12, 3] = np.nan
    values[15, 5] = -1
    transform = (500000.0, 100.0, 0.0, 8000000.0, 0.0, -100.0)
    write_raster(tmp_path / "m.tif", values, transform, scene.crs(), nodata=-1)
    done = classify(mapping_stack, forest_model, tmp_path / "map.tif", mask=str(tmp_path / "m.tif"))
    inside = np.kron((values > 0) & np.isfinite(values), np.ones((10, 10), bool))[: scene.HEIGHT, : scene.WIDTH]
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), np.where(inside, read(forest_map[0] / "map.tif"), 0))
    assert done.summary.blocks == 4  # those that the mask meets, of nine


def test_an_empty_mask_is_refused(mapping_stack, forest_model, tmp_path):
    mask = make_polygon(tmp_path / "m.gpkg", [(0, 7000000), (10, 7000000), (10, 7000010)], 32738)
    with pytest.raises(LandloomError, match=r"mask .*m\.gpkg leaves nothing to map"):
        classify(mapping_stack, forest_model, tmp_path / "map.tif", mask=str(mask))
    with pytest.raises(LandloomError, match="does not exist"):
        classify(mapping_stack, forest_model, tmp_path / "map.tif", mask=str(tmp_path / "none.gpkg"))
    (tmp_path / "text.txt").write_text("no raster")
    with pytest.raises(LandloomError, match="neither a raster nor a vector"):
        classify(mapping_stack, forest_model, tmp_path / "map.tif", mask=str(tmp_path / "text.txt"))
    assert {p.name for p in tmp_path.iterdir()} == {"m.gpkg", "text.txt"}


def test_an_extent_outside_is_refused(mapping_stack, forest_model, tmp_path):
    with pytest.raises(LandloomError, match=r"EXTENT .* lies outside the stack"):
        classify(mapping_stack, forest_model, tmp_path / "map.tif", bounds=(0, 0, 100, 100))
    assert not list(tmp_path.iterdir())
    assert tuple(area_of(scene.grid(), (0, 7999995, 500015, 9000000))) == (0, 0, 2, 1)


def copy_of(stack, folder):
    """The stack with files of its own; sizes and times stay."""
    target = folder / "copy"
    shutil.copytree(stack.parent, target, copy_function=shutil.copy2)
    return target / "stack.json"


def test_a_raster_truncated_in_mid_run(mapping_stack, forest_model, tmp_path, monkeypatch):
    stack = copy_of(mapping_stack, tmp_path)
    tiny_blocks(monkeypatch)
    monkeypatch.setattr(StackReader, "expect", lambda *_: None)  # nothing is kept: every block reads the files
    victim = stack.parent / "S2_20210805.tif"
    read_whole, reads = StackReader.read, []

    def read_and_truncate(self, window, halo=0):
        reads.append(window)
        if len(reads) == 6:
            self.close()
            victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 3])
        return read_whole(self, window, halo)

    monkeypatch.setattr(StackReader, "read", read_and_truncate)
    with pytest.raises(LandloomError, match=r"S2_20210805\.tif"):
        classify(stack, forest_model, tmp_path / "map.tif", tmp_path / "confidence.tif")
    assert {p.name for p in tmp_path.iterdir()} <= {"copy", "map.tif.parts"}


def test_a_missing_raster(mapping_stack, forest_model, tmp_path):
    stack = copy_of(mapping_stack, tmp_path)
    (stack.parent / "S1_ASC_20210211.tif").unlink()
    with pytest.raises(LandloomError, match=r"S1_ASC_20210211\.tif"):
        classify(stack, forest_model, tmp_path / "map.tif")
    assert {p.name for p in tmp_path.iterdir()} == {"copy"}


def test_a_damaged_model(mapping_stack, forest_model, tmp_path):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(forest_model.read_bytes()[:-100])
    with pytest.raises(LandloomError, match=r"damaged\.safetensors"):
        classify(mapping_stack, damaged, tmp_path / "map.tif")
    with pytest.raises(LandloomError, match=r"none\.safetensors"):
        classify(mapping_stack, tmp_path / "none.safetensors", tmp_path / "map.tif")
    assert {p.name for p in tmp_path.iterdir()} == {"damaged.safetensors"}


def test_a_model_that_does_not_fit(mapping_stack, forest_model, tmp_path):
    import json

    stack = copy_of(mapping_stack, tmp_path)
    content = json.loads(stack.read_text())
    content["sensors"] = [sensor for sensor in content["sensors"] if sensor["name"] == "S2"]
    stack.write_text(json.dumps(content))
    with pytest.raises(LandloomError, match=r"S1_ASC.*the data have S2"):
        classify(stack, forest_model, tmp_path / "map.tif")
    content["sensors"][0]["name"] = "L8"
    stack.write_text(json.dumps(content))
    with pytest.raises(LandloomError, match=r"trained on S2, S1_ASC.*L8"):
        classify(stack, forest_model, tmp_path / "map.tif")
    assert not (tmp_path / "map.tif").exists()


def test_a_missing_sensor_is_a_warning_for_ltae_and_another_sensor_is_ignored(mapping_stack, ltae_model, tmp_path):
    import json

    stack = copy_of(mapping_stack, tmp_path)
    content = json.loads(stack.read_text())
    content["sensors"][1]["name"] = "PLANET"
    stack.write_text(json.dumps(content))
    progress = Told()
    classify(stack, ltae_model, tmp_path / "map.tif", progress=progress, device="cpu")
    assert any("lack the sensor S1_ASC" in line for line in progress.warnings)
    assert any("PLANET" in line for line in progress.infos)


def test_values_outside_the_training_range_are_told_by_sensor(mapping_stack, forest_model, tmp_path):
    import json

    stack = copy_of(mapping_stack, tmp_path)
    fine = Told()
    done = classify(stack, forest_model, tmp_path / "a.tif", progress=fine)
    assert fine.warnings == [] and set(done.outside) == {"S2", "S1_ASC"} and done.outside["S2"] < 0.01
    content = json.loads(stack.read_text())
    content["sensors"][0]["scale"] = 0.001
    stack.write_text(json.dumps(content))
    told = Told()
    done = classify(stack, forest_model, tmp_path / "b.tif", progress=told)
    assert done.outside["S2"] > 0.5 and done.outside["S1_ASC"] < 0.01
    assert len(told.warnings) == 1 and "% of the pixels of S2 lie outside" in told.warnings[0]
    assert any(line.startswith("Estimated time") for line in told.infos)


def test_large_codes_give_uint16(mapping_stack, tmp_path):
    model = scene.make_model(
        mapping_stack,
        "randomforest",
        tmp_path / "m.safetensors",
        nomenclature=scene.nomenclature((1, 255, 256, 40000)),
    )
    classify(mapping_stack, model, tmp_path / "map.tif")
    dataset = gdal.Open(str(tmp_path / "map.tif"))
    band = dataset.GetRasterBand(1)
    assert band.DataType == gdal.GDT_UInt16 and set(np.unique(band.ReadAsArray())) == {0, 1, 255, 256, 40000}
    assert band.GetRasterColorTable().GetColorEntry(40000)[:3] == (42, 111, 187)
    assert band.GetRasterCategoryNames()[256] == "forêt <dense> & claire"


def test_stale_sidecars_of_an_older_map_go(mapping_stack, forest_model, tmp_path):
    (tmp_path / "map.tif").write_bytes(b"old")
    (tmp_path / "map.tif.ovr").write_bytes(b"old overviews")
    classify(mapping_stack, forest_model, tmp_path / "map.tif")
    assert {p.name for p in tmp_path.iterdir()} == {"map.tif", "map.tif.aux.xml", "map.qml"}


def test_no_blocks_are_left_in_the_cache_of_gdal(mapping_stack):
    before = gdal.GetCacheUsed()
    with StackReader(mapping_stack) as reader:
        reader.read(Window(0, 0, 128, 128))
        held = gdal.GetCacheUsed() - before
        reader.let_go()
        assert held > 0
        assert gdal.GetCacheUsed() - before < held / 4


def test_on_a_gpu_chunks_go_together(mapping_stack, ltae_model, tmp_path, monkeypatch):
    """With a processor in the place of the GPU: the map is the same, in fewer steps."""
    sizes = []

    class Gpu(Predictor):
        def __init__(self, model, device, threads):
            super().__init__(model, "cpu", threads)
            self._together, self.block = Together(), 65_536

        def _compute(self, batch, branches=()):
            sizes.append(len(batch["S2"].mask))
            time.sleep(0.05)  # while a GPU computes, others ask
            return super()._compute(batch, branches)

    classify(mapping_stack, ltae_model, tmp_path / "here.tif", tmp_path / "here_confidence.tif", device="cpu")
    monkeypatch.setattr(opening, "_device_kind", lambda model, device, progress: "cuda")
    monkeypatch.setattr(opening, "Predictor", Gpu)
    classify(mapping_stack, ltae_model, tmp_path / "there.tif", tmp_path / "there_confidence.tif")
    here, there = (read(tmp_path / name) for name in ("here.tif", "there.tif"))
    assert (here != there).mean() < 0.001
    difference = np.abs(read(tmp_path / "here_confidence.tif") - read(tmp_path / "there_confidence.tif").astype(int))
    assert difference.max() <= 1
    assert max(sizes) > 1 and len(sizes) < sum(sizes)
