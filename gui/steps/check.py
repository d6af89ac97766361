"""Step 4: every problem at once, and what the next steps take."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QTreeWidget, QTreeWidgetItem

from ...model.base.language import tr
from .. import plan
from .base import Step


class CheckStep(Step):
    """Shows the list of ``check``."""

    NAME = "check"

    @staticmethod
    def title() -> str:
        return tr("Check")

    @staticmethod
    def explanation() -> str:
        return tr("Lists every problem of images and reference data at once, before hours of work.")

    def build(self) -> None:
        self.page = self.report_button(tr("Open the report"), "check_report")
        self.row(self.button(tr("Check"), plan.check), self.page)
        self.summary = self.sentence()
        self.list = _tree([tr("About"), tr("Problem and what to do")])
        self.list.setWordWrap(True)
        self.steps = _tree([tr("Step"), tr("Minutes"), tr("Disk (MB)")])
        self.steps.setMaximumHeight(170)
        self.whole.addWidget(self.list)
        self.whole.addWidget(self.steps)

    def refresh(self) -> None:
        self.enable(self.page)
        found = self.project.report("check_report")
        problems, steps = found.get("problems", []), found.get("steps", [])
        self.list.clear()
        self.steps.clear()
        for one in problems:
            item = QTreeWidgetItem([tr(one["about"]), one["problem"]])
            item.setTextAlignment(0, Qt.AlignmentFlag.AlignTop)
            item.setToolTip(1, one["problem"])
            self.list.addTopLevelItem(item)
        for one in steps:
            self.steps.addTopLevelItem(
                QTreeWidgetItem([tr(one["step"]), f"{one['minutes']:.1f}", f"{one['disk_mb']:.0f}"])
            )
        for tree in (self.list, self.steps):
            tree.resizeColumnToContents(0)
        self.list.setVisible(bool(problems))
        self.steps.setVisible(bool(steps))
        if not found:
            self.summary.setText(tr("Not checked yet."))
        elif problems:
            self.summary.setText(
                tr("1 problem" if len(problems) == 1 else "{count} problems").format(count=len(problems))
            )
        else:
            self.summary.setText(tr("No problem was found."))


def _tree(headings: list[str]) -> QTreeWidget:
    made = QTreeWidget()
    made.setRootIsDecorated(False)
    made.setHeaderLabels(headings)
    return made
