"""The smallest pieces of a comparison: one training and its test, kept when done so that a killed run goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.files import make_folder, parse_json, whole_file, write_json
from ..base.language import tr
from ..base.levels import Levels
from ..base.progress import Progress
from ..networks.modelfile import Model, describe
from ..networks.predictor import Predictor
from ..networks.registry import network_info
from ..stack.sensors import Series
from ..training.checkpoints import training_hash
from ..training.evaluate import by_polygon
from ..training.folds import Parts
from ..training.loop import Fitted, fit, predict
from ..training.pool import SamplePool
from .comparesettings import CompareSettings, Configuration
from .comparesplits import Split

if TYPE_CHECKING:
    from ..samples.store import SampleStore
    from ..training.settings import TrainingSettings

FORMAT, VERSION = "landloom-comparison-parts", 1
WINDOW = 64  # side of the window on which mapping is timed, pixels
_TIMED = 0.4  # seconds at least


@dataclass(frozen=True)
class Task:
    """One training and its test.

    Attributes:
        configuration: what is trained.
        split: on what; for less than all groups it holds fewer training samples.
        share: of the training groups.
        until: last day of the season that is read; None = all.
        timed: whether mapping is timed, too.
    """

    configuration: Configuration
    split: Split
    share: float = 1.0
    until: int | None = None
    timed: bool = False

    @property
    def key(self) -> str:
        """Its name, unique in a comparison."""
        words = [self.configuration.key, f"run {self.split.run}", f"fold {self.split.fold}"]
        if self.share < 1:
            words.append(f"share {self.share:g}")
        if self.until is not None:
            words.append(f"until {self.until}")
        return " ".join(words)


@dataclass(frozen=True)
class Outcome:
    """What a task gave.

    Attributes:
        predicted: ``[n]`` class indices of the test samples, in the order of the split's.
        polygons: ``[P]`` class indices of the test polygons (class of the highest mean probability of the pixels), in
            the order of :func:`..training.evaluate.by_polygon`.
        facts: ``seconds`` of training, ``epochs``, and of a timed task ``seconds_per_pixel``, ``parameters`` or
            ``nodes``, ``mflop_per_pixel``.
    """

    predicted: np.ndarray
    polygons: np.ndarray
    facts: dict[str, Any]


class Finished:
    """The outcomes of finished tasks in a folder, of one question only.

    Args:
        folder: where; made when the first outcome is kept.
        key: hash of what decides the outcomes; those of another are removed, and it is said.
        progress: told whether the comparison goes on or starts again.
    """

    def __init__(self, folder: str | os.PathLike[str], key: str, progress: Progress) -> None:
        self.folder, self._key = Path(folder), key
        if not self.folder.exists():
            return
        found = len(list(self.folder.glob("*.npz")))
        if self._saved_key() == key:
            if found:
                progress.info(
                    tr("Going on from {found} finished trainings in {folder}.").format(found=found, folder=self.folder)
                )
            return
        progress.warning(
            tr(
                "{folder} is from another comparison (other samples, splits or settings): it is removed and "
                "the comparison starts again."
            ).format(folder=self.folder)
        )
        self.clear()

    def _saved_key(self) -> str:
        try:
            return str(parse_json((self.folder / "comparison.json").read_text(encoding="utf-8"))["key"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def _file(self, task: Task) -> Path:
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in task.key)
        return self.folder / f"{name[:80]}.{hashlib.sha256(task.key.encode()).hexdigest()[:8]}.npz"

    def load(self, task: Task) -> Outcome | None:
        """The outcome of a task, None where it is not finished or damaged: making it again only costs time."""
        path = self._file(task)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                outcome = Outcome(file["predicted"], file["polygons"], json.loads(str(file["facts"])))
        except Exception:  # zipfile, numpy and json have errors of their own for a damaged file
            return None
        return outcome if len(outcome.predicted) == len(task.split.parts.test) else None

    def keep(self, task: Task, outcome: Outcome) -> None:
        """Save an outcome, whole or not at all."""
        if not (self.folder / "comparison.json").exists():
            make_folder(self.folder)
            write_json(self.folder / "comparison.json", {"format": FORMAT, "version": VERSION, "key": self._key})
        with whole_file(self._file(task)) as temporary, temporary.open("wb") as file:
            np.savez(
                file, predicted=outcome.predicted, polygons=outcome.polygons, facts=np.array(json.dumps(outcome.facts))
            )

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)


#: Settings by which no outcome of a task changes: what is compared may grow while a run goes on.
_FREE = ("networks", "sensor_sets", "runs", "learning_curve", "season_curve", "season_dates", "memory_mb")


def question_hash(stores: list[SampleStore], settings: CompareSettings, units: np.ndarray) -> str:
    """A hash of what decides the outcome of a task besides its configuration, run and fold."""
    chosen = {name: value for name, value in settings.to_json().items() if name not in _FREE}
    digest = hashlib.sha256(training_hash(stores, settings.training("randomforest", (), 0)).encode())
    digest.update(json.dumps([VERSION, chosen], sort_keys=True).encode())
    digest.update(np.ascontiguousarray(units).tobytes())
    return digest.hexdigest()


def learn_and_predict(
    pool: SamplePool,
    parts: Parts,
    settings: TrainingSettings,
    progress: Progress,
    other: SamplePool | None = None,
) -> tuple[Fitted, np.ndarray]:
    """Train on some samples and predict others.

    Args:
        pool: the samples to learn from.
        parts: those that train, choose the epoch, and are predicted.
        settings: how.
        progress: asked for cancellation.
        other: the samples that ``parts.test`` means, if not those of ``pool``.

    Returns:
        the trained model and probabilities ``[n, K]`` of the test samples.
    """
    fitted = fit(pool, parts.training, parts.validation, settings, progress)
    return fitted, predict(fitted.model, other or pool, parts.test, settings.device, progress)


def do(task: Task, pool: SamplePool, settings: CompareSettings, progress: Progress) -> Outcome:
    """Train and test; the samples of ``pool`` have the task's sensors and dates."""
    configuration, parts = task.configuration, task.split.parts
    training = settings.training(configuration.name, configuration.sensors, task.split.run)
    fitted, probabilities = learn_and_predict(pool, parts, training, progress)
    _, means = by_polygon(pool.polygons[parts.test], pool.labels[parts.test], probabilities)
    facts: dict[str, Any] = {"seconds": fitted.seconds, "epochs": [int(epoch) for epoch in fitted.epochs]}
    if task.timed:
        size = describe(fitted.model)
        facts |= {name: size[name] for name in ("parameters", "nodes", "mflop_per_pixel") if name in size}
        facts["device"] = fitted.facts.get("device", "cpu")
        facts["seconds_per_pixel"] = mapping_seconds(fitted.model, pool, parts.test, settings.device, progress)
    levels = Levels(pool.nomenclature)  # the class that a map would hold, also where the nomenclature has levels
    pixels, polygons = (levels.choose(one.T).chosen.astype(np.int16) for one in (probabilities, means))
    return Outcome(pixels, polygons, facts)


def mapping_seconds(model: Model, pool: SamplePool, indices: np.ndarray, device: str, progress: Progress) -> float:
    """Seconds a pixel of computing a map, images read: a window of real series through the code that makes maps.

    Args:
        model: trained.
        pool: the samples whose series fill the window.
        indices: some of them.
        device: where networks compute.
        progress: asked for cancellation.

    Returns:
        the median of several windows, after a first one that is not counted.
    """
    from ..base.device import resolve_device, thread_count

    info = network_info(model.header.network)
    where = "cpu" if info.is_forest else resolve_device(device)
    own = next(pool.split_by_store(np.asarray(indices)))
    side = WINDOW + 2 * info.halo
    centres = pool.batch(np.resize(own[:1024], min(1024, side * side)))
    window = {name: _window(series, side) for name, series in centres.items()}
    taken: list[float] = []
    with Predictor(model, where, thread_count()) as predictor:
        predictor.check_fits(pool.store_specs(int(pool.part[own[0]])))
        predictor.predict(window)
        while not taken or (len(taken) < 9 and sum(taken) < _TIMED):
            progress.check()
            begin = time.perf_counter()
            predictor.predict(window)
            taken.append(time.perf_counter() - begin)
    return float(np.median(taken)) / WINDOW**2


def _window(series: Series, side: int) -> Series:
    """Samples ``[B, T, C, 1, 1]`` laid out as one window ``[1, T, C, side, side]``, repeated as often as needed."""
    place = np.resize(np.arange(len(series.values)), side * side)
    values = series.values[place, :, :, 0, 0].transpose(1, 2, 0)
    mask = series.mask[place, :, 0, 0].T
    return Series(
        np.ascontiguousarray(values.reshape(1, *values.shape[:2], side, side)),
        np.ascontiguousarray(mask.reshape(1, -1, side, side)),
        series.days,
    )


class Pools:
    """The samples by sensors and last day, each made once."""

    def __init__(self, stores: list[SampleStore]) -> None:
        self._stores = stores
        self._made: dict[tuple[tuple[str, ...], int | None], SamplePool] = {}

    def get(self, sensors: tuple[str, ...], day: int | None = None) -> SamplePool:
        """The pool of these sensors up to a day."""
        key = (sensors, day)
        if key not in self._made:
            stores = self._stores if day is None else [store.until(day) for store in self._stores]
            self._made[key] = SamplePool(stores, sensors)
        return self._made[key]
