"""Steps make jobs whose parameters the algorithms know; jobs that come from a file never run what is not Landloom's."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from landloom.gui import plan
from landloom.gui.plan import DONE, HELD, RUNNING, WAITING, Job, jobs_from_text, jobs_to_text
from landloom.gui.project import Project
from landloom.model.base.errors import LandloomError

ALL = [plan.search, plan.prepare, *(one for plans in plan.STEPS.values() for one in plans)]


@pytest.fixture
def project(tmp_path, make_stack):
    """A project in which every step has been done, as far as files are concerned."""
    made = Project(tmp_path / "p")
    values = np.ones((1, 1, 900, 1200), np.uint8)
    stack = make_stack(tmp_path, {"S2": {"values": values, "bands": ["B4"], "dates": ["2021-01-10"]}})
    made.settings.source, made.settings.stack = "stack", str(stack)
    made.settings.reference, made.settings.class_field = "/data/fields.gpkg|layername=fields", "crop"
    made.settings.area, made.settings.start, made.settings.end = "0,1,0,1 [EPSG:32738]", "2021-01-01", "2021-12-31"
    made.settings.level, made.settings.unsure, made.settings.unlearnt = 1, 5.0, True
    for name in ("nomenclature", "model", "forest", "map", "preview", "preview_confidence", "areas"):
        made.path(name).parent.mkdir(parents=True, exist_ok=True)
        made.path(name).write_text("")
    return made


def test_parameters_are_those_of_the_algorithms(landloom_provider, project, tmp_path):
    for one in ALL:
        if one in (plan.prepare, plan.images):
            project.settings.source, project.settings.products = "folder", str(tmp_path)
            jobs = one(project)
            project.settings.source = "stack"
        else:
            jobs = one(project)
        for job in jobs:
            algorithm = landloom_provider.algorithm(job.algorithm)
            known = {definition.name(): definition for definition in algorithm.parameterDefinitions()}
            assert set(job.parameters) <= set(known), job.algorithm
            for name in job.layers:
                assert known[name].isDestination() and name in job.parameters
            assert json.loads(json.dumps(job.parameters)) == job.parameters


@pytest.mark.parametrize("step", [one for one in ALL if one is not plan.images], ids=lambda one: one.__name__)
def test_what_is_missing_is_said(step, tmp_path):
    with pytest.raises(LandloomError):
        step(Project(tmp_path / "empty"))


def test_the_preview_is_a_square_of_five_kilometres(project):
    numbers = [float(one) for one in plan.preview_extent(project).split(" ")[0].split(",")]
    west, east, south, north = numbers
    assert (east - west, north - south) == (5000, 5000)
    assert ((west + east) / 2, (south + north) / 2) == (506000, 7995500)
    assert plan.preview_extent(project).endswith(" [EPSG:32738]")


def test_the_preview_is_cut_to_the_images(project):
    project.settings.preview_centre = "500100,7999900"
    assert plan.preview_extent(project) == "500000.000,502600.000,7997400.000,8000000.000 [EPSG:32738]"
    project.settings.preview_centre = "600000,7999900"
    with pytest.raises(LandloomError, match="outside"):
        plan.preview_extent(project)


def test_samples_are_made_again_only_where_something_has_changed(project):
    def names():
        return [job.algorithm for job in plan.network(project)]

    assert names() == ["extractsamples", "train"]
    made = project.path("samples") / "samples.json"
    made.parent.mkdir()
    made.write_text("{}")
    inputs = plan.samples(project)[0].parameters
    report = project.beside("samples_report", "report.json")
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps({"provenance": {"parameters": {"inputs": inputs}}}))
    assert names() == ["train"]
    project.settings.class_field = "other"
    assert names() == ["extractsamples", "train"]
    project.settings.class_field = "crop"
    later = made.stat().st_mtime + 10
    os.utime(project.path("nomenclature"), (later, later))
    assert names() == ["extractsamples", "train"]


def test_jobs_come_back_and_nothing_open_starts_by_itself():
    jobs = [
        Job("train", {"SAMPLES": ["a"]}, "Entraînement", {}, "b1", RUNNING),
        Job("classify", {"OUTPUT": "map.tif"}, "Map", {"OUTPUT": "Map"}, "b1", WAITING),
        Job("check", {}, "Check", {}, "b2", DONE, "", 3.5),
    ]
    back = jobs_from_text(jobs_to_text(jobs))
    assert [job.state for job in back] == [HELD, HELD, DONE]
    assert [job.parameters for job in back] == [job.parameters for job in jobs]


@pytest.mark.parametrize(
    "entry",
    [
        {"algorithm": "native:buffer", "parameters": {}, "title": "x", "state": "waiting"},
        {"algorithm": "train", "parameters": [], "title": "x", "state": "waiting"},
        {"algorithm": "train", "parameters": {}, "title": 3, "state": "waiting"},
        {"algorithm": "train", "parameters": {}, "title": "x", "state": "hidden"},
        {"algorithm": "train", "parameters": {}, "title": "x", "state": "waiting", "layers": {"OUTPUT": 1}},
        {"algorithm": "train", "parameters": {}, "title": "x", "state": "waiting", "seconds": "long"},
        7,
    ],
)
def test_what_is_no_job_is_left_out(entry):
    assert jobs_from_text(json.dumps([entry])) == []


@pytest.mark.parametrize("text", ["", "{", "3", "{}"])
def test_a_damaged_queue_is_empty(text):
    assert jobs_from_text(text) == []
