"""The numbers behind the simulated scene: spectra, crop calendars, radar backscatter, clouds, sources.

They are typical values of the literature, rounded, and FROZEN: a test holds their fingerprint, so that nobody tunes
the scene to make one network win. Before freezing, difficulty was set with a random forest alone
(``benchmarks/scene_difficulty.py``).

Sources
    Spectra: Kokaly et al. 2017, USGS Spectral Library 7 (USGS Data Series 1035); Meerdink et al. 2019, ECOSTRESS
        library (Remote Sens. Environ. 230); canopies as PROSAIL gives them for LAI 5 (Jacquemoud et al. 2009, Remote
        Sens. Environ. 113); crop residue against soil in SWIR: Daughtry 2001 (Agron. J. 93); burnt ground: Trigg &
        Flasse 2000 (Int. J. Remote Sens. 21); wet soil darkening: Lobell & Asner 2002 (SSSAJ 66).
    Cover from leaf area: Monsi & Saeki 1953 (light extinction, about 0.6).
    Season as a double logistic: Zhang et al. 2003 (Remote Sens. Environ. 84), Beck et al. 2006 (ibid. 100).
    Calendars and maximal LAI: FAO crop calendars for Madagascar; Veloso et al. 2017 (Remote Sens. Environ. 199) and
        Inglada et al. 2015 (Remote Sens. 7) for south-west France.
    Radar: water-cloud model, Attema & Ulaby 1978 (Radio Sci. 13); VV and VH levels of crops: Veloso et al. 2017,
        Vreugdenhil et al. 2018 (Remote Sens. 10); flooded rice: Bouvet et al. 2009 (IEEE TGRS 47), Nguyen et al. 2016
        (Remote Sens. Lett. 7); sugar cane: Molijn et al. 2019 (Remote Sens. 11); dense forest near -7 dB VV, -13 dB VH:
        Hansen et al. 2020 (Remote Sens. Environ. 251); soil moisture sensitivity: Bauer-Marschallinger et al. 2019
        (IEEE TGRS 57).
    Sensors: Sentinel-2 MTF at Nyquist 0.15-0.30 (ESA Data Quality Report); Sentinel-1 IW GRDH 20 m x 22 m, equivalent
        number of looks 4.4, NESZ -22 dB or better (ESA Sentinel-1 product definition).
    Clouds: Wilson & Jetz 2016 (PLoS Biol. 14) for monthly frequency; size spectrum near k^-5/3 in one dimension
        (Davis et al. 1997, J. Atmos. Sci. 54); cloud masks miss thin cloud: Baetens et al. 2019 (Remote Sens. 11).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

S2_BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
BANDS_10M = ("B2", "B3", "B4", "B8")
BANDS_20M = ("B5", "B6", "B7", "B8A", "B11", "B12")

# Reflectance of pure surfaces, in the order of S2_BANDS.
ENDMEMBERS: dict[str, tuple[float, ...]] = {
    "soil": (0.065, 0.095, 0.140, 0.165, 0.190, 0.210, 0.235, 0.255, 0.340, 0.295),
    "herb": (0.025, 0.055, 0.030, 0.100, 0.330, 0.420, 0.445, 0.465, 0.220, 0.110),
    "tree": (0.020, 0.040, 0.024, 0.070, 0.215, 0.275, 0.300, 0.310, 0.145, 0.065),
    "dry": (0.080, 0.115, 0.165, 0.205, 0.250, 0.280, 0.310, 0.340, 0.400, 0.285),
    "water": (0.055, 0.075, 0.065, 0.058, 0.045, 0.042, 0.038, 0.034, 0.018, 0.012),
    "built": (0.115, 0.145, 0.180, 0.195, 0.215, 0.230, 0.245, 0.255, 0.300, 0.270),
    "burnt": (0.035, 0.042, 0.055, 0.068, 0.082, 0.092, 0.105, 0.118, 0.185, 0.175),
}
# Departures of a green canopy from the two above, one unit each: more chlorophyll, more leaf water, more NIR scattering
# (leaf angle, layers), flowers (rape and sunflower heads are bright in green and red).
LEAF_TRAITS: dict[str, tuple[float, ...]] = {
    "chlorophyll": (-0.003, -0.014, -0.005, -0.024, -0.018, 0.0, 0.0, 0.0, 0.0, 0.0),
    "leaf_water": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.003, -0.006, -0.030, -0.020),
    "structure": (0.0, 0.002, 0.0, 0.006, 0.030, 0.042, 0.046, 0.046, 0.020, 0.006),
    "flower": (0.004, 0.050, 0.055, 0.050, 0.030, 0.020, 0.015, 0.012, 0.010, 0.008),
}
CLOUD_SPECTRUM = (0.52, 0.52, 0.53, 0.54, 0.55, 0.56, 0.56, 0.57, 0.42, 0.31)
HAZE_SPECTRUM = (1.0, 0.75, 0.55, 0.48, 0.40, 0.35, 0.30, 0.28, 0.10, 0.06)  # residual aerosol, relative to blue
EXTINCTION = 0.6  # green cover = 1 - exp(-EXTINCTION * LAI)
WET_DARKENING = 0.45  # share of reflectance that a saturated soil loses


@dataclass(frozen=True)
class Season:
    """One growth cycle; days are those of the scene's year, counted from its first day.

    ``start`` and ``end``: middle of the rise and of the fall of the leaf area; ``rise`` and ``fall``: their time
    constants, days; ``lai``: maximum. ``flood``: days of standing water relative to start and to end. ``flower``:
    days (relative to start) and length of flowering. ``straw``: dry cover left at the end.
    """

    start: float
    end: float
    lai: float
    rise: float = 11.0
    fall: float = 8.0
    flood: tuple[float, float] | None = None
    flower: tuple[float, float] | None = None
    straw: float = 0.6


@dataclass(frozen=True)
class Canopy:
    """Backscatter of a closed canopy (dB at 38 degrees) and one-way extinction for each unit of LAI, VV and VH."""

    vv: float
    vh: float
    extinction_vv: float
    extinction_vh: float


CANOPIES: dict[str, Canopy] = {
    "rice": Canopy(-8.8, -15.6, 0.20, 0.17),
    "cereal": Canopy(-13.6, -19.2, 0.24, 0.15),
    "tall": Canopy(-8.8, -14.8, 0.20, 0.20),  # maize, sunflower
    "cane": Canopy(-8.4, -14.3, 0.19, 0.19),
    "broadleaf": Canopy(-9.2, -15.0, 0.18, 0.17),  # cotton, soya, rape
    "rape": Canopy(-9.6, -13.6, 0.20, 0.22),
    "grass": Canopy(-11.4, -18.2, 0.17, 0.13),
    "shrub": Canopy(-9.8, -15.8, 0.18, 0.18),
    "forest": Canopy(-7.4, -13.1, 0.30, 0.34),
    "conifer": Canopy(-8.4, -13.9, 0.34, 0.34),
}


@dataclass(frozen=True)
class Cover:
    """A land-cover class: how it looks through the year.

    ``base``: LAI all year; ``rainfed``: LAI added when the ground is green after rain (0..1); ``dry``: dry plant cover
    of the bare share when nothing is green; ``tree``: share of the green that is tree-like; ``crowns``: share of the
    area under separate tree crowns; ``leaf``: chlorophyll, leaf water, structure; ``burn``: share of parcels burnt
    in the dry season; ``cut``: perennial cut once in the year, at any date; ``mown``: meadows cut that many times.
    ``share``: of farmland; ``wet``: affinity to valley bottoms; ``large``: affinity to large fields.
    """

    code: int
    name: str
    color: tuple[int, int, int]
    stratum: str  # farm, forest, open, water, built
    canopy: str = "grass"
    seasons: tuple[Season, ...] = ()
    base: float = 0.0
    rainfed: float = 0.0
    dry: float = 0.3
    tree: float = 0.0
    crowns: float = 0.0
    leaf: tuple[float, float, float] = (0.0, 0.0, 0.0)
    burn: float = 0.0
    cut: bool = False
    mown: int = 0
    share: float = 0.0
    wet: float = 0.0
    large: float = 0.0
    deciduous: float = 0.0


TROPICAL_COVERS = (
    Cover(11, "rice, first season", (0, 146, 190), "farm", "rice", (Season(62, 152, 4.8, 11, 8, (-38, -20)),),
          rainfed=0.7, dry=0.35, leaf=(0.1, 0.5, 0.0), share=0.16, wet=1.8),
    Cover(12, "rice, second season", (98, 206, 230), "farm", "rice", (Season(104, 196, 4.6, 11, 8, (-40, -20)),),
          rainfed=0.8, dry=0.35, leaf=(0.1, 0.5, 0.0), share=0.15, wet=1.8),
    Cover(21, "maize", (255, 211, 0), "farm", "tall", (Season(84, 182, 3.6, 10, 9),),
          rainfed=0.7, dry=0.35, leaf=(0.2, 0.1, 0.1), crowns=0.03, share=0.18, wet=-0.6),
    Cover(22, "cotton", (232, 120, 180), "farm", "broadleaf", (Season(102, 218, 3.2, 13, 12),),
          rainfed=0.7, dry=0.30, leaf=(0.3, 0.1, 0.3), crowns=0.02, share=0.12, wet=-0.8, large=0.3),
    Cover(31, "sugar cane", (150, 75, 0), "farm", "cane", base=0.0, rainfed=0.2, dry=0.55, cut=True,
          leaf=(-0.1, 0.2, 0.0), share=0.09, wet=0.2, large=0.8),
    Cover(32, "trees over crops", (120, 160, 40), "farm", "tall", (Season(86, 184, 3.0, 11, 10),),
          base=0.3, rainfed=0.9, dry=0.40, tree=0.15, leaf=(0.2, 0.0, 0.0), crowns=0.30, share=0.15, wet=-0.3),
    Cover(41, "fallow", (214, 200, 150), "farm", "shrub", base=0.25, rainfed=1.3, dry=0.42, tree=0.10,
          leaf=(-0.1, 0.1, -0.1), crowns=0.03, burn=0.06, share=0.15, wet=-0.4),
    Cover(51, "savanna", (186, 214, 120), "open", "grass", base=0.40, rainfed=2.4, dry=0.72, tree=0.10,
          leaf=(-0.5, -0.3, -0.3), crowns=0.09, burn=0.28),
    Cover(52, "forest", (20, 100, 35), "forest", "forest", base=4.2, rainfed=0.8, dry=0.5, tree=1.0,
          leaf=(0.2, 0.0, 0.0)),
    Cover(61, "water", (20, 50, 160), "water"),
    Cover(71, "built-up", (200, 30, 30), "built", rainfed=0.5, dry=0.2, crowns=0.07),
)  # fmt: skip

TEMPERATE_COVERS = (
    Cover(11, "winter wheat", (240, 200, 60), "farm", "cereal", (Season(82, 176, 5.0, 15, 7),),
          base=0.25, rainfed=0.2, dry=0.20, leaf=(0.3, 0.0, 0.1), share=0.21),
    Cover(12, "winter barley", (250, 225, 130), "farm", "cereal", (Season(74, 160, 4.5, 15, 7),),
          base=0.25, rainfed=0.2, dry=0.20, leaf=(0.0, 0.0, 0.1), share=0.09),
    Cover(13, "rapeseed", (255, 255, 0), "farm", "rape",
          (Season(68, 166, 4.6, 16, 8, None, (32, 26)), Season(265, 400, 1.2, 12, 10)),
          base=0.5, rainfed=0.2, dry=0.20, leaf=(0.1, 0.4, 0.3), share=0.09),
    Cover(21, "maize", (255, 150, 0), "farm", "tall", (Season(162, 268, 4.6, 9, 9),),
          rainfed=0.5, dry=0.30, leaf=(0.2, 0.1, 0.1), share=0.15, wet=0.6, large=0.3),
    Cover(22, "sunflower", (200, 110, 0), "farm", "tall", (Season(154, 232, 3.2, 9, 9, None, (36, 18)),),
          rainfed=0.4, dry=0.30, leaf=(-0.1, 0.3, 0.2), share=0.12),
    Cover(23, "soya", (150, 200, 60), "farm", "broadleaf", (Season(170, 254, 5.0, 9, 8),),
          rainfed=0.5, dry=0.30, leaf=(0.0, 0.1, 0.5), share=0.09, wet=0.4),
    Cover(31, "sorghum", (170, 90, 60), "farm", "tall", (Season(177, 264, 3.4, 11, 10),),
          rainfed=0.5, dry=0.30, leaf=(0.1, 0.0, 0.0), share=0.06),
    Cover(41, "temporary grassland", (130, 230, 90), "farm", "grass", base=1.0, rainfed=3.0, dry=0.25, mown=3,
          leaf=(0.1, 0.1, 0.1), share=0.10),
    Cover(42, "permanent grassland", (80, 180, 80), "open", "grass", base=0.9, rainfed=2.2, dry=0.35, mown=1,
          leaf=(-0.1, 0.0, 0.0), crowns=0.03),
    Cover(43, "vineyard", (140, 60, 160), "farm", "shrub", (Season(125, 300, 1.5, 14, 14),),
          rainfed=0.4, dry=0.20, leaf=(0.0, 0.0, 0.0), tree=0.3, share=0.09, wet=-0.8),
    Cover(51, "deciduous forest", (30, 120, 40), "forest", "forest", (Season(108, 308, 3.8, 9, 14, None, None, 0.1),),
          base=0.7, rainfed=0.2, dry=0.5, tree=0.85, leaf=(0.1, 0.0, 0.2)),
    Cover(52, "conifer forest", (10, 70, 50), "forest", "conifer", base=3.6, rainfed=0.3, dry=0.4, tree=1.0,
          leaf=(0.5, 0.2, -0.8)),
    Cover(61, "water", (20, 50, 160), "water"),
    Cover(71, "built-up", (200, 30, 30), "built", rainfed=0.5, dry=0.2, crowns=0.08),
)  # fmt: skip


@dataclass(frozen=True)
class Climate:
    """Where and when the scene lies, its weather and its fields."""

    name: str
    tile: str
    epsg: int
    origin: tuple[float, float]  # upper left corner, metres; on the grid of the Sentinel-2 tile
    first_day: str  # ISO; day 0 of the calendars
    covers: tuple[Cover, ...]
    cloud_base: float  # probability of cloud in the clearest season
    cloud_amplitude: float  # added at the peak
    cloud_peak: float  # day of the peak
    cloud_width: float  # standard deviation of the peak, days
    rain_base: float  # probability of a rainy day outside the rains
    rain_amplitude: float
    orbits: tuple[
        tuple[str, int, float, str, int], ...
    ]  # direction, relative orbit, incidence angle, satellite, first day
    s2_first: int  # day of the first Sentinel-2 product
    s2_time: str
    sun_zenith: tuple[float, float]  # smallest, largest over the year
    field_median: float  # ha
    field_sigma: float  # of the log
    village_density: float  # a km2
    village_radius: float  # m
    open_share: float
    forest_share: float
    lake_share: float
    start_sd: float  # days, one field against another of its class
    length_sd: float  # relative
    vigour_sd: float  # relative
    poor_share: float  # fields that nearly fail
    soil_red: float  # lateritic soils are redder
    fringe: float  # share of blocks with a grassy or wooded margin
    season_start: str = field(default="01-01")


TROPICAL = Climate(
    "tropical", "38KPD", 32738, (642000.0, 7858000.0), "2020-10-01", TROPICAL_COVERS,
    cloud_base=0.15, cloud_amplitude=0.65, cloud_peak=108, cloud_width=36, rain_base=0.04, rain_amplitude=0.62,
    orbits=(("DES", 20, 39.0, "s1a", 4),), s2_first=2, s2_time="070211", sun_zenith=(20.0, 48.0),
    field_median=0.55, field_sigma=0.75, village_density=0.5, village_radius=130.0,
    open_share=0.16, forest_share=0.10, lake_share=0.016,
    start_sd=11.0, length_sd=0.07, vigour_sd=0.18, poor_share=0.06, soil_red=1.0, fringe=0.35, season_start="10-01",
)  # fmt: skip
TEMPERATE = Climate(
    "temperate", "31TCJ", 32631, (358000.0, 4838020.0), "2021-01-01", TEMPERATE_COVERS,
    cloud_base=0.30, cloud_amplitude=0.30, cloud_peak=5, cloud_width=70, rain_base=0.22, rain_amplitude=0.22,
    orbits=(("ASC", 30, 35.0, "s1a", 33), ("DES", 110, 40.0, "s1b", 38)), s2_first=35, s2_time="105331",
    sun_zenith=(21.0, 67.0),
    field_median=1.5, field_sigma=0.6, village_density=0.3, village_radius=170.0,
    open_share=0.14, forest_share=0.16, lake_share=0.012,
    start_sd=6.0, length_sd=0.05, vigour_sd=0.16, poor_share=0.02, soil_red=0.3, fringe=0.5,
)  # fmt: skip
CLIMATES = {"tropical": TROPICAL, "temperate": TEMPERATE}

MIN_FIELD, MAX_FIELD = 0.1, 5.0  # ha
WRONG_LABELS = 0.03

# Optical sensor
S2_LONG_STEPS, S2_SHORT_STEPS = 23, 12  # of 10 days and of 5 (both satellites): 36 dates in 290 days
S2_PSF = 0.53  # pixels of 10 m, standard deviation: MTF 0.25 at Nyquist
S2_NOISE = 0.0025  # reflectance
S2_GAIN_SD = 0.02  # date to date: residual of directional and atmospheric correction
HAZE_SD = 0.006  # reflectance in the blue
ADJACENCY = 0.06  # share of the reflectance that comes from about 100 m around
S2_SHIFT = 0.15  # pixels of 10 m, misregistration between dates
SATURATION = 0.90  # reflectance from which a detector saturates
SOIL_TEXTURE_SD = 0.14  # relative brightness
VIGOUR_TEXTURE_SD = 0.16  # relative leaf area inside a parcel
SWATH_EDGE_SHARE = 0.15  # share of dates cut by the edge of the swath

# Clouds
CLOUD_COMMON = 0.45  # variance of the cloud field shared by the whole scene at a date
CLOUD_EDGE = 0.45  # width of the soft edge, in standard deviations of the field
THIN_MISSED = 0.40  # opacity below which the mask sees nothing
CIRRUS_SHARE = 0.25  # dates with a thin veil
CIRRUS_MAX = 0.16  # its largest opacity
SHADOW_DARKENING = 0.55
CLOUD_HEIGHT = (500.0, 1200.0)  # metres
HIGH_CLOUD_SHARE = 0.3  # dates whose clouds are also seen in the 1.38 um band

# Radar
S1_STEP, S1_DATES = 12, 25  # days, dates of an orbit
LOOKS = 4.5  # nine squared Gaussians
S1_PSF = 0.85  # pixels of 10 m
SOIL_VV, SOIL_VH = -14.0, -21.5  # dry, mean roughness, 38 degrees
MOISTURE_VV, MOISTURE_VH = 5.5, 4.5  # dB from dry to saturated
TILLAGE_VV, TILLAGE_VH = 1.5, 1.8  # dB after ploughing
ROUGHNESS_SD = 0.9  # dB, between fields
CANOPY_SD = 0.6  # dB, between fields
LEAF_SD = 0.25  # units of the leaf traits, between fields
FLOODED_VV, FLOODED_VH = -18.5, -26.0  # rice paddies under water, before tillers
WATER_VV, WATER_VH = -19.5, -27.5
WIND_SD = 1.8  # dB, date to date
BUILT_VV, BUILT_VH = -5.5, -12.5
BUILT_SD = 2.2  # dB, pixel to pixel
ANGLE_SLOPE = -0.10  # dB for each degree of incidence
NOISE_FLOOR = 10**-2.75  # power
FLOOD_BOUNCE_VV = -9.0  # dB, double bounce between standing water and stems where both are seen
TEXTURE_SD = 0.5  # dB, lasting differences inside a parcel
S1_GAIN_SD = 0.2  # dB, date to date
S1_EDGE_SHARE = 0.1  # share of dates cut by the edge of the swath


def fingerprint() -> str:
    """Hash of every constant of this module: changes when any of them does."""
    names = sorted(name for name in globals() if name.isupper())
    text = ";".join(f"{name}={globals()[name]!r}" for name in names)
    return hashlib.sha256(text.encode()).hexdigest()
