"""Files that others wrote are read, or refused in one line: no traceback, no endless work, nothing run or fetched."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import samples_scene
from hostile import as_json, read_or_refused, spoilt, spoilt_bytes
from hypothesis import given
from hypothesis import strategies as st
from landloom.model.accuracy.areas import _classes, _estimates, join_assessment
from landloom.model.accuracy.assessfiles import read_assessment
from landloom.model.accuracy.mapreading import Count
from landloom.model.base.iota2config import read_config
from landloom.model.base.legend import read_style
from landloom.model.base.matrixfile import read_matrix
from landloom.model.base.progress import Progress
from landloom.model.networks.modelfile import Model
from landloom.model.networks.tensorfile import read_tensors, write_tensors
from landloom.model.samples.store import SampleStore
from landloom.model.samples.tablefiles import read_table
from landloom.model.stack.grid import Window
from landloom.model.stack.products import Choice, find_products
from landloom.model.stack.products.sen2cor import read_metadata
from landloom.model.stack.reader import StackReader
from landloom.model.stack.stac.items import read_items


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def stack(make_stack, tmp_path_factory):
    return make_stack(tmp_path_factory.mktemp("stack"), samples_scene.sensors())


# ---------------------------------------------------------------------- stack.json


def read_stack(path):
    with read_or_refused(), StackReader(path) as reader:
        assert all(np.prod(one.values.shape) < 1e6 for one in reader.read(Window(3, 4, 5, 6)).values())


@given(data=st.data())
def test_stack(data, stack):
    path = stack.with_name("spoilt.json")
    path.write_bytes(as_json(data.draw(spoilt(json.loads(stack.read_text("utf-8"))))))
    read_stack(path)


@given(data=st.data())
def test_bytes_of_a_stack(data, stack):
    path = stack.with_name("spoilt.json")
    path.write_bytes(data.draw(spoilt_bytes(stack.read_bytes())))
    read_stack(path)


# ---------------------------------------------------------------------- samples


@pytest.fixture(scope="module")
def samples(stack, tmp_path_factory):
    from landloom.model.samples.extraction import extract_samples
    from landloom.model.samples.settings import ExtractionSettings

    folder = tmp_path_factory.mktemp("samples")
    reference = samples_scene.write_layer(folder / "reference.gpkg", samples_scene.fields())
    settings = ExtractionSettings("crop", max_per_group=5)
    extract_samples(stack, reference, settings, folder / "samples", Progress())
    return folder / "samples"


def read_samples(samples):
    with read_or_refused():
        store = SampleStore.open(samples)
        for series in store.batch(np.arange(min(3, len(store)))).values():
            assert np.prod(series.values.shape) < 1e6


@given(data=st.data())
def test_samples(data, samples):
    path = samples / "samples.json"
    whole = path.read_bytes()
    try:
        path.write_bytes(as_json(data.draw(spoilt(json.loads(whole)))))
        read_samples(samples)
    finally:
        path.write_bytes(whole)


@given(
    data=st.data(), name=st.sampled_from(["chips.npy", "samples.npy", "S2.values.npy", "S2.mask.npy", "samples.json"])
)
def test_bytes_of_samples(data, name, samples):
    path = samples / name
    whole = path.read_bytes()
    try:
        spoilt_content = data.draw(spoilt_bytes(whole[:400])) + whole[400:]
        path.unlink()  # a new file, since what is mapped into memory must not change
        path.write_bytes(spoilt_content)
        read_samples(samples)
    finally:
        path.unlink()
        path.write_bytes(whole)


# ---------------------------------------------------------------------- models


@given(data=st.data())
def test_header_of_a_model(data, inputs, folder):
    tensors, header = read_tensors(inputs["classify"]["model"])
    with read_or_refused():
        header = data.draw(spoilt(header))
        text = json.dumps(header).encode()  # written as another program would, with nothing checked
        sound = folder / "sound.safetensors"
        write_tensors(sound, tensors, {"mark": 1})
        raw = sound.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        listed = json.loads(raw[8 : 8 + length])
        listed["__metadata__"]["landloom"] = text.decode()
        encoded = json.dumps(listed).encode()
        path = folder / "spoilt.safetensors"
        path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + raw[8 + length :])
        Model.load(path)


@given(data=st.data())
def test_arrays_of_a_forest(data, inputs, folder):
    """Trees whose numbers lead outside of the tree, in circles, or are none."""
    tensors, header = read_tensors(inputs["classify"]["model"])
    name = data.draw(st.sampled_from(sorted(tensors)))
    array = tensors[name].copy()
    if array.size:
        value = data.draw(st.sampled_from([-1, -2, 0, 1, 7, 2**31 - 1]))
        flat = array.reshape(-1)
        flat[data.draw(st.integers(0, array.size - 1))] = value if array.dtype.itemsize > 2 else value % 100
    path = folder / "trees.safetensors"
    write_tensors(path, {**tensors, name: array}, header)
    with read_or_refused():
        forest = Model.load(path).members[0]
        forest.predict_proba(np.zeros((3, forest.features), np.float32))


# ---------------------------------------------------------------------- tables, colours, styles, configurations


TABLES = {
    "table.csv": "value;code;name;color;use;count;hectares\n1;1;forêt;#115511;yes;3;1.5\n2;2;eau;#0000ff;no;4;2\n",
    "comma.csv": 'value,code,name\n"a ""b""",5,x\nc,6,y\n',
    "classes.txt": "forêt:1\neau : 2\n# remark\nmaïs:12\n",
    "classes_colors.txt": "1 10 100 10\n2 0 0 255\n12 255 200 0\n",
    "style.qml": "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n<qgis><pipe><rasterrenderer>"
    '<colorPalette><paletteEntry value="1" color="#115511" label="forêt"/><paletteEntry value="2" color="#0000ff" '
    'label="eau"/></colorPalette></rasterrenderer></pipe><customproperties><Option type="Map"><Option '
    'name="landloom/nomenclature" value="[{&quot;value&quot;: &quot;1&quot;}]"/></Option></customproperties></qgis>',
    "config.cfg": "chain : { output_path : '/data' runs : 3 list : [1, 'a', {b : None}] }\n",
    "matrix.csv": "#Reference labels (rows):1,2\n#Produced labels (columns):1,2\n10,2\n3,12\n",
}


@pytest.mark.parametrize("name", sorted(TABLES))
@given(data=st.data())
def test_tables_and_styles(name, data, folder):
    place = folder / "tables"
    place.mkdir(exist_ok=True)
    for one, text in TABLES.items():
        (place / one).write_text(text, encoding="utf-8")
    path = place / name
    path.write_bytes(data.draw(spoilt_bytes(TABLES[name].encode())))
    for read in (read_style, read_table) if name.endswith(".qml") else (read_table,):
        with read_or_refused():
            read(place / "classes.txt" if name == "classes_colors.txt" else path)
    if name.endswith(".cfg"):
        with read_or_refused():
            read_config(path)
    if name.startswith("matrix"):
        with read_or_refused():
            read_matrix(path)


@pytest.mark.parametrize("entity", ["SYSTEM 'file:///etc/passwd'", "SYSTEM 'http://127.0.0.1:9/'", "'bomb'"])
def test_entities_are_refused(entity, tmp_path):
    text = f"<?xml version='1.0'?><!DOCTYPE qgis [<!ENTITY a {entity}>]><qgis><paletteEntry value='&a;'/></qgis>"
    for name, read in (("style.qml", read_style), ("MTD_MSIL2A.xml", read_metadata)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(Exception, match=r"entities|document type") as caught:
            read(tmp_path / name if read is read_style else str(tmp_path / name))
        assert type(caught.value).__name__ == "LandloomError"


# ---------------------------------------------------------------------- STAC, metadata and names of products


def stac_items():
    import stac_service

    return {"type": "FeatureCollection", "features": [stac_service.item(d, "./") for d in stac_service.DATES[:2]]}


@given(data=st.data())
def test_items(data, stac_files, folder):
    path = folder / "items.json"
    path.write_bytes(as_json(data.draw(spoilt(stac_items()))))
    with read_or_refused():
        read_items(path)
    with read_or_refused():
        for product in find_products(path, Choice(), Progress()).products:
            for file, _number in product.bands.values():
                # an address becomes a path of /vsicurl? with everything quoted; all else is an existing file
                assert file.startswith("/vsicurl?") or file.startswith(str(folder)) or file == "/etc/passwd"


METADATA = """<?xml version="1.0"?><n1:Level-2A_User_Product xmlns:n1="x"><PRODUCT_URI>S2A.SAFE</PRODUCT_URI>
<PROCESSING_BASELINE>05.09</PROCESSING_BASELINE><BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>
<BOA_ADD_OFFSET band_id="0">-1000</BOA_ADD_OFFSET><BOA_ADD_OFFSET band_id="1">-1000</BOA_ADD_OFFSET>
</n1:Level-2A_User_Product>"""


@given(data=st.data())
def test_metadata(data, folder):
    path = folder / "MTD_MSIL2A.xml"
    path.write_bytes(data.draw(spoilt_bytes(METADATA.encode())))
    with read_or_refused():
        found = read_metadata(str(path))
        assert np.isfinite([found.baseline, found.quantification, *found.offsets.values()]).all()


NAMES = st.lists(
    st.sampled_from(
        ["SENTINEL2A", "S2A", "S1A", "s1a", "MSIL2A", "20210105", "20211399", "T38KPE", "T99", "L2A", "C",
         "V2-2", "FRE", "SRE", "B2", "B8A", "B99", "CLM", "R1", "vv", "VH", "ASC", "044", "DES", "IW", "GRDH", "RTC",
         "L30", "SR", "LC08", "02", "T1", "QA", "PIXEL", "TOC-B04", "10M", "mask", "..", " ", "é", "%", "&<>",
         "20210105-071211-123", "20210105t025501", "sigma", "OPERA", "v1.0", "\u202e"]
    ),
    min_size=1,
    max_size=9,
)  # fmt: skip


@given(
    parts=st.lists(NAMES, min_size=1, max_size=6), suffix=st.sampled_from([".tif", ".jp2", ".TIF", ".xml", ".zip", ""])
)
def test_names_of_products(parts, suffix, tmp_path_factory):
    place = tmp_path_factory.mktemp("names")
    for one in parts:
        name = "_".join(one) + suffix
        if name not in (".", ".."):
            (place / name).touch()
    with read_or_refused():
        for product in find_products(place, Choice(), Progress()).products:
            assert all(str(path).startswith(str(place)) for path, _ in product.bands.values())


# ---------------------------------------------------------------------- assessments


ASSESSMENT = {
    "format": "landloom-assessment",
    "version": 1,
    "map": {"path": "map.tif", "pixels": {"1": 10, "2": 5}, "hectares": {"1": 1.0, "2": 0.5}, "no_data_pixels": 0},
    "classes": [
        {"code": 1, "name": "forêt", "color": "#115511", "map_values": [1], "reference_values": ["1"]},
        {"code": 2, "name": "eau", "color": "#0000ff", "map_values": [2], "reference_values": ["2"]},
    ],
    "pixel": {"overall_accuracy": 0.9},
    "whole_map": {
        "area_hectares": [
            {"value": 1.0, "standard_error": 0.1, "low": 0.8, "high": 1.2},
            {"value": 0.5, "standard_error": 0.1, "low": 0.3, "high": 0.7},
        ]
    },
}


@given(data=st.data())
def test_assessments(data, folder):
    path = folder / "assessment.json"
    path.write_bytes(as_json(data.draw(spoilt(ASSESSMENT))))
    counts = {1: Count(10, 1.0), 2: Count(5, 0.5)}
    areas = SimpleNamespace(whole=SimpleNamespace(values=counts), names={1: "a", 2: "b"}, assessment=None, warnings=[])
    with read_or_refused():
        found = read_assessment(path)
        join_assessment(areas, found, str(path))
        _classes(areas)
        _estimates(areas)


@given(data=st.data())
def test_bytes_of_assessments(data, folder):
    path = folder / "assessment.json"
    path.write_bytes(data.draw(spoilt_bytes(as_json(ASSESSMENT))))
    with read_or_refused():
        read_assessment(path)
