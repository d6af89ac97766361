"""Extraction end to end without QGIS: values, labels, splits, warnings, refusals, cancellation."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple

import numpy as np
import pytest
import samples_scene
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.progress import Progress
from landloom.model.samples import streaming
from landloom.model.samples.extraction import extract_samples
from landloom.model.samples.report import sample_report
from landloom.model.samples.settings import ExtractionSettings
from landloom.model.samples.splits import TEST, TRAINING, VALIDATION
from landloom.model.samples.store import SampleStore
from landloom.model.stack.grid import Window
from landloom.model.stack.reader import StackReader
from osgeo import ogr

X0, Y0 = samples_scene.ORIGIN


@pytest.fixture
def extract(field_stack, field_layer, tmp_path):
    def run(stack=field_stack, reference=field_layer, output=tmp_path / "sorties" / "é 1", progress=None, **settings):
        settings = ExtractionSettings(**{"class_field": "crop", **settings})
        made = extract_samples(stack, reference, settings, output, progress or Progress())
        return made, SampleStore.open(output)

    return run


def place(store):
    """Rows and columns of the samples on the grid."""
    return ((Y0 - store.y) // 10).astype(int), ((store.x - X0) // 10).astype(int)


def layer_of(tmp_path, features, name="référence.gpkg", **options):
    return samples_scene.write_layer(tmp_path / "données" / name, features, **options)


def assert_equal_stores(one, other):
    for name in ("labels", "split", "fold", "x", "y", "suspect"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    first, second = one.batch(np.arange(len(one)), 2), other.batch(np.arange(len(other)), 2)
    for name in first:
        assert np.array_equal(first[name].values, second[name].values)
        assert np.array_equal(first[name].mask, second[name].mask)


@pytest.mark.parametrize("halo", [0, 3])
def test_values_and_labels_are_those_of_the_images(extract, field_stack, halo):
    made, store = extract(halo=halo)
    assert len(store) == 30 * 64 == len(made) and store.halo == halo
    rows, columns = place(store)
    assert np.array_equal(store.labels, samples_scene.truth()[rows, columns])
    assert store.nomenclature.names == samples_scene.CLASSES
    with StackReader(field_stack) as reader:
        assert store.specs == reader.specs
        whole = reader.read(Window(0, 0, samples_scene.WIDTH, samples_scene.HEIGHT), halo)
    chosen = np.random.default_rng(0).permutation(len(store))[:200]
    side = 2 * halo + 1
    for name, series in store.batch(chosen, halo).items():
        for position, (r, c) in enumerate(zip(rows[chosen], columns[chosen], strict=True)):
            assert np.array_equal(series.values[position], whole[name].values[0][:, :, r : r + side, c : c + side])
            assert np.array_equal(series.mask[position], whole[name].mask[0][:, r : r + side, c : c + side])
    assert np.isfinite(store.batch(np.arange(len(store)))["S1_ASC"].values).all()


def test_split_and_folds_keep_polygons_whole(extract):
    _, store = extract()
    for polygon in np.unique(store.polygons):
        own = store.polygons == polygon
        assert (
            len(np.unique(store.split[own]))
            == len(np.unique(store.fold[own]))
            == len(np.unique(store.groups[own]))
            == 1
        )
    for label in range(3):
        own = store.labels == label
        assert [len(np.unique(store.groups[own & (store.split == part)])) for part in (0, 1, 2)] == [6, 2, 2]
        assert set(store.fold[own]) == {0, 1, 2, 3, 4}


def test_the_seed_decides(extract, tmp_path):
    _, first = extract(max_per_group=20, output=tmp_path / "1")
    _, again = extract(max_per_group=20, output=tmp_path / "2")
    _, other = extract(max_per_group=20, output=tmp_path / "3", seed=1)
    assert_equal_stores(first, again)
    assert not np.array_equal(first.x, other.x) and not np.array_equal(first.split, other.split)
    assert np.bincount(first.groups).max() == 20


def test_max_per_class(extract):
    _, store = extract(max_per_class=45)
    assert np.bincount(store.labels).tolist() == [45, 45, 45]
    assert len(np.unique(store.groups)) == 30


@pytest.mark.parametrize(("epsg", "suffix"), [(4326, ".geojson"), (32737, ".gpkg"), (32738, ".shp"), (3857, ".gpkg")])
def test_any_crs_and_format(extract, tmp_path, epsg, suffix):
    reference = layer_of(tmp_path, samples_scene.fields(), f"champs {epsg}{suffix}", epsg=epsg, geometry=ogr.wkbPolygon)
    _, store = extract(reference=reference, output=tmp_path / "autre")
    _, same = extract()
    assert set(zip(store.x, store.y, store.labels, strict=True)) == set(zip(same.x, same.y, same.labels, strict=True))


def test_a_stack_in_degrees(make_stack, tmp_path):
    folder = tmp_path / "degrés"
    step = 0.0001
    stack = make_stack(folder, samples_scene.sensors(), (45.0, step, 0, -18.0, 0, -step), 4326)
    features = [
        (f"POLYGON(({x} {y},{x + 8 * step} {y},{x + 8 * step} {y - 8 * step},{x} {y - 8 * step},{x} {y}))", attributes)
        for number, (_, attributes) in enumerate(samples_scene.fields())
        for x, y in [(45.0 + (number % 6 * 10 + 1) * step, -18.0 - (number // 6 * 10 + 1) * step)]
    ]
    reference = layer_of(tmp_path, features, epsg=4326, source_epsg=4326)
    # Fields are 2 pixels apart: about 21 m east-west, 22 m north-south.
    joined = extract_samples(
        stack, reference, ExtractionSettings("crop", group_distance=21.5), tmp_path / "a", Progress()
    )
    assert len(np.unique(joined.groups)) == 5
    alone = extract_samples(stack, reference, ExtractionSettings("crop", group_distance=20), tmp_path / "b", Progress())
    assert len(np.unique(alone.groups)) == 30
    pixel = step**2 * 111_320 * np.cos(np.radians(18.0025)) * 110_574 / 10_000
    assert alone.hectares.sum() == pytest.approx(30 * 64 * pixel, rel=1e-4)


def test_little_memory_and_striped_files_give_the_same(extract, make_stack, field_layer, tmp_path, monkeypatch):
    sensors = samples_scene.sensors()
    for one in sensors.values():
        one["creation"] = ("COMPRESS=DEFLATE",)
    striped = make_stack(tmp_path / "bandes", sensors)
    _, expected = extract()
    monkeypatch.setattr(streaming, "MOST_TILE_BYTES", 2000)
    _, store = extract(stack=striped, output=tmp_path / "autre")
    key = lambda s: np.lexsort((s.x, s.y))  # noqa: E731
    first, second = key(expected), key(store)
    for name in ("x", "y", "labels", "split", "fold"):
        assert np.array_equal(getattr(expected, name)[first], getattr(store, name)[second])
    assert np.array_equal(expected.batch(first, 2)["S2"].values, store.batch(second, 2)["S2"].values)


def test_groups_by_field_and_by_distance(extract, tmp_path):
    _, store = extract(group_field="farm")
    assert len(np.unique(store.groups)) == 15
    _, store = extract(group_distance=20.5, output=tmp_path / "b")
    assert len(np.unique(store.groups)) == 1 and set(store.split) == {TRAINING}


def test_split_by_block(extract):
    _, store = extract(split_by="block", block_size=200, validation=0.25, test=0.25)
    corners = {}
    for polygon in np.unique(store.polygons):
        own = store.polygons == polygon
        corner = (store.x[own].mean() // 200, store.y[own].mean() // 200)
        corners.setdefault(corner, set()).add((store.groups[own][0], store.split[own][0], store.fold[own][0]))
    assert len(corners) == len(np.unique(store.groups)) > 5
    assert all(len(values) == 1 for values in corners.values())
    assert set(store.split) == {TRAINING, VALIDATION, TEST}


def fields_with_parts(words):
    types = {"crop": ogr.OFTString, "farm": ogr.OFTString, "jeu": ogr.OFTString}
    features = []
    for number, (wkt, attributes) in enumerate(samples_scene.fields()):
        part = words[number // 6 % len(words)]
        features.append((wkt, {"crop": attributes["crop"], "farm": attributes["farm"], "jeu": part}))
    return features, types


def test_split_by_field(extract, tmp_path):
    features, types = fields_with_parts(["Apprentissage", "validation", "TEST"])
    reference = layer_of(tmp_path, features, types=types)
    _, store = extract(reference=reference, split_by="field", split_field="jeu")
    rows, _ = place(store)
    assert np.array_equal(store.split, rows // 10 % 3)
    made, store = extract(
        reference=reference, split_by="field", split_field="jeu", group_distance=25, output=tmp_path / "b"
    )
    assert any("SPLIT_FIELD" in warning for warning in made.warnings)
    for group in np.unique(store.groups):
        assert len(np.unique(store.split[store.groups == group])) == 1


def test_split_field_refusals(extract, tmp_path):
    features, types = fields_with_parts(["training", "banana"])
    reference = layer_of(tmp_path, features, types=types)
    with pytest.raises(LandloomError, match="'banana' names no part"):
        extract(reference=reference, split_by="field", split_field="jeu")
    with pytest.raises(LandloomError, match="give the SPLIT_FIELD"):
        extract(reference=reference, split_by="field")
    features = [
        (wkt, {**attributes, "farm": "one farm"}) for wkt, attributes in fields_with_parts(["train", "test"])[0]
    ]
    reference = layer_of(tmp_path, features, "b.gpkg", types=types)
    with pytest.raises(LandloomError, match=r"different parts: one farm\."):
        extract(reference=reference, split_by="field", split_field="jeu", group_field="farm")


def test_nomenclature_groups_recodes_and_leaves_out(extract, tmp_path):
    table = tmp_path / "n.csv"
    table.write_text(
        "value,code,name,color,level1,use\n5,40,water,#0000ff,nature,yes\n7,12,plants,#00ff00,life,yes\n"
        "300,12,plants,,life,yes\n999,77,unused,,,yes\n",
        encoding="utf-8",
    )
    _, store = extract(class_field="number", nomenclature=str(table))
    assert store.nomenclature.names == ("plants", "water") and store.nomenclature.codes.tolist() == [12, 40]
    assert store.nomenclature.colors == ("#00ff00", "#0000ff")
    rows, columns = place(store)
    assert np.array_equal(store.labels == 1, samples_scene.truth()[rows, columns] == 0)
    finer = store.nomenclature
    _, store = extract(class_field="number", nomenclature=str(table), level=1, output=tmp_path / "b")
    assert store.nomenclature.names == ("life", "nature")
    assert store.nomenclature == finer.at_level(1)[0]  # a model of the finer classes maps these names and codes
    table.write_text("value,use\n5,yes\n7,no\n300,yes\n", encoding="utf-8")
    _, store = extract(class_field="number", nomenclature=str(table), output=tmp_path / "c")
    assert store.nomenclature.codes.tolist() == [5, 300]
    table.write_text("value,use\n5,yes\n7,no\n300,no\n", encoding="utf-8")
    with pytest.raises(LandloomError, match="one class on the stack, '5'"):
        extract(class_field="number", nomenclature=str(table), output=tmp_path / "d")
    with pytest.raises(LandloomError, match="LEVEL is 1"):
        extract(class_field="number", level=1, output=tmp_path / "d")


def test_codes_do_not_depend_on_the_extent_of_the_stack(extract, tmp_path):
    away = [(samples_scene.square(500, 0, 5), {"crop": "avoine"})]
    reference = layer_of(tmp_path, samples_scene.fields() + away)
    made, store = extract(reference=reference)
    assert store.nomenclature.codes.tolist() == [2, 3, 4]
    assert any(warning == "Outside the stack and left out: 1 polygon." for warning in made.warnings)


def test_warnings(extract, tmp_path):
    fields = samples_scene.fields()
    bow_tie = f"POLYGON(({X0} {Y0},{X0 + 40} {Y0 - 40},{X0 + 40} {Y0},{X0} {Y0 - 40},{X0} {Y0}))"
    fields += [
        (samples_scene.square(35, 1, 6), {"crop": "rare"}),  # over the field east of it, and its own part
        (samples_scene.square(0, 0, 0.2), {"crop": "rare"}),
        (samples_scene.square(700, 0, 2), {"crop": "eau"}),
        (samples_scene.square(9, 9, 2), {"crop": None}),
        (bow_tie, {"crop": "eau"}),
    ]
    made, _ = extract(reference=layer_of(tmp_path, fields))
    text = "\n".join(made.warnings)
    for expected in (
        "overlap; left out",
        "cover no pixel by MIN_SHARE",
        "Outside the stack and left out: 1 polygon.",
        "Without class or geometry and left out: 1 feature.",
        "With an invalid geometry, which was repaired: 1 polygon.",
        "fewer than three groups cannot be in all three parts: rare (",
        "fewer than 30 pixels: rare (",
        "Absent from the validation part, so that it is left out of its scores: rare.",
    ):
        assert expected in text, expected
    page = sample_report(made).html()
    for warning in made.warnings:
        assert warning[:20] in page
    description = json.loads((made.folder / "samples.json").read_text(encoding="utf-8"))
    assert description["warnings"] == made.warnings


def test_classes_with_one_and_two_groups(extract, tmp_path):
    fields = samples_scene.fields()
    fields = [one for i, one in enumerate(fields) if one[1]["crop"] == "eau"] + [
        *[one for one in fields if one[1]["crop"] == "maïs"][:2],
        next(one for one in fields if one[1]["crop"] == "forêt"),
    ]
    _, store = extract(reference=layer_of(tmp_path, fields))
    parts = {name: set(store.split[store.labels == i]) for i, name in enumerate(store.nomenclature.names)}
    assert parts == {"eau": {0, 1, 2}, "forêt": {TRAINING}, "maïs": {TRAINING, TEST}}


def test_samples_without_any_valid_date_are_dropped(make_stack, field_layer, tmp_path):
    sensors = samples_scene.sensors()
    sensors["S2"]["mask"][:, :15] = False
    sensors["S1_ASC"]["values"][:, :, :20] = 0
    stack = make_stack(tmp_path / "masquée", sensors)
    made = extract_samples(stack, field_layer, ExtractionSettings("crop"), tmp_path / "a", Progress())
    assert "Left out, since no date of theirs is valid: 576 samples." in made.warnings
    store = SampleStore.open(tmp_path / "a")
    assert place(store)[0].min() == 15
    assert len(store) == 30 * 64 - 6 * 64 - 6 * 4 * 8
    sensors["S2"]["mask"][:] = False
    sensors["S1_ASC"]["values"][:] = np.nan
    stack = make_stack(tmp_path / "vide", sensors)
    with pytest.raises(LandloomError, match="No sample has a valid date"):
        extract_samples(stack, field_layer, ExtractionSettings("crop"), tmp_path / "b", Progress())
    assert not (tmp_path / "b").exists()


def test_a_field_of_numbers_of_features_is_no_class_field(extract, tmp_path, monkeypatch):
    from landloom.model.samples import classes

    monkeypatch.setattr(classes, "MOST_CLASSES", 20)
    fields = [(wkt, {"number": fid}) for fid, (wkt, _) in enumerate(samples_scene.fields())]
    with pytest.raises(LandloomError, match=r"30 classes.*is it the field of the class"):
        extract(reference=layer_of(tmp_path, fields), class_field="number")


def test_a_class_for_every_feature_is_doubted(extract, tmp_path):
    fields = [(wkt, {"number": fid}) for fid, (wkt, _) in enumerate(samples_scene.fields())]
    extraction, _ = extract(reference=layer_of(tmp_path, fields), class_field="number")
    assert any(one.startswith("Every class has one feature only (30 classes)") for one in extraction.warnings)


def test_refuses_wrong_settings(extract):
    for settings, word in (
        (dict(split_by="farm"), "SPLIT_BY is 'farm'"),
        (dict(halo=-1), "HALO"),
        (dict(min_share=2), "MIN_SHARE"),
        (dict(validation=0.6, test=0.5), "leave nothing"),
        (dict(max_per_group=-1), "MAX_PER_GROUP"),
        (dict(class_field=""), "CLASS_FIELD"),
        (dict(group_field="absent"), "GROUP_FIELD is 'absent'"),
        (dict(nomenclature="absent.csv"), "does not exist"),
    ):
        with pytest.raises(LandloomError, match=word):
            extract(**settings)


def test_refuses_lines_missing_files_and_mixtures(extract, tmp_path):
    lines = layer_of(tmp_path, [(f"LINESTRING({X0} {Y0},{X0 + 9} {Y0})", {"crop": "a"})], geometry=ogr.wkbLineString)
    with pytest.raises(LandloomError, match="line string; polygons or points"):
        extract(reference=lines)
    with pytest.raises(LandloomError, match="do not exist"):
        extract(reference=tmp_path / "absent.gpkg")
    (tmp_path / "text.gpkg").write_text("no layer")
    with pytest.raises(LandloomError, match="Cannot open"):
        extract(reference=tmp_path / "text.gpkg")
    mixed = [*samples_scene.fields()[:3], (f"POINT({X0 + 5} {Y0 - 5})", {"crop": "eau"})]
    with pytest.raises(LandloomError, match="mixes points and polygons"):
        extract(reference=layer_of(tmp_path, mixed, "mixed.gpkg"))


def test_a_truncated_image_is_named_and_nothing_is_left(make_stack, field_layer, tmp_path):
    stack = make_stack(tmp_path / "s", samples_scene.sensors())
    image = next((tmp_path / "s" / "rasters").glob("S2_*05.tif"))
    manifest = (stack.read_text(encoding="utf-8"), image.stat())
    image.write_bytes(image.read_bytes()[:-3000])
    with pytest.raises(LandloomError, match="S2_"):
        extract_samples(stack, field_layer, ExtractionSettings("crop"), tmp_path / "a", Progress())
    assert manifest and sorted(one.name for one in tmp_path.iterdir()) == ["s"]


def test_a_full_disk_is_told_before_the_work(extract, monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    with pytest.raises(LandloomError, match="MB free"):
        extract()
    assert not list((tmp_path / "sorties").iterdir())


@pytest.mark.parametrize("after", [0, 2, 5, 9, 14])
def test_cancelling_at_any_moment_leaves_nothing(extract, tmp_path, after):
    class Stopping(Progress):
        asked = 0

        def is_cancelled(self):
            self.asked += 1
            return self.asked > after

    with pytest.raises(Cancelled):
        extract(progress=Stopping())
    assert not (tmp_path / "sorties").exists() or not list((tmp_path / "sorties").iterdir())


def test_real_fields_of_flanders(shared_data, make_stack, tmp_path):
    """Twenty-one real parcels on a stack in their place; the values are made up."""
    dataset = ogr.Open(str(shared_data / "flanders2018" / "reference.gpkg"))
    west, _, _, north = dataset.GetLayer(0).GetExtent()
    corner = (np.floor(west / 10) * 10 - 100, np.ceil(north / 10) * 10 + 100)
    rng = np.random.default_rng(0)
    values = rng.integers(100, 3000, (2, 2, 100, 100)).astype(np.int16)
    sensors = {"S2": dict(values=values, dates=["2018-05-01", "2018-07-01"], bands=["B4", "B8"], scale=0.0001)}
    stack = make_stack(tmp_path / "s", sensors, (corner[0], 10.0, 0, corner[1], 0, -10.0), 32631)
    made = extract_samples(
        stack,
        shared_data / "flanders2018" / "reference.gpkg",
        ExtractionSettings("class_name"),
        tmp_path / "a",
        Progress(),
    )
    assert len(np.unique(made.polygons)) == 21
    assert len(made.nomenclature) > 3
