"""The training of one network."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.metrics import confusion_matrix, scores
from .early_stop import EarlyStop
from .settings import class_weights

if TYPE_CHECKING:
    from .source import Batch, InputSource
    from .trainer import Trainer

_SECONDS_BETWEEN_CHECKPOINTS = 2.0
_SHARE_OF_TIME_FOR_CHECKPOINTS = 0.05


@dataclass
class Member:
    """One trained network.

    Attributes:
        weights: name of a tensor -> values.
        epoch: passes over the samples that these weights have seen.
        history: one entry an epoch, as in the log.
        validation: ``[n, K]`` logits of the validation samples, n may be 0.
    """

    weights: dict[str, np.ndarray]
    epoch: int
    history: list[dict[str, Any]]
    validation: np.ndarray


class MemberTraining:
    """Trains one member: AdamW with warm-up and cosine, averaged weights, early stop, checkpoints.

    All random numbers of an epoch follow from the seed and the number of the epoch, so that a training that goes on
    from
    a checkpoint gives the same weights as one that was never interrupted.

    Args:
        trainer: network, device, inputs.
        training: indices of the samples to learn from.
        validation: indices of those that choose the epoch; may be empty.
        sources: their inputs.
        seed: of weights, order and augmentation.
        unit: name in log and checkpoints, such as ``member 1``.
        last: stop after so many epochs of the schedule, whatever the validation says; None = never.
        start: weights to start from.
    """

    def __init__(
        self,
        trainer: Trainer,
        training: np.ndarray,
        validation: np.ndarray,
        sources: tuple[InputSource, InputSource],
        seed: int,
        unit: str,
        last: int | None = None,
        start: dict[str, np.ndarray] | None = None,
    ) -> None:
        settings = trainer.settings
        self.trainer, self.settings, self.training, self.validation = trainer, settings, training, validation
        self.sources, self.seed, self.unit = sources, seed, unit
        self.schedule = settings.epochs_for(len(training))
        self.last = self.schedule if last is None else max(1, min(last, self.schedule))
        self.batch = settings.batch_for(len(training))
        self.steps_an_epoch = len(trainer.pool.batches(training, self.batch, np.random.default_rng(0)))
        torch.manual_seed(_mixed(seed, 0))
        self.network = trainer.network()
        if start is not None:
            self.network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in start.items()})
        parameters = list(self.network.parameters())
        self.optimiser = optimiser(parameters, settings.rate, settings.weight_decay, trainer.device)
        weights = class_weights(trainer.pool.labels[training], trainer.classes, settings.weighting)
        self.class_weights = torch.from_numpy(weights).to(trainer.device)
        self.scaler = scaler_of(trainer.precision)
        self.average = trainer.network()
        self.average.load_state_dict(self.network.state_dict())
        # Steps and checkpoints change these tensors in place: they need not be looked up again.
        pairs = list(zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True))
        values = [pair for pair in pairs if pair[0].is_floating_point()]
        counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._averaged = [own for own, _other in values], [other for _own, other in values], counts
        groups = len(np.unique(trainer.pool.groups[validation]))
        self.stop = EarlyStop(max(5, round(settings.patience * self.schedule)), groups)
        self.history: list[dict[str, Any]] = []
        self.chosen: dict[str, torch.Tensor] = {}
        self.chosen_logits = np.zeros((0, trainer.classes), dtype=np.float32)
        self.saved_at, self.saving_took = -math.inf, 0.0

    def run(self) -> Member:
        """Train from the beginning, or from the last checkpoint.

        Raises:
            LandloomError: if training diverges.
            Cancelled: within one step of the user's wish.
        """
        progress = self.trainer.progress
        first, is_over = self._restore()
        for epoch in range(first, self.last + 1):
            if is_over:
                break
            begin = time.monotonic()
            loss = self._epoch(epoch)
            entry: dict[str, Any] = {"unit": self.unit, "epoch": epoch, "loss": round(loss, 5)}
            if len(self.validation):
                self._validate(epoch, entry)
                is_over = self.stop.is_over(epoch)
            else:
                self._choose(epoch)
            seconds = time.monotonic() - begin
            entry["learning_rate"] = float(f"{self._rate(epoch * self.steps_an_epoch - 1):.4g}")
            entry["seconds"] = round(seconds, 3)
            entry["samples_per_second"] = round(len(self.training) / max(seconds, 1e-9))
            self.history.append(entry)
            self.trainer.checkpoints.log(entry)
            self._tell(entry, is_over)
            self._save(is_over or epoch == self.last)
        progress.percent(100)
        weights = {name: value.cpu().numpy() for name, value in self.chosen.items()}
        return Member(weights, self.stop.epoch, self.history, self.chosen_logits)

    # ------------------------------------------------------------------ one epoch

    def _epoch(self, epoch: int) -> float:
        """One pass over the training samples; gives the mean loss."""
        trainer = self.trainer
        torch.manual_seed(_mixed(self.seed, epoch))
        cut = trainer.pool.batches(self.training, self.batch, np.random.default_rng([self.seed, epoch, 0]))
        self.network.train()
        total = 0.0
        for number, batch in enumerate(self.sources[0].batches(cut, trainer.device, [self.seed, epoch, 1])):
            step = (epoch - 1) * self.steps_an_epoch + number
            loss = self._step(batch, self._rate(step))
            if not math.isfinite(loss) and self.scaler is None:
                raise LandloomError(
                    tr(
                        "Training diverged in epoch {epoch}, the loss is {loss}: choose a LEARNING_RATE below {rate:g}."
                    ).format(epoch=epoch, loss=loss, rate=self.settings.rate)
                )
            total += loss * len(batch.labels)
            self._average(step)
            trainer.progress.percent(100.0 * (step + 1) / (self.last * self.steps_an_epoch))
        return total / len(self.training)

    def _step(self, batch: Batch, rate: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        whole = self.class_weights[batch.labels].sum()
        scaler = self.scaler

        def backward(piece: Batch) -> float:
            precision = self.trainer.precision
            with torch.autocast("cuda", dtype=precision) if precision is not None else contextlib.nullcontext():
                prediction = self.network(piece.inputs)
            loss = self._loss(prediction.logits, piece.labels)
            for auxiliary in prediction.auxiliary.values():
                loss = loss + self.settings.auxiliary_weight * self._loss(auxiliary, piece.labels)
            loss = loss / whole
            (loss if scaler is None else scaler.scale(loss)).backward()
            return float(loss.detach())

        losses = self.trainer.within_memory(batch, backward, lambda: self.optimiser.zero_grad(set_to_none=True))
        if scaler is not None:
            scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        if scaler is None:
            self.optimiser.step()
        else:
            scaler.step(self.optimiser)
            scaler.update()
        return sum(losses)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Weighted cross entropy of the centre pixels, summed; in float32 whatever the precision."""
        return functional.cross_entropy(
            logits[:, :, 0, 0].float(),
            labels,
            self.class_weights,
            reduction="sum",
            label_smoothing=self.settings.label_smoothing,
        )

    def _rate(self, step: int) -> float:
        """Learning rate: linear warm-up over 5 % of the schedule, then half a cosine to 0."""
        total = self.schedule * self.steps_an_epoch
        warm = max(1, round(0.05 * total))
        if step < warm:
            return self.settings.rate * (step + 1) / warm
        return self.settings.rate * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    @torch.no_grad()
    def _average(self, step: int) -> None:
        """Move the averaged weights, and the statistics of batch normalisation, towards the present ones."""
        decay = min(self.settings.averaging, (step + 1) / (step + 10))
        averaged, present, counts = self._averaged
        torch._foreach_lerp_(averaged, present, 1 - decay)
        for own, other in counts:
            own.copy_(other)

    # ------------------------------------------------------------------ validation, choice, log

    def _validate(self, epoch: int, entry: dict[str, Any]) -> None:
        logits = self.trainer.logits(self.average, self.sources[1], self.validation)
        labels = self.trainer.pool.labels[self.validation]
        found = scores(confusion_matrix(labels, logits.argmax(axis=1), self.trainer.classes))
        top = logits.max(axis=1, keepdims=True)
        likelihood = logits[np.arange(len(labels)), labels] - top[:, 0] - np.log(np.exp(logits - top).sum(axis=1))
        entry["validation_loss"] = round(float(-likelihood.mean()), 5)
        entry["validation_macro_f1"] = round(found.macro_f1, 5)
        entry["validation_overall_accuracy"] = round(found.overall_accuracy, 5)
        if not np.isfinite(logits).all():
            raise LandloomError(
                tr(
                    "Training diverged in epoch {epoch}, the predictions are not numbers: choose a "
                    "LEARNING_RATE below {rate:g}."
                ).format(epoch=epoch, rate=self.settings.rate)
            )
        if self.stop.update(epoch, found.macro_f1):
            self._choose(epoch)
            self.chosen_logits = logits

    def _choose(self, epoch: int) -> None:
        self.stop.epoch = epoch
        self.chosen = {name: value.detach().clone() for name, value in self.average.state_dict().items()}

    def _tell(self, entry: dict[str, Any], is_over: bool) -> None:
        progress, epoch = self.trainer.progress, entry["epoch"]
        seconds = sum(one["seconds"] for one in self.history) / len(self.history)
        left = "" if is_over else tr(", {time} left at most").format(time=_time(seconds * (self.last - epoch)))
        score = ""
        if "validation_macro_f1" in entry:
            score = tr(", validation macro F1 {entry:.3f}, OA {entry2:.3f}").format(
                entry=entry["validation_macro_f1"], entry2=entry["validation_overall_accuracy"]
            )
        progress.text(
            tr("{unit}: epoch {epoch} of {last}{left}").format(unit=self.unit, epoch=epoch, last=self.last, left=left)
        )
        progress.info(
            tr("{unit}, epoch {epoch}/{last}: loss {entry:.3f}{score} ({seconds:.2f} s{left})").format(
                unit=self.unit,
                epoch=epoch,
                last=self.last,
                entry=entry["loss"],
                score=score,
                seconds=seconds,
                left=left,
            )
        )
        if is_over:
            progress.info(
                tr("{unit}: stopped early, since no epoch after {epoch} was as good.").format(
                    unit=self.unit, epoch=self.stop.epoch
                )
            )

    # ------------------------------------------------------------------ checkpoints

    def _save(self, is_over: bool) -> None:
        checkpoints = self.trainer.checkpoints
        wait = max(_SECONDS_BETWEEN_CHECKPOINTS, self.saving_took / _SHARE_OF_TIME_FOR_CHECKPOINTS)
        begin = time.monotonic()
        if checkpoints.folder is None or (not is_over and begin - self.saved_at < wait):
            return
        state: dict[str, Any] = {
            "over": is_over,
            "epoch": self.history[-1]["epoch"],
            "chosen_epoch": self.stop.epoch,
            "best": self.stop.best,
            "history": self.history,
            "chosen": self.chosen,
            "chosen_logits": torch.from_numpy(self.chosen_logits),
        }
        if not is_over:
            state["network"] = self.network.state_dict()
            state["average"] = self.average.state_dict()
            state["optimiser"] = self.optimiser.state_dict()
            state["scaler"] = None if self.scaler is None else self.scaler.state_dict()
        checkpoints.save(self.unit, state)
        self.saved_at = time.monotonic()
        self.saving_took = self.saved_at - begin

    def _restore(self) -> tuple[int, bool]:
        """The epoch to go on with, and whether the training was over."""
        state = self.trainer.checkpoints.load(self.unit)
        if state is None:
            return 1, False
        self.stop.epoch, self.stop.best = state["chosen_epoch"], state["best"]
        self.history, self.chosen = state["history"], state["chosen"]
        self.chosen_logits = state["chosen_logits"].numpy()
        if not state["over"]:
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            if self.scaler is not None and state["scaler"] is not None:
                self.scaler.load_state_dict(state["scaler"])
            self.trainer.progress.info(
                tr("{unit}: going on after epoch {state}.").format(unit=self.unit, state=state["epoch"])
            )
        return state["epoch"] + 1, bool(state["over"])


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def scaler_of(precision: torch.dtype | None) -> Any:
    """What keeps small gradients from becoming 0 in float16; None for other precisions."""
    if precision is not torch.float16:
        return None
    make = getattr(torch.amp, "GradScaler", None)  # since PyTorch 2.3
    return torch.cuda.amp.GradScaler() if make is None else make("cuda")


def optimiser(
    parameters: Sequence[torch.nn.Parameter], rate: float, decay: float, device: torch.device
) -> torch.optim.AdamW:
    """AdamW; matrices decay, biases and normalisations do not. In one pass over the weights where torch can (2.4)."""
    groups = [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    if device.type == "cpu":
        with contextlib.suppress(RuntimeError):
            return torch.optim.AdamW(groups, lr=rate, fused=True)
    return torch.optim.AdamW(groups, lr=rate)
