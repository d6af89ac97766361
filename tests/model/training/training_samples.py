"""Small sample stores whose classes differ in the time of their peak, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FIELD, HALO = 3, 2
SIDE = FIELD + 2 * HALO
S2_DAYS = (5, 30, 62, 95, 131, 160)
S1_DAYS = (2, 50, 98, 146)
PEAKS = (20.0, 70.0, 140.0, 100.0)


def specs(year: int = 2021) -> dict:
    from landloom.model.stack.sensors import SensorSpec

    def iso(day: int) -> str:
        return str(np.datetime64(f"{year}-01-01") + np.timedelta64(day, "D"))

    s2, s1 = (tuple(map(iso, days)) for days in (S2_DAYS, S1_DAYS))
    bands = ("B3", "B4", "B8")
    return {
        "S2": SensorSpec("S2", "optical", bands, s2, S2_DAYS, "int16", 1e-4, 0.0, -10000, "reflectance"),
        "S1_ASC": SensorSpec("S1_ASC", "radar", ("VV", "VH"), s1, S1_DAYS, "float32", 1.0, 0.0, 0, "power", "sigma0"),
    }


def nomenclature(codes=(1, 2, 3), names=("mil", "forêt", "eau", "coton")):
    from landloom.model.base.nomenclature import LandCoverClass, Nomenclature, default_color

    return Nomenclature(
        tuple(LandCoverClass(code, names[k], default_color(names[k], k)) for k, code in enumerate(codes))
    )


def values(labels: np.ndarray, random: np.random.Generator, noise: float = 1.0) -> dict:
    """Sensor -> (values [n, T, C], mask [n, T]) of pixels."""
    peak = np.array(PEAKS)[labels] + random.normal(0, 6, len(labels))
    green = np.exp(-(((np.array(S2_DAYS)[None] - peak[:, None]) / 35) ** 2))
    bands = np.stack([900 + 300 * green, 1100 - 600 * green, 1800 + 2200 * green], axis=2)
    optical = np.clip(bands + random.normal(0, 120 * noise, bands.shape), 1, 10000).round().astype(np.int16)
    mask = random.random(green.shape) > 0.25
    back = np.exp(-(((np.array(S1_DAYS)[None] - peak[:, None]) / 45) ** 2))
    power = np.stack([0.08 + 0.06 * back, 0.012 + 0.02 * back], axis=2)
    radar = (power * random.gamma(12, 1 / 12, power.shape)).astype(np.float32)
    return {"S2": (optical, mask), "S1_ASC": (radar, np.ones(back.shape, bool))}


def make_store(groups: int = 12, pixels: int = 5, classes: int = 3, seed: int = 0, noise: float = 1.0, **changes):
    """A store in memory, ``groups`` a class of ``pixels`` each."""
    from landloom.model.samples.store import SampleStore

    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(groups * classes), pixels)
    labels = owner % classes
    given = {
        "series": values(labels, random, noise),
        "specs": specs(),
        "labels": labels,
        "nomenclature": nomenclature(tuple(range(1, classes + 1))),
        "groups": owner,
        "season": ("01-01", 2021),
        "seed": seed,
    }
    return SampleStore.from_arrays(**{**given, **changes})


def write_folder(
    folder: Path, groups: int = 8, codes=(1, 2, 3), seed: int = 0, year: int = 2021, origin: float = 500000.0
) -> Path:
    """A sample folder as extractsamples makes: one chip of 3 x 3 labelled pixels and 2 of context a group."""
    from landloom.model.samples.splits import split_groups, stratified_group_folds
    from landloom.model.samples.store import SAMPLE
    from landloom.model.samples.writer import SampleWriter, chip_table
    from landloom.model.stack.sensors import Series
    from osgeo import osr

    random = np.random.default_rng(seed)
    classes, count = len(codes), groups * len(codes)
    chips = chip_table([(k * SIDE, 0, SIDE, SIDE) for k in range(count)])
    samples = np.zeros(count * FIELD**2, SAMPLE)
    owner = np.repeat(np.arange(count), FIELD**2)
    inner = np.tile(np.arange(FIELD**2), count)
    samples["chip"] = samples["group"] = samples["polygon"] = owner
    samples["row"], samples["column"] = HALO + inner // FIELD, HALO + inner % FIELD
    samples["label"] = owner % classes
    samples["x"], samples["y"] = origin + 10 * (owner * SIDE + samples["column"]), 8e6 - 10 * samples["row"]
    samples["split"] = split_groups(samples["label"], owner, seed=seed)
    samples["fold"] = stratified_group_folds(samples["label"], owner, 3, seed)
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(32736)
    folder.mkdir(parents=True)
    sensors = specs(year)
    with SampleWriter(folder, sensors, count * SIDE**2) as writer:
        for chip in range(count):
            label = (1, 2, 3, 4).index(codes[chip % classes]) if max(codes) < 5 else chip % classes
            pixels = values(np.full(SIDE**2, label), random)
            series = {}
            for name, (own, mask) in pixels.items():
                shaped = own.reshape(SIDE, SIDE, *own.shape[1:]).transpose(2, 3, 0, 1)[None]
                days = np.array(sensors[name].days, np.int32)
                series[name] = Series(shaped, mask.reshape(SIDE, SIDE, -1).transpose(2, 0, 1)[None], days)
            writer.append(series, slice(0, SIDE), slice(0, SIDE))
        names = tuple(("mil", "forêt", "eau", "coton")[code - 1] if code < 5 else f"class {code}" for code in codes)
        writer.finish(
            chips, samples, nomenclature(codes, names), ("01-01", year), HALO, crs.ExportToWkt(), {"seed": seed}
        )
    return folder
