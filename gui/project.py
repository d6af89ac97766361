"""A project of the panel: one folder, where everything has its place, and the choices made so far.

The folder may be moved or given away as a whole: ``landloom.json`` keeps paths inside it relative to it.
"""

from __future__ import annotations

import csv
import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..model.base.errors import LandloomError
from ..model.base.files import make_folder, write_json
from ..model.base.language import tr

FORMAT, VERSION = "landloom-project", 1
SETTINGS_FILE = "landloom.json"

LAYOUT = {
    "products": "products",
    "found": "search/products.json",
    "footprints": "search/footprints.gpkg",
    "stack": "stack.json",
    "stack_report": "reports/stack.html",
    "nomenclature": "nomenclature.csv",
    "samples": "samples",
    "points": "samples.gpkg",
    "samples_report": "reports/samples.html",
    "check_report": "reports/check.html",
    "forest": "preview/forest.safetensors",
    "forest_report": "reports/forest.html",
    "preview": "preview/map.tif",
    "preview_confidence": "preview/confidence.tif",
    "preview_assessment": "preview/accuracy.json",
    "preview_objects": "preview/reference_objects.gpkg",
    "preview_accuracy": "reports/preview_accuracy.html",
    "model": "model.safetensors",
    "model_report": "reports/training.html",
    "map": "map.tif",
    "confidence": "confidence.tif",
    "assessment": "accuracy/accuracy.json",
    "objects": "accuracy/reference_objects.gpkg",
    "accuracy_report": "reports/accuracy.html",
    "areas": "areas.csv",
    "areas_report": "reports/areas.html",
    "page": "share/map.pdf",
    "package": "share/map.zip",
}
"""What lies where in the folder of a project; ``docs/panel.md`` lists it for users."""

SOURCES = ("folder", "search", "stack")
_PATHS = ("products", "stack", "reference")  # settings that hold a path


@dataclass
class Settings:
    """The choices of a project; empty text means: the default of the algorithm or of the layout.

    Attributes:
        area: ``xmin,xmax,ymin,ymax [EPSG:32738]``; empty for all that the images cover.
        start: first date, ISO.
        end: last date, ISO.
        season_start: month and day from which days count.
        source: where images come from: a folder, a search or a stack that exists.
        products: folder of products.
        stack: the stack that exists.
        sensors: sensors to take or to search, as text.
        max_cloud: largest cloud share, percent.
        catalogue: of the search.
        skip_dates: as SKIP_DATES of ``preparestack``.
        reference: source of the layer, or the id of a layer in memory.
        class_field: its field of the class.
        level: of the nomenclature.
        network: of the final map.
        preview_centre: ``x,y`` in the CRS of the stack; empty for its middle.
        judged: the map whose confusions are shown: ``preview`` or ``map``.
        unlearnt: whether only features that the model has not learnt from are judged.
        unsure: share of errors accepted, percent; 0 for none.
        title: of the page.
        organisation: on the page.
        licence: on the page.
        language: of the page.
    """

    area: str = ""
    start: str = ""
    end: str = ""
    season_start: str = "01-01"
    source: str = "folder"
    products: str = ""
    stack: str = ""
    sensors: str = ""
    max_cloud: float = 100.0
    catalogue: str = "planetary-computer"
    skip_dates: str = ""
    reference: str = ""
    class_field: str = ""
    level: int = 0
    network: str = "ltae"
    preview_centre: str = ""
    judged: str = "preview"
    unlearnt: bool = True
    unsure: float = 0.0
    title: str = ""
    organisation: str = ""
    licence: str = ""
    language: str = "auto"


@dataclass(frozen=True)
class DateRow:
    """A date of a sensor as the table of dates shows it.

    Attributes:
        sensor: its sensor.
        date: ISO.
        product: names of the products.
        used: whether it is in the stack.
        valid: share of valid pixels in the area, None where unknown.
        why: why it is not used, or a remark.
    """

    sensor: str
    date: str
    product: str
    used: bool
    valid: float | None = None
    why: str = ""


@dataclass
class Project:
    """A folder and the choices in it.

    Args:
        folder: need not exist yet.
        settings: the choices.
    """

    folder: Path
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Project:
        """A project by its folder; one without ``landloom.json`` begins with the defaults.

        Raises:
            LandloomError: if its ``landloom.json`` is damaged or of a newer version.
        """
        project = cls(Path(os.path.abspath(folder)))
        path = project.folder / SETTINGS_FILE
        if not path.exists():
            return project
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise LandloomError(
                tr("Cannot read {path}: {error}. Delete it to begin with the defaults.").format(path=path, error=error)
            ) from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise LandloomError(tr("{path} is no project of Landloom: choose another folder.").format(path=path))
        if content.get("version") != VERSION:
            raise LandloomError(
                tr("{path} has version {get}, this Landloom reads {version}: update Landloom.").format(
                    path=path, get=content.get("version"), version=VERSION
                )
            )
        kept = content.get("settings")
        given = kept if isinstance(kept, dict) else {}
        for one in fields(Settings):
            value = given.get(one.name)
            default = getattr(project.settings, one.name)
            if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if type(value) is type(default):
                setattr(project.settings, one.name, value)
        if project.settings.source not in SOURCES:
            project.settings.source = SOURCES[0]
        for name in _PATHS:
            setattr(project.settings, name, project._absolute(getattr(project.settings, name)))
        return project

    def save(self) -> None:
        """Write ``landloom.json``, and make the folder where there is none.

        Raises:
            LandloomError: if it cannot be written.
        """
        make_folder(self.folder)
        settings = asdict(self.settings)
        for name in _PATHS:
            settings[name] = self._relative(settings[name])
        write_json(self.folder / SETTINGS_FILE, {"format": FORMAT, "version": VERSION, "settings": settings})

    def path(self, name: str) -> Path:
        """Where a thing of :data:`LAYOUT` lies; the stack and the products may lie elsewhere."""
        if name == "stack" and self.settings.source == "stack" and self.settings.stack:
            return Path(self.settings.stack)
        if name == "products" and self.settings.products:
            return Path(self.settings.products)
        return self.folder / LAYOUT[name]

    def has(self, name: str) -> bool:
        """Whether a thing of the layout is there."""
        return self.path(name).exists()

    def beside(self, name: str, ending: str) -> Path:
        """A file that a report has beside itself: ``stack.html`` has ``stack_dates.csv``."""
        path = self.path(name)
        return path.with_name(f"{path.stem}_{ending}")

    def dates(self) -> list[DateRow]:
        """All dates, from the table beside the report of the stack, else from the stack itself."""
        table = self.beside("stack_report", "dates.csv")
        if self.settings.source != "stack" and table.exists() and self.has("stack"):
            with table.open(newline="", encoding="utf-8") as stream:
                rows = [_date_row(line) for line in csv.DictReader(stream) if line.get("date")]
            return sorted((row for row in rows if row.sensor), key=lambda row: (row.sensor, row.date, not row.used))
        if not self.has("stack"):
            return []
        from ..model.stack.manifest import Stack

        return [
            DateRow(name, one.date, ", ".join(part.product for part in one.parts), True)
            for name, sensor in Stack.read(self.path("stack")).sensors.items()
            for one in sensor.complete
            if one.date
        ]

    def report(self, name: str) -> dict[str, Any]:
        """What a report's ``_report.json`` holds; nothing where it is missing or damaged."""
        try:
            content = json.loads(self.beside(name, "report.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def _relative(self, text: str) -> str:
        path, bar, rest = text.partition("|")
        if not path or not os.path.isabs(path):
            return text
        try:
            inside = Path(path).relative_to(self.folder).as_posix()
        except ValueError:
            return text
        return f"./{inside}{bar}{rest}"

    def _absolute(self, text: str) -> str:
        return os.path.normpath(self.folder / text[2:]) if text.startswith("./") else text


def _date_row(line: dict[str, str]) -> DateRow:
    try:
        valid = float(line.get("valid_share") or "nan")
    except ValueError:
        valid = float("nan")
    return DateRow(
        line.get("sensor") or "",
        line["date"],
        line.get("product") or "",
        line.get("used") == "yes",
        None if math.isnan(valid) else valid,
        line.get("why") or "",
    )
