"""Protects readers of reports: names from data that look like HTML or hold quotes are shown as text everywhere."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "model" / "samples"))
import samples_scene

TAG = "<script>alert('x')"
CLASSES = {"eau": f'{TAG} & "eau"', "forêt": "forêt' onload='x", "maïs": '"><b>maïs'}


@pytest.fixture(scope="module")
def reports(landloom_provider, make_stack, tmp_path_factory):
    """Every report of the work with names made to break out of a page; name of the algorithm -> page."""
    import processing

    folder = tmp_path_factory.mktemp("hostile") / f"{TAG} & été".replace("/", "")
    stack = str(make_stack(folder, samples_scene.sensors()))
    features = [(wkt, {**values, "crop": CLASSES[values["crop"]]}) for wkt, values in samples_scene.fields()]
    layer = str(samples_scene.write_layer(folder / f"champs {TAG}.gpkg", features))
    reference = {"REFERENCE": layer, "CLASS_FIELD": "crop"}
    samples, land_cover = str(folder / "samples"), str(folder / f"map {TAG}.tif")
    pages = {}

    def run(algorithm, **parameters):
        pages[algorithm] = folder / f"{algorithm}.html"
        return processing.run(f"landloom:{algorithm}", {**parameters, "REPORT": str(pages[algorithm])})

    run("check", STACK=stack, **reference)
    run("extractsamples", STACK=stack, **reference, OUTPUT=samples, MAX_PER_GROUP=10)
    run("train", SAMPLES=[samples], NETWORK="randomforest", EVALUATION="holdout", OUTPUT=str(folder / "m.safetensors"))
    run(
        "landcovermap",
        STACK=stack,
        **reference,
        NETWORK="randomforest",
        EVALUATION="holdout",
        OUTPUT=land_cover,
        WORK_FOLDER=str(folder / "work"),
    )
    run("assess", MAP=land_cover, **reference)
    run("sampledesign", MAP=land_cover, SIZE=200, OUTPUT=str(folder / "points.gpkg"))
    run("areas", MAP=land_cover, OUTPUT=str(folder / "areas.csv"))
    run("status")
    return pages


def test_every_report_shows_names_as_text(reports):
    for name, page in reports.items():
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text, name
        body = ElementTree.fromstring(text[text.index("<body>") : text.index("</html>")])  # well-formed
        for one in body.iter():
            assert one.tag.split("}")[-1] not in ("script", "b"), name
            assert not [key for key in one.attrib if key.lower().startswith("on")], name
        shown = "".join(body.itertext())
        if name != "status":
            assert TAG in shown, f"{name} lost the name"


def test_every_report_says_how_it_was_made(reports):
    for name, page in reports.items():
        text = page.read_text(encoding="utf-8")
        assert "<details" in text and f"qgis_process run landloom:{name}" in text, name
        assert "QGIS" in text and "GDAL" in text


def test_reports_fetch_nothing(reports):
    for name, page in reports.items():
        text = page.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(src|href)=\"(?!data:)[a-z]+:", text), name
        assert "@import" not in text and "url(" not in text, name


def test_files_beside_reports_are_whole(reports):
    for name in ("check", "extractsamples", "train", "landcovermap", "status"):
        path = reports[name].with_name(f"{name}_report.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["format"] == "landloom-report" and content["kind"] == name
        assert content["provenance"]["algorithm"] == f"landloom:{name}"
        assert content["provenance"]["versions"]["Landloom"]
    with open(reports["train"].with_name("train_classes.csv"), encoding="utf-8", newline="") as file:
        assert {row["name"] for row in csv.DictReader(file)} == set(CLASSES.values())


def test_matrices_of_training_feed_the_fusion(reports):
    from landloom.model.base.matrixfile import read_matrix

    codes, matrix = read_matrix(reports["train"].with_name("train_matrix_pixel.csv"))
    assert codes == [1, 2, 3] and matrix.sum() > 0


def test_pages_open_in_the_results_viewer(landloom_provider):
    for algorithm in landloom_provider.algorithms():
        for one in algorithm.outputDefinitions():
            if one.name() == "REPORT":
                assert one.type() == "outputHtml", algorithm.name()
