"""The dates of a stack on a line for each sensor: bars of the valid share, gaps over 40 days in red."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from qgis.PyQt.QtCore import QEvent, QPointF, QRectF, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qgis.PyQt.QtWidgets import QSizePolicy, QToolTip, QWidget

from ..model.base.language import tr
from .dates import Gap
from .project import DateRow

_LEFT, _RIGHT, _ROW, _FULL, _FOOT, _HEAD = 66, 10, 54, 26, 18, 4
_GREEN, _RED, _GREY = QColor("#2b7a3d"), QColor("#c0392b"), QColor("#a9aeab")
_NEAR = 5  # pixels within which a date is hit


class Timeline(QWidget):
    """Draws dates; a click on one chooses it."""

    chosen = pyqtSignal(str, str)  # sensor, date

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[tuple[DateRow, bool]] = []
        self._gaps: Mapping[str, Sequence[Gap]] = {}
        self._sensors: list[str] = []
        self._selected = ("", "")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_dates(self, rows: Sequence[tuple[DateRow, bool]], gaps: Mapping[str, Sequence[Gap]]) -> None:
        """Draw these dates, each with whether it is ticked."""
        self._rows, self._gaps = list(rows), gaps
        self._sensors = sorted({row.sensor for row, _ in rows})
        self.setVisible(bool(self._rows))
        self.updateGeometry()
        self.update()

    def select(self, sensor: str, date: str) -> None:
        """Mark a date."""
        self._selected = (sensor, date)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(320, _HEAD + _ROW * max(1, len(self._sensors)) + _FOOT)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(200, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        if not self._rows:
            return
        painter = QPainter(self)
        text = self.palette().color(self.foregroundRole())
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        bottom = _HEAD + _ROW * len(self._sensors)
        last_label = -100.0
        for month in _months(*self._span()):
            x = self._x(month.isoformat())
            painter.setPen(QPen(QColor(128, 128, 128, 60)))
            painter.drawLine(QPointF(x, _HEAD), QPointF(x, bottom))
            if x - last_label > 46 and x < self.width() - 24:
                painter.setPen(text)
                painter.drawText(QRectF(x - 24, bottom + 2, 48, 14), Qt.AlignmentFlag.AlignCenter, f"{month:%Y-%m}")
                last_label = x
        for index, sensor in enumerate(self._sensors):
            base = _HEAD + _ROW * (index + 1) - 8
            painter.setPen(text)
            name = painter.fontMetrics().elidedText(sensor, Qt.TextElideMode.ElideRight, _LEFT - 12)
            painter.drawText(QRectF(2, base - 14, _LEFT - 10, 14), Qt.AlignmentFlag.AlignLeft, name)
            painter.drawLine(QPointF(_LEFT, base), QPointF(self.width() - _RIGHT, base))
            for row, ticked in self._rows:
                if row.sensor == sensor:
                    self._bar(painter, row, ticked, base)
            painter.setPen(QPen(_RED, 2))
            for first, last, days in self._gaps.get(sensor, ()):
                a, b, y = self._x(first), self._x(last), base - _FULL - 3
                painter.drawLine(QPointF(a, y), QPointF(b, y))
                painter.drawText(
                    QRectF((a + b) / 2 - 30, y - 13, 60, 12),
                    Qt.AlignmentFlag.AlignCenter,
                    tr("{days} d").format(days=days),
                )
        painter.end()

    def _bar(self, painter: QPainter, row: DateRow, ticked: bool, base: float) -> None:
        x = self._x(row.date)
        chosen = (row.sensor, row.date) == self._selected
        if chosen:
            painter.fillRect(QRectF(x - 4, base - _FULL, 8, _FULL + 7), self.palette().highlight())
        if ticked:
            share = 1.0 if row.valid is None else row.valid
            painter.setPen(QPen(_GREEN, 3))
            painter.drawLine(QPointF(x, base), QPointF(x, base - max(2.0, share * _FULL)))
        else:
            painter.setPen(QPen(_GREY, 3))
            painter.drawLine(QPointF(x, base + 2), QPointF(x, base + 6))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        row = self._at(event.pos().x(), event.pos().y())
        if row is not None:
            self.chosen.emit(row.sensor, row.date)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            row = self._at(event.pos().x(), event.pos().y())
            text = "" if row is None else row_text(row)
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def _at(self, x: float, y: float) -> DateRow | None:
        index = int((y - _HEAD) // _ROW)
        if not 0 <= index < len(self._sensors):
            return None
        own = [row for row, _ in self._rows if row.sensor == self._sensors[index]]
        nearest = min(own, key=lambda row: abs(self._x(row.date) - x))
        return nearest if abs(self._x(nearest.date) - x) <= _NEAR else None

    def _span(self) -> tuple[datetime.date, datetime.date]:
        days = [datetime.date.fromisoformat(row.date) for row, _ in self._rows]
        return min(days), max(days)

    def _x(self, date: str) -> float:
        first, last = self._span()
        share = (datetime.date.fromisoformat(date) - first).days / max(1, (last - first).days)
        return _LEFT + 4 + share * (self.width() - _LEFT - _RIGHT - 8)


def row_text(row: DateRow) -> str:
    """A date in one line."""
    share = "" if row.valid is None else ", " + tr("{share} % valid").format(share=f"{100 * row.valid:.0f}")
    why = f" ({row.why})" if row.why else ""
    return f"{row.sensor} {row.date}{share}{why}"


def _months(first: datetime.date, last: datetime.date) -> list[datetime.date]:
    month = first.replace(day=1)
    found = []
    while month <= last:
        if month >= first:
            found.append(month)
        month = (month + datetime.timedelta(days=32)).replace(day=1)
    return found
