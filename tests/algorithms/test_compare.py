"""compare through Processing: outputs, numbers, maps, cancelling, and the sentences for bad input."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "training"))
import training_samples

FORESTS = {"NETWORKS": [], "RUNS": 1, "FOLDS": 2, "SENSOR_SETS": "S2", "DEVICE": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return training_samples.write_folder(tmp_path_factory.mktemp("données d'essai") / "échantillons 2021")


@pytest.fixture
def run(landloom_provider, folder, tmp_path):
    import processing

    def run(feedback=None, **parameters):
        given = {
            "SAMPLES": [str(folder)],
            "REPORT": str(tmp_path / "rapport.html"),
            "TABLE": str(tmp_path / "chiffres.json"),
            **FORESTS,
        }
        return processing.run("landloom:compare", {**given, **parameters}, feedback=feedback)

    return run


def refused(run, *words, **parameters):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as raised:
        run(**parameters)
    for word in words:
        assert word in str(raised.value), str(raised.value)


def test_a_network_its_numbers_and_files(run, tmp_path):
    pytest.importorskip("torch")
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback()
    result = run(
        feedback=feedback, NETWORKS=["ltae"], EPOCHS=2, SENSOR_SETS="S2;S1+S2", EVALUATION="holdout", RUNS=2, TEST=0.3,
        SEED=3, STEP=15, MEMORY_MB=512,
    )  # fmt: skip
    assert result["GAIN_LOW"] <= result["GAIN"] <= result["GAIN_HIGH"] and 0 <= result["P_VALUE"] <= 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["chiffres.csv", "chiffres.json", "chiffres_classes.csv", "chiffres_gains.csv", "rapport.html"]
    table = json.loads((tmp_path / "chiffres.json").read_text(encoding="utf-8"))
    assert table["settings"]["seed"] == 3 and table["settings"]["step"] == 15 and table["settings"]["test"] == 0.3
    assert table["provenance"]["algorithm"] == "landloom:compare" and "NETWORKS" in table["provenance"]["command"]
    told = next(
        one
        for one in table["gains"]
        if one["of"] == "ltae S1+S2" and (one["level"], one["score"]) == ("pixel", "macro_f1")
    )
    assert told["estimate"] == pytest.approx(result["GAIN"])
    text = feedback.textLog()
    assert "12 trainings" in text and "ltae with S1+S2" in text
    page = (tmp_path / "rapport.html").read_text(encoding="utf-8")
    assert "forêt" in page and "better forest" in page and "landloom:compare" in page


def test_a_map_made_elsewhere_and_curves(run, folder, tmp_path):
    """The true map as iota2 names it; forests alone, which need no PyTorch."""
    from landloom.model.base.raster import spatial_reference
    from osgeo import gdal

    side = training_samples.SIDE
    truth = np.kron(1 + np.arange(24) % 3, np.ones((side, side))).astype(np.uint8).reshape(side, side * 24)
    path = tmp_path / "Classif_Seed_0.tif"
    raster = gdal.GetDriverByName("GTiff").Create(str(path), truth.shape[1], side, 1, gdal.GDT_Byte)
    raster.SetGeoTransform((499995, 10, 0, 8e6 + 5, 0, -10))
    raster.SetProjection(spatial_reference("EPSG:32736").ExportToWkt())
    raster.GetRasterBand(1).WriteArray(truth)
    raster = None
    result = run(MAPS=[str(path)], SEASON_CURVE=True, SEASON_DATES=2, LEARNING_CURVE=True, EVALUATION="split")
    assert set(result) >= {"REPORT", "TABLE"} and "GAIN" not in result
    table = json.loads((tmp_path / "chiffres.json").read_text(encoding="utf-8"))
    assert table["maps"][0]["pixel"]["overall_accuracy"]["mean"] == 1
    assert len(table["learning_curve"][0]["points"]) == 4 and len(table["season_curve"][0]["points"]) == 2
    assert table["season_within_2_points"][0]["configuration"] == "randomforest S2"
    with (tmp_path / "chiffres_gains.csv").open(encoding="utf-8") as stream:
        assert {row["kind"] for row in csv.DictReader(stream)} == {"map"}
    page = (tmp_path / "rapport.html").read_text(encoding="utf-8")
    assert "Classif_Seed_0.tif" in page and "Learning curve" in page and "How early in the season" in page


def test_either_output_will_do(run, tmp_path):
    run(REPORT=None)
    assert not (tmp_path / "rapport.html").exists() and (tmp_path / "chiffres.json").exists()
    for path in tmp_path.iterdir():
        path.unlink()
    run(TABLE=None, SPLIT_BY="block", BLOCK_SIZE=300)
    assert [path.name for path in tmp_path.iterdir()] == ["rapport.html"]
    page = (tmp_path / "rapport.html").read_text(encoding="utf-8")
    assert "blocks of 300 m" in page and "Files" not in page


def test_cancel_leaves_nothing(run, tmp_path):
    from qgis.core import QgsProcessingFeedback

    feedback = QgsProcessingFeedback()

    class Cancelling(QgsProcessingFeedback):
        def setProgressText(self, text):  # noqa: N802
            if text.startswith("Training 2"):
                self.cancel()

    feedback = Cancelling()
    with pytest.raises(Exception):  # noqa: B017 - QGIS raises its own
        run(feedback=feedback)
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_one_sentence_and_leaves_nothing(run, tmp_path):
    refused(run, "does not exist", SAMPLES=[str(tmp_path / "nowhere")])
    refused(run, "NETWORKS", NETWORKS=["unet"])
    refused(run, "EVALUATION", EVALUATION="all")
    refused(run, "L8", "S2", SENSOR_SETS="L8")
    refused(run, "twice", SENSOR_SETS="S2;S2")
    refused(run, "split", EVALUATION="split", SPLIT_BY="block")
    refused(run, "missing.tif", MAPS=[str(tmp_path / "missing.tif")])
    refused(run, "Cannot write", TABLE="/proc/nothing/t.json")
    refused(run, "REPORT and TABLE", REPORT=None, TABLE=None)
    assert list(tmp_path.iterdir()) == []
