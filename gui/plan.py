"""What each step of the panel runs: algorithms and their parameters, from the choices of a project; without Qt."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..model.base.errors import LandloomError
from ..model.base.language import tr
from .project import Project

if TYPE_CHECKING:
    from ..model.stack.grid import Grid

PROVIDER = "landloom"
PREVIEW_SIDE = 5000.0
"""Metres: the side of the preview."""

WAITING, RUNNING, DONE, FAILED, CANCELLED, HELD = "waiting", "running", "done", "failed", "cancelled", "held"
STATES = (WAITING, RUNNING, DONE, FAILED, CANCELLED, HELD)


@dataclass
class Job:
    """One algorithm to run.

    Attributes:
        algorithm: id without the provider.
        parameters: as JSON holds them.
        title: for people.
        layers: output -> name of the layer that is loaded, the topmost first; only that one is shown.
        batch: what belongs together: when one fails, those behind it are held.
        state: one of :data:`STATES`.
        message: what came of it, one sentence.
        seconds: how long it ran.
    """

    algorithm: str
    parameters: dict[str, Any]
    title: str
    layers: dict[str, str] = field(default_factory=dict)
    batch: str = ""
    state: str = WAITING
    message: str = ""
    seconds: float = 0.0

    @property
    def open(self) -> bool:
        """Whether it is still to be run."""
        return self.state in (WAITING, RUNNING, HELD)


def jobs_to_text(jobs: list[Job]) -> str:
    """Jobs as JSON, for the QGIS project."""
    return json.dumps([asdict(job) for job in jobs], ensure_ascii=False)


def jobs_from_text(text: str) -> list[Job]:
    """The inverse, for content that may come from anyone: what is no job is left out.

    Only algorithms of Landloom are taken, and nothing runs by itself: what was open is held.
    """
    try:
        content = json.loads(text) if text else []
    except (ValueError, RecursionError):
        return []
    jobs = []
    for one in content if isinstance(content, list) else []:
        job = _job_from(one) if isinstance(one, dict) else None
        if job is not None:
            jobs.append(job)
    return jobs


def _job_from(entry: dict[str, Any]) -> Job | None:
    given = {one.name: entry[one.name] for one in fields(Job) if one.name in entry}
    texts = all(isinstance(given.get(name, ""), str) for name in ("algorithm", "title", "batch", "state", "message"))
    layers = given.get("layers", {})
    named = isinstance(layers, dict) and all(isinstance(name, str) for name in layers.values())
    seconds = given.get("seconds", 0.0)
    numeric = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not texts or not named or not numeric or not isinstance(given.get("parameters"), dict):
        return None
    if not given.get("algorithm", "").isalnum() or not given.get("title") or given.get("state") not in STATES:
        return None
    job = Job(**given)
    if job.open:
        job.state = HELD
    return job


# ---------------------------------------------------------------------- the steps


def search(project: Project) -> list[Job]:
    """Look for images in a catalogue."""
    settings = project.settings
    _need(settings.area, tr("Give the area in step 1."))
    _need(settings.start and settings.end, tr("Give the first and the last date in step 1."))
    parameters = {
        "EXTENT": settings.area,
        "START": settings.start,
        "END": settings.end,
        "SENSORS": settings.sensors or "S2",
        "MAX_CLOUD": settings.max_cloud,
        "ENDPOINT": settings.catalogue,
        "OUTPUT": str(project.path("found")),
        "FOOTPRINTS": str(project.path("footprints")),
    }
    return [Job("searchproducts", parameters, tr("Search images"), {"FOOTPRINTS": tr("Footprints")})]


def prepare(project: Project) -> list[Job]:
    """Make the stack."""
    settings = project.settings
    source = project.path("found" if settings.source == "search" else "products")
    if not source.exists():
        missing = tr("Search images first.") if settings.source == "search" else tr("The folder {path} does not exist.")
        raise LandloomError(missing.format(path=source))
    return _prepared(project)


def _prepared(project: Project) -> list[Job]:
    settings = project.settings
    if settings.source == "stack":
        raise LandloomError(tr("The stack exists: nothing is to be prepared."))
    source = project.path("found" if settings.source == "search" else "products")
    parameters = {
        "INPUT": str(source),
        "SENSORS": settings.sensors,
        "START": settings.start,
        "END": settings.end,
        "EXTENT": settings.area,
        "MAX_CLOUD": settings.max_cloud if settings.max_cloud < 100 else None,
        "SEASON_START": settings.season_start if settings.season_start != "01-01" else "",
        "SKIP_DATES": settings.skip_dates,
        "OUTPUT": str(project.path("stack")),
        "REPORT": str(project.path("stack_report")),
    }
    return [Job("preparestack", _given(parameters), tr("Prepare the stack"))]


def open_images(project: Project) -> list[Job]:
    """Show all dates, for the temporal controller."""
    _need(project.has("stack"), tr("Prepare the images in step 2 first."))
    return [Job("openstack", {"STACK": str(project.path("stack"))}, tr("Open all dates"))]


def images(project: Project) -> list[Job]:
    """What makes the stack from the chosen source."""
    source = project.settings.source
    return [*(search(project) if source == "search" else []), *_prepared(project)]


def nomenclature(project: Project) -> list[Job]:
    """List the classes of the reference data; an earlier table is brought up to date."""
    parameters = {
        **_reference(project),
        "TABLE": str(project.path("nomenclature")) if project.has("nomenclature") else "",
        "OUTPUT": str(project.path("nomenclature")),
    }
    return [Job("nomenclature", _given(parameters), tr("List the classes"))]


def samples(project: Project) -> list[Job]:
    """Samples with their curves and suspects."""
    _need(project.has("stack"), tr("Prepare the images in step 2 first."))
    parameters = {
        "STACK": str(project.path("stack")),
        **_reference(project),
        **_table(project),
        "LEVEL": project.settings.level or None,
        "OUTPUT": str(project.path("samples")),
        "POINTS": str(project.path("points")),
        "REPORT": str(project.path("samples_report")),
    }
    return [Job("extractsamples", _given(parameters), tr("Extract samples"), {"POINTS": tr("Samples")})]


def check(project: Project) -> list[Job]:
    """Every problem at once."""
    _need(project.has("stack"), tr("Prepare the images in step 2 first."))
    parameters = {
        "STACK": str(project.path("stack")),
        **_reference(project),
        **_table(project),
        "REPORT": str(project.path("check_report")),
    }
    return [Job("check", _given(parameters), tr("Check before the work"))]


def preview(project: Project) -> list[Job]:
    """A forest, and its map of 5 x 5 km."""
    train = {
        "SAMPLES": [_samples_of(project)],
        "NETWORK": "randomforest",
        # Quicker than folds, and it leaves polygons that the forest has not learnt from, to be judged in step 7.
        "EVALUATION": "holdout",
        "OUTPUT": str(project.path("forest")),
        "REPORT": str(project.path("forest_report")),
    }
    needed = _samples_needed(project)
    classify = {
        "STACK": str(project.path("stack")),
        "MODEL": str(project.path("forest")),
        "EXTENT": preview_extent(project),
        "OUTPUT": str(project.path("preview")),
        "CONFIDENCE": str(project.path("preview_confidence")),
    }
    layers = {"OUTPUT": tr("Preview: random forest")}
    return [
        *needed,
        Job("train", train, tr("Train the forest")),
        Job("classify", classify, tr("Map the preview"), layers),
    ]


def network(project: Project) -> list[Job]:
    """The network of the final map."""
    parameters = {
        "SAMPLES": [_samples_of(project)],
        "NETWORK": project.settings.network,
        "OUTPUT": str(project.path("model")),
        "REPORT": str(project.path("model_report")),
    }
    return [*_samples_needed(project), Job("train", parameters, tr("Train {name}").format(name=parameters["NETWORK"]))]


def assess(project: Project) -> list[Job]:
    """Where the map and the reference data disagree."""
    whole = project.settings.judged == "map"
    made = project.path("map" if whole else "preview")
    missing = tr("Make the map in step 8 first.") if whole else tr("Make the preview in step 5 first.")
    _need(made.exists(), missing)
    confidence = project.path("confidence" if whole else "preview_confidence")
    parameters = {
        "MAP": str(made),
        **_reference(project),
        **_table(project),
        "LEVEL": project.settings.level or None,
        "MODEL": str(project.path("model" if whole else "forest")) if project.settings.unlearnt else "",
        "CONFIDENCE": str(confidence) if confidence.exists() else "",
        "REPORT": str(project.path("accuracy_report" if whole else "preview_accuracy")),
        "TABLE": str(project.path("assessment" if whole else "preview_assessment")),
        "OBJECTS": str(project.path("objects" if whole else "preview_objects")),
    }
    return [Job("assess", _given(parameters), tr("Look for confusions"), {"OBJECTS": tr("Reference objects")})]


def full_map(project: Project) -> list[Job]:
    """The map, its accuracy and its areas."""
    _need(project.has("stack"), tr("Prepare the images in step 2 first."))
    _need(project.has("model"), tr("Train the network in step 6 first."))
    unsure = project.settings.unsure
    classify = {
        "STACK": str(project.path("stack")),
        "MODEL": str(project.path("model")),
        "UNSURE_ERROR": unsure / 100 if unsure else None,
        "OUTPUT": str(project.path("map")),
        "CONFIDENCE": str(project.path("confidence")),
    }
    layers = {"OUTPUT": tr("Land-cover map"), "CONFIDENCE": tr("Confidence")}
    areas = {
        "MAP": str(project.path("map")),
        "OUTPUT": str(project.path("areas")),
        "REPORT": str(project.path("areas_report")),
    }
    return [
        Job("classify", _given(classify), tr("Make the map"), layers),
        Job("areas", areas, tr("Measure the areas")),
    ]


def share(project: Project) -> list[Job]:
    """The page and the package."""
    _need(project.has("map"), tr("Make the map in step 8 first."))
    settings = project.settings
    reports = [project.path(one) for one in ("model_report", "accuracy_report", "areas_report", "areas")]
    parameters = {
        "MAP": str(project.path("map")),
        "TITLE": settings.title,
        "STACK": str(project.path("stack")) if project.has("stack") else "",
        "MODEL": str(project.path("model")) if project.has("model") else "",
        "ASSESSMENT": str(project.path("assessment")) if project.has("assessment") else "",
        "LANGUAGE": settings.language,
        "ORGANISATION": settings.organisation,
        "LICENCE": settings.licence,
        "REPORTS": [str(path) for path in reports if path.exists()],
        "OUTPUT": str(project.path("page")),
        "PACKAGE": str(project.path("package")),
    }
    return [Job("layout", _given(parameters), tr("Make the page and the package"))]


STEPS: dict[str, tuple[Callable[[Project], list[Job]], ...]] = {
    "images": (images,),
    "reference": (nomenclature, samples),
    "check": (check,),
    "preview": (preview,),
    "network": (network,),
    "confusions": (assess,),
    "map": (full_map,),
    "share": (share,),
}


def is_done(project: Project, step: str) -> bool:
    """Whether a step of the panel has its result."""
    if step == "project":
        return (project.folder / "landloom.json").exists()
    if step == "confusions":
        return project.has("preview_assessment") or project.has("assessment")
    result = {
        "images": "stack",
        "reference": "nomenclature",
        "check": "check_report",
        "preview": "preview",
        "network": "model",
        "map": "map",
        "share": "page",
    }
    return project.has(result[step])


def preview_extent(project: Project) -> str:
    """The square of the preview as EXTENT, cut to the stack.

    Raises:
        LandloomError: if its middle lies outside of the stack.
    """
    from ..model.base.raster import spatial_reference

    _need(project.has("stack"), tr("Prepare the images in step 2 first."))
    path = project.path("stack")
    grid = _grid(str(path), path.stat().st_mtime_ns)
    west, south, east, north = grid.bounds
    x, y = (west + east) / 2, (south + north) / 2
    if project.settings.preview_centre:
        try:
            x, y = (float(one) for one in project.settings.preview_centre.split(","))
        except ValueError as error:
            wrong = tr("The middle of the preview is '{preview_centre}': choose it again.").format(
                preview_centre=project.settings.preview_centre
            )
            raise LandloomError(wrong) from error
    half = PREVIEW_SIDE / 2 / grid.metres_per_unit
    box = (max(west, x - half), min(east, x + half), max(south, y - half), min(north, y + half))
    if box[0] >= box[1] or box[2] >= box[3]:
        raise LandloomError(tr("The middle of the preview lies outside of the images: choose it again."))
    text = ",".join(f"{one:.9g}" if abs(one) < 1000 else f"{one:.3f}" for one in box)
    code = spatial_reference(grid.crs_wkt).GetAuthorityCode(None)
    return f"{text} [EPSG:{code}]" if code else text


@functools.lru_cache(maxsize=4)
def _grid(path: str, _changed: int) -> Grid:
    """The grid of a stack; large stacks take a while to read, and the panel asks often."""
    from ..model.stack.manifest import Stack

    return Stack.read(path).grid


def _samples_of(project: Project) -> str:
    # Not the folder: QGIS would try to open it as a layer, with every driver that it has.
    return str(project.path("samples") / "samples.json")


def _samples_needed(project: Project) -> list[Job]:
    """The job that extracts samples, where there are none, or what they were made of has changed."""
    wanted = samples(project)
    made = project.path("samples") / "samples.json"
    if not made.exists():
        return wanted
    provenance = project.report("samples_report").get("provenance")
    known = provenance.get("parameters") if isinstance(provenance, dict) else None
    inputs = known.get("inputs") if isinstance(known, dict) else None
    if not isinstance(inputs, dict):
        return wanted
    names = ("STACK", "REFERENCE", "CLASS_FIELD", "NOMENCLATURE", "LEVEL")
    job = wanted[0]
    if any(str(job.parameters.get(name) or 0) != str(inputs.get(name) or 0) for name in names):
        return wanted
    time = made.stat().st_mtime
    sources = (str(job.parameters.get(name, "")).partition("|")[0] for name in ("STACK", "REFERENCE", "NOMENCLATURE"))
    return wanted if any(os.path.isfile(one) and os.stat(one).st_mtime > time for one in sources) else []


def _reference(project: Project) -> dict[str, str]:
    settings = project.settings
    _need(settings.reference, tr("Choose the layer of reference data in step 3."))
    _need(settings.class_field, tr("Choose the class field in step 3."))
    return {"REFERENCE": settings.reference, "CLASS_FIELD": settings.class_field}


def _table(project: Project) -> dict[str, str]:
    return {"NOMENCLATURE": str(project.path("nomenclature"))} if project.has("nomenclature") else {}


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value not in (None, "", [])}


def _need(thing: object, sentence: str) -> None:
    if not thing:
        raise LandloomError(sentence)
