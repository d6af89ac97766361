"""The products of ``images.py``: Theia S2 L2A folders whose dates are hard links of one, and JPEG 2000 copies."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

TEN, TWENTY = ("B2", "B3", "B4", "B8"), ("B5", "B6", "B7", "B8A", "B11", "B12")
ORIGIN = (499980.0, 8000020.0)
CREATION = ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512", "COMPRESS=DEFLATE", "PREDICTOR=2", "ZLEVEL=1"]
STRIP = 512


def dates(count: int) -> list[str]:
    """ISO dates, 15 days apart."""
    return [(datetime.date(2021, 1, 3) + datetime.timedelta(days=15 * k)).isoformat() for k in range(count)]


def crs_wkt() -> str:
    """UTM zone 38 south."""
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32738)
    return reference.ExportToWkt()


def make_products(folder: Path, size: int, count: int) -> Path:
    """Write ``count`` products of ``size`` x ``size`` pixels of 10 m; what is there is kept.

    The files of the first date are written, those of the others are hard links to them. Values: fields of 20 x 20
    pixels and noise, so that they compress to about 60 % as real reflectance does; 12 % are clouds in squares.
    """
    target = folder / f"products_{size}_{count}"
    if target.exists():
        return target
    partial = folder / f"products_{size}_{count}.partial"
    rng = np.random.default_rng(0)
    first = ""
    for date in dates(count):
        name = f"SENTINEL2A_{date.replace('-', '')}-071211-123_L2A_T38KPE_C_V2-2"
        base = partial / name
        (base / "MASKS").mkdir(parents=True, exist_ok=True)
        files = {f"_FRE_{band}.tif": (1 if band in TEN else 2) for band in TEN + TWENTY}
        files |= {f"_{mask}_R{ratio}.tif": ratio for mask in ("CLM", "SAT", "EDG") for ratio in (1, 2)}
        for suffix, ratio in files.items():
            place = base / ("MASKS" if "_R" in suffix else "") / f"{name}{suffix}"
            if first:
                os.link(partial / first / place.parent.relative_to(base) / f"{first}{suffix}", place)
            elif "_R" in suffix:
                write(place, size, ratio, "uint8", rng, 0.12 if "CLM" in suffix else 0.0)
            else:
                write(place, size, ratio, "int16", rng)
        first = first or name
    partial.rename(target)
    return target


def write(path: Path, size: int, ratio: int, dtype: str, rng: np.random.Generator, clouds: float = 0.0) -> None:
    """One band of ``size // ratio`` pixels, or a mask."""
    side = size // ratio
    kind = gdal.GDT_Byte if dtype == "uint8" else gdal.GDT_Int16
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), side, side, 1, kind, CREATION)
    dataset.SetGeoTransform((ORIGIN[0], 10.0 * ratio, 0, ORIGIN[1], 0, -10.0 * ratio))
    dataset.SetProjection(crs_wkt())
    columns = np.arange(side)
    for top in range(0, side, STRIP):
        height = min(STRIP, side - top)
        if dtype == "uint8":
            squares = rng.random((height // 100 + 1, side // 100 + 1)) < clouds
            values = squares[np.arange(height) // 100][:, columns // 100].astype(np.uint8)
        else:
            fields = rng.integers(300, 4000, (height // 20 + 1, side // 20 + 1), dtype=np.int16)
            values = fields[np.arange(height) // 20][:, columns // 20]
            values = values + rng.integers(-40, 40, values.shape, dtype=np.int16)
        dataset.WriteArray(values, 0, top)
    dataset.FlushCache()


def make_tiffs(folder: Path, size: int, count: int, driver: str = "GTiff") -> list[str]:
    """``count`` images of 10 bands at 10 m on one grid, hard links of one; as GeoTIFF or JPEG 2000."""
    suffix = "tif" if driver == "GTiff" else "jp2"
    paths = [folder / f"S2_{size}_{date.replace('-', '')}.{suffix}" for date in dates(count)]
    rng = np.random.default_rng(1)
    if not paths[0].exists():
        memory = gdal.GetDriverByName("MEM").Create("", size, size, 10, gdal.GDT_Int16)
        memory.SetGeoTransform((ORIGIN[0], 10.0, 0, ORIGIN[1], 0, -10.0))
        memory.SetProjection(crs_wkt())
        for band in range(1, 11):
            fields = rng.integers(300, 4000, (size // 20 + 1, size // 20 + 1), dtype=np.int16)
            values = np.kron(fields, np.ones((20, 20), np.int16))[:size, :size]
            values = values + rng.integers(-40, 40, values.shape, dtype=np.int16)
            memory.GetRasterBand(band).WriteArray(values)
        options = [*CREATION, "INTERLEAVE=BAND"] if driver == "GTiff" else ["QUALITY=100", "REVERSIBLE=YES"]
        gdal.GetDriverByName(driver).CreateCopy(str(paths[0]), memory, options=options)
    for path in paths[1:]:
        if not path.exists():
            os.link(paths[0], path)
    return [str(path) for path in paths]
