"""What would go wrong later: every problem of a stack and of reference data at once, before hours of work."""

from __future__ import annotations

import datetime
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..base.errors import Cancelled, LandloomError
from ..base.html import Report
from ..base.language import mark, tr
from ..base.progress import Progress
from ..base.provenance import Provenance
from ..base.raster import spatial_reference
from ..base.reportfiles import write_facts
from ..stack.estimates import Estimate, estimates, reading_speed, size_text
from ..stack.grid import Window, reproject_bounds
from ..stack.manifest import Sensor, Stack
from ..stack.rasterinfo import size_and_time
from ..stack.reader import StackReader
from ..stack.report import LONG_GAP, USABLE
from ..stack.sensors import OPTICAL, STATIC
from .labelling import label_pixels
from .reference import Reference, ReferenceLayer
from .table import NomenclatureTable, table_of
from .tablefiles import read_table

TINY_CLASS = 30
_NAMED = 10
# What problems and facts are about; the report translates them.
_STACK, _FILES, _IMAGES, _DISK = mark("Stack"), mark("Files"), mark("Images"), mark("Disk")
_REFERENCE, _NOMENCLATURE, _CLASSES = mark("Reference"), mark("Nomenclature"), mark("Classes")
_PLACES, _SIDE = 9, 32  # windows where the valid share of dates is measured
_MOST_LABELLED = 50_000


@dataclass
class Preflight:
    """What was found.

    Attributes:
        problems: (what it is about, one sentence with what to do).
        facts: (what, value) for the report.
        steps: what the next steps take.
    """

    problems: list[tuple[str, str]] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    steps: list[Estimate] = field(default_factory=list)

    def attempt(self, about: str, work: Callable[[], object]) -> bool:
        """Do something; its error becomes a problem. Whether it went well."""
        try:
            work()
        except Cancelled:
            raise
        except LandloomError as error:
            self.problems.append((about, str(error)))
            return False
        return True


def preflight(
    stack_path: str | os.PathLike[str],
    reference_path: str | os.PathLike[str],
    class_field: str,
    nomenclature: str = "",
    reference_crs: str = "",
    progress: Progress | None = None,
) -> Preflight:
    """Check a stack and reference data; problems are gathered, not raised."""
    progress = progress or Progress()
    result = Preflight()
    stacks: list[Stack] = []
    layers: list[ReferenceLayer] = []
    tables: list[NomenclatureTable] = []
    result.attempt(_STACK, lambda: stacks.append(Stack.read(stack_path)))
    result.attempt(_REFERENCE, lambda: layers.append(ReferenceLayer(reference_path, reference_crs)))
    if nomenclature:
        result.attempt(_NOMENCLATURE, lambda: tables.append(read_table(nomenclature)))
    stack = stacks[0] if stacks else None
    table = tables[0] if tables else None
    progress.percent(5)
    readable = stack is not None and _check_files(stack, result, progress.part(5, 20))
    reference = None
    if layers:
        reference = _check_reference(layers[0], stack, class_field, result, progress)
    progress.percent(30)
    samples = 0
    if reference is not None and stack is not None and not (nomenclature and table is None):
        samples = _check_classes(reference, stack, class_field, table, result, progress.part(30, 60))
    if stack is not None:
        _check_dates(stack, result)
    if stack is not None and readable:
        places = _places(stack, reference)
        result.attempt(_IMAGES, lambda: _check_gaps(stack, places, result, progress.part(60, 90)))
        result.attempt(_IMAGES, lambda: _estimate(stack, samples, result, progress))
    progress.percent(100)
    return result


def write_report(
    found: Preflight, path: str | os.PathLike[str], subtitle: str = "", made: Provenance | None = None
) -> None:
    """Write the page, and the same as JSON beside it; ``made`` says how it came about."""
    report = Report(tr("Check before the work"), subtitle)
    count = len(found.problems)
    report.heading(
        tr("No problem was found")
        if not count
        else tr("1 problem" if count == 1 else "{count} problems").format(count=count)
    )
    if found.problems:
        report.table([tr("About"), tr("Problem and what to do")], [[tr(about), text] for about, text in found.problems])
    report.heading(tr("What was looked at"))
    report.table(["", ""], [[tr(about), text] for about, text in found.facts])
    if found.steps:
        report.heading(tr("What the next steps take"))
        report.table([tr("Step"), tr("Time"), tr("Disk")], [one.texts() for one in found.steps])
        report.paragraph(tr("From reading a window of this stack on this machine; half or double is possible."))
    if made is not None:
        report.provenance(made)
    content = {
        "problems": [{"about": about, "problem": text} for about, text in found.problems],
        "facts": [{"about": about, "fact": text} for about, text in found.facts],
        "steps": [{"step": one.step, "minutes": one.minutes, "disk_mb": one.disk_mb} for one in found.steps],
    }
    write_facts(path, "check", content, made)
    report.write(path)


# ---------------------------------------------------------------------- the stack


def _check_files(stack: Stack, result: Preflight, progress: Progress) -> bool:
    """Whether every file is there and as it was."""
    lines: list[str] = []
    seen: set[str] = set()
    for sensor in stack.sensors.values():
        for source in sensor.sources():
            if source.path in seen:
                continue
            progress.check()
            seen.add(source.path)
            try:
                size, time = size_and_time(source.path)
            except LandloomError:
                gone = tr("The file {path} is gone; put it back or make the stack again.")
                lines.append(gone.format(path=source.path))
                continue
            if size != source.size or abs(time - source.time) > 2:
                changed = tr("The file {path} has changed since the stack was made; make the stack again.")
                lines.append(changed.format(path=source.path))
        for acquisition in sensor.acquisitions:
            for part in acquisition.parts:
                for path in (part.data, *(mask.raster for mask in part.masks)):
                    if path.endswith(".vrt") and not os.path.exists(path):
                        lost = tr("The virtual raster {path} is gone; make the stack again.")
                        lines.append(lost.format(path=path))
    result.problems += [(_FILES, line) for line in lines[:_NAMED]]
    if len(lines) > _NAMED:
        result.problems.append(
            (
                _FILES,
                tr("{count} more files are gone or changed; make the stack again.").format(count=len(lines) - _NAMED),
            )
        )
    result.facts += [(_STACK, str(stack.path)), (_FILES, str(len(seen)))]
    return not lines


def _check_dates(stack: Stack, result: Preflight) -> None:
    for name, sensor in stack.sensors.items():
        count = len(sensor.complete)
        result.facts.append(
            (name, tr("{count} dates, bands {bands}").format(count=count, bands=", ".join(sensor.bands)))
        )
        if not count:
            result.problems.append((name, tr("No date has all bands; add the missing products with preparestack.")))
        elif count < len(sensor.acquisitions):
            lacking = [one.date for one in sensor.acquisitions if one not in sensor.complete]
            result.problems.append(
                (
                    name,
                    tr("Not read, since a band is missing: {dates}; get these products again.").format(
                        dates=_some(lacking)
                    ),
                )
            )
        if sensor.kind == OPTICAL and 0 < count < 3:
            result.problems.append(
                (name, tr("Dates in all: {count}; a season needs many more: add products.").format(count=count))
            )


def _places(stack: Stack, reference: Reference | None) -> list[Window]:
    """Small windows at some of the reference features, else over the grid."""
    grid = stack.grid
    if reference is not None and reference.features:
        step = max(1, len(reference.features) // _PLACES)
        boxes = [one.envelope for one in reference.features[::step][:_PLACES]]
        centres = [((west + east) / 2, (south + north) / 2) for west, east, south, north in boxes]
    else:
        west, south, east, north = grid.bounds
        shares = (1 / 6, 1 / 2, 5 / 6)
        centres = [(west + (east - west) * x, south + (north - south) * y) for x in shares for y in shares]
    windows = []
    for x, y in centres:
        column = int((x - grid.transform[0]) / grid.transform[1]) - _SIDE // 2
        row = int((y - grid.transform[3]) / grid.transform[5]) - _SIDE // 2
        window = Window(column, row, _SIDE, _SIDE).intersection(grid.whole)
        if window.width and window.height:
            windows.append(window)
    return windows


def _check_gaps(stack: Stack, places: list[Window], result: Preflight, progress: Progress) -> None:
    """Long times without a usable date where the reference data lie."""
    dated = {name: sensor for name, sensor in stack.sensors.items() if sensor.kind != STATIC and sensor.complete}
    bands = {name: sensor.bands[:1] for name, sensor in dated.items()}
    pixels = sum(window.width * window.height for window in places) or 1
    with StackReader(stack, list(dated), bands, as_stored=True) as reader:
        for name, sensor in dated.items():
            dates = reader.specs[name].dates
            usable = []
            for index, date in enumerate(dates):
                progress.check()
                progress.percent(100 * index / len(dates))
                valid = sum(int(reader.read_dates(name, window, [index]).mask.sum()) for window in places)
                if valid / pixels >= USABLE:
                    usable.append(date)
            reader.let_go()
            result.problems += [(name, line) for line in _gap_lines(usable, sensor)]


def _gap_lines(usable: list[str], sensor: Sensor) -> Iterator[str]:
    if not usable:
        yield tr("No date is usable where the reference data lie; check EXTENT, masks and CLOUD_RULE of preparestack.")
    for first, last in itertools.pairwise(usable):
        days = (datetime.date.fromisoformat(last) - datetime.date.fromisoformat(first)).days
        if days > LONG_GAP:
            gap = tr("{days} days lie without a usable date between {first} and {last}; add dates there.")
            optical = tr(
                "{days} days lie without a usable date between {first} and {last}; add dates there, raise MAX_CLOUD or "
                "use a CLOUD_RULE that is less strict."
            )
            yield (optical if sensor.kind == OPTICAL else gap).format(days=days, first=first, last=last)


def _estimate(stack: Stack, samples: int, result: Preflight, progress: Progress) -> None:
    result.steps = estimates(stack, reading_speed(stack, progress), samples or 10_000)
    needed = result.steps[0].disk_mb + result.steps[-1].disk_mb
    folder = next(one for one in Path(stack.path).parents if one.is_dir())
    free = shutil.disk_usage(folder).free / 2**20
    result.facts.append((mark("Free disk space"), tr("{size} in {folder}").format(size=size_text(free), folder=folder)))
    if needed > free:
        result.problems.append(
            (
                _DISK,
                tr("Samples and map need about {needed}, but {folder} has {free} free; make room.").format(
                    needed=size_text(needed), folder=folder, free=size_text(free)
                ),
            )
        )


# ---------------------------------------------------------------------- the reference data


def _check_reference(
    layer: ReferenceLayer, stack: Stack | None, class_field: str, result: Preflight, progress: Progress
) -> Reference | None:
    """CRS, field, overlap, empty values and geometries; the features where they can be read."""
    about = _REFERENCE
    count = layer.layer.GetFeatureCount()
    result.facts.append((about, tr("{layer}, {count} features").format(layer=layer.name, count=count)))
    if not count:
        sentence = tr("{layer} holds no feature; give polygons or points.").format(layer=layer.name)
        result.problems.append((about, sentence))
        return None
    has_crs = result.attempt(about, layer.spatial_reference)
    has_field = result.attempt(about, lambda: layer.field_index(class_field, "CLASS_FIELD"))
    if stack is None:
        if has_field:
            result.attempt(about, lambda: layer.values(class_field, progress))
        return None
    if not has_crs:
        return None
    if not has_field:
        result.attempt(about, lambda: _check_overlap(layer, stack))
        return None
    found: list[Reference] = []
    if not result.attempt(about, lambda: found.append(layer.read(stack.grid, class_field, progress))):
        return None
    reference = found[0]
    what = tr("points") if reference.is_point else tr("polygons")
    for number, sentence in (
        (
            reference.outside,
            tr("{count} {what} lie outside the stack and are left out; widen EXTENT or leave it so."),
        ),
        (
            reference.empty,
            tr("{count} features have no value of {field} or no geometry and are left out; fill them in."),
        ),
        (
            reference.repaired,
            tr("{count} {what} have an invalid geometry, which is repaired on the fly; run 'Fix geometries'."),
        ),
    ):
        if number:
            result.problems.append((about, sentence.format(count=number, what=what, field=class_field)))
    return reference


def _check_overlap(layer: ReferenceLayer, stack: Stack) -> None:
    west, east, south, north = layer.layer.GetExtent()
    crs = layer.spatial_reference().ExportToWkt()
    own = reproject_bounds((west, south, east, north), crs, spatial_reference(stack.grid.crs_wkt).ExportToWkt())
    bounds = stack.grid.bounds
    if own[0] >= bounds[2] or own[2] <= bounds[0] or own[1] >= bounds[3] or own[3] <= bounds[1]:
        raise LandloomError(tr("{layer} does not overlap the stack; check the CRS of both.").format(layer=layer.name))


def _check_classes(
    reference: Reference,
    stack: Stack,
    class_field: str,
    table: NomenclatureTable | None,
    result: Preflight,
    progress: Progress,
) -> int:
    """Unlisted values, single classes, few groups, few pixels, overlaps; gives the samples to expect."""
    about = _CLASSES
    if table is not None:
        result.attempt(_NOMENCLATURE, lambda: table.check_listed(reference.values, class_field))
    classes = table or table_of({value: (0, None) for value in reference.values})[0]
    rows = [(one, classes.find(one.value)) for one in reference.features]
    used = [(one, row) for one, row in rows if row is not None and row.use and row.code is not None]
    features = [one for one, _ in used]
    codes = np.array([row.code for _, row in used], np.int64)
    names = {row.code: row.name or row.value for _, row in used}
    groups = Counter(codes.tolist())
    result.facts.append((about, ", ".join(f"{names[code]}: {number}" for code, number in groups.most_common(30))))
    if len(groups) < 2:
        none = tr("{field} has no class on the stack; at least two classes are needed.")
        single = tr("{field} has one class only, {name}, on the stack; at least two classes are needed.")
        name = next(iter(names.values()), "")
        result.problems.append((about, (single if groups else none).format(field=class_field, name=name)))
    for code, number in sorted(groups.items()):
        if number < 3:
            lone = tr("{name} has 1 feature, so it trains only; add features, or group it with another class.")
            few = tr(
                "{name} has 2 features, so it trains and tests, without validation; add features, or group it with "
                "another class."
            )
            result.problems.append((about, (lone if number == 1 else few).format(name=names[code])))
    if not features or len(features) > _MOST_LABELLED:
        return len(features) * 20
    labelled = label_pixels(features, codes, stack.grid, progress, max_per_feature=200)
    pixels = Counter(codes[labelled.owner].tolist())
    for code in sorted(groups):
        if groups[code] >= 3 and pixels[code] < TINY_CLASS:
            result.problems.append(
                (
                    about,
                    tr("{name} has {count} pixels, fewer than {least}; add or enlarge features.").format(
                        name=names[code], count=pixels[code], least=TINY_CLASS
                    ),
                )
            )
    if labelled.overlapping:
        result.problems.append(
            (
                about,
                tr(
                    "{count} features overlap those of another class; their {pixels} common pixels are left out: mend "
                    "the borders."
                ).format(count=labelled.overlapping, pixels=labelled.disputed),
            )
        )
    result.facts.append((mark("Pixels, at most 200 a feature"), str(len(labelled.owner))))
    return len(labelled.owner)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
