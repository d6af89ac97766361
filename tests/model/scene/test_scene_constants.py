"""The constants of the scene are frozen, so that no network can be favoured by changing the scene."""

from __future__ import annotations

import pytest
from landloom.model.scene import constants

# Set with a random forest before any network was tried (benchmarks/scene_difficulty.py). Changing it makes every
# figure ever published on the scene void: add a new climate instead.
FROZEN = "4860199efd83b2e1c6b8ff05b3d06a6345c472bb2eb9403c5ac4201178a9069f"


def test_the_constants_are_frozen():
    assert constants.fingerprint() == FROZEN


def test_the_fingerprint_sees_a_change(monkeypatch):
    monkeypatch.setattr(constants, "LOOKS", 9.0)
    assert constants.fingerprint() != FROZEN


@pytest.mark.parametrize("climate", ["tropical", "temperate"])
def test_classes_are_usable(climate):
    covers = constants.CLIMATES[climate].covers
    codes = [c.code for c in covers]
    assert len(set(codes)) == len(codes) and min(codes) >= 1 and max(codes) <= 255
    assert len({c.name for c in covers}) == len(covers)
    assert all(":" not in c.name for c in covers), "the name ends at the colon in nomenclature.txt"
    assert {c.stratum for c in covers} == {"farm", "forest", "open", "water", "built"}
    assert sum(c.share for c in covers) == pytest.approx(1.0, abs=0.01)


def test_spectra_are_physical():
    for values in constants.ENDMEMBERS.values():
        assert len(values) == len(constants.S2_BANDS) and min(values) > 0 and max(values) < 1
    herb = dict(zip(constants.S2_BANDS, constants.ENDMEMBERS["herb"], strict=True))
    assert herb["B8"] > 10 * herb["B4"]
    assert herb["B3"] > herb["B4"] and herb["B3"] > herb["B2"]
    assert set(constants.BANDS_10M) | set(constants.BANDS_20M) == set(constants.S2_BANDS)
