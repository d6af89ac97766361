"""Sets the window's temporal controller to step through the dates of a stack."""

from __future__ import annotations

from qgis.core import Qgis, QgsDateTimeRange, QgsInterval, QgsTemporalNavigationObject
from qgis.gui import QgsMapCanvas


def step_through(canvas: QgsMapCanvas, times: list[QgsDateTimeRange]) -> bool:
    """Show the first of these times, ready to go on to the others; gives whether the window has a controller.

    Args:
        canvas: the map of the window.
        times: one for each date, in order.
    """
    controller = canvas.temporalController()
    if not isinstance(controller, QgsTemporalNavigationObject) or not times:
        return False
    controller.setAnimationState(QgsTemporalNavigationObject.AnimationState.Idle)
    controller.setNavigationMode(QgsTemporalNavigationObject.NavigationMode.Animated)
    controller.setAvailableTemporalRanges(times)
    controller.setTemporalExtents(QgsDateTimeRange(times[0].begin(), times[-1].end()))
    controller.setFrameDuration(QgsInterval(1, Qgis.TemporalUnit.IrregularStep))  # a step is a date
    controller.setCurrentFrameNumber(0)
    canvas.setTemporalRange(times[0])
    return True
