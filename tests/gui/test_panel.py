"""The panel leads from an empty folder to a map: as a user would press its buttons, on a small scene."""

from __future__ import annotations

import json
import time

import pytest
from landloom.gui import plan
from landloom.gui.jobs import JobQueue
from landloom.gui.panel import STEP_CLASSES, Panel
from landloom.gui.pixeltool import PixelDock
from landloom.gui.project import Project
from qgis.core import QgsProject, QgsRasterLayer, QgsSettings
from qgis.gui import QgsMapCanvas
from qgis.PyQt.QtCore import QCoreApplication, Qt, QTimer

PROJECT, IMAGES, REFERENCE, CHECK, PREVIEW, NETWORK, CONFUSIONS, MAP, SHARE = range(9)


class Window:
    """A panel with its queue, canvas and dock of series, and a timer that notes stalls of the event loop."""

    def __init__(self) -> None:
        self.canvas = QgsMapCanvas()
        self.pixel = PixelDock(self.canvas)
        self.queue = JobQueue()
        self.panel = Panel(self.queue, self.canvas, None, lambda: self.pixel)
        self.gaps: list[float] = []
        self._last = time.monotonic()
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(10)

    def _tick(self) -> None:
        now = time.monotonic()
        self.gaps.append(now - self._last)
        self._last = now

    def turn(self, until=lambda: False, seconds=0.4) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            QCoreApplication.processEvents()
            time.sleep(0.002)
        return until()

    def run(self, plan_of_step) -> list:
        before = len(self.queue.jobs)
        self.panel.run(plan_of_step)
        assert self.turn(
            lambda: self.queue.running is None and not any(one.state == plan.WAITING for one in self.queue.jobs), 240
        )
        self.turn()  # the panel looks a moment later
        return self.queue.jobs[before:]

    def close(self) -> None:
        self._timer.stop()
        self.queue.stop()
        self.panel.remove()
        self.pixel.wait()
        self.pixel.remove()
        QgsProject.instance().clear()
        self.canvas.deleteLater()
        self.queue.deleteLater()


@pytest.fixture
def window(landloom_provider):
    QgsProject.instance().clear()
    QgsSettings().remove("landloom/folder")
    made = Window()
    yield made
    made.close()
    QgsSettings().remove("landloom/folder")


@pytest.fixture(scope="module")
def prepared(landloom_provider, small_scene, tmp_path_factory):
    """A project with stack, classes, samples, preview and its assessment, made through the panel itself."""
    QgsProject.instance().clear()
    window = Window()
    folder = tmp_path_factory.mktemp("projet d'été")
    panel = window.panel
    panel.open(str(folder))
    panel.go(IMAGES)
    panel.steps[IMAGES].products.setFilePath(str(small_scene))
    window.run(plan.prepare)
    panel.go(REFERENCE)
    panel.steps[REFERENCE].take_file(str(small_scene / "reference.gpkg"))
    states = []
    for step in (plan.nomenclature, plan.check, plan.preview, plan.assess):
        states += [(one.title, one.state, one.message) for one in window.run(step)]
    # A busy machine may not give the process its processor; where layers are loaded it may take a moment, but no more.
    slow = (sum(gap > 0.2 for gap in window.gaps) / len(window.gaps), max(window.gaps))
    window.close()
    return folder, states, slow


def test_the_steps_make_their_jobs(prepared):
    folder, states, slow = prepared
    assert [state for _, state, _ in states] == ["done"] * len(states), states
    assert len(states) == 6  # samples are extracted without asking
    project = Project.open(folder)
    assert project.settings.class_field == "class"
    assert all(project.has(name) for name in ("stack", "nomenclature", "samples", "forest", "preview", "check_report"))
    assert slow[0] < 0.02 and slow[1] < 2.0, slow


def test_an_earlier_folder_shows_what_there_is(window, prepared):
    window.panel.open(str(prepared[0]))
    marks = [button.text()[0] for button in window.panel._buttons]
    assert marks == ["✓", "✓", "✓", "✓", "✓", "6", "✓", "8", "9"]
    for index in range(len(STEP_CLASSES)):
        window.panel.go(index)
    assert window.panel.message.text() == ""
    assert window.panel.steps[CHECK].steps.topLevelItemCount() > 2
    assert "%" in window.panel.steps[PREVIEW].scores.text()
    step = window.panel.steps[REFERENCE]
    assert step.table.rowCount() > 5 and step.table.item(0, 4).text().isdigit()
    assert step.curve.count() > 0 and step._picture.count() == 1


def test_ticks_become_skip_dates_and_gaps_follow(window, prepared):
    panel = window.panel
    panel.open(str(prepared[0]))
    panel.go(IMAGES)
    step = panel.steps[IMAGES]
    rows = [index for index, row in enumerate(step._rows) if row.sensor == "S2"]
    assert len(rows) > 10
    for index in rows[-6:-1]:
        step.table.item(index, 0).setCheckState(Qt.CheckState.Unchecked)
    dates = [f"S2:{step._rows[index].date}" for index in rows[-6:-1]]
    assert Project.open(prepared[0]).settings.skip_dates == ",".join(dates)
    assert "Ticks changed: 5" in step.told.text()
    assert step._rows[rows[-1]].date in step.gaps.text()
    for index in rows[-6:-1]:
        step.table.item(index, 0).setCheckState(Qt.CheckState.Checked)
    assert Project.open(prepared[0]).settings.skip_dates == ""
    assert window.turn(lambda: bool(step._pictures), 20), "small pictures"


def test_a_date_is_shown_on_the_map_in_place_of_the_last(window, prepared):
    panel = window.panel
    panel.open(str(prepared[0]))
    panel.go(IMAGES)
    panel.steps[IMAGES].show_on_map(len(panel.steps[IMAGES]._rows) - 1)
    panel.steps[IMAGES].show_on_map(len(panel.steps[IMAGES]._rows) - 2)
    layers = [one for one in QgsProject.instance().mapLayers().values() if isinstance(one, QgsRasterLayer)]
    assert len(layers) == 1 and layers[0].name() == f"S2 {panel.steps[IMAGES]._rows[-2].date}"


def test_all_dates_open_as_dated_layers(window, prepared):
    window.panel.open(str(prepared[0]))
    done = window.run(plan.open_images)
    assert [one.state for one in done] == [plan.DONE], done[0].message
    groups = {one.name(): one for one in QgsProject.instance().layerTreeRoot().findGroups()}
    optical = next(one for name, one in groups.items() if name.startswith("stack: S2 "))
    layers = [one.layer() for one in optical.findLayers()]
    assert len(layers) > 5 and optical.itemVisibilityChecked()
    assert all(one.temporalProperties().isActive() for one in layers)
    assert not any(one.itemVisibilityChecked() for one in groups.values() if one is not optical)
    times = QgsProject.instance().timeSettings().temporalRange()
    assert times.begin() == min(one.temporalProperties().fixedTemporalRange().begin() for one in layers)
    step = window.panel.steps[IMAGES]
    window.panel.go(IMAGES)
    assert not step.all.isHidden()


def test_the_map_can_be_compared_with_another(window, prepared, monkeypatch):
    import processing

    asked = []
    monkeypatch.setattr(processing, "execAlgorithmDialog", lambda *given: asked.append(given))
    window.panel.open(str(prepared[0]))
    window.panel.go(MAP)
    step = window.panel.steps[MAP]
    assert not step.other.isEnabled()  # there is no map yet
    step.other.setEnabled(True)
    step.other.click()
    assert asked == [("landloom:difference", {"AFTER": str(Project.open(prepared[0]).path("map"))})]


def test_classes_are_edited_and_merged(window, prepared):
    panel = window.panel
    panel.open(str(prepared[0]))
    panel.go(REFERENCE)
    step = panel.steps[REFERENCE]
    path = panel.project.path("nomenclature")
    kept = path.read_text(encoding="utf-8")
    try:
        name = step.table.item(0, 2)
        name.setText("mine")
        assert "mine" in path.read_text(encoding="utf-8") and step._table.rows[0].name == "mine"
        step.table.item(0, 1).setText(step.table.item(1, 1).text())  # the code of another class, another name
        assert "two names" in panel.message.text()
        assert step._table.rows[0].name == "mine" and step.table.item(0, 1).text() == str(step._table.rows[0].code)
        step.table.item(1, 0).setCheckState(Qt.CheckState.Unchecked)
        assert not step._table.rows[1].use
        step.table.clearSelection()
        for row in (2, 3):
            for column in range(step.table.columnCount()):
                step.table.item(row, column).setSelected(True)
        step._merge_chosen()
        assert step._table.rows[2].code == step._table.rows[3].code
        step.table.item(4, 6).setText("crops")
        assert step._table.rows[4].parents == ("crops",) and step.level.maximum() == 1
    finally:
        path.write_text(kept, encoding="utf-8")


def test_a_confusion_leads_to_its_polygon_its_image_and_its_series(window, prepared):
    panel = window.panel
    panel.open(str(prepared[0]))
    table = panel.project.path("preview_assessment")
    kept = table.read_text(encoding="utf-8")
    content = json.loads(kept)
    codes = [one["code"] for one in content["classes"]]
    feature = 3
    place = {"feature": feature, "pixels": 4}
    content["confusions"] = [{"reference": codes[0], "mapped": codes[1], "pixels": 4, "features": [place]}]
    table.write_text(json.dumps(content), encoding="utf-8")
    try:
        panel.go(CONFUSIONS)
        step = panel.steps[CONFUSIONS]
        assert step.tree.topLevelItemCount() == 1 and "→" in step.tree.topLevelItem(0).text(0)
        step.tree.setCurrentItem(step.tree.topLevelItem(0).child(0))
        window.pixel.wait()
        assert window.pixel.pictures(), window.pixel.sentence.text()
        assert step._band is not None and step._band.asGeometry().boundingBox().intersects(window.canvas.extent())
        assert [one.name()[:3] for one in QgsProject.instance().mapLayers().values()].count("S2 ") == 1
        assert panel.message.text() == ""
    finally:
        table.write_text(kept, encoding="utf-8")


def test_each_step_shows_its_command(window, prepared):
    panel = window.panel
    panel.open(str(prepared[0]))
    for index in range(1, 9):
        panel.go(index)
        box = panel.steps[index].command
        assert box is not None
        box.isCollapsed = lambda: False
        box.refresh()
        text = box.text.toPlainText()
        expected = "landloom:" if index not in (MAP, SHARE) else "#"
        assert expected in text, (index, text)
        box.form.setCurrentIndex(1)
        assert index in (MAP, SHARE) or "processing.run(" in box.text.toPlainText()


def test_hiding_the_panel_changes_nothing_and_what_is_missing_is_said(window, tmp_path):
    panel = window.panel
    assert not any(button.isEnabled() for button in panel._buttons[1:])
    panel.open(str(tmp_path / "new"))
    assert (tmp_path / "new" / "landloom.json").exists()
    panel.go(NETWORK)
    panel.run(plan.network)
    assert "step 2" in panel.message.text()
    assert window.queue.jobs == []
    panel.close()
    assert panel.project is not None and window.queue is panel.queue


def test_the_qgis_project_remembers_the_folder(window, tmp_path):
    window.panel.open(str(tmp_path / "a"))
    path = str(tmp_path / "p.qgz")
    assert QgsProject.instance().write(path)
    window.panel.open(str(tmp_path / "b"))
    QgsProject.instance().read(path)
    assert window.panel.project.folder == tmp_path / "a"


def test_a_damaged_folder_is_said_and_the_last_one_stays(window, tmp_path):
    window.panel.open(str(tmp_path / "a"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "landloom.json").write_text("{")
    window.panel.open(str(tmp_path / "b"))
    assert "landloom.json" in window.panel.message.text()
    assert window.panel.project.folder == tmp_path / "a"
