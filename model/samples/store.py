"""The sample store: labelled pixels with their context, on disk or in memory, quick to read in any order.

On disk a store is a folder. Series lie pixel by pixel in ``<sensor>.values.npy`` ``[P, T, C]`` (raw values) and
``<sensor>.mask.npy`` ``[P, T]`` (True = valid), P being the pixels of all chips, chip after chip and row after row in
each. A chip is the window of a group's labelled pixels with HALO pixels round it; a sample is a pixel of a chip, so
that the patch of a sample is found by computing row numbers and nothing is stored twice. ``chips.npy`` and
``samples.npy`` are the tables, ``samples.json`` the description, ``samples.gpkg`` the samples as points for people.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..base.errors import LandloomError
from ..base.files import parse_json
from ..base.language import tr
from ..base.nomenclature import Nomenclature
from ..stack.sensors import STATIC, SensorSpec, Series, matches
from .patches import offsets, planes_of_rows
from .splits import TEST, TRAINING, VALIDATION, split_groups, stratified_group_folds

__all__ = ["CHIP", "FORMAT", "SAMPLE", "TEST", "TRAINING", "VALIDATION", "VERSION", "SampleStore", "is_sample_folder"]

FORMAT, VERSION = "landloom-samples", 1
MANIFEST = "samples.json"

#: A chip: its first row in the files of values, its size, and its upper left pixel on the stack's grid.
CHIP = np.dtype([("offset", "<i8"), ("width", "<i4"), ("height", "<i4"), ("column", "<i4"), ("row", "<i4")])
#: A sample: its chip, its place in it, and what is known about it.
SAMPLE = np.dtype(
    [
        ("chip", "<i4"),
        ("row", "<i4"),
        ("column", "<i4"),
        ("label", "<i2"),
        ("group", "<i8"),
        ("polygon", "<i8"),
        ("split", "u1"),
        ("fold", "<i2"),
        ("suspect", "?"),
        ("x", "<f8"),
        ("y", "<f8"),
    ]
)


@dataclass
class SampleStore:
    """Labelled pixels; read-only.

    Attributes:
        specs: the sensors, by name.
        nomenclature: the classes; ``labels`` are indices in it.
        season: start of the season (``"10-01"``) and campaign year.
        halo: pixels of context that every sample has.
        labels: ``[N]`` int16.
        groups: ``[N]`` int64, what must not be split between training and test.
        polygons: ``[N]`` int64, the feature of the reference data that a sample lies in.
        split: ``[N]`` uint8 of TRAINING, VALIDATION, TEST.
        fold: ``[N]`` int16.
        suspect: ``[N]`` bool, the curve of the sample's polygon is unlike its class.
        x: ``[N]`` and ``y``: coordinates of the pixel's centre in ``crs_wkt``.
        folder: where it lies, None in memory.
        description: what else ``samples.json`` holds (seed, counts, how split, provenance).
    """

    specs: dict[str, SensorSpec]
    nomenclature: Nomenclature
    season: tuple[str, int | None]
    halo: int
    labels: np.ndarray
    groups: np.ndarray
    polygons: np.ndarray
    split: np.ndarray
    fold: np.ndarray
    suspect: np.ndarray
    x: np.ndarray
    y: np.ndarray
    folder: Path | None = None
    crs_wkt: str = ""
    description: dict[str, Any] = field(default_factory=dict)
    _values: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _masks: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _centres: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    _widths: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def indices(self, part: int) -> np.ndarray:
        """Samples of a part: TRAINING, VALIDATION or TEST."""
        return np.flatnonzero(self.split == part)

    def sensor_names(self, choices: Sequence[str] | None = None) -> list[str]:
        """Sensors meant by choices such as ``S2`` or ``S1`` (every ``S1_*``); all of them by default.

        Raises:
            LandloomError: if a choice means none.
        """
        if choices is None:
            return list(self.specs)
        chosen: list[str] = []
        for choice in choices:
            found = [name for name in self.specs if matches(name, choice)]
            if not found:
                raise LandloomError(
                    tr("The samples have no sensor {choice}; they have {specs}.").format(
                        choice=choice, specs=", ".join(self.specs)
                    )
                )
            chosen += [name for name in found if name not in chosen]
        return chosen

    def batch(
        self, indices: Sequence[int] | np.ndarray, halo: int = 0, sensors: Sequence[str] | None = None
    ) -> dict[str, Series]:
        """Series of some samples with ``halo`` pixels round each, as :meth:`patches` gives them."""
        return self.patches(indices, halo, sensors)

    def patches(
        self,
        indices: Sequence[int] | np.ndarray,
        halo: int = 0,
        sensors: Sequence[str] | None = None,
        symmetries: np.ndarray | None = None,
    ) -> dict[str, Series]:
        """Series of some samples with ``halo`` pixels round each, which may be turned.

        Files are read in the order in which they lie, whatever the order asked for. May be called from several threads.

        Args:
            indices: ``[B]``, in any order, repeats allowed.
            halo: 0 up to the store's.
            sensors: names or choices; all by default.
            symmetries: ``[B]``, how each is turned: so many quarter turns as ``np.rot90`` does, from 4 on then
                mirrored from left to right; None = not at all.

        Returns:
            for each sensor a :class:`Series` with values ``[B, T, C, 2*halo+1, 2*halo+1]`` as read (raw), masked
            values 0. In memory dates are outermost and pixels innermost, as what follows needs them.

        Raises:
            LandloomError: if the halo is larger than the store's.
        """
        if not 0 <= halo <= self.halo:
            raise LandloomError(
                tr(
                    "The samples hold {halo} pixels of context, but {halo2} are needed: extract them again "
                    "with HALO {halo2} or more."
                ).format(halo=self.halo, halo2=halo)
            )
        indices = np.asarray(indices, np.int64).reshape(-1)
        order, place = self._as_they_lie(indices)
        down, across = offsets(halo, None if symmetries is None else symmetries[order])
        rows = self._centres[indices[order], None] + down * self._widths[indices[order], None] + across
        result = {}
        for name in self.sensor_names(sensors):
            spec = self.specs[name]
            values, mask = (
                planes_of_rows(np.take(kept[name], rows.reshape(-1), axis=0), place, 2 * halo + 1)
                for kept in (self._values, self._masks)
            )
            result[name] = Series(values, mask, np.array(spec.days, np.int32))
        return result

    def centres(self, indices: np.ndarray, sensors: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """For each sensor ``[B, T]``, where the pixels of some samples themselves are valid."""
        order, place = self._as_they_lie(indices)
        rows = self._centres[indices[order]]
        return {name: np.take(self._masks[name], rows, axis=0)[place] for name in self.sensor_names(sensors)}

    def _as_they_lie(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The order in which some samples lie in the files, and for each its place in that order."""
        order = np.argsort(self._centres[indices], kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return order, place

    def until(self, day: int) -> SampleStore:
        """The store as it was on a day of the season: the dates up to it, and all of a layer without dates.

        A sensor without a date so far is left out. Values are views of the mapped files.
        """
        specs, values, masks = {}, {}, {}
        for name, spec in self.specs.items():
            kept = [place for place, own in enumerate(spec.days) if spec.kind == STATIC or own <= day]
            if not kept:
                continue
            specs[name] = spec.with_dates(tuple(spec.dates[i] for i in kept), tuple(spec.days[i] for i in kept))
            first, last = kept[0], kept[-1] + 1
            chosen = slice(first, last) if kept == list(range(first, last)) else kept
            values[name], masks[name] = self._values[name][:, chosen], self._masks[name][:, chosen]
        # In memory, not of a folder: the files that release_pages maps anew hold all dates.
        return replace(self, specs=specs, folder=None, _values=values, _masks=masks)

    def release_pages(self) -> None:
        """Map the files anew, so that what was read no longer counts as memory of this process."""
        if self.folder is not None:
            for kept, suffix in ((self._values, "values"), (self._masks, "mask")):
                for name, array in kept.items():
                    kept[name] = _map(self.folder, f"{name}.{suffix}.npy", array.dtype, array.shape)

    @classmethod
    def from_arrays(
        cls,
        series: dict[str, tuple[np.ndarray, np.ndarray | None]],
        specs: dict[str, SensorSpec],
        labels: Sequence[int] | np.ndarray,
        nomenclature: Nomenclature,
        groups: Sequence[int] | np.ndarray,
        split: Sequence[int] | np.ndarray | None = None,
        folds: Sequence[int] | np.ndarray | None = None,
        seed: int = 0,
        season: tuple[str, int | None] = ("01-01", None),
    ) -> SampleStore:
        """A store in memory from point series, halo 0.

        Args:
            series: for each sensor values ``[N, T, C]`` and a mask ``[N, T]`` (True = valid) or None, in which case
                NaN is missing. A date is invalid for a sample where any band is NaN or infinite.
            specs: the sensors; their bands and dates must fit the arrays.
            labels: ``[N]`` class indices.
            nomenclature: the classes.
            groups: ``[N]``.
            split: ``[N]`` of TRAINING, VALIDATION, TEST; dealt 60/20/20 by group where None.
            folds: ``[N]``; five stratified folds (or as many as there are groups) where None.
            seed: for what is dealt here.
            season: start of the season and campaign year, from which the specs' days count.

        Raises:
            LandloomError: if shapes do not fit each other.
        """
        labels = np.asarray(labels, np.int64).reshape(-1)
        groups = np.asarray(groups, np.int64).reshape(-1)
        n = len(labels)
        if len(groups) != n:
            raise LandloomError(
                tr("There are {n} labels but {n_groups} groups: give one group a sample.").format(
                    n=n, n_groups=len(groups)
                )
            )
        if n and not (labels.min() >= 0 and labels.max() < len(nomenclature)):
            raise LandloomError(
                tr("Labels must be indices 0 to {n_nomenclature} of the nomenclature's classes.").format(
                    n_nomenclature=len(nomenclature) - 1
                )
            )
        stored, masks, kept = {}, {}, {}
        for name, (given, mask) in series.items():
            spec = specs[name]
            values = np.asarray(given)
            expected = (n, len(spec.days), len(spec.bands))
            if values.shape != expected or (mask is not None and np.shape(mask) != expected[:2]):
                raise LandloomError(
                    tr(
                        "Series of {name} have the shape {shape}, expected samples x dates x bands = {expected}."
                    ).format(name=name, shape=values.shape, expected=expected)
                )
            valid = np.ones(expected[:2], bool) if mask is None else np.asarray(mask, bool)
            if np.issubdtype(values.dtype, np.floating):
                valid = valid & np.isfinite(values).all(axis=2)
            dtype = np.float32 if np.issubdtype(values.dtype, np.floating) else values.dtype
            stored[name] = np.where(valid[:, :, None], values, 0).astype(dtype, copy=False)
            masks[name] = valid
            kept[name] = replace(spec, dtype=str(np.dtype(dtype)))
        if split is None:
            split = split_groups(labels, groups, seed=seed)
        if folds is None:
            folds = stratified_group_folds(labels, groups, max(1, min(5, len(np.unique(groups)))), seed)
        return cls(
            specs=kept,
            nomenclature=nomenclature,
            season=season,
            halo=0,
            labels=labels.astype(np.int16),
            groups=groups,
            polygons=groups,
            split=np.asarray(split, np.uint8),
            fold=np.asarray(folds, np.int16),
            suspect=np.zeros(n, bool),
            x=np.zeros(n),
            y=np.zeros(n),
            description={"seed": seed},
            _values=stored,
            _masks=masks,
            _centres=np.arange(n, dtype=np.int64),
            _widths=np.ones(n, np.int64),
        )

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> SampleStore:
        """Open a folder of samples; values stay on disk until asked for.

        Raises:
            LandloomError: naming the folder, if it is not one or is damaged.
        """
        folder = Path(folder)
        description = _read_manifest(folder)
        try:
            specs = {_name(one): SensorSpec.from_json(one) for one in description["sensors"]}
            dtypes = {name: np.dtype(spec.dtype) for name, spec in specs.items()}
            nomenclature = Nomenclature.from_json(description["nomenclature"])
            season = (str(description["season"]["start"]), description["season"]["year"])
            halo, crs_wkt = int(description["halo"]), str(description.get("crs", ""))
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(
                folder, tr("{manifest} lacks or garbles {error}").format(manifest=MANIFEST, error=error)
            ) from error
        chips, samples = _load(folder, "chips.npy", CHIP), _load(folder, "samples.npy", SAMPLE)
        n_pixels = _check_tables(folder, chips, samples, halo, len(nomenclature))
        values, masks = {}, {}
        for name, spec in specs.items():
            shape = (n_pixels, len(spec.days), len(spec.bands))
            values[name] = _map(folder, f"{name}.values.npy", dtypes[name], shape)
            masks[name] = _map(folder, f"{name}.mask.npy", np.dtype(bool), shape[:2])
        own = chips[samples["chip"]]
        return cls(
            specs=specs,
            nomenclature=nomenclature,
            season=season,
            halo=halo,
            labels=samples["label"].copy(),
            groups=samples["group"].copy(),
            polygons=samples["polygon"].copy(),
            split=samples["split"].copy(),
            fold=samples["fold"].copy(),
            suspect=samples["suspect"].copy(),
            x=samples["x"].copy(),
            y=samples["y"].copy(),
            folder=folder,
            crs_wkt=crs_wkt,
            description=description,
            _values=values,
            _masks=masks,
            _centres=own["offset"] + samples["row"].astype(np.int64) * own["width"] + samples["column"],
            _widths=own["width"].astype(np.int64),
        )


def is_sample_folder(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder says that it holds samples, damaged or not."""
    try:
        _read_manifest(Path(folder))
    except LandloomError:
        return False
    return True


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not folder.is_dir() or not path.is_file():
        raise LandloomError(
            tr("{folder} is not a folder of samples: it holds no {manifest}. Make it with extractsamples.").format(
                folder=folder, manifest=MANIFEST
            )
        )
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(folder, tr("{manifest} is not JSON").format(manifest=MANIFEST)) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise LandloomError(
            tr("{path} does not describe samples of Landloom. Make them with extractsamples.").format(path=path)
        )
    if content.get("version") != VERSION:
        raise LandloomError(
            tr(
                "{folder} holds samples of version {get}, this Landloom reads version {version}: extract them again."
            ).format(folder=folder, get=content.get("version"), version=VERSION)
        )
    return content


def _name(sensor: dict[str, Any]) -> str:
    """The name of a sensor, which is a part of file names."""
    if not re.fullmatch(r"[A-Z0-9_]{1,100}", sensor["name"]):
        raise ValueError(f"the sensor {sensor['name']}")
    return sensor["name"]


def _damaged(folder: Path, why: str) -> LandloomError:
    return LandloomError(
        tr("The samples in {folder} are damaged ({why}): extract them again.").format(folder=folder, why=why)
    )


def _load(folder: Path, name: str, dtype: np.dtype) -> np.ndarray:
    try:
        table = np.load(folder / name, allow_pickle=False)
    except Exception as error:  # numpy reads a damaged header with Python's parser, which has errors of its own
        raise _damaged(folder, tr("{name} is missing or cut short").format(name=name)) from error
    if table.dtype != dtype or table.ndim != 1:
        raise _damaged(folder, tr("{name} has other columns").format(name=name))
    return table


def _map(folder: Path, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """A memory-mapped array as a plain ndarray, which is indexed faster than np.memmap."""
    try:
        if 0 in shape:
            return np.zeros(shape, dtype)
        array = np.load(folder / name, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # as above
        raise _damaged(folder, tr("{name} is missing or cut short").format(name=name)) from error
    if array.dtype != dtype or array.shape != shape:
        raise _damaged(
            folder,
            tr("{name} holds {dtype} {shape}, expected {dtype2} {shape2}").format(
                name=name, dtype=array.dtype, shape=array.shape, dtype2=dtype, shape2=shape
            ),
        )
    return np.asarray(array)


def _check_tables(folder: Path, chips: np.ndarray, samples: np.ndarray, halo: int, n_classes: int) -> int:
    """Check that every patch lies inside its chip, so that no row number is ever outside; gives the pixels in all."""
    sizes = chips["width"].astype(np.int64) * chips["height"]
    ends = np.cumsum(sizes)
    if (sizes <= 0).any() or not np.array_equal(chips["offset"], ends - sizes):
        raise _damaged(folder, tr("chips.npy does not add up"))
    if len(samples):
        if samples["chip"].min() < 0 or samples["chip"].max() >= len(chips):
            raise _damaged(folder, tr("samples.npy names chips that do not exist"))
        own = chips[samples["chip"]]
        row, column = samples["row"].astype(np.int64), samples["column"].astype(np.int64)
        fits = (row >= halo) & (row + halo < own["height"]) & (column >= halo) & (column + halo < own["width"])
        fits &= (samples["label"] >= 0) & (samples["label"] < n_classes) & (samples["split"] <= TEST)
        if not fits.all():
            raise _damaged(folder, tr("samples.npy holds samples outside their chip or nomenclature"))
    return int(ends[-1]) if len(ends) else 0
