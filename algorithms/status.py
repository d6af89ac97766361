"""status: versions, devices, what is missing and how to get it."""

from __future__ import annotations

import platform
import sys
from typing import Any

from qgis.core import Qgis, QgsProcessingContext, QgsProcessingFeedback, QgsProcessingOutputString

from ..install import PACKAGES, how_to_get, package_state
from ..model.base.device import describe_device, resolve_device, thread_count
from ..model.base.errors import LandloomError, MissingPackageError
from ..model.base.html import Report
from ..model.base.language import tr
from ..model.base.provenance import gather, landloom_version
from ..model.base.reportfiles import write_facts
from .base import LandloomAlgorithm

READY, FOREST_ONLY, INCOMPLETE = "ready", "forest only", "incomplete"


class Status(LandloomAlgorithm):
    """Tells what this QGIS can run; it needs none of the packages it looks for."""

    ID = "status"
    NAME = "Status"
    GROUP = "Tools"
    SUMMARY = (
        "Reports the versions of QGIS, Python and every package Landloom uses, the devices networks can compute on, "
        "and how to get what is missing. Run it first, and send its report with a question."
    )
    EXAMPLE = "qgis_process run landloom:status --REPORT=status.html"
    TAGS = ("version", "install", "gpu", "cuda", "torch", "diagnostics")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802
        self.add_report("The same lines as an HTML page, to keep or to send.")
        self.addOutput(QgsProcessingOutputString("STATE", self.tr("State: ready, forest only or incomplete")))

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        report = Report(tr("Landloom: status"), landloom_version())
        report.heading(tr("Versions"))
        machine = [
            ("Landloom", landloom_version()),
            ("QGIS", Qgis.version()),
            ("Python", f"{platform.python_version()} ({sys.prefix})"),
            (tr("System"), f"{platform.system()} {platform.release()}, {platform.machine()}"),
            (tr("Processor threads used"), str(thread_count())),
        ]
        packages = [(p.distribution, package_state(p.module), tr(p.needed_for)) for p in PACKAGES]
        rows = [*machine, *((name, version or tr("missing")) for name, version, _ in packages)]
        for name, value in rows:
            feedback.pushInfo(f"{name}: {value}")
        report.table([tr("part"), tr("version")], rows)

        report.heading(tr("Devices"))
        devices = device_rows()
        report.table([tr("device"), tr("state")], devices)
        for name, state in devices:
            feedback.pushInfo(tr("Device {name}: {state}").format(name=name, state=state))

        absent = [p for p in PACKAGES if package_state(p.module) is None]
        missing = [p for p in absent if not p.optional]
        report.heading(tr("What is missing"))
        if not missing:
            report.paragraph(tr("Nothing: every algorithm can run."))
        for package in missing:
            sentence = tr("{package} is missing; it is needed for: {purpose}.").format(
                package=package.distribution, purpose=tr(package.needed_for)
            )
            report.warnings([f"{sentence} {how_to_get(package.module)}"])
            feedback.pushWarning(f"{sentence} {how_to_get(package.module)}")
        for package in (p for p in absent if p.optional):
            sentence = tr("{package} is not installed; it is only needed for: {purpose}.").format(
                package=package.distribution, purpose=tr(package.needed_for)
            )
            report.paragraph(f"{sentence} {how_to_get(package.module)}")
            feedback.pushInfo(f"{sentence} {how_to_get(package.module)}")
        names = {package.module for package in missing} - {"pystac_client"}  # for searchproducts alone
        state = READY if not names else FOREST_ONLY if names == {"torch"} else INCOMPLETE
        feedback.pushInfo(tr("State: {state}").format(state=state))
        outputs: dict[str, Any] = {"STATE": state}
        path = self.parameterAsFileOutput(parameters, "REPORT", context)
        if path:
            made = gather({})
            report.provenance(made)
            content = {
                "state": state,
                "devices": dict(devices),
                "packages": {name: version for name, version, _ in packages},
                "missing": [package.distribution for package in missing],
            }
            write_facts(path, "status", content, made)
            report.write(path)
            outputs["REPORT"] = path
        return outputs


def device_rows() -> list[tuple[str, str]]:
    """Each device and whether networks can use it, with the reason where they cannot."""
    rows = []
    for name in ("cpu", "cuda", "mps"):
        try:
            rows.append((name, describe_device(resolve_device(name))))
        except MissingPackageError:
            rows.append((name, tr("needs PyTorch; the random forest uses the processor without it")))
        except LandloomError:
            rows.append((name, tr("not found, or PyTorch is a build without it")))
    return rows
