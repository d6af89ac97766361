"""Loads the plugin under the name ``landloom`` whatever the clone is called, and gives what many tests share."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run; a busy machine is no failure.
settings.register_profile(
    "landloom", deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("landloom")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


def _load_package() -> None:
    if "landloom" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "landloom", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["landloom"] = package
    spec.loader.exec_module(package)


_load_package()


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data, or a skip with the reason."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not present: {SHARED_DATA.name} is not beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def landloom_provider(qgis_processing):
    """The plugin as qgis_process loads it."""
    from landloom import classFactory

    plugin = classFactory(None)
    plugin.initProcessing()
    yield plugin.provider
    plugin.unload()


@pytest.fixture(scope="session")
def make_stack():
    """A factory of small synthetic stacks: ``make_stack(tmp_path, sensors={...}) -> path of stack.json``.

    ``sensors`` maps a name to a dict with ``values`` [T, C, H, W], ``bands``, ``dates`` (ISO; one empty text for a
    static layer) and, optionally, ``kind`` (optical), ``mask`` [T, H, W] True = valid, ``scale``, ``offset``,
    ``nodata``, ``unit``, ``calibration``, ``creation`` (GeoTIFF options) and ``factor`` (larger pixels).
    """
    from dataclasses import replace

    import numpy as np
    from landloom.model.base.raster import spatial_reference, write_raster
    from landloom.model.stack.build import source_of, write_stack
    from landloom.model.stack.calendar import day_of, default_campaign_year
    from landloom.model.stack.grid import Grid
    from landloom.model.stack.manifest import Acquisition, MaskRule, Part, Sensor, Stack
    from landloom.model.stack.rasterinfo import inspect

    units = {"optical": "reflectance", "radar": "power", "static": ""}

    def make(
        folder,
        sensors,
        geotransform=(500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0),
        epsg=32738,
        season_start="01-01",
        campaign_year=None,
        name="stack.json",
    ):
        folder = Path(folder)
        crs = spatial_reference(f"EPSG:{epsg}").ExportToWkt()
        all_dates = [date for one in sensors.values() for date in one["dates"]]
        year = campaign_year or (default_campaign_year(all_dates) if any(all_dates) else 2021)
        grid, made = None, {}
        for key, one in sensors.items():
            values, kind, nodata = np.asarray(one["values"]), one.get("kind", "optical"), one.get("nodata")
            factor = one.get("factor", 1)
            transform = [step * (factor if index in (1, 5) else 1) for index, step in enumerate(geotransform)]
            own = Grid(crs, tuple(geotransform), values.shape[3] * factor, values.shape[2] * factor)
            grid = grid or own
            acquisitions = []
            for index, date in enumerate(one["dates"]):
                stem = folder / "rasters" / f"{key}_{date or 'static'}"
                options = one.get("creation", ("TILED=YES",))
                write_raster(f"{stem}.tif", values[index], transform, crs, nodata, one["bands"], options)
                masks = ()
                if one.get("mask") is not None:
                    invalid = (~np.asarray(one["mask"][index], bool)).astype(np.uint8)
                    write_raster(f"{stem}_mask.tif", invalid, transform, crs)
                    masks = (MaskRule(source_of(inspect(f"{stem}_mask.tif")), invalid_values=(1.0,)),)
                places = {band: (0, number) for number, band in enumerate(one["bands"], start=1)}
                part = Part(stem.name, places, (source_of(inspect(f"{stem}.tif"), nodata),), masks)
                day = day_of(date, season_start, year) if date else 0
                acquisitions.append(Acquisition(date, day, (part,)))
            made[key] = Sensor(
                key,
                kind,
                tuple(one["bands"]),
                values.dtype.name,
                one.get("scale", 1.0),
                one.get("offset", 0.0),
                nodata,
                one.get("unit", units[kind]),
                one.get("calibration", "sigma0" if kind == "radar" else ""),
                acquisitions=tuple(sorted(acquisitions, key=lambda acquisition: acquisition.date)),
            )
        stack = Stack(folder / name, grid, season_start, year, made)
        return write_stack(replace(stack, sensors=made)).path

    return make
