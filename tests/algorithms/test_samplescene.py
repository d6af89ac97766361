"""samplescene through Processing."""

from __future__ import annotations

from pathlib import Path

import pytest
from qgis.core import QgsProcessingException, QgsRasterLayer, QgsVectorLayer


@pytest.fixture
def run(landloom_provider):
    import processing

    return lambda **parameters: processing.run("landloom:samplescene", parameters)


def test_it_writes_a_scene_that_qgis_opens(run, tmp_path):
    folder = tmp_path / "dossier à essais"
    result = run(SIZE=60, SEED=2, CLIMATE="tropical", OUTPUT=str(folder))
    assert result["OUTPUT"] == str(folder)
    layer = QgsVectorLayer(result["REFERENCE"], "reference", "ogr")
    assert layer.isValid() and layer.featureCount() > 10
    assert layer.crs().authid() == "EPSG:32738"
    image = next(Path(folder).glob("S2/T38KPD/SENTINEL2*/*_FRE_B8.tif"))
    raster = QgsRasterLayer(str(image), "B8")
    assert raster.isValid() and raster.width() == 60 and raster.crs() == layer.crs()
    assert raster.extent().intersects(layer.extent())


def test_defaults(landloom_provider):
    algorithm = landloom_provider.algorithm("samplescene")
    defaults = {p.name(): p.defaultValue() for p in algorithm.parameterDefinitions()}
    assert defaults["CLIMATE"] == "tropical" and defaults["SIZE"] % 2 == 0 and 300 <= defaults["SIZE"] <= 400
    assert all(p.help() for p in algorithm.parameterDefinitions())


def test_a_wrong_climate_is_one_sentence(run, tmp_path):
    with pytest.raises(QgsProcessingException, match="CLIMATE"):
        run(CLIMATE="polar", SIZE=60, OUTPUT=str(tmp_path / "out"))


def test_an_odd_size_is_one_sentence(run, tmp_path):
    with pytest.raises(QgsProcessingException, match="even number"):
        run(SIZE=61, OUTPUT=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_the_user_is_not_touched(run, tmp_path):
    (tmp_path / "thesis.odt").write_text("mine")
    with pytest.raises(QgsProcessingException, match=r"thesis\.odt"):
        run(SIZE=60, OUTPUT=str(tmp_path))
    assert (tmp_path / "thesis.odt").read_text() == "mine"
