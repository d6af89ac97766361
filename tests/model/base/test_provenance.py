"""Protects the record of how a result was made: inputs, the command of the innermost run, nothing secret."""

from __future__ import annotations

import json
import os
from xml.etree import ElementTree

from landloom.model.base.html import Report
from landloom.model.base.provenance import Command, gather, landloom_version, running


def test_inputs_are_named_with_size_and_time(tmp_path):
    file = tmp_path / "référence.gpkg"
    file.write_bytes(b"12345")
    os.utime(file, (0, 86400))
    folder = tmp_path / "samples" / "deep"
    folder.mkdir(parents=True)
    (folder / "a").write_bytes(b"123")
    (folder.parent / "b").write_bytes(b"4567")
    os.utime(folder / "a", (0, 2 * 86400))
    os.utime(folder.parent / "b", (0, 86400))
    made = gather(
        {
            "REFERENCE": f"{file}|layername=fields",
            "SAMPLES": [folder.parent],
            "MASK": None,
            "MODEL": "",
            "GONE": tmp_path / "gone",
            "INPUT": "https://example.org/a.tif?sig=secret",
        },
        seed=3,
    )
    found = {one.role: (one.path, one.size, one.time) for one in made.sources}
    assert found == {
        "REFERENCE": (str(file), 5, "1970-01-02 00:00:00 UTC"),
        "SAMPLES": (str(folder.parent), 7, "1970-01-03 00:00:00 UTC"),
        "GONE": (str(tmp_path / "gone"), None, ""),
        "INPUT": ("https://example.org/a.tif", None, ""),
    }
    assert made.seed == 3 and made.command is None
    assert json.loads(json.dumps(made.to_json()))["inputs"][0]["bytes"] == 5


def test_versions_are_those_of_what_is_loaded():
    versions = gather({}).versions
    assert versions["Landloom"] == landloom_version() != "?"
    assert {"Python", "GDAL", "numpy"} <= set(versions)


def test_an_algorithm_inside_another_has_its_own_command():
    outer, inner = Command("landloom:landcovermap", "outer"), Command("landloom:train", "inner", {}, {"QGIS": "3.40"})
    with running(lambda: outer):
        with running(lambda: inner):
            assert gather({}).command == inner
            assert gather({}).versions["QGIS"] == "3.40"
        assert gather({}).command == outer
    assert gather({}).command is None


def test_the_section_folds_and_escapes():
    hostile = "<script>'\""
    report = Report("t")
    with running(lambda: Command(hostile, hostile, {"inputs": {hostile: hostile}}, {hostile: hostile})):
        report.provenance(gather({hostile: hostile}, 0))
    page = report.html()
    assert "<script" not in page
    body = ElementTree.fromstring(page[page.index("<body>") : page.index("</html>")])
    details = body.find("details")
    assert details is not None and details.find("summary") is not None
    assert details.findall("pre")[0].text == hostile
    assert json.loads(details.findall("pre")[1].text) == {"inputs": {hostile: hostile}}
