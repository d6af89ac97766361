"""Runs inside the QGIS window (``qgis --code``): does the tutorial as a user does it, and takes its pictures.

Started by ``scripts/screenshots.py``, which says by environment variables where things are: LANDLOOM_WORK (scene and
results), LANDLOOM_PICTURES (where the pictures go) and LANDLOOM_SIZE (pixels of the scene). Leaves ``done.txt`` among
the pictures, with "ok" or the error.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from qgis.core import QgsApplication, QgsMapLayer, QgsProject, QgsRectangle
from qgis.PyQt.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qgis.PyQt.QtGui import QMouseEvent, QPixmap
from qgis.PyQt.QtWidgets import QDialog, QDockWidget, QMenu, QMessageBox, QTreeView
from qgis.utils import iface, plugins

WORK, PICTURES = Path(os.environ["LANDLOOM_WORK"]), Path(os.environ["LANDLOOM_PICTURES"])
WIDTH, HEIGHT = 1440, 900
SIZE = int(os.environ.get("LANDLOOM_SIZE", "360"))  # of the scene, pixels
MINUTES = 20  # that a step of the tutorial may take on a busy machine


def wait(seconds: float = 0.5, until: Callable[[], bool] | None = None) -> None:
    """Let the window work for so long, or until something holds.

    Raises:
        TimeoutError: if it never holds.
    """
    end = time.monotonic() + (MINUTES * 60 if until else seconds)
    while time.monotonic() < end:
        QgsApplication.processEvents()
        time.sleep(0.02)
        if until is not None and until():
            return
    if until is not None:
        raise TimeoutError("a step of the tutorial did not end")


def save(picture: QPixmap, name: str) -> None:
    """Keep a picture."""
    if not picture.save(str(PICTURES / f"{name}.png")):
        raise OSError(f"{name}.png cannot be written")


def screen(name: str) -> None:
    """A picture of the whole window, whose size is a little more than asked for where its panels need it."""
    wait(0.5)
    save(iface.mainWindow().grab(), name)


def run_dialog(algorithm: str, parameters: dict, picture: str = "", log: str = "", height: int = 640) -> None:
    """Open the dialog of an algorithm, fill it in, press Run, and close it."""
    import processing

    dialog = processing.createAlgorithmDialog(f"landloom:{algorithm}", parameters)
    dialog.resize(980, height)
    dialog.show()
    wait(1.5)
    if picture:
        save(dialog.grab(), picture)
    dialog.runButton().click()
    wait(1)
    wait(until=lambda: not dialog.cancelButton().isEnabled())  # it ended, well or not
    wait(2)
    if log:
        save(dialog.grab(), log)
    results = dialog.results()
    dialog.close()
    if not dialog.wasExecuted() or not results:
        raise RuntimeError(f"{algorithm} did not run to its end: see the picture of its log")


def panel(name: str) -> QDockWidget | None:
    """A panel of the window by the name of its object."""
    return iface.mainWindow().findChild(QDockWidget, name)


def tidy() -> None:
    """The window as the guide shows it: layers left, toolbox right, nothing else."""
    window = iface.mainWindow()
    for dialog in [*window.findChildren(QDialog), *window.findChildren(QMessageBox)]:
        if dialog.isVisible():
            dialog.close()
    for dock in window.findChildren(QDockWidget):
        dock.setVisible(dock.objectName() in ("Layers", "ProcessingToolbox"))
    window.setGeometry(0, 0, WIDTH, HEIGHT)
    iface.newProject()
    wait(1)
    iface.messageBar().clearWidgets()


def toolbox() -> None:
    """Show Landloom's groups in the toolbox."""
    dock = panel("ProcessingToolbox")
    if dock is None:
        raise RuntimeError("there is no Processing toolbox")
    iface.mainWindow().resizeDocks([dock], [300], Qt.Orientation.Horizontal)
    dock.show()
    wait(1)
    view = dock.findChild(QTreeView)
    view.collapseAll()
    model = view.model()
    for row in range(model.rowCount()):
        index = model.index(row, 0)
        if index.data() == "Landloom":
            view.expand(index)
            for child in range(min(model.rowCount(index), 4)):
                view.expand(model.index(child, 0, index))
            wait(0.5)
            view.scrollTo(index, QTreeView.ScrollHint.PositionAtTop)
    wait(0.5)


def menu() -> None:
    """Plugins > Landloom, opened."""
    top: QMenu = iface.pluginMenu()
    bar = iface.mainWindow().menuBar()
    corner = bar.mapToGlobal(bar.actionGeometry(top.menuAction()).bottomLeft())
    top.popup(corner)
    wait(0.5)
    own = next(action for action in top.actions() if action.text().replace("&", "") == "Landloom")
    top.setActiveAction(own)
    own.menu().popup(corner + QPoint(top.width() - 4, top.actionGeometry(own).top()))
    wait(0.5)
    picture = iface.mainWindow().screen().grabWindow(0)
    save(picture.copy(0, 0, 960, 300), "menu")
    own.menu().close()
    top.close()


def pixel() -> None:
    """The tool "pixel time series" after a click."""
    plugins["landloom"].menu.pixel()
    dock = panel("LandloomPixelTimeSeries")
    assert dock is not None
    other = panel("ProcessingToolbox")
    if other is not None:
        other.hide()
    files = {"stack": "map_work/stack.json", "model": "model.safetensors", "samples": "map_work/samples"}
    for key, path in files.items():
        dock.files[key].setFilePath(str(WORK / path))
    iface.mainWindow().resizeDocks([dock], [560], Qt.Orientation.Horizontal)
    wait(1)
    canvas = iface.mapCanvas()
    place = QPointF(canvas.width() / 2 - 20, canvas.height() / 2 + 25)
    for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
        button = Qt.MouseButton.LeftButton
        QgsApplication.sendEvent(
            canvas.viewport(), QMouseEvent(kind, place, button, button, Qt.KeyboardModifier.NoModifier)
        )
    dock.wait()
    wait(1)
    screen("pixel")


def install() -> None:
    """The dialog of packages."""
    from landloom.gui.installdialog import InstallDialog

    dialog = InstallDialog(iface.mainWindow())
    dialog.refresh()
    dialog.resize(640, 460)
    dialog.show()
    wait(3)
    save(dialog.grab(), "packages")
    dialog.close()


def landloom_panel() -> None:
    """The panel at its second step, after it has prepared the stack of the scene."""
    own = plugins["landloom"].menu.panel()
    other = panel("LandloomPixelTimeSeries")
    if other is not None:
        other.hide()
    own.show()
    iface.mainWindow().resizeDocks([own], [560], Qt.Orientation.Horizontal)
    own.open(str(WORK / "project"))
    own.go(1)
    own.steps[1].products.setFilePath(str(WORK / "scene"))
    wait(1)
    own.steps[1].prepare.click()
    wait(until=lambda: (WORK / "project" / "stack.json").exists() and own.queue.running is None)
    wait(8)  # for the small pictures
    screen("panel")


def tutorial() -> None:
    """The steps of docs/guide/tutorial.md, in their order."""
    tidy()
    menu()
    install()
    toolbox()
    scene = str(WORK / "scene")
    run_dialog("samplescene", {"SIZE": SIZE, "OUTPUT": scene}, picture="scene_dialog", height=420)
    reference = iface.addVectorLayer(f"{scene}/reference.gpkg", "reference", "ogr")
    wait(1)
    run_dialog(
        "landcovermap",
        {
            "INPUT": scene,
            "REFERENCE": reference.id(),
            "CLASS_FIELD": "class",
            "NOMENCLATURE": f"{scene}/nomenclature.txt",
            "NETWORK": "randomforest",
            "OUTPUT": str(WORK / "map.tif"),
            "CONFIDENCE": str(WORK / "confidence.tif"),
            "MODEL": str(WORK / "model.safetensors"),
            "REPORT": str(WORK / "report.html"),
        },
        picture="map_dialog",
        log="map_log",
    )
    show_map()
    screen("map")
    show_map("confidence.tif")
    screen("confidence")
    show_map()
    pixel()
    landloom_panel()


def show_map(name: str = "map.tif") -> None:
    """Zoom to a layer, with its legend open and the other layers closed."""
    project = QgsProject.instance()
    found: dict[str, QgsMapLayer] = {Path(one.source().split("|")[0]).name: one for one in project.mapLayers().values()}
    layer = found[name]
    root = project.layerTreeRoot()
    for one in project.mapLayers().values():
        node = root.findLayer(one.id())
        node.setExpanded(one is layer)
        node.setItemVisibilityChecked(one is layer)
    box = QgsRectangle(layer.extent())
    box.scale(1.02)
    dock = panel("Layers")
    if dock is not None:
        dock.setMinimumWidth(250)
    iface.mapCanvas().setDestinationCrs(layer.crs())
    iface.mapCanvas().setExtent(box)
    iface.mapCanvas().refresh()
    iface.messageBar().clearWidgets()
    viewer = panel("ResultsViewer")
    if viewer is not None:
        viewer.hide()
    wait(4)


def main() -> None:
    """Do it, say how it ended, and close QGIS."""
    said = "ok"
    try:
        tutorial()
    except Exception:  # told to the script that waits, which has no other way to learn of it
        said = traceback.format_exc()
        screen("failed")
    (PICTURES / "done.txt").write_text(said, encoding="utf-8")
    QgsProject.instance().setDirty(False)
    QTimer.singleShot(0, iface.actionExit().trigger)


QTimer.singleShot(3000, main)
