"""Protects the rule that a final name never holds a partial file and that nothing the user had is lost."""

from __future__ import annotations

import contextlib
import errno
import os

import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.files import (
    cannot_write,
    check_writable,
    whole_file,
    whole_folder,
    write_json,
    write_text,
    writing_failed,
)


def test_a_failed_write_keeps_the_older_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "carte été.txt"
    write_text(path, "older")

    def fail_half_way():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        fail_half_way()
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == [path.name]


def test_a_full_disk_gives_one_sentence(tmp_path):
    def fill():
        with whole_file(tmp_path / "map.tif"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(LandloomError, match=r"Cannot write .*map\.tif: No space left on device\. Free space"):
        fill()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    "reason, number, advice",
    [
        ("Permission denied", errno.EACCES, "get the right to write there"),
        ("Espace refusé", errno.EROFS, "get the right to write there"),  # in the system's language
        ("Disk quota exceeded", errno.EDQUOT, "Free space there"),
        ("map.tif: Permission denied.", None, "get the right to write there"),
        ("TIFFAppendToStrip: Write error at scanline 3", None, "Free space there"),
    ],
)
def test_advice_fits_the_reason(reason, number, advice):
    """Of GDAL there are words alone; of the system a number too."""
    said = cannot_write("map.tif", reason) if number is None else writing_failed("map.tif", OSError(number, reason))
    assert said.startswith(f"Cannot write map.tif: {reason.rstrip('.')}. ") and advice in said


def test_the_suffix_is_kept_for_writers_that_choose_by_it(tmp_path):
    with whole_file(tmp_path / "a.gpkg") as temporary:
        assert temporary.suffix == ".gpkg" and temporary.parent == tmp_path
        temporary.write_text("x")
    assert (tmp_path / "a.gpkg").exists()


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "samples"
    with whole_folder(target) as temporary:
        (temporary / "a").write_text("1")

    def fail():
        with whole_folder(target) as temporary:
            (temporary / "b").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(target) == ["a"] and os.listdir(tmp_path) == ["samples"]
    with whole_folder(target) as temporary:
        (temporary / "c").write_text("3")
    assert os.listdir(target) == ["c"] and os.listdir(tmp_path) == ["samples"]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not os.listdir(tmp_path)


def test_an_output_below_a_file_is_refused_before_work(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(LandloomError, match="Cannot write"):
        check_writable(tmp_path / "file" / "map.tif")


def test_the_files_of_a_shapefile_take_their_names_together(tmp_path):
    path = tmp_path / "champs.shp"
    for suffix in (".shp", ".dbf", ".qix", ".txt"):
        path.with_suffix(suffix).write_text("older")
    with whole_file(path) as temporary:
        for suffix in (".shp", ".dbf", ".shx"):
            temporary.with_suffix(suffix).write_text("newer")
        assert path.read_text() == "older"
    found = {one.name: one.read_text() for one in tmp_path.iterdir()}
    assert found == {
        "champs.shp": "newer",
        "champs.dbf": "newer",
        "champs.shx": "newer",
        "champs.txt": "older",
    }  # the index of the older one would lead astray
    with contextlib.suppress(ValueError), whole_file(path) as temporary:
        temporary.with_suffix(".dbf").write_text("half")
        raise ValueError
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == found


def test_the_journal_of_an_older_geopackage_is_not_written_into_the_new_one(tmp_path):
    path = tmp_path / "map.gpkg"
    for suffix in ("", "-journal", "-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").write_text("older")
    with whole_file(path) as temporary:
        temporary.write_text("newer")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("map.gpkg", "newer")]
