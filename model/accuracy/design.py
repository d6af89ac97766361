"""How the reference was chosen: a probability sample, from which the whole map can be judged, or by purpose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..base.errors import LandloomError
from ..base.language import tr
from ..base.nomenclature import as_code, listed, source_value
from ..base.progress import Progress
from ..base.raster import quiet_gdal
from ..base.values import check_choice
from ..samples.reference import ReferenceLayer
from .mapreading import MapCounts
from .matching import folded

if TYPE_CHECKING:
    from .assessment import AssessmentSettings

AUTO, PURPOSIVE, RANDOM, STRATIFIED = "auto", "purposive", "random", "stratified"
DESIGNS = (AUTO, PURPOSIVE, RANDOM, STRATIFIED)


@dataclass(frozen=True)
class Design:
    """A probability sample, unit by unit.

    Attributes:
        kind: ``random`` (simple or systematic) or ``stratified``.
        strata: ``[F]`` index of each labelled feature's stratum.
        names: of the strata.
        sizes: ``[H]`` units in each stratum.
        beside: ``[E]`` strata of labelled features that lie beside the map.
        probabilities: ``[F + E]`` inclusion probabilities where they differ inside a stratum or are those of polygons,
            else None.
        unlabelled: features drawn, but not labelled.
        unsampled: share of the map's pixels in strata without a labelled unit.
        notes: sentences for the report.
    """

    kind: str
    strata: np.ndarray
    names: tuple[str, ...]
    sizes: np.ndarray
    beside: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    probabilities: np.ndarray | None = None
    unlabelled: int = 0
    unsampled: float = 0.0
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Unit:
    value: str | None
    stratum: str | None
    probability: float | None


def chosen_kind(design: str, stratum_field: str, probability_field: str) -> str:
    """What DESIGN means with these fields.

    Raises:
        LandloomError: if they contradict each other.
    """
    check_choice("DESIGN", design, DESIGNS)
    given = [
        name for name, value in (("STRATUM_FIELD", stratum_field), ("PROBABILITY_FIELD", probability_field)) if value
    ]
    if design == AUTO:
        return STRATIFIED if given else PURPOSIVE
    if design in (PURPOSIVE, RANDOM) and given:
        raise LandloomError(
            tr("DESIGN is {design}, which has no {given}: choose stratified, or leave the field out.").format(
                design=design, given=" and ".join(given)
            )
        )
    return design


def read_design(
    layer: ReferenceLayer,
    kind: str,
    settings: AssessmentSettings,
    left_out: Collection[str],
    trained: Collection[int],
    fids: Sequence[int],
    is_point: bool,
    map_values: np.ndarray,
    counts: MapCounts,
    names: Mapping[int, str],
    progress: Progress,
) -> Design:
    """Strata, their sizes and inclusion probabilities of the labelled features of a probability sample.

    Without PROBABILITY_FIELD strata must be the map's own classes, whose pixels are counted. With it, a stratum's size
    is the sum of 1 / probability over all that was drawn there, labelled or not; those not labelled count as
    missing at random inside their stratum (the points of ``sampledesign`` are in random order, so any beginning is).

    Args:
        layer: the reference data.
        kind: ``random`` or ``stratified``.
        settings: with the fields.
        left_out: values of the class field that count as not labelled.
        trained: features that count likewise, since they trained the model.
        fids: ``[F]`` the labelled features on the map.
        is_point: whether they are points.
        map_values: ``[F]`` the map's value at each; only for points.
        counts: of the map.
        names: of its values.
        progress: asked for cancellation.

    Raises:
        LandloomError: if a field is missing, empty or contradicts the map.
    """
    stratum_field, probability_field = settings.stratum_field, settings.probability_field
    if not is_point and not probability_field:
        raise LandloomError(
            tr(
                "DESIGN is {kind}, but the reference data are polygons, which cover areas of different size: "
                "give points, or the PROBABILITY_FIELD with which each polygon was drawn."
            ).format(kind=kind)
        )
    if probability_field:
        units = _units(layer, settings, progress)
        judged = {fid for fid, unit in units.items() if unit.value not in (None, *left_out) and fid not in trained}
        return _by_probability(units, list(fids), sorted(judged.difference(fids)), probability_field, counts, is_point)
    if stratum_field:
        _check_strata(_units(layer, settings, progress), list(fids), map_values, names, stratum_field)
    return _by_map(kind, map_values, counts, names)


def _units(layer: ReferenceLayer, settings: AssessmentSettings, progress: Progress) -> dict[int, _Unit]:
    """Every feature of the layer, on the map or not, labelled or not."""
    value = layer.field_index(settings.class_field, "CLASS_FIELD")
    stratum = layer.field_index(settings.stratum_field, "STRATUM_FIELD") if settings.stratum_field else None
    probability = None
    if settings.probability_field:
        probability = layer.field_index(settings.probability_field, "PROBABILITY_FIELD")
    units = {}
    layer.layer.ResetReading()
    with quiet_gdal():
        for number, feature in enumerate(layer.layer):
            if number % 500 == 0:
                progress.check()
            units[feature.GetFID()] = _Unit(
                source_value(feature.GetField(value)),
                None if stratum is None else source_value(feature.GetField(stratum)),
                None if probability is None else _number(feature.GetField(probability)),
            )
    return units


def _number(value: object) -> float | None:
    try:
        return float(str(value).replace(",", "."))
    except ValueError:
        return None


def _by_probability(
    units: dict[int, _Unit],
    fids: list[int],
    beside: list[int],
    probability_field: str,
    counts: MapCounts,
    is_point: bool,
) -> Design:
    fids = fids + beside
    wrong = [fid for fid, unit in units.items() if unit.probability is None or not 0 < unit.probability <= 1]
    if wrong:
        raise LandloomError(
            tr(
                "PROBABILITY_FIELD '{probability_field}' must be above 0 and at most 1, but is not in "
                "{n_wrong} of {n_units} features, such as feature {wrong}: fill it with the share of the "
                "stratum's pixels drawn."
            ).format(probability_field=probability_field, n_wrong=len(wrong), n_units=len(units), wrong=wrong[0])
        )
    strata = sorted({unit.stratum or "" for unit in units.values()}, key=_order)
    index = {name: h for h, name in enumerate(strata)}
    sizes, drawn = np.zeros(len(strata)), np.zeros(len(strata))
    least, most = np.full(len(strata), np.inf), np.zeros(len(strata))
    for unit in units.values():
        h, chance = index[unit.stratum or ""], unit.probability or 1.0  # none is 0 or missing: checked above
        sizes[h] += 1 / chance
        drawn[h] += 1
        least[h], most[h] = min(least[h], chance), max(most[h], chance)
    own = np.array([index[units[fid].stratum or ""] for fid in fids])
    labelled = np.bincount(own, minlength=len(strata))
    probabilities = None
    if not is_point or (most > least * (1 + 1e-6)).any():
        known = np.array([units[fid].probability for fid in fids], np.float64)
        probabilities = np.minimum(known * (labelled / np.maximum(drawn, 1))[own], 1.0)
    notes = []
    if is_point and abs(sizes.sum() - counts.pixels) > 0.01 * counts.pixels:
        notes.append(
            tr(
                "By PROBABILITY_FIELD the sample was drawn from {drawn:,.0f} pixels, but the map has {map:,.0f}: the "
                "figures hold for what it was drawn from."
            ).format(drawn=sizes.sum(), map=counts.pixels)
        )
    at = len(fids) - len(beside)
    return Design(
        STRATIFIED,
        own[:at],
        tuple(strata),
        sizes,
        own[at:],
        probabilities,
        len(units) - len(fids),
        float(sizes[labelled == 0].sum() / sizes.sum()),
        tuple(notes),
    )


def _order(stratum: str) -> tuple[bool, int, str]:
    """Codes by size, then names."""
    code = as_code(stratum)
    return code is None, code or 0, stratum


def _check_strata(
    units: dict[int, _Unit], fids: list[int], map_values: np.ndarray, names: Mapping[int, str], field_name: str
) -> None:
    """Without probabilities the strata must be this map's classes, since only their sizes are known."""
    differ = [
        (units[fid].stratum or "nothing", int(value))
        for fid, value in zip(fids, map_values, strict=True)
        if not _same(units[fid].stratum, int(value), names)
    ]
    if differ:
        raise LandloomError(
            tr(
                "STRATUM_FIELD '{field_name}' is not the map's class at {n_differ} of {n_fids} points (such as "
                "{differ} where the map has {differ2}), so that the sizes of the strata are unknown: give the "
                "PROBABILITY_FIELD too."
            ).format(
                field_name=field_name, n_differ=len(differ), n_fids=len(fids), differ=differ[0][0], differ2=differ[0][1]
            )
        )


def _same(stratum: str | None, value: int, names: Mapping[int, str]) -> bool:
    if stratum is None:
        return False
    return as_code(stratum) == value or folded(stratum) == folded(names.get(value, str(value)))


def _by_map(kind: str, map_values: np.ndarray, counts: MapCounts, names: Mapping[int, str]) -> Design:
    """Strata are the map's classes: drawn so, or afterwards (Olofsson et al. 2013 for simple random samples).

    A point on a pixel without data belongs to no stratum that is assessed; it gets one of its own, of which it is all.
    """
    values = list(counts.values)
    outside = ~np.isin(map_values, values)
    strata = np.where(outside, len(values), np.searchsorted(values, map_values))
    sizes = [float(one.pixels) for one in counts.values.values()]
    labels = [names.get(value) or str(value) for value in values]
    if outside.any():
        sizes.append(float(outside.sum()))
        labels.append(tr("no data"))
    drawn = np.bincount(strata, minlength=len(sizes))
    empty = [h for h in range(len(values)) if not drawn[h]]
    notes = []
    if empty:
        notes.append(
            tr("No point lies in these classes of the map, of which nothing is known: {names}.").format(
                names=listed([labels[h] for h in empty])
            )
        )
    too_many = [labels[h] for h in range(len(values)) if drawn[h] > sizes[h]]
    if too_many:
        raise LandloomError(
            tr("More points than pixels lie in {too_many}: several points lie in one pixel. Keep one of them.").format(
                too_many=listed(too_many)
            )
        )
    unsampled = sum(sizes[h] for h in empty) / counts.pixels
    return Design(kind, strata, tuple(labels), np.array(sizes), unsampled=unsampled, notes=tuple(notes))
