"""Writes images as their archives do: Theia L2A product folders and S1Tiling files."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
from osgeo import gdal, osr

from ..base.raster import gdal_cannot_write
from .constants import Climate
from .noise import stream
from .optical import NO_DATA, Image

VERSION = "2-2"


def date_of(climate: Climate, day: int) -> datetime.date:
    """The calendar date of a day of the scene."""
    return datetime.date.fromisoformat(climate.first_day) + datetime.timedelta(days=int(day))


def geotransform(climate: Climate, resolution: float) -> tuple[float, ...]:
    """Of the scene, at a resolution in metres."""
    return (climate.origin[0], resolution, 0.0, climate.origin[1], 0.0, -resolution)


def crs_wkt(climate: Climate) -> str:
    """The UTM zone of the scene's tile."""
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(climate.epsg)
    return reference.ExportToWkt()


def write_geotiff(
    path: Path, values: np.ndarray, climate: Climate, resolution: float, nodata: float | None = None,
    tags: dict[str, str] | None = None, predictor: int = 2,
) -> None:  # fmt: skip
    """Write one band ``[H, W]``; int16, uint8, uint16 or float32.

    Raises:
        LandloomError: if GDAL cannot write it (the disk is full, no permission).
    """
    codes = {"int16": gdal.GDT_Int16, "uint8": gdal.GDT_Byte, "uint16": gdal.GDT_UInt16, "float32": gdal.GDT_Float32}
    options = ["TILED=YES", "BLOCKXSIZE=256", "BLOCKYSIZE=256", "COMPRESS=DEFLATE", "ZLEVEL=1"]
    if values.dtype != np.uint8:
        options.append(f"PREDICTOR={predictor}")
    failed = gdal_cannot_write(path, [])
    try:
        dataset = gdal.GetDriverByName("GTiff").Create(
            str(path), values.shape[1], values.shape[0], 1, codes[values.dtype.name], options
        )
        if dataset is None:
            raise failed
        dataset.SetGeoTransform(geotransform(climate, resolution))
        dataset.SetProjection(crs_wkt(climate))
        if tags:
            dataset.SetMetadata(tags)
        band = dataset.GetRasterBand(1)
        if nodata is not None:
            band.SetNoDataValue(nodata)
        errors = band.WriteArray(values)
        del band
        dataset.FlushCache()
        del dataset
    except RuntimeError as error:  # where someone switched GDAL's exceptions on
        raise gdal_cannot_write(path, [str(error)]) from error
    if errors:
        raise failed


def write_theia(folder: Path, climate: Climate, seed: int, day: int, image: Image, satellite: str,
                sun: tuple[float, float]) -> Path:  # fmt: skip
    """Write one Theia (MUSCATE) Sentinel-2 L2A product folder and return it.

    Only flat reflectances (FRE) are written, no SRE. -10000 is not declared as no data, as in the real files.
    """
    date = date_of(climate, day)
    thousandth = int(stream(seed, "milliseconds", day).integers(0, 1000))
    name = f"SENTINEL2{satellite}_{date:%Y%m%d}-{climate.s2_time}-{thousandth:03d}_L2A_T{climate.tile}_C_V{VERSION}"
    product = folder / f"T{climate.tile}" / name
    (product / "MASKS").mkdir(parents=True)
    for band, values in image.bands.items():
        resolution = 10.0 if values.shape == image.bands["B2"].shape else 20.0
        write_geotiff(product / f"{name}_FRE_{band}.tif", values, climate, resolution)
    for mask, values in image.masks.items():
        write_geotiff(product / "MASKS" / f"{name}_{mask}.tif", values, climate, 10.0 if mask.endswith("R1") else 20.0)
    (product / f"{name}_MTD_ALL.xml").write_text(_metadata(name, date, climate, image, sun), encoding="utf-8")
    return product


def _metadata(name: str, date: datetime.date, climate: Climate, image: Image, sun: tuple[float, float]) -> str:
    inside = image.masks["EDG_R2"] == 0
    cloud = 100.0 * float((image.masks["CLM_R2"][inside] & 2 > 0).mean()) if inside.any() else 0.0
    time = climate.s2_time
    rows = image.bands["B2"].shape[0]
    bands = "".join(f"<Band_Global_List><BAND_ID>{b}</BAND_ID></Band_Global_List>" for b in image.bands)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Muscate_Metadata_Document>
  <Metadata_Identification>
    <METADATA_FORMAT version="1.20">METADATA_MUSCATE</METADATA_FORMAT>
    <METADATA_PROFILE>DISTRIBUTED</METADATA_PROFILE>
  </Metadata_Identification>
  <Dataset_Identification>
    <IDENTIFIER>{name}</IDENTIFIER>
    <TITLE>SIMULATED by Landloom samplescene: not a real image</TITLE>
    <GEOGRAPHICAL_ZONE type="Tile">T{climate.tile}</GEOGRAPHICAL_ZONE>
  </Dataset_Identification>
  <Product_Characteristics>
    <PRODUCT_ID>{name}</PRODUCT_ID>
    <ACQUISITION_DATE>{date:%Y-%m-%d}T{time[:2]}:{time[2:4]}:{time[4:]}.000Z</ACQUISITION_DATE>
    <PRODUCT_VERSION>{VERSION.replace("-", ".")}</PRODUCT_VERSION>
    <PLATFORM>{name.partition("_")[0].replace("SENTINEL2", "SENTINEL-2")}</PLATFORM>
    <PRODUCT_LEVEL>L2A</PRODUCT_LEVEL>
  </Product_Characteristics>
  <Geoposition_Informations>
    <Coordinate_Reference_System><Horizontal_Coordinate_System>
      <HORIZONTAL_CS_TYPE>PROJECTED</HORIZONTAL_CS_TYPE>
      <HORIZONTAL_CS_CODE>{climate.epsg}</HORIZONTAL_CS_CODE>
    </Horizontal_Coordinate_System></Coordinate_Reference_System>
    <Raster_Geoposition><ULX>{climate.origin[0]:.0f}</ULX><ULY>{climate.origin[1]:.0f}</ULY>
      <NROWS>{rows}</NROWS><NCOLS>{rows}</NCOLS></Raster_Geoposition>
  </Geoposition_Informations>
  <Geometric_Informations>
    <Mean_Value_List><Sun_Angles>
      <ZENITH_ANGLE unit="deg">{sun[0]:.4f}</ZENITH_ANGLE><AZIMUTH_ANGLE unit="deg">{sun[1]:.4f}</AZIMUTH_ANGLE>
    </Sun_Angles></Mean_Value_List>
  </Geometric_Informations>
  <Radiometric_Informations>
    <REFLECTANCE_QUANTIFICATION_VALUE>10000</REFLECTANCE_QUANTIFICATION_VALUE>
    <SPECIAL_VALUE name="nodata">{NO_DATA}</SPECIAL_VALUE>
    {bands}
  </Radiometric_Informations>
  <Quality_Informations>
    <Global_Index_List><QUALITY_INDEX name="CloudPercent">{cloud:.0f}</QUALITY_INDEX></Global_Index_List>
  </Quality_Informations>
</Muscate_Metadata_Document>
"""


def write_s1tiling(folder: Path, climate: Climate, orbit: int, day: int, values: np.ndarray) -> None:
    """Write VV and VH of one date, ``[2, N, N]`` power, named and tagged as S1Tiling does (sigma0; 0 = no data)."""
    direction, number, _, satellite, _ = climate.orbits[orbit]
    date = date_of(climate, day)
    target = folder / climate.tile
    target.mkdir(parents=True, exist_ok=True)
    for polarisation, image in zip(("vv", "vh"), values, strict=True):
        tags = {
            "ACQUISITION_DATETIME": f"{date:%Y:%m:%d}",
            "CALIBRATION": "sigma",
            "FLYING_UNIT_CODE": satellite,
            "IMAGE_TYPE": "GRD",
            "ORBIT_DIRECTION": direction,
            "ORTHORECTIFIED": "true",
            "POLARIZATION": polarisation,
            "RELATIVE_ORBIT_NUMBER": f"{number:03d}",
            "S2_TILE_CORRESPONDING_CODE": climate.tile,
            "SPATIAL_RESOLUTION": "10.0",
            "TIFFTAG_IMAGEDESCRIPTION": "SIMULATED by Landloom samplescene: sigma0 on the S2 grid, not a real image",
        }
        name = f"{satellite}_{climate.tile}_{polarisation}_{direction}_{number:03d}_{date:%Y%m%d}txxxxxx.tif"
        write_geotiff(target / name, image, climate, 10.0, nodata=0.0, tags=tags, predictor=3)
