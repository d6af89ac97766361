"""What the map tool shows of a pixel is what the reader reads, and what classify would say of it."""

import html
import re

import mapping_scene
import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.mapping.pixelseries import (
    ClassCurves,
    PixelSeries,
    SensorSeries,
    class_curves,
    pixel_at,
    pixel_charts,
    pixel_series,
)
from landloom.model.networks.modelfile import Model
from landloom.model.networks.predictor import Predictor
from landloom.model.samples.curves import Curve
from landloom.model.samples.store import SampleStore
from landloom.model.stack.grid import Window
from landloom.model.stack.manifest import Stack
from landloom.model.stack.reader import StackReader

DATES = ["2021-01-10", "2021-01-30", "2021-02-19", "2021-04-10"]


@pytest.fixture
def stack(make_stack, tmp_path):
    values = np.zeros((4, 2, 5, 6), np.int16)
    values[:, 0], values[:, 1] = 1000, np.array([2000, 3000, 9999, 4000])[:, None, None]  # red, near infrared
    mask = np.ones((4, 5, 6), bool)
    mask[2] = False
    mask[:, 0, 0] = False
    radar = np.full((2, 1, 5, 6), 0.01, np.float32)
    return make_stack(
        tmp_path,
        {
            "S2": {"values": values, "bands": ["B4", "B8"], "dates": DATES, "mask": mask, "scale": 0.0001},
            "S1_ASC": {"values": radar, "bands": ["VH"], "dates": DATES[:2], "kind": "radar"},
            "STATIC": {"values": values[:1], "bands": ["ALT", "SLP"], "dates": [""], "kind": "static"},
        },
    )


def test_a_pixel_has_its_values_masks_and_what_fills_the_gaps(stack) -> None:
    found = {one.sensor: one for one in pixel_series(stack, 3, 2).sensors}
    assert set(found) == {"S2", "S1_ASC"}  # static layers have no series
    s2 = found["S2"]
    assert s2.title == "NDVI" and s2.dates == tuple(DATES)
    assert s2.mask.tolist() == [True, True, False, True]
    ndvi = [1 / 3, 0.5, np.nan, 0.6]  # (2000 - 1000) / (2000 + 1000) ...
    assert s2.values[[0, 1, 3]] == pytest.approx([ndvi[0], ndvi[1], ndvi[3]], abs=1e-6)
    # The masked date is bridged: linear from 30 January to 10 April.
    assert s2.filled == pytest.approx(
        np.interp(s2.filled_days, s2.days[[0, 1, 3]], [ndvi[0], ndvi[1], ndvi[3]]), abs=1e-6
    )
    assert found["S1_ASC"].values == pytest.approx([-20, -20], abs=1e-4)  # 0.01 in decibel


def test_a_pixel_without_valid_date_has_nothing_filled(stack) -> None:
    s2 = pixel_series(stack, 0, 0).sensors[0]
    assert not s2.mask.any() and len(s2.filled) == 0
    assert pixel_charts(pixel_series(stack, 0, 0))


def test_a_place_becomes_the_pixel_that_holds_it(stack) -> None:
    read = Stack.read(stack)
    assert pixel_at(read, 500000.1, 7999999.9) == (0, 0)
    assert pixel_at(read, 500059.9, 7999950.1) == (5, 4)
    for x, y in ((499999, 7999999), (500060.1, 7999999), (500001, 8000001), (500001, 7999949)):
        with pytest.raises(LandloomError, match="outside the stack"):
            pixel_at(read, x, y)


def test_the_probabilities_are_those_that_classify_writes(mapping_stack, ltae_model, forest_model) -> None:
    for path in (forest_model, ltae_model):
        predictor = Predictor(Model.load(path), threads=1)
        with StackReader(mapping_stack) as reader:
            predictor.check_fits(reader.specs)
            expected = predictor.predict(reader.read(Window(60, 50, 8, 8)))
        found = pixel_series(mapping_stack, 63, 55, predictor)
        assert found.probabilities == pytest.approx(expected[0, :, 5, 3], abs=1e-5)
    assert pixel_series(mapping_stack, 2, 2, predictor).probabilities is None  # the empty corner


def test_the_charts_show_dates_as_dots_and_usual_curves_of_the_likeliest_classes(mapping_stack, forest_model) -> None:
    predictor = Predictor(Model.load(forest_model), threads=1)
    pixel = pixel_series(mapping_stack, 63, 55, predictor)
    with StackReader(mapping_stack) as reader:
        series = reader.read(Window(40, 40, 20, 20))
        specs = reader.specs
    arrays = {
        name: (one.values[0].transpose(2, 3, 0, 1).reshape(400, *one.values.shape[1:3]), one.mask[0].reshape(-1, 400).T)
        for name, one in series.items()
    }
    labels = mapping_scene.truth()[40:60, 40:60].ravel()
    store = SampleStore.from_arrays(arrays, specs, labels, mapping_scene.nomenclature(), np.arange(400))
    pictures = pixel_charts(pixel, class_curves(store, Progress()), first_day="2021-01-01")
    assert len(pictures) == 3
    best = pixel.nomenclature.names[int(pixel.probabilities.argmax())]
    assert f"usual: {html.escape(best)}" in pictures[0]
    assert "days from 2021-01-01" in pictures[0]
    dots = re.search(r'<path d="([^"]*)"', pictures[0])[1]
    assert dots.count("M") == int(pixel.sensors[0].mask.sum())  # each valid date stands alone


def test_without_a_model_the_classes_nearest_to_the_pixel_are_compared() -> None:
    days = np.array([0.0, 30.0, 60.0, 90.0])
    high = np.array([[0.2, 0.2, 0.2, 0.2], [0.3, 0.6, 0.8, 0.5], [0.3, 0.5, 0.7, 0.5], [np.nan] * 4])
    curve = Curve("NDVI", days, high, high - 0.1, high + 0.1, np.zeros((0, 4)))
    names = ("bare", "maize", "rice", "never seen")
    classes = tuple(LandCoverClass(k + 1, name, f"#00000{k}") for k, name in enumerate(names))
    curves = ClassCurves(Nomenclature(classes), {"NDVI": curve})
    mask = np.array([True, True, False, True])
    values = np.array([0.31, 0.6, 0.0, 0.5])  # maize; the cloud says nothing
    series = SensorSeries("S2", "NDVI", days, ("",) * 4, values, mask, np.zeros(0), np.zeros(0))
    pictures = pixel_charts(PixelSeries(0, 0, [series]), curves)
    assert "usual: maize" in pictures[0] and "usual: rice" in pictures[0]
    assert "usual: bare" not in pictures[0] and "never seen" not in pictures[0]
    clouded = SensorSeries("S2", "NDVI", days, ("",) * 4, values, ~mask & False, np.zeros(0), np.zeros(0))
    assert "usual" not in pixel_charts(PixelSeries(0, 0, [clouded]), curves)[0]
