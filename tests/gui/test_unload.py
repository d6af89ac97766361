"""Unloading leaves the process as it was: widgets, signals, map tools, timers, threads, path, settings of GDAL."""

from __future__ import annotations

import gc
import os
import sys
import threading

import pytest
from landloom import classFactory
from landloom import plugin as plugin_module
from landloom.install.folder import packages_folder
from osgeo import gdal
from qgis.core import QgsApplication, QgsMapLayer, QgsProject
from qgis.gui import QgsMapCanvas, QgsMapToolPan
from qgis.PyQt.QtCore import QCoreApplication, QEvent, QTimer
from qgis.PyQt.QtWidgets import QAction, QDockWidget, QMainWindow, QWidget

STEPS = 9


class Provider(plugin_module.LandloomProvider):
    """The provider under another id, since other tests of this process hold the real one."""

    def id(self) -> str:
        return "landloomunload"


class Window:
    """A window with menu, docks and canvas, as far as the plugin uses them."""

    def __init__(self) -> None:
        self.main = QMainWindow()
        self.canvas = QgsMapCanvas(self.main)
        self.tool = QgsMapToolPan(self.canvas)
        self.canvas.setMapTool(self.tool)
        self.menu: list[QAction] = []

    def mainWindow(self):  # noqa: N802
        return self.main

    def mapCanvas(self):  # noqa: N802
        return self.canvas

    def addDockWidget(self, area, dock) -> None:  # noqa: N802
        self.main.addDockWidget(area, dock)

    def removeDockWidget(self, dock) -> None:  # noqa: N802
        self.main.removeDockWidget(dock)

    def addPluginToMenu(self, menu, action) -> None:  # noqa: N802
        self.menu.append(action)

    def removePluginMenu(self, menu, action) -> None:  # noqa: N802
        self.menu.remove(action)


def settle() -> None:
    """Let Qt do what waits, deletions too, and Python let go of what nobody holds."""
    for _time in range(3):
        QCoreApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        gc.collect()


def state(window: Window) -> dict[str, object]:
    """What a plugin may leave behind."""
    settle()
    project, tasks = QgsProject.instance(), QgsApplication.taskManager()
    watched = {
        "project read": (project, project.readProject),
        "project written": (project, project.writeProject),
        "project cleared": (project, project.cleared),
        "layers added": (project, project.layersAdded),
        "layers removed": (project, project.layersWillBeRemoved),
        "tasks": (tasks, tasks.countActiveTasksChanged),
        "canvas": (window.canvas, window.canvas.extentsChanged),
        "map tool": (window.canvas, window.canvas.mapToolSet),
        "layers of the canvas": (window.canvas, window.canvas.layersChanged),
        "providers": (QgsApplication.processingRegistry(), QgsApplication.processingRegistry().providerAdded),
        "end": (QCoreApplication.instance(), QCoreApplication.instance().aboutToQuit),
    }
    return {
        **{f"listeners of {name}": one.receivers(signal) for name, (one, signal) in watched.items()},
        "docks": len(window.main.findChildren(QDockWidget)),
        "actions": len(window.main.findChildren(QAction)) + len(window.menu),
        "timers": len([one for one in window.main.findChildren(QTimer) if one.isActive()]),
        "children": len(window.main.findChildren(QWidget)),
        "windows": len(QgsApplication.topLevelWidgets()),
        "map tool": window.canvas.mapTool(),
        "on the canvas": len(window.canvas.scene().items()),
        "providers": sorted(one.id() for one in QgsApplication.processingRegistry().providers()),
        "path": list(sys.path),
        "threads": sorted(one.name for one in threading.enumerate()),
        "GDAL": (gdal.GetUseExceptions(), gdal.GetCacheMax(), dict(gdal.GetConfigOptions() or {}) if OPTIONS else None),
        "environment": {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"},
        "folder": os.getcwd(),
        "hooks": (sys.excepthook, threading.excepthook),
    }


OPTIONS = hasattr(gdal, "GetConfigOptions")  # GDAL 3.7


@pytest.fixture
def window(qgis_app, monkeypatch):
    monkeypatch.setattr(plugin_module, "LandloomProvider", Provider)
    made = Window()
    yield made
    made.canvas.unsetMapTool(made.tool)
    made.main.deleteLater()
    settle()


def use(plugin, folder) -> None:
    """Open all that the plugin has: panel with each of its steps, map tool, dialog of packages."""
    panel = plugin.menu.panel()
    panel.open(str(folder))
    for index in range(STEPS):
        panel.go(index)
    plugin.menu.pixel()
    plugin.menu.install()
    QCoreApplication.processEvents()


def test_unloading_leaves_nothing_behind(window, tmp_path) -> None:
    packages = packages_folder(QgsApplication.qgisSettingsDirPath())
    packages.mkdir(parents=True, exist_ok=True)  # so that there is something to put on the path
    try:
        before = state(window)
        for time in range(3):
            plugin = classFactory(window)
            plugin.initGui()
            use(plugin, tmp_path / f"project {time}")
            during = state(window)
            assert str(packages) in sys.path
            assert during["docks"] > before["docks"] and during["map tool"] is not window.tool
            assert during["listeners of project read"] > before["listeners of project read"]
            plugin.unload()
            del plugin
            after = state(window)
            changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
            assert not changed
    finally:
        if packages.is_dir() and not any(packages.iterdir()):
            packages.rmdir()
    assert str(packages) not in sys.path


def test_no_layer_of_ours_is_left_when_nothing_was_added(window, tmp_path) -> None:
    def count() -> int:
        settle()
        return sum(isinstance(one, QgsMapLayer) for one in gc.get_objects())

    before = count()
    plugin = classFactory(window)
    plugin.initGui()
    use(plugin, tmp_path)
    plugin.unload()
    del plugin
    assert count() <= before
