"""``stack.json``: what a stack holds, checked when it is read.

In memory every path is absolute; in the file paths are relative to it where they lie on the same drive.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..base.errors import LandloomError
from ..base.files import parse_json, write_json
from ..base.language import tr
from .grid import Grid, Window
from .schema import check_stack
from .sensors import SensorSpec, matches

FORMAT = "landloom-stack"
VIRTUAL = frozenset(
    ("zip", "tar", "gzip", "7z", "rar", "curl", "s3", "gs", "az", "adls", "oss", "swift", "hdfs", "webhdfs")
)
"""GDAL's virtual file systems that a stack may name: archives, and stores of the user's."""
VERSION = 1


@dataclass(frozen=True)
class Source:
    """A file that pixels come from, as it was when the stack was built.

    Attributes:
        path: absolute path.
        size: bytes.
        time: time of the last change, seconds.
        corner: column and row of the grid at which its first pixel lies, where its pixels are the grid's pixels and
            its values need no change but resampling: then it can be read without the VRT. Else None.
        nodata: the file's own no-data value, declared or not; NaN and infinite values never count as data anyway.
        ratio: with ``corner``, how many of the grid's pixels lie along the edge of one of the file's pixels.
    """

    path: str
    size: int
    time: float
    nodata: float | None = None
    corner: tuple[int, int] | None = None
    ratio: int = 1


@dataclass(frozen=True)
class MaskRule:
    """A raster that says where a part is invalid: exactly one of the three lists is given.

    Attributes:
        source: the mask file.
        band: its band, from 1.
        invalid_values: these values invalidate.
        invalid_bits: a value that shares a bit with this number invalidates.
        valid_values: every other value invalidates.
        buffer: pixels nearer than this to an invalid one are invalid too, metres.
        raster: path of its VRT on the stack's grid; set when the stack is built.
    """

    source: Source
    band: int = 1
    invalid_values: tuple[float, ...] | None = None
    invalid_bits: int | None = None
    valid_values: tuple[float, ...] | None = None
    buffer: float = 0.0
    raster: str = ""


@dataclass(frozen=True)
class RadarUnit:
    """Unit of radar files that the VRT turns into linear power: ``physical = raw * scale + offset``."""

    unit: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Part:
    """One product of one date: all or some bands of the sensor, with their masks.

    Attributes:
        product: the product's name, for messages and for the report.
        bands: band name -> (index into ``sources``, band of that file from 1), in the order of ``data``.
        sources: the files.
        masks: any one invalidates.
        data: path of its VRT on the stack's grid; set when the stack is built.
        cover: the pixels of the grid that the files cover, or None for the whole grid.
        convert: what the files hold where the VRT turns it into power, else None.
        orbit: pass and relative orbit of a radar product, such as ``DES 152``; empty where unknown.
        calibration: of a radar product, as in :class:`SensorSpec`.
        unit: what the files of a radar product hold: ``power``, ``db`` or ``amplitude``.
        filtered: whether speckle was filtered before.
        scales: scale and offset of the bands whose files have not the sensor's; the VRT changes their values.
        shift_db: dB added to each band at reading, which bring the orbits of a sensor to one mean; None for nothing.
        shift: columns to the right and rows down, in pixels of the grid, by which the product is moved at reading.
    """

    product: str
    bands: dict[str, tuple[int, int]]
    sources: tuple[Source, ...]
    masks: tuple[MaskRule, ...] = ()
    data: str = ""
    cover: Window | None = None
    convert: RadarUnit | None = None
    orbit: str = ""
    calibration: str = ""
    unit: str = ""
    filtered: bool = False
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    shift_db: dict[str, float] | None = None
    shift: tuple[float, float] | None = None


@dataclass(frozen=True)
class Acquisition:
    """One date of a sensor. ``date`` is ISO; empty for a static layer."""

    date: str
    day: int
    parts: tuple[Part, ...]

    def holds(self, bands: Sequence[str]) -> bool:
        """Whether some part has all these bands."""
        return any(all(band in part.bands for band in bands) for part in self.parts)


@dataclass(frozen=True)
class Sensor:
    """One co-registered series. The fields are those of :class:`SensorSpec`, with acquisitions in place of dates."""

    name: str
    kind: str
    bands: tuple[str, ...]
    dtype: str = "int16"
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    unit: str = ""
    calibration: str = ""
    orbit: str = ""
    speckle: str = ""
    acquisitions: tuple[Acquisition, ...] = ()

    @property
    def complete(self) -> tuple[Acquisition, ...]:
        """The acquisitions that have every band, by date: the only ones that are read."""
        return tuple(acquisition for acquisition in self.acquisitions if acquisition.holds(self.bands))

    @property
    def spec(self) -> SensorSpec:
        """What samples and models keep of this sensor."""
        complete = self.complete
        return SensorSpec(
            self.name,
            self.kind,
            self.bands,
            tuple(acquisition.date for acquisition in complete),
            tuple(acquisition.day for acquisition in complete),
            self.dtype,
            self.scale,
            self.offset,
            self.nodata,
            self.unit,
            self.calibration,
            self.orbit,
            self.speckle,
        )

    def sources(self) -> Iterator[Source]:
        """Every file of the sensor, masks too; a file may come several times."""
        for acquisition in self.acquisitions:
            for part in acquisition.parts:
                yield from part.sources
                yield from (mask.source for mask in part.masks)


@dataclass(frozen=True)
class Stack:
    """Several sensors on one grid.

    Attributes:
        path: where ``stack.json`` lies, or shall lie.
        grid: the pixels.
        season_start: ``MM-DD``; with ``campaign_year`` the origin of all days.
        campaign_year: the year of that origin.
        sensors: by name.
    """

    path: Path
    grid: Grid
    season_start: str
    campaign_year: int
    sensors: dict[str, Sensor] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Stack:
        """Read and check a ``stack.json``.

        Raises:
            LandloomError: if it is missing, not a stack, of a newer version or does not keep to the schema.
        """
        path = Path(os.path.abspath(path))
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise LandloomError(
                tr("The stack {path} does not exist; make it with preparestack or addrasters.").format(path=path)
            ) from error
        except (OSError, ValueError) as error:
            raise LandloomError(
                tr("Cannot read the stack {path}: {error}. Give a stack.json.").format(path=path, error=error)
            ) from error
        check_stack(content, path)
        folder = path.parent
        season = content["season"]
        sensors = {entry["name"]: _sensor_from(entry, folder) for entry in content["sensors"]}
        return cls(path, Grid.from_json(content["grid"]), season["start"], int(season["year"]), sensors)

    def write(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the JSON alone; :func:`.build.write_stack` writes the VRTs too. Returns its path."""
        path = Path(os.path.abspath(path or self.path))
        content = self.to_json(path.parent)
        check_stack(content, path)
        write_json(path, content)
        return path

    def to_json(self, folder: Path) -> dict[str, Any]:
        """What the file holds, with paths relative to ``folder`` where that is possible."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "grid": self.grid.to_json(),
            "season": {"start": self.season_start, "year": self.campaign_year},
            "sensors": [_sensor_to(sensor, folder) for sensor in self.sensors.values()],
        }

    def spec(self, name: str) -> SensorSpec:
        """The sensor's bands and dates.

        Raises:
            LandloomError: if the stack has no such sensor.
        """
        return self.sensor(name).spec

    def sensor(self, name: str) -> Sensor:
        """A sensor by name.

        Raises:
            LandloomError: if the stack has no such sensor.
        """
        if name not in self.sensors:
            raise LandloomError(
                tr("The stack {path} has no sensor {name}; it has {sensors}.").format(
                    path=self.path, name=name, sensors=", ".join(self.sensors)
                )
            )
        return self.sensors[name]

    def choose(self, names: Sequence[str] | None = None) -> list[str]:
        """The sensors meant by a choice; ``S1`` means every ``S1_*``; None or nothing means all.

        Raises:
            LandloomError: if a name fits no sensor.
        """
        if not names:
            return list(self.sensors)
        for name in names:
            if not any(matches(sensor, name) for sensor in self.sensors):
                raise LandloomError(
                    tr("The stack {path} has no sensor {name}; it has {sensors}.").format(
                        path=self.path, name=name, sensors=", ".join(self.sensors)
                    )
                )
        return [sensor for sensor in self.sensors if any(matches(sensor, name) for name in names)]

    def with_sensor(self, sensor: Sensor) -> Stack:
        """The same stack with a sensor added or replaced."""
        return replace(self, sensors={**self.sensors, sensor.name: sensor})


def relative_path(path: str, folder: Path) -> str:
    """``path`` relative to ``folder`` with forward slashes, or unchanged when on another drive or virtual."""
    if path.startswith("/vsi"):
        return path
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive of Windows
        return path


def _absolute_path(path: str, folder: Path) -> str:
    if "\0" in path:
        raise LandloomError(tr("The stack is damaged: a path in it holds a zero byte. Make it again."))
    if path.startswith("/vsi"):
        if not set(re.findall(r"/vsi([a-z0-9]*)", path)) <= VIRTUAL:
            raise LandloomError(
                tr("The stack names {path:.200}, which is no file, archive or address: make it again.").format(
                    path=path
                )
            )
        return path
    return os.path.normpath(os.path.join(folder, path))


def _source_to(source: Source, folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = {"path": relative_path(source.path, folder), "size": source.size, "time": source.time}
    if source.corner is not None:
        content["corner"] = list(source.corner)
        content["ratio"] = source.ratio
    if source.nodata is not None:
        content["nodata"] = source.nodata
    return content


def _source_from(content: dict[str, Any], folder: Path) -> Source:
    corner = content.get("corner")
    return Source(
        _absolute_path(content["path"], folder),
        content["size"],
        content["time"],
        content.get("nodata"),
        tuple(corner) if corner else None,
        content.get("ratio", 1),
    )


def _mask_to(mask: MaskRule, folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = {"raster": relative_path(mask.raster, folder), "band": mask.band}
    if mask.invalid_values is not None:
        content["invalid_values"] = list(mask.invalid_values)
    if mask.invalid_bits is not None:
        content["invalid_bits"] = mask.invalid_bits
    if mask.valid_values is not None:
        content["valid_values"] = list(mask.valid_values)
    if mask.buffer:
        content["buffer"] = mask.buffer
    content["source"] = _source_to(mask.source, folder)
    return content


def _mask_from(content: dict[str, Any], folder: Path) -> MaskRule:
    def values(key: str) -> tuple[float, ...] | None:
        return tuple(content[key]) if key in content else None

    return MaskRule(
        _source_from(content["source"], folder),
        content["band"],
        values("invalid_values"),
        content.get("invalid_bits"),
        values("valid_values"),
        content.get("buffer", 0.0),
        _absolute_path(content["raster"], folder),
    )


def _part_to(part: Part, folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = {
        "product": part.product,
        "data": relative_path(part.data, folder),
        "bands": {name: list(place) for name, place in part.bands.items()},
        "masks": [_mask_to(mask, folder) for mask in part.masks],
        "sources": [_source_to(source, folder) for source in part.sources],
    }
    if part.cover is not None:
        content["cover"] = list(part.cover)
    if part.convert is not None:
        content["convert"] = asdict(part.convert)
    if part.scales:
        content["scales"] = {band: list(values) for band, values in part.scales.items()}
    if part.shift is not None:
        content["shift"] = list(part.shift)
    content.update({key: getattr(part, key) for key in _PASS_FIELDS if getattr(part, key)})
    return content


def _part_from(content: dict[str, Any], folder: Path) -> Part:
    cover = content.get("cover")
    return Part(
        content["product"],
        {name: (place[0], place[1]) for name, place in content["bands"].items()},
        tuple(_source_from(source, folder) for source in content["sources"]),
        tuple(_mask_from(mask, folder) for mask in content["masks"]),
        _absolute_path(content["data"], folder),
        Window(*cover) if cover else None,
        RadarUnit(**content["convert"]) if "convert" in content else None,
        scales={band: (values[0], values[1]) for band, values in content.get("scales", {}).items()},
        shift=tuple(content["shift"]) if "shift" in content else None,
        **{key: content[key] for key in _PASS_FIELDS if key in content},
    )


_PASS_FIELDS = ("orbit", "calibration", "unit", "filtered", "shift_db")
_SPEC_FIELDS = ("dtype", "scale", "offset", "nodata", "unit", "calibration", "orbit", "speckle")


def _sensor_to(sensor: Sensor, folder: Path) -> dict[str, Any]:
    return {
        "name": sensor.name,
        "kind": sensor.kind,
        "bands": list(sensor.bands),
        **{key: getattr(sensor, key) for key in _SPEC_FIELDS},
        "acquisitions": [
            {"date": one.date, "day": one.day, "parts": [_part_to(part, folder) for part in one.parts]}
            for one in sensor.acquisitions
        ],
    }


def _sensor_from(content: dict[str, Any], folder: Path) -> Sensor:
    acquisitions = tuple(
        Acquisition(one["date"], one["day"], tuple(_part_from(part, folder) for part in one["parts"]))
        for one in content["acquisitions"]
    )
    known = {key: content[key] for key in _SPEC_FIELDS if key in content}
    return Sensor(content["name"], content["kind"], tuple(content["bands"]), acquisitions=acquisitions, **known)
