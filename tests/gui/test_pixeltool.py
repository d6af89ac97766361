"""The map tool reads the pixel that was clicked, in any CRS of the canvas, and says what is wrong in a sentence."""

import numpy as np
import pytest
from landloom.gui.pixeltool import PixelDock
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransform, QgsPointXY, QgsProject, QgsSettings
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import Qt


@pytest.fixture
def dock(qgis_app, make_stack, tmp_path):
    QgsSettings().remove("landloom/pixel")
    values = np.full((3, 2, 4, 5), 1000, np.int16)
    values[:, 1] = 3000
    dates = ["2021-01-10", "2021-02-10", "2021-03-10"]
    stack = make_stack(tmp_path, {"S2": {"values": values, "bands": ["B4", "B8"], "dates": dates, "scale": 0.0001}})
    canvas = QgsMapCanvas()
    canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32738"))
    one = PixelDock(canvas)
    one.files["stack"].setFilePath(str(stack))
    yield one, canvas
    one.wait()
    one.remove()
    canvas.deleteLater()
    QgsSettings().remove("landloom/pixel")


def test_a_click_shows_the_series(dock) -> None:
    one, canvas = dock
    one.start()
    assert canvas.mapTool() is one.tool
    one.tool.canvasClicked.emit(QgsPointXY(500025, 7999985), Qt.MouseButton.LeftButton)
    one.wait()
    assert one.sentence.text() == "Column 2, row 1"
    assert len(one.pictures()) == 1 and one.pictures()[0].is_valid()


def test_a_canvas_in_degrees_finds_the_same_pixel(dock) -> None:
    one, canvas = dock
    degrees = QgsCoordinateReferenceSystem("EPSG:4326")
    change = QgsCoordinateTransform(QgsCoordinateReferenceSystem("EPSG:32738"), degrees, QgsProject.instance())
    canvas.setDestinationCrs(degrees)
    one.show_pixel(change.transform(QgsPointXY(500025, 7999985)))
    one.wait()
    assert one.sentence.text() == "Column 2, row 1"


def test_what_is_wrong_is_said_in_the_dock(dock, tmp_path) -> None:
    one, _canvas = dock
    one.show_pixel(QgsPointXY(0, 0))
    assert "outside the stack" in one.sentence.text()
    one.files["model"].setFilePath(str(tmp_path / "none.safetensors"))
    one.show_pixel(QgsPointXY(500025, 7999985))
    one.wait()
    assert "none.safetensors" in one.sentence.text()
    one.files["stack"].setFilePath("")
    one.show_pixel(QgsPointXY(500025, 7999985))
    assert "Choose a stack" in one.sentence.text()
