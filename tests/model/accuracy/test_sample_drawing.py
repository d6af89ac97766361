"""Protects samples: every pixel as likely as its probability says, one seed one sample, right estimates."""

from __future__ import annotations

from dataclasses import replace

import accuracy_data as data
import numpy as np
import pytest
from landloom.model.accuracy.estimators import Z95, estimate
from landloom.model.accuracy.mapreading import CategoricalMap
from landloom.model.accuracy.sampledesign import SampleSettings, draw, plan_sample, write_points
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from osgeo import ogr

NAMES = {1: "forest", 2: "maize", 3: "water"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A map of 80 x 90 pixels with a rare class and no data, and the truth, of which a fifth is mapped wrong."""
    random = np.random.default_rng(8)
    truth = np.kron(random.choice([1, 2, 3], (16, 18), p=[0.6, 0.34, 0.06]), np.ones((5, 5), int))
    wrong = random.random(truth.shape) < 0.2
    mapped = np.where(wrong, random.choice([1, 2, 3], truth.shape, p=[0.5, 0.45, 0.05]), truth)
    mapped[:, :3] = 0
    path = data.write_map(tmp_path_factory.mktemp("world") / "map.tif", mapped.astype(np.uint8), NAMES, nodata=0)
    return CategoricalMap(path), truth, mapped


def drawn(source, **settings):
    plan = plan_sample(source, SampleSettings(**settings), Progress())
    return plan, draw(source, plan, Progress())


def again(source, plan, seeds):
    """Further draws of a plan."""
    for seed in seeds:
        yield draw(source, replace(plan, settings=replace(plan.settings, seed=seed)), Progress())


def test_the_sample_is_what_the_plan_says(world):
    source, _, mapped = world
    plan, points = drawn(source, size=200, allocation="rare", least=40)
    assert plan.sizes.sum() == 200 and (plan.sizes >= 40).all()
    assert len(set(zip(points.rows, points.columns, strict=True))) == 200
    np.testing.assert_array_equal(mapped[points.rows, points.columns], np.array(plan.values)[points.stratum])
    np.testing.assert_array_equal(np.bincount(points.stratum), plan.sizes)
    np.testing.assert_allclose(plan.probabilities, plan.sizes / plan.pixels)


def test_one_seed_one_sample_whatever_the_memory(world):
    source, _, _ = world
    _, first = drawn(source, size=150, seed=3)
    _, second = drawn(source, size=150, seed=3, memory_mb=0.01)
    _, other = drawn(source, size=150, seed=4)
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.columns, second.columns)
    assert not np.array_equal(first.rows, other.rows)


def test_the_order_is_random(world):
    """The first points hold every class about as often as all do, and are not those of the map's top."""
    source, _, _ = world
    plan, points = drawn(source, size=600, allocation="equal")
    first = np.bincount(points.stratum[:200], minlength=3)
    assert (np.abs(first - plan.sizes / 3) < 25).all()
    assert abs(points.rows[:200].mean() - points.rows.mean()) < 6


def test_every_pixel_is_as_likely_as_its_probability(world):
    source, _, mapped = world
    hits = np.zeros(mapped.shape)
    plan, _ = drawn(source, size=600, allocation="equal")
    for points in again(source, plan, range(300)):
        hits[points.rows, points.columns] += 1
    assert not hits[mapped == 0].any()
    for h, value in enumerate(plan.values):
        own = hits[mapped == value]
        expected = 300 * plan.probabilities[h]
        assert own.mean() == pytest.approx(expected)
        # The variance of a binomial count, without replacement.
        assert own.var() == pytest.approx(expected * (1 - plan.probabilities[h]), rel=0.12)
        # No place is preferred: halves of the map by rows and by columns.
        for half in (hits[:40][mapped[:40] == value], hits[:, :45][mapped[:, :45] == value]):
            assert half.mean() == pytest.approx(expected, abs=5 * np.sqrt(expected / half.size))


@pytest.mark.parametrize("allocation", ["rare", "neyman", "proportional", "equal"])
def test_estimates_of_many_samples_are_right(world, allocation):
    """The truth is known: no bias, and 95 % intervals that cover it about so often."""
    source, truth, mapped = world
    inside = mapped > 0
    overall = (truth == mapped)[inside].mean()
    area = (truth == 2)[inside].mean()
    found = []
    plan, _ = drawn(source, size=240, allocation=allocation, least=50)
    for points in again(source, plan, range(150)):
        reference = truth[points.rows, points.columns] - 1
        one = estimate(reference, points.stratum, 3, points.stratum, plan.pixels)
        found.append((one.overall.value, one.overall.error, one.shares[1].value, one.shares[1].error))
    accuracy, accuracy_error, share, share_error = np.array(found).T
    for values, errors, true in ((accuracy, accuracy_error, overall), (share, share_error, area)):
        assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(len(values))
        assert 0.89 <= np.mean(np.abs(values - true) <= Z95 * errors) <= 0.99
        assert errors.mean() == pytest.approx(values.std(), rel=0.2)


def test_the_expected_error_is_met_where_the_guess_is_right(world):
    source, truth, mapped = world
    users = "; ".join(f"{v}={(truth == mapped)[mapped == v].mean():.6f}" for v in (1, 2, 3))
    plan, _ = drawn(source, target_error=0.02, allocation="neyman", expected_accuracy=users)
    assert plan.error <= 0.02
    values = []
    for points in again(source, plan, range(200)):
        reference = truth[points.rows, points.columns] - 1
        values.append(estimate(reference, points.stratum, 3, points.stratum, plan.pixels).overall.value)
    assert np.std(values) == pytest.approx(plan.error, rel=0.2)


def test_labelled_points_give_the_estimate_by_assess(world, tmp_path):
    """The whole way: points written, labelled in part (in their order), read by assess with this map or another."""
    source, truth, mapped = world
    plan, points = drawn(source, size=300, least=60)
    path = tmp_path / "points.gpkg"
    write_points(source, plan, points, path, Progress())
    dataset = ogr.Open(str(path), 1)
    layer = dataset.GetLayerByName("points")
    labelled = 240
    layer.StartTransaction()
    for number, feature in enumerate(layer):
        assert feature["point"] == number + 1 and feature["class"] is None
        if number < labelled:
            feature["class"] = NAMES[int(truth[points.rows[number], points.columns[number]])]
            layer.SetFeature(feature)
    layer.CommitTransaction()
    feature = layer = dataset = None
    fields = {"stratum_field": "stratum", "probability_field": "probability"}
    result = data.judged(source.path, f"{path}|layername=points", **fields)
    own = slice(0, labelled)
    expected = estimate(
        truth[points.rows[own], points.columns[own]] - 1, points.stratum[own], 3, points.stratum[own], plan.pixels
    )
    found = result.estimates
    assert found.overall.value == pytest.approx(expected.overall.value)
    assert found.overall.error == pytest.approx(expected.overall.error)
    assert [one.value for one in found.shares] == pytest.approx([one.value for one in expected.shares])
    assert result.design.unlabelled == 60 and "60 units" in " ".join(result.warnings)
    assert result.hectares == pytest.approx((mapped > 0).sum() * 0.01)
    # Another map of the same place: its classes are no strata any more.
    other = np.where(np.random.default_rng(1).random(mapped.shape) < 0.1, 2, mapped)
    other[mapped == 0] = 0
    second = data.write_map(tmp_path / "other.tif", other.astype(np.uint8), NAMES, nodata=0)
    judged = data.judged(second, f"{path}|layername=points", **fields).estimates
    expected = estimate(
        truth[points.rows[own], points.columns[own]] - 1,
        other[points.rows[own], points.columns[own]] - 1,
        3,
        points.stratum[own],
        plan.pixels,
    )
    assert judged.overall.value == pytest.approx(expected.overall.value)
    assert judged.users[1].error == pytest.approx(expected.users[1].error)


def test_cancelling_leaves_nothing(world, tmp_path):
    source, _, _ = world

    class Stopped(Progress):
        def is_cancelled(self):
            return True

    plan, points = drawn(source, size=200)
    for work in (
        lambda: plan_sample(source, SampleSettings(), Stopped()),
        lambda: draw(source, plan, Stopped()),
        lambda: write_points(source, plan, points, tmp_path / "points.gpkg", Stopped()),
    ):
        with pytest.raises(Cancelled):
            work()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_error": 0.0}, "TARGET_ERROR is 0"),
        ({"allocation": "best"}, "ALLOCATION is 'best'"),
        ({"size": -1}, "SIZE is -1"),
        ({"least": -1}, "MIN_PER_CLASS is -1"),
        ({"size": 10, "least": 50}, "SIZE 10 is too small"),
        ({"expected_accuracy": "good"}, "EXPECTED_ACCURACY 'good'"),
    ],
)
def test_refuses(world, settings, message):
    with pytest.raises(LandloomError, match=message):
        plan_sample(world[0], SampleSettings(**settings), Progress())


def test_refuses_a_map_that_changes_while_it_is_read(tmp_path):
    path = data.write_map(tmp_path / "map.tif", np.ones((20, 20), np.uint8))
    source = CategoricalMap(path)
    plan = plan_sample(source, SampleSettings(size=100), Progress())
    data.write_map(path, np.full((20, 20), 2, np.uint8))
    with pytest.raises(LandloomError, match="has changed"):
        draw(CategoricalMap(path), plan, Progress())
