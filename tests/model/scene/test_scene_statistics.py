"""Statistics of what was simulated: clouds by season, field sizes, wrong labels, backscatter, speckle, seasons."""

from __future__ import annotations

import numpy as np
import pytest
from landloom.model.base.progress import Progress
from landloom.model.scene import clouds, landscape, optical, radar, reference, seasons, simulation
from landloom.model.scene.constants import CLIMATES, LOOKS, MAX_FIELD, MIN_FIELD, WRONG_LABELS
from landloom.model.scene.mixing import majority_cover, mixing_matrix
from landloom.model.scene.noise import normal_quantile, stream, surface
from osgeo import gdal, ogr

TROPICAL, TEMPERATE = CLIMATES["tropical"], CLIMATES["temperate"]


@pytest.fixture(scope="module", params=["tropical", "temperate"])
def land(request):
    climate = CLIMATES[request.param]
    return climate, landscape.draw(240, climate, 1, Progress())


def masks(climate, seed, size=80):
    days = simulation.optical_days(climate, seed)
    common = clouds.common_cloudiness(len(days), seed)
    overcast = clouds.overcast_date(climate, days)
    skies = [clouds.sky(size, climate, seed, i, day, common[i], i == overcast) for i, day in enumerate(days)]
    return np.array(days), skies


@pytest.fixture(scope="module")
def tropical_skies():
    return [masks(TROPICAL, seed) for seed in range(4)]


def test_clouds_follow_the_rainy_season(tropical_skies):
    peak, dry = [], []
    for days, skies in tropical_skies:
        cover = np.array([(s.clm & 2 > 0).mean() for s in skies])
        peak += list(cover[np.abs(days - TROPICAL.cloud_peak) < 25])
        dry += list(cover[days > 220])
    assert 0.70 <= np.mean(peak) <= 0.90
    assert 0.08 <= np.mean(dry) <= 0.35
    assert clouds.cloud_probability(TROPICAL, TROPICAL.cloud_peak) == pytest.approx(0.80, abs=0.01)


def test_gaps_in_clear_views(tropical_skies):
    longest = []
    for days, skies in tropical_skies:
        valid = np.array([s.clm == 0 for s in skies]).reshape(len(days), -1)
        longest += [np.diff(days[valid[:, p]]).max() for p in range(0, valid.shape[1], 23)]
    assert 40 <= np.median(longest) <= 80


def test_temperate_clouds():
    cover = []
    for seed in range(3):
        _days, skies = masks(TEMPERATE, seed)
        cover += [(s.clm & 2 > 0).mean() for s in skies]
    assert 0.30 <= np.mean(cover) <= 0.60
    assert all(0.29 <= clouds.cloud_probability(TEMPERATE, day) <= 0.61 for day in range(365))


def test_masks_miss_thin_cloud_and_edges(tropical_skies):
    missed, seen_clear, total = 0, 0, 0
    for _, skies in tropical_skies:
        for sky in skies:
            opacity = sky.opacity.reshape(40, 2, 40, 2).mean((1, 3))
            missed += ((sky.clm == 0) & (opacity > 0.05)).sum()
            seen_clear += ((sky.clm == 0) & (opacity > 0.6)).sum()
            total += (sky.clm == 0).sum()
    assert 0.02 < missed / total < 0.30
    assert seen_clear == 0, "thick cloud is never missed"


def test_shadows_lie_away_from_the_sun():
    """Following a shadow towards the sun by one distance (the cloud's height), one finds cloud."""
    _, skies = masks(TROPICAL, 0, 160)
    sky = max(skies, key=lambda s: (s.clm & 32 > 0).sum())
    azimuth = np.radians(sky.sun_azimuth)
    rows, columns = np.nonzero(sky.clm & 32)
    found = {}
    for sign in (1, -1):
        shares = []
        for reach in range(15, clouds.LONGEST_SHADOW):
            row = np.rint(rows - sign * np.cos(azimuth) * reach / 2).astype(int)
            column = np.rint(columns + sign * np.sin(azimuth) * reach / 2).astype(int)
            inside = (row >= 0) & (row < 80) & (column >= 0) & (column < 80)
            hit = (sky.clm[row[inside], column[inside]] & 2).astype(bool).sum()
            shares.append(hit / len(rows))
        found[sign] = max(shares)
    assert found[1] > 0.95 and found[1] > found[-1]


def test_field_sizes(land):
    climate, drawn = land
    farm = np.array([c.stratum == "farm" for c in climate.covers])[drawn.cover]
    farm[0] = False
    area = drawn.area[farm]
    assert area.min() >= MIN_FIELD - 1e-6 and area.max() <= MAX_FIELD
    assert (0.2 if climate is TROPICAL else 0.6) <= np.median(area) <= (0.8 if climate is TROPICAL else 2.0)
    assert np.array_equal(drawn.parcel >= 0, np.ones_like(drawn.parcel, bool))


def test_every_class_is_there_and_shares_are_kept(land):
    climate, drawn = land
    counts = np.bincount(drawn.cover[1:], minlength=len(climate.covers))
    assert counts.min() >= 10
    farm = np.array([c.share for c in climate.covers])
    got = counts * (farm > 0) / counts[farm > 0].sum()
    assert np.abs(got - farm).max() < 0.05


def test_three_per_cent_of_the_labels_are_wrong(land):
    climate, drawn = land
    chosen = reference.choose(drawn, climate, 1)
    assert len(chosen.wrong) == round(WRONG_LABELS * len(chosen.parcels))
    assert len(set(chosen.parcels)) == len(chosen.parcels)
    assert len(set(chosen.village)) <= reference.VISITED


def test_reference_is_clustered_round_villages(land):
    climate, drawn = land
    chosen = reference.choose(drawn, climate, 1)
    farm = [i for i, c in enumerate(climate.covers) if c.stratum == "farm"]
    fields = np.flatnonzero(np.isin(drawn.cover, farm) & (drawn.area > MIN_FIELD))
    visited = drawn.villages[np.unique(chosen.village)]
    near = [np.hypot(*(drawn.centre[i] - visited).T).min() for i in fields]
    near_chosen = [np.hypot(*(drawn.centre[i] - visited).T).min() for i in chosen.parcels if drawn.cover[i] in farm]
    assert np.median(near_chosen) < np.median(near)


def test_reference_labels_match_the_truth_but_for_the_wrong_ones(tropical):
    folder, summary = tropical
    truth = gdal.Open(str(folder / "truth" / "truth.tif"))
    codes = truth.ReadAsArray()
    west, _, _, north, _, _ = truth.GetGeoTransform()
    agree, wrong = [], []
    source = ogr.Open(str(folder / "reference.gpkg"))
    for feature in source.GetLayer(0):
        area = feature.GetGeometryRef().Area() / 1e4
        assert 0.05 <= area <= MAX_FIELD
        point = feature.GetGeometryRef().PointOnSurface()
        here = codes[int((north - point.GetY()) / 10), int((point.GetX() - west) / 10)]
        (wrong if feature["id"] in summary.wrong_labels else agree).append(here == feature["code"])
    assert np.mean(agree) > 0.97
    assert len(wrong) >= 1 and np.mean(wrong) < 0.5


def median_backscatter(climate, day, seed=1):
    drawn = landscape.draw(120, climate, seed, Progress())
    units = seasons.draw_units(drawn, climate, seed)
    sky = seasons.weather(climate, seed)
    now = seasons.state(units, climate, sky, day)
    power = radar.unit_backscatter(units, climate, now, sky.moisture[day], 38.0, 0.0)
    db = 10 * np.log10(power)
    return {c.name: np.median(db[(units.cover == i) & ~units.is_tree], axis=0) for i, c in enumerate(climate.covers)}


def test_backscatter_of_classes_is_plausible():
    flooded = median_backscatter(TROPICAL, 80)  # second rice under water, first rice tall
    assert flooded["rice, second season"][0] < flooded["maize"][0] - 1.5
    assert flooded["rice, second season"][1] < flooded["maize"][1] - 3
    dry = median_backscatter(TROPICAL, 260)
    for found in (flooded, dry):
        assert found["forest"] == pytest.approx([-7.5, -13.3], abs=1.2)
        assert found["water"] == pytest.approx([-19.5, -27.5], abs=1.0)
        assert -8 < found["built-up"][0] < -3 and -15 < found["built-up"][1] < -10
    assert -16 < dry["maize"][0] < -11 and -24 < dry["maize"][1] < -19  # bare, dry soil
    # Temperate: stems attenuate the soil under wheat; maize and rape scatter in VH.
    spring, summer = median_backscatter(TEMPERATE, 135), median_backscatter(TEMPERATE, 205)
    assert spring["winter wheat"][0] < -12 and spring["rapeseed"][1] > -16
    assert summer["maize"][1] > spring["maize"][1] + 2


def test_speckle_is_gamma_of_the_stated_looks():
    stats = pytest.importorskip("scipy.stats")
    values = radar.speckle(np.random.default_rng(0), (400, 400))
    assert values.mean() == pytest.approx(1.0, abs=0.02)
    looks = values.mean() ** 2 / values.var()
    assert looks == pytest.approx(LOOKS, rel=0.06)
    far = values[::4, ::4].ravel()
    assert stats.kstest(far, "gamma", args=(LOOKS, 0, 1 / LOOKS)).pvalue > 0.001
    assert np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1] == pytest.approx(0.25, abs=0.05)


def test_looks_of_the_written_images(tropical):
    folder, _summary = tropical
    truth = gdal.Open(str(folder / "truth" / "truth.tif")).ReadAsArray()
    ndimage = pytest.importorskip("scipy.ndimage")
    forest = ndimage.binary_erosion(truth == 52, iterations=3)
    if forest.sum() < 60:
        forest = ndimage.binary_erosion(truth == 52, iterations=2)
    looks = []
    for path in sorted((folder / "S1").glob("*/*_vv_*.tif")):
        values = gdal.Open(str(path)).ReadAsArray()[forest]
        values = values[values > 0]
        if len(values) > 50:
            looks.append(values.mean() ** 2 / values.var())
    assert 2.5 < np.median(looks) < LOOKS * 1.2  # texture takes some of it away


def test_seasons_are_double_logistic_and_shift_between_fields():
    drawn = landscape.draw(120, TROPICAL, 2, Progress())
    units = seasons.draw_units(drawn, TROPICAL, 2)
    sky = seasons.weather(TROPICAL, 2)
    days = np.arange(0, 300, 3)
    lai = np.stack([seasons.state(units, TROPICAL, sky, day).lai for day in days])
    maize = next(i for i, c in enumerate(TROPICAL.covers) if c.name == "maize")
    curves = lai[:, (units.cover == maize) & ~units.is_tree]
    peak = days[curves.argmax(0)]
    assert 100 < np.median(peak) < 165 and 5 < np.std(peak) < 35
    assert np.median(curves.max(0)) == pytest.approx(TROPICAL.covers[maize].seasons[0].lai, rel=0.25)
    cane = next(i for i, c in enumerate(TROPICAL.covers) if c.cut)
    lowest = days[lai[:, (units.cover == cane) & ~units.is_tree].argmin(0)]
    assert np.ptp(lowest) > 150, "cane is cut at any date"


def test_mixture_shares_sum_to_one_and_water_is_dark(land):
    climate, drawn = land
    units = seasons.draw_units(drawn, climate, 1)
    sky = seasons.weather(climate, 1)
    mixture = optical.unit_mixture(units, climate, seasons.state(units, climate, sky, 120))
    soil_brightness = mixture[:, 0] * (1 - 1 / units.soil)
    assert np.allclose(mixture[:, :7].sum(1) - soil_brightness, 1.0, atol=1e-5)
    assert mixture[:, :7].min() >= 0


def test_borders_are_mixed_and_weights_sum_to_one(land):
    climate, drawn = land
    matrix = mixing_matrix(drawn, 1, Progress())
    size = drawn.parcel.shape[0] // 2
    assert matrix.shape[0] == size * size
    assert np.allclose(np.asarray(matrix.sum(1)).ravel(), 1.0, atol=1e-5)
    purity = matrix.max(1).toarray().ravel()
    assert 0.15 < (purity < 0.9).mean() < 0.85
    truth = majority_cover(drawn, len(climate.covers))
    assert truth.shape == (size, size) and set(np.unique(truth)) == set(range(len(climate.covers)))


def test_images_follow_the_seasons(tropical):
    """NDVI of clear pixels: forest always green, rice changes."""
    folder, _summary = tropical
    truth = gdal.Open(str(folder / "truth" / "truth.tif")).ReadAsArray()
    curves = {11: [], 52: []}
    for product in sorted((folder / "S2").glob("*/*"), key=lambda p: p.name.split("_")[1]):
        read = {
            b: gdal.Open(str(product / f"{product.name}_FRE_{b}.tif")).ReadAsArray().astype(float) for b in ("B4", "B8")
        }
        clear = gdal.Open(str(product / "MASKS" / f"{product.name}_CLM_R1.tif")).ReadAsArray() == 0
        clear &= read["B4"] > 0
        ndvi = (read["B8"] - read["B4"]) / (read["B8"] + read["B4"])
        for code, values in curves.items():
            here = clear & (truth == code)
            if here.sum() > 30:
                values.append(np.median(ndvi[here]))
    assert np.median(curves[52]) > 0.7 and np.quantile(curves[52], 0.1) > 0.5  # thin cloud that the mask missed
    assert max(curves[11]) > 0.7 and min(curves[11]) < 0.42


def test_surfaces():
    values = surface(stream(1, "x"), (64, 96), 30)
    assert values.shape == (64, 96) and values.dtype == np.float32
    assert np.array_equal(values, surface(stream(1, "x"), (64, 96), 30))
    assert not np.array_equal(values, surface(stream(1, "y"), (64, 96), 30))
    assert np.isfinite(values).all() and 0.3 < values.std() < 2
    assert normal_quantile(0.975) == pytest.approx(1.96, abs=0.01)
    assert (normal_quantile(0.0), normal_quantile(1.0)) == (-6.0, 6.0)
