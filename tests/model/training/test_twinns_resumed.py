"""``twinns`` has ways of its own to learn on a processor: a training that was cut goes on to the same weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from landloom.model.base.errors import Cancelled  # noqa: E402
from landloom.model.base.progress import Progress  # noqa: E402
from landloom.model.samples.store import SampleStore  # noqa: E402
from landloom.model.training import member  # noqa: E402
from landloom.model.training.checkpoints import Checkpoints  # noqa: E402
from landloom.model.training.loop import fit  # noqa: E402
from landloom.model.training.settings import TrainingSettings  # noqa: E402


def test_a_cut_training_goes_on_to_the_same_weights(folder, tmp_path, monkeypatch):
    """Statistics, moments of the optimiser and the one bias that nothing depends on included."""
    monkeypatch.setattr(member, "_SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(member, "_SHARE_OF_TIME_FOR_CHECKPOINTS", 1e9)
    store, own = SampleStore.open(folder), np.arange(0, 200, 5)
    settings = TrainingSettings(network="twinns", epochs=3, evaluation="holdout", device="cpu")

    def trained(checkpoints):
        fitted = fit(store, own, own[:0], settings, Progress(), checkpoints)
        return fitted.model.members[0].state_dict(), [line["epoch"] for line in fitted.history]

    whole, epochs = trained(Checkpoints(None))
    plain = member.MemberTraining._epoch

    def cut(self, epoch):
        if epoch == 3:
            raise Cancelled
        return plain(self, epoch)

    monkeypatch.setattr(member.MemberTraining, "_epoch", cut)
    with pytest.raises(Cancelled):
        trained(Checkpoints(tmp_path / "states", "key"))
    monkeypatch.setattr(member.MemberTraining, "_epoch", plain)
    resumed = Checkpoints(tmp_path / "states", "key")
    assert resumed.goes_on
    found, gone_through = trained(resumed)
    assert epochs == gone_through == [1, 2, 3]
    for name, value in whole.items():
        assert torch.equal(found[name], value), name
