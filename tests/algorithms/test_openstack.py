"""Protects opening a stack: layers with times and colours in groups, in the window, in models and without either."""

from __future__ import annotations

import itertools

import numpy as np
import processing
import pytest
from landloom.algorithms import openstack
from qgis.core import (
    QgsApplication,
    QgsMultiBandColorRenderer,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
)
from qgis.PyQt.QtCore import Qt, QThread

DATES = ["2021-03-01", "2021-03-11", "2021-03-16"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory, make_stack):
    random = np.random.default_rng(2)
    sensors = {
        "S2": {
            "values": random.integers(1, 3000, (3, 4, 20, 30)).astype(np.int16),
            "bands": ["B2", "B3", "B4", "B8"],
            "dates": DATES,
            "nodata": -10000.0,
        },
        "S1_ASC": {
            "values": random.random((2, 2, 20, 30)).astype(np.float32),
            "bands": ["VV", "VH"],
            "dates": ["2021-03-03", "2021-03-15"],
            "kind": "radar",
        },
    }
    return str(make_stack(tmp_path_factory.mktemp("série d'images"), sensors, name="stack.json"))


@pytest.fixture
def opened(landloom_provider, stack):
    """The project after a run as the toolbox does it."""
    from processing.gui.Postprocessing import handleAlgorithmResults

    project = QgsProject.instance()
    project.clear()
    told = []
    openstack.ON_OPENED.append(lambda times: told.append((times, QThread.currentThread())))
    context = QgsProcessingContext()
    context.setProject(project)
    feedback = QgsProcessingFeedback()
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:openstack")
    try:
        results, good = algorithm.run({"STACK": stack, "COLOURS": "true"}, context, feedback, catchExceptions=False)
        assert good and results["LAYERS"] == 5
        handleAlgorithmResults(algorithm, context, feedback, {"STACK": stack})
    finally:
        openstack.ON_OPENED.pop()
    yield project, told
    project.clear()


def test_layers_have_times_that_follow_one_another(opened):
    project, told = opened
    groups = [one.name() for one in project.layerTreeRoot().findGroups()]
    assert sorted(groups) == ["stack: S1_ASC (VV, VH)", "stack: S2 (B4, B3, B2)"]
    nodes = project.layerTreeRoot().findGroup("stack: S2 (B4, B3, B2)").findLayers()
    layers = [one.layer() for one in nodes]
    assert [one.name() for one in layers] == [f"S2 {date}" for date in reversed(DATES)]  # the newest on top
    ranges = sorted((one.temporalProperties().fixedTemporalRange() for one in layers), key=lambda one: one.begin())
    assert all(one.temporalProperties().isActive() for one in layers)
    for one, following in itertools.pairwise(ranges):
        assert not one.overlaps(following) and one.end().secsTo(following.begin()) == 1
    assert ranges[0].begin().toString(Qt.DateFormat.ISODate) == "2021-03-01T00:00:00Z"
    whole = project.timeSettings().temporalRange()
    assert (whole.begin(), whole.end()) == (ranges[0].begin(), ranges[-1].end())
    times, thread = told[0]
    assert len(told) == 1 and len(times) == 3 and thread is QgsApplication.instance().thread()
    # What the window would draw at a time is one date of each sensor.
    seen = [one.name() for one in layers if one.temporalProperties().isVisibleInTemporalRange(times[1])]
    assert seen == ["S2 2021-03-11"]


def test_one_stretch_for_all_dates_and_only_the_first_sensor_shown(opened):
    project, _ = opened
    root = project.layerTreeRoot()
    shown = {one.name()[7:9]: one.itemVisibilityChecked() for one in root.findGroups()}
    assert shown == {"S2": True, "S1": False}
    stretches = set()
    for node in root.findGroup("stack: S2 (B4, B3, B2)").findLayers():
        renderer = node.layer().renderer()
        assert isinstance(renderer, QgsMultiBandColorRenderer)
        assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == (3, 2, 1)
        made = renderer.redContrastEnhancement()
        stretches.add((made.minimumValue(), made.maximumValue()))
    assert len(stretches) == 1


def test_times_survive_saving(opened, tmp_path):
    project, _ = opened
    before = {one.name(): one.temporalProperties().fixedTemporalRange().end() for one in project.mapLayers().values()}
    path = str(tmp_path / "dated.qgz")
    assert project.write(path)
    again = QgsProject()
    assert again.read(path)
    after = {one.name(): one.temporalProperties() for one in again.mapLayers().values()}
    assert {name: one.fixedTemporalRange().end() for name, one in after.items()} == before
    assert all(one.isActive() for one in after.values())


def test_opening_again_adds_nothing(opened, stack):
    from processing.gui.Postprocessing import handleAlgorithmResults

    project, _ = opened
    count = len(project.mapLayers())
    context = QgsProcessingContext()
    context.setProject(project)
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("landloom:openstack")
    algorithm.run({"STACK": stack, "COLOURS": "false"}, context, QgsProcessingFeedback())
    handleAlgorithmResults(algorithm, context, QgsProcessingFeedback(), {})
    assert len(project.mapLayers()) == count
    layer = project.mapLayersByName("S2 2021-03-01")[0]
    assert layer.renderer().redBand() == 4


def test_without_a_window_it_lists_the_files(landloom_provider, stack):
    done = processing.run("landloom:openstack", {"STACK": stack, "SENSORS": "S2", "START": "2021-03-10"})
    assert done["LAYERS"] == len(done["OUTPUT"]) == 2 and all(one.endswith(".vrt") for one in done["OUTPUT"])


@pytest.mark.parametrize(
    ("change", "message"), [({"SENSORS": "L8"}, "no sensor L8"), ({"START": "spring"}, "START is 'spring'")]
)
def test_refuses_in_a_sentence(landloom_provider, stack, change, message):
    with pytest.raises(QgsProcessingException, match=message):
        processing.run("landloom:openstack", {"STACK": stack, **change})
