"""Protects the days: one date has one day whatever the first image, so that neighbouring tiles get the same map."""

from __future__ import annotations

import mapping_scene as scene
import numpy as np
import pytest
from landloom.model.base.raster import write_raster
from landloom.model.mapping.classify import classify
from landloom.model.stack.addrasters import RasterSeries, add_rasters
from landloom.model.stack.manifest import Stack
from osgeo import gdal


def stack_that_starts(date: str, rasters: list[str], mapping_stack, folder) -> Stack:
    """The images of the scene, and before them one without any valid pixel on that date."""
    shape = (len(scene.S2_BANDS), scene.HEIGHT, scene.WIDTH)
    place = scene.grid()
    first = write_raster(
        folder / f"S2_{date.replace('-', '')}.tif",
        np.full(shape, scene.NODATA, np.int16),
        place.transform,
        place.crs_wkt,
        scene.NODATA,
        scene.S2_BANDS,
    )
    radar = sorted(str(path) for path in (mapping_stack.parent).glob("S1_ASC_*.tif"))
    optical = RasterSeries("S2", "optical", [str(first), *rasters], scale=0.0001, nodata=scene.NODATA)
    made = add_rasters(optical, folder / f"{date}.json")
    series = RasterSeries("S1_ASC", "radar", radar, scale=0.01, nodata=scene.NODATA, radar_unit="db")
    return add_rasters(series, folder / f"{date}.json", made.path)


@pytest.mark.parametrize("network", ["randomforest", "ltae", "tempcnn"])
def test_series_that_start_28_december_and_3_january_give_the_same_map(network, mapping_stack, tmp_path):
    if network != "randomforest":
        pytest.importorskip("torch")
    rasters = sorted(str(path) for path in mapping_stack.parent.glob("S2_*.tif"))
    stacks = [stack_that_starts(date, rasters, mapping_stack, tmp_path) for date in ("2020-12-28", "2021-01-03")]
    assert [stack.spec("S2").days[0] for stack in stacks] == [-4, 2]
    assert stacks[0].spec("S2").days[1:] == stacks[1].spec("S2").days[1:]
    model = scene.make_model(stacks[1].path, network, tmp_path / "m.safetensors")
    maps, sure = [], []
    for number, stack in enumerate(stacks):
        names = [tmp_path / f"{kind}{number}.tif" for kind in ("map", "confidence", "probabilities")]
        classify(stack.path, model, *names)
        maps.append(gdal.Open(str(names[0])).ReadAsArray())
        sure.append(gdal.Open(str(names[2])).ReadAsArray().astype(int))
    assert np.array_equal(*maps)
    assert np.abs(sure[0] - sure[1]).max() <= 1
