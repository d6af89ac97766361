"""REGIONS together with MASK, EXTENT, LEVEL, CONFIDENCE, PROBABILITIES and UNSURE_ERROR: what each promises alone."""

from __future__ import annotations

from dataclasses import replace

import mapping_scene as scene
import numpy as np
import pytest
from landloom.model.base.calibration import RiskCurve
from landloom.model.base.errors import LandloomError
from landloom.model.base.nomenclature import Nomenclature
from landloom.model.base.raster import spatial_reference
from landloom.model.mapping.chunks import Area
from landloom.model.mapping.classify import classify
from landloom.model.mapping.regionblend import RegionChoice, RegionWeights
from landloom.model.networks.modelfile import Model
from landloom.model.samples.regions import Regions
from landloom.model.stack.reader import StackReader
from mapping_fakes import Told
from osgeo import gdal, ogr

HALF = scene.WIDTH // 2
BOTH = {0: slice(0, HALF), 1: slice(HALF, None)}
PARENTS = (("culture",), ("culture",), ("naturel",), ("naturel",))


def curve(skill: float, groups: int = 200) -> dict:
    """Of ten samples a group, those of confidence c are right with the chance ``skill * c``."""
    random = np.random.default_rng(0)
    confidence = random.uniform(0.3, 1.0, 10 * groups)
    right = random.random(len(confidence)) < skill * confidence
    return RiskCurve.of(confidence, right, np.arange(len(confidence)) // 10).to_json()


def calibration(skill: float, groups: int = 200) -> dict:
    made = curve(skill, groups)
    return {"source": "validation", "levels": {"0": made, "1": made}}


@pytest.fixture(scope="module")
def models(mapping_stack, tmp_path_factory):
    """Three forests of other samples with two levels; the one of the west is surer than that of the east."""
    folder = tmp_path_factory.mktemp("modèles")
    levels = Nomenclature(
        tuple(replace(one, parents=own) for one, own in zip(scene.nomenclature(), PARENTS, strict=True))
    )
    made = {}
    for seed, (name, skill) in enumerate((("all", 0.88), ("west", 0.95), ("east", 0.9))):
        more = {"nomenclature": levels, "calibration": calibration(skill), "temperature": 1.0 + 0.4 * seed}
        path = folder / f"{name}.safetensors"
        made[name] = scene.make_model(mapping_stack, "randomforest", path, seed=seed, **more)
    return made


@pytest.fixture(scope="module")
def regional(models, tmp_path_factory):
    """The model with those of its regions, and their layer: west and east."""
    own = {name: models[name] for name in ("west", "east")}
    return scene.make_regional(tmp_path_factory.mktemp("régions"), models["all"], own)


def other_calibration(regional, models, folder, **calibrations):
    """The same models with other calibrations."""
    changed = {}
    for name, path in models.items():
        model = Model.load(path)
        if name in calibrations:
            model.header = replace(model.header, calibration=calibrations[name])
        changed[name] = folder / f"{name}.safetensors"
        model.save(changed[name])
    return scene.make_regional(folder / "regional", changed["all"], {k: changed[k] for k in ("west", "east")})


def mapped(stack, model, folder, choice=None, **more):
    """Map, confidence and probabilities."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{name}.tif" for name in ("map", "confidence", "probabilities")]
    classify(stack, model, *paths, regions=choice, **more)
    return [gdal.Open(str(path)).ReadAsArray() for path in paths]


def choice_of(regional, blend):
    return RegionChoice(str(regional[1]), "eco", blend)


@pytest.mark.parametrize("level", [0, 1])
def test_mask_extent_level_confidence_and_probabilities(mapping_stack, models, regional, tmp_path, level):
    """Cut at the border, the three rasters are those of each region's model alone, with the same mask and extent."""
    mask = tmp_path / "mask.gpkg"
    dataset = ogr.GetDriverByName("GPKG").CreateDataSource(str(mask))
    layer = dataset.CreateLayer("mask", spatial_reference(scene.crs()), ogr.wkbPolygon)
    feature = ogr.Feature(layer.GetLayerDefn())
    ring = "500210 7999900,501310 7999800,501200 7998900,500400 7998950,500210 7999900"
    feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({ring}))"))
    layer.CreateFeature(feature)
    layer = dataset = None  # closes the file
    where = {"mask": str(mask), "bounds": (500100, 7998800, 501300, 7999950), "level": level}
    both = mapped(mapping_stack, regional[0], tmp_path / "both", choice_of(regional, 0), **where)
    west = mapped(mapping_stack, models["west"], tmp_path / "west", **where)
    east = mapped(mapping_stack, models["east"], tmp_path / "east", **where)
    border = HALF - 10  # of the extent's columns
    for found, left, right in zip(both, west, east, strict=True):
        assert np.array_equal(found[..., :border], left[..., :border])
        assert np.array_equal(found[..., border:], right[..., border:])
    assert not np.array_equal(west[2], east[2]) and not np.array_equal(west[1], east[1])
    codes, confidence, probabilities = both
    outside = codes == 0
    assert outside.any() and not outside.all() and codes.shape == (115, 120)
    assert (confidence[outside] == 255).all() and (probabilities[:, outside] == 65535).all()
    assert set(np.unique(codes)) <= ({0, 3, 11} if level else {0, 3, 7, 11, 250})


def test_each_region_has_its_own_threshold(mapping_stack, models, regional, tmp_path):
    told = Told()
    more = {"regions": choice_of(regional, 0)}
    sure, _, probabilities = mapped(mapping_stack, regional[0], tmp_path / "sure", choice_of(regional, 0))
    done = classify(mapping_stack, regional[0], tmp_path / "unsure.tif", unsure_error=0.1, progress=told, **more)
    made = gdal.Open(str(done.output)).ReadAsArray()
    confidence = probabilities.max(axis=0) / 10000
    thresholds = [RiskCurve.from_json(curve(skill)).threshold(0.1).threshold for skill in (0.95, 0.9)]
    assert 0.3 < thresholds[0] < thresholds[1] - 0.05
    for number, columns in BOTH.items():
        own, threshold = np.s_[:, columns], thresholds[number]
        clear = (np.abs(confidence - threshold) > 1e-4)[own] & (sure > 0)[own]
        unsure = (made == 251)[own]
        assert np.array_equal(unsure[clear], (confidence < threshold)[own][clear]) and 0 < unsure.mean() < 1
        assert np.array_equal(made[own][~unsure], sure[own][~unsure])
    log = " ".join(told.infos)
    assert all(f"{name}: pixels of less than" in log for name in ("west", "east")) and not told.warnings


def test_thresholds_are_blended_as_probabilities_are(mapping_stack, regional, tmp_path):
    choice = choice_of(regional, 600)
    sure, _, probabilities = mapped(mapping_stack, regional[0], tmp_path / "sure", choice)
    made = mapped(mapping_stack, regional[0], tmp_path / "unsure", choice, unsure_error=0.1)[0]
    with StackReader(mapping_stack) as reader:
        weights = RegionWeights(Regions(choice.source, "eco"), reader.stack.grid, ["west", "east"], 600)
    west, east, general = (RiskCurve.from_json(curve(one)).threshold(0.1).threshold for one in (0.95, 0.9, 0.88))
    by_model = {0: west, 1: east, -1: general}
    whole = weights.weights(Area(0, 0, scene.WIDTH, scene.HEIGHT))
    limit = sum(weight * by_model[model] for model, weight in whole.items())
    confidence = probabilities.max(axis=0) / 10000
    clear = (np.abs(confidence - limit) > 1e-4) & (sure > 0)
    assert np.array_equal((made == 251)[clear], (confidence < limit)[clear])


def test_a_region_without_a_curve_and_one_that_cannot_reach_the_error(mapping_stack, models, regional, tmp_path):
    wrong = calibration(0.3)
    changed = other_calibration(regional, models, tmp_path, west={"source": "validation"}, east=wrong)
    told = Told()
    choice = choice_of(changed, 0)
    made = mapped(mapping_stack, changed[0], tmp_path / "map", choice, unsure_error=0.1, progress=told)[0]
    _, _, probabilities = mapped(mapping_stack, changed[0], tmp_path / "sure", choice)
    threshold = RiskCurve.from_json(curve(0.88)).threshold(0.1).threshold  # that of all samples
    confidence = (probabilities.max(axis=0) / 10000)[:, :HALF]
    clear = (np.abs(confidence - threshold) > 1e-4) & (made[:, :HALF] > 0)
    assert np.array_equal((made == 251)[:, :HALF][clear], (confidence < threshold)[clear])
    assert set(np.unique(made[:, HALF:])) <= {0, 251}
    text = " ".join(told.warnings)
    assert "fewer than 20 held-out samples" in text and ": west." in text
    assert "cannot be reached by east" in text and "Choose 0." in text
    nobody = other_calibration(regional, models, tmp_path / "nobody", all=wrong, west=wrong, east=wrong)
    with pytest.raises(LandloomError, match="cannot be reached"):
        mapped(mapping_stack, nobody[0], tmp_path / "no", choice_of(nobody, 0), unsure_error=0.1)


def test_few_groups_and_nothing_unsure_are_said(mapping_stack, models, regional, tmp_path):
    few = calibration(0.95, groups=20)
    changed = other_calibration(regional, models, tmp_path, east=few)
    told = Told()
    mapped(mapping_stack, changed[0], tmp_path / "map", choice_of(changed, 0), unsure_error=0.1, progress=told)
    assert len(told.warnings) == 1 and "fewer than 30 groups" in told.warnings[0] and "east" in told.warnings[0]
    told = Told()
    made = mapped(mapping_stack, regional[0], tmp_path / "all", choice_of(regional, 0), unsure_error=0.5, progress=told)
    assert 251 not in made[0] and sum("nothing has to be unsure" in line for line in told.infos) == 3
