"""preparestack through Processing."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qgis.core import QgsProcessingException, QgsProcessingFeedback, QgsRasterLayer


@pytest.fixture
def products(tmp_path, write_product):
    folder = tmp_path / "données brutes"
    cloud = np.zeros((24, 24))
    cloud[:6] = 1
    write_product.theia(folder, "20210105", cloud=cloud)
    write_product.theia(folder, "20210115")
    write_product.s1tiling(folder, "20210109")
    return folder


def run(tmp_path, feedback=None, **parameters):
    import processing

    outputs = {"OUTPUT": str(tmp_path / "été" / "stack.json")}
    return processing.run("landloom:preparestack", {**outputs, **parameters}, feedback=feedback)


def test_all_outputs(landloom_provider, tmp_path, products):
    results = run(
        tmp_path,
        INPUT=str(products),
        REPORT=str(tmp_path / "r.html"),
        VALID_COUNT=str(tmp_path / "count.tif"),
        LONGEST_GAP=str(tmp_path / "gap.tif"),
        MASK_BUFFER=20,
        START="2021-01-01",
        SENSORS="S2,S1",
        EXTENT="500000,500200,7999800,8000000 [EPSG:32738]",
    )
    content = json.loads((tmp_path / "été" / "stack.json").read_text("utf-8"))
    assert results["OUTPUT"] == str(tmp_path / "été" / "stack.json")
    assert (content["grid"]["width"], content["grid"]["height"]) == (20, 20)
    assert [sensor["name"] for sensor in content["sensors"]] == ["S1_ASC", "S2"]
    part = content["sensors"][1]["acquisitions"][0]["parts"][0]
    assert part["data"] == "stack_vrt/S2_20210105.vrt" and part["sources"][0]["path"].startswith("../données brutes/")
    assert QgsRasterLayer(str(tmp_path / "été" / part["data"])).isValid()
    assert "Skipped" in (tmp_path / "r.html").read_text("utf-8")
    assert QgsRasterLayer(results["VALID_COUNT"]).bandCount() == 2 and QgsRasterLayer(results["LONGEST_GAP"]).isValid()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(START="last year"), "not a date"),
        (dict(SENSORS="L8"), "not among SENSORS"),
        (dict(END="2020-01-01"), "after END"),
        (dict(EXTENT="0,10,0,10 [EPSG:32738]"), "EXTENT"),
        (dict(SEASON_START="14-01"), "SEASON_START"),
        (dict(STACK="none.json"), None),
        (dict(REFLECTANCE="TOA"), None),
        (dict(ORBITS="all"), None),
        (dict(MAX_CLOUD=150), None),
    ],
)
def test_bad_parameters_leave_nothing(landloom_provider, tmp_path, products, parameters, message):
    with pytest.raises(QgsProcessingException, match=message):
        run(tmp_path, INPUT=str(products), REPORT=str(tmp_path / "r.html"), **parameters)
    folder = tmp_path / "été"
    assert not (tmp_path / "r.html").exists() and (not folder.exists() or not list(folder.iterdir()))


def test_bad_folders(landloom_provider, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(QgsProcessingException, match="No product"):
        run(tmp_path, INPUT=str(tmp_path / "empty"))


def test_enums_are_checked_where_processing_does_not(landloom_provider, tmp_path, products):
    from qgis.core import QgsApplication, QgsProcessingContext

    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:preparestack")
    parameters = {"INPUT": str(products), "OUTPUT": str(tmp_path / "s.json"), "ORBITS": "all"}
    _, ok = algorithm.run(parameters, QgsProcessingContext(), QgsProcessingFeedback())
    assert not ok and not (tmp_path / "s.json").exists()


def test_cancel_leaves_nothing(landloom_provider, tmp_path, products):
    class Cancelled(QgsProcessingFeedback):
        def isCanceled(self):  # noqa: N802
            return True

    with pytest.raises(QgsProcessingException, match="Cancelled"):
        run(tmp_path, Cancelled(), INPUT=str(products), REPORT=str(tmp_path / "r.html"))
    assert not (tmp_path / "r.html").exists() and not list((tmp_path / "été").iterdir())


def test_every_parameter_has_help(landloom_provider):
    from qgis.core import QgsApplication

    for name in ("preparestack", "addrasters"):
        algorithm = QgsApplication.processingRegistry().createAlgorithmById(f"landloom:{name}")
        assert all(parameter.help() for parameter in algorithm.parameterDefinitions())
        assert algorithm.group() == "1 Images"


def test_radar_choices(landloom_provider, tmp_path, write_product):
    for date, orbit, level in (("20210104", "044", 0.1), ("20210109", "117", 0.2), ("20210116", "044", 0.1)):
        write_product.s1tiling(tmp_path / "in", date, "ASC", orbit, vv=level)
    inputs = {"INPUT": str(tmp_path / "in"), "ORBITS": "centred", "SPECKLE": "quegan", "SPECKLE_WINDOW": 3}
    run(tmp_path, REPORT=str(tmp_path / "r.html"), **inputs)
    (sensor,) = json.loads((tmp_path / "été" / "stack.json").read_text("utf-8"))["sensors"]
    assert (sensor["name"], sensor["speckle"], sensor["orbit"]) == ("S1_ASC", "quegan 3", "ASC 044 117")
    shifts = [one["parts"][0]["shift_db"]["VV"] for one in sensor["acquisitions"]]
    assert shifts == pytest.approx([1.003, -2.007, 1.003], abs=0.002)  # a third and two thirds of 3.01 dB
    assert "orbits are brought to one mean" in (tmp_path / "r.html").read_text("utf-8")
    with pytest.raises(QgsProcessingException, match="SPECKLE_WINDOW is 4"):
        run(tmp_path, **{**inputs, "SPECKLE_WINDOW": 4})
