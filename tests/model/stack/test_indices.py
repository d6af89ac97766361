from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from landloom.model.stack.indices import (
    available_indices,
    canonical_band,
    compute_index,
    find_band,
    find_role,
    normalised_difference,
)


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [("B04", "B4"), ("b4", "B4"), ("Band_4", "B4"), ("B8A", "B8A"), ("b08a", "B8A"), ("B11", "B11"), ("vv", "VV")],
)
def test_band_names_are_matched_whatever_their_spelling(spelling, expected):
    assert canonical_band(spelling) == expected


def test_find_band_prefers_the_exact_spelling():
    assert find_band(("B04", "B4"), "B4") == 1
    assert find_band(("B02", "B04"), "B4") == 1
    assert find_band(("B02",), "B4") is None


def test_near_infrared_falls_back_to_the_narrow_band():
    assert find_role(("B8A", "B8"), "NIR") == 1
    assert find_role(("B4", "B8A"), "NIR") == 1
    assert find_role(("RED", "NIR"), "NIR") == 1
    assert find_role(("B4",), "NIR") is None


def test_indices_by_hand():
    values = {"B04": np.array([0.1]), "B08": np.array([0.3]), "B11": np.array([0.2])}
    assert compute_index("NDVI", values)[0] == pytest.approx(0.5)
    # iota2's NDWI is the opposite of what is mostly called NDMI, (NIR - SWIR) / (NIR + SWIR).
    assert compute_index("NDWI", values)[0] == pytest.approx(-0.2)
    assert compute_index("BRIGHTNESS", values)[0] == pytest.approx(np.sqrt(0.01 + 0.09 + 0.04))
    assert compute_index("VV-VH", {"VH": np.array([-15.0]), "VV": np.array([-8.0])})[0] == pytest.approx(7.0)


def test_missing_bands_are_named():
    with pytest.raises(KeyError, match="SWIR"):
        compute_index("NDWI", {"B4": np.zeros(1), "B8": np.zeros(1)})


@given(arrays(np.float32, (2, 20), elements=st.floats(-10, 10, width=32)))
def test_normalised_difference_is_finite_and_bounded(pair):
    result = normalised_difference(pair[0], pair[1])
    assert np.all(np.abs(result) <= 1)
    assert np.all(result[pair[0] + pair[1] <= 0] == 0)


def test_normalised_difference_of_missing_values_is_zero():
    assert normalised_difference(np.array([np.nan, 0]), np.array([1.0, 0])).tolist() == [0, 0]


def test_available_indices_need_their_bands_and_kind():
    names = ("NDVI", "NDWI", "BRIGHTNESS", "VV-VH")
    assert available_indices("optical", ("B4", "B8"), names) == ("NDVI", "BRIGHTNESS")
    assert available_indices("radar", ("VH", "VV"), names) == ("VV-VH",)
    assert available_indices("radar", ("VV",), names) == ()
    assert available_indices("static", ("B4", "B8"), names) == ()
