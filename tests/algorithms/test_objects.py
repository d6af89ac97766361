"""trainobjects and classifyobjects through Processing: fields of a scene, descriptors, report, styles."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.progress import Progress
from landloom.model.base.vectorfile import write_table
from osgeo import ogr
from qgis.core import QgsProcessingException, QgsRasterLayer, QgsVectorLayer

pytest.importorskip("sklearn")
SIDE = 10


@pytest.fixture(scope="module")
def scene():
    sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "mapping"))
    import mapping_scene

    return mapping_scene


@pytest.fixture(scope="module")
def inputs(scene, tmp_path_factory):
    """Fields as segments and, inside every second of them, reference polygons with text classes."""
    folder = tmp_path_factory.mktemp("objets à apprendre")
    stack = scene.make_stack(folder)
    truth = scene.truth()[::SIDE, ::SIDE]
    names = np.array(["maïs", "riz", "forêt <dense>", "eau"])

    def square(row, column, inner):
        x, y = 500000 + (column * SIDE + inner) * 10, 8000000 - (row * SIDE + inner) * 10
        side = (SIDE - 2 * inner) * 10
        wkt = f"POLYGON(({x} {y},{x + side} {y},{x + side} {y - side},{x} {y - side},{x} {y}))"
        return bytes(ogr.CreateGeometryFromWkt(wkt).ExportToWkb())

    places = [(r, c) for r in range(truth.shape[0]) for c in range(truth.shape[1])]
    every = [square(r, c, 0) for r, c in places]
    segments, reference = folder / "segments.gpkg", folder / "reference.gpkg"
    write_table(segments, "s", scene.crs(), ogr.wkbPolygon, every, {"n": np.arange(len(every))}, Progress())
    known = [(r, c) for r, c in places if (r + c) % 2 and not (r < 3 and c < 4)]
    columns = {"crop": names[[truth[one] for one in known]].tolist()}
    write_table(reference, "r", scene.crs(), ogr.wkbPolygon, [square(r, c, 1) for r, c in known], columns, Progress())
    return {
        "STACK": str(stack), "SEGMENTS": str(segments), "REFERENCE": str(reference), "CLASS_FIELD": "crop",
        "truth": names[truth.ravel()], "folder": folder,
    }  # fmt: skip


def parameters(inputs, **more):
    return {key: value for key, value in inputs.items() if key.isupper()} | more


def test_train_classify_and_look(landloom_provider, inputs, tmp_path):
    import processing

    model, report = str(tmp_path / "objets.safetensors"), tmp_path / "objets.html"
    made = processing.run("landloom:trainobjects", parameters(inputs, FOLDS=3, OUTPUT=model, REPORT=str(report)))
    assert made["OVERALL_ACCURACY"] > 0.9 and made["MACRO_F1"] > 0.9
    page = report.read_text(encoding="utf-8")
    assert "forêt &lt;dense&gt;" in page and "<dense>" not in page and "out of fold" in page
    facts = json.loads((tmp_path / "objets_report.json").read_text(encoding="utf-8"))
    assert facts["scores"]["overall_accuracy"] == pytest.approx(made["OVERALL_ACCURACY"])
    assert (tmp_path / "objets_matrix.csv").exists() and (tmp_path / "objets_classes.csv").exists()

    output, raster = str(tmp_path / "carte.gpkg"), str(tmp_path / "carte raster.tif")
    done = processing.run(
        "landloom:classifyobjects",
        {"STACK": inputs["STACK"], "SEGMENTS": inputs["SEGMENTS"], "MODEL": model, "OUTPUT": output, "RASTER": raster},
    )
    layer = QgsVectorLayer(done["OUTPUT"], "objects")
    assert layer.featureCount() == done["OBJECTS"] == len(inputs["truth"])
    right = [one["name"] == inputs["truth"][one["object"] - 1] for one in layer.getFeatures()]
    assert np.mean(right) > 0.9
    message, loaded = layer.loadDefaultStyle()
    assert loaded, message
    assert {one.label() for one in layer.renderer().categories()} == set(inputs["truth"])
    picture = QgsRasterLayer(done["RASTER"], "raster")
    assert picture.renderer().type() == "paletted" and picture.width() == 150


def test_descriptors_never_meet_objects_that_trained_them(landloom_provider, scene, inputs, tmp_path):
    pytest.importorskip("torch")
    import processing
    from landloom.model.networks.modelfile import Model
    from landloom.model.samples.store import SampleStore

    samples = processing.run(
        "landloom:extractsamples",
        parameters(inputs, MAX_PER_GROUP=5, TEST=0.5, VALIDATION=0.1, OUTPUT=str(tmp_path / "samples")),
    )["OUTPUT"]
    model = processing.run(
        "landloom:train",
        {"SAMPLES": [samples], "NETWORK": "ltae", "EPOCHS": 2, "EVALUATION": "holdout", "DEVICE": "cpu",
         "OUTPUT": str(tmp_path / "pixels.safetensors")},
    )["OUTPUT"]  # fmt: skip
    header = Model.load_header(model)
    store = SampleStore.open(samples)
    unseen = set(np.unique(store.groups)) - set(header.training_groups)
    more = {"DESCRIPTORS": model, "SAMPLES": samples, "DIMENSIONS": 4, "FEATURES": "mean", "FOLDS": 2, "DEVICE": "cpu"}
    report = tmp_path / "r.html"
    output = str(tmp_path / "o.safetensors")
    processing.run("landloom:trainobjects", parameters(inputs, **more, OUTPUT=output, REPORT=str(report)))
    facts = json.loads((tmp_path / "r_report.json").read_text(encoding="utf-8"))
    assert facts["objects"] == len(unseen) and facts["left_out"] == len(set(header.training_groups))
    assert any("fused_axis_4" in name for name in facts["features"])
    classified = {"STACK": inputs["STACK"], "SEGMENTS": inputs["SEGMENTS"], "MODEL": output}
    done = processing.run("landloom:classifyobjects", {**classified, "OUTPUT": str(tmp_path / "d.gpkg")})
    assert done["OBJECTS"] == len(inputs["truth"])
    other = scene.make_model(Path(inputs["STACK"]), "ltae", tmp_path / "other.safetensors")
    with pytest.raises(QgsProcessingException, match="is not the one whose descriptors trained"):
        processing.run(
            "landloom:classifyobjects", {**classified, "DESCRIPTORS": str(other), "OUTPUT": str(tmp_path / "e.gpkg")}
        )
    # a pixel model that has seen every group leaves nothing to learn from
    whole = Model.load(model)
    from dataclasses import replace

    whole.header = replace(whole.header, training_groups=np.unique(store.groups).tolist())
    whole.save(tmp_path / "all.safetensors")
    with pytest.raises(QgsProcessingException, match="Every object with a class trained the pixel model"):
        given = {**more, "DESCRIPTORS": str(tmp_path / "all.safetensors")}
        processing.run("landloom:trainobjects", parameters(inputs, **given, OUTPUT=output))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"CLASS_FIELD": "culture"}, "CLASS_FIELD is 'culture'"),
        ({"MIN_SHARE": 2}, "MIN_SHARE is 2"),
        ({"CLASS_WEIGHTS": "some"}, "CLASS_WEIGHTS is 'some'"),
        ({"SEGMENTS": "nowhere.gpkg"}, "SEGMENTS|nowhere"),
        ({"RASTERS": ["nowhere.tif"]}, "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(landloom_provider, inputs, tmp_path, change, sentence):
    import processing

    with pytest.raises(QgsProcessingException, match=sentence):
        processing.run("landloom:trainobjects", parameters(inputs, OUTPUT=str(tmp_path / "a.safetensors")) | change)
    assert not list(tmp_path.iterdir())


def test_a_pixel_model_is_refused(landloom_provider, scene, inputs, tmp_path):
    import processing

    forest = scene.make_model(Path(inputs["STACK"]), "randomforest", tmp_path / "f.safetensors")
    with pytest.raises(QgsProcessingException, match="is no model of objects"):
        processing.run(
            "landloom:classifyobjects",
            {"STACK": inputs["STACK"], "SEGMENTS": inputs["SEGMENTS"], "MODEL": str(forest),
             "OUTPUT": str(tmp_path / "a.gpkg")},
        )  # fmt: skip
