"""A project keeps its choices in its folder, moves as a whole, and refuses what is damaged; no window is needed."""

from __future__ import annotations

import json
import shutil

import pytest
from landloom.gui.project import LAYOUT, Project
from landloom.model.base.errors import LandloomError


def test_choices_come_back(tmp_path):
    project = Project.open(tmp_path / "new" / "projet d'été")
    project.settings.class_field, project.settings.unsure, project.settings.level = "crop", 5.0, 2
    project.save()
    assert Project.open(project.folder).settings == project.settings


def test_a_folder_moves_with_its_paths(tmp_path):
    project = Project.open(tmp_path / "a")
    inside, outside = tmp_path / "a" / "fields.gpkg", tmp_path / "elsewhere"
    project.settings.reference = f"{inside}|layername=fields"
    project.settings.products = str(outside)
    project.save()
    shutil.move(tmp_path / "a", tmp_path / "b")
    moved = Project.open(tmp_path / "b")
    assert moved.settings.reference == f"{tmp_path / 'b' / 'fields.gpkg'}|layername=fields"
    assert moved.settings.products == str(outside)


def test_a_layer_in_memory_is_kept_by_its_id(tmp_path):
    project = Project.open(tmp_path)
    project.settings.reference = "fields_0b1c"
    project.save()
    assert Project.open(tmp_path).settings.reference == "fields_0b1c"


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other"}', '{"format": "landloom-project", "version": 9}'])
def test_what_is_no_project_is_refused(tmp_path, text):
    (tmp_path / "landloom.json").write_text(text)
    with pytest.raises(LandloomError, match=r"landloom\.json"):
        Project.open(tmp_path)


def test_values_of_a_wrong_kind_are_left_out(tmp_path):
    settings = {"level": "two", "max_cloud": 80, "source": "moon", "unknown": 1, "class_field": "crop"}
    content = {"format": "landloom-project", "version": 1, "settings": settings}
    (tmp_path / "landloom.json").write_text(json.dumps(content))
    found = Project.open(tmp_path).settings
    assert (found.level, found.max_cloud, found.source, found.class_field) == (0, 80.0, "folder", "crop")


def test_every_place_is_its_own_and_inside(tmp_path):
    project = Project(tmp_path)
    assert len(set(LAYOUT.values())) == len(LAYOUT)
    assert all(project.path(name).is_relative_to(tmp_path) for name in LAYOUT)
    project.settings.source, project.settings.stack = "stack", "/data/stack.json"
    assert str(project.path("stack")) == "/data/stack.json"


def test_dates_come_from_the_table_with_their_valid_share(tmp_path):
    project = Project(tmp_path)
    (tmp_path / "reports").mkdir()
    (tmp_path / "stack.json").write_text("{}")
    project.beside("stack_report", "dates.csv").write_text(
        "sensor,date,product,used,valid_share,masked_share,why\n"
        "S2,2021-03-01,b,yes,0.2500,0.7,\nS2,2021-01-01,a,no,,,among SKIP_DATES\nS2,,dem,no,,,damaged\n"
    )
    first, second = project.dates()
    assert (first.date, first.used, first.valid, first.why) == ("2021-01-01", False, None, "among SKIP_DATES")
    assert (second.date, second.used, second.valid) == ("2021-03-01", True, 0.25)


def test_dates_of_a_stack_that_exists_come_from_the_stack(tmp_path, make_stack):
    import numpy as np

    values = np.ones((2, 1, 4, 5), np.int16)
    stack = make_stack(tmp_path, {"S2": {"values": values, "bands": ["B4"], "dates": ["2021-01-10", "2021-02-10"]}})
    project = Project(tmp_path / "p")
    project.settings.source, project.settings.stack = "stack", str(stack)
    assert [(row.sensor, row.date, row.used) for row in project.dates()] == [
        ("S2", "2021-01-10", True),
        ("S2", "2021-02-10", True),
    ]
