"""Loads the plugin under the name ``landloom`` whatever the clone is called, and gives what many tests share."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import sys
from pathlib import Path
from types import TracebackType

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run; a busy machine is no failure.
settings.register_profile(
    "landloom", deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("landloom")

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["LC_ALL"] = "C.UTF-8"  # tests read English texts, also where the machine speaks another language

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


@pytest.fixture(scope="session", autouse=True)
def no_layer_outlives_qgis(qgis_app):
    """An exception that went through QGIS stays for good, and with it the frames of tests and their layers.

    The interpreter would delete such layers after QGIS has gone, which crashes it.
    """
    yield
    for one in gc.get_objects():
        frame = one.tb_frame if type(one) is TracebackType else None
        while frame is not None:  # that frame and those that called it
            with contextlib.suppress(RuntimeError):  # one that still runs
                frame.clear()
            frame = frame.f_back
    gc.collect()


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


@pytest.fixture(scope="session")
def write_product():
    """Writers of small products as archives name them: ``.theia(folder, date, ...)`` and ``.s1tiling(folder, ...)``."""
    import numpy as np
    from landloom.model.base.raster import spatial_reference, write_raster
    from osgeo import gdal

    ten, twenty = ("B2", "B3", "B4", "B8"), ("B5", "B6", "B7", "B8A", "B11", "B12")

    class Writer:
        epsg = 32738
        corner = (500000.0, 8000000.0)

        def raster(self, path, values, size, epsg=None, corner=None, tags=None):
            x, y = corner or self.corner
            crs = spatial_reference(f"EPSG:{epsg or self.epsg}").ExportToWkt()
            write_raster(path, values, (x, size, 0.0, y, 0.0, -size), crs)
            if tags:
                dataset = gdal.Open(str(path), gdal.GA_Update)
                dataset.SetMetadata(tags)
                dataset.FlushCache()
            return path

        def theia(
            self,
            folder,
            date,
            values=None,
            cloud=None,
            tile="T38KPE",
            version="2-2",
            bands=ten + twenty,
            flat=False,
            **at,
        ):
            """``values`` maps a band to its array; ``cloud`` is the CLM mask at 10 m (R1) or 20 m (R2)."""
            name = f"SENTINEL2A_{date}-071211-123_L2A_{tile}_C_V{version}"
            base = Path(folder) if flat else Path(folder) / name
            for number, band in enumerate(bands):
                size, side = (10, 24) if band in ten else (20, 12)
                array = np.full((side, side), 1000 + 10 * number, np.int16)
                array = (values or {}).get(band, array)
                self.raster(base / f"{name}_FRE_{band}.tif", array, size, **at)
            if cloud is not None:
                size, part = (10, "R1") if cloud.shape[0] == 24 else (20, "R2")
                place = base if flat else base / "MASKS"
                self.raster(place / f"{name}_CLM_{part}.tif", cloud.astype(np.uint8), size, **at)
            return base

        def s1tiling(
            self,
            folder,
            date,
            direction="ASC",
            orbit="044",
            time="025501",
            vv=0.1,
            vh=0.02,
            variant="",
            tag="sigma",
            **at,
        ):
            """One GeoTIFF a polarisation; ``vv`` and ``vh`` are numbers or arrays [24, 24], None for no file."""
            for band, value in (("vv", vv), ("vh", vh)):
                if value is not None:
                    array = np.broadcast_to(np.float32(value), (24, 24)).astype(np.float32)
                    name = f"s1a_38KPE_{band}_{direction}_{orbit}_{date}t{time}{variant}.tif"
                    self.raster(Path(folder) / name, array, 10, tags={"CALIBRATION": tag}, **at)

    return Writer()


@pytest.fixture(scope="session")
def small_scene(tmp_path_factory):
    """The folder of a small sample scene, 1.2 km wide, in a path with a space and an accent."""
    from landloom.model.base.progress import Progress
    from landloom.model.scene.simulation import simulate

    folder = tmp_path_factory.mktemp("scène d'essai") / "scene"
    simulate(folder, 120, "tropical", 3, Progress())
    return folder


@pytest.fixture(scope="session")
def stac_files(tmp_path_factory):
    """A folder with the cloud-optimised GeoTIFFs of ``stac_service.py``."""
    sys.path.insert(0, str(ROOT / "tests"))
    import stac_service

    folder = tmp_path_factory.mktemp("cogs")
    stac_service.write_files(folder)
    return folder


@pytest.fixture
def stac_api(stac_files, monkeypatch):
    """A STAC API on loopback with these files."""
    import threading

    import stac_service

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    service = stac_service.Service(stac_files)
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield service
    service.shutdown()
    service.server_close()
    thread.join(10)
