"""Files that once were neither read nor refused in one line; fuzzing found them."""

from __future__ import annotations

import contextlib
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


def test_samples_whose_rows_are_beyond_all_numbers(tmp_path, make_stack):
    """2^31 - 1 plus the halo is negative in 32 bits, and was taken for a row inside."""
    import numpy as np
    import samples_scene
    from landloom.model.base.progress import Progress
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings
    from landloom.model.samples.store import SampleStore

    stack = make_stack(tmp_path / "stack", samples_scene.sensors())
    reference = samples_scene.write_layer(tmp_path / "reference.gpkg", samples_scene.fields())
    extract_samples(stack, reference, ExtractionSettings("crop", max_per_group=3), tmp_path / "samples", Progress())
    table = np.load(tmp_path / "samples" / "samples.npy")
    table["row"][0] = 2**31 - 1
    np.save(tmp_path / "samples" / "samples.npy", table)
    with pytest.raises(LandloomError, match="outside their chip"):
        SampleStore.open(tmp_path / "samples")


def test_a_journal_with_other_blocks_is_not_gone_on_from(tmp_path):
    from landloom.model.mapping.chunks import Area
    from landloom.model.mapping.journal import Journal
    from landloom.model.mapping.layout import block_at

    journal = Journal(tmp_path)
    journal.start("run", [block_at(0, Area(0, 0, 30, 20), Area(0, 0, 32, 32))])
    assert journal.read()["blocks"] == [[0, 0, 32, 32]]
    path = tmp_path / "journal.json"
    content = json.loads(path.read_text())
    for blocks in ([[0, 0, 16, 32]], "all", [[0, 0]], None):
        path.write_text(json.dumps({**content, "blocks": blocks}))
        assert journal.read() is None


def test_a_killed_run_publishes_no_map_with_the_classes_of_another(tmp_path, monkeypatch):
    """The raster takes its name when names and style of its classes are there."""
    import os

    from landloom.model.mapping import outputs

    final, temporary = tmp_path / "map.tif", tmp_path / "map.0a1b2c3d.partial.tif"
    for path in (final, final.with_suffix(".qml"), tmp_path / "map.tif.aux.xml"):
        path.write_text("older")
    temporary.write_text("newer")
    (tmp_path / f"{temporary.name}.aux.xml").write_text("newer")
    replace, seen = os.replace, []

    def watched(source, target):
        replace(source, target)
        seen.append({path.name: path.read_text() for path in tmp_path.iterdir() if ".partial" not in path.name})

    monkeypatch.setattr(os, "replace", watched)
    outputs.publish(outputs.Layer("map", final, 1, "uint8", 0, qml="newer"), temporary)
    assert seen[-1] == {"map.tif": "newer", "map.tif.aux.xml": "newer", "map.qml": "newer"}
    assert all("map.tif" not in one for one in seen[:-1]) and "older" not in str(seen)


def test_a_layer_of_which_gdal_says_what_is_no_text(tmp_path):
    """GDAL quotes what a file holds; Python's interface to it then fails with a SystemError of its own."""
    from landloom.model.base.raster import quiet_gdal
    from landloom.model.samples.regions import Regions
    from osgeo import gdal

    path = tmp_path / "regions.geojson"
    path.write_bytes(b'{"type":"FeatureCollection","features":[\xff\xfe')
    with quiet_gdal() as messages:
        with contextlib.suppress(RuntimeError):  # when a test before switched GDAL's exceptions on
            gdal.OpenEx(str(path), gdal.OF_VECTOR)
        assert all(isinstance(one, str) for one in messages)
    with pytest.raises(LandloomError, match=r"regions\.geojson"):
        Regions(str(path), "zone")


def test_a_model_of_objects_with_a_day_without_end(tmp_path):
    import numpy as np
    from landloom.model.networks.tensorfile import write_tensors
    from landloom.model.objects.objectmodel import FORMAT, VERSION, ObjectModel

    spec = {"name": "S2", "kind": "optical", "bands": ["B4"], "dates": ["2021-01-05"], "days": [4], "dtype": "int16"}
    chosen = {"statistics": ["mean"], "percentiles": [], "partial": True, "shape": False}
    sensors = {"S2": {"spec": spec, "target_days": [float("inf")]}}
    recipe = {"settings": chosen, "sensors": sensors, "rasters": [], "names": [], "medians": [], "indices": []}
    sound = tmp_path / "objects.safetensors"
    write_tensors(sound, {"a": np.zeros(1)}, {"format": FORMAT, "version": VERSION, "recipe": "here"})
    raw = sound.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    listed = json.loads(raw[8 : 8 + length])
    described = {"format": FORMAT, "version": VERSION, "recipe": {**recipe, "texture": False}}
    listed["__metadata__"]["landloom"] = json.dumps(described)
    encoded = json.dumps(listed).encode()
    sound.write_bytes(len(encoded).to_bytes(8, "little") + encoded + raw[8 + length :])
    with pytest.raises(LandloomError, match="is damaged"):
        ObjectModel.load(sound)
