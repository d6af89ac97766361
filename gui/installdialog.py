"""The dialog that shows which packages are missing and installs them into Landloom's own folder."""

from __future__ import annotations

import platform
import subprocess  # nosec B404 # asks the interpreter of QGIS to import PyTorch; no shell
from pathlib import Path

from qgis.core import Qgis, QgsApplication, QgsSettings, QgsTask
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QCoreApplication, pyqtSignal
from qgis.PyQt.QtGui import QCloseEvent
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..install import PACKAGES, package_state
from ..install.failures import explain_import
from ..install.folder import activate, packages_folder, read_record, remove
from ..install.interpreter import NO_WINDOW, Host, NoInterpreterError, find_interpreter
from ..install.pipjob import (
    CPU,
    CUDA,
    InstallCancelled,
    InstallError,
    Request,
    gpu_driver,
    held_versions,
    install,
    resolve,
)
from ..model.base.language import tr

FOREST = "forest"


class InstallTask(QgsTask):
    """Runs pip in the background; what it says arrives by signals, on the thread of the window."""

    said = pyqtSignal(str)
    ended = pyqtSignal(bool, str)  # whether it worked, and the sentence to show

    def __init__(self, request: Request) -> None:
        super().__init__(tr("Installing packages for Landloom"), QgsTask.Flag.CanCancel)
        self._request, self._sentence = request, ""

    def run(self) -> bool:
        request = self._request
        try:
            self.said.emit(tr("Asking which packages are missing ..."))
            items = resolve(request, held_versions(request.folder), self.said.emit, self.isCanceled)
            if not items:
                self._sentence = tr("Nothing is missing.")
                return True
            megabytes = sum(item.size or 0 for item in items) / 1e6
            self.said.emit(tr("{count} packages, {size:.0f} MB to fetch").format(count=len(items), size=megabytes))
            at_once = install(request, items, self.said.emit, self.setProgress, self.isCanceled)
        except InstallCancelled:
            self._sentence = tr("Stopped: nothing has changed.")
            return False
        except InstallError as error:
            self._sentence = str(error)
            return False
        self._sentence = tr("Installed.") if at_once else tr("Installed: start QGIS again to use the new packages.")
        if "torch" in request.packages:
            trouble = import_trouble(request)
            if trouble:
                self._sentence = trouble
                return False
        return True

    def finished(self, result: bool) -> None:
        self.ended.emit(result, self._sentence)


def import_trouble(request: Request) -> str:
    """Why PyTorch cannot be imported, in one sentence; empty text when it can. Tried in another process."""
    code = "import sys; sys.path.append(sys.argv[1]); import torch"
    try:
        done = subprocess.run(  # nosec B603 # the interpreter of QGIS, a constant program
            [request.python, "-c", code, str(request.folder)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            creationflags=NO_WINDOW,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return explain_import(str(error), platform.system())
    lines = done.stderr.strip().splitlines()
    return explain_import(lines[-1] if lines else "", platform.system()) if done.returncode else ""


def wanted_packages(build: str) -> tuple[str, ...]:
    """Names of the missing packages that a choice of build would install."""
    missing = [
        one
        for one in PACKAGES
        if package_state(one.module) is None and not one.optional and one.distribution not in ("numpy", "GDAL")
    ]
    return tuple(one.distribution for one in missing if build != FOREST or one.module != "torch")


def proxy_of_qgis() -> str:
    """The proxy set in QGIS as pip takes it; empty text for none."""
    settings = QgsSettings()
    if not settings.value("proxy/proxyEnabled", False, type=bool):
        return ""
    host, port = settings.value("proxy/proxyHost", ""), settings.value("proxy/proxyPort", "")
    if not host:
        return ""
    user, password = settings.value("proxy/proxyUser", ""), settings.value("proxy/proxyPassword", "")
    login = f"{user}:{password}@" if user else ""
    return f"http://{login}{host}{f':{port}' if port else ''}"


class InstallDialog(QDialog):
    """Shows what is missing, installs it, tries again, and removes it.

    Args:
        parent: the window of QGIS.
        profile: folder of the user's profile; QGIS's own by default.
        host: what decides where the interpreter lies; this process by default.
    """

    def __init__(self, parent: QWidget | None = None, profile: str = "", host: Host | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(tr("Landloom: packages"))
        self._profile = profile or QgsApplication.qgisSettingsDirPath()
        self._host = host or Host.here()
        self._task: InstallTask | None = None
        self._folder = packages_folder(self._profile)
        self._state = QLabel()
        self._state.setWordWrap(True)
        self._build = QComboBox()
        gpu = gpu_driver()
        self._build.addItem(tr("CPU build of PyTorch (about 200 MB to fetch, 0.8 GB on disk)"), CPU)
        self._build.addItem(
            tr("CUDA build of PyTorch (about 2.5 GB to fetch, 5 GB on disk): {gpu}").format(
                gpu=gpu or tr("no NVIDIA GPU was found")
            ),
            CUDA,
        )
        self._build.addItem(tr("Forest only, without PyTorch"), FOREST)
        self._build.setCurrentIndex(1 if gpu else 0)
        self._build.currentIndexChanged.connect(self.refresh)
        self._wheels = QgsFileWidget()
        self._wheels.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self._wheels.lineEdit().setPlaceholderText(tr("only to install without network"))
        where = QLabel(str(self._folder))
        where.setWordWrap(True)
        form = QFormLayout()
        form.addRow(tr("Install"), self._build)
        form.addRow(tr("Into"), where)
        form.addRow(tr("From a folder of wheels"), self._wheels)
        self._log = QPlainTextEdit()
        self._log.setReadOnly(True)
        self._log.setMaximumBlockCount(5000)
        self._bar = QProgressBar()
        self._bar.setRange(0, 100)
        self._sentence = QLabel()
        self._sentence.setWordWrap(True)
        self._install = QPushButton(tr("Install"))
        self._stop = QPushButton(tr("Stop"))
        self._remove = QPushButton(tr("Remove"))
        self._remove.setToolTip(tr("Removes what was installed here; nothing of QGIS is touched."))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        for button in (self._install, self._stop, self._remove):
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.close)
        self._install.clicked.connect(self.start)
        self._stop.clicked.connect(self.stop)
        self._remove.clicked.connect(self.remove_packages)
        layout = QVBoxLayout(self)
        layout.addWidget(self._state)
        layout.addLayout(form)
        layout.addWidget(self._log, 1)
        layout.addWidget(self._bar)
        layout.addWidget(self._sentence)
        layout.addWidget(buttons)
        self.resize(640, 480)
        self.refresh()

    def refresh(self) -> None:
        """Show what is here and what is missing."""
        rows = []
        for package in PACKAGES:
            version = package_state(package.module)
            absent = tr("not installed (optional)") if package.optional else f"<b>{tr('missing')}</b>"
            rows.append(f"<tr><td>{package.distribution}&nbsp;</td><td>{version or absent}</td></tr>")
        self._state.setText(f"<table>{''.join(rows)}</table>")
        running = self._task is not None
        self._install.setEnabled(not running and bool(wanted_packages(self._build.currentData())))
        self._stop.setEnabled(running)
        self._remove.setEnabled(not running and bool(read_record(self._folder)))
        self._build.setEnabled(not running)
        if not running and not wanted_packages(self._build.currentData()) and not self._sentence.text():
            self._sentence.setText(tr("Nothing is missing."))

    def request(self) -> Request:
        """What the dialog's choices ask for.

        Raises:
            NoInterpreterError: if the interpreter of QGIS is not found.
        """
        build = self._build.currentData()
        wheels = self._wheels.filePath().strip()
        kept = [str(one).split("==")[0] for one in read_record(self._folder).get("packages", [])]  # type: ignore[attr-defined]
        known = {one.distribution for one in PACKAGES}
        # What was installed before goes along, since the new folder takes the place of the last.
        packages = tuple(dict.fromkeys([*(one for one in kept if one in known), *wanted_packages(build)]))
        return Request(
            find_interpreter(self._host),
            self._folder,
            packages,
            CUDA if build == CUDA else CPU,
            Path(wheels) if wheels else None,
            proxy_of_qgis(),
        )

    def start(self) -> None:
        """Install in the background."""
        try:
            request = self.request()
        except NoInterpreterError as error:
            self._sentence.setText(str(error))
            return
        self._log.clear()
        self._sentence.setText("")
        self._bar.setValue(0)
        self._task = InstallTask(request)
        self._task.said.connect(self._log.appendPlainText)
        self._task.progressChanged.connect(lambda percent: self._bar.setValue(int(percent)))
        self._task.ended.connect(self._ended)
        QgsApplication.taskManager().addTask(self._task)
        self.refresh()

    def stop(self) -> None:
        """Stop the installation; what was there stays."""
        if self._task is not None:
            self._task.cancel()

    def remove_packages(self) -> None:
        """Remove what was installed."""
        gone = remove(self._profile)
        self._sentence.setText(
            tr("Removed.") if gone else tr("Removed: the files that are in use go when QGIS starts again.")
        )
        self.refresh()

    def _ended(self, worked: bool, sentence: str) -> None:
        self._task = None
        if worked:
            activate(self._profile)
            self._bar.setValue(100)
        self._sentence.setText(sentence)
        self._install.setText(tr("Install") if worked else tr("Try again"))
        QgsApplication.messageLog().logMessage(
            f"{self._log.toPlainText()}\n{sentence}",
            "Landloom",
            Qgis.MessageLevel.Info if worked else Qgis.MessageLevel.Warning,
        )
        self.refresh()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """Closing the dialog stops nothing: the task goes on in QGIS's task bar."""
        event.accept()

    def wait(self) -> None:
        """Let the task end; for tests and scripts."""
        while self._task is not None:
            QCoreApplication.processEvents()
