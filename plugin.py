"""The plugin as QGIS loads it: it registers the Processing provider and does nothing else."""

from __future__ import annotations

from qgis.core import QgsApplication

from .algorithms.provider import LandloomProvider


class LandloomPlugin:
    """Loads and unloads Landloom; ``qgis_process`` calls :meth:`initProcessing` alone, with ``iface`` None."""

    def __init__(self, iface) -> None:
        self.iface = iface
        self.provider: LandloomProvider | None = None

    def initProcessing(self) -> None:  # noqa: N802
        """Register the algorithms."""
        if self.provider is None:
            self.provider = LandloomProvider()
            QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:  # noqa: N802
        """Called by the QGIS window."""
        self.initProcessing()

    def unload(self) -> None:
        """Remove everything the plugin added."""
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
