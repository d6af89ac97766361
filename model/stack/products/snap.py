"""Sentinel-1 as SNAP writes it: GeoTIFF or ``.data`` folders with ``Gamma0_VV`` and the like as band or file names.

``S1A_IW_GRDH_1SDV_20191215T004339_20191215T004404_030352_0378DC_F0A1_Orb_Cal_Spk_TF_TC.tif`` with band descriptions
``Gamma0_VH``, ``Gamma0_VV`` (a coregistered stack has a date in each: ``Sigma0_VV_slv1_04Jan2021``), one file a
polarisation (``Sigma0_VV_20191215.tif``), or ``<scene>_Orb_Cal_TC.data/Sigma0_VV.img``. 0 = no data unless declared.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from pathlib import PurePath

from ...base.errors import LandloomError
from ...base.language import tr
from ...base.raster import open_raster
from ..calendar import find_date
from .base import Choice, Folder, Found, Product, ProductForm
from .sentinel1 import SCENE, direction_in, is_radar_name, pass_of, radar_product, unit_of

_BAND = re.compile(
    r"(?<![A-Za-z0-9])(?P<calibration>Sigma0|Gamma0|Beta0)_(?:IW_)?(?P<band>VV|VH|HH|HV)(?![A-Za-z0-9])"
    r"(?P<rest>.*)"
)
_RAW = re.compile(r"(Intensity|Amplitude|[iq])_(IW\d?_)?(VV|VH|HH|HV)", re.IGNORECASE)
NOT_CALIBRATED = "it is not calibrated; run SNAP's Calibration and Terrain Correction first"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = re.compile(r"(?<!\d)(\d{2})([A-Z][a-z]{2})(\d{4})(?!\d)")
_SCENE_STEPS = re.compile(SCENE.pattern + r"(?P<steps>(?:_[A-Za-z][A-Za-z0-9-]*)+)\.tiff?", re.IGNORECASE)


def find(folders: Sequence[Folder], choice: Choice) -> Found:
    """Products by their scene or date; single polarisations of one scene, or of one date in one folder, are joined."""
    groups: dict[tuple[str, str, str, str], dict[str, tuple[str, int]]] = {}
    left_out = []
    for folder in folders:
        for name in folder.files:
            whole = f"{folder.path.name}/{name}" if folder.path.suffix == ".data" else name
            if not name.lower().endswith((".tif", ".tiff", ".img")):
                continue
            if folder.path.suffix == ".data" and _RAW.fullmatch(PurePath(name).stem):
                left_out.append((f"{folder.path.stem} {PurePath(name).stem}", NOT_CALIBRATED))
                continue
            if not (_BAND.search(PurePath(name).stem) or is_radar_name(name)):
                continue
            found, why = _bands(folder.at(name), name)
            if not found and why:
                left_out.append((name, why))
            for number, match in found.items():
                scene = SCENE.search(whole)
                date = _date(match["rest"]) or (scene["start"][:8] if scene else _date(PurePath(whole).stem))
                if not date:
                    left_out.append(
                        (
                            name,
                            tr("no date is found in its name nor in that of its band {match}").format(match=match[0]),
                        )
                    )
                    continue
                title = scene[0] if scene else f"{_tidy(PurePath(name).stem)}_{date}"
                base = folder.path.parent if folder.path.suffix == ".data" else folder.path
                key = (str(base), title, date, _calibration(match["calibration"], whole))
                groups.setdefault(key, {})[match["band"].upper()] = (folder.at(name), number)
    products = [_product(key, bands, choice) for key, bands in sorted(groups.items())]
    return Found(tuple(products), tuple(left_out))


def _bands(path: str, name: str) -> tuple[dict[int, re.Match[str]], str]:
    """Band number -> what its description, or the file's name, says; and why there is none."""
    try:
        dataset = open_raster(path)
    except LandloomError as error:
        return {}, str(error) if _BAND.search(name) else ""  # others name it
    described = [dataset.GetRasterBand(number).GetDescription() or "" for number in range(1, dataset.RasterCount + 1)]
    found = {number: match for number, text in enumerate(described, start=1) if (match := _BAND.search(text))}
    named = _BAND.search(PurePath(name).stem)
    if not found and named and dataset.RasterCount == 1:
        found[1] = named
    raw = [text for text in described if _RAW.match(text)]
    if raw and not found:
        return {}, tr("{not_calibrated}; its bands are {raw}").format(not_calibrated=NOT_CALIBRATED, raw=", ".join(raw))
    if found or any(described) or not _SCENE_STEPS.fullmatch(name):
        return found, ""
    return {}, tr(
        "its bands have no names such as Gamma0_VV, so their polarisation is not known; add it with addrasters"
    )


def _product(key: tuple[str, str, str, str], bands: dict[str, tuple[str, int]], choice: Choice) -> Product:
    _, title, date, calibration = key
    scene = SCENE.search(title)
    paths = " ".join(path for path, _ in bands.values())
    if scene:
        direction, orbit = pass_of(scene["satellite"], scene["start"], scene["absolute"])
    else:
        direction, orbit = direction_in(title), ""
    unit, nodata = unit_of(bands, 0.0)
    return radar_product(
        FORM.name,
        title,
        date,
        bands,
        choice,
        unit=unit,
        nodata=nodata,
        direction=direction,
        orbit=orbit,
        calibration=calibration,
        filtered=bool(re.search(r"_(Spk|SpkFilt|Speckle)(?![A-Za-z])", paths, re.IGNORECASE)),
    )


def _calibration(name: str, file: str) -> str:
    flattened = re.search(r"_(TF|TerrainFlattening|Terrain-Flattening|RTC)(?![A-Za-z])", file, re.IGNORECASE)
    return name.lower() + ("_rtc" if flattened and name.lower() == "gamma0" else "")


def _date(text: str) -> str:
    """Eight digits from ``04Jan2021`` or an ordinary date, empty if there is none."""
    for day, month, year in _DAY.findall(text):
        if month.lower() in _MONTHS:
            try:
                return datetime.date(int(year), _MONTHS.index(month.lower()) + 1, int(day)).strftime("%Y%m%d")
            except ValueError:
                continue
    found = find_date(text)
    return found[0].replace("-", "") if found else ""


def _tidy(stem: str) -> str:
    """A file name without its polarisation and date, so that VV and VH of one date are one product."""
    found = find_date(stem)
    rest = re.sub(r"(?<![A-Za-z0-9])(VV|VH|HH|HV)(?![A-Za-z0-9])", "", found[1] if found else stem)
    return re.sub(r"_+", "_", rest).strip("_-. ")


FORM = ProductForm(
    "SNAP GeoTIFF", "S1A_IW_GRDH_1SDV_20191215T004339_20191215T004404_030352_0378DC_F0A1_Orb_Cal_TF_TC.tif", find
)
