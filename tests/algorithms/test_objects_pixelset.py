"""trainobjects with NETWORK pixelset and classifyobjects through Processing: report, files, refusals, no PyTorch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.progress import Progress
from landloom.model.base.vectorfile import write_table
from osgeo import ogr
from qgis.core import QgsProcessingException, QgsVectorLayer

SIDE = 10


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Fields of a small scene as segments, some of them one pixel small, and every second one as reference."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "mapping"))
    import mapping_scene as scene

    folder = tmp_path_factory.mktemp("jeux de pixels à lire")
    stack = scene.make_stack(folder)
    truth = scene.truth()[::SIDE, ::SIDE]
    names = np.array(["maïs", "riz", "forêt <dense>", "eau"])

    def square(row, column, inner):
        x, y = 500000 + (column * SIDE + inner) * 10, 8000000 - (row * SIDE + inner) * 10
        side = (SIDE - 2 * inner) * 10
        wkt = f"POLYGON(({x} {y},{x + side} {y},{x + side} {y - side},{x} {y - side},{x} {y}))"
        return bytes(ogr.CreateGeometryFromWkt(wkt).ExportToWkb())

    places = [(r, c) for r in range(truth.shape[0]) for c in range(truth.shape[1])]
    inner = [4.5 if (r + 3 * c) % 7 == 0 else 2 for r, c in places]  # of a seventh one pixel, of the others 36
    every = [square(r, c, cut) for (r, c), cut in zip(places, inner, strict=True)]
    segments, reference = folder / "segments.gpkg", folder / "reference.gpkg"
    write_table(segments, "s", scene.crs(), ogr.wkbPolygon, every, {"n": np.arange(len(every))}, Progress())
    known = [(r, c) for r, c in places if (r + c) % 2]
    columns = {"crop": names[[truth[one] for one in known]].tolist()}
    write_table(reference, "r", scene.crs(), ogr.wkbPolygon, [square(r, c, 1) for r, c in known], columns, Progress())
    return {
        "STACK": str(stack), "SEGMENTS": str(segments), "REFERENCE": str(reference), "CLASS_FIELD": "crop",
        "NETWORK": "pixelset", "FOLDS": 2, "EPOCHS": 12, "DEVICE": "cpu", "MEMORY_MB": 128,
        "truth": names[truth.ravel()], "small": np.array(inner) > 4,
    }  # fmt: skip


def parameters(inputs, **more):
    return {key: value for key, value in inputs.items() if key.isupper()} | more


def test_train_classify_and_look(landloom_provider, inputs, tmp_path):
    pytest.importorskip("torch")
    import processing

    model, report = str(tmp_path / "jeux.safetensors"), tmp_path / "jeux.html"
    made = processing.run("landloom:trainobjects", parameters(inputs, OUTPUT=model, REPORT=str(report)))
    assert made["OVERALL_ACCURACY"] > 0.8
    page = report.read_text(encoding="utf-8")
    assert "pixelset" in page and "MFLOP for an object of 64 pixels" in page and "parameters" in page
    assert "Learning curves" in page and "Validation macro F1" in page and "fold 2 member 1" in page
    assert "forêt &lt;dense&gt;" in page and "by a network that has learnt from other groups" in page
    facts = json.loads((tmp_path / "jeux_report.json").read_text(encoding="utf-8"))
    assert facts["network"]["parameters"] > 10_000 and len(facts["network"]["epochs"]) == 2
    assert facts["scores"]["overall_accuracy"] == pytest.approx(made["OVERALL_ACCURACY"])

    output = str(tmp_path / "carte.gpkg")
    done = processing.run(
        "landloom:classifyobjects",
        {"STACK": inputs["STACK"], "SEGMENTS": inputs["SEGMENTS"], "MODEL": model, "OUTPUT": output, "DEVICE": "cpu",
         "RASTER": str(tmp_path / "carte raster.tif"), "MEMORY_MB": 128},
    )  # fmt: skip
    layer = QgsVectorLayer(done["OUTPUT"], "objects")
    assert layer.featureCount() == done["OBJECTS"] == len(inputs["truth"])
    rows = sorted(layer.getFeatures(), key=lambda one: one["object"])
    right = np.array([row["name"] == name for row, name in zip(rows, inputs["truth"], strict=True)])
    assert right.mean() > 0.8 and right[inputs["small"]].mean() > 0.6
    assert [bool(row["small"]) for row in rows] == inputs["small"].tolist()
    assert Path(done["RASTER"]).exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"NETWORK": "unet"}, "NETWORK is 'unet'|NETWORK"),
        ({"EPOCHS": -2}, "EPOCHS is -2"),
        ({"LEARNING_RATE": 3}, "LEARNING_RATE is 3"),
        ({"BATCH_SIZE": 0}, "BATCH_SIZE is 0"),
        ({"FEATURES": "mean,texture"}, "FEATURES texture cannot be used with NETWORK pixelset"),
        ({"SENSORS": "S3"}, "S3"),
    ],
)
def test_refusals_are_one_sentence(landloom_provider, inputs, tmp_path, change, sentence):
    pytest.importorskip("torch")
    import processing

    output = tmp_path / "a.safetensors"
    with pytest.raises(QgsProcessingException, match=sentence) as caught:
        processing.run("landloom:trainobjects", parameters(inputs, **change, OUTPUT=str(output)))
    assert "Traceback" not in str(caught.value) and not output.exists()


def test_without_pytorch_it_is_one_sentence_and_the_forest_works(landloom_provider, inputs, tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    import processing

    for name in [*sys.modules]:
        if name == "torch" or name.startswith("torch."):
            monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "torch", None)
    output = str(tmp_path / "a.safetensors")
    with pytest.raises(QgsProcessingException, match="The network pixelset needs"):
        processing.run("landloom:trainobjects", parameters(inputs, OUTPUT=output))
    forest = parameters(inputs, NETWORK="randomforest", OUTPUT=output)
    made = processing.run("landloom:trainobjects", forest)
    assert made["OVERALL_ACCURACY"] > 0.8
    done = processing.run(
        "landloom:classifyobjects",
        {"STACK": inputs["STACK"], "SEGMENTS": inputs["SEGMENTS"], "MODEL": output,
         "OUTPUT": str(tmp_path / "a.gpkg")},
    )  # fmt: skip
    assert done["OBJECTS"] == len(inputs["truth"])
