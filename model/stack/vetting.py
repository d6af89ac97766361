"""Which products can be used: whole files, one version and one processor of each date, the same bands.

Every function returns what is kept and, for the report, what is left out and why: one bad product never stops the rest.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ..base.errors import LandloomError, NoAnswerError
from ..base.language import tr
from ..base.progress import Progress
from ..base.words import counted
from .bandnames import tidy_band
from .build import RasterInfos
from .join import ordered_bands
from .products import FORMS, Product
from .sensors import OPTICAL, STATIC
from .stac.links import with_good_links

Skipped = list[tuple[Product, str]]

MAX_NAMES = 5


def whole_files(products: Sequence[Product], infos: RasterInfos, progress: Progress) -> tuple[list[Product], Skipped]:
    """Open every file now, so that nothing is found damaged hours later; a product with a bad one is left out."""
    kept: list[Product] = []
    skipped: Skipped = []
    for index, found in enumerate(products):
        progress.check()
        product = found
        try:
            product = _opened(product, infos, progress)
        except NoAnswerError:
            raise
        except LandloomError as error:
            skipped.append((product, _clause(error)))
        else:
            kept.append(product)
        progress.percent(100 * (index + 1) / len(products))
    return kept, skipped


def _opened(product: Product, infos: RasterInfos, progress: Progress) -> Product:
    """The product once all its files are open, with new links if the old ones have expired."""
    try:
        _open_files(product, infos)
        return product
    except NoAnswerError:
        raise
    except LandloomError:
        (again,) = with_good_links([product], progress)
        if again is product:
            raise
    _open_files(again, infos)
    return again


def _open_files(product: Product, infos: RasterInfos) -> None:
    for path, number in product.bands.values():
        if number > len(infos[path].dtypes):
            raise LandloomError(
                tr("The raster {path} has no band {number}; get it again.").format(path=path, number=number)
            )
    for mask in product.masks:
        if mask.band > len(infos[mask.path].dtypes):
            raise LandloomError(
                tr("The mask {path} has no band {band}; get it again.").format(path=mask.path, band=mask.band)
            )


def newest(products: Sequence[Product]) -> tuple[list[Product], Skipped]:
    """One version of each product: the most complete, then the newest; copies are named.

    Folders that hold one product in pieces (its bands at 10 m here, those at 20 m there) are put together.
    """
    best: dict[tuple[str, str, str], Product] = {}
    skipped: Skipped = []
    for product in sorted(products, key=lambda one: (one.rank, one.name), reverse=True):
        key = (_processor(product), product.sensor, product.same or product.name)
        there = best.get(key)
        if there is None:
            best[key] = product
        elif there.name != product.name:
            skipped.append((product, tr("{there} is used instead, the newer or fuller").format(there=there.name)))
        elif _adds(there, product):
            best[key] = _together(there, product)
        else:
            skipped.append((product, tr("a copy of it was already found")))
    return sorted(best.values(), key=lambda one: (one.sensor, one.date, one.name)), skipped


def _adds(product: Product, piece: Product) -> bool:
    """Whether a piece of the same product holds bands that the first lacks, or masks where it has none."""
    if (product.scale, product.offset, product.unit) != (piece.scale, piece.offset, piece.unit):
        return False
    return bool(set(piece.bands) - set(product.bands)) or bool(piece.masks and not product.masks)


def _together(product: Product, piece: Product) -> Product:
    """One product of two pieces; of what both hold the first is taken."""
    names = {os.path.basename(mask.path) for mask in product.masks}
    return replace(
        product,
        bands={**piece.bands, **product.bands},
        masks=(*product.masks, *(mask for mask in piece.masks if os.path.basename(mask.path) not in names)),
        infos={**piece.infos, **product.infos},
        links={**piece.links, **product.links},
        offsets={**piece.offsets, **product.offsets},
    )


def one_processor(products: Sequence[Product]) -> tuple[list[Product], Skipped]:
    """Take each date of an optical sensor from one processor: the one with most bands, then with most dates."""
    kept: list[Product] = []
    skipped: Skipped = []
    order = [form.name for form in FORMS]
    count = Counter((one.sensor, _processor(one)) for one in products)
    by_date: dict[tuple[str, str], list[Product]] = {}
    for product in products:
        by_date.setdefault((product.sensor, product.date), []).append(product)
    for (sensor, _), group in by_date.items():

        def merit(product: Product, sensor: str = sensor) -> tuple[int, int, int]:
            return len(product.bands), count[sensor, _processor(product)], -order.index(product.form)

        chosen = _processor(max(group, key=merit))
        for product in group:
            if product.kind != OPTICAL or _processor(product) == chosen:
                kept.append(product)
            else:
                skipped.append(
                    (
                        product,
                        tr("the date is taken from {chosen}, and one processor makes a date").format(chosen=chosen),
                    )
                )
    return kept, skipped


def chosen_bands(products: Sequence[Product], names: Sequence[str]) -> tuple[list[Product], Skipped]:
    """The optical products with the bands of a list only; those of other kinds as they are.

    Raises:
        LandloomError: if no optical product has a band of that name.
    """
    if not names:
        return list(products), []
    wanted = [tidy_band(name, "S2", OPTICAL).upper() for name in names]
    there = {band for product in products if product.kind == OPTICAL for band in product.bands}
    missing = [name for name, band in zip(names, wanted, strict=True) if band not in there]
    if missing:
        have = ", ".join(ordered_bands(sorted(there))) or "none"
        raise LandloomError(
            tr("BANDS lists {missing}, which no optical product has; their bands are: {have}.").format(
                missing=", ".join(missing), have=have
            )
        )
    kept: list[Product] = []
    skipped: Skipped = []
    for product in products:
        bands = {band: place for band, place in product.bands.items() if band in wanted}
        if product.kind != OPTICAL:
            kept.append(product)
        elif bands:
            kept.append(replace(product, bands=bands))
        else:
            skipped.append((product, tr("it has none of BANDS ({wanted})").format(wanted=", ".join(wanted))))
    return kept, skipped


def same_bands(products: Sequence[Product], chosen: bool = False) -> tuple[list[Product], Skipped, list[str]]:
    """The bands of each sensor with which most values are kept; products without all of them are left out.

    A series has one set of bands, and a pixel one mask for all of them. Where many products lack a band the band goes,
    and they are used for what they hold. Where one of many does, it goes: at its date its area is masked, or shown by
    the other products of that date.

    Args:
        products: of all sensors.
        chosen: whether the user chose the bands, so that absent ones need no warning.

    Returns:
        products with these bands only, the ones left out, and warnings.
    """
    kept: list[Product] = []
    skipped: Skipped = []
    warnings = []
    for sensor in sorted({product.sensor for product in products}):
        own = [product for product in products if product.sensor == sensor]
        if own[0].kind == STATIC:  # every layer is a band of its own
            kept += own
            continue
        together = ordered_bands([band for product in own for band in product.bands])
        bands = _best_bands([frozenset(product.bands) for product in own])
        used: list[Product] = []
        partial: list[Product] = []
        for product in own:
            missing = [band for band in together if band in bands and band not in product.bands]
            if missing:
                skipped.append(
                    (
                        product,
                        tr("it has no band {missing}, which other products have").format(missing=", ".join(missing)),
                    )
                )
                partial.append(product)
            else:
                used.append(replace(product, bands={band: product.bands[band] for band in together if band in bands}))
        kept += used
        warnings += _partial_warning(sensor, own, used, partial)
        warnings += _warnings(sensor, own, used, together, [band for band in together if band in bands], chosen)
    return kept, skipped, warnings


def _partial_warning(
    sensor: str, own: Sequence[Product], used: Sequence[Product], partial: Sequence[Product]
) -> list[str]:
    """What products that lack a band cost, and what to do."""
    if not partial:
        return []
    lost = sorted({one.date for one in partial} - {one.date for one in used})
    dates = (
        tr("; {dates} without another product: {some}").format(dates=counted(lost, "date"), some=_some(lost))
        if lost
        else ""
    )
    way = tr("get them again") + (tr(", or choose by BANDS what all have") if own[0].kind == OPTICAL else "")
    return [
        tr(
            "{sensor}: {n_partial} of {products} lack a band that the others have and are left out{dates}. "
            "See the list of what was skipped; {way}."
        ).format(sensor=sensor, n_partial=len(partial), products=counted(own, "product"), dates=dates, way=way)
    ]


def _warnings(
    sensor: str,
    own: Sequence[Product],
    used: Sequence[Product],
    together: Sequence[str],
    bands: Sequence[str],
    chosen: bool,
) -> list[str]:
    warnings = []
    dropped = [band for band in together if band not in bands]
    if dropped:
        partial = [product.name for product in own if not set(dropped) <= set(product.bands)]
        warnings.append(
            tr(
                "{sensor}: {n_partial} of {products} have no {dropped} ({some}); they are used for what "
                "they hold, and the stack holds {bands}."
            ).format(
                sensor=sensor,
                n_partial=len(partial),
                products=counted(own, "product"),
                dropped=", ".join(dropped),
                some=_some(partial),
                bands=", ".join(bands),
            )
        )
    wholes = {band for form in FORMS for product in own if form.name == product.form for band in form.bands}
    absent = [band for band in ordered_bands(sorted(wholes)) if band not in together]
    if absent and not (chosen and own[0].kind == OPTICAL):
        warnings.append(
            tr("{sensor}: no product has {absent}; the stack goes without and holds {bands}.").format(
                sensor=sensor, absent=", ".join(absent), bands=", ".join(bands)
            )
        )
    unmasked = [product.name for product in used if not product.masks]
    if unmasked and own[0].kind == OPTICAL:
        count = counted(unmasked, "product")
        verbs = tr("has no mask and is") if len(unmasked) == 1 else tr("have no mask and are")
        warnings.append(
            tr("{sensor}: {count} {verbs} used whole: {some}.").format(
                sensor=sensor, count=count, verbs=verbs, some=_some(unmasked)
            )
        )
    for remark in dict.fromkeys(product.remark for product in used if product.remark):
        names = [product.name for product in used if product.remark == remark]
        warnings.append(f"{sensor}: of {counted(names, 'product')} {remark}: {_some(names)}.")
    return warnings


def _best_bands(sets: Sequence[frozenset[str]]) -> frozenset[str]:
    """The set of bands for which bands times products that have them all is largest."""
    candidates = set(sets)
    for first in set(sets):
        common = first
        for other in sorted(set(sets), key=lambda one: (-len(first & one), sorted(one))):
            if common & other:
                common &= other
                candidates.add(common)
    return max(
        candidates, key=lambda bands: (len(bands) * sum(bands <= one for one in sets), len(bands), sorted(bands))
    )


def _processor(product: Product) -> str:
    return product.processor or product.form


def _clause(error: LandloomError) -> str:
    return str(error).rstrip(".")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (" ..." if len(names) > MAX_NAMES else "")
