"""Protects what lets one code run on Qt 5 (QGIS 3.34 to 3.44) and Qt 6 (QGIS 4), as the repository's checker asks.

Every name from ``qgis`` in the code is looked up in the QGIS here, without running the code. Qt 6 knows enumerations in
full only (``Qt.AlignmentFlag.AlignCenter``), Qt 5 both, so that a short one is found by what it is, whatever its class.
`make qt6` checks the same code against the type hints of PyQt6.
"""

from __future__ import annotations

import ast
import enum
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [
    *(
        path
        for folder in ("algorithms", "gui", "install", "model")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "qgis" in path.read_text(encoding="utf-8")
    ),
    ROOT / "plugin.py",
    ROOT / "__init__.py",
]

# What Qt 6 or PyQt6 no longer has: name -> what does on both.
GONE_CLASSES = {
    "QRegExp": "QRegularExpression",
    "QDesktopWidget": "QGuiApplication.primaryScreen()",
    "qApp": "QApplication.instance()",
    "QStringRef": "str",
    "QTextCodec": "bytes.decode",
    "QMatrix": "QTransform",
}
GONE_METHODS = {
    "exec_": "exec",
    "print_": "print",
    "desktop": "QGuiApplication.primaryScreen()",
    "setTabStopWidth": "setTabStopDistance",
    "setResizeMode": "setSectionResizeMode",
}
GONE_MEMBERS = {
    ("QVariant", "Type"): "QMetaType.Type",
    ("Qt", "MidButton"): "Qt.MouseButton.MiddleButton",
    ("Qt", "BackgroundColorRole"): "Qt.ItemDataRole.BackgroundRole",
    ("Qt", "TextColorRole"): "Qt.ItemDataRole.ForegroundRole",
    ("QPainter", "HighQualityAntialiasing"): "QPainter.RenderHint.Antialiasing",
}
# Classes that moved between modules; both homes must have them, or the import fails on one of the two.
HOMES = {"QAction": "QtWidgets", "QActionGroup": "QtWidgets", "QShortcut": "QtWidgets", "QUndoStack": "QtWidgets"}


def is_value(found: object) -> bool:
    """Whether something is a value of an enumeration, of Python, Qt 5 or QGIS."""
    return isinstance(found, enum.Enum) or type(type(found)).__name__ == "enumtype"


def chain(node: ast.Attribute) -> list[str]:
    """``["Qt", "AlignmentFlag", "AlignLeft"]`` of an expression, empty where it does not begin with a name."""
    names: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        names.insert(0, inner.attr)
        inner = inner.value
    return [inner.id, *names] if isinstance(inner, ast.Name) else []


def findings(tree: ast.Module) -> Iterator[str]:
    """What Qt 6, or Qt 5, would refuse in a file."""
    known: dict[str, object] = {}
    for node in ast.walk(tree):
        modules = []
        if isinstance(node, ast.Import):
            modules = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        for module in modules:
            if module.split(".")[0] in ("PyQt5", "PyQt6", "PySide2", "PySide6", "sip"):
                yield f"{node.lineno}: import from qgis.PyQt, not {module}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qgis.") and not node.level:
            module = importlib.import_module(node.module)
            for one in node.names:
                if one.name in GONE_CLASSES:
                    yield f"{node.lineno}: {one.name} is gone, use {GONE_CLASSES[one.name]}"
                elif one.name in HOMES and not node.module.endswith(HOMES[one.name]):
                    yield f"{node.lineno}: import {one.name} from qgis.PyQt.{HOMES[one.name]}"
                elif not hasattr(module, one.name):
                    yield f"{node.lineno}: {node.module} has no {one.name}"
                else:
                    known[one.asname or one.name] = getattr(module, one.name)
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        if isinstance(node.ctx, ast.Load) and node.attr in GONE_METHODS:
            yield f"{node.lineno}: {node.attr} is gone, use {GONE_METHODS[node.attr]}"
        names = chain(node)
        if id(node) in inner or not names or names[0] not in known:
            continue
        place: object = known[names[0]]
        for depth, name in enumerate(names[1:]):
            gone = GONE_MEMBERS.get((names[depth], name))
            if gone:
                yield f"{node.lineno}: {names[depth]}.{name} is gone, use {gone}"
                break
            above, place = place, getattr(place, name, None)
            if place is None:
                if isinstance(above, type):  # an instance may have more than its class
                    yield f"{node.lineno}: there is no {'.'.join(names[: depth + 2])}"
                break
            if is_value(place):
                if type(place) is not above and not (isinstance(above, type) and isinstance(place, above)):
                    yield f"{node.lineno}: write {'.'.join(names[: depth + 2])} with the name of its enumeration"
                break


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_qt5_and_qt6_both_take_the_code(qgis_app, path):
    assert list(findings(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        ("from qgis.PyQt.QtCore import Qt\nx = Qt.AlignLeft", "2: write Qt.AlignLeft"),
        ("from qgis.PyQt.QtWidgets import QFrame\nx = QFrame.NoFrame | QFrame.Raised", "2: write QFrame.NoFrame"),
        ("from qgis.core import QgsProcessing\nx = QgsProcessing.TypeRaster", "2: write QgsProcessing.TypeRaster"),
        ("from qgis.core import Qgis\nx = Qgis.Warning", "2: write Qgis.Warning"),
        ("from qgis.core import QgsMapLayer\nx = QgsMapLayer.VectorLayer", "2: write QgsMapLayer.VectorLayer"),
        ("from qgis.PyQt import QtCore\nx = QtCore.Qt.Key_Up", "2: write QtCore.Qt.Key_Up"),
        ("from qgis.PyQt.QtCore import Qt as Q\nx = Q.AlignmentFlag.AlignNowhere", "there is no Q.AlignmentFlag.Align"),
        ("from PyQt5.QtCore import Qt", "1: import from qgis.PyQt"),
        ("import PyQt5", "1: import from qgis.PyQt"),
        ("from qgis.PyQt.QtCore import QRegExp", "1: QRegExp is gone"),
        ("from qgis.PyQt.QtGui import QAction", "1: import QAction from qgis.PyQt.QtWidgets"),
        ("from qgis.PyQt.QtCore import QVariant\nx = QVariant.Type.Int", "2: QVariant.Type is gone"),
        ("dialog.exec_()", "1: exec_ is gone"),
    ],
)
def test_what_one_of_them_refuses_is_found(qgis_app, code, finding):
    assert any(finding in one for one in findings(ast.parse(code)))


def test_what_both_take_is_let_through(qgis_app):
    code = (
        "from qgis.core import Qgis, QgsMapLayer, QgsProcessing, QgsProject\n"
        "from qgis.PyQt.QtCore import Qt\n"
        "a = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop\n"
        "b = QgsProcessing.SourceType.TypeRaster, Qgis.MessageLevel.Warning, QgsMapLayer.StyleCategory.Fields\n"
        "c = QgsProject.instance().layerTreeRoot().children, Qt.AlignmentFlag.AlignLeft.value\n"
        "dialog.exec()\n"
    )
    assert list(findings(ast.parse(code))) == []
