"""Protects 'copy as command': what is copied repeats a run exactly, as Python, as JSON and as qgis_process flags."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import processing
import pytest
from landloom.model.base.raster import spatial_reference, write_raster
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Maps and matrices in a folder whose name needs quoting."""
    folder = tmp_path_factory.mktemp('l\'été $HOME "x"')
    crs = spatial_reference("EPSG:32738").ExportToWkt()
    maps = [
        str(write_raster(folder / f"{name}.tif", np.array([one], np.uint8), (5e5, 10, 0, 8e6, 0, -10), crs, 0))
        for name, one in (("a b", [1, 1, 2]), ("c", [1, 2, 3]), ("d", [2, 2, 1]))
    ]
    matrices = []
    for name in ("x 1", "y", "z"):
        path = folder / f"{name}.csv"
        path.write_text("reference,1,2,3\n1,8,1,1\n2,2,9,1\n3,1,1,7\n")
        matrices.append(str(path))
    return folder, maps, matrices


def algorithm_of(name):
    return QgsApplication.processingRegistry().createAlgorithmById(f"landloom:{name}")


def as_flags(line):
    """The parameters of a qgis_process line, as qgis_process reads them."""
    words = shlex.split(line)
    assert words[:2] == ["qgis_process", "run"]
    values: dict = {}
    for word in words[3:]:
        name, _, value = word.removeprefix("--").partition("=")
        values[name] = (
            [values[name], value]
            if isinstance(values.get(name), str)
            else ([*values[name], value] if name in values else value)
        )
    return words[2], values


def as_python(text):
    """The id and parameters of a ``processing.run`` line."""
    told = []
    space = {"processing": type("P", (), {"run": staticmethod(lambda *given: told.append(given))})}
    exec(text, {**space, "QgsCoordinateReferenceSystem": QgsCoordinateReferenceSystem})
    return told[0]


def ways(name, parameters):
    """The parameters that each way of copying gives back."""
    algorithm, context = algorithm_of(name), QgsProcessingContext()
    context.setProject(QgsProject.instance())
    line, good = algorithm.asQgisProcessCommand(parameters, context)
    assert good
    python = as_python(algorithm.asPythonCommand(parameters, context))
    content = json.loads(json.dumps(algorithm.asMap(parameters, context)))["inputs"]
    flags = as_flags(line)
    assert flags[0] == python[0] == f"landloom:{name}"
    return {"flags": flags[1], "python": python[1], "json": content}


def plain(name, parameters):
    """Values as the algorithm reads them, whatever form they have."""
    algorithm, context = algorithm_of(name), QgsProcessingContext()
    found = {}
    for one in algorithm.parameterDefinitions():
        if parameters.get(one.name()) in (None, "", []):
            continue
        kind = one.type()
        if kind == "multilayer" and one.layerType() != QgsProcessing.SourceType.TypeFile:
            found[one.name()] = [
                layer.source() for layer in algorithm.parameterAsLayerList(parameters, one.name(), context)
            ]
        elif kind == "multilayer":
            found[one.name()] = algorithm.parameterAsFileList(parameters, one.name(), context)
        elif kind == "boolean":
            found[one.name()] = algorithm.parameterAsBool(parameters, one.name(), context)
        elif kind == "number":
            found[one.name()] = algorithm.parameterAsDouble(parameters, one.name(), context)
        elif kind == "crs":
            found[one.name()] = algorithm.parameterAsCrs(parameters, one.name(), context).authid()
        elif kind in ("raster", "vector", "layer"):
            found[one.name()] = algorithm.parameterAsLayer(parameters, one.name(), context).source()
        else:
            found[one.name()] = algorithm.parameterAsString(parameters, one.name(), context)
    return found


def cases(folder, maps, matrices):
    """Parameters of every type: files, folders, enums, lists of layers and of files, numbers, CRS, extents."""
    return {
        "fuse": {
            "MAPS": maps,
            "METHOD": "dempstershafer",
            "MATRICES": matrices,
            "BELIEF": "recall",
            "MEMORY_MB": 300,
            "OUTPUT": str(folder / "fused 1.tif"),
        },
        "train": {
            "SAMPLES": [str(folder / "échantillons 1"), str(folder / "s2")],
            "NETWORK": "randomforest",
            "OUTPUT": str(folder / "m.safetensors"),
        },
        "preparestack": {
            "INPUT": str(folder),
            "SENSORS": "S2,S1",
            "CRS": "EPSG:32738",
            "RESOLUTION": 10.0,
            "MAX_CLOUD": 62.5,
            "COPY": str(folder / "copie 1"),
            "EXTENT": "500000,501000,7999000,8000000 [EPSG:32738]",
            "OUTPUT": str(folder / "stack.json"),
        },
        "difference": {
            "BEFORE": maps[0],
            "AFTER": maps[1],
            "ZERO_IS_CLASS": True,
            "OUTPUT": str(folder / "d.tif"),
            "TABLE": str(folder / "d.ods"),
        },
        "samplescene": {"SIZE": 100, "SEED": 7, "CLIMATE": "temperate", "OUTPUT": str(folder / "scène")},
    }


@pytest.mark.parametrize("name", ["fuse", "train", "preparestack", "difference", "samplescene"])
def test_every_way_gives_the_same_parameters(landloom_provider, case, name):
    given = cases(*case)[name]
    expected = plain(name, given)
    assert set(expected) == set(given)
    for way, found in ways(name, given).items():
        assert plain(name, found) == expected, way


def test_layers_of_a_project_are_copied_as_their_files(landloom_provider, case):
    layer = QgsRasterLayer(case[1][0], "a map")
    QgsProject.instance().addMapLayer(layer)
    try:
        given = {"BEFORE": layer.id(), "AFTER": case[1][1], "OUTPUT": "TEMPORARY_OUTPUT"}
        given["OUTPUT"] = QgsProcessingOutputLayerDefinition(str(case[0] / "d.tif"), QgsProject.instance())
        for way, found in ways("difference", given).items():
            assert found["BEFORE"] == case[1][0], way
    finally:
        QgsProject.instance().removeMapLayer(layer.id())


def test_lists_of_folders_are_not_opened_as_layers(landloom_provider, case, capfd):
    """QGIS tries each as a raster, mesh and point cloud, with errors of GDAL and HDF5."""
    folder = case[0] / "samples of a run"
    folder.mkdir(exist_ok=True)
    ways("train", {"SAMPLES": [str(folder)], "NETWORK": "ltae", "OUTPUT": "m.safetensors"})
    shown = capfd.readouterr()
    assert "ERROR" not in shown.err and "HDF5" not in shown.err and "rror" not in shown.out


@pytest.mark.parametrize("way", ["flags", "python", "json"])
def test_a_copied_run_makes_the_same_map(landloom_provider, case, way):
    folder, maps, matrices = case
    given = cases(folder, maps, matrices)["fuse"]
    processing.run("landloom:fuse", given)
    first = Path(given["OUTPUT"]).read_bytes()
    Path(given["OUTPUT"]).unlink()
    processing.run("landloom:fuse", ways("fuse", given)[way])
    assert Path(given["OUTPUT"]).read_bytes() == first
