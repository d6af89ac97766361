"""Protects outputs of all algorithms: a second run on one of them is refused, and what a killed run left goes."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from pathlib import Path

import pytest
from qgis.core import QgsProcessingException, QgsProcessingOutputLayerDefinition

sys.path.insert(0, str(Path(__file__).parents[1] / "reliability"))


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    from algorithm_runs import write_maps

    return write_maps(tmp_path_factory.mktemp("maps"))


def lock_of_another(path: Path) -> Path:
    """The lock of a process that lives."""
    lock = path.with_name(f"{path.name}.lock")
    content = {"pid": os.getppid(), "host": socket.gethostname(), "time": "2021-01-01 00:00:00", "token": "other"}
    lock.write_text(json.dumps(content))
    return lock


@pytest.mark.parametrize("name", ["OUTPUT", "CONFIDENCE"])
def test_a_second_run_on_any_output_is_refused(landloom_provider, maps, tmp_path, name):
    import processing

    outputs = {"OUTPUT": tmp_path / "mosaic.tif", "CONFIDENCE": tmp_path / "trust.tif"}
    inputs = {
        "MAPS": [maps["first"], maps["second"]],
        "CONFIDENCES": [maps["trust1"], maps["trust2"]],
        **{key: str(path) for key, path in outputs.items()},
    }
    lock = lock_of_another(outputs[name])
    with pytest.raises(QgsProcessingException, match=f"Another run .* is writing .*{outputs[name].name}: wait for it"):
        processing.run("landloom:mosaic", inputs)
    assert [path.name for path in tmp_path.iterdir()] == [lock.name]
    lock.unlink()
    left = ["mosaic.0a1b2c3d.partial.tif", "mosaic.0a1b2c3d.partial.tif.aux.xml", "mosaic.0a1b2c3d.partial.qml"]
    for one in [*left, "trust.01234567.partial.tif", "other.0a1b2c3d.partial.tif"]:
        (tmp_path / one).write_text("left by a killed run")
    processing.run("landloom:mosaic", inputs)
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".lock")]
    assert [path.name for path in tmp_path.iterdir() if ".partial" in path.name] == ["other.0a1b2c3d.partial.tif"]


@pytest.mark.parametrize("given", ["path", "other way", "layer", "layer of the context"])
def test_no_run_writes_over_what_it_reads(landloom_provider, maps, tmp_path, given):
    """``segment`` wrote its labels into the image that it had read: the image was gone."""
    import processing
    from qgis.core import QgsProcessingContext, QgsRasterLayer

    image = tmp_path / "image.tif"
    image.write_bytes(Path(maps["first"]).read_bytes())
    before, context = image.read_bytes(), QgsProcessingContext()
    layer = QgsRasterLayer(str(image), "image")
    context.temporaryLayerStore().addMapLayer(layer)
    value = {"path": str(image), "other way": os.path.relpath(image), "layer": layer}.get(given, layer.id())
    with pytest.raises(
        QgsProcessingException, match=r"OUTPUT .*image.tif is also an input \(INPUT\), which would be lost: give"
    ):
        processing.run("landloom:segment", {"INPUT": value, "OUTPUT": str(image)}, context=context)
    assert image.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["image.tif"]


def test_a_name_that_no_file_beside_it_could_have_is_refused_first(landloom_provider, maps, tmp_path):
    """The map was computed, and then could not be given its temporary name."""
    import processing

    for name, good in ((f"{103 * 'é'}.tif", True), (f"{104 * 'é'}.tif", False)):
        values = {"MAP": maps["first"], "OUTPUT": str(tmp_path / name)}
        if good:
            processing.run("landloom:regularise", values)
            continue
        with pytest.raises(QgsProcessingException, match="is too long, 212 bytes: give one of at most 210"):
            processing.run("landloom:regularise", values)
    assert {one.name.partition(".")[0] for one in tmp_path.iterdir()} == {103 * "é"}


def test_a_table_may_be_renewed_in_its_place(landloom_provider, maps, tmp_path):
    locks = importlib.import_module("landloom.algorithms.outputlocks")
    from qgis.core import QgsProcessingContext

    table = tmp_path / "classes.csv"
    table.write_text("value,code\n")
    definitions = landloom_provider.algorithm("nomenclature").parameterDefinitions()
    locks.refuse_inputs(definitions, {"TABLE": str(table), "OUTPUT": str(table)}, QgsProcessingContext())


def test_which_outputs_are_files(landloom_provider, tmp_path):
    locks = importlib.import_module("landloom.algorithms.outputlocks")
    definitions = landloom_provider.algorithm("landcovermap").parameterDefinitions()
    given = {
        "REFERENCE": "/data/reference.gpkg",
        "OUTPUT": QgsProcessingOutputLayerDefinition(str(tmp_path / "map.tif")),
        "CONFIDENCE": "TEMPORARY_OUTPUT",
        "PROBABILITIES": None,
        "MODEL": "",
        "WORK_FOLDER": str(tmp_path / "work"),
        "REPORT": "relative.html",
    }
    found = locks.output_paths(definitions, given)
    assert found == sorted([tmp_path / "map.tif", tmp_path / "work", Path.cwd() / "relative.html"])
    others = ["memory:", "ogr:dbname='/x.gpkg' table=\"y\"", "postgres://host/db", "spatialite:x"]
    for one in others:
        assert not locks.output_paths(definitions, {"OUTPUT": one}), one
    assert locks.output_paths(definitions, {"OUTPUT": f"{tmp_path}/a.gpkg|layername=b"}) == [tmp_path / "a.gpkg"]


def test_tables_of_a_report_that_another_run_writes_stay(tmp_path):
    from landloom.model.base.lock import tidy

    left = ["stack_dates.01234567.partial.csv", "stack_report.01234567.partial.json", "stack_2.01234567.partial.json"]
    for name in left:
        (tmp_path / name).write_text("{}")
    (tmp_path / "stack_2.json.lock").write_text("{}")
    tidy(tmp_path / "stack.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stack_2.01234567.partial.json", "stack_2.json.lock"]
