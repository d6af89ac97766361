"""A widget that shows a chart of ``model/base/charts``; QSvgWidget lies in different modules in Qt 5 and Qt 6."""

from __future__ import annotations

from qgis.PyQt.QtCore import QByteArray, QRectF, QSize
from qgis.PyQt.QtGui import QPainter, QPaintEvent
from qgis.PyQt.QtSvg import QSvgRenderer
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget


class SvgView(QWidget):
    """One picture, as wide as there is room, in its proportions.

    Args:
        svg: the picture.
        parent: the widget around it.
    """

    def __init__(self, svg: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._renderer = QSvgRenderer(QByteArray(svg.encode("utf-8")), self)
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def is_valid(self) -> bool:
        """Whether the picture can be drawn."""
        return self._renderer.isValid()

    def sizeHint(self) -> QSize:  # noqa: N802
        return self._renderer.defaultSize()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(240, self.heightForWidth(240))

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        size = self._renderer.defaultSize()
        return round(width * size.height() / max(1, size.width()))

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        self._renderer.render(painter, QRectF(0, 0, self.width(), self.heightForWidth(self.width())))
        painter.end()
