"""Names made to break out of pages, styles and layers: shown as text in every file that an algorithm writes.

``tests/end_to_end/test_hostile_names.py`` does so for the way from images to a map; here are the other algorithms.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from algorithm_runs import write_maps
from faulty_runs import NIGHTLY
from osgeo import gdal, ogr

TAG = "<script>alert('x')"
NAMES = {1: f'{TAG} & "eau"', 2: "forêt' onload='x", 3: ']]>"><b>maïs&amp;'}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile") / f"{TAG} & été".replace("/", "")


@pytest.fixture(scope="module")
def run(landloom_provider):
    import processing

    return lambda algorithm, **parameters: processing.run(f"landloom:{algorithm}", parameters)


@pytest.fixture(scope="module")
def maps(folder, run):
    """Two maps whose classes have such names, from a nomenclature."""
    from landloom.model.samples.table import NomenclatureTable, Row
    from landloom.model.samples.tablefiles import write_table

    plain = write_maps(folder)
    rows = [Row(str(code), code, name, f"#11{code}{code}33", (), True, 3, 1.0) for code, name in NAMES.items()]
    write_table(NomenclatureTable(rows, ""), folder / "classes.csv")
    made = {}
    for name in ("first", "second"):
        made[name] = str(folder / f"{TAG} {name}.tif".replace("/", ""))
        run("mosaic", MAPS=[plain[name]], NOMENCLATURE=str(folder / "classes.csv"), OUTPUT=made[name])
    return {**plain, **made}


def check_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text, path.name
    body = ElementTree.fromstring(text[text.index("<body>") : text.index("</html>")])
    for one in body.iter():
        assert one.tag.split("}")[-1] not in ("script", "b"), path.name
        assert not [key for key in one.attrib if key.lower().startswith("on")], path.name
    assert TAG in "".join(body.itertext()), f"{path.name} lost the name"


def check_style(text: str) -> list[str]:
    """The labels that a style has; fails where it is no XML."""
    root = ElementTree.fromstring(text[text.index("<qgis") :])
    assert not [one for one in root.iter() if one.tag in ("script", "b")]
    return [one.get("label", "") for one in root.iter() if one.get("label")]


def check_files(folder: Path) -> None:
    """Every style, page and layer below a folder."""
    for path in folder.rglob("*"):
        if path.suffix == ".qml":
            assert check_style(path.read_text("utf-8")), path.name
        elif path.suffix == ".html":
            check_page(path)
        elif path.suffix == ".gpkg" and path.name != "reference.gpkg":
            source = ogr.Open(str(path))
            styles = source.GetLayerByName("layer_styles")
            for one in styles if styles is not None else ():
                check_style(one["styleQML"])


def test_maps_and_polygons(maps, run, tmp_path):
    report, classes = tmp_path / "difference.html", tmp_path / "classes.csv"
    output = str(tmp_path / "difference.tif")
    run(
        "difference",
        BEFORE=maps["first"],
        AFTER=maps["second"],
        OUTPUT=output,
        CLASSES=str(classes),
        REPORT=str(report),
    )
    run("regularise", MAP=maps["second"], MIN_AREA=0.05, OUTPUT=str(tmp_path / "regular.tif"))
    run("vectorise", MAP=maps["second"], MIN_AREA=0.05, OUTPUT=str(tmp_path / "map.gpkg"))
    run("fuse", MAPS=[maps["first"], maps["second"]], METHOD="majority", OUTPUT=str(tmp_path / "fused.tif"))
    run("areas", MAP=maps["first"], OUTPUT=str(tmp_path / "areas.csv"), REPORT=str(tmp_path / "areas.html"))
    check_files(tmp_path)
    for name in ("regular.tif", "fused.tif"):
        dataset = gdal.Open(str(tmp_path / name))
        dataset.GetMetadata()  # GDAL 3.6 gives the names only after something else was asked for
        held = dataset.GetRasterBand(1).GetCategoryNames()
        assert {code: held[code] for code in NAMES} == NAMES
        assert set(NAMES.values()) <= set(check_style((tmp_path / name).with_suffix(".qml").read_text("utf-8")))
    source = ogr.Open(str(tmp_path / "map.gpkg"))
    layer = source.GetLayer(0)
    assert {one["class"] for one in layer} == set(NAMES.values())


@pytest.mark.skipif(not NIGHTLY, reason="training takes a minute: make nightly")
def test_images_and_objects(maps, folder, run, make_stack, tmp_path):
    import samples_scene

    stack = str(make_stack(folder / "fields", samples_scene.sensors()))
    renamed = dict(zip(samples_scene.CLASSES, NAMES.values(), strict=True))
    features = [(wkt, {**values, "crop": renamed[values["crop"]]}) for wkt, values in samples_scene.fields()]
    reference = {
        "REFERENCE": str(samples_scene.write_layer(folder / "reference.gpkg", features)),
        "CLASS_FIELD": "crop",
    }

    def at(name):
        return str(tmp_path / name)

    run(
        "coregister", STACK=stack, SENSOR="S2", OUTPUT=at("stack.json"), TABLE=at("t.csv"), REPORT=at("coregister.html")
    )
    objects = {"STACK": stack, "SEGMENTS": maps["objects"]}
    model = {"OUTPUT": at("o.safetensors"), "REPORT": at("objects.html")}
    run("trainobjects", **objects, **reference, **model)
    run("classifyobjects", **objects, MODEL=at("o.safetensors"), OUTPUT=at("o.gpkg"), RASTER=at("raster.tif"))
    samples = at("samples")
    run("extractsamples", STACK=stack, **reference, OUTPUT=samples, POINTS=at("points.gpkg"), MAX_PER_GROUP=10)
    quick = {"NETWORKS": "ltae", "SENSOR_SETS": "S1", "EVALUATION": "holdout", "EPOCHS": 1, "RUNS": 2, "DEVICE": "cpu"}
    run("compare", SAMPLES=samples, **quick, REPORT=at("compare.html"), TABLE=at("compare.json"))
    run(
        "sampledesign", MAP=maps["second"], SIZE=40, MIN_PER_CLASS=5, OUTPUT=at("design.gpkg"), REPORT=at("design.html")
    )
    run("nomenclature", **reference, OUTPUT=at("classes.qml"))
    run("layout", MAP=maps["first"], OUTPUT=at("page.pdf"), TEMPLATE=at("page.qpt"))
    check_files(tmp_path)
    ElementTree.parse(tmp_path / "page.qpt")
    source = ogr.Open(at("o.gpkg"))
    layer = source.GetLayer(0)
    assert "name" not in [one.GetName() for one in layer.schema] or {one["name"] for one in layer} <= set(
        NAMES.values()
    )


@pytest.mark.skipif(not NIGHTLY, reason="make nightly")
def test_products(run, write_product, folder, tmp_path):
    for date in ("20210105", "20210115"):
        write_product.theia(folder / "products", date)
    run(
        "preparestack", INPUT=str(folder / "products"), OUTPUT=str(tmp_path / "s.json"), REPORT=str(tmp_path / "s.html")
    )
    check_files(tmp_path)
