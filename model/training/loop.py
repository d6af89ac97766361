"""Fit a model: the recipe of its inputs, its members, its temperature."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.calibration import softmax
from ..base.device import describe_device, resolve_device, thread_count
from ..base.errors import Cancelled, LandloomError, TooFewSamplesError
from ..base.language import tr
from ..base.progress import Progress
from ..base.provenance import versions
from ..networks.axes import fit_axes
from ..networks.forest import Forest, fit_forest
from ..networks.inputs import FITTED_SAMPLES, InputRecipe
from ..networks.modelfile import Model, ModelHeader, describe
from ..networks.predictor import Predictor
from ..networks.registry import network_info
from ..stack.indices import check_applicable
from .calibrate import Held, temperature_of
from .checkpoints import Checkpoints
from .pool import SamplePool

if TYPE_CHECKING:
    from ..samples.store import SampleStore
    from .settings import TrainingSettings

_READ_AT_ONCE = 2048
_PREDICTED_AT_ONCE = 1024
_DESCRIBED = 4000


@dataclass
class Fitted:
    """A trained model and how it came about.

    Attributes:
        model: ready to be saved.
        epochs: for each member the epochs that its weights have seen; empty for the forest.
        history: the epoch log of all members.
        seconds: time it took.
        facts: name -> value of what the report tells, such as the number of parameters.
        held: what the members say of the validation samples; None without them, and for the forest, which learns from
            them too.
    """

    model: Model
    epochs: list[int] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    held: Held | None = None


def fit(
    stores: SamplePool | SampleStore | Sequence[SampleStore],
    training: np.ndarray,
    validation: np.ndarray,
    settings: TrainingSettings,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
    unit: str = "",
    last: Sequence[int] | None = None,
    temperature: float | None = None,
    start: Model | None = None,
) -> Fitted:
    """Fit a network, an ensemble of ``settings.runs`` of them, or the random forest.

    The forest has nothing to choose by validation samples, so it learns from them as well: it is not the weaker for
    standing beside networks.

    Args:
        stores: one or more sample stores.
        training: indices of the samples to learn from.
        validation: indices of those that choose the epoch and the temperature; may be empty.
        settings: how.
        progress: told of each epoch.
        checkpoints: where an interrupted training goes on from.
        unit: what log and checkpoints call this fit, such as ``fold 2``.
        last: epochs after which each member stops, whatever validation says.
        temperature: to use instead of fitting it on the validation samples.
        start: the model whose weights are the start.

    Raises:
        LandloomError: if there is nothing to learn from, or training diverges.
        Cancelled: within a step of the user's wish.
    """
    begin = time.monotonic()
    progress = progress or Progress()
    pool = SamplePool.of(stores, settings.sensors)
    training, validation = np.asarray(training, dtype=np.int64), np.asarray(validation, dtype=np.int64)
    check_training_labels(pool, training)
    if network_info(settings.network).reads_sets and not pool.of_sets:
        raise LandloomError(
            tr(
                "{network} reads the pixels of objects: use it in 'Train on objects', or choose ltae for pixels."
            ).format(network=settings.network)
        )
    if settings.is_forest:
        learnt = np.sort(np.concatenate([training, validation]))
        fitted = _fit_forest(pool, learnt, settings, progress, 1.0 if temperature is None else temperature)
    else:
        checkpoints = checkpoints or Checkpoints(None)
        fitted = _fit_networks(
            pool, training, validation, settings, progress, checkpoints, unit, last, temperature, start
        )
    fitted.seconds = time.monotonic() - begin
    return fitted


def check_training_labels(pool: SamplePool, training: np.ndarray) -> None:
    """Refuse samples from which nothing can be learnt.

    Raises:
        LandloomError: with fewer than two classes among the training samples.
    """
    found = np.unique(pool.labels[training])
    if len(found) < 2:
        names = ", ".join(pool.nomenclature.names[k] for k in found) or "none"
        raise TooFewSamplesError(
            tr(
                "The training samples hold {n_found} class ({names}): at least two are needed. Add reference "
                "polygons of other classes, or extract the samples again with smaller VALIDATION and TEST "
                "shares."
            ).format(n_found=len(found), names=names)
        )


def fit_recipe(pool: SamplePool, training: np.ndarray, settings: TrainingSettings, progress: Progress) -> InputRecipe:
    """The recipe of the inputs, fitted on the training samples of all stores."""
    info = network_info(settings.network)
    rng = np.random.default_rng(settings.seed)
    chosen = np.sort(training)
    if len(chosen) > FITTED_SAMPLES:
        chosen = np.sort(rng.choice(chosen, FITTED_SAMPLES, replace=False))
    cut = pool.batches(chosen, _READ_AT_ONCE)

    def batches():  # noqa: ANN202
        for own in cut:
            progress.check()
            yield pool.in_first_units(own)

    names = info.indices if settings.indices is None else settings.indices
    check_applicable(names, pool.specs)
    return InputRecipe.fit_batches(pool.specs, batches(), settings.step, names, settings.seed, len(cut))


# ---------------------------------------------------------------------- networks


def _fit_networks(
    pool: SamplePool,
    training: np.ndarray,
    validation: np.ndarray,
    settings: TrainingSettings,
    progress: Progress,
    checkpoints: Checkpoints,
    unit: str,
    last: Sequence[int] | None,
    temperature: float | None,
    start: Model | None,
) -> Fitted:
    device = resolve_device(settings.device)
    import torch

    from .member import MemberTraining
    from .start import check_start, starting_weights
    from .trainer import Trainer, training_threads

    if start is None:
        recipe = fit_recipe(pool, training, settings, progress)
        widths: dict[str, Any] = {}
    else:
        check_start(start, pool, settings)
        recipe, widths = start.header.recipe, dict(start.header.settings)
    trainer = Trainer(pool, recipe, settings, device, checkpoints, progress, widths)
    threads = training_threads(settings.network, settings.batch_for(len(training)), settings.set_pixels)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), threads:
        torch.manual_seed(settings.seed)
        network = trainer.network()
        size = describe(Model(_header(pool, training[:0], settings, recipe, widths, 1.0), [network]))
        facts = {
            "device": describe_device(device),
            "parameters": size["parameters"],
            "mflop_per_pixel": size["mflop_per_pixel"],
        }
        progress.info(tr("{size}; device: {facts}.").format(size=size["text"], facts=facts["device"]))
        progress.info(
            tr(
                "{n_training} training and {n_validation} validation samples, {batch_for} a step, at most "
                "{epochs_for} epochs."
            ).format(
                n_training=len(training),
                n_validation=len(validation),
                batch_for=settings.batch_for(len(training)),
                epochs_for=settings.epochs_for(len(training)),
            )
        )
        progress.text(tr("Preparing the inputs"))
        sources = (trainer.source(training, True, 0.5), trainer.source(validation, False, 0.25))
        members = []
        for run in range(settings.runs):
            part = progress.part(100.0 * run / settings.runs, 100.0 * (run + 1) / settings.runs)
            trainer.progress = part
            name = " ".join(word for word in (unit, f"member {run + 1}") if word)
            work = MemberTraining(
                trainer,
                training,
                validation,
                sources,
                seed=settings.seed + 1000 * run,
                unit=name,
                last=None if last is None else last[run % len(last)],
                start=None if start is None else starting_weights(start, run, network, pool.nomenclature),
            )
            members.append(work.run())
        networks = []
        for member in members:
            network = trainer.network().cpu()
            network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in member.weights.items()})
            networks.append(network.eval())
    held = None
    if len(validation):
        held = Held(validation, np.stack([softmax(member.validation).astype(np.float32) for member in members]))
    if temperature is None:
        temperature = 1.0 if held is None else temperature_of(pool, held)
    learnt = np.sort(np.concatenate([training, validation]))  # validation samples chose the epoch: not independent
    model = Model(_header(pool, learnt, settings, recipe, widths, temperature), networks)
    return Fitted(
        model,
        epochs=[member.epoch for member in members],
        history=[entry for member in members for entry in member.history],
        facts=facts,
        held=held,
    )


# ---------------------------------------------------------------------- forest


def _fit_forest(
    pool: SamplePool, training: np.ndarray, settings: TrainingSettings, progress: Progress, temperature: float
) -> Fitted:
    recipe = fit_recipe(pool, training, settings, progress)
    width = len(recipe.feature_names())
    most = max(1000, int(settings.memory_mb * 2**20 * 0.5 / (4 * width)))
    if len(training) > most:
        progress.warning(
            tr(
                "{n_training} training samples of {width} features do not fit in MEMORY_MB {memory_mb}: the "
                "forest learns from {most} of them, drawn at random. Raise MEMORY_MB to use all."
            ).format(n_training=len(training), width=width, memory_mb=settings.memory_mb, most=most)
        )
        training = np.sort(np.random.default_rng(settings.seed).choice(training, most, replace=False))
    progress.text(tr("Preparing the features"))
    features = features_of(pool, recipe, training, progress)
    members = []
    for run in range(settings.runs):
        progress.check()
        progress.text(tr("Growing forest {run} of {runs}").format(run=run + 1, runs=settings.runs))
        members.append(_grow(features, pool.labels[training], len(pool.nomenclature), settings, run, progress))
        progress.percent(100.0 * (run + 1) / settings.runs)
    model = Model(_header(pool, training, settings, recipe, {}, temperature), members)
    size = describe(model)
    progress.info(
        tr("{size}, {width} features; {n_training} training samples; device: cpu.").format(
            size=size["text"], width=width, n_training=len(training)
        )
    )
    facts = {"device": "cpu", "nodes": size["nodes"], "features": width, "mflop_per_pixel": None}
    return Fitted(model, facts=facts)


def _grow(
    features: np.ndarray, labels: np.ndarray, classes: int, settings: TrainingSettings, run: int, progress: Progress
) -> Forest:
    """Grow a forest in a thread: cancelling does not wait for the trees at work, which end soon by themselves."""
    given_up = threading.Event()

    def check() -> None:
        if given_up.is_set():
            raise Cancelled

    seed = settings.seed + 1000 * run
    worker = ThreadPoolExecutor(1, thread_name_prefix="landloom-forest")
    try:
        growing = worker.submit(
            fit_forest, features, labels, classes, {}, settings.weighting, seed, thread_count(), check
        )
        while not wait([growing], timeout=0.2).done:
            progress.check()
        return growing.result()
    finally:
        given_up.set()
        worker.shutdown(wait=False)


def features_of(pool: SamplePool, recipe: InputRecipe, indices: np.ndarray, progress: Progress) -> np.ndarray:
    """The forest's features of samples, ``[n, F]`` float32, in the order of ``indices``."""
    recipes = pool.bind(recipe)
    result = np.empty((len(indices), len(recipe.feature_names())), dtype=np.float32)
    position = np.zeros(len(pool), dtype=np.int64)
    position[indices] = np.arange(len(indices))
    for own in pool.batches(indices, _READ_AT_ONCE):
        progress.check()
        result[position[own]] = recipes[int(pool.part[own[0]])].features(pool.batch(own))
    return result


# ---------------------------------------------------------------------- what both share


def predict(model: Model, pool: SamplePool, indices: np.ndarray, device: str, progress: Progress) -> np.ndarray:
    """Class probabilities ``[n, K]`` of samples, in the order of ``indices``, by the code that makes maps."""
    where = "cpu" if network_info(model.header.network).is_forest else resolve_device(device)
    indices = np.asarray(indices, dtype=np.int64)
    result = np.zeros((len(indices), len(model.header.nomenclature)), dtype=np.float32)
    position = np.zeros(len(pool), dtype=np.int64)
    position[indices] = np.arange(len(indices))
    for own in pool.split_by_store(indices):
        with Predictor(model, where, thread_count()) as predictor:
            predictor.check_fits(pool.store_specs(int(pool.part[own[0]])))
            for few in pool.batches(own, _PREDICTED_AT_ONCE):
                progress.check()
                result[position[few]] = predictor.predict(pool.batch(few, predictor.halo))[:, :, 0, 0]
    return result


def describe_axes(model: Model, pool: SamplePool, indices: np.ndarray, device: str, progress: Progress) -> None:
    """Find the main axes of a network's descriptors on samples, and keep them in the model; nothing for a forest.

    Args:
        model: gets ``axes``.
        pool: the samples.
        indices: those that trained it; at most some thousands of them are looked at.
        device: where to compute.
        progress: asked for cancellation.
    """
    if network_info(model.header.network).is_forest or len(indices) < 2:
        return
    progress.text(tr("Finding the main axes of the descriptors"))
    found = describe_samples(model, pool, drawn(indices), device, progress)
    model.axes = {branch: fit_axes([values]) for branch, values in found.items()}


def drawn(indices: np.ndarray) -> np.ndarray:
    """Some thousands of samples at most, in their order; always the same ones."""
    if len(indices) <= _DESCRIBED:
        return indices
    return np.sort(np.random.default_rng(0).choice(indices, _DESCRIBED, replace=False))


def describe_samples(
    model: Model, pool: SamplePool, indices: np.ndarray, device: str, progress: Progress
) -> dict[str, np.ndarray]:
    """The descriptors of samples by branch, ``[n, D]``, in the order of ``indices``."""
    found: dict[str, np.ndarray] = {}
    position = np.zeros(len(pool), dtype=np.int64)
    position[indices] = np.arange(len(indices))
    for own in pool.split_by_store(indices):
        with Predictor(model, resolve_device(device), thread_count()) as predictor:
            predictor.check_fits(pool.store_specs(int(pool.part[own[0]])))
            for few in pool.batches(own, _PREDICTED_AT_ONCE):
                progress.check()
                description = predictor.describe(pool.batch(few, predictor.halo), list(predictor.branches()))
                for branch, values in description.descriptors.items():
                    whole = found.setdefault(branch, np.empty((len(indices), values.shape[1]), np.float32))
                    whole[position[few]] = values[:, :, 0, 0]
    return found


def predict_members(model: Model, pool: SamplePool, indices: np.ndarray, device: str, progress: Progress) -> Held:
    """What each member says of samples before temperature scaling; the trees of all forests count as one member."""
    header = replace(model.header, temperature=1.0)
    together = network_info(header.network).is_forest
    models = [Model(header, model.members)] if together else [Model(header, [one]) for one in model.members]
    return Held(indices, np.stack([predict(one, pool, indices, device, progress) for one in models]))


def _header(
    pool: SamplePool,
    learnt: np.ndarray,
    settings: TrainingSettings,
    recipe: InputRecipe,
    widths: dict[str, Any],
    temperature: float,
) -> ModelHeader:
    start, year = pool.season
    inputs: list[dict[str, Any]] = []
    for part, store in enumerate(pool.stores):
        own = learnt[pool.part[learnt] == part]
        groups = sorted({int(group) for group in store.groups[own - pool.first(part)]})
        folder = None if store.folder is None else str(store.folder)
        inputs.append({"samples": folder, "season": list(store.season), "training_groups": groups})
    return ModelHeader(
        settings.network,
        widths,
        recipe,
        pool.nomenclature,
        (start, year or 0),
        temperature,
        training_groups=sorted({group for one in inputs for group in one["training_groups"]}),
        provenance={
            "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "inputs": inputs,
            "training": settings.to_json(),
            "versions": versions(),
        },
    )
