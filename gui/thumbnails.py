"""Small pictures of dates, read in the background one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qgis.core import QgsTask
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtGui import QImage

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from ..model.stack.manifest import Stack
from ..model.stack.thumbnail import thumbnail

SIDE = 64


class ThumbnailTask(QgsTask):
    """Reads pictures; each arrives by a signal on the thread of the window."""

    made = pyqtSignal(str, str, object)  # sensor, date, uint8 [H, W, 3]

    def __init__(self, stack: str, wanted: Sequence[tuple[str, str]]) -> None:
        super().__init__(tr("Reading small pictures"), QgsTask.Flag.CanCancel | QgsTask.Flag.Silent)
        self._stack, self._wanted = stack, list(wanted)

    def run(self) -> bool:
        try:
            stack = Stack.read(self._stack)
        except LandloomError:
            return False  # said where the stack is used
        for sensor, date in self._wanted:
            if self.isCanceled():
                return False
            own = stack.sensors.get(sensor)
            found = next((one for one in own.complete if one.date == date), None) if own else None
            if own is None or found is None:
                continue
            try:
                picture = thumbnail(stack, own, found, SIDE)
            except LandloomError:
                continue  # a date without a picture; reading it for the work says why
            if picture is not None:
                self.made.emit(sensor, date, picture)
        return True


def image_of(picture: np.ndarray) -> QImage:
    """A picture ``[H, W, 3]`` as Qt draws it."""
    height, width, _ = picture.shape
    data = np.ascontiguousarray(picture)
    return QImage(data.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()
