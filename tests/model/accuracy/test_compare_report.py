"""Protects what people and programs read of a comparison: sentences, safe pages, documented names."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from landloom.model.accuracy.comparereport import compare_and_write, write_report
from landloom.model.accuracy.comparescores import PIXEL, POLYGON, Judgement, Unit
from landloom.model.accuracy.comparesettings import CompareSettings
from landloom.model.accuracy.comparesplits import Split
from landloom.model.accuracy.comparetables import TILE, hours_a_tile, tables_beside, to_json
from landloom.model.accuracy.comparewords import chance, points, summary
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.training.folds import Parts

pytest.importorskip("torch")
pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import training_samples

HOSTILE = "<script>alert('x')</script> & \"maïs\""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A comparison of ltae on hostile class names, with both curves; the folder of its files."""
    store = training_samples.make_store(groups=9, noise=4)
    store.nomenclature = Nomenclature(
        tuple(LandCoverClass(code, name, "#336699") for code, name in ((1, HOSTILE), (2, "forêt"), (7, "eau")))
    )
    settings = CompareSettings(
        networks=("ltae",), runs=2, folds=2, epochs=2, device="cpu", sensor_sets=(("S2",), ("S1", "S2")),
        learning_curve=True, season_curve=True, season_dates=2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("rapport d'été")
    result = compare_and_write([store], settings, folder / "t.json", folder / "t.html")
    return result, folder


def test_the_page_is_well_formed_and_safe(written):
    _result, folder = written
    page = (folder / "t.html").read_text(encoding="utf-8")
    ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")])
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org/2000/svg", "")
    for words in (
        "In short", "Gain over the better forest", "Scores per pixel", "Scores per polygon", "All sensors against",
        "Classes per pixel", "Confusion matrix", "Cost", "extrapolated", "Learning curve", "How early in the season",
        "Nadeau", "t_gains.csv", "balanced classes", "no estimate of a map", "seed",
    ):  # fmt: skip
        assert words in page, words


def test_files_beside_and_their_names(written):
    result, folder = written
    assert sorted(path.name for path in folder.iterdir()) == [
        "t.csv", "t.html", "t.json", "t_classes.csv", "t_gains.csv",
    ]  # fmt: skip
    table = json.loads((folder / "t.json").read_text(encoding="utf-8"))
    assert table["format"] == "landloom-comparison" and table["judged"]["groups"] == 27
    one = next(own for own in table["configurations"] if own["key"] == "ltae S1+S2")
    assert set(one["pixel"]["macro_f1"]) == {"mean", "std", "lowest", "highest", "runs", "interval"}
    assert len(one["pixel"]["macro_f1"]["runs"]) == 2 and one["parameters"] > 1000 and one["mflop_per_pixel"] > 0
    assert one["hours_per_sentinel2_tile_extrapolated"] == pytest.approx(
        one["mapping_microseconds_per_pixel"] * 1e-6 * 10980**2 / 3600
    )
    assert [own["code"] for own in one["pixel"]["classes"]] == [1, 2, 7]
    gain = next(own for own in table["gains"] if own["of"] == "ltae S1+S2" and own["score"] == "kappa")
    assert gain["level"] == "pixel" and gain["over"] in ("randomforest S1+S2", "randomforest-balanced S1+S2")
    assert gain["p_holm"] >= gain["p"] == max(gain["bootstrap"]["p"], gain["corrected_t"]["p"])
    assert gain["low"] == min(gain["bootstrap"]["low"], gain["corrected_t"]["low"])
    for path, rows in zip(tables_beside(folder / "t.json"), (6 * 4 * 2, (2 + 3) * 4 * 2, 6 * 3 * 2), strict=True):
        with path.open(encoding="utf-8") as stream:
            assert len(list(csv.DictReader(stream))) == rows, path
    assert to_json(result)["gains"] == table["gains"]


def test_sentences_of_the_summary(written):
    result, _ = written
    told = summary(result)
    gain = result.gain(next(one for one in result.configurations if one.key == "ltae S1+S2"), PIXEL, "macro_f1")
    assert told[0].startswith("ltae with S1+S2 ") and points(gain.told.estimate) in told[0]
    assert f"[{points(gain.told.low)},\u00a0{points(gain.told.high)}]" in told[0]
    assert ("chance" in told[0]) and any(one.startswith("ltae: S1+S2 against S2 alone") for one in told)
    assert any("2 points of the full season" in one for one in told)


def test_numbers_in_words():
    assert points(0.0834) == "+8.3" and points(-0.01) == "-1.0" and points(0.5, sign=False) == "50.0"
    assert points(float("nan")) == "–" and chance(0.0004) == "<\u00a00.001" and chance(0.0456) == "0.046"
    assert hours_a_tile(3e-5) == pytest.approx(3e-5 * TILE / 3600) and TILE == 120_560_400


def test_a_report_without_networks_or_table(tmp_path):
    store = training_samples.make_store(groups=6)
    settings = CompareSettings(networks=(), runs=1, folds=2, sensor_sets=(("S2",),))
    result = compare_and_write([store], settings, report=tmp_path / "r.html")
    assert "The better forest" in summary(result)[0]
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    with pytest.raises(ValueError, match="neither"):
        compare_and_write([store], settings)
    write_report(tmp_path / "again.html", result, "figures.json")
    assert "figures_gains.csv" in (tmp_path / "again.html").read_text(encoding="utf-8")


def judgement(rows: dict[str, np.ndarray], reference: np.ndarray, groups: np.ndarray, evaluation="folds") -> Judgement:
    """By hand: two runs of two folds."""
    half = len(reference) // 2
    tests = [np.arange(half), np.arange(half, len(reference))]
    splits = [
        Split(run, fold, Parts(tests[1 - fold], tests[0][:0], tests[fold]), 1.0) for run in (0, 1) for fold in (0, 1)
    ]
    unit = Unit(PIXEL, reference, groups, np.arange(len(reference)))
    return Judgement.of(unit, 3, splits, evaluation, rows, 0, Progress())


def test_gain_and_its_two_methods_by_hand():
    """Overall accuracy 0.75 and 0.5 in both runs; the folds differ by 0.5, 0, 0.5, 0: mean 0.25, variance 1 / 12."""
    reference = np.array([0, 1, 0, 1, 0, 1, 0, 1])
    better = np.array([[0, 1, 0, 1, 0, 1, 1, 0]] * 2)
    worse = np.array([[0, 1, 1, 0, 0, 1, 1, 0]] * 2)
    found = judgement({"a": better, "b": worse}, reference, np.arange(8)).gain("a", "b", "overall_accuracy")
    assert found.told.estimate == pytest.approx(0.25)
    error = np.sqrt(1 / 12 * (1 / 4 + 1))
    assert found.corrected.n == 4
    assert found.corrected.high - 0.25 == pytest.approx(3.182446 * error, rel=1e-6)
    assert found.told.p == max(found.bootstrap.p, found.corrected.p)
    alone = judgement({"a": better, "b": worse}, reference, np.arange(8), "split").gain("a", "b", "overall_accuracy")
    assert alone.told == alone.bootstrap


def test_pixels_and_polygons_have_their_places():
    """Polygon 9 holds two classes and counts as two; predictions of a test come in the order of polygon and label."""
    pool = SimpleNamespace(labels=np.array([1, 0, 1, 0, 2]), polygons=np.array([9, 9, 3, 3, 5]))
    unit = Unit.polygons(pool, np.array([7, 7, 8, 8, 8]))
    assert unit.level == POLYGON
    assert unit.reference.tolist() == [0, 1, 2, 0, 1] and unit.groups.tolist() == [8, 8, 8, 7, 7]
    assert unit.place(np.array([4, 0])).tolist() == [2, 4]
