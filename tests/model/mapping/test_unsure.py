"""Maps at a level and maps with unsure pixels: values, names, colours, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import mapping_scene as scene
import numpy as np
import pytest
from landloom.model.base.calibration import RiskCurve
from landloom.model.base.errors import Cancelled, LandloomError
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.progress import Progress
from landloom.model.mapping.classify import classify
from landloom.model.mapping.unsure import LEVEL_TAG, UNSURE_TAG, count_unsure, error_share, unsure_class, unsure_of
from landloom.model.networks.modelfile import Model, ModelHeader
from landloom.model.networks.tensorfile import read_tensors, write_tensors
from mapping_fakes import Told
from osgeo import gdal

PARENTS = (("culture", "annuelle"), ("culture", "annuelle"), ("naturel", "forêt"), ("naturel", "eau"))


def curve(groups: int = 200) -> RiskCurve:
    """Of ten samples a group, those of confidence c are right with the chance 0.9 c."""
    random = np.random.default_rng(0)
    confidence = random.uniform(0.3, 1.0, 10 * groups)
    right = random.random(len(confidence)) < 0.9 * confidence
    return RiskCurve.of(confidence, right, np.arange(len(confidence)) // 10)


def nomenclature() -> Nomenclature:
    return Nomenclature(
        tuple(
            LandCoverClass(one.code, one.name, one.color, parents)
            for one, parents in zip(scene.nomenclature(), PARENTS, strict=True)
        )
    )


@pytest.fixture(scope="module")
def model(mapping_stack, tmp_path_factory):
    """A forest with two levels of parents and a curve of confidence for the classes and for level 1."""
    content = {"source": "validation", "levels": {str(level): curve().to_json() for level in (0, 1)}}
    path = tmp_path_factory.mktemp("niveaux") / "m.safetensors"
    made = scene.make_model(
        mapping_stack, "randomforest", path, nomenclature=nomenclature(), calibration=content, temperature=1.5
    )
    return made


@pytest.fixture(scope="module")
def maps(mapping_stack, model, tmp_path_factory):
    """Level -> folder with map, confidence and probabilities."""
    made = {}
    for level in (0, 1, 2):
        folder = made[level] = tmp_path_factory.mktemp(f"level{level}")
        names = [folder / f"{name}.tif" for name in ("map", "confidence", "probabilities")]
        classify(mapping_stack, model, *names, level=level)
    return made


def read(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_maps_of_different_levels_agree(maps):
    fine, coarse, middle = (read(maps[level] / "map.tif") for level in (0, 1, 2))
    assert set(np.unique(coarse)) == {0, 3, 11} and set(np.unique(middle)) == {0, 3, 11, 250}
    parent = {0: 0, 3: 3, 7: 3, 11: 11, 250: 11}
    assert np.array_equal(np.vectorize(parent.get)(fine), coarse)
    assert np.array_equal(np.vectorize({**parent, 250: 250}.get)(fine), middle)
    assert np.array_equal(np.vectorize({0: 0, 3: 3, 11: 11, 250: 11}.get)(middle), coarse)


def test_probabilities_of_a_level_are_sums_and_confidence_is_theirs(maps):
    fine, coarse = (read(maps[level] / "probabilities.tif").astype(int) for level in (0, 1))
    valid = read(maps[0] / "map.tif") > 0
    assert coarse.shape[0] == 2
    for band, own in ((0, fine[:2]), (1, fine[2:])):
        assert np.abs(own.sum(axis=0) - coarse[band])[valid].max() <= 2  # rounding
    best = np.where(coarse[0] >= coarse[1], 3, 11)
    tied = coarse[0] == coarse[1]
    assert np.array_equal(best[valid & ~tied], read(maps[1] / "map.tif")[valid & ~tied])
    confidence = read(maps[1] / "confidence.tif")
    assert np.abs(confidence[valid] - coarse.max(axis=0)[valid] / 100).max() <= 0.51
    assert (confidence[~valid] == 255).all() and (coarse[:, ~valid] == 65535).all()


def test_names_and_colours_of_a_level(maps):
    dataset = gdal.Open(str(maps[1] / "map.tif"))
    assert dataset.GetMetadataItem(LEVEL_TAG) == "1" and dataset.GetMetadataItem(UNSURE_TAG) is None
    band = dataset.GetRasterBand(1)  # GDAL 3.6 gives the names only after something else was asked for
    names = band.GetCategoryNames()
    assert {code: names[code] for code in (3, 11)} == {3: "culture", 11: "naturel"} and len(names) == 12
    assert band.GetColorTable().GetColorEntry(11)[:3] == (0x11, 0x55, 0x11)
    assert gdal.Open(str(maps[0] / "map.tif")).GetMetadataItem(LEVEL_TAG) is None
    style = (maps[1] / "map.qml").read_text(encoding="utf-8")
    assert style.count("<paletteEntry") == 2 and 'label="naturel"' in style
    bands = gdal.Open(str(maps[1] / "probabilities.tif"))
    assert [bands.GetRasterBand(k).GetDescription() for k in (1, 2)] == ["culture", "naturel"]


@pytest.mark.parametrize(("level", "error"), [(0, 0.15), (1, 0.12)])
def test_unsure_pixels_are_those_below_the_threshold(mapping_stack, model, maps, tmp_path, level, error):
    told = Told()
    outputs = [tmp_path / "map.tif", tmp_path / "confidence.tif", tmp_path / "probabilities.tif"]
    done = classify(mapping_stack, model, *outputs, level=level, unsure_error=error, progress=told)
    made, sure = read(outputs[0]), read(maps[level] / "map.tif")
    point = curve().threshold(error)
    confidence = read(maps[level] / "probabilities.tif").astype(float)
    confidence = np.where(sure > 0, confidence.max(axis=0), 0) / 10000 if level else None
    unsure = made == 251
    assert unsure.any() and not unsure.all()
    assert np.array_equal(made[~unsure], sure[~unsure])  # nothing else changes
    if confidence is not None:
        away = np.abs(confidence - point.threshold) > 1e-4
        assert np.array_equal((confidence < point.threshold)[away & (sure > 0)], unsure[away & (sure > 0)])
    assert done.unsure == pytest.approx(unsure.sum() / (made > 0).sum())
    assert count_unsure(outputs[0], 251, Progress()) == (unsure.sum(), (made > 0).sum())
    # Confidence and probabilities are those of the map without an unsure class.
    for name in ("confidence.tif", "probabilities.tif"):
        assert np.array_equal(read(tmp_path / name), read(maps[level] / name))
    text = " ".join(told.infos)
    assert (
        f"UNSURE_ERROR {100 * error:.1f} %" in text
        and "inside of reference polygons" in text
        and "validation samples" in text
    )
    assert f"{100 * done.unsure:.1f} % of the map is unsure" in text and not told.warnings


def test_the_unsure_class_has_name_colour_and_a_tag(mapping_stack, model, tmp_path):
    classify(mapping_stack, model, tmp_path / "map.tif", unsure_error=0.15)
    dataset = gdal.Open(str(tmp_path / "map.tif"))
    band = dataset.GetRasterBand(1)
    assert band.DataType == gdal.GDT_Byte and dataset.GetMetadataItem(UNSURE_TAG) == "251"
    assert band.GetCategoryNames()[251] == "unsure"
    assert band.GetColorTable().GetColorEntry(251)[:3] == (0x8C, 0x8C, 0x8C)
    style = (tmp_path / "map.qml").read_text(encoding="utf-8")
    assert 'value="251" color="#8c8c8c" label="unsure"' in style and style.count("<paletteEntry") == 5


def test_an_error_that_is_there_already_leaves_nothing_unsure(mapping_stack, model, maps, tmp_path):
    told = Told()
    done = classify(mapping_stack, model, tmp_path / "map.tif", unsure_error=0.5, progress=told)
    assert done.unsure == 0 and np.array_equal(read(tmp_path / "map.tif"), read(maps[0] / "map.tif"))
    assert any("nothing has to be unsure" in line for line in told.infos)


def test_few_groups_are_doubted(mapping_stack, model, tmp_path):
    loaded = Model.load(model)
    few = {"source": "out of fold", "levels": {"0": curve(12).to_json()}}
    loaded.header = replace(loaded.header, calibration=few)
    loaded.save(tmp_path / "m.safetensors")
    told = Told()
    classify(mapping_stack, tmp_path / "m.safetensors", tmp_path / "map.tif", unsure_error=0.2, progress=told)
    assert len(told.warnings) == 1 and "rests on 12 groups" in told.warnings[0]
    assert any("out of fold samples (12 groups)" in line for line in told.infos)


def test_what_is_refused(mapping_stack, model, forest_model, tmp_path):
    with pytest.raises(LandloomError, match=r"f\.safetensors does not hold .* UNSURE_ERROR needs.*Train it again"):
        classify(mapping_stack, forest_model, tmp_path / "map.tif", unsure_error=0.1)
    with pytest.raises(LandloomError, match="UNSURE_ERROR needs"):  # no curve of that level
        classify(mapping_stack, model, tmp_path / "map.tif", unsure_error=0.1, level=2)
    with pytest.raises(LandloomError, match=r"UNSURE_ERROR 0\.0 % cannot be reached.*Choose 0\.\d+ or more"):
        classify(mapping_stack, model, tmp_path / "map.tif", unsure_error=0.0001)
    with pytest.raises(LandloomError, match="LEVEL is 3, but the nomenclature has 2 coarser levels: choose 0 to 2"):
        classify(mapping_stack, model, tmp_path / "map.tif", level=3)
    assert not list(tmp_path.iterdir())


def test_the_error_that_is_advised_can_be_reached(model):
    header = Model.load_header(model)
    with pytest.raises(LandloomError) as caught:
        unsure_of(header, 0, 0.0001, model)
    advised = float(str(caught.value).split("Choose ")[1].split(" or more")[0])
    assert unsure_of(header, 0, advised, model).kept.error <= advised


def test_cancelling_leaves_nothing(mapping_stack, model, tmp_path):
    class Stop(Progress):
        def is_cancelled(self):
            return True

    with pytest.raises(Cancelled):
        classify(mapping_stack, model, tmp_path / "map.tif", level=1, unsure_error=0.15, progress=Stop())
    assert not list(tmp_path.iterdir())


def test_parts_of_another_level_are_not_used(mapping_stack, model, maps, tmp_path, monkeypatch):
    """A run that was cut off at one level must not lend its blocks to a run at another."""
    from landloom.model.mapping import runner

    assemble = runner.assemble
    monkeypatch.setattr(runner, "assemble", lambda *_: (_ for _ in ()).throw(OSError("cut off")))
    with pytest.raises(OSError, match="cut off"):
        classify(mapping_stack, model, tmp_path / "map.tif", level=1)
    monkeypatch.setattr(runner, "assemble", assemble)
    classify(mapping_stack, model, tmp_path / "map.tif", level=2)
    assert np.array_equal(read(tmp_path / "map.tif"), read(maps[2] / "map.tif"))


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((1, 2, 3), 4),
        ((3, 254), 255),
        ((3, 255), 254),
        ((254, 255), 253),
        ((300,), 301),
        ((1, 65535), 65534),
        (tuple(range(1, 256)), 256),
    ],
)
def test_the_code_is_free_and_keeps_the_type(codes, expected):
    own = Nomenclature(tuple(LandCoverClass(code, f"c{code}", "#8c8c8c") for code in codes))
    found = unsure_class(own)
    assert found.code == expected and found.color == "#bdbdbd" and found.name == "unsure"


def test_the_name_is_in_the_language_in_use(monkeypatch):
    from landloom.model.mapping import unsure

    monkeypatch.setattr(unsure, "tr", lambda text: {"unsure": "incertain"}[text])
    assert unsure_class(scene.nomenclature()).name == "incertain"


@pytest.mark.parametrize(("value", "share"), [(0.05, 0.05), (5, 0.05), (0.5, 0.5), (50, 0.5), (1, 0.01)])
def test_shares_and_percents(value, share):
    assert error_share(value) == pytest.approx(share)


@pytest.mark.parametrize("value", [0, -0.1, 0.6, 0.99, 51, float("nan")])
def test_an_error_that_is_neither_a_share_nor_a_percent(value):
    with pytest.raises(LandloomError, match=r"UNSURE_ERROR is .* such as 0\.05"):
        error_share(value)


def test_models_made_before_still_load(mapping_stack, forest_model, tmp_path):
    tensors, metadata = read_tensors(forest_model)
    del metadata["calibration"]
    write_tensors(tmp_path / "old.safetensors", tensors, metadata)
    assert Model.load(tmp_path / "old.safetensors").header.calibration == {}
    classify(mapping_stack, tmp_path / "old.safetensors", tmp_path / "map.tif")
    metadata["calibration"] = 3
    with pytest.raises(LandloomError, match="damaged"):
        ModelHeader.from_json(json.loads(json.dumps(metadata)))
