"""Protects the main job as a user runs it: products in, map out, through the real qgis_process with its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

ROOT = Path(__file__).resolve().parents[2]


def read(path) -> np.ndarray:
    return gdal.Open(str(path)).ReadAsArray()


@pytest.fixture(scope="module")
def job(qgis_process, scene):
    """The forest's whole run on the small scene."""
    folder = scene.parent / "carte"
    folder.mkdir()
    inputs = {
        "INPUT": str(scene),
        "REFERENCE": str(scene / "reference.gpkg"),
        "CLASS_FIELD": "class",
        "NOMENCLATURE": str(scene / "nomenclature.txt"),
        "NETWORK": "randomforest",
        "OUTPUT": str(folder / "map.tif"),
        "CONFIDENCE": str(folder / "confidence.tif"),
        "MODEL": str(folder / "model.safetensors"),
        "REPORT": str(folder / "report.html"),
    }
    return folder, inputs, qgis_process("landloom:landcovermap", inputs)


def test_the_whole_job_in_one_command(job, scene):
    folder, _, run = job
    assert run.code == 0, run.errors
    names = sorted(p.name for p in folder.iterdir() if p.suffix not in (".xml",))
    assert names == [
        "confidence.qml",
        "confidence.tif",
        "map.qml",
        "map.tif",
        "map_work",
        "model.safetensors",
        "report.html",
        "report_areas.csv",
        "report_report.json",
    ]
    land_cover, confidence = read(folder / "map.tif"), read(folder / "confidence.tif")
    truth = read(next((scene / "truth").glob("*.tif")))
    assert land_cover.shape == confidence.shape == truth.shape
    assert land_cover.dtype == np.uint8 and (land_cover > 0).all() and confidence.max() <= 100
    agreement = float((land_cover == truth).mean())
    assert agreement > 2.5 / len(np.unique(truth)), agreement  # far above chance on a scene of few polygons
    assert 0 < run.results["OVERALL_ACCURACY"] <= 1


def test_the_report_tells_areas_and_links_the_steps(job):
    folder, _, _ = job
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("overall accuracy", "hectares", "map_work/samples.html", "map_work/training.html", "data:image/png"):
        assert text in page
    assert (folder / "map_work" / "training.html").exists()


def test_a_second_run_skips_every_step_and_gives_the_same_files(job, qgis_process):
    folder, inputs, _ = job
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.tif")}
    again = qgis_process("landloom:landcovermap", inputs)
    assert again.code == 0, again.errors
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.tif")} == before
    assert again.output.count("not changed, kept") == 4


def test_a_changed_input_runs_only_what_depends_on_it(job, qgis_process):
    folder, inputs, _ = job
    stack_time = (folder / "map_work" / "stack.json").stat().st_mtime_ns
    again = qgis_process("landloom:landcovermap", {**inputs, "SEED": 5})
    assert again.code == 0, again.errors
    assert again.output.count("not changed, kept") == 1
    assert (folder / "map_work" / "stack.json").stat().st_mtime_ns == stack_time


def test_settings_of_single_steps_reach_them(qgis_process, scene, tmp_path):
    """Those that landcovermap passes on change what the steps read, and only them."""
    from osgeo import ogr

    reference = ogr.Open(str(scene / "reference.gpkg"))
    x, _, y, _ = reference.GetLayer(0).GetExtent()
    mask = tmp_path / "mask.geojson"
    ring = f"[{x},{y}],[{x + 600},{y}],[{x + 600},{y + 600}],[{x},{y + 600}],[{x},{y}]"
    crs = reference.GetLayer(0).GetSpatialRef().GetAuthorityCode(None)
    mask.write_text(
        f'{{"type":"FeatureCollection","crs":{{"type":"name","properties":{{"name":"EPSG:{crs}"}}}},"features":'
        f'[{{"type":"Feature","properties":{{}},"geometry":{{"type":"Polygon","coordinates":[[{ring}]]}}}}]}}'
    )
    inputs = {
        "INPUT": str(scene),
        "REFERENCE": str(scene / "reference.gpkg"),
        "CLASS_FIELD": "class",
        "NETWORK": "randomforest",
        "SENSORS": "S2",
        "RESOLUTION": 20,
        "TEST": 0.4,
        "STEP": 20,
        "MASK": str(mask),
        "OUTPUT": str(tmp_path / "map.tif"),
        "WORK_FOLDER": str(tmp_path / "work"),
    }
    run = qgis_process("landloom:landcovermap", inputs)
    assert run.code == 0, run.errors
    stack = json.loads((tmp_path / "work" / "stack.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in stack["sensors"]] == ["S2"]
    assert stack["grid"]["transform"][1] == 20
    samples = json.loads((tmp_path / "work" / "samples" / "samples.json").read_text(encoding="utf-8"))
    assert samples["split"]["test"] == 0.4
    mapped = read(tmp_path / "map.tif")
    assert 0 < (mapped > 0).mean() < 0.6, "the mask has no effect"
    stacked = {**inputs, "STACK": str(tmp_path / "work" / "stack.json"), "INPUT": None, "RESOLUTION": None}
    refused = qgis_process("landloom:landcovermap", {k: v for k, v in stacked.items() if v is not None})
    assert refused.code == 1 and "SENSORS cannot be used with STACK" in refused.errors + refused.output


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"INPUT": None}, "Give either INPUT"),
        ({"CLASS_FIELD": "nothing"}, "nothing"),
        ({"NETWORK": "resnet"}, "NETWORK"),
        ({"REFERENCE": "missing.gpkg"}, "REFERENCE"),
        ({"INPUT": "empty"}, "empty"),
        ({"NOMENCLATURE": "missing.csv"}, "missing.csv"),
    ],
    ids=["no images", "no such field", "wrong network", "no reference", "empty folder", "no table"],
)
def test_bad_input_exits_with_one_and_writes_nothing(qgis_process, scene, tmp_path, change, sentence):
    (tmp_path / "empty").mkdir()
    output = tmp_path / "out" / "map.tif"
    inputs = {
        "INPUT": str(scene),
        "REFERENCE": str(scene / "reference.gpkg"),
        "CLASS_FIELD": "class",
        "NETWORK": "randomforest",
        "OUTPUT": str(output),
    }
    change = {k: str(tmp_path / v) if v in ("empty", "missing.gpkg", "missing.csv") else v for k, v in change.items()}
    inputs = {k: v for k, v in {**inputs, **change}.items() if v is not None}
    run = qgis_process("landloom:landcovermap", inputs)
    assert run.code == 1
    assert sentence in run.errors + run.output
    assert "Traceback" not in run.errors
    assert not list(tmp_path.rglob("*.tif"))


def test_the_example_model_runs(qgis_process, scene, tmp_path):
    """Train and classify as one graphical model, as it ships: listed and run by its id."""
    model = "landloom:landcoverfromproducts"
    listed = subprocess.run([ROOT / "scripts" / "qgis_process", "list"], capture_output=True, text=True, check=True)
    assert all(name in listed.stdout for name in (model, "landloom:objectsfromstack", "landloom:comparetwoyears"))
    declared = subprocess.run(
        [ROOT / "scripts" / "qgis_process", "--json", "help", model], capture_output=True, text=True, check=True
    ).stdout
    outputs = json.loads(declared[declared.index("{") :])["outputs"]
    inputs = {
        "products": str(scene),
        "reference": str(scene / "reference.gpkg"),
        "class_field": "code",
        "network": "randomforest",
    }
    suffixes = {"map": ".tif", "conf": ".tif", "mod": ".safetensors", "stack": ".json", "report": ".html"}
    for name in outputs:
        suffix = next((s for key, s in suffixes.items() if key in name.lower()), "")
        inputs[name] = str(tmp_path / (name.replace(":", "_").replace(" ", "_") + suffix))
    run = qgis_process(model, inputs)
    assert run.code == 0, run.errors
    maps = [read(p) for p in tmp_path.glob("*.tif")]
    assert len(maps) == 2 and {m.dtype for m in maps} == {np.dtype(np.uint8)}


def test_arguments_and_exit_code_are_passed_through(tmp_path):
    if shutil.which("qgis_process") is None:
        pytest.skip("qgis_process is not installed")
    done = subprocess.run(
        [ROOT / "scripts" / "qgis_process", "run", "landloom:status", f"--REPORT={tmp_path / 'état.html'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and (tmp_path / "état.html").exists()
    refused = subprocess.run(
        [ROOT / "scripts" / "qgis_process", "run", "landloom:nosuch"], capture_output=True, text=True, check=False
    )
    assert refused.returncode != 0


def test_the_forest_needs_no_torch_and_a_network_says_how_to_get_it(scene, tmp_path):
    """The same job in an environment without PyTorch, as a new user's QGIS is."""
    if shutil.which("qgis_process") is None:
        pytest.skip("qgis_process is not installed")
    packages = tmp_path / "environment" / "lib" / "python3" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "torch.py").write_text("raise ImportError('not installed')\n")
    inputs = {
        "INPUT": str(scene),
        "REFERENCE": str(scene / "reference.gpkg"),
        "CLASS_FIELD": "class",
        "OUTPUT": str(tmp_path / "map.tif"),
        "WORK_FOLDER": str(tmp_path / "work"),
    }

    def run(network: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [ROOT / "scripts" / "qgis_process", "--json", "run", "landloom:landcovermap", "-"],
            input=json.dumps({"inputs": {**inputs, "NETWORK": network}}),
            env={**os.environ, "LANDLOOM_VENV": str(tmp_path / "environment"), "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = run("ltae")
    assert refused.returncode == 1
    assert "needs the Python package torch" in refused.stderr and "pip install torch" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "map.tif").exists()
    forest = run("randomforest")
    assert forest.returncode == 0, forest.stderr
    assert (tmp_path / "map.tif").exists()
