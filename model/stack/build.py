"""Writing a stack: first the VRTs into ``<stem>_vrt/``, then ``stack.json``, whole or not at all.

:func:`write_stack` takes a :class:`Stack` whose parts name only files; it decides for each file whether it is read as
it lies, resampled by a plain VRT or warped, and fills in what the reader needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.files import PARTIAL, check_writable, make_folder, write_json, writing_failed
from ..base.language import tr
from ..base.lock import Lock, lock_path, tidy
from ..base.progress import Progress
from .encoding import factors
from .grid import Grid, reproject_bounds
from .manifest import MaskRule, Part, RadarUnit, Sensor, Source, Stack
from .rasterinfo import RasterInfo, inspect
from .schema import check_stack
from .sensors import RADAR
from .shift import Shift, grid_before, moved_placement, rounded, shift_or_none
from .vrt import NEAREST, VrtBand, outside, plain_vrt, resampling_of, warped_vrt

FILL = {"int8": -128, "int16": -32768, "uint16": 65535, "int32": -(2**31), "uint32": 2**32 - 1}
"""No-data values for whole-number files that declare none and must be warped."""

_POWER_FUNCTIONS = {"db": "dB2pow", "amplitude": "intensity"}


class RasterInfos:
    """Remembers what was read of each file; a series names one file many times."""

    def __init__(self) -> None:
        self._infos: dict[str, RasterInfo] = {}

    def __getitem__(self, path: str) -> RasterInfo:
        if path not in self._infos:
            self._infos[path] = inspect(path)
        return self._infos[path]

    def believe(self, info: RasterInfo) -> None:
        """Take what is known of a file without opening it."""
        self._infos.setdefault(info.path, info)


def vrt_folder(path: Path) -> Path:
    """Where the VRTs of a ``stack.json`` lie."""
    return path.with_name(f"{path.stem}_vrt")


def write_stack(stack: Stack, progress: Progress | None = None, infos: RasterInfos | None = None) -> Stack:
    """Write the VRTs and then ``stack.json`` at ``stack.path``; an older stack there is replaced.

    Returns:
        the stack as written.

    Raises:
        LandloomError: if a file cannot be used or nothing can be written; then nothing has changed on disk.
    """
    with building(stack, progress or Progress(), infos or RasterInfos()) as built:
        return built.commit(built.stack)


@contextlib.contextmanager
def building(stack: Stack, progress: Progress, infos: RasterInfos) -> Iterator[Build]:
    """Write the VRTs to a temporary folder; what is committed takes its place, otherwise it is removed."""
    build = Build(stack, infos)
    with Lock(lock_path(build.stack.path), build.stack.path) as lock:
        if not lock.again:
            tidy(build.final)
            tidy(build.stack.path)
        try:
            build.write_vrts(progress)
            yield build
        finally:
            shutil.rmtree(build.temporary, ignore_errors=True)


class Build:
    """A stack being written. ``stack`` is readable while its VRTs still lie in ``temporary``."""

    def __init__(self, stack: Stack, infos: RasterInfos) -> None:
        path = Path(os.path.abspath(stack.path))
        self._infos = infos
        self.final = vrt_folder(path)
        self.temporary = self.final.with_name(f"{self.final.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
        self.stack = replace(stack, path=path)

    def write_vrts(self, progress: Progress) -> None:
        check_writable(self.stack.path)
        make_folder(self.temporary)
        progress.text(tr("Writing virtual rasters"))
        sensors = {}
        total = sum(len(sensor.acquisitions) for sensor in self.stack.sensors.values()) or 1
        done = 0
        for name, entered in self.stack.sensors.items():
            sensor = settle(entered, self.stack.grid, self._infos)
            acquisitions = []
            for acquisition in sensor.acquisitions:
                progress.check()
                parts = []
                for index, part in enumerate(acquisition.parts, start=1):
                    stem = "_".join([name, acquisition.date.replace("-", "") or "static"])
                    stem += f"_{index}" if len(acquisition.parts) > 1 else ""
                    parts.append(self._write_part(sensor, part, stem))
                acquisitions.append(replace(acquisition, parts=tuple(parts)))
                done += 1
                progress.percent(100 * done / total)
            sensors[name] = replace(sensor, acquisitions=tuple(acquisitions))
        self.stack = replace(self.stack, sensors=sensors)

    def commit(self, stack: Stack) -> Stack:
        """Move the VRTs to their place, write ``stack.json``, remove older VRTs: at every moment one stack is whole.

        VRTs of an older stack keep their content until the new ``stack.json`` has its name (see :meth:`_write`).
        """
        final = relocate(stack, self.temporary, self.final)
        content = final.to_json(final.path.parent)
        check_stack(content, final.path)
        names = sorted(path.name for path in self.temporary.iterdir())
        added = [self.final / name for name in names if not (self.final / name).exists()]
        try:
            make_folder(self.final)
            for name in names:
                os.replace(self.temporary / name, self.final / name)
            write_json(final.path, content)
        except (OSError, LandloomError) as error:
            for path in added:
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # where an older stack has its VRTs
                self.final.rmdir()
            if isinstance(error, OSError):
                raise LandloomError(writing_failed(self.final, error)) from error
            raise
        for path in self.final.iterdir():
            if path.name not in names and ".vrt" in path.suffixes:
                with contextlib.suppress(OSError):
                    path.unlink()
        return final

    def forget(self, stems: Iterable[str]) -> None:
        """Remove the VRTs of dates that were left out, by the beginning of their names."""
        for stem in stems:
            for path in [*self.temporary.glob(f"{stem}.vrt"), *self.temporary.glob(f"{stem}_*.vrt")]:
                path.unlink()

    def _write(self, name: str, text: str) -> str:
        """Write a VRT; one of the older stack that has this name and another content gives it up only later."""
        path = self.temporary / name
        number = 1
        while _differs(self.final / path.name, text):
            number += 1
            path = self.temporary / f"{Path(name).stem}_v{number}.vrt"
        try:
            path.write_bytes(text.encode())
        except OSError as error:
            raise LandloomError(writing_failed(path, error)) from error
        return str(path)

    def _write_part(self, sensor: Sensor, part: Part, stem: str) -> Part:
        grid, nodata, shift = self.stack.grid, vrt_nodata(sensor), shift_or_none(part.shift)
        cover = grid.whole
        warped: dict[int, str] = {}
        natives: dict[int, tuple[str, dict[str, int]]] = {}
        bands = []
        sources = list(part.sources)
        part = replace(part, bands={name: part.bands[name] for name in sensor.bands if name in part.bands})
        changed = {part.bands[name][0] for name in part.bands if factors(sensor, part, name)}
        for name, (index, number) in part.bands.items():
            source = part.sources[index]
            info = self._infos[source.path]
            if number > len(info.dtypes):
                raise LandloomError(
                    tr("The raster {path} has no band {number} ({name}); make the stack again.").format(
                        path=source.path, number=number, name=name
                    )
                )
            placed = moved_placement(info.grid, grid, source.path, shift)
            size = (info.grid.width, info.grid.height)
            remap = source.nodata if index in changed or source.nodata != sensor.nodata else None
            as_it_lies = remap is None and index not in changed
            if placed is not None and placed[1] == 1 and part.convert is None:
                target = placed[0]
                sources[index] = replace(source, corner=(target.column, target.row) if as_it_lies else None, ratio=1)
                ratio, offset = factors(sensor, part, name) or (1.0, 0.0)
                bands.append(VrtBand(name, source.path, number, size, target, NEAREST, remap, ratio, offset))
                cover = cover.intersection(target)
                continue
            sources[index] = replace(source, corner=None, ratio=1)
            if placed is not None and placed[1] > 1 and part.convert is None and as_it_lies:
                corner = (placed[0].column, placed[0].row)
                sources[index] = replace(source, corner=corner, ratio=round(placed[1]))
            if index not in natives:
                natives[index] = self._native(sensor, part, index, stem, placed is None)
            path, numbers = natives[index]
            if placed is not None:
                target, ratio = placed
                bands.append(VrtBand(name, path, numbers[name], size, target, resampling_of(ratio)))
                cover = cover.intersection(target)
                continue
            if index not in warped:
                before = grid_before(grid, shift)
                text = warped_vrt(path, before, sensor.dtype, "bilinear", nodata, self.temporary)
                warped[index] = self._write(f"{stem}_warped{index + 1}.vrt", text)
            bands.append(VrtBand(name, warped[index], numbers[name], (grid.width, grid.height), grid.whole))
        text = plain_vrt(grid, bands, sensor.dtype, nodata, self.temporary)
        data = self._write(f"{stem}.vrt", text)
        masks = tuple(
            self._write_mask(mask, f"{stem}_mask{n}.vrt", shift) for n, mask in enumerate(part.masks, start=1)
        )
        whole = cover == grid.whole
        return replace(part, data=data, sources=tuple(sources), masks=masks, cover=None if whole else cover)

    def _native(self, sensor: Sensor, part: Part, index: int, stem: str, warp: bool) -> tuple[str, dict[str, int]]:
        """The file to resample and its bands: itself, or a VRT that declares its no data and holds power.

        GDAL leaves no-data pixels out of a resampled mean only where the band that it reads declares the value; and it
        resamples the input of a pixel function, not its result, unless a band with no data lies between. It warps all
        bands of a file at once: one with bands that nobody wants here gets a VRT without them.
        """
        source = part.sources[index]
        info = self._infos[source.path]
        numbers = {name: number for name, (place, number) in part.bands.items() if place == index}
        nodata = vrt_nodata(sensor) if part.convert is None else float("nan")
        declared = [info.nodata[number - 1] for number in numbers.values()]
        scaled = {name: factors(sensor, part, name) or (1.0, 0.0) for name in numbers}
        changed = part.convert is not None or any(factor != (1.0, 0.0) for factor in scaled.values())
        more = warp and len(numbers) < len(info.dtypes)
        if not changed and not more and (nodata is None or all(_same(value, nodata) for value in declared)):
            return source.path, numbers
        whole = info.grid.whole
        remap = source.nodata if changed or source.nodata != sensor.nodata else None
        bands = [
            VrtBand(name, source.path, number, whole[2:], whole, NEAREST, remap, *scaled[name])
            for name, number in numbers.items()
        ]
        if part.convert is not None:
            unit = part.convert
            function = _POWER_FUNCTIONS.get(unit.unit, "")
            bands = [replace(band, function=function, scale=unit.scale, offset=unit.offset) for band in bands]
            text = plain_vrt(info.grid, bands, sensor.dtype, nodata, self.temporary)
            power = self._write(f"{stem}_power{index + 1}.vrt", text)
            bands = [VrtBand(name, power, place, whole[2:], whole) for place, name in enumerate(numbers, start=1)]
        text = plain_vrt(info.grid, bands, sensor.dtype, nodata, self.temporary)
        path = self._write(f"{stem}_native{index + 1}.vrt", text)
        return path, {name: place for place, name in enumerate(numbers, start=1)}

    def _write_mask(self, mask: MaskRule, file_name: str, shift: Shift) -> MaskRule:
        grid = self.stack.grid
        info = self._infos[mask.source.path]
        if mask.band > len(info.dtypes):
            raise LandloomError(
                tr("The mask {path} has no band {band}; choose another mask.").format(
                    path=mask.source.path, band=mask.band
                )
            )
        dtype = info.dtypes[mask.band - 1]
        placed = moved_placement(info.grid, grid, mask.source.path, rounded(shift))
        source = replace(mask.source, corner=None, ratio=1)
        if placed is not None:
            target, ratio = placed
            if ratio >= 1:
                source = replace(source, corner=(target.column, target.row), ratio=round(ratio))
            band = VrtBand("mask", source.path, mask.band, (info.grid.width, info.grid.height), target)
            text = plain_vrt(grid, [band], dtype, None, self.temporary)
        else:
            text = warped_vrt(source.path, grid_before(grid, shift), dtype, NEAREST, None, self.temporary)
            warped = self._write(file_name.replace(".vrt", "_warped.vrt"), text)
            band = VrtBand("mask", warped, mask.band, (grid.width, grid.height), grid.whole)
            text = plain_vrt(grid, [band], dtype, None, self.temporary)
        return replace(mask, source=source, raster=self._write(file_name, text))


def settle(sensor: Sensor, grid: Grid, infos: RasterInfos) -> Sensor:
    """Decide type, unit and no data of a sensor, now that it is known which of its files must be resampled.

    Radar in dB or amplitude is turned into power if any file is resampled, since a mean of dB is no backscatter;
    whole numbers that are warped and have no no-data value get one.
    """
    parts = [part for acquisition in sensor.acquisitions for part in acquisition.parts]
    wanted = {(source.path, shift_or_none(part.shift)) for part in parts for source in part.sources}
    placed = {(path, shift): moved_placement(infos[path].grid, grid, path, shift) for path, shift in wanted}
    warped = any(where is None for where in placed.values())
    resampled = warped or any(where is not None and where[1] != 1 for where in placed.values())
    for (path, _), where in placed.items():
        if where is None and not meets(infos[path].grid, grid):
            raise LandloomError(outside(path))
    if sensor.kind == RADAR and sensor.unit in _POWER_FUNCTIONS and resampled:
        convert = RadarUnit(sensor.unit, sensor.scale, sensor.offset)
        acquisitions = tuple(
            replace(one, parts=tuple(replace(part, convert=part.convert or convert) for part in one.parts))
            for one in sensor.acquisitions
        )
        sensor = replace(
            sensor, unit="power", scale=1.0, offset=0.0, nodata=None, dtype="float32", acquisitions=acquisitions
        )
    elif resampled and sensor.kind == RADAR and sensor.dtype.startswith(("int", "uint")):
        sensor = replace(sensor, dtype="float32")
    if warped and sensor.nodata is None and not sensor.dtype.startswith("float"):
        if sensor.dtype == "uint8":
            sensor = replace(sensor, dtype="int16")
        sensor = replace(sensor, nodata=float(FILL[sensor.dtype]))
    return sensor


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() != text.encode()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def vrt_nodata(sensor: Sensor) -> float | None:
    """The no-data value that VRTs declare: the sensor's, or NaN for decimal numbers."""
    if sensor.nodata is not None:
        number = float(sensor.nodata)
        return int(number) if number.is_integer() and not sensor.dtype.startswith("float") else number
    return float("nan") if sensor.dtype.startswith("float") else None


def relocate(stack: Stack, old: Path, new: Path) -> Stack:
    """The same stack after its VRTs moved from one folder to another."""

    def moved(path: str) -> str:
        return str(new / Path(path).name) if Path(path).parent == old else path

    sensors = {}
    for name, sensor in stack.sensors.items():
        acquisitions = tuple(
            replace(
                one,
                parts=tuple(
                    replace(
                        part,
                        data=moved(part.data),
                        masks=tuple(replace(mask, raster=moved(mask.raster)) for mask in part.masks),
                    )
                    for part in one.parts
                ),
            )
            for one in sensor.acquisitions
        )
        sensors[name] = replace(sensor, acquisitions=acquisitions)
    return replace(stack, sensors=sensors)


def source_of(info: RasterInfo, nodata: float | None = None) -> Source:
    """The manifest's entry of a file; NaN as no data needs no mention."""
    return Source(info.path, info.size, info.time, None if nodata is None or np.isnan(nodata) else float(nodata))


def meets(source: Grid, grid: Grid) -> bool:
    """Whether two rasters overlap, whatever their CRS."""
    a, b = reproject_bounds(source.bounds, source.crs_wkt, grid.crs_wkt), grid.bounds
    return a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1]


def _same(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return first == second or (np.isnan(first) and np.isnan(second))
