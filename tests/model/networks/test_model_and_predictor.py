"""Model files, and the predictor that uses them."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.networks.forest import fit_forest
from landloom.model.networks.modelfile import Model, ModelHeader, describe
from landloom.model.networks.predictor import Predictor
from landloom.model.networks.registry import NETWORKS, build, network_info
from landloom.model.networks.tensorfile import read_tensors, write_tensors
from landloom.model.stack.sensors import Series


def make_model(world, name, members=1, **header):
    info = network_info(name)
    pytest.importorskip(info.needs_package)
    recipe = world.recipe(index_names=info.indices)
    made = []
    for seed in range(members):
        if info.is_forest:
            batch = world.batch(120, seed=seed)
            labels = np.arange(120) % 4
            made.append(fit_forest(recipe.features(batch), labels, 4, {"trees": 7}, seed=seed))
        else:
            import torch

            torch.manual_seed(seed)
            network = build(name, recipe.shapes(), 4).train()
            network(recipe.network_inputs(world.batch(30, 2 * info.halo + 1), regular=True))
            made.append(network.eval())
    settings = {} if info.is_forest else dict(made[0].settings)
    return Model(ModelHeader(name, settings, recipe, world.nomenclature, ("10-01", 2021), **header), made)


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_model_predicts_the_same(world, name, tmp_path):
    model = make_model(
        world,
        name,
        members=2,
        temperature=1.3,
        scores={"macro_f1": 0.7, "per_class": [0.5, None]},
        training_groups=[5, 9],
        provenance={"seed": 0, "note": "été"},
    )
    path = tmp_path / "modèle.safetensors"
    model.save(path)
    loaded = Model.load(path)
    assert loaded.header == replace(model.header, training_groups=(5, 9))
    assert Model.load_header(path) == loaded.header
    batch = world.batch(2, 9, seed=2)
    expected = Predictor(model).predict(batch)
    assert np.array_equal(Predictor(loaded).predict(batch), expected)
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-5)
    assert describe(loaded)["text"].startswith(name)
    path2 = tmp_path / "again.safetensors"
    loaded.save(path2)
    assert path2.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pixel_does_not_depend_on_its_block(world, name):
    """One large window, rows, single pixels and other numbers of threads."""
    model = make_model(world, name)
    halo = network_info(name).halo
    batch = world.batch(1, 37 + 2 * halo, width=41 + 2 * halo, cloud=0.6, seed=3)
    with Predictor(model, threads=2) as predictor:
        whole = predictor.predict(batch)
        assert whole.shape == (1, 4, 37, 41)
        assert np.isfinite(whole).all()
        predictor.block = 100
        np.testing.assert_allclose(predictor.predict(batch), whole, atol=1e-5)
        for y, x in ((0, 0), (20, 7), (36, 40)):
            part = {
                sensor: Series(
                    s.values[..., y : y + 2 * halo + 1, x : x + 2 * halo + 1],
                    s.mask[..., y : y + 2 * halo + 1, x : x + 2 * halo + 1],
                    s.days,
                )
                for sensor, s in batch.items()
            }
            np.testing.assert_allclose(predictor.predict(part)[0, :, 0, 0], whole[0, :, y, x], atol=1e-5)
    single = Predictor(model, threads=1).predict(batch)
    np.testing.assert_allclose(single, whole, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_of_a_batch_is_held_once_it_is_computed(world, name):
    """Not even until Python looks for circles of objects: a run would take more and more memory until then."""
    side = 2 * network_info(name).halo + 9
    with Predictor(make_model(world, name), threads=1) as predictor:
        predictor.block = 27
        predictor.predict(world.batch(1, side))  # what is loaded or kept for all batches
        gc.collect()
        gc.disable()
        try:
            batch = world.batch(1, side, seed=1)
            values = [weakref.ref(series.values) for series in batch.values()]
            result = weakref.ref(predictor.predict(batch))
            del batch
            assert not any(one() is not None for one in (*values, result))
        finally:
            gc.enable()


@pytest.mark.parametrize("name", NETWORKS)
def test_no_valid_date_gives_numbers(world, name):
    model = make_model(world, name)
    side = 2 * network_info(name).halo + 2
    dark = {sensor: s._replace(mask=s.mask & False, values=s.values * 0) for sensor, s in world.batch(1, side).items()}
    found = Predictor(model).predict(dark)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", ["ltae", "randomforest"])
def test_ensemble_is_the_mean_of_its_members(world, name):
    model = make_model(world, name, members=3)
    batch = world.batch(20)
    parts = [Predictor(Model(model.header, [member])).predict(batch) for member in model.members]
    np.testing.assert_allclose(Predictor(model).predict(batch), np.mean(parts, axis=0), atol=1e-6)


@pytest.mark.parametrize("name", ["ltae", "randomforest"])
def test_temperature_flattens_without_changing_the_class(world, name):
    model = make_model(world, name)
    batch = world.batch(50)
    sharp = Predictor(model).predict(batch)[:, :, 0, 0]
    flat = Predictor(Model(replace(model.header, temperature=3.0), model.members)).predict(batch)[:, :, 0, 0]
    assert flat.max(axis=1).mean() < sharp.max(axis=1).mean()
    power = sharp ** (1 / 3)
    np.testing.assert_allclose(flat, power / power.sum(axis=1, keepdims=True), atol=1e-5)


def test_same_seed_same_network(world):
    first, second = (make_model(world, "ltae") for _ in range(2))
    batch = world.batch(10)
    assert np.array_equal(Predictor(first).predict(batch), Predictor(second).predict(batch))


def test_threads_of_torch_are_left_as_they_were(world):
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with Predictor(make_model(world, "ltae"), threads=3) as predictor:
            predictor.predict(world.batch(1, 60))
            inside = {predictor._workers().submit(torch.get_num_threads).result() for _ in range(10)}
        assert inside == {1}
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_missing_sensor_is_a_warning_for_ltae_and_refused_by_others(world):
    only = {"S2": world.specs["S2"]}
    batch = {"S2": world.batch(3)["S2"]}
    predictor = Predictor(make_model(world, "ltae"))
    warnings = predictor.check_fits(only)
    assert len(warnings) == 1 and "S1_ASC" in warnings[0]
    assert predictor.predict(batch).shape == (3, 4, 1, 1)
    predictor = Predictor(make_model(world, "randomforest"))
    with pytest.raises(LandloomError, match=r"lack the sensor S1_ASC.*needs S2, S1_ASC"):
        predictor.check_fits(only)
    with pytest.raises(LandloomError, match="S1_ASC"):
        predictor.predict(batch)


def test_data_with_other_scale_and_band_order(world):
    predictor = Predictor(make_model(world, "randomforest"))
    batch = world.batch(6, 4)
    expected = predictor.predict(batch)
    spec = world.specs["S2"]
    specs = {**world.specs, "S2": replace(spec, bands=spec.bands[::-1], scale=1.0, dtype="float32")}
    values = batch["S2"].values[:, :, ::-1] * np.float32(1e-4)
    assert predictor.check_fits(specs) == []
    np.testing.assert_allclose(
        predictor.predict({**batch, "S2": batch["S2"]._replace(values=values)}), expected, atol=1e-6
    )


def test_describe_counts_arithmetic(world):
    model = make_model(world, "ltae")
    found = describe(model)
    dense = sum(p.numel() for p in model.members[0].parameters() if p.ndim == 2)
    assert found["parameters"] > dense
    assert 0 < found["mflop_per_pixel"] < 2


def change_header(path, **changes):
    tensors, metadata = read_tensors(path)
    write_tensors(path, tensors, {**metadata, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"version": 99},
        {"version": "x"},
        {"network": "alexnet"},
        {"settings": {"widths": [4096, 4096, 4096]}},
        {"settings": {"widths": [10**12]}},
        {"settings": {"widths": "many"}},
        {"settings": {"unknown": 1}},
        {"settings": 3},
        {"recipe": None},
        {"nomenclature": []},
        {"nomenclature": [{"code": 1, "name": "a", "color": "#000000", "parents": []}]},
        {"season": {}},
        {"temperature": 0},
        {"temperature": "hot"},
        {"members": 0},
        {"members": 10**9},
        {"members": 2},
        {"training_groups": ["a"]},
    ],
)
def test_headers_that_do_not_fit_are_refused(world, tmp_path, changes):
    path = tmp_path / "model.safetensors"
    make_model(world, "ltae").save(path)
    change_header(path, **changes)
    with pytest.raises(LandloomError):
        Model.load(path)


def test_weights_that_do_not_fit_are_refused(world, tmp_path):
    path = tmp_path / "model.safetensors"
    make_model(world, "ltae").save(path)
    tensors, metadata = read_tensors(path)
    name = "0.head.weight"
    for bad in (
        {**tensors, name: tensors[name][:, :-1]},
        {**tensors, name: tensors[name].astype(np.float64)},
        {**tensors, name: tensors[name] * np.nan},
        {**tensors, "0.more": np.zeros(3, np.float32)},
        {**tensors, "x.more": np.zeros(3, np.float32)},
        {key: array for key, array in tensors.items() if key != name},
    ):
        write_tensors(path, bad, metadata)
        with pytest.raises(LandloomError, match=r"model\.safetensors"):
            Model.load(path)


def test_forest_of_another_recipe_is_refused(world, tmp_path):
    path = tmp_path / "model.safetensors"
    make_model(world, "randomforest").save(path)
    other = world.recipe(step=20).to_json()
    change_header(path, recipe=other)
    with pytest.raises(LandloomError, match="features"):
        Model.load(path)


def test_registry():
    for name in NETWORKS:
        assert network_info(name).needs_package in {"torch", "sklearn"}
    with pytest.raises(LandloomError, match="twinns, ltae, tempcnn, randomforest"):
        network_info("resnet")
    with pytest.raises(LandloomError, match="not a torch network"):
        build("randomforest", {}, 2)
