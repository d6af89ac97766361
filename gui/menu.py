"""Entries of the plugin menu."""

from __future__ import annotations

from qgis.gui import QgisInterface
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction

from ..algorithms.provider import ICON
from ..model.base.language import tr
from .installdialog import InstallDialog
from .pixeltool import AREA, PixelDock

MENU = "Landloom"


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
        self._add(tr("Pixel time series"), self.pixel)
        self._add(tr("Install packages ..."), self.install)
        self._add(tr("Status ..."), lambda: self.open("status"))
        self._add(tr("Make the sample scene ..."), lambda: self.open("samplescene"))
        self._add(tr("Land-cover map ..."), lambda: self.open("landcovermap"))

    def install(self) -> None:
        """Show the dialog of packages."""
        if self._dialog is None:
            self._dialog = InstallDialog(self._iface.mainWindow())
        self._dialog.refresh()
        self._dialog.show()
        self._dialog.raise_()

    def pixel(self) -> None:
        """Show the series of the pixel that is clicked next."""
        if self._pixel is None:
            self._pixel = PixelDock(self._iface.mapCanvas(), self._iface.mainWindow())
            self._iface.addDockWidget(AREA, self._pixel)
        self._pixel.start()

    def open(self, algorithm: str) -> None:
        """Show the dialog of an algorithm."""
        from processing import execAlgorithmDialog

        execAlgorithmDialog(f"landloom:{algorithm}", {})

    def remove(self) -> None:
        """Take everything away."""
        for action in self._actions:
            self._iface.removePluginMenu(MENU, action)
            action.deleteLater()
        self._actions.clear()
        if self._dialog is not None:
            self._dialog.stop()
            self._dialog.close()
            self._dialog.deleteLater()
            self._dialog = None
        if self._pixel is not None:
            self._iface.removeDockWidget(self._pixel)
            self._pixel.remove()
            self._pixel = None

    def _add(self, text: str, slot: object) -> None:
        action = QAction(QIcon(str(ICON)), text, self._iface.mainWindow())
        action.triggered.connect(slot)
        self._iface.addPluginToMenu(MENU, action)
        self._actions.append(action)
