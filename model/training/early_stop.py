"""When to stop, and which epoch's weights to deliver."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class EarlyStop:
    """Chooses the latest epoch whose validation score is as good as the best, up to chance.

    The macro F1 of a small validation set is noisy: its highest value is partly luck, and the network of that epoch is
    on average worse than a later one (measured on other groups; see ``docs/benchmarks.md``). So an epoch within one
    standard error of the best counts as equal, and the latest of them is taken (the rule of Breiman et al. 1984,
    Classification and Regression Trees). With many validation groups the error vanishes and the best epoch stands.

    Attributes:
        patience: epochs without such a score after which training stops.
        units: number of independent validation units (groups).
        epoch: the epoch chosen so far, 0 = none.
        best: the best score so far.
    """

    patience: int
    units: int
    epoch: int = 0
    best: float = -1.0

    def update(self, epoch: int, score: float) -> bool:
        """Note an epoch's score, and say whether its weights are now the chosen ones."""
        score = score if math.isfinite(score) else 0.0
        self.best = max(self.best, score)
        spread = max(self.best * (1 - self.best), 0.01)
        if score >= self.best - math.sqrt(spread / max(self.units, 1)):
            self.epoch = epoch
            return True
        return False

    def is_over(self, epoch: int) -> bool:
        """Whether it is time to stop."""
        return epoch - self.epoch >= self.patience
