"""Files that once were neither read nor refused in one line; fuzzing found them."""

from __future__ import annotations

import json

import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.matrixfile import read_matrix
from landloom.model.networks.modelfile import ModelHeader
from landloom.model.stack.sensors import SensorSpec
from landloom.model.stack.stac.items import read_items


@pytest.mark.parametrize("lost", ["bands", "dates"])
def test_a_sensor_without_bands_or_dates(lost):
    content = {"name": "S2", "kind": "optical", "bands": ["B4"], "dates": ["2021-01-05"], "days": [4], "dtype": "int16"}
    assert SensorSpec.from_json(content).bands == ("B4",)
    content |= {"bands": []} if lost == "bands" else {"dates": [], "days": []}
    with pytest.raises(ValueError, match="bands or dates"):
        SensorSpec.from_json(content)


def test_a_matrix_with_a_cell_without_end(tmp_path):
    path = tmp_path / "matrix.csv"
    path.write_text("reference,1,2\n1,3," + "9" * 200_000 + "\n2,0,1\n")
    with pytest.raises(LandloomError, match=r"confusion matrix .*matrix\.csv"):
        read_matrix(path)


@pytest.mark.parametrize(
    "place, value",
    [
        (("links",), True),
        (("links",), 3),
        (("assets", "red", "proj:transform"), [10, 0, float("nan"), 0, -10, 0]),
        (("assets", "red", "proj:shape"), [float("inf"), 100]),
        (("assets", "red", "proj:shape"), [10**300, 100]),
    ],
    ids=str,
)
def test_items_with_values_of_other_kinds(place, value, tmp_path):
    import stac_service

    item = json.loads(json.dumps(stac_service.item(stac_service.DATES[0], "./")))
    holder = item
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    path = tmp_path / "item.json"
    path.write_text(json.dumps(item))
    (read,), _ = read_items(path)
    assert place == ("links",) or read.assets["red"].grid is None


@pytest.mark.parametrize("content", [None, 3, [], "landloom-model", {}])
def test_a_file_of_several_models_that_lists_something_else(content):
    with pytest.raises(LandloomError, match="not a Landloom model"):
        ModelHeader.from_json(content)
