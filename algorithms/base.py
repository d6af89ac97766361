"""What every Landloom algorithm shares: names, help, progress and error sentences."""

from __future__ import annotations

import html
import os
import shlex
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingUtils,
)
from qgis.PyQt.QtCore import QVariant
from qgis.PyQt.QtGui import QIcon

from ..install import how_to_get
from ..install.language import translate_with
from ..model.base.device import device_failure
from ..model.base.errors import LandloomError, MissingPackageError, lacks_memory
from ..model.base.language import language, tr, use_language
from ..model.base.progress import Progress
from ..model.base.provenance import Command, running
from ..model.base.raster import open_raster
from ..model.base.values import check_choice
from .declare import Declaring, entries_of
from .outputlocks import locked_outputs, refuse_inputs

LAYERS = ("source", "vector", "raster", "layer")  # types of parameters

translate_with(tr)  # install/ imports nothing of ours


class FeedbackProgress(Progress):
    """The engine's progress, shown by Processing."""

    def __init__(self, feedback: QgsProcessingFeedback) -> None:
        self._feedback = feedback

    def percent(self, value: float) -> None:
        self._feedback.setProgress(value)

    def info(self, message: str) -> None:
        self._feedback.pushInfo(message)

    def warning(self, message: str) -> None:
        self._feedback.pushWarning(message)

    def text(self, message: str) -> None:
        self._feedback.setProgressText(message)

    def is_cancelled(self) -> bool:
        return self._feedback.isCanceled()


class LandloomAlgorithm(Declaring):
    """Base of all algorithms.

    A subclass sets the class attributes, declares its parameters in ``initAlgorithm`` (``declare.py``) and does its
    work in :meth:`work`, which may raise :class:`LandloomError`: the user sees its one sentence, exit code 1.
    """

    ID = ""
    NAME = ""
    GROUP = ""  # such as "3 Models"
    SUMMARY = ""  # what it does, one or two sentences of plain text
    EXAMPLE = ""  # a qgis_process command line
    TAGS: tuple[str, ...] = ()

    def tr(self, text: str) -> str:
        """The text in QGIS's language; reports use the same catalogue (``scripts/translations.py``)."""
        return tr(text)

    def name(self) -> str:
        return self.ID

    def displayName(self) -> str:  # noqa: N802
        return self.tr(self.NAME)

    def group(self) -> str:
        return self.tr(self.GROUP)

    def groupId(self) -> str:  # noqa: N802
        return "".join(c for c in self.GROUP.lower() if c.isalpha())

    def icon(self) -> QIcon:
        icons = Path(__file__).parents[1] / "resources" / "icons"
        own = icons / f"{self.ID}.svg"
        return QIcon(str(own if own.exists() else icons / "landloom.svg"))

    def tags(self) -> list[str]:
        return list(self.TAGS)

    def helpUrl(self) -> str:  # noqa: N802
        """The page that the Help button opens, in QGIS's language; it lies in the plugin and needs no network."""
        folder = Path(__file__).resolve().parents[1] / "resources" / "help"
        own = folder / language() / f"{self.ID}.html"
        return (own if own.exists() else folder / "en" / f"{self.ID}.html").as_uri()

    def createInstance(self) -> LandloomAlgorithm:  # noqa: N802
        return type(self)()

    def shortDescription(self) -> str:  # noqa: N802
        return self.tr(self.SUMMARY)

    def shortHelpString(self) -> str:  # noqa: N802
        parts = [f"<p>{html.escape(self.tr(self.SUMMARY))}</p>"]
        for parameter in self.parameterDefinitions():
            if parameter.help():
                parts.append(f"<p><b>{html.escape(parameter.description())}</b>: {html.escape(parameter.help())}</p>")
        if self.EXAMPLE:
            # Not <pre>, which would not be wrapped in the narrow pane of the dialog.
            parts.append(
                f"<p><b>{html.escape(self.tr('Example'))}</b></p><p><code>{html.escape(self.EXAMPLE)}</code></p>"
            )
        return "\n".join(parts)

    def checkParameterValues(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Say what is wrong with a value and what would be right, where QGIS only says that it is wrong."""
        try:
            self.check_enums(parameters)
            self.check_rasters(parameters, context)
        except LandloomError as error:
            return False, str(error)
        # On a command line --NETWORKS= says none, as an empty list does elsewhere; Processing knows the list only.
        none: dict[str, Any] = {one.name(): [] for one in self.parameterDefinitions() if _may_be_none(one, parameters)}
        good, message = super().checkParameterValues({**parameters, **none}, context)
        if good:
            return good, message
        for definition in self.parameterDefinitions():
            value = parameters.get(definition.name())
            if definition.type() in LAYERS:
                continue  # of these QGIS says which file is not found
            if value not in (None, "") and not definition.checkValueIsAcceptable(value, context):
                shown = value if isinstance(value, str | int | float) else tr("of a wrong kind")
                return False, tr("{name} is {shown}, which cannot be used. {help}").format(
                    name=definition.name(), shown=shown, help=definition.help()
                )
        return good, message

    def work(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Do the work and return the outputs; to be overridden (``run`` is a method of QGIS's own)."""
        raise NotImplementedError

    def processAlgorithm(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        def checked_work() -> dict[str, Any]:
            use_language(QgsApplication.locale())
            self.check_enums(parameters)
            refuse_inputs(self.parameterDefinitions(), parameters, context)
            locks = locked_outputs(self.parameterDefinitions(), parameters)
            with running(lambda: self.command(parameters, context)), locks:
                return self.work(parameters, context, feedback)

        return in_one_sentence(checked_work)

    def command(self, parameters: dict[str, Any], context: QgsProcessingContext) -> Command:
        """How to call the algorithm again with these parameters, for the reports."""
        given = {name: value for name, value in parameters.items() if is_given(value)}
        line, _ = self.asQgisProcessCommand(given, context)
        return Command(self.id(), line, self.asMap(given, context), {"QGIS": Qgis.version()})

    def asQgisProcessCommand(  # noqa: N802
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[str, bool]:
        """The line that 'copy as qgis_process command' gives."""
        rest, listed = self._without_files(parameters, context)
        line, good = super().asQgisProcessCommand(rest, context)
        flags = [shlex.quote(f"--{name}={path}") for name, paths in listed.items() for path in paths]
        return " ".join([line, *flags]), good

    def asPythonCommand(self, parameters: dict[str, Any], context: QgsProcessingContext) -> str:  # noqa: N802
        """The call that 'copy as Python command' gives."""
        rest, listed = self._without_files(parameters, context)
        text = super().asPythonCommand(rest, context)
        added = ",".join(f"{name!r}:{paths!r}" for name, paths in listed.items())
        return text if not added else text.removesuffix("})") + ("," if rest else "") + added + "})"

    def asMap(self, parameters: dict[str, Any], context: QgsProcessingContext) -> dict[str, Any]:  # noqa: N802
        """What 'copy as JSON' and the history hold."""
        rest, listed = self._without_files(parameters, context)
        content = super().asMap(rest, context)
        content.setdefault("inputs", {}).update(listed)
        return content

    def _without_files(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[dict[str, Any], dict[str, list[str]]]:
        """The parameters without lists of files and folders, and these: QGIS would try to open each of them as a layer
        with every driver that it has, which takes time and fills the log with errors.
        """
        rest, listed = dict(parameters), {}
        for one in self.parameterDefinitions():
            if not isinstance(one, QgsProcessingParameterMultipleLayers) or not is_given(rest.get(one.name())):
                continue
            entries = entries_of(rest[one.name()])
            if one.layerType() == QgsProcessing.SourceType.TypeFile:
                paths = self.parameterAsFileList(parameters, one.name(), context)
                listed[one.name()] = [str(path) for path in paths if path]
            elif all(isinstance(entry, str) and os.path.exists(entry) for entry in entries):
                listed[one.name()] = entries
            else:
                continue
            del rest[one.name()]
        return rest, {name: paths for name, paths in listed.items() if paths}

    def check_enums(self, parameters: dict[str, Any]) -> None:
        """Models and ``alg.run()`` skip ``checkParameterValues``: refuse a wrong enum value here too."""
        for definition in self.parameterDefinitions():
            if not isinstance(definition, QgsProcessingParameterEnum) or not definition.usesStaticStrings():
                continue
            value = parameters.get(definition.name())
            if isinstance(value, str):
                values = value.split(",") if definition.allowMultiple() else [value]
            elif isinstance(value, list):
                values = value
            else:
                continue
            for one in values:
                if isinstance(one, str) and one:
                    check_choice(definition.name(), one, definition.options())

    def check_rasters(self, parameters: dict[str, Any], context: QgsProcessingContext) -> None:
        """Name the raster of a list that is missing or damaged; QGIS names the parameter only."""
        for definition in self.parameterDefinitions():
            if not isinstance(definition, QgsProcessingParameterMultipleLayers):
                continue
            if definition.layerType() != QgsProcessing.SourceType.TypeRaster:
                continue
            for one in entries_of(parameters.get(definition.name())):
                if not isinstance(one, str) or not one:
                    continue
                if QgsProcessingUtils.mapLayerFromString(one, context, False) is None:
                    open_raster(one)


def _may_be_none(definition: QgsProcessingParameterDefinition, parameters: dict[str, Any]) -> bool:
    """Whether an empty text is given for a choice of any number of words."""
    optional = bool(definition.flags() & QgsProcessingParameterDefinition.Flag.FlagOptional)
    several = isinstance(definition, QgsProcessingParameterEnum) and definition.allowMultiple()
    return optional and several and is_none(parameters.get(definition.name()))


def is_none(value: Any) -> bool:
    """Whether a user says that none of several words is meant: ``--NETWORKS=`` comes as Qt's null, lists are empty.

    None itself is what was not given at all, for which the default stands.
    """
    return value in ("", [], [""]) or (value is not None and not is_given(value))


def is_given(value: Any) -> bool:
    """Whether a parameter has a value: dialogs give Qt's null for what was left empty, scripts None."""
    return value is not None and not (isinstance(value, QVariant) and value.isNull())


def in_one_sentence(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run the work; an error of the engine becomes the exception by which Processing shows one sentence."""
    try:
        return work()
    except (LandloomError, OSError, MemoryError) as error:
        # The exception lives as long as somebody keeps it, and with it the layers and open files of the frames it
        # came through: let go of them, so that files can be deleted (Windows) and no layer outlives QGIS.
        traceback.clear_frames(error.__traceback__)
        raise QgsProcessingException(_sentence(error)) from error
    except RuntimeError as error:
        failed = MemoryError() if lacks_memory(error) else device_failure(error)
        if failed is None:
            raise
        traceback.clear_frames(error.__traceback__)
        raise QgsProcessingException(_sentence(failed)) from error


def _sentence(error: Exception) -> str:
    if isinstance(error, MissingPackageError):
        return f"{error} {how_to_get(error.package)}"
    if isinstance(error, MemoryError):
        return tr("Not enough memory: lower MEMORY_MB or close other programs.")
    if isinstance(error, OSError):
        name = error.filename or "a file"
        return tr("Cannot use {name}: {reason}. Check the disk space, the path and its permissions.").format(
            name=name, reason=error.strerror or error
        )
    return str(error)
