"""The whole sample scene: land, weather, images, reference data, truth."""

from __future__ import annotations

import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..base.errors import LandloomError
from ..base.files import parse_json, whole_folder, write_json
from ..base.language import tr
from ..base.progress import Progress
from ..base.values import check_choice
from . import archive, clouds, optical, radar, reference
from .constants import CLIMATES, S1_DATES, S1_STEP, S2_LONG_STEPS, S2_SHORT_STEPS, Climate, fingerprint
from .landscape import Landscape, draw
from .mixing import majority_cover, mixing_matrix
from .noise import stream
from .seasons import draw_units, state, weather

MARKER = "scene.json"
FORMAT = "landloom-sample-scene"
OWN_FILES = re.compile(
    r"(S2/T\w{5}/SENTINEL2\w_[\w-]+/(MASKS/)?SENTINEL2\w_[\w-]+\.(tif|xml)|S1/\w{5}/s1\w_\w+\.tif|truth/truth\.tif"
    r"|scene\.json|README\.txt|reference\.gpkg|nomenclature\.txt|colors\.txt)(-shm|-wal|\.aux\.xml)?"
)
SMALLEST, DEFAULT, LARGEST = 60, 360, 2000

READ_ME = """\
SIMULATED sample scene of Landloom ({climate}, seed {seed}, {size} x {size} pixels of 10 m). No real image is in it.

S2/T{tile}/SENTINEL2*/
    Sentinel-2 L2A as Theia delivers it: flat reflectance (FRE) x 10000, -10000 = no data (not declared); SRE and ATB
    files are left out. MASKS: CLM (clouds and shadows), EDG (outside the swath), SAT (saturated).
S1/{tile}/s1*.tif
    Sentinel-1 as S1Tiling writes it: sigma0, linear power, 0 = no data, no speckle filter.
reference.gpkg
    Reference polygons: id, class (text), code (integer), village (which one the team started from). About 3 % of the
    labels are wrong on purpose.
nomenclature.txt, colors.txt
    name:code and code R G B, as iota2 reads them.
truth/truth.tif
    The true class of every pixel: there is such a thing only in a simulation. Never train on it.
scene.json
    How it was made, with the ids of the polygons that are labelled wrong.
"""


@dataclass(frozen=True)
class Summary:
    """What was written.

    ``s2_dates`` ISO dates; ``s1_dates`` the same by orbit such as ``DES_020``; ``clear_share`` by S2 date, share of the
    pixels that the masks call valid; ``wrong_labels`` ids of polygons with a wrong label; ``polygons`` count.
    """

    climate: str
    size: int
    seed: int
    tile: str
    season_start: str
    s2_dates: list[str]
    clear_share: list[float]
    overcast_date: str
    s1_dates: dict[str, list[str]]
    polygons: int
    wrong_labels: list[int]
    constants: str


def optical_days(climate: Climate, seed: int) -> list[int]:
    """Days of the Sentinel-2 products, 5 or 10 days apart: both satellites are kept rather where clouds are many."""
    count = S2_LONG_STEPS + S2_SHORT_STEPS
    rough = climate.s2_first + (10 * S2_LONG_STEPS + 5 * S2_SHORT_STEPS) / count * np.arange(count)
    wish = np.array([3.0 * clouds.cloud_probability(climate, day) for day in rough])
    wish += stream(seed, "optical days").gumbel(0, 0.5, count)
    steps = np.full(count, 10)
    steps[np.argsort(-wish)[:S2_SHORT_STEPS]] = 5
    return [climate.s2_first, *(climate.s2_first + int(day) for day in steps.cumsum())]


def radar_days(climate: Climate, orbit: int) -> list[int]:
    """Days of the Sentinel-1 images of an orbit: every 12 days."""
    first = climate.orbits[orbit][4]
    return list(range(first, first + S1_DATES * S1_STEP, S1_STEP))


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Refuse to replace a folder that holds anything but a former sample scene.

    Raises:
        LandloomError: if it is a file, or a folder with other files.
    """
    path = Path(folder)
    if not path.exists():
        return
    if not path.is_dir():
        raise LandloomError(
            tr("The output {path} is a file; give a folder that is new, empty or a former sample scene.").format(
                path=path
            )
        )
    found = sorted(str(file.relative_to(path).as_posix()) for file in path.rglob("*") if not file.is_dir())
    if not found and not any(path.iterdir()):
        return
    try:
        known = parse_json((path / MARKER).read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        known = False
    others = [name for name in found if not (known and OWN_FILES.fullmatch(name))]
    if others or not known:
        holds = tr(" (it holds {others})").format(others=others[0]) if others else ""
        raise LandloomError(
            tr(
                "The output folder {path} is not empty and not just a former sample scene{holds}: nothing was "
                "deleted; give a new or empty folder."
            ).format(path=path, holds=holds)
        )


def simulate(
    folder: str | os.PathLike[str], size: int = DEFAULT, climate: str = "tropical", seed: int = 0,
    progress: Progress | None = None,
) -> Summary:  # fmt: skip
    """Write a simulated scene into a folder, whole or not at all.

    Args:
        folder: new, empty, or a former sample scene, which is replaced.
        size: side in pixels of 10 m, even, 60 to 2000.
        climate: ``tropical`` (one radar orbit) or ``temperate`` (two).
        seed: the same seed, size and climate give the same files, byte by byte, with the same libraries.
        progress: told what is being done; asked whether to stop.

    Raises:
        LandloomError: for a wrong size or climate, a folder that holds other files, or a failed write.
    """
    progress = progress or Progress()
    check_choice("CLIMATE", climate, CLIMATES)
    if not SMALLEST <= size <= LARGEST or size % 2:
        raise LandloomError(
            tr("SIZE is {size}; give an even number of pixels from {smallest} to {largest}.").format(
                size=size, smallest=SMALLEST, largest=LARGEST
            )
        )
    if seed < 0:
        raise LandloomError(tr("SEED is {seed}; give 0 or more.").format(seed=seed))
    check_folder(folder)
    with whole_folder(folder) as temporary:
        return _simulate(temporary, size, CLIMATES[climate], seed, progress)


def _simulate(folder: Path, size: int, climate: Climate, seed: int, progress: Progress) -> Summary:
    progress.text(tr("Drawing the land"))
    land = draw(size, climate, seed, progress)
    sky_of_year = weather(climate, seed)
    units = draw_units(land, climate, seed)
    progress.percent(8)
    mixing = mixing_matrix(land, seed, progress)
    lasting = optical.texture(size, seed)
    progress.percent(12)

    days = optical_days(climate, seed)
    common = clouds.common_cloudiness(len(days), seed)
    overcast = clouds.overcast_date(climate, days)
    clear = []
    part = progress.part(12, 70)
    progress.text(tr("Sentinel-2"))
    for date, day in enumerate(days):
        progress.check()
        air = clouds.sky(size, climate, seed, date, day, common[date], date == overcast)
        now = state(units, climate, sky_of_year, day)
        values = optical.reflectance(mixing, units, climate, now, sky_of_year, lasting, air, seed, date, day, progress)
        progress.check()
        outside = optical.swath(size, seed, date) if date != overcast else optical.swath(size, seed, date) & False
        image = optical.deliver(values, air, outside)
        satellite = "B" if (day - days[0]) % 10 else "A"
        archive.write_theia(folder / "S2", climate, seed, day, image, satellite, (air.sun_zenith, air.sun_azimuth))
        bad = image.masks["CLM_R1"] | image.masks["EDG_R1"] | image.masks["SAT_R1"]
        clear.append(float((bad == 0).mean()))
        part.percent(100 * (date + 1) / len(days))

    part = progress.part(70, 96)
    progress.text(tr("Sentinel-1"))
    s1_dates: dict[str, list[str]] = {}
    for orbit, (direction, number, *_) in enumerate(climate.orbits):
        dates = radar_days(climate, orbit)
        for date, day in enumerate(dates):
            progress.check()
            now = state(units, climate, sky_of_year, day)
            values = radar.backscatter(mixing, units, climate, now, sky_of_year, size, seed, orbit, date, day, progress)
            archive.write_s1tiling(folder / "S1", climate, orbit, day, values)
            part.percent(100 * (orbit + (date + 1) / len(dates)) / len(climate.orbits))
        s1_dates[f"{direction}_{number:03d}"] = [archive.date_of(climate, day).isoformat() for day in dates]

    progress.text(tr("Reference data"))
    chosen = reference.choose(land, climate, seed)
    polygons = reference.write(folder, land, chosen, climate, seed)
    _write_truth(folder, land, climate, size)
    summary = Summary(
        climate.name, size, seed, climate.tile, climate.season_start,
        [archive.date_of(climate, day).isoformat() for day in days], [round(share, 4) for share in clear],
        archive.date_of(climate, days[overcast]).isoformat(), s1_dates, polygons,
        [int(i) for i in chosen.parcels[chosen.wrong]], fingerprint(),
    )  # fmt: skip
    write_json(folder / MARKER, {"format": FORMAT, "version": 1, "simulated": True, **asdict(summary)})
    (folder / "README.txt").write_text(
        READ_ME.format(climate=climate.name, seed=seed, size=size, tile=climate.tile), encoding="utf-8", newline="\n"
    )
    progress.percent(100)
    return summary


def _write_truth(folder: Path, land: Landscape, climate: Climate, size: int) -> None:
    codes = np.array([c.code for c in climate.covers], np.uint8)
    (folder / "truth").mkdir()
    archive.write_geotiff(
        folder / "truth" / "truth.tif",
        codes[majority_cover(land, len(climate.covers))],
        climate,
        10.0,
        nodata=0,
        tags={"TIFFTAG_IMAGEDESCRIPTION": "SIMULATED truth of a Landloom sample scene"},
    )
