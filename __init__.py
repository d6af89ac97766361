"""Landloom: land-cover maps from Sentinel-1 and Sentinel-2 time series, in QGIS."""


def classFactory(iface):  # noqa: N802 (QGIS asks for this name)
    """Give QGIS the plugin; nothing heavy is imported."""
    from .plugin import LandloomPlugin

    return LandloomPlugin(iface)
