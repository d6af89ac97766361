"""Entries of the plugin menu."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qgis.core import QgsDateTimeRange
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import Qt, QUrl
from qgis.PyQt.QtGui import QDesktopServices, QIcon
from qgis.PyQt.QtWidgets import QAction

from ..algorithms.openstack import ON_OPENED
from ..algorithms.provider import ICON
from ..model.base.language import tr
from .installdialog import InstallDialog
from .jobs import JobQueue
from .panel import AREA as PANEL_AREA
from .panel import Panel
from .pixeltool import AREA, PixelDock
from .temporal import step_through

MENU = "Landloom"
GUIDE = Path(__file__).resolve().parents[1] / "resources" / "help" / "guide" / "README.html"
"""The user guide, which lies in the plugin and needs no network."""


class PluginMenu:
    """Adds the entries of the plugin menu and takes them away again.

    Args:
        iface: the window of QGIS.
    """

    def __init__(self, iface: QgisInterface) -> None:
        self._iface = iface
        self._actions: list[QAction] = []
        self._dialog: InstallDialog | None = None
        self._pixel: PixelDock | None = None
        self._queue: JobQueue | None = None
        self._panel: Panel | None = None
        self._add(tr("Panel"), self.panel)
        self._add(tr("Pixel time series"), self.pixel)
        self._add(tr("Install packages ..."), self.install)
        self._add(tr("Status ..."), lambda: self.open("status"))
        self._add(tr("Make the sample scene ..."), lambda: self.open("samplescene"))
        self._add(tr("Land-cover map ..."), lambda: self.open("landcovermap"))
        self._add(tr("User guide"), self.guide)
        ON_OPENED.append(self.step_through)

    def install(self) -> None:
        """Show the dialog of packages."""
        if self._dialog is None:
            self._dialog = InstallDialog(self._iface.mainWindow())
        self._dialog.refresh()
        self._dialog.show()
        self._dialog.raise_()

    def panel(self) -> Panel:
        """Show the panel that leads through a project."""
        if self._panel is None:
            window = self._iface.mainWindow()
            self._queue = JobQueue(window)
            self._panel = Panel(self._queue, self._iface.mapCanvas(), window, self.pixel_dock)
            self._iface.addDockWidget(PANEL_AREA, self._panel)
        self._panel.show()
        self._panel.raise_()
        return self._panel

    def pixel_dock(self) -> PixelDock:
        """The dock of pixel series."""
        if self._pixel is None:
            self._pixel = PixelDock(self._iface.mapCanvas(), self._iface.mainWindow())
            # Beside the panel there is room for wide plots beneath the map alone.
            area = AREA if self._panel is None else Qt.DockWidgetArea.BottomDockWidgetArea
            self._iface.addDockWidget(area, self._pixel)
        return self._pixel

    def pixel(self) -> None:
        """Show the series of the pixel that is clicked next."""
        self.pixel_dock().start()

    def open(self, algorithm: str) -> None:
        """Show the dialog of an algorithm."""
        from processing import execAlgorithmDialog

        execAlgorithmDialog(f"landloom:{algorithm}", {})

    def guide(self) -> bool:
        """Open the user guide in the browser."""
        return bool(QDesktopServices.openUrl(QUrl.fromLocalFile(str(GUIDE))))

    def step_through(self, times: list[QgsDateTimeRange]) -> None:
        """Let the window's temporal controller step through the dates of a stack that was opened."""
        step_through(self._iface.mapCanvas(), times)

    def remove(self) -> None:
        """Take everything away."""
        if self.step_through in ON_OPENED:
            ON_OPENED.remove(self.step_through)
        for action in self._actions:
            self._iface.removePluginMenu(MENU, action)
            action.deleteLater()
        self._actions.clear()
        if self._dialog is not None:
            self._dialog.stop()
            self._dialog.close()
            self._dialog.deleteLater()
            self._dialog = None
        if self._queue is not None:
            self._queue.stop()
        if self._panel is not None:
            self._iface.removeDockWidget(self._panel)
            self._panel.remove()
            self._panel = None
        if self._queue is not None:
            self._queue.deleteLater()
            self._queue = None
        if self._pixel is not None:
            self._iface.removeDockWidget(self._pixel)
            self._pixel.remove()
            self._pixel = None

    def _add(self, text: str, slot: Callable[..., object]) -> None:
        action = QAction(QIcon(str(ICON)), text, self._iface.mainWindow())
        action.triggered.connect(slot)
        self._iface.addPluginToMenu(MENU, action)
        self._actions.append(action)
