"""A whole training: model, report, log, resume, cancel, several folders, fine-tuning."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import training_samples

torch = pytest.importorskip("torch")

from landloom.model.base.errors import Cancelled, LandloomError  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402
from landloom.model.networks.modelfile import Model  # noqa: E402
from landloom.model.samples.store import SampleStore  # noqa: E402
from landloom.model.training.loop import predict  # noqa: E402
from landloom.model.training.pool import SamplePool  # noqa: E402
from landloom.model.training.report import report_files  # noqa: E402
from landloom.model.training.run import train  # noqa: E402
from landloom.model.training.settings import TrainingSettings  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


class Told(Progress):
    def __init__(self):
        self.infos, self.warnings, self.percents = [], [], []

    def info(self, message):
        self.infos.append(message)

    def warning(self, message):
        self.warnings.append(message)

    def percent(self, value):
        self.percents.append(value)


def settings(**changes) -> TrainingSettings:
    return TrainingSettings(**{"device": "cpu", "epochs": 12, "evaluation": "holdout", **changes})


@pytest.mark.parametrize("network", ["ltae", "tempcnn", "twinns", "randomforest"])
def test_every_network_learns_and_leaves_only_its_outputs(network, folder, tmp_path):
    store = SampleStore.open(folder)
    told = Told()
    output, report = tmp_path / "modèle 1.safetensors", tmp_path / "rapport.html"
    epochs = 6 if network == "twinns" else 20
    result = train([store], settings(network=network, epochs=epochs), output, report, told)
    assert result.evaluation.pixel.overall_accuracy > 0.8
    assert result.evaluation.polygon.overall_accuracy >= result.evaluation.pixel.overall_accuracy - 0.1
    left = {"modèle 1.safetensors", *(path.name for path in report_files(report))}
    if network != "randomforest":
        left.add("modèle 1.safetensors.training.jsonl")
        lines = (tmp_path / "modèle 1.safetensors.training.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        assert [entry["epoch"] for entry in entries] == list(range(1, len(entries) + 1))
        assert all(np.isfinite(entry["loss"]) and 0 <= entry["validation_macro_f1"] <= 1 for entry in entries)
        assert any("parameters" in line and "MFLOP" in line and "cpu" in line for line in told.infos)
    assert {path.name for path in tmp_path.iterdir()} == left
    text = report.read_text(encoding="utf-8")
    for word in ("forêt", "per polygon", "macro F1", "test part", "Confusion"):
        assert word in text
    assert ("Learning curves" in text) == (network != "randomforest")
    assert told.percents == sorted(told.percents)
    # The file gives the very predictions that were judged.
    loaded = Model.load(output)
    pool = SamplePool([store])
    probabilities = predict(loaded, pool, result.parts.test, "cpu", Progress())
    predicted = probabilities.argmax(axis=1)
    assert np.mean(predicted == pool.labels[result.parts.test]) == pytest.approx(
        result.evaluation.pixel.overall_accuracy
    )
    header = loaded.header
    assert header.scores["evaluation"] == "holdout"
    assert header.season == ("01-01", 2021)
    learnt = {int(group) for group in store.groups[store.split != 2]}
    assert set(header.training_groups) == learnt


def test_test_samples_are_never_read_before_the_end(store, tmp_path):
    class Spy:
        def __init__(self, inner):
            self.__dict__["inner"], self.__dict__["read"] = inner, []

        def __getattr__(self, name):
            return getattr(self.inner, name)

        def __len__(self):
            return len(self.inner)

        def batch(self, indices, halo=0, sensors=None):
            self.read.append(np.asarray(indices))
            return self.inner.batch(indices, halo, sensors)

    spy = Spy(store)
    train([spy], settings(epochs=3), tmp_path / "m.safetensors")
    parts = [set(store.split[indices].tolist()) for indices in spy.read]
    judged = [place for place, found in enumerate(parts) if 2 in found]
    assert judged == list(range(judged[0], len(parts)))
    assert sum(len(spy.read[place]) for place in judged) == (store.split == 2).sum()


@pytest.mark.parametrize("network", ["ltae", "randomforest"])
def test_same_seed_same_file_and_other_seed_another(network, store, tmp_path):
    def weights(name, seed):
        train([store], settings(network=network, seed=seed, epochs=3), tmp_path / name)
        model = Model.load(tmp_path / name)
        from landloom.model.networks.modelfile import _member_arrays

        return _member_arrays(model.members[0])

    first, again, other = weights("a.safetensors", 1), weights("b.safetensors", 1), weights("c.safetensors", 2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(
        first[name].shape == other[name].shape and np.array_equal(first[name], other[name]) for name in first
    )


def test_training_leaves_the_random_numbers_of_others_alone(store, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train([store], settings(epochs=2), tmp_path / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_folds_judge_every_group_once_and_train_on_all(tmp_path):
    store = training_samples.make_store(groups=6, pixels=3)
    told = Told()
    report = tmp_path / "r.html"
    result = train([store], settings(evaluation="folds", epochs=8), tmp_path / "m.safetensors", report, told)
    assert result.how == "folds"
    assert result.evaluation.pixels == len(store)
    assert len(result.fold_scores) == 5
    assert set(result.model.header.training_groups) == set(store.groups.tolist())
    assert any("as the folds chose" in line for line in told.infos)
    assert "out of" not in told.warnings
    assert "5 folds" in report.read_text(encoding="utf-8")
    units = {json.loads(x)["unit"] for x in (tmp_path / "m.safetensors.training.jsonl").read_text().splitlines()}
    assert units == {f"fold {k} member 1" for k in range(1, 6)} | {"final member 1"}


def test_automatic_evaluation_by_the_number_of_groups(tmp_path):
    forest = settings(network="randomforest", evaluation="auto")
    few = train([training_samples.make_store(groups=5, pixels=2)], forest, tmp_path / "a.safetensors")
    many = train([training_samples.make_store(groups=55, pixels=1)], forest, tmp_path / "b.safetensors")
    assert (few.how, many.how) == ("folds", "holdout")


def test_ensemble_is_the_mean_of_its_members(store, tmp_path):
    train([store], settings(runs=2, epochs=3), tmp_path / "m.safetensors")
    model = Model.load(tmp_path / "m.safetensors")
    pool, every = SamplePool([store]), np.arange(20)
    both = predict(model, pool, every, "cpu", Progress())
    apart = [predict(Model(model.header, [member]), pool, every, "cpu", Progress()) for member in model.members]
    assert np.abs(apart[0] - apart[1]).max() > 1e-3
    assert np.allclose(both, np.mean(apart, axis=0), atol=1e-5)


# ---------------------------------------------------------------------- stopping and going on


class StopsAt(Told):
    def __init__(self, epoch):
        super().__init__()
        self.epoch, self.stopped, self.noticed = epoch, None, None

    def info(self, message):
        super().info(message)
        if f"epoch {self.epoch}/" in message:
            self.stopped = time.monotonic()

    def is_cancelled(self):
        return self.stopped is not None


def test_cancel_is_quick_and_leaves_nothing(store, tmp_path):
    progress = StopsAt(2)
    with pytest.raises(Cancelled):
        train([store], settings(epochs=500), tmp_path / "m.safetensors", tmp_path / "r.html", progress)
    assert time.monotonic() - progress.stopped < 2
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import importlib.util, sys
root, here, output = sys.argv[1:4]
spec = importlib.util.spec_from_file_location("landloom", root + "/__init__.py", submodule_search_locations=[root])
package = importlib.util.module_from_spec(spec); sys.modules["landloom"] = package; spec.loader.exec_module(package)
sys.path.insert(0, here)
import training_samples
from landloom.model.training.run import train
from landloom.model.training.settings import TrainingSettings
import landloom.model.training.member as member
import time
member._SECONDS_BETWEEN_CHECKPOINTS = 0.0
member._SHARE_OF_TIME_FOR_CHECKPOINTS = 1e9
own = member.MemberTraining._save
def slow(self, over):
    own(self, over)
    print(self.history[-1]["epoch"], flush=True)
    time.sleep(0.05)
member.MemberTraining._save = slow
train([training_samples.make_store()], TrainingSettings(device="cpu", epochs=12, evaluation="holdout"), output)
"""


def test_killed_training_goes_on_and_gives_the_same_model(store, tmp_path):
    output = tmp_path / "m.safetensors"
    command = [sys.executable, "-c", SCRIPT, str(ROOT), str(Path(__file__).parent), str(output)]
    work = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in work.stdout:
        if line.strip() == "4":
            os.kill(work.pid, signal.SIGKILL)
            break
    work.wait()
    assert not output.exists()
    assert (tmp_path / "m.safetensors.checkpoint" / "checkpoint.json").exists()
    told = Told()
    train([store], settings(), output, None, told)
    assert any("Going on from the interrupted training" in line for line in told.infos)
    assert any("going on after epoch" in line for line in told.infos)
    assert not any("epoch 1/12" in line for line in told.infos)
    assert not (tmp_path / "m.safetensors.checkpoint").exists()
    train([store], settings(), tmp_path / "whole.safetensors")
    resumed, whole = Model.load(output), Model.load(tmp_path / "whole.safetensors")
    for name, value in whole.members[0].state_dict().items():
        assert torch.equal(value, resumed.members[0].state_dict()[name]), name
    epochs = [json.loads(x)["epoch"] for x in Path(f"{output}.training.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, 13))


def test_checkpoint_of_other_settings_starts_again_and_says_so(store, tmp_path):
    output = tmp_path / "m.safetensors"
    folder = tmp_path / "m.safetensors.checkpoint"
    folder.mkdir()
    (folder / "checkpoint.json").write_text('{"format": "landloom-checkpoint", "key": "another"}')
    told = Told()
    train([store], settings(epochs=2), output, None, told)
    assert any("starts again" in line for line in told.warnings)
    assert not folder.exists()


def test_a_full_disk_while_saving_a_state_is_said_as_such(store, tmp_path, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LandloomError, match=r"Cannot write .*: No space left on device\. Free space"):
        train([store], settings(epochs=2), tmp_path / "m.safetensors")
    assert list(tmp_path.glob("**/*.pt")) == []


def test_failure_leaves_no_outputs(store, tmp_path, monkeypatch):
    def broken(self, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Model, "save", broken)
    with pytest.raises(OSError, match="No space"):
        train([store], settings(epochs=2), tmp_path / "m.safetensors", tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- several folders, starting from a model


def test_two_folders_with_other_classes_and_years(folder, tmp_path):
    other = training_samples.write_folder(tmp_path / "2022", codes=(2, 3, 4), seed=5, year=2022, origin=800000.0)
    stores = [SampleStore.open(folder), SampleStore.open(other)]
    pool = SamplePool(stores)
    assert pool.nomenclature.codes.tolist() == [1, 2, 3, 4]
    assert len(np.unique(pool.groups)) == 48
    assert pool.labels[len(stores[0]) :].min() == 1
    for indices in pool.batches(np.arange(len(pool)), 50, np.random.default_rng(0)):
        assert len(np.unique(pool.part[indices])) == 1
    for network in ("ltae", "randomforest"):
        result = train(stores, settings(network=network, epochs=15), tmp_path / f"{network}.safetensors")
        assert result.evaluation.pixel.overall_accuracy > 0.75
        assert result.model.header.nomenclature.codes.tolist() == [1, 2, 3, 4]


def test_same_field_in_two_years_is_one_group_with_one_part(folder, tmp_path):
    other = training_samples.write_folder(tmp_path / "2022", seed=9, year=2022)
    stores = [SampleStore.open(folder), SampleStore.open(other)]
    assert not np.array_equal(stores[0].split, stores[1].split)
    told = Told()
    pool = SamplePool(stores, progress=told)
    half = len(stores[0])
    assert np.array_equal(pool.groups[:half], pool.groups[half:])
    assert np.array_equal(pool.split[:half], pool.split[half:])
    assert any("several sample folders" in line for line in told.infos)


def test_folders_that_do_not_fit_are_refused(folder, store):
    from dataclasses import replace

    first = SampleStore.open(folder)
    with pytest.raises(LandloomError, match="SEASON_START"):
        SamplePool([first, replace(first, season=("10-01", 2021))])
    with pytest.raises(LandloomError, match="calibration"):
        radar = replace(first.specs["S1_ASC"], calibration="gamma0")
        SamplePool([first, replace(first, specs={**first.specs, "S1_ASC": radar})])
    mixed = training_samples.nomenclature((1, 2, 3), ("eau", "mil", "forêt"))
    with pytest.raises(LandloomError, match="NOMENCLATURE"):
        SamplePool([first, replace(first, nomenclature=mixed)])
    with pytest.raises(LandloomError, match="L8"):
        SamplePool([first], ["L8"])


def test_start_from_a_model_keeps_its_classes_by_code(store, tmp_path):
    train([store], settings(epochs=20), tmp_path / "first.safetensors")
    more, start = training_samples.make_store(classes=4, groups=6, seed=3), str(tmp_path / "first.safetensors")
    little = settings(epochs=1, start_from=start, learning_rate=1e-6)
    result = train([more], little, tmp_path / "second.safetensors")
    known = more.labels[result.parts.test] < 3
    pool = SamplePool([more])
    probabilities = predict(result.model, pool, result.parts.test[known], "cpu", Progress())
    # Nothing was learnt in one epoch at that rate: what it knows comes from the start.
    assert np.mean(probabilities[:, :3].argmax(axis=1) == more.labels[result.parts.test[known]]) > 0.7
    assert result.model.header.recipe.to_json() == Model.load(tmp_path / "first.safetensors").header.recipe.to_json()
    with pytest.raises(LandloomError, match="NETWORK"):
        train([store], settings(network="tempcnn", start_from=start), tmp_path / "x.safetensors")
    with pytest.raises(LandloomError, match="SENSORS"):
        train([store], settings(sensors=("S2",), start_from=start), tmp_path / "x.safetensors")


# ---------------------------------------------------------------------- bad input


def test_bad_samples_are_refused_in_one_sentence(store, tmp_path):
    output = tmp_path / "m.safetensors"
    one = training_samples.make_store(classes=1)
    with pytest.raises(LandloomError, match="at least two are needed"):
        train([one], settings(), output)
    with pytest.raises(LandloomError, match="test part"):
        train([training_samples.make_store(split=np.zeros(180))], settings(), output)
    with pytest.raises(LandloomError, match="one fold"):
        train([training_samples.make_store(folds=np.zeros(180))], settings(evaluation="folds"), output)
    with pytest.raises(LandloomError, match="HALO 2"):
        train([store], settings(network="twinns"), output)
    with pytest.raises(LandloomError, match="SAMPLES"):
        train([], settings(), output)
    assert list(tmp_path.iterdir()) == []


def test_class_with_one_group_trains_and_is_named(tmp_path):
    store = training_samples.make_store(groups=5, pixels=4)
    labels = np.where(store.groups == 0, 0, 1 + store.labels % 2)
    store = training_samples.make_store(groups=5, pixels=4, labels=labels)
    told = Told()
    result = train(
        [store], settings(network="randomforest", evaluation="folds"), tmp_path / "m.safetensors", None, told
    )
    assert result.evaluation.absent == (0,)
    assert any("mil" in line and "one group" in line for line in told.warnings)
    result = train([store], settings(epochs=2), tmp_path / "n.safetensors", None, told)
    assert any("mil" in line and "left out of the scores" in line for line in told.warnings)


@pytest.mark.parametrize("judged", ["one class", "labels of nothing"])
def test_scores_that_tell_nothing_are_doubted(judged, tmp_path):
    """A macro F1 of 0.75 where one class was judged, or a kappa of -0.8, stood in the log as if it were an accuracy."""
    labels = {"one class": np.minimum(np.arange(6), 2), "labels of nothing": np.arange(6) // 3}[judged]
    sentence = {"one class": "is judged, so the scores do not", "labels of nothing": "guessing (kappa -"}[judged]
    # Of six groups those three apart look alike; in the second case they have the two labels.
    labels = labels[training_samples.make_store(groups=2).groups]
    store, told = training_samples.make_store(groups=2, labels=labels, noise=0.3), Told()
    forest = settings(network="randomforest", evaluation="folds")
    result = train([store], forest, tmp_path / "m.safetensors", None, told)
    assert [line for line in told.warnings if sentence in line], (told.warnings, result.evaluation.pixel)
    assert sum("is judged, so" in line or "guessing" in line for line in told.warnings) == 1


def test_without_validation_samples_it_trains_all_epochs_and_says_so(tmp_path):
    store = training_samples.make_store(groups=4)
    split = np.where(store.split == 1, 0, store.split)
    told = Told()
    result = train([training_samples.make_store(groups=4, split=split)], settings(epochs=4), tmp_path / "m.safetensors",
                   None, told)  # fmt: skip
    assert result.fitted.epochs == [4]
    assert any("no validation" in line for line in told.warnings)


def test_diverging_training_names_the_learning_rate(store, tmp_path, monkeypatch):
    from landloom.model.training import member

    own = member.MemberTraining._loss
    monkeypatch.setattr(member.MemberTraining, "_loss", lambda self, logits, labels: own(self, logits, labels) * np.nan)
    with pytest.raises(LandloomError, match="LEARNING_RATE"):
        train([store], settings(), tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_cancel_while_a_large_forest_grows_is_quick(tmp_path, monkeypatch):
    from landloom.model.networks import forest

    monkeypatch.setattr(forest, "SMALL", 0)
    store = training_samples.make_store(groups=400, pixels=10)

    class Stops(Told):
        stopped = None

        def text(self, message):
            if "Growing" in message:
                self.stopped = time.monotonic()

        def is_cancelled(self):
            return self.stopped is not None and time.monotonic() > self.stopped + 0.1

    progress = Stops()
    with pytest.raises(Cancelled):
        train([store], settings(network="randomforest"), tmp_path / "m.safetensors", None, progress)
    assert time.monotonic() - progress.stopped < 2
    assert list(tmp_path.iterdir()) == []
