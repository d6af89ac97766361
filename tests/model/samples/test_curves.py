"""Curves by class and suspect polygons."""

from __future__ import annotations

import numpy as np
import pytest
import samples_scene
from landloom.model.base.progress import Progress
from landloom.model.samples.curves import find_suspects, measure_curves, to_decibel
from landloom.model.samples.extraction import extract_samples
from landloom.model.samples.points import points_style
from landloom.model.samples.report import sample_report
from landloom.model.samples.settings import ExtractionSettings
from landloom.model.samples.store import SampleStore


def test_decibel():
    values = np.array([0.1, 1.0, 0.0, -1.0])
    assert to_decibel(values, "power").tolist() == [-10, 0, -35, -35]
    assert to_decibel(values, "amplitude") == pytest.approx([-20, 0, -35, -35])
    assert to_decibel(np.array([-50.0, -12.0]), "db").tolist() == [-35, -12]


def test_suspects_are_the_swapped_ones():
    rng = np.random.default_rng(0)
    usual = np.stack([np.linspace(0.1, 0.9, 12), np.linspace(0.9, 0.1, 12), np.full(12, 0.5)])
    truth = np.repeat([0, 1, 2], 40)
    curves = usual[truth] + rng.normal(0, 0.05, (120, 12))
    curves[rng.random(curves.shape) < 0.2] = np.nan
    labels = truth.copy()
    wrong = [3, 17, 50, 90]
    labels[wrong] = (labels[wrong] + 1) % 3
    suspect, nearest, distance = find_suspects([curves], labels, 3)
    assert set(wrong) <= set(np.flatnonzero(suspect))
    assert suspect.sum() <= len(wrong) + 1
    assert np.array_equal(nearest[wrong], truth[wrong])
    assert np.median(distance[wrong]) > 3 * np.median(np.delete(distance, wrong))


def test_small_classes_and_empty_curves_suspect_nobody():
    suspect, nearest, distance = find_suspects([], np.array([0, 1]), 2)
    assert not suspect.any() and (nearest == -1).all() and np.isnan(distance).all()
    curves = np.full((4, 3), np.nan)
    suspect, nearest, distance = find_suspects([curves], np.array([0, 0, 1, 1]), 2)
    assert not suspect.any() and np.isnan(distance).all()
    far = np.array([[0.0], [0.0], [9.0], [0.0]])
    assert not find_suspects([far], np.array([0, 0, 0, 1]), 2)[0].any()


@pytest.fixture(scope="module")
def extraction(field_stack, tmp_path_factory):
    """The scene with one field of water called forest."""
    fields = samples_scene.fields()
    water = next(i for i, one in enumerate(fields) if one[1]["crop"] == "eau")
    fields[water] = (fields[water][0], {**fields[water][1], "crop": "forêt"})
    folder = tmp_path_factory.mktemp("courbes")
    reference = samples_scene.write_layer(folder / "r.gpkg", fields)
    made = extract_samples(field_stack, reference, ExtractionSettings("crop"), folder / "s", Progress())
    return made, water + 1


def test_curves_of_the_scene(extraction):
    made, _ = extraction
    ndvi, vh = made.curves.curves
    assert [curve.title for curve in (ndvi, vh)] == ["NDVI", "VH (dB)"]
    # The scene's NDVI of maize peaks at 0.7 on 6 March, day 64.
    maize = ndvi.mean[made.nomenclature.names.index("maïs")]
    assert maize[np.argmin(np.abs(ndvi.days - 64))] == pytest.approx(0.7, abs=0.02)
    known = np.isfinite(ndvi.mean)
    assert known.any() and np.all(ndvi.low[known] <= ndvi.high[known])
    assert np.all(ndvi.low[2][known[2]] <= ndvi.mean[2][known[2]])
    water = vh.mean[made.nomenclature.names.index("eau")]
    assert np.nanmean(water) == pytest.approx(10 * np.log10(0.002), abs=1)
    assert set(made.curves.months["S2"]) == {"2021-01", "2021-02", "2021-03", "2021-04", "2021-05"}
    assert all(0.7 < value < 0.9 for value in made.curves.months["S2"].values())


def test_the_wrong_field_is_suspect_everywhere(extraction):
    made, fid = extraction
    assert made.curves.polygons[made.curves.suspect].tolist() == [fid]
    store = SampleStore.open(made.folder)
    assert set(store.polygons[store.suspect]) == {fid} and store.suspect.sum() == 64
    page = sample_report(made).html()
    assert "looks like" in page and "1 of 30 features" in page


def test_the_page_escapes_names(extraction):
    made, _ = extraction
    page = sample_report(made).html()
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    assert "eau" in page and "Valid dates by month" in page


def test_style_escapes_names():
    from xml.etree import ElementTree

    from landloom.model.base.nomenclature import LandCoverClass, Nomenclature

    style = points_style(Nomenclature((LandCoverClass(3, 'a <b> & "c"', "#0a0b0c"), LandCoverClass(9, "d", "#ffffff"))))
    root = ElementTree.fromstring(style.split("\n", 1)[1])
    assert [one.get("value") for one in root.iter("category")] == ["3", "9"]
    assert root.find(".//category").get("label") == 'a <b> & "c" (3)'


def test_no_bands_no_curves(field_stack, tmp_path_factory, make_stack):
    folder = tmp_path_factory.mktemp("sans")
    sensors = samples_scene.sensors()
    del sensors["S1_ASC"]
    sensors["S2"]["bands"] = ["B2", "B3"]
    stack = make_stack(folder / "s", sensors)
    reference = samples_scene.write_layer(folder / "r.gpkg", samples_scene.fields())
    made = extract_samples(stack, reference, ExtractionSettings("crop"), folder / "a", Progress())
    assert made.curves.curves == [] and not made.curves.suspect.any()
    assert "no curves are shown" in sample_report(made).html()
    assert measure_curves(SampleStore.open(folder / "a"), Progress()).months["S2"]
