"""mosaic through Processing: lists keep their order, the CRS is that asked for, bad input is one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.raster import open_raster, spatial_reference, write_raster
from osgeo import osr
from qgis.core import QgsProcessingException


@pytest.fixture
def tiles(tmp_path):
    """Two maps of two zones that overlap, and their confidence."""
    made = []
    change = osr.CoordinateTransformation(spatial_reference("EPSG:32738"), spatial_reference("EPSG:32739"))
    east, north = change.TransformPoint(819300.0, 8e6)[:2]
    for name, code, x, epsg, sure in (("a", 1, 819000.0, 32738, 40), ("b", 2, east, 32739, 90)):
        crs = spatial_reference(f"EPSG:{epsg}").ExportToWkt()
        place = (x, 10, 0, 8e6 if epsg == 32738 else north, 0, -10)
        values = np.full((60, 60), code, np.uint8)
        made.append(str(write_raster(tmp_path / f"carte {name}.tif", values, place, crs, 0)))
        made.append(str(write_raster(tmp_path / f"sûr {name}.tif", np.full_like(values, sure), place, crs, 255)))
    return made[::2], made[1::2]


def test_tiles_of_two_zones(landloom_provider, tiles, tmp_path):
    import processing

    maps, sure = tiles
    output = tmp_path / "mosaïque.tif"
    given = {"MAPS": maps, "CRS": "EPSG:32738", "OUTPUT": str(output)}
    first = processing.run("landloom:mosaic", given)
    plain = open_raster(output).ReadAsArray()
    trusted = processing.run(
        "landloom:mosaic", {**given, "CONFIDENCES": sure, "CONFIDENCE": str(tmp_path / "sûr.tif"), "RESOLUTION": 10}
    )
    values = open_raster(output).ReadAsArray()
    assert spatial_reference(open_raster(output).GetProjection()).GetAuthorityCode(None) == "32738"
    assert first["PIXELS"] == trusted["PIXELS"] == (values > 0).sum() > 3600
    assert set(np.unique(plain)) == set(np.unique(values)) == {0, 1, 2}
    assert (values == 2).sum() > (plain == 2).sum()  # the more confident tile has the overlap
    assert set(np.unique(open_raster(trusted["CONFIDENCE"]).ReadAsArray())) == {40, 90, 255}


def test_a_virtual_mosaic_alone(landloom_provider, tiles, tmp_path):
    import processing

    maps, _sure = tiles
    given = {"MAPS": maps, "CRS": "EPSG:32738", "RESOLUTION": 10}
    virtual = processing.run("landloom:mosaic", {**given, "VRT": str(tmp_path / "m.vrt")})
    written = processing.run("landloom:mosaic", {**given, "OUTPUT": str(tmp_path / "m.tif")})
    assert virtual == {"VRT": str(tmp_path / "m.vrt")}
    assert np.array_equal(*(open_raster(one).ReadAsArray() for one in (virtual["VRT"], written["OUTPUT"])))
    with pytest.raises(QgsProcessingException, match="OUTPUT, VRT, or both"):
        processing.run("landloom:mosaic", given)


def test_bad_input(landloom_provider, tiles, tmp_path):
    import processing

    maps, sure = tiles
    with pytest.raises(QgsProcessingException, match="one for each"):
        processing.run("landloom:mosaic", {"MAPS": maps, "CONFIDENCES": sure[:1], "OUTPUT": str(tmp_path / "m.tif")})
