"""extractsamples through Processing: parameters, outputs, styles, and the sentences for bad input."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "samples"))
import samples_scene
from osgeo import ogr


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    return make_stack(tmp_path_factory.mktemp("scène d'été"), samples_scene.sensors())


@pytest.fixture(scope="module")
def layer(tmp_path_factory):
    return samples_scene.write_layer(tmp_path_factory.mktemp("référence") / "champs.gpkg", samples_scene.fields())


@pytest.fixture
def extract(landloom_provider, stack, layer, tmp_path):
    import processing

    def run(feedback=None, context=None, **parameters):
        given = {"STACK": str(stack), "REFERENCE": str(layer), "CLASS_FIELD": "crop"}
        given["OUTPUT"] = str(tmp_path / "échantillons 1")
        return processing.run("landloom:extractsamples", {**given, **parameters}, feedback=feedback, context=context)

    return run


def refused(run, *words, **parameters):
    from qgis.core import QgsProcessingException

    with pytest.raises(QgsProcessingException) as raised:
        run(**parameters)
    message = str(raised.value)
    for word in words:
        assert word in message, message
    return message


def test_everything(extract, tmp_path):
    from landloom.model.samples.store import SampleStore
    from qgis.core import QgsSymbolLayer, QgsVectorLayer

    points, report = tmp_path / "points.gpkg", tmp_path / "rapport.html"
    result = extract(POINTS=str(points), REPORT=str(report), HALO=1, MAX_PER_GROUP=30, SEED=3)
    store = SampleStore.open(result["OUTPUT"])
    assert store.nomenclature.names == ("eau", "forêt", "maïs")
    assert store.nomenclature.codes.tolist() == [1, 2, 3]
    assert len(store) == 30 * 30
    assert store.halo == 1
    text = report.read_text(encoding="utf-8")
    assert "NDVI" in text and "VH" in text and "forêt" in text and "<script" not in text
    assert result["POINTS"] == str(points)
    loaded = QgsVectorLayer(str(points), "points")
    assert loaded.isValid() and loaded.featureCount() == len(store)
    assert {one.name() for one in loaded.fields()} >= {"name", "code", "group", "split", "fold", "suspect"}
    renderer = loaded.renderer()
    assert renderer.type() == "categorizedSymbol"
    categories = renderer.categories()
    assert [category.symbol().color().name() for category in categories] == list(store.nomenclature.colors)
    mark = categories[0].symbol().symbolLayer(0)
    rim = mark.dataDefinedProperties().property(QgsSymbolLayer.Property.PropertyStrokeColor)
    assert "suspect" in rim.expressionString()


def test_memory_layer_selection_and_other_crs(extract, layer, tmp_path):
    from landloom.model.samples.store import SampleStore
    from qgis.core import QgsFeatureRequest, QgsProcessingFeatureSourceDefinition, QgsProject, QgsVectorLayer

    original = QgsVectorLayer(str(layer), "champs")
    memory = original.materialize(QgsFeatureRequest())
    assert memory.providerType() == "memory"
    QgsProject.instance().addMapLayer(memory)
    memory.selectByExpression("number > 5")
    source = QgsProcessingFeatureSourceDefinition(memory.id(), True)
    store = SampleStore.open(extract(REFERENCE=source)["OUTPUT"])
    assert store.nomenclature.names == ("forêt", "maïs")
    QgsProject.instance().removeMapLayer(memory.id())


def test_shapefile_points_output(extract, tmp_path):
    extract(POINTS=str(tmp_path / "p.shp"))
    assert (tmp_path / "p.shp").exists() and (tmp_path / "p.qml").exists()


def test_refuses_bad_parameters(extract, layer, stack, tmp_path):
    from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingException, QgsProcessingFeedback

    refused(extract, "CLASS_FIELD", "culture", "crop", CLASS_FIELD="culture")
    refused(extract, "absent.json", STACK=str(tmp_path / "absent.json"))
    refused(extract, "POINTS", ".gpkg", POINTS=str(tmp_path / "p.xyz"))
    algorithm = QgsApplication.processingRegistry().algorithmById("landloom:extractsamples").create()
    with pytest.raises(QgsProcessingException, match="SPLIT_BY is 'polygon'; choose one of: group, block, field"):
        given = {"STACK": str(stack), "REFERENCE": str(layer), "CLASS_FIELD": "crop", "SPLIT_BY": "polygon"}
        given["OUTPUT"] = str(tmp_path / "out")
        algorithm.processAlgorithm(given, QgsProcessingContext(), QgsProcessingFeedback())
    assert not list(tmp_path.iterdir())


def test_refuses_bad_reference(extract, tmp_path):
    fields = samples_scene.fields()
    no_crs = samples_scene.write_layer(tmp_path / "a" / "no crs.gpkg", fields, epsg=None)
    refused(extract, "coordinate reference system", REFERENCE=str(no_crs))
    empty = samples_scene.write_layer(tmp_path / "a" / "vide.gpkg", [])
    refused(extract, "hold no feature", REFERENCE=str(empty))
    nulls = samples_scene.write_layer(tmp_path / "a" / "null.gpkg", [(wkt, {}) for wkt, _ in fields])
    refused(extract, "'crop' is empty", REFERENCE=str(nulls))
    one = samples_scene.write_layer(tmp_path / "a" / "one.gpkg", [f for f in fields if f[1]["crop"] == "eau"])
    refused(extract, "one class", "eau", REFERENCE=str(one))
    away = samples_scene.write_layer(tmp_path / "a" / "away.gpkg", [(samples_scene.square(900, 0, 5), fields[0][1])])
    refused(extract, "None of the 1 features", "CRS", REFERENCE=str(away))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_unlisted_values_stop_with_the_list(extract, tmp_path):
    table = tmp_path / "n.csv"
    table.write_text("value,code,name\neau,1,water\n", encoding="utf-8")
    refused(extract, "forêt, maïs", "n.csv", NOMENCLATURE=str(table))
    assert not (tmp_path / "échantillons 1").exists()


def test_cancel_leaves_nothing(extract, tmp_path):
    from qgis.core import QgsProcessingException, QgsProcessingFeedback

    class Impatient(QgsProcessingFeedback):
        """Cancels once the series are being read."""

        def setProgressText(self, text):  # noqa: N802
            if text.startswith("Reading the series"):
                self.cancel()

    feedback = Impatient()
    with pytest.raises(QgsProcessingException):
        extract(feedback=feedback)
    assert feedback.isCanceled()
    assert not list(tmp_path.iterdir())


def test_does_not_replace_a_folder_of_something_else(extract, tmp_path):
    folder = tmp_path / "échantillons 1"
    folder.mkdir()
    (folder / "thesis.odt").write_text("years of work")
    refused(extract, "not replaced")
    assert (folder / "thesis.odt").read_text() == "years of work"
    (folder / "thesis.odt").unlink()
    extract()
    first = np.load(folder / "samples.npy")
    extract(SEED=1)
    assert not np.array_equal(np.load(folder / "samples.npy"), first)
    assert [path.name for path in tmp_path.iterdir()] == ["échantillons 1"]


def test_points_as_reference(extract, tmp_path):
    from landloom.model.samples.store import SampleStore

    features = []
    for wkt, attributes in samples_scene.fields():
        centre = ogr.CreateGeometryFromWkt(wkt).Centroid()
        features.append((centre.ExportToWkt(), attributes))
    layer = samples_scene.write_layer(tmp_path / "a" / "points.geojson", features, epsg=4326)
    store = SampleStore.open(extract(REFERENCE=str(layer), CLASS_FIELD="number")["OUTPUT"])
    assert len(store) == 30
    assert store.nomenclature.codes.tolist() == [5, 7, 300]
