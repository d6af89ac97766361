"""coregister through Processing: from products with known shifts to a stack that a map is made of."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from landloom.model.base.raster import open_raster, spatial_reference, write_raster
from landloom.model.stack.manifest import Stack
from landloom.model.stack.prepare import PrepareSettings, prepare_stack
from qgis.core import QgsProcessingException, QgsRasterLayer
from scipy import ndimage


@pytest.fixture(scope="module")
def stack(small_scene, tmp_path_factory):
    """The sample scene's stack: Theia's bands of 10 and 20 m, masks, radar."""
    path = tmp_path_factory.mktemp("série décalée") / "stack.json"
    prepare_stack(small_scene, path, PrepareSettings(sensors=("S2",)), None, None, lambda prepared: None)
    return path


def test_the_sample_scene_from_end_to_end(landloom_provider, stack, tmp_path):
    """The scene's dates are shifted by 0.15 pixels (standard deviation): nothing is ever found above half a pixel."""
    import processing

    given = {"STACK": str(stack), "SENSOR": "S2", "MIN_SHIFT": 0.15, "WINDOWS": 9}
    outputs = {name: str(tmp_path / file) for name, file in (("TABLE", "t.csv"), ("REPORT", "r.html"))}
    output = tmp_path / "été.json"
    result = processing.run("landloom:coregister", {**given, **outputs, "OUTPUT": str(output)})
    with open(outputs["TABLE"], encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    before, after = Stack.read(stack), Stack.read(output)
    assert [row["date"] for row in rows] == list(before.spec("S2").dates)
    moved = [row for row in rows if row["applied"] == "yes"]
    assert result["APPLIED"] == len(moved) > 0
    assert all(abs(float(row["dx"])) < 0.7 and abs(float(row["dy"])) < 0.7 for row in moved)
    parts = {one.date: one.parts[0] for one in after.sensors["S2"].acquisitions}
    assert {date for date, part in parts.items() if part.shift} == {row["date"] for row in moved}
    assert after.spec("S2").days == before.spec("S2").days
    layer = QgsRasterLayer(parts[moved[0]["date"]].data)
    assert layer.isValid() and layer.bandCount() == len(after.sensors["S2"].bands)
    # and what comes next reads it
    composite = {"STACK": str(output), "SENSOR": "S2", "PERIOD": "all", "OUTPUT": str(tmp_path / "composite")}
    assert processing.run("landloom:composite", composite)["RASTERS"] == 1


def test_an_image_and_a_reference(landloom_provider, tmp_path):
    import processing

    rng = np.random.default_rng(0)
    picture = ndimage.gaussian_filter(rng.standard_normal((200, 200)), 2) * 1000 + 500
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    write_raster(tmp_path / "right.tif", picture.astype(np.int16), (5e5, 10, 0, 8e6, 0, -10), crs)
    write_raster(tmp_path / "beside.tif", picture.astype(np.int16), (5e5 + 13, 10, 0, 8e6, 0, -10), crs)
    given = {"INPUT": str(tmp_path / "beside.tif"), "REFERENCE": str(tmp_path / "right.tif")}
    result = processing.run("landloom:coregister", {**given, "OUTPUT": str(tmp_path / "moved.vrt")})
    assert result["APPLIED"] == 1
    assert open_raster(tmp_path / "moved.vrt").GetGeoTransform()[0] == pytest.approx(5e5, abs=0.5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(STACK=None), "STACK is missing"),
        (dict(OUTPUT="out.vrt"), r"must end in \.json"),
        (dict(SENSOR="L8"), "no sensor L8"),
        (dict(TABLE="shifts.doc"), "TABLE"),
        (dict(MIN_SHIFT=5), "MIN_SHIFT"),
        (dict(REFERENCE="nowhere.tif"), "REFERENCE|nowhere"),
    ],
)
def test_bad_parameters(landloom_provider, stack, tmp_path, parameters, message):
    import processing

    given = {"STACK": str(stack), "SENSOR": "S2", "OUTPUT": "out.json", **parameters}
    for name in ("OUTPUT", "TABLE"):
        if given.get(name):
            given[name] = str(tmp_path / given[name])
    with pytest.raises(QgsProcessingException, match=message):
        processing.run("landloom:coregister", given)
    assert not list(tmp_path.glob("out*"))
