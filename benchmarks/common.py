"""What the benchmarks share: the package under its name whatever the clone is called, and point series as a store."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from landloom.model.samples.store import SampleStore

ROOT = Path(__file__).resolve().parents[1]


def load_package() -> None:
    """Make ``import landloom`` work, from a script that was started by its path."""
    if "landloom" in sys.modules or importlib.util.find_spec("landloom") is not None:
        return
    spec = importlib.util.spec_from_file_location(
        "landloom", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["landloom"] = package
    spec.loader.exec_module(package)


def read_point_series(path: str | Path, group: str | None = None) -> SampleStore:
    """A sample store of point series in an ``.npz``.

    Args:
        path: holds for each sensor (every array of three axes) ``X [N, T, C]``, NaN = missing, and ``X_bands``;
            ``labels [N]`` 0..K-1, ``class_names [K]``, ``dates [T]`` ISO, and arrays of groups.
        group: the name of the array of groups; None = each point is its own.

    Raises:
        LandloomError: if an array is missing.
    """
    from landloom.model.base.errors import LandloomError
    from landloom.model.base.nomenclature import LandCoverClass, Nomenclature, default_color
    from landloom.model.samples.store import SampleStore
    from landloom.model.stack.calendar import day_of, default_campaign_year
    from landloom.model.stack.sensors import OPTICAL, RADAR, SensorSpec

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise LandloomError(f"Cannot read {path}: {error}. Give an .npz of point series.") from error
    for name in ("labels", "class_names", "dates", *([group] if group else [])):
        if name not in arrays:
            raise LandloomError(f"{path} has no array '{name}'; it has {', '.join(arrays)}.")
    dates = tuple(str(date) for date in arrays["dates"])
    year = default_campaign_year(dates)
    days = tuple(day_of(date, "01-01", year) for date in dates)
    names = [str(name) for name in arrays["class_names"]]
    nomenclature = Nomenclature(
        tuple(LandCoverClass(k + 1, name, default_color(name, k)) for k, name in enumerate(names))
    )
    series, specs = {}, {}
    for name, values in arrays.items():
        if values.ndim != 3:
            continue
        is_radar = name.startswith("S1")
        bands = tuple(str(band) for band in arrays.get(f"{name}_bands", np.arange(values.shape[2])))
        series[name] = (values, None)
        specs[name] = SensorSpec(
            name,
            RADAR if is_radar else OPTICAL,
            bands,
            dates,
            days,
            dtype="float32",
            unit="db" if is_radar else "reflectance",
            calibration="unknown" if is_radar else "",
        )
    if not series:
        raise LandloomError(f"{path} holds no series of three axes (points, dates, bands).")
    labels = arrays["labels"].astype(np.int64)
    groups = arrays[group].astype(np.int64) if group else np.arange(len(labels))
    store = SampleStore.from_arrays(series, specs, labels, nomenclature, groups, season=("01-01", year))
    store.polygons = np.arange(len(labels))  # each point is an object of its own, whatever group it is in
    return store


def peak_memory_mb() -> float:
    """Largest resident size of this process; ``ru_maxrss`` also counts what its parent held before it."""
    import resource

    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024
