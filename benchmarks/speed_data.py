"""The data of ``speed.py``: a stack that anyone can make again, and the same pixels as one image for Orfeo Toolbox."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
from osgeo import gdal, ogr, osr

FIELD = 10  # pixels
CLASSES = 10
OPTICAL_DATES, RADAR_DATES = 24, 30
BANDS = {"S2": ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12"), "S1": ("VV", "VH")}
CREATION = ["TILED=YES", "BIGTIFF=IF_SAFER"]
ORIGIN, PIXEL = (500000.0, 8000000.0), 10.0
STRIP = 256


def dates_of(sensor: str) -> list[str]:
    """ISO dates, evenly over a year."""
    count = OPTICAL_DATES if sensor == "S2" else RADAR_DATES
    first = datetime.date(2021, 1, 3)
    return [(first + datetime.timedelta(days=round(360 * k / count))).isoformat() for k in range(count)]


def crs_wkt() -> str:
    """UTM zone 38 south."""
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32738)
    return reference.ExportToWkt()


def make_data(folder: Path, size: int, samples: int = 20_000, repeat: int = 1, clouds: float = 0.0) -> Path:
    """Write the images, the reference polygons and ``stack.json``; what is there already is kept.

    Square fields of 10 x 10 pixels hold one of 10 classes. A class has a season (two logistics of time, with a start, a
    length and a height) and for each band a level and a gain. A field has a season of its own around that of its class
    (standard deviations of 25 days, 20 days and 0.15) and levels of its own (0.03 reflectance, 1.5 dB); its pixels
    differ by white noise of the same size. So the classes can be learnt but overlap, as in real images: a forest gets
    0.8 to 0.9 of the pixels of other fields right; random labels would make its trees unnaturally deep, and classes
    without overlap unnaturally shallow. S2 is int16 reflectance x 10000, S1 int16 dB x 100.

    Args:
        folder: where to.
        size: rows and columns.
        samples: reference pixels that train; a quarter more is drawn for the test.
        repeat: the stack shows every image that many times in both directions, through VRTs.
        clouds: share of each optical image that is no data (-10000), in squares of 50 pixels.

    Returns:
        the path of ``stack.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    fields = -(-size // FIELD)
    classes = rng.integers(0, CLASSES, (fields, fields))
    season = rng.uniform((90, 60, 0.5), (170, 120, 1.0), (CLASSES, 3))[classes]
    season += rng.normal(0, 1, season.shape) * (25, 20, 0.15)
    start, length, height = season[..., None].transpose(2, 0, 1, 3)
    for sensor, bands in BANDS.items():
        optical = sensor == "S2"
        shape = (CLASSES, len(bands))
        level = rng.uniform(0.08, 0.16, shape) if optical else rng.uniform(-15, -12, shape)
        gain = rng.uniform(0.0, 0.15, shape) if optical else rng.uniform(1, 3, shape)
        noise, scale = (0.03, 10000) if optical else (1.5, 100)
        level = level[classes] + rng.normal(0, noise, (*classes.shape, len(bands)))
        for date in dates_of(sensor):
            path = folder / f"{sensor}_{date.replace('-', '')}.tif"
            day = datetime.date.fromisoformat(date).timetuple().tm_yday
            green = height / (1 + np.exp(-(day - start) / 10)) / (1 + np.exp((day - start - length) / 10))
            if not path.exists():
                _write_image(path, size, bands, level + gain[classes] * green, noise, scale, rng, clouds * optical)
    if not (folder / "reference.shp").exists():
        _write_reference(folder / "reference.shp", classes[: size // FIELD, : size // FIELD], samples, rng)
    return _write_stack(folder, size, repeat)


def _write_image(
    path: Path,
    size: int,
    bands: tuple[str, ...],
    fields: np.ndarray,
    noise: float,
    scale: int,
    rng: np.random.Generator,
    clouds: float,
) -> None:
    dataset = _create(path, size, len(bands))
    for top in range(0, size, STRIP):
        rows = np.arange(top, min(top + STRIP, size))
        values = fields[rows // FIELD][:, np.arange(size) // FIELD]
        values = values + rng.normal(0, noise, values.shape).astype(np.float32)
        raw = np.clip(np.rint(values * scale), -9000, 32000).astype(np.int16)
        if clouds:
            squares = rng.random((-(-STRIP // 50) + 1, size // 50 + 1)) < clouds
            raw[squares[(rows - top) // 50][:, np.arange(size) // 50]] = -10000
        dataset.WriteArray(np.ascontiguousarray(raw.transpose(2, 0, 1)), 0, top)
    for index, band in enumerate(bands, start=1):
        dataset.GetRasterBand(index).SetDescription(band)
    dataset.FlushCache()


def _create(path: Path, size: int, bands: int) -> gdal.Dataset:
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), size, size, bands, gdal.GDT_Int16, CREATION)
    dataset.SetGeoTransform((ORIGIN[0], PIXEL, 0, ORIGIN[1], 0, -PIXEL))
    dataset.SetProjection(crs_wkt())
    return dataset


def _write_reference(path: Path, classes: np.ndarray, samples: int, rng: np.random.Generator) -> None:
    """Whole fields, 100 pixels each, drawn at random."""
    reference = osr.SpatialReference()
    reference.ImportFromWkt(crs_wkt())
    source = ogr.GetDriverByName("ESRI Shapefile").CreateDataSource(str(path))
    layer = source.CreateLayer("reference", reference, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("code", ogr.OFTInteger))
    count = min(classes.size, round(1.25 * samples / FIELD**2))
    side = FIELD * PIXEL
    for number in rng.permutation(classes.size)[:count]:
        row, column = divmod(int(number), classes.shape[1])
        x, y = ORIGIN[0] + column * side, ORIGIN[1] - row * side
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for dx, dy in ((0, 0), (side, 0), (side, -side), (0, -side), (0, 0)):
            ring.AddPoint_2D(x + dx, y + dy)
        polygon = ogr.Geometry(ogr.wkbPolygon)
        polygon.AddGeometry(ring)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("code", int(classes[row, column]) + 1)
        feature.SetGeometry(polygon)
        layer.CreateFeature(feature)


def _write_stack(folder: Path, size: int, repeat: int) -> Path:
    from landloom.model.stack.build import source_of, write_stack
    from landloom.model.stack.calendar import day_of
    from landloom.model.stack.grid import Grid
    from landloom.model.stack.manifest import Acquisition, Part, Sensor, Stack
    from landloom.model.stack.rasterinfo import inspect

    name = "stack" if repeat == 1 else f"stack_x{repeat}"
    grid = Grid(crs_wkt(), (ORIGIN[0], PIXEL, 0.0, ORIGIN[1], 0.0, -PIXEL), size * repeat, size * repeat)
    sensors = {}
    for sensor, bands in BANDS.items():
        optical = sensor == "S2"
        nodata = -10000 if optical else None
        acquisitions = []
        for date in dates_of(sensor):
            path = folder / f"{sensor}_{date.replace('-', '')}.tif"
            if repeat > 1:
                path = _repeated(path, size, len(bands), repeat)
            part = Part(
                path.stem, {band: (0, k + 1) for k, band in enumerate(bands)}, (source_of(inspect(str(path)), nodata),)
            )
            acquisitions.append(Acquisition(date, day_of(date, "01-01", 2021), (part,)))
        sensors[sensor] = Sensor(
            sensor,
            "optical" if optical else "radar",
            bands,
            "int16",
            scale=0.0001 if optical else 0.01,
            nodata=nodata,
            unit="reflectance" if optical else "db",
            calibration="" if optical else "sigma0",
            acquisitions=tuple(acquisitions),
        )
    return write_stack(Stack(folder / f"{name}.json", grid, "01-01", 2021, sensors)).path


def _repeated(path: Path, size: int, bands: int, repeat: int) -> Path:
    """A VRT that shows one image ``repeat`` x ``repeat`` times."""
    places = [(x * size, y * size) for y in range(repeat) for x in range(repeat)]
    parts = [f'<VRTDataset rasterXSize="{size * repeat}" rasterYSize="{size * repeat}"><SRS>{crs_wkt()}</SRS>']
    parts.append(f"<GeoTransform>{ORIGIN[0]},{PIXEL},0,{ORIGIN[1]},0,{-PIXEL}</GeoTransform>")
    for band in range(1, bands + 1):
        parts.append(f'<VRTRasterBand dataType="Int16" band="{band}">')
        for x, y in places:
            parts.append(
                f'<SimpleSource><SourceFilename relativeToVRT="1">{path.name}</SourceFilename>'
                f"<SourceBand>{band}</SourceBand>"
                f'<SrcRect xOff="0" yOff="0" xSize="{size}" ySize="{size}"/>'
                f'<DstRect xOff="{x}" yOff="{y}" xSize="{size}" ySize="{size}"/></SimpleSource>'
            )
        parts.append("</VRTRasterBand>")
    parts.append("</VRTDataset>")
    target = path.with_name(f"{path.stem}_x{repeat}.vrt")
    target.write_text("".join(parts), encoding="utf-8")
    return target


def write_one_image(folder: Path, size: int) -> Path:
    """Every band of every date in one tiled int16 GeoTIFF, as Orfeo Toolbox takes it."""
    target = folder / "stacked.tif"
    if target.exists():
        return target
    sources = [folder / f"{sensor}_{date.replace('-', '')}.tif" for sensor in BANDS for date in dates_of(sensor)]
    opened = [gdal.Open(str(path)) for path in sources]
    partial = folder / "stacked.partial.tif"
    dataset = _create(partial, size, sum(one.RasterCount for one in opened))
    for top in range(0, size, STRIP):
        height = min(STRIP, size - top)
        dataset.WriteArray(np.concatenate([one.ReadAsArray(0, top, size, height) for one in opened]), 0, top)
    dataset.FlushCache()
    dataset = None
    partial.rename(target)
    return target
