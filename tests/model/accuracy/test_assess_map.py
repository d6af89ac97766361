"""Protects the assessment of maps: what is compared, what is left out, and what it says of itself."""

from __future__ import annotations

import accuracy_data as data
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.accuracy.assessfiles import assessment_json, write_assessment, write_matrix, write_objects
from landloom.model.accuracy.assessreport import assessment_report
from landloom.model.accuracy.estimators import estimate
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.matrixfile import read_matrix
from landloom.model.base.progress import Progress
from osgeo import gdal, ogr

NAMES = {1: "maize", 2: "rice", 3: "water"}


def fields(seed=0, side=5, across=6):
    """A truth of square fields, the map of it with errors, and one polygon a field."""
    random = np.random.default_rng(seed)
    classes = random.integers(1, 4, (across, across))
    classes.flat[:3] = (1, 2, 3)
    truth = np.kron(classes, np.ones((side, side), int))
    mapped = np.where(random.random(truth.shape) < 0.25, random.integers(1, 4, truth.shape), truth)
    boxes = [data.box(r * side, c * side, side, side) for r in range(across) for c in range(across)]
    values = [NAMES[int(k)] for k in classes.ravel()]
    return truth, mapped.astype(np.uint8), boxes, values


@pytest.fixture
def case(tmp_path):
    truth, mapped, boxes, values = fields()
    path = data.write_map(tmp_path / "map.tif", mapped, NAMES, nodata=0)
    return truth, mapped, path, data.write_layer(tmp_path / "fields.gpkg", boxes, {"class": values})


@settings(max_examples=6)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_scores_are_those_of_scikit_learn(tmp_path_factory, classes, seed):
    """Points on random maps: also one class only, classes that the map or the reference lacks."""
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(seed)
    array = random.integers(1, classes + 1, (12, 12)).astype(np.uint8)
    n = int(random.integers(1, 40))
    rows, columns = random.integers(0, 12, n), random.integers(0, 12, n)
    reference = random.integers(1, classes + 2, n)
    reference[0] = array[0, 0]
    folder = tmp_path_factory.mktemp("case")
    points = [data.point(r, c) for r, c in zip(rows, columns, strict=True)]
    layer = data.write_layer(folder / "points.gpkg", points, {"class": [int(v) for v in reference]})
    found = data.judged(data.write_map(folder / "map.tif", array), layer)
    codes = [one.code for one in found.matching.classes]
    mapped = array[rows, columns]
    np.testing.assert_array_equal(found.matrix, metrics.confusion_matrix(reference, mapped, labels=codes))
    assert found.pixel.overall_accuracy == pytest.approx(metrics.accuracy_score(reference, mapped))
    present = sorted(set(reference.tolist()))
    macro = metrics.f1_score(reference, mapped, labels=present, average="macro", zero_division=0)
    assert found.pixel.macro_f1 == pytest.approx(macro)
    if len(set(reference.tolist()) | set(mapped.tolist())) > 1:
        assert found.pixel.kappa == pytest.approx(metrics.cohen_kappa_score(reference, mapped))
    else:
        assert np.isnan(found.pixel.kappa) and assessment_json(found)["pixel"]["kappa"] is None
    assert "–" in assessment_report(found).html() or len(present) == len(codes)


def test_unsure_pixels_are_left_out_where_polygons_judge(case):
    """The class that UNSURE_ERROR writes is no land cover: the scores are of the rest, and the report says so."""
    truth, mapped, path, layer = case
    with_unsure = np.where((truth != mapped) & (np.arange(mapped.size).reshape(mapped.shape) % 2 == 0), 4, mapped)
    data.write_map(path, with_unsure.astype(np.uint8), {**NAMES, 4: "unsure"}, nodata=0)
    counted = data.judged(path, layer)
    gdal.Open(str(path), gdal.GA_Update).SetMetadataItem("LANDLOOM_UNSURE", "4")
    found = data.judged(path, layer)
    sure = with_unsure != 4
    assert found.matrix.sum() == sure.sum() < truth.size
    assert found.pixel.overall_accuracy == pytest.approx((truth == mapped)[sure].mean())
    assert counted.pixel.overall_accuracy == pytest.approx((truth == with_unsure).mean())
    assert any(f"{(~sure).sum()} of {truth.size} pixels" in one for one in found.warnings)


def test_polygons(case):
    truth, mapped, path, layer = case
    found = data.judged(path, layer)
    expected = np.zeros((3, 3), int)
    np.add.at(expected, (truth.ravel() - 1, mapped.ravel() - 1), 1)
    np.testing.assert_array_equal(found.matrix, expected)
    assert found.groups == 36 and found.polygon_matrix.sum() == 36
    assert found.polygon.overall_accuracy == 1  # a quarter of wrong pixels turns no field of 25 round
    low, high = (found.bootstrap.interval([0], "overall_accuracy").__getattribute__(name) for name in ("low", "high"))
    assert low < found.pixel.overall_accuracy < high
    assert found.estimates is None
    worst = found.confusions[0]
    wrong = expected - np.diag(np.diag(expected))
    assert worst.pixels == wrong.max() == wrong[worst.reference, worst.mapped]
    index, count = worst.places[0]
    block = np.unravel_index(index, (6, 6))
    inside = (slice(5 * block[0], 5 * block[0] + 5), slice(5 * block[1], 5 * block[1] + 5))
    assert count == ((truth[inside] == worst.reference + 1) & (mapped[inside] == worst.mapped + 1)).sum()


def test_purposive_data_are_called_so(case):
    page = assessment_report(data.judged(case[2], case[3])).html()
    assert "not a probability sample" in page and "inside of these polygons only" in page
    assert "neither SAMPLES nor MODEL was given" in page
    content = assessment_json(data.judged(case[2], case[3]))
    assert content["design"] == "purposive" and content["whole_map"] is None


def test_reference_in_another_crs_and_format(case, tmp_path):
    _, _, boxes, values = fields()
    other = data.write_layer(tmp_path / "fields.geojson", boxes, {"class": values}, to_epsg=4326)
    first, second = data.judged(case[2], case[3]), data.judged(case[2], other)
    np.testing.assert_array_equal(first.matrix, second.matrix)


def test_no_data_is_counted_apart(case, tmp_path):
    _, mapped, _, layer = case
    mapped = mapped.copy()
    mapped[:5] = 0
    path = data.write_map(tmp_path / "holes.tif", mapped, NAMES, nodata=0)
    found = data.judged(path, layer)
    assert found.no_data == 150 and found.matrix.sum() == 750
    objects = found.objects
    assert [objects.verdict(i) for i in range(6)] == ["no data"] * 6 and objects.pixels[:6].sum() == 0
    assert "150 pixels, and 6 polygons" in assessment_report(found).html()


def test_classes_without_counterpart_are_told(case, tmp_path):
    _, _, boxes, values = fields()
    values[0] = "mangrove"
    layer = data.write_layer(tmp_path / "more.gpkg", boxes, {"class": values})
    found = data.judged(case[2], layer)
    assert found.matrix.shape == (4, 4) and not found.matrix[3, 3] and found.matrix[3].sum() == 25
    assert any("mangrove" in sentence for sentence in found.warnings)


def test_groups_of_a_field_are_one_draw(case, tmp_path):
    _, _, boxes, values = fields()
    farms = [str(i // 6) for i in range(36)]
    layer = data.write_layer(tmp_path / "farms.gpkg", boxes, {"class": values, "farm": farms})
    assert data.judged(case[2], layer, group_field="farm").groups == 6


def test_a_map_of_0_and_1(tmp_path):
    random = np.random.default_rng(0)
    array = random.integers(0, 2, (10, 10)).astype(np.uint8)
    path = data.write_map(tmp_path / "forest.tif", array)
    points = [data.point(r, c) for r in range(10) for c in range(10)]
    layer = data.write_layer(tmp_path / "points.gpkg", points, {"class": [int(v) for v in array.ravel()]})
    found = data.judged(path, layer)
    assert found.matrix.sum() == 100 and found.pixel.overall_accuracy == 1


def test_confidence_of_another_grid_and_scale(case, tmp_path):
    shares = np.full((60, 60), 0.5, np.float32)  # pixels of 5 m
    shares[:10, :10] = 0.9
    transform = (data.ORIGIN[0], 5.0, 0.0, data.ORIGIN[1], 0.0, -5.0)
    confidence = data.write_map(tmp_path / "confidence.tif", shares, transform=transform)
    found = data.judged(case[2], case[3], confidence=str(confidence)).objects
    assert found.confidence[0] == pytest.approx(90) and found.confidence[7] == pytest.approx(50)
    bytes_ = np.full((30, 30), 255, np.uint8)
    bytes_[:, 15:] = 70
    path = data.write_map(tmp_path / "bytes.tif", bytes_, nodata=255)
    found = data.judged(case[2], case[3], confidence=str(path)).objects
    assert np.isnan(found.confidence[0]) and found.confidence[5] == pytest.approx(70)


def sample_of(tmp_path, mapped, truth, n=80, seed=3, **more):
    random = np.random.default_rng(seed)
    rows, columns = np.divmod(random.choice(mapped.size, n, replace=False), mapped.shape[1])
    points = [data.point(r, c) for r, c in zip(rows, columns, strict=True)]
    columns_of = {"class": [NAMES[int(k)] for k in truth[rows, columns]]}
    columns_of |= {name: make(rows, columns) for name, make in more.items()}
    return data.write_layer(tmp_path / f"sample{seed}.gpkg", points, columns_of), rows, columns


def test_a_simple_random_sample_is_stratified_afterwards(case, tmp_path):
    truth, mapped, path, _ = case
    layer, rows, columns = sample_of(tmp_path, mapped, truth)
    found = data.judged(path, layer, design="random")
    own = mapped[rows, columns] - 1
    expected = estimate(truth[rows, columns] - 1, own, 3, own, np.bincount(mapped.ravel())[1:])
    assert found.estimates.overall.value == pytest.approx(expected.overall.value)
    assert found.estimates.overall.error == pytest.approx(expected.overall.error)
    assert found.hectares == pytest.approx(9.0)
    page = assessment_report(found).html()
    assert "Area of the classes" in page and "simple random or systematic" in page


def test_strata_of_the_map_need_no_probabilities(case, tmp_path):
    truth, mapped, path, _ = case
    more = {"stratum": lambda r, c: [NAMES[int(k)] for k in mapped[r, c]]}
    layer, _, _ = sample_of(tmp_path, mapped, truth, **more)
    by_name = data.judged(path, layer, stratum_field="stratum").estimates
    assert by_name.overall == data.judged(path, layer, design="stratified").estimates.overall
    wrong = {"stratum": lambda r, c: [1] * len(r)}
    layer, _, _ = sample_of(tmp_path, mapped, truth, seed=4, **wrong)
    with pytest.raises(LandloomError, match=r"is not the map's class at .* give the PROBABILITY_FIELD"):
        data.judged(path, layer, stratum_field="stratum")


def test_points_beside_the_map_count_as_drawn(case, tmp_path):
    """A sample of a larger region judges this part of it: a domain."""
    truth, mapped, path, _ = case
    rows = np.array([0, 3, 8, 12, 20, 5000, 5001, 5002])
    points = [data.point(r, 2) for r in rows]
    labels = [NAMES[int(truth[r, 2])] for r in rows[:5]] + ["maize"] * 3
    layer = data.write_layer(tmp_path / "region.gpkg", points, {"class": labels, "p": [8 / 1440] * 8})
    found = data.judged(path, layer, probability_field="p")
    reference = np.r_[truth[rows[:5], 2] - 1, -1, -1, -1]
    own = np.r_[mapped[rows[:5], 2] - 1, -1, -1, -1]
    expected = estimate(reference, own, 3, np.zeros(8, int), np.array([1440.0]))
    assert found.estimates.overall.value == pytest.approx(expected.overall.value)
    assert found.estimates.overall.error == pytest.approx(expected.overall.error)
    assert found.hectares == pytest.approx(9.0)  # 5 of 8 of 1,440 pixels are the map's 900


def test_polygons_drawn_with_probabilities_are_clusters(case, tmp_path):
    truth, mapped, path, _ = case
    _, _, boxes, values = fields()
    layer = data.write_layer(tmp_path / "drawn.gpkg", boxes[:12], {"class": values[:12], "p": [1 / 3] * 12})
    found = data.judged(path, layer, probability_field="p").estimates
    right = (truth == mapped)[:10].reshape(2, 5, 6, 5).sum(axis=(1, 3)).ravel()
    assert found.overall.value == pytest.approx(right.sum() / 300)
    residual = right - 25 * found.overall.value
    assert found.overall.error == pytest.approx(np.sqrt(12 / 11 * (residual**2).sum()) / 300)


def test_names_from_data_are_escaped(tmp_path):
    array = np.ones((4, 4), np.uint8)
    path = data.write_map(tmp_path / "map.tif", array, {1: "<b>&maize"})
    layer = data.write_layer(tmp_path / "p.gpkg", [data.point(0, 0)], {"class": ["<b>&maize"]})
    page = assessment_report(data.judged(path, layer)).html()
    assert "<b>" not in page and "&lt;b&gt;&amp;maize" in page


def test_files(case, tmp_path):
    _, _, path, layer = case
    table = tmp_path / "table.csv"
    table.write_text("value,code,name\n" + "".join(f"{value},{code},{value}\n" for code, value in NAMES.items()))
    found = data.judged(path, layer, nomenclature=str(table))
    write_assessment(found, tmp_path / "table.json")
    inputs = data.read_json(tmp_path / "table.json")["provenance"]["inputs"]
    assert {one["role"] for one in inputs} == {"MAP", "REFERENCE", "NOMENCLATURE"}
    write_matrix(found, tmp_path / "matrix.csv")
    codes, matrix = read_matrix(tmp_path / "matrix.csv")
    assert codes == [1, 2, 3] and (matrix == found.matrix).all()
    write_objects(found, tmp_path / "objects.gpkg", Progress())
    dataset = ogr.Open(str(tmp_path / "objects.gpkg"))
    objects = dataset.GetLayerByName("objects")
    assert objects.GetFeatureCount() == 36 and objects.GetGeomType() == ogr.wkbMultiPolygon
    for index, feature in enumerate(objects):
        assert feature["predicted"] == found.matching.names[found.objects.predicted[index]]
        assert feature["agreement"] == pytest.approx(100 * found.objects.agreement[index], abs=0.05)
        assert feature["verdict"] == found.objects.verdict(index) and feature["confidence"] is None
    assert dataset.GetLayerByName("layer_styles").GetFeatureCount() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_field": "kind"}, "CLASS_FIELD is 'kind', .* it has class"),
        ({"class_field": ""}, "CLASS_FIELD is empty"),
        ({"group_field": "farm"}, "GROUP_FIELD is 'farm'"),
        ({"design": "random"}, "polygons, which cover areas of different size"),
        ({"design": "lucky"}, "DESIGN is 'lucky'"),
        ({"design": "purposive", "stratum_field": "class"}, "DESIGN is purposive, which has no STRATUM_FIELD"),
        ({"probability_field": "class"}, "PROBABILITY_FIELD 'class' must be above 0"),
        ({"level": 2}, "LEVEL is 2, but no NOMENCLATURE"),
        ({"nomenclature": "none.csv"}, "none.csv does not exist"),
        ({"samples": ("nowhere",)}, "nowhere is not a folder of samples"),
        ({"model": "none.safetensors"}, "Cannot read the model none.safetensors"),
        ({"confidence": "none.tif"}, "none.tif"),
    ],
)
def test_refuses(case, change, message):
    change = {"class_field": "class", **change}
    with pytest.raises(LandloomError, match=message):
        data.judged(case[2], case[3], **change)


def test_refuses_what_does_not_meet_the_map(case, tmp_path):
    far = data.write_layer(tmp_path / "far.gpkg", [data.box(9000, 0, 5, 5)], {"class": ["maize"]})
    with pytest.raises(LandloomError, match=r"None of the 1 features .* lies on the map"):
        data.judged(case[2], far)
    empty = data.write_map(tmp_path / "half.tif", np.pad(case[1][:, 15:], ((0, 0), (15, 0))), NAMES, nodata=0)
    west = data.write_layer(tmp_path / "west.gpkg", [data.box(0, 0, 5, 5)], {"class": ["maize"]})
    with pytest.raises(LandloomError, match="no data at any of the 1 features"):
        data.judged(empty, west)
    bad = data.write_map(tmp_path / "bad.tif", np.full((30, 30), 300, np.int16))
    with pytest.raises(LandloomError, match="percent"):
        data.judged(case[2], case[3], confidence=str(bad))


def test_refuses_more_reference_pixels_than_memory_has_room_for(case, monkeypatch):
    monkeypatch.setattr("landloom.model.accuracy.objects.PIXEL_BYTES", 2**20)
    with pytest.raises(LandloomError, match=r"cover [\d,]+ pixels, which take about .* MB: raise MEMORY_MB"):
        data.judged(case[2], case[3], memory_mb=1)


def test_cancelling_stops(case):
    class Stopped(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        data.judged(case[2], case[3], progress=Stopped())


def test_what_lies_beside_training_samples_is_left_out(tmp_path, monkeypatch):
    """Control fields drawn anew hold no training pixel; those within GROUP_DISTANCE of one are of its group still."""
    from landloom.model.accuracy import assess as module
    from landloom.model.accuracy.independence import TrainingPlaces

    mapped = np.tile(np.repeat([1, 2], 20), (10, 1)).astype(np.uint8)
    path = data.write_map(tmp_path / "map.tif", mapped, NAMES)
    boxes = [data.box(2, column, 4, 4) for column in (4, 14, 24, 34)]
    layer = data.write_layer(tmp_path / "new.gpkg", boxes, {"class": ["maize", "maize", "rice", "rice"]})
    pixels = np.array([3 * 40 + 0])  # four columns of 10 m before the first field, 60 m before the next
    for distance, field, left in ((0.0, "", 4), (39.0, "", 4), (41.0, "", 3), (41.0, "farm", 4)):
        places = TrainingPlaces(pixels, 0, field, distance, "Some are left out.")
        monkeypatch.setattr(module, "training_places", lambda *_, places=places: places)
        assert data.judged(path, layer).matrix.sum() == 16 * left, distance


def test_units_that_trained(case, tmp_path, monkeypatch):
    """Places that trained are a part of the map and stay in its estimates; units of the sample that trained do not."""
    from landloom.model.accuracy import assess as module
    from landloom.model.accuracy.independence import TrainingPlaces

    truth, mapped, path, _ = case
    layer, rows, columns = sample_of(tmp_path, mapped, truth)
    before = data.judged(path, layer, design="random")
    flat = rows * 30 + columns
    fields_that_trained = np.unique(np.r_[flat[:30], np.setdiff1d(np.arange(900), flat)[:100]])
    for pixels, kept in ((fields_that_trained, True), (np.sort(flat[:30]), False)):
        places = TrainingPlaces(pixels, 0, "", 0.0, "Some are left out.")
        monkeypatch.setattr(module, "training_places", lambda *_, places=places: places)
        found = data.judged(path, layer, design="random")
        assert found.matrix.sum() == 50 and "30 units" in " ".join(found.warnings)
        if kept:
            assert found.estimates.overall == before.estimates.overall
        else:
            own = mapped[rows[30:], columns[30:]] - 1
            expected = estimate(truth[rows[30:], columns[30:]] - 1, own, 3, own, np.bincount(mapped.ravel())[1:])
            assert found.estimates.overall.value == pytest.approx(expected.overall.value)
