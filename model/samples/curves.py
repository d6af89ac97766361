"""Curves of vegetation and radar, and the polygons whose curve is unlike their class."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.progress import Progress
from ..stack.indices import find_role, normalised_difference
from ..stack.sensors import OPTICAL, RADAR, STATIC, SensorSpec, Series
from .labelling import pixel_keys, ranks
from .store import SampleStore

STEP = 10  # days of one step of a curve
PER_POLYGON = 20  # pixels of a polygon that make its curve
FLOOR_DB = -35.0
FEWEST_POLYGONS = 5  # of a class, below which nobody can say what is usual in it
BATCH = 4096
LIMIT = 3.0  # robust standard deviations
QUANTITIES = ((OPTICAL, ("RED", "NIR"), "NDVI"), (RADAR, ("VH",), "VH (dB)"))


@dataclass
class Curve:
    """One quantity by class.

    Attributes:
        title: for people.
        days: ``[S]`` middle of each step, days since the season's start.
        mean: ``[K, S]`` over pixels; NaN where none is valid.
        low: ``[K, S]`` the 10 % below.
        high: ``[K, S]`` the 10 % above.
        polygons: ``[G, S]`` mean curve of each polygon.
    """

    title: str
    days: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    polygons: np.ndarray


@dataclass
class Curves:
    """What the report shows of the series.

    Attributes:
        curves: NDVI and VH, where the sensors have them.
        polygons: ``[G]`` features that the rows of ``Curve.polygons`` are.
        labels: ``[G]`` their classes.
        suspect: ``[G]`` whether the curve is unlike the class.
        nearest: ``[G]`` the other class whose usual curve is nearest, -1 where there is none.
        distance: ``[G]`` to its own class's usual curve, in standard deviations of the step.
        months: sensor -> month (``2021-05``) -> mean number of valid dates of a sample.
    """

    curves: list[Curve]
    polygons: np.ndarray
    labels: np.ndarray
    suspect: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    months: dict[str, dict[str, float]] = field(default_factory=dict)


def measure_curves(store: SampleStore, progress: Progress) -> Curves:
    """Mean curves by class and by polygon from up to 20 pixels of each polygon, of all parts.

    Nothing is left out because of what is found here.
    """
    pairs, polygon = np.unique(np.stack([store.polygons, store.labels], 1), axis=0, return_inverse=True)
    polygon = polygon.reshape(-1)
    keys = pixel_keys(np.arange(len(store)), 0)
    chosen = np.flatnonzero(ranks(polygon, keys) < PER_POLYGON)
    labels = pairs[:, 1]
    steps = {spec.name: _steps(spec) for spec in store.specs.values() if spec.kind != STATIC and spec.days}
    quantities = _quantities(store.specs)
    series = {name: np.full((len(chosen), len(steps[name][1])), np.nan, np.float32) for name in quantities}
    valid = {name: np.zeros(len(store.specs[name].days)) for name in steps}
    for start in range(0, len(chosen), BATCH):
        if start % (8 * BATCH) == 0:
            store.release_pages()
        progress.check()
        progress.percent(100 * start / len(chosen))
        part = slice(start, start + BATCH)
        batch = store.batch(chosen[part], 0, list(steps))
        for name, (step, middle) in steps.items():
            valid[name] += batch[name].mask[:, :, 0, 0].sum(axis=0)
            if name in quantities:
                series[name][part] = _by_step(*quantity(store.specs[name], batch[name]), step, middle)
    curves = []
    for name, title in quantities.items():
        curves.append(
            _curve(
                title,
                steps[name][1],
                series[name],
                store.labels[chosen],
                polygon[chosen],
                len(store.nomenclature),
                len(pairs),
            )
        )
    months = {name: _by_month(store.specs[name], valid[name] / max(len(chosen), 1)) for name in steps}
    suspect, nearest, distance = find_suspects([one.polygons for one in curves], labels, len(store.nomenclature))
    return Curves(curves, pairs[:, 0], labels, suspect, nearest, distance, months)


def find_suspects(
    curves: list[np.ndarray], labels: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Polygons that lie far from the usual curve of their class and nearer to that of another.

    The usual curve is the median over the polygons of a class. The distance is the root mean square of the difference
    over the steps that both have, each step divided by its standard deviation over all polygons. A polygon is suspect
    when its distance exceeds the median of its class by three times the class's median absolute deviation (scaled by
    1.4826 to a standard deviation) and the curve of another class is nearer. Classes with fewer than five polygons
    suspect nobody.

    Args:
        curves: for each quantity ``[G, S]``, NaN where unknown.
        labels: ``[G]`` class indices.
        n_classes: K.

    Returns:
        suspect ``[G]``, nearest other class ``[G]`` (-1 for none), distance to the own class ``[G]``.
    """
    n = len(labels)
    suspect, nearest, own = np.zeros(n, bool), np.full(n, -1), np.full(n, np.nan)
    if not curves or not n:
        return suspect, nearest, own
    joined = np.concatenate(curves, axis=1)
    with np.errstate(all="ignore"):
        spread = _quiet(np.nanstd, joined)
        joined = joined / np.where(spread > 1e-6, spread, np.inf)
        distances = np.full((n, n_classes), np.inf)
        for label in np.unique(labels):
            usual = _quiet(np.nanmedian, joined[labels == label])
            difference = np.square(joined - usual)
            known = np.isfinite(difference)
            enough = known.sum(axis=1) > 0
            mean = np.where(known, difference, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
            distances[enough, label] = np.sqrt(mean[enough])
    own = distances[np.arange(n), labels]
    others = distances.copy()
    others[np.arange(n), labels] = np.inf
    known = np.isfinite(others).any(axis=1)
    nearest[known] = np.argmin(others[known], axis=1)
    for label in np.unique(labels):
        members = np.flatnonzero((labels == label) & np.isfinite(own))
        if len(members) < FEWEST_POLYGONS:
            continue
        middle = np.median(own[members])
        deviation = 1.4826 * np.median(np.abs(own[members] - middle))
        far = own[members] > middle + LIMIT * max(deviation, 0.05)
        suspect[members] = far & (others[members].min(axis=1) < own[members])
    return suspect, nearest, np.where(np.isfinite(own), own, np.nan)


def to_decibel(values: np.ndarray, unit: str) -> np.ndarray:
    """Decibel from ``power``, ``amplitude`` or ``db``, -35 at least."""
    if unit == "db":
        return np.maximum(values, FLOOR_DB)
    factor = 20.0 if unit == "amplitude" else 10.0
    return factor * np.log10(np.maximum(values, 10.0 ** (FLOOR_DB / factor)))


def _quantities(specs: dict[str, SensorSpec]) -> dict[str, str]:
    """The sensors that give NDVI and VH, one each: of several the one with most dates."""
    found = {}
    for _kind, _roles, title in QUANTITIES:
        able = [spec for spec in specs.values() if quantity_title(spec) == title]
        if able:
            best = max(able, key=lambda spec: len(spec.days))
            found[best.name] = title if len(able) == 1 else f"{title}, {best.name}"
    return found


def quantity_title(spec: SensorSpec) -> str:
    """What :func:`quantity` gives of a sensor: ``NDVI``, ``VH (dB)``, or empty text where it has no such bands."""
    for kind, roles, title in QUANTITIES:
        if spec.kind == kind and spec.days and all(find_role(spec.bands, role) is not None for role in roles):
            return title
    return ""


def quantity(spec: SensorSpec, series: Series) -> tuple[np.ndarray, np.ndarray]:
    """NDVI or VH in dB ``[B, T]`` of centre pixels, and validity ``[B, T]``; for sensors with a title."""

    def band(role: str) -> np.ndarray:
        position = find_role(spec.bands, role)
        if position is None:
            raise LandloomError(
                tr("Sensor {spec} has no band for {role}: its bands are {bands}.").format(
                    spec=spec.name, role=role, bands=", ".join(spec.bands)
                )
            )
        return series.values[:, :, position, 0, 0].astype(np.float32) * spec.scale + spec.offset

    mask = series.mask[:, :, 0, 0]
    if spec.kind == OPTICAL:
        red, nir = np.maximum(band("RED"), 0), np.maximum(band("NIR"), 0)
        return normalised_difference(nir, red), mask
    return to_decibel(band("VH"), spec.unit), mask


def _steps(spec: SensorSpec) -> tuple[np.ndarray, np.ndarray]:
    """The step of each date, and the middle day of each step that has dates."""
    number = np.floor_divide(np.array(spec.days), STEP)
    distinct, step = np.unique(number, return_inverse=True)
    return step.reshape(-1), distinct * STEP + (STEP - 1) / 2


def _by_step(values: np.ndarray, mask: np.ndarray, step: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Means ``[B, S]`` of the valid dates of each step, NaN where there is none."""
    belongs = (step[:, None] == np.arange(len(middle))).astype(np.float32)
    total, count = np.where(mask, values, 0).astype(np.float32) @ belongs, mask.astype(np.float32) @ belongs
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _curve(
    title: str,
    days: np.ndarray,
    series: np.ndarray,
    labels: np.ndarray,
    polygon: np.ndarray,
    n_classes: int,
    n_polygons: int,
) -> Curve:
    mean, low, high = (np.full((n_classes, len(days)), np.nan) for _ in range(3))
    for label in np.unique(labels):
        own = series[labels == label]
        mean[label] = _quiet(np.nanmean, own)
        low[label], high[label] = _quiet(lambda a, axis: np.nanpercentile(a, (10, 90), axis=axis), own)
    known = np.isfinite(series)
    totals, counts = np.zeros((n_polygons, len(days))), np.zeros((n_polygons, len(days)))
    np.add.at(totals, polygon, np.where(known, series, 0))
    np.add.at(counts, polygon, known)
    polygons = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan).astype(np.float32)
    return Curve(title, days, mean, low, high, polygons)


def _by_month(spec: SensorSpec, share: np.ndarray) -> dict[str, float]:
    months: dict[str, float] = {}
    for date, value in zip(spec.dates, share, strict=True):
        months[date[:7]] = months.get(date[:7], 0.0) + float(value)
    return dict(sorted(months.items()))


def _quiet(function, values: np.ndarray) -> np.ndarray:  # noqa: ANN001
    """A NaN-aware statistic over the rows, without the warning that a column has none."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(values, axis=0)
