"""SCHEDULER and PATH_MAP through Processing: who computes, progress and cancelling, and the sentences for bad input.

The cluster is a stand-in that computes here; ``tests/reliability/test_cluster.py`` runs the same on Dask's workers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import QgsFeature, QgsProcessingException, QgsProcessingFeedback, QgsVectorLayer

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "model" / "samples"), str(TESTS / "model" / "mapping")]
import mapping_scene  # noqa: E402
import samples_scene  # noqa: E402


class Nearby:
    """Computes pieces in this process by the workers' own function; notes what it is asked."""

    made = []

    def __init__(self, scheduler, path_map, progress):
        self.scheduler, self.path_map, self.computed, self.closed = scheduler, path_map, 0, False
        self.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        from landloom.model.mapping import blockwork

        self.closed = True
        blockwork.close()  # before QGIS ends, and GDAL with it

    def device(self, asked, network):
        return "cpu"

    def path(self, path):
        return path

    def compute(self, order, pieces, part, progress):
        from landloom.model.base.elsewhere import read_order
        from landloom.model.mapping import blockwork

        run = read_order(order)["run"]
        for number in pieces:
            progress.check()
            answer = blockwork.compute(str(order), run, [number])
            assert len(answer) == 1, answer
            self.computed += 1
            progress.percent(100 * self.computed / len(pieces))


@pytest.fixture
def nearby(monkeypatch):
    from landloom.model.mapping import daskcluster, job

    Nearby.made = []
    monkeypatch.setattr(daskcluster, "DaskCluster", Nearby)
    monkeypatch.setattr(job.Job, "block_pixels", lambda self: 4096)
    return Nearby.made


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grappe")
    stack = mapping_scene.make_stack(folder)
    model = mapping_scene.make_model(stack, "randomforest", folder / "forest.safetensors")
    return {"STACK": str(stack), "MODEL": str(model)}


def run(name, parameters, feedback=None):
    import processing

    return processing.run(f"landloom:{name}", parameters, feedback=feedback)


def test_a_map_by_a_scheduler_is_that_of_this_machine(landloom_provider, scene, nearby, tmp_path):
    here = run("classify", {**scene, "OUTPUT": str(tmp_path / "here.tif")})["OUTPUT"]
    assert not nearby
    where = {"SCHEDULER": " tcp://host:8786 ", "PATH_MAP": "/a=/b"}
    there = run("classify", {**scene, "OUTPUT": str(tmp_path / "there.tif"), **where})["OUTPUT"]
    assert [(one.scheduler, one.path_map, one.computed, one.closed) for one in nearby] == [
        ("tcp://host:8786", "/a=/b", 9, True)
    ]
    assert np.array_equal(*(gdal.Open(path).ReadAsArray() for path in (here, there)))


def test_regions_in_memory_are_mapped_and_warned_of(landloom_provider, scene, nearby, tmp_path):
    """QGIS writes such a layer to a temporary file, which other machines may not see."""
    own = {name: Path(scene["MODEL"]) for name in ("west", "east")}
    model, path = mapping_scene.make_regional(tmp_path / "régions", Path(scene["MODEL"]), own)
    stored = QgsVectorLayer(f"{path}|layername=regions", "stored", "ogr")
    layer = QgsVectorLayer(f"Polygon?crs={stored.crs().authid()}&field=eco:string", "regions", "memory")
    for one in stored.getFeatures():
        feature = QgsFeature(layer.fields())
        feature.setGeometry(one.geometry())
        feature.setAttributes([one["eco"]])
        layer.dataProvider().addFeature(feature)
    given = {"STACK": scene["STACK"], "MODEL": str(model), "REGIONS": layer, "REGION_FIELD": "eco"}
    feedback = QgsProcessingFeedback()
    output = run("classify", {**given, "SCHEDULER": "host:8786", "OUTPUT": str(tmp_path / "map.tif")}, feedback)
    assert "which other machines may not see" in feedback.textLog()
    assert gdal.Open(output["OUTPUT"]).ReadAsArray().any() and nearby[0].computed == 9


def test_samples_by_a_scheduler(landloom_provider, make_stack, nearby, tmp_path):
    stack = make_stack(tmp_path / "fields", samples_scene.sensors())
    reference = samples_scene.write_layer(tmp_path / "reference.gpkg", samples_scene.fields())
    given = {"STACK": str(stack), "REFERENCE": str(reference), "CLASS_FIELD": "crop"}
    run("extractsamples", {**given, "OUTPUT": str(tmp_path / "here")})
    run("extractsamples", {**given, "OUTPUT": str(tmp_path / "there"), "SCHEDULER": "host:8786"})
    assert len(nearby) == 1 and nearby[0].computed and nearby[0].closed
    for path in (tmp_path / "here").glob("*.npy"):
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()
    assert not (tmp_path / "there.parts").exists()


def test_cancelling_reaches_the_cluster(landloom_provider, scene, nearby, tmp_path):
    class Cancels(QgsProcessingFeedback):
        def setProgress(self, value):  # noqa: N802
            if value > 30:
                self.cancel()

    feedback = Cancels()
    with pytest.raises(QgsProcessingException, match="Cancelled"):
        run("classify", {**scene, "OUTPUT": str(tmp_path / "map.tif"), "SCHEDULER": "host:8786"}, feedback)
    assert 0 < nearby[0].computed < 9 and nearby[0].closed
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "where, sentence",
    [
        ({"PATH_MAP": "/a=/b"}, "PATH_MAP is given without SCHEDULER"),
        ({"SCHEDULER": "somewhere"}, "give an address such as tcp://host:8786"),
        ({"SCHEDULER": "host:8786", "PATH_MAP": "/a"}, "PATH_MAP holds '/a'"),
        ({"SCHEDULER": "slurm:/none.yaml"}, "/none.yaml, which cannot be read"),
    ],
)
def test_bad_input_is_a_sentence(where, sentence, landloom_provider, scene, tmp_path):
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(QgsProcessingException, match=sentence):
        run("classify", {**scene, "OUTPUT": str(tmp_path / "map.tif"), **where})
    assert not list(tmp_path.iterdir())


def test_without_dask_a_sentence_says_how_to_get_it(landloom_provider, scene, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(QgsProcessingException, match=r"SCHEDULER needs the Python package distributed.*pip install"):
        run("classify", {**scene, "OUTPUT": str(tmp_path / "map.tif"), "SCHEDULER": "host:8786"})
