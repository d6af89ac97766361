"""Windows and map tools of the plugin; never imported by ``qgis_process``."""
