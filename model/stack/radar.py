"""Radar sensors: one calibration, one unit, the orbit of every product, and what is done to them at reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..base.language import tr
from ..base.words import counted
from .build import RasterInfos
from .encoding import common_dtype
from .manifest import Acquisition, Part, RadarUnit, Sensor
from .products import Product
from .products.sentinel1 import POLARISATIONS
from .sensors import RADAR

PLAIN = RadarUnit("power")


def radar_sensor(
    name: str, products: Sequence[Product], part_of: Callable[[Product], Part], infos: RasterInfos
) -> Sensor:
    """One sensor of products; where their units differ, all become linear power."""
    units = {_unit(product) for product in products}
    mixed = len(units) > 1
    by_date: dict[str, list[Part]] = {}
    for product in products:
        part = replace(
            part_of(product),
            orbit=f"{product.direction} {product.orbit}".strip(),
            calibration=product.calibration,
            unit=product.unit,
            filtered=product.filtered,
            convert=_unit(product) if mixed and _unit(product) != PLAIN else None,
        )
        by_date.setdefault(product.date, []).append(part)
    unit = PLAIN if mixed else next(iter(units))
    alike = [product for product in products if _unit(product) == unit] or list(products)
    nodata = Counter(product.nodata for product in alike).most_common(1)[0][0]
    types = [infos[path].dtypes[number - 1] for one in products for path, number in one.bands.values()]
    sensor = Sensor(
        name,
        RADAR,
        tuple(band for band in POLARISATIONS if any(band in product.bands for product in products)),
        "float32" if mixed else common_dtype(types),
        unit.scale,
        unit.offset,
        nodata if not mixed or any(_unit(product) == PLAIN for product in products) else None,
        unit.unit,
        products[0].calibration,
        acquisitions=tuple(Acquisition(date, 0, tuple(by_date[date])) for date in sorted(by_date)),
    )
    return replace(sensor, orbit=orbits_of(sensor))


def orbits_of(sensor: Sensor) -> str:
    """Direction and relative orbits of a sensor's products: ``DES 044 152``."""
    words = {word for one in sensor.acquisitions for part in one.parts for word in part.orbit.split() if word != "+"}
    return " ".join(sorted(words, key=lambda word: (word.isdigit(), word)))


def in_power(sensor: Sensor) -> Sensor:
    """The sensor with linear power in float32; files that hold something else are turned into it by their VRT."""
    if (sensor.unit, sensor.scale, sensor.offset, sensor.dtype) == ("power", 1.0, 0.0, "float32"):
        return sensor
    unit = RadarUnit(sensor.unit or "power", sensor.scale, sensor.offset)
    acquisitions = tuple(
        replace(one, parts=tuple(replace(part, convert=part.convert or unit) for part in one.parts))
        for one in sensor.acquisitions
    )
    return replace(sensor, unit="power", scale=1.0, offset=0.0, nodata=None, dtype="float32", acquisitions=acquisitions)


def treated(sensor: Sensor, centred: bool, speckle: str, warnings: list[str]) -> Sensor:
    """The sensor as levelling of orbits and the speckle filter need it; ``speckle`` is the filter's name or empty."""
    if sensor.kind != RADAR:
        return sensor
    sensor = replace(sensor, orbit=orbits_of(sensor) or sensor.orbit)
    filtered = [part.product for one in sensor.acquisitions for part in one.parts if part.filtered]
    total = sum(len(one.parts) for one in sensor.acquisitions)
    if filtered and (speckle or sensor.speckle):
        warnings.append(
            tr(
                "{sensor}: SPECKLE is left out, since {wass} filtered before ({filtered}); a second filter "
                "would only blur."
            ).format(
                sensor=sensor.name,
                wass=counted(filtered, "product was", "products were"),
                filtered=", ".join(filtered[:3]),
            )
        )
        sensor = replace(sensor, speckle="")
        speckle = ""
    elif filtered and len(filtered) < total:
        warnings.append(
            tr(
                "{sensor}: {n_filtered} of {products} are filtered for speckle and the others not "
                "({filtered}); take those of one kind only."
            ).format(
                sensor=sensor.name,
                n_filtered=len(filtered),
                products=counted(total, "product"),
                filtered=", ".join(filtered[:3]),
            )
        )
    if speckle or centred:
        sensor = in_power(sensor)
    return replace(sensor, speckle=speckle) if speckle else sensor


def one_calibration(products: Sequence[Product]) -> tuple[list[Product], list[tuple[Product, str]], list[str]]:
    """Keep in each radar sensor the calibration that most products have: they are never mixed.

    Returns:
        products kept, those left out with the reason, and warnings.
    """
    kept: list[Product] = []
    skipped: list[tuple[Product, str]] = []
    warnings = []
    for sensor in sorted({product.sensor for product in products}):
        own = [product for product in products if product.sensor == sensor]
        count = Counter(product.calibration for product in own)
        main = max(count, key=lambda name: (count[name], name))
        for product in own:
            if product.calibration == main:
                kept.append(product)
            else:
                skipped.append(
                    (
                        product,
                        tr("its calibration {calibration} is not {main} as of the others").format(
                            calibration=product.calibration, main=main
                        ),
                    )
                )
        if len(count) > 1:
            warnings.append(
                tr("{sensor}: several calibrations were found ({count}); {main} is used.").format(
                    sensor=sensor, count=", ".join(count), main=main
                )
            )
    return kept, skipped, warnings


def _unit(product: Product) -> RadarUnit:
    return RadarUnit(product.unit, product.scale, product.offset)
