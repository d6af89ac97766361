"""Protects what all algorithms share: the command in a report makes the report again."""

from __future__ import annotations

import html
import json
import re
import shlex
import weakref

import pytest
from landloom.algorithms.base import in_one_sentence
from landloom.model.base.errors import LandloomError
from qgis.core import NULL, QgsProcessingContext, QgsProcessingException


@pytest.fixture
def report(landloom_provider, tmp_path):
    import processing

    path = tmp_path / "état d'ici.html"
    processing.run("landloom:status", {"REPORT": str(path)})
    return path


def test_the_command_of_a_report_makes_it_again(report):
    page = report.read_text(encoding="utf-8")
    line, parameters = (html.unescape(one) for one in re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL))
    assert line.startswith("qgis_process run landloom:status ")
    assert json.loads(parameters)["inputs"]["REPORT"] == str(report)

    assert shlex.split(line)[-1] == f"--REPORT={report}"


def test_what_a_dialog_leaves_empty_is_no_part_of_the_command(landloom_provider) -> None:
    context = QgsProcessingContext()
    filled = {"INPUT": "products", "CLASS_FIELD": "class", "EXTENT": NULL, "UNSURE_ERROR": NULL, "OUTPUT": "map.tif"}
    command = landloom_provider.algorithm("landcovermap").create().command(filled, context)
    assert set(command.parameters["inputs"]) == {"INPUT", "CLASS_FIELD", "OUTPUT"}
    assert "EXTENT" not in command.line and "NULL" not in command.line
    json.dumps(command.parameters)


def test_an_error_that_is_kept_keeps_no_layers_or_files() -> None:
    class Layer:
        pass

    kept = []

    def work():
        layer = Layer()
        kept.append(weakref.ref(layer))
        raise LandloomError("Wrong.")

    with pytest.raises(QgsProcessingException, match="Wrong") as caught:
        in_one_sentence(work)
    assert kept[0]() is None
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "text", ["can't start new thread", "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory"]
)
def test_too_little_memory_is_told_in_one_sentence_whoever_notices(text) -> None:
    def work():
        raise RuntimeError(text)

    with pytest.raises(QgsProcessingException, match="Not enough memory: lower MEMORY_MB"):
        in_one_sentence(work)
