"""layout: the page shows what the map holds, and the package is what another office can use without Landloom."""

import zipfile
from xml.etree import ElementTree

import numpy as np
import processing
import pytest
from landloom.model.base.nomenclature import LandCoverClass, Nomenclature
from landloom.model.base.raster import write_raster
from landloom.model.mapping.style import classes_qml
from osgeo import gdal, osr
from qgis.core import QgsLayoutItemLegend, QgsPrintLayout, QgsProcessingException, QgsProject, QgsReadWriteContext
from qgis.PyQt.QtXml import QDomDocument

NAMES = Nomenclature(
    (
        LandCoverClass(1, "Forêt & bois", "#1b6e2e"),
        LandCoverClass(5, "Maize <[% 1+1 %]>", "#d9a520"),
        LandCoverClass(9, "Never mapped", "#2a6fbb"),
    )
)


@pytest.fixture
def land_cover(tmp_path):
    system = osr.SpatialReference()
    system.ImportFromEPSG(32738)
    values = np.where(np.arange(300)[:, None] < np.arange(400), 1, 5).astype(np.uint8)
    path = tmp_path / "carte.tif"
    write_raster(path, values, (500000, 10, 0, 8000000, 0, -10), system.ExportToWkt(), nodata=0)
    path.with_suffix(".qml").write_text(classes_qml(NAMES.codes, NAMES.names, NAMES.colors), encoding="utf-8")
    return path


def _run(tmp_path, land_cover, **more):
    parameters = {"MAP": str(land_cover), "OUTPUT": str(tmp_path / "page.pdf"), "DPI": 60, **more}
    return processing.run("landloom:layout", parameters)


def test_the_page_and_the_package(landloom_provider, tmp_path, land_cover) -> None:
    report = tmp_path / "report.html"
    report.write_text("<html>é</html>", encoding="utf-8")
    _run(
        tmp_path,
        land_cover,
        TITLE="Carte d'essai <1>",
        LANGUAGE="fr",
        LICENCE="CC BY 4.0",
        ORGANISATION="Ministère",
        REPORTS=[str(report)],
        TEMPLATE=str(tmp_path / "page.qpt"),
        PACKAGE=str(tmp_path / "map.zip"),
    )
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    with zipfile.ZipFile(tmp_path / "map.zip") as archive:
        assert set(archive.namelist()) == {"carte.tif", "carte.qml", "carte.xml", "page.pdf", "report.html"}
        archive.extractall(tmp_path / "out")
    # The map: the same pixels and place, laid out for reading over the network.
    found, given = gdal.Open(str(tmp_path / "out" / "carte.tif")), gdal.Open(str(land_cover))
    assert found.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE") == "COG"
    assert np.array_equal(found.ReadAsArray(), given.ReadAsArray())
    assert found.GetGeoTransform() == given.GetGeoTransform()
    # The metadata: a readable record of the right place.
    root = ElementTree.parse(tmp_path / "out" / "carte.xml").getroot()
    space = {"gmd": "http://www.isotc211.org/2005/gmd", "gco": "http://www.isotc211.org/2005/gco"}
    title = root.find(".//gmd:identificationInfo//gmd:title/gco:CharacterString", space)
    assert title.text == "Carte d'essai <1>"
    west = float(root.find(".//gmd:westBoundLongitude/gco:Decimal", space).text)
    north = float(root.find(".//gmd:northBoundLatitude/gco:Decimal", space).text)
    # Zone 38: the central meridian, 45 degrees east, is 500 km.
    assert west == pytest.approx(45.0, abs=1e-3)
    assert -18.1 < north < -18.0
    assert not [path for path in tmp_path.iterdir() if ".partial" in path.name]


def test_the_legend_lists_the_classes_that_the_map_holds(landloom_provider, tmp_path, land_cover) -> None:
    _run(tmp_path, land_cover, TEMPLATE=str(tmp_path / "page.qpt"))
    document = QDomDocument()
    document.setContent((tmp_path / "page.qpt").read_text(encoding="utf-8"))
    text = document.toString()
    assert "Never mapped" not in text
    project = QgsProject()
    layout = QgsPrintLayout(project)
    project.layoutManager().addLayout(layout)
    _items, good = layout.loadFromTemplate(document, QgsReadWriteContext())
    assert good
    assert [one for one in layout.items() if isinstance(one, QgsLayoutItemLegend)]


@pytest.mark.parametrize(("classes", "title"), [(8, "Land cover"), (60, "Land cover"), (250, "Land cover (")])
def test_the_legend_of_many_classes_stays_on_the_page(landloom_provider, tmp_path, classes, title) -> None:
    """That of 300 classes ran over the scale bar and off the paper."""
    system = osr.SpatialReference()
    system.ImportFromEPSG(32738)
    path, codes = tmp_path / "many.tif", list(range(1, classes + 1))
    values = np.resize(np.array(codes, np.uint8), (40, 50))
    write_raster(path, values, (500000, 10, 0, 8000000, 0, -10), system.ExportToWkt(), nodata=0)
    style = classes_qml(codes, [f"class {code}" for code in codes], ["#2a6fbb"] * classes)
    path.with_suffix(".qml").write_text(style, encoding="utf-8")
    _run(tmp_path, path, TEMPLATE=str(tmp_path / "page.qpt"))
    document = QDomDocument()
    document.setContent((tmp_path / "page.qpt").read_text(encoding="utf-8"))
    project = QgsProject()
    layout = QgsPrintLayout(project)
    project.layoutManager().addLayout(layout)
    layout.loadFromTemplate(document, QgsReadWriteContext())
    (legend,) = [one for one in layout.items() if isinstance(one, QgsLayoutItemLegend)]
    assert legend.title().startswith(title) and (legend.title() == "Land cover") == (classes < 100)
    assert (legend.columnCount() > 1) == (classes > 50)
    height = layout.pageCollection().page(0).pageSize().height()
    assert legend.pos().y() + legend.rect().height() < height - 20


def test_a_name_from_data_is_never_evaluated(landloom_provider, tmp_path, land_cover) -> None:
    _run(tmp_path, land_cover, TITLE="Sum [% 1+1 %]", TEMPLATE=str(tmp_path / "page.qpt"))
    assert "[% 1+1 %]" not in (tmp_path / "page.qpt").read_text(encoding="utf-8")


def test_the_users_project_is_left_alone(landloom_provider, tmp_path, land_cover) -> None:
    before = set(QgsProject.instance().mapLayers())
    _run(tmp_path, land_cover)
    assert set(QgsProject.instance().mapLayers()) == before
    assert QgsProject.instance().layoutManager().printLayouts() == []


def test_bad_input_is_one_sentence_and_leaves_nothing(landloom_provider, tmp_path, land_cover) -> None:
    land_cover.with_suffix(".qml").unlink()
    with pytest.raises(QgsProcessingException, match=r"carte\.tif has no style of classes"):
        _run(tmp_path, land_cover)
    land_cover.with_suffix(".qml").write_text(classes_qml(NAMES.codes, NAMES.names, NAMES.colors), encoding="utf-8")
    with pytest.raises(QgsProcessingException, match="EXTENT does not meet the map"):
        _run(tmp_path, land_cover, EXTENT="0,1,0,1 [EPSG:32738]")
    with pytest.raises(QgsProcessingException, match=r"nothing\.html"):
        _run(tmp_path, land_cover, REPORTS=[str(tmp_path / "nothing.html")])
    assert not (tmp_path / "page.pdf").exists()
