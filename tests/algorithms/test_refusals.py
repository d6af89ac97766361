"""Protects the sentence a user reads for a wrong value, before anything runs: it names the value and what is right."""

from __future__ import annotations

import pytest
from qgis.core import QgsProcessingContext
from qgis.PyQt.QtCore import QVariant


def refusal(provider, algorithm, **parameters):
    good, message = provider.algorithm(algorithm).checkParameterValues(parameters, QgsProcessingContext())
    assert not good
    return message


def test_a_wrong_choice_lists_the_right_ones(landloom_provider):
    message = refusal(landloom_provider, "train", SAMPLES=["a"], NETWORK="resnet", OUTPUT="m.safetensors")
    assert message == "NETWORK is 'resnet'; choose one of: ltae, twinns, tempcnn, randomforest."


def test_no_network_can_be_chosen_on_a_command_line(landloom_provider):
    """``--NETWORKS=`` compares the forests alone, as the help says; it was an 'incorrect parameter value'."""
    for none in ("", [""], [], QVariant()):
        given = {"SAMPLES": ["a"], "NETWORKS": none, "REPORT": "r.html"}
        assert landloom_provider.algorithm("compare").checkParameterValues(given, QgsProcessingContext()) == (True, "")


def test_a_missing_raster_is_named(landloom_provider, tmp_path):
    missing = str(tmp_path / "S2_20210103 é.tif")
    message = refusal(landloom_provider, "addrasters", SENSOR="S2", KIND="optical", RASTERS=[missing], OUTPUT="s.json")
    assert message == f"The raster {missing} does not exist; check the path."


@pytest.mark.parametrize("parameter", ["RASTERS", "MASKS"])
def test_a_damaged_raster_is_named(landloom_provider, tmp_path, parameter):
    damaged = tmp_path / "S2_20210103.tif"
    damaged.write_bytes(b"II*\0" + bytes(20))
    values = {"SENSOR": "S2", "KIND": "optical", "OUTPUT": "s.json", parameter: [str(damaged)]}
    message = refusal(landloom_provider, "addrasters", **values)
    assert message.startswith(f"Cannot open the raster {damaged}: ")


def test_a_number_out_of_its_range_comes_with_the_range(landloom_provider):
    message = refusal(landloom_provider, "extractsamples", STACK="s.json", REFERENCE="r.gpkg", CLASS_FIELD="c", HALO=65)
    assert message.startswith("HALO is 65, which cannot be used. Pixels round each sample, 0 to 64")
