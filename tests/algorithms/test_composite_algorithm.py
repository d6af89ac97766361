"""composite through Processing, and what QGIS makes of its rasters."""

from __future__ import annotations

import numpy as np
import pytest
from qgis.core import QgsProcessingException, QgsRasterLayer

DATES = ["2021-01-03", "2021-01-13", "2021-02-02"]


@pytest.fixture
def stack(tmp_path, make_stack):
    values = np.random.default_rng(0).integers(100, 4000, (3, 4, 20, 30)).astype(np.int16)
    sensors = {"S2": dict(values=values, dates=DATES, bands=["B2", "B3", "B4", "B8"], nodata=-10000, scale=1e-4)}
    return make_stack(tmp_path / "données", sensors)


def test_the_temporal_controller_finds_the_period(landloom_provider, tmp_path, stack):
    import processing

    output = tmp_path / "été"
    results = processing.run(
        "landloom:composite", {"STACK": str(stack), "INDICES": "NDVI", "OUTPUT": str(output), "SENSOR": "s2"}
    )
    assert results["RASTERS"] == 4 and len(list(output.glob("*.tif"))) == len(list(output.glob("*.qml"))) == 4
    for name, renderer in (("S2_median", "multibandcolor"), ("S2_NDVI_median", "singlebandpseudocolor")):
        layer = QgsRasterLayer(str(output / f"{name}_2021-01-01_2021-01-31.tif"))
        assert layer.isValid() and layer.renderer().type() == renderer
        layer.loadDefaultStyle()  # QGIS does so when a layer is added to a project
        temporal = layer.temporalProperties()
        assert temporal.isActive()
        span = temporal.fixedTemporalRange()
        assert span.begin().date().toString("yyyy-MM-dd") == "2021-01-01"
        assert span.end().date().toString("yyyy-MM-dd") == "2021-01-31"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (dict(SENSOR="S1"), "no sensor S1"),
        (dict(SENSOR=" "), "SENSOR"),
        (dict(INDICES="exp(B4)"), "exp"),
        (dict(STATISTIC="mode"), None),
        (dict(EXTENT="0,1,0,1 [EPSG:32738]"), "EXTENT"),
        (dict(STACK="none.json"), None),
    ],
)
def test_bad_parameters(landloom_provider, tmp_path, stack, parameters, message):
    import processing

    given = {"STACK": str(stack), "OUTPUT": str(tmp_path / "out"), **parameters}
    with pytest.raises(QgsProcessingException, match=message):
        processing.run("landloom:composite", given)
    assert not (tmp_path / "out").exists()
