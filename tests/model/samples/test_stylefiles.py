"""Nomenclatures as QGIS styles: QGIS itself loads what is written and writes what is read; nothing gets lost."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from landloom.model.base.errors import LandloomError
from landloom.model.base.raster import spatial_reference, write_raster
from landloom.model.samples.table import NomenclatureTable, Row
from landloom.model.samples.tablefiles import read_table, write_table
from osgeo import ogr

sys.path.insert(0, str(Path(__file__).parent))
import samples_scene

ROWS = [
    Row("maïs", 12, 'maïs, "irrigué" <été>', "#ffcc00", ("culture", "céréale"), True, 3, 1.5),
    Row("sorgho; mil", 13, "sorgho & mil", "#00ff00", ("culture", "céréale"), True, 2, None),
    Row("mil", 13, "sorgho & mil", "#00ff00", ("culture", "céréale"), True, 2, None),
    Row("forêt", 40, "forêt", "#006400", ("naturel",), True, 0, 0.0),
    Row("haie", 41, "haie", "#123456", (), False, 0, 0.0),
]


def facts(table):
    return sorted((r.value, r.code, r.name, r.color, r.parents, r.use) for r in table.rows)


@pytest.fixture
def style(tmp_path):
    path = tmp_path / "légende d'été.qml"
    write_table(NomenclatureTable(ROWS), path, "crop")
    return path


def test_there_and_back(style):
    expected = facts(NomenclatureTable(ROWS))
    found = facts(read_table(style))
    # The colour of a class left out is in no legend.
    assert [one for one in found if one[5]] == [one for one in expected if one[5]]
    assert [one[:3] + one[4:] for one in found if not one[5]] == [one[:3] + one[4:] for one in expected if not one[5]]


def test_iota2_files_hold_accents_commas_and_colons(tmp_path):
    rows = [Row("7", 7, "maïs, irrigué: été", "#ffcc00"), Row("300", 300, "forêt « dense »", "#006400")]
    write_table(NomenclatureTable(rows), tmp_path / "nomenclature.txt")
    table = read_table(tmp_path / "nomenclature.txt")
    assert facts(table) == sorted(facts(NomenclatureTable(rows)))


@pytest.fixture
def layer(qgis_app, tmp_path):
    from qgis.core import QgsVectorLayer

    path = samples_scene.write_layer(tmp_path / "champs.gpkg", samples_scene.fields(), geometry=ogr.wkbPolygon)
    made = QgsVectorLayer(str(path), "champs")
    assert made.isValid()
    return made


def test_qgis_draws_the_reference_layer_by_it(layer, style, tmp_path):
    message, good = layer.loadNamedStyle(str(style))
    assert good, message
    renderer = layer.renderer()
    assert renderer.type() == "categorizedSymbol" and renderer.classAttribute() == "crop"
    shown = {one.label(): (one.value(), one.symbol().color().name()) for one in renderer.categories()}
    assert shown['maïs, "irrigué" <été>'] == ("maïs", "#ffcc00")
    assert shown["sorgho & mil"] == (["sorgho; mil", "mil"], "#00ff00")
    saved = tmp_path / "saved.qml"
    assert layer.saveNamedStyle(str(saved))[1]
    assert [one for one in facts(read_table(saved)) if one[5]] == [
        one for one in facts(NomenclatureTable(ROWS)) if one[5]
    ]


def test_changes_made_in_qgis_come_back(layer, style, tmp_path):
    from qgis.PyQt.QtGui import QColor

    layer.loadNamedStyle(str(style))
    renderer = layer.renderer().clone()
    categories = renderer.categories()  # kept, since symbols belong to them
    place = next(i for i, one in enumerate(categories) if one.label() == "forêt")
    renderer.updateCategoryLabel(place, "bois")
    symbol = categories[place].symbol().clone()
    symbol.setColor(QColor("#0000aa"))
    renderer.updateCategorySymbol(place, symbol)
    layer.setRenderer(renderer)
    layer.saveNamedStyle(str(tmp_path / "saved.qml"))
    row = read_table(tmp_path / "saved.qml").find("forêt")
    assert (row.code, row.name, row.color, row.parents) == (40, "bois", "#0000aa", ("naturel",))


def test_qgis_draws_maps_by_it(qgis_app, style, tmp_path):
    from qgis.core import QgsPalettedRasterRenderer, QgsRasterLayer

    crs = spatial_reference("EPSG:32738").ExportToWkt()
    write_raster(tmp_path / "map.tif", np.array([[12, 13, 40]], np.uint8), (0, 10, 0, 0, 0, -10), crs)
    raster = QgsRasterLayer(str(tmp_path / "map.tif"), "map")
    assert raster.loadNamedStyle(str(style))[1]
    renderer = raster.renderer()
    assert isinstance(renderer, QgsPalettedRasterRenderer)
    shown = {int(one.value): (one.label, one.color.name()) for one in renderer.classes()}
    assert shown == {
        12: ('maïs, "irrigué" <été>', "#ffcc00"),
        13: ("sorgho & mil", "#00ff00"),
        40: ("forêt", "#006400"),
    }
    saved = tmp_path / "saved.qml"
    raster.saveNamedStyle(str(saved))
    table = read_table(saved)
    # The codes are the values of a map; a field of names finds its rows by name.
    assert [(r.value, r.name, r.color) for r in table.rows if r.use] == [
        (str(code), name, color) for code, (name, color) in shown.items()
    ]
    assert table.find("forêt").code == 40 and table.find("12").parents == ("culture", "céréale")


@pytest.mark.parametrize("old", [False, True])
def test_styles_made_by_hand_are_read(tmp_path, old):
    color = '<prop k="color" v="255,204,0,255"/>' if old else (
        '<Option type="Map"><Option name="color" type="QString" value="255,204,0,255,rgb:1,0.8,0,1"/></Option>'
    )  # fmt: skip
    path = tmp_path / "hand.qml"
    path.write_text(
        '<qgis><renderer-v2 type="categorizedSymbol" attr="&quot;crop&quot;"><categories>'
        '<category value="5" symbol="0" label="maïs"/><category value="7.0" symbol="0" label=""/>'
        '<category value="" symbol="0" label="autres"/></categories><symbols><symbol name="0" type="fill">'
        f'<layer class="SimpleFill">{color}</layer></symbol></symbols></renderer-v2></qgis>',
        encoding="utf-8",
    )
    table = read_table(path)
    assert [(r.value, r.code, r.name, r.color) for r in table.rows] == [
        ("5", 5, "maïs", "#ffcc00"),
        ("7", 7, "7", "#ffcc00"),
    ]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<qgis>", "no QGIS style"),
        ("<qgis><renderer-v2 type='singleSymbol'/></qgis>", "shows no classes"),
        ("<qgis><paletteEntry value='1.5' color='#112233' label='x'/></qgis>", "no class code"),
        ("<qgis><paletteEntry value='70000' color='#112233' label='x'/></qgis>", "1 to 65535"),
    ],
)
def test_refuses(tmp_path, text, word):
    path = tmp_path / "s.qml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LandloomError, match=word):
        read_table(path)
