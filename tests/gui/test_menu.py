"""Loading, unloading and loading again leave nothing behind in the window of QGIS."""

from pathlib import Path

import pytest
from landloom import classFactory
from landloom import plugin as plugin_module
from qgis.core import QgsApplication
from qgis.PyQt.QtWidgets import QAction


class Provider(plugin_module.LandloomProvider):
    """The provider under another id, since other tests of this process hold the real one."""

    def id(self) -> str:
        return "landloomprobe"


@pytest.fixture(autouse=True)
def another_id(monkeypatch):
    monkeypatch.setattr(plugin_module, "LandloomProvider", Provider)


class Window:
    """What the plugin asks of QGIS's window, counting what it is given."""

    def __init__(self, main) -> None:
        self.main, self.actions = main, []

    def mainWindow(self):  # noqa: N802
        return self.main

    def addPluginToMenu(self, menu, action) -> None:  # noqa: N802
        assert menu == "Landloom"
        self.actions.append(action)

    def removePluginMenu(self, menu, action) -> None:  # noqa: N802
        self.actions.remove(action)


def test_loading_twice_leaves_one_menu_and_unloading_none(qgis_app, qgis_iface) -> None:
    registry = QgsApplication.processingRegistry()
    window = Window(qgis_iface.mainWindow())
    for _time in range(2):
        plugin = classFactory(window)
        plugin.initGui()
        plugin.initGui()
        assert registry.providerById("landloomprobe") is not None
        assert len(window.actions) == 7
        assert all(isinstance(one, QAction) and one.text() for one in window.actions)
        plugin.unload()
        plugin.unload()
        assert window.actions == []
        assert registry.providerById("landloomprobe") is None


def test_the_dialog_of_packages_opens_and_goes_with_the_plugin(qgis_app, qgis_iface) -> None:
    plugin = classFactory(Window(qgis_iface.mainWindow()))
    plugin.initGui()
    plugin.menu.install()
    plugin.menu.install()
    dialog = plugin.menu._dialog
    assert dialog.isVisible()
    plugin.unload()
    assert not dialog.isVisible()


def test_the_menu_speaks_the_language_of_qgis(qgis_app, qgis_iface, monkeypatch) -> None:
    from landloom.model.base.language import use_language

    monkeypatch.setattr(plugin_module.QgsApplication, "locale", lambda: "fr_FR")
    window = Window(qgis_iface.mainWindow())
    plugin = classFactory(window)
    try:
        plugin.initGui()
        assert "Série temporelle d'un pixel" in [one.text().replace("\u2019", "'") for one in window.actions]
        plugin.unload()
    finally:
        use_language("en")


def test_the_user_guide_lies_in_the_plugin(qgis_app, qgis_iface, monkeypatch) -> None:
    from landloom.gui import menu

    opened = []
    monkeypatch.setattr(menu.QDesktopServices, "openUrl", lambda url: opened.append(url) or True)
    window = Window(qgis_iface.mainWindow())
    plugin = classFactory(window)
    plugin.initGui()
    next(one for one in window.actions if one.text() == "User guide").trigger()
    plugin.unload()
    assert [one.isLocalFile() for one in opened] == [True]
    page = Path(opened[0].toLocalFile())
    assert page.is_relative_to(Path(menu.__file__).resolve().parents[1]) and "<h1" in page.read_text(encoding="utf-8")


def test_opening_a_stack_sets_the_temporal_controller_and_unloading_lets_go(qgis_app, qgis_iface) -> None:
    from landloom.algorithms.openstack import ON_OPENED
    from qgis.core import Qgis, QgsDateTimeRange, QgsTemporalNavigationObject
    from qgis.gui import QgsMapCanvas
    from qgis.PyQt.QtCore import QDateTime, Qt

    canvas, controller = QgsMapCanvas(), QgsTemporalNavigationObject()
    canvas.setTemporalController(controller)
    window = Window(qgis_iface.mainWindow())
    window.mapCanvas = lambda: canvas
    days = [("2021-03-01", "2021-03-10"), ("2021-03-11", "2021-03-15")]
    iso = Qt.DateFormat.ISODate
    times = [
        QgsDateTimeRange(QDateTime.fromString(f"{a}T00:00:00Z", iso), QDateTime.fromString(f"{b}T23:59:59Z", iso))
        for a, b in days
    ]
    before = len(ON_OPENED)
    plugin = classFactory(window)
    plugin.initGui()
    assert len(ON_OPENED) == before + 1
    ON_OPENED[-1](times)
    assert controller.navigationMode() == QgsTemporalNavigationObject.NavigationMode.Animated
    assert controller.frameDuration().originalUnit() == Qgis.TemporalUnit.IrregularStep
    assert [controller.dateTimeRangeForFrameNumber(one) for one in range(controller.totalFrameCount())] == times
    controller.setCurrentFrameNumber(1)
    assert canvas.temporalRange() == times[1]
    plugin.unload()
    assert len(ON_OPENED) == before
    canvas.deleteLater()
