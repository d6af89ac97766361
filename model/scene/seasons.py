"""The state of each unit of land through the year: leaf area, straw, standing water, burns; and the weather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .constants import CANOPIES, CANOPY_SD, EXTINCTION, LEAF_SD, ROUGHNESS_SD, Climate
from .landscape import Landscape
from .noise import stream, surface

YEAR = 366
TREE_UNITS = 24  # separate crowns are drawn from so many kinds of tree


@dataclass(frozen=True)
class Weather:
    """Daily weather of the scene: ``rain`` (mm), ``moisture`` of the top soil (0..1), ``green`` of grass (0..1)."""

    rain: np.ndarray
    moisture: np.ndarray
    green: np.ndarray


def weather(climate: Climate, seed: int) -> Weather:
    """Daily weather of a year, with one month of spin-up: wet and dry spells, soil moisture, green-up after rain."""
    rng = stream(seed, "weather")
    spin_up = 60
    days = np.arange(-spin_up, YEAR)
    if climate.name == "tropical":
        chance = climate.rain_base + climate.rain_amplitude * np.exp(-(((days - climate.cloud_peak) / 62.0) ** 2))
        dryness = np.full(len(days), 0.10)
    else:
        chance = climate.rain_base + climate.rain_amplitude * 0.5 * (1 + np.cos(2 * np.pi * (days - 20) / 365.0))
        dryness = 0.07 - 0.05 * np.cos(2 * np.pi * (days - 20) / 365.0)
    rain = np.zeros(len(days))
    wet = False
    for i, probability in enumerate(chance):
        wet = rng.random() < min(0.95, probability * (1.35 if wet else 0.8))
        rain[i] = rng.gamma(0.9, 11.0 if climate.name == "tropical" else 6.0) if wet else 0.0
    moisture, green = np.zeros(len(days)), np.zeros(len(days))
    store, growth = 0.2, 0.2
    warmth = np.ones(len(days)) if climate.name == "tropical" else 0.5 - 0.5 * np.cos(2 * np.pi * (days - 25) / 365.0)
    for i, fall in enumerate(rain):
        store = min(1.0, store * (1 - dryness[i]) + fall / 45.0)
        growth += (np.clip(1.6 * store, 0, 1) * (0.25 + 0.75 * warmth[i]) - growth) / 24.0
        moisture[i], green[i] = store, growth
    return Weather(rain[spin_up:], moisture[spin_up:], green[spin_up:])


@dataclass(frozen=True)
class Units:
    """What differs between parcels, drawn once; the last :data:`TREE_UNITS` units are tree crowns.

    ``[U]`` arrays: ``cover``, ``start`` and ``length`` (days added), ``vigour``, ``leaf`` ``[U, 3]``, ``burn_day``
    (or infinite), ``cut_day``, ``cuts`` ``[U, 3]``, ``rough`` and ``canopy`` (dB), ``soil`` (relative brightness),
    ``azimuth`` (0..1), ``weeds``, ``is_tree``.
    """

    cover: np.ndarray
    start: np.ndarray
    length: np.ndarray
    vigour: np.ndarray
    leaf: np.ndarray
    burn_day: np.ndarray
    cut_day: np.ndarray
    cuts: np.ndarray
    rough: np.ndarray
    canopy: np.ndarray
    soil: np.ndarray
    weeds: np.ndarray
    is_tree: np.ndarray


def draw_units(land: Landscape, climate: Climate, seed: int) -> Units:
    """Draw the random side of every parcel: sowing date, vigour, burning, cutting, roughness."""
    rng = stream(seed, "units")
    parcels = len(land.cover)
    count = parcels + TREE_UNITS
    forest = next(i for i, c in enumerate(climate.covers) if c.stratum == "forest")
    cover = np.concatenate([land.cover, np.full(TREE_UNITS, forest, np.int16)])
    is_tree = np.arange(count) >= parcels
    size = land.parcel.shape[0]
    local = surface(stream(seed, "sowing"), (size // 4 + 1, size // 4 + 1), 60, 3.0)
    at = np.clip(land.centre.astype(int) // 4, 0, local.shape[0] - 1)
    neighbours = np.concatenate([local[at[:, 0], at[:, 1]], np.zeros(TREE_UNITS)])
    start = climate.start_sd * (0.85 * rng.standard_normal(count) + 0.5 * neighbours)
    vigour = np.exp(climate.vigour_sd * rng.standard_normal(count))
    poor = rng.random(count) < climate.poor_share
    vigour[poor] *= rng.uniform(0.25, 0.6, poor.sum())
    leaf = np.array([c.leaf for c in climate.covers])[cover] + rng.normal(0, LEAF_SD, (count, 3))
    burnt = rng.random(count) < np.array([c.burn for c in climate.covers])[cover]
    early = rng.random(count) < 0.5  # fires before the rains, or after them
    burn_day = np.where(early, rng.uniform(0, 40, count), rng.uniform(255, 330, count))
    burn_day = np.where(burnt, burn_day, np.inf)
    return Units(
        cover, start, np.exp(climate.length_sd * rng.standard_normal(count)), vigour, leaf, burn_day,
        rng.uniform(0, 365, count), np.sort(rng.uniform(115, 300, (count, 3)), axis=1),
        rng.normal(0, ROUGHNESS_SD, count), rng.normal(0, CANOPY_SD, count), np.exp(rng.normal(0, 0.10, count)),
        rng.lognormal(0, 0.5, count), is_tree,
    )  # fmt: skip


@dataclass(frozen=True)
class State:
    """All units at one day; ``[U]`` arrays.

    ``lai`` leaf area; ``fresh`` 0..1, water content of what stands; ``dry`` share of dry plant matter, ``flood`` of
    standing water, ``burnt`` share of ash, each of the ground not under leaves; ``flower`` 0..1; ``tilled`` 0..1;
    ``cover_green`` share of the area under green leaves.
    """

    lai: np.ndarray
    fresh: np.ndarray
    dry: np.ndarray
    flood: np.ndarray
    burnt: np.ndarray
    flower: np.ndarray
    tilled: np.ndarray

    @property
    def cover_green(self) -> np.ndarray:
        return 1.0 - np.exp(-EXTINCTION * self.lai)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))


def state(units: Units, climate: Climate, sky: Weather, day: int) -> State:
    """Where every unit stands on a day: double-logistic seasons, green after rain, cuts, floods and burns."""
    count = len(units.cover)
    lai, fresh, flood, flower, tilled = (np.zeros(count, np.float64) for _ in range(5))
    base, rainfed, dry = (
        np.array([getattr(c, k) for c in climate.covers])[units.cover] for k in ("base", "rainfed", "dry")
    )
    green = sky.green[min(day, YEAR - 1)]
    lai += (base + rainfed * green * np.where(rainfed < 1, units.weeds, 1.0)) * units.vigour
    for index, cover in enumerate(climate.covers):
        here = np.flatnonzero((units.cover == index) & ~units.is_tree)
        for season in cover.seasons:
            start = season.start + units.start[here]
            end = start + (season.end - season.start) * units.length[here]
            rise, fall = _sigmoid((day - start) / season.rise), _sigmoid((day - end) / season.fall)
            growing = np.clip(rise - fall, 0.0, 1.0)
            ploughed = season.flood[0] - 5 if season.flood else -30.0
            weeding = 1.0 - 0.75 * _sigmoid((day - start - ploughed) / 5.0) * (1.0 - _sigmoid((day - end - 10) / 6.0))
            lai[here] = lai[here] * (weeding if cover.stratum == "farm" else 1.0)
            lai[here] += season.lai * units.vigour[here] * growing
            fresh[here] = np.maximum(fresh[here], rise * (1.0 - _sigmoid((day - end + 12) / (1.4 * season.fall))))
            age = day - end
            straw = season.straw * fall * np.where(age > 0, np.exp(-np.maximum(age, 0) / 80.0), 1.0)
            dry[here] = np.where(rise > 0.1, np.maximum(dry[here] * (0.4 + 0.6 * fall), straw), dry[here])
            tilled[here] = np.maximum(tilled[here], np.exp(-(((day - start + 28) / 14.0) ** 2)))
            if season.flood:
                wet = _sigmoid((day - start - season.flood[0]) / 3.0) * (
                    1.0 - _sigmoid((day - end - season.flood[1]) / 4.0)
                )
                flood[here] = np.maximum(flood[here], 0.92 * wet)
            if season.flower:
                first, length = season.flower
                flower[here] = np.exp(-(((day - start - first) / (length / 2.0)) ** 2))
        if cover.cut:
            grown = (day - units.cut_day[here]) % 365.0
            lai[here] += (
                4.6 * units.vigour[here] * _sigmoid((grown - 85) / 22.0) * (1 - 0.25 * _sigmoid((grown - 300) / 15.0))
            )
            dry[here] = np.maximum(dry[here] * 0.5, 0.75 * np.exp(-grown / 60.0))
            fresh[here] = _sigmoid((grown - 60) / 20.0)
        for k in range(cover.mown):
            age = day - units.cuts[here, k]
            lai[here] *= np.where(age >= 0, 1.0 - 0.75 * np.exp(-np.maximum(age, 0) / 22.0), 1.0)
    fresh = np.where(fresh > 0, fresh, np.clip(0.45 + 0.55 * green, 0, 1))
    burnt = np.zeros(count)
    since = day - units.burn_day
    after = since >= 0
    burnt[after] = 0.85 * np.exp(-since[after] / 45.0)
    lai[after] *= 1.0 - 0.85 * np.exp(-since[after] / 40.0)
    none = np.array([c.stratum in ("water", "built") for c in climate.covers])[units.cover] & ~units.is_tree
    tree_green = 3.4 + 0.6 * green
    lai = np.where(units.is_tree, tree_green * units.vigour, lai)
    return State(np.where(none, 0.25 * lai, lai), fresh, np.clip(dry, 0, 0.9), flood, burnt, flower, tilled)


def canopy_table(climate: Climate) -> np.ndarray:
    """``[covers, 4]``: VV, VH (dB) and extinctions, by cover."""
    rows = [CANOPIES[c.canopy] for c in climate.covers]
    return np.array([(r.vv, r.vh, r.extinction_vv, r.extinction_vh) for r in rows])
