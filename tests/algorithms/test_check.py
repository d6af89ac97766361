"""check: all problems at once, through Processing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from landloom.model.samples.preflight import preflight
from landloom.model.stack.manifest import Stack
from osgeo import ogr, osr
from qgis.core import QgsProcessingException

DATES = ["2021-01-03", "2021-01-18", "2021-02-02", "2021-03-30"]


@pytest.fixture
def stack(tmp_path, make_stack):
    values = np.random.default_rng(0).integers(100, 4000, (4, 2, 80, 80)).astype(np.int16)
    sensors = {"S2": dict(values=values, dates=DATES, bands=["B4", "B8"], nodata=-10000, scale=1e-4)}
    return make_stack(tmp_path / "données", sensors)


def reference(path, classes, epsg=32738, origin=(500000.0, 8000000.0), size=60.0, field="crop"):
    """Squares of 6 x 6 pixels in a row, one for each class value."""
    crs = None
    if epsg:
        crs = osr.SpatialReference()
        crs.ImportFromEPSG(epsg)
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(path))
    layer = source.CreateLayer("fields", crs, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn(field, ogr.OFTString))
    for number, value in enumerate(classes):
        x, y = origin[0] + number % 10 * 80, origin[1] - number // 10 * 80
        corners = ((x, y), (x + size, y), (x + size, y - size), (x, y - size), (x, y))
        text = ", ".join(f"{a} {b}" for a, b in corners)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({text}))"))
        if value is not None:
            feature.SetField(field, value)
        layer.CreateFeature(feature)
    source = None
    return path


def sentences(found):
    return [f"{about}: {sentence}" for about, sentence in found.problems]


def test_everything_at_once(landloom_provider, tmp_path, stack):
    import processing

    fields = reference(tmp_path / "f.gpkg", ["rice"] * 4 + ["maize"] * 2 + ["tea", None, "cotton", "rice"])
    table = tmp_path / "n.csv"
    table.write_text("value,code,name\nrice,1,Rice\nmaize,2,Maize\ntea,3,Tea\n", "utf-8")
    files = sorted((tmp_path / "données" / "rasters").glob("*.tif"))
    files[0].unlink()
    os.utime(files[1], (1, 1))
    results = processing.run(
        "landloom:check",
        {
            "STACK": str(stack),
            "REFERENCE": str(fields),
            "CLASS_FIELD": "crop",
            "NOMENCLATURE": str(table),
            "REPORT": str(tmp_path / "r.html"),
        },
    )
    page = Path(results["REPORT"]).read_text("utf-8")
    expected = [
        f"{files[0].name} is gone",
        f"{files[1].name} has changed",
        "1 features have no value of crop",
        "does not list these values of crop: cotton",
        "Maize has 2 features, so it trains and tests",
        "Tea has 1 feature, so it trains only",
    ]
    assert [text for text in expected if text not in page] == []
    assert results["PROBLEMS"] == len(expected)


def test_a_sound_pair_has_no_problem_but_its_gap(landloom_provider, tmp_path, stack):
    fields = reference(tmp_path / "f.gpkg", ["rice"] * 4 + ["maize"] * 4)
    found = preflight(stack, fields, "crop")
    assert sentences(found) == [
        "S2: 56 days lie without a usable date between 2021-02-02 and 2021-03-30; add dates there, raise MAX_CLOUD or "
        "use a CLOUD_RULE that is less strict."
    ]
    assert found.steps[0].step.startswith("extractsamples") and len(found.steps) == 4
    assert dict(found.facts)["Pixels, at most 200 a feature"] == str(8 * 36)


def test_clouds_over_the_reference_count_not_those_elsewhere(tmp_path, make_stack):
    mask = np.ones((4, 80, 80), bool)
    mask[1:3, :30] = False  # clouds over the fields, which lie in the first rows
    values = np.full((4, 2, 80, 80), 500, np.int16)
    path = make_stack(tmp_path / "s", {"S2": dict(values=values, mask=mask, dates=DATES, bands=["B4", "B8"])})
    fields = reference(tmp_path / "f.gpkg", ["rice"] * 4 + ["maize"] * 4)
    assert "86 days lie without" in sentences(preflight(path, fields, "crop"))[0]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (dict(epsg=None), ["no coordinate reference system"]),
        (dict(origin=(900000.0, 7000000.0)), ["lies on the stack"]),
        (dict(field="other"), ["no such field", None]),
        (dict(field="other", origin=(900000.0, 7000000.0)), ["no such field", "does not overlap"]),
        (dict(classes=[]), ["holds no feature"]),
        (dict(classes=[None] * 3), ["is empty in every feature"]),
        (dict(classes=["rice"] * 4), ["one class only, rice"]),
        (dict(size=20.0), ["maize has 16 pixels", "rice has 16 pixels"]),
    ],
)
def test_reference_data(tmp_path, stack, change, expected):
    given = {"classes": ["rice"] * 4 + ["maize"] * 4, **change}
    fields = reference(tmp_path / "f.gpkg", **given)
    said = [line for line in sentences(preflight(stack, fields, "crop")) if not line.startswith("S2")]
    wanted = [text for text in expected if text]
    assert len(said) == len(wanted) and all(text in line for text, line in zip(wanted, said, strict=True)), said


def test_missing_files_are_problems_too(tmp_path, stack):
    said = sentences(preflight(tmp_path / "no.json", tmp_path / "no.gpkg", "crop", str(tmp_path / "no.csv")))
    assert [line.split(":")[0] for line in said] == ["Stack", "Reference", "Nomenclature"]
    for path in Path(Stack.read(stack).sensors["S2"].acquisitions[0].parts[0].data).parent.glob("*.vrt"):
        path.unlink()
    said = sentences(preflight(stack, reference(tmp_path / "f.gpkg", ["a"] * 3 + ["b"] * 3), "crop"))
    assert len(said) == 4 and all("virtual raster" in line for line in said)


def test_a_layer_that_is_none_is_refused(landloom_provider, tmp_path, stack):
    import processing

    with pytest.raises(QgsProcessingException):
        processing.run("landloom:check", {"STACK": str(stack), "REFERENCE": "no.gpkg", "CLASS_FIELD": "crop"})
