"""addrasters through Processing."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
)


@pytest.fixture
def rasters(tmp_path, write_product):
    folder = tmp_path / "mes images"
    rng = np.random.default_rng(0)
    for date in ("20210103", "20210113"):
        write_product.raster(folder / f"ten_{date}.tif", rng.integers(1, 4000, (2, 24, 24)).astype(np.int16), 10)
        write_product.raster(folder / f"twenty_{date}.tif", rng.integers(1, 4000, (2, 12, 12)).astype(np.int16), 20)
        write_product.raster(folder / f"scl_{date}.tif", rng.integers(0, 11, (12, 12)).astype(np.uint8), 20)
    return folder


def paths(folder, pattern):
    return [str(path) for path in sorted(folder.glob(pattern))]


def run(tmp_path, feedback=None, **parameters):
    import processing

    given = {"SENSOR": "S2", "KIND": "optical", "OUTPUT": str(tmp_path / "out" / "stack.json"), **parameters}
    return processing.run("landloom:addrasters", given, feedback=feedback)["OUTPUT"]


def test_two_resolutions_one_after_the_other(landloom_provider, tmp_path, rasters):
    masks = dict(MASKS=paths(rasters, "scl*"), INVALID_VALUES="0,1,3,8,9,10")
    stack = run(tmp_path, RASTERS=paths(rasters, "ten*"), BANDS="B4,B8", SCALE=0.0001, SEASON_START="10-01", **masks)
    again = run(tmp_path, STACK=stack, OUTPUT=stack, RASTERS=paths(rasters, "twenty*"), BANDS="B5,B11", **masks)
    assert again == stack
    content = json.loads((tmp_path / "out" / "stack.json").read_text("utf-8"))
    (sensor,) = content["sensors"]
    assert sensor["bands"] == ["B4", "B5", "B8", "B11"] and len(sensor["acquisitions"]) == 2
    assert content["season"] == {"start": "10-01", "year": 2020}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["stack.json", "stack_vrt"]
    assert QgsRasterLayer(str(tmp_path / "out" / sensor["acquisitions"][0]["parts"][0]["data"])).bandCount() == 4


def test_a_folder_stands_for_the_rasters_in_it(landloom_provider, tmp_path, rasters, write_product, capfd):
    """And QGIS is not asked to open it as a layer of any kind, of which it would tell in many lines."""
    for kind in ("ten", "scl"):
        (rasters / kind).mkdir()
        for path in rasters.glob(f"{kind}*.tif"):
            path.rename(rasters / kind / path.name)
    (rasters / "ten" / "readme.txt").write_text("dates: see names")
    write_product.raster(rasters / "ten" / "older" / "ten_20200103.tif", np.ones((2, 24, 24), np.int16), 10)
    given = dict(RASTERS=str(rasters / "ten"), MASKS=[str(rasters / "scl")], INVALID_VALUES="0,1,3", BANDS="B4,B8")
    run(tmp_path, **given)
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:addrasters")
    line, good = algorithm.asQgisProcessCommand({"SENSOR": "S2", **given}, QgsProcessingContext())
    assert good and f"--MASKS={rasters / 'scl'}" in shlex.split(line)
    content = json.loads((tmp_path / "out" / "stack.json").read_text("utf-8"))
    dates = [one["date"] for one in content["sensors"][0]["acquisitions"]]
    assert dates == ["2021-01-03", "2021-01-13"]  # without the folder within
    told = "".join(capfd.readouterr())
    assert "mesh" not in told and "HDF5" not in told
    (rasters / "empty").mkdir()
    with pytest.raises(QgsProcessingException, match=r"RASTERS names the folder .*empty, which holds no raster"):
        run(tmp_path, RASTERS=str(rasters / "empty"))


def test_layers_of_the_project_and_given_dates(landloom_provider, tmp_path, rasters):
    layers = [QgsRasterLayer(path, "x") for path in paths(rasters, "ten*")]
    QgsProject.instance().addMapLayers(layers)
    stack = run(tmp_path, RASTERS=[layers[0].id(), layers[1]], DATES="2022-01-03,2022-01-13", NODATA=0)
    content = json.loads((tmp_path / "out" / "stack.json").read_text("utf-8"))
    QgsProject.instance().clear()
    assert stack and [one["date"] for one in content["sensors"][0]["acquisitions"]] == ["2022-01-03", "2022-01-13"]
    assert content["sensors"][0]["nodata"] == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(DATES="2021-01-03"), "DATES lists 1 dates for 2 rasters"),
        (dict(BANDS="B4"), "BANDS lists 1 names"),
        (dict(SENSOR="s 2"), "SENSOR"),
        (dict(INVALID_VALUES="1"), "MASKS is empty"),
        (dict(SCALE=0), "SCALE is 0"),
        (dict(KIND="lidar"), None),
        (dict(KIND="radar", RADAR_UNIT="volt"), None),
        (dict(RASTERS=["missing_20210103.tif"]), None),
        (dict(OUTPUT="/proc/stack.json"), "Cannot write"),
    ],
)
def test_bad_parameters_leave_nothing(landloom_provider, tmp_path, rasters, parameters, message):
    with pytest.raises(QgsProcessingException, match=message):
        run(tmp_path, **{"RASTERS": paths(rasters, "ten*"), **parameters})
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_cancel_leaves_nothing(landloom_provider, tmp_path, rasters):
    class Cancelled(QgsProcessingFeedback):
        def isCanceled(self):  # noqa: N802
            return True

    with pytest.raises(QgsProcessingException, match="Cancelled"):
        run(tmp_path, Cancelled(), RASTERS=paths(rasters, "ten*"))
    assert not list((tmp_path / "out").iterdir()) if (tmp_path / "out").exists() else True
