"""Training by eco-climatic regions: a model of all samples, and one of each region's own, in one call.

A group of samples belongs wholly to the region in which most of it lies, so that what judges a region's model has not
trained it; samples outside all regions train the model of all. A region whose samples cannot make a model (one class,
or none with two groups) takes the model of all samples, and it is said.

What a killed training has finished stays in ``<OUTPUT>.regions/``, and the same call goes on from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import LandloomError, TooFewSamplesError
from ..base.files import file_hash, make_folder, parse_json, write_json
from ..base.language import tr
from ..base.lock import Lock, lock_path, tidy
from ..base.metrics import Scores, scores
from ..base.progress import Progress
from ..base.words import counted
from ..networks.foldfile import folds_path
from ..networks.modelfile import Model
from ..networks.regionfile import KEY, regions_path, save_regions
from ..samples.regions import OUTSIDE, Regions
from .checkpoints import training_hash
from .evaluate import evaluate
from .pool import SamplePool
from .report import report_files
from .run import LOG, TrainingResult, train
from .settings import TrainingSettings

if TYPE_CHECKING:
    from ..samples.store import SampleStore

JOURNAL = "regions.json"
ALL = ""


@dataclass(frozen=True)
class RegionScore:
    """How a region is mapped, and how well.

    Attributes:
        name: of the region; empty for the samples outside all.
        samples: labelled pixels.
        groups: of samples.
        classes: that occur there.
        own: scores of its own model as its report tells them (``Evaluation.to_json``); None where it has none.
        general: the same of the model of all samples, on the samples of this region that judged it; None without any.
        why: it has no model of its own; empty if it has.
    """

    name: str
    samples: int
    groups: int
    classes: int
    own: dict[str, Any] | None
    general: dict[str, Any] | None
    why: str = ""


@dataclass(frozen=True)
class RegionsTrained:
    """What a training by regions made.

    Attributes:
        regions: by name; the last one, without a name, are samples outside all regions, if there are any.
        combined: scores of the map as regions make it: each by its own model, else by that of all samples.
        general: scores of the model of all samples.
        evaluation: ``holdout`` or ``folds``.
    """

    regions: list[RegionScore]
    combined: Scores
    general: Scores
    evaluation: str


def train_regions(
    stores: Sequence[SampleStore],
    regions: Regions,
    settings: TrainingSettings,
    output: str | os.PathLike[str],
    progress: Progress | None = None,
    reports: Path | None = None,
) -> RegionsTrained:
    """Train a model of all samples and one of each region.

    Args:
        stores: one or more sample stores.
        regions: the polygons.
        settings: of every training.
        output: the model of all samples; those of the regions come beside it (:func:`regions_path`).
        progress: told of each training.
        reports: page of the overview; each training gets one beside it, called after this one and the region.

    Raises:
        LandloomError: if no region has samples enough, or as in :func:`train`.
        Cancelled: if the user stops it; nothing is left then.
    """
    progress = progress or Progress()
    output = Path(output)
    folder = Path(f"{output}.regions")
    with Lock(lock_path(output), output) as lock:
        if not lock.again:
            tidy(output)
        work = _Work(list(stores), regions, settings, output, progress, folder, reports)
        older = {path for path in work.pages() if path.exists()}
        try:
            result = work.run()
        except BaseException:  # also when it is cancelled; a kill leaves what is finished
            shutil.rmtree(folder, ignore_errors=True)
            for path in set(work.pages()) - older:
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        shutil.rmtree(folder, ignore_errors=True)
    return result


def report_of(reports: Path, name: str) -> Path:
    """The page of one training beside the overview; ``name`` is the region, empty for all samples."""
    return reports.with_name(f"{reports.stem}_{_tidy(name) if name else 'all'}{reports.suffix}")


def _tidy(name: str) -> str:
    """A region's name as a part of a file's: letters, digits, and a hash where that lost something."""
    plain = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name)[:40]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


class _Work:
    """One training by regions."""

    def __init__(
        self,
        stores: list[SampleStore],
        regions: Regions,
        settings: TrainingSettings,
        output: Path,
        progress: Progress,
        folder: Path,
        reports: Path | None,
    ) -> None:
        self.stores, self.regions, self.settings = stores, regions, settings
        self.output, self.progress, self.folder, self.reports = output, progress, folder, reports
        self.general = folder / output.name
        progress.text(tr("Finding the regions of samples"))
        self.places = [_places(store, regions, progress) for store in stores]
        for part, own in enumerate(self.places):
            if not (own != OUTSIDE).any():
                name = stores[part].folder or "the samples"
                raise LandloomError(
                    tr("REGIONS do not meet {name}: check the CRS of both, or leave REGIONS empty.").format(name=name)
                )
        self.key = training_hash(stores, settings) + regions.identity
        self.done = self._read()

    def pages(self) -> list[Path]:
        """Every file of the reports of single trainings."""
        if self.reports is None:
            return []
        return [file for name in (ALL, *self.regions.names) for file in report_files(report_of(self.reports, name))]

    def run(self) -> RegionsTrained:
        share = 50.0 if len(self.regions.names) > 1 else 60.0
        how = self._general(self.progress.part(0, share))
        settings = replace(self.settings, evaluation=how)
        step = (100 - share) / len(self.regions.names)
        for number, name in enumerate(self.regions.names):
            first = share + number * step
            self._region(name, number, settings, self.progress.part(first, first + step))
        rows = [self._row(number, name) for number, name in enumerate(self.regions.names)]
        if any((own == OUTSIDE).any() for own in self.places):
            rows.append(self._row(OUTSIDE, ""))
        models = {row.name: Model.load(self._file(row.name)) for row in rows if row.name and row.own is not None}
        if not models:
            raise LandloomError(
                tr(
                    "No region has samples enough for a model of its own: add reference polygons, or leave "
                    "REGIONS empty. "
                )
                + " ".join(sorted({row.why for row in rows if row.why}))
            )
        general = Model.load(self.general)
        for made, final in (
            (folds_path(self.general), folds_path(self.output)),
            (Path(f"{self.general}{LOG}"), Path(f"{self.output}{LOG}")),
        ):
            if made.exists():
                os.replace(made, final)
            else:
                final.unlink(missing_ok=True)  # of an older model
        kept = save_regions(regions_path(self.output), models)
        kept |= {"field": self.regions.field, "source": Path(self.regions.source.split("|")[0]).name}
        header = general.header
        general.header = replace(header, provenance={**header.provenance, KEY: kept})
        general.save(self.output)
        matrices = [(row.own or row.general or {}).get("pixel_matrix") for row in rows]
        combined = scores(np.sum([np.asarray(matrix) for matrix in matrices if matrix is not None], axis=0))
        whole = scores(np.asarray(header.scores["pixel_matrix"]))
        return RegionsTrained(rows, combined, whole, how)

    def _general(self, progress: Progress) -> str:
        """Train the model of all samples, unless an interrupted call has; gives the way of evaluation."""
        done = self.done.get("general")
        if done is not None and self.general.is_file() and file_hash(self.general) == done["sha256"]:
            progress.info(tr("The model of all samples is there already."))
            return str(done["evaluation"])
        progress.info(
            tr("Training the model of all samples, then one of each of {n_names} regions.").format(
                n_names=len(self.regions.names)
            )
        )
        result = train(self.stores, self.settings, self.general, self._report(ALL), progress)
        by_region = self._general_by_region(result)
        self.done = {
            "general": {"sha256": file_hash(self.general), "evaluation": result.how, "by_region": by_region},
            "regions": {},
        }
        self._write()
        return result.how

    def _general_by_region(self, result: TrainingResult) -> dict[str, Any]:
        """Scores of the model of all samples by number of the region."""
        if result.judged is None:
            return {}
        pool = SamplePool(self.stores, self.settings.sensors)
        place = np.concatenate(self.places)[result.judged]
        found = {}
        for number in np.unique(place):
            own = place == number
            found[str(number)] = evaluate(pool, result.judged[own], result.calibrated.after[own]).to_json()
        return found

    def _region(self, name: str, number: int, settings: TrainingSettings, progress: Progress) -> None:
        """Train the model of a region, unless an interrupted call has."""
        done = self.done["regions"].get(name)
        path = self._file(name)
        if done is not None and (done["why"] or (path.is_file() and file_hash(path) == done["sha256"])):
            return
        stores = []
        for store, places in zip(self.stores, self.places, strict=True):
            own = np.flatnonzero(places == number)
            if len(own):
                stores.append(subset(store, own))
        entry: dict[str, Any] = {"why": "", "sha256": ""}
        count = sum(len(store) for store in stores)
        classes = len({int(store.nomenclature.codes[k]) for store in stores for k in np.unique(store.labels)})
        if classes < 2:
            entry["why"] = tr("It has samples of {classs}.").format(classs=counted(classes, "class", "classes"))
        else:
            progress.info(
                tr("Region {name}: {count:,} samples of {classs}.").format(
                    name=name, count=count, classs=counted(classes, "class", "classes")
                )
            )
            try:
                train(stores, settings, path, self._report(name), progress)
                entry["sha256"] = file_hash(path)
            except TooFewSamplesError as error:
                entry["why"] = str(error)
        if entry["why"]:
            progress.warning(
                tr("Region {name} has no model of its own, that of all samples maps it: {entry}").format(
                    name=name, entry=entry["why"]
                )
            )
        self.done["regions"][name] = entry
        self._write()

    def _row(self, number: int, name: str) -> RegionScore:
        samples = groups = 0
        classes: set[int] = set()
        for store, places in zip(self.stores, self.places, strict=True):
            own = places == number
            samples += int(own.sum())
            groups += len(np.unique(store.groups[own]))
            classes |= {int(store.nomenclature.codes[k]) for k in np.unique(store.labels[own])}
        entry = self.done["regions"].get(name, {"why": tr("It is no region.")})
        own_scores = None if entry["why"] else dict(Model.load_header(self._file(name)).scores)
        general = self.done["general"]["by_region"].get(str(number))
        return RegionScore(name, samples, groups, len(classes), own_scores, general, entry["why"])

    def _report(self, name: str) -> Path | None:
        return None if self.reports is None else report_of(self.reports, name)

    def _file(self, name: str) -> Path:
        return self.folder / f"{_tidy(name)}.safetensors"

    def _read(self) -> dict[str, Any]:
        try:
            content = parse_json((self.folder / JOURNAL).read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict) or content.get("key") != self.key or "general" not in content:
            return {}
        self.progress.info(tr("Going on from the interrupted training in {folder}.").format(folder=self.folder))
        return content

    def _write(self) -> None:
        make_folder(self.folder)
        write_json(self.folder / JOURNAL, {**self.done, "key": self.key})


def _places(store: SampleStore, regions: Regions, progress: Progress) -> np.ndarray:
    """``[N]`` the region of each sample: that in which most of the samples of its group lie."""
    if not store.crs_wkt:
        raise LandloomError(
            tr("The samples have no places, so that REGIONS cannot be told: extract them with this version.")
        )
    progress.check()
    _, first = np.unique(store.polygons, return_inverse=True)
    count = np.bincount(first)
    x = np.bincount(first, store.x) / count
    y = np.bincount(first, store.y) / count
    of_feature = regions.locate(x, y, store.crs_wkt)
    progress.check()
    place = of_feature[first]
    groups, own = np.unique(store.groups, return_inverse=True)
    votes = np.zeros((len(groups), len(regions.names) + 1), np.int64)
    np.add.at(votes, (own, place + 1), 1)
    return (votes.argmax(axis=1) - 1)[own]


def subset(store: SampleStore, indices: np.ndarray) -> SampleStore:
    """A store of some of the samples; values stay where they are."""
    arrays = ("labels", "groups", "polygons", "split", "fold", "suspect", "x", "y", "_centres", "_widths")
    return replace(store, **{name: getattr(store, name)[indices] for name in arrays})


def to_json(trained: RegionsTrained) -> dict[str, Any]:
    """What a report's JSON tells of it."""
    return {
        "evaluation": trained.evaluation,
        "regions": [asdict(row) for row in trained.regions],
        "combined": trained.combined.to_json(),
        "general": trained.general.to_json(),
    }
