"""The figures of a comparison as JSON and CSV, under the names that ``docs/compare.md`` describes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..base.csvtext import csv_text
from ..base.files import write_json, write_text
from ..base.intervals import SCORES, Interval, holm
from .compare import Comparison
from .comparescores import LEVELS, Gain, Judgement
from .comparesettings import Configuration

FORMAT, VERSION = "landloom-comparison", 1
TILE = 10_980**2  # pixels of a Sentinel-2 tile at 10 m
GAINS, CLASSES = "_gains", "_classes"  # of the names of the CSV files


def tables_beside(table: str | os.PathLike[str]) -> list[Path]:
    """The CSV files beside the JSON: scores, gains, classes."""
    path = Path(table)
    return [path.with_name(f"{path.stem}{suffix}.csv") for suffix in ("", GAINS, CLASSES)]


def write_tables(result: Comparison, table: str | os.PathLike[str], provenance: dict[str, Any] | None = None) -> None:
    """Write the JSON and the CSV files, each whole or not at all."""
    scores_file, gains_file, classes_file = tables_beside(table)
    content = to_json(result)
    if provenance is not None:
        content["provenance"] = provenance
    write_text(scores_file, _csv(_score_rows(result)))
    write_text(gains_file, _csv(_gain_rows(result)))
    write_text(classes_file, _csv(_class_rows(result)))
    write_json(table, content)


def to_json(result: Comparison) -> dict[str, Any]:
    """All figures; undefined ones are None."""
    return plain(
        {
            "format": FORMAT,
            "version": VERSION,
            "settings": result.settings.to_json(),
            "classes": result.nomenclature.to_json(),
            "sensor_sets": ["+".join(names) for names in result.sets],
            "judged": result.counts,
            "trainings_per_run": len(result.splits) // result.settings.runs,
            "test_to_training": float(np.mean([split.ratio for split in result.splits])),
            "configurations": [_configuration(result, one) for one in result.configurations],
            "gains": [_gain(one, p) for one, p in gains(result)],
            "sensor_gains": [_gain(one, p) for one, p in sensor_gains(result)],
            "maps": [_map(result, key) for key in result.map_levels],
            "map_gains": [_gain(one, p) for one, p in map_gains(result)],
            "learning_curve": [curve.to_json("share") for curve in result.learning],
            "season_curve": [curve.to_json("until", result.season_dates) for curve in result.season],
            "season_within_2_points": [
                {
                    "configuration": curve.configuration.key,
                    **{
                        score: None if place is None else result.season_dates[place]
                        for score in SCORES
                        for place in [curve.near_full(score)]
                    },
                }
                for curve in result.season
            ],
            "warnings": list(result.warnings),
        }
    )


def gains(result: Comparison) -> list[tuple[Gain, float]]:
    """What each network gains over the better forest of its sensors, and p corrected for the number of networks."""
    found = []
    for level in LEVELS:
        for score in SCORES:
            found += _corrected([result.gain(one, level, score) for one in networks(result)])
    return found


def sensor_gains(result: Comparison) -> list[tuple[Gain, float]]:
    """What all sensors gain over fewer, by classifier."""
    pairs = [
        (Configuration(name, result.together), Configuration(name, sensors))
        for name in dict.fromkeys(one.name for one in result.configurations)
        for sensors in result.sets
        if set(sensors) < set(result.together)
    ]
    found = []
    for level in LEVELS:
        for score in SCORES:
            found += _corrected([result.levels[level].gain(more.key, fewer.key, score) for more, fewer in pairs])
    return found


def map_gains(result: Comparison) -> list[tuple[Gain, float]]:
    """What maps gain over the better forest, and the networks over the maps, where the maps have data."""
    found = []
    wide = [one for one in result.configurations if one.sensors == result.together]
    for level in LEVELS:
        for score in SCORES:
            own = []
            for key, levels in result.map_levels.items():
                judged = levels.get(level)
                if judged is None:
                    continue
                own.append(judged.gain(key, judged.better([one.key for one in wide if one.is_forest], score), score))
                own += [judged.gain(one.key, key, score) for one in wide if not one.is_forest]
            found += _corrected(own)
    return found


def networks(result: Comparison) -> list[Configuration]:
    """What is not a forest."""
    return [one for one in result.configurations if not one.is_forest]


def hours_a_tile(seconds_per_pixel: float) -> float:
    """Hours for the pixels of a Sentinel-2 tile, by the time of a small window: an extrapolation, without reading."""
    return seconds_per_pixel * TILE / 3600


def plain(value: Any) -> Any:
    """The value as JSON holds it: no numpy, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _corrected(found: list[Gain]) -> list[tuple[Gain, float]]:
    p = holm({place: one.told.p for place, one in enumerate(found)})
    return [(one, p[place]) for place, one in enumerate(found)]


def _gain(one: Gain, p: float) -> dict[str, Any]:
    return {**one.to_json(), "p_holm": p}


def _configuration(result: Comparison, one: Configuration) -> dict[str, Any]:
    facts = result.facts[one.key]
    seconds = facts.get("seconds_per_pixel")
    return {
        "key": one.key,
        "classifier": one.name,
        "sensors": list(one.sensors),
        **{level: _judged(result, result.levels[level], one.key) for level in LEVELS},
        "seconds_a_training": facts["seconds_training"],
        "parameters": facts.get("parameters"),
        "nodes": facts.get("nodes"),
        "mflop_per_pixel": facts.get("mflop_per_pixel"),
        "mapping_microseconds_per_pixel": None if seconds is None else seconds * 1e6,
        "hours_per_sentinel2_tile_extrapolated": None if seconds is None else hours_a_tile(seconds),
        "device": facts.get("device"),
    }


def _map(result: Comparison, key: str) -> dict[str, Any]:
    source = next(one for one in result.maps if one.key == key)
    return {
        "key": key,
        "path": source.path,
        "matched": {
            str(value): {"code": int(result.nomenclature.codes[index]), "by": how}
            for value, (index, how) in source.matched.items()
        },
        "unknown_values": {str(value): count for value, count in source.unknown.items()},
        "samples_without_data": source.missing,
        **{level: _judged(result, judged, key) for level, judged in result.map_levels[key].items()},
    }


def _judged(result: Comparison, judged: Judgement, key: str) -> dict[str, Any]:
    found = judged.scores[key]
    classes = judged.by_class(key)
    return {
        **{
            score: {
                **_spread(found[score]),
                "runs": found[score].tolist(),
                "interval": judged.interval(key, score).to_json(),
            }
            for score in SCORES
        },
        "classes": [
            {
                "code": int(result.nomenclature.codes[k]),
                "name": name,
                "count": float(found["support"][:, k].mean()),
                **{score: _mean(found[score][:, k]) for score in ("precision", "recall", "f1")},
                "f1_interval": classes[k].to_json(),
            }
            for k, name in enumerate(result.nomenclature.names)
        ],
        "confusion": judged.matrix(key).tolist(),
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    """Mean, standard deviation, lowest and highest of the runs; a spread, no interval."""
    known = values[np.isfinite(values)]
    if not len(known):
        return dict.fromkeys(("mean", "std", "lowest", "highest"), float("nan"))
    return {
        "mean": float(known.mean()),
        "std": float(known.std(ddof=1)) if len(known) > 1 else float("nan"),
        "lowest": float(known.min()),
        "highest": float(known.max()),
    }


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


# ---------------------------------------------------------------------- CSV


def _csv(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    cells = ([plain(row)[name] for name in rows[0]] for row in rows)
    return csv_text([list(rows[0]), *(["" if cell is None else cell for cell in row] for row in cells)])


def _everything(result: Comparison) -> list[tuple[str, str, str, Judgement]]:
    """Key, classifier and sensors of configurations and maps, with their judgement at each level."""
    own = [
        (one.key, one.name, one.sensor_text, result.levels[level]) for level in LEVELS for one in result.configurations
    ]
    maps = [(key, key, "", judged) for key, levels in result.map_levels.items() for judged in levels.values()]
    return own + maps


def _ends(interval: Interval) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high}


def _score_rows(result: Comparison) -> list[dict[str, Any]]:
    rows = []
    for key, name, sensors, judged in _everything(result):
        facts = result.facts.get(key, {})
        for score in SCORES:
            interval = judged.interval(key, score)
            rows.append(
                {
                    "classifier": name,
                    "sensors": sensors,
                    "level": judged.unit.level,
                    "score": score,
                    **_spread(judged.scores[key][score]),
                    **_ends(interval),
                    "groups": interval.n,
                    "runs": len(judged.scores[key][score]),
                    "seconds_a_training": facts.get("seconds_training"),
                    "microseconds_per_pixel": facts["seconds_per_pixel"] * 1e6
                    if "seconds_per_pixel" in facts
                    else None,
                    "parameters": facts.get("parameters"),
                    "mflop_per_pixel": facts.get("mflop_per_pixel"),
                }
            )
    return rows


def _gain_rows(result: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "kind": kind,
            "of": one.of,
            "over": one.over,
            "level": one.level,
            "score": one.score,
            "gain": one.told.estimate,
            **_ends(one.told),
            "p": one.told.p,
            "p_holm": p,
            "bootstrap_low": one.bootstrap.low,
            "bootstrap_high": one.bootstrap.high,
            "bootstrap_p": one.bootstrap.p,
            "corrected_t_low": one.corrected.low,
            "corrected_t_high": one.corrected.high,
            "corrected_t_p": one.corrected.p,
            "groups": one.bootstrap.n,
            "splits": one.corrected.n,
        }
        for kind, found in (
            ("network over better forest", gains(result)),
            ("more sensors over fewer", sensor_gains(result)),
            ("map", map_gains(result)),
        )
        for one, p in found
    ]


def _class_rows(result: Comparison) -> list[dict[str, Any]]:
    rows = []
    for key, name, sensors, judged in _everything(result):
        found, intervals = judged.scores[key], judged.by_class(key)
        for k, one in enumerate(result.nomenclature):
            rows.append(
                {
                    "classifier": name,
                    "sensors": sensors,
                    "level": judged.unit.level,
                    "code": one.code,
                    "name": one.name,
                    "count": float(found["support"][:, k].mean()),
                    "precision": _mean(found["precision"][:, k]),
                    "recall": _mean(found["recall"][:, k]),
                    "f1": _mean(found["f1"][:, k]),
                    "f1_low": intervals[k].low,
                    "f1_high": intervals[k].high,
                }
            )
    return rows
