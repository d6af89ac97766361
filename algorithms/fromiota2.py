"""fromiota2: an iota2 configuration in Landloom's words."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from qgis.core import QgsProcessingContext, QgsProcessingFeedback

from ..model.base.errors import LandloomError
from ..model.base.files import write_text
from ..model.base.html import Report
from ..model.base.iota2config import read_config
from ..model.base.language import tr
from . import declare
from .base import LandloomAlgorithm
from .iota2keys import Translation, translate


class FromIota2(LandloomAlgorithm):
    """Translates, and runs nothing; the table of keys is ``iota2keys.py``."""

    ID = "fromiota2"
    NAME = "From iota2"
    GROUP = "Tools"
    SUMMARY = (
        "Reads a configuration file of iota2 and writes the parameters of 'Land-cover map' that do the same, ready for "
        "qgis_process, with a list of the settings that have no counterpart and what to do instead."
    )
    EXAMPLE = "qgis_process run landloom:fromiota2 --CONFIG=i2_config.cfg --OUTPUT=landcovermap.json"
    TAGS = ("iota2", "configuration", "migrate", "import", "convert")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add(
            declare.file("CONFIG", "iota2 configuration", "iota2 configuration (*.cfg);;All files (*.*)"),
            "The .cfg file that Iota2.py is started with, of any version since 2018.",
        )
        self.add(
            declare.output_file("OUTPUT", "Parameters", declare.JSON),
            "Parameters of 'Land-cover map' as JSON for qgis_process (key inputs), and of single steps (key steps).",
        )
        self.add_report("What each setting became, and those without a counterpart, as an HTML page.")
        self.addOutput(declare.output_number("WITHOUT_COUNTERPART", "Settings without a counterpart"))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        config = self.parameterAsFile(parameters, "CONFIG", context)
        if not config:
            raise LandloomError(tr("CONFIG is missing: give the configuration file of iota2."))
        output = self.parameterAsFileOutput(parameters, "OUTPUT", context)
        found = translate(read_config(config))
        if not found.inputs:
            raise LandloomError(
                tr("{file} holds no setting that Landloom knows: give the .cfg of iota2.").format(
                    file=Path(config).name
                )
            )
        write_text(
            output, json.dumps({"inputs": found.inputs, "steps": found.steps}, indent=2, ensure_ascii=False) + "\n"
        )
        for section, key, value, text in found.missing:
            feedback.pushWarning(f"{section}.{key} = {value}: {text}.")
        feedback.pushInfo(tr("To run it:"))
        feedback.pushCommandInfo(command_line(output))
        outputs: dict[str, Any] = {"OUTPUT": output, "WITHOUT_COUNTERPART": len(found.missing)}
        report = self.parameterAsFileOutput(parameters, "REPORT", context) if parameters.get("REPORT") else ""
        if report:
            write_report(found, report, config, output)
            outputs["REPORT"] = report
        return outputs


def command_line(output: str) -> str:
    """How to run it."""
    return f"qgis_process run landloom:landcovermap - < {shlex.quote(output)}"


def write_report(found: Translation, path: str, config: str, output: str) -> None:
    """The page that lists every setting."""
    report = Report(tr("From iota2 to Landloom"), config)
    report.heading(tr("To run it"))
    report.paragraph(command_line(output))
    report.heading(tr("Settings without a counterpart"))
    header = [tr("section"), tr("setting"), tr("value")]
    if found.missing:
        report.table([*header, tr("why, and what to do")], found.missing, numeric=False)
    else:
        report.paragraph(tr("There is none."))
    report.heading(tr("What the other settings became"))
    report.table([*header, tr("in Landloom")], found.lines, numeric=False)
    report.write(path)
