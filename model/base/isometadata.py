"""Metadata of a map as ISO 19115 (2003), written in the XML of ISO 19139 that geoportals and INSPIRE harvest."""

from __future__ import annotations

import datetime
import re
import uuid
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement, indent, tostring  # nosec B405 # only written

GMD, GCO = "http://www.isotc211.org/2005/gmd", "http://www.isotc211.org/2005/gco"
GML, XLINK = "http://www.opengis.net/gml", "http://www.w3.org/1999/xlink"
_CODES = "http://standards.iso.org/iso/19139/resources/gmxCodelists.xml"
_ILLEGAL = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LANGUAGES = {"en": "eng", "fr": "fre"}


@dataclass(frozen=True)
class MapMetadata:
    """What is said of a map.

    Attributes:
        title, abstract: texts in ``language``.
        language: ``en`` or ``fr``.
        crs: authority and code such as ``EPSG:32738``; empty where it has none.
        west, south, east, north: extent, degrees (WGS 84).
        pixel: size of a pixel on the ground, metres; None where it is unknown.
        begin, end: first and last image, ``YYYY-MM-DD``; empty where unknown.
        organisation, email: who answers for the map; may be empty.
        lineage: how it was made.
        accuracy: overall accuracy in percent, or None.
        accuracy_method: how that was found.
        keywords: words to find it by.
        constraints: licence or terms of use; may be empty.
    """

    title: str
    abstract: str
    language: str
    crs: str
    west: float
    south: float
    east: float
    north: float
    pixel: float | None = None
    begin: str = ""
    end: str = ""
    organisation: str = ""
    email: str = ""
    lineage: str = ""
    accuracy: float | None = None
    accuracy_method: str = ""
    keywords: tuple[str, ...] = field(default=())
    constraints: str = ""


def iso_metadata(map_: MapMetadata, made: datetime.date) -> bytes:
    """The metadata record.

    Args:
        map_: what to say.
        made: date of the map.

    Returns:
        a UTF-8 XML document; its identifier depends on title, extent and date only, so that the same map keeps it.
    """
    root = Element("gmd:MD_Metadata")
    for prefix, space in (("gmd", GMD), ("gco", GCO), ("gml", GML), ("xlink", XLINK)):
        root.set(f"xmlns:{prefix}", space)
    name = f"{map_.title} {map_.west} {map_.south} {map_.east} {map_.north} {made.isoformat()}"
    _text(root, "fileIdentifier", str(uuid.uuid5(uuid.NAMESPACE_URL, name)))
    _language(root, map_.language)
    _code(SubElement(root, "gmd:characterSet"), "MD_CharacterSetCode", "utf8")
    _code(SubElement(root, "gmd:hierarchyLevel"), "MD_ScopeCode", "dataset")
    _party(SubElement(root, "gmd:contact"), map_)
    SubElement(SubElement(root, "gmd:dateStamp"), "gco:Date").text = made.isoformat()
    _text(root, "metadataStandardName", "ISO 19115")
    _text(root, "metadataStandardVersion", "2003/Cor.1:2006")
    if map_.crs:
        system = SubElement(SubElement(root, "gmd:referenceSystemInfo"), "gmd:MD_ReferenceSystem")
        identifier = SubElement(SubElement(system, "gmd:referenceSystemIdentifier"), "gmd:RS_Identifier")
        _text(identifier, "code", map_.crs)
    _identification(SubElement(root, "gmd:identificationInfo"), map_, made)
    form = SubElement(SubElement(root, "gmd:distributionInfo"), "gmd:MD_Distribution")
    form = SubElement(SubElement(form, "gmd:distributionFormat"), "gmd:MD_Format")
    _text(form, "name", "Cloud Optimized GeoTIFF")
    _text(form, "version", "1.0")
    _quality(SubElement(root, "gmd:dataQualityInfo"), map_, made)
    indent(root)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="utf-8") + b"\n"


def _identification(parent: Element, map_: MapMetadata, made: datetime.date) -> None:
    data = SubElement(parent, "gmd:MD_DataIdentification")
    _citation(SubElement(data, "gmd:citation"), map_.title, made, "creation")
    _text(data, "abstract", map_.abstract)
    _party(SubElement(data, "gmd:pointOfContact"), map_)
    if map_.keywords:
        keywords = SubElement(SubElement(data, "gmd:descriptiveKeywords"), "gmd:MD_Keywords")
        for word in map_.keywords:
            _text(keywords, "keyword", word)
    if map_.constraints:
        terms = SubElement(SubElement(data, "gmd:resourceConstraints"), "gmd:MD_LegalConstraints")
        _code(SubElement(terms, "gmd:useConstraints"), "MD_RestrictionCode", "otherRestrictions")
        _text(terms, "otherConstraints", map_.constraints)
    _code(SubElement(data, "gmd:spatialRepresentationType"), "MD_SpatialRepresentationTypeCode", "grid")
    if map_.pixel:
        resolution = SubElement(SubElement(data, "gmd:spatialResolution"), "gmd:MD_Resolution")
        distance = SubElement(SubElement(resolution, "gmd:distance"), "gco:Distance")
        distance.set("uom", "m")
        distance.text = f"{map_.pixel:g}"
    _language(data, map_.language)
    topic = SubElement(SubElement(data, "gmd:topicCategory"), "gmd:MD_TopicCategoryCode")
    topic.text = "imageryBaseMapsEarthCover"
    extent = SubElement(SubElement(data, "gmd:extent"), "gmd:EX_Extent")
    box = SubElement(SubElement(extent, "gmd:geographicElement"), "gmd:EX_GeographicBoundingBox")
    for key, value in (
        ("westBoundLongitude", map_.west),
        ("eastBoundLongitude", map_.east),
        ("southBoundLatitude", map_.south),
        ("northBoundLatitude", map_.north),
    ):
        SubElement(SubElement(box, f"gmd:{key}"), "gco:Decimal").text = f"{value:.6f}"
    if map_.begin and map_.end:
        temporal = SubElement(SubElement(extent, "gmd:temporalElement"), "gmd:EX_TemporalExtent")
        period = SubElement(SubElement(temporal, "gmd:extent"), "gml:TimePeriod")
        period.set("gml:id", "images")
        SubElement(period, "gml:beginPosition").text = map_.begin
        SubElement(period, "gml:endPosition").text = map_.end


def _quality(parent: Element, map_: MapMetadata, made: datetime.date) -> None:
    quality = SubElement(parent, "gmd:DQ_DataQuality")
    scope = SubElement(SubElement(quality, "gmd:scope"), "gmd:DQ_Scope")
    _code(SubElement(scope, "gmd:level"), "MD_ScopeCode", "dataset")
    if map_.accuracy is not None:
        report = SubElement(SubElement(quality, "gmd:report"), "gmd:DQ_ThematicClassificationCorrectness")
        _text(report, "nameOfMeasure", "Overall accuracy")
        _text(report, "measureDescription", map_.accuracy_method or "Share of reference samples whose class is right")
        result = SubElement(SubElement(report, "gmd:result"), "gmd:DQ_QuantitativeResult")
        SubElement(result, "gmd:valueUnit").set("xlink:href", "http://www.opengis.net/def/uom/UCUM/0/%25")
        value = SubElement(SubElement(result, "gmd:value"), "gco:Record")
        value.text = f"{map_.accuracy:.1f}"
    lineage = SubElement(SubElement(quality, "gmd:lineage"), "gmd:LI_Lineage")
    _text(lineage, "statement", map_.lineage or f"Made with Landloom on {made.isoformat()}.")


def _text(parent: Element, name: str, text: str) -> None:
    SubElement(SubElement(parent, f"gmd:{name}"), "gco:CharacterString").text = _legal(text)


def _legal(text: str) -> str:
    """Without the characters that XML 1.0 does not allow."""
    return _ILLEGAL.sub("", text)


def _code(parent: Element, kind: str, value: str) -> None:
    code = SubElement(parent, f"gmd:{kind}")
    code.set("codeList", f"{_CODES}#{kind}")
    code.set("codeListValue", value)
    code.text = value


def _language(parent: Element, language: str) -> None:
    code = SubElement(SubElement(parent, "gmd:language"), "gmd:LanguageCode")
    value = _LANGUAGES.get(language, "eng")
    code.set("codeList", "http://www.loc.gov/standards/iso639-2/")
    code.set("codeListValue", value)
    code.text = value


def _party(parent: Element, map_: MapMetadata) -> None:
    party = SubElement(parent, "gmd:CI_ResponsibleParty")
    _text(party, "organisationName", map_.organisation or "unknown")
    if map_.email:
        contact = SubElement(SubElement(party, "gmd:contactInfo"), "gmd:CI_Contact")
        address = SubElement(SubElement(contact, "gmd:address"), "gmd:CI_Address")
        _text(address, "electronicMailAddress", map_.email)
    _code(SubElement(party, "gmd:role"), "CI_RoleCode", "pointOfContact")


def _citation(parent: Element, title: str, made: datetime.date, kind: str) -> None:
    citation = SubElement(parent, "gmd:CI_Citation")
    _text(citation, "title", title)
    date = SubElement(SubElement(citation, "gmd:date"), "gmd:CI_Date")
    SubElement(SubElement(date, "gmd:date"), "gco:Date").text = made.isoformat()
    _code(SubElement(date, "gmd:dateType"), "CI_DateTypeCode", kind)
