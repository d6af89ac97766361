"""COPY: the window of a stack's grid, read once from its products and written for quick reading.

Dates are read side by side (a server's answers take their time), each into files of its own that get their final names
when whole; a journal beside them lets the same run go on after a cut line or a kill. When all dates of a sensor are
there they become one file (:mod:`.copies`). What lies behind addresses is asked for again when the line drops, and by a
new link when the old one has expired.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from ..base.errors import LandloomError
from ..base.files import PARTIAL, make_folder, parse_json, write_json
from ..base.gdalcache import CacheRoom
from ..base.language import tr
from ..base.progress import Progress
from ..base.raster import address_of, gdal_options, is_remote
from ..base.words import counted
from .build import Build, RasterInfos, building, source_of, vrt_nodata
from .copies import FORMAT, Place, assemble, check_folder, close, create, parts_folder, remove_parts, strips, write
from .estimates import duration_text
from .grid import Grid, Window
from .manifest import Acquisition, MaskRule, Part, Sensor, Source, Stack
from .reader import StackReader
from .stac.hrefs import lasting
from .stac.relink import Links, with_new_links

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds to wait before asking a server again; after the last one the run ends, and can be continued."""

THREADS = 4
"""Dates read at a time from servers; half as many from disks."""

TOGETHER = " + "
"""Between the names of products that are one part in a copy."""

COMPRESSED = 0.65
"""Size of a copy as a share of its values, of Sentinel-2 in ZSTD, for the estimate."""


def copy_stack(
    stack: Stack,
    folder: str | Path,
    links: Links,
    progress: Progress | None = None,
    memory_mb: float = 512,
) -> Stack:
    """Copy every sensor of a stack whose VRTs are written.

    Args:
        stack: readable.
        folder: gets two files a sensor; what an earlier run left there is used where it fits.
        links: remote file -> (address of its STAC item, key of its asset).
        progress: told how much and how long first.
        memory_mb: bounds what is read at a time.

    Returns:
        a stack of the copies, whose VRTs are still to be written.

    Raises:
        LandloomError: if a file cannot be read, or nothing can be written; finished dates stay for the next run.
    """
    progress = progress or Progress()
    folder = Path(folder).resolve()
    check_folder(folder, list(stack.sensors))
    work = {name: _SensorCopy(stack, name, folder, links) for name in stack.sensors}
    _announce(list(work.values()), folder, progress)
    sizes = {name: len(one.dates) * one.bytes_per_pixel for name, one in work.items()}
    done = 0.0
    sensors = {}
    for name, one in work.items():
        share = 100 * sizes[name] / max(1, sum(sizes.values()))
        one.copy(progress.part(done, done + share), memory_mb)
        done += share
        sensors[name] = one.result()
    return replace(stack, sensors=sensors)


@contextlib.contextmanager
def copying(build: Build, stack: Stack, folder: str, links: Links, progress: Progress) -> Iterator[tuple[Build, Stack]]:
    """Give what is to be committed: the build and stack as they are, or, with a folder, those of the copies."""
    if not folder:
        if any("sig=" in path or "X-Amz" in path for path in map(address_of, links)):
            progress.warning(tr("The links of these items expire: read the stack soon, or run again with COPY."))
        yield build, stack
        return
    copies = copy_stack(stack, folder, links, progress)
    with building(copies, Progress(), RasterInfos()) as final:
        yield final, final.stack


def fingerprint(acquisition: Acquisition) -> str:
    """A hash of what a date is read from; a link signed anew is the same file."""

    def source(one: Source) -> list[object]:
        return [lasting(one.path), *((0, 0) if is_remote(one.path) else (one.size, one.time)), one.nodata]

    def others(of: object, apart: tuple[str, ...]) -> str:
        return repr({key: value for key, value in vars(of).items() if key not in apart})

    later = is_levelled_later(acquisition)
    parts = [
        [
            sorted((band, *place) for band, place in part.bands.items()),
            [source(one) for one in part.sources],
            [[source(rule.source), others(rule, ("source", "raster"))] for rule in part.masks],
            others(part, ("product", "bands", "sources", "masks", "data", "shift_db", "shift")),
            None if later else part.shift_db,
            *([] if part.shift is None else [part.shift]),
        ]
        for part in acquisition.parts
    ]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def is_levelled_later(acquisition: Acquisition) -> bool:
    """Whether one shift brings all parts of a date to the mean of orbits: then the copy needs none."""
    return len({json.dumps(part.shift_db, sort_keys=True) for part in acquisition.parts}) == 1


class _SensorCopy:
    """The copy of one sensor."""

    def __init__(self, stack: Stack, name: str, folder: Path, links: Links) -> None:
        # speckle is filtered when the copy is read, as it would be of the products
        self.sensor = replace(stack.sensors[name], speckle="")
        self.whole = stack.sensors[name]
        self.stack, self.folder, self.links = stack, folder, links
        self.dates = {one.date: one for one in self.sensor.complete}
        self.hashes = {date: fingerprint(one) for date, one in self.dates.items()}
        self.dtype = np.dtype(self.sensor.dtype)
        self.nodata = vrt_nodata(self.sensor)
        self.parts = parts_folder(folder, name)
        head = [stack.grid.to_json(), list(self.sensor.bands), self.sensor.dtype, self.sensor.nodata]
        head += [self.sensor.scale, self.sensor.offset, self.sensor.unit]
        self.head = hashlib.sha256(json.dumps(head).encode()).hexdigest()
        self.there = self._find()
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def bytes_per_pixel(self) -> int:
        return len(self.sensor.bands) * self.dtype.itemsize + 1

    @property
    def missing(self) -> list[str]:
        return [date for date in self.dates if date not in self.there]

    @property
    def is_remote(self) -> bool:
        return any(is_remote(source.path) for source in self.sensor.sources())

    def probe(self) -> float:
        """Seconds that one missing date takes, by a quarter of it at most; 0 where none is missing."""
        if not self.missing:
            return 0.0
        grid = self.stack.grid
        width, height = min(512, grid.width), min(512, grid.height)
        window = Window((grid.width - width) // 2, (grid.height - height) // 2, width, height)
        start = time.monotonic()
        with StackReader(self._alone(self.dates[self.missing[0]])) as reader:
            reader.read_dates(self.sensor.name, window, [0])
        return (time.monotonic() - start) * grid.width * grid.height / (width * height)

    def copy(self, progress: Progress, memory_mb: float) -> None:
        """Read what is missing and write the two files, unless they are there already."""
        name = self.sensor.name
        kept = len(self.there)
        if kept and self.missing:
            progress.info(
                tr("{name}: copied before and kept: {kept} of {dates}.").format(
                    name=name, kept=kept, dates=counted(self.dates, "date")
                )
            )
        self._read_missing(progress.part(0, 85), memory_mb)
        if all(place.data == self.folder / f"{name}.tif" for place in self.there.values()) and self._is_current():
            progress.info(tr("{name}: the copy in {folder} is current.").format(name=name, folder=self.folder))
            if set(_entries(self.parts / "journal.json", self.head)) <= set(self.dates):
                remove_parts(self.folder, name)  # of a run that was killed once the copy was whole
            return
        progress.text(tr("{name}: joining dates").format(name=name))
        places = {date: self.there[date] for date in self.dates}
        content = {"format": FORMAT, "version": 1, "head": self.head, "dates": self.hashes}
        grid, bands = self.stack.grid, self.sensor.bands
        assemble(self.folder, name, grid, self.dtype.name, self.nodata, bands, places, content, progress.part(85, 100))

    def result(self) -> Sensor:
        """The sensor as it is read from its copy."""
        name, infos = self.sensor.name, RasterInfos()
        data = source_of(infos[str(self.folder / f"{name}.tif")], self.sensor.nodata)
        mask = source_of(infos[str(self.folder / f"{name}_mask.tif")])
        acquisitions = []
        for order, one in enumerate(self.dates.values()):
            first = 1 + order * len(self.sensor.bands)
            bands = {band: (0, first + number) for number, band in enumerate(self.sensor.bands)}
            read = [part for part in one.parts if all(band in part.bands for band in self.sensor.bands)]
            part = Part(
                TOGETHER.join(dict.fromkeys(part.product for part in read)),
                bands,
                (data,),
                (MaskRule(mask, order + 1, valid_values=(1.0,)),),
                orbit=TOGETHER.join(sorted({part.orbit for part in read})),
                calibration=read[0].calibration,
                unit=self.sensor.unit if read[0].unit else "",
                filtered=any(part.filtered for part in read),
                shift_db=read[0].shift_db if is_levelled_later(one) else None,
            )
            acquisitions.append(Acquisition(one.date, one.day, (part,)))
        return replace(self.whole, acquisitions=tuple(acquisitions))

    def _find(self) -> dict[str, Place]:
        """Dates that an earlier run has copied."""
        name, count = self.sensor.name, len(self.sensor.bands)
        there = {}
        data, mask = self.folder / f"{name}.tif", self.folder / f"{name}_mask.tif"
        for order, (date, one) in enumerate(_entries(self.folder / f"{name}.json", self.head).items()):
            if self.hashes.get(date) == one and data.exists() and mask.exists():
                there[date] = Place(data, 1 + order * count, mask, 1 + order)
        for date, one in _entries(self.parts / "journal.json", self.head).items():
            own, its_mask = self._part_files(date)
            if self.hashes.get(date) == one and own.exists() and its_mask.exists() and date not in there:
                there[date] = Place(own, 1, its_mask, 1)
        return there

    def _is_current(self) -> bool:
        """Whether the files hold these dates and no others."""
        return list(_entries(self.folder / f"{self.sensor.name}.json", self.head)) == list(self.dates)

    def _part_files(self, date: str) -> tuple[Path, Path]:
        stem = date.replace("-", "") or "static"
        return self.parts / f"{stem}.tif", self.parts / f"{stem}_mask.tif"

    def _alone(self, acquisition: Acquisition) -> Stack:
        return replace(self.stack, sensors={self.sensor.name: replace(self.sensor, acquisitions=(acquisition,))})

    def _read_missing(self, progress: Progress, memory_mb: float) -> None:
        missing, name = self.missing, self.sensor.name
        if not missing:
            return
        make_folder(self.parts)
        workers = min(THREADS if self.is_remote else max(1, THREADS // 2), len(missing))
        start, done = time.monotonic(), 0
        with concurrent.futures.ThreadPoolExecutor(workers, "landloom copy") as pool:
            waiting = {pool.submit(self._copy_date, date, memory_mb / workers): date for date in missing}
            try:
                while waiting:
                    progress.check()
                    ready, _ = concurrent.futures.wait(waiting, 0.2, concurrent.futures.FIRST_COMPLETED)
                    for future in ready:
                        future.result()
                        done += 1
                        del waiting[future]
                        left = (time.monotonic() - start) / done * (len(missing) - done)
                        progress.percent(100 * done / len(missing))
                        progress.text(
                            tr("{name}: copied {done} of {dates}, {duration_text} left").format(
                                name=name,
                                done=done,
                                dates=counted(missing, "date"),
                                duration_text=duration_text(left / 60),
                            )
                        )
            except BaseException:
                self._stop.set()
                for future in waiting:
                    future.cancel()
                raise

    def _copy_date(self, date: str, memory_mb: float) -> None:
        """Copy one date, with patience."""
        acquisition = self.dates[date]
        for attempt in range(len(PAUSES) + 1):
            try:
                with gdal_options(GDAL_PAM_ENABLED="NO"):
                    self._write_date(date, acquisition, memory_mb)
                break
            except LandloomError as error:
                if not self.is_remote or self._stop.is_set():
                    raise
                if attempt == len(PAUSES):
                    raise LandloomError(
                        tr("{error} Finished dates are kept in {parts}: run the same again to go on.").format(
                            error=error, parts=self.parts
                        )
                    ) from error
            acquisition = with_new_links(acquisition, self.links)
            gdal.VSICurlClearCache()  # which remembers failures
            if self._stop.wait(PAUSES[attempt]):
                return
        if self._stop.is_set():
            return
        own, mask = self._part_files(date)
        with self._lock:
            self.there[date] = Place(own, 1, mask, 1)
            entries = _entries(self.parts / "journal.json", self.head)
            entries[date] = self.hashes[date]
            content = {"format": FORMAT, "version": 1, "head": self.head, "dates": entries}
            write_json(self.parts / "journal.json", content)

    def _write_date(self, date: str, acquisition: Acquisition, memory_mb: float) -> None:
        """Read a date strip by strip into its two files."""
        grid, name = self.stack.grid, self.sensor.name
        finals = self._part_files(date)
        partial = [path.with_suffix(f"{PARTIAL}.tif") for path in finals]
        try:
            data = create(partial[0], grid, self.dtype.name, self.nodata, self.sensor.bands)
            masks = create(partial[1], grid, "uint8", None, [date or "static"])
            room = CacheRoom(memory_mb / 4)
            with StackReader(self._alone(acquisition), as_stored=is_levelled_later(acquisition)) as reader:
                reader.bound_cache(memory_mb / 8)
                for window in strips(grid, 5 * self.bytes_per_pixel, memory_mb):
                    if self._stop.is_set():
                        return
                    series = reader.read_dates(name, window, [0])
                    values, valid = series.values[0, 0], series.mask[0, 0]
                    if self.nodata is not None and not valid.all():
                        values[:, ~valid] = self.nodata
                    write(data, window, values)
                    write(masks, window, valid[None].astype(np.uint8))
                    room.check(data.FlushCache, masks.FlushCache)
            close(data)
            close(masks)
            data = masks = None
            for path, final in zip(partial, finals, strict=True):
                path.replace(final)
        finally:
            data = masks = None
            for path in partial:
                path.unlink(missing_ok=True)


def _entries(path: Path, head: str) -> dict[str, str]:
    """Dates and their hashes in a journal; none where it is of another grid or of other bands."""
    try:
        content: Any = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("head") != head:
        return {}
    dates = content.get("dates")
    return {str(key): str(value) for key, value in dates.items()} if isinstance(dates, dict) else {}


def _announce(work: list[_SensorCopy], folder: Path, progress: Progress) -> None:
    """Say how much will be read, how large it becomes and how long it takes, before it starts."""
    megabytes, seconds, free = 0.0, 0.0, shutil.disk_usage(folder).free / 2**20
    for one in work:
        grid: Grid = one.stack.grid
        megabytes += len(one.missing) * one.bytes_per_pixel * grid.width * grid.height / 2**20
        workers = THREADS if one.is_remote else max(1, THREADS // 2)
        progress.check()
        seconds += 1.3 * _timed(one.probe, one.is_remote) * len(one.missing) / workers
    if not megabytes:
        return
    progress.info(
        tr(
            "COPY: {dates}, {megabytes:.0f} MB of values; about {compressed:.0f} MB on disk (twice that while "
            "dates are joined), {duration_text}."
        ).format(
            dates=counted(sum(len(one.missing) for one in work), "date"),
            megabytes=megabytes,
            compressed=COMPRESSED * megabytes,
            duration_text=duration_text(seconds / 60),
        )
    )
    if free < COMPRESSED * megabytes:
        raise LandloomError(
            tr(
                "COPY needs about {compressed:.0f} MB but {folder} has {free:.0f} MB free; give a smaller "
                "EXTENT or another folder."
            ).format(compressed=COMPRESSED * megabytes, folder=folder, free=free)
        )


def _timed(probe: Callable[[], float], remote: bool) -> float:
    """The estimate; a server that does not answer now is asked again when the dates are copied."""
    try:
        return probe()
    except LandloomError:
        if not remote:
            raise
        return 0.0
