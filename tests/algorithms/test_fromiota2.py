"""fromiota2: nothing of a configuration is lost silently, and what it writes names parameters that exist."""

import json

import processing
import pytest
from qgis.core import QgsApplication, QgsProcessingException

CONFIG = """
chain : {
  outputPath : '/data/results'
  listTile : 'T31TCJ'
  S2Path : '/data/S2'
  S1Path : '/data/s1.cfg'
  groundTruth : '/data/reference.shp'
  dataField : 'CODE'
  nomenclaturePath : '/data/nomenclature.txt'
  colorTable : '/data/colors.txt'
  runs : 5
  ratio : 0.7
  random_seed : 3
  enable_probability_map : True
  spatialResolution : 10
  regionPath : None
  some_new_key : 'x'
}
argTrain : { classifier : 'rf'  options : ' -classifier.rf.min 5 -classifier.rf.max 25 ' }
GlobChain : { proj : 'EPSG:2154' features : ["NDVI", "NDWI", "Brightness"] }
Sentinel_2 : { startDate : 20180101  endDate : '20181231' temporalResolution : 10 }
"""


def _run(tmp_path, text, **more):
    config = tmp_path / "i2.cfg"
    config.write_text(text, encoding="utf-8")
    parameters = {"CONFIG": str(config), "OUTPUT": str(tmp_path / "out.json"), **more}
    result = processing.run("landloom:fromiota2", parameters)
    return result, json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))


def test_every_setting_becomes_a_parameter_or_is_named(landloom_provider, tmp_path) -> None:
    result, written = _run(tmp_path, CONFIG, REPORT=str(tmp_path / "report.html"))
    assert written["inputs"] == {
        "OUTPUT": "/data/results_landloom/map.tif",
        "CONFIDENCE": "/data/results_landloom/confidence.tif",
        "MODEL": "/data/results_landloom/model.safetensors",
        "REPORT": "/data/results_landloom/report.html",
        "WORK_FOLDER": "/data/results_landloom/work",
        "INPUT": "/data/S2",
        "REFERENCE": "/data/reference.shp",
        "CLASS_FIELD": "CODE",
        "NOMENCLATURE": "/data/nomenclature.txt",
        "SEED": 3,
        "NETWORK": "randomforest",
        "TEST": 0.3,
        "CRS": "EPSG:2154",
        "RESOLUTION": 10.0,
        "START": "2018-01-01",
        "END": "2018-12-31",
        "STEP": 10,
        "PROBABILITIES": "/data/results_landloom/probabilities.tif",
    }
    assert written["steps"] == {"compare": {"RUNS": 5}}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    # S1Path, options of OTB, and a key that nobody knows.
    assert result["WITHOUT_COUNTERPART"] == 3
    for key in ("S1Path", "options", "some_new_key", "ratio", "proj", "listTile"):
        assert key in page


def test_the_parameters_written_exist(landloom_provider, tmp_path) -> None:
    _result, written = _run(tmp_path, CONFIG)
    registry = QgsApplication.processingRegistry()
    for algorithm, inputs in {"landcovermap": written["inputs"], **written["steps"]}.items():
        found = registry.algorithmById(f"landloom:{algorithm}")
        if algorithm == "compare" and found is None:
            continue
        assert set(inputs) <= {one.name() for one in found.parameterDefinitions()}


def test_the_names_of_later_versions_mean_the_same(landloom_provider, tmp_path) -> None:
    later = CONFIG.replace("S2Path", "s2_path").replace("groundTruth", "ground_truth").replace("argTrain", "arg_train")
    assert _run(tmp_path, later)[1] == _run(tmp_path, CONFIG)[1]


def test_a_second_image_folder_is_not_dropped(landloom_provider, tmp_path) -> None:
    text = "chain : { s2_path : '/a'  l8_path : '/b'  ground_truth : '/r.shp' }"
    result, written = _run(tmp_path, text)
    assert written["inputs"]["INPUT"] == "/a"
    assert result["WITHOUT_COUNTERPART"] == 1


@pytest.mark.parametrize(
    ("more", "inputs"),
    [
        ("regionPath : '/data/eco.shp'", {"REGIONS": "/data/eco.shp", "REGION_FIELD": "region", "BLEND": 0}),
        (
            "region_path : '/data/eco.shp' region_field : 'DN_char'",
            {"REGIONS": "/data/eco.shp", "REGION_FIELD": "DN_char", "BLEND": 0},
        ),
        (
            "regionField : 'eco' regionPath : '/e.shp' } arg_classification : { enable_boundary_fusion : True",
            {"REGIONS": "/e.shp", "REGION_FIELD": "eco"},
        ),
        ("regionField : 'region' regionPath : 'None'", {}),
        ("region_field : 'region' region_path : None classifMode : 'separate'", {}),
    ],
)
def test_regions_become_those_of_landcovermap(landloom_provider, tmp_path, more, inputs) -> None:
    """iota2's default field is 'region', and it cuts at the borders unless it is told to fuse there."""
    result, written = _run(tmp_path, f"chain : {{ s2_path : '/a' {more} }}")
    assert written["inputs"] == {"INPUT": "/a", **inputs}
    assert result["WITHOUT_COUNTERPART"] == 0
    known = QgsApplication.processingRegistry().algorithmById("landloom:landcovermap").parameterDefinitions()
    assert set(written["inputs"]) <= {one.name() for one in known}


def test_what_regions_of_iota2_can_do_more_is_named(landloom_provider, tmp_path) -> None:
    text = "chain : { s2_path : '/a' region_path : '/e.shp' mode_outside_RegionSplit : 100 }"
    assert _run(tmp_path, f"{text} argClassification : {{ classifMode : 'fusion' }}")[0]["WITHOUT_COUNTERPART"] == 2


@pytest.mark.parametrize("text", ["chain : { runs : 3", "other : { x : 1 }"])
def test_what_is_no_iota2_configuration_is_refused(landloom_provider, tmp_path, text) -> None:
    with pytest.raises(QgsProcessingException, match="iota2"):
        _run(tmp_path, text)
    assert not (tmp_path / "out.json").exists()
