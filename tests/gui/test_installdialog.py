"""The dialog of packages: what a user clicks installs, stops and removes, and says how it went."""

import sys
import zipfile

import pytest
from landloom.gui import installdialog
from landloom.gui.installdialog import InstallDialog, proxy_of_qgis
from landloom.install import Package
from landloom.install.folder import packages_folder, read_record
from landloom.install.interpreter import Host
from qgis.core import QgsSettings


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "landloomdialog-1.0.dist-info"
    with zipfile.ZipFile(folder / "landloomdialog-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("landloomdialog.py", "VERSION = '1.0'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: landloomdialog\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def dialog(qgis_app, tmp_path, monkeypatch):
    probe = Package("landloomdialog", "landloomdialog", "this test", "Install it.")
    monkeypatch.setattr(installdialog, "PACKAGES", (probe,))
    path = list(sys.path)
    one = InstallDialog(profile=str(tmp_path / "profile"))
    yield one
    one.stop()
    one.wait()
    one.deleteLater()
    sys.path[:] = path
    sys.modules.pop("landloomdialog", None)


def test_installing_from_a_folder_of_wheels_and_removing(dialog, wheels, tmp_path) -> None:
    assert "missing" in dialog._state.text()
    assert dialog._install.isEnabled() and not dialog._remove.isEnabled()
    dialog._wheels.setFilePath(str(wheels))
    dialog._install.click()
    assert not dialog._install.isEnabled() and dialog._stop.isEnabled()
    dialog.wait()
    assert dialog._sentence.text() == "Installed."
    import landloomdialog  # on the path at once, without starting QGIS again

    assert landloomdialog.VERSION == "1.0"
    assert "missing" not in dialog._state.text()
    dialog._remove.click()
    assert dialog._sentence.text() == "Removed."
    assert read_record(packages_folder(tmp_path / "profile")) == {}


def test_a_failure_is_one_sentence_and_can_be_tried_again(dialog, wheels, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    dialog._wheels.setFilePath(str(tmp_path / "empty"))
    dialog._install.click()
    dialog.wait()
    assert "folder of wheels" in dialog._sentence.text()
    assert dialog._install.text() == "Try again"
    assert not packages_folder(tmp_path / "profile").exists()
    dialog._wheels.setFilePath(str(wheels))
    dialog._install.click()
    dialog.wait()
    assert dialog._sentence.text() == "Installed."


def test_stopping_changes_nothing(dialog, wheels, tmp_path) -> None:
    dialog._wheels.setFilePath(str(wheels))
    dialog._install.click()
    dialog._stop.click()
    dialog.wait()
    assert not packages_folder(tmp_path / "profile").exists()
    assert dialog._install.isEnabled()


def test_no_interpreter_is_said_in_the_dialog(qgis_app, tmp_path, monkeypatch) -> None:
    host = Host("Windows", r"C:\QGIS\bin\qgis-bin.exe", r"C:\QGIS\none", r"C:\QGIS\none", (3, 12))
    one = InstallDialog(profile=str(tmp_path), host=host)
    one.start()
    assert "No Python 3.12 was found beside QGIS" in one._sentence.text()
    one.deleteLater()


def test_the_proxy_of_qgis_is_used(qgis_app) -> None:
    settings = QgsSettings()
    try:
        assert proxy_of_qgis() == ""
        for key, value in (
            ("Enabled", True),
            ("Host", "proxy.lan"),
            ("Port", "3128"),
            ("User", "me"),
            ("Password", "x"),
        ):
            settings.setValue(f"proxy/proxy{key}", value)
        assert proxy_of_qgis() == "http://me:x@proxy.lan:3128"
    finally:
        settings.remove("proxy")
