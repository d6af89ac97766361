"""The shared engine of Landloom: it never imports qgis and runs the same in QGIS, in a shell and on a cluster node."""
