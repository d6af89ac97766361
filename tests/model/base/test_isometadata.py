"""The metadata record is readable XML whatever a title holds, and its identifier stays for the same map."""

import datetime
from dataclasses import replace
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st
from landloom.model.base.isometadata import MapMetadata, iso_metadata

SPACE = {"gmd": "http://www.isotc211.org/2005/gmd", "gco": "http://www.isotc211.org/2005/gco"}
DAY = datetime.date(2026, 3, 1)
MAP = MapMetadata("Map", "About", "fr", "EPSG:32738", 45.0, -18.1, 45.2, -18.0, 10.0, "2021-01-02", "2021-12-30")


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_gives_readable_xml(title, licence) -> None:
    root = ElementTree.fromstring(iso_metadata(replace(MAP, title=title, constraints=licence), DAY))
    found = root.find(".//gmd:title/gco:CharacterString", SPACE).text or ""
    assert set(found) <= set(title) | {"\n"}


def test_the_identifier_depends_on_the_map_alone() -> None:
    def identifier(record):
        return ElementTree.fromstring(record).find("gmd:fileIdentifier/gco:CharacterString", SPACE).text

    first = identifier(iso_metadata(MAP, DAY))
    assert first == identifier(iso_metadata(replace(MAP, accuracy=83.0), DAY))
    assert first != identifier(iso_metadata(replace(MAP, title="Other"), DAY))


def test_accuracy_stands_there_only_where_it_is_known() -> None:
    assert b"DQ_ThematicClassificationCorrectness" not in iso_metadata(MAP, DAY)
    assert b"83.1" in iso_metadata(replace(MAP, accuracy=83.12), DAY)
