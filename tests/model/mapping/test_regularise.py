"""Regularising a map against slow, plain implementations of both rules and GDAL's sieve; what must stay does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from osgeo import gdal
from skimage.measure import label

CORNER = (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0)


def plain_majority(codes, radius, keep):
    """Pixel by pixel."""
    result = codes.copy()
    height, width = codes.shape
    for r in range(height):
        for c in range(width):
            if codes[r, c] == 0 or codes[r, c] in keep:
                continue
            votes, seen, way = {}, {(r, c)}, [(r, c)]
            while way:  # step by step, never through no data
                y, x = way.pop()
                if codes[y, x] not in keep:
                    votes[codes[y, x]] = votes.get(codes[y, x], 0) + 1
                for one in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    within = (one[0] - r) ** 2 + (one[1] - c) ** 2 <= (radius + 0.5) ** 2
                    inside = 0 <= one[0] < height and 0 <= one[1] < width
                    if within and inside and codes[one] and one not in seen:
                        seen.add(one)
                        way.append(one)
            most = max(votes.values())
            winners = sorted(code for code in votes if votes[code] == most)
            result[r, c] = codes[r, c] if codes[r, c] in winners else winners[0]
    return result


def plain_sieve(codes, limit, keep):
    """The rounds of merge_small, each on a freshly labelled image."""
    codes = codes.copy()
    while True:
        regions = label(codes, connectivity=1, background=0)
        count = regions.max()
        size = np.bincount(regions.ravel(), minlength=count + 1)
        of = np.zeros(count + 1, int)
        of[regions] = codes
        border = {}
        for a, b in ((regions[:, :-1], regions[:, 1:]), (regions[:-1], regions[1:])):
            for one, other in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
                if one and other and one != other and of[one] not in keep and of[other] not in keep:
                    for p, q in ((one, other), (other, one)):
                        border.setdefault(p, {})[q] = border.get(p, {}).get(q, 0) + 1
        small = {k for k in border if size[k] < limit.get(int(of[k]), 0)}
        chosen = {
            k for k in small if not any(j in small and (size[j], j) < (size[k], k) for j in border[k])
        }  # numbers rise with the first pixel
        if not chosen:
            return codes
        new = {k: of[max(border[k], key=lambda j, k=k: (border[k][j], size[j], -j))] for k in chosen}
        for k, code in new.items():
            codes[regions == k] = code


maps = st.builds(
    lambda seed, h, w, kinds: np.random.default_rng(seed).integers(0, kinds + 1, (h, w)),
    st.integers(0, 99999), st.integers(1, 14), st.integers(1, 14), st.integers(1, 4),
)  # fmt: skip


@given(maps, st.integers(0, 4), st.sets(st.integers(1, 4), max_size=2))
def test_the_vote_equals_the_plain_rule(codes, radius, keep):
    from landloom.model.mapping.regularise_rules import majority

    padded = np.pad(codes, radius)
    assert np.array_equal(majority(padded, radius, np.array(sorted(keep))), plain_majority(codes, radius, keep))


@pytest.mark.parametrize("radius", [1, 6, 13, 25])
def test_large_discs_in_a_maze_equal_the_plain_rule(radius, monkeypatch):
    """Winding ways between walls of no data, in blocks of a few columns; discs larger than the map, too."""
    from landloom.model.mapping import regularise_connected, regularise_rules

    monkeypatch.setattr(regularise_connected, "_COLUMNS", 7)
    rng = np.random.default_rng(radius)
    codes = rng.integers(1, 4, (19, 26))
    codes[:, ::4] = 0
    codes[rng.integers(0, 19, 7), np.arange(7) * 4] = 1  # one door in each wall
    np.fill_diagonal(codes[:, 5:], 0)
    result = regularise_rules.majority(np.pad(codes, radius), radius, np.array([2]))
    assert np.array_equal(result, plain_majority(codes, radius, {2}))


def test_what_lies_beyond_no_data_has_no_say(tmp_path):
    """A slanting river of one pixel: what stands on its other side changes nothing on this side, by either rule."""
    rows, columns = np.indices((80, 70))
    river, beyond = columns - rows // 2 == 20, columns - rows // 2 > 20  # its pixels may touch by corners only
    rng = np.random.default_rng(2)
    codes = rng.integers(1, 4, (80, 70))
    codes[river] = 0
    other = np.where(beyond & ~river, 5, codes)
    results = []
    for number, one in enumerate((codes, other)):
        done, _ = run(write(tmp_path / f"{number}.tif", one), tmp_path / f"o{number}.tif", radius=3, min_area=0.2)
        results.append(done)
    here = ~beyond & ~river
    assert np.array_equal(results[0][here], results[1][here])
    assert (results[1][beyond & ~river] == 5).all() and ((results[0] == 0) == river).all()


def write(path, codes, names=()):
    from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
    from landloom.model.base.raster import spatial_reference
    from landloom.model.mapping.chunks import Area
    from landloom.model.mapping.classify import map_layers
    from landloom.model.mapping.outputs import create, publish
    from landloom.model.stack.grid import Grid

    classes = [LandCoverClass(code, name, color) for code, name, color in names]
    highest = max(int(codes.max()), 1)
    colors = [f"#{k:02x}{255 - k:02x}40" for k in range(1, highest + 1)]
    classes = classes or [LandCoverClass(k, f"class {k}", colors[k - 1]) for k in range(1, highest + 1)]
    layer = map_layers(Nomenclature(tuple(classes)), path)[0]
    height, width = codes.shape
    grid = Grid(spatial_reference("EPSG:32738").ExportToWkt(), CORNER, width, height)
    temporary = path.with_suffix(".partial.tif")
    dataset = create(layer, temporary, grid, Area(0, 0, width, height))
    dataset.GetRasterBand(1).WriteArray(codes.astype(layer.dtype))
    dataset.FlushCache()
    dataset = None
    publish(layer, temporary)
    return path


def run(path, output, **settings):
    from landloom.model.mapping.regularise import RegulariseSettings, regularise

    done = regularise(path, output, RegulariseSettings(**settings))
    return gdal.Open(str(output)).ReadAsArray(), done


@given(maps, st.lists(st.integers(0, 9), min_size=4, max_size=4), st.sets(st.integers(1, 4), max_size=1))
def test_small_regions_join_as_the_plain_rule_says(tmp_path_factory, codes, limits, keep):
    from landloom.model.base.progress import Progress
    from landloom.model.mapping.components import components
    from landloom.model.mapping.labelraster import label_raster
    from landloom.model.mapping.regularise_rules import merge_small

    limit = dict(enumerate(limits, start=1))
    table = np.array([0, *limits], float)
    for code in keep:
        limit[code] = table[code] = 0
    height, width = codes.shape
    with label_raster(tmp_path_factory.getbasetemp() / "numbers.tif", width, height) as raster:
        regions = components(lambda row, rows: codes[row : row + rows], width, height, raster)
        small = regions.pixels < table[regions.value]
        small[0] = False
        borders = regions.borders(small, Progress())
        kept = np.isin(regions.value, list(keep))
        merged, left = merge_small(regions.value, regions.pixels, borders, table, kept)
        result = merged[regions.read(0, height)]
    expected = plain_sieve(codes, limit, keep)
    assert np.array_equal(result, expected)
    assert left <= len(regions) and left >= label(expected, connectivity=1, background=0).max()


@pytest.fixture
def noisy():
    """Blocks of three classes with noise, a road of class 4 and a river without data, over several strips."""
    rng = np.random.default_rng(5)
    codes = (1 + rng.integers(0, 3, (30, 10)))[np.arange(600)[:, None] // 20, np.arange(90) // 9]
    wrong = rng.random(codes.shape) < 0.08
    codes[wrong] = rng.integers(1, 4, int(wrong.sum()))
    codes[:, 40] = 4
    codes[300:303] = 0
    return codes


@pytest.mark.parametrize("bytes_per_pixel", [96, 1_000_000])
def test_strips_make_no_difference(noisy, tmp_path, monkeypatch, bytes_per_pixel):
    """The whole file, read in strips with a halo, two rows each with little memory, equals the plain rules."""
    from landloom.model.mapping import components
    from landloom.model.mapping import regularise as module

    path = write(tmp_path / "carte é.tif", noisy)
    monkeypatch.setattr(module, "STRIP", 37)
    monkeypatch.setattr(module, "_COLUMNS", 32)
    monkeypatch.setattr(components, "_BYTES", bytes_per_pixel)
    assert (components.strip_rows(noisy.shape[1], 1024) == 2) == (bytes_per_pixel > 96)
    voted, _ = run(path, tmp_path / "voted.tif", radius=2, keep=[4])
    assert np.array_equal(voted, plain_majority(noisy, 2, {4}))
    both, done = run(path, tmp_path / "both.tif", radius=1, min_area=0.3, class_areas={3: 0.8}, keep=[4])
    expected = plain_sieve(plain_majority(noisy, 1, {4}), {1: 30, 2: 30, 3: 80}, {4})
    assert np.array_equal(both, expected)
    assert done.pixels == np.count_nonzero(noisy) and done.changed == np.count_nonzero(both != noisy)
    assert ((both == 4) == (noisy == 4)).all() and ((both == 0) == (noisy == 0)).all()


def test_nothing_below_the_limit_is_left_as_in_gdals_sieve(noisy, tmp_path):
    """GDAL's sieve joins to the largest neighbour, so single patches may differ, but hardly a pixel does."""
    path = write(tmp_path / "map.tif", noisy)
    ours, _ = run(path, tmp_path / "ours.tif", min_area=0.5)
    sieved = gdal.GetDriverByName("MEM").CreateCopy("", gdal.Open(str(path)))
    band = sieved.GetRasterBand(1)
    gdal.SieveFilter(band, band.GetMaskBand(), band, 50, 4)
    assert (ours == sieved.ReadAsArray()).mean() > 0.97
    sizes = np.bincount(label(ours, connectivity=1, background=0).ravel())[1:]
    assert sizes.min() >= 50


def test_names_colours_and_tags_stay(tmp_path):
    from landloom.model.base.legend import legend_of
    from landloom.model.mapping.unsure import UNSURE_TAG

    names = [(3, "maïs", "#ffcc00"), (300, "riz", "#00aa88"), (7, "unsure", "#777777")]
    codes = np.array([[3] * 5, [3, 3, 300, 3, 7], [300] * 5])
    path = write(tmp_path / "map.tif", codes, names)
    dataset = gdal.Open(str(path), gdal.GA_Update)
    dataset.SetMetadataItem(UNSURE_TAG, "7")
    dataset = None
    result, _ = run(path, tmp_path / "new.tif", min_area=0.02, class_areas={7: 0})
    assert result.tolist() == [[3] * 5, [3, 3, 300, 3, 7], [300] * 5]  # 300 joins the row below; unsure is a class
    new = gdal.Open(str(tmp_path / "new.tif"))
    assert new.GetMetadataItem(UNSURE_TAG) == "7" and new.GetRasterBand(1).DataType == gdal.GDT_UInt16
    assert legend_of(new) == legend_of(gdal.Open(str(path)))
    assert (tmp_path / "new.qml").read_text() == (tmp_path / "map.qml").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.5", (0.5, {})), ("0.5;3=2;7=0", (0.5, {3: 2.0, 7: 0.0})), ("3=1.5", (0.0, {3: 1.5})), ("", (0.0, {}))],
)
def test_areas_are_read(text, expected):
    from landloom.model.mapping.regularise import parse_areas

    assert parse_areas(text) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "both 0"),
        ({"radius": 26}, "RADIUS is 26"),
        ({"radius": 1, "keep": [9]}, "KEEP names class 9"),
        ({"class_areas": {8: 1.0}}, "MIN_AREA names class 8"),
        ({"min_area": -1.0}, "MIN_AREA is negative"),
    ],
)
def test_wrong_settings_are_named(noisy, tmp_path, settings, message):
    from landloom.model.base.errors import LandloomError

    path = write(tmp_path / "map.tif", noisy)
    with pytest.raises(LandloomError, match=message):
        run(path, tmp_path / "o.tif", **settings)
    assert not (tmp_path / "o.tif").exists()
    with pytest.raises(LandloomError, match="the map itself"):
        run(path, path, radius=1)


def test_too_many_regions_are_refused_while_they_are_found(noisy, tmp_path):
    from landloom.model.base.errors import LandloomError
    from landloom.model.mapping.components import check_regions

    check_regions(8738, 120, 1)
    with pytest.raises(LandloomError, match=r"8,739 regions or more, which take about 1 MB: raise MEMORY_MB"):
        check_regions(8739, 120, 1)
    path = write(tmp_path / "map.tif", noisy)
    with pytest.raises(LandloomError, match="regions or more"):
        run(path, tmp_path / "out.tif", min_area=0.5, memory_mb=0.05)
    assert not (tmp_path / "out.tif").exists()


def test_too_little_memory_is_said(noisy, tmp_path):
    from landloom.model.base.errors import LandloomError

    path = write(tmp_path / "map.tif", np.random.default_rng(0).integers(1, 9, (900, 900)))
    with pytest.raises(LandloomError, match="raise MEMORY_MB to"):
        run(path, tmp_path / "o.tif", min_area=0.5, memory_mb=16)
