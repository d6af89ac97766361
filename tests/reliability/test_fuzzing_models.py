"""Model files of every kind that others wrote are read, or refused in one line: no code run, no memory exhausted."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from faulty_runs import NIGHTLY
from hostile import HOSTILE, read_or_refused, spoilt, spoilt_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from landloom.model.mapping.classify import classify
from landloom.model.networks.foldfile import KEY as FOLDS_KEY
from landloom.model.networks.foldfile import load_folds, save_folds
from landloom.model.networks.modelfile import Model, describe
from landloom.model.networks.regionfile import KEY as REGIONS_KEY
from landloom.model.networks.regionfile import load_regions, save_regions
from landloom.model.networks.tensorfile import read_tensors
from landloom.model.objects.objectmodel import ObjectModel
from landloom.model.objects.pixelsetmodel import SetModel

KINDS = ["randomforest", "ltae", "tempcnn", "twinns"]
examples = settings() if NIGHTLY else settings(max_examples=10)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def models(inputs, folder):
    """Network -> a file of it; forests and networks have different arrays, settings and recipes."""
    import mapping_scene

    stack = inputs["classify"]["stack"]
    made = {}
    for kind in KINDS if NIGHTLY else KINDS[:2]:
        made[kind] = mapping_scene.make_model(stack, kind, folder / f"{kind}.safetensors")
    return made


@pytest.fixture(scope="module")
def objects(make_stack, folder):
    """Models of objects: a forest's, and one of sets of pixels."""
    import samples_scene
    from algorithm_runs import write_maps
    from landloom.model.base.progress import Progress
    from landloom.model.objects.features_segments import open_segments
    from landloom.model.objects.objecttraining import ObjectTraining, train_objects
    from landloom.model.samples.settings import ExtractionSettings

    stack = make_stack(folder / "fields", samples_scene.sensors())
    reference = samples_scene.write_layer(folder / "reference.gpkg", samples_scene.fields())
    segments = open_segments(write_maps(folder / "maps")["objects"], Progress())
    made = {}
    for name, choice in (
        ("forest", ObjectTraining(folds=2)),
        ("pixelset", ObjectTraining(network="pixelset", epochs=1, folds=2, indices=())),
    ):
        made[name] = folder / f"objects_{name}.safetensors"
        train_objects(stack, segments, reference, ExtractionSettings("crop"), choice).model.save(made[name])
    return made


def parts_of(path):
    """The list of arrays, the description, and the bytes of a safetensors file."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    listed = json.loads(raw[8 : 8 + length])
    described = json.loads(listed.pop("__metadata__")["landloom"])
    return listed, described, raw[8 + length :]


def put_together(path, listed, described, data):
    """Write the file as another program would, with nothing checked."""
    if isinstance(listed, dict):
        listed = {**listed, "__metadata__": {"landloom": json.dumps(described)}}
    encoded = json.dumps(listed).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)
    return path


@pytest.mark.parametrize("kind", KINDS[1:] if NIGHTLY else ["ltae"])
@examples
@given(data=st.data())
def test_headers_of_networks(kind, data, models, folder):
    listed, described, arrays = parts_of(models[kind])
    path = put_together(folder / "spoilt.safetensors", listed, data.draw(spoilt(described)), arrays)
    with read_or_refused():
        model = Model.load(path)
        if NIGHTLY:
            describe(model)


@pytest.mark.parametrize("kind", KINDS if NIGHTLY else ["ltae"])
@examples
@given(data=st.data())
def test_settings_of_networks(kind, data, models, folder):
    """Widths, layers and depths that the arrays do not have: nothing of that size may be made."""
    listed, described, arrays = parts_of(models[kind])
    held = described["settings"]
    for name in data.draw(st.lists(st.sampled_from(sorted(held)), min_size=1, max_size=2)):
        numbers = st.sampled_from([-1, 0, 1, 7, 10_000, 2**31, 10**12, 1e300, [1] * 1000, [10**9]])
        held[name] = data.draw(st.one_of(numbers, st.sampled_from(HOSTILE)))
    with read_or_refused():
        Model.load(put_together(folder / "spoilt.safetensors", listed, described, arrays))


@given(data=st.data())
def test_lists_of_arrays(data, models, folder):
    """Shapes, types and places of arrays that the file does not have."""
    listed, described, arrays = parts_of(models["ltae"])
    path = put_together(folder / "spoilt.safetensors", data.draw(spoilt(listed)), described, arrays)
    with read_or_refused():
        Model.load(path)


@given(data=st.data())
def test_bytes_of_a_model(data, models, folder):
    path = folder / "spoilt.safetensors"
    raw = models["ltae"].read_bytes()
    path.write_bytes(data.draw(spoilt_bytes(raw[:20_000])) + raw[20_000:])
    with read_or_refused():
        Model.load(path)


@pytest.mark.parametrize("kind", ["folds", "regions"])
@examples
@given(data=st.data())
def test_files_of_several_models(kind, data, models, folder):
    """Those of folds and of regions, with the hash that the delivered model would have of them."""
    from landloom.model.base.files import file_hash

    one = Model.load(models["randomforest"])
    place = folder / kind
    place.mkdir(exist_ok=True)
    path = place / f"model_{kind}.safetensors"
    if kind == "folds":
        kept, key = save_folds(path, [one, one]), FOLDS_KEY
    else:
        kept, key = save_regions(path, {"nord": one, "sud é": one}), REGIONS_KEY
    listed, described, arrays = parts_of(path)
    what = data.draw(st.sampled_from(["listed", "described", "kept"]))
    if what == "listed":
        listed = data.draw(spoilt(listed))
    elif what == "described":
        described = data.draw(spoilt(described))
    put_together(path, listed, described, arrays)
    kept = copy.deepcopy({**kept, "sha256": file_hash(path)})
    if what == "kept":
        kept = data.draw(spoilt(kept))
    header = copy.copy(one.header)
    object.__setattr__(header, "provenance", {key: kept})
    with read_or_refused():
        (load_folds if kind == "folds" else load_regions)(place / "model.safetensors", header)


@pytest.mark.skipif(not NIGHTLY, reason="models of objects take seconds to make: make nightly")
@pytest.mark.parametrize("kind", ["forest", "pixelset"])
@given(data=st.data())
def test_models_of_objects(kind, data, objects, folder):
    listed, described, arrays = parts_of(objects[kind])
    path = put_together(folder / "spoilt.safetensors", listed, data.draw(spoilt(described)), arrays)
    with read_or_refused():
        (ObjectModel if kind == "forest" else SetModel).load(path)


@pytest.mark.skipif(not NIGHTLY, reason="maps take seconds to make: make nightly")
@pytest.mark.parametrize("kind", ["randomforest", "ltae"])
@settings(max_examples=150)
@given(data=st.data())
def test_maps_of_spoilt_models(kind, data, models, inputs, folder):
    """What loading lets through maps, too, or is refused by then."""
    listed, described, arrays = parts_of(models[kind])
    path = put_together(folder / "spoilt.safetensors", listed, data.draw(spoilt(described)), arrays)
    with read_or_refused():
        classify(inputs["classify"]["stack"], path, folder / "map.tif", device="cpu", threads=1)


def test_what_is_fuzzed_is_sound_before(models, inputs):
    for path in models.values():
        tensors, header = read_tensors(path)
        assert tensors and header["format"] and all(isinstance(one, np.ndarray) for one in tensors.values())
        assert Model.load(path).members
