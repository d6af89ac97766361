"""What tests of several algorithms share."""

from __future__ import annotations

import pytest


@pytest.fixture
def count_invalid(qgis_processing):
    """A function: how many geometries of a layer QGIS's own checker finds invalid, by its and by GEOS' rules."""
    import processing
    from qgis.core import QgsApplication

    known = QgsApplication.processingRegistry().algorithmById("native:checkvalidity")
    checker = "native:checkvalidity" if known else "qgis:checkvalidity"

    def count(path):
        given = {"INPUT_LAYER": str(path), "IGNORE_RING_SELF_INTERSECTION": False}
        outputs = {f"{name}_OUTPUT": "memory:" for name in ("VALID", "INVALID", "ERROR")}
        return sum(
            processing.run(checker, {**given, **outputs, "METHOD": method})["INVALID_COUNT"] for method in (1, 2)
        )

    return count
