"""Protects suggestions: uncertain places, unlike each other and apart, never where there is no data or a label."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.accuracy.suggest import SuggestionSettings, chosen_chunks, suggest
from landloom.model.accuracy.suggestchoice import choose, near, random_keys, uncertainty, unlikeness
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.mapping.chunks import Area
from landloom.model.samples.labelling import pixel_keys

sys.path.insert(0, str(Path(__file__).parents[1] / "mapping"))


def test_uncertainty_by_hand():
    shares = np.array([[0.5, 1.0, 0.25], [0.3, 0.0, 0.25], [0.2, 0.0, 0.25], [0.0, 0.0, 0.25]])
    np.testing.assert_allclose(uncertainty(shares, "margin"), [0.8, 0.0, 1.0])
    entropy = -(0.5 * np.log(0.5) + 0.3 * np.log(0.3) + 0.2 * np.log(0.2)) / np.log(4)
    np.testing.assert_allclose(uncertainty(shares, "entropy"), [entropy, 0.0, 1.0], atol=1e-6)
    assert uncertainty(np.ones((1, 3)), "margin").tolist() == [0, 0, 0]


def test_edges_are_unlike_their_neighbours():
    plane = np.zeros((2, 8, 8))
    plane[0, :, 4:] = 1.0
    found = unlikeness(plane)
    assert found.shape == (6, 6)
    # at the edge three of eight neighbours differ by 1
    np.testing.assert_allclose(found, np.tile([0, 0, 3 / 8, 3 / 8, 0, 0], (6, 1)))


def test_the_reservoir_is_a_weighted_sample_without_replacement():
    """Against numpy's own: how often each of five is among the two drawn."""
    weights = np.array([1.0, 2.0, 4.0, 0.0, 8.0])
    draws = np.zeros(5)
    for seed in range(6000):
        keys = random_keys(pixel_keys(np.arange(5), seed), weights)
        draws[np.argsort(-keys)[:2]] += 1
    random, expected = np.random.default_rng(0), np.zeros(5)
    for _ in range(6000):
        expected[random.choice(5, 2, replace=False, p=weights / weights.sum())] += 1
    np.testing.assert_allclose(draws / 6000, expected / 6000, atol=0.03)


def test_uncertain_and_diverse_places_are_preferred():
    random = np.random.default_rng(1)
    kinds = np.repeat([0, 1, 2, 3], 250)
    centres = np.array([[0, 0], [6, 0], [0, 6], [6, 6]], float)
    descriptors = centres[kinds] + random.normal(0, 0.1, (1000, 2))
    unsure = np.where(kinds < 3, 0.9, 0.05)  # of the fourth kind the model is sure
    places = random.uniform(0, 1e5, (1000, 2))
    chosen = choose(descriptors, unsure**2, places, 12, 50, 0)
    counts = np.bincount(kinds[chosen], minlength=4)
    assert (counts[:3] >= 2).all() and counts[3] <= 1
    # the first three are one of each kind
    assert len(set(kinds[chosen[:3]])) == 3


def test_no_two_are_nearer_than_the_distance_and_few_places_give_few():
    random = np.random.default_rng(2)
    places = random.uniform(0, 1000, (500, 2))
    chosen = choose(random.normal(size=(500, 3)), np.ones(500), places, 30, 150, 5)
    gaps = np.linalg.norm(places[chosen][:, None] - places[chosen][None], axis=2)[np.triu_indices(len(chosen), 1)]
    assert gaps.min() >= 150
    assert 10 < len(chosen) <= 30
    assert len(choose(np.zeros((500, 3)), np.ones(500), places, 400, 150, 5)) < 60
    assert len(choose(np.zeros((3, 2)), np.zeros(3), np.zeros((3, 2)), 2, 0, 0)) == 0
    assert near(places, places[:1], 10)[0]


def test_squares_are_spread_and_bounded():
    area = Area(0, 0, 64 * 40, 64 * 30)
    chunks = chosen_chunks(area, None, 64 * 64 * 100, 3)
    assert 50 <= len(chunks) <= 100 and len({(c.row, c.column) for c in chunks}) == len(chunks)
    assert chunks == chosen_chunks(area, None, 64 * 64 * 100, 3) != chosen_chunks(area, None, 64 * 64 * 100, 4)
    quarters = np.bincount([(c.row >= 64 * 15) * 2 + (c.column >= 64 * 20) for c in chunks], minlength=4)
    assert quarters.min() >= len(chunks) / 4 - 6
    assert len(chosen_chunks(area, None, 0, 3)) == 1200


SETTINGS = SuggestionSettings(count=12, distance=60, seed=1)


@pytest.fixture(scope="module")
def suggestions(mapping_scene_files):
    stack, model, _scene = mapping_scene_files
    return suggest(stack, model, SETTINGS, threads=1)


@pytest.fixture(scope="module")
def mapping_scene_files(tmp_path_factory):
    """A forest whose reference confused two of four classes: in their fields it is unsure."""
    import mapping_scene as scene
    from landloom.model.networks.forest import fit_forest
    from landloom.model.networks.modelfile import Model
    from landloom.model.stack.grid import Window
    from landloom.model.stack.reader import StackReader

    folder = tmp_path_factory.mktemp("suggest é")
    stack = scene.make_stack(folder)
    path = scene.make_model(stack, "randomforest", folder / "f.safetensors")
    model = Model.load(path)
    with StackReader(stack) as reader:
        features = model.header.recipe.features(reader.read(Window(0, 0, scene.WIDTH, scene.HEIGHT)))
    random, labels = np.random.default_rng(0), scene.truth().ravel()
    seen = random.random(len(labels)) < 0.1
    labels = np.where(labels >= 2, random.integers(2, 4, len(labels)), labels)
    model.members = [fit_forest(features[seen], labels[seen], 4, {"trees": 15, "depth": 12, "min_samples_split": 40})]
    model.save(path)
    return stack, path, scene


def test_suggested_places_are_unsure_observed_and_inside_fields(mapping_scene_files, suggestions):
    _stack, _model, scene = mapping_scene_files
    assert len(suggestions) == 12 and suggestions.pixels > 10_000
    assert np.median(suggestions.uncertainty) > suggestions.typical
    columns = ((suggestions.x - 500000) / 10).astype(int)
    rows = ((8000000 - suggestions.y) / 10).astype(int)
    assert not ((rows < 21) & (columns < 31)).any()  # no data, and its rim
    places = np.stack([suggestions.x, suggestions.y], axis=1)
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)[np.triu_indices(12, 1)]
    assert gaps.min() >= 60
    assert (suggestions.predicted != suggestions.second).all()
    kinds = np.minimum(scene.truth(), 2)  # the two confused classes look the same to the model
    blocks = [kinds[row - 1 : row + 2, column - 1 : column + 2] for row, column in zip(rows, columns, strict=True)]
    assert np.mean([(block == block[1, 1]).all() for block in blocks]) >= 0.9
    assert (scene.truth()[rows, columns] >= 2).mean() >= 0.9  # where classes are confused: half of the scene


def test_the_same_again_whatever_the_threads_and_never_near_labels(mapping_scene_files, suggestions, tmp_path):
    from landloom.model.base.vectorfile import write_table
    from osgeo import ogr

    stack, model, scene = mapping_scene_files
    again = suggest(stack, model, SETTINGS, threads=2, memory_mb=256)
    np.testing.assert_array_equal(again.x, suggestions.x)
    np.testing.assert_array_equal(again.y, suggestions.y)
    square = ogr.CreateGeometryFromWkt(
        "POLYGON((500000 7999000, 501000 7999000, 501000 8000000, 500000 8000000, 500000 7999000))"
    )
    path = tmp_path / "labelled.gpkg"
    write_table(path, "l", scene.crs(), ogr.wkbPolygon, [bytes(square.ExportToWkb())], {"a": [1]}, Progress())
    others = suggest(stack, model, SETTINGS, reference=(str(path), ""), threads=1)
    assert ((others.x >= 501060) | (others.y <= 7998940)).all() and len(others) >= 5


def test_a_network_is_asked_for_its_descriptors(mapping_scene_files, tmp_path):
    pytest.importorskip("torch")
    stack, _model, scene = mapping_scene_files
    model = scene.make_model(stack, "ltae", tmp_path / "l.safetensors")
    found = suggest(stack, model, SuggestionSettings(count=5, method="entropy", pixels=8192), threads=1)
    assert len(found) == 5 and found.pixels <= 2 * 4096


def test_refusals_and_cancelling(mapping_scene_files, tmp_path):
    stack, model, _scene = mapping_scene_files

    class Stopped(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        suggest(stack, model, SETTINGS, progress=Stopped(), threads=1)
    for settings, sentence in (
        (SuggestionSettings(count=0), "COUNT is 0; choose a value from 1 to 10000"),
        (SuggestionSettings(method="guess"), "METHOD is 'guess'"),
        (SuggestionSettings(distance=-1), "DISTANCE is -1"),
    ):
        with pytest.raises(LandloomError, match=sentence):
            suggest(stack, model, settings, threads=1)
    with pytest.raises(LandloomError, match="valid dates all round"):
        suggest(stack, model, SETTINGS, bounds=(500010, 7999850, 500200, 7999990), threads=1)
