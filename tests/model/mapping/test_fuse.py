"""Fusion of maps: the rules against the Orfeo ToolBox and sums by hand; grids, names, matrices, memory, bad input."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.legend import legend_of
from landloom.model.base.matrixfile import read_matrix
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.base.raster import open_raster, spatial_reference, write_raster
from landloom.model.mapping.classify import map_layers
from landloom.model.mapping.fuse import fuse
from landloom.model.mapping.fuseinputs import BELIEFS, masses_of
from landloom.model.mapping.fuserules import UNDECIDED, dempster_shafer, majority, mean_probability
from landloom.model.mapping.outputs import create
from mapping_fakes import Told
from osgeo import gdal

CODES = [1, 2, 3, 7]
UTM = "EPSG:32738"


def write_map(path, values, corner=(500000.0, 8000000.0), size=10.0, epsg=UTM, nodata=None):
    crs = spatial_reference(epsg).ExportToWkt()
    return str(write_raster(path, values, (corner[0], size, 0.0, corner[1], 0.0, -size), crs, nodata))


def read(path):
    return open_raster(path).ReadAsArray()


def write_otb_matrix(path, codes, matrix):
    lines = [f"#Reference labels (rows):{','.join(map(str, codes))}"]
    lines.append(f"#Produced labels (columns):{','.join(map(str, codes))}")
    path.write_text("\n".join([*lines, *(",".join(map(str, row)) for row in matrix)]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Three random maps, one pixel in ten without data, and a random matrix for each."""
    folder = tmp_path_factory.mktemp("fusion d'été")
    random = np.random.default_rng(5)
    maps, matrices = [], []
    for k in range(3):
        values = random.choice([0, *CODES], (60, 70), p=[0.1, 0.3, 0.3, 0.2, 0.1]).astype(np.uint8)
        maps.append(write_map(folder / f"map {k}.tif", values))
        counts = random.integers(0, 20, (4, 4)) + np.diag([30, 20, 10, 5])
        matrices.append(write_otb_matrix(folder / f"m{k}.csv", CODES, counts))
    return folder, maps, matrices


def otb(case, *arguments):
    folder, maps, _ = case
    if shutil.which("otbcli_FusionOfClassifications") is None:
        pytest.skip("the Orfeo ToolBox is not installed")
    output = folder / "otb.tif"
    options = ["-nodatalabel", "0", "-undecidedlabel", "99", "-out", str(output), "uint8"]
    done = subprocess.run(
        ["otbcli_FusionOfClassifications", "-il", *maps, *arguments, *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0 and output.exists(), done.stdout[-500:]
    return read(output)


@pytest.mark.parametrize("belief", BELIEFS)
def test_dempster_shafer_is_that_of_the_orfeo_toolbox(case, belief):
    folder, maps, matrices = case
    path = ["-method", "dempstershafer", "-method.dempstershafer.cmfl", *matrices]
    expected = otb(case, *path, "-method.dempstershafer.mob", belief)
    output = folder / f"{belief}.tif"
    fuse(maps, "dempstershafer", output, matrices=matrices, belief=belief, undecided=99)
    assert (read(output) == expected).all()
    assert set(np.unique(expected)) >= set(CODES)


def test_majority_is_that_of_the_orfeo_toolbox_where_all_maps_have_data(case):
    # There no data takes part in the vote, against its own documentation: two maps without data outvote one with.
    folder, maps, _ = case
    expected = otb(case, "-method", "majorityvoting")
    fuse(maps, "majority", folder / "majority.tif", undecided=99)
    ours, labels = read(folder / "majority.tif"), np.stack([read(path) for path in maps])
    whole = (labels != 0).all(axis=0)
    assert (ours[whole] == expected[whole]).all() and (ours[whole] == 99).any()
    lone = (labels != 0).sum(axis=0) == 1
    assert (ours[lone] == labels.max(axis=0)[lone]).all() and lone.any()


def brute_force(given_labels, masses, universe):
    """Dempster's rule over all subsets of the classes: {class: belief}, or None for total conflict."""
    whole = frozenset(universe)
    joint = {whole: 1.0}
    for label, mass in zip(given_labels, masses, strict=True):
        m = mass.get(label, 0.0)
        if label == 0 or m <= 0:
            continue
        own = {frozenset([label]): m, whole - {label}: 1.0 - m}
        new = {}
        for (a, x), (b, y) in itertools.product(joint.items(), own.items()):
            if a & b:
                new[a & b] = new.get(a & b, 0.0) + x * y
        total = sum(new.values())
        if total == 0:
            return None
        joint = {key: value / total for key, value in new.items()}
    return {c: joint.get(frozenset([c]), 0.0) for c in universe}


@given(st.data())
def test_belief_is_dempsters_rule(data):
    universe = list(range(1, data.draw(st.integers(2, 4)) + 1))
    count = data.draw(st.integers(1, 4))
    labels = [data.draw(st.sampled_from([0, *universe])) for _ in range(count)]
    mass = st.sampled_from([0.0, 0.2, 0.5, 0.7, 0.9, 1.0])
    masses = [{c: data.draw(mass) for c in universe} for _ in range(count)]
    fused = dempster_shafer(np.array(labels, np.int32).reshape(-1, 1, 1), masses)
    code, belief = int(fused.codes[0, 0]), float(fused.confidence[0, 0])
    expected = brute_force(labels, masses, universe)
    if not any(labels):
        assert code == 0
    elif expected is None or not any(m.get(c, 0) > 0 for c, m in zip(labels, masses, strict=True) if c):
        assert code == UNDECIDED
    else:
        given_classes = {c for c, m in zip(labels, masses, strict=True) if c and m[c] > 0}
        best = max(expected[c] for c in given_classes)
        winners = {c for c in given_classes if math.isclose(expected[c], best, rel_tol=1e-7)}
        assert code == (winners.pop() if len(winners) == 1 else UNDECIDED)
        assert belief == pytest.approx(best, abs=1e-6)


def test_votes_by_hand():
    labels = np.array([[1, 1, 2], [1, 2, 3], [0, 0, 4], [0, 0, 0], [5, 5, 5], [0, 1, 2]], np.int32).T[:, None, :]
    fused = majority(labels)
    assert fused.codes[0].tolist() == [1, UNDECIDED, 4, 0, 5, UNDECIDED]
    assert fused.confidence[0] == pytest.approx([2 / 3, 1 / 3, 1, 0, 1, 0.5])


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.randoms())
def test_the_order_of_the_maps_does_not_matter(labels, random):
    shuffled = list(labels)
    random.shuffle(shuffled)
    mass = {1: 0.7, 2: 0.6, 3: 0.3}
    for rule in (majority, lambda x: dempster_shafer(x, [mass] * len(labels))):
        one, other = (rule(np.array(x, np.int32).reshape(-1, 1, 1)) for x in (labels, shuffled))
        assert one.codes == other.codes and one.confidence == pytest.approx(other.confidence, abs=1e-6)


def test_mean_of_probabilities_by_hand():
    first = np.array([[[0.6, 0.5, 0.9]], [[0.4, 0.5, 0.1]]], np.float32)  # classes 1 and 2
    second = np.array([[[0.1, 0.5, 0.0]], [[0.9, 0.5, 0.0]]], np.float32)  # classes 2 and 5
    valid = [np.ones((1, 3), bool), np.array([[True, True, False]])]
    places = [np.array([0, 1]), np.array([1, 2])]
    fused = mean_probability([first, second], places, valid, np.array([1, 2, 5]))
    # 1: 0.30, 0.25, 0.9; 2: 0.25, 0.5, 0.1; 5: 0.45, 0.25, -
    assert fused.codes.tolist() == [[5, 2, 1]]
    assert fused.confidence[0] == pytest.approx([0.45, 0.5, 0.9])


def write_probabilities(path, classes, values):
    from landloom.model.mapping.chunks import Area
    from landloom.model.stack.grid import Grid

    nomenclature = Nomenclature(tuple(classes))
    layer = map_layers(nomenclature, path, None, path)[-1]
    height, width = values.shape[1:]
    grid = Grid(spatial_reference(UTM).ExportToWkt(), (500000.0, 10.0, 0.0, 8000000.0, 0.0, -10.0), width, height)
    dataset = create(layer, path, grid, Area(0, 0, width, height))
    dataset.WriteArray(values)
    return str(path)


def test_mean_takes_the_probabilities_of_classify(tmp_path):
    maize, rice, tree = (
        LandCoverClass(c, n, k)
        for c, n, k in ((1, "maïs", "#ffcc00"), (300, "riz", "#00ff00"), (4, "arbre", "#00ffff"))
    )
    first = write_probabilities(
        tmp_path / "a.tif", [maize, rice], np.array([[[6000, 65535]], [[4000, 65535]]], np.uint16)
    )
    second = write_probabilities(
        tmp_path / "b.tif", [rice, tree], np.array([[[9000, 2000]], [[1000, 8000]]], np.uint16)
    )
    done = fuse([first, second], "mean", tmp_path / "o.tif", tmp_path / "c.tif")
    assert read(tmp_path / "o.tif").tolist() == [[300, 4]]
    assert read(tmp_path / "c.tif").tolist() == [[65, 80]]
    assert [(one.code, one.name, one.color) for one in done.nomenclature] == [
        (1, "maïs", "#ffcc00"),
        (4, "arbre", "#00ffff"),
        (300, "riz", "#00ff00"),
    ]
    with pytest.raises(LandloomError, match="does not tell the classes of its bands"):
        fuse([write_map(tmp_path / "m.tif", np.ones((2, 2), np.uint8)), first], "mean", tmp_path / "o.tif")
    with pytest.raises(LandloomError, match="choose METHOD=mean"):
        fuse([first, second], "majority", tmp_path / "o.tif")


def test_maps_of_different_extents_cover_all_with_what_they_have(tmp_path):
    left = write_map(tmp_path / "l.tif", np.full((4, 6), 1, np.uint8))
    right = write_map(tmp_path / "r.tif", np.full((6, 4), 2, np.uint8), corner=(500040.0, 8000020.0))
    done = fuse([left, right], "majority", tmp_path / "o.tif", tmp_path / "c.tif", undecided=9)
    expected = np.zeros((6, 8), np.uint8)
    expected[2:6, 0:6] = 1
    expected[:, 4:8] = np.where(expected[:, 4:8] == 1, 9, 2)
    assert (read(tmp_path / "o.tif") == expected).all()
    assert open_raster(tmp_path / "o.tif").GetGeoTransform() == (500000.0, 10.0, 0.0, 8000020.0, 0.0, -10.0)
    assert read(tmp_path / "c.tif")[expected == 9].tolist() == [50] * 8
    assert read(tmp_path / "c.tif")[expected == 0].tolist() == [255] * 8
    assert (done.pixels, done.undecided) == (40, 8)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"corner": (500003.0, 8000000.0)}, "another grid of pixels"),
        ({"size": 20.0}, "another grid of pixels"),
        ({"epsg": "EPSG:32737"}, "another CRS"),
    ],
)
def test_other_grids_are_refused(tmp_path, changes, word):
    maps = [write_map(tmp_path / f"{k}.tif", np.ones((4, 4), np.uint8), **(changes if k else {})) for k in range(2)]
    with pytest.raises(LandloomError, match=word):
        fuse(maps, "majority", tmp_path / "o.tif")
    assert not (tmp_path / "o.tif").exists()


def test_a_map_of_another_place_is_refused(tmp_path):
    """It would give an empty map of all that lies between."""
    maps = [write_map(tmp_path / f"{k}.tif", np.ones((4, 4), np.uint8)) for k in range(2)]
    maps.append(write_map(tmp_path / "far.tif", np.ones((4, 4), np.uint8), corner=(500040.0, 8000000.0)))
    with pytest.raises(LandloomError, match=r"far.tif overlaps none of the other MAPS"):
        fuse(maps, "majority", tmp_path / "o.tif")
    assert not (tmp_path / "o.tif").exists()


def name_classes(path, names, colors):
    dataset = gdal.OpenEx(path, gdal.OF_UPDATE | gdal.OF_RASTER)
    table = gdal.ColorTable()
    for code, color in colors.items():
        table.SetColorEntry(code, (*color, 255))
    dataset.GetRasterBand(1).SetRasterColorTable(table)
    dataset.GetRasterBand(1).SetRasterCategoryNames([names.get(k, "") for k in range(max(names) + 1)])
    dataset.FlushCache()


def test_names_and_colours_are_merged_by_code(tmp_path):
    first = write_map(tmp_path / "a.tif", np.array([[1, 2]], np.uint8))
    name_classes(first, {1: "maïs, irrigué", 2: "riz"}, {1: (255, 204, 0), 2: (0, 255, 0)})
    second = write_map(tmp_path / "b.tif", np.array([[1, 30]], np.uint8))
    name_classes(second, {1: "maïs, irrigué", 2: "forêt", 30: "eau"}, {30: (0, 0, 255)})
    third = write_map(tmp_path / "c.tif", np.array([[1, 31]], np.uint8))
    progress = Told()
    done = fuse([first, second, third], "majority", tmp_path / "o.tif", undecided=99, progress=progress)
    assert [(one.code, one.name) for one in done.nomenclature][:-1] == [
        (1, "maïs, irrigué"), (2, "riz"), (30, "eau"), (31, "31"),
    ]  # fmt: skip
    assert [one.color for one in done.nomenclature][0:3] == ["#ffcc00", "#00ff00", "#0000ff"]
    assert any("Code 2 has different names, riz, forêt" in text for text in progress.warnings)
    names, colors = legend_of(open_raster(tmp_path / "o.tif"))
    assert names == {1: "maïs, irrigué", 2: "riz", 30: "eau", 31: "31", 99: "undecided"}
    assert colors[1] == "#ffcc00"
    assert 'label="maïs, irrigué"' in (tmp_path / "o.qml").read_text(encoding="utf-8")
    known = Nomenclature((LandCoverClass(31, "bâti", "#112233"),))
    again = fuse([first, second, third], "majority", tmp_path / "o.tif", nomenclature=known, progress=progress)
    assert again.nomenclature[3] == known[0]


def test_no_data_and_unsure_pixels_have_no_say(tmp_path):
    first = write_map(tmp_path / "a.tif", np.array([[255, 1, 200]], np.uint8), nodata=255)
    second = write_map(tmp_path / "b.tif", np.array([[2, 9, 9]], np.uint8))
    dataset = gdal.OpenEx(second, gdal.OF_UPDATE | gdal.OF_RASTER)
    dataset.SetMetadataItem("LANDLOOM_UNSURE", "9")
    del dataset
    fuse([first, second], "majority", tmp_path / "o.tif")
    assert read(tmp_path / "o.tif").tolist() == [[2, 1, 200]]


def test_memory_and_tiles_do_not_change_the_map(tmp_path):
    random = np.random.default_rng(1)
    maps = [write_map(tmp_path / f"{k}.tif", random.integers(0, 5, (300, 900)).astype(np.uint8)) for k in range(3)]
    fuse(maps, "majority", tmp_path / "little.tif", memory_mb=1)
    fuse(maps, "majority", tmp_path / "much.tif", memory_mb=1024)
    labels = np.stack([read(path) for path in maps]).astype(np.int32)
    expected = majority(labels).codes
    assert (read(tmp_path / "little.tif") == np.where(expected < 0, 0, expected)).all()
    assert (read(tmp_path / "little.tif") == read(tmp_path / "much.tif")).all()


def test_a_cancelled_fusion_leaves_nothing(tmp_path):
    class Impatient(Progress):
        asked = 0

        def is_cancelled(self):
            self.asked += 1
            return self.asked > 6

    maps = [write_map(tmp_path / f"{k}.tif", np.ones((600, 300), np.uint8)) for k in range(2)]
    with pytest.raises(Cancelled):
        fuse(maps, "majority", tmp_path / "o.tif", tmp_path / "c.tif", progress=Impatient())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tif", "1.tif"]


def test_refuses(tmp_path, case):
    _, maps, matrices = case
    for arguments, changes, word in (
        ((maps[:1], "majority"), {}, "two or more"),
        ((maps, "vote"), {}, "choose one of: majority"),
        ((maps, "dempstershafer"), {"matrices": matrices[:2]}, "2 confusion matrices for 3 maps"),
        ((maps, "majority"), {"matrices": matrices}, "leave one of them out"),
        ((maps, "majority"), {"undecided": 7}, "the code of '7'"),
        ((maps, "dempstershafer"), {"matrices": matrices, "belief": "luck"}, "BELIEF is 'luck'"),
    ):
        with pytest.raises(LandloomError, match=word):
            fuse(*arguments, tmp_path / "o.tif", **changes)
    with pytest.raises(LandloomError, match="one of MAPS"):
        fuse(maps, "majority", maps[0])
    wrong = write_map(tmp_path / "w.tif", np.array([[1.5, 2]], np.float32))
    with pytest.raises(LandloomError, match=r"value 1\.5"):
        fuse([wrong, wrong], "majority", tmp_path / "o.tif")
    empty = write_map(tmp_path / "e.tif", np.zeros((2, 2), np.uint8))
    with pytest.raises(LandloomError, match="No map holds a class"):
        fuse([empty, empty], "majority", tmp_path / "o.tif")


def test_both_forms_of_a_matrix(tmp_path):
    otb_form = tmp_path / "otb.csv"
    otb_form.write_text("#Reference labels (rows):1,2,5\n#Produced labels (columns):1,2\n8,2\n1,9\n0,4\n")
    own = tmp_path / "own.csv"
    own.write_text("reference,1,2\n1,8,2\n2,1,9\n5,0,4\n")
    for path in (otb_form, own):
        codes, matrix = read_matrix(path)
        assert codes == [1, 2, 5] and matrix.tolist() == [[8, 2, 0], [1, 9, 0], [0, 4, 0]]
    assert masses_of(own, "precision") == pytest.approx({1: 8 / 9, 2: 9 / 15, 5: 0})
    assert masses_of(own, "recall") == pytest.approx({1: 0.8, 2: 0.9, 5: 0})
    assert masses_of(own, "accuracy") == pytest.approx(dict.fromkeys((1, 2, 5), 17 / 24))
    chance = (10 * 9 + 10 * 15) / 24**2
    assert masses_of(own, "kappa") == pytest.approx(dict.fromkeys((1, 2, 5), (17 / 24 - chance) / (1 - chance)))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no confusion matrix"),
        ("reference,maize\nmaize,3\n", "no whole number"),
        ("reference,1,2\n1,3\n", "1 counts for 2 classes"),
        ("reference,1,1\n1,3,4\n", "a class twice"),
        ("reference,1\n1,-3\n", "'-3' for a count"),
        ("reference,1\n1,0\n", "holds no counts"),
        ("#Reference labels (rows):1,2\n", "two are due"),
        ("#Reference labels (rows):1,2\n#Produced labels (columns):1,2\n3,4\n", "1 lines of counts for 2 classes"),
    ],
)
def test_bad_matrices_are_refused(tmp_path, text, word):
    path = tmp_path / "m.csv"
    path.write_text(text)
    with pytest.raises(LandloomError, match=word):
        read_matrix(path)
