"""Runs every algorithm, and opens the panel, and tells who asked for the network: ``offline.py FOLDER [probe]``.

Started by ``test_offline.py`` in a network of its own that leads nowhere (``unshare``) where the system allows it: then
the kernel's counters tell of every try, of Qt and GDAL as of Python. Elsewhere Python's own are told, by an audit hook,
and those of QGIS. With ``probe`` it does ask, once in each way, so that the test can see that it is told.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ASKED: list[str] = []
_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")


def guard(event: str, arguments: tuple) -> None:
    """Refuse what leads out of this machine, and note it; a socket that is a file does not."""
    if event in _EVENTS and not (event == "socket.connect" and isinstance(arguments[1], (str, bytes))):
        where = [f"{Path(one.filename).name}:{one.lineno}" for one in traceback.extract_stack()[-6:-1]]
        ASKED.append(f"{event} {arguments[-1]!r:.80} from {' '.join(where)}")
        raise PermissionError(f"the network is off: {event}")


def counted() -> int:
    """Packets and connections that this network was asked for since it was made."""
    total = 0
    lines = Path("/proc/self/net/snmp").read_text().splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found = dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
        total += sum(found.get(key, 0) for key in ("OutNoRoutes", "OutRequests", "ActiveOpens", "OutDatagrams"))
    six = dict(line.split() for line in Path("/proc/self/net/snmp6").read_text().splitlines())
    return total + int(six["Ip6OutNoRoutes"]) + int(six["Ip6OutRequests"])


def steps(folder: Path) -> list[tuple[str, dict]]:
    """Every algorithm but ``searchproducts``, with small inputs, each upon what those before it made."""

    def at(name: str) -> str:
        return str(folder / name)

    scene, reference = at("scene"), {"REFERENCE": at("scene/reference.gpkg"), "CLASS_FIELD": "class"}
    stack, model, samples, cover = at("stack.json"), at("model.safetensors"), at("samples"), at("map.tif")
    forest = {"NETWORK": "randomforest", "DEVICE": "cpu", "EVALUATION": "holdout"}
    quick = {"NETWORKS": "ltae", "SENSOR_SETS": "S1", "EVALUATION": "holdout", "EPOCHS": 1, "RUNS": 1, "DEVICE": "cpu"}
    config = folder / "chain.cfg"
    config.write_text(
        f"chain:\n{{\n  s2_path: '{scene}'\n  ground_truth: '{reference['REFERENCE']}'\n"
        "  data_field: 'class'\n  output_path: 'out'\n}\n",
        encoding="utf-8",
    )
    return [
        ("status", {"REPORT": at("status.html")}),
        ("samplescene", {"SIZE": 120, "SEED": 3, "OUTPUT": scene}),
        ("nomenclature", {**reference, "OUTPUT": at("classes.csv")}),
        ("preparestack", {"INPUT": scene, "OUTPUT": stack, "REPORT": at("stack.html")}),
        ("check", {"STACK": stack, **reference, "REPORT": at("check.html")}),
        ("composite", {"STACK": stack, "SENSOR": "S2", "OUTPUT": at("composites")}),
        ("extractsamples", {"STACK": stack, **reference, "FOLDS": 2, "OUTPUT": samples, "REPORT": at("samples.html")}),
        ("train", {"SAMPLES": [samples], **forest, "OUTPUT": model, "REPORT": at("training.html")}),
        ("train", {"SAMPLES": [samples], **forest, "NETWORK": "ltae", "EPOCHS": 1, "OUTPUT": at("ltae.safetensors")}),
        ("classify", {"STACK": stack, "MODEL": model, "OUTPUT": cover, "CONFIDENCE": at("confidence.tif")}),
        ("classify", {"STACK": stack, "MODEL": at("ltae.safetensors"), "OUTPUT": at("second.tif")}),
        ("descriptors", {"STACK": stack, "MODEL": at("ltae.safetensors"), "OUTPUT": at("descriptors.tif")}),
        ("assess", {"MAP": cover, **reference, "SAMPLES": samples, "REPORT": at("assessment.html")}),
        ("mosaic", {"MAPS": [cover, at("second.tif")], "OUTPUT": at("mosaic.tif")}),
        ("regularise", {"MAP": cover, "OUTPUT": at("regular.tif")}),
        ("fuse", {"MAPS": [cover, at("second.tif")], "METHOD": "majority", "OUTPUT": at("fused.tif")}),
        ("difference", {"BEFORE": cover, "AFTER": at("second.tif"), "OUTPUT": at("difference.tif")}),
        ("vectorise", {"MAP": cover, "OUTPUT": at("map.gpkg")}),
        ("areas", {"MAP": cover, "OUTPUT": at("areas.csv"), "REPORT": at("areas.html")}),
        ("sampledesign", {"MAP": cover, "SIZE": 60, "MIN_PER_CLASS": 5, "OUTPUT": at("design.gpkg")}),
        ("suggestlabels", {"STACK": stack, "MODEL": model, "COUNT": 5, "OUTPUT": at("suggested.gpkg")}),
        ("compare", {"SAMPLES": samples, **quick, "REPORT": at("comparison.html")}),
        ("segment", {"STACK": stack, "SENSOR": "S2", "SCALE": 6, "OUTPUT": at("segments.tif")}),
        ("objectfeatures", {"SEGMENTS": at("segments.tif"), "STACK": stack, "OUTPUT": at("features.gpkg")}),
        (
            "trainobjects",
            {"STACK": stack, "SEGMENTS": at("segments.tif"), **reference, "OUTPUT": at("objects.safetensors")},
        ),
        (
            "classifyobjects",
            {
                "STACK": stack,
                "SEGMENTS": at("segments.tif"),
                "MODEL": at("objects.safetensors"),
                "OUTPUT": at("objects.gpkg"),
            },
        ),
        ("addrasters", {"SENSOR": "MAP", "KIND": "static", "RASTERS": [cover], "OUTPUT": at("static.json")}),
        ("coregister", {"STACK": stack, "SENSOR": "S2", "OUTPUT": at("registered.json")}),
        ("openstack", {"STACK": stack}),
        ("fromiota2", {"CONFIG": str(config), "OUTPUT": at("from_iota2.json"), "REPORT": at("from_iota2.html")}),
        (
            "layout",
            {"MAP": cover, "STACK": stack, "MODEL": model, "OUTPUT": at("page.pdf"), "PACKAGE": at("share.zip")},
        ),
        (
            "landcovermap",
            {"STACK": stack, **reference, **forest, "OUTPUT": at("whole.tif"), "REPORT": at("whole.html")},
        ),
    ]


def run_everything(folder: Path, provider: object) -> dict:
    """Run all steps, then open the panel on each of its pages and look up the help."""
    import importlib.util

    import processing
    from qgis.core import QgsProcessingException

    with_torch = importlib.util.find_spec("torch") is not None
    told: dict = {"runs": [], "skipped": [], "failed": []}
    for name, inputs in steps(folder):
        if not with_torch and any(word in json.dumps(inputs) for word in ("ltae", "second.tif")):
            told["skipped"].append(name)
            continue
        before, start = counted(), time.monotonic()
        try:
            processing.run(f"landloom:{name}", inputs)
            told["runs"].append(name)
        except QgsProcessingException as error:
            told["failed"].append(f"{name}: {error}")
        print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
        if counted() != before:
            ASKED.append(f"landloom:{name}: {counted() - before} packets or connections")
    from landloom.algorithms.base import LandloomAlgorithm
    from landloom.gui.jobs import JobQueue
    from landloom.gui.panel import Panel
    from landloom.gui.pixeltool import PixelDock
    from qgis.gui import QgsMapCanvas
    from qgis.PyQt.QtCore import QCoreApplication

    listed = provider.algorithms()  # type: ignore[attr-defined]
    told["help"] = {one.name(): one.helpUrl() for one in listed if isinstance(one, LandloomAlgorithm)}  # no models
    canvas, queue = QgsMapCanvas(), JobQueue()
    dock = PixelDock(canvas)
    panel = Panel(queue, canvas, None, lambda: dock)
    panel.open(str(folder / "project"))
    for index in range(len(panel.steps)):
        panel.go(index)
        QCoreApplication.processEvents()
    told["pages"] = len(panel.steps)
    queue.stop()
    panel.remove()
    dock.wait()
    dock.remove()
    return told


def probe() -> dict:
    """Ask for the network in each way; the answers do not matter."""
    import contextlib
    import urllib.request

    from osgeo import gdal
    from qgis.core import QgsBlockingNetworkRequest
    from qgis.PyQt.QtCore import QUrl
    from qgis.PyQt.QtNetwork import QNetworkRequest

    with contextlib.suppress(OSError):
        urllib.request.urlopen("http://192.0.2.1/", timeout=2)
    told = {"python": len(ASKED), "before": counted()}
    with contextlib.suppress(RuntimeError):
        gdal.OpenEx("/vsicurl/http://192.0.2.1/a.tif")
    told["gdal"] = counted() - told["before"]
    before = counted()
    QgsBlockingNetworkRequest().get(QNetworkRequest(QUrl("http://192.0.2.1/")))
    told["qt"] = counted() - before
    return told


def main() -> None:
    """Say on the last line of the output, as JSON, what was run and what was asked."""
    folder = Path(sys.argv[1])
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    sys.addaudithook(guard)
    start = counted()
    sys.path.insert(0, str(ROOT / "scripts"))
    from loading import load_package
    from qgis.core import QgsApplication, QgsNetworkAccessManager

    application = QgsApplication([], True)
    application.initQgis()
    QgsNetworkAccessManager.setRequestPreprocessor(lambda request: ASKED.append(request.url().toString()))
    sys.path.append(str(Path(QgsApplication.pkgDataPath()) / "python" / "plugins"))
    from processing.core.Processing import Processing

    Processing.initialize()
    plugin = load_package().classFactory(None)
    plugin.initProcessing()
    told = probe() if sys.argv[2:] == ["probe"] else run_everything(folder, plugin.provider)
    told |= {"asked": ASKED, "counted": counted() - start}
    print("\nTOLD " + json.dumps(told), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
