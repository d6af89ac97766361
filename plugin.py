"""The plugin as QGIS loads it: it registers the Processing provider and, in the window, its menu."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qgis.core import QgsApplication

from .algorithms.provider import LandloomProvider
from .install.folder import activate, deactivate

if TYPE_CHECKING:
    from .gui.menu import PluginMenu


class LandloomPlugin:
    """Loads and unloads Landloom; ``qgis_process`` calls :meth:`initProcessing` alone, with ``iface`` None."""

    def __init__(self, iface) -> None:
        self.iface = iface
        self.provider: LandloomProvider | None = None
        self.menu: PluginMenu | None = None

    def initProcessing(self) -> None:  # noqa: N802
        """Register the algorithms, and find the packages installed for them."""
        if self.provider is None:
            activate(QgsApplication.qgisSettingsDirPath())
            self.provider = LandloomProvider()
            QgsApplication.processingRegistry().addProvider(self.provider)
            self.provider.load_examples()

    def initGui(self) -> None:  # noqa: N802
        """Called by the QGIS window."""
        from .gui.menu import PluginMenu

        self.initProcessing()
        if self.menu is None:
            self.menu = PluginMenu(self.iface)

    def unload(self) -> None:
        """Remove everything the plugin added."""
        if self.menu is not None:
            self.menu.remove()
            self.menu = None
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
            deactivate(QgsApplication.qgisSettingsDirPath())
